-- What a person must act on: each thing is one row, from when it began until it is mended.
begin;
select plan(70);
select calendly.set_clock('2026-06-01T12:00:00Z');
create function tests.alerts() returns text language sql as $$
  select coalesce(string_agg(code || coalesce(' ' || split_part(u.email, '@', 1), ''), ', ' order by code, u.email), 'none')
  from public.calendly_alerts a left join public.users u on u.id = a.user_id
$$;
create function tests.alert(code text) returns public.calendly_alerts language sql as $$
  select a from public.calendly_alerts a where a.code = alert.code
$$;
create function tests.status() returns text language sql as $$ select public.calendly_health() ->> 'status' $$;
-- the schedule lives, and so do the functions
create function tests.all_live() returns void language sql as $$
  select calendly.nudge();
  select public.calendly_claim_sync('{"project_url": "https://project.example.com", "spent_seconds": 1000}');
$$;
create function tests.pass_and_live(duration interval) returns void language sql as $$
  select tests.pass(duration);
  select tests.all_live();
$$;

select is(tests.alerts(), 'none', 'where nobody is connected there is nothing to alert anybody about');
select is(tests.status(), 'healthy', 'and all is well');
select tests.add_person('ana');
select is(tests.alerts(), 'none', 'nor right after somebody has connected');

-- a sync a second after the last one
create function tests.sync_next(events jsonb[]) returns void language sql as $$
  select tests.pass('1 second');
  select tests.sync('ana', events);
$$;

-- the schedule
select tests.pass('5 minutes');
select is(tests.alerts(), 'none', 'the first tick may take a while');
select tests.pass('1 second');
select is(tests.alerts(), 'schedule_not_running', 'but not more than five minutes');
select is((tests.alert('schedule_not_running')).severity, 'critical', 'without the schedule nothing comes by itself');
select is((tests.alert('schedule_not_running')).since, '2026-06-01T12:00:00Z', 'since the connection was made');
select ok((tests.alert('schedule_not_running')).what_to_do ~ 'cron.job_run_details', 'pg_cron''s log says more');
select is(tests.status(), 'unhealthy', 'a critical alert makes the whole unhealthy');
select calendly.nudge();
select is(tests.alerts(), 'none', 'a tick mends it');
select tests.pass('301 seconds');
select is((tests.alert('schedule_not_running')).since, '2026-06-01T12:05:01Z', 'when it stops again, it is since the last tick');
select calendly.nudge();

-- the functions
update calendly.project set url = 'https://project.example.com';
select tests.pass('10 minutes');
select calendly.nudge();
select is(tests.alerts(), 'none', 'a nudge may take a while to be answered');
select tests.pass('5 minutes'), calendly.nudge();
select is(tests.alerts(), 'none', 'a few minutes');
select tests.pass('1 minute'), calendly.nudge();
select is(tests.alerts(), 'functions_unreachable', 'but when nobody comes for six, the functions cannot be reached');
select is((tests.alert('functions_unreachable')).severity, 'critical', 'which is critical');
select is((tests.alert('functions_unreachable')).since, '2026-06-01T12:20:02Z', 'since the first nudge that nobody answered');
select ok((tests.alert('functions_unreachable')).message ~ 'https://project.example.com', 'the message says where they should be');
select ok((tests.alert('functions_unreachable')).what_to_do ~ 'calendly_confirm_project', 'and what to do');
select tests.all_live();
select is(tests.alerts(), 'none', 'an answer mends it');
select tests.pass('20 minutes');
update public.calendly_connections set next_sync_at = calendly.now() + interval '1 hour', current_as_of = calendly.now();
select calendly.nudge();
select tests.pass('10 minutes');
update public.calendly_connections set next_sync_at = calendly.now();
select calendly.nudge();
select is(tests.alerts(), 'none', 'who is not nudged because nothing is due need not answer');

