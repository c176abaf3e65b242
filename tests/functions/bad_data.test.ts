/** Whatever Calendly sends, the rest of it is synced, nothing is deleted, and the run says what it rejected. */
import assert from "node:assert/strict";
import { assertMirrors, time } from "./mirror.ts";
import { day, type Person, type Project, projectTests } from "./support.ts";

/** Events of a person by start time, as Calendly has them. */
function eventsOf(person: Person) {
  return person.project.sandbox.truth().scheduled_events.filter(({ event }) =>
    event.event_memberships.some(({ user }) => user === person.host.uri)
  );
}

async function withEvents(project: Project, events: number) {
  const person = await project.person({ events, variety: "plain", from: day(2), to: day(62) });
  const override = (uri: string, fields: Record<string, unknown> | null) =>
    project.sandbox.control.override({ uri, fields });
  return { person, events: eventsOf(person), override };
}

/** What an event may say that no event can be. */
const IMPOSSIBLE: [string, Record<string, unknown>][] = [
  ["the 30th of February", { start_time: "2026-02-30T10:00:00.000000Z" }],
  ["a time without a zone", { start_time: "2026-04-01T10:00:00.000000" }],
  ["a time in words", { end_time: "tomorrow" }],
  ["a year that Postgres does not know", { end_time: "0000-01-01T00:00:00.000000Z" }],
  ["no start", { start_time: null }],
  ["an end before the start", { end_time: day(-300) }],
  ["no clock", { updated_at: 12 }],
  ["a status of its own", { status: "tentative" }],
  ["another person as its only host", {
    event_memberships: [{ user: "https://api.calendly.com/users/X" }],
  }],
  ["no name of its own", { uri: null }],
  ["a name that names no event", { uri: "https://api.calendly.com/users/X" }],
  ["a name without an end", {
    uri: `https://api.calendly.com/scheduled_events/${randomText(5000)}`,
  }],
];

/** What an event may lack in the person's own listing. */
const INCOMPLETE: Record<string, unknown>[] = [
  { status: null },
  { end_time: null },
  { created_at: null, updated_at: null },
  { event_memberships: [] },
  { event_memberships: { user: "me" } },
  { event_memberships: [null, 1, "x", [], {}, { user: null }, { user: {} }] },
];

/** So many objects inside each other. */
function deep(levels: number): unknown {
  return JSON.parse('{"a":'.repeat(levels) + "1" + "}".repeat(levels));
}

/** Text that no compression makes shorter. */
function randomText(length: number): string {
  return Array.from(
    { length },
    (_, place) => ((place * 2654435761) % 4294967296).toString(36)[3] ?? "0",
  ).join("");
}

