/** Calendly fails, falls silent or talks nonsense in the middle of a sync: nothing is lost, nothing done twice. */
import assert from "node:assert/strict";
import { type Effect } from "../../sandbox/mod.ts";
import { assertMirrors } from "./mirror.ts";
import { day, idOf, type Person, projectTest } from "./support.ts";
import { FAILS, few, INVITEES, invitesOf, LISTING, thirty } from "./interrupted_person.ts";

/**
 * A page that fails lasts: it may have been read ahead, and then it is read once more by its own step. So
 * the attempts are at least so many, and the run counts all of them.
 */
function assertAllCounted(person: Person, counted: number, least: number): void {
  assert.equal(counted, person.requests());
  assert.ok(counted >= least, `${counted} requests`);
}

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

  await t.step("neither is one that lasts for a while, but for a pause", async () => {
    const { person, strike } = await thirty(project);
    const click = async () => (await person.sync()).body.status;
    strike(LISTING, { kind: "cut" }, { skip: 1, times: null });
    assert.equal(await click(), "paused");
    project.sandbox.control.clear_faults();
    strike(invitesOf(person, 7), { kind: "html" }, { times: 3 });
    assert.equal(await click(), "paused");
    assert.equal(await click(), "complete");
    assertAllCounted(person, (await person.runs())[0].requests, 33 + 6);
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
      if (where === "listing") strike(LISTING, effect, { skip: 1, times: null });
      else strike(invitesOf(person, 7), effect, { times: null });
      const paused = (await person.sync()).body;
      project.sandbox.control.clear_faults();
      assert.deepEqual(
        [paused.status, paused.resume_at, paused.reason.code],
        ["paused", day(30 / 86_400, project.now), "calendly_unavailable"],
      );
      assert.equal(paused.created, where === "listing" ? 10 : 30);
      const { body } = await person.sync();
      assert.deepEqual([body.status, body.created, body.unchanged], ["complete", 30, 0]);
      assert.equal(body.run_id, paused.run_id);
      assertAllCounted(person, body.requests, 33 + attempts);
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
    strike(LISTING, FAILS, { skip: 1, times: null });
    const { body } = await person.sync();
    assert.equal(body.resume_at, day(30 / 86_400, project.now), "a success in between starts anew");
  });
});

projectTest("a refusal that is not Calendly's own is a failure that passes", async (project, t) => {
  const front: [string, Effect][] = [400, 401, 403, 404].map((status) => [
    `a page of HTML with status ${status}`,
    { kind: "status", status, body: "<!DOCTYPE html><title>Attention Required!</title>" },
  ]);
  front.push(["JSON of Cloudflare's", {
    kind: "status",
    status: 403,
    body: { title: "Error 1010: Access denied", detail: "Blocked", cloudflare_error: true },
  }]);
  front.push(["JSON of nobody's", {
    kind: "status",
    status: 401,
    body: { error: "Unauthorized" },
  }]);
  for (const [what, effect] of front) {
    await t.step(what, async (t) => {
      const { person, strike } = await few(project);

      await t.step("does not count against the token", async () => {
        strike(LISTING, effect, { times: 3 });
        for (let click = 0; click < 3; click++) {
          const { body } = await person.sync();
          assert.deepEqual([body.status, body.reason.code], ["paused", "calendly_unavailable"]);
        }
        assert.equal((await person.connection()).state, "active");
        assert.equal((await person.sync()).body.created, 3);
      });

      await t.step("proves no meeting gone", async () => {
        const [{ calendly_event_uri }] = await person.meetings();
        await project.advance("10m");
        strike(LISTING, { kind: "empty" });
        strike(`/scheduled_events/${idOf(calendly_event_uri)}`, effect);
        assert.equal((await person.sync()).body.reason.code, "calendly_unavailable");
        const { body } = await person.sync();
        assert.deepEqual([body.status, body.deleted], ["complete", 0]);
        await assertMirrors(person);
      });

      await t.step("and is no answer about its invitees", async () => {
        strike(INVITEES, effect);
        assert.equal((await person.sync({ full: true })).body.reason.code, "calendly_unavailable");
        const { body } = await person.sync();
        assert.deepEqual([body.status, body.rejected], ["complete", 0]);
      });
    });
  }
}, { on: "embedded" });
