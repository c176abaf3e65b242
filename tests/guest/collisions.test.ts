/**
 * Names that are taken: all of them are listed before anything is changed. What the original system's
 * migration 022 made is recognised by its shape and stands aside, with its rows.
 */
import assert from "node:assert/strict";
import type { Transaction } from "../../local/database.ts";
import { databaseTest, type Kind, openTestDatabase, testOnEach } from "../harness/databases.ts";
import { catalogue, contents } from "./catalogue.ts";
import { asOwner, attempt, DISCONNECT, install, LEAVE, OURS, undone } from "./project.ts";
import { SHAPES } from "./shapes.ts";

const CHECK = OURS.slice(0, 1);

/** What our migrations have made in public, with a statement that makes something by that name. */
const MADE_IN_PUBLIC = `
  select 'function' as kind, p.proname::text as name,
      format('create function public.%I(text, boolean, date) returns integer '
        'language sql as ''select 1''', p.proname) as statement
    from pg_proc p where p.pronamespace = 'public'::regnamespace
  union
  select case c.relkind when 'i' then 'index' when 'S' then 'sequence' else 'table' end, c.relname,
      format('create ' || case c.relkind when 'S' then 'sequence public.%1$I'
        when 'i' then 'index %1$I on public.notes (id)'
        else 'table public.%1$I (id integer)' end, c.relname)
    from pg_class c where c.relnamespace = 'public'::regnamespace
  order by 1, 2`;

interface Made {
  kind: string;
  name: string;
  statement: string;
}

const NOTES = "create table public.notes (id integer);";

testOnEach(
  "each name that is ours is listed where it is taken, and all at once",
  "both",
  async (kind, t) => {
    const made = await madeInPublic(kind);
    assert.ok(made.length > 60, `${made.length}`);
    await using database = await openTestDatabase(kind, { migrations: null });
    const taken = [
      ...made.map((object) => [object.statement, `${object.kind} public.${object.name}`]),
      ["create schema calendly", "schema calendly"],
    ];
    await t.step("one by one", () =>
      undone(database, async (transaction) => {
        await asOwner(transaction, NOTES);
        for (const [statement, label] of taken) {
          const error = await attempt(transaction, async () => {
            await asOwner(transaction, statement);
            await install(transaction, CHECK);
          });
          assert.deepEqual(listed(error), [label]);
        }
      }));
    await t.step(
      "together, as the last thing that is said",
      () =>
        undone(database, async (transaction) => {
          await asOwner(transaction, NOTES + taken.map(([statement]) => statement).join("; "));
          assert.deepEqual(
            await listedByCheck(transaction),
            taken.map(([, label]) => label).sort(),
          );
        }),
    );
    await t.step("of every kind", () =>
      undone(database, async (transaction) => {
        await asOwner(
          transaction,
          `create view public.calendly_users as select 1 as id;
        create materialized view public.calendly_meetings as select 1 as id;
        create type public.calendly_invitees as enum ('one');
        create sequence public.calendly_connections;
        create table public.calendly_sync_runs (id integer) partition by list (id);`,
        );
        assert.deepEqual(await listedByCheck(transaction), [
          "materialized view public.calendly_meetings",
          "sequence public.calendly_connections",
          "table public.calendly_sync_runs",
          "type public.calendly_invitees",
          "view public.calendly_users",
        ]);
      }));
    await t.step("nothing but these is in the way", () =>
      undone(database, async (transaction) => {
        await asOwner(
          transaction,
          `create table public.users (id integer); create table public.calendly (id integer);
        create table public.calendly_meeting (id integer); create schema calendly_sync;
        create table calendly_sync.calendly_meetings (id integer);
        create function public.calendly_users() returns integer language sql as 'select 1';
        create table public.calendly_meetings_archive (id serial primary key, note text unique);`,
        );
        await install(transaction, CHECK);
      }));
  },
);

databaseTest("the list of our names is what the migrations make in public", async (database) => {
  await undone(database, async (transaction) => {
    await install(transaction);
    const names = "select n.kind || ' ' || n.name as name from calendly.public_names n order by 1";
    assert.deepEqual(
      await transaction.query(names),
      await transaction.query(`
        select 'function ' || p.proname as name
          from pg_proc p where p.pronamespace = 'public'::regnamespace
        union
        select 'table or view ' || c.relname
          from pg_class c where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'v')
        order by 1`),
    );
  });
}, { migrations: null });

