-- What a worker does next. The phases come in order: list the events of the range, fetch one by one
-- the events that the listing did not show or that wait, fetch the invitees of new and changed
-- events, finish. A step is never larger than the requests that may be spent on it; where none may,
-- the run waits or is paused.

-- What is left to do ------------------------------------------------------------------------------

create function calendly.seen_events(run_id uuid) returns table (event_uri text)
language sql stable set search_path = ''
as $$
  select distinct unnest(p.event_uris) from calendly.run_pages p where p.run_id = seen_events.run_id
$$;
comment on function calendly.seen_events(uuid) is
  'The events that the run has listed or fetched one by one.';

create function calendly.missing_meetings(run public.calendly_sync_runs)
returns table (
  user_id integer, event_uri text, start_time timestamptz, last_looked_up_at timestamptz
)
language sql stable set search_path = ''
as $$
  select m.user_id, m.calendly_event_uri, m.start_time, s.last_looked_up_at
  from calendly.active_runs o
  join public.calendly_meetings m on m.user_id = any (o.user_ids)
  left join calendly.meeting_sync s
    on s.user_id = m.user_id and s.event_uri = m.calendly_event_uri
  where o.run_id = run.id
    and m.calendly_event_uri is not null and not m.is_deleted
    and m.start_time > run.min_start_time and m.start_time < run.max_start_time
    -- what a webhook has written since the run began is not missing
    and coalesce(m.updated_at, '-infinity') < run.started_at
    -- By not in, the seen events are hashed once. A join (not exists) would compare each meeting
    -- with each seen event, because the planner cannot know how many there are.
    and m.calendly_event_uri not in (
      select seen.event_uri from calendly.seen_events(run.id) seen)
$$;
comment on function calendly.missing_meetings(public.calendly_sync_runs) is
  'Meetings that a complete listing of the range should have shown and did not. That alone proves '
  'nothing: fetch_events asks for each.';

create function calendly.listed_subject(run public.calendly_sync_runs) returns jsonb
language sql stable set search_path = ''
as $$
  select case
    when run.subject = c.calendly_organization_uri
      then jsonb_build_object('organization', run.subject)
    when run.subject = c.calendly_user_uri then jsonb_build_object('user', run.subject)
    else jsonb_build_object('user', run.subject, 'organization', c.calendly_organization_uri)
  end
  from public.calendly_connections c
  where c.id = run.connection_id
$$;
comment on function calendly.listed_subject(public.calendly_sync_runs) is
  'Whose events are listed: {user} for the token''s own user, {organization} for all members, both '
  'for one member.';

create function calendly.page_query(
  run public.calendly_sync_runs, state calendly.active_runs, page_size integer
) returns jsonb
language sql stable set search_path = ''
as $$
  select calendly.listed_subject(run)
    || jsonb_build_object(
      'min_start_time', calendly.to_calendly(state.list_after),
      'max_start_time', calendly.to_calendly(run.max_start_time),
      'sort', 'start_time:asc',
      'count', page_size::text)
    || jsonb_strip_nulls(jsonb_build_object('page_token', state.page_token))
$$;
comment on function
  calendly.page_query(public.calendly_sync_runs, calendly.active_runs, integer) is
  'The query of the next page of the listing.';

create function calendly.events_to_fetch(
  run public.calendly_sync_runs, state calendly.active_runs, max_missing integer
) returns text[]
language plpgsql stable set search_path = ''
as $$
declare
  waiting constant text[] := array(
    select w.event_uri from calendly.waiting_events(state.user_ids) w
    where not exists (
      select from calendly.run_pages p
      where p.run_id = run.id and p.direct and w.event_uri = any (p.event_uris)));
begin
  return waiting || array(
    select a.event_uri from calendly.missing_meetings(run) a
    where a.event_uri <> all (waiting)
    group by a.event_uri
    -- those that no run has looked up yet, or not for the longest time, come first
    order by min(coalesce(a.last_looked_up_at, '-infinity')), min(a.start_time), a.event_uri
    limit greatest(max_missing, 0));
