-- What only a person can mend ends the run; a token that is refused three times in a row asks for a reconnect.
begin;
select plan(25);
select calendly.set_clock('2026-06-01T12:00:00Z');
update calendly.settings set schedule_jitter = 0;
select tests.add_person('ana');
select tests.add_person('ben');
create temporary table refusal as select '{"code": "token_refused", "message": "Calendly refuses the token", "hint": "Make a new one."}'::jsonb as error;

-- once
select tests.begin('ana');
select tests.bring('ana', tests.page(array[tests.event('E1')], 'page 2'));
create temporary table held as select * from tests.state_of('ana');
create temporary table answer as select tests.fail('ana', error) as result from refusal;
select is(result ->> 'status', 'failed', 'a refused token fails the run') from answer;
select is(result -> 'reason', error, 'which says why') from answer, refusal;
select is(row(r.status, r.finished_at, r.requests, r.created)::text, row('failed', calendly.now(), 2, 1)::text, 'when, and what was done by then') from tests.run_of('ana') r;
select is((tests.meeting('E1')).name, 'Intro call', 'what was listed by then is kept');
select is((select count(*) from calendly.open_runs), 0::bigint, 'the lease is let go');
select is(tests.code_of(format('select public.calendly_apply_step(%L, %L, %s, %L)', run_id, lease, step, '{"requests": 1}')), 'lease_lost', 'so that nobody can go on') from held;
select is((tests.connection_of('ana')).last_error, error || '{"at": "2026-06-01T12:00:00.000000Z"}', 'the connection remembers the error and its time') from refusal;
select is((tests.connection_of('ana')).state, 'active', 'one refusal is no reason to give up');
select is((tests.connection_of('ana')).next_sync_at, calendly.now() + interval '30 seconds', 'it is tried again after a while');
select is((select u.calendly_initial_sync_complete from public.users u where u.id = tests.id_of('ana')), false, 'a failed FULL sync has not been completed');

-- three times
select tests.begin('ana');
select tests.fail('ana', error) from refusal;
select is((tests.connection_of('ana')).state, 'active', 'nor are two');
select is((tests.connection_of('ana')).next_sync_at, calendly.now() + interval '1 minute', 'each time it waits longer');
select tests.begin('ana');
select tests.fail('ana', error) from refusal;
select is((tests.connection_of('ana')).state, 'reconnect_required', 'the third refusal in a row asks for a reconnect');
select is((tests.connection_of('ana')).next_sync_at, null, 'and the schedule leaves the connection alone');
select is(tests.code_of($$select tests.begin('ana')$$), 'reconnect_required', 'a click is told so');
select is(public.calendly_connection_status(tests.account_of('ana')) ->> 'state', 'reconnect_required', 'and so is who asks for the status');
select is((select count(*) from public.meetings), 1::bigint, 'the meetings are kept');
select is((tests.connection_of('ben')).state, 'active', 'nobody else is concerned');
select tests.connect('ana');
select is(tests.begin('ana') ->> 'status', 'started', 'a new token starts anew');

-- in a row
select tests.fail('ana', error) from refusal;
select tests.begin('ana');
select tests.fail('ana', '{"code": "scope_missing", "message": "x"}');
select tests.sync('ana', array[tests.event('E1')]);
select tests.begin('ana');
select tests.fail('ana', error) from refusal;
select is(row(c.state, c.refusals)::text, '(active,1)', 'a complete run between them breaks the row') from tests.connection_of('ana') c;
select tests.begin('ana');
select tests.fail('ana', '{"code": "scope_missing", "message": "x"}');
select is((tests.connection_of('ana')).refusals, 2, 'a missing scope is a refusal, too');
select tests.begin('ana');
select tests.fail('ana', '{"code": "token_unreadable", "message": "x"}');
select is(row(c.state, c.refusals)::text, '(active,2)', 'a token that we cannot read is none') from tests.connection_of('ana') c;
select is((tests.connection_of('ana')).last_error ->> 'code', 'token_unreadable', 'but an error all the same');
select is(tests.code_of($$select public.calendly_fail_sync(gen_random_uuid(), gen_random_uuid(), '{}')$$), 'lease_lost', 'a run that is not there cannot fail');
select is((select count(*) from calendly.open_runs), 0::bigint, 'no run is left open');

select * from finish();
rollback;
