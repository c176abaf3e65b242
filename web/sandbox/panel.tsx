/** The sandbox Calendly beside the page: make something happen there, and watch what happens here. */
import { useRef, useState } from "preact/hooks";
import type { Overview } from "../../sandbox/overview.ts";
import type { BookingResult } from "../../sandbox/control.ts";
import { loadConfig, theConfig } from "../data/config.ts";
import { sandboxVerb } from "../data/operator.ts";
import { account } from "../data/person.ts";
import { type Problem, toProblem } from "../data/problem.ts";
import { useResource } from "../data/resource.ts";
import { Button } from "../ui/button.tsx";
import { SidePanel } from "../ui/dialog.tsx";
import { Icon } from "../ui/icon.tsx";
import { Empty, Failure, Skeleton } from "../ui/states.tsx";
import { formatLocal } from "../ui/time.tsx";
import { announce } from "../ui/toast.tsx";
import { Bookings } from "./bookings.tsx";
import { Faults } from "./faults.tsx";
import { WhatHappens } from "./happens.tsx";
import { AllVerbs } from "./verb_form.tsx";
import { aheadWords, exampleInvitee } from "./words.ts";

export function SandboxPanel({ onClose }: { onClose: () => void }) {
  return (
    <SidePanel title="Sandbox Calendly" onClose={onClose}>
      {theConfig().operations ? <Sandbox /> : <NoSession />}
    </SidePanel>
  );
}

function NoSession() {
  return (
    <Empty
      title="Open the sandbox by a link"
      hint={
        <>
          It is for whoever runs the project. <code>npx -y deno@2.9.6 task console</code>{" "}
          prints a link that opens it in this browser, once.
        </>
      }
    />
  );
}

/** In milliseconds: how often the panel looks. It is one read of this machine's memory. */
const LOOK = 1000;

/** Runs a verb after those before it, says what `done` makes of its answer, and looks at once; a refusal is shown in the panel. */
export type Act = (verb: string, args: unknown, done: (answer: unknown) => string) => Promise<void>;

function Sandbox() {
  const [chosen, setChosen] = useState<string>();
  const who = account.value;
  const { data, problem, reload } = useResource(
    () => overviewOf(chosen, who.state === "signed_in" ? who.email : undefined),
    [chosen, who.state],
    { every: LOOK },
  );
  const [refused, setRefused] = useState<Problem>();
  const [working, setWorking] = useState<string>();
  const [said, setSaid] = useState<string>();

  const last = useRef(Promise.resolve());
  // The whole page goes by the project's clock, which a verb may have moved.
  const lookAgain = async () => void await Promise.all([reload(), loadConfig()]);

  const act: Act = (verb, args, done) =>
    last.current = last.current.then(() => run(verb, args, done));

  const run: Act = async (verb, args, done) => {
    setWorking(verb);
    try {
      const result = done(await sandboxVerb(verb, args));
      setSaid(result);
      announce(result);
      setRefused(undefined);
      await lookAgain();
    } catch (error) {
      setRefused(await toProblem(error));
    }
    setWorking(undefined);
  };

  if (problem && !data) {
    return <Failure title="The sandbox does not answer" problem={problem} retry={reload} />;
  }
  if (!data) return <Skeleton lines={12} height={36} />;
  return (
    <div class="sandbox">
      <div class="sandbox-controls">
        {data.users.length > 1 && (
          <div class="field">
            <label for="sandbox-host">Host</label>
            <select
              id="sandbox-host"
              value={data.user}
              onChange={(event) => setChosen(event.currentTarget.value)}
            >
              {data.users.map(({ uri, name, email }) => (
                <option key={uri} value={uri}>{name} ({email})</option>
              ))}
            </select>
          </div>
        )}
        {refused && <Failure problem={refused} />}
        <BookExample overview={data} act={act} working={working} />
        <Bookings overview={data} act={act} />
        <TimePasses overview={data} act={act} />
        <Faults overview={data} act={act} />
        <details>
          <summary>
            <Icon name="right" /> Everything else, with all details
          </summary>
          <AllVerbs onDone={lookAgain} />
        </details>
      </div>
      <WhatHappens overview={data} act={act} said={said} />
    </div>
  );
}

/** Of the chosen host; at first of the one with the signed-in person's address, else of the demo user. */
async function overviewOf(
  chosen: string | undefined,
  email: string | undefined,
): Promise<Overview> {
  const overview = await sandboxVerb<Overview>("overview", { user: chosen });
  const own = chosen === undefined && overview.users.find((user) => user.email === email)?.uri;
  if (!own || own === overview.user) return overview;
  return await sandboxVerb<Overview>("overview", { user: own });
}

function BookExample(
  { overview, act, working }: { overview: Overview; act: Act; working?: string },
) {
  const booked = useRef(0);
  const book = () =>
    act(
      "book",
      { user: overview.user, invitee: exampleInvitee(booked.current++) },
      (answer) => {
        const { event, invitee } = answer as BookingResult;
        return `${invitee.name} has booked ${event.name ?? "a meeting"}`;
      },
    );
  return (
    <section class="stack" aria-label="Book">
      <Button kind="primary" busy={working === "book"} onClick={book}>
        Book an example
      </Button>
      <p class="muted">
        {overview.subscriptions > 0
          ? "A webhook tells the project of it at once."
          : "No webhook tells the project of it: switch webhooks on, or sync."}
      </p>
    </section>
  );
}

const STEPS = [["1h", "1 hour"], ["1d", "1 day"], ["7d", "1 week"]];

function TimePasses({ overview, act }: { overview: Overview; act: Act }) {
  return (
    <section aria-labelledby="sandbox-time">
      <h3 id="sandbox-time">Let time pass</h3>
      <p class="muted">
        It is {formatLocal(new Date(overview.now))}, {aheadWords(overview.now, Date.now())}
      </p>
      <div class="actions">
        {STEPS.map(([by, words]) => (
          <Button
            key={by}
            icon="clock"
            aria-label={`Let ${words} pass`}
            onClick={() => act("advance", { by }, () => `${words} passed`)}
          >
            {words}
          </Button>
        ))}
      </div>
    </section>
  );
}
