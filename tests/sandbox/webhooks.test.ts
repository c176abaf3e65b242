/** Webhook subscriptions, and deliveries as Calendly makes them. */
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { createSandbox, type Sandbox, serveSandbox, sign } from "../../sandbox/mod.ts";
import { WEBHOOK_EVENTS } from "../../sandbox/resources.ts";
import { Client, colleague, oauthToken, pathOf, pinned } from "./support.ts";

const EVENTS = [
  "invitee.created",
  "invitee.canceled",
  "invitee_no_show.created",
  "invitee_no_show.deleted",
];

/** Receives deliveries in process and answers as told. */
class Receiver {
  received: { url: string; headers: Headers; body: string }[] = [];
  status = 200;

  readonly fetch: typeof fetch = (url, init) => {
    this.received.push({
      url: String(url),
      headers: new Headers(init?.headers),
      body: String(init?.body),
    });
    return Promise.resolve(new Response(null, { status: this.status }));
  };

  get payloads() {
    return this.received.map(({ body }) => JSON.parse(body));
  }
}

function subscription(sandbox: Sandbox, fields: Record<string, unknown> = {}) {
  return {
    url: "http://127.0.0.1:1/hook",
    events: EVENTS,
    organization: sandbox.demo.organization.uri,
    user: sandbox.demo.user.uri,
    scope: "user",
    signing_key: "a key",
    ...fields,
  };
}

async function subscribe(sandbox: Sandbox, fields: Record<string, unknown> = {}) {
  const answer = await new Client(sandbox)
    .post("/webhook_subscriptions", subscription(sandbox, fields));
  assert.equal(answer.status, 201, JSON.stringify(answer.body));
  return answer.body.resource;
}

async function subscribed(fields: Record<string, unknown> = {}) {
  const receiver = new Receiver();
  const sandbox = pinned({ fetch: receiver.fetch });
  const hook = await subscribe(sandbox, fields);
  return { sandbox, receiver, hook };
}

Deno.test("a subscription is made, listed, read and deleted, and never shows its key", async () => {
  const { sandbox, hook } = await subscribed();
  const client = new Client(sandbox);
  assert.deepEqual(
    [hook.callback_url, hook.state, hook.retry_started_at, hook.creator],
    ["http://127.0.0.1:1/hook", "active", null, sandbox.demo.user.uri],
  );
  assert.ok(!JSON.stringify(hook).includes("a key"));
  const { organization, user } = sandbox.demo;
  const query = { organization: organization.uri, scope: "user", user: user.uri };
  const listed = await client.get("/webhook_subscriptions", query);
  assert.deepEqual(listed.body.collection, [hook]);
  assert.deepEqual((await client.get(pathOf(hook.uri))).body.resource, hook);
  assert.equal((await client.delete(pathOf(hook.uri))).status, 204);
  assert.equal((await client.get(pathOf(hook.uri))).status, 404);
});

Deno.test("a callback URL can be subscribed once; deleting frees it", async () => {
  const { sandbox, hook } = await subscribed();
  const client = new Client(sandbox);
  const again = await client.post("/webhook_subscriptions", subscription(sandbox));
  assert.deepEqual([again.status, again.body], [409, {
    title: "Already Exists",
    message: "Hook with this url already exists",
  }]);
  await client.delete(pathOf(hook.uri));
  await subscribe(sandbox);
});

Deno.test("subscriptions are refused for bad input, others' bookings, missing scopes and by plan", async () => {
  const sandbox = pinned();
  const member = colleague(sandbox);
  const owner = new Client(sandbox);
  const create = async (client: Client, fields: Record<string, unknown>) =>
    (await client.post("/webhook_subscriptions", subscription(sandbox, fields))).status;
  for (
    const fields of [
      { url: "no url" },
      { events: ["invitee.renamed"] },
      { events: [] },
      { scope: "team" },
      { organization: undefined },
      { user: undefined },
      { scope: "user", events: ["routing_form_submission.created"] },
      { scope: "organization", events: ["meeting_recap.created"] },
      { signing_key: 5 },
    ]
  ) assert.equal(await create(owner, fields), 400, JSON.stringify(fields));
  assert.equal(await create(member.client, { scope: "organization" }), 403);
  assert.equal(await create(owner, { user: member.user.uri }), 403);
  assert.equal(await create(member.client, { user: member.user.uri }), 201);
  const narrow = new Client(
    sandbox,
    sandbox.control.create_token({ scopes: ["webhooks:write"] }).token,
  );
  const refused = await narrow.post("/webhook_subscriptions", subscription(sandbox));
  assert.deepEqual(refused.body.required_scopes, ["scheduled_events:read"]);
  const { uri: organization } = sandbox.demo.organization;
  sandbox.control.set_plan({ organization, stage: "free" });
  const gated = await owner.post(
    "/webhook_subscriptions",
    subscription(sandbox, { scope: "organization", events: ["routing_form_submission.created"] }),
  );
  assert.deepEqual([gated.status, gated.body.message], [
    403,
    "Please upgrade to a paid Calendly account.",
  ]);
  assert.equal(await create(owner, { url: "http://127.0.0.1:1/other" }), 201);
});

