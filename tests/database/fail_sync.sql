-- A worker reports every error. What only a person can mend ends the run; a token that is refused
-- three times in a row asks for a reconnect.
begin;
select plan(25);
select calendly.set_clock('2026-06-01T12:00:00Z');
update calendly.settings set schedule_jitter = 0;
select tests.add_person('ana');
select tests.add_person('ben');
create temporary table refusal as select jsonb_build_object('code', 'token_refused',
  'message', 'Calendly refuses the token', 'hint', 'Make a new one.') as error;

-- once
select tests.begin('ana');
select tests.bring('ana', tests.page(array[tests.event('E1')], 'page 2'));
create temporary table held as select * from tests.state_of('ana');
create temporary table answer as select tests.fail('ana', error) as result from refusal;
select is(result ->> 'status', 'failed', 'a refused token fails the run') from answer;
select is((tests.run_of('ana')).error, error, 'a failed run keeps its error') from refusal;
select is(row(r.status, r.finished_at, r.requests, r.created)::text,
  row('failed', calendly.now(), 2, 1)::text,
  'a failed run keeps its end, its requests and its counts')
  from tests.run_of('ana') r;
select is((tests.meeting('E1')).name, 'Intro call',
  'meetings that were listed before a failure are kept');
select is((select count(*) from calendly.active_runs), 0::bigint,
  'a failed run is no longer active');
select is(tests.code_of(format('select public.calendly_apply_step(%L, %L, %s, %L)', run_id, lease,
  step, '{"requests": 1}')),
  'lease_lost', 'a worker cannot go on with a failed run')
  from held;
select is((tests.connection_of('ana')).last_error, error || '{"at": "2026-06-01T12:00:00.000000Z"}',
  'the connection keeps the error and its time')
  from refusal;
select is((tests.connection_of('ana')).state, 'active', 'one refusal leaves the connection active');
select is((tests.connection_of('ana')).next_sync_at, calendly.now() + interval '30 seconds',
  'a failed connection is tried again after half a minute');
select is((select u.calendly_initial_sync_complete from public.calendly_users u where u.id
  = tests.id_of('ana')),
  false, 'a failed FULL sync leaves the flag cleared');

-- three times
select tests.begin('ana');
select tests.fail('ana', error) from refusal;
select is((tests.connection_of('ana')).state, 'active', 'two refusals leave the connection active');
select is((tests.connection_of('ana')).next_sync_at, calendly.now() + interval '1 minute',
  'the second failure waits twice as long');
select tests.begin('ana');
select tests.fail('ana', error) from refusal;
select is((tests.connection_of('ana')).state, 'reconnect_required',
  'the third refusal in a row asks for a reconnect');
select is((tests.connection_of('ana')).next_sync_at, null,
  'a connection that needs a reconnect is never due');
select is(tests.code_of($$select tests.begin('ana')$$), 'reconnect_required',
  'a click on a connection that needs a reconnect is refused');
select is(public.calendly_connection_status(jsonb_build_object('auth_user_id',
  tests.account_of('ana')))
  ->> 'state', 'reconnect_required', 'the status of the connection asks for a reconnect');
select is((select count(*) from public.calendly_meetings), 1::bigint,
  'a refused token deletes no meeting');
select is((tests.connection_of('ben')).state, 'active',
  'a refused token does not concern another person''s connection');
select tests.connect('ana');
select is(tests.begin('ana') ->> 'status', 'started', 'a sync starts after a reconnect');

-- in a row
select tests.fail('ana', error) from refusal;
select tests.begin('ana');
select tests.fail('ana', '{"code": "scope_missing", "message": "x"}');
select tests.sync('ana', array[tests.event('E1')]);
select tests.begin('ana');
select tests.fail('ana', error) from refusal;
select is(row(c.state, c.refusals)::text, '(active,1)',
  'a complete run between refusals starts the count again')
  from tests.connection_of('ana') c;
select tests.begin('ana');
select tests.fail('ana', '{"code": "scope_missing", "message": "x"}');
select is((tests.connection_of('ana')).refusals, 2, 'a missing scope counts as a refusal');
select tests.begin('ana');
select tests.fail('ana', '{"code": "token_unreadable", "message": "x"}');
select is(row(c.state, c.refusals)::text, '(active,2)',
  'an unreadable token does not count as a refusal')
  from tests.connection_of('ana') c;
select is((tests.connection_of('ana')).last_error ->> 'code', 'token_unreadable',
  'an unreadable token is the connection''s last error');
select is(tests.code_of($$select public.calendly_fail_sync(gen_random_uuid(), gen_random_uuid(),
  '{}')$$),
  'lease_lost', 'a run that does not exist cannot fail');
select is((select count(*) from calendly.active_runs), 0::bigint, 'no failed run stays active');

select * from finish();
rollback;
