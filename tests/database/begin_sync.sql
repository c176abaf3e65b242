-- Who may sync whom, FULL or INCREMENTAL, and over which range.
begin;
select plan(40);
select calendly.set_clock('2026-06-01T12:00:00Z');
select tests.add_person('ana');
select tests.add_person('ben');
select tests.add_account('dan@example.com');

-- who
select is(tests.code_of(format($$select public.calendly_begin_sync('{"user_id": %s, "trigger": "service"}')$$, 2000000000)), 'unknown_user', 'there must be such a user');
select is(tests.code_of($$select public.calendly_begin_sync('{"trigger": "service"}')$$), 'unknown_user', 'and somebody must be named');
select is(tests.code_of(format($$select public.calendly_begin_sync('{"auth_user_id": "%s", "trigger": "manual"}')$$, gen_random_uuid())), 'unknown_user', 'by an account that has a row');
select is(tests.code_of($$select tests.begin('dan')$$), 'not_connected', 'who is not connected cannot be synced');
select is(tests.code_of(format($$select public.calendly_begin_sync('{"auth_user_id": "%s", "user_id": %s, "trigger": "manual"}')$$, tests.account_of('ana'), tests.id_of('ben'))), 'another_user', 'an account cannot sync somebody else');
update public.calendly_connections set state = 'reconnect_required' where user_id = tests.id_of('ben');
select is(tests.code_of($$select tests.begin('ben')$$), 'reconnect_required', 'where Calendly refuses the token, only a person can help');
select is(tests.code_of($$select tests.begin('ben', forced => true)$$), 'reconnect_required', 'not even a forced sync');
select is((select count(*) from public.calendly_sync_runs), 0::bigint, 'and none of these is a run');

