-- What may be read while a step is applied: the next page, or the invitees of the next events. Such
-- a reading begins before its own step is given out: nothing is deleted because of it that may have
-- come after it began.
begin;
select plan(23);
select calendly.set_clock('2026-06-01T12:00:00Z');
update calendly.settings
  set schedule_jitter = 0, invitee_batch = 2, missing_event_lookups = 0;
select tests.add_person('ana');
create function tests.rate(remaining integer) returns jsonb language sql as $$
  select jsonb_build_object('rate',
    jsonb_build_object('limit', 500, 'remaining', remaining, 'reset', 300))
$$;
create function tests.at(event text, day integer) returns jsonb language sql as $$
  select tests.event(event, jsonb_build_object(
    'start_time', calendly.to_calendly(noon + day * interval '1 day'),
    'end_time', calendly.to_calendly(noon + day * interval '1 day' + interval '1 hour')))
  from (values ('2026-06-01T12:00:00Z'::timestamptz)) today (noon)
$$;
create function tests.ahead(step jsonb) returns text[] language sql as $$
  select tests.event_names(step -> 'ahead')
$$;
create function tests.read(step jsonb, rate jsonb default '{}') returns jsonb language sql as $$
  select tests.bring('ana', rate || jsonb_build_object('invitees', (
    select coalesce(jsonb_agg(tests.invitees_of(event, tests.invitee(event, 'ines'))), '[]')
    from unnest(tests.event_names(step)) event)))
$$;
create function tests.invitees(event text) returns text language sql as $$
  select string_agg(v.name, ', ' order by v.name)
  from public.calendly_invitees v join tests.meeting(event) m on m.id = v.meeting_id
$$;

-- pages
create temporary table step as select tests.begin('ana') -> 'next' as next;
select is(row(next -> 'ahead', next ->> 'concurrency')::text, '(true,20)',
  'the next page may be read ahead, by 20 requests at once, while nothing is known of the rate')
  from step;
update step set next = tests.bring('ana', tests.page('{}', 'p2') || tests.rate(2));
select is(row(next -> 'ahead', next ->> 'concurrency')::text, '(true,2)',
  'no more requests are made at once than the rate limit has left') from step;
update step set next = tests.bring('ana', tests.page('{}', 'p3') || tests.rate(1));
select is(row(next -> 'ahead', next ->> 'concurrency')::text, '(false,1)',
  'no page is read ahead with the last request') from step;
update calendly.settings set max_concurrency = 7;
update step set next = tests.bring('ana', tests.page('{}', 'p4') || tests.rate(400));
select is(next ->> 'concurrency', '7', 'the number of requests at once is a setting') from step;
update calendly.active_runs set worker_ends_at = calendly.now() + interval '5 seconds';
update step set next = tests.bring('ana', tests.page('{}', 'p5'));
select is(next -> 'ahead', 'false', 'nothing is read ahead when the worker''s time is nearly up')
  from step;
update calendly.active_runs set worker_ends_at = calendly.now() + interval '50 seconds';

-- invitees, upcoming events first
update step set next = tests.bring('ana', tests.rate(400) || tests.page(
  array[tests.at('P2', -2), tests.at('P1', -1), tests.at('F1', 1), tests.at('F2', 2),
    tests.at('F3', 3)]));
select is(array[tests.event_names(next), tests.ahead(next)], '{{F1,F2},{F3,P1}}',
  'a step names the events whose invitees come after its own') from step;
select is((tests.run_of('ana')).progress ->> 'invitees_to_read', '5',
  'all events in the queue are counted when the phase begins');
update step set next = calendly.next_step(calendly.read_run((tests.run_of('ana')).id));
select is(array[tests.event_names(next), tests.ahead(next)], '{{F1,F2},{F3,P1}}',
  'a step that is told again names the same events') from step;
update step set next = tests.read(next, tests.rate(3));
select is(array_to_string(tests.event_names(next) || tests.ahead(next), ' '), 'F3 P1 P2',
  'what was named ahead comes next, and no more is named than requests are left') from step;
update step set next = tests.bring('ana', '{"invitees": []}' || tests.rate(2));
select is(tests.ahead(next), '{}', 'nothing is named ahead when the step needs all requests')
  from step;
update calendly.meeting_sync set invitees_due_at = null
  where event_uri = tests.event_uri('P1');
update step set next = tests.bring('ana', '{"invitees": []}' || tests.rate(400));
select is(tests.event_names(next), '{F3,P2}',
  'an event whose invitees a delivery has brought meanwhile leaves the queue') from step;
update step set next = tests.read(next);
select is(next ->> 'do', 'finish', 'after the last of the queue the run can finish') from step;

-- what falls due while the run goes on
update calendly.meeting_sync set invitees_due_at = calendly.now()
  where event_uri = tests.event_uri('P1');
update calendly.active_runs set phase = 'fetch_invitees';
update step set next = tests.finish('ana');
select is(tests.event_names(next), '{P1}', 'what falls due while the run goes on is fetched by it')
  from step;
select is((tests.run_of('ana')).progress ->> 'invitees_to_read', '5',
  'what falls due while the run goes on is counted with the rest');
update step set next = tests.read(next);
select is(tests.finish('ana') #>> '{result,status}', 'complete', 'then the run is complete');
select is((select count(*) from calendly.run_invitees), 0::bigint, 'and its queue is empty');

-- a reading that began before its step was given out
select tests.pass('1 minute');
select tests.begin('ana', forced => true);
update step set next = tests.bring('ana', tests.page(array[tests.at('P2', -2),
  tests.at('P1', -1), tests.at('F1', 1), tests.at('F2', 2)]));
select is(tests.ahead(next), '{P1,P2}', 'two events are read ahead') from step;
select is((tests.state_of('ana')).step_began_at, calendly.now(),
  'a step of which nothing was read ahead began when it was given out');
select tests.pass('1 second');
select tests.apply_event(tests.at('P2', -2)
    || '{"updated_at": "2026-06-01T11:00:00.000000Z"}', 'webhook'),
  tests.apply_invitee(tests.invitee('P2', 'joe'), 'webhook');
select tests.pass('1 second');
update step set next = tests.read(next);
select is((tests.state_of('ana')).step_began_at, calendly.now() - interval '2 seconds',
  'a step that was read ahead began when the step before was given out');
select is((tests.run_of('ana')).heartbeat_at, calendly.now(),
  'the run''s last sign of life is when the step was given out');
select tests.read(next) from step;
select is(tests.invitees('P2'), 'Ines, Joe',
  'an invitee who came while they were read ahead is not taken for erased');

-- another worker reads nothing of what the former one has begun
select tests.pass('1 hour');
select tests.begin('ana', forced => true);
select tests.bring('ana', tests.page(array[tests.at('P2', -2), tests.at('P1', -1),
  tests.at('F1', 1), tests.at('F2', 2)]));
select tests.bring('ana', '{"interruption": {"code": "calendly_unavailable", "message": "x"}}');
select tests.pass('1 hour');
select tests.begin('ana');
select is((tests.state_of('ana')).step_began_at, calendly.now(),
  'the readings of a worker that takes over begin with it');
select is((tests.state_of('ana')).ahead_began_at, calendly.now(),
  'so do those that it makes ahead');
select * from finish();
rollback;
