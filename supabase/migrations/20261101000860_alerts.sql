-- What a person must do something about: the list of all alerts with what to do, one small view
-- for each, all with the same columns, and calendly_alerts, which shows them together. An alert is
-- there from when its reason began until the reason is gone; nothing has to be acknowledged. The
-- comment on its view says what it means: docs/operate.md is made from the list and these comments.
-- Each names its evidence: ids for a program, and a statement that shows the rows.

create view calendly.alert_kinds with (security_invoker = true) as
  select k.code, k.severity, k.what_to_do
  from (values
    ('schedule_not_running', 'critical',
      'See the last runs: select * from cron.job_run_details order by start_time desc limit 10; '
      'If the job calendly-nudge is missing: select calendly.schedule_jobs();'),
    ('functions_unreachable', 'critical',
      'Deploy calendly-sync with verify_jwt = false, and see its log. It is nudged again within '
      '15 minutes, or at once: POST /functions/v1/calendly-sync/nudge. If the project has moved: '
      'select calendly_confirm_project(''https://…'');'),
    ('project_moved', 'critical',
      'If the project has moved for good: select calendly_confirm_project(%L); '
      'A copy has nothing to sync.'),
    ('database_read_only', 'critical',
      'The platform does this when the disk is nearly full: make room or enlarge it under Project '
      'Settings > Compute and Disk.'),
    ('reconnect_required', 'critical',
      'The person connects again: POST /functions/v1/calendly-connect.'),
    ('stale', 'critical',
      'See last_error in calendly_sync_health and error in the last runs of this user in '
      'calendly_sync_runs; docs/operate.md says what each code means. If there is no run: see '
      'calendly_schedule().'),
    ('failing', 'critical',
      '%s See error in calendly_sync_runs, and its code in docs/operate.md.'),
    ('mass_absence', 'critical',
      'They are kept, and looked up one by one. Check at Calendly whether the account still sees '
      'its events.'),
    ('many_accounts_ended', 'critical',
      'If auth.users was not restored with the rest, restore it. If they were deleted on purpose: '
      'select calendly.release_accounts(array(select user_id from calendly.ended_accounts));'),
    ('own_table_failing', 'critical',
      'Mend it, fill the table again (docs/own-tables.md), then: '
      'select calendly_clear_own_table_failure(%L);'),
    ('rejected_rows', 'warning',
      'See rejections in calendly_sync_runs: each has the URI and what is wrong with it.'),
    ('webhook_disabled', 'warning',
      'Where Calendly allows it, a new one is made within a day, or at once: '
      'POST /functions/v1/calendly-connect/webhooks. %s'),
    ('webhook_unknown', 'warning',
      'Do what the reason in the message asks for, such as connecting again with a token that may '
      'read webhooks. It is looked at again daily. Until then the schedule brings the changes. %s'),
    ('webhooks_failing', 'warning',
      'See the log of calendly-webhook: CALENDLY_WEBHOOK_SIGNING_KEY may be another than that of '
      'the OAuth app. Until then the schedule brings the changes.'),
    ('dead_webhook_events', 'warning',
      'Mend what error in calendly_webhook_events says, then try them again: '
      'select calendly_replay_dead(); tries a hundred, select calendly_replay_webhook_event(id); '
      'one.'),
    ('email_unproven', 'warning',
      'Switch on Authentication > Sign In / Providers > Email > Confirm email. Members whose '
      'e-mail is unproven connect once themselves: POST /functions/v1/calendly-connect.'),
    ('live_updates_refused', 'warning',
      'As the owner of realtime.messages: %s Then, as the owner of the schema calendly: '
      'select calendly.enable_live_updates();')
  ) k (code, severity, what_to_do);
comment on view calendly.alert_kinds is
  'All alerts: severity, and what to do, where %s or %L stands for the detail of the single one.';

create view calendly.alert_limits with (security_invoker = true) as
  select
    -- how late a tick, its answer, or a due sync may be before it is called late
    interval '5 minutes' as grace,
    -- failures in a row that may heal by themselves
    2 as failures,
    -- meetings that may be missing from a listing: so many, or this share of what it showed
    25 as missing,
    0.25 as missing_share,
    -- accounts that are looked at for unproven e-mails
    10000 as accounts,
    calendly.now() as now_at;
