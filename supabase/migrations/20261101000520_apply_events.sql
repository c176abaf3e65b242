-- From snapshots of events to meetings: what each snapshot makes of the meeting of each host who is
-- kept (created, updated, deleted, restored or unchanged), and writing exactly that. An unchanged
-- event writes nothing. Listings, direct fetches and deliveries all come through
-- calendly.apply_events; a listing only with what calendly.known_events does not recognize.
--
-- The plans of the statements here are kept, perhaps from when the tables were empty. So each
-- look-up of a row is a subquery with `offset 0`, a fence: it stays one by the index of its key.

create function calendly.lock_events(event_uris text[]) returns void
language plpgsql set search_path = ''
as $$
begin
  -- Sorted, so that two transactions with events in common never wait for each other in a circle.
  -- An advisory lock rather than row locks, because the row may not exist yet; and in a statement
  -- of its own, so that the next statement sees what the holder before us has committed.
  perform pg_advisory_xact_lock(sorted.key)
    from (
      select distinct hashtextextended(uri, 0) as key from unnest(event_uris) uri order by 1
    ) sorted;
end
$$;
comment on function calendly.lock_events(text[]) is
  'Holds these events until the end of the transaction: taken before any meeting or invitee is '
  'read for writing.';

-- Recognizing -------------------------------------------------------------------------------------

create function calendly.known_events(events jsonb, user_ids integer[])
returns table (event_uri text, status text, start_time timestamptz, meetings integer)
language plpgsql stable rows 100
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off
as $$
declare
  somebody_is_erased constant boolean := exists (select from calendly.erased_people);