projectTests("Bad data", {
  "text that Postgres refuses": async (project, t) => {
    await t.step("NUL and lone surrogates become U+FFFD, everywhere", async () => {
      const { person, events, override } = await withEvents(project, 3);
      const bad = "a\u0000b\ud800c\udc00d";
      const good = "a\ufffdb\ufffdc\ufffdd";
      const [{ event, invitees: [invitee] }] = events;
      override(event.uri, { name: bad, [bad]: [{ [bad]: bad }], meeting_notes_plain: "😀 \ud83d" });
      override(invitee.uri, {
        name: bad,
        email: `${bad}@example.com`,
        questions_and_answers: [{ question: bad, answer: "\u0000", position: 0 }],
      });
      const { body } = await person.sync();
      assert.deepEqual([body.status, body.created, body.rejected], ["complete", 3, 0]);
      const meeting = await person.meeting(event.uri);
      assert.equal(meeting.name, good);
      assert.deepEqual(meeting.raw[good], [{ [good]: good }]);
      assert.equal(meeting.raw.meeting_notes_plain, "😀 \ufffd");
      const stored = (await person.invitees()).find(({ uri }) => uri === invitee.uri);
      assert.deepEqual([stored.name, stored.email], [good, `${good}@example.com`]);
      assert.equal(stored.questions_and_answers[0].answer, "\ufffd");
      assert.equal((await person.sync()).body.unchanged, 3);
    });

    await t.step(
      "backslashes, quotes, keys of JavaScript's own and long texts are just text",
      async () => {
        const { person, events: [{ event }], override } = await withEvents(project, 1);
        const name = String.raw`\u0000 '; drop table meetings; -- "\" ` + "x".repeat(100_000);
        const fields = JSON.parse(
          JSON.stringify({ name }).replace(/}$/, ',"__proto__":{"a":1},"constructor":2}'),
        );
        override(event.uri, fields);
        assert.equal((await person.sync()).body.rejected, 0);
        const row = await person.meeting(event.uri);
        assert.equal(row.name, name);
        assert.equal(row.raw.constructor, 2);
      },
    );
  },

  "an impossible event among a hundred": async (project, t) => {
    const { person, events, override } = await withEvents(project, 100);
    await t.step("is rejected, and the others are there", async () => {
      IMPOSSIBLE.forEach(([, fields], place) => override(events[place * 5].event.uri, fields));
      const { body } = await person.sync();
      const rest = 100 - IMPOSSIBLE.length;
      assert.deepEqual([body.status, body.created, body.rejected], [
        "complete",
        rest,
        IMPOSSIBLE.length,
      ]);
      assert.equal(body.requests, 1 + rest);
      IMPOSSIBLE.forEach(([name], place) => {
        const { uri } = events[place * 5].event;
        const named = body.rejections.some((rejection: { uri: string }) => rejection.uri === uri);
        assert.ok(named || name.includes("name "), name);
      });
      assert.ok(body.rejections.every(({ problem }: { problem: string }) => problem.length > 5));
      const [run] = await person.runs();
      assert.deepEqual([run.rejected, run.rejections.length], [
        body.rejected,
        body.rejections.length,
      ]);
      assert.equal((await person.meetings()).length, rest);
    });

    await t.step("comes in when it has become possible", async () => {
      IMPOSSIBLE.forEach((_, place) => override(events[place * 5].event.uri, null));
      await project.advance("1m");
      const { body } = await person.sync();
      assert.deepEqual([body.created, body.rejected], [IMPOSSIBLE.length, 0]);
      await assertMirrors(person);
    });

    await t.step("leaves what is known of it as it was, and is not missing", async () => {
      await project.advance("1m");
      // The others name another event, or another host.
      const known = IMPOSSIBLE.slice(0, 8);
      known.forEach(([, fields], place) => override(events[place].event.uri, fields));
      const { body } = await person.sync();
      assert.deepEqual([body.deleted, body.rejected, body.requests], [0, known.length, 1]);
      known.forEach((_, place) => override(events[place].event.uri, null));
      await assertMirrors(person);
    });
  },

  "an incomplete event among others": async (project, t) => {
    const { person, events, override } = await withEvents(project, 10);
    INCOMPLETE.forEach((fields, place) => override(events[place].event.uri, fields));
    const { body } = await person.sync();
    assert.deepEqual([body.status, body.created, body.rejected], ["complete", 10, 0]);
    INCOMPLETE.forEach((_, place) => override(events[place].event.uri, null));
    await t.step("is whole when the listing is", async () => {
      await project.advance("1m");
      assert.deepEqual((await person.sync()).body.rejected, 0);
      await assertMirrors(person);
    });
  },

  "rows of any other form": async (project, t) => {
    await t.step("that are no events are rejected one by one", async () => {
      const { person, events } = await withEvents(project, 2);
      const collection = [null, 1, "text", true, [], {}, ...events.map(({ event }) => event)];
      project.sandbox.control.faults({
        path: "/scheduled_events",
        effect: { kind: "status", status: 200, body: { collection, pagination: {} } },
      });
      const { body } = await person.sync();
      assert.deepEqual([body.status, body.created, body.rejected], ["complete", 2, 6]);
      await assertMirrors(person);
    });

    await t.step("that are unusual events are taken as they are", async () => {
      const unusual: Record<string, unknown>[] = [
        { location: null },
        { location: "the moon" },
        { location: [1] },
        { location: { type: "hologram", data: "x", status: 7 } },
        { name: null },
        { name: { first: "An", last: "Object" } },
        { invitees_counter: null },
        { invitees_counter: { total: "many", active: -1 } },
        { invitees_counter: { total: 1e12, active: 1e300 } },
        { event_guests: "none", calendar_event: 5 },
        { start_time: "2026-04-01T10:00:00+02:00", end_time: "2026-04-01T10:00:00.5Z" },
        { start_time: "9999-12-31T23:59:59.999999Z", end_time: "9999-12-31T23:59:59.999999Z" },
        { unheard_of: deep(40) },
      ];
      const { person, events, override } = await withEvents(project, unusual.length);
      unusual.forEach((fields, place) => override(events[place].event.uri, fields));
      const { body } = await person.sync();
      assert.deepEqual([body.status, body.rejected, body.created], ["complete", 0, unusual.length]);
      const dated = await person.meeting(events[10].event.uri);
      assert.deepEqual(
        [time(dated.start_time), time(dated.end_time)],
        ["2026-04-01T08:00:00.000000Z", "2026-04-01T10:00:00.500000Z"],
      );
      await project.advance("1m");
      assert.deepEqual((await person.sync()).body.deleted, 0);
    });
  },

  "a URI is a name: no address, and no part of one but the last": async (project) => {
    const { person, events: [{ event }], override } = await withEvents(project, 1);
    override(event.uri, { uri: "https://elsewhere.example.com/scheduled_events/a?b#c%2Fd" });
    person.requests();
    await person.sync();
    const { requests } = project.sandbox.control.requests({ user: person.host.uri });
    assert.equal(person.requests(), 2);
    assert.equal(requests.at(-1)!.path, "/scheduled_events/a%3Fb%23c%252Fd/invitees");
  },

  "an impossible invitee": async (project, t) => {
    const { control } = project.sandbox;
    const impossible: Record<string, unknown>[] = [
      { status: "maybe" },
      { updated_at: "never" },
      { uri: null },
      { uri: "https://api.calendly.com/scheduled_events/OTHER/invitees/OTHER" },
      { no_show: { created_at: "once", uri: "x" } },
    ];
    const person = await project.person();
    const workshop = control.create_event_type({
      user: person.host.uri,
      kind: "group",
      seats: 10,
      locations: null,
    });
    const booked = ["A", "B", "C", "D", "E", "F", "G"].map((name) =>
      control.book({ event_type: workshop.uri, start_time: day(5), invitee: { name } })
    );
    const override = (fields: (place: number) => Record<string, unknown> | null) =>
      impossible.forEach((_, place) =>
        control.override({ uri: booked[place].invitee.uri, fields: fields(place) })
      );

    await t.step("is rejected, and the others are there", async () => {
      override((place) => impossible[place]);
      const { body } = await person.sync();
      assert.deepEqual([body.status, body.rejected], ["complete", impossible.length]);
      assert.deepEqual((await person.invitees()).map(({ name }) => name), ["F", "G"]);
    });

    await t.step("comes in when it has become possible", async () => {
      override(() => null);
      await project.advance("1m");
      await person.sync({ full: true });
      await assertMirrors(person);
    });

    await t.step("leaves what is known of it as it was", async () => {
      await project.advance("1m");
      override((place) => place === 2 || place === 3 ? null : impossible[place]);
      const { body } = await person.sync({ full: true });
      assert.deepEqual([body.status, body.rejected, body.updated], ["complete", 3, 0]);
      override(() => null);
      await assertMirrors(person);
    });
  },

  "a listing that changes while it is read": async (project, t) => {
    const { control } = project.sandbox;
    await project.set("page_size", 10);

    await t.step("with the last row of a page again on the next counts it once", async () => {
      const { person } = await withEvents(project, 30);
      control.faults({
        path: "/scheduled_events",
        user: person.host.uri,
        skip: 1,
        effect: { kind: "duplicate_row" },
      });
      const { body } = await person.sync();
      assert.deepEqual([body.created, body.unchanged, body.requests], [30, 0, 4 + 30]);
      assert.deepEqual(body.fetched, { active: 30, canceled: 0 });
      await assertMirrors(person);
    });

    const changes: [
      string,
      (events: string[], person: Person) => { verb: string; arguments: Record<string, unknown> },
    ][] = [
      [
        "a booking before the page",
        (_, { host }) => ({
          verb: "book",
          arguments: { user: host.uri, start_time: day(2.5), location: "physical" },
        }),
      ],
      [
        "a booking after the page",
        (_, { host }) => ({
          verb: "book",
          arguments: { user: host.uri, start_time: day(61), location: "physical" },
        }),
      ],
      [
        "a cancellation on a page before",
        (events) => ({ verb: "cancel", arguments: { event: events[3] } }),
      ],
      [
        "a meeting moved from a page before to one after",
        (events) => ({
          verb: "edit",
          arguments: { event: events[3], set: { start_time: day(63), end_time: day(64) } },
        }),
      ],
      [
        "a meeting moved from a page after to one before",
        (events) => ({
          verb: "edit",
          arguments: { event: events[28], set: { start_time: day(1), end_time: day(1.5) } },
        }),
      ],
      [
        "an erased meeting on a page before",
        (events) => ({ verb: "erase_event", arguments: { event: events[3] } }),
      ],
      [
        "an erased meeting on a page after",
        (events) => ({ verb: "erase_event", arguments: { event: events[28] } }),
      ],
      [
        "a reschedule across pages",
        (events) => ({ verb: "reschedule", arguments: { event: events[3], start_time: day(60) } }),
      ],
    ];
    for (const [name, change] of changes) {
      await t.step(`with ${name} is right at the latest after the next sync`, async () => {
        const { person, events } = await withEvents(project, 30);
        await person.sync();
        await project.advance("1m");
        const uris = events.map(({ event }) => event.uri);
        control.faults({
          path: "/scheduled_events",
          user: person.host.uri,
          skip: 1,
          effect: { kind: "change", ...change(uris, person) },
        });
        assert.equal((await person.sync()).body.status, "complete");
        await project.advance("1m");
        await person.sync();
        const gone = (await person.meetings()).filter(({ deleted_reason }) =>
          deleted_reason === "gone"
        );
        assert.equal(gone.length, name.includes("erased") ? 1 : 0);
        await project.stack.sql("delete from calendly_meetings where deleted_reason = 'gone'");
        await assertMirrors(person);
      });
    }
  },
});
