-- From snapshots of invitees to their rows, for each host who is kept: each invitee is merged by
-- its own time, and the mark as a no-show by another one. What invitees tell of a reschedule links
-- the old meeting and the new one. An unchanged invitee writes nothing.
-- Look-ups are fenced as in 520_apply_events, because the plans are kept.

-- No-shows ----------------------------------------------------------------------------------------

create function calendly.choose_no_show(
  stored_at timestamptz, stored_known_at timestamptz, incoming calendly.invitee_snapshot,
  by_webhook boolean, out no_show_at timestamptz, out unsure boolean
)
language plpgsql immutable set search_path = ''
as $$
declare
  -- Calendly cuts the fraction of a delivery's second, and its clocks differ.
  too_close constant interval := interval '2 seconds';
  -- what the API shows is true as of when it was read, however old the mark is
  incoming_true_at constant timestamptz :=
    greatest(incoming.no_show_at, case when not by_webhook then incoming.observed_at end);
  distance interval;
begin
  no_show_at := greatest(stored_at, incoming.no_show_at);
  if incoming.no_show_at is null then
    if incoming.observed_at > stored_at then
      no_show_at := null;
    end if;
    distance := stored_at - incoming.observed_at;
  elsif stored_at is null then
    if stored_known_at > incoming_true_at then
      no_show_at := null;
    end if;
    distance := incoming.no_show_at - stored_known_at;
  end if;
  unsure := coalesce(distance between -too_close and too_close, false);
end
$$;
comment on function calendly.choose_no_show(
  timestamptz, timestamptz, calendly.invitee_snapshot, boolean) is
  'The later of two statements counts, that an invitee is marked as a no-show and that they are '
  'not; in doubt, the mark. stored_known_at: as of when it is known here. unsure: the two are too '
  'close together to tell which came last.';

create function calendly.merge_no_show(
  stored public.calendly_invitees, stored_read_at timestamptz,
  incoming calendly.invitee_snapshot, by_webhook boolean,
  out no_show_at timestamptz, out known_at timestamptz, out unsure boolean
)
language plpgsql immutable set search_path = ''
as $$
declare
  -- a complete read knew the no-show of everyone who was there
  stored_known_at constant timestamptz :=
    greatest(stored.no_show_known_at, case when stored.uri is not null then stored_read_at end);
  incoming_known_at constant timestamptz :=
    coalesce(incoming.no_show_at, incoming.observed_at);
  chosen record;
begin
  no_show_at := stored.no_show_at;
  known_at := stored.no_show_known_at;
  unsure := false;
  if not incoming.content ? 'no_show' then
    return;
  end if;
  chosen := calendly.choose_no_show(stored.no_show_at, stored_known_at, incoming, by_webhook);
  no_show_at := chosen.no_show_at;
  unsure := chosen.unsure;
  -- The API's time is kept once for all invitees (meeting_sync.invitees_read_at), so that a read
  -- that finds nothing new writes no row; nor does an old delivery.
  if (by_webhook or no_show_at is distinct from stored.no_show_at)
      and incoming_known_at > stored_known_at is not false then
    known_at := greatest(stored.no_show_known_at, incoming_known_at);
  end if;
end
$$;
comment on function calendly.merge_no_show(
  public.calendly_invitees, timestamptz, calendly.invitee_snapshot, boolean) is
  'Whether an invitee is marked as a no-show once a snapshot has come, and as of when that is '
  'known. Marking moves no updated_at, so the mark has a time of its own: when it was made, or as '
  'of when the invitee was seen unmarked. stored_read_at: Calendly''s time of the last complete '
  'read.';

create function calendly.with_no_show(
  content jsonb, no_show_at timestamptz, stored public.calendly_invitees,
  incoming calendly.invitee_snapshot
) returns jsonb
language plpgsql immutable set search_path = ''
as $$
begin
  return case
    when content ? 'no_show' or incoming.content ? 'no_show' or stored.raw ? 'no_show'
      then content || jsonb_build_object('no_show', case
        when no_show_at is null then null
        when no_show_at = stored.no_show_at then stored.raw -> 'no_show'
        else incoming.content -> 'no_show'
      end)
    else content
  end;
end
$$;
comment on function calendly.with_no_show(
  jsonb, timestamptz, public.calendly_invitees, calendly.invitee_snapshot) is
  'The merged invitee with the mark that calendly.merge_no_show has chosen.';

-- Deciding ----------------------------------------------------------------------------------------

