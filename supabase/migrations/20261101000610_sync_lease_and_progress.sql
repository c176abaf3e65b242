-- Who works on a run, and what is written down about it. A worker has a run by a lease: its token
-- is compared at each step, so that a worker that was taken over cannot write, and each step
-- extends it. The counts, the requests and what could not be used are kept with the run, in the
-- transaction of the step that they belong to.

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

create function calendly.check_lease(run_id uuid, lease uuid) returns calendly.active_runs
language plpgsql set search_path = ''
as $$
declare
  state calendly.active_runs;
begin
  perform calendly.lock_connection(check_lease.run_id);
  select o.* into state from calendly.active_runs o
    where o.run_id = check_lease.run_id and o.lease = check_lease.lease;
  if not found then
    perform calendly.raise_error('lease_lost', 'This worker no longer has this run.',
      'It was taken over by another worker, ended, or disconnected meanwhile.');
  end if;
  return state;
end
$$;
comment on function calendly.check_lease(uuid, uuid) is
  'Locks the run''s connection and checks the worker''s token. Error: lease_lost.';

-- Records -----------------------------------------------------------------------------------------

create function calendly.record_requests(
  run public.calendly_sync_runs, requests integer, rate jsonb
) returns void
language plpgsql set search_path = ''
as $$
begin
  update calendly.active_runs o
    set worker_requests = o.worker_requests - record_requests.requests
    where o.run_id = run.id;
  update public.calendly_sync_runs r
    set requests = r.requests + record_requests.requests
    where r.id = run.id;
  update public.calendly_connections c
    set rate_limit = (rate ->> 'limit')::integer, rate_remaining = (rate ->> 'remaining')::integer,
      rate_resets_at = calendly.now() + make_interval(secs => (rate ->> 'reset')::double precision)
    where c.id = run.connection_id and rate ->> 'remaining' is not null;
end
$$;
comment on function calendly.record_requests(public.calendly_sync_runs, integer, jsonb) is
  'Notes the requests that a step cost and Calendly''s rate limit as of its last answer, '
  '{limit, remaining, reset (seconds)}.';

create function calendly.reject(run_id uuid, problems jsonb) returns void
language sql set search_path = ''
as $$
  update public.calendly_sync_runs r
    set rejected = r.rejected + jsonb_array_length(problems),
      rejections = jsonb_path_query_array(r.rejections || problems, '$[0 to 49]')
    where r.id = reject.run_id and jsonb_array_length(problems) > 0
$$;
comment on function calendly.reject(uuid, jsonb) is
  'Records with the run what could not be used, [{uri, problem}]; the first 50 are kept.';

create function calendly.record_classes(run_id uuid, changes calendly.meeting_change[]) returns void
language sql set search_path = ''
as $$
  insert into calendly.run_changes as c (run_id, user_id, event_uri, class)
    -- One step can change a meeting in several ways (an invitee, a reschedule): it counts once.
    select distinct on (n.user_id, n.event_uri)
      record_classes.run_id, n.user_id, n.event_uri, n.class
    from unnest(changes) n
    where n.class <> 'unchanged'
    order by n.user_id, n.event_uri, n.class = 'updated', n.class
    -- Later steps: created stays created; deleted and restored replace updated, not the reverse.
    on conflict (run_id, user_id, event_uri) do update set class = excluded.class
      where c.class <> 'created' and excluded.class <> 'updated'
$$;
comment on function calendly.record_classes(uuid, calendly.meeting_change[]) is
  'Notes what became of each meeting: one class per meeting in the whole run.';

create function calendly.count_changes(run_id uuid, changes calendly.meeting_change[]) returns void
language plpgsql set search_path = ''
as $$
begin
  perform calendly.record_classes(count_changes.run_id, changes);
  update public.calendly_sync_runs r
    set created = counted.created, updated = counted.updated,
      deleted = counted.deleted, restored = counted.restored,
      unchanged = o.processed - counted.classified
    from calendly.active_runs o
    cross join lateral (
      select count(*) filter (where c.class = 'created') as created,
        count(*) filter (where c.class = 'updated') as updated,
        count(*) filter (where c.class = 'deleted') as deleted,
        count(*) filter (where c.class = 'restored') as restored,
        count(*) as classified
      from calendly.run_changes c
      where c.run_id = o.run_id
    ) counted
    where r.id = count_changes.run_id and o.run_id = r.id;
end
$$;
comment on function calendly.count_changes(uuid, calendly.meeting_change[]) is
  'Adds to the run''s counts: one class per meeting.';

-- Pause and result --------------------------------------------------------------------------------

create function calendly.run_result(run_id uuid) returns jsonb
language sql stable set search_path = ''
as $$
  select jsonb_build_object(
      'run_id', r.id, 'user_id', r.user_id, 'sync_type', r.sync_type,
      'range', jsonb_build_object(
        'min_start_time', calendly.to_calendly(r.min_start_time),
        'max_start_time', calendly.to_calendly(r.max_start_time)),
      'fetched', jsonb_build_object('active', r.fetched_active, 'canceled', r.fetched_canceled),
      'created', r.created, 'updated', r.updated, 'unchanged', r.unchanged,
      'deleted', r.deleted, 'restored', r.restored,
      'rejected', r.rejected, 'requests', r.requests, 'status', r.status)
    || jsonb_strip_nulls(jsonb_build_object(
      'hosts_without_account', r.hosts_without_account,
      'resume_at', calendly.to_calendly(r.resume_at), 'reason', r.error,
      'rejections', case when r.rejected > 0 then r.rejections end))
  from public.calendly_sync_runs r
  where r.id = run_result.run_id
$$;
comment on function calendly.run_result(uuid) is 'What POST /calendly-sync answers.';

create function calendly.pause(run_id uuid, resume_at timestamptz, reason jsonb) returns jsonb
language plpgsql set search_path = ''
as $$
declare
  now_at constant timestamptz := calendly.now();
begin
  update calendly.active_runs o set lease = null, lease_expires_at = null
    where o.run_id = pause.run_id;
  update public.calendly_sync_runs r
    set status = 'paused', resume_at = pause.resume_at, error = reason, heartbeat_at = now_at,
      progress = calendly.run_progress(r.id)
    where r.id = pause.run_id;
  update public.calendly_connections c
    set next_sync_at = pause.resume_at, updated_at = now_at
    from public.calendly_sync_runs r
    where r.id = pause.run_id and c.id = r.connection_id and calendly.covers_connection(r, c);
  return jsonb_build_object('do', 'stop', 'result', calendly.run_result(run_id));
end
$$;
comment on function calendly.pause(uuid, timestamptz, jsonb) is
  'Pauses a run until resume_at, lets the lease go, and returns {do: stop, result}.';
