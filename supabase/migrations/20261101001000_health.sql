-- How it is going: for each user, for the whole, and what a person must do about it.

create function calendly.membership(user_id integer)
returns table (state text, next_sync_at timestamptz, current_as_of timestamptz)
language sql stable security definer rows 1 set search_path = ''
as $$
  select c.state, c.next_sync_at, c.current_as_of
  from calendly.hosts h
  join public.calendly_connections c on c.id = h.connection_id
  where h.user_id = membership.user_id and c.user_id <> membership.user_id
$$;
revoke all on function calendly.membership(integer) from public, anon, authenticated, service_role;
-- through the view below only: nobody but the owner may use the schema
grant execute on function calendly.membership(integer) to authenticated, service_role;
comment on function calendly.membership(integer) is 'How the organization''s connection is that brings a user''s meetings and is another''s; no row where there is none.';

create view public.calendly_sync_health with (security_invoker = true) as
  select
    u.id as user_id,
    u.email,
    u.last_calendly_sync,
    u.calendly_initial_sync_complete,
    u.calendly_webhook_enabled,
    coalesce(m.active, 0) as active_calendly_meetings,
    coalesce(m.deleted, 0) as deleted_calendly_meetings,
    coalesce(m.by_webhook, 0) as webhook_synced_meetings,
    m.last_written as last_meeting_sync,
    coalesce(e.received, 0) as webhook_events_received,
    coalesce(c.next_sync_at, o.next_sync_at) as next_sync_at,
    -- now(), not calendly.now(): a view runs with the reader's rights. What was proven before a member was
    -- recognized proves nothing for them.
    now() - coalesce(c.current_as_of, case when u.calendly_initial_sync_complete then o.current_as_of end) as staleness,
    coalesce(c.state, o.state, 'disconnected') as connection_state,
    c.last_error
  from public.users u
  left join public.calendly_connections c on c.user_id = u.id
  left join lateral calendly.membership(u.id) o on true
  -- Each side is counted before it is joined: a join of meetings and webhook events would multiply them.
  left join (
    select m.user_id,
      count(*) filter (where not m.is_deleted) as active,
      count(*) filter (where m.is_deleted) as deleted,
      count(*) filter (where m.synced_via_webhook) as by_webhook,
      max(m.updated_at) as last_written
    from public.meetings m
    where m.calendly_event_uri is not null
    group by m.user_id
  ) m on m.user_id = u.id
  left join (
    select e.user_id, count(*) as received
    from public.calendly_webhook_events e
    group by e.user_id
  ) e on e.user_id = u.id;

revoke all on public.calendly_sync_health from public, anon, authenticated, service_role;
grant select on public.calendly_sync_health to authenticated, service_role;

comment on view public.calendly_sync_health is 'One row per user: how fresh and how complete the mirror is. A signed-in user sees the own row.';
comment on column public.calendly_sync_health.last_calendly_sync is 'Last complete sync or applied webhook.';
comment on column public.calendly_sync_health.active_calendly_meetings is 'Meetings from Calendly that are not deleted.';
comment on column public.calendly_sync_health.deleted_calendly_meetings is 'Meetings from Calendly that are canceled, gone or reassigned.';
comment on column public.calendly_sync_health.webhook_synced_meetings is 'Meetings that a webhook wrote.';
comment on column public.calendly_sync_health.last_meeting_sync is 'When a meeting was last written.';
comment on column public.calendly_sync_health.webhook_events_received is 'Webhook events kept for this user.';
comment on column public.calendly_sync_health.next_sync_at is 'When the schedule syncs this user, or the organization that they come with, next.';
comment on column public.calendly_sync_health.staleness is 'How long ago all was proven to be as Calendly has it; null: never.';
comment on column public.calendly_sync_health.connection_state is 'active, reconnect_required or disconnected; of the organization''s connection where the user comes with one.';
comment on column public.calendly_sync_health.last_error is '{code, message, hint, at} of the last failed run; null after a complete one.';

