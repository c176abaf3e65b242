-- What a worker does next. The phases come in order: list the events of the range, fetch one by one
-- the events that the listing did not show or that wait, fetch the invitees of new and changed
-- events, finish. A step is never larger than the requests that may be spent on it; where none may,
-- the run waits or is paused. What the next step will ask for is told in advance, as far as the
-- requests allow, so that the worker can read it while this step is applied.

-- Events that the listing did not show ------------------------------------------------------------

create function calendly.note_missing(
  run public.calendly_sync_runs, user_ids integer[], starts_from timestamptz,
  starts_before timestamptz
) returns void
language plpgsql set search_path = ''
as $$
begin
  insert into calendly.run_missing (run_id, event_uri, start_time, last_looked_up_at)
    select run.id, m.calendly_event_uri, min(m.start_time),
      min(coalesce(s.last_looked_up_at, '-infinity'))
    from unnest(user_ids) listed (id)
    -- By index, whatever the statistics say: `offset 0` keeps each query as it is written, and the
    -- order speaks for the index that has it. A key of the same user would read all their meetings.
    cross join lateral (
      select k.user_id, k.calendly_event_uri, k.start_time from public.calendly_meetings k
      where k.user_id = listed.id
        and k.start_time >= starts_from and k.start_time < starts_before
        and k.start_time > run.min_start_time and k.start_time < run.max_start_time
        and not k.is_deleted
        -- what a webhook has written since the run began is not missing
        and coalesce(k.updated_at, '-infinity') < run.started_at
      order by k.start_time
      offset 0
    ) m
    left join lateral (
      select true as is_seen from calendly.run_seen k
      where k.run_id = run.id and k.event_uri = m.calendly_event_uri
      offset 0
    ) seen on true
    left join lateral (
      select k.last_looked_up_at from calendly.meeting_sync k
      where k.user_id = m.user_id and k.event_uri = m.calendly_event_uri
      offset 0
    ) s on seen.is_seen is null
    -- out here, or the rows could be read by an index of all meetings that have a URI
    where m.calendly_event_uri is not null and seen.is_seen is null
    group by m.calendly_event_uri
    on conflict do nothing;
end
$$;
comment on function calendly.note_missing(
  public.calendly_sync_runs, integer[], timestamptz, timestamptz) is
  'Notes the events of these people that start in this part of the range and that the listing, '
  'which is sorted by start time, has passed without showing them. That alone proves nothing: '
  'fetch_events asks for each.';

create function calendly.forget_missing(run_id uuid, event_uris text[]) returns void
language plpgsql set search_path = ''
as $$
begin
  delete from calendly.run_missing x
    where x.run_id = forget_missing.run_id and x.event_uri = any (event_uris);
end
$$;
comment on function calendly.forget_missing(uuid, text[]) is
  'These events are not missing, or have been fetched by themselves.';

create function calendly.count_missing(context calendly.run_context) returns integer
language plpgsql stable set search_path = ''
as $$
declare
  run constant public.calendly_sync_runs := context.run;
  user_ids constant integer[] := (context.state).user_ids;
begin
  return (
    select count(*)
    from calendly.run_missing x
    -- as in calendly.missing_events
    cross join lateral (
      select k.user_id, k.is_deleted, k.updated_at from public.calendly_meetings k
      where k.calendly_event_uri = x.event_uri
      offset 0
    ) m
    where x.run_id = run.id and m.user_id = any (user_ids)
      and not m.is_deleted and coalesce(m.updated_at, '-infinity') < run.started_at);
end
$$;
comment on function calendly.count_missing(calendly.run_context) is
  'How many meetings a complete listing did not show.';

create function calendly.missing_events(context calendly.run_context, max_events integer)
returns text[]
language plpgsql stable set search_path = ''
as $$
declare
  run constant public.calendly_sync_runs := context.run;
  user_ids constant integer[] := (context.state).user_ids;
begin
  return array(
    select x.event_uri
    from calendly.run_missing x
    -- Meanwhile a webhook may have written it, or a person may have left the run.
    cross join lateral (
      select
      from (
        select k.user_id, k.is_deleted, k.updated_at from public.calendly_meetings k
        where k.calendly_event_uri = x.event_uri
        offset 0
      ) m
      where m.user_id = any (user_ids)
        and not m.is_deleted and coalesce(m.updated_at, '-infinity') < run.started_at
      limit 1
    ) still_missing
    where x.run_id = run.id
    order by x.last_looked_up_at, x.start_time, x.event_uri
    limit greatest(max_events, 0));