comment on view calendly.alert_limits is 'The numbers of the alerts, and the time.';

-- Connections ------------------------------------------------------------------------------------

create view calendly.alert_reconnect_required with (security_invoker = true) as
  select 'reconnect_required' as code, c.user_id, c.updated_at as since,
    format('Calendly refuses the token of user %s: %s', c.user_id, c.last_error ->> 'message')
      as message,
    null::text as detail,
    jsonb_build_object('connection_ids', jsonb_build_array(c.id)) as evidence,
    format('select state, refusals, last_error from calendly_connections where id = %L;', c.id)
      as evidence_sql
  from public.calendly_connections c
  where c.state = 'reconnect_required';
comment on view calendly.alert_reconnect_required is
  'Calendly refuses the token of a connection: its meetings are no longer synced. What is stored '
  'stays, and grows old.';

create view calendly.alert_stale with (security_invoker = true) as
  with intervals as materialized (
    select enabled as webhook_enabled, calendly.interval_between_syncs(enabled) as due_every
    from unnest('{true,false}'::boolean[]) enabled
  ),
  late as materialized (
    select c.id, c.user_id, u.auth_user_id, l.now_at,
      coalesce(c.current_as_of, c.connected_at) as since
    from calendly.alert_limits l
    cross join public.calendly_connections c
    join public.calendly_users u on u.id = c.user_id
    join intervals i on i.webhook_enabled = u.calendly_webhook_enabled
    where c.state = 'active'
      and coalesce(c.current_as_of, c.connected_at) < l.now_at - 2 * i.due_every - l.grace
      -- Where the interval has just become shorter, the next regular sync may still be to come.
      and (c.failures > 0 or c.next_sync_at is null
        or c.next_sync_at not between l.now_at - l.grace and l.now_at + 1.5 * i.due_every
        or exists (
          select from public.calendly_sync_runs r
          where r.connection_id = c.id and r.status in ('running', 'paused')))
  )
  select 'stale' as code, late.user_id, late.since,
    format('User %s has not been synced for two intervals.', late.user_id) as message,
    null::text as detail,
    jsonb_build_object('connection_ids', jsonb_build_array(late.id)) as evidence,
    format('select c.current_as_of, c.next_sync_at, c.failures, r.id as run_id, r.status, '
      'r.started_at, r.error from calendly_connections c left join calendly_sync_runs r '
      'on r.connection_id = c.id where c.id = %L order by r.started_at desc limit 10;', late.id)
      as evidence_sql
  from late
  -- A banned account is not synced on purpose.
  where late.auth_user_id is null or exists (
    select from calendly.accounts a
    where a.auth_user_id = late.auth_user_id and a.open_from <= late.now_at
    offset 0);  -- by id, see calendly.ended_accounts
comment on view calendly.alert_stale is
  'A connection has not been synced completely for two intervals and five minutes: its meetings '
  'may be out of date. A banned account is not counted.';

create view calendly.alert_failing with (security_invoker = true) as
  select 'failing' as code, c.user_id, failed.since,
    format('The last %s syncs of user %s failed: %s',
      c.failures, c.user_id, c.last_error ->> 'message') as message,
    c.last_error ->> 'hint' as detail,
    jsonb_build_object('connection_ids', jsonb_build_array(c.id), 'run_ids', failed.run_ids)
      as evidence,
    format('select id, finished_at, error from calendly_sync_runs where connection_id = %L '
      'and status = ''failed'' order by finished_at desc limit 10;', c.id)
      as evidence_sql
  from calendly.alert_limits l
  join public.calendly_connections c on c.failures > l.failures
  cross join lateral (
    select min(r.finished_at) as since,
      (array_agg(r.id order by r.finished_at desc))[:10] as run_ids
    from public.calendly_sync_runs r
    where r.user_id = c.user_id and r.status = 'failed'
      and r.finished_at >= coalesce(c.current_as_of, c.connected_at)
  ) failed
  where c.state = 'active';
comment on view calendly.alert_failing is
  'Three or more syncs of a connection have failed in a row. Its meetings are as of the last '
  'complete one. The schedule tries again, each time later.';

