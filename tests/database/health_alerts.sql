-- Alerts: what a person must act on. Each is one row, from when its reason began until it is gone.
begin;
select plan(98);
select calendly.set_clock('2026-06-01T12:00:00Z');

-- Each of them is looked at: does its evidence show something?
create function tests.check_evidence(alert public.calendly_alerts) returns void
language plpgsql as $$
declare
  shown record;
begin
  if alert.evidence is null or alert.evidence = '{}' then
    raise exception '% has no evidence', alert.code;
  end if;
  for shown in execute alert.evidence_sql loop
    return;
  end loop;
  raise exception 'the evidence of % shows nothing: %', alert.code, alert.evidence_sql;
end
$$;
create function tests.alerts() returns text language sql as $$
  select tests.check_evidence(a) from public.calendly_alerts a;
  select coalesce(string_agg(
    a.code || coalesce(' ' || substring(u.calendly_user_uri from '[^/]+$'), ''), ', '
    order by a.code, u.calendly_user_uri), 'none')
  from public.calendly_alerts a left join public.calendly_users u on u.id = a.user_id
$$;
create function tests.alert(code text) returns public.calendly_alerts language sql as $$
  select a from public.calendly_alerts a where a.code = alert.code
$$;
create function tests.status() returns text language sql as $$
  select public.calendly_health() ->> 'status'
$$;
-- the schedule runs, and so do the functions
create function tests.tick_and_answer() returns void language sql as $$
  select calendly.nudge();
  select public.calendly_claim_sync(
    '{"project_url": "https://project.example.com", "spent_seconds": 1000}');
$$;
create function tests.pass_and_tick(duration interval) returns void language sql as $$
  select tests.pass(duration);
  select tests.tick_and_answer();
$$;
-- a sync a second after the last one
create function tests.sync_next(events jsonb[]) returns void language sql as $$
  select tests.pass('1 second');
  select tests.sync('ana', events);
$$;

select bag_eq(
  $$select substring(v.relname from '^alert_(.*)'), 1 from pg_class v
    where v.relnamespace = 'calendly'::regnamespace and v.relkind = 'v'
      and v.relname ~ '^alert_' and v.relname not in ('alert_kinds', 'alert_limits')$$,
  $$select k.code, regexp_count(f.body, 'calendly\.alert_' || k.code || '\M')
    from calendly.alert_kinds k
    cross join pg_get_functiondef('calendly.alerts()'::regprocedure) f (body)$$,
  'each alert is in the list of alerts, has a view, and is shown once');
select is(tests.alerts(), 'none', 'where nobody is connected there is no alert');
select is(tests.status(), 'healthy', 'without an alert the status is healthy');
select tests.add_person('ana');
select is(tests.alerts(), 'none', 'there is none right after somebody has connected');

-- the schedule
select tests.pass('5 minutes');
select is(tests.alerts(), 'none', 'the first tick may take five minutes');
select tests.pass('1 second');
select is(tests.alerts(), 'schedule_not_running',
  'a schedule that has not run for more than five minutes is an alert');
select is((tests.alert('schedule_not_running')).severity, 'critical',
  'schedule_not_running is critical');
select is((tests.alert('schedule_not_running')).since, '2026-06-01T12:00:00Z',
  'it counts from the connection where there was no tick yet');
select ok((tests.alert('schedule_not_running')).what_to_do ~ 'cron.job_run_details',
  'schedule_not_running names the log of pg_cron');
select is(tests.status(), 'unhealthy', 'a critical alert makes the status unhealthy');
select calendly.nudge();
select is(tests.alerts(), 'none', 'a tick ends schedule_not_running');
select tests.pass('301 seconds');
select is((tests.alert('schedule_not_running')).since, '2026-06-01T12:05:01Z',
  'it counts from the last tick where there was one');
select calendly.nudge();

