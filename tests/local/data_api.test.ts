/** The local Data API answers as the platform's does, on either database, and without one. */
import assert from "node:assert/strict";
import { createClient } from "@supabase/supabase-js";
import { type Stack } from "../../local/stack.ts";
import { Cluster } from "../harness/cluster.ts";
import { needing } from "../harness/requirements.ts";
import { stackTest, startTestStack } from "../harness/stack.ts";
import { eventually } from "../schedule/support.ts";

const MIGRATIONS = new URL("./fixtures/migrations/", import.meta.url);
const fixtures = { migrations: MIGRATIONS };

const admin = (stack: Stack) =>
  createClient(stack.url, stack.secretKey, { auth: { persistSession: false } });
const anon = (stack: Stack) =>
  createClient(stack.url, stack.publishableKey, { auth: { persistSession: false } });

stackTest("jsonb goes into a function and comes out of it unchanged", async ({ stack }) => {
  const payload = { text: 'quotes " and \\ and ü', list: [1, null, 1.5, true], nested: { a: {} } };
  const { data, error } = await admin(stack).rpc("echo", { payload });
  assert.equal(error, null);
  assert.deepEqual(data, { echo: payload });
}, fixtures);

stackTest(
  "an error that a function raises keeps its code, message, detail and hint",
  async ({ stack }) => {
    const raise = async (sqlstate: string) => {
      const { error, status } = await admin(stack).rpc("fail", { sqlstate });
      return { ...error, status };
    };
    const raised = { message: "it failed", details: '{"run_id": 7}', hint: "try again" };
    assert.deepEqual(await raise("P0001"), { ...raised, code: "P0001", status: 400 });
    assert.deepEqual(await raise("P0409"), { ...raised, code: "P0409", status: 500 });
    assert.deepEqual(await raise("PT409"), { ...raised, code: "PT409", status: 409 });
    assert.deepEqual(await raise("40001"), { ...raised, code: "40001", status: 500 });
    assert.deepEqual(await raise("23514"), { ...raised, code: "23514", status: 400 });
    assert.deepEqual(await raise("55P03"), { ...raised, code: "55P03", status: 500 });
    assert.deepEqual(await raise("57014"), { ...raised, code: "57014", status: 500 });
  },
  fixtures,
);

stackTest("a missing function is PGRST202, and is found once it is made", async ({ stack }) => {
  const { error, status } = await admin(stack).rpc("added_later");
  assert.deepEqual([error?.code, status], ["PGRST202", 404]);
  await stack.sql(
    "create function public.added_later() returns integer language sql as 'select 1'",
  );
  assert.deepEqual((await admin(stack).rpc("added_later")).data, 1);
}, fixtures);

stackTest("a missing table is PGRST205", async ({ stack }) => {
  const { error, status } = await admin(stack).from("nowhere").select();
  assert.deepEqual([error?.code, status], ["PGRST205", 404]);
}, fixtures);

stackTest(
  "the first request does not change the rights that the migrations grant",
  async ({ stack }) => {
    const rights = () =>
      stack.sql("select relname, relacl::text from pg_class where relname in ('notes', 'secrets')");
    const before = await rights();
    assert.equal((await anon(stack).from("notes").select()).error?.code, "42501");
    assert.equal((await admin(stack).from("notes").select()).error, null);
    assert.equal((await admin(stack).from("secrets").select()).error?.code, "42501");
    assert.deepEqual(await rights(), before);
  },
  fixtures,
);

stackTest("arrays go into jsonb and into arrays, and come out as they were", async ({ stack }) => {
  await stack.sql(`create table public.lists (
    id integer primary key, body jsonb, texts text[], ratio double precision)`);
  await stack.sql("grant select, insert on public.lists to service_role");
  const rows: Record<string, unknown>[] = [
    { id: 1, body: [], texts: [], ratio: 0.5 },
    { id: 2, body: [1, "two", null], texts: ["a,b", '"'], ratio: "NaN" },
    { id: 3, body: [{ a: [1] }], texts: ["null"], ratio: "Infinity" },
  ];
  for (const row of rows) {
    assert.equal((await admin(stack).from("lists").insert(row)).error, null);
  }
  assert.deepEqual((await admin(stack).from("lists").select().order("id")).data, rows);
}, fixtures);