-- another project
select public.calendly_claim_sync('{"project_url": "https://copy.example.com"}');
select is(tests.alerts(), 'project_moved', 'functions under another address are an alert');
select is((tests.alert('project_moved')).severity, 'critical', 'because nothing is synced');
select ok((tests.alert('project_moved')).what_to_do ~ 'https://copy.example.com', 'it names the address to confirm');
select tests.pass('1 minute'), calendly.nudge(), public.calendly_claim_sync('{"project_url": "https://copy.example.com"}');
select is((tests.alert('project_moved')).since, calendly.now() - interval '1 minute', 'since it was first seen');
select public.calendly_confirm_project('https://project.example.com');
select is(tests.alerts(), 'none', 'confirmed, it is none');

-- stale
select tests.sync('ana', '{}');
select tests.pass_and_live('35 minutes');
select is(tests.alerts(), 'none', 'two intervals and a little may pass without a sync');
select tests.pass_and_live('1 second');
select is(tests.alerts(), 'stale ana', 'more may not');
select is((tests.alert('stale')).severity, 'critical', 'stale meetings are critical');
select is((tests.alert('stale')).since, calendly.now() - interval '35 minutes 1 second', 'since the last proof');
update public.users set calendly_webhook_enabled = true where id = tests.id_of('ana');
select is(tests.alerts(), 'none', 'while webhooks arrive, the interval is theirs');
select tests.pass_and_live('12 hours');
select is(tests.alerts(), 'stale ana', 'which also ends');
select tests.sync('ana', '{}');
select is(tests.alerts(), 'none', 'a sync mends it');
update public.users set calendly_webhook_enabled = false where id = tests.id_of('ana');
select tests.add_person('ben');
select tests.pass_and_live('36 minutes');
select is(tests.alerts(), 'stale ana, stale ben', 'who has never been synced is stale two intervals after connecting');
select tests.sync('ana', '{}'), tests.sync('ben', '{}');

-- failing
select tests.begin('ana'), tests.fail('ana', '{"code": "token_unreadable", "message": "The key is missing.", "hint": "Set CALENDLY_TOKEN_KEY."}');
select tests.pass('1 minute'), tests.begin('ana'), tests.fail('ana', '{"code": "token_unreadable", "message": "The key is missing.", "hint": "Set CALENDLY_TOKEN_KEY."}');
select is(tests.alerts(), 'none', 'two failures may heal by themselves');
select tests.pass('1 minute'), tests.begin('ana'), tests.fail('ana', '{"code": "token_unreadable", "message": "The key is missing.", "hint": "Set CALENDLY_TOKEN_KEY."}');
select is(tests.alerts(), 'failing ana', 'three do not');
select is((tests.alert('failing')).severity, 'critical', 'that is critical');
select is((tests.alert('failing')).since, calendly.now() - interval '2 minutes', 'since the first of them');
select ok((tests.alert('failing')).message ~ 'The key is missing', 'it says why');
select is((tests.alert('failing')).what_to_do, 'Set CALENDLY_TOKEN_KEY.', 'and what helps');
select tests.sync('ana', '{}');
select is(tests.alerts(), 'none', 'a complete sync mends it');

-- reconnect
select tests.begin('ana'), tests.fail('ana', '{"code": "token_refused", "message": "It was revoked."}') from generate_series(1, 3);
select is(tests.alerts(), 'reconnect_required ana', 'a token that Calendly refuses is one alert, not two');
select is((tests.alert('reconnect_required')).severity, 'critical', 'critical');
select is((tests.alert('reconnect_required')).since, calendly.now(), 'since it was given up');
select ok((tests.alert('reconnect_required')).message ~ 'It was revoked', 'with Calendly''s reason');
select ok((tests.alert('reconnect_required')).what_to_do ~ 'calendly-connect', 'and the way to mend it');
select tests.connect('ana');
select tests.sync('ana', '{}');
select is(tests.alerts(), 'none', 'connecting again does');

-- rows that could not be used
select tests.sync_next(array[tests.event('E1', '{"start_time": "never"}'), tests.event('E2', tests.seats(0, 0))]);
select is(tests.alerts(), 'rejected_rows ana', 'what a sync could not use is an alert');
select is((tests.alert('rejected_rows')).severity, 'warning', 'a warning');
select ok((tests.alert('rejected_rows')).what_to_do ~ 'calendly_sync_runs', 'that says where to look');
select is(tests.status(), 'healthy', 'a warning alone leaves the whole healthy');
select is(jsonb_array_length(public.calendly_health() -> 'alerts'), 1, 'and is told all the same');
select tests.sync_next(array[tests.event('E2', tests.seats(0, 0))]);
select is(tests.alerts(), 'none', 'it goes with the next sync that can use all');

