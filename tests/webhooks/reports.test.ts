/** What is reported of webhooks: flags, health, log lines, the setup page; and what is never stored. */
import assert from "node:assert/strict";
import { EVENTS, hookTest } from "./support.ts";

hookTest("users, meetings and health are true to what webhooks did", async (hooks) => {
  const ana = await hooks.person();
  const ben = await hooks.person();
  const healthOf = async (id: number) => {
    const [row] = await hooks.project.stack.sql(
      `select last_calendly_sync, calendly_webhook_enabled, active_calendly_meetings, deleted_calendly_meetings,
        webhook_synced_meetings, webhook_events_received
       from public.calendly_sync_health where user_id = $1`,
      [id],
    );
    return Object.values(row).map((value) =>
      typeof value === "boolean" || value === null ? value : String(value)
    );
  };
  assert.deepEqual(await healthOf(ana.id), [null, false, "0", "0", "0", "0"]);

  const { event } = hooks.control.book({ user: ana.host.uri, location: "physical" });
  await hooks.deliver();
  assert.deepEqual(await healthOf(ana.id), ["2026-03-02T10:00:00+00:00", true, "1", "0", "1", "1"]);
  assert.deepEqual(await healthOf(ben.id), [null, false, "0", "0", "0", "0"]);

  // a duplicate is no news
  await hooks.project.advance("1h");
  await hooks.deliver({}, "all");
  assert.deepEqual(await healthOf(ana.id), ["2026-03-02T10:00:00+00:00", true, "1", "0", "1", "1"]);
  // nor is what is not understood, nor what is not ours, and then nobody's
  await hooks.send({ event: "invitee.created", created_by: ana.host.uri, payload: {} });
  await hooks.send({ event: "contact.created", created_by: ana.host.uri, payload: {} });
  assert.deepEqual(await healthOf(ana.id), ["2026-03-02T10:00:00+00:00", true, "1", "0", "1", "2"]);

  hooks.control.cancel({ event: event.uri });
  await hooks.deliver();
  assert.deepEqual(await healthOf(ana.id), ["2026-03-02T11:00:00+00:00", true, "0", "1", "1", "3"]);

  // what a sync brings is the sync's, until a webhook writes it
  const { event: listed } = hooks.control.book({ user: ana.host.uri, location: "physical" });
  await hooks.take();
  await ana.sync();
  assert.equal((await ana.meeting(listed.uri)).synced_via_webhook, false);
  hooks.control.cancel({ event: listed.uri });
  await hooks.deliver();
  assert.equal((await ana.meeting(listed.uri)).synced_via_webhook, true);
  await ana.sync({ full: true });
  assert.equal((await ana.meeting(listed.uri)).synced_via_webhook, true, "never reset");
});

hookTest("a flood of webhooks writes a person's row once a second at most", async (hooks) => {
  const person = await hooks.person();
  const version = async () =>
    (await hooks.project.stack.sql("select ctid::text from public.calendly_users where id = $1", [
      person.id,
    ]))[0].ctid;
  hooks.control.book({ user: person.host.uri });
  await hooks.deliver();
  const before = await version();
  for (let booking = 0; booking < 5; booking++) hooks.control.book({ user: person.host.uri });
  await hooks.deliver();
  assert.equal(await version(), before);
  await hooks.project.advance("2s");
  hooks.control.book({ user: person.host.uri });
  await hooks.deliver();
  assert.notEqual(await version(), before);
  assert.equal((await person.meetings()).length, 7);
});

hookTest("a conference's password is kept nowhere", async (hooks) => {
  const person = await hooks.person();
  const secrets: string[] = [];
  for (
    const location of ["webex_conference", "zoom", "gotomeeting", "microsoft_teams_conference"]
  ) {
    const { event } = hooks.control.book({ user: person.host.uri, location, conference: "pushed" });
    // Zoom's is in the link as well, which nobody could join without
    if (location === "webex_conference") secrets.push(String(event.location!.data!.password));
  }
  assert.deepEqual(await hooks.deliver(), [200, 200, 200, 200]);
  // deferred ones are kept as well
  hooks.control.book({ user: person.host.uri, location: "webex_conference", conference: "pushed" });
  const delivery = JSON.parse((await hooks.take())[0]);
  secrets.push(delivery.payload.scheduled_event.location.data.password);
  delivery.payload.status = "unheard of";
  assert.deepEqual((await hooks.send(delivery)).body, { status: "deferred" });
  await person.sync();

  const kept = JSON.stringify([
    await hooks.events(),
    await person.meetings(),
    await person.invitees(),
    hooks.project.stack.functions.logs("calendly-webhook"),
  ]);
  assert.ok(kept.includes("meet.webex.com"));
  assert.deepEqual(secrets.filter((secret) => kept.includes(secret)), []);
  assert.ok(!kept.includes('"password"'));
});

