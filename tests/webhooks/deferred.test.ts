/** What is signed but not understood is kept, completed by the next sync, or given up where all can see it. */
import assert from "node:assert/strict";
import type { Invitee, ScheduledEvent } from "../../sandbox/mod.ts";
import { assertMirrors } from "../functions/mirror.ts";
import type { Person } from "../functions/support.ts";
import { type Hooks, hookTest } from "./support.ts";

interface Delivery {
  event: string;
  created_at: string;
  created_by?: string;
  payload: Partial<Invitee> & { scheduled_event?: Partial<ScheduledEvent> };
}

/** A booking's delivery, which Calendly never sends: the test has its own version of it. */
async function book(hooks: Hooks, person: Person): Promise<{ uri: string; delivery: Delivery }> {
  const { event } = hooks.control.book({ user: person.host.uri, location: "physical" });
  const [body] = await hooks.take();
  return { uri: event.uri, delivery: JSON.parse(body) };
}

async function statuses(hooks: Hooks): Promise<string[]> {
  return (await hooks.events()).map(({ status }) => status);
}

/** As Calendly sent them until 2023, and as hand-made clients still do. */
const SPARSE: [what: string, change: (delivery: Delivery) => void][] = [
  ["no scheduled_event", ({ payload }) => delete payload.scheduled_event],
  ["no scheduled_event and no created_by", (delivery) => {
    delete delivery.payload.scheduled_event;
    delete delivery.created_by;
  }],
  ["no hosts", ({ payload }) => delete payload.scheduled_event!.event_memberships],
  ["no times", ({ payload }) => {
    delete payload.scheduled_event!.start_time;
    delete payload.scheduled_event!.end_time;
  }],
  ["an event that is null", ({ payload }) => Object.assign(payload, { scheduled_event: null })],
];

for (const [what, change] of SPARSE) {
  hookTest(`a delivery with ${what} is deferred, and completed by the next sync`, async (hooks) => {
    const person = await hooks.person();
    const { uri, delivery } = await book(hooks, person);
    change(delivery);
    assert.deepEqual((await hooks.send(delivery)).body, { status: "deferred" });
    assert.deepEqual(await person.meetings(), []);
    const [kept] = await hooks.events();
    assert.deepEqual(
      [kept.status, kept.processed_at, kept.user_id, kept.error.code],
      ["deferred", null, delivery.created_by ? person.id : null, "not_understood"],
    );
    assert.deepEqual((await hooks.send(delivery)).body, { status: "duplicate" });
    if (delivery.created_by) {
      const { next_sync } = await person.connection();
      assert.ok(
        Date.parse(next_sync) <= Number(hooks.project.sandbox.clock.now() / 1000n),
        "due at once",
      );
    }

    await person.sync();
    await assertMirrors(person);
    assert.ok(await person.meeting(uri));
    const [completed] = await hooks.events();
    assert.deepEqual(
      [completed.status, completed.user_id, completed.error, completed.processed_at !== null],
      ["processed", person.id, null, true],
    );
  }, { on: "embedded" });
}

hookTest(
  "a deferred delivery of a meeting outside every sync's range is completed by reading that one event",
  async (hooks) => {
    const person = await hooks.person();
    const { event } = hooks.control.book({
      user: person.host.uri,
      location: "physical",
      start_time: "2028-07-01T10:00:00Z",
    });
    const [body] = await hooks.take();
    const delivery = JSON.parse(body);
    delete delivery.payload.scheduled_event;
    await hooks.send(delivery);
    person.requests();
    await person.sync();
    assert.equal(person.requests(), 3, "the listing, the event, and its invitees");
    assert.equal((await person.meeting(event.uri)).status, "active");
    assert.deepEqual((await person.invitees()).map(({ name }) => name), ["Jane Doe"]);
    assert.deepEqual(await statuses(hooks), ["processed"]);
  },
);

hookTest(
  "a sparse cancellation of a known meeting is deferred to its user, and done by the next sync",
  async (hooks) => {
    const person = await hooks.person();
    const { event } = hooks.control.book({ user: person.host.uri, location: "physical" });
    await hooks.deliver();
    hooks.control.cancel({ event: event.uri });
    const delivery = JSON.parse((await hooks.take())[0]);
    delete delivery.payload.scheduled_event;
    delete delivery.created_by;
    assert.deepEqual((await hooks.send(delivery)).body, { status: "deferred" });
    assert.deepEqual((await hooks.events()).map(({ user_id }) => user_id), [person.id, person.id]);
    await person.sync();
    assert.equal((await person.meeting(event.uri)).deleted_reason, "canceled");
    assert.equal((await person.invitees())[0].status, "canceled");
    assert.deepEqual(await statuses(hooks), ["processed", "processed"]);
  },
);

hookTest(
  "a copy without times of change is applied, loses to any that has them, and is read again",
  async (hooks) => {
    const person = await hooks.person();
    const { uri, delivery } = await book(hooks, person);
    for (const row of [delivery.payload, delivery.payload.scheduled_event!]) {
      delete row.created_at;
      delete row.updated_at;
    }
    delivery.payload.scheduled_event!.name = "without a clock";
    assert.deepEqual((await hooks.send(delivery)).body, { status: "processed" });
    const sparse = await person.meeting(uri);
    assert.deepEqual(
      [sparse.name, sparse.calendly_updated_at, sparse.synced_via_webhook],
      ["without a clock", null, true],
    );
    await person.sync();
    await assertMirrors(person);
    delivery.payload.name = "again";
    assert.equal((await hooks.send(delivery)).status, 200);
    await assertMirrors(person);
  },
);

