/** supabase-js receives private broadcasts from the local stack, each account those of its own topic. */
import assert from "node:assert/strict";
import postgres from "postgres";
import { createClient, type RealtimeChannel, type SupabaseClient } from "@supabase/supabase-js";
import { prepare } from "../../local/database.ts";
import { makeKeys } from "../../local/keys.ts";
import { startRealtime } from "../../local/realtime.ts";
import { type Stack, startStack } from "../../local/stack.ts";
import { day, projectTest, until } from "../functions/support.ts";
import { Cluster } from "../harness/cluster.ts";
import { databaseTest, openTestDatabase } from "../harness/databases.ts";
import { needing } from "../harness/requirements.ts";
import { stackTest, startTestStack } from "../harness/stack.ts";

const WITH_REALTIME = { realtime: true };

stackTest("an account receives the broadcasts to its own topic", async ({ stack }) => {
  await using ana = await Listener.signUp(stack, "ana@example.com");
  const channel = ana.join(ana.topic);
  assert.equal(await channel.status(), "SUBSCRIBED");

  await send(stack, ana.topic, { meeting_ids: [1] });
  const { id, ...payload } = await channel.next();
  assert.deepEqual(payload, { meeting_ids: [1] });
  assert.match(String(id), /^[0-9a-f-]{36}$/, "the platform adds an id");

  // in order, however many
  await stack.sql(
    `select realtime.send(jsonb_build_object('n', n), 'changed', $1) from generate_series(1, 50) n`,
    [ana.topic],
  );
  for (let n = 1; n <= 50; n++) assert.equal((await channel.next()).n, n);
}, WITH_REALTIME);

stackTest(
  "a topic of another account is refused, and so is everything to anon",
  async ({ stack }) => {
    await using ana = await Listener.signUp(stack, "ana@example.com");
    await using ben = await Listener.signUp(stack, "ben@example.com");
    await using anon = new Listener(stack);
    for (const stranger of [ben, anon]) {
      const channel = stranger.join(ana.topic);
      assert.equal(await channel.status(), "CHANNEL_ERROR");
      assert.match(channel.error, /^Unauthorized: .* read from this Channel topic: calendly:/);
    }
    const own = ben.join(ben.topic);
    assert.equal(await own.status(), "SUBSCRIBED");
    await send(stack, ana.topic, { of: "ana" });
    await send(stack, ben.topic, { of: "ben" });
    assert.equal((await own.next()).of, "ben");
    // what asking left behind
    assert.deepEqual(
      await stack.sql("select topic from realtime.messages order by topic"),
      [ana.topic, ben.topic].sort().map((topic) => ({ topic })),
    );
  },
  WITH_REALTIME,
);

stackTest(
  "a token that has expired or was signed by somebody else is refused",
  async ({ stack }) => {
    const { auth_user_id: sub } = await stack.createUser({ email: "ana@example.com" });
    const expired = await stack.signJwt({ sub, expires: "-1m" });
    const valid = await stack.signJwt({ sub });
    const forged = valid.slice(0, -4) + (valid.endsWith("AAAA") ? "BBBB" : "AAAA");
    for (
      const [token, reason] of [
        [expired, /^InvalidJWTToken: Token has expired \d+ seconds ago$/],
        [forged, /^InvalidJWTToken: The access token is not one of this project/],
      ] as const
    ) {
      await using listener = await Listener.withToken(stack, token);
      const channel = listener.join(`calendly:${sub}`);
      assert.equal(await channel.status(), "CHANNEL_ERROR");
      assert.match(channel.error, reason);
    }
  },
  WITH_REALTIME,
);

