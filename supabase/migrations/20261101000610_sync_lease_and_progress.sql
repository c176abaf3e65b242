-- Who works on a run, and what is written down about it. A worker has a run by a lease: its token
-- is compared at each step, so that a worker that was taken over cannot write, and each step
-- extends it. A step reads the run once, changes what it has read, and writes each row once at its
-- end, in the transaction of what the step brought.

create type calendly.run_context as (
  run public.calendly_sync_runs,
  state calendly.active_runs,
  connection public.calendly_connections
);
comment on type calendly.run_context is
  'A run, where it stands (null: it has ended) and its connection, as read under the connection''s '
  'lock. Functions of a step take it and return it changed; calendly.save_run writes it.';

-- Lease -------------------------------------------------------------------------------------------

create function calendly.lock_connection(run_id uuid) returns void
language plpgsql set search_path = ''
as $$
begin
  perform calendly.lock_against_erasure();
  -- Begin, apply, pause, fail and finish wait for each other at the connection's row.
  perform from public.calendly_connections c
    join public.calendly_sync_runs r on r.connection_id = c.id
    where r.id = lock_connection.run_id
    for no key update of c;
end
$$;
comment on function calendly.lock_connection(uuid) is
  'Locks a run''s connection until the end of the transaction.';

create function calendly.read_run(run_id uuid) returns calendly.run_context
language plpgsql stable set search_path = ''
as $$
declare
  context calendly.run_context;
begin
  select r, o, c into context
    from public.calendly_sync_runs r
    join public.calendly_connections c on c.id = r.connection_id
    left join calendly.active_runs o on o.run_id = r.id
    where r.id = read_run.run_id;
  return context;
end
$$;
comment on function calendly.read_run(uuid) is
  'Reads a run. Whoever means to change it has locked its connection.';

create function calendly.check_lease(context calendly.run_context, lease uuid) returns void
language plpgsql set search_path = ''
as $$
begin
  if (context.state).lease = check_lease.lease is not true then
    perform calendly.raise_error('lease_lost', 'This worker no longer has this run.',
      'It was taken over by another worker, ended, or disconnected meanwhile.');
  end if;
end
$$;
comment on function calendly.check_lease(calendly.run_context, uuid) is
  'Checks the worker''s token. Error: lease_lost.';

-- Writing -----------------------------------------------------------------------------------------

create function calendly.save_state(state calendly.active_runs) returns void
language plpgsql set search_path = ''
as $$
begin
  update calendly.active_runs o
    set lease = state.lease, lease_expires_at = state.lease_expires_at,
      worker_requests = state.worker_requests, step = state.step,
      step_began_at = state.step_began_at, ahead_began_at = state.ahead_began_at,
      phase = state.phase, page_token = state.page_token, list_after = state.list_after,
      listed_until = state.listed_until, list_restarts = state.list_restarts,
      missing_event_lookups = state.missing_event_lookups, processed = state.processed,
      invitees_read = state.invitees_read, invitees_to_read = state.invitees_to_read,
      interruptions = state.interruptions, rate_limit_hits = state.rate_limit_hits
    where o.run_id = state.run_id;
end
$$;
comment on function calendly.save_state(calendly.active_runs) is
  'Writes where a run stands. Whose meetings it writes is kept by calendly.join_run.';

create function calendly.save_run(context calendly.run_context) returns void
language plpgsql set search_path = ''
as $$
declare
  run constant public.calendly_sync_runs := context.run;
  connection constant public.calendly_connections := context.connection;
