/** Many deliveries at once, on a Postgres with many connections: one row each, no error, no deadlock. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import fc from "fast-check";
import postgres from "postgres";
import { assertMirrors } from "../functions/mirror.ts";
import { asDelivered, type Hooks, hookTest } from "./support.ts";

/** Connections of the project's database beside the stack's own. */
async function withConnections(
  hooks: Hooks,
  connections: number,
  work: (sql: postgres.Sql) => Promise<void>,
): Promise<void> {
  const sql = postgres(hooks.project.stack.databaseUrl, { max: connections, onnotice: () => {} });
  const before = await deadlocks(hooks);
  try {
    await work(sql);
  } finally {
    await sql.end();
  }
  assert.equal(await deadlocks(hooks) - before, 0, "deadlocks");
}

async function deadlocks(hooks: Hooks): Promise<number> {
  await hooks.project.stack.sql("select pg_stat_force_next_flush()");
  const [{ deadlocks }] = await hooks.project.stack.sql(
    "select deadlocks::integer from pg_stat_database where datname = current_database()",
  );
  return deadlocks;
}

async function receive(hooks: Hooks, sql: postgres.Sql, body: string): Promise<string> {
  const delivery = {
    body: JSON.parse(body),
    digest: createHash("sha256").update(body).digest("hex"),
    signed_at: hooks.now(),
  };
  const [{ outcome }] = await sql`
    select public.calendly_receive_webhook(${JSON.stringify(delivery)}::text::jsonb) as outcome`;
  return outcome.status;
}

hookTest("50 connections deliver one event and its duplicates at once", async (hooks) => {
  const ana = await hooks.person();
  await withConnections(hooks, 50, async (sql) => {
    for (let round = 0; round < 5; round++) {
      await hooks.project.advance("2s");
      const { event, invitee } = hooks.control.book({ user: ana.host.uri, location: "physical" });
      const [booked] = await hooks.take();
      await Promise.all(Array.from({ length: 50 }, () => sql`select pg_sleep(0.01)`)); // connected
      const statuses = await Promise.all(
        Array.from({ length: 50 }, () => receive(hooks, sql, booked)),
      );
      assert.deepEqual(statuses.sort(), [...Array(49).fill("duplicate"), "processed"]);

      // and the next one, all of its kinds at once
      hooks.control.mark_no_show({ invitee: invitee.uri });
      await hooks.project.advance("1s");
      hooks.control.undo_no_show({ invitee: invitee.uri });
      hooks.control.cancel({ event: event.uri });
      const bodies = await hooks.take();
      const several = await Promise.all(
        Array.from({ length: 51 }, (_, number) => receive(hooks, sql, bodies[number % 3])),
      );
      assert.deepEqual(several.sort(), [
        ...Array(48).fill("duplicate"),
        ...Array(3).fill("processed"),
      ]);
    }
  });
  await assertMirrors(ana, asDelivered);
  assert.equal((await hooks.events()).length, 5 * 4);
}, { on: "real" });

hookTest(
  "8 connections deliver 100 shared events in different orders while their hosts are synced",
  async (hooks) => {
    const ana = await hooks.project.person();
    const ben = await hooks.project.person();
    const organization = ana.host.current_organization;
    hooks.control.join({ user: ben.host.uri, organization });
    for (const person of [ana, ben]) {
      hooks.control.set_rate_limit({
        user: person.host.uri,
        limit: null,
      });
    }
    await hooks.subscribe(ana, { scope: "organization" });
    const hosts = [ana.host.uri, ben.host.uri];
    const event_type = hooks.control.create_event_type({
      user: hosts[0],
      hosts,
      pooling_type: "collective",
      locations: ["physical"],
    }).uri;
    for (let meeting = 0; meeting < 100; meeting++) {
      const { invitee } = hooks.control.book({
        event_type,
        start_time: new Date(Date.parse("2026-03-05T08:00:00Z") + meeting * 3_600_000)
          .toISOString(),
      });
      if (meeting % 3 === 0) hooks.control.reschedule({ invitee: invitee.uri });
      else if (meeting % 3 === 1) hooks.control.cancel({ invitee: invitee.uri });
      else hooks.control.mark_no_show({ invitee: invitee.uri });
    }
    const bodies = await hooks.take();
    const orders = fc.sample(fc.shuffledSubarray(bodies, { minLength: bodies.length }), {
      numRuns: 8,
      seed: 1,
    });

    await withConnections(hooks, 8, async (sql) => {
      let delivering = true;
      const syncing = [ana, ben].map(async (person) => {
        let syncs = 0;
        while (delivering || syncs === 0) {
          const { status, body } = await person.sync({ full: true });
          assert.deepEqual([status, body.status, body.rejected], [200, "complete", 0]);
          syncs++;
        }
        return syncs;
      });
      const statuses = await Promise.all(orders.map(async (order) => {
        const all: string[] = [];
        for (const body of order) all.push(await receive(hooks, sql, body));
        return all;
      }));
      delivering = false;
      assert.ok((await Promise.all(syncing)).every((syncs) => syncs > 0));
      const told = statuses.flat();
      assert.equal(told.filter((status) => status === "processed").length, bodies.length);
      assert.equal(told.filter((status) => status === "duplicate").length, 7 * bodies.length);
    });
    for (const person of [ana, ben]) await assertMirrors(person, asDelivered);
    assert.equal((await hooks.events()).length, bodies.length);
  },
  { on: "real" },
);