create view public.calendly_freshness with (security_invoker = true) as
  select
    count(*) as users,
    count(*) filter (where h.staleness is null) as never_synced,
    percentile_cont(0.5) within group (order by h.staleness) as p50,
    percentile_cont(0.95) within group (order by h.staleness) as p95,
    max(h.staleness) as max
  from public.calendly_sync_health h
  where h.connection_state = 'active';

revoke all on public.calendly_freshness from public, anon, authenticated, service_role;
grant select on public.calendly_freshness to service_role;

comment on view public.calendly_freshness is 'How old the last proof of each connected user is, over all of them, members of organizations included: what a service level can be set on.';
comment on column public.calendly_freshness.users is 'Users with an active connection.';
comment on column public.calendly_freshness.never_synced is 'Of them, those without a complete sync; not in the figures beside.';
comment on column public.calendly_freshness.p50 is 'Half of the users are fresher than this.';
comment on column public.calendly_freshness.p95 is '95 of 100 users are fresher than this.';
comment on column public.calendly_freshness.max is 'Nobody is staler than this.';

-- Alerts -----------------------------------------------------------------------------------------------

create function calendly.alerts()
returns table (code text, severity text, user_id integer, since timestamptz, message text, what_to_do text)
language sql stable security definer set search_path = ''
as $$
  with clock as (select calendly.now() as at),
  connections as (
    select c.*, last_run.absent, last_run.fetched, last_run.rejected, last_run.finished_at,
      u.calendly_webhook_enabled as webhooks_arrive,
      case when u.calendly_webhook_enabled then g.webhook_sync_interval else g.sync_interval end as due_every
    from public.calendly_connections c
    join public.users u on u.id = c.user_id
    cross join calendly.settings g
    left join lateral (
      select r.absent, r.fetched_active + r.fetched_canceled as fetched, r.rejected, r.finished_at
      from public.calendly_sync_runs r
      where r.user_id = c.user_id and r.status = 'complete'
      order by r.started_at desc limit 1
    ) last_run on true
    where c.state <> 'disconnected'
  )
  select 'reconnect_required', 'critical', c.user_id, c.updated_at,
    format('Calendly refuses the token of user %s: %s', c.user_id, c.last_error ->> 'message'),
    'The person connects again: POST /functions/v1/calendly-connect.'
  from connections c where c.state = 'reconnect_required'
  union all
  select 'stale', 'critical', c.user_id, coalesce(c.current_as_of, c.connected_at),
    format('User %s has not been synced for two intervals.', c.user_id),
    'See last_error in calendly_sync_health and the runs in calendly_sync_runs.'
  from connections c, clock
  where c.state = 'active' and coalesce(c.current_as_of, c.connected_at) < clock.at - 2 * c.due_every - interval '5 minutes'
    -- whose regular turn is still to come, because the interval has just become shorter, is not late
    and (c.failures > 0 or c.next_sync_at is null or c.next_sync_at not between clock.at - interval '5 minutes' and clock.at + 1.5 * c.due_every
      or exists (select from public.calendly_sync_runs r where r.connection_id = c.id and r.status in ('running', 'paused')))
  union all
  select 'failing', 'critical', c.user_id, (
      select min(r.finished_at) from public.calendly_sync_runs r
      where r.user_id = c.user_id and r.status = 'failed' and r.finished_at >= coalesce(c.current_as_of, c.connected_at)),
    format('The last %s syncs of user %s failed: %s', c.failures, c.user_id, c.last_error ->> 'message'),
    coalesce(c.last_error ->> 'hint', 'See calendly_sync_runs.error.')
  from connections c where c.state = 'active' and c.failures >= 3
  union all
  select 'webhook_disabled', 'warning', c.user_id, c.webhooks_lost_at,
    format('The webhook subscription of user %s is disabled at Calendly.', c.user_id),
    'Where Calendly allows it, a new one is made within a day, or at once: POST /functions/v1/calendly-connect/webhooks. last_error in calendly_connections has what it said.'
  from connections c where c.webhook_state = 'disabled'
  union all
  select 'webhooks_failing', 'warning', c.user_id, c.webhooks_lost_at,
    format('What Calendly delivers for user %s is refused.', c.user_id),
    'See the log of calendly-webhook: CALENDLY_WEBHOOK_SIGNING_KEY may be another than that of the OAuth app. Until then changes come with the schedule.'
  from connections c where c.webhook_state = 'active' and c.webhooks_lost_at is not null and not c.webhooks_arrive
  union all
  select 'mass_absence', 'critical', c.user_id, c.finished_at,
    format('%s of the meetings of user %s were missing from the last listing, which showed %s.', c.absent, c.user_id, c.fetched),
    'They are kept, and asked for one by one. Check at Calendly whether the account still sees its events.'
  from connections c where c.absent > greatest(25, c.fetched / 4)
  union all
  select 'rejected_rows', 'warning', c.user_id, c.finished_at,
    format('The last sync of user %s could not use %s events or invitees.', c.user_id, c.rejected),
    'See rejections in calendly_sync_runs.'
  from connections c where c.rejected > 0
  union all
  select 'dead_webhook_events', 'warning', e.user_id, min(e.created_at),
    format('%s webhook events could not be applied.', count(*)),
    'See error in calendly_webhook_events; select calendly_replay_webhook_event(id) tries one again.'
  from public.calendly_webhook_events e where e.status = 'dead' group by e.user_id
  union all
  select 'schedule_not_running', 'critical', null, schedule.since,
    'pg_cron has not run calendly-nudge for more than five minutes.',
    'select * from cron.job_run_details order by start_time desc limit 10;'
  from clock, (
    select greatest(p.ticked_at, (select min(c.connected_at) from connections c where c.state = 'active')) as since
    from calendly.project p
    where exists (select from connections c where c.state = 'active')
  ) schedule
  where schedule.since < clock.at - interval '5 minutes'
  union all
  select 'functions_unreachable', 'critical', null, p.unanswered_since,
    format('Functions at %s are nudged and ask for no work.', p.url),
    'Deploy calendly-sync with verify_jwt = false. If the project has moved: select calendly_confirm_project(''https://…'').'
  from calendly.project p, clock
  where p.unanswered_since < clock.at - interval '5 minutes'
  union all
  select 'project_moved', 'critical', null, p.moved_at,
    format('This database belongs to %s, and functions run under %s: nothing is synced.', p.url, p.moved_to),
    format('If the project has moved for good: select calendly_confirm_project(%L); A copy has nothing to sync.', p.moved_to)
  from calendly.project p where p.moved_to is not null
