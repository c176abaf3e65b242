-- What happens when Calendly does not answer as it should. A page token that expired restarts the
-- listing, a known rate limit is waited for, and anything else pauses the run, longer each time in
-- a row. One event that fails again and again is left for later, so that it does not stop the
-- others.

create function calendly.restart_listing(run_id uuid) returns void
language sql set search_path = ''
as $$
  update calendly.active_runs o
    set page_token = null, list_restarts = o.list_restarts + 1,
      -- The listing is sorted by start time: what has been seen is not listed again. A second
      -- earlier, because several events may start at the same time.
      list_after = greatest(o.list_after, o.listed_until - interval '1 second')
    where o.run_id = restart_listing.run_id
$$;
comment on function calendly.restart_listing(uuid) is
  'Lists again from the last start time seen, without the page token.';

create function calendly.wait_for_reset(connection_id uuid, retry_after double precision)
returns void
language sql set search_path = ''
as $$
  update public.calendly_connections c
    set rate_remaining = 0,
      rate_resets_at = calendly.now() + make_interval(secs => wait_for_reset.retry_after)
    where c.id = wait_for_reset.connection_id
$$;
comment on function calendly.wait_for_reset(uuid, double precision) is
  'No request may be made until the rate limit resets, in retry_after seconds.';

create function calendly.skip_failing_event(
  run public.calendly_sync_runs, state calendly.active_runs, event_uri text, problem text
) returns void
language plpgsql set search_path = ''
as $$
declare
  now_at constant timestamptz := calendly.now();
begin
  -- It counts as looked up in this run, and nothing is proven.
  insert into calendly.run_pages as p (run_id, step, event_uris, direct)
    values (run.id, state.step, array[skip_failing_event.event_uri], true)
    on conflict on constraint run_pages_pkey
      do update set event_uris = p.event_uris || excluded.event_uris;
  update calendly.meeting_sync s
    set last_looked_up_at = now_at,
      event_due_at = case when s.event_due_at is not null
        then now_at + calendly.interval_between_syncs(false) end
    where s.event_uri = skip_failing_event.event_uri and s.user_id = any (state.user_ids);
  perform calendly.reject(run.id, jsonb_build_array(
    jsonb_build_object('uri', skip_failing_event.event_uri, 'problem', problem)));
end
$$;
comment on function calendly.skip_failing_event(
  public.calendly_sync_runs, calendly.active_runs, text, text) is
  'Leaves an event that could not be fetched by itself for a later run, and records why.';

create function calendly.count_read_failure(
  user_ids integer[], event_uri text, max_failures integer
) returns boolean
language plpgsql set search_path = ''
as $$
declare
  too_many boolean;
begin
  with failed as (
    update calendly.meeting_sync s set read_failures = s.read_failures + 1
      where s.event_uri = count_read_failure.event_uri and s.user_id = any (user_ids)
      returning s.read_failures
  )
  select bool_or(f.read_failures % max_failures = 0) into too_many from failed f;
  return coalesce(too_many, false);
end
$$;
comment on function calendly.count_read_failure(integer[], text, integer) is
  'Counts a failure to fetch an event or its invitees: true every max_failures times in a row.';

create function calendly.leave_failing_event(
  run public.calendly_sync_runs, state calendly.active_runs, attempt integer, event_uri text,
  problem text
) returns void
language plpgsql set search_path = ''
as $$
declare
  max_attempts constant integer := 3;
  fails_repeatedly constant boolean := calendly.count_read_failure(
    state.user_ids, leave_failing_event.event_uri, max_attempts);
begin
  if state.phase = 'fetch_events' and attempt % max_attempts = 0 then
    perform calendly.skip_failing_event(run, state, leave_failing_event.event_uri, problem);
  elsif fails_repeatedly then
    perform calendly.postpone_invitees(run.id, state.user_ids, jsonb_build_array(
      jsonb_build_object('event_uri', leave_failing_event.event_uri, 'problem', problem)));
  end if;
end
$$;
comment on function calendly.leave_failing_event(
  public.calendly_sync_runs, calendly.active_runs, integer, text, text) is
  'Counts the failure of one event; every third time in a row the run goes on without it.';

create function calendly.interrupt(
  run public.calendly_sync_runs, state calendly.active_runs, interruption jsonb
) returns jsonb
language plpgsql set search_path = ''
as $$
declare
  max_restarts constant integer := 3;  -- of one page, then the run is paused
  attempt integer;
begin
  if interruption ->> 'code' = 'page_token_expired' and state.list_restarts < max_restarts then
    perform calendly.restart_listing(run.id);
    return null;
  end if;
  if interruption ->> 'code' = 'rate_limited' and interruption ->> 'retry_after' is not null then
    perform calendly.wait_for_reset(
      run.connection_id, (interruption ->> 'retry_after')::double precision);
    return null;
  end if;
  update calendly.active_runs o set interruptions = o.interruptions + 1
    where o.run_id = run.id
    returning o.interruptions into attempt;
  perform calendly.leave_failing_event(
    run, state, attempt, interruption ->> 'event_uri', interruption ->> 'message');
  return calendly.pause(run.id,
    calendly.back_off(attempt, calendly.now()),
    interruption - 'event_uri' - 'retry_after');
end
$$;
comment on function calendly.interrupt(
  public.calendly_sync_runs, calendly.active_runs, jsonb) is
  'What to do when Calendly did not answer as it should, {code, message, hint?, retry_after?, '
  'event_uri?}: null where the run goes on (a new listing, a known reset), else the run is paused.';
