-- A sync, step by step. Postgres says what to do next (calendly.next_step), a function does it and
-- brings back the result (calendly_apply_step), until there is nothing left (calendly_finish_sync).
--
--   list_events ─▶ read_events (what the listing missed and what waits, by itself) ─▶ read_invitees ─▶ finish
--
-- The lease's token fences off an instance that was taken over; the step's number makes an answer that
-- arrives twice count once.

-- Choosing ------------------------------------------------------------------------------------------

create function calendly.choose_sync_type(connection public.calendly_connections, user_ids integer[], trigger text, forced boolean)
returns text
language sql stable set search_path = ''
as $$
  select case
    when forced or exists (select from public.users u where u.id = any (user_ids) and not u.calendly_initial_sync_complete) then 'FULL'
    -- the small window cannot see everything; a click stays cheap
    when trigger = 'scheduled'
      and coalesce(connection.last_full_sync_at, '-infinity') < calendly.now() - (select s.full_sync_interval from calendly.settings s) then 'FULL'
    else 'INCREMENTAL'
  end
$$;
revoke all on function calendly.choose_sync_type(public.calendly_connections, integer[], text, boolean) from public, anon, authenticated, service_role;
comment on function calendly.choose_sync_type(public.calendly_connections, integer[], text, boolean) is
  'FULL when forced, when one of the users has had none yet and, by the schedule, once a week; else INCREMENTAL.';

create function calendly.is_main(run public.calendly_sync_runs, connection public.calendly_connections) returns boolean
language sql immutable set search_path = ''
as $$
  select run.subject = case connection.scope when 'organization' then connection.calendly_organization_uri else connection.calendly_user_uri end
$$;
revoke all on function calendly.is_main(public.calendly_sync_runs, public.calendly_connections) from public, anon, authenticated, service_role;
comment on function calendly.is_main(public.calendly_sync_runs, public.calendly_connections) is
  'Does this run list all that its connection is for? A member''s click on an organization''s connection does not.';

create view calendly.runs_under_way with (security_invoker = true) as
  select r.id, r.connection_id, r.user_id, r.trigger, r.sync_type, r.status, r.started_at, calendly.is_main(r, c) as is_main,
    case r.status when 'paused' then r.resume_at else o.lease_expires_at end as free_at
  from public.calendly_sync_runs r
  join calendly.open_runs o on o.run_id = r.id
  join public.calendly_connections c on c.id = r.connection_id
  where r.status in ('running', 'paused');
revoke all on calendly.runs_under_way from public, anon, authenticated, service_role;
comment on view calendly.runs_under_way is 'Runs that have begun and not ended; free_at: when anybody may take one up, because its pause is over or its instance has died.';

create function calendly.sync_range(sync_type text, at timestamptz, out min_start_time timestamptz, out max_start_time timestamptz, out in_words text)
language sql stable set search_path = ''
as $$
  select at - make_interval(days => days.back), at + make_interval(days => days.forward),
    format('%s back, %s forward', calendly.in_words(days.back), calendly.in_words(days.forward))
  from calendly.settings s
  cross join lateral (
    select s.full_days_back, s.full_days_forward where sync_type = 'FULL'
    union all
    select s.incremental_days_back, s.incremental_days_forward where sync_type = 'INCREMENTAL'
  ) as days (back, forward)
$$;
revoke all on function calendly.sync_range(text, timestamptz) from public, anon, authenticated, service_role;
comment on function calendly.sync_range(text, timestamptz) is 'The range of start times that a sync lists, and the same in words.';

-- When next -------------------------------------------------------------------------------------------

create function calendly.jittered(span interval) returns interval
language sql volatile set search_path = ''
as $$
  select span * (1 + s.schedule_jitter * (2 * random() - 1)) from calendly.settings s
$$;
revoke all on function calendly.jittered(interval) from public, anon, authenticated, service_role;
comment on function calendly.jittered(interval) is 'About that long: what began together must not stay together.';

create function calendly.back_off(attempt integer, at timestamptz) returns timestamptz
language sql volatile set search_path = ''
as $$
  select at + calendly.jittered(least(interval '30 seconds' * power(2, least(attempt, 12) - 1), interval '1 hour'))
$$;
revoke all on function calendly.back_off(integer, timestamptz) from public, anon, authenticated, service_role;
comment on function calendly.back_off(integer, timestamptz) is 'When to try again after so many attempts in a row: half a minute, then twice as long each time, an hour at most.';

-- Steps ---------------------------------------------------------------------------------------------

create function calendly.next_step(run_id uuid) returns jsonb
language plpgsql set search_path = ''
as $$
declare
  at constant timestamptz := calendly.now();
  settings calendly.settings;
  run public.calendly_sync_runs;
  state calendly.open_runs;
  connection public.calendly_connections;
  requests_left integer;
  wait_seconds integer := 0;
  work jsonb;
begin
  select s.* into settings from calendly.settings s;
  select r.* into run from public.calendly_sync_runs r where r.id = next_step.run_id;
  select o.* into state from calendly.open_runs o where o.run_id = next_step.run_id;
  select c.* into connection from public.calendly_connections c where c.id = run.connection_id;

  requests_left := state.instance_requests;
  if connection.rate_resets_at > at and connection.rate_remaining is not null then
    requests_left := least(requests_left, connection.rate_remaining
      -- scheduled work leaves room for a click
      - case run.trigger when 'scheduled' then ceil(coalesce(connection.rate_limit, 0) * settings.rate_reserve) else 0 end);
    if requests_left <= 0 and connection.rate_resets_at <= state.instance_ends_at then
      wait_seconds := ceil(extract(epoch from connection.rate_resets_at - at));
      requests_left := state.instance_requests;
    end if;
  end if;
  work := calendly.next_work(run, state, settings, requests_left);
  state.doing := work ->> 'do';

  if state.doing <> 'finish' then
    if at >= state.instance_ends_at or state.instance_requests <= 0 then
      return calendly.pause(run.id, at, null);
    elsif requests_left <= 0 then
      return calendly.pause(run.id, connection.rate_resets_at, jsonb_build_object('code', 'rate_limited',
        'message', 'Calendly''s rate limit is used up.', 'hint', 'The sync goes on by itself when the limit resets.'));
    end if;
  end if;

  update calendly.open_runs o
    set doing = state.doing, lease_expires_at = at + make_interval(secs => wait_seconds) + settings.lease_duration,
      invitees_to_read = case when state.doing = 'read_invitees' and o.invitees_to_read is null
        then o.invitees_read + (select count(distinct d.event_uri) from calendly.meetings_due(o.scope) d) else o.invitees_to_read end
    where o.run_id = run.id;
  update public.calendly_sync_runs r
    set status = 'running', heartbeat_at = at, resume_at = null, error = null, progress = calendly.run_progress(run.id)
    where r.id = run.id;
  return work || jsonb_build_object('step', state.step, 'wait_seconds', wait_seconds);
end
$$;
revoke all on function calendly.next_step(uuid) from public, anon, authenticated, service_role;
comment on function calendly.next_step(uuid) is
  'What the instance does next, within its time, its requests and Calendly''s rate limit: {step, do, wait_seconds, …}, or {do: stop} where the run is paused instead.';

