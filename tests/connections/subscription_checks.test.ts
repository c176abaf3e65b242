/** Subscriptions die silently at Calendly. Once a day somebody looks, makes a new one and syncs the gap. */
import assert from "node:assert/strict";
import { assertMirrors } from "../functions/mirror.ts";
import { type Person, type Project, projectTests, until } from "../functions/support.ts";
import { Wire } from "../functions/wire.ts";
import { asDelivered } from "../webhooks/support.ts";
import { ask, assertDelivers, liveOn, remove, scheduled, subscribed } from "./subscribers.ts";
import { connectByOAuth, runSchedule, subscriptionsOf } from "./support.ts";

/** Has Calendly disable it, as it does after a day without any success. */
async function disableByFailures(person: Person): Promise<void> {
  const { project } = person;
  project.sandbox.control.book({ user: person.host.uri, location: "physical" });
  project.wire.refuse("calendly_receive_webhook", 1);
  await project.sandbox.control.deliver();
  await project.advance("25h");
  assert.deepEqual(subscriptionsOf(person).map(({ state }) => state), ["disabled"]);
}

projectTests("Looking after subscriptions", {
  "a subscription is dead for two days while bookings go on": async (project, t) => {
    const deaths: [string, (person: Person) => Promise<unknown>][] = [
      ["removed at Calendly", remove],
      ["disabled by Calendly", disableByFailures],
    ];
    for (const [what, kill] of deaths) {
      await t.step(what, async () => {
        const person = await subscribed(project);
        await project.stack.sql("update calendly_connections set next_sync_at = null");
        const since = Date.parse(project.now);
        await kill(person);
        while (Date.parse(project.now) - since < 48 * 3_600_000) {
          liveOn(
            person,
            (Date.parse(project.now) - Date.parse("2026-03-02T10:00:00Z")) / 86_400_000,
          );
          await project.sandbox.control.deliver();
          await project.advance("6h");
        }
        assert.equal((await person.meetings()).length, 3, "nobody has told of it");

        await project.stack.sql(
          "update calendly_connections set next_sync_at = calendly.now() where user_id = $1",
          [person.id],
        );
        await runSchedule(project);
        await assertMirrors(person);
        const meetings = await person.meetings();
        assert.equal(new Set(meetings.map((row) => row.calendly_event_uri)).size, meetings.length);
        assert.deepEqual(await scheduled(person), ["FULL complete", "INCREMENTAL complete"]);
        assert.equal((await person.connection()).last_error, null);
        await assertDelivers(person);
        await assertMirrors(person, asDelivered);
      });
    }
  },

  "the schedule looks once a day": async (project, t) => {
    const person = await subscribed(project);
    const looks = () => {
      const { count } = project.sandbox.control.requests({ path: "/webhook_subscriptions" });
      project.sandbox.control.clear_requests();
      return count;
    };
    await t.step("and does nothing while all is well", async () => {
      looks();
      const [before] = subscriptionsOf(person);
      for (let time = 0; time < 12; time++) {
        await project.advance("6h");
        await runSchedule(project);
      }
      assert.equal(looks(), 2, "in three days; the first day ends a moment later than four syncs");
      assert.deepEqual(subscriptionsOf(person), [before]);
    });

    await t.step("and finds a dead one within a day", async () => {
      await remove(person);
      for (let time = 0; time < 5; time++) {
        await project.advance("6h");
        await runSchedule(project);
      }
      await assertDelivers(person);
    });

    await t.step("and a click that finds it has the schedule sync the gap", async () => {
      await remove(person);
      liveOn(person, 30);
      await project.advance("25h");
      assert.equal((await person.sync()).body.sync_type, "INCREMENTAL", "a click stays cheap");
      await runSchedule(project);
      assert.deepEqual((await scheduled(person)).slice(0, 1), ["FULL complete"]);
      await assertMirrors(person, asDelivered);
      await assertDelivers(person);
    });
  },

  "deliveries that all fail are an alert before Calendly gives up": async (project) => {
    const person = await subscribed(project);
    const alerts = () =>
      project.stack.sql("select severity, what_to_do from calendly_alerts where code = $1", [
        "webhooks_failing",
      ]);
    const book = async () => {
      project.sandbox.control.book({ user: person.host.uri, location: "physical" });
      await project.sandbox.control.deliver();
    };
    project.wire.refuse("calendly_receive_webhook", 1);
    await book();
    await project.advance("1h");
    await project.stack.sql(
      "update calendly_connections set webhooks_checked_at = null, next_sync_at = calendly.now() where user_id = $1",
      [person.id],
    );
    await runSchedule(project);
    assert.deepEqual((await alerts()).map(({ severity }) => severity), ["warning"]);
    assert.deepEqual((await person.connection()).webhooks, { state: "active", enabled: false });

    await book();
    assert.deepEqual(await alerts(), [], "what arrives is relied on again");
    await person.disconnect();
  },

  "while no new one can be made": async (project, t) => {
    const person = await subscribed(project);
    await remove(person);
    await project.advance("25h");
    project.sandbox.control.faults({
      path: "/webhook_subscriptions",
      method: "POST",
      user: person.host.uri,
      times: null,
      effect: { kind: "status", status: 503 },
    });
    liveOn(person, 1);

    await t.step("syncs go on, as often as without webhooks", async () => {
      await runSchedule(project);
      await assertMirrors(person);
      const { webhooks, next_sync } = await person.connection();
      assert.deepEqual([webhooks.state, webhooks.enabled], ["disabled", false]);
      assert.equal(webhooks.error.code, "calendly_unavailable");
      assert.ok(Date.parse(next_sync) - Date.parse(project.now) <= 15 * 60_000);
    });

    await t.step("it is an alert", async () => {
      const [alert] = await project.stack.sql(
        "select severity, what_to_do from calendly_alerts where user_id = $1 and code = 'webhook_disabled'",
        [person.id],
      );
      assert.equal(alert.severity, "warning");
      assert.match(alert.what_to_do, /The last try failed: Calendly answers with HTTP 503/);
    });

    await t.step("and the next sync that can makes it", async () => {
      project.sandbox.control.clear_faults();
      await project.advance("15m");
      await runSchedule(project);
      await assertDelivers(person);
      const alerts = await project.stack.sql(
        "select code from calendly_alerts where user_id = $1",
        [person.id],
      );
      assert.deepEqual(alerts, []);
    });
  },

  "one that calls another address": async (project, t) => {
    const person = await subscribed(project);
    const original = project.wire.url;
    const moved = new Wire();
    moved.leadTo(project.stack.url);

    await t.step("as after a move of the project, is replaced", async () => {
      await project.restart({ SUPABASE_URL: moved.url });
      await project.stack.sql("select calendly_confirm_project($1)", [moved.url]);
      await project.advance("25h");
      await runScheduleAt(moved, project);
      const [subscription, ...more] = subscriptionsOf(person);
      assert.ok(subscription.callback_url.startsWith(`${moved.url}/functions/v1/`));
      assert.deepEqual(more, []);
    });
    await project.restart({ SUPABASE_URL: original });
    await project.stack.sql("select calendly_confirm_project($1)", [original]);
    await moved.stop();

    await t.step("and somebody else's is left alone", async () => {
      const foreign = {
        url: "https://crm.example.com/hooks/calendly",
        events: ["invitee.created"],
        organization: person.host.current_organization,
        user: person.host.uri,
        scope: "user",
      };
      await ask(person, "POST", "/webhook_subscriptions", foreign);
      await project.advance("25h");
      await runSchedule(project);
      const urls = subscriptionsOf(person).map(({ callback_url }) => callback_url);
      assert.equal(urls.length, 2);
      assert.ok(urls.includes(foreign.url));
      await person.disconnect();
      await until(() => subscriptionsOf(person).length === 1);
      assert.equal(subscriptionsOf(person)[0].callback_url, foreign.url);
    });
  },

  "an account that ends ends its subscription at Calendly": async (project, t) => {
    const endings: [string, string][] = [
      ["the account in Auth", "delete from auth.users where id = $1"],
      [
        "the person's row in calendly_users",
        "delete from public.calendly_users where auth_user_id = $1",
      ],
    ];
    for (const [what, statement] of endings) {
      await t.step(what, async () => {
        const person = await subscribed(project);
        await project.stack.sql(statement, [person.account.auth_user_id]);
        await project.stack.sql("select calendly.end_closed_accounts()");
        await runSchedule(project);
        assert.deepEqual(subscriptionsOf(person), []);
        const [{ left }] = await project.stack.sql(
          "select count(*)::integer as left from calendly.pending_revocations",
        );
        assert.equal(left, 0, "and its last token is forgotten");
      });
    }
    await t.step("with a token that must be refreshed first", async () => {
      const person = await project.person({ connected: false });
      await connectByOAuth(person);
      await person.invoke("calendly-connect/webhooks", "POST");
      await project.advance("5h");
      await project.stack.sql("delete from auth.users where id = $1", [
        person.account.auth_user_id,
      ]);
      await project.stack.sql("select calendly.end_closed_accounts()");
      await runSchedule(project);
      assert.deepEqual(subscriptionsOf(person), []);
    });
  },
});

/** The schedule of a project whose functions reach it at another address. */
async function runScheduleAt(wire: Wire, project: Project): Promise<void> {
  const { calls } = project.wire;
  const before = calls.length;
  await project.fetch("calendly-sync/nudge", { method: "POST" });
  await until(() => wire.idleClaims > 0);
  assert.equal(calls.length, before, "nobody uses the former address");
}
