-- Reading what Calendly sent: JSON of the API or of a webhook becomes a snapshot with typed times
-- and a problem where it cannot be used. One bad row never fails its page, so reading raises no
-- error. Here, before anything is stored, conference passwords and people who were erased are
-- removed.

create function calendly.without_conference_password(event jsonb) returns jsonb
language sql immutable set search_path = ''
as $$
  select case jsonb_typeof(event #> '{location,data}')
    when 'object' then event #- '{location,data,password}'
    else event
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
language sql stable set search_path = ''
as $$
  -- none where two people have the same e-mail: it would be a guess
  select case count(*) when 1 then min(u.calendly_user_uri) end
  from public.calendly_users u
  where lower(u.email) = lower(host_by_email.email) and u.connection_id is not null
$$;
comment on function calendly.host_by_email(text) is
  'The Calendly user with this e-mail at Calendly whose meetings are kept: for old webhooks, which '
  'name their hosts by e-mail only.';

create function calendly.event_hosts(event jsonb) returns text[]
language sql stable set search_path = ''
as $$
  select coalesce(array_agg(distinct host.uri order by host.uri), '{}')
  from jsonb_array_elements(case jsonb_typeof(event -> 'event_memberships')
    when 'array' then event -> 'event_memberships' else '[]' end) membership
  cross join lateral (
    select coalesce(membership ->> 'user', calendly.host_by_email(membership ->> 'user_email'))
  ) host (uri)
  where host.uri is not null
$$;
comment on function calendly.event_hosts(jsonb) is
  'The Calendly users who host an event, co-hosts included.';

create function calendly.event_problem(event jsonb, snapshot calendly.event_snapshot) returns text
language plpgsql immutable set search_path = ''
as $$
declare
  -- the URI goes into an index, which takes about 2,700 bytes
  longest_uri constant integer := 500;
begin
  return case
    -- the function has dropped all but the URI: see json.ts
    when event ? 'nested_too_deeply' then 'nested too deeply'
    when snapshot.uri is null
      or snapshot.uri !~ '^[^\s"]+/scheduled_events/[^/\s"]+$' then 'no event uri'
    when length(snapshot.uri) > longest_uri then 'the uri is too long'
    when snapshot.status is null
      or snapshot.status not in ('active', 'canceled') then 'status is neither active nor canceled'
    when snapshot.start_time is null then 'start_time is no time'
    when snapshot.end_time is null then 'end_time is no time'
    when snapshot.end_time < snapshot.start_time then 'ends before it starts'
    when snapshot.created_at is null and event ? 'created_at' then 'created_at is no time'
    when snapshot.updated_at is null and event ? 'updated_at' then 'updated_at is no time'
    when snapshot.hosts = '{}' then 'names no host'
  end;
end
$$;
comment on function calendly.event_problem(jsonb, calendly.event_snapshot) is
  'Why an event cannot be used; null: it can.';

create function calendly.read_event(event jsonb) returns calendly.event_snapshot
language plpgsql stable set search_path = ''
as $$
declare
  snapshot calendly.event_snapshot;
begin
  if jsonb_typeof(event) is distinct from 'object' then
    snapshot.problem := 'not an object';
    return snapshot;
  end if;
  snapshot.uri := event ->> 'uri';
  snapshot.status := event ->> 'status';
  snapshot.start_time := calendly.to_time(event ->> 'start_time');
  snapshot.end_time := calendly.to_time(event ->> 'end_time');
  snapshot.created_at := calendly.to_time(event ->> 'created_at');
  snapshot.updated_at := calendly.to_time(event ->> 'updated_at');
  snapshot.hosts := calendly.event_hosts(event);
  snapshot.content := calendly.storable_event(event);
  snapshot.problem := calendly.event_problem(event, snapshot);
  snapshot.updated_at := coalesce(snapshot.updated_at, '-infinity');
  return snapshot;
end
$$;
comment on function calendly.read_event(jsonb) is 'Reads one event of the API or of a webhook.';

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
language sql immutable set search_path = ''
as $$
  select substring(invitee_uri from '^([^\s"]+/scheduled_events/[^/\s"]+)/invitees/[^/\s"]+$')
$$;
comment on function calendly.event_of(text) is
  'The URI of the event that an invitee''s URI belongs to; null where it names none.';

create function calendly.invitee_problem(invitee jsonb, snapshot calendly.invitee_snapshot)
returns text
language plpgsql immutable set search_path = ''
as $$
declare
  -- the URI goes into an index; it holds the event's and one more segment
  longest_uri constant integer := 700;
begin
  return case
    when invitee ? 'nested_too_deeply' then 'nested too deeply'
    when snapshot.uri is null or snapshot.event_uri is null then 'no invitee uri'
    when length(snapshot.uri) > longest_uri then 'the uri is too long'
    when snapshot.status is null
      or snapshot.status not in ('active', 'canceled') then 'status is neither active nor canceled'
    when snapshot.created_at is null and invitee ? 'created_at' then 'created_at is no time'
    when snapshot.updated_at is null and invitee ? 'updated_at' then 'updated_at is no time'
    when jsonb_typeof(invitee -> 'no_show') = 'object'
      and snapshot.no_show_at is null then 'no_show has no time'
  end;
end
$$;
comment on function calendly.invitee_problem(jsonb, calendly.invitee_snapshot) is
  'Why an invitee cannot be used; null: it can.';

create function calendly.read_invitee(invitee jsonb, observed_at timestamptz)
returns calendly.invitee_snapshot
language plpgsql stable set search_path = ''
as $$
declare
  snapshot calendly.invitee_snapshot;
begin
  if jsonb_typeof(invitee) is distinct from 'object' then
    snapshot.problem := 'not an object';
    return snapshot;
  end if;
  snapshot.uri := invitee ->> 'uri';
  snapshot.event_uri := calendly.event_of(snapshot.uri);
  snapshot.status := invitee ->> 'status';
  snapshot.created_at := calendly.to_time(invitee ->> 'created_at');
  snapshot.updated_at := calendly.to_time(invitee ->> 'updated_at');
  snapshot.no_show_at := calendly.to_time(invitee #>> '{no_show,created_at}');
  snapshot.no_show_uri := invitee #>> '{no_show,uri}';
  snapshot.observed_at := read_invitee.observed_at;
  snapshot.content := calendly.redact_erased_invitee(invitee - 'scheduled_event');
  snapshot.problem := calendly.invitee_problem(invitee, snapshot);
  snapshot.updated_at := coalesce(snapshot.updated_at, '-infinity');
  return snapshot;
end
$$;
comment on function calendly.read_invitee(jsonb, timestamptz) is
  'Reads one invitee of the API or of a webhook''s payload, without the event embedded in it.';

-- Parts of an event -------------------------------------------------------------------------------

create function calendly.is_settled(location jsonb) returns boolean
language sql immutable set search_path = ''
as $$
  select coalesce(location ->> 'status', '') not in ('initiated', 'processing')
$$;
comment on function calendly.is_settled(jsonb) is
  'False while Calendly is still making the conference.';

create function calendly.seats(event jsonb, which text) returns integer
language sql immutable set search_path = ''
as $$
  select case which
    when 'total' then counter.total
    -- an active number above the total is wrong: seats are never fewer than none
    when 'canceled' then case
      when counter.active > counter.total then 0 else counter.total - counter.active end
  end
  from (
    select
      case when total.value ~ '^\d{1,9}$' then total.value::integer end,
      case when active.value ~ '^\d{1,9}$' then active.value::integer end
    from (select event #>> '{invitees_counter,total}') total (value),
      (select event #>> '{invitees_counter,active}') active (value)
  ) counter (total, active)
$$;
comment on function calendly.seats(jsonb, text) is
  'Seats of an event by its counter: ''total'' ever booked, or ''canceled'' of them; null where '
  'the counter is missing.';
