-- A delivery that cannot be applied yet is deferred: it keeps its payload and makes its connection
-- due. The next sync asks for the event that the delivery is about, and that answer settles the
-- delivery. After the last try it is dead, which is an alert.

create function calendly.delivered_event_uri(body jsonb) returns text
language sql immutable set search_path = ''
as $$
  select coalesce(
    body #>> '{payload,scheduled_event,uri}',
    body #>> '{payload,event}',
    calendly.event_of(body #>> '{payload,uri}'))
$$;
comment on function calendly.delivered_event_uri(jsonb) is
  'The URI of the event that a delivery is about, by its payload; null where it names none.';

create function calendly.waiting_events(user_ids integer[]) returns table (event_uri text)
language sql stable set search_path = ''
as $$
  select s.event_uri
  from calendly.meeting_sync s
  where s.user_id = any (user_ids) and s.event_due_at <= (select calendly.now())
  union
  select named.event_uri
  from public.calendly_webhook_events e
  cross join lateral calendly.delivered_event_uri(e.payload) named (event_uri)
  where e.status = 'deferred' and (e.user_id = any (user_ids) or e.user_id is null)
    and named.event_uri is not null
$$;
comment on function calendly.waiting_events(integer[]) is
  'Events that a delivery or a listing told too little about: the next sync of these users fetches '
  'them directly.';

create function calendly.settle_deferred(user_ids integer[], read_uris text[]) returns void
language plpgsql set search_path = ''
as $$
declare
  max_attempts constant integer := 5;
  hint constant jsonb := jsonb_build_object(
    'hint', 'calendly_replay_webhook_event(id) tries again.');
begin
  update public.calendly_webhook_events e
    set status = settled.status,
      attempts = e.attempts + 1,
      processed_at = case when settled.status = 'processed' then calendly.now() end,
      error = case when settled.status <> 'processed' then coalesce(e.error, '{}') || hint end,
      -- the host's now, no longer the subscriber's
      user_id = coalesce(settled.user_id, e.user_id)
    from (
      select w.id, stored.user_id,
        case
          when stored.user_id is not null then 'processed'
          when w.attempts >= max_attempts or named.event_uri is null then 'dead'
          else 'deferred'
        end as status
      from public.calendly_webhook_events w
      cross join lateral calendly.delivered_event_uri(w.payload) named (event_uri)
      left join lateral (
        select m.user_id
        from public.calendly_meetings m
        where m.calendly_event_uri = named.event_uri and m.user_id = any (user_ids)
        order by m.user_id is distinct from w.user_id, m.user_id
        limit 1
      ) stored on true
      where w.status = 'deferred' and (w.user_id = any (user_ids) or w.user_id is null)
        and (named.event_uri is null or named.event_uri = any (read_uris))
      -- A replay locks its delivery before it waits for the event, which we hold. Waiting for the
      -- delivery would be a deadlock: it is left to the replay.
      for update of w skip locked
    ) settled
    where e.id = settled.id;
end
$$;
comment on function calendly.settle_deferred(integer[], text[]) is
  'Settles the deferred deliveries about events that Calendly has just answered for: processed '
  'where one of these users has the meeting now, dead after the fifth try or where no event is '
  'named.';

create view calendly.abandoned_deliveries with (security_invoker = true) as
  select e.id, heir.user_id as heir_id
  from public.calendly_webhook_events e
  left join lateral (
    select m.user_id
    from public.calendly_meetings m
    join public.calendly_users u on u.id = m.user_id and u.connection_id is not null
    where m.calendly_event_uri = calendly.delivered_event_uri(e.payload)
    order by m.user_id
    limit 1
  ) heir on true
  where e.status = 'deferred' and case
    when e.user_id is null then not exists (
      select from public.calendly_connections c where c.state <> 'disconnected')
    else not exists (
      select from public.calendly_users u
      where u.id = e.user_id and u.connection_id is not null)
  end;
comment on view calendly.abandoned_deliveries is
  'Deferred deliveries that no sync will settle, because the connection of their user has ended. '
  'heir_id: another user who has the meeting, and is synced.';

create function calendly.settle_abandoned() returns integer
language plpgsql set search_path = ''
as $$
declare
  settled integer;
begin
  perform calendly.lock_against_erasure();
  update public.calendly_webhook_events e
    set user_id = coalesce(a.heir_id, e.user_id),
      status = case when a.heir_id is null then 'ignored' else e.status end,
      payload = case when a.heir_id is not null then e.payload end,
      processed_at = case when a.heir_id is null then calendly.now() end,
      error = case when a.heir_id is not null then e.error
        else jsonb_build_object('code', 'not_connected', 'message',
          'No connection brings this user''s meetings any more. A sync brings them when one does.')
      end
    from (
      select d.id, d.heir_id
      from calendly.abandoned_deliveries d
      join public.calendly_webhook_events k on k.id = d.id
      where k.status = 'deferred'  -- a replay may have settled it since the view was read
      for update of k skip locked  -- a replay that works on it
    ) a
    where e.id = a.id;
  get diagnostics settled = row_count;
  return settled;
end
$$;
comment on function calendly.settle_abandoned() is
  'The hourly job: gives deliveries that no sync would settle to another user who has the meeting, '
  'and ignores the others. Returns how many there were.';

select calendly.revoke_all();
