/** Calendly refuses, fails or falls silent in the middle of a sync: nothing is lost and nothing is done twice. */
import assert from "node:assert/strict";
import { type Effect } from "../../sandbox/mod.ts";
import { assertMirrors } from "./mirror.ts";
import { day, idOf, type Person, type Project, projectTest } from "./support.ts";

/** Three pages of ten, one invitee each: 33 requests when all goes well. */
const THIRTY = { events: 30, variety: "plain", from: day(2), to: day(62) } as const;
const LISTING = "/scheduled_events";
const INVITEES = "/scheduled_events/*/invitees";
const FAILS: Effect = { kind: "status", status: 500 };

/** A new person with THIRTY, and a way to break Calendly for nobody else. */
async function thirty(project: Project) {
  await project.stack.sql("update calendly.settings set page_size = 10, invitee_batch = 10");
  const person = await project.person(THIRTY);
  person.requests();
  const strike = (path: string, effect: Effect, { skip = 0, times = 1 } = {}) =>
    project.sandbox.control.faults({ path, user: person.host.uri, effect, skip, times });
  return { person, strike };
}

/** The path of the invitees of the person's event that comes next after so many others. */
function invitesOf(person: Person, place: number): string {
  const upcoming = person.project.sandbox.control.state().scheduled_events.filter(({ event }) =>
    event.event_memberships[0].user === person.host.uri && event.start_time > person.project.now
  );
  return `/scheduled_events/${idOf(upcoming[place].event.uri)}/invitees`;
}

projectTest("the rate limit", async (project, t) => {
  for (
    const [where, path, skip] of [["listing", LISTING, 1], ["invitees", INVITEES, 12]] as const
  ) {
    await t.step(`a 429 amid the ${where} that resets in time is waited for`, async () => {
      const { person, strike } = await thirty(project);
      strike(path, { kind: "rate_limited", reset: 1 }, { skip });
      const { body } = await person.sync();
      assert.deepEqual([body.status, body.created, body.requests], ["complete", 30, 33 + 1]);
      assert.ok(body.duration_ms >= 1000, `${body.duration_ms} ms`);
      assert.equal(person.requests(), 33 + 1);
      await assertMirrors(person);
    });

    await t.step(`a 429 amid the ${where} that resets too late pauses until then`, async () => {
      const { person, strike } = await thirty(project);
      strike(path, { kind: "rate_limited", reset: 3600 }, { skip });
      const paused = (await person.sync()).body;
      assert.deepEqual(
        [paused.status, paused.resume_at, paused.reason.code],
        ["paused", day(1 / 24, project.now), "rate_limited"],
      );
      assert.equal(person.requests(), paused.requests);
      const [run] = await person.runs();
      assert.deepEqual([run.status, run.requests], ["paused", paused.requests]);
      assert.equal((await person.row()).calendly_initial_sync_complete, false);

      const tooEarly = (await person.sync()).body;
      assert.deepEqual([tooEarly.status, tooEarly.resume_at], ["paused", paused.resume_at]);
      assert.equal(person.requests(), 0, "Calendly has said that it is no use");

      await project.advance("1h");
      const { body } = await person.sync();
      assert.equal(body.run_id, paused.run_id);
      assert.deepEqual([body.status, body.created, body.requests], ["complete", 30, 33 + 1]);
      assert.equal(person.requests(), body.requests - paused.requests);
      await assertMirrors(person);
    });
  }

  await t.step("a limit that other apps have used up is not run into", async () => {
    const { person } = await thirty(project);
    // One for connecting, three pages and sixteen invitees; then it must wait for the next minute.
    project.sandbox.control.set_rate_limit({ user: person.host.uri, limit: 20 });
    await project.set("instance_time", "30 seconds");
    const paused = (await person.sync()).body;
    assert.deepEqual([paused.status, paused.reason.code, paused.requests], [
      "paused",
      "rate_limited",
      19,
    ]);
    await project.advance("2m");
    const { body } = await person.sync();
    assert.deepEqual([body.status, body.requests], ["complete", 33]);
    assert.equal(project.sandbox.control.requests({ user: person.host.uri, status: 429 }).count, 0);
    await assertMirrors(person);
  });
});

projectTest("a failure of Calendly's that passes is not noticed", async (project, t) => {
  const passing: [string, Effect][] = [
    ["500", FAILS],
    ["502", { kind: "status", status: 502, body: "<html>Bad Gateway</html>" }],
    ["503", { kind: "status", status: 503 }],
    ["504", { kind: "status", status: 504 }],
    ["a body that is cut in the middle", { kind: "cut" }],
    ["a page of HTML with status 200", { kind: "html" }],
  ];
  for (const [name, effect] of passing) {
    await t.step(name, async () => {
      const { person, strike } = await thirty(project);
      strike(LISTING, effect, { skip: 1 });
      strike(INVITEES, effect, { skip: 12 });
      const { body } = await person.sync();
      assert.deepEqual([body.status, body.created, body.requests], ["complete", 30, 33 + 2]);
      assert.equal(person.requests(), 33 + 2);
      await assertMirrors(person);
    });
  }

  await t.step("an answer that never comes, after ten seconds", async () => {
    const { person, strike } = await thirty(project);
    strike(INVITEES, { kind: "stall" }, { skip: 12 });
    const { body } = await person.sync();
    assert.deepEqual([body.status, body.created, body.requests], ["complete", 30, 33 + 1]);
    await assertMirrors(person);
  });

  await t.step("another content type is no failure at all", async () => {
    const { person, strike } = await thirty(project);
    strike(LISTING, { kind: "content_type" });
    assert.equal((await person.sync()).body.requests, 33);
  });
}, { on: "embedded" });

