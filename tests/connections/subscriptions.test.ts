/** Webhook subscriptions at Calendly: made on request, replaced without a gap, refused with a reason, ended. */
import assert from "node:assert/strict";
import { assertMirrors } from "../functions/mirror.ts";
import { type Answer, type Person, type Project, projectTests } from "../functions/support.ts";
import { asDelivered, sign } from "../webhooks/support.ts";
import {
  connectByOAuth,
  derivedKey,
  FEW,
  member,
  runSchedule,
  subscriptionsOf,
  TOKEN_KEY,
} from "./support.ts";

const EVENTS = [
  "invitee.created",
  "invitee.canceled",
  "invitee_no_show.created",
  "invitee_no_show.deleted",
];

const enable = (person: Person) => person.invoke("calendly-connect/webhooks", "POST");
const disable = (person: Person) => person.invoke("calendly-connect/webhooks", "DELETE");

/** Has Calendly send what is due; what it was answered. */
async function deliver(project: Project, which: "due" | string[] = "due") {
  const sent = await project.sandbox.control.deliver(which);
  return sent.map(({ attempts }) => attempts.at(-1)!.status);
}

/** What was asked of the subscriptions since the last time, in order. */
function calls(project: Project): string[] {
  const { requests } = project.sandbox.control.requests();
  project.sandbox.control.clear_requests();
  return requests.filter(({ path }) => path.startsWith("/webhook_subscriptions"))
    .map(({ method, status }) => `${method} ${status}`);
}