create type calendly.invitee_change as (
  meeting_id bigint,
  user_id integer,
  event_uri text,
  invitee_uri text,
  snapshot calendly.invitee_snapshot,
  by_webhook boolean,
  no_show_known_at timestamptz,
  written boolean,
  unsure boolean
);
comment on type calendly.invitee_change is
  'What a snapshot of an invitee makes of its row in one user''s meeting. by_webhook: whose '
  'snapshot it is now. written: the row changes. unsure: see calendly.merge_no_show.';

create type calendly.merged_invitee as (
  snapshot calendly.invitee_snapshot,
  no_show_known_at timestamptz,
  written boolean,
  unsure boolean
);
comment on type calendly.merged_invitee is
  'An invitee as it is known once a snapshot has come. written: the row changes. unsure: see '
  'calendly.merge_no_show.';

create function calendly.merge_invitee(
  stored public.calendly_invitees, stored_read_at timestamptz, stored_by_webhook boolean,
  incoming calendly.invitee_snapshot, by_webhook boolean
) returns calendly.merged_invitee
language plpgsql stable set search_path = ''
as $$
declare
  stored_at constant timestamptz := coalesce(stored.calendly_updated_at, '-infinity');
  merged calendly.merged_invitee;
  mark record;
  content jsonb;
begin
  if not by_webhook and (stored.raw is null or stored.raw = incoming.content)
      and stored.no_show_at is not distinct from incoming.no_show_at then
    -- A read that finds nothing new, or somebody new who is not marked: nothing to merge.
    merged.snapshot := incoming;
    merged.no_show_known_at := stored.no_show_known_at;
    merged.written := stored.raw is null;
    merged.unsure := false;
    return merged;
  end if;
  mark := calendly.merge_no_show(stored, stored_read_at, incoming, by_webhook);
  merged.no_show_known_at := mark.known_at;
  merged.unsure := mark.unsure;
  content := calendly.with_no_show(
    calendly.merge_snapshots(stored.raw, stored_at, stored_by_webhook,
      incoming.content, incoming.updated_at, by_webhook),
    mark.no_show_at, stored, incoming);
  merged.snapshot := case when content = incoming.content then incoming
    else calendly.read_invitee(content, incoming.observed_at) end;
  merged.written := stored.raw is distinct from content
    or stored.no_show_known_at is distinct from merged.no_show_known_at;
  return merged;
end
$$;
comment on function calendly.merge_invitee(
  public.calendly_invitees, timestamptz, boolean, calendly.invitee_snapshot, boolean) is
  'What a snapshot makes of one invitee''s row: see calendly.merge_snapshots and '
  'calendly.merge_no_show.';

create function calendly.invitee_changes(
  snapshots calendly.invitee_snapshot[], by_webhook boolean, user_ids integer[]
) returns calendly.invitee_change[]
language plpgsql stable set search_path = ''
as $$
begin
  return array(
    select row(meeting.id, meeting.user_id, i.event_uri, i.uri, merged.snapshot,
      case
        when (stored.invitee).uri is null
          or i.updated_at > coalesce((stored.invitee).calendly_updated_at, '-infinity')
          then invitee_changes.by_webhook
        when i.updated_at < (stored.invitee).calendly_updated_at then source.is_webhook
        else source.is_webhook and invitee_changes.by_webhook
      end,
      merged.no_show_known_at, merged.written, merged.unsure)::calendly.invitee_change
    from unnest(snapshots) i
    cross join lateral (
      select m.id, m.user_id, m.deleted_reason from public.calendly_meetings m
      where m.calendly_event_uri = i.event_uri
      offset 0
    ) meeting
    cross join lateral (
      select u.connection_id from public.calendly_users u where u.id = meeting.user_id
      offset 0
    ) host
    left join lateral (
      select s.invitees_read_at, s.webhook_sourced_uris from calendly.meeting_sync s
      where s.user_id = meeting.user_id and s.event_uri = i.event_uri
      offset 0
    ) sync on true
    left join lateral (
      select v as invitee from public.calendly_invitees v
      where v.meeting_id = meeting.id and v.user_id = meeting.user_id and v.uri = i.uri
      offset 0
    ) stored on true
    cross join lateral (
      select coalesce((stored.invitee).uri = any (sync.webhook_sourced_uris), false)
    ) source (is_webhook)
    cross join lateral calendly.merge_invitee(stored.invitee, sync.invitees_read_at,
      source.is_webhook, i, invitee_changes.by_webhook) merged
    where (invitee_changes.user_ids is null or meeting.user_id = any (invitee_changes.user_ids))
      and host.connection_id is not null
      -- a former host learns nothing new
      and meeting.deleted_reason is distinct from 'reassigned');