end
$$;
comment on function calendly.missing_events(calendly.run_context, integer) is
  'The first events that a complete listing did not show: those that no run has looked up yet, or '
  'not for the longest time.';

create function calendly.may_settle_deferred(user_ids integer[]) returns boolean
language plpgsql stable set search_path = ''
as $$
begin
  return calendly.has_deferred_deliveries(user_ids) or exists (
    -- about somebody whom no delivery has named yet
    select from public.calendly_webhook_events e
    where e.status = 'deferred' and e.user_id is null);
end
$$;
comment on function calendly.may_settle_deferred(integer[]) is
  'Is there a deferred delivery that a sync of these users may settle?';

create function calendly.events_that_wait(user_ids integer[]) returns text[]
language plpgsql stable set search_path = ''
as $$
begin
  -- Mostly nothing waits: a look into each index says so.
  if calendly.next_event_due_at(user_ids, '-infinity') <= calendly.now()
      or calendly.may_settle_deferred(user_ids) then
    return array(select w.event_uri from calendly.waiting_events(user_ids) w);
  end if;
  return '{}'::text[];
end
$$;
comment on function calendly.events_that_wait(integer[]) is
  'Events that a delivery or a listing told too little about: see calendly.waiting_events.';

create function calendly.events_to_fetch(context calendly.run_context, max_missing integer)
returns text[]
language plpgsql stable set search_path = ''
as $$
declare
  waiting constant text[] := array(
    select w.event_uri
    from unnest(calendly.events_that_wait((context.state).user_ids)) w (event_uri)
    left join lateral (
      select s.direct from calendly.run_seen s
      where s.run_id = (context.run).id and s.event_uri = w.event_uri
      offset 0
    ) seen on true
    where seen.direct is not true
    order by w.event_uri);
begin
  return waiting || array(
    select missing.event_uri
    from unnest(calendly.missing_events(context, max_missing)) with ordinality
      missing (event_uri, place)
    where missing.event_uri <> all (waiting)
    order by missing.place);
end
$$;
comment on function calendly.events_to_fetch(calendly.run_context, integer) is
  'Events to fetch one by one: those that wait, then at most max_missing that the listing did not '
  'show.';

-- Events whose invitees are fetched ---------------------------------------------------------------

create function calendly.queue_invitees(
  run public.calendly_sync_runs, user_ids integer[], event_uris text[]
) returns void
language plpgsql set search_path = ''
as $$
declare
  now_at constant timestamptz := calendly.now();
begin
  insert into calendly.run_invitees (run_id, event_uri, is_past, distance, seats)
    -- A meeting that no snapshot has written may have no start time.
    select run.id, due.event_uri, coalesce(due.start_time < run.started_at, true),
      coalesce(greatest(run.started_at - due.start_time, due.start_time - run.started_at),
        interval '0'),
      due.seats
    from (
      select e.uri as event_uri,
        min(m.start_time) filter (where isfinite(m.start_time)) as start_time,
        max(calendly.seats(m.raw, 'total')) as seats
      from (select distinct unnest(event_uris)) e (uri)
      -- By index: see calendly.note_missing.
      cross join lateral (
        select k.user_id, k.start_time, k.raw from public.calendly_meetings k
        where k.calendly_event_uri = e.uri and (not k.is_deleted or k.deleted_reason = 'canceled')
        offset 0
      ) m
      cross join lateral (
        select k.invitees_due_at from calendly.meeting_sync k
        where k.user_id = m.user_id and k.event_uri = e.uri
        offset 0
      ) s
      where m.user_id = any (user_ids) and s.invitees_due_at <= now_at
      group by e.uri
    ) due
    on conflict do nothing;
end
$$;
comment on function calendly.queue_invitees(
  public.calendly_sync_runs, integer[], text[]) is
  'Puts into the run''s queue those of these events whose invitees are due.';

create function calendly.queue_due_invitees(run public.calendly_sync_runs, user_ids integer[])
returns void
language plpgsql set search_path = ''
as $$
declare
  slice constant integer := 1000;