-- a mass absence
create function tests.calendar(size integer) returns jsonb[] language sql as $$
  select array(select tests.event('M' || n, tests.seats(0, 0)) from generate_series(1, size) n)
$$;
select tests.sync_next(tests.calendar(100));
select tests.pass_and_live('1 minute');
select tests.begin('ana');
create temporary table step as select tests.bring('ana', tests.page(tests.calendar(74))) as asked;
select tests.bring('ana', jsonb_build_object('events', (
  select jsonb_agg(tests.read_of(name, 200, tests.event(name, tests.seats(0, 0)))) from step, unnest(tests.event_names(asked)) name)));
select tests.finish('ana');
select is(tests.alerts(), 'mass_absence ana', 'many meetings missing from a listing is an alert, even though each is still there');
select is((tests.alert('mass_absence')).severity, 'critical', 'critical: a whole calendar may be about to vanish');
select ok((tests.alert('mass_absence')).message ~ '26', 'it says how many');
select is((tests.alert('mass_absence')).since, (tests.run_of('ana')).finished_at, 'and since which sync');
select tests.sync_next(tests.calendar(100));
select is(tests.alerts(), 'none', 'when they are listed again, it goes');
select tests.sync_next(tests.calendar(80));
select is(tests.alerts(), 'none', 'a few may be missing');

-- deliveries
insert into public.calendly_webhook_events (event_id, event_type, payload, user_id, created_at, status, error)
  select 'dead ' || n, 'invitee.created', '{"event": "routing_form_submission.created"}', tests.id_of('ana'), calendly.now() - n * interval '1 hour', 'dead', '{"code": "x"}' from generate_series(1, 3) n;
select is(tests.alerts(), 'dead_webhook_events ana', 'deliveries that were given up are one alert');
select is((tests.alert('dead_webhook_events')).severity, 'warning', 'a warning');
select is((tests.alert('dead_webhook_events')).since, calendly.now() - interval '3 hours', 'since the first of them');
select ok((tests.alert('dead_webhook_events')).what_to_do ~ 'calendly_replay_webhook_event', 'with the way to try again');
select public.calendly_replay_webhook_event(e.id) from public.calendly_webhook_events e where e.status = 'dead';
select is(tests.alerts(), 'none', 'which mends it');

-- a subscription
create temporary table subscription as select (public.calendly_begin_subscription(jsonb_build_object('auth_user_id', tests.account_of('ana'))) ->> 'id')::uuid as id;
select public.calendly_keep_subscription(id, 'https://api.calendly.com/webhook_subscriptions/W1', 'key') from subscription;
select is(tests.alerts(), 'none', 'a subscription that lives is none');
select public.calendly_review_subscriptions((tests.connection_of('ana')).id, '[]', 'key');
select is(tests.alerts(), 'webhook_disabled ana', 'a dead one is an alert');
select is((tests.alert('webhook_disabled')).severity, 'warning', 'a warning: the schedule still brings the changes');
select ok((tests.alert('webhook_disabled')).what_to_do ~ 'a new one is made', 'it says what to do');
select tests.sync_next(tests.calendar(80));
select public.calendly_review_subscriptions((tests.connection_of('ana')).id, '[]', 'key');
select is((tests.alert('webhook_disabled')).since, calendly.now() - interval '1 second', 'since it was first found dead, whatever has been synced or looked for meanwhile');
truncate subscription;
insert into subscription select (public.calendly_begin_subscription(jsonb_build_object('auth_user_id', tests.account_of('ana'))) ->> 'id')::uuid;
select public.calendly_keep_subscription(id, 'https://api.calendly.com/webhook_subscriptions/W2', 'key') from subscription;
select is(tests.alerts(), 'none', 'until there is a new one');

select public.calendly_disconnect(tests.account_of('ana')), public.calendly_disconnect(tests.account_of('ben'));
select tests.pass('1 day');
select is(tests.alerts(), 'none', 'who has disconnected alerts nobody');

select * from finish();
rollback;
