/**
 * The mirror equals Calendly under any schedule of faults: some fixed seeds, and as many that nobody has
 * tried before, whose numbers are printed. PROOF=full tries ten thousand.
 */
import assert from "node:assert/strict";
import { childReport, describe } from "./simulate.ts";

const SEEDS = Deno.env.get("PROOF") === "full" ? 10_000 : 25;

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
