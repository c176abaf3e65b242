-- The four calls of a sync: begin, apply a step, finish, fail. A function makes one call per step
-- and does what the answer says. All of them lock in the order of 060_locks: against erasure, then
-- the connection, and people last.
--
-- A statement_timeout of a function: Postgres ignores it for the statement that runs already, and
-- PostgREST, 12.2 and newer, applies it to the transaction of the call.

-- Begin: whose sync, by which connection ----------------------------------------------------------

create function calendly.connection_to_sync(user_id integer) returns public.calendly_connections
language plpgsql set search_path = ''
as $$
declare
  connection public.calendly_connections;
begin
  -- the connection that brings this person's meetings, else the own one that has ended
  select c.* into connection from public.calendly_connections c
    where c.id = coalesce(
      (select u.connection_id from public.calendly_users u
        where u.id = connection_to_sync.user_id),
      (select k.id from public.calendly_connections k
        where k.user_id = connection_to_sync.user_id))
    for no key update;
  perform calendly.check_connection(connection);
  perform calendly.check_account(u.auth_user_id)
    from public.calendly_users u
    where u.id in (connection_to_sync.user_id, connection.user_id);
  return connection;
end
$$;
comment on function calendly.connection_to_sync(integer) is
  'Locks the connection that brings a person''s meetings. Errors: not_connected, '
  'reconnect_required, account_closed (the person''s, or the connection owner''s).';

create function calendly.sync_target(
  connection public.calendly_connections, user_id integer, all_members boolean,
  now_at timestamptz, out subject text, out user_ids integer[]
)
language plpgsql stable set search_path = ''
as $$
begin
  if connection.scope = 'organization' and connection.user_id = sync_target.user_id
      and all_members then
    subject := connection.calendly_organization_uri;
    user_ids := calendly.users_to_sync(connection.id, now_at);
  else
    subject := (
      select u.calendly_user_uri from public.calendly_users u where u.id = sync_target.user_id);
    user_ids := array[sync_target.user_id];
  end if;
end
$$;
comment on function
  calendly.sync_target(public.calendly_connections, integer, boolean, timestamptz) is
  'What a sync lists, and whose meetings it writes: one person''s, or with all_members those of '
  'every host that an organization''s connection keeps. Closed accounts are left out.';

-- Begin: a new run, or one that was paused or whose worker crashed --------------------------------

create function calendly.create_run(
  connection_id uuid, user_id integer, subject text, user_ids integer[], trigger text,
  sync_type text, refetch_all boolean, now_at timestamptz
) returns public.calendly_sync_runs
language plpgsql set search_path = ''
as $$
declare
  run public.calendly_sync_runs;
begin
  insert into public.calendly_sync_runs (connection_id, user_id, subject, trigger, sync_type,
      min_start_time, max_start_time, started_at, heartbeat_at)
    select create_run.connection_id, create_run.user_id, create_run.subject, create_run.trigger,
      create_run.sync_type, w.min_start_time, w.max_start_time, now_at, now_at
    from calendly.sync_range(create_run.sync_type, now_at) w
    returning * into run;
  insert into calendly.active_runs (run_id, user_ids, refetch_all, list_after)
    values (run.id, create_run.user_ids, create_run.refetch_all, run.min_start_time);
  return run;
end
$$;
comment on function
  calendly.create_run(uuid, integer, text, integer[], text, text, boolean, timestamptz) is
  'Makes a run and decides its range.';

create function calendly.resume_run(
  run_id uuid, user_ids integer[], trigger text
) returns public.calendly_sync_runs
language plpgsql set search_path = ''
as $$
declare
  run public.calendly_sync_runs;
begin
  update public.calendly_sync_runs r set trigger = resume_run.trigger
    where r.id = resume_run.run_id
    returning r.* into run;
  -- Accounts may have been closed, and people may have connected by themselves.
  update calendly.active_runs o
    set user_ids = array(
      select unnest(o.user_ids) intersect select unnest(resume_run.user_ids) order by 1)
    where o.run_id = run.id and not o.user_ids <@ resume_run.user_ids;
  return run;
