-- What a worker brings back about events: a page of the listing, or events that were fetched one by
-- one. Both are written by the rules of 520_apply_events. A listing alone deletes nothing; an event
-- that was fetched by itself can prove that it is gone, or that somebody is no longer its host.

-- Both ways ---------------------------------------------------------------------------------------

create function calendly.lock_waiting(user_ids integer[], event_uris text[]) returns text[]
language plpgsql set search_path = ''
as $$
begin
  perform calendly.lock_events(event_uris);
  return array(
    select w.uri from unnest(calendly.events_that_wait(user_ids)) w (uri)
    where w.uri = any (event_uris));
end
$$;
comment on function calendly.lock_waiting(integer[], text[]) is
  'Locks these events, and returns those that wait. A delivery is deferred under its event''s '
  'lock: read before, the answer could lack one that is settled a moment later.';

create function calendly.synced_meetings(user_ids integer[], event_uris text[])
returns table (user_id integer, event_uri text)
language plpgsql stable rows 100 set search_path = ''
as $$
begin
  return query
  select m.user_id, e.uri
  from (select distinct unnest(event_uris)) e (uri)
  -- By index: see calendly.note_missing.
  cross join lateral (
    select k.user_id from public.calendly_meetings k where k.calendly_event_uri = e.uri
    offset 0
  ) m
  cross join lateral (
    select from calendly.meeting_sync k where k.user_id = m.user_id and k.event_uri = e.uri
    offset 0
  ) s
  where m.user_id = any (synced_meetings.user_ids);
end
$$;
comment on function calendly.synced_meetings(integer[], text[]) is
  'The keys in calendly.meeting_sync of what these people have of these events. Its rows are '
  'changed by insert … on conflict, which finds each by its key: a kept plan of an update could '
  'read the whole table.';

create function calendly.apply_api_events(
  user_ids integer[], snapshots calendly.event_snapshot[], answered_uris text[],
  waiting text[], refetch_all boolean, direct boolean
) returns calendly.meeting_change[]
language plpgsql set search_path = ''
as $$
declare
  -- A webhook told too little about these: their invitees are fetched as well.
  refetch_uris constant text[] := case
    when refetch_all then array(select c.uri from unnest(snapshots) c) else waiting end;
  changes calendly.meeting_change[];
begin
  changes := array(
    select c
    from calendly.apply_events(snapshots, false, user_ids, direct, refetch_uris) c);
  if waiting <> '{}' then
    insert into calendly.meeting_sync as s (user_id, event_uri)
      select m.user_id, m.event_uri from calendly.synced_meetings(user_ids, waiting) m
      on conflict on constraint meeting_sync_pkey do update set event_due_at = null
        where s.event_due_at is not null;
  end if;
  if calendly.may_settle_deferred(user_ids) then
    perform calendly.settle_deferred(user_ids, answered_uris);
  end if;
  return changes;
end
$$;
comment on function calendly.apply_api_events(
  integer[], calendly.event_snapshot[], text[], text[], boolean, boolean) is
  'Writes events that the API has shown to the run''s people, and settles what waited for any '
  'event that it has answered for, usable or not. waiting: see calendly.lock_waiting.';

create function calendly.bare_change(
  user_id integer, event_uri text, class text, deleted_reason text default null
) returns calendly.meeting_change
language plpgsql immutable set search_path = ''
as $$
begin
  return row(user_id, event_uri, class, null, false, deleted_reason is not null, deleted_reason,
    deleted_reason is not null, false)::calendly.meeting_change;
end
$$;
comment on function calendly.bare_change(integer, text, text, text) is
  'A change of a meeting that no snapshot of its event made: it is gone, or its invitees changed.';

-- A page of the listing ---------------------------------------------------------------------------