begin
  -- No event is locked. Merging is idempotent, so a snapshot that equals the one stored changes
  -- nothing: the result is as if it had been applied when this statement began, and whoever writes
  -- the event meanwhile comes after it.
  return query
  select listed.uri, stored.status, stored.start_time, stored.equal::integer
  from (
    select e.event ->> 'uri' as uri, count(*) over (partition by e.event ->> 'uri') as times,
      case
        when somebody_is_erased then calendly.storable_event(e.event)
        when e.event #> '{location,data,password}' is not null
          then e.event #- '{location,data,password}'
        else e.event
      end as event
    from jsonb_array_elements(events) e (event)
  ) listed
  cross join lateral (
    select array_agg(kept.id) filter (where kept.id is not null) as user_ids,
      -- a host who is named by e-mail only must be looked for: see calendly.host_by_email
      bool_and(membership ->> 'user' is not null) as named
    from jsonb_array_elements(case jsonb_typeof(listed.event -> 'event_memberships')
      when 'array' then listed.event -> 'event_memberships' else '[]' end) membership
    left join lateral (
      select u.id from public.calendly_users u
      where u.calendly_user_uri = membership ->> 'user' and u.connection_id is not null
        and u.id = any (known_events.user_ids)
      offset 0
    ) kept on true
  ) host
  cross join lateral (
    select min(m.status) filter (where m.user_id = any (host.user_ids)) as status,
      min(m.start_time) filter (where m.user_id = any (host.user_ids)) as start_time,
      count(*) filter (where m.user_id = any (host.user_ids) and m.raw = listed.event
        -- the row is what the API's snapshot makes of it …
        and m.deleted_reason is not distinct from case m.status when 'canceled' then m.status end
        and m.is_deleted = (m.status = 'canceled') and listed.uri <> all (s.webhook_sourced_uris)
        -- … and nothing is left to note: see calendly.note_changes
        and s.event_due_at is null and (s.invitees_due_at is null
          or listed.event #>> '{invitees_counter,total}' is distinct from '0')) as equal,
      -- somebody has the meeting who is not among the hosts: the event must be looked up
      bool_or(not m.is_deleted and m.user_id = any (known_events.user_ids)
        and m.user_id <> all (host.user_ids)) as unlisted,
      max(m.calendly_updated_at) as newest,
      max(m.calendly_updated_at) filter (where m.user_id = any (host.user_ids)) as own
    from (select k.* from public.calendly_meetings k
      where k.calendly_event_uri = listed.uri offset 0) m
    left join lateral (select x.* from calendly.meeting_sync x
      where x.user_id = m.user_id and x.event_uri = listed.uri offset 0) s on true
  ) stored
  where listed.times = 1 and host.named and not stored.unlisted
    -- every host of these users has the row, and nobody has a newer one
    and stored.equal = cardinality(host.user_ids) and stored.equal > 0
    and stored.newest is not distinct from stored.own;
end
$$;
comment on function calendly.known_events(jsonb, integer[]) is
  'Of the events of a listed page, as Calendly sent them, those that are stored exactly so for all '
  'of these users who host them. They need not be read, merged or written: calendly.apply_events '
  'would find each of their meetings unchanged. An event that is twice on the page is none. '
  'meetings: for how many of these users.';

-- Merging -----------------------------------------------------------------------------------------

create type calendly.merged_event as (
  user_id integer,
  event_uri text,
  snapshot calendly.event_snapshot,
  by_webhook boolean,
  is_host boolean,
  incoming_at timestamptz,
  stored_by_webhook boolean
);
comment on type calendly.merged_event is
  'An event as it is known once a snapshot has come, for one user. by_webhook: whose snapshot it '
  'is now; stored_by_webhook: whose it was. is_host: the user is among its hosts.';

create function calendly.users_of_events(snapshots calendly.event_snapshot[], user_ids integer[])
returns table (user_id integer, event_uri text, calendly_user_uri text)
language plpgsql stable rows 100 set search_path = ''
as $$
begin
  return query
  -- the hosts by this snapshot …
  select host.id, s.uri, host.calendly_user_uri
  from unnest(snapshots) s
  cross join lateral unnest(s.hosts) named (uri)
  cross join lateral (
    select u.id, u.calendly_user_uri from public.calendly_users u
    where u.calendly_user_uri = named.uri and u.connection_id is not null
    offset 0
  ) host
  where users_of_events.user_ids is null or host.id = any (users_of_events.user_ids)
  union
  -- … and whoever has a row already
  select host.id, s.uri, host.calendly_user_uri
  from unnest(snapshots) s
  cross join lateral (
    select m.user_id from public.calendly_meetings m where m.calendly_event_uri = s.uri
    offset 0
  ) stored
  cross join lateral (
    select u.id, u.calendly_user_uri from public.calendly_users u
    where u.id = stored.user_id and u.connection_id is not null
    offset 0
  ) host
  where users_of_events.user_ids is null or host.id = any (users_of_events.user_ids);
end
$$;
comment on function calendly.users_of_events(calendly.event_snapshot[], integer[]) is
  'The kept users whom these events may concern: their hosts, and whoever has a meeting of them. '
  'user_ids: among these only; null: among all.';

create function calendly.merge_events(
  snapshots calendly.event_snapshot[], by_webhook boolean, user_ids integer[]
) returns setof calendly.merged_event
language plpgsql stable rows 100 set search_path = ''
as $$
begin
  return query
  select c.user_id, c.event_uri, merged.snapshot,
    case
      when stored.updated_at is null
        or i.updated_at > stored.updated_at then merge_events.by_webhook
      when i.updated_at < stored.updated_at then source.is_webhook
      -- The API's with a webhook's news in it counts as the webhook's: an older answer of the API
      -- must not take the news out again.
      else merge_events.by_webhook
        and (source.is_webhook or stored.raw <> (merged.snapshot).content)
    end,
    c.calendly_user_uri = any ((merged.snapshot).hosts), i.updated_at, source.is_webhook
  from calendly.users_of_events(snapshots, user_ids) c
  join unnest(snapshots) i on i.uri = c.event_uri
  -- The time is the event's: the row of a former host or of another host may know a newer
  -- snapshot than one's own.
  left join lateral (
    select m.user_id, m.raw, coalesce(m.calendly_updated_at, '-infinity') as updated_at
    from public.calendly_meetings m
    where m.calendly_event_uri = c.event_uri and m.raw is not null
    order by m.calendly_updated_at desc nulls last, (m.user_id = c.user_id) desc, m.user_id
    limit 1
  ) stored on true
  cross join lateral (
    select exists (
      select from calendly.meeting_sync s
      where s.user_id = stored.user_id and s.event_uri = c.event_uri
        and c.event_uri = any (s.webhook_sourced_uris))
    offset 0
  ) source (is_webhook)
  cross join lateral (
    -- null: the snapshot is new or the one stored
    select case when stored.raw <> i.content then calendly.merge_snapshots(
      stored.raw, stored.updated_at, source.is_webhook,
      i.content, i.updated_at, merge_events.by_webhook) end as content
    offset 0
  ) other
  cross join lateral (
    -- What the merge has left as it came need not be read again.
    select case when (other.content = i.content) is not false then i
      else calendly.read_event(other.content, i.hosts) end as snapshot
    offset 0
  ) merged;
end
$$;
comment on function calendly.merge_events(calendly.event_snapshot[], boolean, integer[]) is
  'Each snapshot merged with the newest one stored, for each kept user whom the event concerns.';

-- Deciding ----------------------------------------------------------------------------------------

create type calendly.meeting_change as (
  user_id integer,
  event_uri text,
  class text,
  snapshot calendly.event_snapshot,
  by_webhook boolean,
  is_deleted boolean,
  deleted_reason text,
  written boolean,
  invitees_stale boolean
);
comment on type calendly.meeting_change is
  'What a snapshot of an event makes of one user''s meeting. class: created, updated, deleted, '
  'restored or unchanged. written: the row changes. invitees_stale: the invitees may have changed '
  'too.';

create function calendly.meeting_changes(
  snapshots calendly.event_snapshot[], by_webhook boolean, user_ids integer[], direct boolean
) returns calendly.meeting_change[]
language plpgsql stable set search_path = ''
as $$
begin
  return array(
    with compared as materialized (
      select e.user_id, e.event_uri, e.snapshot, e.by_webhook, e.stored_by_webhook, e.is_host,
        (e.snapshot).status = 'canceled' as canceled,
        own.user_id is null as is_new, own.raw is null as is_empty,
        own.is_deleted as was_deleted, own.deleted_reason as was_deleted_because,
        own.raw is distinct from (e.snapshot).content as content_differs,
        own.raw - 'updated_at' is distinct from (e.snapshot).content - 'updated_at' as changed,
        coalesce(own.calendly_updated_at, '-infinity') <> (e.snapshot).updated_at as time_differs,
        -- What is gone comes back only by the API or by news: an old delivery that comes late
        -- proves nothing.
        coalesce(own.is_deleted and own.deleted_reason in ('gone', 'reassigned')
          and meeting_changes.by_webhook
          and e.incoming_at <= coalesce(own.calendly_updated_at, '-infinity'), false)
          as stays_deleted
      from calendly.merge_events(snapshots, meeting_changes.by_webhook, user_ids) e
      left join lateral (
        select m.user_id, m.raw, m.is_deleted, m.deleted_reason, m.calendly_updated_at
        from public.calendly_meetings m
        where m.calendly_event_uri = e.event_uri
        offset 0
      ) own on own.user_id = e.user_id
    ),
    decided as (
      select c.*,
        c.stays_deleted or c.canceled or not c.is_host as is_deleted,
        case
          when c.stays_deleted then c.was_deleted_because
          when c.canceled then 'canceled'
          when not c.is_host then 'reassigned'
        end as deleted_reason
      from compared c
      -- A row is made for a host, and marked as reassigned only where the event itself has
      -- answered.
      where c.is_host or (direct and not c.is_new)
    )
    select row(d.user_id, d.event_uri,
      case
        when d.is_new then 'created'
        when d.is_deleted and not d.was_deleted then 'deleted'
        when d.was_deleted and not d.is_deleted then 'restored'
        when d.changed or d.was_deleted_because is distinct from d.deleted_reason then 'updated'
        else 'unchanged'
      end,
      d.snapshot, d.by_webhook, d.is_deleted, d.deleted_reason,
      d.content_differs or d.was_deleted is distinct from d.is_deleted
        or d.was_deleted_because is distinct from d.deleted_reason,
      -- The API adds keys to a webhook's snapshot: that says nothing new of the invitees.
      d.is_empty or d.time_differs or (d.content_differs and not d.stored_by_webhook)
      )::calendly.meeting_change
    from decided d);
end
$$;
comment on function
  calendly.meeting_changes(calendly.event_snapshot[], boolean, integer[], boolean) is
  'What snapshots of events make of the meetings of these users (null: of every kept user). '
  'direct: each event was fetched or delivered by itself, so a user who is not among its hosts is '
  'none.';

-- Writing -----------------------------------------------------------------------------------------

create function calendly.deletion_time(
  change calendly.meeting_change, now_at timestamptz
) returns timestamptz
language plpgsql stable set search_path = ''
as $$
begin
  return case change.deleted_reason
    when 'canceled' then coalesce(
      calendly.to_time((change.snapshot).content #>> '{cancellation,created_at}'),
      nullif((change.snapshot).updated_at, '-infinity'), now_at)
    when 'reassigned' then coalesce(nullif((change.snapshot).updated_at, '-infinity'), now_at)
    when 'gone' then now_at
  end;
end
$$;
comment on function calendly.deletion_time(calendly.meeting_change, timestamptz) is
  'Since when a meeting is deleted, as well as Calendly tells it; null: it is not deleted.';

create function calendly.write_meetings(
  changes calendly.meeting_change[], by_webhook boolean, now_at timestamptz
) returns void
language plpgsql set search_path = ''
as $$
begin
  insert into public.calendly_meetings as m (
      user_id, calendly_event_uri, name, status, start_time, end_time,
      event_type_uri, location_type, location, join_url, cancellation,
      is_deleted, deleted_at, deleted_reason, synced_via_webhook,
      calendly_created_at, calendly_updated_at, created_at, updated_at, raw)
    select c.user_id, c.event_uri, s.content ->> 'name', s.status, s.start_time, s.end_time,
      s.content ->> 'event_type', place.location_type, place.location, place.join_url,
      case s.status when 'canceled' then nullif(s.content -> 'cancellation', 'null') end,
      c.is_deleted, case when c.is_deleted then calendly.deletion_time(c, now_at) end,
      c.deleted_reason,
      write_meetings.by_webhook, s.created_at, nullif(s.updated_at, '-infinity'), now_at, now_at,
      s.content
    from unnest(changes) c
    cross join lateral (select (c.snapshot).*) s
    cross join lateral calendly.read_location(s.content -> 'location') place
    where c.written
    on conflict (user_id, calendly_event_uri) do update set
      name = excluded.name, status = excluded.status,
      start_time = excluded.start_time, end_time = excluded.end_time,
      event_type_uri = excluded.event_type_uri, location_type = excluded.location_type,
      location = excluded.location, join_url = excluded.join_url,
      cancellation = excluded.cancellation,
      is_deleted = excluded.is_deleted, deleted_reason = excluded.deleted_reason,
      deleted_at = case when m.deleted_reason = excluded.deleted_reason
        then m.deleted_at else excluded.deleted_at end,
      synced_via_webhook = m.synced_via_webhook or excluded.synced_via_webhook,
      calendly_created_at = excluded.calendly_created_at,
      calendly_updated_at = excluded.calendly_updated_at,
      updated_at = excluded.updated_at, raw = excluded.raw;
end
$$;
comment on function
  calendly.write_meetings(calendly.meeting_change[], boolean, timestamptz) is
  'Writes the meetings that change.';

create function calendly.note_changes(
  changes calendly.meeting_change[], by_webhook boolean, refetch_uris text[], now_at timestamptz
) returns void
language plpgsql set search_path = ''
as $$
begin
  insert into calendly.meeting_sync as s (
      user_id, event_uri, invitees_due_at, webhook_sourced_uris)
    select c.user_id, c.event_uri, due.due_at,
      case when c.by_webhook then array[c.event_uri] else '{}' end
    from unnest(changes) c
    left join lateral (
      select k.event_uri, k.invitees_due_at, k.webhook_sourced_uris from calendly.meeting_sync k
      where k.user_id = c.user_id and k.event_uri = c.event_uri
      offset 0
    ) stored on true
    cross join lateral (
      select calendly.invitees_due_at((c.snapshot).content, stored.invitees_due_at,
        complete_at => null,
        -- a delivery brings its invitee itself: see calendly.note_reads
        stale => not note_changes.by_webhook and (
          c.event_uri = any (refetch_uris) or c.invitees_stale
          or (c.written
            and not calendly.has_all_invitees(c.user_id, c.event_uri, (c.snapshot).content))),
        in_doubt => false, now_at => note_changes.now_at)
      offset 0
    ) due (due_at)
    where stored.event_uri is null
      or stored.invitees_due_at is distinct from due.due_at
      or (c.event_uri = any (stored.webhook_sourced_uris)) <> c.by_webhook
    on conflict (user_id, event_uri) do update set
      invitees_due_at = excluded.invitees_due_at,
      webhook_sourced_uris =
        array_remove(s.webhook_sourced_uris, s.event_uri) || excluded.webhook_sourced_uris;
end
$$;
comment on function
  calendly.note_changes(calendly.meeting_change[], boolean, text[], timestamptz) is
  'Notes for the sync whose invitees are due now, and whose snapshot of each event is stored.';

create function calendly.delete_uncounted_invitees(changes calendly.meeting_change[])
returns void
language plpgsql set search_path = ''
as $$
declare
  meeting_ids constant bigint[] := array(
    select meeting.id
    from unnest(changes) c
    cross join lateral (
      select m.id, m.user_id from public.calendly_meetings m
      where m.calendly_event_uri = c.event_uri
      offset 0
    ) meeting
    where c.written and (c.snapshot).content #>> '{invitees_counter,total}' = '0'
      and meeting.user_id = c.user_id);
begin
  if meeting_ids <> '{}' then
    delete from public.calendly_invitees v where v.meeting_id = any (meeting_ids);
  end if;
end
$$;
comment on function calendly.delete_uncounted_invitees(calendly.meeting_change[]) is
  'Deletes the invitees of events in which, says the API, no seat was ever taken: their invitees '
  'are never fetched, so nothing else would.';

create function calendly.apply_events(
  snapshots calendly.event_snapshot[], by_webhook boolean, user_ids integer[], direct boolean,
  refetch_uris text[] default '{}'
) returns setof calendly.meeting_change
language plpgsql rows 100
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off
as $$
declare
  now_at timestamptz;
  changes calendly.meeting_change[];
begin
  perform calendly.lock_events(array(select s.uri from unnest(snapshots) s));
  now_at := calendly.now();
  changes := calendly.meeting_changes(snapshots, by_webhook, user_ids, direct);
  perform calendly.write_meetings(changes, by_webhook, now_at);
  perform calendly.note_changes(changes, by_webhook, refetch_uris, now_at);
  if not by_webhook then
    perform calendly.delete_uncounted_invitees(changes);
  end if;
  return query select c.* from unnest(changes) c;
end
$$;
comment on function
  calendly.apply_events(calendly.event_snapshot[], boolean, integer[], boolean, text[]) is
  'Writes what calendly.meeting_changes says, notes whose invitees are due, and returns the '
  'changes. An unchanged event writes nothing. refetch_uris: events whose invitees are due in any '
  'case.';
