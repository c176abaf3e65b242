-- Calendly's rate limit and a worker's own budget: a short wait is waited for, a longer one pauses
-- the run, and scheduled work leaves a reserve for a click.
begin;
select plan(48);
select calendly.set_clock('2026-06-01T12:00:00Z');
update calendly.settings set schedule_jitter = 0, invitee_batch = 25;
select tests.add_person('ana');
create function tests.rate(remaining integer, reset integer,
  limit_ integer default 500) returns jsonb
  language sql as $$
  select jsonb_build_object('rate',
    jsonb_build_object('limit', limit_, 'remaining', remaining, 'reset', reset))
$$;
create function tests.begin_listing(trigger text default 'manual') returns void language sql as $$
  select tests.pass('1 hour');
  select tests.begin('ana', trigger);
$$;

-- what Calendly reports
select tests.begin_listing();
select is(tests.bring('ana', tests.page('{}', 'p2') || tests.rate(499, 60)) ->> 'wait_seconds', '0',
  'while requests are left a worker does not wait');
select is(row(c.rate_limit, c.rate_remaining, c.rate_resets_at)::text,
  row(500, 499, calendly.now() + interval '60 seconds')::text,
  'the connection stores the rate limit that Calendly reports')
  from tests.connection_of('ana') c;
select tests.bring('ana', tests.page('{}', 'p3'));
select is((tests.connection_of('ana')).rate_remaining, 499,
  'an answer without a rate limit keeps the stored one');

-- used up, and soon reset
select is(tests.bring('ana', tests.page('{}', 'p4') || tests.rate(0, 20)) ->> 'wait_seconds', '20',
  'a reset within the worker''s time is waited for');
select is((tests.run_of('ana')).status, 'running', 'a run that waits for a reset keeps running');
select tests.pass('20 seconds');
select is(tests.bring('ana', tests.page('{}', 'p5')) ->> 'wait_seconds', '0',
  'after the reset a worker does not wait');
select is(tests.bring('ana',
  '{"interruption": {"code": "rate_limited", "message": "429", "retry_after": 7}}')
  ->> 'wait_seconds', '7', 'a 429 is waited for as long as it says');
select is((tests.state_of('ana')).interruptions, 0, 'a 429 that is waited for is no interruption');
select tests.pass('7 seconds');

-- used up for longer
create temporary table stopped as select tests.bring('ana', tests.page('{}', 'p6')
  || tests.rate(0, 50)) as next;