-- the functions
update calendly.project set url = 'https://project.example.com';
select tests.pass('10 minutes');
select calendly.nudge();
select is(tests.alerts(), 'none', 'a nudge that has just been sent need not be answered yet');
select tests.pass('5 minutes'), calendly.nudge();
select is(tests.alerts(), 'none', 'an answer may take five minutes');
select tests.pass('1 minute'), calendly.nudge();
select is(tests.alerts(), 'functions_unreachable', 'nudges that nobody answers are an alert');
select is((tests.alert('functions_unreachable')).severity, 'critical',
  'functions_unreachable is critical');
select is((tests.alert('functions_unreachable')).since, '2026-06-01T12:20:02Z',
  'functions_unreachable counts from the first nudge that was not answered');
select ok((tests.alert('functions_unreachable')).message ~ 'https://project.example.com',
  'functions_unreachable says which address is nudged');
select ok((tests.alert('functions_unreachable')).what_to_do ~ 'calendly_confirm_project',
  'functions_unreachable says what to run after a move');
select tests.tick_and_answer();
select is(tests.alerts(), 'none', 'an answer ends functions_unreachable');
select tests.pass('20 minutes');
update public.calendly_connections
  set next_sync_at = calendly.now() + interval '1 hour', current_as_of = calendly.now();
select calendly.nudge();
select tests.pass('10 minutes');
update public.calendly_connections set next_sync_at = calendly.now();
select calendly.nudge();
select is(tests.alerts(), 'none', 'functions that are not nudged need not answer');

-- a database that cannot be written
set local default_transaction_read_only = on;
select is(tests.alerts(), 'database_read_only', 'a database that takes no writes is an alert');
select is(tests.status(), 'unhealthy', 'a database that takes no writes is unhealthy at once');
select ok((tests.alert('database_read_only')).what_to_do ~ 'disk',
  'database_read_only says where to make room');
set local default_transaction_read_only = off;
select is(tests.alerts(), 'none', 'a database that takes writes again ends database_read_only');

-- another project
select public.calendly_claim_sync('{"project_url": "https://copy.example.com"}');
select is(tests.alerts(), 'project_moved', 'functions under another address are an alert');
select is((tests.alert('project_moved')).severity, 'critical', 'project_moved is critical');
select ok((tests.alert('project_moved')).what_to_do ~ 'https://copy.example.com',
  'project_moved names the address to confirm');
select tests.pass('1 minute'), calendly.nudge(),
  public.calendly_claim_sync('{"project_url": "https://copy.example.com"}');
select is((tests.alert('project_moved')).since, calendly.now() - interval '1 minute',
  'project_moved counts from when it was first seen');
select public.calendly_confirm_project('https://project.example.com');
select is(tests.alerts(), 'none', 'confirming an address ends project_moved');

-- stale
select tests.sync('ana', '{}');
select tests.pass_and_tick('35 minutes');
select is(tests.alerts(), 'none', 'two intervals and five minutes may pass without a sync');
select tests.pass_and_tick('1 second');
select is(tests.alerts(), 'stale ana', 'a connection that is not synced for longer is an alert');
select is((tests.alert('stale')).severity, 'critical', 'stale is critical');
select is((tests.alert('stale')).since, calendly.now() - interval '35 minutes 1 second',
  'stale counts from the last complete sync');
update auth.users set banned_until = 'infinity' where id = tests.account_of('ana');
select is(tests.alerts(), 'none', 'a banned account is not stale');
update auth.users set banned_until = null where id = tests.account_of('ana');
select calendly.set_webhook_enabled(array[tests.id_of('ana')], true);
select is(tests.alerts(), 'none', 'while webhooks arrive, the longer interval counts');
select tests.pass_and_tick('12 hours');
select is(tests.alerts(), 'stale ana', 'two of the longer intervals are too long as well');
select tests.sync('ana', '{}');
select is(tests.alerts(), 'none', 'a complete sync ends stale');
select calendly.set_webhook_enabled(array[tests.id_of('ana')], false);
select tests.add_person('ben');
select tests.pass_and_tick('36 minutes');
select is(tests.alerts(), 'stale ana, stale ben',
  'a connection that was never synced is stale two intervals after connecting');
