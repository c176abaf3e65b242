-- What happens when Calendly does not answer as it should. A page token that expired restarts the
-- listing, a known rate limit is waited for, and anything else pauses the run, longer each time in
-- a row. One event that fails again and again is left for later, so that it does not stop the
-- others.

create function calendly.restart_listing(state calendly.active_runs)
returns calendly.active_runs
language plpgsql immutable set search_path = ''
as $$
begin
  state.page_token := null;
  state.list_restarts := state.list_restarts + 1;
  -- The listing is sorted by start time: what has been seen is not listed again. A second earlier,
  -- because several events may start at the same time.
  state.list_after := greatest(state.list_after, state.listed_until - interval '1 second');
  return state;
end
$$;
comment on function calendly.restart_listing(calendly.active_runs) is
  'Lists again from the last start time seen, without the page token.';

create function calendly.skip_failing_event(
  context calendly.run_context, event_uri text, problem text
) returns public.calendly_sync_runs
language plpgsql set search_path = ''
as $$
declare
  now_at constant timestamptz := calendly.now();
  run_id constant uuid := (context.run).id;
begin
  -- It counts as looked up in this run, and nothing is proven.
  insert into calendly.run_seen as s (run_id, event_uri, direct)
    values (run_id, skip_failing_event.event_uri, true)
    on conflict on constraint run_seen_pkey do update set direct = true;
  perform calendly.forget_missing(run_id, array[skip_failing_event.event_uri]);
  update calendly.meeting_sync s
    set last_looked_up_at = now_at,
      event_due_at = case when s.event_due_at is not null
        then now_at + calendly.interval_between_syncs(false) end
    where s.event_uri = skip_failing_event.event_uri
      and s.user_id = any ((context.state).user_ids);
  return calendly.reject(context.run, jsonb_build_array(
    jsonb_build_object('uri', skip_failing_event.event_uri, 'problem', problem)));
end
$$;
comment on function calendly.skip_failing_event(calendly.run_context, text, text) is
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
  context calendly.run_context, event_uri text, problem text
) returns public.calendly_sync_runs
language plpgsql set search_path = ''
as $$
declare
  max_attempts constant integer := 3;
  user_ids constant integer[] := (context.state).user_ids;
  fails_repeatedly constant boolean := calendly.count_read_failure(
    user_ids, leave_failing_event.event_uri, max_attempts);
begin
  if (context.state).phase = 'fetch_events'
      and (context.state).interruptions % max_attempts = 0 then
    return calendly.skip_failing_event(context, leave_failing_event.event_uri, problem);
  elsif fails_repeatedly then
    return calendly.postpone_invitees(context.run, user_ids, jsonb_build_array(
      jsonb_build_object('event_uri', leave_failing_event.event_uri, 'problem', problem)));
  end if;
  return context.run;
end
$$;
comment on function calendly.leave_failing_event(calendly.run_context, text, text) is
  'Counts the failure of one event; every third time in a row the run goes on without it.';

create function calendly.interrupt(context calendly.run_context, interruption jsonb)
returns jsonb
language plpgsql set search_path = ''
as $$
declare
  max_restarts constant integer := 3;  -- of one page, then the run is paused
begin
  if interruption ->> 'code' = 'page_token_expired'
      and (context.state).list_restarts < max_restarts then
    context.state := calendly.restart_listing(context.state);
    return calendly.next_step(context);
  end if;
  if interruption ->> 'code' = 'rate_limited' and interruption ->> 'retry_after' is not null then
    -- No request may be made until the rate limit resets.
    context.state.rate_limit_hits := (context.state).rate_limit_hits + 1;
    context.connection.rate_remaining := 0;
    context.connection.rate_resets_at := calendly.now() + calendly.time_to_reset(
      (interruption ->> 'retry_after')::double precision, (context.state).rate_limit_hits);
    return calendly.next_step(context);
  end if;
  context.state.interruptions := (context.state).interruptions + 1;
  if interruption ->> 'event_uri' is not null then
    context.run := calendly.leave_failing_event(
      context, interruption ->> 'event_uri', interruption ->> 'message');
  end if;
  return calendly.pause(context,
    calendly.back_off((context.state).interruptions, calendly.now()),
    interruption - 'event_uri' - 'retry_after');
end
$$;
comment on function calendly.interrupt(calendly.run_context, jsonb) is
  'What to do when Calendly did not answer as it should, {code, message, hint?, retry_after?, '
  'event_uri?}: the run goes on (a new listing, a known reset), or else it is paused.';
