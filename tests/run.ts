/**
 * `deno task test`: runs every suite, tells what was skipped and how to get it, and ends with one plain
 * line, `tests: N passed, N failed`. The functions' suites run a second time with the functions on the
 * Deno of the platform. REQUIRE_ALL=1 makes a skipped test a failed one. Arguments are files to run instead.
 */
import { type Outcome, readRecord } from "./harness/record.ts";
import { isObtainable, REQUIREMENTS } from "./harness/requirements.ts";

/** The Deno of the hosted Edge Runtime. */
const PLATFORM_DENO = "2.1.4";

const ROOT = new URL("../", import.meta.url);
const requireAll = Deno.env.get("REQUIRE_ALL") === "1";

const outcomes = Deno.args.length > 0
  ? [await runSuites(`Tests: ${Deno.args.join(" ")}`, Deno.args)]
  : [
    await runSuites("All suites", ["tests/"]),
    await runSuites(`Functions on Deno ${PLATFORM_DENO}`, ["tests/functions/"], {
      FUNCTIONS_DENO: await findDeno(PLATFORM_DENO),
      TEST_ONCE: "1",
    }),
  ];
Deno.exit(report(outcomes) ? 0 : 1);

/** Runs `deno test` and counts what it recorded of every test and step. */
async function runSuites(
  title: string,
  files: string[],
  env: Record<string, string> = {},
): Promise<Outcome> {
  console.log(`\n${title}\n`);
  const record = await Deno.makeTempFile({ suffix: ".xml" });
  try {
    const { success } = await new Deno.Command(Deno.execPath(), {
      args: ["test", "--allow-all", "--parallel", `--junit-path=${record}`, ...files],
      cwd: ROOT,
      env,
      stdin: "null",
    }).spawn().status;
    const outcome = readRecord(await Deno.readTextFile(record));
    // Such as a suite that does not compile: deno test counts no test then.
    if (!success && outcome.failed.length === 0) outcome.failed.push(`${title}: did not run`);
    return outcome;
  } finally {
    await Deno.remove(record);
  }
}

/** Prints the end of it all; true if it is a good one. */
function report(outcomes: Outcome[]): boolean {
  const skipped = outcomes.flatMap((outcome) => outcome.skipped);
  const failed = outcomes.flatMap((outcome) => outcome.failed);
  const passed = outcomes.reduce((sum, outcome) => sum + outcome.passed, 0);
  console.log("");
  const missing = requireAll ? skipped.filter(isObtainable).length : 0;
  if (skipped.length > 0) {
    console.log("Skipped:");
    for (const title of skipped) console.log(`  ${title}`);
    console.log("They need:");
    for (const { label, met, how } of Object.values(REQUIREMENTS)) {
      if (!met) console.log(`  [${label}] ${how}`);
    }
    if (missing > 0) console.log(`REQUIRE_ALL=1 counts ${missing} of them as failed.`);
    console.log("");
  }
  if (failed.length > 0) {
    console.log("Failed:");
    for (const title of failed) console.log(`  ${title}`);
    console.log("");
  }
  const failures = failed.length + missing;
  console.log(`tests: ${passed} passed, ${failures} failed`);
  return failures === 0 && passed > 0;
}

/** Path of a Deno from npm. */
async function findDeno(version: string): Promise<string> {
  const { success, stdout } = await new Deno.Command("npx", {
    args: [
      "-y",
      "-p",
      `deno@${version}`,
      "deno",
      "eval",
      "--no-config",
      "--no-lock",
      "console.log(Deno.execPath())",
    ],
    stdin: "null",
    stderr: "inherit",
  }).output();
  const path = new TextDecoder().decode(stdout).trim();
  if (!success || !path) throw new Error(`deno@${version} could not be fetched from npm`);
  return path;
}
