/** A delivery is stored and applied before it is answered; where it cannot be, Calendly is told to retry. */
import assert from "node:assert/strict";
import postgres from "postgres";
import { until } from "../functions/support.ts";
import { type Hooks, hookTest } from "./support.ts";

hookTest("while the database is away Calendly is told to come again, and does", async (hooks) => {
  const person = await hooks.person();
  const { event } = hooks.control.book({ user: person.host.uri });
  hooks.project.wire.refuse("calendly_receive_webhook", 2);
  assert.deepEqual(await hooks.deliver(), [503]);
  await hooks.project.advance("11s");
  assert.deepEqual(await hooks.deliver(), [503]);
  assert.deepEqual(await person.meetings(), []);
  await hooks.project.advance("21s");
  assert.deepEqual(await hooks.deliver(), [200]);
  assert.deepEqual((await person.meetings()).map((row) => row.calendly_event_uri), [event.uri]);
  assert.equal((await hooks.events()).length, 1);
});

hookTest(
  "an answer that is lost on its way from the database is a retry, which finds it done",
  async (hooks) => {
    const person = await hooks.person();
    hooks.control.book({ user: person.host.uri });
    hooks.project.wire.loseAnswer("calendly_receive_webhook");
    assert.deepEqual(await hooks.deliver(), [503]);
    assert.equal((await person.meetings()).length, 1);
    await hooks.project.advance("11s");
    assert.deepEqual(await hooks.deliver(), [200]);
    assert.equal((await person.meetings()).length, 1);
    assert.equal((await hooks.events()).length, 1);
    assert.deepEqual(hooks.said().slice(-1), ["Webhook event already processed, skipping"]);
  },
);

/** Where nobody listens. */
const NOWHERE = (() => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return `http://127.0.0.1:${listener.addr.port}`;
})();

hookTest("where nobody answers for the database, it is unavailable", async (hooks) => {
  const answer = await hooks.send({ event: "invitee.created", payload: {} });
  assert.deepEqual([answer.status, answer.body.error.code], [503, "database_unavailable"]);
  assert.ok(answer.body.error.hint);
}, { on: "embedded", env: { SUPABASE_URL: NOWHERE } });

hookTest("while the database is being upgraded, Calendly is told to come again", async (hooks) => {
  const person = await hooks.person();
  const { event } = hooks.control.book({ user: person.host.uri });
  const [body] = await hooks.take();
  await hooks.project.stack.sql(
    "alter function public.calendly_receive_webhook rename to upgrading",
  );
  const answer = await hooks.send(body);
  assert.deepEqual([answer.status, answer.body.error.code], [503, "migrations_missing"]);
  await hooks.project.stack.sql(
    "alter function public.upgrading rename to calendly_receive_webhook",
  );
  assert.deepEqual((await hooks.send(body)).body, { status: "processed" });
  assert.ok(await person.meeting(event.uri));
});

hookTest("a project without the migrations says so", async (hooks) => {
  const answer = await hooks.send({ event: "invitee.created", payload: {} });
  assert.deepEqual([answer.status, answer.body.error.code], [503, "migrations_missing"]);
  assert.match(answer.body.error.hint, /migrations/);
}, { migrations: null, seed: false });

hookTest(
  "while somebody holds what is needed, Calendly is told to come again",
  async (hooks, t) => {
    const person = await hooks.person();
    const { event, invitee } = hooks.control.book({ user: person.host.uri });
    await hooks.deliver();
    const locks: [what: string, statement: string][] = [
      [
        "the table of deliveries",
        "lock table public.calendly_webhook_events in access exclusive mode",
      ],
      ["the meetings", "lock table public.calendly_meetings in access exclusive mode"],
      ["the event", `select calendly.lock_events(array['${event.uri}'])`],
      ["the person", `select from public.calendly_users where id = ${person.id} for update`],
      ["the meeting", "select from public.calendly_meetings for update"],
    ];
    // not to wait for 5 s each time
    await hooks.project.stack.sql(
      "alter function public.calendly_receive_webhook set lock_timeout = '250ms'",
    );
    const sql = postgres(hooks.project.stack.databaseUrl, { max: 1, onnotice: () => {} });
    try {
      for (const [what, statement] of locks) {
        await t.step(what, async () => {
          await hooks.project.advance("2s");
          if (what === "the meeting") hooks.control.edit({ event: event.uri, set: { name: what } });
          const marked = isMarked(hooks, invitee.uri);
          if (marked) hooks.control.undo_no_show({ invitee: invitee.uri });
          else hooks.control.mark_no_show({ invitee: invitee.uri });
          const [body] = await hooks.take();
          await sql.begin(async (holder) => {
            await holder.unsafe(statement);
            const answer = await hooks.send(body);
            assert.deepEqual([answer.status, answer.body.error?.code], [
              503,
              "database_unavailable",
            ]);
            assert.equal(answer.body.error.reason, "55P03", "it gives up by itself");
          });
          assert.deepEqual((await hooks.send(body)).body, { status: "processed" });
          assert.equal((await person.invitees())[0].no_show_at === null, marked);
        });
      }
    } finally {
      await sql.end();
    }
    assert.equal((await hooks.events()).length, 1 + locks.length);
  },
  { on: "real" },
);

function isMarked(hooks: Hooks, invitee: string): boolean {
  return hooks.project.sandbox.truth().scheduled_events.flatMap(({ invitees }) => invitees)
    .find(({ uri }) => uri === invitee)!.no_show !== null;
}

hookTest("a lock that is let go in time is waited for", async (hooks) => {
  const person = await hooks.person();
  const { event } = hooks.control.book({ user: person.host.uri });
  const [body] = await hooks.take();
  const sql = postgres(hooks.project.stack.databaseUrl, { max: 1, onnotice: () => {} });
  try {
    let answer: ReturnType<Hooks["send"]>;
    await sql.begin(async (holder) => {
      await holder`select calendly.lock_events(array[${event.uri}])`;
      answer = hooks.send(body);
      await until(async () =>
        (await hooks.project.stack.sql(
          "select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()",
        )).length > 0
      );
    });
    assert.deepEqual((await answer!).body, { status: "processed" });
  } finally {
    await sql.end();
  }
  assert.equal((await person.meetings()).length, 1);
}, { on: "real" });

hookTest(
  "Calendly keeps the subscription where a day's deliveries fail but for one",
  async (hooks) => {
    const person = await hooks.person();
    hooks.control.book({ user: person.host.uri });
    await hooks.deliver();
    hooks.control.book({ user: person.host.uri });
    // as long as Calendly retries: every answer in 24 h but the last is a refusal
    for (let hour = 0; hour < 23; hour++) {
      hooks.project.wire.refuse("calendly_receive_webhook", 1);
      await hooks.deliver();
      await hooks.project.advance("1h");
    }
    assert.deepEqual(await hooks.deliver(), [200]);
    const [subscription] = hooks.project.sandbox.truth().webhook_subscriptions;
    assert.equal(subscription.state, "active");
    assert.equal((await person.meetings()).length, 2);
  },
);
