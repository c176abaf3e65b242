/** JSON of Calendly's that is nested too deeply or much too large: that row is rejected, and no other suffers. */
import assert from "node:assert/strict";
import { assertMirrors } from "../functions/mirror.ts";
import { day, idOf, projectTests } from "../functions/support.ts";
import { INVITEES, LISTING } from "../functions/interrupted_person.ts";

/** So many objects inside each other: as text, and as JSON. */
const nestedText = (levels: number) => '{"a":'.repeat(levels) + "1" + "}".repeat(levels);
const nested = (levels: number): unknown => JSON.parse(nestedText(levels));

const FEW = { events: 5, variety: "plain", from: day(2), to: day(9) } as const;
const MEGABYTE = 1024 * 1024;

projectTests("From Calendly", {
  "an event nested too deeply": async (project, t) => {
    const { control } = project.sandbox;
    const person = await project.person(FEW);
    const [{ event }] = project.sandbox.truth().scheduled_events.filter(({ event }) =>
      event.event_memberships[0].user === person.host.uri
    );
    const rejected = [{ uri: event.uri, problem: "nested too deeply" }];

    await t.step("is rejected, and the others of its page are there", async () => {
      control.override({ uri: event.uri, fields: { tracking: nested(1000) } });
      const { body } = await person.sync();
      assert.deepEqual([body.status, body.created], ["complete", 4]);
      assert.deepEqual(body.rejections, rejected);
    });
    await t.step("comes in when it is not any more: 64 levels are kept", async () => {
      control.override({ uri: event.uri, fields: { tracking: nested(63) } });
      const { body } = await person.sync();
      assert.deepEqual([body.status, body.created, body.rejected], ["complete", 1, 0]);
      assert.deepEqual((await person.meeting(event.uri)).raw.tracking, nested(63));
    });
    await t.step("leaves what is known of it as it was, and is not missing", async () => {
      control.override({ uri: event.uri, fields: { tracking: nested(64), name: "other" } });
      const before = await person.meeting(event.uri);
      const { body } = await person.sync();
      assert.deepEqual([body.status, body.deleted], ["complete", 0]);
      assert.deepEqual(body.rejections, rejected);
      assert.deepEqual(await person.meeting(event.uri), before);
    });
    await t.step("nor is it gone when it is asked for by itself", async () => {
      const before = await person.meeting(event.uri);
      const others = project.sandbox.truth().scheduled_events.map(({ event }) => event)
        .filter(({ uri, event_memberships: [{ user }] }) =>
          uri !== event.uri && user === person.host.uri
        );
      control.faults({
        path: LISTING,
        user: person.host.uri,
        effect: { kind: "status", status: 200, body: { collection: others, pagination: {} } },
      });
      await project.advance("1m");
      const { body } = await person.sync();
      assert.deepEqual([body.status, body.deleted], ["complete", 0]);
      assert.deepEqual(body.rejections, rejected);
      assert.deepEqual(await person.meeting(event.uri), before);
    });
    await t.step("and all is well once it is", async () => {
      control.override({ uri: event.uri, fields: null });
      await person.sync();
      await assertMirrors(person);
    });
  },

  "an invitee nested too deeply": async (project) => {
    const { control } = project.sandbox;
    const person = await project.person();
    const workshop = control.create_event_type({ user: person.host.uri, kind: "group", seats: 3 });
    const seats = ["A", "B", "C"].map((name) =>
      control.book({ event_type: workshop.uri, start_time: day(5), invitee: { name } }).invitee
    );
    control.override({ uri: seats[1].uri, fields: { tracking: nested(1000) } });
    const { body } = await person.sync();
    assert.equal(body.status, "complete");
    assert.deepEqual(body.rejections, [{ uri: seats[1].uri, problem: "nested too deeply" }]);
    assert.deepEqual((await person.invitees()).map(({ name }) => name), ["A", "C"]);
    control.override({ uri: seats[1].uri, fields: null });
    await person.sync({ full: true });
    control.override({ uri: seats[1].uri, fields: { tracking: nested(1000) } });
    assert.equal((await person.sync({ full: true })).body.rejected, 1);
    control.override({ uri: seats[1].uri, fields: null });
    await assertMirrors(person);
  },

  "anything else nested too deeply": async (project, t) => {
    const { control } = project.sandbox;
    const deep = nestedText(50_000);

    await t.step("beside the rows is not even looked at, and no page is lost", async () => {
      await project.set("page_size", 2);
      const person = await project.person(FEW);
      const pass = project.sandbox.fetch;
      project.sandbox.fetch = async (request) => {
        const response = await pass(request);
        if (!new URL(request.url).pathname.startsWith(LISTING)) return response;
        const text = (await response.text()).replace('"pagination":{', `"pagination":{"x":${deep},`)
          .replace(/^\{/, `{"y":${deep},`);
        return new Response(text, response);
      };
      const { body } = await person.sync();
      project.sandbox.fetch = pass;
      assert.deepEqual([body.status, body.created, body.rejected], ["complete", 5, 0]);
      await assertMirrors(person);
      await project.set("page_size", 100);
    });
    await t.step("as a whole answer is none, and the sync pauses", async () => {
      const person = await project.person(FEW);
      for (const path of [LISTING, INVITEES]) {
        control.faults({
          path,
          user: person.host.uri,
          effect: { kind: "status", status: 200, body: deep },
        });
        const { body } = await person.sync();
        assert.deepEqual([body.status, body.reason?.code], ["paused", "calendly_unavailable"]);
      }
      assert.equal((await person.sync()).body.status, "complete");
      await assertMirrors(person);
    });
    await t.step("or whose token it is", async () => {
      const person = await project.person({ connected: false });
      control.faults({
        path: "/users/me",
        user: person.host.uri,
        effect: { kind: "status", status: 200, body: deep },
      });
      assert.equal((await person.connect({ sync: false })).status, 502);
      assert.equal((await person.connect({ sync: false })).status, 201);
    });
  },

  "an error that says more than anybody reads": async (project, t) => {
    const { control } = project.sandbox;
    const messages: [string, unknown][] = [
      ["text that Postgres refuses", { message: "no \u0000 entry \ud800" }],
      ["megabytes", { message: "no ".repeat(MEGABYTE) }],
    ];
    // no words of Calendly's: what says them may go away
    const noWords: [string, unknown][] = [
      ["nested too deeply", `{"message":"no","details":${nestedText(50_000)}}`],
      ["no text at all", { message: [nested(10)], title: 7 }],
    ];
    for (const [name, body] of messages) {
      await t.step(`${name}, about one event`, async () => {
        const person = await project.person(FEW);
        control.faults({
          path: INVITEES,
          user: person.host.uri,
          effect: { kind: "status", status: 400, body },
        });
        const answer = (await person.sync()).body;
        assert.deepEqual([answer.status, answer.rejected], ["complete", 1]);
        assert.ok(answer.rejections[0].problem.length < 1000);
      });
      await t.step(`${name}, about the token`, async () => {
        const person = await project.person(FEW);
        control.faults({
          path: LISTING,
          user: person.host.uri,
          effect: { kind: "status", status: 401, body },
        });
        const answer = await person.sync();
        assert.deepEqual([answer.status, answer.body.error.code], [424, "token_refused"]);
        const [run] = await person.runs();
        assert.deepEqual([run.status, run.error.code], ["failed", "token_refused"]);
        assert.ok(JSON.stringify((await person.connection()).last_error).length < 2000);
        assert.equal((await person.sync()).body.status, "complete");
      });
    }
    for (const [name, body] of noWords) {
      for (
        const [what, path, status] of [["one event", INVITEES, 400], [
          "the token",
          LISTING,
          401,
        ]] as const
      ) {
        await t.step(`${name}, about ${what}`, async () => {
          const person = await project.person(FEW);
          const effect = { kind: "status", status, body } as const;
          control.faults({ path, user: person.host.uri, effect });
          const answer = (await person.sync()).body;
          assert.deepEqual([answer.status, answer.reason.code], ["paused", "calendly_unavailable"]);
          assert.ok(JSON.stringify(answer.reason).length < 1000);
          control.clear_faults();
          assert.equal((await person.sync()).body.status, "complete");
        });
      }
    }
  },

  "rows of megabytes": async (project) => {
    const { control } = project.sandbox;
    const person = await project.person(FEW);
    const [large, ...others] = project.sandbox.truth().scheduled_events.filter(({ event }) =>
      event.event_memberships[0].user === person.host.uri
    );
    const notes = "n".repeat(3 * MEGABYTE);
    control.override({ uri: large.event.uri, fields: { meeting_notes_plain: notes } });
    control.override({
      uri: others[0].invitees[0].uri,
      fields: { questions_and_answers: [{ question: "?", answer: notes, position: 0 }] },
    });
    const { body } = await person.sync();
    assert.deepEqual([body.status, body.created, body.rejected], ["complete", 5, 0]);
    assert.equal(
      (await person.meeting(large.event.uri)).raw.meeting_notes_plain.length,
      notes.length,
    );
    assert.equal((await person.sync()).body.unchanged, 5, idOf(large.event.uri));
  },
});
