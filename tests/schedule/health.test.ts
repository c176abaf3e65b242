/** GET …/calendly-sync/health and …/metrics: what monitors ask, of a whole project. */
import assert from "node:assert/strict";
import { parseOpenMetrics } from "../functions/openmetrics.ts";
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

projectTest("health tells a server everything and anybody else one word", async (project, t) => {
  const [person] = await people(project, 1);
  const { publishableKey, secretKey } = project.stack;
  const callers: [who: string, headers: Record<string, string>, isServer: boolean][] = [
    ["no key", {}, false],
    ["the publishable key", { apikey: publishableKey }, false],
    ["a signed-in person", {
      apikey: publishableKey,
      authorization: `Bearer ${person.account.access_token}`,
    }, false],
    ["a wrong key", { apikey: `${secretKey}x` }, false],
    ["a secret key as apikey", { apikey: secretKey }, true],
    ["a secret key as bearer", { authorization: `Bearer ${secretKey}` }, true],
  ];
  for (const [who, headers, isServer] of callers) {
    await t.step(who, async () => {
      const { status, body } = await project.fetch(HEALTH, { headers });
      assert.equal(status, 200);
      if (!isServer) assert.deepEqual(body, { status: "healthy" });
      else assert.deepEqual([body.alerts, body.configuration.token_key], [[], true]);
    });
  }
  await t.step("another method than GET is refused", async () => {
    const answer = await project.fetch(HEALTH, { method: "POST", headers: { apikey: secretKey } });
    assert.equal(answer.status, 405);
  });
});

projectTest("metrics are the figures of the views", async (project) => {
  const [person] = await people(project, 2);
  await project.advance("15m");
  await tick(project);
  await allSynced(project);
  await project.advance("90s");
  await project.stack.sql(
    "update public.calendly_connections set webhook_state = 'disabled' where user_id = $1",
    [person.id],
  );
  const staleness = async () =>
    (await project.stack.sql(
      "select extract(epoch from max)::float8 as max from public.calendly_freshness",
    ))[0].max;
  const before = await staleness();
  const response = await fetch(`${project.stack.url}/functions/v1/calendly-sync/metrics`, {
    headers: { apikey: project.stack.secretKey },
  });
  const families = parseOpenMetrics(await response.text());
  const samples = (name: string) => families.get(`calendly_sync_${name}`)!.samples;
  assert.deepEqual(samples("alerts"), [
    { labels: { code: "webhook_disabled", severity: "warning" }, value: 1 },
  ]);
  assert.equal(samples("users")[0].value, 2);
  assert.equal(samples("healthy")[0].value, 1);
  assert.equal(samples("running_workers")[0].value, 0);
  const [{ ticked_at }] = await project.stack.sql(
    "select extract(epoch from ticked_at)::float8 as ticked_at from calendly.project",
  );
  assert.equal(samples("last_tick_timestamp_seconds")[0].value, ticked_at);
  const [{ value }] = samples("staleness_max_seconds");
  assert.ok(before <= value && value <= await staleness(), `${before} ${value}`);
});
