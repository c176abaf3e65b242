-- A run that was paused goes on where it stopped, and one whose worker crashed is taken over:
-- nothing is done twice.
begin;
select plan(38);
select calendly.set_clock('2026-06-01T12:00:00Z');
update calendly.settings set schedule_jitter = 0;
select tests.add_person('ana');
select tests.sync('ana', '{}');

-- taken over
select tests.pass('1 hour');
create temporary table first_begun as select tests.begin('ana') as answer;
select tests.bring('ana', tests.page(array[tests.event('E1'), tests.event('E2')], 'page 2'));
create temporary table stalled as select * from tests.state_of('ana');
select tests.pass('2 minutes');
create temporary table taken_over as select tests.begin('ana', trigger => 'scheduled') as answer;
select is(taken_over.answer ->> 'status', 'started', 'a run whose lease has ended is taken over')
  from taken_over;
select is(taken_over.answer ->> 'run_id', first_begun.answer ->> 'run_id',
  'a run that is taken over keeps its id')
  from taken_over, first_begun;
select isnt(taken_over.answer ->> 'lease', first_begun.answer ->> 'lease',
  'a run that is taken over has a new lease')
  from taken_over, first_begun;
select is(taken_over.answer #>> '{next,query,page_token}', 'page 2',
  'a run that is taken over goes on at its page')
  from taken_over;