stackTest("an array of a type that was just made is an array", async ({ stack }) => {
  assert.equal((await admin(stack).from("notes").select()).error, null);
  await stack.sql("create type public.mood as enum ('calm', 'busy')");
  await stack.sql("create table public.days (moods public.mood[])");
  await stack.sql("grant select, insert on public.days to service_role");
  assert.equal((await admin(stack).from("days").insert({ moods: ["busy", "calm"] })).error, null);
  assert.deepEqual((await admin(stack).from("days").select()).data, [{ moods: ["busy", "calm"] }]);
}, { ...fixtures, on: "real" }); // The embedded Postgres knows the types of its first start only.

stackTest("a large request that is refused is answered", async ({ stack }) => {
  const response = await fetch(`${stack.url}/rest/v1/notes`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ body: "x".repeat(1_000_000) }),
  });
  assert.equal(response.status, 401);
  await response.body?.cancel();
}, fixtures);

stackTest("what was just made is found by the first request", async ({ stack }) => {
  const client = admin(stack);
  assert.equal((await client.from("notes").select()).error, null);
  await stack.sql("create table public.fresh (id integer)");
  await stack.sql("grant select, insert on public.fresh to service_role");
  assert.equal((await client.from("fresh").insert({ id: 1 })).error, null);
  await stack.sql("alter table public.fresh add column name text");
  assert.equal((await client.from("fresh").insert({ id: 2, name: "two" })).error, null);
  assert.deepEqual((await client.from("fresh").select("name").order("id")).data, [
    { name: null },
    { name: "two" },
  ]);
}, fixtures);

stackTest("times are written as in JSON of Postgres, alone and embedded", async ({ stack }) => {
  await stack.sql(`
    create table public.shops (id integer primary key, opened timestamptz, local timestamp)`);
  await stack.sql(`
    create table public.sales (shop_id integer references public.shops, sold timestamptz)`);
  await stack.sql("grant select on public.shops, public.sales to service_role");
  const opened = "2026-11-26T11:15:00+00:00";
  await stack.sql(
    "insert into public.shops values (1, $1::timestamptz, '2026-11-26T11:15:00.5'::timestamp)",
    [opened],
  );
  await stack.sql("insert into public.sales values (1, $1::timestamptz)", [opened]);
  const { data, error } = await admin(stack).from("shops").select("opened, local, sales(sold)");
  assert.equal(error, null);
  assert.deepEqual(data, [{
    opened,
    local: "2026-11-26T11:15:00.5",
    sales: [{ sold: opened }],
  }]);
}, fixtures);

stackTest("row level security follows the user of the JWT", async ({ stack }) => {
  const ada = await signUp(stack, "ada@example.com");
  const eve = await signUp(stack, "eve@example.com");
  const { error } = await admin(stack).from("notes").insert([
    { owner: ada.id, body: "ada's" },
    { owner: eve.id, body: "eve's" },
  ]);
  assert.equal(error, null);
  assert.deepEqual((await ada.client.from("notes").select("body")).data, [{ body: "ada's" }]);
  assert.equal((await ada.client.from("notes").insert({ owner: ada.id })).error?.code, "42501");
}, fixtures);

