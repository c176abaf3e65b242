/** My meetings: what a signed-in person sees, with that person's rights only. */
import { useEffect, useRef, useState } from "preact/hooks";
import { account, auth, callAsPerson, functionsAnswer, signOut } from "../data/person.ts";
import { online } from "../data/online.ts";
import { type Problem, toProblem } from "../data/problem.ts";
import { useResource } from "../data/resource.ts";
import { route } from "../routes.ts";
import { Button } from "../ui/button.tsx";
import { ahead } from "../ui/clock.ts";
import { Icon } from "../ui/icon.tsx";
import { currentTime, now } from "../ui/time.tsx";
import { toast } from "../ui/toast.tsx";
import { Advice } from "./advice.tsx";
import { Connect } from "./connect.tsx";
import { ConnectionDrawer } from "./connection.tsx";
import { consent, finishConsent } from "./consent.ts";
import { countTabs, fetchMeetings, fetchSituation, type Filter, TABS } from "./data.ts";
import { closeDetails, MeetingDetails } from "./details.tsx";
import { Questions } from "./list.ts";
import { MeetingList, TableSkeleton } from "./list_view.tsx";
import { SignIn } from "./sign_in.tsx";
import { SyncStatus, SyncStatusSkeleton } from "./status.tsx";
import { useArrivals } from "./use_arrivals.ts";
import { useLive } from "./use_live.ts";
import { useMeetings } from "./use_meetings.ts";
import { useSoon } from "./use_soon.ts";
import { useSync } from "./use_sync.ts";
import { adviceFor } from "./words.ts";

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

  const live = useChanges(authUserId, {
    meetings,
    take,
    counts: counts.reload,
    situation: reload,
    changed: () => setVersion((before) => before + 1),
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
          onWebhooks={() => turnWebhooksOn().then(reload)}
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

async function turnWebhooksOn(): Promise<void> {
  try {
    await callAsPerson("calendly-connect/webhooks", { body: {} });
    toast("Webhooks are on");
  } catch (error) {
    const { title, hint = "" } = adviceFor(await toProblem(error));
    toast(`${title}. ${hint}`, "bad");
  }
}

/** Reads what changes in the database as it changes: the rows that a broadcast names, or the list anew. */
function useChanges(
  authUserId: string,
  { meetings, take, counts, situation, changed }: {
    meetings: ReturnType<typeof useMeetings>;
    take: ReturnType<typeof useArrivals>["take"];
    counts: () => void;
    situation: () => void;
    changed: () => void;
  },
) {
  const soon = useSoon();
  const questions = useRef(new Questions());
  return useLive(authUserId, async ({ meeting_ids, run_ids }) => {
    if (run_ids.length > 0) soon("situation", 150, situation);
    if (meeting_ids === null) {
      soon("list", 300, meetings.reload);
    } else if (meeting_ids.length > 0) {
      const question = questions.current.ask();
      const answer = await fetchMeetings(meeting_ids).catch(() => undefined);
      if (!answer) return soon("list", 1000, meetings.reload);
      const ids = questions.current.takeAnswer(question, meeting_ids);
      const fresh = answer.filter(({ id }) => ids.includes(id));
      const before = meetings.list.meetings;
      meetings.apply(ids, fresh);
      take(fresh, before);
    } else return;
    changed();
    soon("counts", 300, counts);
    soon("situation", 1000, situation);
  });
}