Deno.test("subscriptions to events that the sandbox never sends are refused with 501", async () => {
  const sandbox = pinned();
  const client = new Client(sandbox);
  const { organization, user } = sandbox.demo;
  const never = WEBHOOK_EVENTS.filter((event) => !EVENTS.includes(event));
  assert.equal(never.length, 10);
  for (const event of never) {
    const scope = event.startsWith("meeting_recap") ? "user" : "organization";
    const fields = { organization: organization.uri, user: user.uri, scope };
    const made = await client.post("/webhook_subscriptions", {
      ...fields,
      url: "http://127.0.0.1:1/hook",
      events: ["invitee.created", event],
    });
    assert.equal(made.status, 501, event);
    assert.match(made.body.message, new RegExp(`no webhooks for ${event}:`));
    assert.equal((await client.get("/sample_webhook_data", { ...fields, event })).status, 501);
  }
  assert.deepEqual(sandbox.truth().webhook_subscriptions, []);
});

Deno.test("with a pinned clock nothing is sent until deliver says so", async () => {
  const { sandbox, receiver } = await subscribed();
  sandbox.control.book();
  await sandbox.control.settled();
  assert.equal(receiver.received.length, 0);
  assert.deepEqual(sandbox.control.deliveries().map(({ event, state }) => [event, state]), [
    ["invitee.created", "pending"],
  ]);
  const [delivery] = await sandbox.control.deliver();
  assert.equal(delivery.state, "delivered");
  assert.equal(receiver.received.length, 1);
  assert.deepEqual(await sandbox.control.deliver(), []);
});

Deno.test("a delivery is signed over its raw body and names neither itself nor its subscription", async () => {
  const { sandbox, receiver, hook } = await subscribed();
  sandbox.clock.set("2026-03-02T10:00:00.750000Z");
  sandbox.control.book({ invitee: { name: "Zoë 🎉" } });
  await sandbox.control.deliver();
  const [{ headers, body }] = receiver.received;
  const [, t, v1] = /^t=(\d+),v1=([0-9a-f]{64})$/.exec(headers.get("calendly-webhook-signature")!)!;
  assert.equal(v1, createHmac("sha256", "a key").update(`${t}.${body}`).digest("hex"));
  assert.deepEqual([...headers.keys()].sort(), [
    "calendly-webhook-signature",
    "content-type",
    "user-agent",
  ]);
  const envelope = JSON.parse(body);
  assert.equal(envelope.created_at, "2026-03-02T10:00:00.000000Z");
  assert.equal(Number(t) * 1000, Date.parse(envelope.created_at));
  assert.deepEqual(Object.keys(envelope), ["created_at", "created_by", "event", "payload"]);
  assert.ok(!body.includes(hook.uri));
});

Deno.test("the payload is the invitee with the event inside, without calendar entry and buffers", async () => {
  const { sandbox, receiver } = await subscribed();
  const { event, invitee } = sandbox.control.book({ location: "physical" });
  await sandbox.control.deliver();
  const { scheduled_event, ...row } = receiver.payloads[0].payload;
  assert.deepEqual(row, invitee);
  const { calendar_event: _, event_memberships, ...rest } = event;
  assert.deepEqual(scheduled_event, {
    ...rest,
    event_memberships: event_memberships.map(({ user, user_email, user_name }) => ({
      user,
      user_email,
      user_name,
    })),
  });
});

Deno.test("without a signing key there is no signature; an OAuth app's key signs all of its hooks", async () => {
  const { sandbox, receiver } = await subscribed({ signing_key: undefined });
  sandbox.control.book();
  await sandbox.control.deliver();
  assert.equal(receiver.received[0].headers.get("calendly-webhook-signature"), null);

  const token = await oauthToken(sandbox, "webhooks:write scheduled_events:read");
  const answer = await new Client(sandbox, token).post(
    "/webhook_subscriptions",
    subscription(sandbox, { url: "http://127.0.0.1:1/app", signing_key: "not the app's" }),
  );
  assert.equal(answer.status, 201);
  sandbox.control.book();
  const { body, headers } = sandbox.control.deliveries().find(({ url }) => url.endsWith("/app"))!;
  const key = sandbox.demo.app.signing_key;
  assert.equal(headers["calendly-webhook-signature"], sign(body, key, sandbox.clock.now()));
});

