/** However much there is, nothing is cut off, and the function does not grow with it. */
import assert from "node:assert/strict";
import { assertMirrors } from "./mirror.ts";
import { day, projectTests } from "./support.ts";

projectTests("Large accounts", {
  "12,000 events, 300 of them with invitees, are synced by repeated clicks": async (project) => {
    const person = await project.person({
      events: 12_000,
      with_invitees: 300,
      variety: "plain",
      from: day(-700),
      to: day(300),
    });
    project.sandbox.control.set_rate_limit({ user: person.host.uri, limit: null });
    await project.set("worker_requests", 100);
    person.requests();
    const memory: number[] = [];
    let answer;
    do {
      answer = (await person.sync()).body;
      memory.push(await project.stack.functions.memory("calendly-sync"));
    } while (answer.status === "paused" && memory.length < 10);

    await project.set("worker_requests", 800);
    assert.equal(answer.status, "complete");
    assert.equal(answer.requests, 120 + 300);
    assert.equal(person.requests(), 120 + 300, "nothing was asked for twice");
    assert.deepEqual([answer.created, answer.unchanged, answer.rejected], [12_000, 0, 0]);
    assert.deepEqual(answer.fetched, { active: 12_000, canceled: 0 });
    const [run] = await person.runs();
    assert.deepEqual([run.missing, (await person.runs()).length], [0, 1]);
    await assertMirrors(person);
    const [early, late] = [memory[0], memory.at(-1)!];
    assert.ok(late < early * 1.5, `from ${early} to ${late} bytes`);
  },

  "1,500 stored meetings are all compared": async (project) => {
    const person = await project.person({
      events: 1500,
      with_invitees: 0,
      variety: "plain",
      from: day(-80),
      to: day(170),
    });
    assert.equal((await person.sync()).body.created, 1500);
    await project.advance("1m");
    const { body } = await person.sync();
    assert.deepEqual([body.sync_type, body.unchanged, body.requests], ["INCREMENTAL", 1500, 15]);
    const meetings = await person.meetings();
    const erased = meetings[1234].calendly_event_uri;
    project.sandbox.control.erase_event({ event: erased });
    await project.advance("1m");
    const after = (await person.sync()).body;
    assert.deepEqual([after.deleted, after.unchanged, after.requests], [1, 1499, 15 + 1]);
    assert.equal((await person.meeting(erased)).deleted_reason, "gone");
    assert.equal((await person.meetings()).length, 1500);
  },
}, { long: true });

projectTests("A large event", {
  "300 invitees of one event are read, page by page": async (project) => {
    const { control } = project.sandbox;
    const person = await project.person();
    control.set_rate_limit({ user: person.host.uri, limit: null });
    const webinar = control.create_event_type({
      user: person.host.uri,
      kind: "group",
      seats: 300,
      locations: null,
    });
    const book = (place: number) =>
      control.book({
        event_type: webinar.uri,
        start_time: day(10),
        invitee: { name: `Invitee ${place}`, email: `invitee.${place}@example.com` },
      });
    const bookings = Array.from({ length: 299 }, (_, place) => book(place));
    assert.equal((await person.sync()).body.requests, 1 + 3);
    assert.equal((await person.invitees()).length, 299);
    await assertMirrors(person);

    await project.advance("1m");
    book(299);
    control.cancel({ invitee: bookings[150].invitee.uri });
    const { body } = await person.sync();
    assert.deepEqual([body.requests, body.updated], [1 + 3, 1]);
    assert.equal((await person.invitees()).length, 300);
    await assertMirrors(person);
  },
});
