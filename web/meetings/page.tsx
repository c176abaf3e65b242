/** My meetings: what a signed-in person sees, with that person's rights only. */
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { account, auth, callAsPerson, functionsAnswer, signOut } from "../data/person.ts";
import { online } from "../data/online.ts";
import { type Problem, toProblem } from "../data/problem.ts";
import { useResource } from "../data/resource.ts";
import { route } from "../routes.ts";
import { Button } from "../ui/button.tsx";
import { Icon } from "../ui/icon.tsx";
import { announce, toast } from "../ui/toast.tsx";
import { ahead } from "../ui/clock.ts";
import { currentTime, now, viewerZone } from "../ui/time.tsx";
import { Advice } from "./advice.tsx";
import { type Arrival, arrivalOf } from "./arrivals.ts";
import { Connect } from "./connect.tsx";
import { ConnectionDrawer } from "./connection.tsx";
import { consent, finishConsent } from "./consent.ts";
import {
  countTabs,
  fetchMeetings,
  fetchRun,
  fetchSituation,
  type Filter,
  type Meeting,
  type Run,
  TABS,
} from "./data.ts";
import { closeDetails, MeetingDetails } from "./details.tsx";
import { Questions } from "./list.ts";
import { MeetingList, TableSkeleton } from "./list_view.tsx";
import { SignIn } from "./sign_in.tsx";
import { SyncStatus, SyncStatusSkeleton } from "./status.tsx";
import { useLive } from "./use_live.ts";
import { useMeetings } from "./use_meetings.ts";
import { dayOf, hoursOf } from "./when.ts";
import { adviceFor, countWords } from "./words.ts";

export function MeetingsPage() {
  useEffect(() => void auth(), []);
  const who = account.value;
  if (who.state === "loading") return null;
  if (who.state === "signed_out") return <SignIn />;
  // Another person begins with another page: nothing of the former one's is left.
  return <Mine key={who.id} id={who.id} email={who.email} />;
}

/** In milliseconds: how often the situation is read again by itself, and while the first sync is not complete. */
const SITUATION = 30_000;
const FIRST_SYNC = 1500;
/** In milliseconds: how often the functions are asked whether they answer. */
const FUNCTIONS = 60_000;
/** In milliseconds: how often an active run's row is read. */
const RUN = 700;

/** In milliseconds: how long what has arrived stays marked. */
const MARKED = 120_000;

function Mine({ id, email }: { id: string; email: string }) {
  const { path, query } = route.value;
  const [every, setEvery] = useState(SITUATION);
  const situation = useResource(() => fetchSituation(id), [id, ahead.value], { every });
  const first = situation.data?.self?.calendly_initial_sync_complete === false;
  useEffect(() => setEvery(first ? FIRST_SYNC : SITUATION), [first]);
  const back = useConsent(situation.reload);
  const data = situation.data;
  const connected = data && (data.connection !== undefined || data.byOrganization);

  return (
    <>
      <div class="page-head">
        <h1>My meetings</h1>
        <div class="account">
          <span class="muted">
            <Icon name="user" /> {email}
          </span>
          <Button kind="quiet" onClick={signOut}>Sign out</Button>
        </div>
      </div>
      {situation.problem && !data && (
        <Advice problem={situation.problem} retry={situation.reload} busy={situation.loading} />
      )}
      {situation.problem && data && (
        <div class="card notice" role="status">
          <Icon name="warning" />
          <span>
            The project does not answer: {situation.problem.message.replace(/\.$/, "")}.{" "}
            What you see is what was there last. The page tries again by itself.
          </span>
        </div>
      )}
      {!data && !situation.problem && (
        <div class="stack">
          <SyncStatusSkeleton />
          <TableSkeleton />
        </div>
      )}
      {data && back.busy && <p role="status">Finishing the connection with Calendly…</p>}
      {data && !back.busy && !connected && (
        <Unconnected
          hasMeetings={(data.health?.active_calendly_meetings ?? 0) > 0}
          problem={back.problem}
          onConnected={() => {
            toast("Connected. The first sync has begun.");
            situation.reload();
          }}
        />
      )}
      {data?.self && (connected || (data.health?.active_calendly_meetings ?? 0) > 0) && (
        <Connected
          authUserId={id}
          situation={{ ...situation, data }}
          connected={connected === true}
          problem={connected ? back.problem : undefined}
          path={path}
          query={query}
        />
      )}
    </>
  );
}

/** Finishes a consent that the person has come back with. */
function useConsent(onConnected: () => void): { busy: boolean; problem?: Problem } {
  const waiting = consent.value !== undefined;
  const [busy, setBusy] = useState(waiting);
  const [problem, setProblem] = useState<Problem>();
  useEffect(() => {
    if (!consent.peek()) return;
    setBusy(true);
    finishConsent()
      .then(() => {
        toast("Connected. The sync has begun.");
        return onConnected();
      })
      .catch(async (error) => setProblem(await toProblem(error)))
      .finally(() => setBusy(false));
  }, []);
  return { busy, problem };
}