Deno.test("a group's cancellation by the host is one delivery an invitee, a reschedule is two", async () => {
  const { sandbox, receiver } = await subscribed();
  const { uri: event_type } = sandbox.control.create_event_type({ kind: "group" });
  const { event, invitee } = sandbox.control.book({ event_type });
  sandbox.control.book({ event: event.uri });
  const { new: moved } = sandbox.control.reschedule({ invitee: invitee.uri });
  sandbox.control.book({ event: event.uri });
  sandbox.control.cancel({ event: event.uri });
  await sandbox.control.deliver();
  const story = receiver.payloads.map(({ event, payload }) => [
    event,
    payload.scheduled_event.status,
    payload.scheduled_event.invitees_counter.active,
  ]);
  assert.deepEqual(story, [
    ["invitee.created", "active", 1],
    ["invitee.created", "active", 2],
    ["invitee.canceled", "active", 1],
    ["invitee.created", "active", 1],
    ["invitee.created", "active", 2],
    ["invitee.canceled", "canceled", 0],
    ["invitee.canceled", "canceled", 0],
  ]);
  const [, , canceled, created] = receiver.payloads.map(({ payload }) => payload);
  assert.deepEqual([canceled.rescheduled, canceled.new_invitee], [true, moved.invitee.uri]);
  assert.deepEqual([created.rescheduled, created.old_invitee], [false, invitee.uri]);
});

Deno.test("no-shows are told when marked and when undone", async () => {
  const { sandbox, receiver } = await subscribed();
  const { invitee } = sandbox.control.book();
  const noShow = sandbox.control.mark_no_show({ invitee: invitee.uri });
  sandbox.control.undo_no_show({ invitee: invitee.uri });
  await sandbox.control.deliver();
  assert.deepEqual(
    receiver.payloads.slice(1).map(({ event, payload }) => [event, payload.no_show?.uri ?? null]),
    [["invitee_no_show.created", noShow.uri], ["invitee_no_show.deleted", null]],
  );
});

Deno.test("the event inside a cancellation can lag behind, as in Calendly's own example", async () => {
  const { sandbox, receiver } = await subscribed();
  const { invitee, event } = sandbox.control.book({ location: "physical" });
  sandbox.control.cancel({ invitee: invitee.uri, event_lags: true });
  await sandbox.control.deliver();
  const { payload } = receiver.payloads[1];
  assert.equal(payload.status, "canceled");
  assert.equal(payload.scheduled_event.status, "active");
  assert.equal(payload.scheduled_event.updated_at, event.updated_at);
  assert.ok(!("cancellation" in payload.scheduled_event));
  assert.equal(sandbox.truth().scheduled_events[0].event.status, "canceled");
});

Deno.test("every subscription that covers a booking has its own delivery", async () => {
  const { sandbox } = await subscribed();
  const member = colleague(sandbox);
  await subscribe(sandbox, { scope: "organization", url: "http://127.0.0.1:1/organization" });
  await subscribe(sandbox, { url: "http://127.0.0.1:1/cancel", events: ["invitee.canceled"] });
  const urls = () => sandbox.control.deliveries().map(({ url }) => new URL(url).pathname);
  sandbox.control.book();
  assert.deepEqual(urls(), ["/hook", "/organization"]);
  sandbox.control.book({ user: member.user.uri });
  assert.deepEqual(urls(), ["/hook", "/organization", "/organization"]);
});

Deno.test("deliveries come in the order asked for, more than once, or never", async () => {
  const { sandbox, receiver } = await subscribed();
  for (let i = 0; i < 6; i++) sandbox.control.book({ invitee: { name: `${i}` } });
  const ids = sandbox.control.deliveries().map(({ id }) => id);
  const names = () => receiver.payloads.map(({ payload }) => payload.name).join("");
  await sandbox.control.deliver(ids.slice(0, 2), { order: "reversed", duplicate: true });
  assert.equal(names(), "1100");
  await sandbox.control.deliver(ids[2], { drop: true });
  await sandbox.control.deliver("due", { order: [ids[5], ids[3]] });
  assert.equal(names(), "1100534");
  assert.equal(sandbox.control.deliveries()[2].state, "dropped");
  const orders = new Set<string>();
  for (let i = 0; i < 3; i++) {
    receiver.received = [];
    await sandbox.control.deliver("all", { order: "shuffled" });
    assert.equal([...names()].sort().join(""), "012345");
    orders.add(names());
  }
  assert.ok(orders.size > 1);
});

