/** The way of a sync: first FULL, then INCREMENTAL; what it answers, what it logs, what it leaves behind. */
import assert from "node:assert/strict";
import { assertMirrors, time } from "./mirror.ts";
import { day, NOW, projectTests, until } from "./support.ts";

const FULL_RANGE = { min_start_time: day(-730), max_start_time: day(365) };
const INCREMENTAL_RANGE = { min_start_time: day(-90), max_start_time: day(180) };
const FULL_STARTS = "FULL SYNC: Fetching all Calendly events (2 years back, 1 year forward)";
const INCREMENTAL_STARTS =
  "INCREMENTAL SYNC: Fetching recent Calendly events (3 months back, 6 months forward)";
const FIRST_FULL_ENDS = "Initial sync complete - future syncs will be incremental";

/** A dozen meetings in the range of an INCREMENTAL sync, with one invitee each. */
const DOZEN = { events: 12, variety: "plain", from: day(-60), to: day(60) } as const;

projectTests("Sync", {
  "the first sync of a person is FULL, those after it INCREMENTAL": async (project, t) => {
    const person = await project.person({ events: 120, from: day(-700), to: day(300) });
    const truth = project.sandbox.truth().scheduled_events
      .filter(({ event }) => event.event_memberships.some(({ user }) => user === person.host.uri));
    const withStatus = (status: string) =>
      truth.filter(({ event }) => event.status === status).length;
    const inWindow = truth.filter(({ event }) =>
      event.start_time > day(-90) && event.start_time < day(180)
    );

    await t.step("FULL brings two years back and one year forward", async () => {
      const { status, body } = await person.sync();
      const { run_id, duration_ms, ...rest } = body;
      assert.equal(status, 200);
      assert.match(run_id, /^[0-9a-f-]{36}$/);
      assert.ok(Number.isInteger(duration_ms) && duration_ms >= 0);
      const toRead = truth.filter(({ invitees }) => invitees.length > 0).length;
      assert.deepEqual(rest, {
        user_id: person.id,
        sync_type: "FULL",
        range: FULL_RANGE,
        fetched: { active: withStatus("active"), canceled: withStatus("canceled") },
        created: 120,
        updated: 0,
        unchanged: 0,
        deleted: 0,
        restored: 0,
        rejected: 0,
        requests: 2 + toRead,
        status: "complete",
      });
      assert.deepEqual(await person.said(3), [
        FULL_STARTS,
        FIRST_FULL_ENDS,
        "FULL Calendly sync complete: 120 new, 0 updated, 0 deleted",
      ]);
    });

    await t.step("meetings and invitees of every kind are what Calendly has", async () => {
      await assertMirrors(person);
    });

    await t.step("the person's row says that the first sync is done, and when", async () => {
      const row = await person.row();
      assert.equal(row.calendly_initial_sync_complete, true);
      assert.equal(time(row.last_calendly_sync), NOW);
    });

    await t.step("INCREMENTAL looks three months back and six months forward", async () => {
      const { status, body } = await person.sync();
      assert.equal(status, 200);
      assert.equal(body.sync_type, "INCREMENTAL");
      assert.deepEqual(body.range, INCREMENTAL_RANGE);
      assert.equal(body.unchanged, inWindow.length);
      assert.deepEqual([body.created, body.updated, body.deleted, body.restored], [0, 0, 0, 0]);
      assert.deepEqual(await person.said(2), [
        INCREMENTAL_STARTS,
        "INCREMENTAL Calendly sync complete: 0 new, 0 updated, 0 deleted",
      ]);
      await assertMirrors(person);
    });

    await t.step("every run is kept, with the range that it was given", async () => {
      await project.advance("1m");
      const { body } = await person.sync();
      const [latest, ...earlier] = await person.runs();
      assert.equal(latest.id, body.run_id);
      assert.deepEqual([latest.trigger, latest.sync_type, latest.status], [
        "manual",
        "INCREMENTAL",
        "complete",
      ]);
      assert.equal(time(latest.min_start_time), body.range.min_start_time);
      assert.equal(earlier.length, 2);
    });
  },

  "a sync tells what has happened since the last one": async (project, t) => {
    const { control } = project.sandbox;
    const person = await project.person(DOZEN);
    await person.sync();
    await person.said(3);
    const [first, second, third] = (await person.meetings()).filter(({ start_time }) =>
      time(start_time) > NOW
    ).map(({ calendly_event_uri }) => calendly_event_uri);

    await t.step("new, updated and deleted meetings are counted once each", async () => {
      await project.advance("1h");
      person.requests();
      control.book({ user: person.host.uri, location: "physical", invitee: { name: "Ada" } });
      control.edit({ event: first, set: { name: "Renamed" } });
      control.edit({ event: second, guests: ["guest@example.com"] });
      control.cancel({ event: third, by: "host", reason: "Ill" });
      const { body } = await person.sync();
      assert.deepEqual(
        [body.created, body.updated, body.deleted, body.restored, body.unchanged],
        [1, 2, 1, 0, 9],
      );
      assert.deepEqual(body.fetched, { active: 12, canceled: 1 });
      assert.equal(
        (await person.said(2))[1],
        "INCREMENTAL Calendly sync complete: 1 new, 2 updated, 1 deleted",
      );
      await assertMirrors(person);
    });

    await t.step("a changed invitee makes its meeting an updated one", async () => {
      await project.advance("1h");
      const [{ invitee }] = control.state().scheduled_events
        .filter(({ event }) => event.uri === first)
        .map(({ invitees }) => ({ invitee: invitees[0].uri }));
      control.edit({ invitee, set: { name: "Married Name" } });
      control.edit({ event: first });
      assert.equal((await person.sync()).body.updated, 1);
      await assertMirrors(person);
    });

    await t.step("a changed updated_at alone is no change", async () => {
      await project.advance("1h");
      control.edit({ event: second });
      const { body } = await person.sync();
      assert.deepEqual([body.updated, body.unchanged], [0, 13]);
    });

    await t.step("a meeting outside the small window waits for a FULL sync", async () => {
      await project.advance("1h");
      control.book({ user: person.host.uri, start_time: day(200), location: "physical" });
      assert.equal((await person.sync()).body.created, 0);
      assert.equal((await person.sync({ full: true })).body.created, 1);
      await assertMirrors(person);
    });
  },

  "a FULL sync can be had again": async (project, t) => {
    const person = await project.person(DOZEN);
    await person.sync();
    await person.said(3);

    await t.step("clearing calendly_initial_sync_complete makes the next one FULL", async () => {
      await project.advance("1m");
      await project.stack.sql(
        `update calendly_users set calendly_initial_sync_complete = false where id = ${person.id}`,
      );
      assert.equal(
        Date.parse((await person.connection()).next_sync),
        Date.parse(project.now),
        "and due at once",
      );
      const { body } = await person.sync();
      assert.deepEqual([body.sync_type, body.unchanged], ["FULL", 12]);
      assert.deepEqual(await person.said(3), [
        FULL_STARTS,
        FIRST_FULL_ENDS,
        "FULL Calendly sync complete: 0 new, 0 updated, 0 deleted",
      ]);
      assert.equal((await person.sync()).body.sync_type, "INCREMENTAL");
      await person.said(2);
    });

    await t.step('{"full": true} is FULL and reads all invitees again', async () => {
      person.requests();
      const { body } = await person.sync({ full: true });
      assert.deepEqual([body.sync_type, body.unchanged, body.requests], ["FULL", 12, 1 + 12]);
      assert.equal(person.requests(), 1 + 12);
      assert.deepEqual(await person.said(2), [
        FULL_STARTS,
        "FULL Calendly sync complete: 0 new, 0 updated, 0 deleted",
      ]);
      assert.equal((await person.sync()).body.sync_type, "INCREMENTAL");
      await person.said(2);
    });

    await t.step("the words of the log follow the settings", async () => {
      await project.set("incremental_days_back", 1);
      await project.set("incremental_days_forward", 45);
      const { body } = await person.sync();
      assert.deepEqual(body.range, {
        min_start_time: day(-1, project.now),
        max_start_time: day(45, project.now),
      });
      assert.equal(
        (await person.said(2))[0],
        "INCREMENTAL SYNC: Fetching recent Calendly events (1 day back, 45 days forward)",
      );
      await project.set("full_days_back", 365);
      await project.set("full_days_forward", 730);
      await person.sync({ full: true });
      assert.equal(
        (await person.said(2))[0],
        "FULL SYNC: Fetching all Calendly events (1 year back, 2 years forward)",
      );
      await project.stack.sql(`
        update calendly.settings set full_days_back = default, full_days_forward = default,
          incremental_days_back = default, incremental_days_forward = default`);
    });
  },

  "only a FULL sync that finishes counts as the first": async (project, t) => {
    const { control } = project.sandbox;

    await t.step("one that pauses does not, until it is resumed", async () => {
      const person = await project.person(DOZEN);
      control.faults({
        path: "/scheduled_events",
        user: person.host.uri,
        times: 3,
        effect: { kind: "status", status: 500 },
      });
      assert.equal((await person.sync()).body.status, "paused");
      assert.equal((await person.row()).calendly_initial_sync_complete, false);
      assert.equal((await person.row()).last_calendly_sync, null);
      assert.deepEqual(await person.said(2), [FULL_STARTS, "FULL Calendly sync paused"]);
      const { body } = await person.sync();
      assert.deepEqual([body.sync_type, body.status], ["FULL", "complete"]);
      assert.equal((await person.row()).calendly_initial_sync_complete, true);
      assert.equal((await person.said(3))[1], FIRST_FULL_ENDS);
    });

    await t.step("one that fails does not, and the next is FULL again", async () => {
      const person = await project.person(DOZEN);
      control.faults({
        path: "/scheduled_events/*/invitees",
        user: person.host.uri,
        effect: {
          kind: "status",
          status: 401,
          body: { title: "Unauthenticated", message: "The access token expired" },
        },
      });
      assert.equal((await person.sync()).status, 424);
      assert.equal((await person.row()).calendly_initial_sync_complete, false);
      assert.equal((await person.runs())[0].status, "failed");
      const { body } = await person.sync();
      assert.deepEqual([body.sync_type, body.status], ["FULL", "complete"]);
      await assertMirrors(person);
    });

    await t.step("the flag that is cleared during an INCREMENTAL sync stays cleared", async () => {
      const person = await project.person(DOZEN);
      await person.sync();
      const held = project.wire.hold("calendly_finish_sync");
      const running = person.sync();
      await held.arrived;
      await project.stack.sql(
        `update calendly_users set calendly_initial_sync_complete = false where id = ${person.id}`,
      );
      held.release();
      assert.equal((await running).body.sync_type, "INCREMENTAL");
      assert.equal((await person.row()).calendly_initial_sync_complete, false);
      assert.equal((await person.sync()).body.sync_type, "FULL");
    });
  },

  "the work goes on when the caller goes away": async (project) => {
    const person = await project.person(DOZEN);
    const held = project.wire.hold("calendly_apply_step");
    const caller = new AbortController();
    const asked = fetch(`${project.stack.url}/functions/v1/calendly-sync`, {
      method: "POST",
      headers: { authorization: `Bearer ${person.account.access_token}` },
      signal: caller.signal,
    });
    await held.arrived;
    caller.abort();
    await assert.rejects(asked, { name: "AbortError" });
    held.release();
    await until(async () => (await person.runs())[0].status === "complete");
    await assertMirrors(person);
  },
});
