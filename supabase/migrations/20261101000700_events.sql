-- How two copies of one event or invitee become one, whichever came first and by whichever way.
-- Time decides, then content: see calendly.merge_copy.

-- Reading what Calendly sent -------------------------------------------------------------------------

create type calendly.event_copy as (
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
comment on type calendly.event_copy is 'An event as read from the API or a webhook. problem: why it cannot be used; the rest may be null then.';

create function calendly.host_by_email(email text) returns text
language sql stable set search_path = ''
as $$
  select h.calendly_user_uri
  from auth.users a
  join public.users u on u.auth_user_id = a.id
  join calendly.hosts h on h.user_id = u.id
  where a.email = lower(host_by_email.email) and a.email_confirmed_at is not null
$$;
revoke all on function calendly.host_by_email(text) from public, anon, authenticated, service_role;
comment on function calendly.host_by_email(text) is 'The Calendly user of the connected account with this confirmed e-mail: for old webhooks that name their hosts by e-mail only.';

create function calendly.read_event(event jsonb) returns calendly.event_copy
language plpgsql stable set search_path = ''
as $$
declare
  copy calendly.event_copy;
begin
  if jsonb_typeof(event) is distinct from 'object' then
    copy.problem := 'not an object';
    return copy;
  end if;
  copy.uri := event ->> 'uri';
  copy.status := event ->> 'status';
  copy.start_time := calendly.to_time(event ->> 'start_time');
  copy.end_time := calendly.to_time(event ->> 'end_time');
  copy.created_at := calendly.to_time(event ->> 'created_at');
  copy.updated_at := calendly.to_time(event ->> 'updated_at');
  copy.hosts := array(
    select distinct coalesce(membership ->> 'user', calendly.host_by_email(membership ->> 'user_email'))
    from jsonb_array_elements(case when jsonb_typeof(event -> 'event_memberships') = 'array' then event -> 'event_memberships' else '[]' end) membership
    where coalesce(membership ->> 'user', calendly.host_by_email(membership ->> 'user_email')) is not null);
  copy.content := calendly.without_forgotten_person(
    case when jsonb_typeof(event #> '{location,data}') = 'object' then event #- '{location,data,password}' else event end);
  copy.problem := case
    when event ? 'nested_too_deeply' then 'nested too deeply'  -- all that is left of it: see json.ts
    when copy.uri is null or copy.uri !~ '^[^\s"]+/scheduled_events/[^/\s"]+$' then 'no event uri'
    when length(copy.uri) > 500 then 'the uri is too long'  -- for an index
    when copy.status is null or copy.status not in ('active', 'canceled') then 'status is neither active nor canceled'
    when copy.start_time is null then 'start_time is no time'
    when copy.end_time is null then 'end_time is no time'
    when copy.end_time < copy.start_time then 'ends before it starts'
    when copy.created_at is null and event ? 'created_at' then 'created_at is no time'
    when copy.updated_at is null and event ? 'updated_at' then 'updated_at is no time'
    when copy.hosts = '{}' then 'names no host'
  end;
  -- a sparse webhook's copy without a clock: anything that has one is newer
  copy.updated_at := coalesce(copy.updated_at, '-infinity');
  return copy;
end
$$;
revoke all on function calendly.read_event(jsonb) from public, anon, authenticated, service_role;
comment on function calendly.read_event(jsonb) is 'Reads one event of the API or a webhook, and drops the conference password.';

create type calendly.invitee_copy as (
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
comment on type calendly.invitee_copy is 'An invitee as read from the API or a webhook. observed_at: Calendly''s time as of which its no-show was true. problem: why it cannot be used; the rest may be null then.';

create function calendly.read_invitee(invitee jsonb, observed_at timestamptz) returns calendly.invitee_copy
language plpgsql stable set search_path = ''
as $$
declare
  copy calendly.invitee_copy;
begin
  if jsonb_typeof(invitee) is distinct from 'object' then
    copy.problem := 'not an object';
    return copy;
  end if;
  copy.uri := invitee ->> 'uri';
  copy.event_uri := calendly.event_of(copy.uri);
  copy.status := invitee ->> 'status';
  copy.created_at := calendly.to_time(invitee ->> 'created_at');
  copy.updated_at := calendly.to_time(invitee ->> 'updated_at');
  copy.no_show_at := calendly.to_time(invitee #>> '{no_show,created_at}');
  copy.no_show_uri := invitee #>> '{no_show,uri}';
  copy.observed_at := read_invitee.observed_at;
  copy.content := calendly.without_forgotten_invitee(invitee - 'scheduled_event');
  copy.problem := case
    when invitee ? 'nested_too_deeply' then 'nested too deeply'
    when copy.uri is null or copy.event_uri is null then 'no invitee uri'
    when length(copy.uri) > 700 then 'the uri is too long'
    when copy.status is null or copy.status not in ('active', 'canceled') then 'status is neither active nor canceled'
    when copy.created_at is null and invitee ? 'created_at' then 'created_at is no time'
    when copy.updated_at is null and invitee ? 'updated_at' then 'updated_at is no time'
    when jsonb_typeof(invitee -> 'no_show') = 'object' and copy.no_show_at is null then 'no_show has no time'
  end;
  copy.updated_at := coalesce(copy.updated_at, '-infinity');
  return copy;
end
$$;
revoke all on function calendly.read_invitee(jsonb, timestamptz) from public, anon, authenticated, service_role;
comment on function calendly.read_invitee(jsonb, timestamptz) is 'Reads one invitee of the API or a webhook''s payload, without the event embedded in it.';

create function calendly.event_of(invitee_uri text) returns text
language sql immutable set search_path = ''
as $$
  select substring(invitee_uri from '^([^\s"]+/scheduled_events/[^/\s"]+)/invitees/[^/\s"]+$')
$$;
revoke all on function calendly.event_of(text) from public, anon, authenticated, service_role;
comment on function calendly.event_of(text) is 'The URI of the event that an invitee''s URI belongs to; null where it names none.';

create function calendly.is_settled(location jsonb) returns boolean
language sql immutable set search_path = ''
as $$
  select coalesce(location ->> 'status', '') not in ('initiated', 'processing')
$$;
revoke all on function calendly.is_settled(jsonb) from public, anon, authenticated, service_role;
comment on function calendly.is_settled(jsonb) is 'False while Calendly is still making the conference.';

-- The rule -----------------------------------------------------------------------------------------

create function calendly.merge_copy(
  stored jsonb, stored_at timestamptz, stored_by_webhook boolean,
  incoming jsonb, incoming_at timestamptz, incoming_by_webhook boolean
) returns jsonb
language plpgsql immutable set search_path = ''
as $$
declare
  merged jsonb;
  canceled constant jsonb := case when stored ->> 'status' = 'canceled' then stored when incoming ->> 'status' = 'canceled' then incoming end;
  total integer;
  canceled_seats integer;
begin
  if stored is null or stored = incoming then
    return incoming;
  end if;

  merged := case
    when incoming_at > stored_at then incoming
    when incoming_at < stored_at then stored
    -- the API is read in order, so its later copy knows more
    when not stored_by_webhook and not incoming_by_webhook then incoming
    -- the API's copy beats a webhook's, which lacks some keys; a present key beats an absent one
    when not incoming_by_webhook then stored || incoming
    when not stored_by_webhook then incoming || stored
    -- of two webhooks neither is better: the greater value, so that their order does not matter
    else (
      select jsonb_object_agg(key, value)
      from (
        select distinct on (key) key, value
        from (select * from jsonb_each(stored) union all select * from jsonb_each(incoming)) as both_copies
        order by key, value <> 'null' desc, value::text collate "C" desc
      ) as greatest_values)
  end;

  if incoming_at = stored_at and (stored_by_webhook or incoming_by_webhook) then
    if jsonb_typeof(stored -> 'invitees_counter') = 'object' and jsonb_typeof(incoming -> 'invitees_counter') = 'object' then
      total := greatest(calendly.seats(stored, 'total'), calendly.seats(incoming, 'total'));
      canceled_seats := greatest(calendly.seats(stored, 'canceled'), calendly.seats(incoming, 'canceled'));
      merged := jsonb_set(merged, '{invitees_counter}',
        (merged -> 'invitees_counter') || jsonb_build_object('total', total, 'active', total - canceled_seats));
    end if;
    if not calendly.is_settled(merged -> 'location') then
      merged := jsonb_set(merged, '{location}', case
        when calendly.is_settled(stored -> 'location') and stored ->> 'location' is not null then stored -> 'location'
        when calendly.is_settled(incoming -> 'location') and incoming ->> 'location' is not null then incoming -> 'location'
        else merged -> 'location'
      end);
    end if;
  end if;

  -- canceled is final
  if canceled is not null and merged ->> 'status' is distinct from 'canceled' then
    merged := merged || jsonb_build_object('status', 'canceled')
      || case when canceled ? 'cancellation' then jsonb_build_object('cancellation', canceled -> 'cancellation') else '{}'::jsonb end;
  end if;
  return merged;
end
$$;
revoke all on function calendly.merge_copy(jsonb, timestamptz, boolean, jsonb, timestamptz, boolean) from public, anon, authenticated, service_role;
comment on function calendly.merge_copy(jsonb, timestamptz, boolean, jsonb, timestamptz, boolean) is
  'One copy out of two of the same event or invitee. The newer updated_at wins and canceled is final. At equal time any order gives the same: the greater total and the greater canceled count win, a settled conference beats one in the making, the API''s copy beats a webhook''s, a present key beats an absent one.';

create function calendly.seats(event jsonb, which text) returns integer
language sql immutable set search_path = ''
as $$
  select case which
    when 'total' then counted.total
    when 'canceled' then case when counted.active > counted.total then 0 else counted.total - counted.active end
  end
  from (select
    case when event #>> '{invitees_counter,total}' ~ '^\d{1,9}$' then (event #>> '{invitees_counter,total}')::integer end as total,
    case when event #>> '{invitees_counter,active}' ~ '^\d{1,9}$' then (event #>> '{invitees_counter,active}')::integer end as active
  ) as counted
$$;
revoke all on function calendly.seats(jsonb, text) from public, anon, authenticated, service_role;
comment on function calendly.seats(jsonb, text) is 'Seats of an event by its counter: ''total'' ever booked, or ''canceled'' of them; null where the counter is missing.';

-- Events to meetings ---------------------------------------------------------------------------------

create type calendly.meeting_change as (
  user_id integer,
  event_uri text,
  class text,
  copy calendly.event_copy,
  by_webhook boolean,
  is_deleted boolean,
  deleted_reason text,
  written boolean,
  reread boolean
);
comment on type calendly.meeting_change is 'What one copy of an event makes of one user''s meeting. written: the row changes; reread: its invitees may have changed too.';

create function calendly.lock_events(event_uris text[]) returns void
language plpgsql set search_path = ''
as $$
begin
  -- Sorted, so that two transactions with events in common never wait for each other in a circle. An
  -- advisory lock rather than row locks, because the row may not exist yet; and in a statement of its
  -- own, so that what follows sees what the holder before us committed.
  perform pg_advisory_xact_lock(sorted.key)
    from (select distinct hashtextextended(uri, 0) as key from unnest(event_uris) uri order by 1) as sorted;
end
$$;
revoke all on function calendly.lock_events(text[]) from public, anon, authenticated, service_role;
comment on function calendly.lock_events(text[]) is 'Holds these events until the end of the transaction: taken before any meeting or invitee is read for writing.';

create function calendly.meeting_changes(
  copies calendly.event_copy[], by_webhook boolean, scope integer[], by_itself boolean
) returns setof calendly.meeting_change
language sql stable set search_path = ''
as $$
  with candidate as (
    -- the hosts by this copy, and whoever has a row already
    select i.uri, h.user_id, h.calendly_user_uri
    from unnest(copies) i
    join calendly.hosts h on h.calendly_user_uri = any (i.hosts)
    where scope is null or h.user_id = any (scope)
    union
    select m.calendly_event_uri, h.user_id, h.calendly_user_uri
    from public.meetings m
    join calendly.hosts h on h.user_id = m.user_id
    where m.calendly_event_uri = any (array(select i.uri from unnest(copies) i)) and (scope is null or m.user_id = any (scope))
  ),
  -- materialized: a copy is merged and read once, not at each mention
  merged as materialized (
    select c.user_id, c.calendly_user_uri, i as incoming, own, newest.raw as known, newest.updated_at as known_at,
      coalesce(c.uri = any (s.webhook_copies), false) as known_by_webhook,
      calendly.read_event(calendly.merge_copy(
        newest.raw, newest.updated_at, coalesce(c.uri = any (s.webhook_copies), false),
        i.content, i.updated_at, meeting_changes.by_webhook)) as copy
    from candidate c
    join unnest(copies) i on i.uri = c.uri
    left join public.meetings own on own.user_id = c.user_id and own.calendly_event_uri = c.uri
    -- The clock is the event's: a former host's row and another host's row know it as well as one's own.
    left join lateral (
      select m.user_id, m.raw, coalesce(m.calendly_updated_at, '-infinity') as updated_at
      from public.meetings m
      where m.calendly_event_uri = c.uri and m.raw is not null
      order by m.calendly_updated_at desc nulls last, (m.user_id = c.user_id) desc, m.user_id
      limit 1
    ) newest on true
    left join calendly.meeting_sync s on s.user_id = newest.user_id and s.event_uri = c.uri
  ),
  judged as (
    select m.*,
      (m.copy).status = 'canceled' as canceled,
      m.calendly_user_uri = any ((m.copy).hosts) as hosting,
      -- what is gone comes back only by the API, or by news: a late old delivery proves nothing
      (m.own).is_deleted and (m.own).deleted_reason in ('gone', 'reassigned')
        and meeting_changes.by_webhook and (m.incoming).updated_at <= coalesce((m.own).calendly_updated_at, '-infinity') as stays_deleted
    from merged m
  ),
  decided as (
    select j.*,
      case when j.stays_deleted or j.canceled then true else not j.hosting end as is_deleted,
      case when j.stays_deleted then (j.own).deleted_reason when j.canceled then 'canceled' when not j.hosting then 'reassigned' end as deleted_reason,
      (j.own).raw is distinct from (j.copy).content as content_differs,
      (j.own).raw - 'updated_at' is distinct from (j.copy).content - 'updated_at' as changed
    from judged j
    -- A row is made for a host, and taken from a former one where the event itself was asked for.
    where j.hosting or ((j.own).calendly_event_uri is not null and by_itself)
  )
  select d.user_id, (d.copy).uri,
    case
      when (d.own).calendly_event_uri is null then 'created'
      when d.is_deleted and not (d.own).is_deleted then 'deleted'
      when not d.is_deleted and (d.own).is_deleted then 'restored'
      when d.changed or (d.own).deleted_reason is distinct from d.deleted_reason then 'updated'
      else 'unchanged'
    end,
    d.copy,
    -- whose copy it is now
    case
      when d.known_at is null or (d.incoming).updated_at > d.known_at then meeting_changes.by_webhook
      when (d.incoming).updated_at < d.known_at then d.known_by_webhook
      -- the API's with a webhook's news in it: an API copy from before must not take them out again
      else meeting_changes.by_webhook and (d.known_by_webhook or d.known <> (d.copy).content)
    end,
    d.is_deleted, d.deleted_reason,
    d.content_differs or (d.own).is_deleted is distinct from d.is_deleted or (d.own).deleted_reason is distinct from d.deleted_reason,
    -- the API adds keys to a webhook's copy: that is no news of the invitees
    (d.own).raw is null or (d.own).calendly_updated_at is distinct from nullif((d.copy).updated_at, '-infinity')
      or (d.content_differs and not d.known_by_webhook)
  from decided d
$$;
revoke all on function calendly.meeting_changes(calendly.event_copy[], boolean, integer[], boolean) from public, anon, authenticated, service_role;
comment on function calendly.meeting_changes(calendly.event_copy[], boolean, integer[], boolean) is
  'What copies of events make of the meetings of the users in scope (null: of every host who is a user). by_itself: the event was asked for or delivered by itself, so a missing host is proven.';

create function calendly.apply_events(
  copies calendly.event_copy[], by_webhook boolean, scope integer[], by_itself boolean, reread text[] default '{}'
) returns setof calendly.meeting_change
language plpgsql set search_path = ''
as $$
declare
  at constant timestamptz := calendly.now();
  changes calendly.meeting_change[];
begin
  perform calendly.lock_events(array(select i.uri from unnest(copies) i));
  changes := array(select c from calendly.meeting_changes(copies, by_webhook, scope, by_itself) c);

  insert into public.meetings as m (user_id, calendly_event_uri, name, status, start_time, end_time, event_type_uri, location_type,
      join_url, cancellation, is_deleted, deleted_at, deleted_reason, synced_via_webhook,
      calendly_created_at, calendly_updated_at, created_at, updated_at, raw)
    select c.user_id, c.event_uri, content ->> 'name', (c.copy).status, (c.copy).start_time, (c.copy).end_time,
      content ->> 'event_type', content #>> '{location,type}', content #>> '{location,join_url}',
      case when (c.copy).status = 'canceled' then nullif(content -> 'cancellation', 'null') end,
      c.is_deleted,
      case c.deleted_reason
        when 'canceled' then coalesce(calendly.to_time(content #>> '{cancellation,created_at}'), nullif((c.copy).updated_at, '-infinity'), at)
        when 'reassigned' then coalesce(nullif((c.copy).updated_at, '-infinity'), at)
        when 'gone' then at
      end,
      c.deleted_reason, apply_events.by_webhook, (c.copy).created_at, nullif((c.copy).updated_at, '-infinity'), at, at, content
    from unnest(changes) c, lateral (select (c.copy).content) as of_copy (content)
    where c.written
    on conflict (user_id, calendly_event_uri) do update set
      name = excluded.name, status = excluded.status, start_time = excluded.start_time, end_time = excluded.end_time,
      event_type_uri = excluded.event_type_uri, location_type = excluded.location_type, join_url = excluded.join_url,
      cancellation = excluded.cancellation, is_deleted = excluded.is_deleted, deleted_reason = excluded.deleted_reason,
      deleted_at = case when m.deleted_reason = excluded.deleted_reason then m.deleted_at else excluded.deleted_at end,
      synced_via_webhook = m.synced_via_webhook or excluded.synced_via_webhook,
      calendly_created_at = excluded.calendly_created_at, calendly_updated_at = excluded.calendly_updated_at,
      updated_at = excluded.updated_at, raw = excluded.raw;

  -- The invitees are due where they may have changed, unless there are none.
  insert into calendly.meeting_sync as s (user_id, event_uri, invitees_due_at, webhook_copies)
    select c.user_id, c.event_uri, due.at, case when c.by_webhook then array[c.event_uri] else '{}' end
    from unnest(changes) c
    left join calendly.meeting_sync known on known.user_id = c.user_id and known.event_uri = c.event_uri
    cross join lateral (
      select case
        when calendly.seats((c.copy).content, 'total') = 0 then null
        -- a webhook brings its own: see calendly.apply_delivery
        when apply_events.by_webhook then known.invitees_due_at
        when c.event_uri = any (apply_events.reread) or c.reread or (c.written and not calendly.has_all_invitees(c.user_id, c.event_uri, (c.copy).content)) then at
        else known.invitees_due_at
      end as at
    ) as due
    where known.event_uri is null
      or known.invitees_due_at is distinct from due.at
      or (c.event_uri = any (known.webhook_copies)) <> c.by_webhook
    on conflict (user_id, event_uri) do update set
      invitees_due_at = excluded.invitees_due_at,
      webhook_copies = array_remove(s.webhook_copies, s.event_uri) || excluded.webhook_copies;

  -- No seat was ever taken, says the API: nothing to ask for, and nobody to keep.
  delete from public.meeting_invitees v
    using public.meetings m, unnest(changes) c
    where not apply_events.by_webhook and c.written and calendly.seats((c.copy).content, 'total') = 0
      and m.user_id = c.user_id and m.calendly_event_uri = c.event_uri and v.meeting_id = m.id;

  return query select c.* from unnest(changes) c;
end
$$;
revoke all on function calendly.apply_events(calendly.event_copy[], boolean, integer[], boolean, text[]) from public, anon, authenticated, service_role;
comment on function calendly.apply_events(calendly.event_copy[], boolean, integer[], boolean, text[]) is
  'Writes what calendly.meeting_changes says, notes whose invitees are due, and returns the changes. An unchanged event writes nothing. reread: URIs of events whose invitees are due in any case.';

create function calendly.has_all_invitees(user_id integer, event_uri text, content jsonb) returns boolean
language sql stable set search_path = ''
as $$
  select exists (
    select
    from (select calendly.seats(content, 'total') as total, calendly.seats(content, 'canceled') as canceled) counter
    cross join lateral (
      select count(v.uri) as total, count(v.uri) filter (where v.status = 'canceled') as canceled
      from public.meetings m
      join public.meeting_invitees v on v.meeting_id = m.id
      where m.user_id = has_all_invitees.user_id and m.calendly_event_uri = has_all_invitees.event_uri
    ) stored
    left join calendly.meeting_sync s on s.user_id = has_all_invitees.user_id and s.event_uri = has_all_invitees.event_uri
    where (counter.total = stored.total and counter.canceled = stored.canceled)
      or (counter.total = s.invitees_total and counter.canceled = s.invitees_canceled))
$$;
revoke all on function calendly.has_all_invitees(integer, text, jsonb) from public, anon, authenticated, service_role;
comment on function calendly.has_all_invitees(integer, text, jsonb) is
  'Does the event''s counter agree with the invitees stored, or with what it was at the last complete read?';
