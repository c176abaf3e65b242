-- The tick: it sends as many nudges as there are due syncs and free slots, to an address
-- that no request can choose, and without anything worth stealing.
begin;
select plan(33);
select calendly.set_clock('2026-06-01T12:00:00Z');
select tests.add_person(name) from unnest('{ana,ben,cleo,dan,eve}'::text[]) name;
update public.calendly_connections set next_sync_at = calendly.now() - interval '1 minute';
create function tests.sent() returns bigint language sql as $$
  select count(*) from net.http_request_queue
$$;
create function tests.begin_from(name text, url text) returns jsonb language sql as $$
  select public.calendly_begin_sync(jsonb_build_object(
    'user_id', tests.id_of(begin_from.name), 'trigger', 'service', 'project_url', url))
$$;

select is(calendly.nudge(), 0,
  'nobody is nudged before a function has told the project''s address');
select is(tests.sent(), 0::bigint, 'nothing is sent then');
select is((select p.ticked_at from calendly.project p), calendly.now(), 'the tick is noted');

select tests.begin_from('eve', 'https://project.example.com');
select is((select p.url from calendly.project p), 'https://project.example.com',
  'a sync tells the project''s address');
select calendly.end_runs((tests.connection_of('eve')).id, '{}');
update public.calendly_connections set next_sync_at = null where user_id = tests.id_of('eve');

select is(calendly.nudge(), 4, 'there is one nudge for each connection that is due');
select is(tests.sent(), 4::bigint, 'each nudge is one request');
select is((select array_agg(distinct q.method || ' ' || q.url) from net.http_request_queue q),
  '{POST https://project.example.com/functions/v1/calendly-sync/nudge}',
  'the request goes to the project''s own function');
select is((select count(*) from net.http_request_queue q
    where convert_from(q.body, 'UTF8')::jsonb <> '{}'), 0::bigint, 'its body is empty');
select is((select count(*) from net.http_request_queue q
    where q.headers::text ~* 'authorization|apikey|bearer'), 0::bigint, 'it has no key');
select ok((select max(q.timeout_milliseconds) from net.http_request_queue q) <= 5000,
  'its answer is waited for five seconds at most');

select tests.pass('1 minute');
select is(calendly.nudge(), 1, 'the next tick repeats one of nudges that were not answered');

-- a tick after whose nudges a worker has come
create function tests.nudge() returns integer language sql as $$
  update calendly.project set unanswered_since = null;
  select calendly.nudge()
$$;

-- slots
select public.calendly_configure('{"max_workers": 3}');
select is(tests.nudge(), 3, 'there are no more nudges than slots');
select public.calendly_claim_sync('{"project_url": "https://project.example.com"}')
  from generate_series(1, 2);
select is(tests.nudge(), 1, 'slots of running workers are not free');
select public.calendly_claim_sync('{"project_url": "https://project.example.com"}');
select is(tests.nudge(), 0, 'nobody is nudged while no slot is free');
select public.calendly_configure('{"max_workers": 1}');
select is(tests.nudge(), 0, 'nobody is nudged while there are fewer slots than workers');
select public.calendly_configure('{"max_workers": 20}');
select is(tests.nudge(), 1, 'a connection is due while workers have the three others');
update public.calendly_connections set next_sync_at = calendly.now()
  where next_sync_at is not null;
select is(tests.nudge(), 1, 'a connection whose worker is at work is not due');
select tests.pass('2 minutes');
select is(tests.nudge(), 4, 'a connection whose lease has ended is due');

-- not due
update public.calendly_connections set state = 'reconnect_required'
  where user_id = tests.id_of('ana');
select public.calendly_disconnect(tests.account('ben'));
update public.calendly_connections set next_sync_at = calendly.now() + interval '1 second'
  where user_id = tests.id_of('cleo');
select is(tests.nudge(), 1,
  'there is no nudge for a connection that must reconnect, has ended, or is not due yet');

-- only a revocation is left
update public.calendly_connections set next_sync_at = null;
select calendly.end_runs(c.id, '{}') from public.calendly_connections c;
select is(tests.nudge(), 1, 'there is one nudge where only a token has to be revoked');
create function revocations_are_told() returns boolean language sql as $$
  select (public.calendly_claim_sync(jsonb_build_object('project_url', p.url))
    ->> 'revocations_due')::boolean
  from calendly.project p
$$;
select ok(revocations_are_told(), 'the worker that finds nothing due is told of the revocation');
delete from calendly.pending_revocations;
select ok(not revocations_are_told(), 'a worker for whom nothing is left need not ask again');
update calendly.project set unanswered_since = calendly.now();
select is(calendly.nudge(), 0, 'there is none where nothing is left');
select is((select p.unanswered_since from calendly.project p), null,
  'a nudge that was not answered is no alert once nothing is due');
update public.calendly_connections set next_sync_at = calendly.now()
  where user_id = tests.id_of('dan');

-- what an operator sees of it
select is(shown - 'jobs' - 'ticked_at',
  '{"project_url": "https://project.example.com", "due": 1, "running_workers": 0,
    "max_workers": 20, "tick": "00:01:00", "unanswered_since": null, "backing_off": false,
    "restored_at": null}', 'calendly_schedule shows what is due and how many workers run')
  from public.calendly_schedule() shown;
select is((shown ->> 'ticked_at')::timestamptz, calendly.now(),
  'calendly_schedule shows the last tick') from public.calendly_schedule() shown;
insert into cron.job_run_details (jobid, runid, status, return_message, start_time)
  select j.jobid, 1000000 + n, status, status, now()
  from cron.job j
  cross join (values (1, 'failed'), (2, 'succeeded')) r (n, status)
  where j.jobname = 'calendly-nudge';
select is((
    select array_agg(j ->> 'name' || coalesce(' ' || (j ->> 'status'), '') order by j ->> 'name')
    from jsonb_array_elements(public.calendly_schedule() -> 'jobs') j),
  '{calendly-accounts,calendly-clean-job-log,calendly-clean-runs,calendly-clean-webhook-events,'
    '"calendly-nudge succeeded",calendly-settle-deliveries}', 'calendly_schedule shows each job with its last run');

-- the address
select is(tests.code_of($$select tests.begin_from('dan', 'https://elsewhere.example.com')$$),
  'project_moved', 'another address is refused once one is stored');
select public.calendly_claim_sync('{"project_url": "https://elsewhere.example.com"}');
delete from net.http_request_queue;
select calendly.nudge();
select is((select array_agg(distinct q.url) from net.http_request_queue q),
  '{https://project.example.com/functions/v1/calendly-sync/nudge}',
  'an address that was refused is never nudged');

-- who may
select throws_ok($$set local role anon; select calendly.nudge()$$, '42501', null,
  'no API role can nudge');
reset role;
select throws_ok($$set local role authenticated; select public.calendly_claim_sync('{}')$$,
  '42501', null, 'a signed-in person cannot claim');
reset role;
select throws_ok($$set local role authenticated;
    select public.calendly_confirm_project('https://mine.example.com')$$, '42501', null,
  'a signed-in person cannot move the project');
reset role;
select throws_ok($$set local role authenticated; select public.calendly_schedule()$$, '42501',
  null, 'a signed-in person cannot see the schedule');
reset role;

select * from finish();
rollback;