stackTest("what the local stack has not is refused with the reason", async ({ stack }) => {
  await using ana = await Listener.signUp(stack, "ana@example.com");
  const open = ana.join(ana.topic, { private: false });
  assert.equal(await open.status(), "CHANNEL_ERROR");
  assert.match(open.error, /^PrivateOnly: .* private: true/);
  await ana.leave(open);

  const present = ana.join(ana.topic, { presence: { enabled: true } });
  assert.equal(await present.status(), "CHANNEL_ERROR");
  assert.match(present.error, /^NotSupported: .* no presence/);
  await ana.leave(present);

  const changes = ana.join(
    ana.topic,
    {},
    (channel) => channel.on("postgres_changes", { event: "*", schema: "public" }, () => {}),
  );
  assert.equal(await changes.status(), "CHANNEL_ERROR");
  assert.match(changes.error, /^NotSupported: .* no Postgres changes/);
  await ana.leave(changes);

  for (const vsn of ["1.0.0", "2.0.0"]) {
    await using listener = await Listener.signUp(stack, `v${vsn}@example.com`, { vsn });
    const channel = listener.join(listener.topic, { broadcast: { ack: true } });
    assert.equal(await channel.status(), "SUBSCRIBED");
    assert.equal(
      await channel.channel.send({ type: "broadcast", event: "changed", payload: { n: "é" } }),
      "error",
      "a client may not broadcast",
    );
  }
}, { ...WITH_REALTIME, on: "embedded" });

stackTest("both versions of the protocol, heartbeats and leaving", async ({ stack }) => {
  for (const vsn of ["1.0.0", "2.0.0"]) {
    const heartbeats: string[] = [];
    await using ana = await Listener.signUp(stack, `ana${vsn}@example.com`, { vsn, heartbeats });
    const channel = ana.join(ana.topic);
    assert.equal(await channel.status(), "SUBSCRIBED");
    await until(() => heartbeats.filter((status) => status === "ok").length >= 2);
    assert.deepEqual(heartbeats.filter((status) => status !== "ok" && status !== "sent"), []);
    await send(stack, ana.topic, { vsn });
    assert.equal((await channel.next()).vsn, vsn);
    assert.equal(await ana.leave(channel), "ok");
    await until(() => channel.statuses.includes("CLOSED"));

    const again = ana.join(ana.topic);
    assert.equal(await again.status(), "SUBSCRIBED");
    await send(stack, ana.topic, { again: true });
    assert.equal((await again.next()).again, true);
    assert.equal(channel.unread, 0);
  }
}, { ...WITH_REALTIME, on: "embedded" });

stackTest("a new token keeps the channel, one that does not do closes it", async ({ stack }) => {
  const { auth_user_id: sub } = await stack.createUser({ email: "ana@example.com" });
  const { auth_user_id: other } = await stack.createUser({ email: "ben@example.com" });
  const topic = `calendly:${sub}`;
  for (
    const [token, reason] of [
      [await stack.signJwt({ sub, expires: "-1m" }), /^InvalidJWTToken: Token has expired/],
      [await stack.signJwt({ sub: other }), /^Unauthorized/],
    ] as const
  ) {
    await using ana = await Listener.withToken(stack, await stack.signJwt({ sub }));
    const channel = ana.join(topic);
    assert.equal(await channel.status(), "SUBSCRIBED");
    await ana.setToken(await stack.signJwt({ sub, expires: "2h" }));
    await send(stack, topic, { n: 1 });
    assert.equal((await channel.next()).n, 1);
    assert.deepEqual(channel.statuses, ["SUBSCRIBED"]);

    await ana.setToken(token);
    await until(() => channel.statuses.includes("CLOSED"));
    assert.match(channel.system, reason);
  }
}, { ...WITH_REALTIME, on: "embedded" });

stackTest("a channel closes when its token expires", async ({ stack }) => {
  const { auth_user_id: sub } = await stack.createUser({ email: "ana@example.com" });
  // longer until the machine joins before the token expires
  for (let seconds = 2;; seconds *= 2) {
    const token = await stack.signJwt({ sub, expires: `${seconds}s` });
    await using ana = await Listener.withToken(stack, token);
    const channel = ana.join(`calendly:${sub}`);
    if (await channel.status() !== "SUBSCRIBED" && seconds < 60) continue;
    await until(() => channel.statuses.includes("CLOSED"));
    assert.match(channel.system, /^InvalidJWTToken: Token has expired/);
    break;
  }
}, { ...WITH_REALTIME, on: "embedded" });