stackTest("concurrent requests of several accounts each read their own rows", async ({ stack }) => {
  const people = await Promise.all(
    ["a", "b", "c", "d"].map((name) => signUp(stack, `${name}@example.com`)),
  );
  await admin(stack).from("notes").insert(people.map(({ id }) => ({ owner: id, body: id })));
  const seen = await Promise.all(
    Array.from({ length: 40 }, async (_, index) => {
      const { id, client } = people[index % people.length];
      const { data } = await client.from("notes").select("body");
      return data?.length === 1 && data[0].body === id;
    }),
  );
  assert.ok(seen.every(Boolean));
}, fixtures);

stackTest("no key, a wrong key and an expired JWT are refused", async ({ stack }) => {
  const get = async (headers: Record<string, string>) => {
    const response = await fetch(`${stack.url}/rest/v1/notes`, { headers });
    return [response.status, (await response.json()).message];
  };
  assert.deepEqual(await get({}), [401, "No API key found in request"]);
  assert.deepEqual(await get({ apikey: "sb_publishable_wrong" }), [401, "Invalid API key"]);
  const expired = await stack.signJwt({ sub: crypto.randomUUID(), expires: "-1m" });
  assert.deepEqual(
    await get({ apikey: stack.publishableKey, authorization: `Bearer ${expired}` }),
    [401, "JWT expired"],
  );
}, fixtures);

stackTest("a preflight from another origin is allowed", async ({ stack }) => {
  for (const path of ["/rest/v1/notes", "/auth/v1/token"]) {
    const response = await fetch(stack.url + path, {
      method: "OPTIONS",
      headers: {
        origin: "http://localhost:3000",
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,apikey,content-type",
      },
    });
    await response.body?.cancel();
    assert.ok(response.ok);
    assert.ok(["*", "http://localhost:3000"].includes(
      response.headers.get("access-control-allow-origin") ?? "",
    ));
    assert.match(response.headers.get("access-control-allow-headers") ?? "", /apikey/i);
  }
}, fixtures);

Deno.test({
  ...needing("without Postgres, the Data API answers as PostgREST does", "postgresServer"),
  async fn() {
    await using cluster = await Cluster.start();
    await using stack = await startTestStack("embedded", { databaseUrl: cluster.url });
    await stack.sql(`create function public.slow() returns integer language sql
      return (select 1 from pg_catalog.pg_sleep(600))`);
    const ask = async (path: string) => {
      const response = await fetch(`${stack.url}/rest/v1/${path}`, {
        headers: { apikey: stack.secretKey },
      });
      return { status: response.status, body: await response.json() };
    };
    const askSlowly = () => ask("rpc/slow");
    const sleeps = () =>
      eventually("Postgres is at work on it", async () => {
        const sleeping = await stack.sql(
          "select from pg_catalog.pg_stat_activity where wait_event = 'PgSleep'",
        );
        return sleeping.length === 1;
      });
    const MEETINGS = "calendly_meetings?select=id";
    assert.deepEqual(await ask(MEETINGS), { status: 200, body: [] });

    const stopped = askSlowly();
    await sleeps();
    await cluster.whileStopped(async () => {
      assert.equal((await stopped).status, 503);
      for (const path of [MEETINGS, "unknown", "rpc/unknown", MEETINGS]) {
        const { status, body: { details, ...body } } = await ask(path);
        assert.equal(status, 503);
        assert.deepEqual(body, {
          code: "PGRST000",
          message: "Database connection error. Retrying the connection.",
          hint: null,
        });
        assert.match(details, /ECONNREFUSED/);
      }
    });
    assert.deepEqual(await ask(MEETINGS), { status: 200, body: [] });

    const crashed = askSlowly();
    await sleeps();
    await cluster.restart("immediate");
    const { status, body } = await crashed;
    assert.deepEqual([status, body.code, body.message], [
      503,
      "PGRST001",
      "Database client error. Retrying the connection.",
    ]);
  },
});

async function signUp(stack: Stack, email: string) {
  const client = anon(stack);
  const { data, error } = await client.auth.signUp({ email, password: "a-password" });
  assert.equal(error, null);
  return { id: data.user!.id, client };
}
