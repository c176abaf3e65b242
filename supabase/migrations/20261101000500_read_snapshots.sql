-- Reading what Calendly sent: JSON of the API or of a webhook becomes a snapshot with typed times
-- and a problem where it cannot be used. One bad row never fails its page, so reading raises no
-- error. Here, before anything is stored, conference passwords and people who were erased are
-- removed.

create function calendly.without_conference_password(event jsonb) returns jsonb
language plpgsql immutable set search_path = ''
as $$
begin
  return case jsonb_typeof(event #> '{location,data}')
    when 'object' then event #- '{location,data,password}'
    else event
  end;
end
$$;
comment on function calendly.without_conference_password(jsonb) is
  'An event without the password of its conference, which nobody needs here and which must not '
  'leak.';

create function calendly.storable_event(event jsonb) returns jsonb
language plpgsql stable set search_path = ''
as $$
begin
  return calendly.redact_erased_event(calendly.without_conference_password(event));
end
$$;
comment on function calendly.storable_event(jsonb) is 'An event as it may be stored.';

create function calendly.with_status(sent jsonb) returns jsonb
language plpgsql immutable set search_path = ''
as $$
begin
  return case
    when jsonb_typeof(sent) <> 'object' or sent ->> 'status' is not null then sent
    when jsonb_typeof(sent -> 'cancellation') = 'object' or sent -> 'canceled' = 'true'
      then sent || '{"status": "canceled"}'
    else sent || '{"status": "active"}'
  end;
end
$$;
comment on function calendly.with_status(jsonb) is
  'An event or an invitee that came without a status, with it: canceled where it has a '
  'cancellation.';

-- Events ------------------------------------------------------------------------------------------

create type calendly.event_snapshot as (
  uri text,
  status text,
  start_time timestamptz,
  end_time timestamptz,
  created_at timestamptz,
  updated_at timestamptz,
  hosts text[],
  content jsonb,
  problem text
);
comment on type calendly.event_snapshot is
  'An event as read from the API or a webhook. updated_at: -infinity where a webhook does not tell '
  'it, so that anything with a time is newer. hosts: URIs of Calendly users. problem: why the '
  'event cannot be used; the rest may be null then.';

create function calendly.host_by_email(email text) returns text
language plpgsql stable set search_path = ''
as $$
begin
  -- none where two people have the same e-mail: it would be a guess
  return (
    select case count(*) when 1 then min(u.calendly_user_uri) end
    from public.calendly_users u
    where lower(u.email) = lower(host_by_email.email) and u.connection_id is not null);
end
$$;
comment on function calendly.host_by_email(text) is
  'The Calendly user with this e-mail at Calendly whose meetings are kept: for old webhooks, which '
  'name their hosts by e-mail only.';

create function calendly.longest_uri() returns integer
language plpgsql immutable set search_path = ''
as $$
begin
  return 500;
end
$$;
comment on function calendly.longest_uri() is
  'How long the URI of an event or a host may be: an index takes about 2,700 bytes.';

create function calendly.users_with_meeting(event_uri text) returns text[]
language plpgsql stable set search_path = ''
as $$
begin
  return array(
    select host.calendly_user_uri
    from (
      select m.user_id from public.calendly_meetings m
      where m.calendly_event_uri = users_with_meeting.event_uri
        and m.deleted_reason is distinct from 'reassigned'
      offset 0
    ) meeting
    cross join lateral (
      select u.calendly_user_uri from public.calendly_users u
      where u.id = meeting.user_id and u.connection_id is not null
      offset 0
    ) host
    order by 1);
end
$$;
comment on function calendly.users_with_meeting(text) is
  'The Calendly users who have the meeting: its hosts, where the event itself names none.';

create function calendly.event_snapshots(events jsonb, unnamed_hosts text[] default null)
returns calendly.event_snapshot[]
language plpgsql stable set search_path = ''
as $$
declare
  longest_uri constant integer := calendly.longest_uri();
  somebody_is_erased constant boolean := exists (select from calendly.erased_people);
begin
  -- `offset 0`: what is computed inside is not computed again at each mention.
  return array(
    select row(e.uri, e.status, e.start_time, e.end_time, e.created_at,
      coalesce(e.updated_at, '-infinity'), host.uris,
      case
        when somebody_is_erased then calendly.storable_event(sent.event)
        when sent.event #> '{location,data,password}' is not null
          then calendly.without_conference_password(sent.event)
        else sent.event
      end,
      case
        when jsonb_typeof(sent.event) <> 'object' then 'not an object'
        -- the function has dropped all but the URI: see json.ts
        when sent.event ? 'nested_too_deeply' then 'nested too deeply'
        when e.uri is null or e.uri !~ '^[^\s"]+/scheduled_events/[^/\s"]+$' then 'no event uri'
        when length(e.uri) > longest_uri then 'the uri is too long'
        when e.status is null
          or e.status not in ('active', 'canceled') then 'status is neither active nor canceled'
        when e.start_time is null then 'start_time is no time'
        when e.end_time is null and sent.event ->> 'end_time' is not null
          then 'end_time is no time'
        when e.end_time < e.start_time then 'ends before it starts'
        when e.created_at is null and sent.event ->> 'created_at' is not null
          then 'created_at is no time'
        when e.updated_at is null and sent.event ->> 'updated_at' is not null
          then 'updated_at is no time'
        when host.uris = '{}' then 'names no host'
      end)::calendly.event_snapshot
    from (
      select case when j.event ->> 'status' is null then calendly.with_status(j.event)
          else j.event end as event,
        jsonb_build_array(j.event -> 'start_time', j.event -> 'end_time',
          j.event -> 'created_at', j.event -> 'updated_at')::text
        ~ calendly.times_as_sent() as has_times
      from jsonb_array_elements(events) j (event)
      offset 0
    ) sent
    cross join lateral (
      select sent.event ->> 'uri', sent.event ->> 'status',
        case when sent.has_times then (sent.event ->> 'start_time')::timestamptz
          else calendly.to_time(sent.event ->> 'start_time') end,
        case when sent.has_times then (sent.event ->> 'end_time')::timestamptz
          else calendly.to_time(sent.event ->> 'end_time') end,
        case when sent.has_times then (sent.event ->> 'created_at')::timestamptz
          else calendly.to_time(sent.event ->> 'created_at') end,
        case when sent.has_times then (sent.event ->> 'updated_at')::timestamptz
          else calendly.to_time(sent.event ->> 'updated_at') end
      offset 0
    ) e (uri, status, start_time, end_time, created_at, updated_at)
    cross join lateral (
      select array(
        select distinct named.uri
        from jsonb_array_elements(case jsonb_typeof(sent.event -> 'event_memberships')
          when 'array' then sent.event -> 'event_memberships' else '[]' end) membership
        cross join lateral (
          select coalesce(
            case jsonb_typeof(membership -> 'user') when 'string' then membership ->> 'user' end,
            calendly.host_by_email(membership ->> 'user_email'))
          offset 0
        ) named (uri)
        where named.uri is not null
        order by named.uri)
      offset 0
    ) named (uris)
    cross join lateral (
      select case when named.uris = '{}'
        then coalesce(unnamed_hosts, calendly.users_with_meeting(e.uri)) else named.uris end
      offset 0
    ) host (uris));
end
$$;
comment on function calendly.event_snapshots(jsonb, text[]) is
  'Reads a JSON array of events of the API or of webhooks. unnamed_hosts: whose an event is that '
  'names no host; null: of those who have the meeting already.';

create function calendly.read_event(event jsonb, unnamed_hosts text[] default null)
returns calendly.event_snapshot
language plpgsql stable set search_path = ''
as $$
begin
  return (calendly.event_snapshots(jsonb_build_array(event), unnamed_hosts))[1];
end
$$;
comment on function calendly.read_event(jsonb, text[]) is
  'Reads one event: see calendly.event_snapshots.';

-- Invitees ----------------------------------------------------------------------------------------

create type calendly.invitee_snapshot as (
  uri text,
  event_uri text,
  status text,
  created_at timestamptz,
  updated_at timestamptz,
  no_show_at timestamptz,
  no_show_uri text,
  observed_at timestamptz,
  content jsonb,
  problem text
);
comment on type calendly.invitee_snapshot is
  'An invitee as read from the API or a webhook. updated_at: -infinity where a webhook does not '
  'tell it. observed_at: Calendly''s time as of which its no-show is true. problem: why the '
  'invitee cannot be used; the rest may be null then.';

create function calendly.event_of(invitee_uri text) returns text
language plpgsql immutable set search_path = ''
as $$
begin
  return case
    when invitee_uri ~ '^[^\s"]+/scheduled_events/[^/\s"]+/invitees/[^/\s"]+$'
      then left(invitee_uri, -length('/invitees/' || split_part(invitee_uri, '/', -1)))
  end;
end
$$;
comment on function calendly.event_of(text) is
  'The URI of the event that an invitee''s URI belongs to; null where it names none.';

create function calendly.invitee_snapshots(readings jsonb) returns calendly.invitee_snapshot[]
language plpgsql stable set search_path = ''
as $$
declare
  -- the URI goes into an index; it holds the event's and one more segment
  longest_uri constant integer := 700;
  somebody_is_erased constant boolean := exists (select from calendly.erased_people);
begin
  -- `offset 0`: what is computed inside is not computed again at each mention.
  return array(
    select row(i.uri, coalesce(i.event_uri, sent.event_uri), i.status, i.created_at,
      coalesce(i.updated_at, '-infinity'), mark.made_at, sent.invitee #>> '{no_show,uri}',
      sent.observed_at,
      case
        when jsonb_typeof(sent.invitee) <> 'object' then null
        when somebody_is_erased
          then calendly.redact_erased_invitee(sent.invitee - 'scheduled_event')
        else sent.invitee - 'scheduled_event'
      end,
      case
        when jsonb_typeof(sent.invitee) <> 'object' then 'not an object'
        when sent.invitee ? 'nested_too_deeply' then 'nested too deeply'
        when i.event_uri is null then 'no invitee uri'
        when length(i.uri) > longest_uri then 'the uri is too long'
        when i.status is null
          or i.status not in ('active', 'canceled') then 'status is neither active nor canceled'
        when i.created_at is null and sent.invitee ->> 'created_at' is not null
          then 'created_at is no time'
        when i.updated_at is null and sent.invitee ->> 'updated_at' is not null
          then 'updated_at is no time'
        when jsonb_typeof(sent.invitee -> 'no_show') = 'object'
          and mark.made_at is null then 'no_show has no time'
        when i.event_uri <> sent.event_uri then 'belongs to another event'
      end)::calendly.invitee_snapshot
    from (
      select reading.event_uri, reading.observed_at,
        case when j.invitee ->> 'status' is null then calendly.with_status(j.invitee)
          else j.invitee end as invitee,
        jsonb_build_array(
          j.invitee -> 'created_at', j.invitee -> 'updated_at',
          j.invitee #> '{no_show,created_at}')::text ~ calendly.times_as_sent() as has_times
      from (
        select r ->> 'event_uri' as event_uri, calendly.to_time(r ->> 'observed_at') as observed_at,
          coalesce(r -> 'invitees', '[]') as invitees
        from jsonb_array_elements(readings) r
        offset 0
      ) reading
      cross join lateral jsonb_array_elements(reading.invitees) j (invitee)
      offset 0
    ) sent
    cross join lateral (
      select sent.invitee ->> 'uri', calendly.event_of(sent.invitee ->> 'uri'),
        sent.invitee ->> 'status',
        case when sent.has_times then (sent.invitee ->> 'created_at')::timestamptz
          else calendly.to_time(sent.invitee ->> 'created_at') end,
        case when sent.has_times then (sent.invitee ->> 'updated_at')::timestamptz
          else calendly.to_time(sent.invitee ->> 'updated_at') end,
        case when sent.has_times then (sent.invitee #>> '{no_show,created_at}')::timestamptz
          else calendly.to_time(sent.invitee #>> '{no_show,created_at}') end
      offset 0
    ) i (uri, event_uri, status, created_at, updated_at, no_show_at)
    cross join lateral (
      -- A mark that came without its time was made after the last change of the invitee.
      select case
        when jsonb_typeof(sent.invitee -> 'no_show') = 'object'
            and sent.invitee #>> '{no_show,created_at}' is null
          then coalesce(i.updated_at, i.created_at)
        else i.no_show_at
      end
      offset 0
    ) mark (made_at));
end
$$;
comment on function calendly.invitee_snapshots(jsonb) is
  'Reads the invitees of several readings, [{event_uri, invitees, observed_at}], whether they can '
  'be used or not. A reading without event_uri may hold invitees of any event; without invitees it '
  'failed. The event embedded in a webhook''s payload is left out.';

create function calendly.read_invitee(invitee jsonb, observed_at timestamptz)
returns calendly.invitee_snapshot
language plpgsql stable set search_path = ''
as $$
begin
  return (calendly.invitee_snapshots(jsonb_build_array(jsonb_build_object(
    'invitees', jsonb_build_array(invitee),
    'observed_at', calendly.to_calendly(read_invitee.observed_at)))))[1];
end
$$;
comment on function calendly.read_invitee(jsonb, timestamptz) is
  'Reads one invitee: see calendly.invitee_snapshots.';

-- Parts of an event -------------------------------------------------------------------------------

create function calendly.is_settled(location jsonb) returns boolean
language plpgsql immutable set search_path = ''
as $$
begin
  return coalesce(location ->> 'status', '') not in ('initiated', 'processing');
end
$$;
comment on function calendly.is_settled(jsonb) is
  'False while Calendly is still making the conference.';

create function calendly.seats(event jsonb, which text) returns integer
language plpgsql immutable set search_path = ''
as $$
declare
  number constant text := '^\d{1,9}$';
  counted_total constant text := event #>> '{invitees_counter,total}';
  counted_active constant text := event #>> '{invitees_counter,active}';
begin
  if counted_total ~ number is not true then
    return null;
  elsif which = 'total' then
    return counted_total::integer;
  elsif counted_active ~ number then
    -- an active number above the total is wrong: seats are never fewer than none
    return greatest(counted_total::integer - counted_active::integer, 0);
  end if;
  return null;
end
$$;
comment on function calendly.seats(jsonb, text) is
  'Seats of an event by its counter: ''total'' ever booked, or ''canceled'' of them; null where '
  'the counter is missing.';
