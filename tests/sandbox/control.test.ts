/** The control API over HTTP, the log of requests, and the command line. */
import assert from "node:assert/strict";
import { createSandbox, DEMO_TOKEN, serveSandbox } from "../../sandbox/mod.ts";
import { VERBS } from "../../sandbox/verbs.ts";
import { Client, pinned } from "./support.ts";

const MAIN = new URL("../../sandbox/bin.ts", import.meta.url).href;

async function serving<T>(run: (url: string) => Promise<T>): Promise<T> {
  const server = await serveSandbox(createSandbox({ events: 5 }));
  try {
    return await run(server.url);
  } finally {
    await server.stop();
  }
}

async function post(url: string, verb: string, body?: unknown) {
  const response = await fetch(`${url}/_sandbox/${verb}`, {
    method: "POST",
    body: typeof body === "string" ? body : JSON.stringify(body),
  });
  return { status: response.status, body: await response.json() };
}

async function run(...args: string[]) {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", MAIN, ...args],
    env: { NO_COLOR: "1" },
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { success, stdout: text(stdout), stderr: text(stderr) };
}

Deno.test("the verbs work over HTTP as in process", async () => {
  await serving(async (url) => {
    const booked = await post(url, "book", { invitee: { name: "Ana" } });
    assert.equal(booked.body.invitee.name, "Ana");
    const canceled = await post(url, "cancel", { event: booked.body.event.uri });
    assert.equal(canceled.body.event.status, "canceled");
    const state = await (await fetch(`${url}/_sandbox/state`)).json();
    assert.equal(state.scheduled_events.length, 6);
    const me = await fetch(`${url}/users/me`, {
      headers: { authorization: `Bearer ${DEMO_TOKEN}` },
    });
    assert.equal((await me.json()).resource.email, "host@example.com");
    const requests = await (await fetch(`${url}/_sandbox/requests?status=200`)).json();
    assert.deepEqual(requests.by_route, { "GET /users/me": 1 });
    const faults = await post(url, "faults", { rules: [{ effect: { kind: "html" } }] });
    assert.equal(faults.body.length, 1);
    const { verbs } = await (await fetch(`${url}/_sandbox/`)).json();
    assert.deepEqual(Object.keys(verbs), Object.keys(VERBS));
    assert.deepEqual(verbs.join, {
      description: "moves a user into an organization, or changes the role there",
      arguments: {
        type: "object",
        properties: {
          user: { type: "string", minLength: 1, description: "the demo user unless given" },
          organization: { type: "string", minLength: 1, description: "URI or id" },
          role: { type: "string", enum: ["owner", "admin", "user"] },
        },
        required: ["organization"],
        additionalProperties: false,
      },
    });
  });
});

Deno.test("a wrong verb, field, body, time or reference is refused with a hint", async () => {
  await serving(async (url) => {
    for (
      const [verb, body, status, code] of [
        ["dance", {}, 404, "unknown_verb"],
        ["book", { start: "now" }, 400, "unknown_field"],
        ["book", "[]", 400, "bad_json"],
        ["book", "{", 400, "bad_json"],
        ["book", { start_time: "tomorrow" }, 400, "bad_value"],
        ["book", { start_time: "2026-02-30T10:00:00Z" }, 400, "bad_value"],
        ["book", { start_time: "9999-12-31T10:00:00Z" }, 400, "bad_value"],
        ["book", { end_time: "2026-11-23T10:00:00Z" }, 400, "bad_value"],
        ["book", { location: "moon" }, 400, "bad_value"],
        ["book", { invitee: "Ana" }, 400, "bad_value"],
        ["book", { invitee: { nmae: "Ana" } }, 400, "unknown_field"],
        ["edit", { event: "1", set: { uri: "2" } }, 400, "bad_value"],
        ["edit", { event: "1", set: { text_reminder_number: "2" } }, 400, "bad_value"],
        ["create_user", {}, 400, "bad_value"],
        ["create_user", { email: "a@b.example", organization: "none" }, 404, "not_found"],
        ["create_event_type", { duration: "long" }, 400, "bad_value"],
        ["set_plan", { organization: "1", stage: "gold" }, 400, "bad_value"],
        ["populate", { events: -1 }, 400, "bad_value"],
        ["set_rate_limit", { limit: "many" }, 400, "bad_value"],
        ["override", { uri: "https://api.calendly.com/users/1", fields: {} }, 404, "not_found"],
        ["set_clock", { now: "1969-12-31T23:59:59Z" }, 400, "bad_value"],
        ["advance", { by: "-30000d" }, 400, "bad_time"],
        ["cancel", {}, 404, "not_found"],
        ["cancel", { event: "nowhere" }, 404, "not_found"],
        ["advance", { by: "a while" }, 400, "bad_value"],
        ["create_token", { scopes: ["all"] }, 400, "bad_value"],
        ["faults", { rules: [{ effect: { kind: "flood" } }] }, 400, "bad_value"],
        ["faults", { rules: [{ effect: { kind: "status", status: 99 } }] }, 400, "bad_value"],
        [
          "faults",
          {
            rules: [{ effect: { kind: "change", verb: "advance", arguments: { by: "?" } } }],
          },
          400,
          "bad_value",
        ],
        ["constructor", {}, 404, "unknown_verb"],
      ] as const
    ) {
      const answer = await post(url, verb, body);
      assert.deepEqual([answer.status, answer.body.error.code], [status, code], verb);
      assert.equal(typeof answer.body.error.message, "string");
    }
  });
});

