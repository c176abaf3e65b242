/**
 * The names of the original system, `users` and `meetings`: views where the names are free. Its four
 * statements work as typed, in SQL and through the Data API.
 */
import assert from "node:assert/strict";
import { createClient, type SupabaseClient } from "@supabase/supabase-js";
import postgres from "postgres";
import type { Transaction } from "../../local/database.ts";
import { readMigrations } from "../../cli/migrations.ts";
import { FIXTURES } from "../database/fixtures/fixtures.ts";
import { databaseTest } from "../harness/databases.ts";
import { stackTest } from "../harness/stack.ts";
import { asOwner, attempt, install, undone } from "./project.ts";

/** As typed. */
const STATEMENTS = {
  health: "select * from calendly_sync_health;",
  received: "select event_type, count(*) as count, max(created_at) as last_received " +
    "from calendly_webhook_events group by event_type;",
  full: "update users set calendly_initial_sync_complete = false where id = 1;",
  clean: "select clean_old_webhook_events();",
};

/** Ana is user 1, and has one meeting of hers; ben is user 2. Two deliveries, one of them old. */
const PEOPLE = `${FIXTURES}
  select calendly.set_clock('2026-06-01T12:00:00Z');
  alter sequence public.calendly_users_id_seq restart;
  select tests.add_person('ana'), tests.add_person('ben');
  select tests.sync('ana', array[tests.event('E1')]);
  select tests.sync('ben', array[tests.event('E2', tests.hosted_by('ben'))]);
  insert into public.calendly_webhook_events
      (event_id, event_type, payload, created_at, status, user_id)
    values ('1', 'invitee.created', '{}', '2026-05-31', 'processed', 1),
      ('2', 'invitee.created', '{}', '2026-04-01', 'processed', 1);`;

databaseTest("the original system's statements work as typed", async (database, t) => {
  await undone(database, async (transaction) => {
    await transaction.exec(PEOPLE);
    const query = (sql: string) => transaction.query<Record<string, unknown>>(sql);
    const ask = (role: string) => transaction.exec(`${role}`);

    for (const role of ["postgres", "service_role"]) {
      await t.step(`by ${role}`, async () => {
        await transaction.exec("savepoint asked");
        await ask(`set local role ${role}`);
        assert.deepEqual(
          (await query(STATEMENTS.health)).map(({ user_id }) => user_id).sort(),
          [1, 2],
        );
        const [received] = await query(STATEMENTS.received);
        assert.deepEqual([received.event_type, Number(received.count)], ["invitee.created", 2]);
        await query(STATEMENTS.full);
        assert.deepEqual(
          await query("select id, calendly_initial_sync_complete as c from users order by id"),
          [{ id: 1, c: false }, { id: 2, c: true }],
        );
        assert.deepEqual(await query(STATEMENTS.clean), [{ clean_old_webhook_events: 1 }]);
        await ask("reset role");
        assert.deepEqual(
          await query("select tests.begin('ana', 'scheduled') ->> 'sync_type' as type"),
          [{ type: "FULL" }],
        );
        await transaction.exec("rollback to savepoint asked");
      });
    }
    await t.step("a signed-in person reads their own rows, and changes nothing", async () => {
      await transaction.exec("savepoint asked");
      await ask("select tests.sign_in('ana')");
      assert.deepEqual((await query("select id from users")).map(({ id }) => id), [1]);
      assert.deepEqual((await query("select user_id from meetings")).map((m) => m.user_id), [1]);
      assert.deepEqual((await query(STATEMENTS.health)).length, 1);
      assert.deepEqual((await query(STATEMENTS.received)).length, 1);
      for (
        const statement of [
          STATEMENTS.full,
          STATEMENTS.clean,
          "update meetings set name = 'Mine'",
          "delete from meetings",
          "insert into users (email) values ('x')",
        ]
      ) {
        assert.equal(
          await refused(transaction, "select tests.sign_in('ana');", statement),
          "42501",
        );
      }
      await transaction.exec("rollback to savepoint asked");
    });
    await t.step("anon does nothing", async () => {
      for (const statement of [...Object.values(STATEMENTS), "select * from meetings"]) {
        assert.equal(await refused(transaction, "set local role anon;", statement), "42501");
      }
    });
    await t.step("a server changes the flag and nothing else", async () => {
      for (
        const statement of [
          "update users set email = 'x'",
          "update meetings set name = 'x'",
          "delete from users",
        ]
      ) {
        assert.equal(
          await refused(transaction, "set local role service_role;", statement),
          "42501",
        );
      }
    });
  });
});

