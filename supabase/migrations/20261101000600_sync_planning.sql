-- A sync goes step by step. Postgres says what to do next (calendly.next_step), a function does it
-- and brings back the result (calendly_apply_step), until nothing is left (calendly_finish_sync):
--
--   list_events ─▶ fetch_events ─▶ fetch_invitees ─▶ finish
--
-- fetch_events fetches one by one what the listing did not show and what a webhook told too little
-- about. This file decides what kind of sync it is, over which range, and when the next one is due.

-- What kind of sync -------------------------------------------------------------------------------

create function calendly.needs_full_sync(user_ids integer[]) returns boolean
language plpgsql stable set search_path = ''
as $$
begin
  return exists (
    select
    from unnest(user_ids) listed (id)
    cross join lateral (
      select u.calendly_initial_sync_complete from public.calendly_users u
      where u.id = listed.id offset 0
    ) person
    where not person.calendly_initial_sync_complete);
end
$$;
comment on function calendly.needs_full_sync(integer[]) is
  'Is there one among these people who has had no FULL sync yet, or whose flag was cleared?';

create function calendly.choose_sync_type(
  connection public.calendly_connections, user_ids integer[], trigger text, forced boolean
) returns text
language sql stable set search_path = ''
as $$
  select case
    when forced or calendly.needs_full_sync(user_ids) then 'FULL'
    -- An INCREMENTAL sync cannot see changes outside its range: the schedule repairs them with a
    -- FULL sync from time to time. A click stays INCREMENTAL, so that it is quick.
    when trigger = 'scheduled'
      and coalesce(connection.last_full_sync_at, '-infinity')
        < calendly.now() - (select s.full_sync_interval from calendly.settings s) then 'FULL'
    else 'INCREMENTAL'
  end
$$;
comment on function
  calendly.choose_sync_type(public.calendly_connections, integer[], text, boolean) is
  'FULL when forced, when one of these people has had none yet and, by the schedule, once in a '
  'full_sync_interval; else INCREMENTAL.';

create function calendly.sync_range(
  sync_type text, now_at timestamptz,
  out min_start_time timestamptz, out max_start_time timestamptz, out range_in_words text
)
language sql stable set search_path = ''
as $$
  select now_at - make_interval(days => days.back), now_at + make_interval(days => days.forward),
    format('%s back, %s forward',
      calendly.humanize_days(days.back), calendly.humanize_days(days.forward))
  from calendly.settings s
  cross join lateral (
    select s.full_days_back, s.full_days_forward where sync_type = 'FULL'
    union all
    select s.incremental_days_back, s.incremental_days_forward where sync_type = 'INCREMENTAL'
  ) as days (back, forward)
$$;
comment on function calendly.sync_range(text, timestamptz) is
  'The range of start times that a sync lists, and the same in words.';

-- What a run lists --------------------------------------------------------------------------------

create function calendly.covers_connection(
  run public.calendly_sync_runs, connection public.calendly_connections
) returns boolean
language plpgsql immutable set search_path = ''
as $$
begin
  return run.subject = case connection.scope
    when 'organization' then connection.calendly_organization_uri
    else connection.calendly_user_uri
  end;
end
$$;
comment on function
  calendly.covers_connection(public.calendly_sync_runs, public.calendly_connections) is
  'Does this run list all that its connection is for? The click of one member of an organization '
  'lists that member''s events only.';

create view calendly.active_run_details with (security_invoker = true) as
  select r.id, r.connection_id, r.user_id, r.trigger, r.sync_type, r.status,
    r.started_at, covering.covers_connection,
    greatest(
      case r.status when 'paused' then r.resume_at else o.lease_expires_at end,
      -- next_sync_at is the connection's: the later, the more of its workers have crashed
      case when covering.covers_connection then coalesce(c.next_sync_at, 'infinity') end
    ) as resumable_at
  from public.calendly_sync_runs r
  join calendly.active_runs o on o.run_id = r.id
  join public.calendly_connections c on c.id = r.connection_id
  -- As calendly.covers_connection says: written out, because a claim asks it of many runs.
  cross join lateral (
    select r.subject = case c.scope
      when 'organization' then c.calendly_organization_uri
      else c.calendly_user_uri
    end as covers_connection
  ) covering
  where r.status in ('running', 'paused') and c.state = 'active';