begin
  perform calendly.queue_invitees(run, user_ids, array(
    select d.event_uri
    from calendly.meetings_due(user_ids, calendly.now(), slice) d));
end
$$;
comment on function calendly.queue_due_invitees(public.calendly_sync_runs, integer[]) is
  'Puts what is due into the run''s queue, a slice of it: no-show checks, what an earlier run has '
  'left, what has fallen due while the run goes on. What the listing has changed is there already.';

create type calendly.queued_event as (event_uri text, requests integer, seats integer);
comment on type calendly.queued_event is
  'An event whose invitees a run has to fetch, with the requests that this takes and its seats.';

create function calendly.drop_settled_invitees(
  run_id uuid, user_ids integer[], max_events integer
) returns boolean
language plpgsql set search_path = ''
as $$
declare
  now_at constant timestamptz := calendly.now();
begin
  delete from calendly.run_invitees i where i.ctid = any (array(
    select q.ctid
    from (
      select k.ctid, k.event_uri from calendly.run_invitees k
      where k.run_id = drop_settled_invitees.run_id
      order by k.is_past, k.distance, k.event_uri
      limit max_events
    ) q
    left join lateral (
      select true as is_due
      from (
        select m.user_id from public.calendly_meetings m
        where m.calendly_event_uri = q.event_uri
          and (not m.is_deleted or m.deleted_reason = 'canceled')
        offset 0
      ) m
      cross join lateral (
        select k.invitees_due_at from calendly.meeting_sync k
        where k.user_id = m.user_id and k.event_uri = q.event_uri
        offset 0
      ) s
      where m.user_id = any (user_ids) and s.invitees_due_at <= now_at
      limit 1
    ) due on true
    where due.is_due is null));
  return found;
end
$$;
comment on function calendly.drop_settled_invitees(uuid, integer[], integer) is
  'Takes those out of the first events of a run''s queue whose invitees are no longer due: they '
  'have been fetched or delivered, are left for later, or the event is gone. True: there was one.';

create function calendly.next_in_queue(
  run public.calendly_sync_runs, user_ids integer[], max_events integer
) returns calendly.queued_event[]
language plpgsql set search_path = ''
as $$
declare
  seats_per_request constant numeric := 100;  -- Calendly's largest page of invitees
begin
  loop
    exit when not calendly.drop_settled_invitees(run.id, user_ids, max_events);
  end loop;
  return array(
    select row(q.event_uri, greatest(ceil(q.seats / seats_per_request), 1)::integer,
      q.seats)::calendly.queued_event
    from (
      -- once, where it is there twice
      select distinct on (k.event_uri) k.event_uri, k.is_past, k.distance,
        coalesce(k.seats, 1) as seats
      from (
        select i.event_uri, i.is_past, i.distance, i.seats from calendly.run_invitees i
        where i.run_id = run.id
        order by i.is_past, i.distance, i.event_uri
        limit max_events
      ) k
      order by k.event_uri, k.is_past, k.distance
    ) q
    order by q.is_past, q.distance, q.event_uri);
end
$$;
comment on function calendly.next_in_queue(
  public.calendly_sync_runs, integer[], integer) is
  'The first events of a run''s queue whose invitees are still due.';

create function calendly.first_batch(
  queue calendly.queued_event[], batch_size integer, requests_left integer
) returns integer
language plpgsql immutable set search_path = ''
as $$
declare
  max_seats constant integer := 1000;  -- what one statement can apply in time
begin
  return (
    select count(*)
    from (
      select q.place, sum(q.requests) over (order by q.place) as requests,
        sum(q.seats) over (order by q.place) as seats
      from unnest(queue[1:batch_size]) with ordinality q (event_uri, requests, seats, place)
    ) batch
    where batch.requests <= requests_left and (batch.place = 1 or batch.seats <= max_seats));
end
$$;
comment on function calendly.first_batch(calendly.queued_event[], integer, integer) is
  'How many of the first events of a queue one step can fetch: as many as the requests allow.';

create function calendly.invitees_to_fetch(
  context calendly.run_context, batch_size integer, requests_left integer, read_ahead boolean
) returns jsonb
language plpgsql set search_path = ''
as $$
declare
  run constant public.calendly_sync_runs := context.run;
  user_ids constant integer[] := (context.state).user_ids;
  queue calendly.queued_event[] := calendly.next_in_queue(run, user_ids, 2 * batch_size);
  now_read integer;
  then_read integer := 0;