Deno.test("what is refused is sent again, the very same bytes, with back-off, and given up after 24 h", async () => {
  const { sandbox, receiver, hook } = await subscribed();
  const { control, clock } = sandbox;
  await subscribe(sandbox, { url: "http://127.0.0.1:1/healthy" });
  receiver.status = 503;
  control.book();
  await control.deliver(control.deliveries()[0].id);
  const read = () => control.deliveries()[0];
  assert.equal(read().attempts[0].status, 503);
  const waits = [];
  while (read().state === "pending") {
    const { next_attempt_at } = read();
    waits.push((Date.parse(next_attempt_at!) - Date.parse(read().attempts.at(-1)!.at)) / 1000);
    clock.set(next_attempt_at!);
    await control.deliver(read().id);
  }
  assert.deepEqual(waits.slice(0, 4), [10, 20, 40, 80]);
  assert.equal(Math.max(...waits), 3600);
  assert.equal(read().state, "given_up");
  const attempts = receiver.received.filter(({ url }) => url === hook.callback_url);
  const distinct = new Set(
    attempts.map(({ body, headers }) => headers.get("calendly-webhook-signature") + body),
  );
  assert.equal(distinct.size, 1);
});

Deno.test("re-signing keeps the bytes and takes the time of the attempt", async () => {
  const { sandbox, receiver } = await subscribed();
  sandbox.control.book();
  receiver.status = 500;
  await sandbox.control.deliver();
  sandbox.clock.advance("10m");
  await sandbox.control.deliver("due", { resign: true });
  const [first, second] = receiver.received;
  assert.equal(first.body, second.body);
  const t = (headers: Headers) =>
    Number(/t=(\d+)/.exec(headers.get("calendly-webhook-signature")!)![1]);
  assert.equal(t(second.headers) - t(first.headers), 600);
});

Deno.test("24 hours without any success disable a subscription for good; one success starts anew", async () => {
  const { sandbox, receiver, hook } = await subscribed();
  const state = async () =>
    (await new Client(sandbox).get(pathOf(hook.uri))).body.resource as {
      state: string;
      retry_started_at: string | null;
    };
  receiver.status = 500;
  sandbox.control.book();
  await sandbox.control.deliver();
  assert.notEqual((await state()).retry_started_at, null);
  sandbox.clock.advance("23h");
  receiver.status = 204;
  await sandbox.control.deliver();
  receiver.status = 302;
  sandbox.control.book();
  await sandbox.control.deliver();
  sandbox.clock.advance("23h");
  assert.equal((await state()).state, "active");
  sandbox.clock.advance("1h");
  assert.equal((await state()).state, "disabled");
  sandbox.control.book();
  assert.equal(sandbox.control.deliveries().length, 2);
  assert.deepEqual(await sandbox.control.deliver(), []);
});

Deno.test("410 deletes the subscription, and what was waiting for it is given up", async () => {
  const { sandbox, receiver, hook } = await subscribed();
  const { control } = sandbox;
  await subscribe(sandbox, { url: "http://127.0.0.1:1/healthy" });
  for (let i = 0; i < 2; i++) control.book();
  receiver.status = 410;
  await control.deliver(control.deliveries()[0].id);
  assert.equal((await new Client(sandbox).get(pathOf(hook.uri))).status, 404);
  assert.deepEqual(
    control.deliveries().map(({ url, state }) => [new URL(url).pathname, state]),
    [
      ["/hook", "given_up"],
      ["/healthy", "pending"],
      ["/hook", "given_up"],
      ["/healthy", "pending"],
    ],
  );
  receiver.status = 200;
  sandbox.clock.advance("1h");
  assert.equal((await control.deliver()).length, 2);
  control.book();
  assert.equal(control.deliveries().length, 5, "only the other subscription is told");
  await subscribe(sandbox);
});

Deno.test("a user's subscription stops when the user leaves, the organization's goes on", async () => {
  const sandbox = pinned();
  const member = colleague(sandbox, "admin");
  const mine = async (scope: string) =>
    (await member.client.post(
      "/webhook_subscriptions",
      subscription(sandbox, {
        scope,
        user: member.user.uri,
        url: `http://127.0.0.1:1/${scope}`,
      }),
    )).body.resource;
  const [own, shared] = [await mine("user"), await mine("organization")];
  sandbox.control.leave({ user: member.user.uri });
  const hooks = sandbox.truth().webhook_subscriptions;
  assert.equal(hooks.find(({ uri }) => uri === own.uri)?.state, "disabled");
  assert.equal(hooks.find(({ uri }) => uri === shared.uri)?.state, "active");
});

