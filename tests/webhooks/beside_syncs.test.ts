/** Webhooks beside syncs: late ones, overtaken ones, and those that come while a sync runs. */
import assert from "node:assert/strict";
import { assertMirrors } from "../functions/mirror.ts";
import type { Person } from "../functions/support.ts";
import { asDelivered, type Hooks, hookTest } from "./support.ts";

/** Seconds until the schedule syncs this person. */
async function dueIn(hooks: Hooks, person: Person): Promise<number> {
  const { next_sync } = await person.connection();
  return (Date.parse(next_sync) - Number(hooks.project.sandbox.clock.now() / 1000n)) / 1000;
}

/** Versions of all rows of the mirror: a row that is written has another one. */
async function versions(hooks: Hooks): Promise<unknown[]> {
  return await hooks.project.stack.sql(
    `select 'meeting' as what, id::text, xmin::text from public.calendly_meetings
     union all select 'invitee', id::text, xmin::text from public.calendly_invitees order by 1, 2`,
  );
}

hookTest("an old retry after a newer sync writes nothing", async (hooks) => {
  const person = await hooks.person();
  const { event, invitee } = hooks.control.book({ user: person.host.uri });
  await hooks.project.advance("1m");
  hooks.control.edit({ event: event.uri, set: { name: "Renamed" } });
  hooks.control.edit({ invitee: invitee.uri, set: { name: "Jane Roe" } });
  const late = await hooks.take();
  await person.sync();
  await hooks.project.advance("24h");
  const before = await versions(hooks);
  for (const body of late) assert.deepEqual((await hooks.send(body)).body, { status: "processed" });
  assert.deepEqual(await versions(hooks), before);
  assert.equal((await person.meeting(event.uri)).synced_via_webhook, false);
});

hookTest(
  "a webhook during a sync of the same person is neither lost nor undone",
  async (hooks, t) => {
    const person = await hooks.person();
    const { wire, sandbox } = hooks.project;
    const canceled = hooks.control.book({ user: person.host.uri, location: "physical" });
    const moved = hooks.control.book({ user: person.host.uri, location: "physical" });
    const event_type =
      hooks.control.create_event_type({ user: person.host.uri, kind: "group", locations: null })
        .uri;
    const group = hooks.control.book({ event_type });
    await hooks.deliver();
    await hooks.project.advance("1h");

    const happenings = (): void => {
      hooks.control.book({ user: person.host.uri, location: "physical", invitee: { name: "New" } });
      hooks.control.cancel({ invitee: canceled.invitee.uri });
      hooks.control.reschedule({ invitee: moved.invitee.uri });
      hooks.control.book({ event: group.event.uri, invitee: { name: "Second" } });
    };
    await t.step("while its listing is on the way to Postgres", async () => {
      const held = wire.hold("calendly_apply_step");
      const syncing = person.sync({ full: true });
      await held.arrived;
      happenings();
      assert.deepEqual(await hooks.deliver({ order: "shuffled" }), Array(5).fill(200));
      held.release();
      const { body } = await syncing;
      assert.deepEqual([body.status, body.rejected], ["complete", 0]);
      await assertMirrors(person, asDelivered);
    });
    await t.step("while its reading of the invitees is on the way to Postgres", async () => {
      await hooks.project.advance("1h");
      const held = wire.hold("calendly_apply_step", 1);
      const syncing = person.sync({ full: true });
      await held.arrived;
      const third = hooks.control.book({ event: group.event.uri, invitee: { name: "Third" } });
      hooks.control.mark_no_show({ invitee: third.invitee.uri });
      hooks.control.cancel({ invitee: group.invitee.uri });
      assert.deepEqual(await hooks.deliver({ order: "reversed" }), Array(3).fill(200));
      held.release();
      assert.equal((await syncing).body.status, "complete");
      await assertMirrors(person, asDelivered);
    });
    await t.step("and between the sync's last look and its end", async () => {
      await hooks.project.advance("1h");
      const held = wire.hold("calendly_finish_sync");
      const syncing = person.sync();
      await held.arrived;
      hooks.control.book({ user: person.host.uri, location: "physical" });
      assert.deepEqual(await hooks.deliver(), [200]);
      held.release();
      assert.equal((await syncing).body.deleted, 0);
      await assertMirrors(person, asDelivered);
    });
    assert.equal(sandbox.truth().scheduled_events.length, 6);
  },
);

hookTest(
  "the last invitee's cancellation of an event still called active has it read again within a minute",
  async (hooks) => {
    const person = await hooks.person();
    const { event, invitee } = hooks.control.book({ user: person.host.uri, location: "physical" });
    await hooks.deliver();
    await person.sync();
    hooks.control.cancel({ invitee: invitee.uri, event_lags: true });
    assert.deepEqual(await hooks.deliver(), [200]);
    assert.deepEqual(
      [(await person.meeting(event.uri)).status, (await person.invitees())[0].status],
      ["active", "canceled"],
    );
    const wait = await dueIn(hooks, person);
    assert.ok(wait >= 30 && wait <= 60, `due in ${wait} s`);

    // a booking far off, so that only a reading of its own can show it
    await hooks.project.advance("60s");
    await person.sync();
    assert.equal((await person.meeting(event.uri)).deleted_reason, "canceled");
    assert.ok(await dueIn(hooks, person) > 60, "and that is the end of it");
    await assertMirrors(person);
  },
);

