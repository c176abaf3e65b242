/** Runs `deno test` and reads what it recorded. */

const ROOT = new URL("../../", import.meta.url);

export interface Outcome {
  passed: number;
  failed: string[];
  skipped: string[];
  /** Those of `skipped` that ran on the embedded Postgres and lack only the real one. */
  embeddedOnly: string[];
}

/** Runs what the arguments of `deno test` choose and counts each test and step; `title` names what did not run. */
export async function runTests(
  title: string,
  args: string[],
  env: Record<string, string> = {},
): Promise<Outcome> {
  const record = await Deno.makeTempFile({ suffix: ".xml" });
  try {
    const { success } = await new Deno.Command(Deno.execPath(), {
      args: testArguments(record, args),
      cwd: ROOT,
      env,
      stdin: "null",
    }).spawn().status;
    return outcomeOf(title, await Deno.readTextFile(record), success);
  } finally {
    await Deno.remove(record);
  }
}

/**
 * The embedded Postgres is WebAssembly, and each process compiles it anew. V8's quick compiler saves a
 * quarter of the CPU of most files; in these files Postgres works so long that the optimizing one pays.
 */
const COMPILE_QUICKLY = { DENO_V8_FLAGS: "--liftoff-only" };
const WORK_LONG = [
  "tests/database/pgtap.test.ts",
  "tests/database/query_plans.test.ts",
  "tests/schedule/fairness.test.ts",
  "tests/simulation/simulation.test.ts",
];

export interface QuietRun {
  outcome: Outcome;
  /** What the tests printed, without colours. */
  output: string;
}

/** The longest test file takes three minutes; one that takes longer than this hangs. */
const TIME_LIMIT = 10 * 60_000;

/**
 * The same, printing nothing. `onStart` gets the process. A run that is not over after `timeLimit`
 * milliseconds is ended, and has failed.
 */
export async function runTestsQuietly(
  title: string,
  args: string[],
  env: Record<string, string>,
  onStart: (process: Deno.ChildProcess) => void,
  timeLimit = TIME_LIMIT,
): Promise<QuietRun> {
  const record = await Deno.makeTempFile({ suffix: ".xml" });
  try {
    const process = new Deno.Command(Deno.execPath(), {
      args: testArguments(record, args),
      cwd: ROOT,
      env: {
        ...(args.some((arg) => WORK_LONG.includes(arg)) ? {} : COMPILE_QUICKLY),
        ...env,
        NO_COLOR: "1",
      },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    onStart(process);
    let isOverdue = false;
    const timer = setTimeout(() => {
      isOverdue = true;
      process.kill("SIGKILL");
    }, timeLimit);
    const { success, stdout, stderr } = await process.output();
    clearTimeout(timer);
    const decoder = new TextDecoder();
    const outcome = isOverdue
      ? {
        passed: 0,
        failed: [`${title}: not over after ${timeLimit / 1000} s`],
        skipped: [],
        embeddedOnly: [],
      }
      : outcomeOf(title, await Deno.readTextFile(record), success);
    return { outcome, output: decoder.decode(stdout) + decoder.decode(stderr) };
  } finally {
    await Deno.remove(record);
  }
}

/** Types are what `deno task check` looks at. */
function testArguments(record: string, args: string[]): string[] {
  return ["test", "--allow-all", "--no-check", `--junit-path=${record}`, ...args];
}

function outcomeOf(title: string, record: string, success: boolean): Outcome {
  const outcome = readRecord(record);
  // Such as a suite that does not compile: deno test counts no test then.
  if (!success && outcome.failed.length === 0) outcome.failed.push(`${title}: did not run`);
  return outcome;
}

/** Counts a JUnit record. A test with steps counts by its steps, unless it failed by itself. */
export function readRecord(xml: string): Outcome {
  const cases = [...xml.matchAll(
    /<testcase name="([^"]*)" classname="([^"]*)"[^>]*>\s*(?:<(failure|error|skipped)\b([^>]*)>)?/g,
  )].map(([, name, file, verdict = "passed", detail = ""]) => ({
    title: unescape(`${file} ${name}`),
    verdict,
    byItsSteps: /message="\d+ test steps? failed"/.test(detail),
  }));
  const ran = new Set(
    cases.filter(({ verdict }) => verdict !== "skipped").map(({ title }) => title),
  );
  const parents = new Set(
    cases.map(({ title }) => title.slice(0, Math.max(title.lastIndexOf(" > "), 0))),
  );
  const outcome: Outcome = { passed: 0, failed: [], skipped: [], embeddedOnly: [] };
  for (const { title, verdict, byItsSteps } of cases) {
    if (parents.has(title) && (verdict === "passed" || byItsSteps)) continue;
    if (verdict === "passed") outcome.passed++;
    else (verdict === "skipped" ? outcome.skipped : outcome.failed).push(title);
  }
  outcome.embeddedOnly = outcome.skipped.filter((title) =>
    ran.has(title.replace("[real Postgres]", "[embedded Postgres]"))
  );
  return outcome;
}

function unescape(text: string): string {
  const entities: Record<string, string> = { lt: "<", gt: ">", quot: '"', apos: "'", amp: "&" };
  return text.replaceAll(/&(lt|gt|quot|apos|amp);/g, (_, name) => entities[name]);
}