hookTest(
  "replays by hand and syncs that settle the same deliveries do not stand in each other's way",
  async (hooks) => {
    const person = await hooks.person();
    hooks.control.set_rate_limit({ user: person.host.uri, limit: null });
    for (let meeting = 0; meeting < 30; meeting++) {
      hooks.control.book({ user: person.host.uri, location: "physical" });
    }
    await hooks.deliver();
    const ids: string[] = (await hooks.events()).map(({ id }) => id);

    await withConnections(hooks, 4, async (sql) => {
      for (let round = 0; round < 4; round++) {
        await hooks.project.stack.sql(
          "update public.calendly_webhook_events set status = 'deferred', attempts = 1",
        );
        const replaying = Array.from({ length: 4 }, async (_, connection) => {
          for (const id of connection % 2 ? ids : ids.toReversed()) {
            const [{ outcome }] =
              await sql`select public.calendly_replay_webhook_event(${id}) as outcome`;
            assert.equal(outcome.status, "processed");
          }
        });
        const [{ body }] = await Promise.all([person.sync({ full: true }), ...replaying]);
        assert.equal(body.status, "complete");
      }
    });
    assert.deepEqual([...new Set((await hooks.events()).map(({ status }) => status))], [
      "processed",
    ]);
    await assertMirrors(person);
  },
  { on: "real" },
);

hookTest(
  "replays of all that is dead, of one and a sync of the same events do not stand in each other's way",
  async (hooks) => {
    const people = [await hooks.person(), await hooks.person()];
    for (const { host } of people) {
      hooks.control.set_rate_limit({ user: host.uri, limit: null });
      for (let meeting = 0; meeting < 30; meeting++) {
        hooks.control.book({ user: host.uri, location: "physical" });
      }
    }
    await hooks.deliver();
    const ids: string[] = (await hooks.events()).map(({ id }) => id);

    await withConnections(hooks, 4, async (sql) => {
      for (let round = 0; round < 4; round++) {
        // Older than a second, so that each replay writes the people as well.
        await hooks.project.stack.sql("update public.calendly_users set last_calendly_sync = null");
        await hooks.project.stack.sql(
          "update public.calendly_webhook_events set status = 'dead', attempts = 6",
        );
        const replaying = Array.from({ length: 4 }, async (_, connection) => {
          if (connection % 2) return void await sql`select public.calendly_replay_dead()`;
          for (const id of connection ? ids : ids.toReversed()) {
            await sql`select public.calendly_replay_webhook_event(${id})`;
          }
        });
        await Promise.all([...people.map((person) => person.sync({ full: true })), ...replaying]);
      }
    });
    assert.deepEqual([...new Set((await hooks.events()).map(({ status }) => status))], [
      "processed",
    ]);
    for (const person of people) await assertMirrors(person);
  },
  { on: "real" },
);

hookTest("a repetition waits for the delivery that is being applied", async (hooks) => {
  const ana = await hooks.person();
  await withConnections(hooks, 3, async (sql) => {
    for (const kept of [true, false]) {
      await hooks.project.advance("2s");
      hooks.control.book({ user: ana.host.uri, location: "physical" });
      const [booked] = await hooks.take();
      const first = await sql.reserve();
      await first`begin`;
      assert.equal(await receive(hooks, first, booked), "processed");
      const repeated = receive(hooks, sql, booked);
      await waiting(hooks);
      await (kept ? first`commit` : first`rollback`);
      first.release();
      assert.equal(await repeated, kept ? "duplicate" : "processed");
    }
  });
  await assertMirrors(ana, asDelivered);
  assert.equal((await hooks.events()).length, 2);
}, { on: "real" });

for (
  const [step, start_time] of [
    ["a page of the listing", "2026-03-05T10:00:00Z"],
    ["an answer about one event", "2028-07-01T10:00:00Z"],
  ]
) {
  hookTest(`${step} that waits for a deferred delivery fetches its invitees`, async (hooks) => {
    const ana = await hooks.person();
    const { event, invitee } = hooks.control.book({
      user: ana.host.uri,
      location: "physical",
      start_time,
    });
    await hooks.deliver();
    // In every sync's range: where the listing does not show the event, it is missing.
    await hooks.project.stack.sql(
      "update public.calendly_meetings set start_time = '2026-03-05T10:00:00Z'",
    );
    await hooks.project.advance("1h");
    hooks.control.mark_no_show({ invitee: invitee.uri });
    const [told] = await hooks.take();
    await withConnections(hooks, 2, async (sql) => {
      const delivering = await sql.reserve();
      await delivering`begin`;
      await delivering`select calendly.lock_events(array[${event.uri}])`;
      await delivering`
        insert into public.calendly_webhook_events
            (event_id, event_type, payload, user_id, created_at, status, attempts, error)
          values ('a', 'invitee_no_show.created', ${told}::text::jsonb, ${ana.id}, calendly.now(),
            'deferred', 1, '{"code": "not_understood"}')`;
      const syncing = ana.sync();
      await waiting(hooks, "calendly_apply_step");
      await delivering`commit`;
      delivering.release();
      assert.equal((await syncing).body.status, "complete");
    });
    const settled = (await hooks.events()).find(({ event_id }) => event_id === "a");
    assert.equal(settled.status, "processed");
    const [{ no_show_uri }] = await ana.invitees();
    assert.ok(no_show_uri, "the invitees have been fetched");
  }, { on: "real" });
}

/** Until a delivery, or another call, waits for a lock. */
async function waiting(hooks: Hooks, call = "calendly_receive_webhook"): Promise<void> {
  for (let tries = 0; tries < 1000; tries++) {
    const [{ waiting }] = await hooks.project.stack.sql(
      `select count(*)::integer as waiting from pg_stat_activity
       where datname = current_database() and wait_event_type = 'Lock' and query ~ $1`,
      [call],
    );
    if (waiting > 0) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assert.fail("nobody waits");
}
