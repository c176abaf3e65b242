-- What a worker brings back about events: a page of the listing, or events that were fetched one by
-- one. Both are written by the rules of 520_apply_events. A listing alone deletes nothing; an event
-- that was fetched by itself can prove that it is gone, or that somebody is no longer its host.

-- Both ways ---------------------------------------------------------------------------------------

create function calendly.apply_api_events(
  state calendly.active_runs, snapshots calendly.event_snapshot[], answered_uris text[],
  direct boolean
) returns calendly.meeting_change[]
language plpgsql set search_path = ''
as $$
declare
  -- A webhook told too little about these: their invitees are fetched as well.
  waiting constant text[] := array(
    select w.event_uri from calendly.waiting_events(state.user_ids) w
    where w.event_uri = any (answered_uris));
  refetch_uris constant text[] := case
    when state.refetch_all then array(select c.uri from unnest(snapshots) c) else waiting end;
  changes calendly.meeting_change[];
begin
  changes := array(
    select c
    from calendly.apply_events(snapshots, false, state.user_ids, direct, refetch_uris) c);
  update calendly.meeting_sync s set event_due_at = null
    where s.event_uri = any (waiting) and s.user_id = any (state.user_ids)
      and s.event_due_at is not null;
  perform calendly.settle_deferred(state.user_ids, answered_uris);
  return changes;
end
$$;
comment on function calendly.apply_api_events(
  calendly.active_runs, calendly.event_snapshot[], text[], boolean) is
  'Writes events that the API has shown to the run''s people, and settles what waited for any '
  'event that it has answered for, usable or not.';

create function calendly.bare_change(
  user_id integer, event_uri text, class text, deleted_reason text default null
) returns calendly.meeting_change
language sql immutable set search_path = ''
as $$
  select row(user_id, event_uri, class, null, false, deleted_reason is not null, deleted_reason,
    deleted_reason is not null, false)::calendly.meeting_change
$$;
comment on function calendly.bare_change(integer, text, text, text) is
  'A change of a meeting that no snapshot of its event made: it is gone, or its invitees changed.';

-- A page of the listing ---------------------------------------------------------------------------

create function calendly.reject_listed_events(
  run public.calendly_sync_runs, snapshots calendly.event_snapshot[], fresh_uris text[],
  changes calendly.meeting_change[]
) returns void
language plpgsql set search_path = ''
as $$
declare
  -- Of an organization's events, many may belong to hosts whose meetings are not kept.
  host_expected constant boolean := not calendly.lists_organization(run);
begin
  perform calendly.reject(run.id, (
    select coalesce(jsonb_agg(jsonb_build_object('uri', c.uri,
      'problem', coalesce(c.problem, 'the user is not among the hosts'))), '[]')
    from unnest(snapshots) c
    where (c.uri is null or c.uri = any (fresh_uris))
      and (c.problem is not null
        or (host_expected and c.uri <> all (array(select n.event_uri from unnest(changes) n))))));
end
$$;
comment on function calendly.reject_listed_events(
  public.calendly_sync_runs, calendly.event_snapshot[], text[], calendly.meeting_change[]) is
  'Records the events of a page that could not be used.';

create function calendly.look_up_unlisted_hosts(
  user_ids integer[], snapshots calendly.event_snapshot[]
) returns void
language sql set search_path = ''
as $$
  -- A listing may leave out a host who still has the event: only the event itself can say so. No
  -- more per page than one run may look up, those that no run has looked up yet first.
  update calendly.meeting_sync s set event_due_at = calendly.now()
    where (s.user_id, s.event_uri) in (
      select m.user_id, m.calendly_event_uri
      from unnest(snapshots) c
      join public.calendly_meetings m
        on m.calendly_event_uri = c.uri and m.user_id = any (user_ids) and not m.is_deleted
      join public.calendly_users u
        on u.id = m.user_id and u.connection_id is not null
        and u.calendly_user_uri <> all (c.hosts)
      left join calendly.meeting_sync stored
        on stored.user_id = m.user_id and stored.event_uri = m.calendly_event_uri
      order by stored.last_looked_up_at nulls first
      limit (select g.missing_event_lookups from calendly.settings g))
$$;
comment on function calendly.look_up_unlisted_hosts(integer[], calendly.event_snapshot[]) is
  'Makes events due whose listed hosts lack somebody who has the meeting.';

