/**
 * `deno task prove`: everything long at full size, on the Postgres of TEST_DATABASE_URL: the simulation
 * (`--seeds`, ten thousand; the first tenth of them on the newest Postgres as well), the tests that PROOF=full
 * makes long, every mutation. It takes hours. docs/reliability.md says after each part what has been shown by
 * then, so it may be stopped at any time. Run again it goes on where it was, as long as nothing but documents
 * has changed since: what holds is kept in .local/proof.
 */
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { startNpmPostgres } from "./harness/npm_postgres.ts";
import { type Outcome, runTests } from "./harness/record.ts";
import { REQUIREMENTS } from "./harness/requirements.ts";
import { answerHelp } from "../local/usage.ts";
import { mutate } from "./mutations/mutate.ts";
import { MUTATIONS } from "./mutations/mutations.ts";
import {
  add,
  childReport,
  describe,
  emptyReport,
  range,
  type Report,
  simulateAll,
} from "./simulation/simulate.ts";

const ROOT = new URL("../", import.meta.url);
const RELIABILITY = "docs/reliability.md";
const NEWEST_POSTGRES = "18.4.0-beta.17";

/** Tests that PROOF=full makes long, and what they then show. */
const LONG: { files: string[]; shows: string }[] = [
  {
    files: ["tests/webhooks/fuzz.test.ts"],
    shows:
      "100,000 random and mutated requests to the webhook: none that is not authentic is stored, none crashes it, each gets a defined status",
  },
  {
    files: ["tests/webhooks/orders.test.ts"],
    shows:
      "thousands of orders of deliveries, with duplicates, losses and syncs in between: each ends in the rows that a FULL sync gives",
  },
  {
    files: ["tests/webhooks/losses.test.ts"],
    shows: "the function or Postgres dies at any moment of a delivery: the row is there, once",
  },
  {
    files: ["tests/schedule/retention_load.test.ts"],
    shows:
      "1,000,000 expired webhook events go beside 200 deliveries a second: none is lost, none waits",
  },
  {
    files: ["tests/cli/deploy.test.ts", "tests/cli/uninstall.test.ts"],
    shows:
      "deploy and uninstall are killed after each change that they make: run again, the end is the same",
  },
  {
    files: ["tests/schedule/fairness.test.ts"],
    shows:
      "10,000 connections, 1 % failing hard and 5 % slow: every healthy one is synced within its interval",
  },
];

const USAGE = "npx -y deno@2.9.6 task prove [--seeds 10000]";
answerHelp(`Usage: ${USAGE}

Runs everything long at full size, the simulation with that many seeds, and writes
${RELIABILITY}. It takes hours, and goes on where it was stopped. It needs
${REQUIREMENTS.realPostgres.how}`);

const { values } = parseArgs({
  args: Deno.args,
  options: { seeds: { type: "string", default: "10000" } },
});
const seeds = Number(values.seeds);
if (!Number.isSafeInteger(seeds) || seeds < 1 || !REQUIREMENTS.realPostgres.met) {
  console.error(`${USAGE}, with ${REQUIREMENTS.realPostgres.how}`);
  Deno.exit(2);
}

/** Where what holds is kept; undefined where something is changed and not committed. */
const parts = git("status", "--porcelain", "--", ".", ":!docs")
  ? undefined
  : new URL(`.local/proof/${await whatIsProven()}/`, ROOT);
let written = Promise.resolve();
const proof = {
  began: new Date(),
  commit: git("rev-parse", "--short", "HEAD") + (parts ? "" : ", changed"),
  simulation: emptyReport(),
  onNewest: emptyReport(),
  tests: new Map<string, Outcome>(),
  caught: new Set<string>(),
  survivors: new Set<string>(),
};

