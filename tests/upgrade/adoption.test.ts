/** A database of an earlier app is taken over: every row and column stays, and nobody gains a right. */
import assert from "node:assert/strict";
import type { Database } from "../../local/database.ts";
import { databaseTest, openTestDatabase, testOnEach } from "../harness/databases.ts";
import { ACCOUNTS, adopt, asOwner, earlierApp, ID_TYPES } from "./fixtures/earlier_app.ts";
import { FIXTURES } from "../database/fixtures/fixtures.ts";
import { RIGHTS } from "./snapshot.ts";

const UNMIGRATED = { migrations: null, long: true };
const KEPT = {
  users:
    "select id, email, full_name, created_at::text from public.users where id <= 5 order by id",
  meetings:
    "select id::text, user_id, title, notes, calendly_event_uri from public.meetings order by title",
};

for (const id of Object.keys(ID_TYPES) as (keyof typeof ID_TYPES)[]) {
  databaseTest(
    `an earlier app's tables are adopted with all rows and columns, ${id} keys`,
    async (database) => {
      await asOwner(database, earlierApp(id));
      const before = await rows(database);
      await adopt(database);
      assert.deepEqual(await rows(database), before);
      const [{ type }] = await database.query(
        `select format_type(atttypid, atttypmod) as type from pg_attribute
        where attrelid = 'public.meeting_invitees'::regclass and attname = 'meeting_id'`,
      );
      assert.equal(type, id, "invitees refer to meetings by its type");
    },
    UNMIGRATED,
  );

  databaseTest(
    `rows that carry an event's URI are matched by a sync, not duplicated, ${id} keys`,
    async (database) => {
      await asOwner(database, earlierApp(id));
      const before = await rows(database);
      await adopt(database);
      await database.script(`${FIXTURES}
      select calendly.set_clock('2026-06-01T12:00:00Z');
      update public.users set email = lower(email) where id = 1;
      select tests.connect('ana');`);
      const [{ result }] = await database.query<{ result: Record<string, unknown> }>(
        `select tests.sync('ana', array[tests.event('E1', '{"name": null}'), tests.event('E3')],
        jsonb_build_object('E1', array[tests.invitee('E1', 'ines')])) -> 'result' as result`,
      );
      const { created, updated, deleted } = result;
      assert.deepEqual({ created, updated, deleted }, { created: 1, updated: 1, deleted: 1 });
      const after = await rows(database);
      assert.deepEqual(
        after.meetings.filter(({ title }) => title !== "untitled"),
        before.meetings,
        "every row keeps its key and its own columns",
      );
      assert.deepEqual(
        await database.query(
          `select title, name, status, is_deleted, deleted_reason from public.meetings where user_id = 1 order by title`,
        ),
        [
          { title: "Ana alone", name: "", status: null, is_deleted: false, deleted_reason: null },
          {
            title: "Ana and Calendly",
            name: null,
            status: "active",
            is_deleted: false,
            deleted_reason: null,
          },
          {
            title: "Ana, long gone",
            name: "",
            status: null,
            is_deleted: true,
            deleted_reason: "gone",
          },
          {
            title: "untitled",
            name: "Intro call",
            status: "active",
            is_deleted: false,
            deleted_reason: null,
          },
        ],
      );
      assert.deepEqual(
        await database.query(
          `select m.title, i.name from public.meetings m join public.meeting_invitees i on i.meeting_id = m.id`,
        ),
        [{ title: "Ana and Calendly", name: "Ines" }],
      );
    },
    UNMIGRATED,
  );
}

databaseTest(
  "accounts are linked to an earlier app's people by confirmed e-mail only, once",
  async (database) => {
    await asOwner(database, earlierApp());
    await adopt(database);
    const link = (email: string) => linked(database, email);
    assert.equal(await link("Ana@Example.com"), ACCOUNTS.ana, "in whatever case it is written");
    assert.equal(await link("bea@example.com"), null, "an unconfirmed e-mail proves nothing");
    assert.equal(await link("cleo@example.com"), null, "without an account there is nobody");
    assert.equal(await link("twin@example.com"), null, "two rows with one e-mail link nothing");
    assert.equal(await link("TWIN@example.com"), null);
    assert.equal(await link("dan@example.com"), ACCOUNTS.dan, "an account without a row gets one");

    await database.script(
      `update auth.users set email_confirmed_at = now() where id = '${ACCOUNTS.bea}'`,
    );
    assert.equal(await link("bea@example.com"), ACCOUNTS.bea, "the confirmation links");
    await database.script(`
    delete from auth.users where id = '${ACCOUNTS.bea}';
    insert into auth.users (id, email, email_confirmed_at) values (gen_random_uuid(), 'bea@example.com', now());`);
    assert.equal(await link("bea@example.com"), null, "a row is given away once");
    await database.script(
      `insert into auth.users (id, email_confirmed_at) values (gen_random_uuid(), null)`,
    );
  },
  UNMIGRATED,
);

databaseTest("links that an earlier app made are kept", async (database) => {
  await asOwner(
    database,
    `${earlierApp()}
    alter table public.users add auth_user_id uuid;
    update public.users set auth_user_id = '${ACCOUNTS.dan}' where email = 'cleo@example.com';`,
  );
  await adopt(database);
  const [{ auth_user_id }] = await database.query(
    "select auth_user_id from public.users where full_name = 'Cleo C.'",
  );
  assert.equal(auth_user_id, ACCOUNTS.dan);
  const [{ n }] = await database.query<{ n: number }>(
    `select count(*)::integer as n from public.users where auth_user_id = '${ACCOUNTS.dan}'`,
  );
  assert.equal(n, 1, "and the account gets no second row");
}, UNMIGRATED);

