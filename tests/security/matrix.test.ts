/**
 * Who may do what, tried out: every role and person, on every object of public and calendly, by every verb.
 * What may be granted is decided in tests/database/privileges.sql; this proves what a grant comes to, and
 * that no object escapes that decision.
 */
import assert from "node:assert/strict";
import { type PgliteConnection } from "@supabase/lite/pglite";
import type { Database } from "../../local/database.ts";
import { FIXTURES } from "../database/fixtures/fixtures.ts";
import { databaseTest, openTestDatabase } from "../harness/databases.ts";
import { readTap } from "../harness/tap.ts";

/** Behind calendly_sync_health, with the reader's rights: each reader sees the own rows in them as there. */
const PARTS_OF_HEALTH = [
  "calendly.user_sync_states",
  "calendly.readable_meeting_counts",
  "calendly.readable_webhook_event_counts",
];
const PROJECTS = [["a new", "none"], ["an old", "all"]] as const;
const MATRIX = await Deno.readTextFile(new URL("fixtures/matrix.sql", import.meta.url));
const PRIVILEGES = await Deno.readTextFile(new URL("../database/privileges.sql", import.meta.url));

/** Two people of whom there is something in every table that people read, and somebody without anything. */
const PEOPLE = `
  select calendly.set_clock('2026-06-01T12:00:00Z');
  select tests.add_person('ana'), tests.add_person('ben'), tests.add_account('cleo@example.com');
  select tests.sync(name, array[tests.event('E1', tests.hosted_by('ana', 'ben'))], jsonb_build_object('E1', array[tests.invitee('E1', 'ines')]))
    from unnest('{ana,ben}'::text[]) name;
  insert into public.calendly_webhook_events (event_id, event_type, payload, user_id, created_at, status)
    select name, 'invitee.created', '{}'::jsonb, tests.id_of(name), calendly.now(), 'processed' from unnest('{ana,ben}'::text[]) name
    union all select 'nobody', 'x', null, null, calendly.now(), 'ignored';`;

interface Attempt {
  object: string;
  kind: "table" | "view" | "sequence" | "function";
  verb: string;
  role: string;
  granted: boolean;
  outcome: "possible" | "refused";
}

for (const [project, defaultPrivileges] of PROJECTS) {
  databaseTest(
    `in ${project} project nobody does more than has been decided`,
    async (database, t) => {
      await database.script(`${FIXTURES}\n${PEOPLE}\n${MATRIX}`);

      await t.step("every verb on every object, as every role", async () => {
        const attempts = await tryAll(database);
        const kinds = new Set(attempts.map(({ kind }) => kind));
        assert.deepEqual([...kinds].sort(), ["function", "sequence", "table", "view"]);
        assert.ok(attempts.length > 500, `${attempts.length} attempts`);
        const table = (which: (attempt: Attempt) => boolean) => attempts.filter(which).map(said);
        assert.deepEqual(
          table(({ role, outcome }) => role === "anon" && outcome === "possible"),
          [],
          "anon can do nothing",
        );
        assert.deepEqual(
          table(({ role, verb, outcome }) =>
            role === "authenticated" && verb !== "select" && outcome === "possible"
          ),
          [],
          "a signed-in person can only read",
        );
        assert.deepEqual(
          table(({ object, outcome }) => object.startsWith("calendly.") && outcome === "possible"),
          [],
          "and nobody gets into the private schema, not even the service role",
        );
        assert.deepEqual(
          table(({ object, granted, outcome }) =>
            !object.startsWith("calendly.") && granted !== (outcome === "possible")
          ),
          [],
          "what is granted works, and nothing else",
        );
      });

      await t.step(
        "and were the private schema open, its objects would still be shut",
        async () => {
          const roles = "anon, authenticated, service_role";
          await database.script(`grant usage on schema calendly to ${roles}`);
          const open = (await tryAll(database)).filter(({ object }) =>
            object.startsWith("calendly.")
          );
          await database.script(`revoke usage on schema calendly from ${roles}`);
          assert.deepEqual(
            open.filter(({ kind, object, role, outcome }) =>
              outcome === "possible" &&
              (role === "anon" || (kind !== "function" && !PARTS_OF_HEALTH.includes(object)))
            ).map(said),
            [],
          );
          assert.deepEqual(
            open.filter(({ granted, outcome }) => granted !== (outcome === "possible")).map(said),
            [],
            "but for the views and functions behind views and indexes",
          );
        },
      );

      for (const [person, sees] of [["ana", ["ana"]], ["ben", ["ben"]], ["cleo", []]] as const) {
        await t.step(`${person} sees ${sees[0] ?? "nobody"}'s rows and no others`, async () => {
          const readable = await database.query<{ name: string; owner: string | null }>(`
            select format('public.%I', c.relname) as name, (
                select a.attname from pg_attribute a where a.attrelid = c.oid and a.attname in ('user_id', case when c.relname in ('calendly_users', 'users') then 'id' end)) as owner
            from pg_class c
            where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'v', 'm') and has_any_column_privilege('authenticated', c.oid, 'select')
            order by 1`);
          assert.ok(readable.length >= 7);
          for (const { name, owner } of readable) {
            assert.ok(owner, `${name} does not say whose its rows are`);
            const [{ expected, seen }] = await database.query(
              `select array(select tests.id_of(p)::text from unnest($1::text[]) p) as expected,
                 attempts.seen('authenticated', tests.account_of($2), $3, $4) as seen`,
              [`{${sees}}`, person, name, owner],
            );
            assert.deepEqual(seen, expected, name);
          }
        });
      }
    },
    { defaultPrivileges, seed: false },
  );
}

