/**
 * `deno task test`: runs every suite, tells what was skipped and how to get it, and ends with one plain
 * line, `tests: N passed, N failed`. The functions' suites run a second time with the functions on the
 * Deno of the platform. REQUIRE_ALL=1 makes a skipped test a failed one. Arguments are files to run instead.
 */
import { type Outcome, runTests } from "./harness/record.ts";
import { isObtainable, REQUIREMENTS } from "./harness/requirements.ts";

/** The Deno of the hosted Edge Runtime. */
const PLATFORM_DENO = "2.1.4";

const requireAll = Deno.env.get("REQUIRE_ALL") === "1";

const outcomes = Deno.args.length > 0
  ? [await runSuites(`Tests: ${Deno.args.join(" ")}`, Deno.args)]
  : [
    await runSuites("All suites", ["tests/"]),
    await runOnPlatform(),
  ];
Deno.exit(report(outcomes) ? 0 : 1);

/** The functions' suites with the functions on the Deno of the platform. */
async function runOnPlatform(): Promise<Outcome> {
  const title = `Functions on Deno ${PLATFORM_DENO}`;
  const deno = await findDeno(PLATFORM_DENO);
  if (!deno) {
    return { passed: 0, failed: [`${title}: npm does not give that Deno`], skipped: [] };
  }
  return await runSuites(title, ["tests/functions/"], { FUNCTIONS_DENO: deno, TEST_ONCE: "1" });
}

function runSuites(title: string, files: string[], env?: Record<string, string>): Promise<Outcome> {
  console.log(`\n${title}\n`);
  return runTests(title, ["--parallel", ...files], env);
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

/** Path of a Deno from npm, if that can be had. */
async function findDeno(version: string): Promise<string | undefined> {
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
  return success ? new TextDecoder().decode(stdout).trim() : undefined;
}