begin
  if queue = '{}' or (context.state).invitees_to_read is null then
    perform calendly.queue_due_invitees(run, user_ids);
    queue := calendly.next_in_queue(run, user_ids, 2 * batch_size);
  end if;
  if queue = '{}' then
    return null;
  end if;
  -- always one, however large, or the run would never go on
  now_read := greatest(calendly.first_batch(queue, batch_size, requests_left), 1);
  if read_ahead then
    then_read := calendly.first_batch(queue[now_read + 1:], batch_size, requests_left - (
      select sum(q.requests)::integer from unnest(queue[1:now_read]) q));
  end if;
  return jsonb_build_object('do', 'fetch_invitees',
    'event_uris', array(select q.event_uri from unnest(queue[1:now_read]) q),
    'ahead', jsonb_build_object('event_uris', array(
      select q.event_uri from unnest(queue[now_read + 1:now_read + then_read]) q)));
end
$$;
comment on function
  calendly.invitees_to_fetch(calendly.run_context, integer, integer, boolean) is
  'The step that fetches the invitees of the first events in the queue, and of which ones after '
  'that; null: nothing is left to fetch.';

-- The work ----------------------------------------------------------------------------------------

create function calendly.page_query(context calendly.run_context, page_size integer) returns jsonb
language plpgsql stable set search_path = ''
as $$
declare
  run constant public.calendly_sync_runs := context.run;
  organization constant text := (context.connection).calendly_organization_uri;
begin
  return jsonb_strip_nulls(jsonb_build_object(
    'user', case when run.subject is distinct from organization then run.subject end,
    -- one member of an organization: not the token's own user, but nobody outside of it
    'organization', case
      when run.subject <> (context.connection).calendly_user_uri then organization end,
    'min_start_time', calendly.to_calendly((context.state).list_after),
    'max_start_time', calendly.to_calendly(run.max_start_time),
    'sort', 'start_time:asc',
    'count', page_size::text,
    'page_token', (context.state).page_token));
end
$$;
comment on function calendly.page_query(calendly.run_context, integer) is
  'The query of the next page of the listing: {user} for the token''s own user, {organization} for '
  'all members, both for one member.';

create function calendly.next_work(
  context calendly.run_context, settings calendly.settings, requests_left integer,
  now_at timestamptz
) returns jsonb
language plpgsql set search_path = ''
as $$
declare
  -- A step takes seconds: what is read ahead when the worker's time is nearly up would be lost.
  time_of_a_step constant interval := interval '5 seconds';
  read_ahead constant boolean := now_at < (context.state).worker_ends_at - time_of_a_step;
  event_uris text[];
begin
  if (context.state).phase = 'list_events' then
    return jsonb_build_object(
      'do', 'list_events', 'query', calendly.page_query(context, settings.page_size),
      'ahead', read_ahead and requests_left > 1);
  end if;
  if (context.state).phase = 'fetch_events' then
    event_uris := calendly.events_to_fetch(
      context, settings.missing_event_lookups - (context.state).missing_event_lookups);
    if event_uris <> '{}' then
      return jsonb_build_object(
        'do', 'fetch_events', 'event_uris', event_uris[1:greatest(requests_left, 1)]);
    end if;
  end if;
  return coalesce(
    calendly.invitees_to_fetch(context, settings.invitee_batch, requests_left, read_ahead),
    jsonb_build_object('do', 'finish'));
end
$$;
comment on function calendly.next_work(
  calendly.run_context, calendly.settings, integer, timestamptz) is
  'The work that comes next, cut to the requests that may be spent: {do, query | event_uris, '
  'ahead?}. ahead: what may be read while the step is applied, the next page or these events.';

-- What may be spent -------------------------------------------------------------------------------

