-- How fresh and how complete the stored meetings are: one row per person, and one over all. The
-- views run with the reader's rights, so that each reader sees whom row level security lets them
-- see.

create function calendly.membership(user_id integer)
returns table (state text, next_sync_at timestamptz, current_as_of timestamptz)
language plpgsql stable security definer rows 1 set search_path = ''
as $$
begin
  return query
    select c.state, c.next_sync_at, c.current_as_of
    from public.calendly_users u
    join public.calendly_connections c on c.id = u.connection_id
    where u.id = membership.user_id and c.user_id <> membership.user_id;
end
$$;
comment on function calendly.membership(integer) is
  'State, next sync and freshness of the organization''s connection that brings a user''s meetings '
  'and belongs to somebody else, so that the user may not read it.';

create view calendly.user_sync_states with (security_invoker = true) as
  select
    u.id as user_id,
    u.email,
    u.last_calendly_sync,
    u.calendly_initial_sync_complete,
    u.calendly_webhook_enabled,
    coalesce(own.next_sync_at, bringing.next_sync_at, hidden.next_sync_at) as next_sync_at,
    -- now(), not calendly.now(): a view runs with the reader's rights. What was proven before a
    -- member joined proves nothing for them.
    now() - coalesce(own.current_as_of, case when u.calendly_initial_sync_complete then
      coalesce(bringing.current_as_of, hidden.current_as_of) end) as staleness,
    coalesce(own.state, bringing.state, hidden.state, 'disconnected') as connection_state,
    own.last_error
  from public.calendly_users u
  left join public.calendly_connections own on own.user_id = u.id
  left join public.calendly_connections bringing on bringing.id = u.connection_id
  left join lateral (
    select m.* from calendly.membership(u.id) m
    -- Called for nobody but a signed-in member of an organization, who may not read its connection.
    where u.connection_id is not null and bringing.id is null
    offset 0
  ) hidden on true;
comment on view calendly.user_sync_states is
  'One row per user: which state their connection is in, and how fresh their meetings are.';

create view calendly.readable_meeting_counts with (security_invoker = true) as
  select
    m.user_id,
    count(*) filter (where not m.is_deleted) as active,
    count(*) filter (where m.is_deleted) as deleted,
    count(*) filter (where m.synced_via_webhook) as by_webhook,
    max(m.updated_at) as last_written
  from public.calendly_meetings m
  where m.calendly_event_uri is not null
    and row_security_active('public.calendly_meetings')
  group by m.user_id;
comment on view calendly.readable_meeting_counts is
  'Counts for a signed-in reader, of all whom they may read at once: user by user, the policy '
  'would compare each meeting with the list of those again.';

create view calendly.readable_webhook_event_counts with (security_invoker = true) as
  select e.user_id, count(*) as received
  from public.calendly_webhook_events e
  where row_security_active('public.calendly_webhook_events')
  group by e.user_id;
comment on view calendly.readable_webhook_event_counts is
  'The same of webhook events.';

create view public.calendly_sync_health with (security_invoker = true) as
  select
    s.user_id,
    s.email,
    s.last_calendly_sync,
    s.calendly_initial_sync_complete,
    s.calendly_webhook_enabled,
    coalesce(readable_m.active, m.active) as active_calendly_meetings,
    coalesce(readable_m.deleted, m.deleted) as deleted_calendly_meetings,
    coalesce(readable_m.by_webhook, m.by_webhook) as webhook_synced_meetings,
    coalesce(readable_m.last_written, m.last_written) as last_meeting_sync,
    coalesce(readable_e.received, e.received) as webhook_events_received,
    s.next_sync_at,
    s.staleness,
    s.connection_state,
    s.last_error
  from calendly.user_sync_states s
  -- A reader without row level security: counted user by user, so that to ask for one user, by
  -- e-mail for instance, reads that user's rows only. Meetings and webhook events are counted each
  -- by itself: joined first, they would multiply each other.
  cross join lateral (
    select
      count(*) filter (where not m.is_deleted) as active,
      count(*) filter (where m.is_deleted) as deleted,
      count(*) filter (where m.synced_via_webhook) as by_webhook,
      max(m.updated_at) as last_written
    from public.calendly_meetings m
    where m.user_id = s.user_id and m.calendly_event_uri is not null
      and not row_security_active('public.calendly_meetings')
  ) m
  cross join lateral (
    select count(*) as received
    from public.calendly_webhook_events e
    where e.user_id = s.user_id and not row_security_active('public.calendly_webhook_events')
  ) e
  left join calendly.readable_meeting_counts readable_m on readable_m.user_id = s.user_id
  left join calendly.readable_webhook_event_counts readable_e on readable_e.user_id = s.user_id;

comment on view public.calendly_sync_health is
  'One row per user: how fresh and how complete the stored meetings are. A signed-in user sees the '
  'own row and, with an organization connection that keeps everyone, those that it brings: of '
  'these one is asked for by user_id, because by e-mail the meetings of all of them are counted.';
comment on column public.calendly_sync_health.user_id is 'calendly_users.id.';
comment on column public.calendly_sync_health.email is 'As Calendly has it.';
comment on column public.calendly_sync_health.last_calendly_sync is
  'Last complete sync or applied webhook.';
comment on column public.calendly_sync_health.calendly_initial_sync_complete is
  'True once a FULL sync has finished.';
comment on column public.calendly_sync_health.calendly_webhook_enabled is
  'True while a webhook subscription is known to deliver.';
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
    count(*) filter (where s.staleness is null) as never_synced,
    percentile_cont(0.5) within group (order by s.staleness) as p50,
    percentile_cont(0.95) within group (order by s.staleness) as p95,
    max(s.staleness) as max
  from calendly.user_sync_states s
  where s.connection_state = 'active';

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
