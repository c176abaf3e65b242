/** What leaves Calendly leaves the calendar only on proof, and may come back. */
import assert from "node:assert/strict";
import { assertMirrors, time } from "./mirror.ts";
import { day, idOf, type Person, type Project, projectTests } from "./support.ts";

/** Somebody who has been synced, with meetings on these days from now. */
async function somebody(project: Project, days: number[]) {
  const person = await project.person();
  const events = days.map((at) =>
    project.sandbox.control.book({
      user: person.host.uri,
      start_time: day(at, project.now),
      location: "physical",
    }).event.uri
  );
  await person.sync();
  await project.advance("10m");
  person.requests();
  return { person, events };
}

/** The listing of the next sync is empty. */
function emptyListing(person: Person): void {
  person.project.sandbox.control.faults({
    path: "/scheduled_events",
    user: person.host.uri,
    effect: { kind: "empty" },
  });
}

/** Ids of the events that were asked for by themselves since the log was last emptied. */
function askedFor(person: Person): string[] {
  const { control } = person.project.sandbox;
  const { requests } = control.requests({ path: "/scheduled_events/*", user: person.host.uri });
  return requests.map(({ path }) => idOf(path));
}

function deletion({ is_deleted, deleted_reason, deleted_at, status }: Record<string, string>) {
  return { is_deleted, deleted_reason, deleted_at: deleted_at && time(deleted_at), status };
}

