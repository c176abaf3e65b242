-- Calendly's rate limit is kept, and scheduled work leaves room in it for a person's click.
begin;
select plan(30);
select calendly.set_clock('2026-06-01T12:00:00Z');
update calendly.settings set invitee_batch = 25;
select tests.add_person('ana');
select tests.sync('ana', '{}');

-- what Calendly said with its last answer
create function tests.limit_is(remaining integer, resets_in interval default '30 seconds',
  rate_limit integer default 500) returns void
  language sql as $$
  update public.calendly_connections c
    set rate_limit = limit_is.rate_limit, rate_remaining = remaining, rate_resets_at
      = calendly.now() + resets_in
    where c.user_id = tests.id_of('ana')
$$;
create function tests.first_step(trigger text) returns jsonb language sql as $$
  select tests.begin('ana', first_step.trigger) -> 'next'
$$;
create function tests.end_active() returns void language sql as $$
  select calendly.end_runs((tests.connection_of('ana')).id, '{}')
$$;

-- the reserve
select is(tests.first_step('scheduled') ->> 'wait_seconds', '0',
  'a sync without a known rate limit begins');
select tests.end_active(), tests.limit_is(101);
select is(tests.first_step('scheduled') ->> 'wait_seconds', '0',
  'a scheduled sync uses the requests above the reserve');
select tests.end_active(), tests.limit_is(100);
select is(tests.first_step('scheduled') ->> 'wait_seconds', '30',
  'a scheduled sync waits for a reset within its time instead of using the reserve');
select tests.end_active(), tests.limit_is(100, '51 seconds');
select is(tests.first_step('scheduled') ->> 'do', 'stop',
  'a scheduled sync stops when the reset is after its time');
select is((tests.run_of('ana')).status, 'paused',
  'a scheduled run that would use the reserve is paused');
select is((tests.run_of('ana')).resume_at, calendly.now() + interval '51 seconds',
  'a run paused for the reserve goes on at the reset');
select is((tests.run_of('ana')).error ->> 'code', 'rate_limited',
  'a run paused for the reserve says that the rate limit is used up');
select is((tests.connection_of('ana')).next_sync_at, calendly.now() + interval '51 seconds',
  'a connection paused for the reserve is due at the reset');
select is(tests.first_step('manual') ->> 'do', 'list_events',
  'a click resumes the paused run at once and uses the reserve');
select is((select count(*) from public.calendly_sync_runs r where r.user_id = tests.id_of('ana')
  and r.status = 'running'),
  1::bigint, 'a click that resumes a run makes no second one');
select tests.end_active(), tests.limit_is(1);
select is(tests.first_step('manual') ->> 'wait_seconds', '0', 'a click may use the last request');
select tests.end_active(), tests.limit_is(0);
select is(tests.first_step('manual') ->> 'wait_seconds', '30',
  'a click without requests waits for a reset within its time');
select tests.end_active(), tests.limit_is(0, '51 seconds');
select is(tests.first_step('service') ->> 'requests_left', '1',
  'a server''s sync without requests tries once when the reset is after its time');
select tests.end_active(), tests.limit_is(0, '51 seconds');
select is(tests.first_step('scheduled') ->> 'do', 'stop',
  'a scheduled sync without requests pauses when the reset is after its time');
select tests.end_active(), tests.limit_is(10, rate_limit => 50);
select is(tests.first_step('scheduled') ->> 'wait_seconds', '30',
  'of 50 requests a minute the reserve is ten');
select tests.end_active(), tests.limit_is(11, rate_limit => 50);
select is(tests.first_step('scheduled') ->> 'wait_seconds', '0',
  'of 50 requests a minute the eleventh is above the reserve');
select tests.end_active(), tests.limit_is(0, '-1 second');
select is(tests.first_step('scheduled') ->> 'wait_seconds', '0',
  'a rate limit from before its reset is ignored');
select tests.end_active(), tests.limit_is(251), public.calendly_configure('{"rate_reserve": 0.5}');
select is(tests.first_step('scheduled') ->> 'wait_seconds', '0', 'the reserve is a setting');
select tests.end_active(), tests.limit_is(250);
select is(tests.first_step('scheduled') ->> 'wait_seconds', '30',
  'a scheduled sync with a reserve of half waits when half is left');
select is((tests.state_of('ana')).lease_expires_at, calendly.now() + interval '150 seconds',
  'the lease of a waiting worker lasts until after its wait');
select public.calendly_configure('{"rate_reserve": 0.2}');

-- batches
select tests.end_active(), tests.limit_is(500), tests.begin('ana', 'scheduled');
select tests.bring('ana', tests.page((select array_agg(tests.event('E' || n, jsonb_build_object(
  'start_time', calendly.to_calendly(calendly.now() + n * interval '1 hour'), 'end_time',
    calendly.to_calendly(calendly.now() + n * interval '1 hour' + interval '30 minutes'))))
  from generate_series(1, 40) n)) || '{"rate": {"limit": 500, "remaining": 112, "reset": 30}}');
select is((tests.connection_of('ana')).rate_remaining, 112,
  'the remaining requests that Calendly reports are stored');
select is((tests.connection_of('ana')).rate_resets_at, calendly.now() + interval '30 seconds',
  'the reset that Calendly reports is stored');
create function tests.next_step() returns jsonb language sql as $$
  select calendly.next_step(calendly.read_run((tests.run_of('ana')).id))
$$;
create temporary table asked as select tests.next_step() as step;
select is(jsonb_array_length(step -> 'event_uris'), 12,
  'a step fetches the invitees of no more events than requests may be spent')
  from asked;
select is((tests.event_names(step))[1], 'E1',
  'a step fetches the invitees of the next meetings first')
  from asked;
select is(tests.bring('ana',
  jsonb_build_object('requests', 12, 'rate', '{"limit": 500, "remaining": 100, "reset": 29}'::jsonb,
  'invitees',
    (select jsonb_agg(tests.invitees_of(name, variadic '{}')) from asked,
      unnest(tests.event_names(step)) name)))
    ->> 'wait_seconds', '29',
  'a run without requests waits for the reset');
update calendly.active_runs set worker_ends_at = calendly.now() + interval '20 seconds';
select is(tests.next_step() #>> '{result,status}', 'paused',
  'a run without requests pauses when its worker ends before the reset');
select tests.pass('29 seconds');
select is(jsonb_array_length(tests.begin('ana', 'scheduled') #> '{next,event_uris}'), 25,
  'a run goes on with the rest after the reset');
update calendly.active_runs set worker_requests = 3;
select is(jsonb_array_length(tests.next_step() -> 'event_uris'), 3,
  'a step costs no more than the worker''s own requests');
update calendly.active_runs set worker_requests = 0;
select is(tests.next_step() ->> 'do', 'stop',
  'a worker without own requests stops');
select is((tests.run_of('ana')).resume_at, calendly.now(),
  'a run whose worker has no requests left can go on at once');

select * from finish();
rollback;
