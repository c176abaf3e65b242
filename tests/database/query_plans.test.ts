/**
 * With 20,000 users, 40,000 accounts and 200,000 meetings, each statement that runs often finds its rows by
 * an index: no table is read from end to end. Postgres counts the rows that the statement reads, because
 * `explain` does not show the plans inside a function.
 */
import assert from "node:assert/strict";
import type { Database } from "../../local/database.ts";
import { databaseTest } from "../harness/databases.ts";
import { FIXTURES } from "./fixtures/fixtures.ts";

const MANY = `
set local session_replication_role = replica;
select calendly.set_clock('2026-06-01T12:00:00Z');
insert into auth.users (id, email, email_confirmed_at, confirmation_sent_at)
  select md5(n::text)::uuid, 'user' || n || '@example.com', '2026-05-01', '2026-05-01' from generate_series(10001, 50000) n;
insert into auth.identities (provider_id, user_id, identity_data, provider)
  select n, md5(n::text)::uuid, jsonb_build_object('email', 'user' || n || '@example.com', 'email_verified', true),
    case when n % 2 = 0 then 'google' else 'email' end
  from generate_series(10001, 50000) n;
insert into public.calendly_users (id, calendly_user_uri, email, auth_user_id, connection_id)
  select n, tests.host(n::text), 'user' || n || '@example.com', md5(n::text)::uuid, md5(n::text)::uuid
  from generate_series(10001, 30000) n;
insert into public.calendly_connections (id, user_id, calendly_user_uri, next_sync_at, connected_at, created_at, updated_at)
  select md5(n::text)::uuid, n, tests.host(n::text), calendly.now() + (n - 10100) * interval '1 second', '2026-05-01', '2026-05-01', '2026-05-01'
  from generate_series(10001, 30000) n;
insert into public.calendly_meetings (user_id, calendly_event_uri, status, start_time, end_time, calendly_updated_at, updated_at, raw)
  select n, tests.event_uri(n || '-' || e), 'active', day, day + interval '1 hour', '2026-05-01', '2026-05-01',
    jsonb_build_object('event_guests', case e when 1 then jsonb_build_array(jsonb_build_object('email', 'person' || n || '@example.com')) else '[]' end)
  from generate_series(10001, 30000) n, generate_series(1, 10) e, lateral (select calendly.now() + e * interval '1 day') start (day);
insert into calendly.meeting_sync (user_id, event_uri, invitees_due_at)
  select m.user_id, m.calendly_event_uri, case when m.user_id % 2 = 0 then '2026-05-01'::timestamptz end from public.calendly_meetings m;
insert into public.calendly_invitees (meeting_id, user_id, uri, email, status, rescheduled, created_at, updated_at, raw)
  select m.id, m.user_id, m.calendly_event_uri || '/invitees/I', i.email, 'active', false, '2026-05-01', '2026-05-01', jsonb_build_object('email', i.email)
  from public.calendly_meetings m cross join lateral (select 'person' || m.user_id || '@example.com') i (email) where m.user_id % 4 = 0;
insert into public.calendly_webhook_events (event_id, event_type, payload, user_id, created_at, status)
  select n::text, 'invitee.created', jsonb_build_object('payload', jsonb_build_object('email', 'person' || n || '@example.com',
      'scheduled_event', jsonb_build_object('event_guests', jsonb_build_array(jsonb_build_object('email', 'guest' || n || '@example.com'))))), 10001 + n % 20000, calendly.now() - n * interval '1 minute',
    case when n % 1000 = 0 then 'deferred' when n % 1000 = 1 then 'dead' else 'processed' end
  from generate_series(1, 45000) n;
insert into public.calendly_sync_runs (connection_id, user_id, subject, trigger, sync_type, min_start_time, max_start_time, status, started_at, heartbeat_at, finished_at)
  select md5(n::text)::uuid, n, tests.host(n::text), 'scheduled', 'INCREMENTAL', '2026-05-01', '2026-05-01', 'complete', day, day, day
  from generate_series(10001, 30000) n, generate_series(1, 2) e, lateral (select calendly.now() - e * interval '1 day') start (day);
set local session_replication_role = origin;
select tests.add_person('ana');
analyze;`;
const COUNTERS = `
create function tests.reads_in_full(statement text, account uuid) returns text language plpgsql as $$
declare
  before jsonb := (select jsonb_object_agg(t.relid, t.seq_tup_read) from pg_stat_xact_user_tables t);
begin
  if account is not null then
    perform set_config('request.jwt.claims', jsonb_build_object('sub', account)::text, true), set_config('role', 'authenticated', true);
  end if;
  execute statement;
  perform set_config('role', 'none', true);
  return (select string_agg(t.schemaname || '.' || t.relname, ', ' order by t.relname) from pg_stat_xact_user_tables t
    where t.schemaname in ('public', 'calendly', 'auth') and t.seq_tup_read - coalesce((before ->> t.relid::text)::bigint, 0) >= 1000);
end
$$;

create view tests.entries_read as
  select t.schemaname || '.' || t.relname as relation, t.seq_tup_read + coalesce((
      select sum(pg_stat_get_xact_tuples_returned(i.indexrelid)) from pg_index i where i.indrelid = t.relid), 0) as entries
  from pg_stat_xact_user_tables t where t.schemaname in ('public', 'calendly', 'auth');
create function tests.reads_much(statement text) returns text language plpgsql as $$
declare
  before jsonb := (select jsonb_object_agg(r.relation, r.entries) from tests.entries_read r);
begin
  execute statement;
  return (select string_agg(r.relation, ', ' order by r.relation) from tests.entries_read r
    where r.entries - coalesce((before ->> r.relation)::bigint, 0) >= 1000);
end
$$;
create function tests.entries_of(statement text) returns jsonb language plpgsql as $$
declare
  before jsonb := (select jsonb_object_agg(r.relation, r.entries) from tests.entries_read r);
begin
  execute statement;
  return (select jsonb_object_agg(r.relation, r.entries - (before ->> r.relation)::bigint) from tests.entries_read r);
end
$$;`;

