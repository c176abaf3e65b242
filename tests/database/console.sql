-- What the console's Operations read: the first screen, freshness over time, one run, one delivery,
-- deliveries by day, and the ticks of the schedule.
begin;
select plan(68);
select calendly.set_clock('2026-06-01T12:00:30Z');
update calendly.settings set schedule_jitter = 0;
create function tests.overview(variadic path text[]) returns text language sql as $$
  select public.calendly_console_overview() #>> path
$$;

-- the first screen of an empty project
select is(tests.overview('status'), 'healthy', 'an empty project is healthy');
select is(public.calendly_console_overview() -> 'alerts', '{"critical": 0, "warning": 0}',
  'it has no alert');
select is(tests.overview('first_alert'), null, 'so there is no first one');
select is(tests.overview('freshness', 'p50_seconds'), null,
  'there is no freshness where nobody is synced');
select is(tests.overview('freshness', 'users'), '0', 'nobody is connected');
select is(tests.overview('counts', 'meetings'), '0', 'there are no meetings');
select is(tests.overview('last_tick_at'), null, 'there was no tick');
select is(tests.overview('next_tick_at')::timestamptz, '2026-06-01T12:01:00Z',
  'the next tick is at the next full minute');
select is_empty('select * from public.calendly_freshness_history()', 'there is no history');
select is_empty('select * from public.calendly_deliveries_by_day()', 'there are no deliveries');
select is_empty('select * from public.calendly_schedule_ticks()', 'and no ticks');

-- the ticks
update calendly.settings set tick = '10 seconds';
select calendly.nudge();
select is(tests.overview('next_tick_at')::timestamptz, '2026-06-01T12:00:40Z',
  'a shorter tick counts from the last one');
select tests.pass('1 hour');
select is(tests.overview('next_tick_at')::timestamptz, '2026-06-01T13:00:30Z',
  'one that is late comes now');
update cron.job set active = false where jobname = 'calendly-nudge';
select is(tests.overview('next_tick_at'), null, 'where the job is switched off there is none');
update cron.job set active = true where jobname = 'calendly-nudge';
update calendly.settings set tick = '1 minute';

-- a sync with its steps
select tests.add_person('ana');
create temporary table step as select tests.begin('ana') as asked;
select tests.pass('2 seconds');
update step set asked = tests.bring('ana', jsonb_build_object('requests', 3)
  || tests.page(array[tests.event('E1'), tests.event('E2')], 'next'));
create function tests.details(variadic path text[]) returns jsonb language sql as $$
  select public.calendly_run_details((tests.run_of('ana')).id) #> path
$$;
select is(tests.details('steps', '0') ->> 'kind', 'begin', 'a run''s steps start with its begin');
select is(tests.details('steps', '1'), '{"kind": "list_events", "at": "2026-06-01T13:00:30.000000Z",
    "until": "2026-06-01T13:00:32.000000Z", "steps": 1, "requests": 3, "events": 2, "created": 2}',
  'a page tells when it was asked for and applied, what it cost and what it changed');
select is(tests.details('steps', '-1'), '{"kind": "list_events",
    "at": "2026-06-01T13:00:32.000000Z", "until": null}',
  'the last one is the step that is being worked on');
select is(tests.details('worker', 'requests_left')::integer, 797,
  'a run that is worked on tells what its worker may still spend');
select tests.bring('ana', '{"requests": 1, "rate": {"limit": 500, "remaining": 0, "reset": 5},
  "interruption": {"code": "rate_limited", "message": "Too many.", "retry_after": 5}}');
select is(tests.details('steps', '2', 'interruption'), '"rate_limited"',
  'an answer that is no page tells why');
select tests.bring('ana', '{"requests": 1,
  "interruption": {"code": "calendly_unavailable", "message": "Away."}}');
select is(tests.details('steps', '-1') - 'at', jsonb_build_object('kind', 'pause', 'steps', 1,
    'code', 'calendly_unavailable',
    'until', calendly.to_calendly((tests.run_of('ana')).resume_at)),
  'a pause tells why, and until when');
select is(tests.details('worker'), 'null'::jsonb, 'a paused run has no worker');
select is(tests.overview('counts', 'paused_runs'), '1', 'the first screen counts paused runs');
select tests.pass('1 minute');
select tests.begin('ana');
select is(tests.overview('counts', 'active_runs'), '1', 'and running ones');
select tests.bring('ana', tests.page(array[tests.event('E3', '{"start_time": "never"}')]));
select tests.bring('ana', jsonb_build_object('invitees', jsonb_build_array(
  tests.invitees_of('E1', tests.invitee('E1', 'ines')),
  tests.invitees_of('E2', tests.invitee('E2', 'jo')))));