projectTest("a failure that outlasts the retries pauses the sync", async (project, t) => {
  const lasting: [string, string, Effect, number][] = [
    ["500", "listing", FAILS, 3],
    ["500", "invitees", FAILS, 3],
    ["a cut body", "listing", { kind: "cut" }, 3],
    ["HTML with status 200", "invitees", { kind: "html" }, 3],
    // Whoever sends this will not send another form a moment later.
    [
      "JSON of another form",
      "listing",
      { kind: "status", status: 200, body: { title: "Hello" } },
      1,
    ],
  ];
  for (const [name, where, effect, attempts] of lasting) {
    await t.step(`${name} amid the ${where}`, async () => {
      const { person, strike } = await thirty(project);
      if (where === "listing") strike(LISTING, effect, { skip: 1, times: attempts });
      else strike(invitesOf(person, 7), effect, { times: attempts });
      const paused = (await person.sync()).body;
      assert.deepEqual(
        [paused.status, paused.resume_at, paused.reason.code],
        ["paused", day(30 / 86_400, project.now), "calendly_unavailable"],
      );
      assert.equal(paused.created, where === "listing" ? 10 : 30);
      const { body } = await person.sync();
      assert.deepEqual([body.status, body.created, body.unchanged], ["complete", 30, 0]);
      assert.equal(body.run_id, paused.run_id);
      assert.equal(body.requests, 33 + attempts);
      assert.equal(person.requests(), 33 + attempts);
      await assertMirrors(person);
    });
  }

  await t.step("a redirect, which is not followed with the token", async () => {
    const { person, strike } = await thirty(project);
    const location = `${project.stack.calendlyUrl}/users/me`;
    strike(LISTING, { kind: "status", status: 302, headers: { location } });
    assert.equal((await person.sync()).body.status, "paused");
    const { requests } = project.sandbox.control.requests({ user: person.host.uri });
    assert.equal(requests.filter(({ path }) => path === "/users/me").length, 1, "when connecting");
    assert.equal((await person.sync()).body.status, "complete");
  });

  await t.step("for longer each time in a row, and a click need not wait", async () => {
    const { person, strike } = await thirty(project);
    strike(LISTING, FAILS, { times: 3 * 3 });
    for (const seconds of [30, 60, 120]) {
      const { body } = await person.sync();
      assert.equal(body.resume_at, day(seconds / 86_400, project.now));
      assert.equal((await person.connection()).next_sync.slice(0, 19), body.resume_at.slice(0, 19));
    }
    strike(LISTING, FAILS, { skip: 1, times: 3 });
    const { body } = await person.sync();
    assert.equal(body.resume_at, day(30 / 86_400, project.now), "a success in between starts anew");
  });
});

projectTest("what is known outlives a failed detail request", async (project, t) => {
  const { control } = project.sandbox;

  /** Somebody synced, whose next meeting then got another invitee's name. */
  async function changed() {
    const { person, strike } = await thirty(project);
    await person.sync();
    await project.advance("1m");
    const path = invitesOf(person, 0);
    const [{ event, invitees }] = control.state().scheduled_events
      .filter(({ event }) => path.includes(idOf(event.uri)));
    control.edit({ invitee: invitees[0].uri, set: { name: "Changed" } });
    control.edit({ event: event.uri, set: { name: "Changed too" } });
    const name = async () =>
      (await person.invitees()).find(({ uri }) => uri === invitees[0].uri)?.name;
    return { person, strike, path, event, was: invitees[0].name, name };
  }

  await t.step("through a pause", async () => {
    const { person, strike, path, was, name } = await changed();
    strike(path, FAILS, { times: 3 });
    assert.equal((await person.sync()).body.status, "paused");
    assert.deepEqual([(await person.invitees()).length, await name()], [30, was]);
    assert.equal((await person.sync()).body.status, "complete");
    await assertMirrors(person);
  });

  for (const status of [400, 403, 404]) {
    await t.step(`through a ${status}, which is put on record and tried again later`, async () => {
      const { person, strike, path, event, was, name } = await changed();
      strike(path, { kind: "status", status, body: { title: "No", message: "Not this one" } });
      const { body } = await person.sync();
      assert.deepEqual([body.status, body.updated, body.rejected], ["complete", 1, 1]);
      assert.equal(body.rejections[0].uri, event.uri);
      assert.match(body.rejections[0].problem, /Not this one/);
      assert.deepEqual([(await person.invitees()).length, await name()], [30, was]);
      await project.advance("16m");
      assert.equal((await person.sync()).body.updated, 1);
      await assertMirrors(person);
    });
  }

  await t.step("one event that always fails does not hold up the others for ever", async () => {
    const { person, strike } = await thirty(project);
    strike(invitesOf(person, 0), FAILS, { times: 9 });
    const statuses = [];
    for (let click = 0; click < 4; click++) statuses.push((await person.sync()).body.status);
    assert.deepEqual(statuses, ["paused", "paused", "paused", "complete"]);
    const [run] = await person.runs();
    assert.deepEqual([run.rejected, run.requests], [1, 33 - 1 + 9]);
    assert.equal((await person.invitees()).length, 29);
    await project.advance("2h");
    await person.sync();
    await assertMirrors(person);
  });
});

projectTest("a page token that has expired costs a fresh listing of the rest", async (project) => {
  const { person, strike } = await thirty(project);
  strike(LISTING, { kind: "expired_page_token" }, { skip: 1 });
  const { body } = await person.sync();
  // The last event of the first page is listed once more: nobody says that it was alone at its time.
  const listings = 1 + 1 + 3;
  assert.deepEqual([body.status, body.created, body.requests], ["complete", 30, listings + 30]);
  assert.deepEqual(body.fetched, { active: 30, canceled: 0 });
  await assertMirrors(person);
});