Deno.test("requests are counted by route and status, and the control API's own are not", async () => {
  const sandbox = pinned({ events: 3 });
  const client = new Client(sandbox);
  const { collection } = (await client.events()).body;
  for (const { uri } of collection) await client.get(`${new URL(uri).pathname}/invitees`);
  await client.get("/scheduled_events/none");
  const report = sandbox.control.requests();
  assert.equal(report.count, 5);
  assert.deepEqual(report.by_route, {
    "GET /scheduled_events": 1,
    "GET /scheduled_events/*/invitees": 3,
    "GET /scheduled_events/none": 1,
  });
  assert.deepEqual(report.by_status, { "200": 4, "404": 1 });
  assert.equal(report.requests[0].user, sandbox.demo.user.uri);
  assert.equal(sandbox.control.requests({ path: "/scheduled_events/*/invitees" }).count, 3);
  sandbox.control.clear_requests();
  assert.equal(sandbox.control.requests().count, 0);
});

Deno.test("the clock stands still when pinned, and runs from where it is set when not", () => {
  const still = pinned();
  const start = still.clock.now();
  assert.equal(still.clock.now(), start);
  assert.equal(still.control.advance({ by: "90s" }).now, "2026-03-02T10:01:30.000000Z");
  still.clock.set("2025-01-01T00:00:00Z");
  assert.equal(still.truth().now, "2025-01-01T00:00:00.000000Z");
  const running = createSandbox();
  running.clock.set("2040-01-01T00:00:00Z");
  const set = running.clock.now();
  while (running.clock.now() === set);
  assert.match(running.truth().now, /^2040-01-01T00:00:0/);
});

Deno.test("the command line acts on the sandbox that runs", async () => {
  await serving(async (url) => {
    const booked = await run("book", "--name", "Ana", "--email", "ana@example.com", "--url", url);
    assert.ok(booked.success, booked.stderr);
    assert.match(booked.stdout, /^Ana books 30 Minute Meeting with Demo Host, /);
    assert.match(booked.stdout, /No webhook subscription covers this: /);
    const marked = await run("no-show", "--url", url);
    assert.match(marked.stdout, /^Ana did not come: /);
    const canceled = await run("cancel", "--by", "host", "--url", url, "--json");
    assert.equal(JSON.parse(canceled.stdout).event.status, "canceled");
    const wrong = await run("book", "--when", "now", "--url", url);
    assert.deepEqual([wrong.success, wrong.stdout], [false, ""]);
    assert.match(wrong.stderr, /--when/);
  });
  const nobody = await run("book", "--url", "http://127.0.0.1:1");
  assert.match(nobody.stderr, /No sandbox answers at http:\/\/127\.0\.0\.1:1/);
});