end
$$;
comment on function
  calendly.events_to_fetch(public.calendly_sync_runs, calendly.active_runs, integer) is
  'Events to fetch one by one: those that wait, then at most max_missing that the listing did not '
  'show.';

create function calendly.next_due_events(
  user_ids integer[], run_started_at timestamptz, batch_size integer
) returns table (event_uri text, place bigint, seats integer)
language sql stable set search_path = ''
as $$
  select due.event_uri,
    row_number() over (order by due.is_past, due.distance, due.event_uri),
    calendly.seats((
      select m.raw from public.calendly_meetings m
      where m.calendly_event_uri = due.event_uri and m.user_id = any (user_ids)
      limit 1), 'total')
  from (
    -- upcoming meetings first, the nearest first
    select d.event_uri, min(d.start_time) < run_started_at as is_past,
      abs(extract(epoch from min(d.start_time) - run_started_at)) as distance
    from calendly.meetings_due(user_ids) d
    group by d.event_uri
    order by is_past, distance
    limit batch_size
  ) due
$$;
comment on function calendly.next_due_events(integer[], timestamptz, integer) is
  'The events whose invitees are fetched next, in that order, with the seats of each as far as its '
  'counter tells them.';

create function calendly.invitees_to_fetch(
  run public.calendly_sync_runs, state calendly.active_runs, batch_size integer,
  requests_left integer
) returns text[]
language plpgsql stable set search_path = ''
as $$
declare
  seats_per_request constant numeric := 100;  -- Calendly's largest page of invitees
  max_seats constant integer := 1000;  -- what one statement can apply in time
begin
  return array(
    select batch.event_uri
    from (
      select due.event_uri, due.place,
        sum(greatest(ceil(coalesce(due.seats, 1) / seats_per_request), 1))
          over (order by due.place) as requests,
        sum(coalesce(due.seats, 1)) over (order by due.place) as seats
      from calendly.next_due_events(state.user_ids, run.started_at, batch_size) due
    ) batch
    -- always one, however large, or the run would never go on
    where batch.place = 1 or (batch.requests <= requests_left and batch.seats <= max_seats)
    order by batch.place);
end
$$;
comment on function
  calendly.invitees_to_fetch(public.calendly_sync_runs, calendly.active_runs, integer, integer) is
  'Events whose invitees are fetched in one step: as many as the requests allow, one at least.';

create function calendly.next_work(
  run public.calendly_sync_runs, state calendly.active_runs, settings calendly.settings,
  requests_left integer
) returns jsonb
language plpgsql stable set search_path = ''
as $$
declare
  event_uris text[];
begin
  if state.phase = 'list_events' then
    return jsonb_build_object(
      'do', 'list_events', 'query', calendly.page_query(run, state, settings.page_size));
  end if;
  if state.phase = 'fetch_events' then
    event_uris := calendly.events_to_fetch(
      run, state, settings.missing_event_lookups - state.missing_event_lookups);
    if event_uris <> '{}' then
      return jsonb_build_object(
        'do', 'fetch_events', 'event_uris', to_jsonb(event_uris[1:greatest(requests_left, 1)]));
    end if;
  end if;
  event_uris := calendly.invitees_to_fetch(run, state, settings.invitee_batch, requests_left);
  if event_uris <> '{}' then
    return jsonb_build_object('do', 'fetch_invitees', 'event_uris', to_jsonb(event_uris));
  end if;
  return jsonb_build_object('do', 'finish');
end
$$;
comment on function calendly.next_work(
  public.calendly_sync_runs, calendly.active_runs, calendly.settings, integer) is
  'The work that comes next, cut to the requests that may be spent: {do, query | event_uris}.';

-- What may be spent -------------------------------------------------------------------------------

create function calendly.request_budget(
  run public.calendly_sync_runs, state calendly.active_runs,
  connection public.calendly_connections, now_at timestamptz,
  out requests_left integer, out wait_seconds integer
)
language plpgsql stable set search_path = ''
as $$
declare
  reserve integer := 0;
