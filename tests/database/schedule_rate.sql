-- Calendly's rate limit is kept, and scheduled work leaves room in it for a person's click.
begin;
select plan(29);
select calendly.set_clock('2026-06-01T12:00:00Z');
select tests.add_person('ana');
select tests.sync('ana', '{}');

-- what Calendly said with its last answer
create function tests.limit_is(remaining integer, resets_in interval default '30 seconds', rate_limit integer default 500) returns void language sql as $$
  update public.calendly_connections c
    set rate_limit = limit_is.rate_limit, rate_remaining = remaining, rate_resets_at = calendly.now() + resets_in
    where c.user_id = tests.id_of('ana')
$$;
create function tests.first_step(trigger text) returns jsonb language sql as $$
  select tests.begin('ana', first_step.trigger) -> 'next'
$$;
create function tests.put_down() returns void language sql as $$
  select calendly.end_runs((tests.connection_of('ana')).id, '{}')
$$;

-- the reserve
select is(tests.first_step('scheduled') ->> 'wait_seconds', '0', 'while nothing is known of the limit, a sync begins');
select tests.put_down(), tests.limit_is(101);
select is(tests.first_step('scheduled') ->> 'wait_seconds', '0', 'with one request above the reserve, a scheduled sync goes on');
select tests.put_down(), tests.limit_is(100);
select is(tests.first_step('scheduled') ->> 'wait_seconds', '30', 'the last fifth is a person''s: the schedule waits for the reset where that comes in its time');
select tests.put_down(), tests.limit_is(100, '51 seconds');
select is(tests.first_step('scheduled') ->> 'do', 'stop', 'and stops where it comes too late');
select is((tests.run_of('ana')).status, 'paused', 'its run is paused');
select is((tests.run_of('ana')).resume_at, calendly.now() + interval '51 seconds', 'until the reset');
select is((tests.run_of('ana')).error ->> 'code', 'rate_limited', 'and says why');
select is((tests.connection_of('ana')).next_sync_at, calendly.now() + interval '51 seconds', 'when the schedule comes back');
select is(tests.first_step('manual') ->> 'do', 'list_events', 'a click takes the same run up at once, and the reserve with it');
select is((select count(*) from public.calendly_sync_runs r where r.user_id = tests.id_of('ana') and r.status = 'running'), 1::bigint, 'as the one run that it is');
select tests.put_down(), tests.limit_is(1);
select is(tests.first_step('manual') ->> 'wait_seconds', '0', 'a click may spend the last request');
select tests.put_down(), tests.limit_is(0);
select is(tests.first_step('manual') ->> 'wait_seconds', '30', 'and when that is spent waits like the others');
select tests.put_down(), tests.limit_is(0, '51 seconds');
select is(tests.first_step('service') ->> 'do', 'stop', 'or pauses');
select tests.put_down(), tests.limit_is(10, rate_limit => 50);
select is(tests.first_step('scheduled') ->> 'wait_seconds', '30', 'of 50 requests a minute ten are left to a person');
select tests.put_down(), tests.limit_is(11, rate_limit => 50);
select is(tests.first_step('scheduled') ->> 'wait_seconds', '0', 'and the eleventh is not');
select tests.put_down(), tests.limit_is(0, '-1 second');
select is(tests.first_step('scheduled') ->> 'wait_seconds', '0', 'what was left before the reset counts no more');
select tests.put_down(), tests.limit_is(251), public.calendly_configure('{"rate_reserve": 0.5}');
select is(tests.first_step('scheduled') ->> 'wait_seconds', '0', 'the reserve is a setting');
select tests.put_down(), tests.limit_is(250);
select is(tests.first_step('scheduled') ->> 'wait_seconds', '30', 'here a half');
select is((tests.state_of('ana')).lease_expires_at, calendly.now() + interval '150 seconds', 'nobody takes the run of an instance that waits');
select public.calendly_configure('{"rate_reserve": 0.2}');

-- batches
select tests.put_down(), tests.limit_is(500), tests.begin('ana', 'scheduled');
select tests.bring('ana', tests.page((select array_agg(tests.event('E' || n, jsonb_build_object(
  'start_time', calendly.to_calendly(calendly.now() + n * interval '1 hour'), 'end_time', calendly.to_calendly(calendly.now() + n * interval '1 hour' + interval '30 minutes'))))
  from generate_series(1, 40) n)) || '{"rate": {"limit": 500, "remaining": 112, "reset": 30}}');
select is((tests.connection_of('ana')).rate_remaining, 112, 'what Calendly says of the limit is kept');
select is((tests.connection_of('ana')).rate_resets_at, calendly.now() + interval '30 seconds', 'with the time of its reset');
create temporary table asked as select calendly.next_step((tests.run_of('ana')).id) as step;
select is(jsonb_array_length(step -> 'event_uris'), 12, 'a batch is no larger than what may be spent') from asked;
select is((tests.event_names(step))[1], 'E1', 'the next meetings come first') from asked;
select is(tests.bring('ana', jsonb_build_object('requests', 12, 'rate', '{"limit": 500, "remaining": 100, "reset": 29}'::jsonb,
  'invitees', (select jsonb_agg(tests.invitees_of(name, variadic '{}')) from asked, unnest(tests.event_names(step)) name))) ->> 'wait_seconds', '29',
  'when that is spent, the run waits for the reset');
update calendly.open_runs set instance_ends_at = calendly.now() + interval '20 seconds';
select is(calendly.next_step((tests.run_of('ana')).id) #>> '{result,status}', 'paused', 'or pauses, where its instance ends before');
select tests.pass('29 seconds');
select is(jsonb_array_length(tests.begin('ana', 'scheduled') #> '{next,event_uris}'), 25, 'and goes on with the rest');
update calendly.open_runs set instance_requests = 3;
select is(jsonb_array_length(calendly.next_step((tests.run_of('ana')).id) -> 'event_uris'), 3, 'an instance takes no more than it may still spend itself');
update calendly.open_runs set instance_requests = 0;
select is(calendly.next_step((tests.run_of('ana')).id) ->> 'do', 'stop', 'and when that is nothing, it stops');
select is((tests.run_of('ana')).resume_at, calendly.now(), 'for another instance to go on at once');

select * from finish();
rollback;
