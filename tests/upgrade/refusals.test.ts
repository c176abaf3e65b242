/** What cannot be adopted safely is listed, all of it, before anything is changed. */
import assert from "node:assert/strict";
import type { Database } from "../../local/database.ts";
import { MigrationFailed } from "../../local/migrations.ts";
import { databaseTest } from "../harness/databases.ts";
import { ACCOUNTS, adopt, asOwner, earlierApp } from "./fixtures/earlier_app.ts";

const NOBODY = "e0000000-0000-4000-8000-000000000001";
const REQUIRED_WITHOUT_DEFAULT =
  "is required and has no default: a meeting or user that we insert would be refused";

/** In the embedded Postgres the owner is a superuser, who may change anybody's table. */
const ANOTHER_OWNER = "a table of another role";

/** By what stands in the way: the SQL that makes it, and the lines that say so. */
const REFUSALS: Record<string, [sql: string, ...lines: string[]]> = {
  "a column of ours with another type": [
    "alter table public.meetings add status integer, add updated_by text, alter updated_at type timestamp; alter table public.users add calendly_webhook_enabled text",
    "meetings.status is integer where text is needed",
    "meetings.updated_at is timestamp without time zone where timestamp with time zone is needed",
    "users.calendly_webhook_enabled is text where boolean is needed",
  ],
  "users with another key": [
    "drop table public.meetings; drop table public.users; create table public.users (id uuid primary key default gen_random_uuid()); create table public.meetings (id serial primary key, user_id uuid)",
    "meetings.user_id is uuid where integer is needed",
    "users.id is uuid where integer is needed",
  ],
  "meetings of accounts in place of users": [
    "drop table public.meetings; create table public.meetings (id bigint generated always as identity primary key, user_id uuid references auth.users (id))",
    "meetings.user_id has a foreign key (meetings_user_id_fkey) that may refuse what Calendly sends: drop it",
    "meetings.user_id is uuid where integer is needed",
  ],
  "no key at all": [
    "drop table public.meetings; drop table public.users; create table public.users (email text); create table public.meetings (id bigint, user_id integer)",
    "meetings.id is not the primary key",
    "users has no column id",
  ],
  "a key without a default": [
    "alter table public.meetings alter id drop default",
    `meetings.id ${REQUIRED_WITHOUT_DEFAULT}`,
  ],
  "a required column that we do not know": [
    "alter table public.meetings alter title drop default; alter table public.users alter full_name drop default",
    `meetings.title ${REQUIRED_WITHOUT_DEFAULT}`,
    `users.full_name ${REQUIRED_WITHOUT_DEFAULT}`,
  ],
  "a view": [
    "alter table public.users rename to people; create view public.users as select * from public.people",
    "meetings.user_id has a foreign key (meetings_user_id_fkey) that may refuse what Calendly sends: drop it",
    "public.users is not a plain table",
    "users.id is not the primary key",
  ],
  "a table with children": [
    "create table public.old_meetings () inherits (public.meetings)",
    "public.meetings is not a plain table",
  ],
  [ANOTHER_OWNER]: [
    "reset role; alter table public.users owner to authenticator",
    "public.users belongs to authenticator: alter table public.users owner to postgres",
  ],
  "a rule": [
    "create rule kept as on delete to public.meetings do instead nothing",
    "public.meetings has a rule (kept) that may change what we write: drop it",
  ],
  "times and e-mails that would be cut": [
    "alter table public.meetings add calendly_updated_at timestamptz(0), alter start_time type timestamptz(3); alter table public.users alter email type varchar(120)",
    "meetings.calendly_updated_at is timestamp(0) with time zone where timestamp with time zone is needed",
    "meetings.start_time is timestamp(3) with time zone where timestamp with time zone is needed",
    "users.email is character varying(120) where text or character varying is needed",
  ],
  "domains": [
    "create domain public.address as text check (value like '%@%'); create domain public.label as text not null; alter table public.users alter email type public.address; alter table public.meetings add label public.label default '', add kind public.label default ''; alter table public.meetings alter label drop default",
    `meetings.label ${REQUIRED_WITHOUT_DEFAULT}`,
    "users.email is address where text or character varying is needed",
  ],
  "columns of ours that cannot be written": [
    "alter table public.meetings add is_deleted boolean generated always as (title = '') stored, add initial text generated always as (left(title, 1)) stored",
    "meetings.is_deleted is generated, but written by us: make it a plain column",
  ],
  "an account that each row must have": [
    "alter table public.users add auth_user_id uuid not null default gen_random_uuid()",
    "users.auth_user_id is required, but is null where a row has no account: drop not null",
  ],
  "something else of our names": [
    "create schema calendly; create table public.calendly_connections (id integer); create view public.meeting_invitees as select 1 as one; create function public.clean_old_webhook_events() returns void language sql as 'select'",
    "function public.clean_old_webhook_events already exists and is not ours",
    "public.calendly_connections already exists and is not ours",
    "public.meeting_invitees already exists and is not ours",
    "schema calendly already exists and is not ours",
  ],
  "indexes of our names": [
    "create index users_auth_user_id_idx on public.users (email); create unique index meetings_calendly_event_key on public.meetings (user_id, calendly_event_uri)",
    "public.meetings_calendly_event_key is not what we make by that name: rename or drop it",
    "public.users_auth_user_id_idx is not what we make by that name: rename or drop it",
  ],
  "a check that Calendly or an account may not pass": [
    "alter table public.meetings add constraint future check (start_time > '2020-01-01'), add constraint own check (title <> ''); alter table public.users add constraint ours check (email like '%@%')",
    "meetings.start_time has a check constraint (future) that may refuse what Calendly sends: drop it",
    "users.email has a check constraint (ours) that may refuse a new account: drop it",
  ],
  "references to rows that nobody makes": [
    `create table public.kinds (uri text primary key); create table public.people (id integer primary key);
     alter table public.meetings add event_type_uri text constraint known references public.kinds, add constraint person foreign key (user_id) references public.people not valid;
     alter table public.users add constraint member foreign key (id) references public.people not valid`,
    "meetings.event_type_uri has a foreign key (known) that may refuse what Calendly sends: drop it",
    "meetings.user_id has a foreign key (person) that may refuse what Calendly sends: drop it",
    "users.id has a foreign key (member) that may refuse a new account: drop it",
  ],
  "times that may not overlap": [
    `alter table public.meetings add end_time timestamptz, add constraint no_overlap exclude using gist
       (int4range(user_id, user_id, '[]') with &&, tstzrange(start_time, end_time) with &&) where (end_time > start_time)`,
    "meetings has an exclusion constraint (no_overlap) that may refuse what Calendly sends: drop it",
  ],
  "an event that can have one row only": [
    `create unique index one_row on public.meetings (calendly_event_uri) where user_id <> 2;
     create unique index one_spelling on public.meetings (lower(calendly_event_uri)) where user_id <> 2;
     create unique index one_a_day on public.meetings (user_id, (start_time at time zone 'UTC')) where calendly_event_uri = ''`,
    "meetings has a unique index (one_a_day) that may refuse what Calendly sends: drop it",
    "meetings has a unique index (one_row) that may refuse what Calendly sends: drop it",
    "meetings has a unique index (one_spelling) that may refuse what Calendly sends: drop it",
  ],
  "a default that only one row can have": [
    `alter table public.users add nickname text unique; alter table public.users alter nickname set default '';
     create unique index one_title on public.meetings (title)`,
    "meetings has a unique index (one_title) that may refuse what Calendly sends: drop it",
    "users has a unique index (users_nickname_key) that may refuse a new account: drop it",
  ],
  "keys that are looked at too late": [
    `alter table public.users add place integer unique deferrable;
     alter table public.meetings add constraint one_each unique (user_id, calendly_event_uri) deferrable`,
    'meetings has a deferrable constraint (one_each), which Postgres refuses for "on conflict": make it not deferrable',
    'users has a deferrable constraint (users_place_key), which Postgres refuses for "on conflict": make it not deferrable',
  ],
  "policies that let everybody read": [
    "create policy open on public.users for select using (true); create policy members on public.meetings for select to authenticated using (auth.uid() is not null)",
    'policy "members" on meetings lets authenticated read: drop it, or narrow it to the own row (auth.uid())',
    'policy "open" on users lets everyone read: drop it, or narrow it to the own row (auth.uid())',
  ],
  "policies that let clients write": [
    `alter table public.users add auth_user_id uuid;
     create policy own on public.users for update to authenticated using (auth.uid() = auth_user_id);
     create policy mine on public.users using (auth.uid() = auth_user_id);
     create policy service on public.users to service_role using (true);
     create policy less on public.users as restrictive using (false)`,
    'policy "mine" on users lets everyone read and write: drop it, or narrow it to the own row (auth.uid())',
    'policy "own" on users lets authenticated write: drop it, or narrow it to the own row (auth.uid())',
  ],
  "two rows of one event": [
    `insert into public.meetings (user_id, calendly_event_uri) select 1, 'https://api.calendly.com/scheduled_events/E1' from generate_series(1, 2)`,
    "meetings has 3 rows for user 1 and event https://api.calendly.com/scheduled_events/E1",
  ],
  "meetings of nobody": [
    "alter table public.meetings drop constraint meetings_user_id_fkey; insert into public.meetings (user_id) values (77), (77)",
    "meetings has 2 rows for user 77, who is not in users",
  ],
  "accounts that two rows claim, or that are not there": [
    `alter table public.users add auth_user_id uuid; update public.users set auth_user_id = '${ACCOUNTS.ana}' where id in (1, 2); update public.users set auth_user_id = '${NOBODY}' where id = 3`,
    `users has 2 rows with auth_user_id ${ACCOUNTS.ana}`,
    `users.auth_user_id ${NOBODY} is not in auth.users`,
  ],
};

