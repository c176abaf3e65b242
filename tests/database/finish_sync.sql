-- When a run completes: the flag, the counts, and when the next sync is due.
begin;
select plan(33);
select calendly.set_clock('2026-06-01T12:00:00Z');
update calendly.settings set schedule_jitter = 0;
select tests.add_person('ana');
create function tests.ana() returns public.calendly_users language sql as $$ select u
  from public.calendly_users u where u.id = tests.id_of('ana') $$;

-- the first FULL one
select tests.begin('ana', 'connect');
select tests.pass('10 seconds');
select tests.bring('ana',
  tests.page(array[tests.event('E1'), tests.event('E2', tests.canceled() || tests.seats(0, 0))])
  || '{"requests": 2}');
select is((tests.ana()).calendly_initial_sync_complete, false,
  'the flag is not set while the first FULL sync runs');
select tests.bring('ana',
  jsonb_build_object('invitees',
    jsonb_build_array(tests.invitees_of('E1', tests.invitee('E1', 'ines')))));
create temporary table held as select o.run_id, o.lease from tests.state_of('ana') o;
create temporary table answer as select tests.finish('ana') as last;
select is(last ->> 'do', 'stop', 'a finished run has no next step') from answer;
select is(last ->> 'initial_sync_complete', 'true',
  'the first FULL sync says that it was the first')
  from answer;
select is((tests.ana()).calendly_initial_sync_complete, true, 'the first FULL sync sets the flag');
select is((tests.ana()).last_calendly_sync, calendly.now(),
  'a finished sync sets the time of the person''s last sync');
select is((tests.connection_of('ana')).last_full_sync_at, calendly.now(),
  'a FULL sync sets the time of the connection''s last FULL sync');
select is((tests.connection_of('ana')).current_as_of, calendly.now() - interval '10 seconds',
  'a connection is current as of the begin of its last complete run');
select is((tests.connection_of('ana')).next_sync_at, calendly.now() + interval '15 minutes',
  'after a sync the connection is due one interval later');
select is((last -> 'result') - 'run_id',
  jsonb_build_object('user_id', tests.id_of('ana'), 'sync_type', 'FULL', 'status', 'complete',
  'range',
    jsonb_build_object('min_start_time', '2024-06-01T12:00:00.000000Z',
      'max_start_time', '2027-06-01T12:00:00.000000Z'),
    'fetched', '{"active": 1, "canceled": 1}'::jsonb,
  'created', 2, 'updated', 0, 'unchanged', 0, 'deleted', 0, 'restored', 0, 'rejected', 0,
    'requests', 3),
    'the result is what POST /calendly-sync answers')
    from answer;
select is(row(r.status, r.finished_at, r.error, r.resume_at)::text,
  row('complete', calendly.now(), null::jsonb, null::timestamptz)::text,
  'a finished run is complete and has no error')
  from tests.run_of('ana') r;
select is(r.progress,
  '{"phase": "finish", "events": 2, "invitees_read": 1, "invitees_to_read": 1}'::jsonb,
  'the progress of a finished run stays visible')
  from tests.run_of('ana') r;

select is(public.calendly_finish_sync(run_id, lease), last,
  'finishing twice returns the same answer')
  from held, answer;

-- later ones
update public.calendly_connections set last_error = '{"code": "x"}', failures = 2, refusals = 2;
select tests.pass('1 hour');
select is(tests.sync('ana',
  array[tests.event('E1'), tests.event('E2', tests.canceled() || tests.seats(0, 0))])
  ->> 'initial_sync_complete', 'false', 'an INCREMENTAL sync does not say that it was the first');
select is(row(c.last_error, c.failures, c.refusals)::text, '(,0,0)',
  'a complete run clears the connection''s error and counters')
  from tests.connection_of('ana') c;
select is((tests.connection_of('ana')).last_full_sync_at, '2026-06-01T12:00:10Z'::timestamptz,
  'an INCREMENTAL sync leaves the time of the last FULL sync');
select is(tests.sync('ana',
  array[tests.event('E1'), tests.event('E2', tests.canceled() || tests.seats(0, 0))],
  forced => true)
  ->> 'initial_sync_complete', 'false', 'a forced FULL sync does not say that it was the first');