select is(tests.details('steps', '-2') - '{at,until}'::text[], '{"kind": "fetch_invitees",
    "steps": 1, "requests": 1, "invitees_read": 2, "updated": 0}'::jsonb - 'updated',
  'what changes nothing that is counted tells no counts');
select tests.finish('ana');
select is(array(select s ->> 'kind' from jsonb_array_elements(tests.details('steps')) s),
  '{begin,list_events,list_events,list_events,pause,list_events,fetch_invitees,finish}',
  'a complete run tells all that was done');
select is(tests.details('rejections'), (tests.run_of('ana')).rejections,
  'a run tells what it could not use');
select is(tests.details('run', 'status'), '"complete"', 'with the run itself');
select is(tests.details('people'), jsonb_build_object('count', 1, 'first', jsonb_build_array(
    jsonb_build_object('user_id', tests.id_of('ana'), 'name', 'Ana',
      'email', 'ana@calendly.example.com', 'has_account', true))),
  'and whose meetings it wrote');
select is(tests.code_of($$select public.calendly_run_details(gen_random_uuid())$$), 'not_found',
  'a run that is not there is not found');

-- a failed one
select tests.pass('5 minutes'), tests.begin('ana'), tests.fail('ana', '{"code": "internal"}');
select is(tests.details('steps', '-1'), jsonb_build_object('kind', 'fail', 'code', 'internal',
    'at', calendly.to_calendly(calendly.now()), 'until', calendly.to_calendly(calendly.now())),
  'a failed run ends with why');

-- very many steps
create function tests.with_steps(kinds text[]) returns jsonb language plpgsql as $$
declare
  kind text;
  steps jsonb := '[]';
  n integer := 0;
begin
  foreach kind in array kinds loop
    n := n + 1;
    steps := calendly.add_step(steps, jsonb_build_object(
      'kind', kind, 'at', n, 'until', n || ' ends', 'steps', 1, 'requests', 2) - 'at'
      || jsonb_build_object('at', n || ' begins'));
  end loop;
  return steps;
end
$$;
create temporary table steps as
  select tests.with_steps(array_fill('list_events'::text, '{39}')
    || array['pause', 'list_events', 'fetch_invitees', 'pause', 'list_events']) as long;
select is(jsonb_array_length(long), 41, 'forty steps stand by themselves, and one of each kind')
  from steps;
select is(long -> 38, '{"kind": "list_events", "at": "39 begins", "until": "44 ends", "steps": 3,
    "requests": 6}', 'a further one is added to the last of its kind') from steps;
select is(long -> 40, '{"kind": "fetch_invitees", "at": "42 begins", "until": "42 ends",
    "steps": 1, "requests": 2}', 'the first of another kind is kept') from steps;

-- an organization
select tests.add_organization('olga', 'everyone');
select tests.sync('olga', array[tests.event('O1', tests.hosted_by('hanna', 'hugo'))],
  trigger => 'scheduled');
create function tests.organization_run(variadic path text[]) returns jsonb language sql as $$
  select public.calendly_run_details((tests.run_of('olga')).id) #> path
$$;
select is(tests.organization_run('people', 'count')::integer, 3,
  'an organization''s run writes for every host whom it keeps');
select is(array(select p -> 'has_account'
    from jsonb_array_elements(tests.organization_run('people', 'first')) p),
  '{true,false,false}'::jsonb[], 'hosts without an account among them');
select is(tests.organization_run('connection', 'covered'), 'true', 'it lists all of them');
select tests.begin('olga');
select is(tests.organization_run('connection', 'covered'), 'false',
  'a click lists one person alone');
select is(tests.organization_run('people', 'count')::integer, 1, 'and writes for that person');
select tests.fail('olga', '{"code": "internal"}');
select is(public.calendly_console_overview() -> 'counts', '{"users": 4,
    "users_without_account": 2, "connections": 2, "failing_connections": 2, "active_runs": 0,
    "paused_runs": 0,
    "meetings": 4, "meetings_are_estimated": false, "deliveries_24h": 0,
    "deferred_deliveries": 0, "dead_deliveries": 0}', 'the first screen counts all of it');

