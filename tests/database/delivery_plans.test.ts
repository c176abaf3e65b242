/**
 * A session keeps the plans of a delivery, also those that it made while the tables were empty. They
 * must find their rows by an index when the tables have grown and nobody has analyzed them.
 */
import assert from "node:assert/strict";
import type { Database } from "../../local/database.ts";
import { databaseTest } from "../harness/databases.ts";
import { FIXTURES } from "./fixtures/fixtures.ts";

const PREPARE = `
select calendly.set_clock('2026-06-01T12:00:00Z');
select tests.add_person('ana'), tests.add_person('ben');

-- Realtime, so that live updates are part of a delivery
create schema realtime;
create table realtime.messages (topic text, payload jsonb);
create function realtime.topic() returns text language sql as $$ select null::text $$;
create function realtime.send(payload jsonb, event text, topic text, private boolean)
returns void language sql as $$ insert into realtime.messages values (topic, payload) $$;
grant usage on schema realtime to public;
grant all on realtime.messages to public;
alter table realtime.messages add extension text;
select calendly.enable_live_updates();

create function tests.deliver(event text, invitee text, changes jsonb, expected text) returns void
language plpgsql as $$
declare
  status constant text := public.calendly_receive_webhook(jsonb_build_object(
    'signed_at', extract(epoch from calendly.now()), 'digest', '',
    'body', jsonb_build_object(
      'event', case when changes ? 'cancellation' then 'invitee.canceled' else 'invitee.created' end,
      'created_at', calendly.to_calendly(calendly.now()), 'created_by', tests.host('ana'),
      'payload', tests.invitee(event, invitee) || changes
        || jsonb_build_object('scheduled_event', tests.event(event))))) ->> 'status';
begin
  if status <> expected then
    raise exception 'the delivery is %', status;
  end if;
end
$$;
create function tests.cost_of(statement text) returns jsonb language plpgsql as $$
declare
  before constant jsonb := (
    select jsonb_object_agg(t.relid, t.seq_tup_read) from pg_stat_xact_user_tables t);
  plan json;
begin
  execute 'explain (analyze, buffers, format json) ' || statement into plan;
  return jsonb_build_object(
    'blocks', (plan #>> '{0,Plan,Shared Hit Blocks}')::integer
      + (plan #>> '{0,Plan,Shared Read Blocks}')::integer,
    'read_in_full', (
      select coalesce(jsonb_agg(t.relname), '[]') from pg_stat_xact_user_tables t
      where t.seq_tup_read - coalesce((before ->> t.relid::text)::bigint, 0) >= 1000));
end
$$;`;

/** 20,000 people with an account, 100,000 meetings with an invitee, 50,000 deliveries. */
const GROW = `
set session_replication_role = replica;
insert into public.calendly_users (id, calendly_user_uri, email, auth_user_id, connection_id)
  select n, tests.host(n::text), 'user' || n || '@example.com', gen_random_uuid(), md5(n::text)::uuid
  from generate_series(10001, 30000) n;
insert into public.calendly_connections (id, user_id, calendly_user_uri, next_sync_at, connected_at,
    created_at, updated_at)
  select u.connection_id, u.id, u.calendly_user_uri, 'infinity', now(), now(), now()
  from public.calendly_users u where u.id > 10000;
insert into public.calendly_meetings (user_id, calendly_event_uri, status, start_time, raw)
  select n, tests.event_uri(n || '-' || e), 'active', calendly.now(), '{}'
  from generate_series(10001, 30000) n, generate_series(1, 5) e;
insert into calendly.meeting_sync (user_id, event_uri, invitees_due_at)
  select m.user_id, m.calendly_event_uri, calendly.now() from public.calendly_meetings m
  where m.user_id > 10000;
insert into public.calendly_invitees (meeting_id, user_id, uri, status, rescheduled, created_at,
    updated_at, raw)
  select m.id, m.user_id, m.calendly_event_uri || '/invitees/I', 'active', false, now(), now(), '{}'
  from public.calendly_meetings m where m.user_id > 10000;
insert into public.calendly_webhook_events (event_id, event_type, payload, user_id, created_at, status)
  select 'stored ' || n, 'invitee.created', '{}', 10001 + n % 20000, calendly.now(), 'processed'
  from generate_series(1, 50000) n;
set session_replication_role = origin;`;

/** Deliveries about an event, one after the other, each with what becomes of it. */
const DELIVERIES = {
  "a booking": `'ada', '{}', 'processed'`,
  "a second invitee": `'ben', '{}', 'processed'`,
  "a cancellation": `'ada', '{"status": "canceled", "cancellation": {}}', 'processed'`,
  "a repetition": `'ben', '{}', 'duplicate'`,
};

databaseTest(
  "a delivery finds its rows by index, by plans that were made on empty tables",
  async (database, t) => {
    await database.script(FIXTURES);
    await database.script(PREPARE);
    // Often enough that Postgres keeps the plans.
    for (let event = 0; event < 8; event++) {
      for (const delivery of Object.values(DELIVERIES)) {
        await cost(database, `select tests.deliver('E${event}', ${delivery})`);
      }
    }
    await database.script(GROW);
    for (const [what, delivery] of Object.entries(DELIVERIES)) {
      await t.step(what, async () => {
        const { blocks, read_in_full } = await cost(
          database,
          `select tests.deliver('grown', ${delivery})`,
        );
        assert.deepEqual(read_in_full, []);
        assert.ok(blocks < 1000, `${blocks} blocks`);
      });
    }
  },
  // One session, and no autovacuum that would analyze.
  { seed: false, on: "embedded" },
);

interface Cost {
  blocks: number;
  /** Tables of which many rows were read without an index. */
  read_in_full: string[];
}

async function cost(database: Database, statement: string): Promise<Cost> {
  const [{ cost }] = await database.query<{ cost: Cost }>("select tests.cost_of($1) as cost", [
    statement,
  ]);
  return cost;
}