begin
  perform calendly.save_state(context.state);
  update public.calendly_sync_runs r
    set status = run.status, fetched_active = run.fetched_active,
      fetched_canceled = run.fetched_canceled, created = run.created, updated = run.updated,
      unchanged = run.unchanged, deleted = run.deleted, restored = run.restored,
      rejected = run.rejected, rejections = run.rejections, missing = run.missing,
      requests = run.requests, progress = calendly.run_progress(context.state),
      steps = run.steps, error = run.error, resume_at = run.resume_at,
      heartbeat_at = run.heartbeat_at
    where r.id = run.id;
  update public.calendly_connections c
    set rate_limit = connection.rate_limit, rate_remaining = connection.rate_remaining,
      rate_resets_at = connection.rate_resets_at, next_sync_at = connection.next_sync_at,
      updated_at = connection.updated_at
    where c.id = connection.id
      and (c.rate_limit, c.rate_remaining, c.rate_resets_at, c.next_sync_at)
        is distinct from (connection.rate_limit, connection.rate_remaining,
          connection.rate_resets_at, connection.next_sync_at);
end
$$;
comment on function calendly.save_run(calendly.run_context) is
  'Writes what a step has changed of a run, of where it stands and of its connection.';

-- Records -----------------------------------------------------------------------------------------

create function calendly.time_to_reset(seconds double precision, hits integer default 1)
returns interval
language plpgsql immutable set search_path = ''
as $$
declare
  -- Calendly counts by the minute: a later reset is a wrong unit or a wrong clock.
  longest constant double precision := extract(epoch from interval '1 hour');
  longest_floor constant double precision := 60;
begin
  -- A reset at once, told again and again, is asked for after 1, 2, 4 … 60 seconds.
  return make_interval(secs => least(longest,
    greatest(seconds, least(longest_floor, power(2, least(hits, 7) - 1)))));
end
$$;
comment on function calendly.time_to_reset(double precision, integer) is
  'How long a rate limit that resets in so many seconds, as Calendly says, is believed to last: a '
  'second to an hour. hits: how often in a row Calendly has answered with 429.';

create function calendly.record_requests(
  context calendly.run_context, requests integer, rate jsonb
) returns calendly.run_context
language plpgsql set search_path = ''
as $$
begin
  context.state.worker_requests := (context.state).worker_requests - requests;
  context.run.requests := (context.run).requests + requests;
  if rate ->> 'remaining' is not null then
    context.connection.rate_limit := (rate ->> 'limit')::integer;
    context.connection.rate_remaining := (rate ->> 'remaining')::integer;
    context.connection.rate_resets_at :=
      calendly.now() + calendly.time_to_reset((rate ->> 'reset')::double precision);
  end if;
  return context;
end
$$;
comment on function calendly.record_requests(calendly.run_context, integer, jsonb) is
  'Notes the requests that a step cost and Calendly''s rate limit as of its last answer, '
  '{limit, remaining, reset (seconds)}.';

create function calendly.reject(run public.calendly_sync_runs, problems jsonb)
returns public.calendly_sync_runs
language plpgsql immutable set search_path = ''
as $$
begin
  if problems is not null then
    run.rejected := run.rejected + jsonb_array_length(problems);
    -- Runs are kept when a person is erased.
    run.rejections := jsonb_path_query_array(run.rejections || (
      select jsonb_agg(jsonb_build_object('uri', calendly.without_emails(p ->> 'uri'),
        'problem', calendly.without_emails(p ->> 'problem')) order by place)
      from jsonb_array_elements(problems) with ordinality as listed (p, place)), '$[0 to 49]');
  end if;
  return run;
end
$$;
comment on function calendly.reject(public.calendly_sync_runs, jsonb) is
  'Records with the run what could not be used, [{uri, problem}] or null, without e-mails; the '
  'first 50 are kept.';

create type calendly.class_counts as (
  created integer,
  updated integer,
  deleted integer,
  restored integer,
  classified integer
);
comment on type calendly.class_counts is
  'By how much the number of meetings of each class has changed, and of all of them.';

create function calendly.record_classes(run_id uuid, changes calendly.meeting_change[])
returns calendly.class_counts
language plpgsql set search_path = ''
as $$
declare
  counts calendly.class_counts;