end
$$;
comment on function calendly.resume_run(uuid, integer[], text) is
  'Goes on with a run that was paused or whose worker crashed.';

create function calendly.take_lease(
  run public.calendly_sync_runs, spent_seconds double precision, spent_requests integer,
  now_at timestamptz
) returns uuid
language plpgsql set search_path = ''
as $$
declare
  new_lease constant uuid := gen_random_uuid();
  settings calendly.settings;
  worker_crashes integer;
begin
  select s.* into settings from calendly.settings s;
  update calendly.active_runs o
    set lease = new_lease, lease_expires_at = now_at + settings.lease_duration,
      -- a worker that still has the lease has crashed
      interruptions = o.interruptions + case when o.lease is null then 0 else 1 end,
      worker_ends_at = now_at + settings.worker_time - make_interval(secs => spent_seconds),
      worker_requests = settings.worker_requests - spent_requests,
      -- what the former worker has begun to read is lost
      step_began_at = null, ahead_began_at = null
    where o.run_id = run.id
    returning o.interruptions into worker_crashes;
  -- If this worker crashes too, the schedule goes on with the run when the lease has ended, and
  -- later each time. A run for one member does not delay the organization's.
  update public.calendly_connections c
    set next_sync_at = greatest(
      now_at + settings.lease_duration, calendly.back_off(worker_crashes, now_at))
    where c.id = run.connection_id and calendly.covers_connection(run, c);
  return new_lease;
end
$$;
comment on function
  calendly.take_lease(public.calendly_sync_runs, double precision, integer, timestamptz) is
  'Gives a run to a worker, with what is left of the worker''s time and requests: the lease.';

create function calendly.open_run(
  connection public.calendly_connections, request jsonb, user_id integer, active_run_id uuid,
  subject text, user_ids integer[], now_at timestamptz
) returns public.calendly_sync_runs
language plpgsql set search_path = ''
as $$
declare
  forced constant boolean := coalesce((request ->> 'full')::boolean, false);
  -- under the connection's lock, because a FULL run may just have finished
  sync_type constant text := calendly.choose_sync_type(
    connection, open_run.user_ids, request ->> 'trigger', forced);
begin
  -- A FULL sync that somebody forces or needs does not wait for a run that does less to go on.
  if exists (
      select from public.calendly_sync_runs r
      join calendly.active_runs o on o.run_id = r.id
      where r.id = active_run_id
        and (forced and not o.refetch_all
          or r.sync_type = 'INCREMENTAL' and calendly.needs_full_sync(open_run.user_ids))) then
    perform calendly.end_run(active_run_id, 'failed', jsonb_build_object(
      'code', 'replaced', 'message', 'A FULL sync took its place.'));
    active_run_id := null;
  end if;
  if active_run_id is not null then
    return calendly.resume_run(active_run_id, open_run.user_ids, request ->> 'trigger');
  end if;
  return calendly.create_run(connection.id, open_run.user_id, open_run.subject,
    open_run.user_ids, request ->> 'trigger', sync_type, forced, now_at);
end
$$;
comment on function calendly.open_run(
  public.calendly_connections, jsonb, integer, uuid, text, integer[], timestamptz) is
  'Goes on with the active run of a subject, replaces it by one that does more, or makes the '
  'first.';

create function calendly.allow_one_request(run public.calendly_sync_runs) returns void
language plpgsql set search_path = ''
as $$
begin
  update public.calendly_connections c set rate_remaining = 1
    from calendly.active_runs o
    where c.id = run.connection_id and o.run_id = run.id
      -- a reset in this worker's time is waited for
      and c.rate_remaining < 1 and c.rate_resets_at > o.worker_ends_at;
end
$$;
comment on function calendly.allow_one_request(public.calendly_sync_runs) is
  'Lets a person''s click try, though Calendly''s rate limit was used up for long: one request '
  'tells whether it still is.';

create function public.calendly_begin_sync(request jsonb) returns jsonb
language plpgsql security definer
set search_path = '' set lock_timeout = '5s' set statement_timeout = '30s' set jit = off
set enable_seqscan = off
as $$
declare
  now_at timestamptz;
  user_id integer;
  connection public.calendly_connections;
  all_members boolean;
  target record;
  run public.calendly_sync_runs;
  lease uuid;
