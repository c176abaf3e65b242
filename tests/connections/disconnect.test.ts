/** Disconnecting ends at Calendly what was begun there, also while a sync runs or Calendly does not answer. */
import assert from "node:assert/strict";
import { assertMirrors } from "../functions/mirror.ts";
import { type Person, type Project, projectTests, until } from "../functions/support.ts";
import {
  connectByOAuth,
  connected,
  FEW,
  isLive,
  runSchedule,
  subscriptionsOf,
  watchTokens,
} from "./support.ts";

/** Somebody connected by OAuth and synced, with webhooks. */
async function withWebhooks(project: Project): Promise<Person> {
  const person = await connected(project);
  assert.equal((await person.invoke("calendly-connect/webhooks", "POST")).status, 201);
  return person;
}

/** Connections that still have something to be ended at Calendly. */
async function left(project: Project): Promise<number> {
  const [{ left }] = await project.stack.sql(
    "select count(*)::integer as left from calendly.pending_revocations",
  );
  return left;
}

/** Waits for the try that the function makes at once. */
async function triedOnce(project: Project): Promise<void> {
  const tried = "select from calendly.pending_revocations where attempts = 1";
  await until(async () => (await project.stack.sql(tried)).length === 1);
}

async function assertNothingLeft(person: Person, token: string): Promise<void> {
  await until(async () => await left(person.project) === 0);
  assert.deepEqual(subscriptionsOf(person), []);
  assert.equal(await isLive(person.project, token), false);
}

