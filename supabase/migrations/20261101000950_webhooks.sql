-- Deliveries: each is stored, then applied by the same rule as a page of a sync, in one transaction.
-- What cannot be applied yet is kept, and the next sync reads that one event.

-- deferred deliveries wait for the next sync of their user
create index calendly_webhook_events_deferred_idx on public.calendly_webhook_events (user_id) where status = 'deferred';

create function calendly.delivery_id(body jsonb, digest text) returns text
language sql immutable set search_path = ''
as $$
  -- Calendly sends no id. What changed is named by the invitee and the change's own mark; keyed on the
  -- event, a cancellation or the second attendee of a group would be taken for a repetition.
  select case when octet_length(named.change) <= 1000 then named.change else 'sha256 ' || digest end
  from (
    select body ->> 'event' || ' ' || (body #>> '{payload,uri}') || ' ' || case body ->> 'event'
      when 'invitee.created' then body #>> '{payload,updated_at}'
      when 'invitee.canceled' then coalesce(body #>> '{payload,cancellation,created_at}', body #>> '{payload,updated_at}')
      when 'invitee_no_show.created' then body #>> '{payload,no_show,uri}'
      when 'invitee_no_show.deleted' then body ->> 'created_at'
    end as change
  ) as named
$$;
revoke all on function calendly.delivery_id(jsonb, text) from public, anon, authenticated, service_role;
comment on function calendly.delivery_id(jsonb, text) is 'The name of a delivery: the same for every repetition of it. digest: SHA-256 of the raw body, for what has no mark of its own, or one too long for an index.';

create function calendly.delivered_event_uri(body jsonb) returns text
language sql immutable set search_path = ''
as $$
  select coalesce(body #>> '{payload,scheduled_event,uri}', body #>> '{payload,event}', calendly.event_of(body #>> '{payload,uri}'))
$$;
revoke all on function calendly.delivered_event_uri(jsonb) from public, anon, authenticated, service_role;
comment on function calendly.delivered_event_uri(jsonb) is 'The URI of the event that a delivery is about, by its payload.';

create function calendly.make_due(user_ids integer[], at timestamptz) returns void
language sql set search_path = ''
as $$
  update public.calendly_connections c
    set next_sync_at = make_due.at
    from (
      select k.id
      from public.calendly_connections k
      where k.id in (select h.connection_id from calendly.hosts h where h.user_id = any (user_ids)) and k.state = 'active' and (k.next_sync_at > make_due.at or k.next_sync_at is null)
      -- A run holds this row before it waits for an event that we hold: never wait for it the other way
      -- round. When that run finishes, it looks for what is due.
      for no key update skip locked
    ) free
    where c.id = free.id
$$;
revoke all on function calendly.make_due(integer[], timestamptz) from public, anon, authenticated, service_role;
comment on function calendly.make_due(integer[], timestamptz) is 'Brings the next sync of these users forward to a time.';

create function calendly.apply_delivery(body jsonb) returns jsonb
language plpgsql set search_path = ''
as $$
declare
  at constant timestamptz := calendly.now();
  payload constant jsonb := body -> 'payload';
  event calendly.event_copy;
  invitee calendly.invitee_copy;
  changes calendly.meeting_change[];
  outcomes calendly.invitees_outcome[];
  user_ids integer[];
begin
  if coalesce(body ->> 'event', '') not in ('invitee.created', 'invitee.canceled', 'invitee_no_show.created', 'invitee_no_show.deleted') then
    return jsonb_build_object('status', 'ignored');
  end if;
  event := calendly.read_event(payload -> 'scheduled_event');
  invitee := calendly.read_invitee(payload, calendly.to_time(body ->> 'created_at'));
  -- scheduled_event is the event, whatever the invitee's own URI says
  invitee.event_uri := event.uri;
  if event.problem is not null or invitee.problem is not null then
    return jsonb_build_object('status', 'deferred', 'error', jsonb_build_object('code', 'not_understood',
      'message', coalesce('scheduled_event: ' || event.problem, 'invitee: ' || invitee.problem)));
  end if;

  perform calendly.lock_events(array(select uri from unnest(array[event.uri,
    calendly.event_of(invitee.content ->> 'old_invitee'), calendly.event_of(invitee.content ->> 'new_invitee')]) uri where uri is not null));
  -- A copy without a clock may name some of the hosts only: it takes the event from nobody.
  changes := array(select c from calendly.apply_events(array[event], true, null, event.updated_at > '-infinity') c);
  if changes = '{}' then
    return jsonb_build_object('status', 'ignored');
  end if;
  outcomes := array(select o from calendly.apply_invitees(array[invitee], true, null) o);
  perform calendly.link_reschedules(array_remove(array[event.uri, calendly.event_of(invitee.content ->> 'old_invitee')], null), null);

  -- It brought its own details: nothing is left to read, unless the counter says that somebody is missing,
  -- a no-show is unsure, the copy had no clock, or the last invitee left an event that is still active.
  update calendly.meeting_sync s
    set invitees_due_at = case
          when s.invitees_due_at <= at then s.invitees_due_at
          when o.unsure then at + interval '1 minute'
          when not calendly.has_all_invitees(m.user_id, m.calendly_event_uri, m.raw) then at
          else calendly.next_no_show_check(m.end_time, m.status, greatest(s.invitees_read_at, at))
        end,
      event_due_at = case
          when m.calendly_updated_at is null then at
          when body ->> 'event' = 'invitee.canceled' and m.status = 'active' and not exists (
            select from public.meeting_invitees v where v.meeting_id = m.id and v.status = 'active') then at + interval '30 seconds'
          else s.event_due_at
        end
    from public.meetings m
    left join unnest(outcomes) o on o.user_id = m.user_id
    where m.calendly_event_uri = event.uri and s.user_id = m.user_id and s.event_uri = m.calendly_event_uri;
  user_ids := array(select c.user_id from unnest(changes) c order by 1);
  perform calendly.make_due(array[s.user_id], least(s.invitees_due_at, s.event_due_at))
    from calendly.meeting_sync s
    where s.event_uri = event.uri and s.user_id = any (user_ids) and least(s.invitees_due_at, s.event_due_at) <= at + interval '1 minute';

  return jsonb_build_object('status', 'processed', 'user_ids', to_jsonb(user_ids),
    'created', exists (select from unnest(changes) c where c.class = 'created'));
end
$$;
revoke all on function calendly.apply_delivery(jsonb) from public, anon, authenticated, service_role;
comment on function calendly.apply_delivery(jsonb) is
  'Applies a delivery to the meeting of every host who is a user: {status: processed, user_ids, created}; ignored where no host is a user or the type is not ours; deferred, with an error, where it is not understood.';

create function calendly.proven_webhooks(user_ids integer[], connection_id uuid, created_by text) returns integer[]
language sql stable set search_path = ''
as $$
  select array(
    select h.user_id from calendly.hosts h
    where h.user_id = any (user_ids) and case
      when proven_webhooks.connection_id is not null then h.connection_id = proven_webhooks.connection_id
      -- made by hand: by a host for the own events, or by somebody else for the organization's
      when exists (select from calendly.hosts creator where creator.calendly_user_uri = created_by and creator.user_id = any (user_ids))
        then h.calendly_user_uri = created_by
      else true
    end)
$$;
revoke all on function calendly.proven_webhooks(integer[], uuid, text) from public, anon, authenticated, service_role;
comment on function calendly.proven_webhooks(integer[], uuid, text) is
  'For which of an event''s hosts does a delivery prove that webhooks come? A co-host''s subscription brings the shared events only.';

create function calendly.process_webhook_event(id uuid, proves_webhooks boolean, connection_id uuid default null) returns jsonb
language plpgsql set search_path = ''
as $$
declare
  at constant timestamptz := calendly.now();
  event public.calendly_webhook_events;
  outcome jsonb;
  user_ids integer[];
  proven integer[];
begin
  select e.* into event from public.calendly_webhook_events e where e.id = process_webhook_event.id for update;
  begin
    outcome := calendly.apply_delivery(event.payload);
  exception
    -- the database is busy or going down: Calendly will deliver it again
    when lock_not_available or deadlock_detected or serialization_failure or query_canceled
      or operator_intervention or insufficient_resources then raise;
    when others then
      outcome := jsonb_build_object('status', 'deferred', 'error', jsonb_build_object('code', sqlstate, 'message', sqlerrm));
  end;
  update public.calendly_webhook_events e
    set status = outcome ->> 'status', error = outcome -> 'error', attempts = e.attempts + 1,
      processed_at = case when outcome ->> 'status' = 'deferred' then null else at end,
      user_id = coalesce(e.user_id, (outcome #>> '{user_ids,0}')::integer,
        -- what names no host: for whoever made the subscription, or has the meeting
        case when outcome ->> 'status' = 'deferred' then coalesce(
          (select h.user_id from calendly.hosts h where h.calendly_user_uri = e.payload ->> 'created_by'),
          (select min(m.user_id) from public.meetings m where m.calendly_event_uri = calendly.delivered_event_uri(e.payload)))
        end)
    where e.id = event.id
    returning e.* into event;
  if event.status = 'processed' then
    user_ids := array(select jsonb_array_elements_text(outcome -> 'user_ids')::integer);
    proven := case when proves_webhooks
      then calendly.proven_webhooks(user_ids, process_webhook_event.connection_id, event.payload ->> 'created_by') else '{}' end;
    -- Users last, in order, and rarely: they are what everything else of a person may wait for.
    perform from public.users u where u.id = any (user_ids) order by u.id for no key update;
    update public.users u
      set last_calendly_sync = at, calendly_webhook_enabled = u.calendly_webhook_enabled or u.id = any (proven)
      where u.id = any (user_ids)
        and (u.last_calendly_sync is null or u.last_calendly_sync < at - interval '1 second' or (u.id = any (proven) and not u.calendly_webhook_enabled));
  elsif event.status = 'deferred' then
    perform calendly.make_due(array[event.user_id], at);
  end if;
  return outcome - 'user_ids';
end
$$;
revoke all on function calendly.process_webhook_event(uuid, boolean, uuid) from public, anon, authenticated, service_role;
comment on function calendly.process_webhook_event(uuid, boolean, uuid) is
  'Applies a stored delivery and notes what became of it. proves_webhooks: it came just now, and by a subscription that goes on: that of connection_id, or one made by hand. Raises only where the database is busy or going down.';

create function calendly.waiting_events(scope integer[]) returns table (event_uri text)
language sql stable set search_path = ''
as $$
  select s.event_uri from calendly.meeting_sync s
    where s.user_id = any (scope) and s.event_due_at <= (select calendly.now())
  union
  select calendly.delivered_event_uri(e.payload) from public.calendly_webhook_events e
    where e.status = 'deferred' and (e.user_id = any (scope) or e.user_id is null)
      and calendly.delivered_event_uri(e.payload) is not null
$$;
revoke all on function calendly.waiting_events(integer[]) from public, anon, authenticated, service_role;
comment on function calendly.waiting_events(integer[]) is 'Events that a webhook told too little about: the next sync reads them by themselves.';

create function calendly.settle_deferred(scope integer[], read_uris text[]) returns void
language sql set search_path = ''
as $$
  update public.calendly_webhook_events e
    set status = found.status,
      attempts = e.attempts + 1,
      processed_at = case when found.status = 'processed' then calendly.now() end,
      error = case when found.status = 'processed' then null else coalesce(e.error, '{}') || '{"hint": "calendly_replay_webhook_event(id) tries again."}' end,
      user_id = coalesce(e.user_id, found.user_id)
    from (
      select w.id, mine.user_id,
        case when mine.user_id is not null then 'processed' when w.attempts >= 5 or uri is null then 'dead' else 'deferred' end as status
      from public.calendly_webhook_events w
      cross join lateral calendly.delivered_event_uri(w.payload) uri
      left join lateral (
        select min(m.user_id) as user_id from public.meetings m where m.calendly_event_uri = uri and m.user_id = any (scope)
      ) mine on true
      where w.status = 'deferred' and (w.user_id = any (scope) or w.user_id is null)
        and (uri is null or uri = any (read_uris))
      -- A replay holds its delivery before it waits for the event, which we hold: it is left to that.
      for update of w skip locked
    ) found
    where e.id = found.id
$$;
revoke all on function calendly.settle_deferred(integer[], text[]) from public, anon, authenticated, service_role;
comment on function calendly.settle_deferred(integer[], text[]) is
  'Of the deferred deliveries about these events: done where a user in scope now has the meeting; dead after the fifth try, or where no event is named.';

-- RPCs ---------------------------------------------------------------------------------------------

create function public.calendly_receive_webhook(delivery jsonb) returns jsonb
language plpgsql security definer set search_path = '' set lock_timeout = '5s' set jit = off
as $$
declare
  at constant timestamptz := calendly.now();
  signed_at constant timestamptz := to_timestamp((delivery ->> 'signed_at')::double precision);
  body constant jsonb := delivery -> 'body';
  name constant text := calendly.delivery_id(body, delivery ->> 'digest');
  owner_id integer;
  subscriber uuid;
  goes_on boolean := true;
  stored_id uuid;
begin
  -- Calendly tries for a day, perhaps with the first signature; applying twice does nothing.
  if signed_at < at - interval '25 hours' or signed_at > at + interval '5 minutes' then
    perform calendly.fail('not_authentic', 'The signature is too old or from the future.', 'Check the clock of whoever signs.');
  end if;
  if delivery ->> 'subscription_id' is not null then
    select c.user_id, c.id, w.state <> 'ended' into owner_id, subscriber, goes_on
      from calendly.webhook_subscriptions w
      join public.calendly_connections c on c.id = w.connection_id
      where w.id = (delivery ->> 'subscription_id')::uuid and c.state <> 'disconnected';
    if owner_id is null then
      -- nor one of a connection that has ended: nothing more is stored
      perform calendly.fail('not_authentic', 'There is no such subscription.');
    end if;
  end if;

  perform calendly.hold_off_forgetting();
  insert into public.calendly_webhook_events (event_id, event_type, payload, user_id, created_at, status)
    values (name, coalesce(body ->> 'event', 'unknown'),
      calendly.without_forgotten(case when jsonb_typeof(body #> '{payload,scheduled_event,location,data}') = 'object'
        then body #- '{payload,scheduled_event,location,data,password}' else body end),
      owner_id, at, 'deferred')
    on conflict (event_id) do nothing
    returning id into stored_id;
  if stored_id is null then
    return jsonb_build_object('status', 'duplicate', 'event_id', name);
  end if;
  return calendly.process_webhook_event(stored_id, goes_on, subscriber) || jsonb_build_object('event_id', name);
end
$$;
comment on function public.calendly_receive_webhook(jsonb) is
  'Stores an authentic delivery and applies it, all or nothing. Takes {body, digest (SHA-256 of the raw body), signed_at (seconds since 1970), subscription_id?}. Returns {status: processed | duplicate | ignored | deferred, event_id, created?, error?}. Error: not_authentic.';

create function public.calendly_replay_webhook_event(id uuid) returns jsonb
language plpgsql security definer set search_path = '' set lock_timeout = '5s' set jit = off
as $$
begin
  perform calendly.hold_off_forgetting();
  update public.calendly_webhook_events e set attempts = 0 where e.id = calendly_replay_webhook_event.id;
  if not found then
    perform calendly.fail('not_found', 'There is no such webhook event.', 'select id from calendly_webhook_events where status = ''dead'';');
  end if;
  return calendly.process_webhook_event(calendly_replay_webhook_event.id, false);
end
$$;
comment on function public.calendly_replay_webhook_event(uuid) is
  'Applies a stored delivery again, a dead one for instance: {status, created?, error?}. Error: not_found.';

revoke all on function public.calendly_receive_webhook(jsonb), public.calendly_replay_webhook_event(uuid)
  from public, anon, authenticated, service_role;
grant execute on function public.calendly_receive_webhook(jsonb), public.calendly_replay_webhook_event(uuid) to service_role;