begin
  perform calendly.lock_against_erasure();
  perform calendly.check_project(request ->> 'project_url');
  user_id := calendly.requested_user(request);
  connection := calendly.connection_to_sync(user_id);
  -- only now: a lease must not begin before the wait for the connection
  now_at := calendly.now();
  all_members := coalesce((request ->> 'all_members')::boolean,
    request ->> 'trigger' in ('scheduled', 'connect'));
  if all_members then
    perform calendly.keep_former_members(connection);
  end if;
  target := calendly.sync_target(connection, user_id, all_members, now_at);
  select r.* into run from public.calendly_sync_runs r
    where r.connection_id = connection.id and r.subject = target.subject
      and r.status in ('running', 'paused');
  if run.status = 'running' and exists (
      select from calendly.active_runs o
      where o.run_id = run.id and o.lease_expires_at > now_at) then
    return jsonb_build_object('status', 'in_progress', 'run_id', run.id);
  end if;

  run := calendly.open_run(
    connection, request, user_id, run.id, target.subject, target.user_ids, now_at);
  lease := calendly.take_lease(run,
    coalesce((request ->> 'spent_seconds')::double precision, 0),
    coalesce((request ->> 'spent_requests')::integer, 0), now_at);
  if request ->> 'trigger' <> 'scheduled' then
    perform calendly.allow_one_request(run);
  end if;
  return jsonb_build_object(
    'status', 'started', 'run_id', run.id, 'lease', lease, 'user_id', user_id,
    'sync_type', run.sync_type,
    'range_in_words', (calendly.sync_range(run.sync_type, now_at)).range_in_words,
    'credential', calendly.credential(connection.id),
    'review_webhooks', calendly.needs_review(connection, now_at),
    'next', calendly.next_step(calendly.read_run(run.id)));
end
$$;
comment on function public.calendly_begin_sync(jsonb) is
  'Starts a sync, or goes on with one that was paused or whose worker crashed, under a lease. '
  'Takes {auth_user_id | user_id, trigger, full?, all_members?, project_url?, spent_seconds?, '
  'spent_requests?}: all_members lists a whole organization (by default when scheduled or just '
  'connected, not on a click), spent_… is what the worker has used up already. Returns '
  '{status: started, run_id, lease, user_id, sync_type, range_in_words, credential, '
  'review_webhooks, next}, or {status: in_progress, run_id} while another worker has the run. '
  'Errors: unknown_user, another_user, not_connected, reconnect_required, account_closed, '
  'project_moved.';

-- Apply -------------------------------------------------------------------------------------------

create function calendly.with_credible_times(readings jsonb) returns jsonb
language plpgsql stable set search_path = ''
as $$
declare
  -- by how much the clocks of Calendly and Postgres may differ
  tolerance constant interval := interval '1 hour';
  now_at constant timestamptz := calendly.now();
begin
  if not exists (
      select from jsonb_array_elements(readings) r
      where calendly.to_time(r ->> 'observed_at') > now_at + tolerance) then
    return readings;
  end if;
  return (
    select jsonb_agg(
      case when calendly.to_time(r ->> 'observed_at') > now_at + tolerance
        then r || jsonb_build_object('observed_at', calendly.to_calendly(now_at)) else r end)
    from jsonb_array_elements(readings) r);
end
$$;
comment on function calendly.with_credible_times(jsonb) is
  'Readings of invitees by a sync or a delivery, with Postgres''s time in place of one that is far '
  'ahead of it: otherwise nothing that comes later would be newer.';

create function calendly.apply_result(context calendly.run_context, result jsonb)
returns calendly.run_context
language plpgsql set search_path = ''
as $$
begin
  if result ? 'page' then
    context := calendly.apply_listed_page(context, result -> 'page');
  elsif result ? 'events' then
    context := calendly.apply_fetched_events(context, result -> 'events');
  elsif result ? 'invitees' then
    context := calendly.apply_fetched_invitees(
      context, calendly.with_credible_times(result -> 'invitees'));
  end if;
  context.state.step := (context.state).step + 1;
  -- Readings of the next step may have begun when they were offered, before that step is told.
  context.state.step_began_at := (context.state).ahead_began_at;
  context.state.ahead_began_at := null;
  if not result ? 'interruption' then
    context.state.interruptions := 0;
    context.state.rate_limit_hits := 0;
  end if;
  return context;
