-- Calendly's rate limit and an instance's own budget: wait where that is soon over, else pause, and leave room for a click.
begin;
select plan(34);
select calendly.set_clock('2026-06-01T12:00:00Z');
update calendly.settings set schedule_jitter = 0;
select tests.add_person('ana');
create function tests.rate(remaining integer, reset integer, limit_ integer default 500) returns jsonb language sql as $$
  select jsonb_build_object('rate', jsonb_build_object('limit', limit_, 'remaining', remaining, 'reset', reset))
$$;
create function tests.begin_listing(trigger text default 'manual') returns void language sql as $$
  select tests.pass('1 hour');
  select tests.begin('ana', trigger);
$$;

-- what the answers tell
select tests.begin_listing();
select is(tests.bring('ana', tests.page('{}', 'p2') || tests.rate(499, 60)) ->> 'wait_seconds', '0', 'while the limit lasts nobody waits');
select is(row(c.rate_limit, c.rate_remaining, c.rate_resets_at)::text, row(500, 499, calendly.now() + interval '60 seconds')::text, 'the connection knows what Calendly told') from tests.connection_of('ana') c;
select tests.bring('ana', tests.page('{}', 'p3'));
select is((tests.connection_of('ana')).rate_remaining, 499, 'an answer that does not tell changes nothing of it');

-- used up, and soon reset
select is(tests.bring('ana', tests.page('{}', 'p4') || tests.rate(0, 20)) ->> 'wait_seconds', '20', 'a reset within the instance''s time is waited for');
select is((tests.run_of('ana')).status, 'running', 'without a pause');
select tests.pass('20 seconds');
select is(tests.bring('ana', tests.page('{}', 'p5')) ->> 'wait_seconds', '0', 'after it nobody waits');
select is(tests.bring('ana', '{"interruption": {"code": "rate_limited", "message": "429", "retry_after": 7}}') ->> 'wait_seconds', '7', 'a 429 is waited for as long as it says');
select is((tests.state_of('ana')).interruptions, 0, 'and is no failure');
select tests.pass('7 seconds');

-- used up for longer
create temporary table stopped as select tests.bring('ana', tests.page('{}', 'p6') || tests.rate(0, 50)) as next;
select is(next ->> 'do', 'stop', 'a reset after the instance''s time pauses the run') from stopped;
select is(next #>> '{result,reason,code}', 'rate_limited', 'it says why') from stopped;
select is((next #>> '{result,resume_at}')::timestamptz, calendly.now() + interval '50 seconds', 'and when it goes on') from stopped;
select is((tests.connection_of('ana')).next_sync_at, calendly.now() + interval '50 seconds', 'by itself');
select tests.begin('ana');
select is(tests.bring('ana', '{"interruption": {"code": "rate_limited", "message": "429", "retry_after": 90}}') #>> '{result,status}', 'paused', 'a 429 for longer than that pauses, too');
select is(tests.begin('ana') #>> '{next,do}', 'stop', 'a click then pauses again at once: Calendly would refuse');
select tests.pass('90 seconds');
select is(tests.begin('ana') #>> '{next,query,page_token}', 'p6', 'when the limit has been reset the run goes on where it stood');
select is((tests.connection_of('ana')).last_error, null, 'a used up limit is no error of the connection''s');
select tests.fail('ana', '{}');

-- a reserve
select tests.begin_listing('scheduled');
select is(tests.bring('ana', tests.page('{}', 'p2') || tests.rate(101, 50)) ->> 'do', 'list_events', 'scheduled work goes on');
select is(tests.bring('ana', tests.page('{}', 'p3') || tests.rate(100, 70)) #>> '{result,reason,code}', 'rate_limited', 'until a fifth of the limit is left');
select is(tests.begin('ana') #>> '{next,query,page_token}', 'p3', 'which is for a person''s click');
select is((tests.begin('ana') ->> 'status'), 'in_progress', 'that goes on at once');
select tests.bring('ana', '{"interruption": {"code": "calendly_unavailable", "message": "x"}}');
select is(tests.begin('ana', 'scheduled') #>> '{next,do}', 'stop', 'the schedule may not use it');
select is(tests.begin('ana', 'service') #>> '{next,do}', 'list_events', 'a service may');
select tests.fail('ana', '{}');

-- a batch is no larger than what is left
select tests.begin_listing();
select is(jsonb_array_length(tests.bring('ana', tests.page(array(select tests.event('E' || n) from generate_series(1, 30) n)) || tests.rate(400, 30)) -> 'event_uris'), 25, 'invitees are read in batches');
select is(tests.event_names(tests.bring('ana', jsonb_build_object('requests', 1, 'invitees', '[]'::jsonb) || tests.rate(3, 30))), array['E1', 'E10', 'E11'], 'that are cut to the limit');
select tests.pass('30 seconds');
select is(jsonb_array_length(tests.bring('ana', jsonb_build_object('requests', 765, 'invitees', '[]'::jsonb)) -> 'event_uris'), 25, 'after its reset they are whole again');
select is(jsonb_array_length(tests.bring('ana', jsonb_build_object('requests', 23, 'invitees', '[]'::jsonb)) -> 'event_uris'), 10, 'and cut to the instance''s own 800 requests');

-- the instance's budget
select is(tests.bring('ana', jsonb_build_object('requests', 10, 'invitees', '[]'::jsonb)) ->> 'do', 'stop', 'an instance that has spent its requests stops');
select is(row(r.status, r.resume_at, r.error)::text, row('paused', calendly.now(), null::jsonb)::text, 'for the next one to go on at once') from tests.run_of('ana') r;
select is((tests.connection_of('ana')).next_sync_at, calendly.now(), 'which the schedule sees');
select is(jsonb_array_length(tests.begin('ana', 'scheduled') #> '{next,event_uris}'), 25, 'a new instance has a budget of its own');
select tests.pass('50 seconds');
select is(tests.bring('ana', '{"invitees": []}') ->> 'do', 'stop', 'an instance whose time is up stops, too');
select tests.begin('ana');
select tests.pass('49 seconds');
select is(tests.bring('ana', '{"invitees": []}') ->> 'do', 'read_invitees', 'not before');
select tests.pass('1 second');
update calendly.meeting_sync set invitees_due_at = null;
select is(tests.bring('ana', '{"invitees": []}') ->> 'do', 'finish', 'a run of which nothing is left is finished, whatever the time');
select is(tests.finish('ana') #>> '{result,status}', 'complete', 'and is complete');

select * from finish();
rollback;
