/**
 * Deleting expired webhook events beside 200 deliveries a second loses and blocks none of them.
 * PROOF=full: a million expired events, else 10,000.
 */
import assert from "node:assert/strict";
import { cleanBesideWebhooks } from "../../bench/retention.ts";
import { needing } from "../harness/requirements.ts";

const EXPIRED = Deno.env.get("PROOF") === "full" ? 1_000_000 : 10_000;

Deno.test({
  ...needing(
    `${EXPIRED} expired webhook events are deleted beside 200 deliveries a second`,
    "pgbench",
  ),
  async fn(t) {
    const { left, deferred, seconds, deliveries } = await cleanBesideWebhooks(EXPIRED);
    console.log(
      `${EXPIRED} deleted in ${seconds.toFixed(1)} s; ${deliveries.made} deliveries took ` +
        `${deliveries.average.toFixed(1)} ms, ${deliveries.slowest.toFixed(0)} ms at most`,
    );
    await t.step("all expired events are deleted", () => assert.equal(left, 0));
    await t.step("deferred events stay", () => assert.equal(deferred[0], deferred[1]));
    await t.step("no delivery fails or is lost", () => {
      assert.equal(deliveries.failed, 0);
      assert.ok(deliveries.made > 500, `${deliveries.made} deliveries`);
      assert.equal(deliveries.stored, deliveries.made);
    });
    // A delivery would wait for a lock for 5 s before it fails, and Calendly 15 s for its answer.
    await t.step(
      "no delivery waits for the deletion",
      () => assert.ok(deliveries.slowest < 3000, `the slowest took ${deliveries.slowest} ms`),
    );
  },
});