select is(taken_over.answer #>> '{next,query,min_start_time}', first_begun.answer
  #>> '{next,query,min_start_time}', 'a run that is taken over keeps its range')
  from taken_over, first_begun;
select is((tests.run_of('ana')).trigger, 'scheduled',
  'a run records the trigger of the worker that took it over');
select is(tests.code_of(format('select public.calendly_apply_step(%L, %L, %s, %L)', run_id, lease,
  step, '{"requests": 1}' || tests.page('{}'))),
  'lease_lost', 'a worker whose run was taken over cannot apply a step')
  from stalled;
select is(tests.code_of(format('select public.calendly_finish_sync(%L, %L)', run_id, lease)),
  'lease_lost', 'a worker whose run was taken over cannot finish it')
  from stalled;
select is(tests.code_of(format('select public.calendly_fail_sync(%L, %L, %L)', run_id, lease,
  '{}')),
  'lease_lost', 'a worker whose run was taken over cannot fail it')
  from stalled;
select is((select count(*) from calendly.run_seen), 2::bigint,
  'a take-over applies no page twice');
select is((tests.run_of('ana')).requests, 1, 'a take-over counts no request twice');

-- resumed
select tests.bring('ana', tests.page(array[tests.event('E3')], 'page 3'));
select is(tests.bring('ana',
  '{"interruption": {"code": "calendly_unavailable", "message": "HTTP 500"}}')
  ->> 'do', 'stop', 'an interruption pauses the run');
select is(row(r.status, r.resume_at)::text,
  row('paused', calendly.now() + interval '30 seconds')::text,
  'a paused run has a time at which it goes on')
  from tests.run_of('ana') r;
create temporary table resumed as select tests.begin('ana') as answer;
select is(answer ->> 'status', 'started', 'a click resumes a paused run at once') from resumed;
select is(resumed.answer ->> 'run_id', first_begun.answer ->> 'run_id',
  'a resumed run keeps its id')
  from resumed, first_begun;
select is(answer #>> '{next,query,page_token}', 'page 3', 'a resumed run goes on at its page')
  from resumed;
select is(row(r.status, r.resume_at, r.error)::text, '(running,,)',
  'a resumed run is running and has no error')
  from tests.run_of('ana') r;
select is(tests.event_names(tests.bring('ana', tests.page('{}'))), array['E1', 'E2', 'E3'],
  'a resumed run fetches the invitees of what it listed before the pause');
select tests.bring('ana',
  jsonb_build_object('requests', 3, 'invitees',
    jsonb_build_array(tests.invitees_of('E1', tests.invitee('E1', 'ines')),
      tests.invitees_of('E2', tests.invitee('E2', 'jo')),
      tests.invitees_of('E3', tests.invitee('E3', 'kim')))));
create temporary table finished as select tests.finish('ana') -> 'result' as result;
select is(result ->> 'run_id', first_begun.answer ->> 'run_id',
  'the result of a resumed run names the same run')
  from finished, first_begun;
select is(row(result ->> 'created', result ->> 'requests', result #>> '{fetched,active}')::text,
  '(3,7,3)', 'the counts of a resumed run are cumulative')
  from finished;
select is(result ->> 'sync_type', 'INCREMENTAL', 'a resumed run keeps its kind') from finished;

-- replaced
select tests.pass('1 hour');
select tests.begin('ana');
select tests.bring('ana',
  '{"interruption": {"code": "calendly_unavailable", "message": "HTTP 500"}}');
create temporary table paused as select * from tests.run_of('ana');
create temporary table forced as select tests.begin('ana', forced => true) as answer;
select isnt((answer ->> 'run_id')::uuid, paused.id,
  'a forced sync replaces a paused INCREMENTAL run')
  from forced, paused;
select is(answer ->> 'sync_type', 'FULL', 'the run that replaces it is FULL') from forced;
select is(row(r.status, r.error ->> 'code', r.resume_at)::text, '(failed,replaced,)',
  'a replaced run is failed with the code replaced')
  from public.calendly_sync_runs r join paused using (id);
select is((tests.connection_of('ana')).last_error, null,
  'a replaced run is no error of its connection');
select tests.bring('ana',
  '{"interruption": {"code": "calendly_unavailable", "message": "HTTP 500"}}');
select is(tests.begin('ana') ->> 'run_id', answer ->> 'run_id', 'a click resumes a paused FULL run')
  from forced;
select tests.bring('ana',
  '{"interruption": {"code": "calendly_unavailable", "message": "HTTP 500"}}');
select is(tests.begin('ana', forced => true) ->> 'run_id', answer ->> 'run_id',
  'a forced sync resumes a paused FULL run')
  from forced;
select is((tests.state_of('ana')).refetch_all, true, 'a forced sync fetches all invitees');
select tests.bring('ana',
  tests.page(array[tests.event('E1'), tests.event('E2'), tests.event('E3')]));
select tests.fail('ana', '{"code": "internal"}');

select tests.begin('ana');
select tests.bring('ana',
  '{"interruption": {"code": "calendly_unavailable", "message": "HTTP 500"}}');
update paused set id = (tests.run_of('ana')).id;
update public.calendly_users set calendly_initial_sync_complete = false where id
  = tests.id_of('ana');
select is(tests.begin('ana') ->> 'sync_type', 'FULL',
  'a cleared flag replaces a paused INCREMENTAL run');
select is((select r.error ->> 'code' from public.calendly_sync_runs r join paused using (id)),
  'replaced', 'a run that a cleared flag replaces is failed with the code replaced');
select tests.bring('ana', tests.page('{}', 'page 2'));
select tests.pass('2 minutes');
select is(tests.begin('ana') #>> '{next,query,page_token}', 'page 2',
  'a FULL run whose worker crashed is resumed by a click');
select tests.fail('ana', '{"code": "internal"}');
update public.calendly_users set calendly_initial_sync_complete = true where id
  = tests.id_of('ana');
select tests.begin('ana');
select tests.pass('2 minutes');
select is(tests.begin('ana', forced => true) ->> 'sync_type', 'FULL',
  'an INCREMENTAL run whose worker crashed is replaced by a forced sync');

-- a forced sync replaces a FULL run that nobody forced
select tests.fail('ana', '{"code": "internal"}');
update public.calendly_users set calendly_initial_sync_complete = false where id
  = tests.id_of('ana');
update calendly.meeting_sync set invitees_due_at = null;
select tests.begin('ana');
select tests.bring('ana',
  tests.page(array[tests.event('E1'), tests.event('E0', tests.seats(0, 0))], 'page 2'));
select tests.bring('ana',
  '{"interruption": {"code": "calendly_unavailable", "message": "HTTP 500"}}');
update paused set id = (tests.run_of('ana')).id;
select isnt((tests.begin('ana', forced => true) ->> 'run_id')::uuid, paused.id,
  'a forced sync replaces a paused FULL run that nobody had forced')
  from paused;
select is((select r.error ->> 'code' from public.calendly_sync_runs r join paused using (id)),
  'replaced', 'a FULL run that a forced sync replaces is failed with the code replaced');
select is(tests.event_names(tests.bring('ana', tests.page(array(
    select tests.event('E' || n) from generate_series(1, 3) n)))),
  array['E1', 'E2', 'E3'], 'and the invitees of all events are fetched again');
update public.calendly_users set calendly_initial_sync_complete = true where id
  = tests.id_of('ana');

-- a weekly FULL sync that is due does not replace a paused run
select tests.fail('ana', '{"code": "internal"}');
update public.calendly_connections set last_full_sync_at = null where user_id = tests.id_of('ana');
select tests.begin('ana');
select tests.bring('ana', tests.page('{}', 'page 2'));
select tests.bring('ana',
  '{"interruption": {"code": "calendly_unavailable", "message": "HTTP 500"}}');
select is(tests.begin('ana', trigger => 'scheduled') #>> '{next,query,page_token}', 'page 2',
  'the schedule resumes a paused INCREMENTAL run even when a FULL one is due');
select is((select count(*) from calendly.active_runs), 1::bigint,
  'there is never more than one active run of a person');
select is((select count(*) from public.calendly_sync_runs where status in ('running', 'paused')),
  1::bigint, 'a run that has ended is neither running nor paused');

select * from finish();
rollback;
