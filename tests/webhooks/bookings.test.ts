/** What happens to bookings, told by webhooks alone: complete, once, and right for everybody concerned. */
import assert from "node:assert/strict";
import type { Invitee } from "../../sandbox/mod.ts";
import { assertMirrors, time } from "../functions/mirror.ts";
import type { Person } from "../functions/support.ts";
import { asDelivered, hookTest } from "./support.ts";

/** A person's meetings in short. */
async function calendar(person: Person): Promise<string[]> {
  return (await person.meetings()).map(({ name, status, deleted_reason }) =>
    [name, status, deleted_reason].filter(Boolean).join(" ")
  );
}

async function guests(person: Person): Promise<string[]> {
  return (await person.invitees()).map(({ name, status }) => `${name} ${status}`);
}

hookTest("a booking is complete without a request to Calendly", async (hooks) => {
  const person = await hooks.person();
  person.requests();
  const { event, invitee } = hooks.control.book({
    user: person.host.uri,
    conference: "pushed",
    location: "zoom",
    guests: ["guest@example.com"],
    invitee: {
      name: "Zoë O’Connor 🎉",
      first_name: "Zoë",
      last_name: "O’Connor 🎉",
      email: "zoe+calendly@example.ie",
      timezone: "Asia/Calcutta",
      questions_and_answers: [{ question: "¿Qué temas?", answer: "uno\ndos", position: 3 }],
      tracking: { utm_source: "news", salesforce_uuid: "x" },
      payment: {
        external_id: "ch_1",
        provider: "stripe",
        amount: 1234.56,
        currency: "EUR",
        terms: null,
        successful: true,
      },
      text_reminder_number: "+34600000000",
    },
  });
  assert.deepEqual(await hooks.deliver(), [200]);

  const [meeting, ...otherMeetings] = await person.meetings();
  assert.deepEqual(otherMeetings, []);
  delete event.location!.data!.password;
  assert.deepEqual(meeting.raw, asDelivered(event));
  const { id: _, raw: __, created_at: ___, updated_at: ____, ...columns } = meeting;
  assert.deepEqual(columns, {
    user_id: person.id,
    calendly_event_uri: event.uri,
    name: event.name,
    status: "active",
    start_time: columns.start_time,
    end_time: columns.end_time,
    event_type_uri: event.event_type,
    location_type: "zoom",
    location: null,
    join_url: event.location!.join_url,
    cancellation: null,
    rescheduled_from: null,
    rescheduled_to: null,
    is_deleted: false,
    deleted_at: null,
    deleted_reason: null,
    synced_via_webhook: true,
    calendly_created_at: columns.calendly_created_at,
    calendly_updated_at: columns.calendly_updated_at,
  });
  assert.deepEqual(
    [columns.start_time, columns.end_time, columns.calendly_created_at, columns.calendly_updated_at]
      .map(time),
    [event.start_time, event.end_time, event.created_at, event.updated_at],
  );

  const [guest, ...otherGuests] = await person.invitees();
  assert.deepEqual(otherGuests, []);
  assert.deepEqual(guest.raw, invitee);
  assert.deepEqual(
    [
      guest.email,
      guest.name,
      guest.timezone,
      guest.questions_and_answers,
      guest.tracking,
      guest.payment,
    ],
    [
      invitee.email,
      invitee.name,
      invitee.timezone,
      invitee.questions_and_answers,
      invitee.tracking,
      invitee.payment,
    ],
  );
  assert.equal(person.requests(), 0);
});

hookTest(
  "a meeting that a webhook made costs no invitee request at the next sync",
  async (hooks) => {
    const person = await hooks.person();
    await person.sync();
    hooks.control.book({ user: person.host.uri, conference: "pushed" });
    hooks.control.book({ user: person.host.uri, location: "physical" });
    await hooks.deliver();
    person.requests();
    const { body } = await person.sync();
    assert.deepEqual([body.created, body.deleted, body.requests, person.requests()], [0, 0, 1, 1]);
    await assertMirrors(person);
    assert.deepEqual((await person.sync()).body.unchanged, 2);
  },
);

hookTest(
  "a delivery that is repeated, or comes by two subscriptions, counts once",
  async (hooks) => {
    const person = await hooks.person();
    await hooks.subscribe(person, { scope: "organization" });
    const { event } = hooks.control.book({ user: person.host.uri });
    assert.deepEqual(await hooks.deliver({ duplicate: 2 }), [200, 200]);
    hooks.control.cancel({ event: event.uri });
    assert.deepEqual(await hooks.deliver({ order: "reversed" }), [200, 200]);
    await hooks.project.advance("1h");
    await hooks.deliver({}, "all");

    assert.deepEqual((await hooks.events()).map(({ event_type, status }) => [event_type, status]), [
      ["invitee.canceled", "processed"],
      ["invitee.created", "processed"],
    ]);
    assert.deepEqual(await calendar(person), ["30 Minute Meeting canceled canceled"]);
    assert.equal((await person.invitees()).length, 1);
    assert.deepEqual(hooks.said(), [
      "Meeting created from webhook",
      ...Array(5).fill("Webhook event already processed, skipping"),
      "Meeting updated from webhook",
      ...Array(5).fill("Webhook event already processed, skipping"),
    ]);
  },
);