await simulateOn("", seeds, availableParallelism(), proof.simulation);
console.log(describe(proof.simulation));
await Promise.all([proveOnNewest(Math.ceil(seeds / 10)), proveOneByOne()]);
console.log(`Postgres ${NEWEST_POSTGRES}: ${describe(proof.onNewest)}`);
const isProven = proof.simulation.failures.length + proof.onNewest.failures.length === 0 &&
  [...proof.tests.values()].every(holds) && proof.survivors.size === 0;
console.log(isProven ? `All of it holds: ${RELIABILITY}` : "Not all of it holds.");
Deno.exit(isProven ? 0 : 1);

/** The seeds from 1 on, on the server that `env` names; `server` distinguishes it in the names of the parts. */
async function simulateOn(
  server: string,
  seeds: number,
  processes: number,
  sum: Report,
  env: Record<string, string> = {},
): Promise<void> {
  await simulateAll(range(1, seeds), processes, async (portion) => {
    const report = await part(
      `${server}seeds-${portion[0]}-${portion.at(-1)}`,
      () => childReport(portion, env),
      ({ failures }) => failures.length === 0,
    );
    add(sum, report);
    await writeDocument();
    return report;
  });
}

async function proveOnNewest(seeds: number): Promise<void> {
  await using server = await startNpmPostgres(NEWEST_POSTGRES);
  const env = { TEST_DATABASE_URL: server.url };
  await simulateOn(`postgres-${NEWEST_POSTGRES}-`, seeds, 1, proof.onNewest, env);
}

async function proveOneByOne(): Promise<void> {
  for (const { files, shows } of LONG) {
    console.log(shows);
    const env = { PROOF: "full", REQUIRE_ALL: "1", TEST_ONCE: "1" };
    const name = files.map((file) => file.replaceAll("/", "-")).join();
    proof.tests.set(shows, await part(name, () => runTests(shows, files, env), holds));
    await writeDocument();
  }
  for (const name of await part<string[]>("mutations", () => Promise.resolve([]), () => false)) {
    proof.caught.add(name);
  }
  const left = MUTATIONS.filter(({ breaks }) => !proof.caught.has(breaks));
  console.log(`${left.length} mutations`);
  await mutate(left, async ({ breaks }) => {
    proof.caught.add(breaks);
    await savePart("mutations", [...proof.caught]);
    await writeDocument();
  });
  proof.survivors = new Set(MUTATIONS.map(({ breaks }) => breaks)).difference(proof.caught);
  await writeDocument();
}

/** A part of the proof: as it was kept, or made now and kept if it holds. */
async function part<T>(
  name: string,
  make: () => Promise<T>,
  isProven: (made: T) => boolean,
): Promise<T> {
  try {
    if (parts) return JSON.parse(await Deno.readTextFile(new URL(`${name}.json`, parts)));
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  const made = await make();
  if (isProven(made)) await savePart(name, made);
  return made;
}

async function savePart(name: string, made: unknown): Promise<void> {
  if (!parts) return;
  await Deno.mkdir(parts, { recursive: true });
  await Deno.writeTextFile(new URL(`${name}.json`, parts), JSON.stringify(made));
}

/** The same as long as nothing is committed but documents. */
async function whatIsProven(): Promise<string> {
  const tree = git("ls-tree", "HEAD").split("\n").filter((line) => !/\t(docs|.*\.md)$/.test(line));
  const hash = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(tree.join("\n")));
  return new Uint8Array(hash).toHex().slice(0, 12);
}

/** One after the other: parts end side by side. */
function writeDocument(): Promise<void> {
  return written = written.then(async () => {
    await Deno.writeTextFile(new URL(RELIABILITY, ROOT), document());
    await new Deno.Command(Deno.execPath(), { args: ["fmt", "--quiet", RELIABILITY], cwd: ROOT })
      .output();
  });
}

function holds({ passed, failed, skipped }: Outcome): boolean {
  return passed > 0 && failed.length + skipped.length === 0;
}