hookTest("so it is outside every sync's range, and while a sync runs", async (hooks) => {
  const person = await hooks.person();
  const { event, invitee } = hooks.control.book({
    user: person.host.uri,
    location: "physical",
    start_time: "2028-07-01T10:00:00Z",
  });
  await hooks.deliver();
  const held = hooks.project.wire.hold("calendly_finish_sync");
  const syncing = person.sync();
  await held.arrived;
  hooks.control.cancel({ invitee: invitee.uri, event_lags: true });
  await hooks.deliver();
  held.release();
  assert.equal((await syncing).body.status, "complete");
  assert.ok(await dueIn(hooks, person) <= 60);

  await hooks.project.advance("60s");
  person.requests();
  await person.sync();
  assert.equal((await person.meeting(event.uri)).deleted_reason, "canceled");
  assert.equal(person.requests(), 3, "the listing, the event, and its invitees");
  await person.sync();
  assert.equal(person.requests(), 1);
});

hookTest("a late old delivery makes no row for a former host", async (hooks) => {
  const ana = await hooks.project.person();
  const ben = await hooks.project.person();
  hooks.control.join({ user: ben.host.uri, organization: ana.host.current_organization });
  await hooks.subscribe(ana, { scope: "organization" });
  const { event, invitee } = hooks.control.book({ user: ana.host.uri, location: "physical" });
  const [booked] = await hooks.take();
  await hooks.project.advance("1m");
  hooks.control.reassign_host({ event: event.uri, to: ben.host.uri });
  hooks.control.mark_no_show({ invitee: invitee.uri });
  await hooks.deliver();
  assert.equal((await ben.meetings()).length, 1);
  assert.deepEqual((await hooks.send(booked)).body, { status: "processed" });
  assert.deepEqual(await ana.meetings(), []);
  await ben.sync();
  await assertMirrors(ben);
});

hookTest("a former host's row is taken by a delivery that names the new one", async (hooks) => {
  const ana = await hooks.project.person();
  const ben = await hooks.project.person();
  hooks.control.join({ user: ben.host.uri, organization: ana.host.current_organization });
  await hooks.subscribe(ana, { scope: "organization" });
  const { event, invitee } = hooks.control.book({ user: ana.host.uri, location: "physical" });
  await hooks.deliver();
  const [booked] = hooks.control.deliveries();
  await hooks.project.advance("1m");
  hooks.control.reassign_host({ event: event.uri, to: ben.host.uri });
  hooks.control.mark_no_show({ invitee: invitee.uri });
  await hooks.deliver();
  const [former] = await ana.meetings();
  assert.deepEqual([former.is_deleted, former.deleted_reason], [true, "reassigned"]);
  assert.deepEqual((await ben.meetings()).map(({ is_deleted }) => is_deleted), [false]);
  assert.notEqual((await ben.invitees())[0].no_show_at, null);
  assert.equal((await ana.invitees())[0].no_show_at, null, "a former host learns nothing new");

  await hooks.project.stack.sql("delete from public.calendly_webhook_events");
  await hooks.send(booked.body);
  assert.equal((await ana.meetings())[0].deleted_reason, "reassigned");
});

hookTest("what Calendly has erased does not come back by an old delivery", async (hooks) => {
  const person = await hooks.person();
  const { event } = hooks.control.book({ user: person.host.uri, location: "physical" });
  const [late] = await hooks.take();
  await person.sync();
  await hooks.project.advance("1h");
  hooks.control.erase_event({ event: event.uri });
  await person.sync();
  assert.equal((await person.meeting(event.uri)).deleted_reason, "gone");
  assert.equal((await hooks.send(late)).status, 200);
  assert.equal((await person.meeting(event.uri)).deleted_reason, "gone");
});

hookTest("a cancellation is known though the token is refused", async (hooks) => {
  const person = await hooks.person();
  const { event } = hooks.control.book({ user: person.host.uri });
  await hooks.deliver();
  hooks.control.revoke_token({ token: person.token });
  for (let time = 0; time < 3; time++) await person.sync();
  assert.equal((await person.connection()).state, "reconnect_required");
  hooks.control.cancel({ event: event.uri });
  assert.deepEqual(await hooks.deliver(), [200]);
  assert.equal((await person.meeting(event.uri)).is_deleted, true);
});

hookTest("after a disconnection webhooks write nothing", async (hooks) => {
  const person = await hooks.person();
  const { event } = hooks.control.book({ user: person.host.uri });
  await hooks.deliver();
  await person.disconnect();
  hooks.control.cancel({ event: event.uri });
  hooks.control.book({ user: person.host.uri });
  assert.deepEqual(await hooks.deliver(), [200, 200]);
  assert.deepEqual((await person.meetings()).map(({ status }) => status), ["active"]);
  assert.equal((await person.row()).calendly_webhook_enabled, false);
  assert.deepEqual((await hooks.events()).map(({ status }) => status).sort(), [
    "ignored",
    "ignored",
    "processed",
  ]);
});