function Unconnected(
  { hasMeetings, problem, onConnected }: {
    hasMeetings: boolean;
    problem?: Problem;
    onConnected: () => void;
  },
) {
  return (
    <section class="unconnected" aria-labelledby="unconnected">
      <h2 id="unconnected">Connect to Calendly</h2>
      <p class="muted">
        {hasMeetings
          ? "You are disconnected. The meetings below are as they were then."
          : "Then the meetings of the last two years and the next one are read, and each new booking appears here by itself."}
      </p>
      <Connect problem={problem} onConnected={onConnected} />
    </section>
  );
}

interface ConnectedProperties {
  authUserId: string;
  situation: ReturnType<typeof useResource<Awaited<ReturnType<typeof fetchSituation>>>> & {
    data: Awaited<ReturnType<typeof fetchSituation>>;
  };
  connected: boolean;
  problem?: Problem;
  path: string[];
  query: URLSearchParams;
}

function Connected(
  { authUserId, situation, connected, problem: earlier, path, query }: ConnectedProperties,
) {
  const { data, reload } = situation;
  const tab = TABS.find((one) => one === query.get("tab")) ?? "upcoming";
  const search = query.get("search") ?? "";
  const host = Number(query.get("host")) || undefined;
  const makeFilter = (): Filter => ({ tab, search, host, now: currentTime() });
  const meetings = useMeetings(JSON.stringify([tab, search, host, ahead.value]), makeFilter);
  const counts = useResource(() => countTabs(host, currentTime()), [host, ahead.value]);
  const [connectionOpen, setConnectionOpen] = useState(false);
  const [version, setVersion] = useState(0);
  const { arrivals, lastDelay, take } = useArrivals();
  const functions = useResource(functionsAnswer, [], { every: FUNCTIONS });
  const unread = situation.problem !== undefined || !online.value ||
    !situation.loading && now.value - situation.at! > 3 * SITUATION;

  const soon = useSoon();
  const questions = useRef(new Questions());
  const live = useLive(authUserId, async ({ meeting_ids, run_ids }) => {
    if (run_ids.length > 0) soon("situation", 150, reload);
    if (meeting_ids === null) {
      soon("list", 300, meetings.reload);
    } else if (meeting_ids.length > 0) {
      const question = questions.current.ask();
      const answer = await fetchMeetings(meeting_ids).catch(() => undefined);
      if (!answer) return soon("list", 1000, meetings.reload);
      const ids = questions.current.takeAnswer(question, meeting_ids);
      const fresh = answer.filter(({ id }) => ids.includes(id));
      const before = new Set(meetings.list.meetings.map(({ id }) => id));
      meetings.apply(ids, fresh);
      take(fresh, before);
    } else return;
    setVersion((before) => before + 1);
    soon("counts", 300, counts.reload);
    soon("situation", 1000, reload);
  });

  const { run, syncing, problem, sync, forget } = useSync(data.runs[0], {
    look: reload,
    end: async () => {
      await Promise.all([reload(), counts.reload(), live !== "live" && meetings.reload()]);
    },
  });
  const shownId = path[1] === undefined ? undefined : Number(path[1]);

  return (
    <div class="stack">
      {connected && (
        <SyncStatus
          situation={data}
          unreadSince={unread ? situation.at : undefined}
          functionsAnswer={functions.data}
          live={live}
          lastDelay={lastDelay}
          run={run}
          syncing={syncing}
          problem={problem ?? earlier}
          onSync={sync}
          onConnection={() => setConnectionOpen(true)}
          onWebhooks={async () => {
            try {
              await callAsPerson("calendly-connect/webhooks", { body: {} });
              toast("Webhooks are on");
            } catch (error) {
              const { title, hint = "" } = adviceFor(await toProblem(error));
              toast(`${title}. ${hint}`, "bad");
            }
            await reload();
          }}
        />
      )}
      <MeetingList
        tab={tab}
        search={search}
        host={host}
        users={data.users}
        counts={counts.data}
        meetings={meetings}
        arrivals={arrivals}
        reading={run !== undefined && !data.self!.calendly_initial_sync_complete}
      />
      {shownId !== undefined && (
        <MeetingDetails
          id={shownId}
          users={data.users}
          version={version}
          onClose={closeDetails}
        />
      )}
      {connectionOpen && (
        <ConnectionDrawer
          situation={data}
          onChanged={() => {
            forget();
            reload();
            counts.reload();
            meetings.reload();
          }}
          onClose={() => setConnectionOpen(false)}
        />
      )}
    </div>
  );
}

/** Does things a little later, and each of a name once: many changes come together. */
function useSoon(): (name: string, wait: number, work: () => void) => void {
  const timers = useRef(new Map<string, ReturnType<typeof setTimeout>>());
  useEffect(() => () => timers.current.forEach((timer) => clearTimeout(timer)), []);
  return useCallback((name, wait, work) => {
    if (timers.current.has(name)) return;
    timers.current.set(
      name,
      setTimeout(() => {
        timers.current.delete(name);
        work();
      }, wait),
    );
  }, []);
}