databaseTest("a name that is taken stays the app's", async (database) => {
  const views = `select c.relname, c.relkind::text from pg_class c
    where c.oid in (to_regclass('public.users'), to_regclass('public.meetings')) order by 1`;
  const ours = await readMigrations();
  for (
    const [app, expected] of [
      ["create table public.users (id uuid primary key);", "meetings v, users r"],
      ["create view public.meetings as select 1 as id;", "meetings v, users v"],
      ["create table public.users (); create table public.meetings ();", "meetings r, users r"],
    ]
  ) {
    await undone(database, async (transaction) => {
      await asOwner(transaction, app);
      const before = await transaction.query(
        "select pg_get_viewdef(to_regclass('public.meetings')) as view",
      );
      await install(transaction, ours);
      const found = await transaction.query(views);
      assert.equal(found.map((c) => `${c.relname} ${c.relkind}`).join(", "), expected);
      if (app.includes("public.meetings")) {
        assert.deepEqual(
          await transaction.query("select pg_get_viewdef(to_regclass('public.meetings')) as view"),
          before,
        );
      }
    });
  }
}, { migrations: null });

stackTest("the Data API answers by the original names with the same rights", async ({ stack }) => {
  await using database = connected(stack.databaseUrl);
  await database.script(FIXTURES);
  const server = createClient(stack.url, stack.secretKey, { auth: { persistSession: false } });
  const anon = createClient(stack.url, stack.publishableKey, { auth: { persistSession: false } });
  const ana = createClient(stack.url, stack.publishableKey, { auth: { persistSession: false } });
  const { data: { user } } = await ana.auth.signUp({
    email: "ana@example.com",
    password: "correct horse battery",
  });
  await database.script(`
    alter sequence public.calendly_users_id_seq restart;
    select tests.connect('ana'), tests.connect('ben');
    select tests.sync('ana', array[tests.event('E1')]);`);
  const full = (client: SupabaseClient) =>
    client.from("users").update({ calendly_initial_sync_complete: false }).eq("id", 1).select("id");

  const own = await ana.from("users").select("id, auth_user_id");
  assert.deepEqual(own.data, [{ id: 1, auth_user_id: user!.id }]);
  assert.deepEqual((await ana.from("meetings").select("user_id")).data, [{ user_id: 1 }]);
  assert.equal((await ana.from("calendly_sync_health").select()).data?.length, 1);
  assert.equal((await full(ana)).error?.code, "42501");
  assert.equal((await ana.rpc("clean_old_webhook_events")).error?.code, "42501");

  for (const table of ["users", "meetings", "calendly_sync_health"]) {
    assert.equal((await anon.from(table).select()).error?.code, "42501", table);
  }
  assert.equal((await anon.rpc("clean_old_webhook_events")).error?.code, "42501");

  assert.equal((await server.from("calendly_sync_health").select()).data?.length, 2);
  assert.deepEqual((await full(server)).data, [{ id: 1 }]);
  assert.deepEqual(
    await stack.sql("select calendly_initial_sync_complete as c from calendly_users where id = 1"),
    [{ c: false }],
  );
  assert.equal((await server.rpc("clean_old_webhook_events")).data, 0);
  assert.equal(
    (await server.from("users").update({ email: "x" }).eq("id", 1)).error?.code,
    "42501",
  );
});

/** Whoever uses the stack's database from outside. */
function connected(url: string) {
  const sql = postgres(url, { max: 1, onnotice: () => {} });
  return {
    script: async (text: string) => void await sql.unsafe(text).simple(),
    [Symbol.asyncDispose]: () => sql.end(),
  };
}

/** The SQLSTATE of a statement that is refused. */
async function refused(
  transaction: Transaction,
  asking: string,
  statement: string,
): Promise<string | undefined> {
  const error = await attempt(transaction, () => transaction.exec(`${asking} ${statement}`));
  return (error as Error & { code?: string } | undefined)?.code;
}
