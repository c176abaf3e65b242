/**
 * Whatever order deliveries come in, and however often, the rows are the same, and those that a FULL
 * sync gives. PROOF=full tries thousands of orders in place of a hundred.
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { asWebhooksTell, type Order, orders, Stage } from "./stage.ts";
import { type Deed, deeds } from "./story.ts";
import { hookTest } from "./support.ts";

const STORIES = Deno.env.get("PROOF") === "full" ? 120 : 6;
const ORDERS = Deno.env.get("PROOF") === "full" ? 25 : 10;

/** Stories with so many orders each; those that fail are made smaller and shown. */
function each(
  stories: fc.Arbitrary<Deed[]>,
  order: fc.Arbitrary<Order>,
  check: (deeds: Deed[], orders: Order[]) => Promise<void>,
): Promise<void> {
  const several = fc.array(order, { minLength: ORDERS, maxLength: ORDERS });
  return fc.assert(fc.asyncProperty(stories, several, check), { numRuns: STORIES, seed: 1 });
}

hookTest("every order of the deliveries gives what a FULL sync gives", async (hooks) => {
  const stage = await Stage.prepare(hooks);
  await each(deeds(), orders(), async (deeds, orders) => {
    const outcome = await stage.act(deeds);
    const expected = asWebhooksTell(await stage.after([stage.full(outcome)]));
    for (const order of orders) {
      assert.deepEqual(await stage.after(stage.steps(outcome, order)), expected);
    }
  });
});

hookTest("so does every order with syncs in between", async (hooks) => {
  const stage = await Stage.prepare(hooks);
  await each(deeds(), orders({ syncs: 4 }), async (deeds, orders) => {
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
    const story = deeds({ lags: true });
    await each(story, orders({ syncs: 2 }), async (deeds, orders) => {
      const outcome = await stage.act(deeds);
      const expected = await stage.after([stage.full(outcome)]);
      for (const order of orders) {
        const steps = stage.steps(outcome, order).slice(order.syncs.length);
        assert.deepEqual(await stage.after([...steps, stage.full(outcome)]), expected);
      }
    });
  },
);

hookTest("late news, too, gives one result in every order", async (hooks) => {
  const stage = await Stage.prepare(hooks, { conferences: true });
  await each(deeds({ lags: true }), orders(), async (deeds, orders) => {
    const outcome = await stage.act(deeds);
    const expected = await stage.after(stage.steps(outcome, orders[0]));
    for (const order of orders.slice(1)) {
      assert.deepEqual(await stage.after(stage.steps(outcome, order)), expected);
    }
  });
});