begin
  with brought as (
    -- One step can change a meeting in several ways (an invitee, a reschedule): it counts once.
    select distinct on (n.user_id, n.event_uri)
      n.user_id, n.event_uri, n.class, before.class as was
    from unnest(changes) n
    left join lateral (
      select c.class from calendly.run_changes c
      where c.run_id = record_classes.run_id and c.user_id = n.user_id
        and c.event_uri = n.event_uri
      offset 0
    ) before on true
    where n.class <> 'unchanged'
    order by n.user_id, n.event_uri, n.class = 'updated', n.class
  ), written as (
    insert into calendly.run_changes as c (run_id, user_id, event_uri, class)
      select record_classes.run_id, b.user_id, b.event_uri, b.class
      from brought b
      -- Later steps: created stays created; deleted and restored replace updated, not the reverse.
      where b.was is null
        or (b.was <> 'created' and b.class <> 'updated' and b.class <> b.was)
      on conflict on constraint run_changes_pkey do update set class = excluded.class
      returning c.user_id, c.event_uri
  )
  select count(*) filter (where b.class = 'created') - count(*) filter (where b.was = 'created'),
      count(*) filter (where b.class = 'updated') - count(*) filter (where b.was = 'updated'),
      count(*) filter (where b.class = 'deleted') - count(*) filter (where b.was = 'deleted'),
      count(*) filter (where b.class = 'restored') - count(*) filter (where b.was = 'restored'),
      count(*) filter (where b.was is null)
    into counts
    from written w
    join brought b using (user_id, event_uri);
  return counts;
end
$$;
comment on function calendly.record_classes(uuid, calendly.meeting_change[]) is
  'Notes what became of each meeting, one class per meeting in the whole run, and returns what '
  'that changes of the counts.';

create function calendly.count_changes(
  run public.calendly_sync_runs, changes calendly.meeting_change[], looked_at integer
) returns public.calendly_sync_runs
language plpgsql set search_path = ''
as $$
declare
  counts constant calendly.class_counts := calendly.record_classes(run.id, changes);
begin
  run.created := run.created + counts.created;
  run.updated := run.updated + counts.updated;
  run.deleted := run.deleted + counts.deleted;
  run.restored := run.restored + counts.restored;
  run.unchanged := run.unchanged + looked_at - counts.classified;
  return run;
end
$$;
comment on function calendly.count_changes(
  public.calendly_sync_runs, calendly.meeting_change[], integer) is
  'Adds to the run''s counts: one class per meeting. looked_at: so many meetings were looked at '
  'for the first time in this run; those that did not change are unchanged.';

-- What was done when ------------------------------------------------------------------------------

create function calendly.add_step(steps jsonb, added jsonb) returns jsonb
language plpgsql immutable set search_path = ''
as $$
declare
  -- The list is written with each step: a long run must not make it long.
  kept constant integer := 40;
  place integer;
  same jsonb;
begin
  if jsonb_array_length(steps) >= kept then
    place := (
      select max(s.place) - 1 from jsonb_array_elements(steps) with ordinality s (step, place)
      where s.step ->> 'kind' = added ->> 'kind');
  end if;
  if place is null then
    return steps || added;
  end if;
  same := steps -> place;
  return jsonb_set(steps, array[place::text],
    same || added || jsonb_build_object('at', same -> 'at') || (
      select jsonb_object_agg(total.key, total.sum)
      from (
        select n.key, sum(n.value::numeric) as sum
        from (
          select * from jsonb_each(same)
          union all
          select * from jsonb_each(added)
        ) n
        where jsonb_typeof(n.value) = 'number'
        group by n.key
      ) total));
end
$$;
comment on function calendly.add_step(jsonb, jsonb) is
  'Adds to calendly_sync_runs.steps, [{kind: list_events | fetch_events | fetch_invitees | pause, '
  'at, until, steps (how many), …}]. The first 40 stand by themselves; a later one is added to the '
  'last one of its kind.';

create function calendly.record_applied(
  before calendly.run_context, after calendly.run_context, interruption text
) returns public.calendly_sync_runs
language plpgsql stable set search_path = ''
as $$
declare
  run public.calendly_sync_runs := after.run;
  former constant public.calendly_sync_runs := before.run;
