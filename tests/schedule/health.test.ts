/** GET …/calendly-sync/health: what an uptime monitor asks, with a secret key. */
import assert from "node:assert/strict";
import { projectTest } from "../functions/support.ts";
import { allSynced, people, tick } from "./support.ts";

const HEALTH = "calendly-sync/health";

projectTest(
  "health answers 200 while no alert is critical, and 503 with the alerts otherwise",
  async (project, t) => {
    const headers = { apikey: project.stack.secretKey };
    const [person] = await people(project, 1);
    await project.advance("15m");
    await tick(project);
    await allSynced(project);

    await t.step("200 while all is well", async () => {
      const { status, body } = await project.fetch(HEALTH, { headers });
      assert.deepEqual([status, body.status, body.alerts], [200, "healthy", []]);
      assert.equal(body.freshness.users, 1);
    });
    await t.step("200 with a warning", async () => {
      await project.stack.sql("update public.calendly_connections set webhook_state = 'disabled'");
      const { status, body } = await project.fetch(HEALTH, { headers });
      assert.deepEqual([status, body.status], [200, "healthy"]);
      assert.deepEqual(body.alerts.map(({ code }: { code: string }) => code), ["webhook_disabled"]);
      await project.stack.sql("update public.calendly_connections set webhook_state = 'none'");
    });
    await t.step("503 while a reconnect is required", async () => {
      project.sandbox.control.revoke_token({ token: person.token });
      for (let attempt = 0; attempt < 3; attempt++) await person.sync();
      const { status, body } = await project.fetch(HEALTH, { headers });
      assert.deepEqual([status, body.status], [503, "unhealthy"]);
      const [alert] = body.alerts;
      assert.deepEqual([alert.code, alert.severity, alert.user_id], [
        "reconnect_required",
        "critical",
        person.id,
      ]);
      assert.ok(alert.since && alert.message && alert.what_to_do);
      assert.ok(!JSON.stringify(body).includes(person.token));
    });
    await t.step("200 after the reconnect", async () => {
      const { token } = project.sandbox.control.create_token({ user: person.host.uri });
      await person.connect({ token, sync: false });
      await person.sync();
      assert.equal((await project.fetch(HEALTH, { headers })).status, 200);
    });
    await t.step("503 while the database does not answer", async () => {
      project.wire.refuse("calendly_health", 1);
      const { status, body } = await project.fetch(HEALTH, { headers });
      assert.deepEqual([status, body.error.code], [503, "database_unavailable"]);
    });
  },
);

projectTest("health answers only to a secret key", async (project, t) => {
  const [person] = await people(project, 1);
  const { publishableKey, secretKey } = project.stack;
  const callers: [who: string, headers: Record<string, string>, status: number][] = [
    ["no key", {}, 401],
    ["the publishable key", { apikey: publishableKey }, 401],
    ["a signed-in person", {
      apikey: publishableKey,
      authorization: `Bearer ${person.account.access_token}`,
    }, 401],
    ["a wrong key", { apikey: `${secretKey}x` }, 401],
    ["a secret key as apikey", { apikey: secretKey }, 200],
    ["a secret key as bearer", { authorization: `Bearer ${secretKey}` }, 200],
  ];
  for (const [who, headers, status] of callers) {
    await t.step(who, async () => {
      const answer = await project.fetch(HEALTH, { headers });
      assert.equal(answer.status, status);
      if (status === 401) assert.deepEqual(Object.keys(answer.body), ["error"]);
    });
  }
  await t.step("another method than GET is refused", async () => {
    const answer = await project.fetch(HEALTH, { method: "POST", headers: { apikey: secretKey } });
    assert.equal(answer.status, 405);
  });
});