stackTest("a channel stays open though its token lasts longer than a timer", async ({ stack }) => {
  const { auth_user_id: sub } = await stack.createUser({ email: "ana@example.com" });
  const { setTimeout } = globalThis;
  const longest = 2 ** 31 - 1;
  let longTimers = 0;
  // The first of the longest timers ends at once, as if 24.8 days had passed.
  const hurried = (handler: () => void, delay?: number) =>
    setTimeout(handler, delay === longest && longTimers++ === 0 ? 0 : delay);
  globalThis.setTimeout = hurried as typeof setTimeout;
  try {
    await using ana = await Listener.withToken(stack, await stack.signJwt({ sub, expires: "60d" }));
    const channel = ana.join(`calendly:${sub}`);
    assert.equal(await channel.status(), "SUBSCRIBED");
    await until(() => longTimers >= 2);
    await send(stack, `calendly:${sub}`, { n: 1 });
    assert.equal((await channel.next()).n, 1);
  } finally {
    globalThis.setTimeout = setTimeout;
  }
}, { ...WITH_REALTIME, on: "embedded" });

stackTest("the connection needs a key of the project", async ({ stack }) => {
  const address = `${stack.url}/realtime/v1/websocket`;
  const upgrade = {
    connection: "upgrade",
    upgrade: "websocket",
    "sec-websocket-version": "13",
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
  };
  const cases: [string, Record<string, string>, number, RegExp][] = [
    ["?apikey=sb_publishable_other", upgrade, 401, /apikey/],
    ["", upgrade, 401, /apikey/],
    [`?apikey=${stack.publishableKey}&vsn=3.0.0`, upgrade, 400, /vsn/],
    [`?apikey=${stack.publishableKey}`, {}, 426, /WebSocket/],
  ];
  for (const [query, headers, status, message] of cases) {
    const answer = await rawRequest(address + query, headers);
    assert.equal(answer.status, status, query);
    assert.match(answer.body, message);
  }
  const other = await fetch(`${stack.url}/realtime/v1/api/broadcast`, { method: "POST" });
  assert.equal(other.status, 404);
  assert.match((await other.json()).message, /only the WebSocket/);
}, { ...WITH_REALTIME, on: "embedded" });

stackTest("messages that are none end the connection", async ({ stack }) => {
  for (const [vsn, data] of [["1.0.0", "[]"], ["2.0.0", "{}"], ["2.0.0", "no"]]) {
    const address = `${stack.url.replace("http", "ws")}/realtime/v1/websocket` +
      `?apikey=${stack.publishableKey}&vsn=${vsn}`;
    const socket = new WebSocket(address);
    socket.onopen = () => socket.send(data);
    const { code } = await new Promise<CloseEvent>((resolve) => socket.onclose = resolve);
    assert.equal(code, 1003, data);
  }
}, { ...WITH_REALTIME, on: "embedded" });

stackTest("the Data API does not have the schema realtime", async ({ stack }) => {
  await send(stack, "calendly:somebody", {});
  for (const key of [stack.publishableKey, stack.secretKey]) {
    const client = createClient(stack.url, key, { auth: { persistSession: false } });
    const { data, error } = await client.schema("realtime").from("messages").select();
    assert.equal(data, null);
    assert.ok(error);
    const sent = await client.schema("realtime")
      .rpc("send", { payload: {}, event: "changed", topic: "calendly:somebody" });
    assert.ok(sent.error);
  }
}, WITH_REALTIME);

stackTest("a stack without Realtime has no schema and no address for it", async ({ stack }) => {
  assert.deepEqual(
    await stack.sql("select to_regnamespace('realtime')::text as name"),
    [{ name: null }],
  );
  const { status } = await fetch(`${stack.url}/realtime/v1/websocket`);
  assert.equal(status, 404);
}, { on: "embedded" });

projectTest("syncs are announced, and name rows that can be read", async (project) => {
  const few = { events: 3, variety: "plain", from: day(2), to: day(9) } as const;
  const person = await project.person({ connected: false, ...few });
  await using listener = await Listener.withToken(project.stack, person.account.access_token);
  const channel = listener.join(`calendly:${person.account.auth_user_id}`);
  assert.equal(await channel.status(), "SUBSCRIBED");
  await person.connect({ sync: false });
  assert.equal((await person.sync()).body.status, "complete");
  const meetings = new Set<number>();
  const runs = new Set<string>();
  while (meetings.size < 3) {
    const { meeting_ids, run_ids } = await channel.next();
    for (const id of meeting_ids as number[]) meetings.add(id);
    for (const id of run_ids as string[]) runs.add(id);
  }
  const { data } = await listener.client.from("calendly_meetings").select("id").order("id");
  assert.deepEqual(data!.map(({ id }) => id), [...meetings].sort((a, b) => a - b));
  assert.equal(runs.size, 1);
}, WITH_REALTIME);

