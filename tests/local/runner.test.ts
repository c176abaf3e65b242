/** `deno task test` counts the truth. */
import assert from "node:assert/strict";
import { readRecord } from "../harness/record.ts";
import { readTap } from "../harness/tap.ts";

Deno.test("tests and steps are counted once each, with what failed and what was skipped", () => {
  const record = `<testsuites><testsuite name="./a.test.ts" tests="8">
    <testcase name="with steps" classname="./a.test.ts" time="0.1">
        <failure message="1 test step failed">1 test step failed.</failure>
    </testcase>
    <testcase name="skipped" classname="./a.test.ts" time="0"><skipped/></testcase>
    <testcase name="plain" classname="./a.test.ts" time="0">
    </testcase>
    <testcase name="all steps pass" classname="./a.test.ts" time="0"></testcase>
    <testcase name="fails after its steps" classname="./a.test.ts" time="0">
        <failure message="Uncaught Error: a &lt; b">…</failure>
    </testcase>
    <testcase name="with steps &gt; passes" classname="./a.test.ts" time="0"></testcase>
    <testcase name="with steps &gt; fails" classname="./a.test.ts" time="0">
        <failure message="Uncaught Error">…</failure>
    </testcase>
    <testcase name="all steps pass &gt; one" classname="./a.test.ts" time="0"></testcase>
    <testcase name="fails after its steps &gt; one" classname="./a.test.ts" time="0"></testcase>
  </testsuite></testsuites>`;
  assert.deepEqual(readRecord(record), {
    passed: 4,
    failed: ["./a.test.ts fails after its steps", "./a.test.ts with steps > fails"],
    skipped: ["./a.test.ts skipped"],
  });
});

Deno.test("pgTAP's assertions are told apart, and a plan that was not kept is a failure", () => {
  const verdicts = (output: string) =>
    readTap(output).map(({ name, passed }) => `${passed ? "✓" : "✗"} ${name}`);
  assert.deepEqual(verdicts("1..2\\nok 1 - first\\nok 2".replaceAll("\\n", "\n")), [
    "✓ first",
    "✓ assertion 2",
  ]);
  assert.deepEqual(verdicts("1..2\nok 1 - a\nnot ok 2 - b\n# Failed test 2\n#  have: 1"), [
    "✓ a",
    "✗ b",
  ]);
  assert.deepEqual(verdicts("1..1\nnot ok 1 - later # TODO not yet"), ["✓ later"]);
  assert.deepEqual(verdicts("1..2\nok 1 - a"), ["✓ a", "✗ all planned assertions ran"]);
  assert.deepEqual(verdicts("the file stops: syntax error"), ["✗ all planned assertions ran"]);
  assert.match(readTap("1..1\nnot ok 1 - b\n# have: 1").at(0)!.diagnostics, /have: 1/);
});
