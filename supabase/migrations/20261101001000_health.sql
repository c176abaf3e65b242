-- How it is going, for each user, to anyone who may see that user.

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
    coalesce(e.received, 0) as webhook_events_received
  from public.users u
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
