-- Who may sync whom, FULL or INCREMENTAL, and over which range.
begin;
select plan(41);
select calendly.set_clock('2026-06-01T12:00:00Z');
select tests.add_person('ana');
select tests.add_person('ben');
select tests.add_person('dan');
select public.calendly_disconnect(jsonb_build_object('user_id', tests.id_of('dan')));

-- who
select is(tests.code_of(
  format($$select public.calendly_begin_sync('{"user_id": %s, "trigger": "service"}')$$,
  2000000000)),
  'unknown_user', 'a user_id that does not exist is refused');
select is(tests.code_of($$select public.calendly_begin_sync('{"trigger": "service"}')$$),
  'unknown_user', 'a request that names nobody is refused');
select is(tests.code_of(
  format($$select public.calendly_begin_sync('{"auth_user_id": "%s", "trigger": "manual"}')$$,
  gen_random_uuid())),
  'not_connected', 'an account that was never connected cannot be synced');
select is(tests.code_of($$select tests.begin('dan')$$), 'not_connected',
  'a person whose connection has ended cannot be synced');
select is(tests.code_of(
  format($$select public.calendly_begin_sync(
    '{"auth_user_id": "%s", "user_id": %s, "trigger": "manual"}')$$,
  tests.account_of('ana'), tests.id_of('ben'))),
  'another_user', 'an account cannot sync another person');
select is(tests.code_of(
  format($$select public.calendly_begin_sync(
    '{"auth_user_id": "%s", "user_id": %s, "trigger": "manual"}')$$,
  gen_random_uuid(), tests.id_of('ben'))),
  'another_user', 'nor can an account that was never connected');
update public.calendly_connections set state = 'reconnect_required' where user_id
  = tests.id_of('ben');
select is(tests.code_of($$select tests.begin('ben')$$), 'reconnect_required',
  'a connection whose token Calendly refuses cannot be synced by a click');
select is(tests.code_of($$select tests.begin('ben', forced => true)$$), 'reconnect_required',
  'a connection whose token Calendly refuses cannot be synced by a forced sync');
select is((select count(*) from public.calendly_sync_runs), 0::bigint,
  'a refused request makes no run');

-- the first
create temporary table begun as select public.calendly_begin_sync(jsonb_build_object('auth_user_id',
  tests.account_of('ana'), 'user_id', tests.id_of('ana'), 'trigger', 'manual')) as answer;
select is(answer ->> 'status', 'started', 'an account can sync itself') from begun;
select is(answer ->> 'sync_type', 'FULL', 'the first sync is FULL') from begun;
select is(answer ->> 'range_in_words', '2 years back, 1 year forward',
  'the first sync tells the large range in words')
  from begun;
select is(answer #>> '{credential,token_jwe}', 'ciphertext of ana',
  'a begun sync returns the encrypted token')
  from begun;
