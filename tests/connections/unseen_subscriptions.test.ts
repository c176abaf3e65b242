/**
 * A subscription that cannot be looked at may be gone, and people change their organization at Calendly,
 * with which their subscription ends. Neither may leave somebody with old meetings and nobody told.
 */
import assert from "node:assert/strict";
import { assertMirrors } from "../functions/mirror.ts";
import { type Person, type Project, projectTests } from "../functions/support.ts";
import { asDelivered } from "../webhooks/support.ts";
import { connectAll, organization, pass } from "./organization.ts";
import { assertDelivers, liveOn, scheduled, subscribed } from "./subscribers.ts";
import { runSchedule, subscriptionsOf } from "./support.ts";

const MINUTES = 60_000;

/** The codes and messages of the alerts that concern this person. */
async function alertsOf({ project, id }: Person): Promise<Record<string, string>[]> {
  return await project.stack.sql(
    "select code, severity, message from calendly_alerts where user_id = $1 order by code",
    [id],
  );
}

async function minutesToNextSync(person: Person): Promise<number> {
  const { next_sync } = await person.connection();
  return Math.round((Date.parse(next_sync) - Date.parse(person.project.now)) / MINUTES);
}

/** How often Calendly was asked for its subscriptions since the last time. */
function looks({ sandbox }: Project): number {
  const { requests } = sandbox.control.requests({ path: "/webhook_subscriptions" });
  sandbox.control.clear_requests();
  return requests.filter(({ method }) => method === "GET").length;
}

function refuseLooks(person: Person, status: number, body?: unknown): void {
  person.project.sandbox.control.faults({
    path: "/webhook_subscriptions",
    method: "GET",
    user: person.host.uri,
    times: null,
    effect: { kind: "status", status, body },
  });
}

projectTests("Subscriptions that cannot be looked at", {
  "a refusal": async (project, t) => {
    const refusals: [string, number, unknown, RegExp][] = [
      ["403", 403, { title: "Permission Denied", message: "You may not see this." }, /may not see/],
      ["404", 404, { title: "Resource Not Found", message: "No such thing." }, /No such thing/],
      [
        "a scope that the token lacks",
        403,
        { title: "Insufficient scope", message: "no", required_scopes: ["webhooks:read"] },
        /webhooks:read/,
      ],
    ];
    for (const [what, status, body, reason] of refusals) {
      await t.step(`${what} ends the trust in webhooks`, async () => {
        const person = await subscribed(project);
        refuseLooks(person, status, body);
        await project.advance("25h");
        liveOn(person, 1);
        await runSchedule(project);
        await assertMirrors(person);
        const { state, webhooks } = await person.connection();
        assert.deepEqual([state, webhooks.state, webhooks.enabled], ["active", "unknown", false]);
        assert.match(webhooks.error.message, reason);
        assert.ok(await minutesToNextSync(person) <= 15);
        assert.deepEqual(await scheduled(person), ["FULL complete", "INCREMENTAL complete"]);
        const [alert, ...more] = await alertsOf(person);
        assert.deepEqual([alert.code, alert.severity, more], ["webhook_unknown", "warning", []]);
        assert.match(alert.message, reason);
        assert.equal(subscriptionsOf(person).length, 1, "no second one is made blindly");

        looks(project);
        for (let time = 0; time < 4; time++) await pass(project, "16m");
        assert.equal(looks(project), 0, "what is refused is asked for once a day");
        project.sandbox.control.clear_faults();
        await project.advance("25h");
        await runSchedule(project);
        await assertDelivers(person);
        assert.deepEqual(await alertsOf(person), []);
        await person.disconnect();
      });
    }
  },

  "a delivery proves that webhooks come, until the next look": async (project) => {
    const person = await subscribed(project);
    refuseLooks(person, 403, { title: "Permission Denied", message: "no" });
    await pass(project, "25h");
    project.sandbox.control.book({ user: person.host.uri, location: "physical" });
    await project.sandbox.control.deliver();
    assert.equal((await person.connection()).webhooks.enabled, true);
    await pass(project, "25h");
    const { webhooks } = await person.connection();
    assert.deepEqual([webhooks.state, webhooks.enabled], ["unknown", false]);
  },

  "an outage": async (project, t) => {
    const person = await subscribed(project);
    await project.advance("25h");
    refuseLooks(person, 503);

    await t.step("of hours changes nothing, and the next sync looks again", async () => {
      looks(project);
      await runSchedule(project);
      await pass(project, "6h");
      assert.ok(looks(project) >= 2);
      const { webhooks } = await person.connection();
      assert.deepEqual([webhooks.state, webhooks.enabled], ["active", true]);
      assert.deepEqual(await alertsOf(person), []);
    });

    await t.step("of more than a day ends the trust in webhooks", async () => {
      for (let time = 0; time < 4; time++) await pass(project, "6h");
      const { webhooks } = await person.connection();
      assert.deepEqual([webhooks.state, webhooks.enabled], ["unknown", false]);
      assert.ok(await minutesToNextSync(person) <= 15);
      assert.deepEqual((await alertsOf(person)).map(({ code }) => code), ["webhook_unknown"]);
    });

    await t.step("that is over is forgotten with the next sync", async () => {
      project.sandbox.control.clear_faults();
      await pass(project, "16m");
      assert.deepEqual(await alertsOf(person), []);
      await assertDelivers(person);
    });
  },
});

