/** Reads what a pgTAP file answers with: the Test Anything Protocol. */

export interface Assertion {
  name: string;
  passed: boolean;
  /** What pgTAP says about a failure. */
  diagnostics: string;
}

/**
 * The assertions of one file's output. A plan that was not kept, or an output without any, is a failed
 * assertion of its own.
 */
export function readTap(output: string): Assertion[] {
  const assertions: Assertion[] = [];
  let planned: number | undefined;
  for (const line of output.split("\n")) {
    const test = line.match(/^(not )?ok (\d+)(?: - (.*))?$/);
    const plan = line.match(/^1\.\.(\d+)/);
    if (test) {
      const [, not, number, text = ""] = test;
      const name = text.replace(/ # (TODO|SKIP).*$/i, "") || `assertion ${number}`;
      assertions.push({ name, passed: !not || / # TODO/i.test(text), diagnostics: "" });
    } else if (plan) {
      planned = Number(plan[1]);
    } else if (line.startsWith("#") && assertions.length > 0) {
      assertions.at(-1)!.diagnostics += `${line}\n`;
    }
  }
  if (planned !== assertions.length || planned === 0) {
    assertions.push({
      name: "all planned assertions ran",
      passed: false,
      diagnostics: `planned ${planned ?? "none"}, ran ${assertions.length}\n${output}`,
    });
  }
  return assertions;
}
