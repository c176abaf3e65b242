/**
 * The mirror equals Calendly under any schedule of faults. By default: a few fixed seeds in which every
 * fault strikes and every kind of deed happens. With REQUIRE_ALL=1 also the seeds that once found a fault,
 * more fixed ones, and some that nobody has tried before, whose numbers are printed. `deno task prove` tries
 * ten thousand.
 */
import assert from "node:assert/strict";
import { needing } from "../harness/requirements.ts";
import { childReport, describe, missing, row } from "./simulate.ts";

/** By `deno task simulate --cover --seeds 300`. */
const COVERING = [3, 36, 69, 119, 166, 175, 200, 218];
/** Each has found a fault, in the product or in what is expected of it. */
const KEPT = [237, 283, 833, 943, 1701, 5325, 7775, 9761, 9908];
const UNTRIED = 1000 + Math.floor(Date.now() / 1000) % 1_000_000_000;

async function assertConverge(seeds: number[]) {
  const report = await childReport(seeds);
  console.log(`seeds ${seeds.join(", ")}: ${describe(report)}`);
  assert.equal(report.seeds, seeds.length);
  assert.deepEqual(report.failures, []);
  return report;
}

Deno.test("the mirror equals Calendly after every fault and every kind of deed", async () => {
  const report = await assertConverge(COVERING);
  assert.deepEqual(missing(report), [], "choose seeds anew: deno task simulate --cover");
});

for (
  const [which, seeds] of [
    // Among them the hundredth, in which Postgres restarts.
    ["25 fixed seeds", row(90, 25)],
    ["seeds that once found a fault", KEPT],
    ["25 seeds that nobody has tried", row(UNTRIED, 25)],
  ] as const
) {
  Deno.test({
    ...needing(`the mirror equals Calendly after the faults of ${which}`, "longRun"),
    fn: async () => void await assertConverge(seeds),
  });
}

Deno.test("a mirror that loses changes diverges", async () => {
  const { length, deeds, divergences, isSound } = await broken();
  assert.equal(deeds.length, length);
  assert.ok(divergences.length > 0);
  assert.ok(isSound);
});

Deno.test({
  ...needing("a seed that diverges is shrunk to the few deeds that it takes", "longRun"),
  async fn() {
    const { length, deeds, divergences, isSound } = await broken("--shrink");
    assert.ok(deeds.length <= 3 && deeds.length < length, JSON.stringify(deeds));
    assert.ok(divergences.length > 0);
    assert.ok(isSound);
  },
});

/** What fixtures/broken.ts prints. */
async function broken(...args: string[]) {
  const { success, stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--allow-all", new URL("fixtures/broken.ts", import.meta.url).href, ...args],
    stdin: "null",
    stderr: "inherit",
  }).output();
  assert.ok(success);
  return JSON.parse(new TextDecoder().decode(stdout));
}