projectTests("Subscriptions", {
  "enabling": async (project, t) => {
    const person = await project.person(FEW);
    await person.sync();

    await t.step("makes one for the person, at our own address", async () => {
      const { status, body } = await enable(person);
      assert.deepEqual([status, body.webhooks], [201, { state: "active", enabled: true }]);
      const [subscription, ...more] = subscriptionsOf(person);
      assert.deepEqual(more, []);
      const { callback_url, events, scope, user, organization, state } = subscription;
      assert.deepEqual([scope, user, organization, state], [
        "user",
        person.host.uri,
        person.host.current_organization,
        "active",
      ]);
      assert.deepEqual(events, EVENTS);
      assert.match(
        callback_url.replace(project.wire.url, ""),
        /^\/functions\/v1\/calendly-webhook\/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/,
      );
      assert.equal((await person.row()).calendly_webhook_enabled, true);
    });

    await t.step("with a key derived from its id, with which Calendly signs", async () => {
      const { event } = project.sandbox.control.book({
        user: person.host.uri,
        location: "physical",
      });
      const [{ body, headers }] = project.sandbox.control.deliveries().filter(({ state }) =>
        state === "pending"
      );
      const [{ callback_url }] = subscriptionsOf(person);
      const at = Math.floor(Date.parse(project.now) / 1000);
      assert.equal(
        headers["calendly-webhook-signature"],
        sign(body, derivedKey(TOKEN_KEY, callback_url), at),
      );
      assert.deepEqual(await deliver(project), [200]);
      assert.equal((await person.meeting(event.uri)).synced_via_webhook, true);
    });

    await t.step("so that the schedule need only repair", async () => {
      await person.sync();
      const { next_sync } = await person.connection();
      assert.equal(Date.parse(next_sync) - Date.parse(project.now), 6 * 3_600_000);
    });

    await t.step("again makes the new one before the old one is deleted", async () => {
      const [old] = subscriptionsOf(person);
      calls(project);
      assert.equal((await enable(person)).status, 201);
      assert.deepEqual(calls(project), ["POST 201", "DELETE 204"]);
      const [made, ...more] = subscriptionsOf(person);
      assert.deepEqual(more, []);
      assert.notEqual(made.callback_url, old.callback_url);
    });

    await t.step("again keeps the old one where the new one cannot be made", async () => {
      const [old] = subscriptionsOf(person);
      project.sandbox.control.faults({
        path: "/webhook_subscriptions",
        method: "POST",
        effect: { kind: "status", status: 503 },
      });
      assert.equal((await enable(person)).body.error.code, "calendly_unavailable");
      assert.deepEqual(subscriptionsOf(person), [old]);
      project.sandbox.control.book({ user: person.host.uri });
      assert.deepEqual(await deliver(project), [200]);
      const { webhooks } = await person.connection();
      assert.deepEqual([webhooks.state, webhooks.enabled], ["active", true]);
      assert.equal(webhooks.error.code, "calendly_unavailable");
    });

    await t.step("and forgets the failure when the next sync has looked at it", async () => {
      await person.sync();
      assert.deepEqual((await person.connection()).webhooks, { state: "active", enabled: true });
    });
  },

  "while one replaces the other a booking comes by both and counts once": async (project, t) => {
    const person = await project.person();
    await enable(person);
    const held = project.wire.hold("calendly_keep_subscription");
    const enabling = enable(person);
    await held.arrived;
    assert.equal(subscriptionsOf(person).length, 2);
    const { event } = project.sandbox.control.book({ user: person.host.uri, location: "physical" });
    const [late, first] = project.sandbox.control.deliveries().filter(({ state }) =>
      state === "pending"
    );
    assert.notEqual(late.subscription, first.subscription);
    await t.step("first by the new one, that is not even known yet", async () => {
      assert.deepEqual(await deliver(project, [first.id]), [200]);
    });
    held.release();
    assert.equal((await enabling).status, 201);
    assert.equal(subscriptionsOf(person).length, 1);
    await t.step("then late by the old one, that is no more", async () => {
      await project.advance("20h");
      assert.deepEqual(await deliver(project, [late.id]), [200]);
    });
    assert.equal((await person.meetings()).length, 1);
    assert.deepEqual(
      (await person.invitees()).map(({ calendly_event_uri }) => calendly_event_uri),
      [
        event.uri,
      ],
    );
    const events = await project.stack.sql(
      "select status from calendly_webhook_events where user_id = $1",
      [person.id],
    );
    assert.deepEqual(events, [{ status: "processed" }]);
    await assertMirrors(person, asDelivered);
  },

  "what only the old one brings, late, is not lost": async (project) => {
    const person = await project.person();
    await enable(person);
    const { event } = project.sandbox.control.book({ user: person.host.uri, location: "physical" });
    const [late] = project.sandbox.control.deliveries().filter(({ state }) => state === "pending");
    await enable(person);
    await project.advance("20h");
    assert.deepEqual(await deliver(project, [late.id]), [200]);
    assert.ok(await person.meeting(event.uri));
    await disable(person);
    assert.deepEqual(await deliver(project, [late.id]), [410], "nobody wants it any more");
  },

  "for an organization": async (project, t) => {
    const { control } = project.sandbox;
    const organization = control.create_organization().uri;
    const owner = await member(project, organization, "boss", "owner");
    const worker = await member(project, organization, "worker");
    control.populate({ ...FEW, user: worker.host.uri });
    await owner.connect({ scope: "organization", sync: false });
    await project.advance("16m");
    await runSchedule(project);

    await t.step("one is made for all its members", async () => {
      assert.equal((await enable(owner)).status, 201);
      const [{ scope, user }, ...more] = subscriptionsOf(owner);
      assert.deepEqual([scope, user, more], ["organization", null, []]);
      const { event } = control.book({ user: worker.host.uri, location: "physical" });
      assert.deepEqual(await deliver(project), [200]);
      assert.ok(await worker.meeting(event.uri));
      assert.deepEqual(await owner.meetings(), []);
      assert.equal((await worker.row()).calendly_webhook_enabled, true);
      assert.deepEqual((await worker.connection()).webhooks, { state: "active", enabled: true });
    });

    await t.step("a member has none to enable", async () => {
      const { status, body: { error } } = await enable(worker);
      assert.deepEqual([status, error.code], [409, "not_connected"]);
    });

    await t.step("and nobody who is no owner or admin may make one", async () => {
      control.join({ user: owner.host.uri, organization, role: "user" });
      const [before] = subscriptionsOf(owner);
      const { status, body: { error } } = await enable(owner);
      assert.deepEqual([status, error.code], [424, "webhooks_need_role"]);
      assert.match(error.message, /permission/);
      assert.match(error.hint, /owner or admin/);
      assert.deepEqual(subscriptionsOf(owner), [before], "the one that is there goes on");
    });
  },

  "by OAuth": async (project, t) => {
    const person = await project.person({ connected: false });
    await connectByOAuth(person);
    await person.sync();

    await t.step("needs the app's signing key", async () => {
      const key = project.environment.CALENDLY_WEBHOOK_SIGNING_KEY;
      await project.restart({ CALENDLY_WEBHOOK_SIGNING_KEY: "" });
      const { status, body: { error } } = await enable(person);
      assert.deepEqual([status, error.code], [503, "not_configured"]);
      assert.match(error.message + error.hint, /CALENDLY_WEBHOOK_SIGNING_KEY.*OAuth app/s);
      assert.deepEqual(subscriptionsOf(person), []);
      if (key === undefined) delete project.environment.CALENDLY_WEBHOOK_SIGNING_KEY;
      await project.restart(key === undefined ? {} : { CALENDLY_WEBHOOK_SIGNING_KEY: key });
    });

    await t.step("with which Calendly signs then", async () => {
      assert.equal((await enable(person)).status, 201);
      const { event } = project.sandbox.control.book({
        user: person.host.uri,
        location: "physical",
      });
      assert.deepEqual(await deliver(project), [200]);
      assert.ok(await person.meeting(event.uri));
    });
  },

  "Calendly refuses": async (project, t) => {
    const { control } = project.sandbox;
    const person = await project.person(FEW);
    await person.sync();
    const refuse = (status: number, body: unknown) =>
      control.faults({
        path: "/webhook_subscriptions",
        method: "POST",
        user: person.host.uri,
        effect: { kind: "status", status, body },
      });
    const refused = async (answer: Answer, code: string, hint: RegExp, reason: RegExp) => {
      const { error } = answer.body;
      assert.deepEqual([answer.status, error.code], [424, code]);
      assert.match(error.hint, hint);
      assert.match(error.message, reason);
      const { state, webhooks, last_error } = await person.connection();
      assert.deepEqual([state, webhooks.state, webhooks.enabled], ["active", "none", false]);
      assert.equal(last_error.code, code, "the person sees it later, too");
      assert.equal((await person.sync()).body.status, "complete", "syncs go on without");
      const after = await person.connection();
      assert.equal(after.last_error, null);
      assert.equal(after.webhooks.error.code, code, "and the reason is kept");
      assert.deepEqual(subscriptionsOf(person), []);
    };

    const causes: [string, number, unknown, string, RegExp, RegExp][] = [
      [
        "for the plan",
        403,
        {
          title: "Permission Denied",
          message: "Please upgrade to a paid Calendly account.",
        },
        "webhooks_need_plan",
        /schedule/,
        /upgrade/,
      ],
      [
        "for the role",
        403,
        {
          title: "Permission Denied",
          message: "You do not have permission",
        },
        "webhooks_need_role",
        /owner or admin/,
        /permission/,
      ],
      [
        "for an address that is taken",
        409,
        {
          title: "Already Exists",
          message: "Hook with this url already exists",
        },
        "webhooks_refused",
        /[Tt]ry again/,
        /already exists/,
      ],
    ];
    for (const [what, status, body, code, hint, reason] of causes) {
      await t.step(what, async () => {
        refuse(status, body);
        await refused(await enable(person), code, hint, reason);
      });
    }

    await t.step("for the scope", async () => {
      const { token } = control.create_token({
        user: person.host.uri,
        scopes: ["users:read", "scheduled_events:read"],
      });
      await person.connect({ token, sync: false });
      await refused(await enable(person), "scope_missing", /webhooks:write/, /webhooks:write/);
    });

    await t.step("for a token that is no more", async () => {
      const { token } = control.create_token({ user: person.host.uri });
      await person.connect({ token, sync: false });
      control.revoke_token({ token });
      const { status, body: { error } } = await enable(person);
      assert.deepEqual([status, error.code], [424, "token_refused"]);
    });

    await t.step(
      "what it does not answer may exist all the same: the next sync finds it",
      async () => {
        await person.connect({ sync: false });
        control.faults({
          path: "/webhook_subscriptions",
          method: "POST",
          user: person.host.uri,
          effect: { kind: "cut" },
        });
        const { status, body: { error } } = await enable(person);
        assert.deepEqual([status, error.code], [502, "calendly_unavailable"]);
        assert.equal(subscriptionsOf(person).length, 1);
        await project.advance("1m");
        await person.sync();
        assert.deepEqual(subscriptionsOf(person), [], "nobody wants it");
      },
    );
  },

  "disabling": async (project, t) => {
    const person = await project.person(FEW);
    await enable(person);
    await person.sync();

    await t.step("deletes it at Calendly, and the schedule does the work again", async () => {
      const { status, body } = await disable(person);
      assert.deepEqual([status, body.webhooks], [200, { state: "none", enabled: false }]);
      assert.deepEqual(subscriptionsOf(person), []);
      const { next_sync } = await person.connection();
      assert.equal(Date.parse(next_sync) - Date.parse(project.now), 15 * 60_000);
      assert.equal((await person.row()).calendly_webhook_enabled, false);
    });

    await t.step("a second time does nothing", async () => {
      calls(project);
      assert.equal((await disable(person)).status, 200);
      assert.deepEqual(calls(project), []);
    });

    await t.step("is made up for by the next sync where Calendly does not answer", async () => {
      await enable(person);
      project.sandbox.control.faults({
        path: "/webhook_subscriptions/*",
        method: "DELETE",
        times: 3,
        effect: { kind: "status", status: 503 },
      });
      assert.deepEqual((await disable(person)).body.webhooks.state, "none");
      assert.equal(subscriptionsOf(person).length, 1);
      await project.advance("15m");
      await runSchedule(project);
      assert.deepEqual(subscriptionsOf(person), []);
    });
  },
}, { env: { CALENDLY_TOKEN_KEY: TOKEN_KEY } });