comment on view calendly.active_run_details is
  'Runs of active connections that have begun and not ended.';
comment on column calendly.active_run_details.resumable_at is
  'When any worker may go on with the run: its pause is over, or the lease of its worker, which '
  'has crashed, has ended; and its connection is due, if it covers that.';

-- When to sync again ------------------------------------------------------------------------------

create function calendly.jittered(span interval) returns interval
language sql volatile set search_path = ''
as $$
  select span * (1 + s.schedule_jitter * (2 * random() - 1)) from calendly.settings s
$$;
comment on function calendly.jittered(interval) is
  'About that long, at random, so that what began together does not stay together.';

create function calendly.back_off(attempt integer, now_at timestamptz) returns timestamptz
language plpgsql volatile set search_path = ''
as $$
declare
  first_wait constant interval := interval '30 seconds';
  longest_wait constant interval := interval '1 hour';
  -- the longest wait is reached before: this keeps power() from overflowing
  last_attempt constant integer := 12;
begin
  return now_at + calendly.jittered(
    least(first_wait * power(2, least(attempt, last_attempt) - 1), longest_wait));
end
$$;
comment on function calendly.back_off(integer, timestamptz) is
  'When to try again after so many attempts in a row: half a minute later, then twice as long each '
  'time, an hour at most.';

create function calendly.users_to_sync(connection_id uuid, now_at timestamptz) returns integer[]
language sql stable set search_path = ''
as $$
  select array(
    select u.id from public.calendly_users u
    where u.connection_id = users_to_sync.connection_id
      and calendly.account_is_open(u.auth_user_id, users_to_sync.now_at)
    order by u.id)
$$;
comment on function calendly.users_to_sync(uuid, timestamptz) is
  'Whose meetings a sync of all of a connection writes. Closed accounts are left out.';

-- The following read by index, person by person: `offset 0` keeps each inner query as it is
-- written, so that no plan reads a table from end to end, however young its statistics are. Inside,
-- only the columns of one index are compared.

create function calendly.meetings_due(
  user_ids integer[], until timestamptz default calendly.now(), max_meetings integer default null
) returns table (user_id integer, event_uri text, start_time timestamptz, due_at timestamptz)
language plpgsql stable set search_path = ''
as $$
begin
  return query
    select s.user_id, s.event_uri, m.start_time, s.invitees_due_at
    from unnest(user_ids) listed (id)
    cross join lateral (
      select k.user_id, k.event_uri, k.invitees_due_at from calendly.meeting_sync k
      where k.user_id = listed.id and k.invitees_due_at <= until
      offset 0
    ) s
    cross join lateral (
      select k.user_id, k.start_time from public.calendly_meetings k
      where k.calendly_event_uri = s.event_uri
        -- no invitees are fetched of an event that is gone, or reassigned to somebody else
        and (not k.is_deleted or k.deleted_reason = 'canceled')
      offset 0
    ) m
    where m.user_id = s.user_id
    limit max_meetings;
end
$$;
comment on function calendly.meetings_due(integer[], timestamptz, integer) is
  'Meetings whose invitees must be fetched by that time, not more than max_meetings of them.';

create function calendly.next_meeting_due_at(user_ids integer[], now_at timestamptz)
returns timestamptz
language plpgsql stable set search_path = ''
as $$
begin
  return (
    select min(greatest(next.due_at, now_at))
    from unnest(user_ids) listed (id)
    cross join lateral (
      -- one person's first: the search ends there
      select s.invitees_due_at as due_at
      from calendly.meeting_sync s
      cross join lateral (
        select k.user_id from public.calendly_meetings k
        where k.calendly_event_uri = s.event_uri
          and (not k.is_deleted or k.deleted_reason = 'canceled')
        offset 0
      ) m
      where s.user_id = listed.id and s.invitees_due_at is not null and m.user_id = s.user_id
      order by s.invitees_due_at
      limit 1
    ) next);
