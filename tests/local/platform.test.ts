/** platform.sql gives a bare Postgres what a project of the platform has. */
import assert from "node:assert/strict";
import { getAuthSchemaSql } from "@supabase/lite";
import { openEmbedded, prepare } from "../../local/database.ts";
import { databaseTest } from "../harness/databases.ts";
import { stackTest } from "../harness/stack.ts";

const ROLES = ["anon", "authenticated", "service_role"];

databaseTest(
  "a new project's default privileges grant nothing on new tables",
  async (database) => {
    await database.script("set local role postgres; create table public.fresh (id integer)");
    assert.deepEqual(await rolesThatRead(database), []);
  },
  { migrations: null, defaultPrivileges: "none" },
);

databaseTest(
  "an old project's default privileges grant everything on new tables",
  async (database) => {
    await database.script("set local role postgres; create table public.fresh (id integer)");
    assert.deepEqual(await rolesThatRead(database), ROLES);
  },
  { migrations: null, defaultPrivileges: "all" },
);

databaseTest(
  "preparing a database twice changes nothing",
  async (database) => {
    const before = await database.query("select count(*)::int as n from pg_catalog.pg_class");
    await prepare(database, { migrations: null });
    const after = await database.query("select count(*)::int as n from pg_catalog.pg_class");
    assert.deepEqual(after, before);
  },
  { migrations: null },
);

databaseTest(
  "a migration's owner is no superuser, and may put a trigger on auth.users",
  async (database) => {
    await database.script(`set local role postgres;
    create function public.on_account() returns trigger language plpgsql security definer
      as 'begin return new; end';
    create trigger t after insert on auth.users for each row execute function public.on_account();
    create table public.profiles (id uuid references auth.users (id));`);
    const [{ owner }] = await database.query(
      "select relowner::regrole::text as owner from pg_class where relname = 'profiles'",
    );
    assert.equal(owner, "postgres");
  },
  { migrations: null },
);

databaseTest(
  "auth.uid(), auth.role() and auth.jwt() read the claims of the request",
  async (database) => {
    const sub = crypto.randomUUID();
    const [row] = await database.query(
      `select auth.uid() as uid, auth.role() as role, auth.email() as email, auth.jwt() as jwt
     from (select set_config('request.jwt.claims', $1, true) as claims) as settings
     where settings.claims is not null`,
      [JSON.stringify({ sub, role: "authenticated", email: "a@example.com" })],
    );
    assert.deepEqual(row.jwt, { sub, role: "authenticated", email: "a@example.com" });
    assert.deepEqual([row.uid, row.role, row.email], [sub, "authenticated", "a@example.com"]);
  },
  { migrations: null },
);

databaseTest(
  "jobs are scheduled, replaced by name and unscheduled as with pg_cron",
  async (database) => {
    const schedule = (every: string) =>
      database.query("select cron.schedule('tidy', $1, 'select 1') as id", [every]);
    const [{ id }] = await schedule("0 3 * * *");
    assert.deepEqual(await schedule("0 4 * * *"), [{ id }]);
    assert.deepEqual(
      await database.query("select jobname, schedule, command, active from cron.job"),
      [{ jobname: "tidy", schedule: "0 4 * * *", command: "select 1", active: true }],
    );
    await database.query("select cron.unschedule('tidy')");
    assert.deepEqual(await database.query("select from cron.job"), []);
    await assert.rejects(database.query("select cron.unschedule('tidy')"), /could not find/);
  },
  { migrations: null },
);

Deno.test("the auth tables have every column that the local Auth server writes", async () => {
  const columns = `select table_name || '.' || column_name as name from information_schema.columns
    where table_schema = 'auth' order by 1`;
  const theirs = await openEmbedded();
  const ours = await openEmbedded();
  try {
    await theirs.script(getAuthSchemaSql());
    await prepare(ours, { migrations: null });
    const present = (await ours.query<{ name: string }>(columns)).map(({ name }) => name);
    const needed = (await theirs.query<{ name: string }>(columns)).map(({ name }) => name);
    assert.ok(needed.length > 50);
    assert.deepEqual(needed.filter((name) => !present.includes(name)), []);
  } finally {
    await theirs.close();
    await ours.close();
  }
});

stackTest("the demo user of the seed signs in, and gets id 1 by connecting", async ({ stack }) => {
  const response = await fetch(`${stack.url}/auth/v1/token?grant_type=password`, {
    method: "POST",
    headers: { apikey: stack.publishableKey, "content-type": "application/json" },
    body: JSON.stringify(stack.demoUser),
  });
  const { user, access_token } = await response.json();
  assert.equal(response.status, 200);
  const connected = await fetch(`${stack.url}/functions/v1/calendly-connect`, {
    method: "POST",
    headers: { apikey: stack.publishableKey, authorization: `Bearer ${access_token}` },
    body: JSON.stringify({ token: stack.sandbox!.demo.token, sync: false }),
  });
  assert.equal((await connected.json()).state, "active");
  assert.deepEqual(
    await stack.sql("select id, auth_user_id from public.calendly_users"),
    [{ id: 1, auth_user_id: user.id }],
  );
});

async function rolesThatRead(database: { query: (sql: string) => Promise<unknown[]> }) {
  const rows = await database.query(
    `select role from unnest(array['anon', 'authenticated', 'service_role']) as role
     where has_table_privilege(role, 'public.fresh', 'select')`,
  ) as { role: string }[];
  return rows.map(({ role }) => role);
}