end
$$;
comment on function calendly.apply_result(calendly.run_context, jsonb) is
  'Writes what a step brought, and counts the step.';

create function public.calendly_apply_step(run_id uuid, lease uuid, step integer, result jsonb)
returns jsonb
language plpgsql security definer
set search_path = '' set lock_timeout = '5s' set statement_timeout = '30s' set jit = off
-- Whatever the statistics say of a young database, no plan reads a table from end to end; and no
-- statement is planned anew at each step.
set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
  context calendly.run_context;
  before calendly.run_context;
  asked_step integer;
begin
  perform calendly.lock_connection(calendly_apply_step.run_id);
  context := calendly.read_run(calendly_apply_step.run_id);
  before := context;
  asked_step := (context.state).step;
  if (context.run).status = 'paused' and asked_step = step + 1 then
    -- this very step has paused the run, and the answer was lost
    return jsonb_build_object('do', 'stop', 'result', calendly.run_result(context.run));
  end if;
  perform calendly.check_lease(context, calendly_apply_step.lease);
  if step = asked_step - 1 then
    return calendly.next_step(context);  -- applied before, and the answer was lost
  elsif step <> asked_step then
    perform calendly.raise_error('unexpected_step',
      format('Step %s was brought where %s was asked for.', step, asked_step));
  end if;
  context := calendly.record_requests(
    context, (result ->> 'requests')::integer, result -> 'rate');
  context := calendly.apply_result(context, result);
  context.run := calendly.record_applied(before, context, result #>> '{interruption,code}');
  if result ? 'interruption' then
    return calendly.interrupt(context, result -> 'interruption');
  end if;
  return calendly.next_step(context);
end
$$;
comment on function public.calendly_apply_step(uuid, uuid, integer, jsonb) is
  'Applies what a step brought, all or nothing, and says what comes next. result: {requests, '
  'rate?, page | events | invitees, interruption?}, see calendly.apply_listed_page, '
  'apply_fetched_events, apply_fetched_invitees, interrupt. Brought twice it counts once. Errors: '
  'lease_lost, unexpected_step.';

-- Finish ------------------------------------------------------------------------------------------

create function calendly.count_hosts_without_account(context calendly.run_context)
returns integer
language plpgsql stable set search_path = ''
as $$
begin
  if (context.run).subject
      is distinct from (context.connection).calendly_organization_uri then
    return null;
  end if;
  return (
    select count(*)
    from calendly.run_hosts h
    left join lateral (
      select u.auth_user_id from public.calendly_users u
      where u.calendly_user_uri = h.calendly_user_uri offset 0
    ) known on true
    where h.run_id = (context.run).id and known.auth_user_id is null);
end
$$;
comment on function calendly.count_hosts_without_account(calendly.run_context) is
  'How many hosts in an organization''s listing have no account here; null for one person''s.';

create function calendly.complete_run(context calendly.run_context) returns void
language plpgsql set search_path = ''
as $$
begin
  update public.calendly_sync_runs r
    set initial = r.sync_type = 'FULL' and calendly.needs_full_sync((context.state).user_ids),
      hosts_without_account = calendly.count_hosts_without_account(context)
    where r.id = (context.run).id;
  perform calendly.end_run((context.run).id, 'complete', null);
end
$$;
comment on function calendly.complete_run(calendly.run_context) is
  'Ends a run as complete, with what is known only at its end.';

create function calendly.record_synced_people(
  user_ids integer[], sync_type text, now_at timestamptz
) returns void
language plpgsql set search_path = ''
as $$
begin
  perform calendly.lock_people(record_synced_people.user_ids);
  update public.calendly_users u
    set last_calendly_sync = now_at,
      calendly_initial_sync_complete = u.calendly_initial_sync_complete or sync_type = 'FULL'
    where u.id = any (record_synced_people.user_ids);
end
$$;
comment on function calendly.record_synced_people(integer[], text, timestamptz) is
  'Notes with each person that their sync is complete, and whether it was a FULL one.';

create function calendly.schedule_next_sync(
  run public.calendly_sync_runs, connection public.calendly_connections, now_at timestamptz
) returns void
language plpgsql set search_path = ''
as $$
declare
  fills_gaps constant boolean := run.sync_type = 'FULL' and run.started_at
    >= coalesce((select p.resynced_at from calendly.project p), '-infinity');
begin
  if not calendly.covers_connection(run, connection) then
    -- A webhook could not bring the next sync forward while this run had the connection.
    update public.calendly_connections c
      set next_sync_at = least(c.next_sync_at, calendly.next_pending_work_at(c.id, now_at))
      where c.id = connection.id and c.next_sync_at is not null;
    return;
  end if;
  update public.calendly_connections c
    set last_error = null, failures = 0, refusals = 0, current_as_of = run.started_at,
      updated_at = now_at,
      last_full_sync_at = case when fills_gaps then now_at else c.last_full_sync_at end,
      next_sync_at = case
        -- A lost subscription or a restore has left a gap: the FULL sync that fills it is due at
        -- once.
        when not fills_gaps and c.last_full_sync_at is null then now_at
        else calendly.next_sync_at(c, now_at)
      end
    where c.id = connection.id;
end
$$;
comment on function calendly.schedule_next_sync(
  public.calendly_sync_runs, public.calendly_connections, timestamptz) is
  'After a complete run: the connection works, and is due again at next_sync_at.';

create function public.calendly_finish_sync(run_id uuid, lease uuid) returns jsonb
language plpgsql security definer
set search_path = '' set lock_timeout = '5s' set statement_timeout = '30s' set jit = off
set enable_seqscan = off
as $$
declare
  now_at timestamptz;
  context calendly.run_context;
  run public.calendly_sync_runs;
begin
  perform calendly.lock_connection(calendly_finish_sync.run_id);
  now_at := calendly.now();
  context := calendly.read_run(calendly_finish_sync.run_id);
  run := context.run;
  -- complete: finished before, and the answer was lost
  if run.status is distinct from 'complete' then
    perform calendly.check_lease(context, calendly_finish_sync.lease);
    if (context.state).phase <> 'finish' then
      return calendly.next_step(context);
    end if;
    perform calendly.complete_run(context);
    perform calendly.record_synced_people((context.state).user_ids, run.sync_type, now_at);
    perform calendly.schedule_next_sync(run, context.connection, now_at);
    select r.* into run from public.calendly_sync_runs r where r.id = run.id;
  end if;
  return jsonb_build_object('do', 'stop', 'result', calendly.run_result(run),
    'initial_sync_complete', run.initial);
end
$$;
comment on function public.calendly_finish_sync(uuid, uuid) is
  'Completes a run of which nothing is left to do: {do: stop, result, initial_sync_complete: true '
  'when this was somebody''s first FULL one}; else returns the step that is left. Error: '
  'lease_lost.';

-- Fail --------------------------------------------------------------------------------------------

create function calendly.leave_organization(user_id integer) returns void
language plpgsql set search_path = ''
as $$
begin
  if not exists (
      select from public.calendly_users u
      join public.calendly_connections c on c.id = u.connection_id and c.user_id = u.id
      where u.id = leave_organization.user_id) then
    perform calendly.assign_connection(array[leave_organization.user_id], null);
    update public.calendly_users u set calendly_organization_uri = null
      where u.id = leave_organization.user_id;
  end if;
end
$$;
comment on function calendly.leave_organization(integer) is
  'Somebody else''s connection brings a person''s meetings no longer, and no other connection of '
  'that organization goes on with them.';

create function calendly.record_failure(
  run public.calendly_sync_runs, error jsonb, now_at timestamptz
) returns void
language plpgsql set search_path = ''
as $$
declare
  max_refusals constant integer := 3;  -- in a row, then the token is taken for dead
  added_refusals constant integer := case
    when error ->> 'code' in ('token_refused', 'scope_missing', 'calendly_refused') then 1
    when error ->> 'code' = 'organization_left' then max_refusals  -- nothing mends it by itself
    else 0
  end;
begin
  update public.calendly_connections c
    set last_error = error || jsonb_build_object('at', calendly.to_calendly(now_at)),
      failures = c.failures + 1, refusals = counted.refusals,
      state = case when counted.refusals >= max_refusals then 'reconnect_required'
        else c.state end,
      next_sync_at = case when counted.refusals < max_refusals
        then calendly.back_off(c.failures + 1, now_at) end,
      updated_at = now_at
    from (
      select k.id, k.refusals + added_refusals as refusals
      from public.calendly_connections k
      where k.id = run.connection_id
    ) counted
    where c.id = counted.id;
end
$$;
comment on function calendly.record_failure(public.calendly_sync_runs, jsonb, timestamptz) is
  'Notes a failed run with its connection, which is tried again later. The third refusal of the '
  'token in a row, or a person who has left the connected organization, asks for a reconnect.';

create function calendly.fail_run(
  run public.calendly_sync_runs, connection public.calendly_connections, error jsonb
) returns void
language plpgsql set search_path = ''
as $$
begin
  perform calendly.end_run(run.id, 'failed', fail_run.error);
  if fail_run.error ->> 'code' = 'calendly_refused'
      and not calendly.covers_connection(run, connection) then
    -- The organization no longer has this member; the token is not at fault.
    perform calendly.leave_organization(run.user_id);
  else
    perform calendly.record_failure(run, fail_run.error, calendly.now());
  end if;
end
$$;
comment on function calendly.fail_run(
  public.calendly_sync_runs, public.calendly_connections, jsonb) is
  'Ends a run that only a person can mend.';

create function calendly.pause_outdated(context calendly.run_context, error jsonb) returns void
language plpgsql set search_path = ''
as $$
begin
  context.state.interruptions := (context.state).interruptions + 1;
  perform calendly.pause(context,
    calendly.back_off((context.state).interruptions, calendly.now()), pause_outdated.error);
end
$$;
comment on function calendly.pause_outdated(calendly.run_context, jsonb) is
  'Pauses a run whose next step the functions do not know, until newer ones are deployed.';

create function public.calendly_fail_sync(
  run_id uuid, lease uuid, error jsonb, requests integer default 0
) returns jsonb
language plpgsql security definer
set search_path = '' set lock_timeout = '5s' set statement_timeout = '30s' set jit = off
set enable_seqscan = off
as $$
declare
  context calendly.run_context;
begin
  perform calendly.lock_connection(calendly_fail_sync.run_id);
  context := calendly.read_run(calendly_fail_sync.run_id);
  perform calendly.check_lease(context, calendly_fail_sync.lease);
  context := calendly.record_requests(context, calendly_fail_sync.requests, null);
  perform calendly.save_run(context);
  case
    when calendly_fail_sync.error ->> 'code' in ('internal', 'token_refused', 'scope_missing',
        'calendly_refused', 'organization_left', 'token_unreadable', 'not_configured') then
      perform calendly.fail_run(context.run, context.connection, calendly_fail_sync.error);
    when calendly_fail_sync.error ->> 'code' = 'functions_outdated' then
      perform calendly.pause_outdated(context, calendly_fail_sync.error);
    else
      -- Nothing is known to be wrong: another worker goes on when the lease has ended.
      null;
  end case;
  return (
    select jsonb_build_object('status', r.status)
    from public.calendly_sync_runs r where r.id = calendly_fail_sync.run_id);
end
$$;
comment on function public.calendly_fail_sync(uuid, uuid, jsonb, integer) is
  'Takes every error with which a worker stops, {code, message, hint}, and the requests that were '
  'not reported yet. What only a person can mend fails the run; functions_outdated pauses it; '
  'after anything else the run goes on when its lease ends. Returns {status: failed | paused | '
  'running}. Error: lease_lost.';

select calendly.revoke_all();
