/** What becomes of events and invitees when something happens to a booking. */
import assert from "node:assert/strict";
import { Client, colleague, pathOf, pinned } from "./support.ts";
import type { Sandbox } from "../../sandbox/mod.ts";

function group(sandbox: Sandbox, seats = 3): string {
  return sandbox.control.create_event_type({ kind: "group", seats, name: "Workshop" }).uri;
}

Deno.test("times have six digits and no two writes share one", () => {
  const sandbox = pinned();
  const { event, invitee } = sandbox.control.book();
  assert.match(event.created_at, /^2026-03-02T10:00:00\.\d{6}Z$/);
  assert.notEqual(event.created_at, invitee.created_at);
  assert.equal(event.updated_at, event.created_at);
});

Deno.test("a booking lands on its host's free slot, with the buffers of its event type", () => {
  const { control } = pinned();
  const first = control.book().event;
  assert.notEqual(control.book().event.start_time, first.start_time);
  const { uri: event_type } = control.create_event_type({ buffer_minutes: 10 });
  const { event } = control.book({ event_type, start_time: "2026-05-01T09:00:00Z" });
  const [host] = event.event_memberships;
  assert.equal(event.end_time, "2026-05-01T09:30:00.000000Z");
  assert.equal(host.buffered_start_time, "2026-05-01T08:50:00.000000Z");
  assert.equal(host.buffered_end_time, "2026-05-01T09:40:00.000000Z");
  assert.equal(event.calendar_event, null);
});

Deno.test("a conference is in the making for 8.5 seconds, and then moves the event's updated_at", async () => {
  const sandbox = pinned();
  const { event } = sandbox.control.book({ location: "zoom" });
  assert.deepEqual(event.location, {
    data: null,
    join_url: null,
    status: "processing",
    type: "zoom",
  });
  sandbox.clock.advance("8s");
  assert.equal(sandbox.truth().scheduled_events[0].event.updated_at, event.updated_at);
  sandbox.clock.advance("1s");
  const { resource } = (await new Client(sandbox).get(pathOf(event.uri))).body;
  assert.equal(resource.location.status, "pushed");
  assert.match(resource.location.join_url, /^https:\/\/us05web\.zoom\.us\/j\/\d+\?pwd=/);
  assert.match(resource.updated_at, /^2026-03-02T10:00:08\.5/);
});

Deno.test("the host's cancellation cancels the event and everyone in it", async () => {
  const sandbox = pinned();
  const { control } = sandbox;
  const event_type = group(sandbox);
  const { event } = control.book({ event_type });
  control.book({ event: event.uri, invitee: { email: "second@example.com" } });
  const client = new Client(sandbox);
  const path = `${pathOf(event.uri)}/cancellation`;
  const answer = await client.post(path, { reason: "Ill" });
  assert.equal(answer.status, 201);
  assert.deepEqual(
    { ...answer.body.resource, created_at: "" },
    { canceled_by: "Demo Host", canceler_type: "host", created_at: "", reason: "Ill" },
  );
  const truth = sandbox.truth().scheduled_events[0];
  assert.equal(truth.event.status, "canceled");
  assert.deepEqual(truth.invitees.map((invitee) => invitee.status), ["canceled", "canceled"]);
  assert.deepEqual(truth.event.invitees_counter, { active: 0, limit: 3, total: 2 });
  const again = await client.post(path, {});
  assert.deepEqual([again.status, again.body.message], [403, "Event is already canceled"]);
  const past = control.book({ start_time: "2026-02-01T09:00:00Z" }).event;
  const late = await client.post(`${pathOf(past.uri)}/cancellation`, {});
  assert.deepEqual([late.status, late.body.message], [403, "Event in the past"]);
});

Deno.test("cancellation is absent, not null, while an event or invitee is active", () => {
  const { event, invitee } = pinned().control.book();
  assert.ok(!("cancellation" in event));
  assert.ok(!("cancellation" in invitee));
});

Deno.test("a group event survives one invitee's cancellation, and its counter keeps the total", () => {
  const sandbox = pinned();
  const { control } = sandbox;
  const { event, invitee } = control.book({ event_type: group(sandbox) });
  control.book({ event: event.uri });
  const one = control.cancel({ invitee: invitee.uri, reason: "Conflict" });
  assert.equal(one.event.status, "active");
  assert.ok(!("cancellation" in one.event));
  assert.deepEqual(one.event.invitees_counter, { active: 1, limit: 3, total: 2 });
  assert.equal(one.invitee?.cancellation?.canceler_type, "invitee");
  assert.ok(one.event.updated_at > event.updated_at);
});