begin
  run.steps := calendly.add_step(run.steps, jsonb_strip_nulls(jsonb_build_object(
    'kind', (before.state).phase,
    'at', calendly.to_calendly(coalesce((before.state).step_began_at, former.heartbeat_at)),
    'until', calendly.to_calendly(calendly.now()),
    'steps', 1,
    'requests', nullif(run.requests - former.requests, 0),
    'events', nullif((after.state).processed - (before.state).processed, 0),
    'invitees_read', nullif((after.state).invitees_read - (before.state).invitees_read, 0),
    'created', nullif(run.created - former.created, 0),
    'updated', nullif(run.updated - former.updated, 0),
    'unchanged', nullif(run.unchanged - former.unchanged, 0),
    'deleted', nullif(run.deleted - former.deleted, 0),
    'restored', nullif(run.restored - former.restored, 0),
    'rejected', nullif(run.rejected - former.rejected, 0),
    'missing', nullif(run.missing - former.missing, 0),
    'interruption', interruption)));
  return run;
end
$$;
comment on function calendly.record_applied(calendly.run_context, calendly.run_context, text) is
  'Notes a step that was applied: when Calendly was asked, and by how much it has changed the '
  'counts of the run (those that it has not changed are left out). interruption: its code.';

-- Pause and result --------------------------------------------------------------------------------

create function calendly.run_result(run public.calendly_sync_runs) returns jsonb
language plpgsql stable set search_path = ''
as $$
begin
  return jsonb_build_object(
      'run_id', run.id, 'user_id', run.user_id, 'sync_type', run.sync_type,
      'range', jsonb_build_object(
        'min_start_time', calendly.to_calendly(run.min_start_time),
        'max_start_time', calendly.to_calendly(run.max_start_time)),
      'fetched', jsonb_build_object(
        'active', run.fetched_active, 'canceled', run.fetched_canceled),
      'created', run.created, 'updated', run.updated, 'unchanged', run.unchanged,
      'deleted', run.deleted, 'restored', run.restored,
      'rejected', run.rejected, 'requests', run.requests, 'status', run.status)
    || jsonb_strip_nulls(jsonb_build_object(
      'hosts_without_account', run.hosts_without_account,
      'resume_at', calendly.to_calendly(run.resume_at), 'reason', run.error,
      'rejections', case when run.rejected > 0 then run.rejections end));
end
$$;
comment on function calendly.run_result(public.calendly_sync_runs) is
  'What POST /calendly-sync answers: {run_id, user_id, sync_type, range: {min_start_time, '
  'max_start_time}, fetched: {active, canceled}, created, updated, unchanged, deleted, restored, '
  'rejected, requests, status: complete | paused}. Of a paused run also resume_at and reason; of '
  'an organization''s hosts_without_account; where something was rejected, rejections.';

create function calendly.pause(
  context calendly.run_context, resume_at timestamptz, reason jsonb
) returns jsonb
language plpgsql set search_path = ''
as $$
declare
  now_at constant timestamptz := calendly.now();
begin
  context.state.lease := null;
  context.state.lease_expires_at := null;
  context.run.status := 'paused';
  context.run.resume_at := pause.resume_at;
  context.run.error := reason;
  context.run.heartbeat_at := now_at;
  context.run.steps := calendly.add_step((context.run).steps, jsonb_strip_nulls(
    jsonb_build_object('kind', 'pause', 'at', calendly.to_calendly(now_at),
      'until', calendly.to_calendly(pause.resume_at), 'steps', 1, 'code', reason ->> 'code')));
  if calendly.covers_connection(context.run, context.connection) then
    context.connection.next_sync_at := pause.resume_at;
    context.connection.updated_at := now_at;
  end if;
  perform calendly.save_run(context);
  return jsonb_build_object('do', 'stop', 'result', calendly.run_result(context.run));
end
$$;
comment on function calendly.pause(calendly.run_context, timestamptz, jsonb) is
  'Pauses a run until resume_at, lets the lease go, and returns {do: stop, result}.';