select is((answer #>> '{credential,connection_id}')::uuid, (tests.connection_of('ana')).id,
  'a begun sync names the connection that the token is bound to')
  from begun;
select is(answer -> 'next',
  jsonb_build_object('do', 'list_events', 'step', 0, 'wait_seconds', 0, 'concurrency', 20,
  'requests_left', 800,
  'ahead', true, 'query', jsonb_build_object(
  'user', tests.host('ana'), 'min_start_time', '2024-06-01T12:00:00.000000Z', 'max_start_time',
    '2027-06-01T12:00:00.000000Z', 'sort', 'start_time:asc', 'count', '100')),
  'the listing has no status filter, so that it brings active and canceled events') from begun;
select is(row(r.status, r.trigger, r.sync_type, r.subject, r.started_at)::text,
  row('running', 'manual', 'FULL', tests.host('ana'), calendly.now())::text,
  'a run records who asked for it, its kind and what it lists')
  from tests.run_of('ana') r;
select is(row(r.min_start_time, r.max_start_time)::text,
  row('2024-06-01T12:00:00Z'::timestamptz, '2027-06-01T12:00:00Z'::timestamptz)::text,
  'a run records its range')
  from tests.run_of('ana') r;
select is((tests.state_of('ana')).user_ids, array[tests.id_of('ana')],
  'a person''s run writes that person''s meetings only');
select is((tests.state_of('ana')).lease_expires_at, calendly.now() + interval '2 minutes',
  'a begun run has a lease of two minutes');

-- the range is pinned
select tests.pass('30 seconds');
select is(tests.bring('ana', tests.page(array[tests.event('E1', tests.seats(0, 0))], 'page 2'))
  -> 'query' ->> 'min_start_time', '2024-06-01T12:00:00.000000Z',
  'the range of a run does not move with the time');
update calendly.settings set full_days_back = 10;
select is(tests.bring('ana', tests.page(array[tests.event('E2', tests.seats(0, 0))], 'page 3'))
  -> 'query' ->> 'min_start_time', '2024-06-01T12:00:00.000000Z',
  'the range of a run does not move with the settings');
select tests.bring('ana', tests.page('{}'));
select tests.finish('ana');
update calendly.settings set full_days_back = 730;

-- the next ones
select tests.pass('1 hour');
select is(tests.sync('ana', '{}') #>> '{result,sync_type}', 'INCREMENTAL',
  'after a finished FULL sync the next one is INCREMENTAL');
select is((tests.run_of('ana')).min_start_time, calendly.now() - interval '90 days',
  'an INCREMENTAL sync lists the small range');
select is(tests.sync('ana', '{}', trigger => 'scheduled') #>> '{result,sync_type}', 'INCREMENTAL',
  'a scheduled sync soon after a FULL one is INCREMENTAL');
select tests.pass('7 days');
select is(tests.sync('ana', '{}') #>> '{result,sync_type}', 'INCREMENTAL',
  'a click a week after the last FULL sync stays INCREMENTAL');
select is(tests.sync('ana', '{}', trigger => 'service') #>> '{result,sync_type}', 'INCREMENTAL',
  'a server''s sync a week after the last FULL sync stays INCREMENTAL');
select is(tests.sync('ana', '{}', trigger => 'scheduled') #>> '{result,sync_type}', 'FULL',
  'a scheduled sync a week after the last FULL sync is FULL');
select is(tests.sync('ana', '{}', trigger => 'scheduled') #>> '{result,sync_type}', 'INCREMENTAL',
  'a scheduled sync after the weekly FULL one is INCREMENTAL again');
select is(tests.sync('ana', '{}', forced => true) #>> '{result,sync_type}', 'FULL',
  'a forced sync is FULL');
select is(tests.sync('ana', '{}') #>> '{result,sync_type}', 'INCREMENTAL',
  'the sync after a forced one is INCREMENTAL');
update public.calendly_users set calendly_initial_sync_complete = false where id
  = tests.id_of('ana');
select is(tests.sync('ana', '{}') #>> '{result,sync_type}', 'FULL',
  'the sync after the flag was cleared is FULL');
update calendly.settings set full_sync_interval = '30 days';
select tests.pass('29 days');
select is(tests.sync('ana', '{}', trigger => 'scheduled') #>> '{result,sync_type}', 'INCREMENTAL',
  'the interval between scheduled FULL syncs is a setting');

-- one at a time
select tests.pass('1 minute');
create temporary table first as select tests.begin('ana') as answer;
select is(tests.begin('ana'),
  jsonb_build_object('status', 'in_progress', 'run_id', answer -> 'run_id'),
  'a second sync of the same person is told which run is in progress')
  from first;
select is(tests.begin('ana', forced => true) ->> 'status', 'in_progress',
  'a forced sync does not start beside a running one');
select tests.pass('1 minute 59 seconds');
select is(tests.begin('ana', trigger => 'scheduled') ->> 'status', 'in_progress',
  'a scheduled sync does not start while the lease lasts');
select is((select count(*) from public.calendly_sync_runs where user_id = tests.id_of('ana')
  and status = 'running'),
  1::bigint, 'two begun syncs of one person make one run');
update public.calendly_connections set state = 'active' where user_id = tests.id_of('ben');
select is(tests.begin('ben') ->> 'status', 'started',
  'a running sync does not stop another person''s');

-- errors of the caller
select throws_ok($$select public.calendly_begin_sync(jsonb_build_object('user_id',
  tests.id_of('dan'), 'trigger', 'manual'))$$,
  'P0001', null, 'an error reaches the Data API with its code');
select tests.fail('ben', '{"code": "calendly_refused"}');
select throws_ok($$select tests.begin('ben', trigger => 'whim')$$, '23514', null,
  'a run with an unknown trigger is refused');
select is((tests.run_of('ben')).status, 'failed',
  'a refused trigger leaves the last run as it was');
select is((select count(*) from calendly.active_runs o join public.calendly_sync_runs r on r.id
  = o.run_id where r.user_id = tests.id_of('ben')),
  0::bigint, 'a refused trigger leaves no active run');

select * from finish();
rollback;