Deno.test("invitees who book the same slot of a group share its event until the seats are taken", () => {
  const sandbox = pinned();
  const event_type = group(sandbox, 2);
  const start_time = "2026-03-05T09:00:00Z";
  const book = () => sandbox.control.book({ event_type, start_time }).event;
  const first = book();
  assert.equal(book().uri, first.uri);
  assert.notEqual(book().uri, first.uri);
  assert.throws(() => sandbox.control.book({ event: first.uri }), /seats of this event are taken/);
});

Deno.test("whether a seat moves the group event's updated_at can be chosen", () => {
  const sandbox = pinned();
  const { event } = sandbox.control.book({ event_type: group(sandbox) });
  const quiet = sandbox.control.book({ event: event.uri, touch: false });
  assert.equal(quiet.event.updated_at, event.updated_at);
  const canceled = sandbox.control.cancel({ invitee: quiet.invitee.uri, touch: false });
  assert.equal(canceled.event.updated_at, event.updated_at);
  assert.deepEqual(canceled.event.invitees_counter, { active: 1, limit: 3, total: 2 });
});

Deno.test("rescheduling makes a new event and a new invitee, linked both ways", () => {
  const sandbox = pinned();
  const { invitee } = sandbox.control.book({ invitee: { name: "Ana", email: "ana@example.com" } });
  const start_time = "2026-04-01T09:00:00Z";
  const { old, new: moved } = sandbox.control.reschedule({ invitee: invitee.uri, start_time });
  assert.notEqual(moved.event.uri, old.event.uri);
  assert.equal(moved.event.start_time, "2026-04-01T09:00:00.000000Z");
  assert.equal(old.event.status, "canceled");
  assert.deepEqual(
    [old.invitee.status, old.invitee.rescheduled, old.invitee.new_invitee],
    ["canceled", true, moved.invitee.uri],
  );
  assert.deepEqual(
    [moved.invitee.status, moved.invitee.rescheduled, moved.invitee.old_invitee],
    ["active", false, old.invitee.uri],
  );
  assert.equal(moved.invitee.name, "Ana");
});

Deno.test("what a former member's meeting is moved to is in its host's organization", () => {
  const sandbox = pinned();
  const { user } = colleague(sandbox);
  const { invitee } = sandbox.control.book({ user: user.uri });
  sandbox.control.leave({ user: user.uri });
  const demo = sandbox.demo.user;
  const moved = sandbox.control.reschedule({ invitee: invitee!.uri, user: demo.uri });
  const { scheduled_events } = sandbox.truth();
  const organizations = [moved.old, moved.new].map(({ event }) =>
    scheduled_events.find((one) => one.event.uri === event.uri)!.organization
  );
  assert.deepEqual(organizations, [demo.current_organization, demo.current_organization]);
});

Deno.test("in a group only the invitee who reschedules moves", () => {
  const sandbox = pinned();
  const { event, invitee } = sandbox.control.book({ event_type: group(sandbox) });
  const other = sandbox.control.book({ event: event.uri }).invitee;
  const { old, new: moved } = sandbox.control.reschedule({ invitee: invitee.uri });
  assert.equal(old.event.status, "active");
  assert.deepEqual(moved.event.invitees_counter, { active: 1, limit: 3, total: 1 });
  const { invitees } = sandbox.truth().scheduled_events[0];
  assert.equal(invitees.find((it) => it.uri === other.uri)?.status, "active");
});

Deno.test("marking a no-show and undoing it move no updated_at; marking again makes a new one", async () => {
  const sandbox = pinned();
  const client = new Client(sandbox);
  const { event, invitee } = sandbox.control.book({ location: "physical" });
  sandbox.clock.advance("2d");
  const marked = await client.post("/invitee_no_shows", { invitee: invitee.uri });
  assert.equal(marked.status, 201);
  const { resource: noShow } = marked.body;
  const truth = () => sandbox.truth().scheduled_events[0];
  assert.deepEqual(truth().invitees[0].no_show, {
    created_at: noShow.created_at,
    uri: noShow.uri,
  });
  assert.deepEqual((await client.get(pathOf(noShow.uri))).body.resource, noShow);
  assert.equal((await client.post("/invitee_no_shows", { invitee: invitee.uri })).status, 400);
  assert.equal((await client.delete(pathOf(noShow.uri))).status, 204);
  assert.equal((await client.get(pathOf(noShow.uri))).status, 404);
  assert.equal(truth().invitees[0].no_show, null);
  assert.equal(truth().invitees[0].updated_at, invitee.updated_at);
  assert.equal(truth().event.updated_at, event.updated_at);
  assert.notEqual(sandbox.control.mark_no_show({ invitee: invitee.uri }).uri, noShow.uri);
});