databaseTest("an earlier app's own columns of ours are used as they are", async (database) => {
  await asOwner(
    database,
    `${earlierApp()}
    alter table public.meetings add status text, add is_deleted boolean, add join_url text not null default '';
    alter table public.users add calendly_initial_sync_complete boolean;
    update public.meetings set status = 'active', is_deleted = true where title = 'Ana alone';`,
  );
  await adopt(database);
  const [meeting] = await database.query(
    `select status, is_deleted, synced_via_webhook from public.meetings where title = 'Ana alone'`,
  );
  assert.deepEqual(meeting, { status: "active", is_deleted: true, synced_via_webhook: false });
  const [{ n }] = await database.query(
    `select count(*)::integer as n from public.users where calendly_initial_sync_complete`,
  );
  assert.equal(n, 0, "nobody has been synced");
}, UNMIGRATED);

databaseTest(
  "what refuses nothing of ours in an earlier app's tables is kept",
  async (database) => {
    await asOwner(
      database,
      `${earlierApp()}
    alter table public.users
      alter email type varchar,
      add auth_user_id uuid references auth.users (id),
      add nickname text unique,
      force row level security;
    create unique index on public.users (lower(email)) where id < 4;
    create table public.rooms (id serial primary key);
    alter table public.meetings
      add calendly_updated_at timestamptz, add calendly_created_at timestamptz(6), add end_time timestamptz(6),
      add status text not null default 'active', add event_type_uri text not null default '', add raw jsonb,
      add duration interval generated always as (end_time - start_time) stored,
      add room_id integer references public.rooms (id),
      add room_box box,
      add slug uuid not null default gen_random_uuid() unique,
      add ticket text unique deferrable,
      add check (title <> ''),
      add constraint same_owner foreign key (user_id) references public.users (id),
      add google_event_id text,
      add unique (user_id, google_event_id),
      add exclude using gist (room_box with &&, tstzrange(start_time, end_time) with &&),
      add constraint one_each unique (user_id, calendly_event_uri);
    create unique index on public.meetings (user_id, calendly_event_uri, start_time);`,
    );
    const before = await rows(database);
    await adopt(database);
    assert.deepEqual(await rows(database), before);
    await database.script(`${FIXTURES}
    select calendly.set_clock('2026-06-01T12:00:00Z');
    update public.users set email = lower(email) where id = 1;
    select tests.connect('ana');`);
    const sync = async () => {
      const [{ result }] = await database.query<{ result: Record<string, unknown> }>(
        `select tests.sync('ana', array(select tests.event('E' || n) from generate_series(1, 5) n)) -> 'result' as result`,
      );
      const { created, updated, unchanged } = result;
      return { created, updated, unchanged };
    };
    assert.deepEqual(await sync(), { created: 3, updated: 2, unchanged: 0 });
    assert.deepEqual(await sync(), { created: 0, updated: 0, unchanged: 5 }, "the clock is exact");
    const longest = `${"l".repeat(64)}@${"d".repeat(186)}.com`;
    assert.equal(longest.length, 255);
    for (const email of [longest, "nora@example.com"]) {
      await database.query(
        "insert into auth.users (id, email, email_confirmed_at) values (gen_random_uuid(), $1, now())",
        [email],
      );
      assert.ok(await linked(database, email), "who signs up gets a row");
    }
  },
  UNMIGRATED,
);

testOnEach(
  "an empty and an adopted database, in an old and in a new project, end with the same rights",
  "both",
  async (kind) => {
    let expected: unknown[] | undefined;
    for (const defaultPrivileges of ["none", "all"] as const) {
      for (const start of ["", earlierApp()]) {
        await using database = await openTestDatabase(kind, { ...UNMIGRATED, defaultPrivileges });
        await asOwner(database, start);
        await adopt(database);
        const rights = await database.query(RIGHTS);
        assert.ok(rights.length > 0);
        assert.deepEqual(rights, expected ??= rights, `${defaultPrivileges} ${start}`);
      }
    }
  },
);

databaseTest("a policy for the own row is kept, and others read nothing", async (database) => {
  await asOwner(
    database,
    `${earlierApp()}
    alter table public.users add auth_user_id uuid, enable row level security;
    create policy "own" on public.users for select using ((select auth.uid()) = auth_user_id);`,
  );
  await adopt(database);
  await database.script(`
    insert into public.meetings (user_id, title) select id, 'of ' || full_name from public.users;
    create function public.seen_by(account uuid) returns text language plpgsql as $$
    begin
      perform set_config('request.jwt.claims', jsonb_build_object('sub', account)::text, true), set_config('role', 'authenticated', true);
      return (select string_agg(full_name, ', ') from public.users) || ': ' || (select string_agg(title, ', ' order by title) from public.meetings);
    end
    $$;`);
  const [{ seen }] = await database.query("select public.seen_by($1) as seen", [ACCOUNTS.ana]);
  assert.equal(seen, "Ana A.: Ana alone, Ana and Calendly, Ana, long gone, of Ana A.");
}, UNMIGRATED);

async function rows(database: Database) {
  return {
    users: await database.query(KEPT.users),
    meetings: await database.query(KEPT.meetings),
  };
}

async function linked(database: Database, email: string): Promise<unknown> {
  const found = await database.query<{ auth_user_id: string | null }>(
    "select auth_user_id from public.users where email = $1 order by id",
    [email],
  );
  return found[0]?.auth_user_id;
}