select tests.sync('ana', '{}'), tests.sync('ben', '{}');

-- failing
create function tests.fail_next(code text, message text) returns void language sql as $$
  select tests.pass('1 minute');
  select tests.begin('ana');
  select tests.fail('ana', jsonb_build_object(
    'code', code, 'message', message, 'hint', 'Set CALENDLY_TOKEN_KEY.'));
$$;
select tests.fail_next('token_unreadable', 'The key is missing.') from generate_series(1, 2);
select is(tests.alerts(), 'none', 'two failures in a row are no alert');
select tests.fail_next('token_unreadable', 'The key is missing.');
select is(tests.alerts(), 'failing ana', 'three failures in a row are an alert');
select is((tests.alert('failing')).severity, 'critical', 'failing is critical');
select is((tests.alert('failing')).since, calendly.now() - interval '2 minutes',
  'failing counts from the first failure');
select ok((tests.alert('failing')).message ~ 'The key is missing', 'failing says why');
select is((tests.alert('failing')).what_to_do,
  'Set CALENDLY_TOKEN_KEY. See error in calendly_sync_runs, and its code in docs/operate.md.',
  'failing hands on the hint of the error');
select tests.sync('ana', '{}');
select is(tests.alerts(), 'none', 'a complete sync ends failing');

-- reconnect
select tests.begin('ana'), tests.fail('ana',
  '{"code": "token_refused", "message": "It was revoked."}') from generate_series(1, 3);
select is(tests.alerts(), 'reconnect_required ana',
  'a token that Calendly refuses is one alert and not failing as well');
select is((tests.alert('reconnect_required')).severity, 'critical',
  'reconnect_required is critical');
select is((tests.alert('reconnect_required')).since, calendly.now(),
  'reconnect_required counts from when the token was given up');
select ok((tests.alert('reconnect_required')).message ~ 'It was revoked',
  'reconnect_required says Calendly''s reason');
select ok((tests.alert('reconnect_required')).what_to_do ~ 'calendly-connect',
  'reconnect_required says how to connect');
select tests.connect('ana');
select tests.sync('ana', '{}');
select is(tests.alerts(), 'none', 'connecting again ends reconnect_required');

-- rows that could not be used
select tests.sync_next(array[
  tests.event('E1', '{"start_time": "never"}'), tests.event('E2', tests.seats(0, 0))]);
select is(tests.alerts(), 'rejected_rows ana', 'an event that a sync could not use is an alert');
select is((tests.alert('rejected_rows')).severity, 'warning', 'rejected_rows is a warning');
select ok((tests.alert('rejected_rows')).what_to_do ~ 'calendly_sync_runs',
  'rejected_rows says where to look');
select is(tests.status(), 'healthy', 'a warning alone leaves the status healthy');
select is(jsonb_array_length(public.calendly_health() -> 'alerts'), 1,
  'calendly_health lists a warning');
select tests.sync_next(array[tests.event('E2', tests.seats(0, 0))]);
select is(tests.alerts(), 'none', 'a sync that can use everything ends rejected_rows');

-- a mass absence
create function tests.calendar(size integer) returns jsonb[] language sql as $$
  select array(
    select tests.event('M' || n, tests.seats(0, 0)) from generate_series(1, size) n)
$$;
select tests.sync_next(tests.calendar(100));
select tests.pass_and_tick('1 minute');
select tests.begin('ana');
create temporary table step as
  select tests.bring('ana', tests.page(tests.calendar(74))) as asked;
select tests.bring('ana', jsonb_build_object('events', (
  select jsonb_agg(tests.read_of(name, 200, tests.event(name, tests.seats(0, 0))))
  from step, unnest(tests.event_names(asked)) name)));