create function calendly.record_listed_page(
  run public.calendly_sync_runs, state calendly.active_runs, next_page_token text,
  snapshots calendly.event_snapshot[], fresh_uris text[], changes calendly.meeting_change[]
) returns void
language plpgsql set search_path = ''
as $$
begin
  insert into calendly.run_pages (run_id, step, event_uris, direct)
    values (run.id, state.step, fresh_uris, false);
  update calendly.active_runs o
    set page_token = next_page_token, user_ids = state.user_ids, list_restarts = 0,
      phase = case when next_page_token is null then 'fetch_events' else 'list_events' end,
      listed_until = greatest(
        o.listed_until, (select max(c.start_time) from unnest(snapshots) c)),
      processed = o.processed
        + (select count(*) from unnest(changes) c where c.event_uri = any (fresh_uris))
    where o.run_id = run.id;
  update public.calendly_sync_runs r
    set fetched_active = r.fetched_active + listed.active,
      fetched_canceled = r.fetched_canceled + listed.canceled,
      missing = case
        when next_page_token is null then (select count(*) from calendly.missing_meetings(r))
        else r.missing
      end
    from (
      select count(*) filter (where c.status = 'active') as active,
        count(*) filter (where c.status = 'canceled') as canceled
      from unnest(snapshots) c
      where c.uri = any (fresh_uris)
    ) listed
    where r.id = run.id;
end
$$;
comment on function calendly.record_listed_page(
  public.calendly_sync_runs, calendly.active_runs, text, calendly.event_snapshot[], text[],
  calendly.meeting_change[]) is
  'Notes what an applied page held, where the listing goes on and, after the last page, how many '
  'meetings it did not show.';

create function calendly.apply_listed_page(
  run public.calendly_sync_runs, state calendly.active_runs, page jsonb
) returns void
language plpgsql set search_path = ''
as $$
declare
  snapshots constant calendly.event_snapshot[] := array(
    select calendly.read_event(e) from jsonb_array_elements(page -> 'collection') e);
  -- where an event is twice on the page, the newer one
  usable constant calendly.event_snapshot[] := array(
    select distinct on (c.uri) c from unnest(snapshots) c
    where c.problem is null
    order by c.uri, c.updated_at desc);
  -- an event that an earlier page has shown counts once
  fresh_uris constant text[] := array(
    select distinct c.uri from unnest(snapshots) c
    where c.uri is not null and not exists (
      select from calendly.seen_events(run.id) seen where seen.event_uri = c.uri));
  changes calendly.meeting_change[];
begin
  -- Events before people: see the lock order in 060_locks.
  perform calendly.lock_events(array(select c.uri from unnest(usable) c));
  state.user_ids := state.user_ids || calendly.meet_hosts(run, usable);
  changes := calendly.apply_api_events(state, usable, fresh_uris, false);
  perform calendly.record_listed_page(
    run, state, page ->> 'next_page_token', usable, fresh_uris, changes);
  perform calendly.reject_listed_events(run, snapshots, fresh_uris, changes);
  perform calendly.count_changes(run.id, changes);
  perform calendly.look_up_unlisted_hosts(state.user_ids, usable);
end
$$;
comment on function calendly.apply_listed_page(
  public.calendly_sync_runs, calendly.active_runs, jsonb) is
  'Applies one page of the listing, {collection, next_page_token}: hosts, meetings, what was seen, '
  'counts. An event that cannot be used is recorded and counts as seen.';

-- Events that were fetched one by one -------------------------------------------------------------

create function calendly.delete_gone_meetings(
  run public.calendly_sync_runs, user_ids integer[], gone_uris text[], waiting_uris text[]
) returns calendly.meeting_change[]
language plpgsql set search_path = ''
as $$
declare
  now_at constant timestamptz := calendly.now();
  changes calendly.meeting_change[];
begin
  with removed as (
    update public.calendly_meetings m
      set is_deleted = true, deleted_reason = 'gone', deleted_at = now_at, updated_at = now_at
      where m.calendly_event_uri = any (gone_uris) and m.user_id = any (user_ids)
        and not m.is_deleted
        -- a meeting that a webhook has written since the run began is not gone
        and (coalesce(m.updated_at, '-infinity') < run.started_at
          or m.calendly_event_uri = any (waiting_uris))
      returning m.user_id, m.calendly_event_uri
  )
  select coalesce(array_agg(
      calendly.bare_change(r.user_id, r.calendly_event_uri, 'deleted', 'gone')), '{}')
    into changes
    from removed r;
  return changes;