end
$$;
comment on function calendly.next_meeting_due_at(integer[], timestamptz) is
  'When the first of these people''s meetings is due, now at the earliest; null: none is.';

create function calendly.next_event_due_at(user_ids integer[], now_at timestamptz)
returns timestamptz
language plpgsql stable set search_path = ''
as $$
begin
  return (
    select min(greatest(next.event_due_at, now_at))
    from unnest(user_ids) listed (id)
    cross join lateral (
      select s.event_due_at from calendly.meeting_sync s
      where s.user_id = listed.id and s.event_due_at is not null
      order by s.event_due_at
      limit 1
    ) next);
end
$$;
comment on function calendly.next_event_due_at(integer[], timestamptz) is
  'When the first event of these people must be fetched directly, now at the earliest; null: none.';

create function calendly.has_deferred_deliveries(user_ids integer[]) returns boolean
language plpgsql stable set search_path = ''
as $$
begin
  return exists (
    select from public.calendly_webhook_events e
    where e.status = 'deferred' and e.user_id = any (user_ids));
end
$$;
comment on function calendly.has_deferred_deliveries(integer[]) is
  'Does a delivery of one of these users wait for a sync?';

create function calendly.next_conference_check(user_ids integer[], now_at timestamptz)
returns timestamptz
language plpgsql stable set search_path = ''
as $$
declare
  shortest_wait constant interval := interval '1 minute';
begin
  return (
    -- at first every minute, then after half of the meeting row's age
    select min(now_at + greatest(shortest_wait, (now_at - m.created_at) / 2))
    from unnest(user_ids) listed (id)
    cross join lateral (
      select k.created_at from public.calendly_meetings k
      where k.user_id = listed.id and k.end_time > now_at and not k.is_deleted
        and k.raw #>> '{location,status}' in ('initiated', 'processing')
      offset 0
    ) m);
end
$$;
comment on function calendly.next_conference_check(integer[], timestamptz) is
  'When to sync again for the link of a conference that Calendly is still making; null: for none.';

create function calendly.next_pending_work_at(connection_id uuid, now_at timestamptz)
returns timestamptz
language plpgsql stable set search_path = ''
as $$
declare
  -- a delivery is tried again by the next sync, but not in a tight loop
  deferred_delivery_wait constant interval := interval '1 minute';
  -- What is left to do for a closed account waits with it: no sync would do it.
  user_ids constant integer[] :=
    calendly.users_to_sync(next_pending_work_at.connection_id, now_at);
begin
  return least(
    -- the flag was cleared while a run was active, or a host has joined
    case when calendly.needs_full_sync(user_ids) then now_at end,
    calendly.next_meeting_due_at(user_ids, now_at),
    calendly.next_event_due_at(user_ids, now_at),
    case when calendly.has_deferred_deliveries(user_ids) then now_at + deferred_delivery_wait end,
    calendly.next_conference_check(user_ids, now_at));
end
$$;
comment on function calendly.next_pending_work_at(uuid, timestamptz) is
  'When a connection must be synced because something is unfinished: a FULL sync, an event or '
  'invitees to fetch, a deferred delivery, a conference link; null: nothing is.';

create function calendly.next_sync_at(
  connection public.calendly_connections, now_at timestamptz
) returns timestamptz
language sql volatile set search_path = ''
as $$
  select least(
    now_at + calendly.jittered(calendly.interval_between_syncs(u.calendly_webhook_enabled)),
    calendly.next_pending_work_at(connection.id, now_at))
  from public.calendly_users u
  where u.id = connection.user_id
$$;
comment on function calendly.next_sync_at(public.calendly_connections, timestamptz) is
  'When a connection is due after a complete run that lists all of it.';

select calendly.revoke_all();
