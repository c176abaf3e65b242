/** Faults on demand: which requests they strike, and what the caller sees. */
import assert from "node:assert/strict";
import { DEMO_TOKEN, type Effect, serveSandbox } from "../../sandbox/mod.ts";
import { serveOnNode } from "../../sandbox/server.ts";
import { Client, pinned } from "./support.ts";

const LIST = "/scheduled_events";

function struckBy(effect: Effect, events = 30) {
  const sandbox = pinned({ events });
  sandbox.control.faults({ path: LIST, effect });
  return { sandbox, client: new Client(sandbox) };
}

Deno.test("a rule strikes once, the paths and methods it names, after those it lets through", async () => {
  const sandbox = pinned({ events: 1 });
  const client = new Client(sandbox);
  sandbox.control.faults({
    method: "GET",
    path: "/scheduled_events/*/invitees",
    skip: 1,
    times: 2,
    effect: { kind: "status", status: 500 },
  });
  const [event] = (await client.events()).body.collection;
  const path = `${new URL(event.uri).pathname}/invitees`;
  const statuses = [];
  for (let i = 0; i < 5; i++) statuses.push((await client.get(path)).status);
  assert.deepEqual(statuses, [200, 500, 500, 200, 200]);
  const [rule] = sandbox.control.faults();
  assert.deepEqual([rule.seen, rule.struck], [5, 2]);
  sandbox.control.clear_faults();
  assert.deepEqual(sandbox.control.faults(), []);
});

Deno.test("a rule can name a query, a user, and strike always", async () => {
  const sandbox = pinned({ events: 30 });
  const client = new Client(sandbox);
  sandbox.control.faults({
    query: { status: "canceled", page_token: null },
    user: sandbox.demo.user.uri,
    times: null,
    effect: { kind: "status", status: 502, body: "Bad Gateway" },
  });
  assert.equal((await client.events()).status, 200);
  for (let i = 0; i < 3; i++) {
    const answer = await sandbox.fetch(
      new Request(`https://x${LIST}?user=${sandbox.demo.user.uri}&status=canceled`, {
        headers: { authorization: `Bearer ${DEMO_TOKEN}` },
      }),
    );
    assert.deepEqual([answer.status, await answer.text()], [502, "Bad Gateway"]);
  }
});

Deno.test("429 on demand tells when the limit is reset", async () => {
  const { client } = struckBy({ kind: "rate_limited", reset: 7, headers: { "retry-after": "7" } });
  const { status, headers, body } = await client.events();
  assert.deepEqual(
    [status, headers.get("x-ratelimit-remaining"), headers.get("x-ratelimit-reset")],
    [429, "0", "7"],
  );
  assert.equal(headers.get("retry-after"), "7");
  assert.equal(body.title, "Too Many Requests");
});

Deno.test("HTML with status 200, a wrong content type, an empty listing, an expired token", async () => {
  const sandbox = pinned({ events: 30 });
  const effects: Effect[] = [
    { kind: "html" },
    { kind: "content_type" },
    { kind: "empty" },
    { kind: "expired_page_token" },
  ];
  sandbox.control.faults(effects.map((effect, i) => ({ path: LIST, skip: i, effect })));
  const get = () =>
    sandbox.fetch(
      new Request(`https://x${LIST}?user=${sandbox.demo.user.uri}`, {
        headers: { authorization: `Bearer ${DEMO_TOKEN}` },
      }),
    );
  const html = await get();
  assert.deepEqual([html.status, html.headers.get("content-type")], [
    200,
    "text/html; charset=UTF-8",
  ]);
  assert.match(await html.text(), /^<!DOCTYPE html>/);
  const plain = await get();
  assert.equal(plain.headers.get("content-type"), "text/plain");
  assert.equal((await plain.json()).collection.length, 20);
  const empty = await (await get()).json();
  assert.deepEqual([empty.collection, empty.pagination.next_page_token], [[], null]);
  const expired = await get();
  assert.deepEqual([expired.status, (await expired.json()).details[0].parameter], [
    400,
    "page_token",
  ]);
});

Deno.test("a page token that has expired stays so, and no other does", async () => {
  const sandbox = pinned({ events: 30 });
  const get = async (query: string) => {
    const response = await sandbox.fetch(
      new Request(`https://x${LIST}?user=${sandbox.demo.user.uri}&count=10${query}`, {
        headers: { authorization: `Bearer ${DEMO_TOKEN}` },
      }),
    );
    return { status: response.status, body: await response.json() };
  };
  const next = ({ body }: Awaited<ReturnType<typeof get>>) =>
    `&page_token=${body.pagination.next_page_token}`;
  const second = next(await get(""));
  const third = next(await get(second));
  sandbox.control.faults({ path: LIST, effect: { kind: "expired_page_token" } });
  const statuses = [];
  for (const query of [second, second, third, ""]) statuses.push((await get(query)).status);
  assert.deepEqual(statuses, [400, 400, 200, 200]);
});