projectTests("Deletions", {
  "a meeting that is missing from a listing": async (project, t) => {
    const { control } = project.sandbox;

    await t.step("is gone when Calendly does not know it any more", async () => {
      const { person, events: [kept, erased] } = await somebody(project, [1, 2]);
      control.erase_event({ event: erased });
      const { body } = await person.sync();
      assert.deepEqual([body.deleted, body.unchanged, body.requests], [1, 1, 2]);
      assert.deepEqual(deletion(await person.meeting(erased)), {
        is_deleted: true,
        deleted_reason: "gone",
        deleted_at: project.now,
        status: "active",
      });
      assert.equal((await person.meeting(kept)).is_deleted, false);
      assert.equal((await person.sync()).body.requests, 1, "and is not asked for again");
    });

    await t.step("is gone when it may not be seen while the token works", async () => {
      const person = await project.person();
      const [owner, colleague] = ["owner", "colleague"].map((name) =>
        control.create_user({ email: `${name}@example.com` })
      );
      for (const { uri } of [person.host, colleague]) {
        control.join({ user: uri, organization: owner.current_organization });
      }
      const { event } = control.book({
        user: person.host.uri,
        event_type: control.create_event_type({ user: person.host.uri }).uri,
      });
      await person.sync();
      await project.advance("10m");
      control.reassign_host({ event: event.uri, to: colleague.uri });
      assert.equal((await person.sync()).body.deleted, 1);
      assert.equal((await person.meeting(event.uri)).deleted_reason, "gone");
    });

    await t.step(
      "is reassigned when it has another host, and back when that is undone",
      async () => {
        const { person, events: [event] } = await somebody(project, [1, 2]);
        const other = control.create_user({ email: `other.${person.id}@example.com` });
        control.reassign_host({ event, to: other.uri });
        assert.deepEqual((await person.sync()).body.deleted, 1);
        const row = await person.meeting(event);
        assert.deepEqual([row.is_deleted, row.deleted_reason], [true, "reassigned"]);

        await project.advance("10m");
        control.reassign_host({ event, to: person.host.uri });
        const { body } = await person.sync();
        assert.deepEqual([body.restored, body.unchanged], [1, 1]);
        assert.deepEqual(deletion(await person.meeting(event)), {
          is_deleted: false,
          deleted_reason: null,
          deleted_at: null,
          status: "active",
        });
        await assertMirrors(person);
      },
    );

    await t.step("stays when it is there all the same", async () => {
      const { person } = await somebody(project, [1, 2, 3]);
      emptyListing(person);
      const { body } = await person.sync();
      assert.deepEqual([body.status, body.deleted, body.requests], ["complete", 0, 1 + 3]);
      assert.equal((await person.runs())[0].missing, 3);
      await assertMirrors(person);
    });

    await t.step("is moved when it was moved out of the range", async () => {
      const { person, events: [event] } = await somebody(project, [1, 2]);
      control.edit({ event, set: { start_time: day(300), end_time: day(301) } });
      const { body } = await person.sync();
      assert.deepEqual([body.updated, body.deleted], [1, 0]);
      await assertMirrors(person);
    });

    await t.step("stays when asking for it fails", async () => {
      const { person, events: [event] } = await somebody(project, [1, 2]);
      emptyListing(person);
      control.faults({
        path: `/scheduled_events/${idOf(event)}`,
        times: 3,
        effect: { kind: "status", status: 503 },
      });
      assert.equal((await person.sync()).body.status, "paused");
      await assertMirrors(person);
      assert.equal((await person.sync()).body.status, "complete");
      await assertMirrors(person);
    });

    await t.step("does not hold up the others when asking for it always fails", async () => {
      const { person, events: [event] } = await somebody(project, [1, 2]);
      control.faults([
        { path: "/scheduled_events", user: person.host.uri, effect: { kind: "empty" } },
        {
          path: `/scheduled_events/${idOf(event)}`,
          times: null,
          effect: { kind: "status", status: 500 },
        },
      ]);
      control.book({ user: person.host.uri, start_time: day(40), location: "physical" });
      const statuses = [];
      for (let click = 0; click < 5; click++) statuses.push((await person.sync()).body.status);
      assert.ok(statuses.includes("complete"), statuses.join());
      control.clear_faults();
      await person.sync();
      await assertMirrors(person);
    });

    await t.step("is not missed where the listing does not reach", async () => {
      const { person, events: [far] } = await somebody(project, [200, 1]);
      control.erase_event({ event: far });
      const { body } = await person.sync();
      assert.deepEqual([body.sync_type, body.deleted, body.requests], ["INCREMENTAL", 0, 1]);
      assert.equal((await person.sync({ full: true })).body.deleted, 1);
    });
  },

  "a mass absence is looked into by and by": async (project) => {
    const days = Array.from({ length: 60 }, (_, place) => 1 + place);
    const { person, events } = await somebody(project, days);
    const asked: string[][] = [];
    for (let round = 0; round < 3; round++) {
      await project.advance("10m");
      project.sandbox.control.clear_requests();
      emptyListing(person);
      const { body } = await person.sync();
      assert.deepEqual([body.deleted, body.requests], [0, 1 + 25]);
      asked.push(askedFor(person));
      assert.equal((await person.runs())[0].missing, 60);
    }
    const [first, second, third] = asked;
    assert.equal(new Set([...first, ...second]).size, 50, "those not asked for yet come first");
    const rest = events.map(idOf).filter((id) => ![...first, ...second].includes(id));
    assert.ok(rest.every((id) => third.includes(id)));
    assert.ok(
      third.every((id) => rest.includes(id) || first.includes(id)),
      "then the least recent",
    );
    await assertMirrors(person);
  },

  "what was taken for gone comes back with the next listing": async (project) => {
    const { person, events: [event] } = await somebody(project, [1, 2]);
    emptyListing(person);
    project.sandbox.control.faults({
      path: `/scheduled_events/${idOf(event)}`,
      effect: { kind: "status", status: 404 },
    });
    assert.equal((await person.sync()).body.deleted, 1);
    await project.advance("10m");
    const { body } = await person.sync();
    assert.deepEqual([body.restored, body.unchanged, body.requests], [1, 1, 1]);
    await assertMirrors(person);
  },

  "cancellations and reschedules": async (project, t) => {
    const { control } = project.sandbox;

    await t.step("a canceled meeting is kept as deleted, with who, when and why", async () => {
      const { person, events: [event] } = await somebody(project, [1, 2]);
      control.cancel({ event, by: "host", reason: "Ill" });
      assert.equal((await person.sync()).body.deleted, 1);
      const row = await person.meeting(event);
      const { canceled_by, canceler_type, created_at, reason } = row.cancellation;
      assert.deepEqual([canceled_by, canceler_type, reason], [person.host.name, "host", "Ill"]);
      assert.deepEqual(deletion(row), {
        is_deleted: true,
        deleted_reason: "canceled",
        deleted_at: created_at,
        status: "canceled",
      });
      await assertMirrors(person);
      control.erase_event({ event });
      assert.equal((await person.sync()).body.requests, 1, "what is deleted is not missed");
    });

    await t.step(
      "a group event survives one invitee's cancellation, not the last one's",
      async () => {
        const person = await project.person();
        const workshop = control.create_event_type({
          user: person.host.uri,
          kind: "group",
          locations: null,
        });
        const [one, two] = ["One", "Two"].map((name) =>
          control.book({ event_type: workshop.uri, start_time: day(5), invitee: { name } })
        );
        await person.sync();
        await project.advance("10m");
        control.cancel({ invitee: one.invitee.uri });
        const { body } = await person.sync();
        assert.deepEqual([body.updated, body.deleted], [1, 0]);
        const statuses = async () =>
          (await person.invitees()).map(({ name, status }) => [name, status]);
        assert.deepEqual(await statuses(), [["One", "canceled"], ["Two", "active"]]);
        assert.equal((await person.meeting(one.event.uri)).is_deleted, false);
        await assertMirrors(person);

        control.cancel({ invitee: two.invitee.uri });
        assert.equal((await person.sync()).body.deleted, 1);
        assert.deepEqual(await statuses(), [["One", "canceled"], ["Two", "canceled"]]);
        await assertMirrors(person);
      },
    );

    await t.step("an erased invitee disappears, the others stay", async () => {
      const person = await project.person();
      const workshop = control.create_event_type({
        user: person.host.uri,
        kind: "group",
        locations: null,
      });
      const [one] = ["One", "Two"].map((name) =>
        control.book({ event_type: workshop.uri, start_time: day(6), invitee: { name } })
      );
      const alone = control.book({ user: person.host.uri, location: "physical" });
      await person.sync();
      await project.advance("10m");
      control.erase_invitee({ invitee: one.invitee.uri });
      control.erase_invitee({ invitee: alone.invitee.uri });
      const { body } = await person.sync();
      assert.deepEqual(
        [body.updated, body.requests],
        [2, 1 + 1],
        "nobody is left to ask for in one",
      );
      assert.deepEqual((await person.invitees()).map(({ name }) => name), ["Two"]);
      await assertMirrors(person);
    });

    await t.step("a reschedule is one story, told by both meetings", async () => {
      const { person, events: [first] } = await somebody(project, [3]);
      const second = control.reschedule({ event: first, start_time: day(4) }).new.event.uri;
      const { body } = await person.sync();
      assert.deepEqual([body.created, body.deleted], [1, 1]);
      const links = async (event: string) => {
        const { rescheduled_from, rescheduled_to, status } = await person.meeting(event);
        return { rescheduled_from, rescheduled_to, status };
      };
      assert.deepEqual(await links(first), {
        rescheduled_from: null,
        rescheduled_to: second,
        status: "canceled",
      });
      assert.deepEqual(await links(second), {
        rescheduled_from: first,
        rescheduled_to: null,
        status: "active",
      });
      const [gaveUp, took] = await person.invitees();
      assert.deepEqual([gaveUp.rescheduled, gaveUp.new_invitee], [true, took.uri]);
      assert.deepEqual([took.rescheduled, took.old_invitee], [false, gaveUp.uri]);

      await project.advance("10m");
      const third = control.reschedule({ event: second, start_time: day(2) }).new.event.uri;
      await person.sync();
      assert.deepEqual(await links(second), {
        rescheduled_from: first,
        rescheduled_to: third,
        status: "canceled",
      });
      assert.deepEqual(await links(third), {
        rescheduled_from: second,
        rescheduled_to: null,
        status: "active",
      });
      await assertMirrors(person);
    });
  },
});
