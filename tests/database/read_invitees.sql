-- Which invitees are fetched first, how many at a time, and what a complete reading changes.
begin;
select plan(24);
select calendly.set_clock('2026-06-01T12:00:00Z');
update calendly.settings set invitee_batch = 25;
select tests.add_person('ana');
create function tests.at(event text, start_time timestamptz,
  changes jsonb default '{}') returns jsonb
  language sql as $$
  select tests.event(event,
    jsonb_build_object('start_time', calendly.to_calendly(start_time), 'end_time',
      calendly.to_calendly(start_time + interval '30 minutes'))
    || changes)
$$;
create function tests.read(step jsonb) returns jsonb language sql as $$
  select tests.bring('ana',
    jsonb_build_object('requests', 0, 'invitees',
      (select jsonb_agg(tests.invitees_of(event, tests.invitee(event, 'ines')))
        from unnest(tests.event_names(step)) event)))
$$;

-- the order
select tests.begin('ana');
create temporary table answer as select tests.bring('ana', tests.page(array[
  tests.at('last-year', '2025-06-01T12:00:00Z'), tests.at('yesterday', '2026-05-31T12:00:00Z'),
    tests.at('just-began', '2026-06-01T11:59:00Z'),
  tests.at('soon', '2026-06-01T12:10:00Z'), tests.at('tomorrow', '2026-06-02T12:00:00Z'),
    tests.at('nobody', '2026-06-02T12:00:00Z', tests.seats(0, 0)),
  tests.at('canceled', '2026-06-03T12:00:00Z', tests.canceled()),
    tests.at('next-year', '2027-05-30T12:00:00Z')])) as step;
select is(tests.event_names(step),
  '{soon,tomorrow,canceled,next-year,just-began,yesterday,last-year}',
  'invitees are fetched of upcoming meetings first, then of past ones, none without seats')
  from answer;
select is(tests.read(step) ->> 'do', 'finish',
  'when the invitees of all events are fetched the run can finish')
  from answer;
select is((select count(*) from public.calendly_invitees), 7::bigint,
  'the invitees of each event are stored');
select is(row(r.created, r.updated)::text, '(8,0)',
  'a new meeting whose invitees are stored counts as created')
  from tests.run_of('ana') r;
select tests.finish('ana');
-- the looks for no-shows are tested in no_shows.sql
update calendly.meeting_sync set invitees_due_at = null;

-- rows that somebody has written by hand
select tests.pass('1 hour');
update public.calendly_meetings set start_time = case calendly_event_uri
    when tests.event_uri('soon') then 'infinity'::timestamptz end
  where calendly_event_uri in (tests.event_uri('soon'), tests.event_uri('yesterday'));
update calendly.meeting_sync set invitees_due_at = calendly.now()
  where event_uri in (
    tests.event_uri('soon'), tests.event_uri('yesterday'), tests.event_uri('tomorrow'));
update calendly.settings set missing_event_lookups = 0;
select tests.begin('ana');
update answer set step = tests.bring('ana', tests.page('{}'));
select is((tests.event_names(step))[1], 'tomorrow',
  'meetings whose start time is not known come after the upcoming ones') from answer;
select is(cardinality(tests.event_names(step)), 3, 'and their invitees are fetched as well')
  from answer;
select tests.read(step) from answer;
select tests.finish('ana');
update public.calendly_meetings set start_time = (raw ->> 'start_time')::timestamptz;
update calendly.settings set missing_event_lookups = 25;
update calendly.meeting_sync set invitees_due_at = null;

-- batches
select tests.pass('1 hour');
select tests.begin('ana', forced => true);
update answer set step
  = tests.bring('ana',
    tests.page(array(select tests.at('B' || n,
      '2026-06-02T12:00:00Z'::timestamptz + n * interval '1 hour')
      from generate_series(1, 60) n)));
select is((tests.bring('ana', '{"requests": 0, "events": []}') ->> 'do'), 'fetch_events',
  'missing events are fetched before invitees');
update calendly.meeting_sync set last_looked_up_at = null;
update calendly.active_runs set missing_event_lookups = 25;
update answer set step = tests.bring('ana', '{"requests": 0, "events": []}');
select is(cardinality(tests.event_names(step)), 25, 'a step fetches the invitees of 25 events')
  from answer;
