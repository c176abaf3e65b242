/** What becomes of a sync whose token Calendly does not accept any more, or accepts for less than it needs. */
import assert from "node:assert/strict";
import { assertMirrors } from "./mirror.ts";
import { day, projectTests } from "./support.ts";
import { INVITEES } from "./interrupted_person.ts";

const FEW = { events: 3, variety: "plain", from: day(2), to: day(9) } as const;

projectTests("Refusals", {
  "a token that was revoked": async (project, t) => {
    const { control } = project.sandbox;
    const person = await project.person(FEW);
    await person.sync();
    await project.advance("1m");
    control.revoke_token({ token: person.token });

    await t.step("fails the sync, says so, and loses nothing", async () => {
      const { status, body: { error } } = await person.sync();
      assert.deepEqual([status, error.code], [424, "token_refused"]);
      assert.match(error.message, /was revoked/);
      assert.match(error.hint, /new token/);
      const [run] = await person.runs();
      const connection = await person.connection();
      assert.deepEqual([run.status, run.error.code], ["failed", "token_refused"]);
      assert.deepEqual([connection.state, connection.last_error.code], ["active", "token_refused"]);
      await assertMirrors(person);
    });

    await t.step("asks for a reconnect after the third time in a row", async () => {
      await person.sync();
      assert.equal((await person.sync()).status, 424);
      const connection = await person.connection();
      assert.equal(connection.state, "reconnect_required");
      assert.equal(connection.next_sync, null);
      const { requests } = control.requests();
      const { status, body: { error } } = await person.sync();
      assert.deepEqual([status, error.code], [409, "reconnect_required"]);
      assert.match(error.hint, /calendly-connect/);
      assert.equal(control.requests().requests.length, requests.length, "Calendly is left alone");
    });

    await t.step("is forgotten with a new one", async () => {
      const { token } = control.create_token({ user: person.host.uri });
      assert.equal((await person.connect({ token, sync: false })).body.state, "active");
      const { body } = await person.sync();
      assert.deepEqual([body.status, body.unchanged], ["complete", 3]);
      assert.equal((await person.connection()).last_error, null);
    });

    await t.step("twice only does not ask for a reconnect, and a success starts anew", async () => {
      const refuse = (times: number) =>
        control.faults({
          path: "/scheduled_events",
          user: person.host.uri,
          times,
          effect: {
            kind: "status",
            status: 401,
            body: { title: "Unauthenticated", message: "The access token expired" },
          },
        });
      for (let round = 0; round < 2; round++) {
        refuse(2);
        assert.equal((await person.sync()).status, 424);
        assert.equal((await person.sync()).status, 424);
        assert.equal((await person.sync()).body.status, "complete");
      }
      assert.equal((await person.connection()).state, "active");
    });
  },

  "a token that is revoked in the middle of a sync": async (project) => {
    const { control } = project.sandbox;
    const person = await project.person({ events: 12, variety: "plain", from: day(2), to: day(9) });
    control.faults({
      path: INVITEES,
      user: person.host.uri,
      skip: 7,
      times: null,
      effect: { kind: "status", status: 401, body: { title: "Unauthenticated" } },
    });
    const { status, body: { error } } = await person.sync();
    assert.deepEqual([status, error.code], [424, "token_refused"]);
    assert.equal((await person.invitees()).length, 7, "what was read by then is kept");
    const [run] = await person.runs();
    assert.deepEqual([run.status, run.error.code], ["failed", "token_refused"]);
    assert.equal(run.requests, person.requests() - 1, "and paid for: all but the one to connect");
    control.clear_faults();
    const { body } = await person.sync();
    assert.deepEqual([body.status, body.requests], ["complete", 1 + 12 - 7]);
    await assertMirrors(person);
  },

  "a token without the scopes that a sync needs": async (project, t) => {
    const { control } = project.sandbox;

    await t.step("cannot even be told whose it is", async () => {
      const person = await project.person({ connected: false });
      const { token } = control.create_token({
        user: person.host.uri,
        scopes: ["scheduled_events:read"],
      });
      const { status, body: { error } } = await person.connect({ token });
      assert.deepEqual([status, error.code], [424, "scope_missing"]);
      assert.match(error.message + error.hint, /users:read/);
      assert.equal((await person.connection()).state, "disconnected");
    });

    await t.step("fails the sync with the name of what is missing", async () => {
      const person = await project.person({ ...FEW, connected: false });
      const { token } = control.create_token({ user: person.host.uri, scopes: ["users:read"] });
      await person.connect({ token, sync: false });
      const { status, body: { error } } = await person.sync();
      assert.deepEqual([status, error.code], [424, "scope_missing"]);
      assert.match(error.message, /scheduled_events:read/);
      assert.match(error.hint, /scheduled_events:read/);
      assert.equal((await person.runs())[0].status, "failed");
    });

    await t.step("is enough with the two that a sync needs", async () => {
      const person = await project.person({ ...FEW, connected: false });
      const { token } = control.create_token({
        user: person.host.uri,
        scopes: ["users:read", "scheduled_events:read"],
      });
      await person.connect({ token, sync: false });
      assert.equal((await person.sync()).body.status, "complete");
      await assertMirrors(person);
    });
  },

  "a listing that Calendly refuses for another reason": async (project) => {
    const person = await project.person(FEW);
    project.sandbox.control.faults({
      path: "/scheduled_events",
      user: person.host.uri,
      effect: {
        kind: "status",
        status: 403,
        body: { title: "Permission Denied", message: "Please upgrade to a paid Calendly account." },
      },
    });
    const { status, body: { error } } = await person.sync();
    assert.deepEqual([status, error.code], [424, "calendly_refused"]);
    assert.match(error.message, /Please upgrade/);
    assert.equal((await person.runs())[0].status, "failed");
    assert.equal((await person.sync()).body.status, "complete");
  },
});
