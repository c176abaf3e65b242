/**
 * `deno task test`: runs the test files in parallel, a process each, and ends with one plain line,
 * `tests: N passed, N failed`.
 *
 *     deno task test                      # all that is not long
 *     deno task test tests/functions/     # the files with this in their path; a pgTAP file, too
 *     deno task test "a former host"      # the tests with this in their name
 *     deno task test --changed            # the files that depend on what changed since the last commit
 *
 * REQUIRE_ALL=1 adds the long tests, and runs again on the platform's versions: the functions' suites with
 * the functions on its Deno, and every test that uses a real Postgres on its Postgres; a test that is
 * skipped for what the machine lacks is a failed one then. `--verbose` prints each test; `--record-times`
 * writes tests/times.json.
 */
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { answerHelp } from "../local/usage.ts";
import { findDeno, PLATFORM_DENO } from "./harness/npm_programs.ts";
import { PLATFORM_POSTGRES, startNpmPostgres } from "./harness/npm_postgres.ts";
import { type Budget, estimate, type Job, runWithin } from "./harness/pool.ts";
import { type Outcome, runTestsQuietly } from "./harness/record.ts";
import { isObtainable, REQUIREMENTS } from "./harness/requirements.ts";
import {
  changedFiles,
  dependentTests,
  selectByWords,
  type Selection,
  testFiles,
} from "./harness/selection.ts";
import { type Cost, MemoryMeter, readCosts, recordCosts } from "./harness/times.ts";

const SLOWEST = 10;

answerHelp(`Usage: npx -y deno@2.9.6 task test [words] [options]

Runs the tests in parallel, some twelve minutes on two cores for all that are not long; ends with
one line, "tests: N passed, N failed". Words choose files by their path, or tests by their name.

  --changed        the files that depend on what changed since the last commit
  --verbose        print each test
  --record-times   write tests/times.json
  -h, --help       show this

TEST_DATABASE_URL names a Postgres (a superuser's URL) for the tests that need a real one; with
REQUIRE_ALL=1 the long tests run too, and a test that is skipped has failed.`);

/** The tests that run again on the platform's Postgres: those of these folders that need no more of it. */
const ON_REAL_POSTGRES = `[${REQUIREMENTS.realPostgres.label}]`;
const USE_POSTGRES =
  /^tests\/(behaviours|connections|database|guest|local|schedule|security|webhooks)\//;

interface TestFile extends Job {
  title: string;
  args: string[];
  env?: Record<string, string>;
  /** Only tests whose names contain it. */
  filter?: string;
}

interface Result {
  title: string;
  outcome: Outcome;
  cost: Cost;
}

const { values: options, positionals: words } = parseArgs({
  args: Deno.args,
  allowPositionals: true,
  options: {
    changed: { type: "boolean", default: false },
    verbose: { type: "boolean", default: false },
    "record-times": { type: "boolean", default: false },
  },
});
const requireAll = REQUIREMENTS.longRun.met;

const began = Date.now();
const selection = await select();
let platformPostgres: Awaited<ReturnType<typeof startNpmPostgres>> | undefined;
const jobs = await jobsFor(selection).catch(notStarted);
// One more than cores: most files wait for something now and then.
const budget: Budget = {
  slots: availableParallelism() + 1,
  memory: Deno.systemMemoryInfo().available / 2 ** 20,
};
announce();
const results = await runAll();
if (options["record-times"]) {
  const measured = results.map(({ title, cost }) => [title, cost] as const);
  await recordCosts(new Map(measured), testFiles());
}
await endPlatform();
Deno.exit(report(results) ? 0 : 1);

async function endPlatform(): Promise<void> {
  await platformPostgres?.[Symbol.asyncDispose]();
}

/** Such as a version of Deno or Postgres that npm does not give. */
async function notStarted(error: unknown): Promise<never> {
  await endPlatform();
  console.error(error);
  console.log("tests: 0 passed, 1 failed");
  Deno.exit(1);
}

async function select(): Promise<Selection> {
  if (options.changed) return { files: await dependentTests(changedFiles()) };
  if (words.length > 0) return selectByWords(words);
  return { files: testFiles() };
}