create type calendly.listed_page as (
  rest jsonb,
  fresh_uris text[],
  active integer,
  canceled integer,
  meetings integer,
  listed_until timestamptz
);
comment on type calendly.listed_page is
  'A page, sorted: rest has the events that may bring something new, and fresh_uris those of the '
  'rest that no earlier page has shown. All other events are exactly as they are stored: of those '
  'that are listed for the first time, so many are active or canceled and stand for so many '
  'meetings. listed_until: the last start time of these other events.';

create function calendly.sort_page(
  run_id uuid, events jsonb, user_ids integer[], changed_uris text[], refetch_all boolean
) returns calendly.listed_page
language plpgsql set search_path = ''
as $$
declare
  -- a longer one is of no event that can be used
  longest_uri constant integer := calendly.longest_uri();
  page calendly.listed_page;
begin
  with listed as (
    select e.event, e.place, e.event ->> 'uri' as uri
    from jsonb_array_elements(events) with ordinality e (event, place)
  ), seen as (
    insert into calendly.run_seen (run_id, event_uri, direct)
      select distinct sort_page.run_id, l.uri, false from listed l
      where length(l.uri) <= longest_uri
      on conflict do nothing
      returning event_uri
  ), sorted as (
    select l.event, l.place, l.uri, k.status, k.start_time, k.meetings,
      k.event_uri is not null as is_known,
      s.event_uri is not null or length(l.uri) > longest_uri as is_fresh
    from listed l
    left join calendly.known_events(events, user_ids) k
      on k.event_uri = l.uri and not refetch_all and l.uri <> all (changed_uris)
    left join seen s on s.event_uri = l.uri
  )
  select coalesce(jsonb_agg(s.event order by s.place) filter (where not s.is_known), '[]'),
      coalesce(array_agg(distinct s.uri) filter (where s.is_fresh and not s.is_known), '{}'),
      count(*) filter (where s.is_fresh and s.status = 'active'),
      count(*) filter (where s.is_fresh and s.status = 'canceled'),
      coalesce(sum(s.meetings) filter (where s.is_fresh), 0),
      max(s.start_time) filter (where s.start_time < (
        select r.max_start_time from public.calendly_sync_runs r where r.id = sort_page.run_id))
    into page
    from sorted s;
  return page;
end
$$;
comment on function calendly.sort_page(uuid, jsonb, integer[], text[], boolean) is
  'Notes the events of a page as seen, and tells those that are exactly as stored from the rest. '
  'changed_uris: events that are never taken as unchanged.';

create function calendly.reject_listed_events(
  context calendly.run_context, snapshots calendly.event_snapshot[], fresh_uris text[],
  changes calendly.meeting_change[]
) returns public.calendly_sync_runs
language plpgsql set search_path = ''
as $$
declare
  -- Of an organization's events, many may belong to hosts whose meetings are not kept.
  host_expected constant boolean := (context.run).subject
    is distinct from (context.connection).calendly_organization_uri;
begin
  return calendly.reject(context.run, (
    select jsonb_agg(jsonb_build_object('uri', c.uri,
      'problem', coalesce(c.problem, 'the user is not among the hosts')))
    from unnest(snapshots) c
    where (c.uri is null or c.uri = any (fresh_uris))
      and (c.problem is not null
        or (host_expected and c.uri <> all (array(select n.event_uri from unnest(changes) n))))));
end
$$;
comment on function calendly.reject_listed_events(
  calendly.run_context, calendly.event_snapshot[], text[], calendly.meeting_change[]) is
  'Records the events of a page that could not be used.';

create function calendly.look_up_unlisted_hosts(
  user_ids integer[], snapshots calendly.event_snapshot[]
) returns void
language plpgsql set search_path = ''
as $$
declare
  now_at constant timestamptz := calendly.now();
