/** Runs `deno test` and reads what it recorded. */

const ROOT = new URL("../../", import.meta.url);

export interface Outcome {
  passed: number;
  failed: string[];
  skipped: string[];
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
      args: ["test", "--allow-all", `--junit-path=${record}`, ...args],
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

/** Counts a JUnit record. A test with steps counts by its steps, unless it failed by itself. */
export function readRecord(xml: string): Outcome {
  const cases = [...xml.matchAll(
    /<testcase name="([^"]*)" classname="([^"]*)"[^>]*>\s*(?:<(failure|error|skipped)\b([^>]*)>)?/g,
  )].map(([, name, file, verdict = "passed", detail = ""]) => ({
    title: unescape(`${file} ${name}`),
    verdict,
    byItsSteps: /message="\d+ test steps? failed"/.test(detail),
  }));
  const parents = new Set(
    cases.map(({ title }) => title.slice(0, Math.max(title.lastIndexOf(" > "), 0))),
  );
  const outcome: Outcome = { passed: 0, failed: [], skipped: [] };
  for (const { title, verdict, byItsSteps } of cases) {
    if (parents.has(title) && (verdict === "passed" || byItsSteps)) continue;
    if (verdict === "passed") outcome.passed++;
    else (verdict === "skipped" ? outcome.skipped : outcome.failed).push(title);
  }
  return outcome;
}

function unescape(text: string): string {
  const entities: Record<string, string> = { lt: "<", gt: ">", quot: '"', apos: "'", amp: "&" };
  return text.replaceAll(/&(lt|gt|quot|apos|amp);/g, (_, name) => entities[name]);
}