async function jobsFor({ files, phrase, parts = [] }: Selection): Promise<TestFile[]> {
  const costs = await readCosts();
  const jobs: TestFile[] = files.map((file) => ({
    title: file,
    args: [file, ...parts.length > 0 && file.endsWith("pgtap.test.ts") ? ["--", ...parts] : []],
    filter: phrase,
    ...costs(file),
  }));
  return requireAll ? [...jobs, ...await jobsOnPlatform(jobs)] : jobs;
}

/** The same on the platform's versions of Deno and Postgres. */
async function jobsOnPlatform(jobs: TestFile[]): Promise<TestFile[]> {
  const functions = jobs.filter(({ title }) => title.startsWith("tests/functions/"));
  // With a phrase the filter by name is taken: the tests on the other Postgres have to do.
  const others = REQUIREMENTS.realPostgres.met && !selection.phrase
    ? jobs.filter(({ title }) => USE_POSTGRES.test(title))
    : [];
  if (functions.length + others.length > 0 && REQUIREMENTS.realPostgres.met) {
    platformPostgres = await startNpmPostgres(PLATFORM_POSTGRES);
  }
  const postgres = platformPostgres && { TEST_DATABASE_URL: platformPostgres.url };
  const version = postgres ? ` and Postgres ${PLATFORM_POSTGRES}` : "";
  const deno = functions.length > 0 ? await findDeno(PLATFORM_DENO) : "";
  return [
    ...functions.map((job) => ({
      ...job,
      title: `${job.title} on Deno ${PLATFORM_DENO}${version}`,
      env: { ...postgres, FUNCTIONS_DENO: deno, TEST_ONCE: "1" },
    })),
    ...others.map((job) => ({
      ...job,
      title: `${job.title} on Postgres ${PLATFORM_POSTGRES}`,
      env: { ...postgres, TEST_ONCE: "1" },
      filter: ON_REAL_POSTGRES,
    })),
  ];
}

function announce(): void {
  const { phrase } = selection;
  const databases = REQUIREMENTS.realPostgres.met
    ? "on the embedded Postgres and on that of TEST_DATABASE_URL"
    : "on the embedded Postgres";
  const long = requireAll ? "with" : "without";
  console.log(
    `${count(jobs.length, "test file")}${
      phrase ? `, the tests named “${phrase}”` : ""
    }, ${databases}, ` +
      `${long} the long tests; ${budget.slots} at once.`,
  );
  if (jobs.length > 0 && !phrase) {
    console.log(`This takes about ${duration(estimate(budget, jobs))} on a quiet machine.`);
  }
  console.log("");
}

async function runAll(): Promise<Result[]> {
  const results: Result[] = [];
  using meter = options["record-times"] ? new MemoryMeter() : undefined;
  const running = new Set<Deno.ChildProcess>();
  for (const [signal, code] of [["SIGINT", 130], ["SIGTERM", 143]] as const) {
    Deno.addSignalListener(signal, () => {
      for (const process of running) process.kill("SIGTERM");
      void endPlatform().finally(() => Deno.exit(code));
    });
  }
  await runWithin(budget, jobs, async ({ title, args, env = {}, filter }) => {
    const started = performance.now();
    let pid = 0;
    const filtered = filter === undefined ? args : [`--filter=${filter}`, ...args];
    const { outcome, output } = await runTestsQuietly(title, filtered, env, (process) => {
      pid = process.pid;
      meter?.watch(pid);
      running.add(process);
      process.status.finally(() => running.delete(process));
    });
    // A test that a filter leaves out is recorded as skipped.
    if (filter) outcome.skipped = outcome.skipped.filter((name) => name.includes(filter));
    const seconds = (performance.now() - started) / 1000;
    results.push({
      title,
      outcome,
      cost: { seconds: round(seconds), memory: meter?.peak(pid) ?? 0 },
    });
    const progress = `${String(results.length).padStart(3)}/${jobs.length}`;
    if (filter && outcome.passed + outcome.failed.length + outcome.skipped.length === 0) return;
    printOutcome(results.at(-1)!, output, progress);
  });
  return results;
}