begin
  -- A listing may leave out a host who still has the event: only the event itself can say so. No
  -- more per page than one run may look up, those that no run has looked up yet first. The rows
  -- exist: see calendly.synced_meetings.
  insert into calendly.meeting_sync as s (user_id, event_uri, event_due_at)
    select m.user_id, c.uri, now_at
    from unnest(snapshots) c
    -- By index: see calendly.note_missing.
    cross join lateral (
      select k.user_id from public.calendly_meetings k
      where k.calendly_event_uri = c.uri and not k.is_deleted
      offset 0
    ) m
    cross join lateral (
      select k.calendly_user_uri from public.calendly_users k
      where k.id = m.user_id and k.connection_id is not null
      offset 0
    ) u
    cross join lateral (
      select k.last_looked_up_at, k.event_due_at from calendly.meeting_sync k
      where k.user_id = m.user_id and k.event_uri = c.uri
      offset 0
    ) stored
    where m.user_id = any (user_ids) and u.calendly_user_uri <> all (c.hosts)
    order by stored.last_looked_up_at nulls first, c.uri, m.user_id
    limit (select g.missing_event_lookups from calendly.settings g)
    on conflict (user_id, event_uri) do update set event_due_at = excluded.event_due_at
      where s.event_due_at <= now_at is not true;
end
$$;
comment on function calendly.look_up_unlisted_hosts(integer[], calendly.event_snapshot[]) is
  'Makes events due whose listed hosts lack somebody who has the meeting.';

create function calendly.join_run(context calendly.run_context, joining integer[])
returns calendly.run_context
language plpgsql set search_path = ''
as $$
begin
  context.state.user_ids := (context.state).user_ids || joining;
  update calendly.active_runs o set user_ids = (context.state).user_ids
    where o.run_id = (context.run).id;
  -- The pages up to now have shown nothing of these people.
  perform calendly.note_missing(
    context.run, joining, (context.run).min_start_time, (context.state).listed_until);
  return context;
end
$$;
comment on function calendly.join_run(calendly.run_context, integer[]) is
  'From here on the run writes the meetings of these people as well.';

create function calendly.record_listed_until(
  context calendly.run_context, events jsonb, listed_from timestamptz, next_page_token text
) returns calendly.run_context
language plpgsql set search_path = ''
as $$
declare
  run constant public.calendly_sync_runs := context.run;
  state calendly.active_runs := context.state;
begin
  perform calendly.forget_missing(
    run.id, array(select e ->> 'uri' from jsonb_array_elements(events) e));
  perform calendly.note_missing(run, state.user_ids,
    coalesce(listed_from, run.min_start_time),
    -- An event that starts at the same time as this page's last may be on the next page.
    case when next_page_token is null then run.max_start_time else state.listed_until end);
  state.page_token := next_page_token;
  state.list_restarts := 0;
  state.phase := case when next_page_token is null then 'fetch_events' else 'list_events' end;
  context.state := state;
  if next_page_token is null then
    context.run.missing := calendly.count_missing(context);
  end if;
  return context;
end
$$;
comment on function calendly.record_listed_until(
  calendly.run_context, jsonb, timestamptz, text) is
  'Notes where the listing goes on, and which meetings it has passed without showing them. '
  'listed_from: the last start time that earlier pages have shown.';

create function calendly.apply_listed_events(
  context calendly.run_context, page calendly.listed_page
) returns calendly.run_context
language plpgsql set search_path = ''
as $$
declare
  run public.calendly_sync_runs := context.run;
  user_ids constant integer[] := (context.state).user_ids;
  -- In a person's own listing, an event that names no host is theirs.
  snapshots constant calendly.event_snapshot[] := calendly.event_snapshots(page.rest,
    case when run.subject is distinct from (context.connection).calendly_organization_uri
      then array[run.subject] end);
  -- where an event is twice on the page, the newer one
  usable constant calendly.event_snapshot[] := array(
    select distinct on (c.uri) c from unnest(snapshots) c
    where c.problem is null
    order by c.uri, c.updated_at desc);
  waiting text[];
  changes calendly.meeting_change[];
  looked_at integer;