select is((tests.connection_of('ana')).last_full_sync_at, calendly.now(),
  'a forced FULL sync sets the time of the last FULL sync');

-- the flag, cleared
update public.calendly_users set calendly_initial_sync_complete = false where id
  = tests.id_of('ana');
select is((tests.connection_of('ana')).next_sync_at, calendly.now(),
  'clearing the flag makes the connection due at once');
select tests.begin('ana');
select tests.bring('ana',
  tests.page(array[tests.event('E1'), tests.event('E2', tests.canceled())]));
select is((tests.run_of('ana')).sync_type, 'FULL', 'the sync after the flag was cleared is FULL');
select tests.fail('ana', '{"code": "calendly_refused"}');
select is((tests.ana()).calendly_initial_sync_complete, false,
  'a FULL sync that fails leaves the flag cleared');
select is(tests.begin('ana') ->> 'sync_type', 'FULL',
  'the sync after a failed FULL one is FULL again');
select tests.bring('ana', '{"interruption": {"code": "calendly_unavailable", "message": "x"}}');
select is((tests.ana()).calendly_initial_sync_complete, false,
  'a FULL sync that is paused leaves the flag cleared');
select is(tests.sync('ana', array[tests.event('E1')]) ->> 'initial_sync_complete', 'true',
  'a complete FULL sync after the flag was cleared counts as the first');
select is((select count(*) from public.calendly_sync_runs r where r.initial), 2::bigint,
  'each run that completed an initial sync is marked so');

-- cleared while an INCREMENTAL sync runs, which has no invitees to read
update calendly.meeting_sync set invitees_due_at = null;
select tests.pass('1 hour');
select tests.begin('ana');
update public.calendly_users set calendly_initial_sync_complete = false where id
  = tests.id_of('ana');
select tests.bring('ana',
  tests.page(array[tests.event('E1'), tests.event('E2', tests.canceled() || tests.seats(0, 0))]));
select is(tests.finish('ana') #>> '{result,sync_type}', 'INCREMENTAL',
  'an INCREMENTAL sync goes on when the flag is cleared meanwhile');
select is((tests.ana()).calendly_initial_sync_complete, false,
  'an INCREMENTAL sync does not set a flag that was cleared meanwhile');
select is((tests.connection_of('ana')).next_sync_at, calendly.now(),
  'a flag that was cleared during an INCREMENTAL sync makes a FULL one due at once');
update public.calendly_users set calendly_initial_sync_complete = true where id
  = tests.id_of('ana');

-- nothing to clear
select tests.pass('1 hour');
select tests.sync('ana',
  array[tests.event('E1'), tests.event('E2', tests.canceled() || tests.seats(0, 0))]);
create temporary table due as select (tests.connection_of('ana')).next_sync_at as at;
select tests.pass('1 minute');
update public.calendly_users set calendly_initial_sync_complete = true, calendly_webhook_enabled
  = false where id = tests.id_of('ana');
select is((tests.connection_of('ana')).next_sync_at, at,
  'setting the flag to the value that it has changes nothing')
  from due;
select public.calendly_disconnect(jsonb_build_object('auth_user_id', tests.account_of('ana')));
update public.calendly_users set calendly_initial_sync_complete = false where id
  = tests.id_of('ana');
select is((tests.connection_of('ana')).next_sync_at, null,
  'clearing the flag of a person who is not connected makes nothing due');
select tests.connect('ana');
update public.calendly_users set calendly_initial_sync_complete = true where id
  = tests.id_of('ana');

-- an empty account, and one that lists nothing any more
select is(tests.sync('ana', '{}') #>> '{result,status}', 'complete',
  'a person without events is synced');
select is((select count(*) from public.calendly_meetings where not is_deleted and calendly_event_uri
  = tests.event_uri('E1')),
  0::bigint, 'an event that is gone is deleted by the sync');
select is((select count(*) from public.calendly_meetings), 2::bigint,
  'a sync removes no row of a meeting');

-- settings
update calendly.settings set sync_interval = '5 minutes';
select tests.sync('ana', '{}');
select is((tests.connection_of('ana')).next_sync_at, calendly.now() + interval '5 minutes',
  'the interval between syncs is a setting');

select * from finish();
rollback;