/** Prints one line for a file that has ended, and what it printed if that matters. */
function printOutcome({ title, outcome, cost }: Result, output: string, progress: string): void {
  const { passed, failed, skipped } = outcome;
  const counts = [
    `${passed} passed`,
    failed.length > 0 && `${failed.length} failed`,
    skipped.length > 0 && `${skipped.length} skipped`,
  ].filter(Boolean).join(", ");
  const mark = failed.length > 0 ? "✗" : passed > 0 ? "✓" : "-";
  console.log(`${progress} ${mark} ${cost.seconds.toFixed(1).padStart(6)} s  ${title}: ${counts}`);
  if (options.verbose) console.log(output);
  else if (failed.length > 0) console.log(failureOutput(output));
}

/** What deno test printed about failures; all of it where it got no further than an error. */
function failureOutput(output: string): string {
  const at = output.search(/^ ERRORS $/m);
  return at < 0 ? output : output.slice(at);
}

/** Prints the end of it all; true if it is a good one. */
function report(results: Result[]): boolean {
  const outcomes = results.map(({ outcome }) => outcome);
  const skipped = outcomes.flatMap((outcome) => outcome.skipped);
  const failed = outcomes.flatMap((outcome) => outcome.failed);
  const passed = outcomes.reduce((sum, outcome) => sum + outcome.passed, 0);
  console.log("");
  printSlowest(results);
  const missing = requireAll ? skipped.filter(isObtainable).length : 0;
  printSkipped(skipped, new Set(outcomes.flatMap(({ embeddedOnly }) => embeddedOnly)));
  if (missing > 0) console.log(`REQUIRE_ALL=1 counts ${missing} of them as failed.\n`);
  if (failed.length > 0) {
    console.log("Failed:");
    for (const title of failed) console.log(`  ${title}`);
    console.log("");
  }
  if (jobs.length === 0) {
    console.log(
      options.changed
        ? "No test depends on what changed since the last commit.\n"
        : `No test file's path or text contains “${words.join(" ")}”.\n`,
    );
  } else if (passed + failed.length === 0) console.log("No test ran.\n");
  const failures = failed.length + missing;
  console.log(`tests: ${passed} passed, ${failures} failed`);
  return failures === 0 && (passed > 0 || options.changed);
}

function printSlowest(results: Result[]): void {
  if (results.length < 2) return;
  const slowest = results.toSorted((a, b) => b.cost.seconds - a.cost.seconds).slice(0, SLOWEST);
  const sum = results.reduce((sum, { cost }) => sum + cost.seconds, 0);
  console.log(
    `${count(results.length, "file")} took ${duration(sum)}, side by side ` +
      `${duration((Date.now() - began) / 1000)}. The slowest:`,
  );
  for (const { title, cost } of slowest) {
    console.log(`  ${cost.seconds.toFixed(1).padStart(6)} s  ${title}`);
  }
  console.log("");
}

/** Lists what was skipped by what it needs. What ran on the embedded Postgres is only counted. */
function printSkipped(skipped: string[], embeddedOnly: Set<string>): void {
  for (const requirement of Object.values(REQUIREMENTS)) {
    const { label, how } = requirement;
    const needing = skipped.filter((title) => title.includes(`[${label}]`));
    if (needing.length === 0 || requirement.met) continue;
    const listed = needing.filter((title) => !embeddedOnly.has(title));
    console.log(`Skipped for want of [${label}]: ${how}`);
    for (const title of listed) console.log(`  ${title}`);
    const others = needing.length - listed.length;
    if (others > 0) console.log(`  ${count(others, "test")} that ran on the embedded Postgres`);
    console.log("");
  }
  const labels = Object.values(REQUIREMENTS).map(({ label }) => `[${label}]`);
  const others = skipped.filter((title) => !labels.some((label) => title.includes(label)));
  if (others.length === 0) return;
  console.log("Skipped, for a reason of its own:");
  for (const title of others) console.log(`  ${title}`);
  console.log("");
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}

function duration(seconds: number): string {
  const whole = Math.round(seconds);
  return whole < 60 ? `${whole} s` : `${Math.floor(whole / 60)} min ${whole % 60} s`;
}

function round(seconds: number): number {
  return Math.round(seconds * 10) / 10;
}
