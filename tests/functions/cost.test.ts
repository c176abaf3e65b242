/** What a sync costs: requests to Calendly, calls to Postgres, versions of rows. */
import assert from "node:assert/strict";
import { assertMirrors } from "./mirror.ts";
import { day, idOf, type Person, projectTests } from "./support.ts";

/** All in the range of an INCREMENTAL sync. */
const QUARTER_THOUSAND = { events: 250, variety: "plain", from: day(-80), to: day(170) } as const;

projectTests("Cost", {
  "a sync of 250 events with one invitee each": async (project, t) => {
    const person = await project.person(QUARTER_THOUSAND);
    person.requests();

    await t.step("the first costs three pages and an invitees request for each event", async () => {
      const { body } = await person.sync();
      assert.deepEqual([body.created, body.requests], [250, 3 + 250]);
      assert.equal(person.requests(), 3 + 250);
      await assertMirrors(person);
    });

    await t.step(
      "unchanged, the next costs three requests and five calls, and writes no row",
      async () => {
        await project.advance("7m");
        const before = await rowVersions(person);
        project.wire.calls.length = 0;
        const { body } = await person.sync();
        assert.deepEqual([body.sync_type, body.unchanged, body.requests], ["INCREMENTAL", 250, 3]);
        assert.equal(person.requests(), 3);
        assert.deepEqual(project.wire.calls, [
          "calendly_begin_sync",
          "calendly_apply_step",
          "calendly_apply_step",
          "calendly_apply_step",
          "calendly_finish_sync",
        ]);
        assert.deepEqual(await rowVersions(person), before);
      },
    );

    await t.step("what changed is all that is read and written", async () => {
      await project.advance("7m");
      const [changed] = (await person.meetings()).slice(-1);
      project.sandbox.control.edit({ event: changed.calendly_event_uri, set: { name: "Renamed" } });
      const before = await rowVersions(person);
      assert.equal((await person.sync()).body.requests, 3 + 1);
      const after = await rowVersions(person);
      assert.deepEqual(after.calendly_invitees, before.calendly_invitees);
      assert.equal(
        after.calendly_meetings.filter((version, row) => version !== before.calendly_meetings[row])
          .length,
        1,
      );
    });

    await t.step("a FULL one costs no more where nothing changed", async () => {
      await project.advance("7m");
      const before = await rowVersions(person);
      await project.stack.sql(
        `update calendly_users set calendly_initial_sync_complete = false where id = ${person.id}`,
      );
      const { body } = await person.sync();
      assert.deepEqual([body.sync_type, body.unchanged, body.requests], ["FULL", 250, 3]);
      assert.deepEqual(await rowVersions(person), before);
    });
  },

  "invitees are asked for only where there may be news of them": async (project, t) => {
    const { control } = project.sandbox;

    await t.step("never for an event without any", async () => {
      const person = await project.person({ ...QUARTER_THOUSAND, events: 20, with_invitees: 5 });
      assert.equal((await person.sync()).body.requests, 1 + 5);
      assert.equal((await person.sync({ full: true })).body.requests, 1 + 5);
      await assertMirrors(person);
    });

    await t.step("upcoming meetings first, the nearest before the others", async () => {
      const person = await project.person({ ...QUARTER_THOUSAND, events: 60 });
      control.clear_requests();
      await person.sync();
      const due = control.state().scheduled_events
        .filter(({ event }) => event.event_memberships.some(({ user }) => user === person.host.uri))
        .map(({ event }) => ({ id: idOf(event.uri), start: Date.parse(event.start_time) }));
      const now = Date.parse(project.now);
      due.sort((a, b) =>
        Number(a.start < now) - Number(b.start < now) ||
        Math.abs(a.start - now) - Math.abs(b.start - now)
      );
      const asked = control.requests({ path: "/scheduled_events/*/invitees" }).requests
        .map(({ path }) => path.split("/")[2]);
      assert.equal(asked.length, 60);
      // requests that run at once, 20 at most, may overtake each other
      due.forEach(({ id }, place) =>
        assert.ok(Math.abs(asked.indexOf(id) - place) < 20, `${place}`)
      );
    });

    await t.step("of a group, in one request however many seats changed", async () => {
      const person = await project.person();
      const event_type = workshop(person);
      const book = (name: string) =>
        control.book({
          event_type,
          user: person.host.uri,
          start_time: day(3),
          invitee: { name },
        });
      book("One");
      assert.equal((await person.sync()).body.requests, 1 + 1);
      await project.advance("1m");
      book("Two");
      control.cancel({ invitee: book("Three").invitee.uri });
      assert.equal((await person.sync()).body.requests, 1 + 1);
      await assertMirrors(person);
      assert.equal((await person.sync()).body.requests, 1);
    });

    await t.step("of a counter that moved although the event's updated_at did not", async () => {
      const person = await project.person();
      const event_type = workshop(person);
      const book = (touch: boolean) =>
        control.book({
          event_type,
          user: person.host.uri,
          start_time: day(4),
          touch,
        });
      book(true);
      await person.sync();
      await project.advance("1m");
      book(false);
      const { body } = await person.sync();
      assert.deepEqual([body.requests, body.updated], [1 + 1, 1]);
      await assertMirrors(person);
    });
  },

  "the rate limit that Calendly tells of is kept on the connection": async (project) => {
    const person = await project.person({ ...QUARTER_THOUSAND, events: 10 });
    project.sandbox.control.set_rate_limit({ user: person.host.uri, limit: 50 });
    await person.sync();
    const [row] = await project.stack.sql(
      "select rate_limit, rate_remaining, rate_resets_at from calendly_connections where user_id = $1",
      [person.id],
    );
    // one for connecting, one page, ten events
    assert.deepEqual([row.rate_limit, row.rate_remaining], [50, 50 - 12]);
    assert.equal(Date.parse(row.rate_resets_at), Date.parse(project.now) + 60_000);
  },
});

/** An event type of the person's with seats. */
function workshop({ host, project }: Person): string {
  return project.sandbox.control.create_event_type({
    user: host.uri,
    kind: "group",
    seats: 8,
    locations: null,
  }).uri;
}

/** Which version of each row is there now. */
async function rowVersions(person: Person): Promise<Record<string, string[]>> {
  const versions: Record<string, string[]> = {};
  for (const table of ["calendly_meetings", "calendly_invitees"]) {
    const rows = await person.project.stack.sql(
      `select concat_ws(' ', id, ctid, xmin) as version from public.${table} where user_id = $1 order by id`,
      [person.id],
    );
    versions[table] = rows.map(({ version }) => version);
  }
  return versions;
}