function document(): string {
  const rows = (of: Record<string, number>) =>
    Object.entries(of).sort(([, a], [, b]) => b - a)
      .map(([name, count]) => `| ${name} | ${count.toLocaleString("en")} |`).join("\n");
  const count = (number: number) => number.toLocaleString("en");
  const { simulation, onNewest } = proof;
  const said = (outcome?: Outcome) =>
    outcome === undefined ? "not run yet" : holds(outcome) ? "holds" : "**does not hold**";
  return `# Reliability

For whoever wants to know whether it holds. At the end you know what was tried, and what it came to.
What Calendly has is what Postgres has, whatever goes wrong in between. This page is what
\`deno task prove\` has shown of one commit until it was stopped or done; nothing in it is written by hand.

| | |
| --- | --- |
| Date | ${proof.began.toISOString().slice(0, 10)} |
| Commit | ${proof.commit} |
| Seeds | ${count(simulation.seeds)} of ${count(seeds)} |
| Of them also on Postgres ${NEWEST_POSTGRES.split("-")[0]} | ${count(onNewest.seeds)} of ${
    count(Math.ceil(seeds / 10))
  } |
| Operations | ${count(simulation.operations)} |
| Requests of the functions | ${count(simulation.requests)} |
| Seeds that diverge | ${
    [simulation, onNewest].flatMap(({ failures }) => failures.map(({ seed }) => seed)).join(", ") ||
    "none"
  } |
| Mutations caught | ${proof.caught.size} of ${MUTATIONS.length} |

## Simulation

Each seed is a team of its own, connected by each person, by the organization for those with an account, or
by the organization for every host, and by signed-in people or by a server. They book, reschedule, cancel,
mark no-shows, reassign, erase, leave and come back; they sign up, connect later and take over their row;
accounts are deleted, softly deleted and banned, and come back. There are clicks, schedules and webhooks that
are late, lost, repeated and shuffled, and the faults below. The real SQL and the real functions run on a
virtual clock. Then nothing goes wrong any more and nine days pass, after which

- every meeting and every invitee of everybody who is synced equals the sandbox's own truth,
- nobody else has a row, except whoever has been synced once and was not erased,
- each row belongs to the account that has proven it, and none to an account that has ended,
- hosts without an account are counted right, and so are meetings in the health view,
- no run hangs, no subscription at Calendly is left over, nothing waits and no alert is left,
- no request was spent beyond what the rules give, and a last sync finds nothing to do.

| Fault | Struck |
| --- | ---: |
${rows(simulation.faults)}

What the rules say cannot be seen is excepted by name:

| Exception | Met |
| --- | ---: |
${rows(simulation.exceptions)}

- *outside every window*: the event starts more than two years back or a year ahead.
- *booked in another organization*: by somebody who had left the connected one, and is a member again or
  has handed the meeting to one. Calendly lists an event in the organization in which it was booked.
- *a no-show after its last check*: it was marked or undone more than a week after the meeting, and the
  webhook that told of it was lost. Calendly moves no time then.
- *a seat erased without a trace*: Calendly erased an invitee before any sync had seen the event as the last
  webhook told it. No time moves, and the webhook's greater count stays until the event changes. The same
  where the seat was taken again and no webhook told of it.

\`deno task simulate S\` runs a seed again. One that diverges is shrunk to the operations that it takes, and
what differs is shown field by field.

## At full size

${LONG.map(({ shows }) => `- ${said(proof.tests.get(shows))}: ${shows}.`).join("\n")}

## Do the tests notice a broken rule?

\`deno task mutate\` breaks one rule at a time and runs the tests that must fail then.

${MUTATIONS.map(({ breaks }) => `- ${breaks}${ending(breaks)}`).join("\n")}
`;
}

/** What follows the name of a mutation. */
function ending(breaks: string): string {
  if (proof.caught.has(breaks)) return "";
  return proof.survivors.has(breaks) ? ": **not caught**" : " (not tried yet)";
}

function git(...args: string[]): string {
  const { stdout } = new Deno.Command("git", { args, cwd: ROOT }).outputSync();
  return new TextDecoder().decode(stdout).trim();
}