Deno.test("a collective event has all its hosts, and is in the listing of each", async () => {
  const sandbox = pinned();
  const member = colleague(sandbox);
  const { uri: event_type } = sandbox.control.create_event_type({
    pooling_type: "collective",
    hosts: [member.user.uri],
  });
  const { event } = sandbox.control.book({ event_type });
  assert.deepEqual(
    event.event_memberships.map((host) => host.user),
    [sandbox.demo.user.uri, member.user.uri],
  );
  const listed = await member.client.get("/scheduled_events", { user: member.user.uri });
  assert.equal(listed.body.collection[0].uri, event.uri);
});

Deno.test("an event that is given to its own host stays there", () => {
  const sandbox = pinned();
  const { event } = sandbox.control.book();
  const { uri } = sandbox.demo.user;
  const kept = sandbox.control.reassign_host({ event: event.uri, to: uri });
  assert.deepEqual(kept.event_memberships.map(({ user }) => user), [uri]);
});

Deno.test("a reassigned event moves from one host's listing to the other's", async () => {
  const sandbox = pinned();
  const client = new Client(sandbox);
  const member = colleague(sandbox);
  const { event } = sandbox.control.book();
  const moved = sandbox.control.reassign_host({ event: event.uri, to: member.user.uri });
  assert.deepEqual(moved.event_memberships.map((host) => host.user), [member.user.uri]);
  assert.ok(moved.updated_at > event.updated_at);
  assert.deepEqual((await client.events()).body.collection, []);
  const listed = await member.client.get("/scheduled_events", { user: member.user.uri });
  assert.equal(listed.body.collection.length, 1);
});

Deno.test("edits that no webhook tells: guests, notes, a failed conference, another start", () => {
  const sandbox = pinned();
  const { event, invitee } = sandbox.control.book();
  const edited = sandbox.control.edit({
    event: event.uri,
    guests: ["guest@example.com"],
    conference: "failed",
    set: { meeting_notes_plain: "Cake", start_time: "2026-03-01T09:00:00.000000Z" },
  }).event;
  assert.equal(edited.event_guests[0].email, "guest@example.com");
  assert.equal(edited.location?.status, "failed");
  assert.ok(edited.updated_at > event.updated_at);
  const quiet = sandbox.control.edit({
    invitee: invitee.uri,
    set: { text_reminder_number: "+1" },
    touch: false,
  });
  assert.equal(quiet.invitee?.updated_at, invitee.updated_at);
  const later = sandbox.control.book().event;
  assert.deepEqual(
    sandbox.truth().scheduled_events.map((row) => row.event.uri),
    [event.uri, later.uri],
  );
});

Deno.test("what is erased answers 404 and is in no listing", async () => {
  const sandbox = pinned();
  const client = new Client(sandbox);
  const { event, invitee } = sandbox.control.book({ event_type: group(sandbox) });
  sandbox.control.book({ event: event.uri });
  sandbox.control.erase_invitee({ invitee: invitee.uri });
  assert.equal((await client.get(pathOf(invitee.uri))).status, 404);
  const { resource } = (await client.get(pathOf(event.uri))).body;
  assert.deepEqual(resource.invitees_counter, { active: 1, limit: 3, total: 1 });
  sandbox.control.erase_event({ event: event.uri });
  assert.equal((await client.get(pathOf(event.uri))).status, 404);
  assert.deepEqual((await client.events()).body.collection, []);
});

Deno.test("overridden fields are served as they are, NUL, lone surrogate and impossible time too", async () => {
  const sandbox = pinned();
  const { event, invitee } = sandbox.control.book();
  sandbox.control.override({ uri: invitee.uri, fields: { name: "a\0b\ud800c" } });
  sandbox.control.override({ uri: event.uri, fields: { start_time: "2026-13-45T99:00:00Z" } });
  const client = new Client(sandbox);
  assert.equal((await client.get(pathOf(invitee.uri))).body.resource.name, "a\0b\ud800c");
  assert.equal(
    (await client.events()).body.collection[0].start_time,
    "2026-13-45T99:00:00Z",
  );
  sandbox.control.override({ uri: event.uri, fields: null });
  assert.equal((await client.events()).body.collection[0].start_time, event.start_time);
});

Deno.test("the same seed makes the same account, another seed another", () => {
  const account = (seed: number) => pinned({ seed, events: 40 }).truth();
  assert.deepEqual(account(7), account(7));
  assert.notDeepEqual(account(7), account(8));
});