-- the first
create temporary table begun as select public.calendly_begin_sync(jsonb_build_object('auth_user_id', tests.account_of('ana'), 'user_id', tests.id_of('ana'), 'trigger', 'manual')) as answer;
select is(answer ->> 'status', 'started', 'an account can sync itself') from begun;
select is(answer ->> 'sync_type', 'FULL', 'the first sync is FULL') from begun;
select is(answer ->> 'range_in_words', '2 years back, 1 year forward', 'over the large range') from begun;
select is(answer #>> '{credential,token_jwe}', 'ciphertext of ana', 'the instance gets the encrypted token') from begun;
select is((answer #>> '{credential,connection_id}')::uuid, (tests.connection_of('ana')).id, 'and the connection that it is bound to') from begun;
select is(answer -> 'next', jsonb_build_object('do', 'list_events', 'step', 0, 'wait_seconds', 0, 'query', jsonb_build_object(
  'user', tests.host('ana'), 'min_start_time', '2024-06-01T12:00:00.000000Z', 'max_start_time', '2027-06-01T12:00:00.000000Z', 'sort', 'start_time:asc', 'count', '100')),
  'the listing has no status filter, so that one pass brings active and canceled') from begun;
select is(row(r.status, r.trigger, r.sync_type, r.subject, r.started_at)::text, row('running', 'manual', 'FULL', tests.host('ana'), calendly.now())::text, 'the run says what it was asked for') from tests.run_of('ana') r;
select is(row(r.min_start_time, r.max_start_time)::text, row('2024-06-01T12:00:00Z'::timestamptz, '2027-06-01T12:00:00Z'::timestamptz)::text, 'and its range') from tests.run_of('ana') r;
select is((tests.state_of('ana')).scope, array[tests.id_of('ana')], 'it writes that user''s rows only');
select is((tests.state_of('ana')).lease_expires_at, calendly.now() + interval '2 minutes', 'under a lease');

-- the range is pinned
select tests.pass('30 seconds');
select is(tests.bring('ana', tests.page(array[tests.event('E1', tests.seats(0, 0))], 'page 2')) -> 'query' ->> 'min_start_time', '2024-06-01T12:00:00.000000Z', 'the range does not move while the run goes on');
update calendly.settings set full_days_back = 10;
select is(tests.bring('ana', tests.page(array[tests.event('E2', tests.seats(0, 0))], 'page 3')) -> 'query' ->> 'min_start_time', '2024-06-01T12:00:00.000000Z', 'whatever the settings become');
select tests.bring('ana', tests.page('{}'));
select tests.finish('ana');
update calendly.settings set full_days_back = 730;

-- the next ones
select tests.pass('1 hour');
select is(tests.sync('ana', '{}') #>> '{result,sync_type}', 'INCREMENTAL', 'after a finished FULL sync the next is INCREMENTAL');
select is((tests.run_of('ana')).min_start_time, calendly.now() - interval '90 days', 'over the small range');
select is(tests.sync('ana', '{}', trigger => 'scheduled') #>> '{result,sync_type}', 'INCREMENTAL', 'by the schedule, too');
select tests.pass('7 days');
select is(tests.sync('ana', '{}') #>> '{result,sync_type}', 'INCREMENTAL', 'a click stays INCREMENTAL after a week');
select is(tests.sync('ana', '{}', trigger => 'service') #>> '{result,sync_type}', 'INCREMENTAL', 'so does a service');
select is(tests.sync('ana', '{}', trigger => 'scheduled') #>> '{result,sync_type}', 'FULL', 'but the schedule repairs, once a week, what the small window cannot see');
select is(tests.sync('ana', '{}', trigger => 'scheduled') #>> '{result,sync_type}', 'INCREMENTAL', 'once');
select is(tests.sync('ana', '{}', forced => true) #>> '{result,sync_type}', 'FULL', 'a forced sync is FULL');
select is(tests.sync('ana', '{}') #>> '{result,sync_type}', 'INCREMENTAL', 'the next one not any more');
update public.users set calendly_initial_sync_complete = false where id = tests.id_of('ana');
select is(tests.sync('ana', '{}') #>> '{result,sync_type}', 'FULL', 'where the flag is cleared, the next sync is FULL');
update calendly.settings set full_sync_interval = '30 days';
select tests.pass('29 days');
select is(tests.sync('ana', '{}', trigger => 'scheduled') #>> '{result,sync_type}', 'INCREMENTAL', 'the week is a setting');

-- one at a time
select tests.pass('1 minute');
create temporary table first as select tests.begin('ana') as answer;
select is(tests.begin('ana'), jsonb_build_object('status', 'in_progress', 'run_id', answer -> 'run_id'), 'while one sync runs, another is told so') from first;
select is(tests.begin('ana', forced => true) ->> 'status', 'in_progress', 'forced or not');
select tests.pass('1 minute 59 seconds');
select is(tests.begin('ana', trigger => 'scheduled') ->> 'status', 'in_progress', 'as long as the lease lasts');
select is((select count(*) from public.calendly_sync_runs where user_id = tests.id_of('ana') and status = 'running'), 1::bigint, 'there is one run');
update public.calendly_connections set state = 'active' where user_id = tests.id_of('ben');
select is(tests.begin('ben') ->> 'status', 'started', 'somebody else''s sync does not wait for it');

-- the trigger of a run that is not known is an error of the caller's
select throws_ok($$select public.calendly_begin_sync(jsonb_build_object('user_id', tests.id_of('dan'), 'trigger', 'manual'))$$, 'P0001', null, 'an error has a code that the Data API hands on');
select tests.fail('ben', '{"code": "calendly_refused"}');
select throws_ok($$select tests.begin('ben', trigger => 'whim')$$, '23514', null, 'a run is begun by a person, a service, the schedule or a connect');
select is((tests.run_of('ben')).status, 'failed', 'and by nothing else');
select is((select count(*) from calendly.open_runs o join public.calendly_sync_runs r on r.id = o.run_id where r.user_id = tests.id_of('ben')), 0::bigint, 'nothing of it stays');

select * from finish();
rollback;
