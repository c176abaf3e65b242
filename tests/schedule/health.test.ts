/** GET …/calendly-sync/health: what an uptime monitor asks, with a secret key. */
import assert from "node:assert/strict";
import { projectTest } from "../functions/support.ts";
import { allSynced, people, tick } from "./support.ts";

const HEALTH = "calendly-sync/health";

projectTest(
  "a monitor hears 200 while all is well, and 503 with what is not",
  async (project, t) => {
    const headers = { apikey: project.stack.secretKey };
    const [person] = await people(project, 1);
    await project.advance("15m");
    await tick(project);
    await allSynced(project);

    await t.step("well", async () => {
      const { status, body } = await project.fetch(HEALTH, { headers });
      assert.deepEqual([status, body.status, body.alerts], [200, "healthy", []]);
      assert.equal(body.freshness.users, 1);
    });
    await t.step("with a warning only", async () => {
      await project.stack.sql("update public.calendly_connections set webhook_state = 'disabled'");
      const { status, body } = await project.fetch(HEALTH, { headers });
      assert.deepEqual([status, body.status], [200, "healthy"]);
      assert.deepEqual(body.alerts.map(({ code }: { code: string }) => code), ["webhook_disabled"]);
      await project.stack.sql("update public.calendly_connections set webhook_state = 'none'");
    });
    await t.step("unwell", async () => {
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
    await t.step("well again", async () => {
      const { token } = project.sandbox.control.create_token({ user: person.host.uri });
      await person.connect({ token, sync: false });
      await person.sync();
      assert.equal((await project.fetch(HEALTH, { headers })).status, 200);
    });
    await t.step("without the database", async () => {
      project.wire.refuse("calendly_health", 1);
      const { status, body } = await project.fetch(HEALTH, { headers });
      assert.deepEqual([status, body.error.code], [503, "database_unavailable"]);
    });
  },
);

projectTest("health is for servers", async (project, t) => {
  const [person] = await people(project, 1);
  const { publishableKey, secretKey } = project.stack;
  const callers: [who: string, headers: Record<string, string>, status: number][] = [
    ["nobody", {}, 401],
    ["the publishable key", { apikey: publishableKey }, 401],
    ["a signed-in person", {
      apikey: publishableKey,
      authorization: `Bearer ${person.account.access_token}`,
    }, 401],
    ["a key that is none", { apikey: `${secretKey}x` }, 401],
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
  await t.step("by GET only", async () => {
    const answer = await project.fetch(HEALTH, { method: "POST", headers: { apikey: secretKey } });
    assert.equal(answer.status, 405);
  });
});