end
$$;
comment on function calendly.invitee_changes(calendly.invitee_snapshot[], boolean, integer[]) is
  'What snapshots of invitees make of the rows of these users (null: of every kept user).';

-- Writing -----------------------------------------------------------------------------------------

create function calendly.write_invitees(changes calendly.invitee_change[], now_at timestamptz)
returns void
language plpgsql set search_path = ''
as $$
begin
  insert into public.calendly_invitees (
      meeting_id, user_id, uri, email, name, timezone, status, questions_and_answers, tracking,
      payment, no_show_at, no_show_uri, no_show_known_at, rescheduled, old_invitee, new_invitee,
      calendly_created_at, calendly_updated_at, created_at, updated_at, raw)
    select c.meeting_id, c.user_id, c.invitee_uri, s.content ->> 'email', s.content ->> 'name',
      s.content ->> 'timezone', s.status, nullif(s.content -> 'questions_and_answers', 'null'),
      nullif(s.content -> 'tracking', 'null'), nullif(s.content -> 'payment', 'null'),
      s.no_show_at, s.no_show_uri, c.no_show_known_at,
      coalesce(s.content -> 'rescheduled' = 'true', false),
      s.content ->> 'old_invitee', s.content ->> 'new_invitee',
      s.created_at, nullif(s.updated_at, '-infinity'), now_at, now_at, s.content
    from unnest(changes) c
    cross join lateral (select (c.snapshot).*) s
    where c.written
    on conflict (meeting_id, user_id, uri) do update set
      email = excluded.email, name = excluded.name, timezone = excluded.timezone,
      status = excluded.status, questions_and_answers = excluded.questions_and_answers,
      tracking = excluded.tracking, payment = excluded.payment,
      no_show_at = excluded.no_show_at, no_show_uri = excluded.no_show_uri,
      no_show_known_at = excluded.no_show_known_at, rescheduled = excluded.rescheduled,
      old_invitee = excluded.old_invitee, new_invitee = excluded.new_invitee,
      calendly_created_at = excluded.calendly_created_at,
      calendly_updated_at = excluded.calendly_updated_at,
      updated_at = excluded.updated_at, raw = excluded.raw;
  if exists (select from calendly.erased_people) then
    -- The event's details of an invitee who was erased go as well.
    perform calendly.erase_from_events(array(
      select distinct c.event_uri from unnest(changes) c
      where c.written and (c.snapshot).content -> 'erased' = 'true'));
  end if;
end
$$;
comment on function calendly.write_invitees(calendly.invitee_change[], timestamptz) is
  'Writes the invitees that change.';

create function calendly.note_invitee_sources(changes calendly.invitee_change[]) returns void
language plpgsql set search_path = ''
as $$
begin
  insert into calendly.meeting_sync as s (user_id, event_uri, webhook_sourced_uris)
    select source.user_id, source.event_uri, array(
      select uri from unnest(stored.webhook_sourced_uris) uri where uri <> all (source.by_api)
      union
      select uri from unnest(source.by_webhook) uri)
    from (
      select c.user_id, c.event_uri,
        coalesce(array_agg(c.invitee_uri) filter (where c.by_webhook), '{}') as by_webhook,
        coalesce(array_agg(c.invitee_uri) filter (where not c.by_webhook), '{}') as by_api
      from unnest(changes) c
      group by c.user_id, c.event_uri
    ) source
    cross join lateral (
      select k.webhook_sourced_uris from calendly.meeting_sync k
      where k.user_id = source.user_id and k.event_uri = source.event_uri
      offset 0
    ) stored
    -- only where it changes something: an unchanged invitee writes no row
    where stored.webhook_sourced_uris && source.by_api
      or not stored.webhook_sourced_uris @> source.by_webhook
    on conflict (user_id, event_uri) do update set
      webhook_sourced_uris = excluded.webhook_sourced_uris;
end
$$;
comment on function calendly.note_invitee_sources(calendly.invitee_change[]) is
  'Notes whose snapshot of each invitee is stored now: the API''s or a webhook''s.';

create type calendly.invitees_outcome as (
  user_id integer,
  event_uri text,
  changed boolean,
  unsure boolean
);
comment on type calendly.invitees_outcome is 'What became of the invitees of one meeting.';

