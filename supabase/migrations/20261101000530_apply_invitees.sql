-- From snapshots of invitees to their rows, for each host who is kept: each invitee is merged by
-- its own time, and the mark as a no-show by another one. What invitees tell of a reschedule links
-- the old meeting and the new one. An unchanged invitee writes nothing.

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
begin
  no_show_at := stored.no_show_at;
  known_at := stored.no_show_known_at;
  unsure := false;
  if not incoming.content ? 'no_show' then
    return;
  end if;
  select chosen.no_show_at, chosen.unsure into no_show_at, unsure
    from calendly.choose_no_show(
      stored.no_show_at, stored_known_at, incoming, by_webhook) chosen;
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
language sql immutable set search_path = ''
as $$
  select case
    when content ? 'no_show' or incoming.content ? 'no_show' or stored.raw ? 'no_show'
      then content || jsonb_build_object('no_show', case
        when no_show_at is null then null
        when no_show_at = stored.no_show_at then stored.raw -> 'no_show'
        else incoming.content -> 'no_show'
      end)
    else content
  end
$$;
comment on function calendly.with_no_show(
  jsonb, timestamptz, public.calendly_invitees, calendly.invitee_snapshot) is
  'The merged invitee with the mark that calendly.merge_no_show has chosen.';

-- Deciding ----------------------------------------------------------------------------------------