Deno.test("with a running clock a booking is delivered at once, and retried by itself", async () => {
  let refusals = 1;
  const bodies: string[] = [];
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen() {} }, async (request) => {
    bodies.push(await request.text());
    return new Response(null, { status: refusals-- > 0 ? 503 : 200 });
  });
  const sandbox = createSandbox();
  const calendly = await serveSandbox(sandbox);
  try {
    await subscribe(sandbox, { url: `http://127.0.0.1:${server.addr.port}/hook` });
    const { invitee } = sandbox.control.book();
    await sandbox.control.settled();
    assert.equal(bodies.length, 1);
    assert.equal(JSON.parse(bodies[0]).payload.uri, invitee.uri);
    assert.equal(sandbox.control.deliveries()[0].state, "pending");
    sandbox.clock.advance("11s");
    await sandbox.control.settled();
    assert.equal(bodies.length, 2);
    assert.equal(bodies[0], bodies[1]);
    assert.equal(sandbox.control.deliveries()[0].state, "delivered");
  } finally {
    await calendly.stop();
    await server.shutdown();
  }
});

Deno.test("sample data is the account's last booking in a bare envelope", async () => {
  const sandbox = pinned();
  const client = new Client(sandbox);
  const { organization, user } = sandbox.demo;
  const sample = (event: string) =>
    client.get("/sample_webhook_data", {
      event,
      organization: organization.uri,
      scope: "user",
      user: user.uri,
    });
  assert.equal((await sample("invitee.created")).status, 404);
  const { invitee } = sandbox.control.book();
  const { body } = await sample("invitee.created");
  assert.equal(body.event, "invitee.created");
  assert.equal(body.payload.uri, invitee.uri);
  assert.equal((await sample("invitee.canceled")).status, 404);
});

Deno.test("webhooks are lost or late while a fault says so, and no longer once it is cleared", async () => {
  const { sandbox, receiver } = await subscribed();
  const { control } = sandbox;
  control.webhook_fault({ effect: "lost" });
  control.book();
  await control.deliver("due");
  assert.deepEqual(receiver.received, []);
  assert.equal(control.deliveries()[0].state, "dropped");

  control.webhook_fault({ effect: "late", delay: "5m" });
  control.book();
  control.advance({ by: "4m" });
  await control.deliver("due");
  assert.deepEqual(receiver.received, []);
  control.advance({ by: "1m" });
  await control.deliver("due");
  assert.equal(receiver.received.length, 1);

  control.clear_faults();
  control.book();
  await control.deliver("due");
  assert.equal(receiver.received.length, 2);
  assert.equal(control.webhook_fault({ effect: null }).webhook_fault, null);
});

Deno.test("an overview has the bookings around now, and what happened last first", async () => {
  const { sandbox, receiver } = await subscribed();
  const { control } = sandbox;
  control.populate({ events: 100 });
  const { event, invitee } = control.book({ invitee: { name: "Ines" } });
  receiver.status = 500;
  await control.deliver("due");
  await new Client(sandbox).get("/users/me");
  control.faults({ path: "/users/me", effect: { kind: "html" } });
  control.webhook_fault({ effect: "late" });

  const seen = control.overview();
  assert.equal(seen.now, control.state().now);
  assert.equal(seen.user, sandbox.demo.user.uri);
  assert.equal(seen.users[0].email, sandbox.demo.user.email);
  assert.ok(seen.bookings.length < 100);
  assert.deepEqual(
    seen.bookings.map(({ start_time }) => start_time),
    seen.bookings.map(({ start_time }) => start_time).sort(),
  );
  const booking = seen.bookings.find(({ uri }) => uri === event.uri)!;
  assert.deepEqual(booking.invitees, [
    { uri: invitee.uri, name: "Ines", status: "active", no_show: false },
  ]);
  assert.deepEqual(booking.hosts, [sandbox.demo.user.uri]);
  assert.equal(seen.requests[0].path, "/users/me");
  const [{ event: type, invitee: name, state, attempts, status }] = seen.deliveries;
  assert.deepEqual([type, name, state, attempts, status], [
    "invitee.created",
    "Ines",
    "pending",
    1,
    500,
  ]);
  assert.equal(seen.faults.length, 1);
  assert.deepEqual(seen.webhook_fault, { effect: "late", delay: "1m" });
  assert.equal(seen.subscriptions, 1);
});