/** Statements of a signed-in person, under row level security. */
const STATEMENTS_OF_A_PERSON = {
  "own meetings": "select * from calendly_meetings",
  "the next own meetings":
    "select * from calendly_meetings where start_time > '2026-06-05' order by start_time limit 20",
  "own meetings with their invitees":
    "select * from calendly_meetings m join calendly_invitees i on i.meeting_id = m.id",
  "own webhook events": "select * from calendly_webhook_events",
  "the last own run": "select * from calendly_sync_runs order by started_at desc limit 1",
  "own health": "select * from calendly_sync_health",
};
const STATEMENTS_OF_THE_SYNC = {
  "the meetings of an event":
    "select * from calendly_meetings where calendly_event_uri = tests.event_uri('12000-7')",
  "recognizing a page of events": `select count(*) from calendly.known_events(
    (select jsonb_agg(tests.event('12000-' || n, tests.hosted_by('12000'))) from generate_series(1, 100) n),
    array[12000])`,
  "applying an event": `select count(*) from calendly.apply_events(array[calendly.read_event(
    tests.event('12000-7', tests.hosted_by('12000', '12001')))], true, null, true)`,
  "applying a page of events": `select count(*) from calendly.apply_events(
    array(select calendly.read_event(tests.event('12000-' || n, tests.hosted_by('12000'))) from generate_series(1, 100) n),
    false, array[12000], false)`,
  "applying an invitee": `select tests.apply_invitee(tests.invitee('12000-8', 'ines',
    jsonb_build_object('old_invitee', tests.invitee_uri('12000-7', 'I'))), 'webhook')`,
  "linking a reschedule":
    "select calendly.link_reschedules(array[tests.event_uri('12000-7'), tests.event_uri('12000-8')], null)",
  "the meetings whose invitees are due": "select * from calendly.meetings_due(array[12000])",
  "the connections that are due": `select * from calendly_connections
    where state = 'active' and next_sync_at <= '2026-06-01T12:00:00Z' order by next_sync_at limit 20`,
  "a whole first sync":
    "select tests.sync('ana', array(select tests.event('A' || n) from generate_series(1, 100) n))",
  "a repeat sync with an event missing": `select tests.pass('1 hour'),
    tests.sync('ana', array(select tests.event('A' || n) from generate_series(1, 99) n))`,
  "a tick": "select calendly.nudge()",
  "the accounts that have proven an e-mail": `select * from calendly.accounts_with_proven_email(
    array(select 'user' || n || '@example.com' from generate_series(12000, 12100) n))`,
  "a slice of old webhook events": "select clean_old_webhook_events()",
  "a slice of old payloads": "select calendly.clean_old_payloads()",
  "erasing an invitee": "select calendly_erase_invitee('person12000@example.com')",
  "erasing a guest": "select calendly_erase_invitee('guest12000@example.com')",
};