const ORIGINAL = SHAPES.find(({ app }) => app.includes("-- 022"))!;
const ROWS = "select id, event_id, event_type, user_id from";

testOnEach(
  "what the original system's migration 022 made stands aside, and comes back",
  "both",
  async (kind) => {
    await using database = await openTestDatabase(kind, { migrations: null });
    await undone(database, async (transaction) => {
      await asOwner(transaction, ORIGINAL.app + ORIGINAL.rows);
      const before = await catalogue(transaction);
      const rows = await transaction.query(`${ROWS} public.calendly_webhook_events`);
      assert.equal(rows.length, 1);

      await install(transaction);
      assert.deepEqual(await transaction.query(`${ROWS} public.calendly_webhook_events`), []);
      assert.deepEqual(
        await transaction.query(`${ROWS} public.original_calendly_webhook_events`),
        rows,
      );
      const [health] = await transaction.query<{ webhook_events_received: unknown }>(
        "select webhook_events_received::integer from public.original_calendly_sync_health",
      );
      assert.deepEqual(health, { webhook_events_received: 1 });

      await asOwner(transaction, DISCONNECT.split(";")[0]);
      await asOwner(transaction, LEAVE);
      const made = (await catalogue(transaction)).filter((line) => !before.includes(line));
      assert.deepEqual(made.filter((line) => !line.includes("supabase_migrations")), []);
      assert.deepEqual(await transaction.query(`${ROWS} public.calendly_webhook_events`), rows);
    });
  },
);

testOnEach("what only resembles 022's objects is in the way", "both", async (kind, t) => {
  await using database = await openTestDatabase(kind, { migrations: null });
  const others: Record<string, [change: string, list: string[]]> = {
    "a table with one column more": [
      "alter table public.calendly_webhook_events add source text",
      ["table public.calendly_webhook_events"],
    ],
    "a table with a column of another type": [
      "alter table public.calendly_webhook_events alter payload type json",
      ["table public.calendly_webhook_events"],
    ],
    "a view with other columns": [
      "alter view public.calendly_sync_health rename column email to mail",
      ["view public.calendly_sync_health"],
    ],
    "a function that returns something else": [
      `drop function public.clean_old_webhook_events();
      create function public.clean_old_webhook_events() returns void language sql
        as 'delete from public.calendly_webhook_events'`,
      ["function public.clean_old_webhook_events"],
    ],
    "a name to stand aside by that is taken": [
      "create table public.original_calendly_webhook_events (id integer)",
      ["table public.original_calendly_webhook_events"],
    ],
  };
  for (const [name, [change, list]] of Object.entries(others)) {
    await t.step(name, () =>
      undone(database, async (transaction) => {
        await asOwner(transaction, ORIGINAL.app + change);
        const found = await listedByCheck(transaction);
        assert.deepEqual(found.filter((line) => !/ public\.\w*events_\w+$/.test(line)), list);
      }));
  }
});

async function madeInPublic(kind: Kind): Promise<Made[]> {
  await using database = await openTestDatabase(kind, { migrations: null });
  let made: Made[] = [];
  await undone(database, async (transaction) => {
    await install(transaction);
    made = await transaction.query<Made>(MADE_IN_PUBLIC);
  });
  return made;
}

/** What the first migration lists. It leaves everything as it was. */
async function listedByCheck(transaction: Transaction): Promise<string[]> {
  const before = [await catalogue(transaction), await contents(transaction)];
  const error = await attempt(transaction, () => install(transaction, CHECK));
  assert.deepEqual([await catalogue(transaction), await contents(transaction)], before);
  return listed(error);
}

/** The list at the end of a refusal. */
function listed(error: Error | undefined): string[] {
  const message = (error?.cause as Error | undefined)?.message ?? String(error);
  assert.match(message, /^Calendly Sync is not installed, and nothing was changed\. /);
  return message.split("\n  - ").slice(1).sort();
}
