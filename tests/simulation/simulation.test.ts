/**
 * The mirror equals Calendly under any schedule of faults: some fixed seeds, those that once found a fault,
 * and some that nobody has tried before, whose numbers are printed. `deno task prove` tries ten thousand.
 */
import assert from "node:assert/strict";
import { add, childReport, describe, emptyReport } from "./simulate.ts";

const SEEDS = 25;
/** Each has found a fault, in the product or in what is expected of it. */
const KEPT = [237, 283, 833, 943, 1701, 5325, 7775, 9761, 9908];

for (
  const [which, from] of [
    // Among them the hundredth, in which Postgres restarts.
    ["the same seeds as ever", 90],
    ["seeds that nobody has tried", 1000 + Math.floor(Date.now() / 1000) % 1_000_000_000],
  ] as const
) {
  Deno.test(`after every storm the mirror equals Calendly: ${which}`, async () => {
    const report = await childReport(from, SEEDS);
    console.log(`seeds ${from} to ${from + SEEDS - 1}: ${describe(report)}`);
    assert.equal(report.seeds, SEEDS);
    assert.deepEqual(report.failures, []);
  });
}

Deno.test("after every storm the mirror equals Calendly: seeds that once found a fault", async () => {
  const report = emptyReport();
  for (const seed of KEPT) add(report, await childReport(seed, 1));
  assert.equal(report.seeds, KEPT.length);
  assert.deepEqual(report.failures, []);
});

Deno.test("a mirror that loses changes diverges, and the story is told with no more than it takes", async () => {
  const { success, stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--allow-all", new URL("fixtures/broken.ts", import.meta.url).href],
    stdin: "null",
    stderr: "inherit",
  }).output();
  assert.ok(success);
  const { length, deeds, divergences, isSound } = JSON.parse(new TextDecoder().decode(stdout));
  assert.ok(deeds.length <= 3 && deeds.length < length, JSON.stringify(deeds));
  assert.ok(divergences.length > 0);
  assert.ok(isSound);
});
