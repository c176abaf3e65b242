-- Where Calendly does not answer as it should: what is stored stays, what was applied is kept, and
-- one failing event does not stop the others.
begin;
select plan(35);
select calendly.set_clock('2026-06-01T12:00:00Z');
update calendly.settings set schedule_jitter = 0;
select tests.add_person('ana');
select tests.add_person('ben');
create function tests.stops(result jsonb) returns interval language sql as $$
  select (tests.bring('ana', result) #>> '{result,resume_at}')::timestamptz - calendly.now()
$$;
create function tests.page_of_all() returns jsonb
  language sql as $$ select tests.page(array(select m.raw from public.calendly_meetings m)) $$;
create temporary table outage as select jsonb_build_object('interruption', jsonb_build_object(
  'code', 'calendly_unavailable', 'message', 'Calendly answers with HTTP 500.')) as result;

-- the back-off
select tests.begin('ana');
select is(tests.stops(result), '30 seconds', 'an interruption pauses the run for half a minute')
  from outage;
select is(row(r.status, r.error ->> 'code', r.error ->> 'message')::text,
  '(paused,calendly_unavailable,"Calendly answers with HTTP 500.")',
  'a paused run keeps the code and message of its interruption')
  from tests.run_of('ana') r;
select is((select u.calendly_initial_sync_complete from public.calendly_users u where u.id
  = tests.id_of('ana')),
  false, 'a paused FULL sync leaves the flag cleared');
select tests.begin('ana');
select is(tests.stops(result), '1 minute',
  'the second interruption in a row pauses the run for a minute')
  from outage;
select tests.begin('ana');
select is(tests.stops(result), '2 minutes',
  'the third interruption in a row pauses the run for two minutes')
  from outage;
select tests.begin('ana') from generate_series(1, 1);
select tests.bring('ana', tests.page('{}', 'page 2'));
select is(tests.stops(result), '30 seconds',
  'a step that succeeds starts the count of interruptions again')
  from outage;
update calendly.active_runs set interruptions = 30;
select tests.begin('ana');
select is(tests.stops(result), '1 hour', 'an interruption pauses the run for an hour at most')
  from outage;
select is((tests.run_of('ana')).requests, 6, 'requests that failed are counted');

-- in the middle of invitees
select tests.begin('ana');
select tests.bring('ana',
  tests.page(array[tests.event('E1'), tests.event('E2'), tests.event('E3')]));
select is(tests.stops(result
  || jsonb_build_object('requests', 2, 'invitees',
    jsonb_build_array(tests.invitees_of('E1', tests.invitee('E1', 'ines'))))),
  '30 seconds', 'an interruption among the invitees pauses the run')
  from outage;
select is((select count(*) from public.calendly_invitees), 1::bigint,
  'invitees that were fetched before an interruption are stored');
select is(tests.event_names(tests.begin('ana') -> 'next'), array['E2', 'E3'],
  'invitees that were fetched before an interruption are not fetched again');
select tests.bring('ana',
  jsonb_build_object('invitees',
    jsonb_build_array(tests.invitees_of('E2', tests.invitee('E2', 'ines')),
      tests.invitees_of('E3', tests.invitee('E3', 'ines')))));
select tests.finish('ana');

-- an event whose invitees cannot be fetched
select tests.pass('1 hour');
select tests.begin('ana');
select tests.bring('ana',
  tests.page(array[tests.event('E1', '{"name": "new", "updated_at": "2026-05-21T00:00:00Z"}'),
    tests.event('E2', '{"name": "new", "updated_at": "2026-05-21T00:00:00Z"}'),
    tests.event('E3')]));
select tests.bring('ana', jsonb_build_object('invitees', jsonb_build_array(
  jsonb_build_object('event_uri', tests.event_uri('E1'), 'problem',
    'You are not allowed to view this event'),
    tests.invitees_of('E2', tests.invitee('E2', 'ines')))));
select is((select count(*) from public.calendly_invitees v join tests.meeting('E1') m on m.id
  = v.meeting_id),
  1::bigint, 'invitees that cannot be fetched keep what is stored');
select is((tests.run_of('ana')).rejections,
  jsonb_build_array(jsonb_build_object('uri', tests.event_uri('E1'), 'problem',
    'You are not allowed to view this event')),
  'the run records which invitees could not be fetched');
select is(tests.finish('ana') #>> '{result,status}', 'complete',
  'a run whose invitees could not be fetched in part is complete');
select is((select s.invitees_due_at from calendly.meeting_sync s where s.event_uri
  = tests.event_uri('E1')),
  calendly.now() + interval '15 minutes',
  'invitees that could not be fetched are due one interval later');
select tests.pass('15 minutes');
select tests.begin('ana');
select is(tests.event_names(tests.bring('ana', tests.page_of_all())), array['E1'],
  'invitees that could not be fetched are fetched by a later run though the event is unchanged');
select tests.fail('ana', '{"code": "internal"}');

-- invitees that cannot be used
select tests.apply_event(tests.event('E4', tests.seats(3, 3, 5)));
select tests.apply_invitee(tests.invitee('E4', 'ines'));
select tests.pass('1 hour');
select tests.begin('ana');
select tests.bring('ana', tests.page_of_all());
select lives_ok($$select tests.bring('ana',
  jsonb_build_object('invitees', jsonb_build_array(tests.invitees_of('E4',
  tests.invitee('E4', 'ines', '{"status": "?", "updated_at": "2026-05-30T00:00:00Z"}'),
    tests.invitee('E4', 'jo'), tests.invitee('E1', 'kim'), 'null',
    tests.invitee('E4', 'jo',
      '{"name": "Jo the newer", "updated_at": "2026-05-21T00:00:00Z"}')))))$$,
    'an invitee that cannot be used does not fail the others');
select results_eq($$select v.name from public.calendly_invitees v join tests.meeting('E4') m on m.id
  = v.meeting_id order by v.uri$$, $$values ('Ines'), ('Jo the newer')$$,
  'usable invitees are applied and one that cannot be used keeps its stored row');
select is((tests.run_of('ana')).rejected, 3,
  'invitees that cannot be used are counted as rejected');
select is((select count(*) from public.calendly_invitees where uri
  = tests.invitee_uri('E1', 'kim')),
  0::bigint, 'an invitee of another event is not stored');

-- erased at Calendly, and arrived meanwhile
-- (the second reading in a row that lists fewer than the event counts: the first is not believed)
update calendly.meeting_sync set invitees_due_at = calendly.now(), count_mismatch = true
  where event_uri = tests.event_uri('E4');
select tests.pass('1 second');
select tests.apply_invitee(tests.invitee('E4', 'lea'), 'webhook');
select tests.pass('3 seconds');
select tests.bring('ana',
  jsonb_build_object('invitees',
    jsonb_build_array(tests.invitees_of('E4',
      tests.invitee('E4', 'jo',
        '{"name": "Jo the newer", "updated_at": "2026-05-21T00:00:00Z"}')))));
select results_eq($$select substring(v.uri from '[^/]+$') from public.calendly_invitees v
  join tests.meeting('E4') m on m.id = v.meeting_id order by 1$$, $$values ('jo'), ('lea')$$,
  'an invitee missing from a complete reading is deleted unless a webhook has just brought it');
select is((tests.run_of('ana')).updated, 1,
  'a meeting whose invitee was deleted counts as updated');
select tests.fail('ana', '{"code": "internal"}');

-- invitees that always fail
select tests.pass('1 hour');
update calendly.meeting_sync set invitees_due_at = null, read_failures = 0;
select tests.begin('ana');
select tests.apply_event(tests.event('E5'));
select tests.bring('ana',
  tests.page(array[tests.event('failing',
    '{"start_time": "2026-06-02T09:00:00Z", "end_time": "2026-06-02T09:30:00Z"}')]
    || array(select m.raw from public.calendly_meetings m)));
create temporary table failing as select outage.result
  || jsonb_build_object('interruption', outage.result -> 'interruption'
    || jsonb_build_object('event_uri', tests.event_uri('failing'))) as result
  from outage;
select tests.bring('ana', result
  || jsonb_build_object('invitees',
    jsonb_build_array(tests.invitees_of('E5', tests.invitee('E5', 'ines')))))
  from failing;
select is(tests.event_names(tests.begin('ana') -> 'next'), array['failing'],
  'an event whose invitees fail is tried again after a pause');
select tests.bring('ana', result) from failing;
select tests.begin('ana');
select tests.bring('ana', result) from failing;
select is(tests.begin('ana') #>> '{next,do}', 'finish',
  'after three failures in a row the run goes on without the event''s invitees');
select is((tests.run_of('ana')).rejections #>> '{0,uri}', tests.event_uri('failing'),
  'the run records the event whose invitees failed three times');
select is(tests.finish('ana') #>> '{result,status}', 'complete',
  'a run without the invitees of a failing event is complete');
select ok((select s.invitees_due_at from calendly.meeting_sync s where s.event_uri
  = tests.event_uri('failing'))
  > calendly.now(), 'the invitees of a failing event are due again later');
select is((tests.meeting('failing')).is_deleted, false,
  'a meeting whose invitees fail is not deleted');

-- a missing event that always fails when it is fetched
select tests.pass('1 hour');
update calendly.meeting_sync set invitees_due_at = null;
select tests.begin('ana');
select is(tests.event_names(tests.bring('ana', tests.page(array[tests.event('E5')])))
  @> array['failing', 'E1'], true,
  'events that are missing from the listing are fetched one by one');
create temporary table others as select jsonb_agg(tests.read_of(event, 200,
  tests.event(event))) as events
  from unnest(tests.event_names(tests.bring('ana', '{"events": []}'))) event where event
    <> 'failing';
select tests.bring('ana', failing.result || jsonb_build_object('events', others.events))
  from failing, others;
select is(tests.event_names(tests.begin('ana') -> 'next'), array['failing'],
  'events that were answered before an interruption are not fetched again');
select tests.bring('ana', result) from failing;
select tests.begin('ana');
select tests.bring('ana', result) from failing;
create temporary table goes_on as select tests.begin('ana') -> 'next' as next;
select is('fetch_events' = next ->> 'do', false,
  'after three failures in a row the run goes on without the missing event')
  from goes_on;
select is((tests.run_of('ana')).rejections #>> '{0,uri}', tests.event_uri('failing'),
  'the run records the missing event that failed three times');
select is((tests.meeting('failing')).is_deleted, false,
  'a missing event that failed is not deleted');
update calendly.meeting_sync set invitees_due_at = null;
select tests.bring('ana', '{"invitees": []}');
select is(tests.finish('ana') #>> '{result,status}', 'complete',
  'a run without a failing missing event is complete');
select tests.pass('1 hour');
select tests.begin('ana');
select is(tests.event_names(tests.bring('ana', tests.page(array[tests.event('E5')])))
  @> array['failing'], true, 'the next run fetches the failing missing event again');

select * from finish();
rollback;