databaseTest(
  "a database that was migrated without Realtime begins to announce with it",
  async (database) => {
    await prepare(database, { realtime: true, seed: false });
    await prepare(database, { realtime: true, seed: false });
    assert.deepEqual(
      await database.query(
        `select p.policyname::text as policy,
         (select count(*)::int from pg_catalog.pg_trigger t where t.tgname like 'calendly_note%') as triggers
       from pg_catalog.pg_policies p where p.schemaname = 'realtime'`,
      ),
      [{ policy: "People receive their own Calendly updates", triggers: 8 }],
    );
  },
);

databaseTest("messages older than three days are deleted", async (database) => {
  await database.query(
    `insert into realtime.messages (topic, extension, inserted_at)
     values ('old', 'broadcast', now() - interval '73 hours'), ('new', 'broadcast', now())`,
  );
  const realtime = await startRealtime(database, await makeKeys());
  await realtime.stop();
  assert.deepEqual(await database.query("select topic from realtime.messages"), [{ topic: "new" }]);
}, WITH_REALTIME);

Deno.test("a client of the wire protocol that discards all ends no broadcasts", async () => {
  await using database = await openTestDatabase("embedded", WITH_REALTIME, true);
  const received: string[] = [];
  const unlisten = await database.listen("realtime_messages", (id) => received.push(id));
  const send = "select realtime.send('{}', 'changed', 'calendly:somebody')";
  for (const leaving of ["unlisten *", "discard all"]) {
    const client = postgres(database.url, { max: 1 });
    await client.unsafe(leaving);
    await client.unsafe(send);
    await until(() => received.length === 1);
    await client.end();
    await database.query(send);
    await until(() => received.length === 2);
    received.length = 0;
  }
  await unlisten();
  await database.query(send);
  await database.query("select 1");
  assert.deepEqual(received, []);
});