begin
  requests_left := state.worker_requests;
  wait_seconds := 0;
  if connection.rate_remaining is null or connection.rate_resets_at is null
      or connection.rate_resets_at <= now_at then
    return;
  end if;
  if run.trigger = 'scheduled' then
    -- scheduled work leaves some of Calendly's rate limit for a click
    reserve := (
      select ceil(coalesce(connection.rate_limit, 0) * s.rate_reserve) from calendly.settings s);
  end if;
  requests_left := least(requests_left, connection.rate_remaining - reserve);
  if requests_left <= 0 and connection.rate_resets_at <= state.worker_ends_at then
    -- the limit resets while this worker still has time: it waits for that
    wait_seconds := ceil(extract(epoch from connection.rate_resets_at - now_at));
    requests_left := state.worker_requests;
  end if;
end
$$;
comment on function calendly.request_budget(
  public.calendly_sync_runs, calendly.active_runs, public.calendly_connections, timestamptz) is
  'How many requests the worker may make now, by its own budget and Calendly''s rate limit, and '
  'how long it waits before the first.';

-- The step ----------------------------------------------------------------------------------------

create function calendly.record_step(
  run_id uuid, phase text, lease_expires_at timestamptz, now_at timestamptz
) returns void
language plpgsql set search_path = ''
as $$
begin
  update calendly.active_runs o
    set phase = record_step.phase, lease_expires_at = record_step.lease_expires_at,
      invitees_to_read = case
        when record_step.phase = 'fetch_invitees' and o.invitees_to_read is null
          then o.invitees_read
            + (select count(distinct d.event_uri) from calendly.meetings_due(o.user_ids) d)
        else o.invitees_to_read
      end
    where o.run_id = record_step.run_id;
  update public.calendly_sync_runs r
    set status = 'running', heartbeat_at = now_at, resume_at = null, error = null,
      progress = calendly.run_progress(r.id)
    where r.id = record_step.run_id;
end
$$;
comment on function calendly.record_step(uuid, text, timestamptz, timestamptz) is
  'Notes the step that is given out, and extends the lease.';

create function calendly.next_step(run_id uuid) returns jsonb
language plpgsql set search_path = ''
as $$
declare
  now_at constant timestamptz := calendly.now();
  settings calendly.settings;
  run public.calendly_sync_runs;
  state calendly.active_runs;
  connection public.calendly_connections;
  budget record;
  work jsonb;
begin
  select s.* into settings from calendly.settings s;
  select r.* into run from public.calendly_sync_runs r where r.id = next_step.run_id;
  select o.* into state from calendly.active_runs o where o.run_id = next_step.run_id;
  select c.* into connection from public.calendly_connections c where c.id = run.connection_id;
  budget := calendly.request_budget(run, state, connection, now_at);
  work := calendly.next_work(run, state, settings, budget.requests_left);

  -- to finish takes no request
  if work ->> 'do' <> 'finish' then
    if now_at >= state.worker_ends_at or state.worker_requests <= 0 then
      return calendly.pause(run.id, now_at, null);
    elsif budget.requests_left <= 0 then
      return calendly.pause(run.id, connection.rate_resets_at, jsonb_build_object(
        'code', 'rate_limited', 'message', 'Calendly''s rate limit is used up.',
        'hint', 'The sync goes on by itself when the limit resets.'));
    end if;
  end if;

  perform calendly.record_step(run.id, work ->> 'do',
    now_at + make_interval(secs => budget.wait_seconds) + settings.lease_duration, now_at);
  return work || jsonb_build_object('step', state.step, 'wait_seconds', budget.wait_seconds);
end
$$;
comment on function calendly.next_step(uuid) is
  'What the worker does next, within its time, its requests and Calendly''s rate limit: '
  '{step, do, wait_seconds, …}, or {do: stop} where the run is paused instead.';