create function calendly.listed_subject(run public.calendly_sync_runs) returns jsonb
language sql stable set search_path = ''
as $$
  select case
    when run.subject = c.calendly_organization_uri then jsonb_build_object('organization', run.subject)
    when run.subject = c.calendly_user_uri then jsonb_build_object('user', run.subject)
    else jsonb_build_object('user', run.subject, 'organization', c.calendly_organization_uri)
  end
  from public.calendly_connections c
  where c.id = run.connection_id
$$;
revoke all on function calendly.listed_subject(public.calendly_sync_runs) from public, anon, authenticated, service_role;
comment on function calendly.listed_subject(public.calendly_sync_runs) is
  'Whose events are listed: {user} for the token''s own person, {organization} for all members, both for one of them.';

create function calendly.next_work(
  run public.calendly_sync_runs, state calendly.open_runs, settings calendly.settings, requests_left integer
) returns jsonb
language plpgsql stable set search_path = ''
as $$
declare
  event_uris text[];
begin
  if state.doing = 'list_events' then
    return jsonb_build_object('do', 'list_events', 'query', calendly.listed_subject(run) || jsonb_build_object(
      'min_start_time', calendly.to_calendly(state.list_after),
      'max_start_time', calendly.to_calendly(run.max_start_time),
      'sort', 'start_time:asc',
      'count', settings.page_size::text)
      || case when state.page_token is null then '{}' else jsonb_build_object('page_token', state.page_token) end);
  end if;

  if state.doing = 'read_events' then
    event_uris := array(select w.event_uri from calendly.waiting_events(state.scope) w
      where not exists (select from calendly.run_pages p where p.run_id = run.id and p.by_itself and w.event_uri = any (p.event_uris)));
    event_uris := event_uris || array(
      select a.event_uri from calendly.absent_meetings(run) a
      where a.event_uri <> all (event_uris)
      group by a.event_uri
      order by min(coalesce(a.asked_at, '-infinity')), min(a.start_time), a.event_uri
      limit greatest(settings.absence_checks - state.absence_checks, 0));
    if event_uris <> '{}' then
      return jsonb_build_object('do', 'read_events', 'event_uris', to_jsonb(event_uris[1:greatest(requests_left, 1)]));
    end if;
  end if;

  -- As many as may be spent, at a request for a hundred seats, and a thousand seats at most, for what one
  -- statement can apply; but always one, or nothing would ever move.
  event_uris := array(
    select batch.event_uri
    from (
      select next.event_uri, next.place,
        sum(greatest(ceil(coalesce(next.seats, 1) / 100.0), 1)) over (order by next.place) as requests,
        sum(coalesce(next.seats, 1)) over (order by next.place) as seats
      from (
        select d.event_uri, row_number() over soonest as place, calendly.seats((
          select m.raw from public.meetings m where m.calendly_event_uri = d.event_uri and m.user_id = any (state.scope) limit 1), 'total') as seats
        from (
          -- upcoming meetings first, the nearest first
          select d.event_uri, min(d.start_time) < run.started_at as is_past, abs(extract(epoch from min(d.start_time) - run.started_at)) as distance
          from calendly.meetings_due(state.scope) d
          group by d.event_uri
          order by 2, 3
          limit settings.invitee_batch
        ) d
        window soonest as (order by d.is_past, d.distance, d.event_uri)
      ) next
    ) batch
    where batch.place = 1 or (batch.requests <= requests_left and batch.seats <= 1000)
    order by batch.place);
  if event_uris <> '{}' then
    return jsonb_build_object('do', 'read_invitees', 'event_uris', to_jsonb(event_uris));
  end if;

  return jsonb_build_object('do', 'finish');
end
$$;
revoke all on function calendly.next_work(public.calendly_sync_runs, calendly.open_runs, calendly.settings, integer) from public, anon, authenticated, service_role;
comment on function calendly.next_work(public.calendly_sync_runs, calendly.open_runs, calendly.settings, integer) is
  'The work that comes next, cut to the requests that may be spent.';

create function calendly.seen_events(run_id uuid) returns table (event_uri text)
language sql stable set search_path = ''
as $$
  select distinct unnest(p.event_uris) from calendly.run_pages p where p.run_id = seen_events.run_id
$$;
revoke all on function calendly.seen_events(uuid) from public, anon, authenticated, service_role;
comment on function calendly.seen_events(uuid) is 'The events that the run has listed or asked for by themselves.';

create function calendly.absent_meetings(run public.calendly_sync_runs)
returns table (user_id integer, event_uri text, start_time timestamptz, asked_at timestamptz)
language sql stable set search_path = ''
as $$
  select m.user_id, m.calendly_event_uri, m.start_time, s.asked_at
  from calendly.open_runs o
  join public.meetings m on m.user_id = any (o.scope)
  left join calendly.meeting_sync s on s.user_id = m.user_id and s.event_uri = m.calendly_event_uri
  where o.run_id = run.id
    and m.calendly_event_uri is not null and not m.is_deleted
    and m.start_time > run.min_start_time and m.start_time < run.max_start_time
    -- what a webhook has written meanwhile is not missing
    and coalesce(m.updated_at, '-infinity') < run.started_at
    and not exists (select from calendly.seen_events(run.id) seen where seen.event_uri = m.calendly_event_uri)
$$;
revoke all on function calendly.absent_meetings(public.calendly_sync_runs) from public, anon, authenticated, service_role;
comment on function calendly.absent_meetings(public.calendly_sync_runs) is
  'Meetings that a complete listing of the range should have shown and did not. That alone proves nothing: see read_events.';

create function calendly.meetings_due(scope integer[], by timestamptz default calendly.now())
returns table (user_id integer, event_uri text, start_time timestamptz, due_at timestamptz)
language sql stable set search_path = ''
as $$
  select s.user_id, s.event_uri, m.start_time, s.invitees_due_at
  from calendly.meeting_sync s
  join public.meetings m on m.user_id = s.user_id and m.calendly_event_uri = s.event_uri
  where s.user_id = any (scope) and s.invitees_due_at <= by
    and (not m.is_deleted or m.deleted_reason = 'canceled')
$$;
revoke all on function calendly.meetings_due(integer[], timestamptz) from public, anon, authenticated, service_role;
comment on function calendly.meetings_due(integer[], timestamptz) is 'Meetings whose invitees must be read now, or by then. Nobody asks for those of a meeting that is gone or another''s.';