update answer set step = tests.read(step);
select is(cardinality(tests.event_names(step)), 25,
  'the next step fetches the invitees of the next 25 events')
  from answer;
update answer set step = tests.read(step);
select is(cardinality(tests.event_names(step)), 10,
  'the last step fetches the invitees of the rest')
  from answer;
select is(tests.read(step) ->> 'do', 'finish', 'no event''s invitees are fetched twice')
  from answer;
select tests.finish('ana');

-- one large event
select tests.pass('1 hour');
select tests.begin('ana');
select tests.bring('ana',
  tests.page(array[tests.event('large', tests.seats(300, 299, 400))]
    || array(select m.raw from public.calendly_meetings m)));
select is(tests.bring('ana',
  jsonb_build_object('requests', 3, 'invitees',
    jsonb_build_array(tests.invitees_of('large', variadic array(
  select tests.invitee('large', 'guest' || n, case when n = 300 then '{"status": "canceled"}'
    else '{}' end::jsonb)
    from generate_series(1, 300) n)))))
    ->> 'do', 'finish', 'the invitees of a large event are applied in one step');
select is((select count(*) from public.calendly_invitees v join tests.meeting('large') m on m.id
  = v.meeting_id),
  300::bigint, 'all invitees of a large event are stored');
select tests.finish('ana');
select tests.pass('1 hour');
create temporary table versions as select tests.row_versions() as before;
create temporary table again as select tests.sync('ana',
  array(select m.raw from public.calendly_meetings m))
  -> 'result' as result;
select is(result ->> 'requests', '1', 'a repeat sync fetches no invitees') from again;
select is(result ->> 'updated', '0', 'a repeat sync counts no meeting as updated') from again;
select is(tests.row_versions(), before, 'a repeat sync writes no row version') from versions;

-- an invitee that changed
select tests.pass('1 hour');
select tests.begin('ana');
select tests.bring('ana',
  tests.page(array(select case m.calendly_event_uri when tests.event_uri('large') then m.raw
    || '{"updated_at": "2026-05-30T00:00:00Z"}' else m.raw end from public.calendly_meetings m)));
select tests.bring('ana',
  jsonb_build_object('requests', 3, 'invitees',
    jsonb_build_array(tests.invitees_of('large', variadic array(
  select tests.invitee('large', 'guest' || n, case when n = 300 then '{"status": "canceled"}' when n
    = 7 then '{"name": "Seven", "updated_at": "2026-05-30T00:00:00Z"}' else '{}' end::jsonb)
    from generate_series(1, 300) n)))));
select is(row(r.updated, r.created)::text, '(1,0)',
  'a meeting with a changed invitee counts as updated once')
  from tests.run_of('ana') r;
select is((select count(*) from public.calendly_invitees v where v.updated_at = calendly.now()),
  1::bigint, 'of many invitees only the changed one is written');
select is(tests.finish('ana') #>> '{result,status}', 'complete',
  'a run with a changed invitee is complete');

-- seats that cost more than a request
select tests.pass('1 hour');
update calendly.settings set worker_requests = 10;
select tests.begin('ana');
update answer set step
  = tests.bring('ana',
    tests.page(array(select tests.event('G' || n, tests.seats(250, 250, 250))
      from generate_series(1, 9) n)
      || array(select m.raw from public.calendly_meetings m))
    || '{"requests": 0}');
select is(cardinality(tests.event_names(step)), 3,
  'a step fetches no more seats than its requests allow')
  from answer;
update calendly.active_runs set worker_requests = 500;
select is(cardinality(tests.event_names(tests.bring('ana', '{"requests": 0, "invitees": []}'))), 4,
  'a step fetches no more than a thousand seats');
update calendly.active_runs set worker_requests = 1;
select is(cardinality(tests.event_names(tests.bring('ana', '{"requests": 0, "invitees": []}'))), 1,
  'a step fetches the invitees of one event at least');
select tests.bring('ana', '{"requests": 3, "invitees": []}');
select is((tests.run_of('ana')).status, 'paused',
  'a run pauses when a large event has used up its requests');
select is((select count(*) from public.calendly_meetings), 78::bigint,
  'no meeting is lost when a run pauses');

select * from finish();
rollback;
