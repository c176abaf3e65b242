/** Connecting to Calendly by a personal access token, and all the ways out of it. */
import assert from "node:assert/strict";
import { assertMirrors } from "./mirror.ts";
import { day, type Person, projectTests, until } from "./support.ts";

const FEW = { events: 3, variety: "plain", from: day(2), to: day(9) } as const;

async function latestRun(person: Person) {
  return (await person.runs())[0];
}

projectTests("Connecting", {
  "connecting": async (project, t) => {
    await t.step(
      "verifies the token, stores it, and starts the first sync in the background",
      async () => {
        const person = await project.person({ ...FEW, connected: false });
        const held = project.wire.hold("calendly_begin_sync");
        const { status, body } = await person.connect();
        assert.equal(status, 201);
        assert.deepEqual(body, {
          state: "active",
          scope: "user",
          user_id: person.id,
          calendly_user: {
            uri: person.host.uri,
            name: person.host.name,
            email: person.host.email,
            organization: person.host.current_organization,
          },
          webhooks: { state: "none", enabled: false },
          initial_sync_complete: false,
          last_sync: null,
          members: "accounts",
          next_sync: body.next_sync,
          last_error: null,
          connected_at: body.connected_at,
        });
        assert.equal(Date.parse(body.connected_at), Date.parse(project.now));
        assert.equal((await person.runs()).length, 0, "the answer does not wait for it");
        held.release();
        await until(async () => (await latestRun(person))?.status === "complete");
        const run = await latestRun(person);
        assert.deepEqual([run.trigger, run.sync_type, run.created], ["connect", "FULL", 3]);
        assert.equal((await person.connection()).initial_sync_complete, true);
        await assertMirrors(person);
      },
    );

    await t.step(
      "with sync: false leaves the first sync to the schedule, one interval later",
      async () => {
        const person = await project.person({ ...FEW, connected: false });
        person.requests();
        const { body } = await person.connect({ sync: false });
        assert.equal(Date.parse(body.next_sync), Date.parse(project.now) + 15 * 60_000);
        assert.equal(person.requests(), 1, "one look-up: whose token it is");
        assert.equal((await person.runs()).length, 0);
      },
    );

    await t.step("makes no subscription", () => {
      assert.deepEqual(project.sandbox.truth().webhook_subscriptions, []);
      return Promise.resolve();
    });

    await t.step("succeeds even where the first sync does not", async () => {
      const person = await project.person({ ...FEW, connected: false });
      project.sandbox.control.faults({
        path: "/scheduled_events",
        user: person.host.uri,
        effect: {
          kind: "status",
          status: 403,
          body: { title: "Permission Denied", message: "Not on this plan" },
        },
      });
      assert.equal((await person.connect()).status, 201);
      await until(async () => (await latestRun(person))?.status === "failed");
      assert.equal((await person.connection()).last_error.code, "calendly_refused");
      assert.equal((await person.sync()).body.status, "complete");
    });
  },

  "connecting does not succeed": async (project, t) => {
    const { control } = project.sandbox;
    const person = await project.person({ ...FEW, connected: false });

    const refused: [string, Record<string, unknown>, number, string][] = [
      ["without a token", {}, 400, "invalid_body"],
      ["with an empty token", { token: " " }, 400, "invalid_body"],
      ["with a token of two lines", { token: "one\ntwo" }, 400, "invalid_body"],
      ["with a token of 10,000 letters", { token: "x".repeat(10_000) }, 400, "invalid_body"],
      ["with a number for a token", { token: 7 }, 400, "invalid_body"],
      ["for an unknown scope", { token: person.token, scope: "galaxy" }, 400, "invalid_body"],
      ["with a field of its own", { token: person.token, user_id: 1 }, 400, "invalid_body"],
      ["with a token that Calendly does not know", { token: "pat_unknown" }, 422, "token_invalid"],
    ];
    for (const [name, body, status, code] of refused) {
      await t.step(name, async () => {
        const answer = await person.invoke("calendly-connect", "POST", body);
        assert.deepEqual([answer.status, answer.body.error.code], [status, code]);
        assert.ok(answer.body.error.hint);
        assert.equal((await person.connection()).state, "disconnected");
      });
    }

    await t.step("with a token that was revoked or has expired", async () => {
      const { token: expired } = control.create_token({
        user: person.host.uri,
        expires_at: day(-1),
      });
      const { token: revoked } = control.create_token({ user: person.host.uri });
      control.revoke_token({ token: revoked });
      for (const token of [expired, revoked]) {
        const { status, body: { error } } = await person.connect({ token });
        assert.deepEqual([status, error.code], [422, "token_invalid"]);
        assert.match(error.message, /expired|revoked/);
      }
    });

    await t.step("while Calendly is away", async () => {
      control.faults({ path: "/users/me", times: 3, effect: { kind: "status", status: 503 } });
      const { status, body: { error } } = await person.connect();
      assert.deepEqual([status, error.code], [502, "calendly_unavailable"]);
      assert.equal((await person.connection()).state, "disconnected");
    });

    await t.step("with a token that works, white space around it and all", async () => {
      assert.equal(
        (await person.connect({ token: `  ${person.token}\n`, sync: false })).status,
        201,
      );
    });
  },

  "one Calendly user feeds one account": async (project, t) => {
    const [ann, bob] = [
      await project.person(FEW),
      await project.person({ ...FEW, connected: false }),
    ];
    await ann.sync();

    await t.step("another account is refused while the first is connected", async () => {
      const { token } = project.sandbox.control.create_token({ user: ann.host.uri });
      const { status, body: { error } } = await bob.connect({ token });
      assert.deepEqual([status, error.code], [409, "calendly_user_taken"]);
      assert.ok(error.hint);
      assert.doesNotMatch(JSON.stringify(error), /person\.1|@example/, "nor told whose it is");
      assert.equal((await bob.connection()).state, "disconnected");
      assert.deepEqual(await bob.meetings(), []);
    });

    await t.step("of two accounts at once, one is", async () => {
      const [cho, dov] = [
        await project.person({ connected: false }),
        await project.person({ connected: false }),
      ];
      const answers = await Promise.all(
        [cho, dov].map((person) => person.connect({ token: cho.token, sync: false })),
      );
      assert.deepEqual(answers.map(({ status }) => status).sort(), [201, 409]);
    });

    await t.step("and another one once the first has let go", async () => {
      await ann.disconnect();
      const { status } = await bob.connect({ token: ann.token, sync: false });
      assert.equal(status, 201);
      const { body } = await bob.sync();
      assert.deepEqual([body.created, body.unchanged], [0, 3], "what is stored goes over to bob");
      assert.equal((await bob.meetings()).length, 3);
      assert.equal((await ann.connect()).body.error.code, "calendly_user_taken");
    });

    await t.step("one account does not mix the meetings of two Calendly users", async () => {
      const { status, body: { error } } = await bob.connect({ token: bob.token });
      assert.deepEqual([status, error.code], [409, "another_calendly_user"]);
      assert.ok(error.hint);
      assert.equal((await bob.connection()).calendly_user.uri, ann.host.uri);
    });
  },

  "disconnecting": async (project, t) => {
    const person = await project.person(FEW);
    await person.sync();

    await t.step("forgets the token and keeps the meetings", async () => {
      const { status, body } = await person.disconnect();
      assert.equal(status, 200);
      assert.deepEqual([body.state, body.disconnected, body.calendly_user], [
        "disconnected",
        true,
        null,
      ]);
      assert.equal((await person.meetings()).length, 3);
      const [{ count }] = await project.stack.sql(
        `select count(*)::integer from calendly.credentials k
         join calendly_connections c on c.id = k.connection_id where c.user_id = $1`,
        [person.id],
      );
      assert.equal(count, 0);
      const refused = await person.sync();
      assert.deepEqual([refused.status, refused.body.error.code], [409, "not_connected"]);
      assert.match(refused.body.error.hint, /calendly-connect/);
    });

    await t.step("a second time does nothing", async () => {
      const { status, body } = await person.disconnect();
      assert.deepEqual([status, body.state, body.disconnected], [200, "disconnected", false]);
    });

    await t.step("is undone by connecting again, and nothing is fetched twice", async () => {
      assert.equal((await person.connect({ sync: false })).status, 201);
      const { body } = await person.sync();
      assert.deepEqual([body.unchanged, body.requests], [3, 1]);
      await assertMirrors(person);
    });

    await t.step("erases what came from Calendly if asked", async () => {
      const { status, body } = await person.disconnect({ erase: true });
      assert.deepEqual([status, body.erased_meetings], [200, 3]);
      assert.deepEqual([await person.meetings(), await person.invitees(), await person.runs()], [
        [],
        [],
        [],
      ]);
      const { calendly_initial_sync_complete, last_calendly_sync } = await person.row();
      assert.deepEqual([calendly_initial_sync_complete, last_calendly_sync], [false, null]);
    });

    await t.step("and connecting anew starts from the beginning", async () => {
      await person.connect({ sync: false });
      const { body } = await person.sync();
      assert.deepEqual([body.sync_type, body.created], ["FULL", 3]);
      await assertMirrors(person);
    });

    await t.step("erases nothing of another person's", async () => {
      const other = await project.person(FEW);
      await other.sync();
      await person.disconnect({ erase: true });
      await assertMirrors(other);
      assert.equal((await other.connection()).state, "active");
    });
  },

  "the end of an account ends its connection": async (project) => {
    const person = await project.person(FEW);
    await person.sync();
    const held = project.wire.hold("calendly_apply_step");
    const running = person.sync();
    await held.arrived;
    await project.stack.sql("delete from auth.users where id = $1", [person.account.auth_user_id]);
    const byServer = () =>
      project.fetch("calendly-sync", {
        method: "POST",
        headers: { apikey: project.stack.secretKey },
        body: JSON.stringify({ user_id: person.id }),
      });
    const closed = await byServer();
    assert.deepEqual([closed.status, closed.body.error.code], [403, "account_closed"]);

    // what cron does once a minute
    await project.stack.sql("select calendly.end_closed_accounts()");
    held.release();
    assert.equal((await running).body.error.code, "lease_lost");
    const left = await project.stack.sql(
      `select from calendly_users where id = $1
       union all select from calendly_connections where user_id = $1
       union all select from calendly_meetings where user_id = $1`,
      [person.id],
    );
    assert.equal(left.length, 0);
    const gone = await byServer();
    assert.deepEqual([gone.status, gone.body.error.code], [404, "unknown_user"]);
  },
});