create function calendly.unsettled_at(connection_id uuid, at timestamptz) returns timestamptz
language sql stable set search_path = ''
as $$
  select least(
    -- the flag was cleared while a run was under way, or a member has joined
    case when exists (select from public.users m where m.id = any (members.ids) and not m.calendly_initial_sync_complete) then at end,
    -- an invitee or event to read, a delivery that waits, …
    case when unsettled.due_at <= at then at else unsettled.due_at end,
    (select at + interval '1 minute' from public.calendly_webhook_events e where e.user_id = any (members.ids) and e.status = 'deferred' limit 1),
    -- … or a conference in the making, at first every minute, then half as often as it is old
    (select min(at + greatest(interval '1 minute', (at - m.created_at) / 2)) from public.meetings m
      where m.user_id = any (members.ids) and not m.is_deleted and m.end_time > at and m.raw #>> '{location,status}' in ('initiated', 'processing')))
  from (
    select array(select h.user_id from calendly.hosts h where h.connection_id = unsettled_at.connection_id) as ids
  ) members
  cross join lateral (
    select least(
      (select min(d.due_at) from calendly.meetings_due(members.ids, 'infinity') d),
      (select min(s.event_due_at) from calendly.meeting_sync s where s.user_id = any (members.ids))) as due_at
  ) unsettled
$$;
revoke all on function calendly.unsettled_at(uuid, timestamptz) from public, anon, authenticated, service_role;
comment on function calendly.unsettled_at(uuid, timestamptz) is 'When a connection must be synced for something that is not settled yet; null: nothing is.';

create function calendly.next_sync_at(connection public.calendly_connections, at timestamptz) returns timestamptz
language sql volatile set search_path = ''
as $$
  select least(
    at + calendly.jittered(case when u.calendly_webhook_enabled then g.webhook_sync_interval else g.sync_interval end),
    calendly.unsettled_at(connection.id, at))
  from public.users u
  cross join calendly.settings g
  where u.id = connection.user_id
$$;
revoke all on function calendly.next_sync_at(public.calendly_connections, timestamptz) from public, anon, authenticated, service_role;
comment on function calendly.next_sync_at(public.calendly_connections, timestamptz) is 'When a connection is due after a complete run that lists all of it.';

create function calendly.run_progress(run_id uuid) returns jsonb
language sql stable set search_path = ''
as $$
  select jsonb_build_object(
    'phase', o.doing,
    'events', o.processed,
    'invitees_read', o.invitees_read,
    'invitees_to_read', o.invitees_to_read)
  from calendly.open_runs o
  where o.run_id = run_progress.run_id
$$;
revoke all on function calendly.run_progress(uuid) from public, anon, authenticated, service_role;
comment on function calendly.run_progress(uuid) is '{phase, events, invitees_read, invitees_to_read}; the last is null until all events are listed. invitees_… count events whose invitees are read.';

create function calendly.pause(run_id uuid, resume_at timestamptz, reason jsonb) returns jsonb
language plpgsql set search_path = ''
as $$
begin
  update calendly.open_runs o set lease = null, lease_expires_at = null where o.run_id = pause.run_id;
  update public.calendly_sync_runs r
    set status = 'paused', resume_at = pause.resume_at, error = reason, heartbeat_at = calendly.now(), progress = calendly.run_progress(r.id)
    where r.id = pause.run_id;
  update public.calendly_connections c
    set next_sync_at = pause.resume_at, updated_at = calendly.now()
    from public.calendly_sync_runs r
    where r.id = pause.run_id and c.id = r.connection_id and calendly.is_main(r, c);
  return jsonb_build_object('do', 'stop', 'result', calendly.run_result(run_id));
end
$$;
revoke all on function calendly.pause(uuid, timestamptz, jsonb) from public, anon, authenticated, service_role;
comment on function calendly.pause(uuid, timestamptz, jsonb) is 'Puts a run down where it stands until resume_at and lets the lease go.';

create function calendly.lock_run(run_id uuid) returns void
language plpgsql set search_path = ''
as $$
begin
  perform calendly.hold_off_forgetting();
  -- The connection's row is what begin, apply, pause, fail and finish wait for each other at.
  perform from public.calendly_connections c
    join public.calendly_sync_runs r on r.connection_id = c.id
    where r.id = lock_run.run_id
    for no key update of c;
end
$$;
revoke all on function calendly.lock_run(uuid) from public, anon, authenticated, service_role;
comment on function calendly.lock_run(uuid) is 'Holds a run''s connection until the end of the transaction.';

create function calendly.hold_lease(run_id uuid, lease uuid) returns calendly.open_runs
language plpgsql set search_path = ''
as $$
declare
  state calendly.open_runs;
begin
  perform calendly.lock_run(hold_lease.run_id);
  select o.* into state from calendly.open_runs o where o.run_id = hold_lease.run_id and o.lease = hold_lease.lease;
  if not found then
    perform calendly.fail('lease_lost', 'This run is no longer held by this instance.', 'It was taken over, ended or disconnected meanwhile.');
  end if;
  return state;
end
$$;
revoke all on function calendly.hold_lease(uuid, uuid) from public, anon, authenticated, service_role;
comment on function calendly.hold_lease(uuid, uuid) is 'Locks the run''s connection and checks the instance''s token. Error: lease_lost.';

-- What happened ----------------------------------------------------------------------------------------

create function calendly.reject(run_id uuid, problems jsonb) returns void
language sql set search_path = ''
as $$
  update public.calendly_sync_runs r
    set rejected = r.rejected + jsonb_array_length(problems),
        rejections = jsonb_path_query_array(r.rejections || problems, '$[0 to 49]')
    where r.id = reject.run_id and jsonb_array_length(problems) > 0
$$;
revoke all on function calendly.reject(uuid, jsonb) from public, anon, authenticated, service_role;
comment on function calendly.reject(uuid, jsonb) is 'Records what could not be used, [{uri, problem}], on the run.';

create function calendly.count_changes(run_id uuid, changes calendly.meeting_change[]) returns void
language plpgsql set search_path = ''
as $$
begin
  insert into calendly.run_changes as c (run_id, user_id, event_uri, class)
    -- an invitee of it, one that is gone and a reschedule are three changes of one meeting
    select distinct on (n.user_id, n.event_uri) count_changes.run_id, n.user_id, n.event_uri, n.class
    from unnest(changes) n
    where n.class <> 'unchanged'
    order by n.user_id, n.event_uri, n.class = 'updated', n.class
    -- new stays new; what was deleted or came back says more than that it changed
    on conflict on constraint run_changes_pkey do update set class = excluded.class
      where c.class <> 'created' and excluded.class <> 'updated';
  update public.calendly_sync_runs r
    set created = counted.created, updated = counted.updated, deleted = counted.deleted, restored = counted.restored,
        unchanged = o.processed - counted.created - counted.updated - counted.deleted - counted.restored
    from calendly.open_runs o, lateral (
      select count(*) filter (where c.class = 'created') as created, count(*) filter (where c.class = 'updated') as updated,
        count(*) filter (where c.class = 'deleted') as deleted, count(*) filter (where c.class = 'restored') as restored
      from calendly.run_changes c where c.run_id = o.run_id
    ) counted
    where r.id = count_changes.run_id and o.run_id = r.id;
end
$$;
revoke all on function calendly.count_changes(uuid, calendly.meeting_change[]) from public, anon, authenticated, service_role;
comment on function calendly.count_changes(uuid, calendly.meeting_change[]) is 'Adds to the run''s counts: one class per meeting.';

-- Results ----------------------------------------------------------------------------------------------

create function calendly.match_members(run public.calendly_sync_runs, copies calendly.event_copy[]) returns integer[]
language plpgsql set search_path = ''
as $$
declare
  joined integer[];
begin
  -- a person's own listing need not look through all accounts
  if not exists (select from public.calendly_connections c where c.id = run.connection_id and c.calendly_organization_uri = run.subject) then
    return '{}'::integer[];
  end if;
  with matched as (
    insert into calendly.hosts (calendly_user_uri, user_id, connection_id)
      select distinct on (u.id) membership ->> 'user', u.id, c.id
      from public.calendly_connections c
      cross join unnest(copies) copy
      cross join lateral jsonb_array_elements(copy.content -> 'event_memberships') membership
      join auth.users a on a.email = lower(membership ->> 'user_email') and a.email_confirmed_at is not null
      join public.users u on u.auth_user_id = a.id
      where c.id = run.connection_id and membership ->> 'user' is not null
        -- who has or had an own connection decides alone; and nobody is matched twice
        and not exists (select from public.calendly_connections k where k.user_id = u.id)
        and not exists (select from calendly.hosts h where h.user_id = u.id)
      order by u.id, copy.updated_at desc
      on conflict do nothing
      returning user_id
  )
  select coalesce(array_agg(m.user_id), '{}') into joined from matched m;
  return joined;
end
$$;
revoke all on function calendly.match_members(public.calendly_sync_runs, calendly.event_copy[]) from public, anon, authenticated, service_role;
comment on function calendly.match_members(public.calendly_sync_runs, calendly.event_copy[]) is
  'In an organization''s listing: recognizes members who are users by their confirmed e-mail, once, and returns them. From then on their Calendly URI counts.';

create function calendly.apply_listed_page(run public.calendly_sync_runs, state calendly.open_runs, page jsonb) returns void
language plpgsql set search_path = ''
as $$
declare
  copies constant calendly.event_copy[] := array(select calendly.read_event(e) from jsonb_array_elements(page -> 'collection') e);
  -- twice on one page: the newer one
  accepted constant calendly.event_copy[] := array(
    select distinct on (c.uri) c from unnest(copies) c where c.problem is null order by c.uri, c.updated_at desc);
  -- twice in the listing counts once
  fresh constant text[] := array(
    select distinct c.uri from unnest(copies) c
    where c.uri is not null and not exists (select from calendly.seen_events(run.id) seen where seen.event_uri = c.uri));
  last_page constant boolean := page ->> 'next_page_token' is null;
  changes calendly.meeting_change[];
begin
  state.scope := state.scope || calendly.match_members(run, accepted);
  changes := calendly.apply_api_events(state, accepted, fresh, false);
  insert into calendly.run_pages (run_id, step, event_uris, by_itself) values (run.id, state.step, fresh, false);
  update calendly.open_runs o
    set page_token = page ->> 'next_page_token', scope = state.scope,
        doing = case when last_page then 'read_events' else 'list_events' end,
        list_restarts = 0,
        listed_until = greatest(o.listed_until, (select max(c.start_time) from unnest(accepted) c)),
        processed = o.processed + (select count(*) from unnest(changes) c where c.event_uri = any (fresh))
    where o.run_id = run.id;
  update public.calendly_sync_runs r
    set fetched_active = r.fetched_active + (select count(*) from unnest(accepted) c where c.uri = any (fresh) and c.status = 'active'),
        fetched_canceled = r.fetched_canceled + (select count(*) from unnest(accepted) c where c.uri = any (fresh) and c.status = 'canceled')
    where r.id = run.id;
  perform calendly.reject(run.id, (
    select coalesce(jsonb_agg(jsonb_build_object('uri', c.uri, 'problem', coalesce(c.problem, 'the user is not among the hosts'))), '[]')
    from unnest(copies) c
    where (c.uri is null or c.uri = any (fresh))
      and (c.problem is not null
        -- most events of an organization may belong to people who are no users
        or (run.subject <> all (array(select k.calendly_organization_uri from public.calendly_connections k where k.id = run.connection_id))
          and c.uri <> all (array(select n.event_uri from unnest(changes) n))))));
  perform calendly.count_changes(run.id, changes);
  -- An organization's listing may show an event without a host who has it: the event itself must say so.
  update calendly.meeting_sync s set event_due_at = calendly.now()
    where (s.user_id, s.event_uri) in (
      select m.user_id, m.calendly_event_uri
      from unnest(accepted) c
      join public.meetings m on m.calendly_event_uri = c.uri and m.user_id = any (state.scope) and not m.is_deleted
      join calendly.hosts h on h.user_id = m.user_id and h.calendly_user_uri <> all (c.hosts)
      left join calendly.meeting_sync known on known.user_id = m.user_id and known.event_uri = m.calendly_event_uri
      order by known.asked_at nulls first
      limit (select g.absence_checks from calendly.settings g));
  if last_page then
    update public.calendly_sync_runs r set absent = (select count(*) from calendly.absent_meetings(r)) where r.id = run.id;
  end if;
end
$$;
revoke all on function calendly.apply_listed_page(public.calendly_sync_runs, calendly.open_runs, jsonb) from public, anon, authenticated, service_role;
comment on function calendly.apply_listed_page(public.calendly_sync_runs, calendly.open_runs, jsonb) is
  'Applies one page of the listing, {collection, next_page_token}: meetings, seen set, counts. A bad row is recorded and counts as seen.';

create function calendly.apply_api_events(state calendly.open_runs, copies calendly.event_copy[], answered text[], by_itself boolean) returns calendly.meeting_change[]
language plpgsql set search_path = ''
as $$
declare
  uris constant text[] := array(select c.uri from unnest(copies) c);
  -- of what a webhook told too little about, the invitees are read as well
  waiting constant text[] := array(select w.event_uri from calendly.waiting_events(state.scope) w where w.event_uri = any (answered));
  changes calendly.meeting_change[];
begin
  changes := array(select c from calendly.apply_events(copies, false, state.scope, by_itself, case when state.reread then uris else waiting end) c);
  update calendly.meeting_sync s set event_due_at = null
    where s.event_uri = any (waiting) and s.user_id = any (state.scope) and s.event_due_at is not null;
  perform calendly.settle_deferred(state.scope, answered);
  return changes;
end
$$;
revoke all on function calendly.apply_api_events(calendly.open_runs, calendly.event_copy[], text[], boolean) from public, anon, authenticated, service_role;
comment on function calendly.apply_api_events(calendly.open_runs, calendly.event_copy[], text[], boolean) is
  'Writes events that the API has shown to the run''s users, and settles what waited for any event that it has answered for, usable or not.';

create function calendly.apply_read_events(run public.calendly_sync_runs, state calendly.open_runs, reads jsonb) returns void
language plpgsql set search_path = ''
as $$
declare
  at constant timestamptz := calendly.now();
  asked constant text[] := array(select r ->> 'event_uri' from jsonb_array_elements(reads) r);
  waiting constant text[] := array(select w.event_uri from calendly.waiting_events(state.scope) w where w.event_uri = any (asked));
  listed constant text[] := array(select seen.event_uri from calendly.seen_events(run.id) seen where seen.event_uri = any (asked));
  -- The token has just listed this range, so a 403 is about the event.
  gone constant text[] := array(select r ->> 'event_uri' from jsonb_array_elements(reads) r where (r ->> 'status')::integer in (403, 404));
  copies constant calendly.event_copy[] := array(
    select c from jsonb_array_elements(reads) r cross join lateral calendly.read_event(r -> 'event') c
    where (r ->> 'status')::integer = 200 and c.problem is null and c.uri = r ->> 'event_uri');
  changes calendly.meeting_change[];
begin
  perform calendly.lock_events(asked);
  changes := calendly.apply_api_events(state, copies, asked, true);
  with removed as (
    update public.meetings m
      set is_deleted = true, deleted_reason = 'gone', deleted_at = at, updated_at = at
      where m.calendly_event_uri = any (gone) and m.user_id = any (state.scope) and not m.is_deleted
        -- written after it was found absent: a webhook knows better
        and (coalesce(m.updated_at, '-infinity') < run.started_at or m.calendly_event_uri = any (waiting))
      returning m.user_id, m.calendly_event_uri
  )
  select changes || array(select row(r.user_id, r.calendly_event_uri, 'deleted', null, false, true, 'gone', true, false)::calendly.meeting_change from removed r)
    into changes;

  update calendly.meeting_sync s set asked_at = at, event_due_at = null
    where s.event_uri = any (asked) and s.user_id = any (state.scope);
  update calendly.open_runs o
    set absence_checks = o.absence_checks + cardinality(asked) - cardinality(waiting),
        -- who is still a host of what was listed has been counted then
        processed = o.processed + (select count(*) from unnest(changes) c where c.deleted_reason = 'reassigned' or c.event_uri <> all (listed))
    where o.run_id = run.id;
  insert into calendly.run_pages (run_id, step, event_uris, by_itself) values (run.id, state.step, asked, true);
  perform calendly.reject(run.id, (
    select coalesce(jsonb_agg(jsonb_build_object('uri', r ->> 'event_uri', 'problem', coalesce(r ->> 'problem', c.problem, 'is another event'))), '[]')
    from jsonb_array_elements(reads) r
    cross join lateral calendly.read_event(r -> 'event') c
    where r ->> 'event_uri' <> all (gone) and r ->> 'event_uri' <> all (array(select known.uri from unnest(copies) known))));
  perform calendly.count_changes(run.id, changes);
end
$$;
revoke all on function calendly.apply_read_events(public.calendly_sync_runs, calendly.open_runs, jsonb) from public, anon, authenticated, service_role;
comment on function calendly.apply_read_events(public.calendly_sync_runs, calendly.open_runs, jsonb) is
  'Applies events read by themselves, [{event_uri, status, event?, problem?}]: 200 is merged, and a missing host proven; 404 and 403 prove that the event is gone; anything else is recorded and changes nothing.';

create function calendly.apply_read_invitees(run public.calendly_sync_runs, state calendly.open_runs, reads jsonb) returns void
language plpgsql set search_path = ''
as $$
declare
  at constant timestamptz := calendly.now();
  -- when the step was given out: no reading has begun before
  asked_at constant timestamptz := run.heartbeat_at;
  read_uris text[] := array(select r ->> 'event_uri' from jsonb_array_elements(reads) r where r ? 'invitees');
  -- Fewer than the event counts are not believed before the second time in a row.
  doubted constant text[] := array(
    select distinct s.event_uri
    from jsonb_array_elements(reads) r
    join calendly.meeting_sync s on s.event_uri = r ->> 'event_uri' and s.user_id = any (state.scope)
    join public.meetings m on m.user_id = s.user_id and m.calendly_event_uri = s.event_uri
    where jsonb_array_length(r -> 'invitees') < calendly.seats(m.raw, 'total') and not s.doubted);
  copies calendly.invitee_copy[];
  outcomes calendly.invitees_outcome[];
  changes calendly.meeting_change[];
begin
  copies := array(
    select distinct on (i.uri) i
    from jsonb_array_elements(reads) r
    cross join lateral jsonb_array_elements(coalesce(r -> 'invitees', '[]')) invitee
    cross join lateral calendly.read_invitee(invitee, calendly.to_time(r ->> 'observed_at')) i
    where i.problem is null and i.event_uri = r ->> 'event_uri'
    order by i.uri, i.updated_at desc);
  perform calendly.lock_events(read_uris || array(
    select calendly.event_of(c.content ->> 'old_invitee') from unnest(copies) c where calendly.event_of(c.content ->> 'old_invitee') is not null));

  outcomes := array(select o from calendly.apply_invitees(copies, false, state.scope) o);
  changes := array(select calendly.as_update(o.user_id, o.event_uri) from unnest(outcomes) o where o.changed);

  -- A complete listing lacks an invitee that was stored before it began: Calendly has erased it.
  with erased as (
    delete from public.meeting_invitees v
      using public.meetings m, jsonb_array_elements(reads) r
      where r ? 'invitees' and m.calendly_event_uri = r ->> 'event_uri' and m.user_id = any (state.scope) and v.meeting_id = m.id
        and m.calendly_event_uri <> all (doubted)
        and v.updated_at < asked_at
        -- what could not be used was there all the same
        and not exists (select from jsonb_array_elements(r -> 'invitees') invitee where invitee ->> 'uri' = v.uri)
      returning m.user_id, m.calendly_event_uri
  )
  select changes || array(select distinct calendly.as_update(e.user_id, e.calendly_event_uri) from erased e) into changes;

  insert into calendly.meeting_sync as s (user_id, event_uri, invitees_due_at, invitees_read_at, invitees_total, invitees_canceled, doubted)
    select m.user_id, m.calendly_event_uri,
      case
        when o.unsure
          or m.calendly_event_uri = any (doubted)
          -- a look for no-shows fell due while the answer was under way
          or calendly.next_no_show_check(m.end_time, m.status, calendly.to_time(r ->> 'observed_at')) <= at
          -- a webhook moved the counter while the answer was under way
          or (m.updated_at >= asked_at and not calendly.has_all_invitees(m.user_id, m.calendly_event_uri, m.raw)) then at + interval '1 minute'
        else calendly.next_no_show_check(m.end_time, m.status, calendly.to_time(r ->> 'observed_at'))
      end,
      calendly.to_time(r ->> 'observed_at'), calendly.seats(m.raw, 'total'), calendly.seats(m.raw, 'canceled'),
      m.calendly_event_uri = any (doubted)
    from jsonb_array_elements(reads) r
    join public.meetings m on m.calendly_event_uri = r ->> 'event_uri' and m.user_id = any (state.scope)
    left join unnest(outcomes) o on o.user_id = m.user_id and o.event_uri = m.calendly_event_uri
    where r ? 'invitees'
    on conflict (user_id, event_uri) do update set
      invitees_due_at = excluded.invitees_due_at,
      invitees_read_at = greatest(s.invitees_read_at, excluded.invitees_read_at),
      invitees_total = excluded.invitees_total, invitees_canceled = excluded.invitees_canceled, read_failures = 0, doubted = excluded.doubted;
  perform calendly.postpone_invitees(run.id, state.scope, (
    select coalesce(jsonb_agg(r), '[]') from jsonb_array_elements(reads) r where not r ? 'invitees'));

  changes := changes || array(
    select calendly.as_update(l.user_id, l.event_uri) from calendly.link_reschedules(read_uris, state.scope) l);

  update calendly.open_runs o set invitees_read = o.invitees_read + cardinality(read_uris) where o.run_id = run.id;
  perform calendly.reject(run.id, (
    select coalesce(jsonb_agg(jsonb_build_object('uri', coalesce(i.uri, r ->> 'event_uri'), 'problem', coalesce(i.problem, 'belongs to another event'))), '[]')
    from jsonb_array_elements(reads) r
    cross join lateral jsonb_array_elements(coalesce(r -> 'invitees', '[]')) invitee
    cross join lateral calendly.read_invitee(invitee, null) i
    where i.problem is not null or i.event_uri <> r ->> 'event_uri'));
  perform calendly.reject(run.id, (
    select coalesce(jsonb_agg(jsonb_build_object('uri', uri, 'problem', 'lists fewer invitees than it counts')), '[]') from unnest(doubted) uri));
  perform calendly.count_changes(run.id, changes);
end
$$;
revoke all on function calendly.apply_read_invitees(public.calendly_sync_runs, calendly.open_runs, jsonb) from public, anon, authenticated, service_role;
comment on function calendly.apply_read_invitees(public.calendly_sync_runs, calendly.open_runs, jsonb) is
  'Applies complete readings of events'' invitees, [{event_uri, invitees, observed_at} or {event_uri, problem}]: observed_at is Calendly''s time when the reading began. A problem changes nothing that is known.';

create function calendly.as_update(user_id integer, event_uri text) returns calendly.meeting_change
language sql immutable set search_path = ''
as $$
  select row(user_id, event_uri, 'updated', null, false, false, null, false, false)::calendly.meeting_change
$$;
revoke all on function calendly.as_update(integer, text) from public, anon, authenticated, service_role;
comment on function calendly.as_update(integer, text) is 'A meeting of which something other than the event changed.';

create function calendly.postpone_invitees(run_id uuid, scope integer[], failures jsonb) returns void
language plpgsql set search_path = ''
as $$
begin
  update calendly.meeting_sync s
    set read_failures = s.read_failures + 1,
      -- less and less often, but every day
      invitees_due_at = calendly.now() + least((select g.sync_interval from calendly.settings g) * power(2, least(s.read_failures, 10)), interval '1 day')
    from jsonb_array_elements(failures) f
    where s.event_uri = f ->> 'event_uri' and s.user_id = any (scope);
  perform calendly.reject(run_id, (
    select coalesce(jsonb_agg(jsonb_build_object('uri', f ->> 'event_uri', 'problem', f ->> 'problem')), '[]') from jsonb_array_elements(failures) f));
end
$$;
revoke all on function calendly.postpone_invitees(uuid, integer[], jsonb) from public, anon, authenticated, service_role;
comment on function calendly.postpone_invitees(uuid, integer[], jsonb) is 'Leaves events whose invitees could not be read, [{event_uri, problem}], for a later run and records why.';

create function calendly.interrupt(run public.calendly_sync_runs, state calendly.open_runs, interruption jsonb) returns jsonb
language plpgsql set search_path = ''
as $$
declare
  at constant timestamptz := calendly.now();
  attempt integer;
  stubborn jsonb;
begin
  if interruption ->> 'code' = 'page_token_expired' and state.list_restarts < 3 then
    update calendly.open_runs o
      set page_token = null, list_restarts = o.list_restarts + 1,
        -- the listing is sorted by start time: what has been seen is not listed again
        list_after = greatest(o.list_after, o.listed_until - interval '1 second')
      where o.run_id = run.id;
    return null;
  end if;
  if interruption ->> 'code' = 'rate_limited' and interruption ->> 'retry_after' is not null then
    update public.calendly_connections c
      set rate_remaining = 0, rate_resets_at = at + make_interval(secs => (interruption ->> 'retry_after')::double precision)
      where c.id = run.connection_id;
    return null;
  end if;

  update calendly.open_runs o set interruptions = o.interruptions + 1 where o.run_id = run.id returning o.interruptions into attempt;
  -- one event that always fails must not hold up the others for ever
  with failed as (
    update calendly.meeting_sync s set read_failures = s.read_failures + 1
      where s.event_uri = interruption ->> 'event_uri' and s.user_id = any (state.scope)
      returning s.event_uri, s.read_failures
  )
  select jsonb_agg(distinct jsonb_build_object('event_uri', f.event_uri, 'problem', interruption ->> 'message')) into stubborn
    from failed f where f.read_failures % 3 = 0;
  if state.doing = 'read_events' and attempt % 3 = 0 then
    -- it counts as asked for in this run, and proves nothing
    insert into calendly.run_pages as p (run_id, step, event_uris, by_itself) values (run.id, state.step, array[interruption ->> 'event_uri'], true)
      on conflict on constraint run_pages_pkey do update set event_uris = p.event_uris || excluded.event_uris;
    update calendly.meeting_sync s
      set asked_at = at, event_due_at = case when s.event_due_at is not null then at + (select g.sync_interval from calendly.settings g) end
      where s.event_uri = interruption ->> 'event_uri' and s.user_id = any (state.scope);
    perform calendly.reject(run.id, jsonb_build_array(jsonb_build_object('uri', interruption ->> 'event_uri', 'problem', interruption ->> 'message')));
  elsif stubborn is not null then
    perform calendly.postpone_invitees(run.id, state.scope, stubborn);
  end if;
  return calendly.pause(run.id,
    calendly.back_off(attempt, at),
    interruption - 'event_uri' - 'retry_after');
end
$$;
revoke all on function calendly.interrupt(public.calendly_sync_runs, calendly.open_runs, jsonb) from public, anon, authenticated, service_role;
comment on function calendly.interrupt(public.calendly_sync_runs, calendly.open_runs, jsonb) is
  'What to do when Calendly did not answer as it should, {code, message, hint?, retry_after?, event_uri?}: null where the run goes on (a fresh listing, a known reset), else the run is paused, longer each time in a row.';

-- RPCs -------------------------------------------------------------------------------------------------

create function calendly.run_result(run_id uuid) returns jsonb
language sql stable set search_path = ''
as $$
  select jsonb_build_object(
      'run_id', r.id, 'user_id', r.user_id, 'sync_type', r.sync_type,
      'range', jsonb_build_object('min_start_time', calendly.to_calendly(r.min_start_time), 'max_start_time', calendly.to_calendly(r.max_start_time)),
      'fetched', jsonb_build_object('active', r.fetched_active, 'canceled', r.fetched_canceled),
      'created', r.created, 'updated', r.updated, 'unchanged', r.unchanged, 'deleted', r.deleted, 'restored', r.restored,
      'rejected', r.rejected, 'requests', r.requests, 'status', r.status)
    || jsonb_strip_nulls(jsonb_build_object('resume_at', calendly.to_calendly(r.resume_at), 'reason', r.error,
      'rejections', case when r.rejected > 0 then r.rejections end))
  from public.calendly_sync_runs r
  where r.id = run_result.run_id
$$;
revoke all on function calendly.run_result(uuid) from public, anon, authenticated, service_role;
comment on function calendly.run_result(uuid) is 'What POST /calendly-sync answers.';

create function calendly.spend(run public.calendly_sync_runs, requests integer, rate jsonb) returns void
language plpgsql set search_path = ''
as $$
begin
  update calendly.open_runs o set instance_requests = o.instance_requests - requests where o.run_id = run.id;
  update public.calendly_sync_runs r set requests = r.requests + spend.requests where r.id = run.id;
  update public.calendly_connections c
    set rate_limit = (rate ->> 'limit')::integer, rate_remaining = (rate ->> 'remaining')::integer,
      rate_resets_at = calendly.now() + make_interval(secs => (rate ->> 'reset')::double precision)
    where c.id = run.connection_id and rate ->> 'remaining' is not null;
end
$$;
revoke all on function calendly.spend(public.calendly_sync_runs, integer, jsonb) from public, anon, authenticated, service_role;
comment on function calendly.spend(public.calendly_sync_runs, integer, jsonb) is
  'Notes the requests that a step cost and Calendly''s rate limit as of its last answer, {limit, remaining, reset (seconds)}.';

create function public.calendly_begin_sync(request jsonb) returns jsonb
language plpgsql security definer set search_path = '' set lock_timeout = '5s' set jit = off
as $$
declare
  at timestamptz;
  forced constant boolean := coalesce((request ->> 'full')::boolean, false);
  person public.users;
  connection public.calendly_connections;
  run public.calendly_sync_runs;
  settings calendly.settings;
  listed text;
  members integer[];
  wanted text;
  range_in_words text;
  new_lease constant uuid := gen_random_uuid();
  deaths integer;
begin
  perform calendly.check_project(request ->> 'project_url');
  select u.* into person from public.users u
    where u.id = case when request ? 'auth_user_id' then calendly.user_of((request ->> 'auth_user_id')::uuid) else (request ->> 'user_id')::integer end;
  if not found then
    perform calendly.fail('unknown_user', format('There is no user %s.', request ->> 'user_id'), 'user_id is users.id.');
  end if;
  if (request ->> 'user_id')::integer <> person.id then
    perform calendly.fail('another_user', 'You can sync your own meetings only.', 'Leave user_id out, or use a secret key on a server.');
  end if;
  -- the own connection, or the organization's that this person is a member of
  select c.* into connection from public.calendly_connections c
    where c.id = coalesce(
      (select h.connection_id from calendly.hosts h where h.user_id = person.id),
      (select k.id from public.calendly_connections k where k.user_id = person.id))
    for no key update;
  -- only now: a lease must not begin before the wait for the lock
  at := calendly.now();
  if not found or connection.state = 'disconnected' then
    perform calendly.fail('not_connected', 'This user is not connected to Calendly.', 'Connect first: POST /functions/v1/calendly-connect {"token": "…"}.');
  end if;
  if connection.state = 'reconnect_required' then
    perform calendly.fail('reconnect_required', 'Calendly no longer accepts the token of this connection.', 'Connect again: POST /functions/v1/calendly-connect {"token": "…"}.');
  end if;

  select s.* into settings from calendly.settings s;
  if connection.scope = 'organization' and connection.user_id = person.id
      and coalesce((request ->> 'whole')::boolean, request ->> 'trigger' in ('scheduled', 'connect')) then
    listed := connection.calendly_organization_uri;
    members := array(select h.user_id from calendly.hosts h where h.connection_id = connection.id order by 1);
  else
    listed := (select h.calendly_user_uri from calendly.hosts h where h.user_id = person.id);
    members := array[person.id];
  end if;
  -- under the lock: a FULL run may just have finished
  wanted := calendly.choose_sync_type(connection, members, request ->> 'trigger', forced);

  select r.* into run from public.calendly_sync_runs r
    where r.connection_id = connection.id and r.subject = listed and r.status in ('running', 'paused');
  if found and run.status = 'running'
      and exists (select from calendly.open_runs o where o.run_id = run.id and o.lease_expires_at > at) then
    return jsonb_build_object('status', 'in_progress', 'run_id', run.id);
  end if;
  if found and wanted = 'FULL' and run.sync_type = 'INCREMENTAL'
      and (forced or calendly.choose_sync_type(connection, members, 'manual', false) = 'FULL') then
    perform calendly.end_run(run.id, jsonb_build_object('code', 'replaced', 'message', 'A FULL sync took its place.'));
    run := null;
  end if;

  if run.id is null then
    insert into public.calendly_sync_runs (connection_id, user_id, subject, trigger, sync_type, min_start_time, max_start_time, started_at, heartbeat_at)
      select connection.id, person.id, listed, request ->> 'trigger', wanted, w.min_start_time, w.max_start_time, at, at
      from calendly.sync_range(wanted, at) w
      returning * into run;
    insert into calendly.open_runs (run_id, scope, reread, list_after) values (run.id, members, forced, run.min_start_time);
  else
    update public.calendly_sync_runs r set trigger = request ->> 'trigger' where r.id = run.id returning r.* into run;
    if forced then
      -- what it has listed by now is reread as well
      update calendly.meeting_sync s
        set invitees_due_at = at
        from calendly.open_runs o, public.meetings m
        where o.run_id = run.id and not o.reread and s.user_id = any (o.scope)
          and s.event_uri in (select seen.event_uri from calendly.seen_events(run.id) seen)
          and m.user_id = s.user_id and m.calendly_event_uri = s.event_uri
          and calendly.seats(m.raw, 'total') is distinct from 0;
      update calendly.open_runs o set reread = true where o.run_id = run.id;
    end if;
  end if;
  update calendly.open_runs o
    set lease = new_lease, lease_expires_at = at + settings.lease_duration,
      -- an instance that still held the lease died of something
      interruptions = o.interruptions + case when o.lease is null then 0 else 1 end,
      instance_ends_at = at + settings.instance_time - make_interval(secs => coalesce((request ->> 'spent_seconds')::double precision, 0)),
      instance_requests = settings.instance_requests - coalesce((request ->> 'spent_requests')::integer, 0)
    where o.run_id = run.id
    returning o.interruptions into deaths;
  -- should the instance die, the schedule takes the run up when the lease has ended, or later where that happens again and again
  update public.calendly_connections c
    set next_sync_at = greatest(at + settings.lease_duration, calendly.back_off(deaths, at))
    -- a member's click does not put off the organization
    where c.id = connection.id and calendly.is_main(run, c);

  select w.in_words into range_in_words from calendly.sync_range(run.sync_type, at) w;
  return jsonb_build_object(
    'status', 'started', 'run_id', run.id, 'lease', new_lease, 'user_id', person.id, 'sync_type', run.sync_type, 'range_in_words', range_in_words,
    'credential', calendly.credential(connection.id),
    'review_webhooks', calendly.needs_review(connection, at),
    'next', calendly.next_step(run.id));
end
$$;
comment on function public.calendly_begin_sync(jsonb) is
  'Starts a sync, or takes up one that was paused or died, under a lease. Takes {auth_user_id | user_id, trigger, full?, whole?, project_url?, spent_seconds?, spent_requests?}: whole lists all members of an organization (by default when scheduled, never on a click), the last two are what the instance has used up already. Returns {status: started, run_id, lease, user_id, sync_type, range_in_words, credential, review_webhooks, next}, or {status: in_progress, run_id} while another instance works on it. Errors: unknown_user, another_user, not_connected, reconnect_required, project_moved.';

create function public.calendly_apply_step(run_id uuid, lease uuid, step integer, result jsonb) returns jsonb
language plpgsql security definer set search_path = '' set lock_timeout = '5s' set jit = off
as $$
declare
  state calendly.open_runs;
  run public.calendly_sync_runs;
  stopped jsonb;
begin
  perform calendly.lock_run(calendly_apply_step.run_id);
  if exists (select from calendly.open_runs o
      join public.calendly_sync_runs r on r.id = o.run_id
      where r.id = calendly_apply_step.run_id and r.status = 'paused' and o.step = calendly_apply_step.step + 1) then
    -- paused by this very step; the answer was lost
    return jsonb_build_object('do', 'stop', 'result', calendly.run_result(calendly_apply_step.run_id));
  end if;
  state := calendly.hold_lease(calendly_apply_step.run_id, calendly_apply_step.lease);
  if step = state.step - 1 then
    return calendly.next_step(state.run_id);  -- applied before; the answer was lost
  elsif step <> state.step then
    perform calendly.fail('unexpected_step', format('Step %s was brought where %s was asked for.', step, state.step));
  end if;
  select r.* into run from public.calendly_sync_runs r where r.id = state.run_id;
  perform calendly.spend(run, (result ->> 'requests')::integer, result -> 'rate');

  if result ? 'page' then
    perform calendly.apply_listed_page(run, state, result -> 'page');
  elsif result ? 'events' then
    perform calendly.apply_read_events(run, state, result -> 'events');
  elsif result ? 'invitees' then
    perform calendly.apply_read_invitees(run, state, result -> 'invitees');
  end if;
  update calendly.open_runs o
    set step = o.step + 1, interruptions = case when result ? 'interruption' then o.interruptions else 0 end
    where o.run_id = run.id;
  if result ? 'interruption' then
    stopped := calendly.interrupt(run, state, result -> 'interruption');
  end if;
  return coalesce(stopped, calendly.next_step(run.id));
end
$$;
comment on function public.calendly_apply_step(uuid, uuid, integer, jsonb) is
  'Applies what a step brought, all or nothing, and says what comes next. result: {requests, rate?, page | events | invitees, interruption?}, see calendly.apply_listed_page, apply_read_events, apply_read_invitees, interrupt. Brought twice it counts once. Errors: lease_lost, unexpected_step.';

create function public.calendly_finish_sync(run_id uuid, lease uuid) returns jsonb
language plpgsql security definer set search_path = '' set lock_timeout = '5s' set jit = off
as $$
declare
  at constant timestamptz := calendly.now();
  state calendly.open_runs;
  run public.calendly_sync_runs;
  connection public.calendly_connections;
begin
  perform calendly.lock_run(calendly_finish_sync.run_id);
  select r.* into run from public.calendly_sync_runs r where r.id = calendly_finish_sync.run_id and r.status = 'complete';
  if found then
    -- finished before; the answer was lost
    return jsonb_build_object('do', 'stop', 'result', calendly.run_result(run.id), 'initial_sync_complete', run.initial);
  end if;
  state := calendly.hold_lease(calendly_finish_sync.run_id, calendly_finish_sync.lease);
  if state.doing <> 'finish' then
    return calendly.next_step(state.run_id);
  end if;
  select c.* into connection from public.calendly_connections c
    join public.calendly_sync_runs r on r.connection_id = c.id
    where r.id = state.run_id;
  update public.calendly_sync_runs r
    set status = 'complete', finished_at = at, heartbeat_at = at, progress = calendly.run_progress(r.id),
      initial = r.sync_type = 'FULL' and calendly.choose_sync_type(connection, state.scope, 'manual', false) = 'FULL'
    where r.id = state.run_id
    returning r.* into run;
  delete from calendly.open_runs o where o.run_id = run.id;
  perform from public.users u where u.id = any (state.scope) order by u.id for no key update;
  update public.users u
    set last_calendly_sync = at, calendly_initial_sync_complete = u.calendly_initial_sync_complete or run.sync_type = 'FULL'
    where u.id = any (state.scope);
  if calendly.is_main(run, connection) then
    update public.calendly_connections c
      set last_error = null, failures = 0, refusals = 0, current_as_of = run.started_at, updated_at = at,
        last_full_sync_at = case run.sync_type when 'FULL' then at else c.last_full_sync_at end,
        -- a FULL sync that is missing fills the gap that a lost subscription left
        next_sync_at = case when run.sync_type = 'INCREMENTAL' and c.last_full_sync_at is null then at else calendly.next_sync_at(c, at) end
      where c.id = run.connection_id;
  else
    -- a webhook could not say so while this run held the connection
    update public.calendly_connections c set next_sync_at = least(c.next_sync_at, calendly.unsettled_at(c.id, at))
      where c.id = run.connection_id and c.state = 'active';
  end if;
  return jsonb_build_object('do', 'stop', 'result', calendly.run_result(run.id), 'initial_sync_complete', run.initial);
end
$$;
comment on function public.calendly_finish_sync(uuid, uuid) is
  'Completes a run of which nothing is left to do: {do: stop, result, initial_sync_complete: true when this was the first FULL one}; else what is left. Error: lease_lost.';

create function public.calendly_fail_sync(run_id uuid, lease uuid, error jsonb, requests integer default 0) returns jsonb
language plpgsql security definer set search_path = '' set lock_timeout = '5s' set jit = off
as $$
declare
  at constant timestamptz := calendly.now();
  state calendly.open_runs := calendly.hold_lease(calendly_fail_sync.run_id, calendly_fail_sync.lease);
  run public.calendly_sync_runs;
begin
  update public.calendly_sync_runs r
    set status = 'failed', finished_at = at, heartbeat_at = at, error = calendly_fail_sync.error,
      requests = r.requests + calendly_fail_sync.requests, progress = calendly.run_progress(r.id)
    where r.id = state.run_id
    returning r.* into run;
  delete from calendly.open_runs o where o.run_id = run.id;
  if calendly_fail_sync.error ->> 'code' = 'calendly_refused'
      and not calendly.is_main(run, (select c from public.calendly_connections c where c.id = run.connection_id)) then
    -- the organization no longer knows this member; that is no fault of the token
    delete from calendly.hosts h where h.user_id = run.user_id
      and not exists (select from public.calendly_connections c where c.id = h.connection_id and c.user_id = h.user_id);
    return calendly.run_result(run.id);
  end if;
  update public.calendly_connections c
    set last_error = calendly_fail_sync.error || jsonb_build_object('at', calendly.to_calendly(at)),
      refusals = refused.times,
      failures = c.failures + 1,
      state = case when refused.times >= 3 then 'reconnect_required' else c.state end,
      next_sync_at = case when refused.times < 3 then calendly.back_off(c.failures + 1, at) end,
      updated_at = at
    from (select k.id, case when calendly_fail_sync.error ->> 'code' in ('token_refused', 'scope_missing', 'calendly_refused') then k.refusals + 1 else k.refusals end as times
      from public.calendly_connections k) refused
    where c.id = run.connection_id and refused.id = c.id;
  return calendly.run_result(run.id);
end
$$;
comment on function public.calendly_fail_sync(uuid, uuid, jsonb, integer) is
  'Ends a run that only a person can mend, with its error {code, message, hint}, and lets the lease go. The third refusal of the token in a row asks for a reconnect. Error: lease_lost.';

revoke all on function public.calendly_begin_sync(jsonb), public.calendly_apply_step(uuid, uuid, integer, jsonb),
  public.calendly_finish_sync(uuid, uuid), public.calendly_fail_sync(uuid, uuid, jsonb, integer)
  from public, anon, authenticated, service_role;
grant execute on function public.calendly_begin_sync(jsonb), public.calendly_apply_step(uuid, uuid, integer, jsonb),
  public.calendly_finish_sync(uuid, uuid), public.calendly_fail_sync(uuid, uuid, jsonb, integer)
  to service_role;