-- freshness over time: ana was proven at 13:00:30, olga's organization at 13:06:32; what failed,
-- and olga's click at 13:10:30, prove nothing
select calendly.set_clock('2026-06-01T13:10:30Z'), tests.sync('olga', '{}');
select calendly.set_clock('2026-06-01T13:20:30Z');
create temporary table history as
  select * from public.calendly_freshness_history('2026-06-01T13:00:00Z', '5 minutes');
select is(array(select to_char(at at time zone 'UTC', 'HH24:MI') from history),
  '{13:05,13:10,13:15,13:20}', 'a time before anybody was synced is left out');
select is((select row(users, p50_seconds, max_seconds) from history order by at limit 1),
  row(1::bigint, 300::double precision, 300::double precision),
  'a proof is as old as the begin of the run');
select is((select users from history where at = '2026-06-01T13:10:30Z'), 4::bigint,
  'members of an organization are as fresh as its connection');
select is((select p50_seconds from history where at = '2026-06-01T13:20:30Z'),
  838::double precision, 'half of the people are fresher than p50');
select is((select max_seconds from history where at = '2026-06-01T13:20:30Z'),
  1200::double precision, 'nobody was staler than max');
select is((select max_seconds from history order by at desc limit 1),
  tests.overview('freshness', 'max_seconds')::double precision,
  'the last point is what the first screen says');
select is((select count(*) from public.calendly_freshness_history(
    '2026-06-01T13:06:32Z', '1 second')), 120::bigint,
  'there are never more than 120 points: the step becomes longer');
select is((select extract(epoch from max(at) - min(at))::numeric(9, 3)
    from public.calendly_freshness_history('2026-06-01T13:06:32Z', '1 second')), 838.000,
  'and they still span the time that was asked for');
select is_empty($$select * from public.calendly_freshness_history('2026-06-02')$$,
  'of the future nothing is known');
select public.calendly_disconnect(tests.account('ana'));
select is((select users from public.calendly_freshness_history() order by at desc limit 1),
  3::bigint, 'somebody who is disconnected is in no history');

-- what the ticks did
update calendly.project set url = 'https://project.example.com';
update public.calendly_connections set next_sync_at = calendly.now() where state = 'active';
delete from calendly.pending_revocations;
select calendly.nudge();
select is((select row(t.nudges, t.answered) from public.calendly_schedule_ticks(calendly.now()) t),
  row(1, null::boolean), 'of a nudge that has just been sent nothing is known yet');
select tests.pass('1 minute'), calendly.nudge();
select public.calendly_claim_sync('{"project_url": "https://project.example.com"}');
select tests.pass('1 minute'), calendly.nudge();
insert into cron.job_run_details (jobid, runid, status, return_message, start_time)
  select j.jobid, 1, 'failed', 'out of memory', '2026-06-01T13:22:00Z'
  from cron.job j where j.jobname = 'calendly-nudge';
select results_eq(
  $$select to_char(at at time zone 'UTC', 'HH24:MI:SS'), due, nudges, answered, running_workers,
    runs_started::integer, error from public.calendly_schedule_ticks('2026-06-01T13:20:00Z')$$,
  $$values ('13:20:30', 1, 1, false, 0, 0, null), ('13:21:30', 1, 1, true, 0, 1, null),
    ('13:22:00', null, null, null, null, null, 'out of memory'),
    ('13:22:30', 0, 0, null, 1, 0, null)$$,
  'each tick tells what was due, whom it nudged, whether anybody came and what began; '
    'a tick that failed tells why');
insert into calendly.ticks (ticked_at, due, nudges, running_workers)
  select calendly.now() - n * interval '1 second', 0, 0, 0 from generate_series(1, 400) n
  on conflict do nothing;
select is((select count(*) from public.calendly_schedule_ticks('2026-06-01T13:22:20Z')),
  11::bigint, 'no tick is older than was asked for');
select is((select count(*) from public.calendly_schedule_ticks() t where t.error is null),
  360::bigint, 'the latest 360 are shown');
select tests.pass('6 days 23 hours'), calendly.clean_job_log();
select isnt_empty('table calendly.ticks', 'ticks are kept for a week');
select tests.pass('2 hours'), calendly.clean_job_log();
select is_empty('table calendly.ticks', 'they go with pg_cron''s log');

