-- How fresh and how complete the stored meetings are: one row per person, and one over all. The
-- views run with the reader's rights, so that each reader sees whom row level security lets them
-- see.

create function calendly.membership(user_id integer) returns public.calendly_connections
language sql stable security definer set search_path = ''
as $$
  select c
  from public.calendly_users u
  join public.calendly_connections c on c.id = u.connection_id
  where u.id = membership.user_id and c.user_id <> membership.user_id
$$;
comment on function calendly.membership(integer) is
  'The organization''s connection that brings a user''s meetings and belongs to somebody else, so '
  'that the user may not read it. calendly_sync_health shows its state, next sync and freshness.';

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
    coalesce(own.next_sync_at, bringing.next_sync_at, (hidden.connection).next_sync_at)
      as next_sync_at,
    -- now(), not calendly.now(): a view runs with the reader's rights. What was proven before a
    -- member joined proves nothing for them.
    now() - coalesce(own.current_as_of, case when u.calendly_initial_sync_complete then
      coalesce(bringing.current_as_of, (hidden.connection).current_as_of) end) as staleness,
    coalesce(own.state, bringing.state, (hidden.connection).state, 'disconnected')
      as connection_state,
    own.last_error
  from public.calendly_users u
  left join public.calendly_connections own on own.user_id = u.id
  left join public.calendly_connections bringing on bringing.id = u.connection_id
  -- Called for nobody but a signed-in member of an organization, who may not read its connection.
  cross join lateral (
    select case when u.connection_id is not null and bringing.id is null then
      calendly.membership(u.id) end
  ) hidden (connection)
  -- Each side is counted before it is joined: joined first, meetings and deliveries would multiply
  -- each other.
  left join (
    select m.user_id,
      count(*) filter (where not m.is_deleted) as active,
      count(*) filter (where m.is_deleted) as deleted,
      count(*) filter (where m.synced_via_webhook) as by_webhook,
      max(m.updated_at) as last_written
    from public.calendly_meetings m
    where m.calendly_event_uri is not null
    group by m.user_id
  ) m on m.user_id = u.id
  left join (
    select e.user_id, count(*) as received
    from public.calendly_webhook_events e
    group by e.user_id
  ) e on e.user_id = u.id;

comment on view public.calendly_sync_health is
  'One row per user: how fresh and how complete the stored meetings are. A signed-in user sees the '
  'own row and, with an organization connection that keeps everyone, those that it brings.';
comment on column public.calendly_sync_health.email is 'As Calendly has it.';
comment on column public.calendly_sync_health.last_calendly_sync is
  'Last complete sync or applied webhook.';
comment on column public.calendly_sync_health.active_calendly_meetings is
  'Meetings from Calendly that are not deleted.';
comment on column public.calendly_sync_health.deleted_calendly_meetings is
  'Meetings from Calendly that are canceled, gone or reassigned.';
comment on column public.calendly_sync_health.webhook_synced_meetings is
  'Meetings that a webhook wrote.';
comment on column public.calendly_sync_health.last_meeting_sync is
  'When a meeting was last written.';
comment on column public.calendly_sync_health.webhook_events_received is
  'Webhook events that are stored for this user.';
comment on column public.calendly_sync_health.next_sync_at is
  'When the schedule syncs this user next, or the organization whose connection brings them.';
comment on column public.calendly_sync_health.staleness is
  'How long ago all was proven to be as Calendly has it; null: never.';
comment on column public.calendly_sync_health.connection_state is
  'active, reconnect_required or disconnected; of the organization''s connection where that one '
  'brings the user.';
comment on column public.calendly_sync_health.last_error is
  '{code, message, hint, at} of the last failed run of the own connection; null after a complete '
  'one.';

create view public.calendly_freshness with (security_invoker = true) as
  select
    count(*) as users,
    count(*) filter (where h.staleness is null) as never_synced,
    percentile_cont(0.5) within group (order by h.staleness) as p50,
    percentile_cont(0.95) within group (order by h.staleness) as p95,
    max(h.staleness) as max
  from public.calendly_sync_health h
  where h.connection_state = 'active';

comment on view public.calendly_freshness is
  'How old the last proof of each connected user is, over all of them, members of organizations '
  'included: what a service level can be set on.';
comment on column public.calendly_freshness.users is 'Users with an active connection.';
comment on column public.calendly_freshness.never_synced is
  'Of them, those without a complete sync; they are not in p50, p95 and max.';
comment on column public.calendly_freshness.p50 is 'Half of the users are fresher than this.';
comment on column public.calendly_freshness.p95 is '95 of 100 users are fresher than this.';
comment on column public.calendly_freshness.max is 'No user is staler than this.';

select calendly.revoke_all();