hookTest("the log has a line for each delivery, with its name beside it", async (hooks) => {
  const person = await hooks.person();
  const { event } = hooks.control.book({ user: person.host.uri });
  await hooks.deliver({ duplicate: true });
  hooks.control.cancel({ event: event.uri });
  await hooks.deliver();
  await hooks.send({ event: "event_type.created", payload: {} });
  await hooks.send({ event: "invitee.created", payload: {} });
  await hooks.send({ event: "invitee.created", payload: {} }, { key: "forged" });
  const lines = hooks.project.stack.functions.logs("calendly-webhook");
  assert.deepEqual(hooks.said(), [
    "Meeting created from webhook",
    "Webhook event already processed, skipping",
    "Meeting updated from webhook",
    "Webhook event ignored",
    "Webhook event deferred",
    "A webhook was refused: The signature does not fit.",
  ]);
  const named = lines.slice(0, -1).map((line) => JSON.parse(line).event_id);
  assert.deepEqual(
    [...new Set(named)].sort(),
    (await hooks.events()).map(({ event_id }) => event_id).sort(),
  );
});

hookTest(
  "a delivery that is refused is in the log with its reason, and nothing of it",
  async (hooks) => {
    const person = await hooks.person();
    const id = await hooks.registerSubscription(person);
    const stranger = crypto.randomUUID();
    const body = { event: "invitee.created", payload: { email: "jane@example.com" } };
    await hooks.send(body, { path: `/${"x".repeat(2000)}` });
    await hooks.send(body, { path: `/${id}`, headers: { "calendly-webhook-signature": null } });
    await hooks.send(body, { path: `/${stranger}` });
    await hooks.send(body, { at: hooks.now() - 26 * 3600 });
    await hooks.send("no JSON");
    await hooks.send("no JSON");
    for (let time = 0; time < 20; time++) await hooks.send(body, { key: "another key" });
    await hooks.send("x".repeat(300_000), { path: `/${id}` });
    const lines = hooks.project.stack.functions.logs("calendly-webhook");
    assert.deepEqual(
      lines.map((line) => {
        const { message, subscription_id, count } = JSON.parse(line);
        return [message.match(/^A webhook was refused: (.*)$/)[1], subscription_id, count];
      }),
      [
        ["The signature does not fit.", "x".repeat(36), 1],
        ["The signature is missing or malformed.", id, 1],
        ["There is no such subscription.", stranger, 1],
        ["The signature is too old or from the future.", undefined, 1],
        ["The body is not JSON.", undefined, undefined],
        ["The body is not JSON.", undefined, undefined],
        ["The body is larger than 262144 bytes.", id, 1],
      ],
      "what anybody may send is counted, and what Calendly signed has a line each",
    );
    assert.doesNotMatch(lines.join(), /jane|another key|v1=/);
  },
);

hookTest("GET …/test tells anybody how to set it up", async (hooks) => {
  const { status, body, headers } = await hooks.project.fetch("calendly-webhook/test", {
    headers: { "x-forwarded-host": "evil.example.com", "x-forwarded-proto": "ftp" },
  });
  assert.equal(status, 200);
  assert.match(headers.get("content-type")!, /json/);
  assert.deepEqual(Object.keys(body).sort(), ["events", "signing_key_configured", "steps", "url"]);
  assert.deepEqual(body.events, EVENTS);
  assert.equal(body.signing_key_configured, true);
  assert.equal(body.url, `${hooks.project.wire.url}/functions/v1/calendly-webhook`);
  const steps = body.steps.join("\n");
  assert.match(steps, /CALENDLY_WEBHOOK_SIGNING_KEY/);
  assert.match(steps, /POST https:\/\/api\.calendly\.com\/webhook_subscriptions/);
  assert.match(steps, /it is in calendly_meetings,/);
  assert.ok(steps.includes(body.url));
}, { on: "embedded" });

hookTest("GET …/test says so where no signing key is set", async (hooks) => {
  const { status, body } = await hooks.project.fetch("calendly-webhook/test");
  assert.deepEqual([status, body.signing_key_configured], [200, false]);
}, { on: "embedded", env: { CALENDLY_WEBHOOK_SIGNING_KEY: "" } });

hookTest("what people ask of deliveries works as they type it", async (hooks) => {
  const person = await hooks.person();
  for (let booking = 0; booking < 2; booking++) hooks.control.book({ user: person.host.uri });
  await hooks.deliver();
  assert.deepEqual(
    await hooks.project.stack.sql(
      "select event_type, count(*) as count, max(created_at) as last_received from calendly_webhook_events group by event_type;",
    ).then((rows) => rows.map(({ event_type, count }) => [event_type, Number(count)])),
    [["invitee.created", 2]],
  );
  const { data } = await person.supabase.from("calendly_webhook_events").select(
    "event_type, status",
  );
  assert.deepEqual(data, Array(2).fill({ event_type: "invitee.created", status: "processed" }));
  const stranger = await hooks.person();
  assert.deepEqual((await stranger.supabase.from("calendly_webhook_events").select("*")).data, []);
});