select tests.finish('ana');
select is(tests.alerts(), 'mass_absence ana',
  'many meetings missing from a listing are an alert, even where each still exists');
select is((tests.alert('mass_absence')).severity, 'critical', 'mass_absence is critical');
select ok((tests.alert('mass_absence')).message ~ '26', 'mass_absence says how many are missing');
select is((tests.alert('mass_absence')).since, (tests.run_of('ana')).finished_at,
  'mass_absence counts from the sync that missed them');
select tests.sync_next(tests.calendar(100));
select is(tests.alerts(), 'none', 'a listing that shows them again ends mass_absence');
select tests.sync_next(tests.calendar(80));
select is(tests.alerts(), 'none', 'a few missing meetings are no alert');

-- deliveries
insert into public.calendly_webhook_events
    (event_id, event_type, payload, user_id, created_at, status, error)
  select 'dead ' || n, 'invitee.created', '{"event": "routing_form_submission.created"}',
    tests.id_of('ana'), calendly.now() - n * interval '1 hour', 'dead', '{"code": "x"}'
  from generate_series(1, 11) n;
select is(tests.alerts(), 'dead_webhook_events ana', 'dead deliveries of a user are one alert');
select is((tests.alert('dead_webhook_events')).severity, 'warning',
  'dead_webhook_events is a warning');
select is((tests.alert('dead_webhook_events')).since, calendly.now() - interval '11 hours',
  'dead_webhook_events counts from the first of them');
select ok((tests.alert('dead_webhook_events')).what_to_do ~ 'calendly_replay_webhook_event',
  'dead_webhook_events says how to try again');
select is((
    select array_agg(e.event_id order by e.created_at desc)
    from public.calendly_webhook_events e
    where to_jsonb(e.id) <@ ((tests.alert('dead_webhook_events')).evidence
      -> 'webhook_event_ids')),
  array(select 'dead ' || n from generate_series(1, 10) n),
  'dead_webhook_events names the latest ten');
select public.calendly_replay_webhook_event(e.id)
  from public.calendly_webhook_events e where e.status = 'dead';
select is(tests.alerts(), 'none', 'replaying them ends dead_webhook_events');

-- a subscription
create function tests.subscribe(uri text) returns void language sql as $$
  select public.calendly_keep_subscription(
    (public.calendly_begin_subscription(jsonb_build_object(
      'auth_user_id', tests.account_of('ana'))) ->> 'id')::uuid,
    'https://api.calendly.com/webhook_subscriptions/' || uri, 'key')
$$;
create function tests.review() returns jsonb language sql as $$
  select public.calendly_review_subscriptions((tests.connection_of('ana')).id, '[]', 'key')
$$;
select tests.subscribe('W1');
select is(tests.alerts(), 'none', 'an active subscription is no alert');
select tests.review();
select is(tests.alerts(), 'webhook_disabled ana',
  'a subscription that Calendly no longer lists is an alert');
select is((tests.alert('webhook_disabled')).severity, 'warning', 'webhook_disabled is a warning');
select ok((tests.alert('webhook_disabled')).what_to_do ~ 'a new one is made',
  'webhook_disabled says what happens next');
select tests.sync_next(tests.calendar(80));
select tests.review();
select is((tests.alert('webhook_disabled')).since, calendly.now() - interval '1 second',
  'webhook_disabled counts from when it was first seen');
select tests.subscribe('W2');
select is(tests.alerts(), 'none', 'a new subscription ends webhook_disabled');

-- live updates
insert into calendly.live_updates_refusal (refused_at, error)
  values (calendly.now(), 'must be owner of table messages');
select is(tests.alerts(), 'live_updates_refused', 'a refused policy for live updates is an alert');
select is((tests.alert('live_updates_refused')).severity, 'warning',
  'live_updates_refused is a warning');
select ok((tests.alert('live_updates_refused')).what_to_do ~
    'create policy .* on realtime.messages .*; Then.*select calendly.enable_live_updates\(\);',
  'live_updates_refused says what to run');