begin
  waiting := calendly.lock_waiting(
    user_ids, page.fresh_uris || array(select c.uri from unnest(usable) c));
  changes := calendly.apply_api_events(user_ids, usable, page.fresh_uris,
    array(select w.uri from unnest(waiting) w (uri) where w.uri = any (page.fresh_uris)),
    (context.state).refetch_all, false);
  context.run := calendly.reject_listed_events(context, snapshots, page.fresh_uris, changes);
  run := context.run;
  select run.fetched_active + count(*) filter (where c.status = 'active'),
      run.fetched_canceled + count(*) filter (where c.status = 'canceled')
    into run.fetched_active, run.fetched_canceled
    from unnest(usable) c
    where c.uri = any (page.fresh_uris);
  looked_at := (select count(*) from unnest(changes) c where c.event_uri = any (page.fresh_uris));
  context.run := calendly.count_changes(run, changes, looked_at);
  context.state.processed := (context.state).processed + looked_at;
  context.state.listed_until := greatest(
    (context.state).listed_until, (
      select max(c.start_time) from unnest(usable) c
      -- One that starts after the range does not tell how far the listing is.
      where c.start_time < run.max_start_time));
  perform calendly.queue_invitees(run, user_ids, array(
    select c.event_uri from unnest(changes) c));
  perform calendly.look_up_unlisted_hosts(user_ids, usable);
  return context;
end
$$;
comment on function calendly.apply_listed_events(calendly.run_context, calendly.listed_page) is
  'Applies the events of a page that may bring something new. An event that cannot be used is '
  'recorded and counts as seen; an event that an earlier page has shown counts once.';

create function calendly.apply_listed_page(context calendly.run_context, result_page jsonb)
returns calendly.run_context
language plpgsql set search_path = ''
as $$
declare
  events constant jsonb := result_page -> 'collection';
  joining constant integer[] := calendly.meet_hosts(context.run, context.connection, events);
  listed_from constant timestamptz := (context.state).listed_until;
  waiting text[];
  page calendly.listed_page;
begin
  if joining <> '{}' then
    context := calendly.join_run(context, joining);
  end if;
  waiting := calendly.events_that_wait((context.state).user_ids);
  page := calendly.sort_page((context.run).id, events, (context.state).user_ids, waiting,
    (context.state).refetch_all);
  context.run.fetched_active := (context.run).fetched_active + page.active;
  context.run.fetched_canceled := (context.run).fetched_canceled + page.canceled;
  context.run.unchanged := (context.run).unchanged + page.meetings;
  context.state.processed := (context.state).processed + page.meetings;
  context.state.listed_until := greatest((context.state).listed_until, page.listed_until);
  if page.rest <> '[]' then
    context := calendly.apply_listed_events(context, page);
  elsif calendly.may_settle_deferred((context.state).user_ids) then
    -- A delivery that names no event waits for no event of the page.
    perform calendly.settle_deferred((context.state).user_ids, '{}');
  end if;
  return calendly.record_listed_until(
    context, events, listed_from, result_page ->> 'next_page_token');
end
$$;
comment on function calendly.apply_listed_page(calendly.run_context, jsonb) is
  'Applies one page of the listing, {collection, next_page_token}: hosts, meetings, what was seen, '
  'counts.';

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

create function calendly.hosts_of_fetched(context calendly.run_context) returns text[]
language plpgsql immutable set search_path = ''
as $$
begin
  return case when (context.connection).scope = 'user' then array[(context.run).subject] end;
end
$$;
comment on function calendly.hosts_of_fetched(calendly.run_context) is
  'Whose a fetched event is that names no host: with a person''s own token theirs; null: of those '
  'who have the meeting already, because an organization''s token reads anybody''s events.';

create function calendly.reject_fetched_events(
  context calendly.run_context, results jsonb, settled_uris text[]
) returns public.calendly_sync_runs
language plpgsql set search_path = ''
as $$
begin
  return calendly.reject(context.run, (
    select jsonb_agg(jsonb_build_object('uri', r ->> 'event_uri',
      'problem', coalesce(r ->> 'problem', c.problem, 'is another event')))
    from jsonb_array_elements(results) r
    cross join lateral calendly.read_event(
      r -> 'event', calendly.hosts_of_fetched(context)) c
    where r ->> 'event_uri' <> all (settled_uris)));