Deno.test("supabase-js connects again after the stack was started again", async () => {
  const database = await openTestDatabase("embedded", WITH_REALTIME, true);
  await using _closed = database;
  const keptOpen = { ...database, close: () => Promise.resolve() };
  const env = { LITE_AUTH_BCRYPT_COST: "4" };
  const folder = await Deno.makeTempDir();
  const options = { folder, database: keptOpen, cron: false, env, ...WITH_REALTIME };
  const calendlyUrl = "http://127.0.0.1:9";
  let stack = await startStack({ ...options, calendlyUrl });
  try {
    await using ana = await Listener.signUp(stack, "ana@example.com");
    const channel = ana.join(ana.topic);
    assert.equal(await channel.status(), "SUBSCRIBED");
    await stack.stop();
    await until(() => channel.statuses.includes("CHANNEL_ERROR"));
    stack = await startStack({ ...options, calendlyUrl, port: Number(new URL(stack.url).port) });
    await until(() => channel.statuses.at(-1) === "SUBSCRIBED");
    await send(stack, ana.topic, { again: true });
    assert.equal((await channel.next()).again, true);
  } finally {
    await stack.stop();
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test({
  ...needing(
    "after a restart of Postgres clients connect again, and broadcasts go on",
    "postgresServer",
  ),
  async fn() {
    await using cluster = await Cluster.start();
    await using stack = await startTestStack("embedded", {
      databaseUrl: cluster.url,
      calendlyUrl: "http://127.0.0.1:9",
      ...WITH_REALTIME,
    });
    await using ana = await Listener.signUp(stack, "ana@example.com");
    const channel = ana.join(ana.topic);
    assert.equal(await channel.status(), "SUBSCRIBED");
    await cluster.restart("fast");
    // What is sent before the stack listens again is lost: the client is told, by a new connection.
    await until(() => channel.statuses.includes("CHANNEL_ERROR"));
    await until(() => channel.statuses.at(-1) === "SUBSCRIBED");
    await send(stack, ana.topic, { after: "restart" });
    assert.equal((await channel.next()).after, "restart");
  },
});

// What the tests share -----------------------------------------------------------------------------------

/** A real client, signed in or not. */
class Listener implements AsyncDisposable {
  readonly client: SupabaseClient;
  topic = "calendly:nobody";
  #token?: string;

  constructor(
    stack: Stack,
    { token, vsn, heartbeats }: { token?: string; vsn?: string; heartbeats?: string[] } = {},
  ) {
    this.#token = token;
    this.client = createClient(stack.url, stack.publishableKey, {
      auth: { persistSession: false, autoRefreshToken: false },
      ...token !== undefined && { accessToken: () => Promise.resolve(this.#token!) },
      realtime: {
        vsn,
        heartbeatIntervalMs: heartbeats ? 100 : undefined,
        heartbeatCallback: (status) => void heartbeats?.push(status),
        reconnectAfterMs: () => 50,
      },
    });
  }

  static async withToken(stack: Stack, token: string): Promise<Listener> {
    const listener = new Listener(stack, { token });
    await listener.client.realtime.setAuth();
    return listener;
  }

  static async signUp(
    stack: Stack,
    email: string,
    options: { vsn?: string; heartbeats?: string[] } = {},
  ): Promise<Listener> {
    const listener = new Listener(stack, options);
    const { data, error } = await listener.client.auth.signUp({ email, password: "a-password" });
    if (error) throw error;
    listener.topic = `calendly:${data.user!.id}`;
    await listener.client.realtime.setAuth();
    return listener;
  }

  join(
    topic: string,
    config: Partial<NonNullable<RealtimeChannel["params"]["config"]>> = {},
    prepare: (channel: RealtimeChannel) => void = () => {},
  ): Joined {
    return new Joined(this.client, topic, { private: true, ...config }, prepare);
  }

  leave({ channel }: Joined): Promise<string> {
    return this.client.removeChannel(channel);
  }

  async setToken(token: string): Promise<void> {
    this.#token = token;
    await this.client.realtime.setAuth();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.client.removeAllChannels();
    await this.client.realtime.disconnect();
  }
}

/** A channel, and what it has received. */
class Joined {
  readonly statuses: string[] = [];
  readonly channel: RealtimeChannel;
  error = "";
  /** The last message of Realtime itself. */
  system = "";
  readonly #payloads: Record<string, unknown>[] = [];

  constructor(
    client: SupabaseClient,
    topic: string,
    config: RealtimeChannel["params"]["config"],
    prepare: (channel: RealtimeChannel) => void,
  ) {
    this.channel = client.channel(topic, { config });
    prepare(this.channel);
    this.channel
      .on("broadcast", { event: "changed" }, ({ payload }) => this.#payloads.push(payload))
      .on("system", {}, ({ message }) => this.system = message)
      .subscribe((status, error) => {
        this.statuses.push(status);
        if (error) this.error = error.message;
      });
  }

  async status(): Promise<string> {
    await until(() => this.statuses.length > 0);
    return this.statuses[0];
  }

  get unread(): number {
    return this.#payloads.length;
  }

  async next(): Promise<Record<string, unknown>> {
    await until(() => this.unread > 0);
    return this.#payloads.shift()!;
  }
}

function send(stack: Stack, topic: string, payload: unknown): Promise<unknown> {
  return stack.sql("select realtime.send($1::text::jsonb, 'changed', $2)", [
    JSON.stringify(payload),
    topic,
  ]);
}

/** A request with any headers, also those that fetch does not let be set. */
async function rawRequest(
  address: string,
  headers: Record<string, string>,
): Promise<{ status: number; body: string }> {
  const { host, hostname, port, pathname, search } = new URL(address);
  using connection = await Deno.connect({ hostname, port: Number(port) });
  const lines = [
    `GET ${pathname}${search} HTTP/1.1`,
    `host: ${host}`,
    ...Object.entries({ connection: "close", ...headers }).map(([name, value]) =>
      `${name}: ${value}`
    ),
  ];
  await connection.write(new TextEncoder().encode(lines.join("\r\n") + "\r\n\r\n"));
  let text = "";
  const decoder = new TextDecoder();
  const buffer = new Uint8Array(4096);
  while (!/\r\n\r\n.*\}/s.test(text)) {
    const size = await connection.read(buffer);
    if (size === null) break;
    text += decoder.decode(buffer.subarray(0, size), { stream: true });
  }
  return { status: Number(text.split(" ")[1]), body: text };
}