hookTest(
  "a group event has everybody in it and survives one invitee's cancellation",
  async (hooks) => {
    const person = await hooks.person();
    const event_type =
      hooks.control.create_event_type({ user: person.host.uri, kind: "group", seats: 3 }).uri;
    const { event, invitee: ana } = hooks.control.book({ event_type, invitee: { name: "Ana" } });
    hooks.control.book({ event: event.uri, invitee: { name: "Ben" } });
    hooks.control.book({ event: event.uri, invitee: { name: "Cai" } });
    await hooks.deliver({ order: "reversed" });
    assert.deepEqual(await guests(person), ["Ana active", "Ben active", "Cai active"]);

    hooks.control.cancel({ invitee: ana.uri });
    await hooks.deliver();
    assert.deepEqual(await guests(person), ["Ana canceled", "Ben active", "Cai active"]);
    assert.deepEqual(await calendar(person), ["30 Minute Meeting active"]);
    const [{ raw }] = await person.meetings();
    assert.deepEqual(raw.invitees_counter, { total: 3, active: 2, limit: 3 });

    hooks.control.cancel({ event: event.uri, reason: "ill" });
    await hooks.deliver({ order: "shuffled" });
    assert.deepEqual(await guests(person), ["Ana canceled", "Ben canceled", "Cai canceled"]);
    const [meeting] = await person.meetings();
    assert.deepEqual([meeting.is_deleted, meeting.cancellation.reason], [true, "ill"]);
  },
);

hookTest("a collective event has a row for each host who is a user", async (hooks) => {
  const ana = await hooks.person();
  const ben = await hooks.person();
  const stranger = hooks.control.create_user({ email: "stranger@example.com" });
  const event_type = hooks.control.create_event_type({
    user: stranger.uri,
    hosts: [ana.host.uri, ben.host.uri],
    pooling_type: "collective",
  }).uri;
  const bystander = await hooks.person();
  // the stranger's organization has the event, and one of its members our subscription
  hooks.control.join({
    user: ana.host.uri,
    organization: stranger.current_organization,
    role: "admin",
  });
  await hooks.subscribe(ana, { scope: "organization" });

  const { event } = hooks.control.book({ event_type, conference: "pushed" });
  await hooks.deliver();
  for (const host of [ana, ben]) {
    assert.deepEqual(await calendar(host), ["30 Minute Meeting active"]);
    assert.deepEqual(await guests(host), ["Jane Doe active"]);
  }
  hooks.control.cancel({ event: event.uri });
  await hooks.deliver();
  for (const host of [ana, ben]) assert.deepEqual(await guests(host), ["Jane Doe canceled"]);
  assert.deepEqual(await bystander.meetings(), []);

  assert.equal((await hooks.project.stack.sql("select from public.calendly_meetings")).length, 2);
});

for (const order of ["created", "reversed"] as const) {
  hookTest(
    `a reschedule is one story, told ${order === "created" ? "in order" : "backwards"}`,
    async (hooks) => {
      const person = await hooks.person();
      const { event, invitee } = hooks.control.book({
        user: person.host.uri,
        location: "physical",
      });
      const booked = await hooks.take();
      const { new: moved } = hooks.control.reschedule({ invitee: invitee.uri, reason: "flu" });
      if (order === "created") { for (const body of booked) await hooks.send(body); }
      await hooks.deliver({ order });
      if (order === "reversed") { for (const body of booked) await hooks.send(body); }

      const former = await person.meeting(event.uri);
      const present = await person.meeting(moved.event.uri);
      assert.deepEqual(
        [former.rescheduled_from, former.rescheduled_to, former.deleted_reason],
        [null, moved.event.uri, "canceled"],
      );
      assert.deepEqual(
        [present.rescheduled_from, present.rescheduled_to, present.deleted_reason],
        [event.uri, null, null],
      );
      assert.deepEqual(
        (await person.invitees()).map(({ uri, status, rescheduled, old_invitee, new_invitee }) => ({
          uri,
          status,
          rescheduled,
          old_invitee,
          new_invitee,
        })),
        [
          {
            uri: invitee.uri,
            status: "canceled",
            rescheduled: true,
            old_invitee: null,
            new_invitee: moved.invitee.uri,
          },
          {
            uri: moved.invitee.uri,
            status: "active",
            rescheduled: false,
            old_invitee: invitee.uri,
            new_invitee: null,
          },
        ],
      );
      await person.sync();
      await assertMirrors(person);
    },
  );
}