projectTests("People who change their organization", {
  "a person's webhooks": async (project, t) => {
    const person = await subscribed(project);
    const { control } = project.sandbox;
    const { uri } = control.create_organization({ name: "The next one" });
    const [former] = subscriptionsOf(person);
    control.join({ user: person.host.uri, organization: uri });
    liveOn(person, 1);
    await project.sandbox.control.deliver();

    await t.step("are made anew there within a day, and the gap is synced", async () => {
      await project.advance("25h");
      await runSchedule(project);
      const [made, ...more] = subscriptionsOf(person);
      assert.deepEqual([made.organization, more], [uri, []]);
      assert.notEqual(made.uri, former.uri);
      assert.equal((await person.connection()).calendly_user.organization, uri);
      assert.deepEqual(await scheduled(person), ["FULL complete", "INCREMENTAL complete"]);
      await assertMirrors(person);
      await assertDelivers(person);
      await assertMirrors(person, asDelivered);
      assert.deepEqual(await alertsOf(person), []);
    });

    await t.step("follow who leaves it, too", async () => {
      control.leave({ user: person.host.uri });
      await project.advance("25h");
      await runSchedule(project);
      assert.notEqual(subscriptionsOf(person)[0].organization, uri);
      await assertDelivers(person);
    });

    await t.step("can be switched on where somebody has moved since connecting", async () => {
      await person.invoke("calendly-connect/webhooks", "DELETE");
      control.join({ user: person.host.uri, organization: uri });
      const { status } = await person.invoke("calendly-connect/webhooks", "POST");
      assert.equal(status, 201);
      assert.deepEqual(subscriptionsOf(person).map(({ organization }) => organization), [uri]);
    });
  },

  "the owner of a connected organization": async (project, t) => {
    const acme = await organization(project, { members: 2, events: 3 });
    await connectAll(acme);
    const { owner, members } = acme;
    const { control } = project.sandbox;
    await owner.invoke("calendly-connect/webhooks", "POST");

    await t.step("is asked to connect again after leaving it", async () => {
      const other = control.create_organization({ name: "A competitor" });
      const stranger = control.create_user({
        email: "someone@competitor.example.com",
        organization: other.uri,
      });
      control.populate({ events: 3, user: stranger.uri });
      control.join({ user: owner.host.uri, organization: other.uri, role: "owner" });
      await project.advance("25h");
      await runSchedule(project);
      const { state, last_error, calendly_user } = await owner.connection();
      assert.deepEqual([state, last_error.code, calendly_user.organization], [
        "reconnect_required",
        "organization_left",
        acme.uri,
      ]);
      assert.match(last_error.hint, /connects again/);
      assert.deepEqual((await alertsOf(owner)).map(({ code }) => code), ["reconnect_required"]);
      const [{ rows }] = await project.stack.sql(
        "select count(*)::integer as rows from calendly_meetings where raw::text like '%' || $1 || '%'",
        [stranger.uri],
      );
      assert.equal(rows, 0, "nothing of the other organization comes in");
      for (const member of members) await assertMirrors(member);
    });

    await t.step("and, back as an owner, goes on by connecting again", async () => {
      control.join({ user: owner.host.uri, organization: acme.uri, role: "owner" });
      const { status } = await owner.connect({ scope: "organization", sync: false });
      assert.equal(status, 201);
      control.book({ user: members[0].host.uri, location: "physical" });
      await pass(project, "25h");
      for (const member of members) await assertMirrors(member);
      assert.equal((await owner.connection()).webhooks.state, "active");
    });

    await t.step("is not relied on as a plain member, and asked to connect again", async () => {
      control.join({ user: owner.host.uri, organization: acme.uri, role: "user" });
      await pass(project, "25h");
      const { webhooks } = await owner.connection();
      assert.deepEqual([webhooks.state, webhooks.enabled], ["unknown", false]);
      for (let time = 0; time < 3; time++) await pass(project, "1h");
      const { state, last_error } = await owner.connection();
      assert.deepEqual([state, last_error.code], ["reconnect_required", "calendly_refused"]);
    });
  },
});