create function calendly.apply_invitees(
  snapshots calendly.invitee_snapshot[], by_webhook boolean, user_ids integer[]
) returns setof calendly.invitees_outcome
language plpgsql rows 100
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off
as $$
declare
  changes calendly.invitee_change[];
begin
  perform calendly.lock_events(array(select s.event_uri from unnest(snapshots) s));
  changes := calendly.invitee_changes(snapshots, by_webhook, user_ids);
  perform calendly.write_invitees(changes, calendly.now());
  perform calendly.note_invitee_sources(changes);
  return query
    select c.user_id, c.event_uri, bool_or(c.written), bool_or(c.unsure)
    from unnest(changes) c
    group by c.user_id, c.event_uri;
end
$$;
comment on function calendly.apply_invitees(calendly.invitee_snapshot[], boolean, integer[]) is
  'Writes what calendly.invitee_changes says. Returns one outcome per meeting. An unchanged '
  'invitee writes nothing.';

-- Reschedules -------------------------------------------------------------------------------------

create function calendly.link_reschedules(event_uris text[], user_ids integer[])
returns table (user_id integer, event_uri text)
language plpgsql
set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off
as $$
declare
  ids bigint[];
  origins text[];
  successors text[];
begin
  select array_agg(meeting.id), array_agg(link.origin), array_agg(link.successor)
    into ids, origins, successors
    from (
      select unnest(event_uris)
      union
      -- the old meetings, which learn what replaces them
      select calendly.event_of(v.old_invitee)
      from unnest(event_uris) e (uri)
      cross join lateral (
        select m.id from public.calendly_meetings m where m.calendly_event_uri = e.uri offset 0
      ) meeting
      cross join lateral (
        select i.old_invitee from public.calendly_invitees i where i.meeting_id = meeting.id
        offset 0
      ) v
      where v.old_invitee is not null
    ) affected (uri)
    cross join lateral (
      select m.* from public.calendly_meetings m where m.calendly_event_uri = affected.uri offset 0
    ) meeting
    cross join lateral (
      -- In an event that has had one seat, the invitee who moves takes the meeting along. In a
      -- group event only the invitee moves: see calendly_invitees.
      select case when count(*) = 1 then calendly.event_of(min(v.old_invitee)) end as origin,
        -- the new booking may be known before the old one's cancellation
        case when count(*) = 1
          then calendly.event_of(coalesce(min(v.new_invitee), min(v.replaced_by))) end as successor,
        count(*) as seats
      from (
        select i.old_invitee, i.new_invitee, (
          select min(next.uri) from public.calendly_invitees next where next.old_invitee = i.uri
        ) as replaced_by
        from public.calendly_invitees i where i.meeting_id = meeting.id
        offset 0
      ) v
    ) link
    where (link_reschedules.user_ids is null or meeting.user_id = any (link_reschedules.user_ids))
      and link.seats > 0
      and (link.origin, link.successor)
        is distinct from (meeting.rescheduled_from, meeting.rescheduled_to);
  if ids is null then
    return;
  end if;
  return query
    update public.calendly_meetings m
      set rescheduled_from = link.origin, rescheduled_to = link.successor,
        updated_at = calendly.now()
      from unnest(ids, origins, successors) link (id, origin, successor)
      where m.id = any (ids) and m.id = link.id
      returning m.user_id, m.calendly_event_uri;
end
$$;
comment on function calendly.link_reschedules(text[], integer[]) is
  'Links the old and the new meeting of a reschedule, whichever half is known first. Returns the '
  'meetings that it has changed.';

create function calendly.may_link(event_uri text, invitee calendly.invitee_snapshot)
returns boolean
language plpgsql stable set search_path = ''
as $$
begin
  return invitee.content ->> 'old_invitee' is not null
    or invitee.content ->> 'new_invitee' is not null
    -- the booking that replaces this one may be known first
    or exists (select from public.calendly_invitees v where v.old_invitee = invitee.uri)
    -- with a second invitee a meeting is a group event, which loses its links
    or exists (
      select from public.calendly_meetings m
      where m.calendly_event_uri = may_link.event_uri
        and coalesce(m.rescheduled_from, m.rescheduled_to) is not null);
end
$$;
comment on function calendly.may_link(text, calendly.invitee_snapshot) is
  'May this invitee, just written, change what calendly.link_reschedules has found of the event? '
  'Of most deliveries it may not.';
