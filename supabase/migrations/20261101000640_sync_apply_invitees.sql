-- What a worker brings back about invitees: complete readings of the invitees of some events. They
-- are written by the rules of 530_apply_invitees. A reading can also show that Calendly has erased
-- an invitee; one that failed, or that brought fewer invitees than the event counts, erases nobody.

create function calendly.count_mismatches(results jsonb, user_ids integer[]) returns text[]
language plpgsql stable set search_path = ''
as $$
begin
  return array(
    select distinct r ->> 'event_uri'
    from jsonb_array_elements(results) r
    -- By index: see calendly.note_missing.
    cross join lateral (
      select k.user_id, calendly.seats(k.raw, 'total') as seats
      from public.calendly_meetings k
      where k.calendly_event_uri = r ->> 'event_uri'
      offset 0
    ) m
    cross join lateral (
      select k.count_mismatch from calendly.meeting_sync k
      where k.user_id = m.user_id and k.event_uri = r ->> 'event_uri'
      offset 0
    ) s
    where m.user_id = any (count_mismatches.user_ids)
      and jsonb_array_length(r -> 'invitees') < m.seats and not s.count_mismatch
      and not r ? 'problem');
end
$$;
comment on function calendly.count_mismatches(jsonb, integer[]) is
  'Events of which fewer invitees were read than the event counts, for the first time in a row. '
  'The second time it is believed.';

create function calendly.delete_unlisted_invitees(
  results jsonb, user_ids integer[], mismatches text[], step_began_at timestamptz
) returns calendly.meeting_change[]
language plpgsql set search_path = ''
as $$
declare
  erased bigint[];
  changes calendly.meeting_change[];
begin
  -- A complete reading lacks an invitee that was stored before it began: Calendly has erased it.
  select array_agg(v.id), array_agg(distinct
      calendly.bare_change(m.user_id, m.calendly_event_uri, 'updated'))
    into erased, changes
    from jsonb_array_elements(results) r
    -- By index: see calendly.note_missing.
    cross join lateral (
      select k.id, k.user_id, k.calendly_event_uri from public.calendly_meetings k
      where k.calendly_event_uri = r ->> 'event_uri'
      offset 0
    ) m
    cross join lateral (
      select k.id, k.uri from public.calendly_invitees k
      where k.meeting_id = m.id and k.updated_at < step_began_at
      offset 0
    ) v
    where r ? 'invitees' and not r ? 'problem' and m.user_id = any (user_ids)
      and m.calendly_event_uri <> all (mismatches)
      -- an invitee that was listed and could not be used has not been erased
      and not exists (
        select from jsonb_array_elements(r -> 'invitees') invitee
        where invitee ->> 'uri' = v.uri);
  if erased is not null then
    delete from public.calendly_invitees v where v.id = any (erased);
  end if;
  return coalesce(changes, '{}');
end
$$;
comment on function calendly.delete_unlisted_invitees(jsonb, integer[], text[], timestamptz) is
  'Deletes the invitees that Calendly no longer lists, and returns the meetings that changed.';

create function calendly.record_invitee_reads(
  results jsonb, user_ids integer[], outcomes calendly.invitees_outcome[], mismatches text[],
  step_began_at timestamptz
) returns void
language plpgsql set search_path = ''
as $$
declare
  now_at constant timestamptz := calendly.now();
begin
  insert into calendly.meeting_sync as s (user_id, event_uri, invitees_due_at, invitees_read_at,
      invitees_total, invitees_canceled, count_mismatch)
    select m.user_id, m.calendly_event_uri,
      calendly.invitees_due_at(m.raw, null, read.observed_at, false,
        coalesce(o.unsure, false)
          or m.calendly_event_uri = any (mismatches)
          -- a webhook has changed the event since, and its counter knows of others
          or (m.updated_at >= step_began_at
            and not calendly.has_all_invitees(m.user_id, m.calendly_event_uri, m.raw)),
        now_at),
      read.observed_at, calendly.seats(m.raw, 'total'), calendly.seats(m.raw, 'canceled'),
      m.calendly_event_uri = any (mismatches)
    from (
      select r ->> 'event_uri' as event_uri, calendly.to_time(r ->> 'observed_at') as observed_at
      from jsonb_array_elements(results) r
      where r ? 'invitees' and not r ? 'problem'
    ) read
    -- By index: see calendly.note_missing.
    cross join lateral (
      select k.* from public.calendly_meetings k
      where k.calendly_event_uri = read.event_uri
      offset 0
    ) m
    left join unnest(outcomes) o
      on o.user_id = m.user_id and o.event_uri = m.calendly_event_uri
    where m.user_id = any (user_ids)
    on conflict on constraint meeting_sync_pkey do update set
      invitees_due_at = excluded.invitees_due_at,
      invitees_read_at = greatest(s.invitees_read_at, excluded.invitees_read_at),
      invitees_total = excluded.invitees_total, invitees_canceled = excluded.invitees_canceled,
      read_failures = 0, count_mismatch = excluded.count_mismatch;
end
$$;
comment on function calendly.record_invitee_reads(
  jsonb, integer[], calendly.invitees_outcome[], text[], timestamptz) is
  'Notes that invitees have been read, as of when, and when they must be read again.';