create view calendly.last_runs_with_problems with (security_invoker = true) as
  -- From user to user, one step in the index for each: the other runs cost nothing, however many
  -- are kept.
  with recursive problem as (
    (
      select r.id, r.user_id, r.started_at
      from public.calendly_sync_runs r
      where r.status = 'complete' and (r.rejected > 0 or r.missing > 0)
      order by r.user_id, r.started_at desc
      limit 1
    )
    union all
    select following.id, following.user_id, following.started_at
    from problem p
    cross join lateral (
      select r.id, r.user_id, r.started_at
      from public.calendly_sync_runs r
      where r.status = 'complete' and (r.rejected > 0 or r.missing > 0) and r.user_id > p.user_id
      order by r.user_id, r.started_at desc
      limit 1
    ) following
  )
  select c.user_id, r.id as run_id, r.missing, r.fetched_active + r.fetched_canceled as fetched,
    r.rejected, r.finished_at
  from problem p
  join public.calendly_connections c on c.user_id = p.user_id and c.state <> 'disconnected'
  join public.calendly_sync_runs r on r.id = p.id
  where not exists (
    select from public.calendly_sync_runs later
    where later.user_id = p.user_id and later.started_at > p.started_at
      and later.status = 'complete');
comment on view calendly.last_runs_with_problems is
  'The last complete run of whose token each connection has, where it could not use or did not '
  'find something.';

create view calendly.alert_mass_absence with (security_invoker = true) as
  select 'mass_absence' as code, r.user_id, r.finished_at as since,
    format('%s of the meetings of user %s were missing from the last listing, which showed %s.',
      r.missing, r.user_id, r.fetched) as message,
    null::text as detail,
    jsonb_build_object('run_ids', jsonb_build_array(r.run_id)) as evidence,
    format('select missing, fetched_active, fetched_canceled, min_start_time, max_start_time '
      'from calendly_sync_runs where id = %L;', r.run_id)
      as evidence_sql
  from calendly.alert_limits l
  join calendly.last_runs_with_problems r
    on r.missing > greatest(l.missing, r.fetched * l.missing_share);
comment on view calendly.alert_mass_absence is
  'More than 25 meetings, and more than a quarter of what the listing showed, were missing from '
  'a complete listing. None is marked as deleted before Calendly was asked for it by itself.';

create view calendly.alert_rejected_rows with (security_invoker = true) as
  select 'rejected_rows' as code, r.user_id, r.finished_at as since,
    format('The last sync of user %s could not use %s events or invitees.', r.user_id, r.rejected)
      as message,
    null::text as detail,
    jsonb_build_object('run_ids', jsonb_build_array(r.run_id)) as evidence,
    format('select x ->> ''uri'' as uri, x ->> ''problem'' as problem from calendly_sync_runs r, '
      'jsonb_array_elements(r.rejections) x where r.id = %L;', r.run_id)
      as evidence_sql
  from calendly.last_runs_with_problems r
  where r.rejected > 0;
comment on view calendly.alert_rejected_rows is
  'The last complete sync met events or invitees that it could not use. They are not stored, or '
  'stay as they were; everything else is up to date. The next sync tries them again.';

-- Webhooks ---------------------------------------------------------------------------------------

create view calendly.alert_webhook_disabled with (security_invoker = true) as
  select 'webhook_disabled' as code, c.user_id, c.webhooks_lost_at as since,
    format('The webhook subscription of user %s is disabled at Calendly.', c.user_id) as message,
    concat_ws(' ', 'The last try failed: ' || (c.webhook_error ->> 'message'),
      c.webhook_error ->> 'hint') as detail,
    jsonb_build_object('connection_ids', jsonb_build_array(c.id)) as evidence,
    format('select webhook_state, webhooks_lost_at, webhook_error '
      'from calendly_connections where id = %L;', c.id)
      as evidence_sql
  from public.calendly_connections c
  where c.state <> 'disconnected' and c.webhook_state = 'disabled';
comment on view calendly.alert_webhook_disabled is
  'Calendly has ended a webhook subscription. Changes arrive with the schedule, every 15 '
  'minutes, until there is a new one.';

create view calendly.alert_webhook_unknown with (security_invoker = true) as
  select 'webhook_unknown' as code, c.user_id,
    c.webhooks_unseen_since as since,
    format('The webhook subscription of user %s cannot be looked at, and may be gone: %s',
      c.user_id, c.webhook_error ->> 'message') as message,
    c.webhook_error ->> 'hint' as detail,
    jsonb_build_object('connection_ids', jsonb_build_array(c.id)) as evidence,
    format('select webhook_state, webhooks_unseen_since, webhook_error '
      'from calendly_connections where id = %L;', c.id)
      as evidence_sql
  from public.calendly_connections c
  where c.state <> 'disconnected' and c.webhook_state = 'unknown';