end
$$;
comment on function calendly.reject_fetched_events(
  calendly.run_context, jsonb, text[]) is
  'Records the fetched events that could not be used.';

create function calendly.record_lookups(
  context calendly.run_context, asked_uris text[], waiting text[],
  changes calendly.meeting_change[]
) returns calendly.run_context
language plpgsql set search_path = ''
as $$
declare
  state calendly.active_runs := context.state;
  looked_at integer;
begin
  insert into calendly.meeting_sync as s (user_id, event_uri)
    select m.user_id, m.event_uri from calendly.synced_meetings(state.user_ids, asked_uris) m
    on conflict on constraint meeting_sync_pkey do update set
      last_looked_up_at = calendly.now(), event_due_at = null;
  -- The hosts of an event that was listed have been counted with the page.
  looked_at := (
    select count(*) from unnest(changes) c
    left join lateral (
      select true as is_seen from calendly.run_seen s
      where s.run_id = state.run_id and s.event_uri = c.event_uri
      offset 0
    ) seen on true
    where c.deleted_reason = 'reassigned' or seen.is_seen is null);
  insert into calendly.run_seen as s (run_id, event_uri, direct)
    select distinct state.run_id, uri, true from unnest(asked_uris) uri
    on conflict (run_id, event_uri) do update set direct = true where not s.direct;
  perform calendly.forget_missing(state.run_id, asked_uris);
  state.missing_event_lookups :=
    state.missing_event_lookups + cardinality(asked_uris) - cardinality(waiting);
  state.processed := state.processed + looked_at;
  context.state := state;
  context.run := calendly.count_changes(context.run, changes, looked_at);
  return context;
end
$$;
comment on function calendly.record_lookups(
  calendly.run_context, text[], text[], calendly.meeting_change[]) is
  'Notes which events were fetched one by one, and what that changed.';

create function calendly.apply_fetched_events(context calendly.run_context, results jsonb)
returns calendly.run_context
language plpgsql set search_path = ''
as $$
declare
  user_ids constant integer[] := (context.state).user_ids;
  asked_uris constant text[] := array(
    select r ->> 'event_uri' from jsonb_array_elements(results) r);
  -- The token has just listed this range: a 403 is about the event.
  gone_uris constant text[] := array(
    select r ->> 'event_uri' from jsonb_array_elements(results) r
    where (r ->> 'status')::integer in (403, 404));
  usable constant calendly.event_snapshot[] := array(
    select c
    from jsonb_array_elements(results) r
    cross join lateral calendly.read_event(
      r -> 'event', calendly.hosts_of_fetched(context)) c
    where (r ->> 'status')::integer = 200 and c.problem is null and c.uri = r ->> 'event_uri');
  waiting text[];
  changes calendly.meeting_change[];
begin
  waiting := calendly.lock_waiting(user_ids, asked_uris);
  changes := calendly.apply_api_events(user_ids, usable, asked_uris, waiting,
    (context.state).refetch_all, true);
  changes := changes
    || calendly.delete_gone_meetings(context.run, user_ids, gone_uris, waiting);
  context := calendly.record_lookups(context, asked_uris, waiting, changes);
  context.run := calendly.reject_fetched_events(
    context, results, gone_uris || array(select c.uri from unnest(usable) c));
  perform calendly.queue_invitees(
    context.run, user_ids, array(select c.event_uri from unnest(changes) c));
  return context;
end
$$;
comment on function calendly.apply_fetched_events(calendly.run_context, jsonb) is
  'Applies events that were fetched one by one, [{event_uri, status, event?, problem?}]. 200: it '
  'is merged, and a person who is not among its hosts loses it. 404 and 403: it is gone. Anything '
  'else is recorded and changes nothing.';