create function calendly.request_budget(
  context calendly.run_context, settings calendly.settings, now_at timestamptz,
  out requests_left integer, out wait_seconds integer
)
language plpgsql immutable set search_path = ''
as $$
declare
  connection constant public.calendly_connections := context.connection;
  worker_requests constant integer := (context.state).worker_requests;
  -- scheduled work leaves some of Calendly's rate limit for a click
  reserve constant integer := case when (context.run).trigger = 'scheduled'
    then ceil(coalesce(connection.rate_limit, 0) * settings.rate_reserve) else 0 end;
  -- in a window of which nothing is known yet: a limit that is all reserve lets one through
  full_window constant integer := case when connection.rate_limit is not null
    then greatest(connection.rate_limit - reserve, 1) end;
begin
  requests_left := least(worker_requests, full_window);
  wait_seconds := 0;
  if connection.rate_remaining is null or connection.rate_resets_at is null
      or connection.rate_resets_at <= now_at
      -- written before the clock was set back
      or connection.rate_resets_at > now_at + calendly.time_to_reset('infinity') then
    return;
  end if;
  requests_left := least(worker_requests, connection.rate_remaining - reserve);
  if requests_left <= 0 and connection.rate_resets_at <= (context.state).worker_ends_at then
    -- the limit resets while this worker still has time: it waits for that
    wait_seconds := ceil(extract(epoch from connection.rate_resets_at - now_at));
    requests_left := least(worker_requests, full_window);
  end if;
end
$$;
comment on function calendly.request_budget(
  calendly.run_context, calendly.settings, timestamptz) is
  'How many requests the worker may make now, by its own budget and Calendly''s rate limit, and '
  'how long it waits before the first.';

-- The step ----------------------------------------------------------------------------------------

create function calendly.record_step(
  context calendly.run_context, work jsonb, lease_expires_at timestamptz, now_at timestamptz
) returns void
language plpgsql set search_path = ''
as $$
declare
  state calendly.active_runs := context.state;
begin
  state.phase := work ->> 'do';
  state.lease_expires_at := record_step.lease_expires_at;
  -- A step that is told again, because the answer was lost, began when it was told first.
  state.step_began_at := coalesce(state.step_began_at, now_at);
  if work #> '{ahead,event_uris}' <> '[]' then
    state.ahead_began_at := coalesce(state.ahead_began_at, now_at);
  end if;
  if state.phase = 'fetch_invitees'
      and state.invitees_read < state.invitees_to_read is not true then
    state.invitees_to_read := state.invitees_read + (
      select count(*) from calendly.run_invitees i where i.run_id = state.run_id);
  end if;
  context.state := state;
  context.run.status := 'running';
  context.run.heartbeat_at := now_at;
  context.run.resume_at := null;
  context.run.error := null;
  perform calendly.save_run(context);
end
$$;
comment on function calendly.record_step(
  calendly.run_context, jsonb, timestamptz, timestamptz) is
  'Notes the step that is given out, extends the lease, and writes the run.';

create function calendly.next_step(context calendly.run_context) returns jsonb
language plpgsql set search_path = ''
as $$
declare
  now_at constant timestamptz := calendly.now();
  settings calendly.settings;
  budget record;
  work jsonb;
begin
  select s.* into settings from calendly.settings s;
  budget := calendly.request_budget(context, settings, now_at);
  work := calendly.next_work(context, settings, budget.requests_left, now_at);

  -- to finish takes no request
  if work ->> 'do' <> 'finish' then
    if now_at >= (context.state).worker_ends_at or (context.state).worker_requests <= 0 then
      return calendly.pause(context, now_at, null);
    elsif budget.requests_left <= 0 then
      return calendly.pause(context, (context.connection).rate_resets_at, jsonb_build_object(
        'code', 'rate_limited', 'message', 'Calendly''s rate limit is used up.',
        'hint', 'The sync goes on by itself when the limit resets.'));
    end if;
    work := work || jsonb_build_object(
      'concurrency', least(settings.max_concurrency, budget.requests_left),
      'requests_left', budget.requests_left);
  end if;

  perform calendly.record_step(context, work,
    now_at + make_interval(secs => budget.wait_seconds) + settings.lease_duration, now_at);
  return work || jsonb_build_object(
    'step', (context.state).step, 'wait_seconds', budget.wait_seconds);
end
$$;
comment on function calendly.next_step(calendly.run_context) is
  'What the worker does next, within its time, its requests and Calendly''s rate limit: '
  '{step, do, wait_seconds, …, concurrency (requests at the same time), requests_left}, or '
  '{do: stop} where the run is paused instead.';