select is(next ->> 'do', 'stop', 'a reset after the worker''s time pauses the run') from stopped;
select is(next #>> '{result,reason,code}', 'rate_limited', 'a run paused by the rate limit says so')
  from stopped;
select is((next #>> '{result,resume_at}')::timestamptz, calendly.now() + interval '50 seconds',
  'a run paused by the rate limit goes on at the reset')
  from stopped;
select is((tests.connection_of('ana')).next_sync_at, calendly.now() + interval '50 seconds',
  'a connection paused by the rate limit is due at the reset');
select tests.begin('ana');
select is(tests.bring('ana',
  '{"interruption": {"code": "rate_limited", "message": "429", "retry_after": 90}}')
  #>> '{result,status}', 'paused', 'a 429 for longer than the worker''s time pauses the run');
select is(row(next -> 'requests_left', next -> 'concurrency', next -> 'wait_seconds')::text,
  '(1,1,0)', 'a click before the reset tries with one request')
  from (select tests.begin('ana') -> 'next' as next) click;
select is(tests.bring('ana',
  '{"interruption": {"code": "rate_limited", "message": "429", "retry_after": 90}}')
  #>> '{result,status}', 'paused', 'a click that is answered with 429 pauses the run again');
select tests.pass('90 seconds');
select is(tests.begin('ana') #>> '{next,query,page_token}', 'p6',
  'after the reset the run goes on at its page');
select is((tests.connection_of('ana')).last_error, null,
  'a used up rate limit is no error of the connection');
select tests.fail('ana', '{"code": "internal"}');

-- what no rate limit can be
create function tests.forget_rate() returns void language sql as $$
  select calendly.end_run(o.run_id, 'failed', '{}') from calendly.active_runs o;
  update public.calendly_connections
    set rate_remaining = null, rate_resets_at = null, rate_limit = null;
$$;
create function tests.waited(retry_after text) returns interval language sql as $$
  select tests.forget_rate();
  select tests.begin_listing('scheduled');
  select tests.bring('ana', jsonb_build_object('interruption', jsonb_build_object(
    'code', 'rate_limited', 'message', '429', 'retry_after', retry_after::numeric)));
  select (tests.connection_of('ana')).rate_resets_at - calendly.now();
$$;
select is(tests.waited(told), believed::interval, format('a reset in %s seconds is waited for', told))
  from (values ('0', '1 second'), ('-60', '1 second'), ('0.2', '1 second'),
    ('59.5', '59.5 seconds'), ('3600', '1 hour'), ('3601', '1 hour'),
    ('1795651200', '1 hour'), ('1e300', '1 hour')) reset (told, believed);
select is(tests.waited('31536000'), '1 hour', 'a reset in a year is waited for an hour');
select tests.forget_rate();
select tests.begin_listing('scheduled');
create function tests.hit() returns text language sql as $$
  select tests.bring('ana',
    '{"interruption": {"code": "rate_limited", "message": "429", "retry_after": 0}}');
  select ((tests.connection_of('ana')).rate_resets_at - calendly.now())::text;
$$;
update calendly.active_runs set worker_ends_at = 'infinity';
select is(array(select tests.hit() from generate_series(1, 9)),
  array['00:00:01', '00:00:02', '00:00:04', '00:00:08', '00:00:16', '00:00:32', '00:01:00',
    '00:01:00', '00:01:00'],
  'a reset at once is waited for longer each time in a row, up to a minute');
select tests.pass('1 minute');
select tests.bring('ana', tests.page('{}', 'p2'));
select is(tests.hit(), '00:00:01', 'an answer in between starts the count again');
select tests.bring('ana', tests.page('{}', 'p3')
  || '{"rate": {"limit": null, "remaining": 0, "reset": 31536000}}');
select is(row(c.rate_limit, c.rate_resets_at - calendly.now())::text, '(,01:00:00)',
  'a rate limit without its size and with a reset in a year lasts an hour')
  from tests.connection_of('ana') c;
select tests.forget_rate();
update public.calendly_connections
  set rate_remaining = 0, rate_resets_at = calendly.now() + interval '50 years';
select is(tests.begin('ana', 'scheduled') #>> '{next,wait_seconds}', '0',
  'a reset from before the clock was set back is ignored');
select tests.forget_rate();

-- a reserve
select tests.begin_listing('scheduled');
select is(tests.bring('ana', tests.page('{}', 'p2') || tests.rate(101, 50)) ->> 'do', 'list_events',
  'a scheduled run goes on while more than the reserve is left');
select is(tests.bring('ana', tests.page('{}', 'p3') || tests.rate(100, 70))
  #>> '{result,reason,code}', 'rate_limited',
  'a scheduled run pauses when only the reserve is left');
select is(tests.begin('ana') #>> '{next,query,page_token}', 'p3', 'a click may use the reserve');
select is((tests.begin('ana') ->> 'status'), 'in_progress',
  'a run that a click resumed is in progress');
select tests.bring('ana', '{"interruption": {"code": "calendly_unavailable", "message": "x"}}');
select is(tests.begin('ana', 'scheduled') #>> '{next,do}', 'stop',
  'a scheduled run may not use the reserve');
select is(tests.begin('ana', 'service') #>> '{next,do}', 'list_events',
  'a server''s sync may use the reserve');
select tests.fail('ana', '{"code": "internal"}');

-- a batch is no larger than what is left
select tests.begin_listing();
select is(jsonb_array_length(tests.bring('ana',
  tests.page(array(select tests.event('E' || n) from generate_series(1, 30) n))
  || tests.rate(400, 30))
  -> 'event_uris'),
  25, 'a step fetches the invitees of 25 events');
select is(tests.event_names(tests.bring('ana',
  jsonb_build_object('requests', 1, 'invitees', '[]'::jsonb) || tests.rate(3, 30))),
  array['E1', 'E10', 'E11'], 'a step fetches no more than the rate limit allows');
select tests.pass('30 seconds');
select is(jsonb_array_length(tests.bring('ana',
  jsonb_build_object('requests', 765, 'invitees', '[]'::jsonb))
  -> 'event_uris'),
  25, 'after the reset a step fetches the invitees of 25 events again');
select is(jsonb_array_length(tests.bring('ana',
  jsonb_build_object('requests', 23, 'invitees', '[]'::jsonb))
  -> 'event_uris'),
  10, 'a step fetches no more than the worker''s own requests allow');

-- the worker's budget
select is(tests.bring('ana', jsonb_build_object('requests', 10, 'invitees', '[]'::jsonb)) ->> 'do',
  'stop', 'a worker that has used up its requests stops');
select is(row(r.status, r.resume_at, r.error)::text,
  row('paused', calendly.now(), null::jsonb)::text,
  'a run whose worker is used up can go on at once')
  from tests.run_of('ana') r;
select is((tests.connection_of('ana')).next_sync_at, calendly.now(),
  'a connection whose worker is used up is due at once');
select is(jsonb_array_length(tests.begin('ana', 'scheduled') #> '{next,event_uris}'), 25,
  'another worker has requests of its own');
select tests.pass('50 seconds');
select is(tests.bring('ana', '{"invitees": []}') ->> 'do', 'stop',
  'a worker whose time is up stops');
select tests.begin('ana');
select tests.pass('49 seconds');
select is(tests.bring('ana', '{"invitees": []}') ->> 'do', 'fetch_invitees',
  'a worker whose time is not up goes on');
select tests.pass('1 second');
update calendly.meeting_sync set invitees_due_at = null;
select is(tests.bring('ana', '{"invitees": []}') ->> 'do', 'finish',
  'a run with nothing left is finished though the worker''s time is up');
select is(tests.finish('ana') #>> '{result,status}', 'complete',
  'a run that is finished after the worker''s time is complete');

select * from finish();
rollback;