hookTest(
  "what no sync can complete is dead after five, and can be tried again by hand",
  async (hooks) => {
    const person = await hooks.person();
    const { uri, delivery } = await book(hooks, person);
    const { scheduled_event, ...payload } = delivery.payload;
    hooks.control.erase_event({ event: uri });
    await hooks.send({ ...delivery, payload });
    for (let run = 1; run <= 5; run++) {
      assert.deepEqual(await statuses(hooks), ["deferred"], `before run ${run}`);
      person.requests();
      assert.equal((await person.sync()).body.status, "complete");
      assert.equal(person.requests(), 2, "the listing and the event");
    }
    const [dead] = await hooks.events();
    assert.deepEqual([dead.status, dead.error.code], ["dead", "not_understood"]);
    assert.match(dead.error.hint, /calendly_replay_webhook_event/);
    person.requests();
    await person.sync();
    assert.equal(person.requests(), 1, "nobody asks for it any more");

    // the same by hand, first in vain, then with the event in it
    const replay = async () =>
      (await hooks.project.stack.sql("select public.calendly_replay_webhook_event($1) as outcome", [
        dead.id,
      ]))[0].outcome;
    assert.equal((await replay()).status, "deferred");
    assert.deepEqual(await statuses(hooks), ["deferred"]);
    await hooks.project.stack.sql("update public.calendly_webhook_events set payload = $1", [
      JSON.stringify({ ...delivery, payload: { ...payload, scheduled_event } }),
    ]);
    assert.deepEqual(await replay(), { status: "processed", created: true });
    assert.ok(await person.meeting(uri));
    const [revived] = await hooks.events();
    assert.deepEqual([revived.status, revived.error], ["processed", null]);
    assert.deepEqual(await replay(), { status: "processed", created: false });
  },
);

hookTest("an event that nobody can name is dead after the next sync", async (hooks) => {
  const person = await hooks.person();
  for (const payload of [{}, null, [], "x", { uri: "no address" }]) {
    const delivery = {
      event: "invitee.created",
      created_at: "now",
      created_by: person.host.uri,
      payload,
    };
    assert.deepEqual(
      (await hooks.send(delivery)).body,
      { status: "deferred" },
      JSON.stringify(payload),
    );
  }
  assert.equal((await person.sync()).body.status, "complete");
  assert.deepEqual(await statuses(hooks), Array(5).fill("dead"));
});

hookTest("impossible values are deferred, not guessed, and spoil nothing", async (hooks, t) => {
  const person = await hooks.person();
  const { uri } = hooks.control.book({ user: person.host.uri, location: "physical" }).event;
  await hooks.deliver();
  const impossible: [what: string, change: (delivery: Delivery) => void][] = [
    ["a status that does not exist", ({ payload }) => Object.assign(payload, { status: "maybe" })],
    [
      "a day that does not exist",
      ({ payload }) =>
        Object.assign(payload.scheduled_event!, { start_time: "2026-02-30T10:00:00Z" }),
    ],
    [
      "a time without a zone",
      ({ payload }) =>
        Object.assign(payload.scheduled_event!, { updated_at: "2026-03-02T10:00:00" }),
    ],
    [
      "an end before the start",
      ({ payload }) =>
        Object.assign(payload.scheduled_event!, { end_time: "2020-01-01T00:00:00Z" }),
    ],
    [
      "an event that is a list",
      ({ payload }) => Object.assign(payload, { scheduled_event: [payload.scheduled_event] }),
    ],
    [
      "a name of 10 KB",
      ({ payload }) =>
        Object.assign(payload, {
          uri: payload.uri + crypto.getRandomValues(new Uint8Array(5000)).toHex(),
        }),
    ],
    ["an invitee that is a number", ({ payload }) => Object.assign(payload, { uri: 7 })],
  ];
  const before = (await person.meeting(uri)).raw;
  for (const [what, change] of impossible) {
    await t.step(what, async () => {
      hooks.control.edit({ event: uri, set: { name: what } });
      const [{ invitees }] = hooks.project.sandbox.truth().scheduled_events;
      hooks.control.edit({ invitee: invitees[0].uri, set: { name: what } });
      const [{ event, invitees: [invitee] }] = hooks.project.sandbox.truth().scheduled_events;
      const delivery: Delivery = {
        event: "invitee.created",
        created_at: "2026-03-02T10:00:00.000000Z",
        created_by: person.host.uri,
        payload: structuredClone({ ...invitee, scheduled_event: event }),
      };
      change(delivery);
      const { status, body } = await hooks.send(delivery);
      assert.deepEqual([status, body], [200, { status: "deferred" }]);
      assert.deepEqual((await person.meeting(uri)).raw, before);
      assert.equal((await person.invitees())[0].name, "Jane Doe");
    });
  }
  await person.sync();
  await assertMirrors(person);
}, { on: "embedded" });