delete from calendly.live_updates_refusal;

-- own tables
select public.calendly_record_own_table_failure('bookings', 'null value in column', '23502');
select is(tests.alerts(), 'own_table_failing', 'a recipe that fails is an alert');
select is((tests.alert('own_table_failing')).severity, 'critical', 'own_table_failing is critical');
select is((tests.alert('own_table_failing')).message,
  'bookings failed, so that its table is not up to date: null value in column (SQLSTATE 23502). '
    'Failures: 1.',
  'own_table_failing says which recipe failed, and why');
select ok((tests.alert('own_table_failing')).what_to_do ~
    $$calendly_clear_own_table_failure\('bookings'\)$$,
  'own_table_failing says how to clear it');
select public.calendly_clear_own_table_failure('bookings');
select is(tests.alerts(), 'none', 'clearing the failure ends own_table_failing');

-- unproven e-mails
insert into auth.users (id, email, email_confirmed_at)
  select gen_random_uuid(), name || '@example.com', ('2026-05-0' || n)::date
  from unnest('{una,uwe}'::text[]) with ordinality u (name, n);
select is(tests.alerts(), 'none',
  'unproven e-mails are no alert where nobody is matched by e-mail');
select tests.add_organization('olga', 'everyone');
select is(tests.alerts(), 'none', 'nor for an organization that keeps everyone');
update public.calendly_connections set members = 'accounts' where scope = 'organization';
select is(tests.alerts(), 'email_unproven',
  'they are an alert for an organization whose members are matched by e-mail');
select is((tests.alert('email_unproven')).severity, 'warning', 'email_unproven is a warning');
select ok((tests.alert('email_unproven')).message ~ ' 2 accounts ',
  'email_unproven says how many accounts there are');
select is((tests.alert('email_unproven')).since, '2026-05-01'::date::timestamptz,
  'email_unproven counts from the first of them');
insert into auth.identities (provider_id, user_id, identity_data, provider)
  values ('1', tests.account_of('una'),
    '{"email": "una@example.com", "email_verified": true}', 'google'),
  ('2', tests.account_of('uwe'), '{"email": "uwe@example.com"}', 'email');
select ok((tests.alert('email_unproven')).message ~ ' 1 accounts ',
  'an account of an identity provider is not one of them');
update auth.users set confirmation_sent_at = '2026-05-01T00:00:00Z'
  where email = 'uwe@example.com';
select is(tests.alerts(), 'none', 'nor is an account that was sent a mail');
update auth.users set confirmation_sent_at = null, email_confirmed_at = '2026-05-01';
select is((select e.looked_at from calendly.unproven_emails(2) e), 2::bigint,
  'of very many accounts the first are looked at');
select ok((tests.alert('email_unproven')).message !~ 'at least',
  'email_unproven is exact where all were looked at');
update auth.users set confirmation_sent_at = '2026-05-01';

-- accounts that are gone
select tests.add_person('p' || n) from generate_series(1, 26) n;
delete from auth.users where email ~ '^p\d+@';
select is((tests.alert('many_accounts_ended')).severity, 'critical',
  'a great part of all accounts that has ended at once is a critical alert');
select ok((tests.alert('many_accounts_ended')).what_to_do ~ 'calendly.ended_accounts',
  'many_accounts_ended says how to erase them on purpose');
select calendly.erase_users(array(select e.user_id from calendly.ended_accounts e limit 1));
select is((tests.alert('many_accounts_ended')).code, null,
  'many_accounts_ended is over when so few are left that they are erased by themselves');
select calendly.end_closed_accounts();

select public.calendly_disconnect(jsonb_build_object('auth_user_id', tests.account_of(name)))
  from unnest('{ana,ben,olga}'::text[]) name;
select tests.pass('1 day');
select is(tests.alerts(), 'none', 'a disconnected user has no alert');

select * from finish();
rollback;