for (const [what, [sql, ...lines]] of Object.entries(REFUSALS)) {
  databaseTest(`not adopted, and nothing changed: ${what}`, async (database) => {
    await asOwner(database, `${earlierApp()}; ${sql}`);
    const before = await everything(database);
    assert.deepEqual(await refusal(database), lines);
    assert.deepEqual(await everything(database), before);
  }, { migrations: null, long: true, on: what === ANOTHER_OWNER ? "real" : "both" });
}

databaseTest(
  "all that stands in the way is listed at once, and gone when it is mended",
  async (database) => {
    await asOwner(
      database,
      `${earlierApp()}
    alter table public.meetings add status integer, add calendly_updated_at timestamptz(0);
    create unique index one_row on public.meetings (calendly_event_uri, title);
    create policy open on public.users for select using (true);
    alter table public.users alter full_name drop default;`,
    );
    assert.equal((await refusal(database)).length, 5);
    await asOwner(
      database,
      `alter table public.meetings drop status, alter calendly_updated_at type timestamptz;
    drop index public.one_row;
    drop policy open on public.users;
    alter table public.users alter full_name set default '';`,
    );
    await adopt(database);
  },
  { migrations: null, long: true },
);

/** The lines with which the first migration refuses. */
async function refusal(database: Database): Promise<string[]> {
  try {
    await adopt(database);
  } catch (error) {
    assert.ok(error instanceof MigrationFailed);
    assert.match(error.message, /adoption\.sql failed: .*Nothing has been changed/);
    return error.message.split("\n  - ").slice(1).sort();
  }
  assert.fail("It was adopted.");
}

