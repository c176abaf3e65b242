-- Where Calendly does not answer as it should: what is known stays, what was done is kept, and one stubborn event
-- does not hold up the others.
begin;
select plan(35);
select calendly.set_clock('2026-06-01T12:00:00Z');
update calendly.settings set schedule_jitter = 0;
select tests.add_person('ana');
select tests.add_person('ben');
create function tests.stops(result jsonb) returns interval language sql as $$
  select (tests.bring('ana', result) #>> '{result,resume_at}')::timestamptz - calendly.now()
$$;
create function tests.page_of_all() returns jsonb language sql as $$ select tests.page(array(select m.raw from public.meetings m)) $$;
create temporary table outage as select '{"interruption": {"code": "calendly_unavailable", "message": "Calendly answers with HTTP 500."}}'::jsonb as result;

-- the back-off
select tests.begin('ana');
select is(tests.stops(result), '30 seconds', 'a run that Calendly interrupts pauses for half a minute') from outage;
select is(row(r.status, r.error ->> 'code', r.error ->> 'message')::text, '(paused,calendly_unavailable,"Calendly answers with HTTP 500.")', 'and says why') from tests.run_of('ana') r;
select is((select u.calendly_initial_sync_complete from public.users u where u.id = tests.id_of('ana')), false, 'a paused FULL sync has not been completed');
select tests.begin('ana');
select is(tests.stops(result), '1 minute', 'the next time for a minute') from outage;
select tests.begin('ana');
select is(tests.stops(result), '2 minutes', 'each time twice as long') from outage;
select tests.begin('ana') from generate_series(1, 1);
select tests.bring('ana', tests.page('{}', 'page 2'));
select is(tests.stops(result), '30 seconds', 'a step that succeeds begins anew') from outage;
update calendly.open_runs set interruptions = 30;
select tests.begin('ana');
select is(tests.stops(result), '1 hour', 'but never longer than an hour') from outage;
select is((tests.run_of('ana')).requests, 6, 'requests that failed are counted');

-- in the middle of invitees
select tests.begin('ana');
select tests.bring('ana', tests.page(array[tests.event('E1'), tests.event('E2'), tests.event('E3')]));
select is(tests.stops(result || jsonb_build_object('requests', 2, 'invitees', jsonb_build_array(tests.invitees_of('E1', tests.invitee('E1', 'ines'))))), '30 seconds', 'what was read before the interruption is kept') from outage;
select is((select count(*) from public.meeting_invitees), 1::bigint, 'in its rows');
select is(tests.event_names(tests.begin('ana') -> 'next'), array['E2', 'E3'], 'and not asked for again');
select tests.bring('ana', jsonb_build_object('invitees', jsonb_build_array(tests.invitees_of('E2', tests.invitee('E2', 'ines')), tests.invitees_of('E3', tests.invitee('E3', 'ines')))));
select tests.finish('ana');

-- an event whose invitees cannot be had
select tests.pass('1 hour');
select tests.begin('ana');
select tests.bring('ana', tests.page(array[tests.event('E1', '{"name": "new", "updated_at": "2026-05-21T00:00:00Z"}'), tests.event('E2', '{"name": "new", "updated_at": "2026-05-21T00:00:00Z"}'), tests.event('E3')]));
select tests.bring('ana', jsonb_build_object('invitees', jsonb_build_array(
  jsonb_build_object('event_uri', tests.event_uri('E1'), 'problem', 'You are not allowed to view this event'), tests.invitees_of('E2', tests.invitee('E2', 'ines')))));
select is((select count(*) from public.meeting_invitees v join tests.meeting('E1') m on m.id = v.meeting_id), 1::bigint, 'a failed detail request never erases what is known');
select is((tests.run_of('ana')).rejections, jsonb_build_array(jsonb_build_object('uri', tests.event_uri('E1'), 'problem', 'You are not allowed to view this event')), 'the run says what it could not read');
select is(tests.finish('ana') #>> '{result,status}', 'complete', 'and completes without it');
select is((select s.invitees_due_at from calendly.meeting_sync s where s.event_uri = tests.event_uri('E1')), calendly.now() + interval '15 minutes', 'to try again one interval later');
select tests.pass('15 minutes');
select tests.begin('ana');
select is(tests.event_names(tests.bring('ana', tests.page_of_all())), array['E1'], 'unchanged as it is');
select tests.fail('ana', '{}');

-- invitees that cannot be used
select tests.apply_event(tests.event('E4', tests.seats(3, 3, 5)));
select tests.apply_invitee(tests.invitee('E4', 'ines'));
select tests.pass('1 hour');
select tests.begin('ana');
select tests.bring('ana', tests.page_of_all());
select lives_ok($$select tests.bring('ana', jsonb_build_object('invitees', jsonb_build_array(tests.invitees_of('E4',
  tests.invitee('E4', 'ines', '{"status": "?", "updated_at": "2026-05-30T00:00:00Z"}'), tests.invitee('E4', 'jo'), tests.invitee('E1', 'kim'), 'null', tests.invitee('E4', 'jo', '{"name": "Jo the newer", "updated_at": "2026-05-21T00:00:00Z"}')))))$$, 'a bad invitee does not fail the others');
select results_eq($$select v.name from public.meeting_invitees v join tests.meeting('E4') m on m.id = v.meeting_id order by v.uri$$, $$values ('Ines'), ('Jo the newer')$$, 'the good ones are applied, and a bad copy of a known one erases nobody');
select is((tests.run_of('ana')).rejected, 3, 'the bad ones are counted');
select is((select count(*) from public.meeting_invitees where uri = tests.invitee_uri('E1', 'kim')), 0::bigint, 'an invitee of another event is not taken in');

-- erased at Calendly, and arrived meanwhile
-- (the second reading in a row that lists fewer than the event counts: the first is not believed)
update calendly.meeting_sync set invitees_due_at = calendly.now(), doubted = true where event_uri = tests.event_uri('E4');
select tests.pass('1 second');
select tests.apply_invitee(tests.invitee('E4', 'lea'), 'webhook');
select tests.pass('3 seconds');
select tests.bring('ana', jsonb_build_object('invitees', jsonb_build_array(tests.invitees_of('E4', tests.invitee('E4', 'jo', '{"name": "Jo the newer", "updated_at": "2026-05-21T00:00:00Z"}')))));
select results_eq($$select substring(v.uri from '[^/]+$') from public.meeting_invitees v join tests.meeting('E4') m on m.id = v.meeting_id order by 1$$, $$values ('jo'), ('lea')$$, 'who is missing from a complete reading is erased, unless a webhook brought them while it was under way');
select is((tests.run_of('ana')).updated, 1, 'the meeting counts as updated');
select tests.fail('ana', '{}');

-- invitees that always fail
select tests.pass('1 hour');
update calendly.meeting_sync set invitees_due_at = null, read_failures = 0;
select tests.begin('ana');
select tests.apply_event(tests.event('E5'));
select tests.bring('ana', tests.page(array[tests.event('stubborn', '{"start_time": "2026-06-02T09:00:00Z", "end_time": "2026-06-02T09:30:00Z"}')] || array(select m.raw from public.meetings m)));
create temporary table stubborn as select outage.result || jsonb_build_object('interruption', outage.result -> 'interruption' || jsonb_build_object('event_uri', tests.event_uri('stubborn'))) as result from outage;
select tests.bring('ana', result || jsonb_build_object('invitees', jsonb_build_array(tests.invitees_of('E5', tests.invitee('E5', 'ines'))))) from stubborn;
select is(tests.event_names(tests.begin('ana') -> 'next'), array['stubborn'], 'an event whose reading fails is tried again');
select tests.bring('ana', result) from stubborn;
select tests.begin('ana');
select tests.bring('ana', result) from stubborn;
select is(tests.begin('ana') #>> '{next,do}', 'finish', 'three times');
select is((tests.run_of('ana')).rejections #>> '{0,uri}', tests.event_uri('stubborn'), 'the run says that it could not be read');
select is(tests.finish('ana') #>> '{result,status}', 'complete', 'and completes without it');
select ok((select s.invitees_due_at from calendly.meeting_sync s where s.event_uri = tests.event_uri('stubborn')) > calendly.now(), 'it is due again later');
select is((tests.meeting('stubborn')).is_deleted, false, 'and stays');

-- an event that always fails when it is asked for by itself
select tests.pass('1 hour');
update calendly.meeting_sync set invitees_due_at = null;
select tests.begin('ana');
select is(tests.event_names(tests.bring('ana', tests.page(array[tests.event('E5')]))) @> array['stubborn', 'E1'], true, 'events that are missing from the listing are asked for');
create temporary table others as select jsonb_agg(tests.read_of(event, 200, tests.event(event))) as events
  from unnest(tests.event_names(tests.bring('ana', '{"events": []}'))) event where event <> 'stubborn';
select tests.bring('ana', stubborn.result || jsonb_build_object('events', others.events)) from stubborn, others;
select is(tests.event_names(tests.begin('ana') -> 'next'), array['stubborn'], 'those that were answered are done');
select tests.bring('ana', result) from stubborn;
select tests.begin('ana');
select tests.bring('ana', result) from stubborn;
create temporary table goes_on as select tests.begin('ana') -> 'next' as next;
select is('read_events' = next ->> 'do', false, 'after three failures the run goes on without it') from goes_on;
select is((tests.run_of('ana')).rejections #>> '{0,uri}', tests.event_uri('stubborn'), 'and says so');
select is((tests.meeting('stubborn')).is_deleted, false, 'a failure proves nothing: it stays');
update calendly.meeting_sync set invitees_due_at = null;
select tests.bring('ana', '{"invitees": []}');
select is(tests.finish('ana') #>> '{result,status}', 'complete', 'the run completes');
select tests.pass('1 hour');
select tests.begin('ana');
select is(tests.event_names(tests.bring('ana', tests.page(array[tests.event('E5')]))) @> array['stubborn'], true, 'and the next one asks again');

select * from finish();
rollback;
