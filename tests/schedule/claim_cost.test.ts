/**
 * What a claim and a tick read does not depend on how much is connected, due or paused. Postgres counts the
 * blocks of a statement with all that it calls. The plans are made while the tables are empty, and kept.
 */
import assert from "node:assert/strict";
import type { Database } from "../../local/database.ts";
import { databaseTest } from "../harness/databases.ts";
import { FIXTURES } from "../database/fixtures/fixtures.ts";

const SMALL = 1_000;
const LARGE = 100_000;

/**
 * Of ten connections one is due, one has a paused run, and the others are due in an hour; like the first,
 * where all flags are cleared.
 */
const FILL = `
create function tests.fill(first integer, last integer, state jsonb) returns void
language plpgsql as $$
declare
  now_at constant timestamptz := calendly.now();
  is_first_sync constant boolean := (state ->> 'first_syncs')::boolean;
  has_flag constant boolean := not is_first_sync and not state ? 'all_flags_are_cleared';
  due_after constant interval := state ->> 'due_after';
  resume_after constant interval := state ->> 'resume_after';
begin
  set local session_replication_role = replica;
  insert into public.calendly_users
      (id, calendly_user_uri, connection_id, calendly_initial_sync_complete, auth_user_id)
    select n, tests.host(n::text), md5(n::text)::uuid, has_flag,
      case when n % 10 = 1 and state ? 'banned' then md5(n::text)::uuid end
    from generate_series(first, last) n;
  insert into public.calendly_connections (id, user_id, calendly_user_uri, last_full_sync_at,
      next_sync_at, connected_at, created_at, updated_at)
    select u.connection_id, u.id, u.calendly_user_uri, case when not is_first_sync then now_at end,
      now_at - (u.id % 900) * interval '1 second' + case u.id % 10
        when 0 then due_after
        when 1 then resume_after
        else case when has_flag or is_first_sync then interval '1 hour' else due_after end
      end, now_at, now_at, now_at
    from public.calendly_users u where u.id between first and last;
  insert into public.calendly_sync_runs (connection_id, user_id, subject, trigger, sync_type,
      min_start_time, max_start_time, status, resume_at, started_at, heartbeat_at)
    select c.id, c.user_id, c.calendly_user_uri,
      case when c.user_id % 20 = 1 then 'manual' else 'scheduled' end,
      case when is_first_sync then 'FULL' else 'INCREMENTAL' end,
      now_at, now_at, 'paused', c.next_sync_at, now_at, now_at
    from public.calendly_connections c
    where c.user_id between first and last and c.user_id % 10 = 1;
  insert into calendly.active_runs (run_id, user_ids, refetch_all, list_after)
    select r.id, array[r.user_id], false, r.started_at
    from public.calendly_sync_runs r where r.user_id between first and last;
  insert into auth.users (id, email, banned_until)
    select u.auth_user_id, u.id || '@example.com', 'infinity'
    from public.calendly_users u where u.id between first and last and u.auth_user_id is not null;
end
$$;
create function tests.cost_of(statement text) returns jsonb language plpgsql as $$
declare
  before constant jsonb := tests.rows_without_index();
  plan jsonb;
  cost jsonb;
begin
  execute statement;  -- what is read once a session, such as the catalog, does not count
  execute 'explain (analyze, buffers, timing off, format json) ' || statement into plan;
  select jsonb_build_object(
      'blocks', (plan #>> '{0,Plan,Shared Hit Blocks}')::integer
        + (plan #>> '{0,Plan,Shared Read Blocks}')::integer,
      'read_in_full', coalesce(jsonb_agg(after.key) filter (
        where after.value::bigint - coalesce((before ->> after.key)::bigint, 0) > 100), '[]'))
    into cost
    from jsonb_each_text(tests.rows_without_index()) after;
  raise exception using errcode = 'T0001', message = cost::text;
exception when sqlstate 'T0001' then
  return sqlerrm::jsonb;
end
$$;
comment on function tests.cost_of(text) is
  'The blocks that a statement reads, and the tables that it reads from end to end. Rolled back.';
create function tests.rows_without_index() returns jsonb language sql as $$
  select jsonb_object_agg(t.schemaname || '.' || t.relname, t.seq_tup_read)
  from pg_stat_xact_user_tables t where t.schemaname in ('public', 'calendly')
$$;
-- While autovacuum analyzes a table, entries of an index that lead to dead rows cannot be marked as dead: a
-- claim would read those of all accounts that have just been banned, a second time, too.
alter table public.calendly_users set (autovacuum_enabled = off);
alter table public.calendly_connections set (autovacuum_enabled = off);
alter table public.calendly_sync_runs set (autovacuum_enabled = off);
alter table calendly.active_runs set (autovacuum_enabled = off);
alter table auth.users set (autovacuum_enabled = off);
select calendly.set_clock('2026-06-01T12:00:00Z');
update calendly.project set url = 'https://project.example.com';
`;

const STATEMENTS = {
  "a claim": `select public.calendly_claim_sync('{"project_url": "https://project.example.com"}')`,
  "a tick": "select calendly.nudge()",
};

const STATES = {
  "with much that is due and paused runs that may go on": {
    due_after: "0",
    resume_after: "0",
    first_syncs: false,
  },
  "with much that is due and paused runs that wait": {
    due_after: "0",
    resume_after: "1 hour",
    first_syncs: false,
  },
  "with first syncs only": { due_after: "0", resume_after: "0", first_syncs: true },
  "with cleared flags only": {
    due_after: "0",
    resume_after: "1 hour",
    first_syncs: false,
    all_flags_are_cleared: true,
  },
  "with paused runs of banned accounts": {
    due_after: "1 hour",
    resume_after: "0",
    first_syncs: false,
    banned: true,
  },
  "with nothing that is due": { due_after: "1 hour", resume_after: "1 hour", first_syncs: false },
};

for (const [state, times] of Object.entries(STATES)) {
  databaseTest(
    `${state}, a claim and a tick read no more of 100,000 connections than of 1,000`,
    async (database, t) => {
      await database.script(FIXTURES);
      await database.script(FILL);
      for (const statement of Object.values(STATEMENTS)) await costOf(database, statement);

      await fill(database, 1, SMALL, times);
      const small = await costs(database);
      await fill(database, SMALL + 1, LARGE, times);
      const large = await costs(database);

      for (const what of Object.keys(STATEMENTS)) {
        await t.step(what, () => {
          assert.deepEqual(large[what].read_in_full, []);
          // indexes of 100,000 rows are a level or two deeper, and may hold what was just updated
          const { blocks } = large[what];
          assert.ok(
            blocks <= 2 * small[what].blocks + 30,
            `${small[what].blocks} blocks, then ${blocks}`,
          );
        });
      }
    },
    { seed: false, long: true },
  );
}

interface Cost {
  blocks: number;
  read_in_full: string[];
}

async function fill(database: Database, first: number, last: number, state: unknown) {
  await database.query("select tests.fill($1, $2, $3)", [first, last, JSON.stringify(state)]);
  await database.query("select calendly.end_closed_accounts()");
}

async function costs(database: Database): Promise<Record<string, Cost>> {
  const found: Record<string, Cost> = {};
  for (const [what, statement] of Object.entries(STATEMENTS)) {
    found[what] = await costOf(database, statement);
  }
  return found;
}

async function costOf(database: Database, statement: string): Promise<Cost> {
  const [{ cost }] = await database.query<{ cost: Cost }>(
    "select tests.cost_of($1) as cost",
    [statement],
  );
  return cost;
}