-- deliveries
select calendly.set_clock('2026-06-03T12:00:00Z');
create function tests.store(
  name text, status text, came_at timestamptz, body jsonb default '{}', host text default 'olga'
) returns uuid language sql as $$
  insert into public.calendly_webhook_events
      (event_id, event_type, payload, user_id, created_at, status)
    select store.name, 'invitee.created',
      case when store.status <> 'ignored' then body end, tests.id_of(host), came_at, store.status
    returning id
$$;
select tests.store('D1', 'processed', '2026-06-01T23:59:59Z'),
  tests.store('D2', 'processed', '2026-06-02T00:00:00Z'),
  tests.store('D3', 'processed', '2026-06-02T12:00:00Z'),
  tests.store('D4', 'ignored', '2026-06-02T12:00:00Z'),
  tests.store('D0', 'processed', '2026-05-01T12:00:00Z');
select results_eq('select * from public.calendly_deliveries_by_day()',
  $$values ('2026-06-01'::date, 'invitee.created', 'processed', 1::bigint, true),
    ('2026-06-02', 'invitee.created', 'ignored', 1, true),
    ('2026-06-02', 'invitee.created', 'processed', 2, true)$$,
  'deliveries of the last 30 days are counted by day, type and what became of them');
select is((select sum(count) from public.calendly_deliveries_by_day('2026-06-02T06:00:00Z')),
  2::numeric, 'or those since a time');
select tests.sync('olga', array[tests.event('O1', tests.hosted_by('hanna', 'hugo'))],
  trigger => 'scheduled') from generate_series(1, 2);
create temporary table stored as select tests.store('D5', 'processed', '2026-06-03T11:00:00Z',
  jsonb_build_object('payload', tests.invitee('O1', 'ines')), 'hugo') as id;
create function tests.delivery(variadic path text[]) returns jsonb language sql as $$
  select public.calendly_delivery_details(s.id) #> path from stored s
$$;
select is(array(select (m ->> 'user_id')::integer
    from jsonb_array_elements(tests.delivery('meetings')) m),
  array[tests.id_of('hanna'), tests.id_of('hugo')],
  'a delivery tells the meetings of its event, one of each host');
select is(tests.delivery('event_uri'), to_jsonb(tests.event_uri('O1')), 'with the event');
select is(tests.delivery('delivery', 'event_id'), '"D5"', 'and with all that is stored of it');
select is(tests.delivery('next_run', 'id'), to_jsonb((tests.run_of('olga')).id),
  'and the next sync that listed the same person''s events');
update public.calendly_webhook_events set created_at = '2026-06-03T12:00:01Z', payload = null
  where event_id = 'D5';
select is(tests.delivery('next_run'), 'null'::jsonb, 'where there was none it tells none');
select is(public.calendly_delivery_details(s.id) -> 'meetings', '[]',
  'without its payload it tells no meetings') from stored s;
select is(tests.code_of($$select public.calendly_delivery_details(gen_random_uuid())$$),
  'not_found', 'a delivery that is not stored is not found');

-- of very many
set local session_replication_role = replica;
insert into public.calendly_webhook_events (event_id, event_type, created_at, status)
  select 'many ' || n, 'invitee.created', '2026-06-02T18:00:00Z'::timestamptz
    - n * interval '1 microsecond', 'ignored' from generate_series(1, 100001) n;
insert into public.calendly_meetings (user_id, calendly_event_uri)
  select 1, 'many ' || n from generate_series(1, 10001) n;
set local session_replication_role = origin;
select is((select array_agg(distinct day || ' ' || is_complete)
    from public.calendly_deliveries_by_day()), '{2026-06-02 false,2026-06-03 true}',
  'of very many deliveries the latest are counted, and a day that is counted in part says so');
select is(tests.overview('counts', 'deliveries_24h'), '100000', 'no more are counted in a day');
select is(tests.overview('counts', 'meetings_are_estimated'), 'true',
  'very many meetings are estimated');

-- on a local stack that is ahead of real time
select calendly.set_clock(null, '2 days');
insert into cron.job_run_details (jobid, runid, status, return_message, start_time)
  select j.jobid, 2, 'failed', 'out of disk', clock_timestamp()
  from cron.job j where j.jobname = 'calendly-nudge';
select is((select array_agg(t.error) from public.calendly_schedule_ticks() t
    where t.error is not null), '{out of disk}',
  'a tick that failed after time was let pass is shown');

select * from finish();
rollback;