/** More at once than these are told as a number. */
const TOLD = 3;

/** Marks what has just happened at Calendly, and says it. */
function useArrivals() {
  const [arrivals, setArrivals] = useState<Map<number, Arrival>>(() => new Map());
  const [lastDelay, setLastDelay] = useState<number>();
  const known = useRef(new Set<number>());
  const take = useCallback((fresh: Meeting[], listed: Set<number>) => {
    const at = currentTime();
    listed.forEach((id) => known.current.add(id));
    const arrived = fresh
      .map((meeting) => ({
        meeting,
        arrival: arrivalOf(meeting, known.current.has(meeting.id), at),
      }))
      .filter((one): one is { meeting: Meeting; arrival: Arrival } => one.arrival !== undefined);
    fresh.forEach(({ id }) => known.current.add(id));
    if (arrived.length === 0) return;
    const delay = arrived.at(-1)!.arrival.delay;
    if (delay !== undefined) setLastDelay(delay);
    setArrivals((before) => {
      const kept = [...before].filter(([, { at: since }]) => at - since < MARKED);
      return new Map([
        ...kept,
        ...arrived.map(({ meeting, arrival }) => [meeting.id, arrival] as const),
      ]);
    });
    if (arrived.length > TOLD) announce(`${arrived.length} meetings have changed`);
    else arrived.forEach(({ meeting, arrival }) => say(meeting, arrival));
  }, []);
  return { arrivals, lastDelay, take };
}

const SAID: Record<Arrival["kind"], string> = {
  booked: "New",
  canceled: "Canceled",
  changed: "Changed",
};

function say(meeting: Meeting, { kind }: Arrival): void {
  const who = meeting.calendly_invitees[0];
  const when = meeting.start_time === null
    ? ""
    : `, ${dayOf(meeting.start_time, viewerZone, currentTime())} ${
      hoursOf(meeting.start_time, null, viewerZone)
    }`;
  const text = `${SAID[kind]}: ${meeting.name ?? "a meeting"}${
    who ? ` with ${who.name ?? who.email}` : ""
  }${when}`;
  if (kind === "canceled") toast(text, "warn");
  else if (kind === "booked") toast(text);
  else announce(text);
}

/** The "Sync Calendly" button: its click, the run that works, and what became of it. */
function useSync(
  latest: Run | undefined,
  { look, end }: {
    /** Reads the situation, in which the run is. */
    look: () => Promise<void>;
    /** Reads all that a run may have changed. */
    end: () => Promise<void>;
  },
) {
  const [syncing, setSyncing] = useState(false);
  const [problem, setProblem] = useState<Problem>();
  const [run, setRun] = useState<Run>();
  const after = useRef(end);
  after.current = end;

  // What failed is mended when another run has completed.
  const before = useRef<string>(undefined);
  useEffect(() => {
    if (latest?.status === "complete" && latest.id !== before.current) setProblem(undefined);
  }, [latest?.id, latest?.status]);

  // Follows the run that works, whoever has started it, by its row.
  const followed = run?.status === "running" ? run.id : undefined;
  useEffect(() => {
    if (latest?.status === "running") setRun(latest);
    else if (run && latest?.id === run.id) setRun(undefined);
  }, [latest?.id, latest?.status, latest?.heartbeat_at]);
  useEffect(() => {
    if (followed === undefined) return;
    let stopped = false;
    const timer = setInterval(async () => {
      const row = await fetchRun(followed).catch(() => undefined);
      if (stopped || !row) return;
      setRun(row);
      if (row.status !== "running") {
        await after.current();
        setRun(undefined);
      }
    }, RUN);
    return () => {
      stopped = true;
      clearInterval(timer);
    };
  }, [followed]);

  const sync = async (full: boolean) => {
    setSyncing(true);
    setProblem(undefined);
    before.current = latest?.id;
    // The row of the run that this click starts is there before its answer.
    const looking = setInterval(look, RUN);
    try {
      const result = await callAsPerson<Run & { status: string }>("calendly-sync", {
        body: full ? { full: true } : {},
      });
      announce(
        result.status === "paused"
          ? "The sync is paused and goes on by itself"
          : `The sync is complete: ${countWords(result)}`,
      );
    } catch (error) {
      const caught = await toProblem(error);
      if (caught.code === "sync_in_progress") {
        const id = caught.details.run_id;
        const row = typeof id === "string" ? await fetchRun(id).catch(() => undefined) : undefined;
        if (row) setRun(row);
        announce("A sync of yours runs already. Its progress is shown.");
      } else setProblem(caught);
    } finally {
      clearInterval(looking);
      await after.current();
      setSyncing(false);
    }
  };
  return { run, syncing, problem, sync, forget: () => setProblem(undefined) };
}
