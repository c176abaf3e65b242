-- A run that was paused goes on where it stood, and one that died is taken over: nothing is done twice.
begin;
select plan(37);
select calendly.set_clock('2026-06-01T12:00:00Z');
update calendly.settings set schedule_jitter = 0;
select tests.add_person('ana');
select tests.sync('ana', '{}');

-- taken over
select tests.pass('1 hour');
create temporary table dead as select tests.begin('ana') as answer;
select tests.bring('ana', tests.page(array[tests.event('E1'), tests.event('E2')], 'page 2'));
create temporary table stalled as select * from tests.state_of('ana');
select tests.pass('2 minutes');
create temporary table heir as select tests.begin('ana', trigger => 'scheduled') as answer;
select is(heir.answer ->> 'status', 'started', 'a run whose lease has ended is taken over') from heir;
select is(heir.answer ->> 'run_id', dead.answer ->> 'run_id', 'as the same run') from heir, dead;
select isnt(heir.answer ->> 'lease', dead.answer ->> 'lease', 'under another lease') from heir, dead;
select is(heir.answer #>> '{next,query,page_token}', 'page 2', 'where it stood') from heir;
select is(heir.answer #>> '{next,query,min_start_time}', dead.answer #>> '{next,query,min_start_time}', 'over the same range') from heir, dead;
select is((tests.run_of('ana')).trigger, 'scheduled', 'by whoever works on it now');
select is(tests.code_of(format('select public.calendly_apply_step(%L, %L, %s, %L)', run_id, lease, step, '{"requests": 1}' || tests.page('{}'))), 'lease_lost', 'the stalled instance, awake again, cannot write') from stalled;
select is(tests.code_of(format('select public.calendly_finish_sync(%L, %L)', run_id, lease)), 'lease_lost', 'nor finish') from stalled;
select is(tests.code_of(format('select public.calendly_fail_sync(%L, %L, %L)', run_id, lease, '{}')), 'lease_lost', 'nor fail the run') from stalled;
select is((select array_agg(cardinality(event_uris)) from calendly.run_pages), array[2], 'the page is there once');
select is((tests.run_of('ana')).requests, 1, 'and its request counted once');

-- resumed
select tests.bring('ana', tests.page(array[tests.event('E3')], 'page 3'));
select is(tests.bring('ana', '{"interruption": {"code": "calendly_unavailable", "message": "HTTP 500"}}') ->> 'do', 'stop', 'an interruption pauses the run');
select is(row(r.status, r.resume_at)::text, row('paused', calendly.now() + interval '30 seconds')::text, 'for a while') from tests.run_of('ana') r;
create temporary table resumed as select tests.begin('ana') as answer;
select is(answer ->> 'status', 'started', 'a click ignores the back-off') from resumed;
select is(resumed.answer ->> 'run_id', dead.answer ->> 'run_id', 'and resumes the same run') from resumed, dead;
select is(answer #>> '{next,query,page_token}', 'page 3', 'where it stood') from resumed;
select is(row(r.status, r.resume_at, r.error)::text, '(running,,)', 'as if nothing had been') from tests.run_of('ana') r;
select is(tests.event_names(tests.bring('ana', tests.page('{}'))), array['E1', 'E2', 'E3'], 'what was listed before is to be read after');
select tests.bring('ana', jsonb_build_object('requests', 3, 'invitees', jsonb_build_array(tests.invitees_of('E1', tests.invitee('E1', 'ines')), tests.invitees_of('E2', tests.invitee('E2', 'jo')), tests.invitees_of('E3', tests.invitee('E3', 'kim')))));
create temporary table finished as select tests.finish('ana') -> 'result' as result;
select is(result ->> 'run_id', dead.answer ->> 'run_id', 'the result is the run''s') from finished, dead;
select is(row(result ->> 'created', result ->> 'requests', result #>> '{fetched,active}')::text, '(3,7,3)', 'its counts are cumulative') from finished;
select is(result ->> 'sync_type', 'INCREMENTAL', 'and its kind is what it was begun as') from finished;

-- replaced
select tests.pass('1 hour');
select tests.begin('ana');
select tests.bring('ana', '{"interruption": {"code": "calendly_unavailable", "message": "HTTP 500"}}');
create temporary table paused as select * from tests.run_of('ana');
create temporary table forced as select tests.begin('ana', forced => true) as answer;
select isnt((answer ->> 'run_id')::uuid, paused.id, 'a forced FULL sync replaces a paused INCREMENTAL one') from forced, paused;
select is(answer ->> 'sync_type', 'FULL', 'by a FULL one') from forced;
select is(row(r.status, r.error ->> 'code', r.resume_at)::text, '(failed,replaced,)', 'the old run says so') from public.calendly_sync_runs r join paused using (id);
select is((tests.connection_of('ana')).last_error, null, 'which is no error of the connection''s');
select tests.bring('ana', '{"interruption": {"code": "calendly_unavailable", "message": "HTTP 500"}}');
select is(tests.begin('ana') ->> 'run_id', answer ->> 'run_id', 'a paused FULL sync is resumed by a click') from forced;
select tests.bring('ana', '{"interruption": {"code": "calendly_unavailable", "message": "HTTP 500"}}');
select is(tests.begin('ana', forced => true) ->> 'run_id', answer ->> 'run_id', 'and by a forced one: it is FULL already') from forced;
select is((tests.state_of('ana')).reread, true, 'and rereads all invitees');
select tests.bring('ana', tests.page(array[tests.event('E1'), tests.event('E2'), tests.event('E3')]));
select tests.fail('ana', '{}');

select tests.begin('ana');
select tests.bring('ana', '{"interruption": {"code": "calendly_unavailable", "message": "HTTP 500"}}');
update paused set id = (tests.run_of('ana')).id;
update public.users set calendly_initial_sync_complete = false where id = tests.id_of('ana');
select is(tests.begin('ana') ->> 'sync_type', 'FULL', 'a cleared flag replaces a paused INCREMENTAL sync, too');
select is((select r.error ->> 'code' from public.calendly_sync_runs r join paused using (id)), 'replaced', 'the old run says so');
select tests.bring('ana', tests.page('{}', 'page 2'));
select tests.pass('2 minutes');
select is(tests.begin('ana') #>> '{next,query,page_token}', 'page 2', 'a FULL sync that died is not replaced but goes on');
select tests.fail('ana', '{}');
update public.users set calendly_initial_sync_complete = true where id = tests.id_of('ana');
select tests.begin('ana');
select tests.pass('2 minutes');
select is(tests.begin('ana', forced => true) ->> 'sync_type', 'FULL', 'an INCREMENTAL one that died is replaced by a forced one');

-- a forced one goes on with a FULL sync that nobody forced, and rereads what that has listed
select tests.fail('ana', '{}');
update public.users set calendly_initial_sync_complete = false where id = tests.id_of('ana');
update calendly.meeting_sync set invitees_due_at = null;
select tests.begin('ana');
select tests.bring('ana', tests.page(array[tests.event('E1'), tests.event('E0', tests.seats(0, 0))], 'page 2'));
select tests.bring('ana', '{"interruption": {"code": "calendly_unavailable", "message": "HTTP 500"}}');
select is(tests.begin('ana', forced => true) #>> '{next,query,page_token}', 'page 2', 'a forced sync goes on with a paused FULL one');
select is(tests.event_names(tests.bring('ana', tests.page(array[tests.event('E2'), tests.event('E3')]))), array['E1', 'E2', 'E3'], 'and rereads all invitees, those of the pages before as well');
update public.users set calendly_initial_sync_complete = true where id = tests.id_of('ana');

-- the schedule's weekly FULL sync is no reason to throw work away
select tests.fail('ana', '{}');
update public.calendly_connections set last_full_sync_at = null where user_id = tests.id_of('ana');
select tests.begin('ana');
select tests.bring('ana', tests.page('{}', 'page 2'));
select tests.bring('ana', '{"interruption": {"code": "calendly_unavailable", "message": "HTTP 500"}}');
select is(tests.begin('ana', trigger => 'scheduled') #>> '{next,query,page_token}', 'page 2', 'the schedule resumes a paused INCREMENTAL sync even when a FULL one is due');
select is((select count(*) from calendly.open_runs), 1::bigint, 'there is never more than one open run');
select is((select count(*) from public.calendly_sync_runs where status in ('running', 'paused')), 1::bigint, 'and the ended ones are ended');

select * from finish();
rollback;