end
$$;
comment on function calendly.delete_gone_meetings(
  public.calendly_sync_runs, integer[], text[], text[]) is
  'Marks the meetings of events that Calendly no longer has as deleted, and returns the changes.';

create function calendly.reject_fetched_events(
  run_id uuid, results jsonb, settled_uris text[]
) returns void
language sql set search_path = ''
as $$
  select calendly.reject(run_id, (
    select coalesce(jsonb_agg(jsonb_build_object('uri', r ->> 'event_uri',
      'problem', coalesce(r ->> 'problem', c.problem, 'is another event'))), '[]')
    from jsonb_array_elements(results) r
    cross join lateral calendly.read_event(r -> 'event') c
    where r ->> 'event_uri' <> all (settled_uris)))
$$;
comment on function calendly.reject_fetched_events(uuid, jsonb, text[]) is
  'Records the fetched events that could not be used.';

create function calendly.record_lookups(
  run public.calendly_sync_runs, state calendly.active_runs, asked_uris text[],
  waiting_uris text[], listed_uris text[], changes calendly.meeting_change[]
) returns void
language plpgsql set search_path = ''
as $$
begin
  update calendly.meeting_sync s set last_looked_up_at = calendly.now(), event_due_at = null
    where s.event_uri = any (asked_uris) and s.user_id = any (state.user_ids);
  update calendly.active_runs o
    set missing_event_lookups =
        o.missing_event_lookups + cardinality(asked_uris) - cardinality(waiting_uris),
      -- The hosts of an event that was listed have been counted with the page.
      processed = o.processed + (
        select count(*) from unnest(changes) c
        where c.deleted_reason = 'reassigned' or c.event_uri <> all (listed_uris))
    where o.run_id = run.id;
  insert into calendly.run_pages (run_id, step, event_uris, direct)
    values (run.id, state.step, asked_uris, true);
end
$$;
comment on function calendly.record_lookups(
  public.calendly_sync_runs, calendly.active_runs, text[], text[], text[],
  calendly.meeting_change[]) is
  'Notes which events were fetched one by one.';

create function calendly.apply_fetched_events(
  run public.calendly_sync_runs, state calendly.active_runs, results jsonb
) returns void
language plpgsql set search_path = ''
as $$
declare
  asked_uris constant text[] := array(
    select r ->> 'event_uri' from jsonb_array_elements(results) r);
  waiting_uris constant text[] := array(
    select w.event_uri from calendly.waiting_events(state.user_ids) w
    where w.event_uri = any (asked_uris));
  listed_uris constant text[] := array(
    select seen.event_uri from calendly.seen_events(run.id) seen
    where seen.event_uri = any (asked_uris));
  -- The token has just listed this range: a 403 is about the event.
  gone_uris constant text[] := array(
    select r ->> 'event_uri' from jsonb_array_elements(results) r
    where (r ->> 'status')::integer in (403, 404));
  usable constant calendly.event_snapshot[] := array(
    select c
    from jsonb_array_elements(results) r
    cross join lateral calendly.read_event(r -> 'event') c
    where (r ->> 'status')::integer = 200 and c.problem is null and c.uri = r ->> 'event_uri');
  changes calendly.meeting_change[];
begin
  perform calendly.lock_events(asked_uris);
  changes := calendly.apply_api_events(state, usable, asked_uris, true);
  changes := changes
    || calendly.delete_gone_meetings(run, state.user_ids, gone_uris, waiting_uris);
  perform calendly.record_lookups(run, state, asked_uris, waiting_uris, listed_uris, changes);
  perform calendly.reject_fetched_events(
    run.id, results, gone_uris || array(select c.uri from unnest(usable) c));
  perform calendly.count_changes(run.id, changes);
end
$$;
comment on function calendly.apply_fetched_events(
  public.calendly_sync_runs, calendly.active_runs, jsonb) is
  'Applies events that were fetched one by one, [{event_uri, status, event?, problem?}]. 200: it '
  'is merged, and a person who is not among its hosts loses it. 404 and 403: it is gone. Anything '
  'else is recorded and changes nothing.';
