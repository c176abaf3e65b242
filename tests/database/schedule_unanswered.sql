-- Where nobody answers, nudges become few: in a copy of the database they go to the original, which
-- must not pay for them. As soon as a worker comes, the schedule is itself again.
begin;
select plan(24);
select calendly.set_clock('2026-06-01T12:00:00Z');
select tests.add_person(name) from unnest('{ana,ben,cleo}'::text[]) name;
update calendly.project set url = 'https://project.example.com';
update public.calendly_connections set next_sync_at = calendly.now();
-- a tick each minute: the minutes at which it nudged, each with the number of nudges
create function tests.ticks(minutes integer) returns text language sql as $$
  select string_agg(nudged, ' ' order by minute) from (
    select minute, (calendly.now() - '2026-06-01T12:00:00Z')::text as at, calendly.nudge() as sent,
      tests.pass('1 minute')
    from generate_series(1, ticks.minutes) minute
  ) t
  cross join lateral (
    select left(t.at, 5) || '×' || t.sent as nudged where t.sent > 0) n
$$;
create function tests.claim(url text) returns text language sql as $$
  select public.calendly_claim_sync(jsonb_build_object(
    'project_url', url, 'spent_seconds', 1000)) ->> 'status'
$$;
create function tests.shown(field text) returns text language sql as $$
  select public.calendly_schedule() ->> field
$$;
create function tests.unreachable() returns bigint language sql as $$
  select count(*) from public.calendly_alerts a where a.code = 'functions_unreachable'
$$;

select is(tests.ticks(5), '00:00×3 00:01×1 00:02×1 00:03×1 00:04×1',
  'the first tick nudges for all that is due, then each minute one worker for five minutes');
select is(tests.shown('backing_off'), 'true', 'then the schedule shows that it backs off');
select is(tests.shown('unanswered_since')::timestamptz, '2026-06-01T12:00:00Z',
  'and since when nobody has answered');
select is(tests.ticks(25), '00:05×1 00:10×1 00:15×1 00:20×1 00:25×1',
  'until half an hour has passed it nudges one worker every five minutes');
select is(tests.ticks(60), '00:30×1 00:45×1 01:00×1 01:15×1',
  'then one in a quarter of an hour');
select is(tests.unreachable(), 1::bigint, 'all the while it is an alert');
select is((select a.since from public.calendly_alerts a where a.code = 'functions_unreachable'),
  '2026-06-01T12:00:00Z', 'the alert counts from the first nudge that nobody answered');
select tests.pass('1 day');
select is(calendly.nudge(), 1, 'after a day without a tick the first one nudges');
select is(calendly.nudge(), 0, 'the next one does not');

-- under another address
select is(tests.claim('https://copy.example.com'), 'idle', 'a worker of a copy gets nothing');
select is(tests.shown('backing_off'), 'true', 'it is no answer');
select is(calendly.nudge(), 0, 'so the original is not nudged more often');

-- an answer
select is(tests.claim('https://project.example.com'), 'idle',
  'a worker without time left gets nothing');
select is(tests.shown('backing_off'), 'false', 'but it is an answer');
select is(tests.unreachable(), 0::bigint, 'which ends the alert');
select is(calendly.nudge(), 3, 'the next tick nudges for all that is due');

-- a new address
select tests.ticks(10);
select is(tests.shown('backing_off'), 'true', 'nobody answers again');
select public.calendly_confirm_project('https://moved.example.com');
select is(calendly.nudge(), 3, 'a project that has moved is nudged at its new address at once');

-- nothing due
select tests.ticks(10);
update public.calendly_connections set next_sync_at = calendly.now() + interval '1 hour';
select is(calendly.nudge(), 0, 'where nothing is due there is no nudge');
select is(tests.shown('backing_off'), 'false', 'and nothing to back off from');
update public.calendly_connections set next_sync_at = calendly.now();
select is(calendly.nudge(), 3, 'what becomes due is nudged for at once');

-- more ticks than one a minute
create function tests.sent_in(ticks integer, apart interval) returns bigint language sql as $$
  select sum(n) from (
    select calendly.nudge() as n, tests.pass(apart) from generate_series(1, ticks)) t
$$;
update calendly.project set unanswered_since = null;
select is(tests.sent_in(60, '1 second'), 4::bigint,
  'with a tick of a second, three that are due cause four nudges in the first minute');
select is(tests.sent_in(240, '1 second'), 4::bigint, 'and one in each of the next four');
update calendly.project set unanswered_since = calendly.now() - interval '1 hour';
select is((select sum(n) from (
    select tests.pass('20 seconds'), calendly.nudge() as n from generate_series(1, 180)) t),
  4::bigint, 'however often it ticks, there are four nudges an hour');

select * from finish();
rollback;