/** By project: what somebody may forget to decide about there. What grants nothing there decides itself. */
const FORGOTTEN: Record<string, [statement: string, ...projects: string[]]> = {
  "a table": ["create table public.undecided (id integer)", "a new", "an old"],
  "a private table": ["create table calendly.undecided (id integer)", "a new", "an old"],
  "a table with a policy for everyone": [
    `create table public.undecided (id integer); comment on table public.undecided is 'x';
     alter table public.undecided enable row level security; create policy all_of_it on public.undecided using (true)`,
    "a new",
    "an old",
  ],
  "a table behind row level security": [
    "create table public.undecided (id integer); alter table public.undecided enable row level security; comment on table public.undecided is 'x'",
    "an old",
  ],
  "a view": ["create view public.undecided as select 1 as one", "a new", "an old"],
  "a sequence": ["create sequence public.undecided", "an old"],
  "a function": [
    "create function public.undecided() returns integer language sql as 'select 1'",
    "a new",
    "an old",
  ],
  "a function that looks like ours": [
    `create function public.undecided() returns integer language sql security definer set search_path = '' as 'select 1';
     comment on function public.undecided() is 'x'`,
    "an old",
  ],
  "a right on one column": [
    "grant update (email) on public.calendly_users to authenticated",
    "a new",
  ],
};

for (const [project, defaultPrivileges] of PROJECTS) {
  Deno.test(`what nobody has decided about fails the check in ${project} project [embedded Postgres]`, async (t) => {
    await using database = await openTestDatabase("embedded", { defaultPrivileges, seed: false });
    await database.script("create extension if not exists pgtap with schema extensions");
    const { driver } = database.connection as PgliteConnection;
    const check = async (statement: string) => {
      await driver.exec("rollback; set search_path to public, extensions");
      const [begin, rest] = PRIVILEGES.split(/(?<=^begin;)/m);
      const results = await driver.exec(
        `${begin} set local role postgres; ${statement}; reset role; ${rest}`,
      );
      const lines = results.flatMap(({ rows }) => rows.map((row) => Object.values(row)[0]));
      return readTap(lines.join("\n")).filter(({ passed }) => !passed).length;
    };
    assert.equal(await check("select 1"), 0, "nothing is wrong to begin with");
    for (const [what, [statement, ...projects]] of Object.entries(FORGOTTEN)) {
      if (!projects.includes(project)) continue;
      await t.step(what, async () => assert.ok(await check(statement) > 0));
    }
  });
}

function tryAll(database: Database): Promise<Attempt[]> {
  return database.query<Attempt>(`
    select v.object, v.kind, v.verb, r.role,
      attempts.granted(r.role, v.object, v.kind, v.rights) as granted,
      attempts.try(r.role, tests.account_of('ana'), v.statement) as outcome
    from attempts.verbs() v cross join unnest('{anon,authenticated,service_role}'::text[]) r (role)
    order by 1, 3, 4`);
}

function said({ role, verb, object, granted, outcome }: Attempt): string {
  return `${role} ${verb} ${object}: ${granted ? "granted" : "not granted"}, ${outcome}`;
}