comment on view calendly.alert_webhook_unknown is
  'Calendly does not show a webhook subscription, so that nobody knows whether it delivers. It '
  'is not relied on: the schedule syncs every 15 minutes.';

create view calendly.alert_webhooks_failing with (security_invoker = true) as
  select 'webhooks_failing' as code, c.user_id, c.webhooks_lost_at as since,
    format('What Calendly delivers for user %s is refused.', c.user_id) as message,
    null::text as detail,
    jsonb_build_object('connection_ids', jsonb_build_array(c.id)) as evidence,
    format('select webhook_state, webhooks_lost_at, webhooks_checked_at '
      'from calendly_connections where id = %L;', c.id)
      as evidence_sql
  from public.calendly_connections c
  join public.calendly_users u on u.id = c.user_id
  where c.state <> 'disconnected' and c.webhook_state = 'active'
    and c.webhooks_lost_at is not null and not u.calendly_webhook_enabled;
comment on view calendly.alert_webhooks_failing is
  'Calendly repeats deliveries of a subscription in vain: they do not arrive, or are refused. '
  'The schedule syncs every 15 minutes.';

create view calendly.alert_dead_webhook_events with (security_invoker = true) as
  select 'dead_webhook_events' as code, e.user_id,
    min(e.created_at) as since,
    format('%s webhook events could not be applied.', count(*)) as message,
    null::text as detail,
    jsonb_build_object('webhook_event_ids', (array_agg(e.id order by e.created_at desc))[:10])
      as evidence,
    format('select id, created_at, event_type, attempts, error from calendly_webhook_events '
      'where status = ''dead'' and user_id %s order by created_at;',
      coalesce('= ' || e.user_id, 'is null'))
      as evidence_sql
  from public.calendly_webhook_events e
  where e.status = 'dead'
  group by e.user_id;
comment on view calendly.alert_dead_webhook_events is
  'Deliveries could not be applied and were given up after the last try. The next sync brings what '
  'Calendly has now, within its range of days.';

-- The schedule and the project -------------------------------------------------------------------

create view calendly.alert_schedule_not_running with (security_invoker = true) as
  select 'schedule_not_running' as code, null::integer as user_id, t.since,
    'pg_cron has not run calendly-nudge for more than five minutes.' as message,
    null::text as detail,
    jsonb_build_object('job', 'calendly-nudge', 'ticked_at', t.ticked_at) as evidence,
    'select j.jobname, j.schedule, j.active, d.start_time, d.status, d.return_message '
      'from cron.job j left join cron.job_run_details d using (jobid) '
      'where j.jobname = ''calendly-nudge'' order by d.runid desc limit 10;'
      as evidence_sql
  from calendly.alert_limits l
  cross join (
    -- Before anybody is connected nothing has to run.
    select p.ticked_at, greatest(p.ticked_at, min(c.connected_at)) as since
    from calendly.project p
    join public.calendly_connections c on c.state = 'active'
    group by p.ticked_at
  ) t
  where t.since < l.now_at - l.grace;
comment on view calendly.alert_schedule_not_running is
  'pg_cron has not run the job calendly-nudge for five minutes: nothing is synced by itself. '
  'Clicks and webhooks still work.';

create view calendly.alert_functions_unreachable with (security_invoker = true) as
  select 'functions_unreachable' as code, null::integer as user_id,
    p.unanswered_since as since,
    format('Functions at %s are nudged and ask for no work.', p.url) as message,
    null::text as detail,
    jsonb_build_object('url', p.url) as evidence,
    'select ticked_at, due, nudges, unanswered_since from calendly.ticks '
      'order by ticked_at desc limit 30;'
      as evidence_sql
  from calendly.alert_limits l
  join calendly.project p on p.unanswered_since < l.now_at - l.grace;
comment on view calendly.alert_functions_unreachable is
  'The schedule calls calendly-sync, and for five minutes nobody has asked for work: nothing is '
  'synced by itself. Often the function is not deployed, or asks for a JWT.';