const STATEMENTS_OF_THE_CONSOLE = {
  "the newest runs": "select * from calendly_sync_runs order by started_at desc limit 50",
  "the newest runs that failed":
    "select * from calendly_sync_runs where status = 'failed' order by started_at desc limit 50",
  "the newest runs of a person":
    "select * from calendly_sync_runs where user_id = 12000 order by started_at desc limit 50",
  "one person": "select * from calendly_console_people(person => 12000)",
  "one run":
    "select calendly_run_details((select id from calendly_sync_runs where user_id = 12000 limit 1))",
  "the newest deliveries":
    "select * from calendly_webhook_events order by created_at desc limit 50",
  "the dead deliveries": `select * from calendly_webhook_events
    where status = 'dead' order by created_at desc limit 50`,
  "one delivery": `select calendly_delivery_details(
    (select id from calendly_webhook_events where event_id = '777'))`,
  "the deliveries of an hour":
    "select * from calendly_deliveries_by_day(calendly.now() - interval '1 hour')",
  "the ticks": "select * from calendly_schedule_ticks()",
  "replaying what is dead": "select calendly_replay_dead()",
};

/** These answer about all people and connections, so they may read both. */
const STATEMENTS_ABOUT_ALL = {
  "the alerts": "select * from calendly_alerts",
  "the answer to an uptime monitor": "select calendly_health()",
  "the figures for a monitor": "select calendly_metrics()",
  "the freshness": "select * from calendly_freshness",
  "the console's people": "select * from calendly_console_people()",
  "the end of accounts": "select calendly.end_closed_accounts()",
};
const ONE_USER = {
  "by id": "user_id = 12000",
  "by e-mail": "email = 'user29000@example.com'",
};

databaseTest(
  "no statement that runs often reads a large table from end to end",
  async (database, t) => {
    await database.script(FIXTURES);
    await database.script(COUNTERS);
    await database.script(MANY);
    assert.equal(
      await readsInFull(database, "select count(*) from public.calendly_meetings"),
      "public.calendly_meetings",
      "a table that is read from end to end is reported",
    );
    for (const [what, statement] of Object.entries(STATEMENTS_OF_A_PERSON)) {
      await t.step(what, async () => {
        assert.equal(await readsInFull(database, statement, "md5('12000')::uuid"), null);
      });
    }
    for (const [what, statement] of Object.entries(STATEMENTS_OF_THE_SYNC)) {
      await t.step(what, async () => {
        assert.equal(await readsInFull(database, statement), null);
      });
    }
    for (const [what, statement] of Object.entries(STATEMENTS_OF_THE_CONSOLE)) {
      await t.step(what, async () => {
        assert.equal(await readsInFull(database, statement), null);
        assert.equal(await readsMuch(database, statement), null);
      });
    }
    await t.step("freshness over time: a look at an index for each person and time", async () => {
      const statement = "select calendly_freshness_history(calendly.now() - interval '10 days')";
      assert.equal(await readsInFull(database, statement), null);
      const [{ read }] = await database.query<{ read: Record<string, number> }>(
        "select tests.entries_of($1) as read",
        [statement],
      );
      assert.ok(read["public.calendly_sync_runs"] > 1000, JSON.stringify(read));
      assert.ok(read["public.calendly_sync_runs"] <= 2 * 120 * 500, JSON.stringify(read));
    });
    await t.step("the console's first screen: no more meetings than it counts", async () => {
      const [{ read }] = await database.query<{ read: Record<string, number> }>(
        "select tests.entries_of('select calendly_console_overview()') as read",
      );
      assert.ok(read["public.calendly_meetings"] <= 10_001, JSON.stringify(read));
      assert.ok(read["public.calendly_sync_runs"] < 1000, JSON.stringify(read));
    });
    await database.query(`update public.calendly_connections set scope = 'organization'
      where user_id = 20000`);
    for (const [what, statement] of Object.entries(STATEMENTS_ABOUT_ALL)) {
      await t.step(`${what}: of the large tables, people and connections alone`, async () => {
        assert.match(
          (await readsInFull(database, statement))!,
          /^(public.calendly_connections, )?public.calendly_users$/,
        );
      });
      await t.step(`${what}: no more than a few runs, meetings and webhook events`, async () => {
        assert.doesNotMatch((await readsMuch(database, statement))!, /_runs|meeting|events/);
      });
    }
    for (const [what, condition] of Object.entries(ONE_USER)) {
      await t.step(`the health of one user ${what}`, async () => {
        const statement = `select from calendly_sync_health where ${condition}`;
        assert.equal(await readsMuch(database, statement), null);
      });
    }
    await t.step(
      "a person who is erased is found in invitees, meetings and webhook events",
      async () => {
        const [{ counts }] = await database.query<{ counts: unknown }>(
          "select calendly_erase_invitee('person16000@example.com') as counts",
        );
        assert.deepEqual(counts, { invitees: 10, meetings: 1, webhook_events: 1 });
      },
    );
    for (const [index, condition] of Object.entries(CONDITIONS_OF_ERASURE)) {
      await t.step(`by ${index}`, async () => {
        const plan = await database.query(`explain select from public.${condition}`);
        assert.match(JSON.stringify(plan), new RegExp(index));
        assert.doesNotMatch(JSON.stringify(plan), /Seq Scan/);
      });
    }
  },
  { seed: false, long: true },
);

