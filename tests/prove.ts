/**
 * `deno task prove`: everything long at full size, on the Postgres of TEST_DATABASE_URL: the simulation
 * (`--seeds`, ten thousand; the first tenth of them on the newest Postgres as well), the tests that PROOF=full
 * makes long, every mutation. Writes the results into docs/reliability.md. Takes more than an hour. One that
 * was interrupted goes on where it was, as long as nothing has changed since: what holds is kept in
 * .local/proof/<commit>.
 */
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { startNpmPostgres } from "./harness/npm_postgres.ts";
import { type Outcome, runTests } from "./harness/record.ts";
import { REQUIREMENTS } from "./harness/requirements.ts";
import { answerHelp } from "../local/usage.ts";
import { mutate } from "./mutations/mutate.ts";
import { MUTATIONS } from "./mutations/mutations.ts";
import { childReport, describe, range, type Report, simulateAll } from "./simulation/simulate.ts";

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
${RELIABILITY}. It takes more than an hour, and goes on where it was stopped. It needs
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

const began = new Date();
const commit = git("rev-parse", "--short", "HEAD") +
  (git("status", "--porcelain") ? ", changed" : "");
const parts = new URL(`.local/proof/${commit}/`, ROOT);
const others = oneByOne();
const simulation = await simulateOn("", seeds, {}, others);
const { tests, mutations } = await others;
const onNewest = await proveOnNewest(Math.ceil(seeds / 10));
console.log(describe(simulation));
console.log(`Postgres ${NEWEST_POSTGRES}: ${describe(onNewest)}`);
await Deno.mkdir(new URL("docs", ROOT), { recursive: true });
await Deno.writeTextFile(new URL(RELIABILITY, ROOT), document());
await new Deno.Command(Deno.execPath(), { args: ["fmt", "--quiet", RELIABILITY], cwd: ROOT })
  .output();
const isProven = simulation.failures.length + onNewest.failures.length === 0 &&
  mutations.survivors.length === 0 &&
  tests.every(({ outcome }) => holds(outcome));
console.log(isProven ? `All of it holds: ${RELIABILITY}` : "Not all of it holds.");
Deno.exit(isProven ? 0 : 1);

/** The seeds from 1 on, on the server that `env` names; `server` distinguishes it in the names of the parts. */
function simulateOn(
  server: string,
  seeds: number,
  env: Record<string, string>,
  free?: Promise<unknown>,
): Promise<Report> {
  return simulateAll(
    range(1, seeds),
    availableParallelism(),
    free,
    (portion) =>
      part(
        `${server}seeds-${portion[0]}-${portion.at(-1)}`,
        () => childReport(portion, env),
        ({ failures }) => failures.length === 0,
      ),
  );
}

async function proveOnNewest(seeds: number): Promise<Report> {
  await using server = await startNpmPostgres(NEWEST_POSTGRES);
  return await simulateOn(`postgres-${NEWEST_POSTGRES}-`, seeds, { TEST_DATABASE_URL: server.url });
}

async function oneByOne() {
  const tests = [];
  for (const { files, shows } of LONG) {
    console.log(shows);
    const env = { PROOF: "full", REQUIRE_ALL: "1", TEST_ONCE: "1" };
    const name = files.map((file) => file.replaceAll("/", "-")).join();
    tests.push({ shows, outcome: await part(name, () => runTests(shows, files, env), holds) });
  }
  console.log(`${MUTATIONS.length} mutations`);
  const mutations = await part(
    "mutations",
    () => mutate(MUTATIONS),
    ({ survivors }) => survivors.length === 0,
  );
  return { tests, mutations };
}

/** A part of the proof: as it was kept, or made now and kept if it holds and no file is changed. */
async function part<T>(
  name: string,
  make: () => Promise<T>,
  isProven: (made: T) => boolean,
): Promise<T> {
  const file = new URL(`${name}.json`, parts);
  try {
    return JSON.parse(await Deno.readTextFile(file));
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  const made = await make();
  if (isProven(made) && !commit.includes(",")) {
    await Deno.mkdir(parts, { recursive: true });
    await Deno.writeTextFile(file, JSON.stringify(made));
  }
  return made;
}

function holds({ passed, failed, skipped }: Outcome): boolean {
  return passed > 0 && failed.length + skipped.length === 0;
}

function document(): string {
  const rows = (of: Record<string, number>) =>
    Object.entries(of).sort(([, a], [, b]) => b - a)
      .map(([name, count]) => `| ${name} | ${count.toLocaleString("en")} |`).join("\n");
  const count = (number: number) => number.toLocaleString("en");
  return `# Reliability

For whoever wants to know whether it holds. At the end you know what was tried, and what it came to.
What Calendly has is what Postgres has, whatever goes wrong in between. This page is what
\`deno task prove\` measured last; nothing in it is written by hand.

| | |
| --- | --- |
| Date | ${began.toISOString().slice(0, 10)} |
| Commit | ${commit} |
| Seeds | ${count(simulation.seeds)} |
| Of them also on Postgres ${NEWEST_POSTGRES.split("-")[0]} | ${count(onNewest.seeds)} |
| Operations | ${count(simulation.operations)} |
| Requests of the functions | ${count(simulation.requests)} |
| Seeds that diverge | ${
    [simulation, onNewest].flatMap(({ failures }) => failures.map(({ seed }) => seed)).join(", ") ||
    "none"
  } |
| Mutations caught | ${mutations.caught} of ${mutations.mutations} |

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
- *a no-show after its last check*: it was marked or undone more than a week after the meeting, and the
  webhook that told of it was lost. Calendly moves no time then.
- *a seat erased without a trace*: Calendly erased an invitee before any sync had seen the event as the last
  webhook told it. No time moves, and the webhook's greater count stays until the event changes. The same
  where the seat was taken again and no webhook told of it.

\`deno task simulate S\` runs a seed again. One that diverges is shrunk to the operations that it takes, and
what differs is shown field by field.

## At full size

${
    tests.map(({ shows, outcome }) =>
      `- ${holds(outcome) ? "holds" : "**does not hold**"}: ${shows}.`
    ).join("\n")
  }

## Do the tests notice a broken rule?

\`deno task mutate\` breaks one rule at a time and runs the tests that must fail then.

${MUTATIONS.map(({ breaks }) => `- ${breaks}`).join("\n")}
${mutations.survivors.length > 0 ? `\nNot caught: ${mutations.survivors.join("; ")}.\n` : ""}`;
}

function git(...args: string[]): string {
  const { stdout } = new Deno.Command("git", { args, cwd: ROOT }).outputSync();
  return new TextDecoder().decode(stdout).trim();
}