projectTests("Disconnecting", {
  "at Calendly": async (project, t) => {
    using watched = watchTokens(project);
    const person = await withWebhooks(project);
    const [{ access_token }] = watched.given;

    await t.step("the token is revoked and the subscription deleted", async () => {
      const { status, body } = await person.disconnect();
      assert.deepEqual([status, body.state, body.webhooks], [200, "disconnected", {
        state: "none",
        enabled: false,
      }]);
      await assertNothingLeft(person, access_token);
    });

    await t.step("and here the token is forgotten, and the meetings are kept", async () => {
      const [{ count }] = await project.stack.sql(
        "select count(*)::integer from calendly.credentials",
      );
      assert.equal(count, 0);
      await assertMirrors(person);
    });

    await t.step("and connecting anew goes on where it was", async () => {
      await connectByOAuth(person);
      const { body } = await person.sync();
      assert.deepEqual([body.status, body.unchanged], ["complete", 3]);
      assert.equal(body.requests, 3, "one lists, two make sure that no subscription is left");
    });
    await person.disconnect();
  },

  "erasing": async (project) => {
    const [person, colleague] = [await connected(project), await project.person()];
    const { control } = project.sandbox;
    const organization = person.host.current_organization;
    control.join({ user: colleague.host.uri, organization });
    const { uri } = control.create_event_type({
      user: person.host.uri,
      hosts: [person.host.uri, colleague.host.uri],
      pooling_type: "collective",
      locations: ["physical"],
    });
    control.book({ event_type: uri });
    await control.deliver();
    for (const each of [person, colleague]) await each.sync();

    const { body } = await person.disconnect({ erase: true });
    assert.equal(body.erased_meetings, 4);
    assert.deepEqual(await person.meetings(), []);
    assert.deepEqual([await person.invitees(), await person.runs()], [[], []]);
    const events = "select from calendly_webhook_events where user_id = $1";
    assert.deepEqual(await project.stack.sql(events, [person.id]), []);
    const [left_] = await project.stack.sql(
      "select state, next_sync_at, last_error from calendly_connections where user_id = $1",
      [person.id],
    );
    assert.deepEqual(
      Object.values(left_),
      ["disconnected", null, null],
      "the ended connection stays",
    );
    assert.equal((await colleague.meetings()).length, 1, "the other host keeps the shared event");
    await assertMirrors(colleague);
    await until(async () => await left(project) === 0);
  },

  "while a sync, a refresh or a subscription is being worked on": async (project, t) => {
    using watched = watchTokens(project);
    const newest = () => watched.given.at(-1)!.access_token;

    await t.step("a running sync stops and writes nothing more", async () => {
      const person = await withWebhooks(project);
      project.sandbox.control.book({ user: person.host.uri, location: "physical" });
      await project.advance("1m");
      const held = project.wire.hold("calendly_apply_step");
      const syncing = person.sync();
      await held.arrived;
      await person.disconnect();
      person.requests();
      held.release();
      const { status, body: { error } } = await syncing;
      assert.deepEqual([status, error.code], [409, "lease_lost"]);
      const [run] = await person.runs();
      assert.deepEqual([run.status, run.error.code], ["failed", "disconnected"]);
      assert.equal((await person.meetings()).length, 3);
      await assertNothingLeft(person, newest());
    });

    await t.step("a paused one is not taken up", async () => {
      const person = await withWebhooks(project);
      await project.advance("1m");
      project.sandbox.control.faults({
        path: "/scheduled_events",
        user: person.host.uri,
        times: 3,
        effect: { kind: "status", status: 503 },
      });
      assert.equal((await person.sync()).body.status, "paused");
      await person.disconnect();
      await assertNothingLeft(person, newest());
      person.requests();
      await project.advance("1h");
      await runSchedule(project);
      const [run] = await person.runs();
      assert.deepEqual([run.status, run.error.code], ["failed", "disconnected"]);
      assert.equal(person.requests(), 0);
    });

    await t.step("a refresh brings its pair to the one who revokes it", async () => {
      const person = await withWebhooks(project);
      await project.advance("3h");
      const held = project.wire.hold("calendly_finish_refresh");
      const syncing = person.sync();
      await held.arrived;
      // with the spent pair nothing could be ended: Calendly is away until the new one is there
      project.sandbox.control.faults([{
        path: "/webhook_subscriptions/*",
        times: 3,
        effect: { kind: "status", status: 503 },
      }, { path: "/oauth/token", effect: { kind: "status", status: 503 } }]);
      await person.disconnect();
      held.release();
      assert.equal((await syncing).status, 409);
      await project.advance("2m");
      await runSchedule(project);
      await project.advance("2m");
      await runSchedule(project);
      project.sandbox.control.clear_faults();
      await project.advance("1h");
      await runSchedule(project);
      await assertNothingLeft(person, newest());
    });

    await t.step("a subscription in the making is deleted", async () => {
      const person = await withWebhooks(project);
      const held = project.wire.hold("calendly_keep_subscription");
      const enabling = person.invoke("calendly-connect/webhooks", "POST");
      await held.arrived;
      await person.disconnect();
      held.release();
      await enabling;
      await project.advance("2m");
      await runSchedule(project);
      await assertNothingLeft(person, newest());
      assert.deepEqual((await person.connection()).webhooks, { state: "none", enabled: false });
    });

    await t.step("one whose making was never answered is found by its address", async () => {
      const person = await connected(project);
      const { control } = project.sandbox;
      const lost = { method: "POST", path: "/webhook_subscriptions", times: 1 };
      control.faults({ ...lost, effect: { kind: "cut" } });
      assert.equal((await person.invoke("calendly-connect/webhooks", "POST")).status, 502);
      assert.equal(subscriptionsOf(person).length, 1);
      // The first look fails, and so it is tried again.
      const look = { method: "GET", path: "/webhook_subscriptions", times: 10 };
      control.faults({ ...look, effect: { kind: "status", status: 503 } });
      await person.disconnect();
      await triedOnce(project);
      assert.equal(subscriptionsOf(person).length, 1);
      control.clear_faults();
      await project.advance("1h");
      await runSchedule(project);
      await assertNothingLeft(person, newest());
    });

    await t.step("and whoever connects again at once is not ended with it", async () => {
      const person = await withWebhooks(project);
      const former = newest();
      await person.disconnect();
      await connectByOAuth(person);
      await person.invoke("calendly-connect/webhooks", "POST");
      await until(async () => await left(project) === 0);
      assert.equal(await isLive(project, former), false);
      assert.ok(await isLive(project, newest()));
      assert.equal(subscriptionsOf(person).length, 1);
      await project.advance("1m");
      assert.equal((await person.sync()).body.status, "complete");
      await person.disconnect();
      await until(async () => await left(project) === 0);
    });
  },

  "while Calendly is away": async (project, t) => {
    using watched = watchTokens(project);
    const person = await withWebhooks(project);
    const { control } = project.sandbox;

    await t.step("it is done here at once", async () => {
      for (const path of ["/webhook_subscriptions/*", "/oauth/revoke"]) {
        control.faults({ path, times: null, effect: { kind: "status", status: 503 } });
      }
      const { status, body } = await person.disconnect();
      assert.deepEqual([status, body.state], [200, "disconnected"]);
      assert.equal((await person.sync()).body.error.code, "not_connected");
      await triedOnce(project);
    });

    await t.step("and there as soon as it can be, tried less and less often", async () => {
      const tries = () => control.requests({ path: "/webhook_subscriptions/*" }).count;
      const counts: number[] = [];
      for (let hour = 0; hour < 3; hour++) {
        const before = tries();
        for (let tick = 0; tick < 12; tick++) {
          await project.advance("5m");
          await runSchedule(project);
        }
        counts.push(tries() - before);
      }
      assert.ok(counts[0] > counts[2] && counts[2] > 0, counts.join());
      control.clear_faults();
      await project.advance("1h");
      await runSchedule(project);
      await assertNothingLeft(person, watched.given[0].access_token);
    });

    await t.step(
      "a person who connects again meanwhile keeps the new token",
      async () => {
        const person = await withWebhooks(project);
        control.faults({
          path: "/oauth/revoke",
          times: null,
          effect: { kind: "status", status: 503 },
        });
        await person.disconnect();
        await triedOnce(project);
        assert.equal((await connectByOAuth(person)).status, 201);
        control.clear_faults();
        await project.advance("3h"); // the former token has expired: it is refreshed to be revoked
        await project.stack.sql("update calendly_connections set next_sync_at = null");
        await runSchedule(project);
        await until(async () => await left(project) === 0);
        assert.equal((await person.sync()).body.status, "complete");
      },
    );

    await t.step("but not for ever", async () => {
      const other = await withWebhooks(project);
      control.faults({
        path: "/oauth/revoke",
        times: null,
        effect: { kind: "status", status: 503 },
      });
      await other.disconnect();
      await triedOnce(project);
      for (let time = 0; time < 31; time++) {
        await project.advance("2h");
        await runSchedule(project);
      }
      await until(async () => await left(project) === 0); // the token is forgotten
      control.clear_faults();
    });
  },

  "a subscription that may not be deleted does not keep the token alive": async (project, t) => {
    const refusals: [string, Record<string, unknown>][] = [
      ["after a downgrade", {
        title: "Permission Denied",
        message: "Please upgrade to a paid Calendly account.",
      }],
      ["without the scope", { title: "Insufficient scope", required_scopes: ["webhooks:write"] }],
    ];
    for (const [when, body] of refusals) {
      await t.step(when, async () => {
        using watched = watchTokens(project);
        const person = await withWebhooks(project);
        const [{ uri }] = subscriptionsOf(person);
        project.sandbox.control.faults({
          path: "/webhook_subscriptions/*",
          user: person.host.uri,
          effect: { kind: "status", status: 403, body },
        });
        await person.disconnect();
        await until(async () => await left(project) === 0);
        assert.equal(await isLive(project, watched.given[0].access_token), false);
        assert.ok(
          project.logs().some((line) =>
            line.includes("A webhook subscription could not be deleted") && line.includes(uri)
          ),
        );
      });
    }
  },

  "with a token that Calendly refuses there is nothing to end": async (project) => {
    using watched = watchTokens(project);
    const person = await withWebhooks(project);
    project.sandbox.control.revoke_token({ token: watched.given[0].access_token });
    await project.advance("3h");
    assert.equal((await person.sync()).body.error.code, "reconnect_required");
    assert.equal((await person.disconnect()).body.state, "disconnected");
    await until(async () => await left(project) === 0);
  },

  "a personal access token is forgotten, its person withdraws it at Calendly": async (project) => {
    const person = await project.person(FEW);
    await person.invoke("calendly-connect/webhooks", "POST");
    project.sandbox.control.clear_requests();
    await person.disconnect();
    await until(async () => await left(project) === 0);
    assert.deepEqual(subscriptionsOf(person), []);
    assert.equal(project.sandbox.control.requests({ path: "/oauth/revoke" }).count, 0);
  },
});