/** All objects, columns, constraints, rights, policies and rows of public; the schemas; the triggers. */
async function everything(database: Database): Promise<unknown> {
  const [{ found }] = await database.query(`select jsonb_build_object(
    'schemas', (select jsonb_agg(n.nspname order by 1) from pg_namespace n where n.nspname not like 'pg_%' and n.nspname <> 'supabase_migrations'),
    'objects', (select jsonb_agg(jsonb_build_array(c.relname, c.relkind, c.relacl, c.relrowsecurity) order by c.oid) from pg_class c where c.relnamespace = 'public'::regnamespace),
    'columns', (select jsonb_agg(to_jsonb(a) order by a.attrelid, a.attnum) from pg_attribute a join pg_class c on c.oid = a.attrelid where c.relnamespace = 'public'::regnamespace),
    'constraints', (select jsonb_agg(pg_get_constraintdef(k.oid) order by k.oid) from pg_constraint k where k.connamespace = 'public'::regnamespace),
    'policies', (select jsonb_agg(to_jsonb(p) order by p.tablename, p.policyname) from pg_policies p where p.schemaname = 'public'),
    'triggers', (select jsonb_agg(t.tgname order by t.oid) from pg_trigger t where not t.tgisinternal),
    'functions', (select jsonb_agg(f.proname order by f.oid) from pg_proc f where f.pronamespace = 'public'::regnamespace),
    'accounts', (select jsonb_agg(a.id order by a.id) from auth.users a)) as found`);
  const rows: unknown[] = [];
  for (const table of ["users", "meetings"]) {
    rows.push(
      await database.query(`select to_jsonb(t) as row from public.${table} t order by t::text`),
    );
  }
  return { found, rows };
}