Deno.test("a duplicate row over two pages hides no other row", async () => {
  const sandbox = pinned({ events: 30 });
  sandbox.control.faults({ path: LIST, skip: 1, effect: { kind: "duplicate_row" } });
  const { rows, pages } = await new Client(sandbox).all(LIST, {
    user: sandbox.demo.user.uri,
    count: "10",
  });
  assert.equal(pages, 4);
  assert.equal(rows.length, 31);
  assert.equal(rows[9].uri, rows[10].uri);
  assert.equal(new Set(rows.map((row) => row.uri)).size, 30);
});

Deno.test("something can happen between two pages", async () => {
  const sandbox = pinned();
  const { event } = sandbox.control.book();
  const later = sandbox.control.book().event;
  sandbox.control.faults({
    path: LIST,
    skip: 1,
    effect: { kind: "change", verb: "cancel", arguments: { event: later.uri } },
  });
  const { rows } = await new Client(sandbox).all(LIST, {
    user: sandbox.demo.user.uri,
    count: "1",
  });
  assert.deepEqual(rows.map((row) => [row.uri, row.status]), [
    [event.uri, "active"],
    [later.uri, "canceled"],
  ]);
});

Deno.test("a stalled request has no answer until its caller gives up", async () => {
  const { sandbox } = struckBy({ kind: "stall" });
  const giveUp = new AbortController();
  const answer = sandbox.fetch(new Request(`https://x${LIST}`, { signal: giveUp.signal }));
  const first = await Promise.race([
    answer.then(() => "answered", () => "gave up"),
    new Promise((resolve) => setTimeout(() => resolve("waiting"), 20)),
  ]);
  assert.equal(first, "waiting");
  giveUp.abort();
  await assert.rejects(answer, { name: "AbortError" });
  assert.equal(sandbox.control.requests().requests[0].status, null);
});

Deno.test("a slow answer comes late, and whole", async () => {
  const { client } = struckBy({ kind: "slow", ms: 50 });
  const started = performance.now();
  const { status, body } = await client.events();
  assert.ok(performance.now() - started >= 45);
  assert.deepEqual([status, body.collection.length], [200, 20]);
});

/** On Node the sandbox is served by Node's own server, which Deno has too. */
const SERVERS = { "Deno's server": serveSandbox, "Node's server": serveOnNode };

for (const [name, serve] of Object.entries(SERVERS)) {
  Deno.test(`a body is cut in the middle, in process and by ${name}`, async () => {
    const { sandbox, client } = struckBy({ kind: "cut" });
    await assert.rejects(client.events(), /the connection was cut/);
    sandbox.control.faults({ path: LIST, effect: { kind: "cut" } });
    const server = await serve(sandbox);
    try {
      const reading = fetch(`${server.url}${LIST}?user=${sandbox.demo.user.uri}`, {
        headers: { authorization: `Bearer ${DEMO_TOKEN}` },
      }).then((response) => response.text());
      await assert.rejects(reading, TypeError);
    } finally {
      await server.stop();
    }
  });

  Deno.test(`stopping ${name} ends a stalled request`, async () => {
    const { sandbox } = struckBy({ kind: "stall" });
    const server = await serve(sandbox);
    const answer = fetch(`${server.url}${LIST}`).then(async (response) => {
      await response.body?.cancel();
      return response.status;
    });
    while (sandbox.control.requests().count === 0) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    await server.stop();
    assert.equal(await answer, 504);
  });

  Deno.test(`${name} refuses a port that is taken`, async () => {
    using taken = Deno.listen({ port: 0, hostname: "127.0.0.1" });
    const { port } = taken.addr;
    await assert.rejects(async () => await serve(pinned(), { port }), { code: "port_taken" });
  });
}

Deno.test("a stalled request ends when its caller leaves Node's server", async () => {
  let leaving: AbortSignal | undefined;
  const server = await serveOnNode({
    fetch: (request) =>
      new Promise((_, reject) => {
        leaving = request.signal;
        leaving.addEventListener("abort", () => reject(leaving!.reason));
      }),
    close() {},
  });
  try {
    const caller = new AbortController();
    const answer = fetch(server.url, { signal: caller.signal });
    while (!leaving) await new Promise((resolve) => setTimeout(resolve, 5));
    caller.abort();
    await assert.rejects(answer, { name: "AbortError" });
    while (!leaving.aborted) await new Promise((resolve) => setTimeout(resolve, 5));
  } finally {
    await server.stop();
  }
});

Deno.test("OAuth can be struck too", async () => {
  const sandbox = pinned();
  sandbox.control.faults({ path: "/oauth/**", effect: { kind: "status", status: 503 } });
  const token = () =>
    sandbox.fetch(
      new Request("https://x/oauth/token", { method: "POST", body: new URLSearchParams() }),
    );
  assert.equal((await token()).status, 503);
  assert.equal((await token()).status, 401);
});
