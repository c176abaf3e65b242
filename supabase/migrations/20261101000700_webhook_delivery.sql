-- Deliveries. Each is stored, then applied by the same rule as a page of a sync, in one
-- transaction, and only then answered: what Calendly was told to be received is stored. A delivery
-- that comes twice does nothing. What cannot be applied yet is deferred, see
-- 550_deferred_deliveries.

-- Which delivery it is ---------------------------------------------------------------------------

create function calendly.handled_event_types() returns text[]
language sql immutable set search_path = ''
as $$
  select array['invitee.created', 'invitee.canceled', 'invitee_no_show.created',
    'invitee_no_show.deleted']
$$;
comment on function calendly.handled_event_types() is
  'The types of deliveries that are applied. All others are ignored.';

create function calendly.delivery_id(body jsonb, digest text) returns text
language plpgsql immutable set search_path = ''
as $$
declare
  max_length constant integer := 1000;  -- for the unique index
  -- Calendly sends no id. A change is named by the invitee and by a mark of its own. The event's
  -- URI would not do: a cancellation, or the second attendee of a group, would be taken for a
  -- repetition.
  id constant text := body ->> 'event' || ' ' || (body #>> '{payload,uri}') || ' '
    || case body ->> 'event'
      when 'invitee.created' then body #>> '{payload,updated_at}'
      when 'invitee.canceled' then
        coalesce(body #>> '{payload,cancellation,created_at}', body #>> '{payload,updated_at}')
      when 'invitee_no_show.created' then body #>> '{payload,no_show,uri}'
      when 'invitee_no_show.deleted' then body ->> 'created_at'
    end;
begin
  return case when octet_length(id) <= max_length then id else 'sha256 ' || digest end;
end
$$;
comment on function calendly.delivery_id(jsonb, text) is
  'The name of a delivery: the same for every repetition of it. digest is the SHA-256 of the raw '
  'body, for what has no mark of its own, or one too long for an index.';

create function calendly.storable_delivery(body jsonb) returns jsonb
language sql stable set search_path = ''
as $$
  select calendly.redact_erased_delivery(case
    when jsonb_typeof(body #> '{payload,scheduled_event}') = 'object' then
      jsonb_set(body, '{payload,scheduled_event}',
        calendly.without_conference_password(body #> '{payload,scheduled_event}'))
    else body
  end)
$$;
comment on function calendly.storable_delivery(jsonb) is
  'A delivery without conference passwords and without people who were erased.';

-- Applying ---------------------------------------------------------------------------------------

create function calendly.plan_reads(
  event_uri text, event_type text, outcomes calendly.invitees_outcome[], now_at timestamptz
) returns void
language plpgsql set search_path = ''
as $$
declare
  -- Calendly cancels the event itself shortly after its last invitee.
  cancellation_wait constant interval := interval '30 seconds';
begin
  -- A delivery brings its own details. Something is left to read where the counter says that
  -- somebody is missing, a no-show is unsure, the snapshot had no time, or the last invitee has
  -- left an event that is still active.
  update calendly.meeting_sync s
    set invitees_due_at = calendly.invitees_due_at(
        m.raw, s.invitees_due_at, greatest(s.invitees_read_at, now_at),
        not calendly.has_all_invitees(m.user_id, m.calendly_event_uri, m.raw), o.unsure, now_at),
      event_due_at = case
        when m.calendly_updated_at is null then now_at
        when plan_reads.event_type = 'invitee.canceled' and m.status = 'active' and not exists (
            select from public.calendly_invitees v
            where v.meeting_id = m.id and v.status = 'active')
          then now_at + cancellation_wait
        else s.event_due_at
      end
    from public.calendly_meetings m
    left join unnest(outcomes) o on o.user_id = m.user_id
    where m.calendly_event_uri = plan_reads.event_uri
      and s.user_id = m.user_id and s.event_uri = m.calendly_event_uri;
end
$$;
comment on function calendly.plan_reads(text, text, calendly.invitees_outcome[], timestamptz) is
  'Decides what a sync must still read of an event that a delivery was about.';

create function calendly.sync_for_reads(event_uri text, user_ids integer[], now_at timestamptz)
returns void
language plpgsql set search_path = ''
as $$
declare
  -- Reads that are due later than this are left to the regular sync.
  soon constant timestamptz := now_at + interval '1 minute';
begin
  perform calendly.sync_sooner(array[s.user_id], least(s.invitees_due_at, s.event_due_at))
    from calendly.meeting_sync s
    where s.event_uri = sync_for_reads.event_uri and s.user_id = any (user_ids)
      and least(s.invitees_due_at, s.event_due_at) <= soon;
end
$$;
comment on function calendly.sync_for_reads(text, integer[], timestamptz) is
  'Brings the next sync of these users forward where something of the event must be read soon.';

create function calendly.apply_delivery(body jsonb) returns jsonb
language plpgsql set search_path = ''
as $$
declare
  now_at constant timestamptz := calendly.now();
  event calendly.event_snapshot;
  invitee calendly.invitee_snapshot;
  moved_from text;
  moved_to text;
  changes calendly.meeting_change[];
  outcomes calendly.invitees_outcome[];
  user_ids integer[];
begin
  if (body ->> 'event' = any (calendly.handled_event_types())) is not true then
    return '{"status": "ignored"}'::jsonb;
  end if;
  event := calendly.read_event(body #> '{payload,scheduled_event}');
  invitee := calendly.read_invitee(body -> 'payload', calendly.to_time(body ->> 'created_at'));
  -- scheduled_event is the event, whatever the invitee's own URI says.
  invitee.event_uri := event.uri;
  if event.problem is not null or invitee.problem is not null then
    return jsonb_build_object('status', 'deferred', 'error', jsonb_build_object(
      'code', 'not_understood',
      'message', coalesce('scheduled_event: ' || event.problem, 'invitee: ' || invitee.problem)));
  end if;

  moved_from := calendly.event_of(invitee.content ->> 'old_invitee');
  moved_to := calendly.event_of(invitee.content ->> 'new_invitee');
  perform calendly.lock_events(array_remove(array[event.uri, moved_from, moved_to], null));
  -- A snapshot without updated_at may list only some hosts: do not mark the others as reassigned.
  changes := array(
    select c from calendly.apply_events(
      array[event], true, null, event.updated_at > '-infinity') c);
  if changes = '{}' then
    return '{"status": "ignored"}'::jsonb;
  end if;
  user_ids := array(select c.user_id from unnest(changes) c order by 1);
  outcomes := array(select o from calendly.apply_invitees(array[invitee], true, null) o);
  perform calendly.link_reschedules(array_remove(array[event.uri, moved_from], null), null);
  perform calendly.plan_reads(event.uri, body ->> 'event', outcomes, now_at);
  perform calendly.sync_for_reads(event.uri, user_ids, now_at);
  return jsonb_build_object('status', 'processed', 'user_ids', to_jsonb(user_ids),
    'created', exists (select from unnest(changes) c where c.class = 'created'));
end
$$;
comment on function calendly.apply_delivery(jsonb) is
  'Applies a delivery to the meeting of every host who is kept: {status: processed, user_ids, '
  'created}; ignored where no host is kept or the type is not handled; deferred, with an error, '
  'where it is not understood.';

create function calendly.try_delivery(body jsonb) returns jsonb
language plpgsql set search_path = ''
as $$
begin
  return calendly.apply_delivery(body);
exception
  -- The database is busy or going down: nothing is stored, and Calendly delivers it again.
  when lock_not_available or deadlock_detected or serialization_failure or query_canceled
    or operator_intervention or insufficient_resources then raise;
  when others then
    return jsonb_build_object('status', 'deferred',
      'error', jsonb_build_object('code', sqlstate, 'message', sqlerrm));
end
$$;
comment on function calendly.try_delivery(jsonb) is
  'calendly.apply_delivery, all or nothing: what fails is deferred with its error. Raises only '
  'where the database is busy or going down.';

-- What follows from it ---------------------------------------------------------------------------

create function calendly.users_with_working_webhooks(
  user_ids integer[], connection_id uuid, created_by text
) returns integer[]
language sql stable set search_path = ''
as $$
  select array(
    select u.id
    from public.calendly_users u
    where u.id = any (user_ids) and case
      when users_with_working_webhooks.connection_id is not null then
        u.connection_id = users_with_working_webhooks.connection_id
      -- A subscription made by hand: a host's is for the own events, anybody else's is the
      -- organization's.
      when exists (
          select from public.calendly_users creator
          where creator.calendly_user_uri = created_by and creator.id = any (user_ids))
        then u.calendly_user_uri = created_by
      else true
    end)
$$;
comment on function calendly.users_with_working_webhooks(integer[], uuid, text) is
  'For which of an event''s hosts does a delivery prove that webhooks come? A co-host''s '
  'subscription brings the shared events only.';

create function calendly.note_delivery(
  user_ids integer[], confirmed integer[], now_at timestamptz
) returns void
language plpgsql set search_path = ''
as $$
declare
  -- A person's row is what everything else about them may wait for: it is written once a second.
  stale_before constant timestamptz := now_at - interval '1 second';
  touched constant integer[] := array(
    select u.id
    from public.calendly_users u
    where u.id = any (user_ids) and (u.last_calendly_sync is null
      or u.last_calendly_sync < stale_before
      or (u.id = any (confirmed) and not u.calendly_webhook_enabled)));
begin
  if touched = '{}' then
    return;
  end if;
  perform calendly.lock_people(touched);
  update public.calendly_users u set last_calendly_sync = now_at where u.id = any (touched);
  perform calendly.set_webhook_enabled(
    array(select unnest(touched) intersect select unnest(confirmed)), true);
end
$$;
comment on function calendly.note_delivery(integer[], integer[], timestamptz) is
  'Notes with these users that a delivery was applied; confirmed: for whom webhooks are proven to '
  'come.';

create function calendly.sync_for_unmet_host(body jsonb, connection_id uuid, now_at timestamptz)
returns void
language sql set search_path = ''
as $$
  select calendly.sync_sooner(array[c.user_id], now_at)
  from public.calendly_connections c
  where c.id = sync_for_unmet_host.connection_id
    and c.scope = 'organization' and c.members = 'everyone'
    and exists (
      select
      from unnest((calendly.read_event(body #> '{payload,scheduled_event}')).hosts) host (uri)
      where not exists (
        select from public.calendly_users u where u.calendly_user_uri = host.uri))
$$;
comment on function calendly.sync_for_unmet_host(jsonb, uuid, timestamptz) is
  'Makes an organization''s connection due where a delivery names a host whom it keeps, but has '
  'not met yet.';

create function calendly.user_of_deferred(body jsonb) returns integer
language sql stable set search_path = ''
as $$
  select coalesce(
    (select u.id from public.calendly_users u
      where u.calendly_user_uri = body ->> 'created_by' and u.connection_id is not null),
    (select min(m.user_id) from public.calendly_meetings m
      where m.calendly_event_uri = calendly.delivered_event_uri(body)))
$$;
comment on function calendly.user_of_deferred(jsonb) is
  'Whose next sync settles a delivery of which the hosts are not known: that of whoever made the '
  'subscription, or has the meeting; null: anybody''s.';

create function calendly.user_of_delivery(
  subscriber integer, user_ids integer[], body jsonb, status text
) returns integer
language sql stable set search_path = ''
as $$
  select case
    -- A subscriber who is no host of it must not read it: see calendly.readable_user_ids.
    when user_ids <> '{}' and (subscriber = any (user_ids)) is not true then user_ids[1]
    when status = 'deferred' then coalesce(subscriber, calendly.user_of_deferred(body))
    else subscriber
  end
$$;
comment on function calendly.user_of_delivery(integer, integer[], jsonb, text) is
  'Whose a delivery is: the subscriber''s as a host of what was applied, else the first host''s; '
  'the subscriber''s where nothing was applied.';

create function calendly.process_delivery(
  id uuid, confirms_delivery boolean, connection_id uuid default null
) returns jsonb
language plpgsql set search_path = ''
as $$
declare
  now_at constant timestamptz := calendly.now();
  delivery public.calendly_webhook_events;
  outcome jsonb;
  outcome_status text;
  user_ids integer[];
begin
  select e.* into delivery from public.calendly_webhook_events e
    where e.id = process_delivery.id for update;
  outcome := calendly.try_delivery(delivery.payload);
  outcome_status := outcome ->> 'status';
  user_ids := array(select jsonb_array_elements_text(outcome -> 'user_ids')::integer);
  delivery.user_id := calendly.user_of_delivery(
    delivery.user_id, user_ids, delivery.payload, outcome_status);
  update public.calendly_webhook_events e
    set status = outcome_status, error = outcome -> 'error', attempts = e.attempts + 1,
      user_id = delivery.user_id,
      processed_at = case when outcome_status <> 'deferred' then now_at end,
      payload = case when outcome_status <> 'ignored' then e.payload end
    where e.id = delivery.id;

  -- The next sync reads the event, or meets the host.
  if outcome_status = 'deferred' then
    perform calendly.sync_sooner(array[delivery.user_id], now_at);
  else
    perform calendly.sync_for_unmet_host(
      delivery.payload, process_delivery.connection_id, now_at);
  end if;
  if outcome_status = 'processed' then
    perform calendly.note_delivery(user_ids, case when confirms_delivery then
      calendly.users_with_working_webhooks(
        user_ids, process_delivery.connection_id, delivery.payload ->> 'created_by')
      else '{}' end, now_at);
  end if;
  return outcome - 'user_ids';
end
$$;
comment on function calendly.process_delivery(uuid, boolean, uuid) is
  'Applies a stored delivery and notes what became of it. confirms_delivery: it arrived just now, '
  'by a subscription that is still wanted: that of connection_id, or one made by hand. Raises only '
  'where the database is busy or going down.';

-- RPCs -------------------------------------------------------------------------------------------

create function calendly.check_signature_age(signed_at timestamptz) returns void
language plpgsql set search_path = ''
as $$
declare
  now_at constant timestamptz := calendly.now();
  -- Calendly repeats a delivery for a day, perhaps with its first signature. Applying it again does
  -- nothing.
  oldest constant timestamptz := now_at - interval '25 hours';
  newest constant timestamptz := now_at + interval '5 minutes';
begin
  if signed_at < oldest or signed_at > newest then
    perform calendly.raise_error('not_authentic', 'The signature is too old or from the future.',
      'Check the clock of whoever signs.');
  end if;
end
$$;
comment on function calendly.check_signature_age(timestamptz) is
  'Refuses deliveries that were recorded long ago. Error: not_authentic.';

create function calendly.delivering_subscription(
  subscription_id uuid, out user_id integer, out connection_id uuid, out is_wanted boolean
)
language plpgsql stable set search_path = ''
as $$
begin
  select c.user_id, c.id, w.state <> 'ended' into user_id, connection_id, is_wanted
    from calendly.webhook_subscriptions w
    join public.calendly_connections c on c.id = w.connection_id
    where w.id = delivering_subscription.subscription_id and c.state <> 'disconnected';
  if user_id is null then
    -- Nothing more is stored of a connection that has ended.
    perform calendly.raise_error('not_authentic', 'There is no such subscription.');
  end if;
end
$$;
comment on function calendly.delivering_subscription(uuid) is
  'Whose subscription delivers, and whether it is still wanted. Error: not_authentic.';

create function public.calendly_receive_webhook(delivery jsonb) returns jsonb
language plpgsql security definer set search_path = '' set lock_timeout = '5s' set jit = off
as $$
declare
  body constant jsonb := delivery -> 'body';
  delivered_id constant text := calendly.delivery_id(body, delivery ->> 'digest');
  subscription record;
  stored_id uuid;
begin
  perform calendly.check_signature_age(
    to_timestamp((delivery ->> 'signed_at')::double precision));
  perform calendly.lock_against_erasure();
  if delivery ->> 'subscription_id' is not null then
    subscription := calendly.delivering_subscription((delivery ->> 'subscription_id')::uuid);
  else
    -- Signed with the OAuth app's or the person's own key: made by hand.
    select null::integer as user_id, null::uuid as connection_id, true as is_wanted
      into subscription;
  end if;

  insert into public.calendly_webhook_events as e
      (event_id, event_type, payload, user_id, created_at, status)
    values (delivered_id, coalesce(body ->> 'event', 'unknown'),
      calendly.storable_delivery(body), subscription.user_id, calendly.now(), 'deferred')
    on conflict (event_id) do nothing
    returning e.id into stored_id;
  if stored_id is null then
    return jsonb_build_object('status', 'duplicate', 'event_id', delivered_id);
  end if;
  return jsonb_build_object('event_id', delivered_id) || calendly.process_delivery(
    stored_id, subscription.is_wanted, subscription.connection_id);
end
$$;
comment on function public.calendly_receive_webhook(jsonb) is
  'Stores an authentic delivery and applies it, all or nothing. Takes {body, digest (SHA-256 of '
  'the raw body), signed_at (seconds since 1970), subscription_id?}. Returns {status: processed | '
  'duplicate | ignored | deferred, event_id, created?, error?}. Error: not_authentic.';

create function public.calendly_replay_webhook_event(id uuid) returns jsonb
language plpgsql security definer set search_path = '' set lock_timeout = '5s' set jit = off
as $$
declare
  stored_status text;
begin
  perform calendly.lock_against_erasure();
  update public.calendly_webhook_events e
    set attempts = 0
    where e.id = calendly_replay_webhook_event.id
    returning e.status into stored_status;
  if stored_status is null then
    perform calendly.raise_error('not_found', 'There is no such webhook event.',
      'select id from calendly_webhook_events where status = ''dead'';');
  elsif stored_status = 'ignored' then
    perform calendly.raise_error('payload_not_kept',
      'This webhook event was ignored, and its payload is not kept.',
      'A sync brings what Calendly has: POST /functions/v1/calendly-sync.');
  end if;
  return calendly.process_delivery(calendly_replay_webhook_event.id, false);
end
$$;
comment on function public.calendly_replay_webhook_event(uuid) is
  'Applies a stored delivery again, a dead one for instance: {status, created?, error?}. Errors: '
  'not_found, payload_not_kept.';

select calendly.revoke_all();