Deno.test("a populated account has the asked number of events, all kinds, and nothing from the future", () => {
  const sandbox = pinned({ events: 1000 });
  const { scheduled_events, now } = sandbox.truth();
  assert.equal(scheduled_events.length, 1000);
  const host = sandbox.demo.user.uri;
  const kinds = new Set<string>();
  const seen = (name: string, condition: unknown) => condition && kinds.add(name);
  for (const { event, invitees } of scheduled_events) {
    assert.ok(event.event_memberships.some((membership) => membership.user === host));
    for (const row of [event, ...invitees]) {
      assert.ok(row.created_at <= row.updated_at && row.updated_at <= now);
    }
    kinds.add(String(event.location?.type));
    kinds.add(event.status);
    seen("no name", event.name === null);
    seen("several hosts", event.event_memberships.length > 1);
    seen("several invitees", invitees.length > 1);
    seen("guests", event.event_guests.length > 0);
    seen("old id", /\/[A-Z2-7]{16}$/.test(event.uri));
    seen("failed conference", event.location?.status === "failed");
    for (const invitee of invitees) {
      seen("rescheduled", invitee.rescheduled && invitee.new_invitee);
      seen("no-show", invitee.no_show);
      seen("payment", invitee.payment);
      seen("answers", invitee.questions_and_answers.length > 1);
      seen("tracking", invitee.tracking.utm_source);
      seen("reconfirmation", invitee.reconfirmation);
      seen("unicode", /[^\0-\xff]/.test(invitee.name));
      seen("no timezone", invitee.timezone === null);
      seen("one seat canceled", event.status === "active" && invitee.status === "canceled");
    }
    assert.notEqual(event.location?.status, "processing");
  }
  const expected = [
    ..."physical outbound_call inbound_call custom ask_invitee google_conference zoom".split(" "),
    ..."gotomeeting microsoft_teams_conference webex_conference undefined".split(" "),
    ..."active canceled guests payment answers tracking reconfirmation unicode".split(" "),
    ..."rescheduled no-show".split(" "),
    ...["no name", "several hosts", "several invitees", "old id", "failed conference"],
    ...["no timezone", "one seat canceled"],
  ];
  assert.deepEqual([...kinds].sort(), expected.sort());
});

Deno.test("a plain account has one host and one active invitee an event, or none where so asked", () => {
  const sandbox = pinned();
  sandbox.control.populate({ events: 50, variety: "plain", with_invitees: 20 });
  const counters = sandbox.truth().scheduled_events.map(({ event }) => event.invitees_counter);
  assert.equal(counters.length, 50);
  assert.equal(counters.filter(({ total, active }) => total === 1 && active === 1).length, 20);
  assert.equal(counters.filter(({ total }) => total === 0).length, 30);
});

Deno.test("an account can be populated again and again, each time by exactly so many events", () => {
  for (const [seed, before, added] of [[1, 100, 1500], [2, 1000, 1500], [3, 250, 250]]) {
    const sandbox = pinned({ seed, events: before });
    const result = sandbox.control.populate({ events: added });
    assert.equal(result.events, added);
    const { scheduled_events } = sandbox.truth();
    assert.equal(scheduled_events.length, before + added);
    for (const { event, invitees } of scheduled_events) {
      const { active, limit, total } = event.invitees_counter;
      assert.ok(active <= limit && total === invitees.length, JSON.stringify(event));
    }
    const slots = scheduled_events
      .filter(({ event }) => event.invitees_counter.limit > 1)
      .map(({ event }) => `${event.event_type} ${event.start_time}`);
    assert.equal(new Set(slots).size, slots.length, "one workshop at a time");
  }
});

Deno.test("an account is populated whatever there was before, and in however short a time", () => {
  const sandbox = pinned();
  const { control } = sandbox;
  const event_type = control.create_event_type({ kind: "group", seats: 2 }).uri;
  for (let i = 0; i < 3; i++) control.book({ event_type, start_time: "2026-03-04T10:00:00Z" });
  const before = sandbox.truth().scheduled_events.length;
  control.populate({ events: 200, from: "2026-03-04T00:00:00Z", to: "2026-03-05T00:00:00Z" });
  control.populate({ events: 100, from: "2026-03-04T10:00:00Z", to: "2026-03-04T10:00:01Z" });
  assert.equal(sandbox.truth().scheduled_events.length, before + 300);

  control.join({ organization: control.create_organization().uri, role: "owner" });
  control.populate({ events: 30, variety: "plain" });
  control.populate({ events: 30 });
  assert.equal(sandbox.truth().scheduled_events.length, before + 360);
});
