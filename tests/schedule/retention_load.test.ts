/**
 * Cleaning up beside 200 webhook calls a second loses none and blocks none. PROOF=full: a million expired
 * events, else a hundredth.
 */
import assert from "node:assert/strict";
import { cleanBesideWebhooks } from "../../bench/retention.ts";
import { needing } from "../harness/requirements.ts";

const EXPIRED = Deno.env.get("PROOF") === "full" ? 1_000_000 : 10_000;

Deno.test({
  ...needing(`${EXPIRED} expired events go beside a storm of webhooks`, "pgbench"),
  async fn(t) {
    const { left, waiting, seconds, deliveries } = await cleanBesideWebhooks(EXPIRED);
    console.log(
      `${EXPIRED} cleaned in ${seconds.toFixed(1)} s; ${deliveries.made} deliveries took ` +
        `${deliveries.average.toFixed(1)} ms, ${deliveries.slowest.toFixed(0)} ms at most`,
    );
    await t.step("all of them", () => assert.equal(left, 0));
    await t.step("but none that waits", () => assert.equal(waiting[0], waiting[1]));
    await t.step("no delivery fails, and none is lost", () => {
      assert.equal(deliveries.failed, 0);
      assert.ok(deliveries.made > 500, `${deliveries.made} deliveries`);
      assert.equal(deliveries.stored, deliveries.made);
    });
    // A delivery would wait for a lock for 5 s before it fails, and Calendly 15 s for its answer.
    await t.step(
      "none waits for the cleaning",
      () => assert.ok(deliveries.slowest < 3000, `the slowest took ${deliveries.slowest} ms`),
    );
  },
});
