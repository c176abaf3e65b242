-- A session keeps the plans of what it applies, perhaps from when the tables were empty. What it
-- reads still depends on what it applies alone, however much has been stored since.
begin;
select plan(9);
-- As in a database that is new. Where autovacuum has noted that a table is empty, Postgres reads it
-- from end to end until it has been analyzed again.
update pg_catalog.pg_class c set reltuples = -1, relpages = 0
  where c.relkind in ('r', 'i')
    and c.relnamespace in ('public'::regnamespace, 'calendly'::regnamespace);
select calendly.set_clock('2026-06-01T12:00:00Z');
select tests.add_person('ana');

create function tests.ten_events(changes jsonb default '{}') returns jsonb language sql as $$
  select jsonb_agg(tests.event('E' || n, changes)) from generate_series(1, 10) n
$$;
create function tests.apply_ten(changes jsonb, by_webhook boolean) returns void language sql as $$
  select calendly.apply_events(
    calendly.event_snapshots(tests.ten_events(changes)), by_webhook, null, true)
$$;
create function tests.apply_invitees_of_ten(changes jsonb, by_webhook boolean) returns void
language sql as $$
  select calendly.apply_invitees(array(
    select calendly.read_invitee(tests.invitee('E' || n, 'ines', changes), calendly.now())
    from generate_series(1, 10) n), by_webhook, null)
$$;
create function tests.link_ten() returns void language sql as $$
  select calendly.link_reschedules(array(
    select tests.event_uri('E' || n) from generate_series(1, 10) n), null)
$$;
-- How many rows a statement reads of the tables that grow.
create function tests.rows_read_by(statement text) returns bigint language plpgsql as $$
declare
  before bigint := tests.rows_read();
begin
  execute statement;
  return tests.rows_read() - before;
end
$$;
create function tests.rows_read() returns bigint language sql as $$
  select sum(coalesce(s.seq_tup_read, 0) + coalesce(s.idx_tup_fetch, 0))::bigint
  from pg_stat_xact_all_tables s
  where s.relid in ('public.calendly_meetings'::regclass, 'public.calendly_invitees'::regclass,
    'calendly.meeting_sync'::regclass)
$$;

-- every statement once, on empty tables
select calendly.known_events(tests.ten_events(), array[tests.id_of('ana')]);
select tests.apply_ten('{}', false);
select tests.apply_invitees_of_ten('{}', true);
select tests.link_ten();
select calendly.has_all_invitees(tests.id_of('ana'), tests.event_uri('E1'), tests.event('E1'));

-- The checks of foreign keys keep plans, too.
create function tests.apply_new_events(prefix text) returns void language sql as $$
  select calendly.apply_events(array(
    select calendly.read_event(tests.event(prefix || n)) from generate_series(1, 100) n),
    false, null, true)
$$;
create function tests.apply_new_invitees(prefix text) returns void language sql as $$
  select calendly.apply_invitees(array(
    select calendly.read_invitee(tests.invitee(prefix || n, 'ines'), calendly.now())
    from generate_series(1, 100) n), false, null)
$$;
select tests.apply_new_events('G');
select tests.apply_new_invitees('G');
select cmp_ok(tests.rows_read_by($$select tests.apply_new_events('H')$$), '<=', 500::bigint,
  'applying a hundred new events reads their meetings');
select cmp_ok(tests.rows_read_by($$select tests.apply_new_invitees('H')$$), '<=', 800::bigint,
  'applying a hundred new invitees reads their meetings');

-- 3,000 meetings later
insert into public.calendly_meetings
    (user_id, calendly_event_uri, status, start_time, raw, calendly_updated_at)
  select tests.id_of('ana'), tests.event_uri('F' || n), 'active', '2026-06-10', '{}', '2026-05-20'
  from generate_series(1, 3000) n;
insert into calendly.meeting_sync (user_id, event_uri)
  select tests.id_of('ana'), tests.event_uri('F' || n) from generate_series(1, 3000) n;
insert into public.calendly_invitees
    (meeting_id, user_id, uri, status, rescheduled, created_at, updated_at, raw)
  select m.id, m.user_id, m.calendly_event_uri || '/invitees/I', 'active', false, now(), now(), '{}'
  from public.calendly_meetings m where m.raw = '{}';

select cmp_ok(tests.rows_read_by(
    'select calendly.known_events(tests.ten_events(), array[tests.id_of(''ana'')])'),
  '<=', 20::bigint, 'recognizing ten events reads their meetings');
select cmp_ok(tests.rows_read_by('select tests.apply_ten(''{}'', false)'), '<=', 50::bigint,
  'applying ten events that are stored reads their meetings');
select cmp_ok(tests.rows_read_by($$select tests.apply_ten(
    '{"name": "x", "updated_at": "2026-05-21T08:00:00.000000Z"}', false)$$), '<=', 60::bigint,
  'applying ten events that have changed reads their meetings');
select cmp_ok(tests.rows_read_by('select tests.apply_invitees_of_ten(''{}'', false)'),
  '<=', 60::bigint, 'applying ten invitees who are stored reads their meetings');
select cmp_ok(tests.rows_read_by($$select tests.apply_invitees_of_ten(
    '{"name": "x", "updated_at": "2026-05-21T08:00:00.000000Z"}', true)$$), '<=', 80::bigint,
  'applying ten invitees who have changed reads their meetings');
select cmp_ok(tests.rows_read_by('select tests.link_ten()'), '<=', 40::bigint,
  'looking for reschedules of ten events reads their invitees');
select cmp_ok(tests.rows_read_by($$select calendly.has_all_invitees(
    tests.id_of('ana'), tests.event_uri('E1'), tests.event('E1'))$$), '<=', 3::bigint,
  'comparing an event''s counter reads its invitees');

select * from finish();
rollback;