create view calendly.alert_project_moved with (security_invoker = true) as
  select 'project_moved' as code, null::integer as user_id,
    p.moved_at as since,
    format('This database belongs to %s, and functions run under %s: nothing is synced.',
      p.url, p.moved_to) as message,
    p.moved_to as detail,
    jsonb_build_object('url', p.url, 'moved_to', p.moved_to) as evidence,
    'select url, moved_to, moved_at from calendly.project;'
      as evidence_sql
  from calendly.project p
  where p.moved_to is not null;
comment on view calendly.alert_project_moved is
  'The functions run under another address than the one that the database knows, as in a copy or '
  'after a move. Nothing is synced, and nothing is ended at Calendly.';

create view calendly.alert_database_read_only with (security_invoker = true) as
  select 'database_read_only' as code, null::integer as user_id,
    null::timestamptz as since,
    'The database takes no writes (default_transaction_read_only is on): nothing is synced, and '
      'deliveries are refused until it does. Then they come again.' as message,
    null::text as detail,
    jsonb_build_object('setting', 'default_transaction_read_only') as evidence,
    'show default_transaction_read_only;'
      as evidence_sql
  -- not transaction_read_only: the Data API reads in read-only transactions
  where current_setting('default_transaction_read_only')::boolean;
comment on view calendly.alert_database_read_only is
  'The database takes no writes: nothing is synced, and deliveries are refused. Calendly sends '
  'them again for a day.';

-- Accounts ---------------------------------------------------------------------------------------

create view calendly.alert_many_accounts_ended with (security_invoker = true) as
  select 'many_accounts_ended' as code, null::integer as user_id,
    null::timestamptz as since,
    'A great part of the accounts is missing from auth.users, or deleted there. Their meetings are '
      'neither synced nor erased until somebody has looked.' as message,
    null::text as detail,
    jsonb_build_object('view', 'calendly.ended_accounts') as evidence,
    'select u.id, u.auth_user_id, u.email from calendly_users u '
      'join calendly.ended_accounts e on e.user_id = u.id;'
      as evidence_sql
  where calendly.too_many_ended_accounts();
comment on view calendly.alert_many_accounts_ended is
  'More than 25 accounts, and more than a quarter of all, are missing from auth.users or deleted '
  'there, as after a restore without them. Their meetings are neither synced nor erased.';

create view calendly.alert_email_unproven with (security_invoker = true) as
  select 'email_unproven' as code, null::integer as user_id, e.since,
    format('The e-mails of %s%s accounts are confirmed, but no mail was ever sent to them: '
      '"Confirm email" is or was switched off, or an administrator made them. An organization''s '
      'members are not recognized by these e-mails.',
      case when e.looked_at = l.accounts then 'at least ' end, e.accounts) as message,
    null::text as detail,
    jsonb_build_object('accounts', e.accounts) as evidence,
    'select id, email, email_confirmed_at from auth.users where email_confirmed_at is not null '
      'and confirmation_sent_at is null order by email_confirmed_at limit 100;'
      as evidence_sql
  from calendly.alert_limits l
  cross join lateral calendly.unproven_emails(case when exists (
    select from public.calendly_connections c
    where c.scope = 'organization' and c.members = 'accounts' and c.state = 'active'
  ) then l.accounts else 0 end) e
  where e.accounts > 0;
comment on view calendly.alert_email_unproven is
  'An organization''s members are matched to accounts by e-mail, and accounts have an e-mail that '
  'nothing proves. Those members are not recognized, so that their meetings are not kept.';

-- The app ----------------------------------------------------------------------------------------

create view calendly.alert_live_updates_refused with (security_invoker = true) as
  select 'live_updates_refused' as code, null::integer as user_id,
    r.refused_at as since,
    format('Live updates are off, because the policy on realtime.messages was refused: %s', r.error)
      as message,
    calendly.live_updates_policy() as detail,
    jsonb_build_object('error', r.error) as evidence,
    'select refused_at, error from calendly.live_updates_refusal;'
      as evidence_sql
  from calendly.live_updates_refusal r;
comment on view calendly.alert_live_updates_refused is
  'Postgres refused the policy on realtime.messages: apps get no live updates. Everything else '
  'works.';