$$;
revoke all on function calendly.alerts() from public, anon, authenticated, service_role;
grant execute on function calendly.alerts() to service_role;
comment on function calendly.alerts() is 'What calendly_alerts shows. It reads private tables, so it runs with the owner''s rights.';

create view public.calendly_alerts with (security_invoker = true) as
  select a.code, a.severity, a.user_id, a.since, a.message, a.what_to_do from calendly.alerts() a;
revoke all on public.calendly_alerts from public, anon, authenticated, service_role;
grant select on public.calendly_alerts to service_role;
comment on view public.calendly_alerts is 'One row per thing that a person must act on; empty when all is well.';
comment on column public.calendly_alerts.severity is 'critical: meetings are not up to date. warning: something was lost or is slower than it should be.';
comment on column public.calendly_alerts.user_id is 'Whom it concerns; null: everybody.';

create function public.calendly_health() returns jsonb
language sql stable security definer set search_path = ''
as $$
  select jsonb_build_object(
    'status', case when exists (select from calendly.alerts() a where a.severity = 'critical') then 'unhealthy' else 'healthy' end,
    'alerts', coalesce((select jsonb_agg(to_jsonb(a) order by a.severity, a.code, a.user_id) from calendly.alerts() a), '[]'),
    'freshness', (select to_jsonb(f) from public.calendly_freshness f))
$$;
revoke all on function public.calendly_health() from public, anon, authenticated, service_role;
grant execute on function public.calendly_health() to service_role;
comment on function public.calendly_health() is
  'For uptime monitors: {status: healthy | unhealthy, alerts, freshness}; unhealthy where an alert is critical.';
