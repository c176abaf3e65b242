/**
 * No step, page, claim, delivery, health call or alert reads more where there is ten times as much, and
 * none reads a table that grows from end to end. Counted by the benchmarks, in buffers and rows.
 */
import assert from "node:assert/strict";
import { GROWING, measureGrowth } from "../../bench/growth.ts";
import { needing } from "../harness/requirements.ts";

for (const growing of GROWING) {
  Deno.test({
    ...needing(`ten times the ${growing.of} cost no more each`, "realPostgres", "longRun"),
    async fn(t) {
      for (const { what, problems } of await measureGrowth(growing)) {
        await t.step(what, () => assert.deepEqual(problems, []));
      }
    },
  });
}
