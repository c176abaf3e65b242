/**
 * Whatever order deliveries come in, and however often, the rows are the same, and those that a FULL
 * sync gives. PROOF=full tries thousands of orders in place of a hundred.
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { assertMirrors } from "../functions/mirror.ts";
import { asWebhooksTell, type Order, orders, Stage } from "./stage.ts";
import { type Deed, deeds } from "./story.ts";
import { hookTest } from "./support.ts";

/** How many stories, and how many orders of each. */
const EXTENT = Deno.env.get("PROOF") === "full"
  ? { bySql: [120, 25], bySyncs: [60, 15], byRequests: [20, 5] }
  : { bySql: [6, 10], bySyncs: [4, 6], byRequests: [2, 2] };

/** Stories with several orders each; one that fails is made smaller and shown. */
function each(
  [stories, several]: number[],
  story: fc.Arbitrary<Deed[]>,
  order: fc.Arbitrary<Order>,
  check: (deeds: Deed[], orders: Order[]) => Promise<void>,
): Promise<void> {
  const orders = fc.array(order, { minLength: several, maxLength: several });
  return fc.assert(fc.asyncProperty(story, orders, check), { numRuns: stories, seed: 1 });
}

hookTest("every order of the deliveries gives what a FULL sync gives", async (hooks) => {
  const stage = await Stage.prepare(hooks);
  await each(EXTENT.bySql, deeds(), orders(), async (deeds, orders) => {
    const outcome = await stage.act(deeds);
    const expected = asWebhooksTell(await stage.after([stage.full(outcome)]));
    for (const order of orders) {
      assert.deepEqual(await stage.after(stage.steps(outcome, order)), expected);
    }
  });
});

hookTest("so does every order with syncs in between", async (hooks) => {
  const stage = await Stage.prepare(hooks);
  await each(EXTENT.bySyncs, deeds(), orders({ syncs: 4 }), async (deeds, orders) => {
    const outcome = await stage.act(deeds);
    const expected = asWebhooksTell(await stage.after([stage.full(outcome)]));
    for (const order of orders) {
      assert.deepEqual(asWebhooksTell(await stage.after(stage.steps(outcome, order))), expected);
    }
  });
});

hookTest(
  "what webhooks cannot tell, are late with or never told is mended by the next sync",
  async (hooks) => {
    const stage = await Stage.prepare(hooks, { conferences: true });
    await each(
      EXTENT.bySyncs,
      deeds({ lags: true }),
      orders({ syncs: 2, losses: 3 }),
      async (deeds, orders) => {
        const outcome = await stage.act(deeds);
        const expected = await stage.after([stage.full(outcome)]);
        for (const order of orders) {
          const steps = [...stage.steps(outcome, order), stage.full(outcome)];
          assert.deepEqual(await stage.after(steps), expected);
        }
      },
    );
  },
);

hookTest("late news, too, gives one result in every order", async (hooks) => {
  const stage = await Stage.prepare(hooks, { conferences: true });
  await each(EXTENT.bySql, deeds({ lags: true }), orders(), async (deeds, orders) => {
    const outcome = await stage.act(deeds);
    const expected = await stage.after(stage.steps(outcome, orders[0]));
    for (const order of orders.slice(1)) {
      assert.deepEqual(await stage.after(stage.steps(outcome, order)), expected);
    }
  });
});

hookTest("so it is by requests, too, and beside the sync's own requests", async (hooks) => {
  const stage = await Stage.prepare(hooks);
  for (const { host } of stage.people) {
    hooks.control.set_rate_limit({ user: host.uri, limit: null });
  }
  await each(EXTENT.byRequests, deeds(), orders(), async (deeds, orders) => {
    const outcome = await stage.act(deeds);
    const expected = asWebhooksTell(await stage.after([stage.full(outcome)]));
    for (const order of orders) {
      assert.deepEqual(await stage.afterSending(outcome, order), expected);
      for (const person of stage.people) {
        await person.sync({ full: true });
        await assertMirrors(person);
      }
    }
  });
});