/** What a policy, a page and a sync ask about accounts: functions whose plans a session keeps. */
const KEPT_PLANS = {
  "whose rows an account reads": "select calendly.readable_user_ids()",
  "whether an account is open": "select calendly.account_is_open(md5('12000')::uuid, now())",
  "whose e-mail is proven":
    "select * from calendly.accounts_with_proven_email('{user12000@example.com}')",
};

databaseTest(
  "a plan that a session made while the tables were empty reads by index when they have grown",
  async (database, t) => {
    await database.script(FIXTURES);
    await database.script(`${COUNTERS}; analyze;
      select set_config('request.jwt.claims', '{"sub": "${crypto.randomUUID()}"}', false);`);
    // After five calls a session may keep a plan for all arguments.
    for (const statement of Object.values(KEPT_PLANS)) {
      for (let call = 0; call < 7; call++) await database.query(statement);
    }
    await database.script(`
      insert into auth.users (id, email, email_confirmed_at, confirmation_sent_at)
        select md5(n::text)::uuid, 'user' || n || '@example.com', now(), now() from generate_series(10001, 15000) n;
      insert into auth.identities (provider_id, user_id, identity_data, provider)
        select n, md5(n::text)::uuid, jsonb_build_object('email', 'user' || n || '@example.com'), 'google'
        from generate_series(10001, 15000) n;
      insert into public.calendly_users (id, calendly_user_uri, auth_user_id)
        select n, tests.host(n::text), md5(n::text)::uuid from generate_series(10001, 15000) n;
      select set_config('request.jwt.claims', jsonb_build_object('sub', md5('12000')::uuid)::text, false);`);
    for (const [what, statement] of Object.entries(KEPT_PLANS)) {
      await t.step(what, async () => {
        assert.equal(await readsInFull(database, statement), null);
      });
    }
  },
  { seed: false },
);

/** The conditions of calendly_erase_invitee, each by its index. */
const CONDITIONS_OF_ERASURE = {
  calendly_invitees_emails_idx:
    "calendly_invitees where calendly.emails_in(raw) @> '{person17000@example.com}'",
  calendly_meetings_emails_idx: `calendly_meetings where calendly.emails_in(raw) <> '{}'
    and calendly.emails_in(raw) @> '{person17000@example.com}'`,
  calendly_webhook_events_emails_idx: `calendly_webhook_events where payload is not null
    and calendly.emails_in(payload) @> '{person17000@example.com}'`,
};

/** The tables of which a statement reads very many rows without an index, or null. */
async function readsInFull(database: Database, statement: string, account = "null::uuid") {
  const [{ tables }] = await database.query<{ tables: string | null }>(
    `select tests.reads_in_full($1, ${account}) as tables`,
    [statement],
  );
  return tables;
}

/** The tables of which a statement reads very many rows, or entries of their indexes, or null. */
async function readsMuch(database: Database, statement: string) {
  const [{ tables }] = await database.query<{ tables: string | null }>(
    "select tests.reads_much($1) as tables",
    [statement],
  );
  return tables;
}
