/** Reads what `deno test --junit-path` recorded. */

export interface Outcome {
  passed: number;
  failed: string[];
  skipped: string[];
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
