-- After a failure: later and later, never all at once, never for ever, and at once for a person who asks.
begin;
select plan(37);
select calendly.set_clock('2026-06-01T12:00:00Z');
select tests.add_person('ana');
select tests.sync('ana', '{}');
create function tests.due_in() returns interval language sql as $$
  select (tests.connection_of('ana')).next_sync_at - calendly.now()
$$;
create function tests.fail_again(code text default 'token_unreadable') returns interval language sql as $$
  select tests.begin('ana', 'scheduled');
  select tests.fail('ana', jsonb_build_object('code', code, 'message', 'No.'));
  select tests.due_in();
$$;
create function tests.interrupt_again() returns interval language sql as $$
  select tests.begin('ana', 'scheduled');
  select tests.bring('ana', '{"interruption": {"code": "calendly_unavailable", "message": "Calendly does not answer."}}');
  select tests.due_in();
$$;
create function tests.die_again() returns interval language sql as $$
  select tests.begin('ana', 'scheduled');
  select tests.due_in();
$$;

-- with the jitter of a tenth
create function tests.about(wait interval, nominal interval) returns boolean language sql as $$
  select wait between nominal * 0.9 and nominal * 1.1
$$;

-- how long
select ok(bool_and(tests.about(wait, nominal)), format('after %s in a row the wait is about %s, a tenth more or less', attempt, nominal))
from (values (1, '30 seconds'::interval), (2, '1 minute'), (3, '2 minutes'), (4, '4 minutes'), (7, '32 minutes'), (8, '1 hour'), (100, '1 hour')) expected (attempt, nominal)
cross join generate_series(1, 200)
cross join lateral (select calendly.back_off(attempt, calendly.now()) - calendly.now()) back_off (wait)
group by attempt, nominal order by attempt;
select ok(count(distinct calendly.back_off(3, calendly.now())) > 190, 'who failed together does not come back together') from generate_series(1, 200);

-- failures
select ok(tests.about(tests.fail_again(), '30 seconds'), 'a failed sync is tried again in half a minute');
select ok(tests.about(tests.fail_again(), '1 minute'), 'then in a minute');
select ok(tests.about(tests.fail_again(), '2 minutes'), 'then in two');
select is((tests.connection_of('ana')).failures, 3, 'the failures in a row are counted');
select is((tests.connection_of('ana')).last_error ->> 'code', 'token_unreadable', 'and the last one is kept');
select is(tests.begin('ana', 'manual') ->> 'status', 'started', 'a person''s click does not wait');
select tests.bring('ana', tests.page('{}'));
select tests.finish('ana');
select is((tests.connection_of('ana')).failures, 0, 'a complete sync forgets the failures');
select is((tests.connection_of('ana')).last_error, null, 'and the error');
select ok(tests.due_in() > '13 minutes', 'and the next one is due as ever');
select tests.fail_again() from generate_series(1, 20);
select ok(tests.about(tests.due_in(), '1 hour'), 'however often it failed, it is tried every hour');
select is((tests.connection_of('ana')).state, 'active', 'for ever: only a refused token asks for the person');

-- a refused token
select tests.sync('ana', '{}');
select ok(tests.fail_again('token_refused') < '1 minute', 'a token that is refused is tried again');
select ok(tests.fail_again('token_refused') < '2 minutes', 'and again: it may be Calendly''s trouble');
select is(tests.fail_again('token_refused'), null, 'but the third time the schedule stops');
select is((tests.connection_of('ana')).state, 'reconnect_required', 'and the person must connect again');
select is(tests.code_of($$select tests.begin('ana')$$), 'reconnect_required', 'which a click is told');
select tests.connect('ana');
select is((tests.connection_of('ana')).refusals, 0, 'after that all is as new');

-- interruptions
select tests.sync('ana', '{}');
select ok(tests.about(tests.interrupt_again(), '30 seconds'), 'when Calendly does not answer, the run waits half a minute');
select is((tests.run_of('ana')).status, 'paused', 'paused');
select ok(tests.about(tests.interrupt_again(), '1 minute'), 'then a minute');
select tests.begin('ana', 'scheduled');
select tests.bring('ana', tests.page('{}', 'page 2'));
select tests.bring('ana', '{"interruption": {"code": "calendly_unavailable", "message": "Calendly does not answer."}}');
select ok(tests.about(tests.due_in(), '30 seconds'), 'an answer in between starts the count anew');
select tests.begin('ana', 'scheduled');
select tests.bring('ana', '{"interruption": {"code": "rate_limited", "message": "Used up.", "retry_after": 300}}');
select is((tests.run_of('ana')).resume_at, calendly.now() + interval '5 minutes', 'what Calendly says when to go on, it is believed');
select is(tests.due_in(), '5 minutes', 'and the schedule comes back then');
select is(tests.begin('ana', 'manual') #>> '{next,do}', 'stop', 'even a click cannot go on before');
select tests.pass('5 minutes');
select is(tests.begin('ana', 'manual') #>> '{next,do}', 'list_events', 'but then');
select tests.bring('ana', tests.page('{}'));
select tests.finish('ana');

-- instances that die
select is(tests.die_again(), '2 minutes', 'a run whose instance dies is due when its lease has ended');
select tests.pass('2 minutes');
select is(tests.die_again(), '2 minutes', 'the next time as well');
create function tests.die_again_after(wait interval) returns interval language sql as $$
  select tests.pass(wait);
  select tests.die_again();
$$;
select ok(tests.about((array_agg(tests.die_again_after('1 hour')))[10], '1 hour'), 'but what kills one instance after the other is given to fewer and fewer') from generate_series(1, 10);
select tests.bring('ana', tests.page('{}', 'page 2'));
select is(tests.die_again_after('1 hour'), '2 minutes', 'until one of them gets on with it');

select * from finish();
rollback;