create view calendly.alert_own_table_failing with (security_invoker = true) as
  select 'own_table_failing' as code, null::integer as user_id,
    f.first_failed_at as since,
    format('%s failed, so that its table is not up to date: %s (SQLSTATE %s). Failures: %s.',
      f.source, f.error, f.sqlstate, f.failures) as message,
    f.source as detail,
    jsonb_build_object('source', f.source, 'sqlstate', f.sqlstate, 'failures', f.failures)
      as evidence,
    format('select * from calendly.own_table_failures where source = %L;', f.source)
      as evidence_sql
  from calendly.own_table_failures f;
comment on view calendly.alert_own_table_failing is
  'A trigger of the app''s that keeps a table of its own in step has failed: that table is not up '
  'to date. calendly_meetings is.';

-- All of them ------------------------------------------------------------------------------------

create function calendly.alerts()
returns table (
  code text, severity text, user_id integer, since timestamptz, message text, what_to_do text,
  evidence jsonb, evidence_sql text
)
language sql stable security definer set search_path = '' set jit = off
as $$
  select k.code, k.severity, a.user_id, a.since, a.message,
    btrim(format(k.what_to_do, a.detail)), a.evidence, a.evidence_sql
  from (
    table calendly.alert_reconnect_required
    union all table calendly.alert_stale
    union all table calendly.alert_failing
    union all table calendly.alert_mass_absence
    union all table calendly.alert_rejected_rows
    union all table calendly.alert_webhook_disabled
    union all table calendly.alert_webhook_unknown
    union all table calendly.alert_webhooks_failing
    union all table calendly.alert_dead_webhook_events
    union all table calendly.alert_schedule_not_running
    union all table calendly.alert_functions_unreachable
    union all table calendly.alert_project_moved
    union all table calendly.alert_database_read_only
    union all table calendly.alert_many_accounts_ended
    union all table calendly.alert_email_unproven
    union all table calendly.alert_live_updates_refused
    union all table calendly.alert_own_table_failing
  ) a
  join calendly.alert_kinds k using (code)
$$;
comment on function calendly.alerts() is
  'What calendly_alerts shows. The alerts read private tables, so this runs with the owner''s '
  'rights.';

create view public.calendly_alerts with (security_invoker = true) as
  select a.code, a.severity, a.user_id, a.since, a.message, a.what_to_do, a.evidence,
    a.evidence_sql
  from calendly.alerts() a;
comment on view public.calendly_alerts is
  'One row per thing that a person must do something about; empty when all is well.';
comment on column public.calendly_alerts.code is
  'Which alert it is: docs/operate.md says what each means.';
comment on column public.calendly_alerts.severity is
  'critical: meetings are not up to date. warning: something was lost or is slower than it should '
  'be.';
comment on column public.calendly_alerts.user_id is 'Whom it concerns; null: everybody.';
comment on column public.calendly_alerts.since is 'Since when; null: not known.';
comment on column public.calendly_alerts.message is
  'What happened, with the names and numbers of this case.';
comment on column public.calendly_alerts.what_to_do is 'What a person does about it.';
comment on column public.calendly_alerts.evidence is
  'What it was concluded from: {connection_ids?, run_ids?, webhook_event_ids?} (the latest ten) or '
  'what else there is.';
comment on column public.calendly_alerts.evidence_sql is
  'A statement for the SQL editor that shows the evidence.';

create function public.calendly_health() returns jsonb
-- plpgsql: calendly.version() is made later
language plpgsql stable security definer set search_path = '' set jit = off
-- longer than the 8 seconds after which the platform ends a request of the API
set statement_timeout = '30s'
as $$
begin
  return (
    with alerts as materialized (select * from calendly.alerts())
    select jsonb_build_object(
      'status', case
        when exists (select from alerts a where a.severity = 'critical') then 'unhealthy'
        else 'healthy'
      end,
      'version', calendly.version(),
      'alerts', (
        select coalesce(jsonb_agg(to_jsonb(a) - '{evidence,evidence_sql}'::text[]
          order by a.severity, a.code, a.user_id), '[]')
        from alerts a),
      'freshness', (select to_jsonb(f) from public.calendly_freshness f)));
end
$$;
comment on function public.calendly_health() is
  'For uptime monitors: {status: healthy | unhealthy, version, alerts, freshness}; unhealthy where '
  'an alert is critical. version is the database''s, see calendly.version. The evidence of alerts '
  'is in calendly_alerts.';

select calendly.revoke_all();