create function calendly.reject_invitees(
  run public.calendly_sync_runs, snapshots calendly.invitee_snapshot[], mismatches text[]
) returns public.calendly_sync_runs
language plpgsql set search_path = ''
as $$
begin
  run := calendly.reject(run, (
    select jsonb_agg(jsonb_build_object(
      'uri', coalesce(i.uri, i.event_uri), 'problem', i.problem))
    from unnest(snapshots) i
    where i.problem is not null));
  return calendly.reject(run, (
    select jsonb_agg(jsonb_build_object(
      'uri', uri, 'problem', 'lists fewer invitees than it counts'))
    from unnest(mismatches) uri));
end
$$;
comment on function calendly.reject_invitees(
  public.calendly_sync_runs, calendly.invitee_snapshot[], text[]) is
  'Records the invitees that could not be used, and the events that count more than they list.';

create function calendly.postpone_invitees(
  run public.calendly_sync_runs, user_ids integer[], failures jsonb
) returns public.calendly_sync_runs
language plpgsql set search_path = ''
as $$
declare
  longest_wait constant interval := interval '1 day';
  -- the longest wait is reached before: this keeps power() from overflowing
  max_doublings constant integer := 10;
begin
  insert into calendly.meeting_sync as s (user_id, event_uri)
    select m.user_id, m.event_uri
    from calendly.synced_meetings(user_ids, array(
      select f ->> 'event_uri' from jsonb_array_elements(failures) f)) m
    on conflict on constraint meeting_sync_pkey do update set
      read_failures = s.read_failures + 1,
      -- less and less often, but at least every day
      invitees_due_at = calendly.now() + least(longest_wait,
        calendly.interval_between_syncs(false) * power(2, least(s.read_failures, max_doublings)));
  return calendly.reject(run, (
    select jsonb_agg(jsonb_build_object('uri', f ->> 'event_uri', 'problem', f ->> 'problem'))
    from jsonb_array_elements(failures) f));
end
$$;
comment on function calendly.postpone_invitees(public.calendly_sync_runs, integer[], jsonb) is
  'Leaves events whose invitees could not be fetched, [{event_uri, problem}], for a later run and '
  'records why.';

create function calendly.count_invitee_changes(
  run public.calendly_sync_runs, changes calendly.meeting_change[]
) returns public.calendly_sync_runs
language plpgsql set search_path = ''
as $$
declare
  -- A meeting that the listing did not show is looked at here for the first time.
  looked_at constant integer := (
    select count(distinct (c.user_id, c.event_uri))
    from unnest(changes) c
    left join lateral (
      select true as is_seen from calendly.run_seen s
      where s.run_id = run.id and s.event_uri = c.event_uri
      offset 0
    ) seen on true
    left join lateral (
      select n.class from calendly.run_changes n
      where n.run_id = run.id and n.user_id = c.user_id and n.event_uri = c.event_uri
      offset 0
    ) before on true
    where seen.is_seen is null and before.class is null);
begin
  return calendly.count_changes(run, changes, looked_at);
end
$$;
comment on function calendly.count_invitee_changes(
  public.calendly_sync_runs, calendly.meeting_change[]) is
  'Counts the meetings whose invitees changed.';

create function calendly.apply_fetched_invitees(context calendly.run_context, results jsonb)
returns calendly.run_context
language plpgsql set search_path = ''
as $$
declare
  run public.calendly_sync_runs := context.run;
  user_ids constant integer[] := (context.state).user_ids;
  step_began_at constant timestamptz := (context.state).step_began_at;
  read_uris constant text[] := array(
    select r ->> 'event_uri' from jsonb_array_elements(results) r where r ? 'invitees');
  failures constant jsonb := (
    select jsonb_agg(r) from jsonb_array_elements(results) r
    where not r ? 'invitees' or r ? 'problem');
  mismatches constant text[] := calendly.count_mismatches(results, user_ids);
  snapshots constant calendly.invitee_snapshot[] := calendly.invitee_snapshots(results);
  -- where an invitee was listed twice, the newer one
  usable constant calendly.invitee_snapshot[] := array(
    select distinct on (i.uri) i from unnest(snapshots) i
    where i.problem is null
    order by i.uri, i.updated_at desc);
  outcomes calendly.invitees_outcome[];
  changes calendly.meeting_change[];
begin
  -- with the events that were rescheduled to these, which are linked to them below
  perform calendly.lock_events(read_uris || array(
    select former.event_uri
    from unnest(usable) c
    cross join lateral calendly.event_of(c.content ->> 'old_invitee') former (event_uri)
    where former.event_uri is not null));
  outcomes := array(
    select o from calendly.apply_invitees(usable, false, user_ids) o);
  changes := array(
    select calendly.bare_change(o.user_id, o.event_uri, 'updated')
    from unnest(outcomes) o where o.changed);
  changes := changes
    || calendly.delete_unlisted_invitees(results, user_ids, mismatches, step_began_at);
  perform calendly.record_invitee_reads(results, user_ids, outcomes, mismatches, step_began_at);
  if failures is not null then
    run := calendly.postpone_invitees(run, user_ids, failures);
  end if;
  changes := changes || array(
    select calendly.bare_change(l.user_id, l.event_uri, 'updated')
    from calendly.link_reschedules(read_uris, user_ids) l);
  run := calendly.reject_invitees(run, snapshots, mismatches);
  context.run := calendly.count_invitee_changes(run, changes);
  context.state.invitees_read := (context.state).invitees_read + cardinality(read_uris);
  return context;
end
$$;
comment on function calendly.apply_fetched_invitees(calendly.run_context, jsonb) is
  'Applies readings of the invitees of events, [{event_uri, invitees, observed_at} or '
  '{event_uri, problem}]; observed_at is Calendly''s time when the reading began. A problem alone '
  'changes nothing that is stored; beside invitees it says that there are more of them.';
