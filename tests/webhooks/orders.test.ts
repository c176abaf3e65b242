/**
 * Whatever order deliveries come in, and however often, the rows are the same, and those that a FULL
 * sync gives. By default a few orders are tried, with REQUIRE_ALL=1 a hundred, with PROOF=full thousands.
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { assertMirrors } from "../functions/mirror.ts";
import { asWebhooksTell, type Order, orders, Stage } from "./delivery_orders.ts";
import { type Operation, operations } from "./random_bookings.ts";
import { hookTest } from "./support.ts";

/** How many stories, and how many orders of each. */
interface Extent {
  bySql: [number, number];
  bySyncs: [number, number];
  byRequests: [number, number];
}

const FEW: Extent = { bySql: [3, 4], bySyncs: [2, 3], byRequests: [1, 1] };
const MANY: Extent = Deno.env.get("PROOF") === "full"
  ? { bySql: [120, 25], bySyncs: [60, 15], byRequests: [20, 5] }
  : { bySql: [6, 10], bySyncs: [4, 6], byRequests: [2, 2] };

/** Stories with several orders each; one that fails is made smaller and shown. */
function each(
  [stories, several]: number[],
  story: fc.Arbitrary<Operation[]>,
  order: fc.Arbitrary<Order>,
  check: (operations: Operation[], orders: Order[]) => Promise<void>,
): Promise<void> {
  const orders = fc.array(order, { minLength: several, maxLength: several });
  return fc.assert(fc.asyncProperty(story, orders, check), { numRuns: stories, seed: 1 });
}

function named(name: string, [stories, several]: [number, number]): string {
  return `${name}: ${several} orders of each of ${stories} stories`;
}

for (const [extent, options] of [[FEW, {}], [MANY, { long: true }]] as const) {
  hookTest(
    named("every order of the deliveries gives what a FULL sync gives", extent.bySql),
    async (hooks) => {
      const stage = await Stage.prepare(hooks);
      await each(extent.bySql, operations(), orders(), async (operations, orders) => {
        const outcome = await stage.act(operations);
        const expected = asWebhooksTell(await stage.after([stage.full(outcome)]));
        for (const order of orders) {
          assert.deepEqual(await stage.after(stage.steps(outcome, order)), expected);
        }
      });
    },
    options,
  );

  hookTest(named("so does every order with syncs in between", extent.bySyncs), async (hooks) => {
    const stage = await Stage.prepare(hooks);
    await each(extent.bySyncs, operations(), orders({ syncs: 4 }), async (operations, orders) => {
      const outcome = await stage.act(operations);
      const expected = asWebhooksTell(await stage.after([stage.full(outcome)]));
      for (const order of orders) {
        assert.deepEqual(asWebhooksTell(await stage.after(stage.steps(outcome, order))), expected);
      }
    });
  }, options);

  hookTest(
    named(
      "what webhooks cannot tell, are late with or never told is mended by the next sync",
      extent.bySyncs,
    ),
    async (hooks) => {
      const stage = await Stage.prepare(hooks, { conferences: true });
      await each(
        extent.bySyncs,
        operations({ lags: true }),
        orders({ syncs: 2, losses: 3 }),
        async (operations, orders) => {
          const outcome = await stage.act(operations);
          const expected = await stage.after([stage.full(outcome)]);
          for (const order of orders) {
            const steps = [...stage.steps(outcome, order), stage.full(outcome)];
            assert.deepEqual(await stage.after(steps), expected);
          }
        },
      );
    },
    options,
  );

  hookTest(
    named("late news, too, gives one result in every order", extent.bySql),
    async (hooks) => {
      const stage = await Stage.prepare(hooks, { conferences: true });
      await each(extent.bySql, operations({ lags: true }), orders(), async (operations, orders) => {
        const outcome = await stage.act(operations);
        const expected = await stage.after(stage.steps(outcome, orders[0]));
        for (const order of orders.slice(1)) {
          assert.deepEqual(await stage.after(stage.steps(outcome, order)), expected);
        }
      });
    },
    options,
  );

  hookTest(
    named("so it is by requests, too, and beside the sync's own requests", extent.byRequests),
    async (hooks) => {
      const stage = await Stage.prepare(hooks);
      for (const { host } of stage.people) {
        hooks.control.set_rate_limit({ user: host.uri, limit: null });
      }
      await each(extent.byRequests, operations(), orders(), async (operations, orders) => {
        const outcome = await stage.act(operations);
        const expected = asWebhooksTell(await stage.after([stage.full(outcome)]));
        for (const order of orders) {
          assert.deepEqual(await stage.afterSending(outcome, order), expected);
          for (const person of stage.people) {
            await person.sync({ full: true });
            await assertMirrors(person);
          }
        }
      });
    },
    options,
  );
}
