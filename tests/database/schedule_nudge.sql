-- What the minutely job does: as many nudges as there is due work and room for, to an address that no
-- request can choose, without anything that would be worth stealing.
begin;
select plan(28);
select calendly.set_clock('2026-06-01T12:00:00Z');
select tests.add_person(name) from unnest('{ana,ben,cleo,dan,eve}'::text[]) name;
update public.calendly_connections set next_sync_at = calendly.now() - interval '1 minute';
create function tests.sent() returns bigint language sql as $$ select count(*) from net.http_request_queue $$;

select is(calendly.nudge(), 0, 'before any function has told where the project is, nobody is nudged');
select is(tests.sent(), 0::bigint, 'nothing is sent anywhere');
select is((select p.ticked_at from calendly.project p), calendly.now(), 'but the job shows that it lives');

select public.calendly_begin_sync(jsonb_build_object('user_id', tests.id_of('eve'), 'trigger', 'service', 'project_url', 'https://project.example.com'));
select is((select p.url from calendly.project p), 'https://project.example.com', 'a sync tells where the project is');
select calendly.end_runs((tests.connection_of('eve')).id, '{}');
update public.calendly_connections set next_sync_at = null where user_id = tests.id_of('eve');

select is(calendly.nudge(), 4, 'one nudge for each connection that is due');
select is(tests.sent(), 4::bigint, 'is sent');
select is((select array_agg(distinct q.method || ' ' || q.url) from net.http_request_queue q), '{POST https://project.example.com/functions/v1/calendly-sync/nudge}', 'to the project''s own function');
select is((select count(*) from net.http_request_queue q where convert_from(q.body, 'UTF8')::jsonb <> '{}'), 0::bigint, 'with nothing in it');
select is((select count(*) from net.http_request_queue q where q.headers::text ~* 'authorization|apikey|bearer'), 0::bigint, 'and no key');
select ok((select max(q.timeout_milliseconds) from net.http_request_queue q) <= 5000, 'nobody waits for its answer for long');

select tests.pass('1 minute');
select is(calendly.nudge(), 4, 'a lost nudge is repeated by the next tick');

-- room
select public.calendly_configure('{"instances": 3}');
select is(calendly.nudge(), 3, 'no more are nudged than there are places');
select public.calendly_claim_sync('{"project_url": "https://project.example.com"}') from generate_series(1, 2);
select is(calendly.nudge(), 1, 'places where somebody works are not free');
select public.calendly_claim_sync('{"project_url": "https://project.example.com"}');
select is(calendly.nudge(), 0, 'and when all are taken nobody is nudged, however much is due');
select public.calendly_configure('{"instances": 1}');
select is(calendly.nudge(), 0, 'not even when there are fewer places than instances');
select public.calendly_configure('{"instances": 20}');
select is(calendly.nudge(), 1, 'one is due and three are being worked on');
update public.calendly_connections set next_sync_at = calendly.now() where next_sync_at is not null;
select is(calendly.nudge(), 1, 'a sync that takes long is not due while its instance lives');
select tests.pass('2 minutes');
select is(calendly.nudge(), 4, 'but is when its instance is not heard of');

-- who is not due
update public.calendly_connections set state = 'reconnect_required' where user_id = tests.id_of('ana');
select public.calendly_disconnect(tests.account_of('ben'));
update public.calendly_connections set next_sync_at = calendly.now() + interval '1 second' where user_id = tests.id_of('cleo');
select is(calendly.nudge(), 1, 'nobody is nudged for who must reconnect, has gone, or is not due yet');

-- what of it an operator sees
select is(shown - 'jobs' - 'ticked_at', '{"project_url": "https://project.example.com", "due": 1, "working": 0, "instances": 20}', 'what is due, and who works, can be seen') from public.calendly_schedule() shown;
select is((shown ->> 'ticked_at')::timestamptz, calendly.now(), 'when it ticked last, too') from public.calendly_schedule() shown;
insert into cron.job_run_details (jobid, runid, status, return_message, start_time)
  select j.jobid, 1000000 + n, status, status, now() from cron.job j, (values (1, 'failed'), (2, 'succeeded')) r (n, status) where j.jobname = 'calendly-nudge';
select is((select array_agg(j ->> 'name' || coalesce(' ' || (j ->> 'status'), '') order by j ->> 'name') from jsonb_array_elements(public.calendly_schedule() -> 'jobs') j),
  '{calendly-clean-job-log,calendly-clean-runs,calendly-clean-webhook-events,"calendly-nudge succeeded"}', 'and each job with its last run');

-- the address
select throws_ok($$select public.calendly_begin_sync(jsonb_build_object('user_id', tests.id_of('dan'), 'trigger', 'service', 'project_url', 'https://elsewhere.example.com'))$$, 'P0001', null, 'once known, another address is refused');
select public.calendly_claim_sync('{"project_url": "https://elsewhere.example.com"}');
delete from net.http_request_queue;
select calendly.nudge();
select is((select array_agg(distinct q.url) from net.http_request_queue q), '{https://project.example.com/functions/v1/calendly-sync/nudge}', 'and is never nudged');
select throws_ok($$set local role anon; select calendly.nudge()$$, '42501', null, 'no API role can nudge');
reset role;
select throws_ok($$set local role authenticated; select public.calendly_claim_sync('{}')$$, '42501', null, 'a signed-in person cannot claim');
reset role;
select throws_ok($$set local role authenticated; select public.calendly_confirm_project('https://mine.example.com')$$, '42501', null, 'or move the project');
reset role;
select throws_ok($$set local role authenticated; select public.calendly_schedule()$$, '42501', null, 'or look at the schedule');
reset role;

select * from finish();
rollback;