create type calendly.invitee_change as (
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

create function calendly.invitee_changes(
  snapshots calendly.invitee_snapshot[], by_webhook boolean, user_ids integer[]
) returns setof calendly.invitee_change
language sql stable set search_path = ''
as $$
  -- materialized: a snapshot is merged once, not at each mention
  with merged as materialized (
    select m.user_id, i.event_uri, i.uri as invitee_uri, i.updated_at as incoming_at, i.observed_at,
      v.raw as stored_content, v.no_show_known_at as stored_known_at,
      case when v.uri is not null
        then coalesce(v.calendly_updated_at, '-infinity') end as stored_at,
      stored.by_webhook as stored_by_webhook, mark.known_at, mark.unsure,
      calendly.with_no_show(
        calendly.merge_snapshots(
          v.raw, coalesce(v.calendly_updated_at, '-infinity'), stored.by_webhook,
          i.content, i.updated_at, invitee_changes.by_webhook),
        mark.no_show_at, v, i) as content
    from unnest(snapshots) i
    join public.calendly_meetings m on m.calendly_event_uri = i.event_uri
      and (user_ids is null or m.user_id = any (user_ids))
      and m.deleted_reason is distinct from 'reassigned'  -- a former host learns nothing new
    join public.calendly_users u on u.id = m.user_id and u.connection_id is not null
    left join calendly.meeting_sync s
      on s.user_id = m.user_id and s.event_uri = m.calendly_event_uri
    left join public.calendly_invitees v on v.meeting_id = m.id and v.uri = i.uri
    cross join lateral (
      select coalesce(v.uri = any (s.webhook_sourced_uris), false)
    ) stored (by_webhook)
    cross join lateral calendly.merge_no_show(
      v, s.invitees_read_at, i, invitee_changes.by_webhook) mark
  )
  select m.user_id, m.event_uri, m.invitee_uri,
    calendly.read_invitee(m.content, m.observed_at),
    case
      when m.stored_at is null or m.incoming_at > m.stored_at then invitee_changes.by_webhook
      when m.incoming_at < m.stored_at then m.stored_by_webhook
      else m.stored_by_webhook and invitee_changes.by_webhook
    end,
    m.known_at,
    m.stored_content is distinct from m.content or m.stored_known_at is distinct from m.known_at,
    m.unsure
  from merged m
$$;
comment on function calendly.invitee_changes(calendly.invitee_snapshot[], boolean, integer[]) is
  'What snapshots of invitees make of the rows of these users (null: of every kept user).';

-- Writing -----------------------------------------------------------------------------------------

create function calendly.write_invitees(changes calendly.invitee_change[]) returns void
language plpgsql set search_path = ''
as $$
declare
  now_at constant timestamptz := calendly.now();
begin
  insert into public.calendly_invitees (
      meeting_id, user_id, uri, email, name, timezone, status, questions_and_answers, tracking,
      payment, no_show_at, no_show_uri, no_show_known_at, rescheduled, old_invitee, new_invitee,
      calendly_created_at, calendly_updated_at, created_at, updated_at, raw)
    select m.id, c.user_id, c.invitee_uri, s.content ->> 'email', s.content ->> 'name',
      s.content ->> 'timezone', s.status, nullif(s.content -> 'questions_and_answers', 'null'),
      nullif(s.content -> 'tracking', 'null'), nullif(s.content -> 'payment', 'null'),
      s.no_show_at, s.no_show_uri, c.no_show_known_at,
      coalesce(s.content -> 'rescheduled' = 'true', false),
      s.content ->> 'old_invitee', s.content ->> 'new_invitee',
      s.created_at, nullif(s.updated_at, '-infinity'), now_at, now_at, s.content
    from unnest(changes) c
    cross join lateral (select (c.snapshot).*) s
    join public.calendly_meetings m
      on m.user_id = c.user_id and m.calendly_event_uri = c.event_uri
    where c.written
    on conflict (meeting_id, uri) do update set
      email = excluded.email, name = excluded.name, timezone = excluded.timezone,
      status = excluded.status, questions_and_answers = excluded.questions_and_answers,
      tracking = excluded.tracking, payment = excluded.payment,
      no_show_at = excluded.no_show_at, no_show_uri = excluded.no_show_uri,
      no_show_known_at = excluded.no_show_known_at, rescheduled = excluded.rescheduled,
      old_invitee = excluded.old_invitee, new_invitee = excluded.new_invitee,
      calendly_created_at = excluded.calendly_created_at,
      calendly_updated_at = excluded.calendly_updated_at,
      updated_at = excluded.updated_at, raw = excluded.raw;
end
$$;
comment on function calendly.write_invitees(calendly.invitee_change[]) is
  'Writes the invitees that change.';

create function calendly.note_invitee_sources(changes calendly.invitee_change[]) returns void
language sql set search_path = ''
as $$
  update calendly.meeting_sync s
    set webhook_sourced_uris = array(
      select uri from unnest(s.webhook_sourced_uris) uri where uri <> all (source.by_api)
      union
      select uri from unnest(source.by_webhook) uri)
    from (
      select c.user_id, c.event_uri,
        coalesce(array_agg(c.invitee_uri) filter (where c.by_webhook), '{}') as by_webhook,
        coalesce(array_agg(c.invitee_uri) filter (where not c.by_webhook), '{}') as by_api
      from unnest(changes) c
      group by c.user_id, c.event_uri
    ) source
    where s.user_id = source.user_id and s.event_uri = source.event_uri
      -- only where it changes something: an unchanged invitee writes no row
      and (s.webhook_sourced_uris && source.by_api
        or not s.webhook_sourced_uris @> source.by_webhook)
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
language plpgsql set search_path = ''
as $$
declare
  changes calendly.invitee_change[];
begin
  perform calendly.lock_events(array(select s.event_uri from unnest(snapshots) s));
  changes := array(select c from calendly.invitee_changes(snapshots, by_webhook, user_ids) c);
  perform calendly.write_invitees(changes);
  perform calendly.note_invitee_sources(changes);
  -- An invitee who was erased has no e-mail: the event's details of the invitee go as well.
  perform calendly.erase_from_events(array(
    select distinct c.event_uri from unnest(changes) c
    where c.written and (c.snapshot).content -> 'email' = 'null'));
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
language sql set search_path = ''
as $$
  with affected as (
    select unnest(event_uris) as uri
    union
    -- the old meetings, which learn what replaces them
    select calendly.event_of(v.old_invitee)
    from public.calendly_meetings m
    join public.calendly_invitees v on v.meeting_id = m.id
    where m.calendly_event_uri = any (event_uris) and v.old_invitee is not null
  ),
  linked as (
    -- In an event that has had one seat, the invitee who moves takes the meeting along. In a group
    -- event only the invitee moves: see calendly_invitees.
    select m.id, count(distinct v.uri) = 1 as one_seat,
      min(v.old_invitee) as old_invitee,
      -- the new booking may be known before the old one's cancellation
      coalesce(min(v.new_invitee), min(successor.uri)) as new_invitee
    from affected a
    join public.calendly_meetings m on m.calendly_event_uri = a.uri
    join public.calendly_invitees v on v.meeting_id = m.id
    left join public.calendly_invitees successor on successor.old_invitee = v.uri
    where user_ids is null or m.user_id = any (user_ids)
    group by m.id
  )
  update public.calendly_meetings m
    set rescheduled_from = link.origin, rescheduled_to = link.successor,
      updated_at = calendly.now()
    from (
      select l.id,
        case when l.one_seat then calendly.event_of(l.old_invitee) end as origin,
        case when l.one_seat then calendly.event_of(l.new_invitee) end as successor
      from linked l
    ) link
    where m.id = link.id
      and (link.origin, link.successor) is distinct from (m.rescheduled_from, m.rescheduled_to)
    returning m.user_id, m.calendly_event_uri
$$;
comment on function calendly.link_reschedules(text[], integer[]) is
  'Links the old and the new meeting of a reschedule, whichever half is known first. Returns the '
  'meetings that it has changed.';
