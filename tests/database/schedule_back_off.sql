-- When a sync is tried again after a failure: later each time, an hour at most, not all at once,
-- and a click does not wait.
begin;
select plan(38);
select calendly.set_clock('2026-06-01T12:00:00Z');
select tests.add_person('ana');
select tests.sync('ana', '{}');
create function tests.due_in() returns interval language sql as $$
  select (tests.connection_of('ana')).next_sync_at - calendly.now()
$$;
create function tests.fail_again(code text default 'token_unreadable') returns interval
  language sql as $$
  select tests.begin('ana', 'scheduled');
  select tests.fail('ana', jsonb_build_object('code', code, 'message', 'No.'));
  select tests.due_in();
$$;
create function tests.interrupt_again() returns interval language sql as $$
  select tests.begin('ana', 'scheduled');
  select tests.bring('ana',
    '{"interruption": {"code": "calendly_unavailable", "message": "Calendly does not answer."}}');
  select tests.due_in();
$$;
create function tests.crash_again() returns interval language sql as $$
  select tests.begin('ana', 'scheduled');
  select tests.due_in();
$$;

-- with the jitter of a tenth
create function tests.about(wait interval, nominal interval) returns boolean language sql as $$
  select wait between nominal * 0.9 and nominal * 1.1
$$;

-- how long
select ok(bool_and(tests.about(wait, nominal)),
  format('after %s failures in a row the wait is about %s, a tenth more or less', attempt, nominal))
from (values (1, '30 seconds'::interval), (2, '1 minute'), (3, '2 minutes'), (4, '4 minutes'),
  (7, '32 minutes'), (8, '1 hour'), (100, '1 hour')) expected (attempt, nominal)
cross join generate_series(1, 200)
cross
  join lateral (select calendly.back_off(attempt, calendly.now()) - calendly.now()) back_off (wait)
group by attempt, nominal order by attempt;
select ok(count(distinct calendly.back_off(3, calendly.now())) > 190,
  'connections that failed together are tried again at different times')
  from generate_series(1, 200);

-- failures
select ok(tests.about(tests.fail_again(), '30 seconds'),
  'a failed sync is tried again after half a minute');
select ok(tests.about(tests.fail_again(), '1 minute'),
  'a sync that failed twice is tried again after a minute');
select ok(tests.about(tests.fail_again(), '2 minutes'),
  'a sync that failed three times is tried again after two minutes');
select is((tests.connection_of('ana')).failures, 3, 'failures in a row are counted');
select is((tests.connection_of('ana')).last_error ->> 'code', 'token_unreadable',
  'the error of the last failure is kept');
select is(tests.begin('ana', 'manual') ->> 'status', 'started',
  'a click does not wait for the back-off');
select tests.bring('ana', tests.page('{}'));
select tests.finish('ana');
select is((tests.connection_of('ana')).failures, 0,
  'a complete sync resets the number of failures');
select is((tests.connection_of('ana')).last_error, null, 'a complete sync clears the last error');
select ok(tests.due_in() > '13 minutes',
  'a complete sync makes the connection due after the usual interval');
select tests.fail_again() from generate_series(1, 20);
select ok(tests.about(tests.due_in(), '1 hour'),
  'a sync that fails again and again is tried every hour');
select is((tests.connection_of('ana')).state, 'active',
  'failures other than refusals never ask for a reconnect');

-- a refused token
select tests.sync('ana', '{}');
select ok(tests.fail_again('token_refused') < '1 minute',
  'a token that was refused once is tried again within a minute');
select ok(tests.fail_again('token_refused') < '2 minutes',
  'a token that was refused twice is tried again within two minutes');
select is(tests.fail_again('token_refused'), null,
  'a token that was refused three times is not tried again');
select is((tests.connection_of('ana')).state, 'reconnect_required',
  'a token that was refused three times asks for a reconnect');
select is(tests.code_of($$select tests.begin('ana')$$), 'reconnect_required',
  'a click on a connection that needs a reconnect is refused');
select tests.connect('ana');
select is((tests.connection_of('ana')).refusals, 0, 'a reconnect resets the number of refusals');

-- interruptions
select tests.sync('ana', '{}');
select ok(tests.about(tests.interrupt_again(), '30 seconds'),
  'an interruption pauses the run for half a minute');
select is((tests.run_of('ana')).status, 'paused', 'an interrupted run is paused');
select ok(tests.about(tests.interrupt_again(), '1 minute'),
  'a second interruption pauses the run for a minute');
select tests.begin('ana', 'scheduled');
select tests.bring('ana', tests.page('{}', 'page 2'));
select tests.bring('ana',
  '{"interruption": {"code": "calendly_unavailable", "message": "Calendly does not answer."}}');
select ok(tests.about(tests.due_in(), '30 seconds'),
  'a step that succeeds starts the count of interruptions again');
select tests.begin('ana', 'scheduled');
select tests.bring('ana',
  '{"interruption": {"code": "rate_limited", "message": "Used up.", "retry_after": 300}}');
select is((tests.run_of('ana')).resume_at, calendly.now() + interval '5 minutes',
  'a run pauses until the time that Calendly names');
select is(tests.due_in(), '5 minutes', 'a connection is due at the time that Calendly names');
select is(tests.begin('ana', 'scheduled') #>> '{next,do}', 'stop',
  'a scheduled sync before the time that Calendly names pauses again');
select is((select row(a -> 'do', a -> 'wait_seconds', a -> 'requests_left')::text
  from (select tests.begin('ana', 'manual') -> 'next' as a) click), '("""list_events""",0,1)',
  'a click before the time that Calendly names tries with one request');
select tests.bring('ana',
  '{"interruption": {"code": "rate_limited", "message": "Used up.", "retry_after": 300}}');
select tests.pass('5 minutes');
select is(tests.begin('ana', 'manual') #>> '{next,do}', 'list_events',
  'a click at the time that Calendly names goes on');
select tests.bring('ana', tests.page('{}'));
select tests.finish('ana');

-- workers that crash
select is(tests.crash_again(), '2 minutes',
  'a run whose worker crashes is due when its lease ends');
select tests.pass('2 minutes');
select is(tests.crash_again(), '2 minutes',
  'a run whose worker crashes twice is due when its lease ends');
create function tests.crash_again_after(wait interval) returns interval language sql as $$
  select tests.pass(wait);
  select tests.crash_again();
$$;
select ok(tests.about((array_agg(tests.crash_again_after('1 hour')))[10], '1 hour'),
  'a run whose workers crash again and again is due after an hour')
  from generate_series(1, 10);
select tests.bring('ana', tests.page('{}', 'page 2'));
select is(tests.crash_again_after('1 hour'), '2 minutes',
  'a step that succeeds starts the count of crashes again');

select * from finish();
rollback;
