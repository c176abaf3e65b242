-- Whose invitees are read first, how many at a time, and what a complete reading changes.
begin;
select plan(22);
select calendly.set_clock('2026-06-01T12:00:00Z');
select tests.add_person('ana');
create function tests.at(event text, start_time timestamptz, changes jsonb default '{}') returns jsonb language sql as $$
  select tests.event(event, jsonb_build_object('start_time', calendly.to_calendly(start_time), 'end_time', calendly.to_calendly(start_time + interval '30 minutes')) || changes)
$$;
create function tests.read(step jsonb) returns jsonb language sql as $$
  select tests.bring('ana', jsonb_build_object('requests', 0, 'invitees', (select jsonb_agg(tests.invitees_of(event, tests.invitee(event, 'ines'))) from unnest(tests.event_names(step)) event)))
$$;

-- the order
select tests.begin('ana');
create temporary table answer as select tests.bring('ana', tests.page(array[
  tests.at('last-year', '2025-06-01T12:00:00Z'), tests.at('yesterday', '2026-05-31T12:00:00Z'), tests.at('just-began', '2026-06-01T11:59:00Z'),
  tests.at('soon', '2026-06-01T12:10:00Z'), tests.at('tomorrow', '2026-06-02T12:00:00Z'), tests.at('nobody', '2026-06-02T12:00:00Z', tests.seats(0, 0)),
  tests.at('canceled', '2026-06-03T12:00:00Z', tests.canceled()), tests.at('next-year', '2027-05-30T12:00:00Z')])) as step;
select is(tests.event_names(step), '{soon,tomorrow,canceled,next-year,just-began,yesterday,last-year}', 'upcoming meetings come first, the nearest first; then the past, the latest first; none where no seat was taken') from answer;
select is(tests.read(step) ->> 'do', 'finish', 'and that is all') from answer;
select is((select count(*) from public.meeting_invitees), 7::bigint, 'each has its invitees');
select is(row(r.created, r.updated)::text, '(8,0)', 'a new meeting stays new when its invitees come') from tests.run_of('ana') r;
select tests.finish('ana');
-- looks for no-shows are another story
update calendly.meeting_sync set invitees_due_at = null;

-- batches
select tests.pass('1 hour');
select tests.begin('ana', forced => true);
update answer set step = tests.bring('ana', tests.page(array(select tests.at('B' || n, '2026-06-02T12:00:00Z'::timestamptz + n * interval '1 hour') from generate_series(1, 60) n)));
select is((tests.bring('ana', '{"requests": 0, "events": []}') ->> 'do'), 'read_events', 'what is missing is asked for before');
update calendly.meeting_sync set asked_at = null;
update calendly.open_runs set absence_checks = 25;
update answer set step = tests.bring('ana', '{"requests": 0, "events": []}');
select is(cardinality(tests.event_names(step)), 25, 'invitees are read 25 events at a time') from answer;
update answer set step = tests.read(step);
select is(cardinality(tests.event_names(step)), 25, 'in as many batches as it takes') from answer;
update answer set step = tests.read(step);
select is(cardinality(tests.event_names(step)), 10, 'to the last one') from answer;
select is(tests.read(step) ->> 'do', 'finish', 'and no event twice') from answer;
select tests.finish('ana');

-- one large event
select tests.pass('1 hour');
select tests.begin('ana');
select tests.bring('ana', tests.page(array[tests.event('large', tests.seats(300, 299, 400))] || array(select m.raw from public.meetings m)));
select is(tests.bring('ana', jsonb_build_object('requests', 3, 'invitees', jsonb_build_array(tests.invitees_of('large', variadic array(
  select tests.invitee('large', 'guest' || n, case when n = 300 then '{"status": "canceled"}' else '{}' end::jsonb) from generate_series(1, 300) n))))) ->> 'do', 'finish', 'three hundred invitees are read at once');
select is((select count(*) from public.meeting_invitees v join tests.meeting('large') m on m.id = v.meeting_id), 300::bigint, 'and all of them kept');
select tests.finish('ana');
select tests.pass('1 hour');
create temporary table lie as select tests.row_versions() as before;
create temporary table again as select tests.sync('ana', array(select m.raw from public.meetings m)) -> 'result' as result;
select is(result ->> 'requests', '1', 'a repeat sync reads none of them') from again;
select is(result ->> 'updated', '0', 'everything is unchanged') from again;
select is(tests.row_versions(), before, 'and no row version is written') from lie;

-- an invitee that changed
select tests.pass('1 hour');
select tests.begin('ana');
select tests.bring('ana', tests.page(array(select case m.calendly_event_uri when tests.event_uri('large') then m.raw || '{"updated_at": "2026-05-30T00:00:00Z"}' else m.raw end from public.meetings m)));
select tests.bring('ana', jsonb_build_object('requests', 3, 'invitees', jsonb_build_array(tests.invitees_of('large', variadic array(
  select tests.invitee('large', 'guest' || n, case when n = 300 then '{"status": "canceled"}' when n = 7 then '{"name": "Seven", "updated_at": "2026-05-30T00:00:00Z"}' else '{}' end::jsonb) from generate_series(1, 300) n)))));
select is(row(r.updated, r.created)::text, '(1,0)', 'makes the meeting an updated one, once') from tests.run_of('ana') r;
select is((select count(*) from public.meeting_invitees v where v.updated_at = calendly.now()), 1::bigint, 'and is the only row that is written');
select is(tests.finish('ana') #>> '{result,status}', 'complete', 'and that is a sync');

-- seats that cost more than a request
select tests.pass('1 hour');
update calendly.settings set instance_requests = 10;
select tests.begin('ana');
update answer set step = tests.bring('ana', tests.page(array(select tests.event('G' || n, tests.seats(250, 250, 250)) from generate_series(1, 9) n) || array(select m.raw from public.meetings m)) || '{"requests": 0}');
select is(cardinality(tests.event_names(step)), 3, 'a batch costs no more requests than may be spent: three for each event of 250 seats') from answer;
update calendly.open_runs set instance_requests = 500;
select is(cardinality(tests.event_names(tests.bring('ana', '{"requests": 0, "invitees": []}'))), 4, 'and brings no more than a thousand seats');
update calendly.open_runs set instance_requests = 1;
select is(cardinality(tests.event_names(tests.bring('ana', '{"requests": 0, "invitees": []}'))), 1, 'but always one event, or nothing would ever move');
select tests.bring('ana', '{"requests": 3, "invitees": []}');
select is((tests.run_of('ana')).status, 'paused', 'even beyond what is left');
select is((select count(*) from public.meetings), 78::bigint, 'and no meeting is lost on the way');

select * from finish();
rollback;