hookTest("a reschedule to another host moves between two people's calendars", async (hooks) => {
  const ana = await hooks.person();
  const ben = await hooks.person();
  const type = hooks.control.create_event_type({
    user: ana.host.uri,
    hosts: [ben.host.uri],
    pooling_type: "round_robin",
  });
  hooks.control.join({ user: ben.host.uri, organization: ana.host.current_organization });
  await hooks.subscribe(ben);
  const booked = hooks.control.book({ event_type: type.uri });
  const [host, other] = booked.event.event_memberships[0].user === ana.host.uri
    ? [ana, ben]
    : [ben, ana];
  const { new: moved } = hooks.control.reschedule({
    invitee: booked.invitee.uri,
    user: other.host.uri,
  });
  await hooks.deliver({ order: "reversed" });
  assert.equal((await host.meeting(booked.event.uri)).rescheduled_to, moved.event.uri);
  assert.equal((await other.meeting(moved.event.uri)).rescheduled_from, booked.event.uri);
  assert.equal((await host.meetings()).length + (await other.meetings()).length, 2);
});

hookTest("a cancellation that overtakes its booking is not undone by it", async (hooks) => {
  const person = await hooks.person();
  const { invitee } = hooks.control.book({ user: person.host.uri });
  await hooks.project.advance("1m");
  hooks.control.cancel({ invitee: invitee.uri, reason: "a cold" });
  await hooks.deliver({ order: "reversed" });
  const [meeting] = await person.meetings();
  assert.deepEqual(
    [meeting.status, meeting.is_deleted, meeting.deleted_reason, meeting.cancellation.reason],
    ["canceled", true, "canceled", "a cold"],
  );
  const [guest] = await person.invitees() as [{ raw: Invitee; status: string }];
  assert.deepEqual([guest.status, guest.raw.cancellation!.reason], ["canceled", "a cold"]);
});

hookTest("bookings of a host who is no user are ignored", async (hooks) => {
  const person = await hooks.person();
  const stranger = hooks.control.create_user({
    email: "stranger@example.com",
    organization: person.host.current_organization,
  });
  await hooks.subscribe(person, { scope: "organization" });
  hooks.control.book({ user: stranger.uri });
  assert.deepEqual(await hooks.deliver(), [200]);
  assert.deepEqual(
    (await hooks.events()).map((
      { status, error, processed_at },
    ) => [status, error, processed_at !== null]),
    [
      ["ignored", null, true],
    ],
  );
  assert.deepEqual(await hooks.project.stack.sql("select * from public.calendly_meetings"), []);
  assert.deepEqual(hooks.said(), ["Webhook event ignored"]);
});

hookTest("a booking outside every sync's range is kept all the same", async (hooks) => {
  const person = await hooks.person();
  const { event } = hooks.control.book({
    user: person.host.uri,
    start_time: "2029-07-01T10:00:00Z",
    location: "physical",
  });
  await hooks.deliver();
  await person.sync();
  await person.sync({ full: true });
  assert.equal((await person.meeting(event.uri)).is_deleted, false);
  hooks.control.cancel({ event: event.uri });
  await hooks.deliver();
  assert.equal((await person.meeting(event.uri)).deleted_reason, "canceled");
});

hookTest("other kinds of events are stored and ignored", async (hooks) => {
  const person = await hooks.person();
  const kinds = [
    "routing_form_submission.created",
    "event_type.updated",
    "contact.deleted",
    "meeting_recap.created",
    "invitee.moved",
    "",
    null,
    7,
    { a: 1 },
  ];
  for (const event of kinds) {
    const body = {
      event,
      created_at: "2026-03-02T10:00:00.000000Z",
      created_by: person.host.uri,
      payload: { uri: "https://api.calendly.com/x/1" },
    };
    assert.deepEqual((await hooks.send(body)).body, { status: "ignored" }, String(event));
    assert.deepEqual((await hooks.send(body)).body, { status: "duplicate" }, String(event));
  }
  for (const body of [[], '"text"', 1, true, null, {}]) {
    assert.deepEqual((await hooks.send(body)).body, { status: "ignored" }, JSON.stringify(body));
  }
  const stored = await hooks.events();
  assert.equal(stored.length, kinds.length + 6);
  assert.ok(stored.every(({ status }) => status === "ignored"));
  assert.deepEqual(await person.meetings(), []);
});
