-- Deliveries. Each is applied by the same rule as a page of a sync and stored with what became of
-- it, in one transaction, and only then answered: what Calendly was told to be received is stored.
-- A delivery that comes twice does nothing. What cannot be applied yet is deferred, see
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
  -- Calendly sends no id. A change is named by the invitee and by a mark of its own. The event's
  -- URI would not do: a cancellation, or the second attendee of a group, would be taken for a
  -- repetition.
  name constant text := body ->> 'event' || ' ' || (body #>> '{payload,uri}') || ' '
    || case body ->> 'event'
      when 'invitee.created' then body #>> '{payload,updated_at}'
      when 'invitee.canceled' then
        coalesce(body #>> '{payload,cancellation,created_at}', body #>> '{payload,updated_at}')
      when 'invitee_no_show.created' then body #>> '{payload,no_show,uri}'
      when 'invitee_no_show.deleted' then body ->> 'created_at'
    end;
begin
  -- The SHA-256 as base64url: 43 characters to store and to index, however long the name is.
  return translate(
    encode(sha256(convert_to(coalesce(name, digest), 'UTF8')), 'base64'), '+/=', '-_');
end
$$;
comment on function calendly.delivery_id(jsonb, text) is
  'The id of a delivery, a digest: the same for every repetition of it. digest is the SHA-256 of '
  'the raw body, for what has no mark of its own.';

create function calendly.lock_delivery(event_id text) returns void
language plpgsql set search_path = ''
as $$
begin
  perform pg_advisory_xact_lock(hashtextextended('calendly.delivery ' || event_id, 0));
end
$$;
comment on function calendly.lock_delivery(text) is
  'Step 3 of the lock order for a delivery that has just come and has no row yet: whoever brings '
  'the same one waits here until it is stored, and then finds it.';

create function calendly.storable_delivery(body jsonb) returns jsonb
language plpgsql stable set search_path = ''
as $$
begin
  if jsonb_typeof(body #> '{payload,scheduled_event}') = 'object' then
    body := jsonb_set(body, '{payload,scheduled_event}',
      calendly.without_conference_password(body #> '{payload,scheduled_event}'));
  end if;
  return calendly.redact_erased_delivery(body);
end
$$;
comment on function calendly.storable_delivery(jsonb) is
  'A delivery without conference passwords and without people who were erased.';

-- Applying ---------------------------------------------------------------------------------------

create function calendly.with_source(sourced_uris text[], uri text, by_webhook boolean)
returns text[]
language plpgsql immutable set search_path = ''
as $$
begin
  return case
    when (uri = any (sourced_uris)) = by_webhook is not false then sourced_uris
    when by_webhook then sourced_uris || uri
    else array_remove(sourced_uris, uri)
  end;
end
$$;
comment on function calendly.with_source(text[], text, boolean) is
  'meeting_sync.webhook_sourced_uris once it is known whose the stored snapshot of this URI is; '
  'by_webhook null: nothing new is known.';

create function calendly.note_reads(
  event_uri text, event_type text, meetings calendly.meeting_change[],
  invitees calendly.invitee_change[], now_at timestamptz
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
  insert into calendly.meeting_sync
      (user_id, event_uri, invitees_due_at, event_due_at, webhook_sourced_uris)
    select m.user_id, m.calendly_event_uri, noted.*
    from public.calendly_meetings m
    left join lateral (
      select s.* from calendly.meeting_sync s
      where s.user_id = m.user_id and s.event_uri = m.calendly_event_uri offset 0
    ) stored on true
    left join unnest(meetings) e on e.user_id = m.user_id
    left join unnest(invitees) i on i.user_id = m.user_id
    cross join lateral (
      select
        calendly.invitees_due_at(
          m.raw, stored.invitees_due_at, greatest(stored.invitees_read_at, now_at),
          not calendly.has_all_invitees(m.user_id, m.calendly_event_uri, m.raw), i.unsure, now_at),
        case
          when m.calendly_updated_at is null then now_at
          when note_reads.event_type = 'invitee.canceled' and m.status = 'active' and not exists (
              select from public.calendly_invitees v
              where v.meeting_id = m.id and v.status = 'active' offset 0)
            then now_at + cancellation_wait
          else stored.event_due_at
        end,
        calendly.with_source(
          calendly.with_source(
            coalesce(stored.webhook_sourced_uris, '{}'), e.event_uri, e.by_webhook),
          i.invitee_uri, i.by_webhook)
      offset 0
    ) noted (invitees_due_at, event_due_at, webhook_sourced_uris)
    where m.calendly_event_uri = note_reads.event_uri
      and (stored.invitees_due_at, stored.event_due_at, stored.webhook_sourced_uris)
        is distinct from (noted.invitees_due_at, noted.event_due_at, noted.webhook_sourced_uris)
    on conflict on constraint meeting_sync_pkey do update set
      invitees_due_at = excluded.invitees_due_at, event_due_at = excluded.event_due_at,
      webhook_sourced_uris = excluded.webhook_sourced_uris;
end
$$;
comment on function calendly.note_reads(
  text, text, calendly.meeting_change[], calendly.invitee_change[], timestamptz) is
  'Notes what a sync must still read of an event that a delivery was about, and whose snapshots '
  'are stored now: all that a delivery notes of its meetings, in one row version of each.';

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

create type calendly.delivery_outcome as (
  status text,
  error jsonb,
  user_ids integer[],
  created boolean
);
comment on type calendly.delivery_outcome is
  'What became of a delivery: processed, and for which users; ignored; or deferred, with an error.';

create function calendly.concerns_kept_user(event calendly.event_snapshot) returns boolean
language plpgsql stable set search_path = ''
as $$
begin
  return exists (
    select from public.calendly_users u
    where u.calendly_user_uri = any (event.hosts) and u.connection_id is not null
  ) or exists (
    select from public.calendly_meetings m where m.calendly_event_uri = event.uri);
end
$$;
comment on function calendly.concerns_kept_user(calendly.event_snapshot) is
  'Is a host of the event kept, or is the event stored?';

create function calendly.concerns_nobody(event calendly.event_snapshot, event_uris text[])
returns boolean
language plpgsql set search_path = ''
as $$
begin
  if calendly.concerns_kept_user(event) then
    return false;
  end if;
  -- A sync that holds the event may be about to keep a host: ask again when it has ended.
  perform calendly.lock_events(event_uris);
  return not calendly.concerns_kept_user(event);
end
$$;
comment on function calendly.concerns_nobody(calendly.event_snapshot, text[]) is
  'True where a delivery is ignored because of its hosts: of an organization that may be most '
  'deliveries. event_uris: all that the delivery locks.';

create function calendly.not_understood(problem text) returns calendly.delivery_outcome
language plpgsql immutable set search_path = ''
as $$
begin
  return row('deferred', jsonb_build_object('code', 'not_understood', 'message', problem),
    '{}', false)::calendly.delivery_outcome;
end
$$;
comment on function calendly.not_understood(text) is
  'The outcome of a delivery that cannot be read: deferred.';

create function calendly.write_delivery(
  event calendly.event_snapshot, invitee calendly.invitee_snapshot, event_type text,
  event_uris text[], now_at timestamptz
) returns calendly.delivery_outcome
language plpgsql set search_path = ''
as $$
declare
  meetings calendly.meeting_change[];
  invitees calendly.invitee_change[];
  written_at timestamptz;
  user_ids integer[];
  created boolean;
begin
  perform calendly.lock_events(event_uris);
  -- not when the delivery came: a sync asks what was written since one of its steps began
  written_at := calendly.now();
  -- A snapshot without updated_at may list only some hosts: do not mark the others as reassigned.
  meetings := calendly.meeting_changes(
    array[event], true, null, event.updated_at > '-infinity');
  if meetings = '{}' then
    return row('ignored', null, '{}', false)::calendly.delivery_outcome;
  end if;
  perform calendly.write_meetings(meetings, true, written_at);
  invitees := calendly.invitee_changes(array[invitee], true, null);
  perform calendly.write_invitees(invitees, written_at);
  if calendly.may_link(event.uri, invitee) then
    perform calendly.link_reschedules(event_uris, null);
  end if;
  perform calendly.note_reads(event.uri, event_type, meetings, invitees, now_at);
  select array_agg(c.user_id order by c.user_id), bool_or(c.class = 'created')
    into user_ids, created from unnest(meetings) c;
  perform calendly.sync_for_reads(event.uri, user_ids, now_at);
  return row('processed', null, user_ids, created)::calendly.delivery_outcome;
end
$$;
comment on function calendly.write_delivery(
  calendly.event_snapshot, calendly.invitee_snapshot, text, text[], timestamptz) is
  'Writes what a delivery tells of an event and an invitee for every host who is kept: processed; '
  'ignored where none is. event_uris: of the event, and of those that the invitee moves from or '
  'to.';

create function calendly.delivered_event(sent jsonb, user_id integer)
returns calendly.event_snapshot
language plpgsql stable set search_path = ''
as $$
declare
  event calendly.event_snapshot := calendly.read_event(sent);
  own_uri text;
begin
  if sent -> 'event_memberships' <> '[]' and event.problem is distinct from 'names no host' then
    return event;
  end if;
  select c.calendly_user_uri into own_uri
    from public.calendly_connections c
    where c.user_id = delivered_event.user_id and c.scope = 'user' and c.state <> 'disconnected';
  return case when own_uri is null or own_uri = any (event.hosts) then event
    else calendly.read_event(sent, event.hosts || own_uri) end;
end
$$;
comment on function calendly.delivered_event(jsonb, integer) is
  'Reads the event of a delivery to this user. One that names no host is theirs as well where they '
  'have connected for themselves: their subscription brings their own events only.';

create function calendly.events_of_delivery(body jsonb) returns text[]
language plpgsql immutable set search_path = ''
as $$
begin
  return array_remove(array[
    body #>> '{payload,scheduled_event,uri}',
    calendly.event_of(body #>> '{payload,old_invitee}'),
    calendly.event_of(body #>> '{payload,new_invitee}')], null);
end
$$;
comment on function calendly.events_of_delivery(jsonb) is
  'The events that a delivery locks: its own, and those that its invitee moves from or to.';

create function calendly.apply_delivery(body jsonb, user_id integer, now_at timestamptz)
returns calendly.delivery_outcome
language plpgsql set search_path = ''
as $$
declare
  ignored constant calendly.delivery_outcome := row('ignored', null, '{}', false);
  event calendly.event_snapshot;
  event_uris text[];
  invitee calendly.invitee_snapshot;
begin
  if (body ->> 'event' = any (calendly.handled_event_types())) is not true then
    return ignored;
  end if;
  event := calendly.delivered_event(
    body #> '{payload,scheduled_event}', apply_delivery.user_id);
  if event.problem is not null then
    return calendly.not_understood('scheduled_event: ' || event.problem);
  end if;
  event_uris := calendly.events_of_delivery(body);
  if calendly.concerns_nobody(event, event_uris) then
    return ignored;
  end if;
  invitee := (calendly.invitee_snapshots(calendly.with_credible_times(
    jsonb_build_array(jsonb_build_object('invitees', jsonb_build_array(body -> 'payload'),
      'observed_at', body -> 'created_at')))))[1];
  -- scheduled_event is the event, whatever the invitee's own URI says.
  invitee.event_uri := event.uri;
  if invitee.problem is not null then
    return calendly.not_understood('invitee: ' || invitee.problem);
  end if;
  return calendly.write_delivery(event, invitee, body ->> 'event', event_uris, now_at);
end
$$;
comment on function calendly.apply_delivery(jsonb, integer, timestamptz) is
  'Applies a delivery to this user (null: not known) to the meeting of every host who is kept: '
  'processed; ignored where no host is kept or the type is not handled; deferred where it is not '
  'understood.';

create function calendly.try_delivery(body jsonb, user_id integer, now_at timestamptz)
returns calendly.delivery_outcome
language plpgsql set search_path = ''
as $$
begin
  return calendly.apply_delivery(body, user_id, now_at);
exception
  -- The database is busy or going down: nothing is stored, and Calendly delivers it again.
  when lock_not_available or deadlock_detected or serialization_failure or query_canceled
    or operator_intervention or insufficient_resources then raise;
  when others then
    -- A trigger of the app may have named a person.
    return row('deferred', jsonb_build_object('code', sqlstate,
      'message', calendly.without_emails(sqlerrm)), '{}', false)::calendly.delivery_outcome;
end
$$;
comment on function calendly.try_delivery(jsonb, integer, timestamptz) is
  'calendly.apply_delivery, all or nothing: what fails is deferred with its error. Raises only '
  'where the database is busy or going down.';

-- What follows from it ---------------------------------------------------------------------------

create type calendly.delivery_source as (
  user_id integer,
  connection_id uuid,
  is_wanted boolean,
  keeps_everyone boolean
);
comment on type calendly.delivery_source is
  'The subscription that has just brought a delivery: whose it is and of which connection (null: '
  'made by hand), whether it is still wanted, and whether its connection keeps every host.';

create function calendly.is_obsolete(
  subscription calendly.webhook_subscriptions, connection public.calendly_connections,
  now_at timestamptz
) returns boolean
language sql stable set search_path = ''
as $$
  select subscription.state = 'ended' and (
    not connection.webhooks_wanted
    -- Of one that another has replaced, what is repeated for a day still counts.
    or subscription.ended_at < now_at - interval '2 days')
$$;
comment on function calendly.is_obsolete(
  calendly.webhook_subscriptions, public.calendly_connections, timestamptz) is
  'Does nobody want anything more from this subscription? Its connection was ended, which ends its '
  'subscriptions, its webhooks were switched off, or it was replaced more than two days ago.';

create function calendly.source_of_delivery(subscription_id uuid, now_at timestamptz)
returns calendly.delivery_source
language plpgsql stable set search_path = ''
as $$
declare
  subscription calendly.webhook_subscriptions;
  connection public.calendly_connections;
begin
  if subscription_id is null then
    -- Signed with the OAuth app's or the person's own key: made by hand.
    return row(null, null, true, false)::calendly.delivery_source;
  end if;
  select w.* into subscription from calendly.webhook_subscriptions w
    where w.id = source_of_delivery.subscription_id;
  select c.* into connection from public.calendly_connections c
    where c.id = subscription.connection_id;
  if connection.id is null then
    -- It may be another project's: Calendly must not delete it.
    perform calendly.raise_error('not_authentic', 'There is no such subscription.');
  elsif calendly.is_obsolete(subscription, connection, now_at) then
    perform calendly.raise_error('subscription_ended',
      'This subscription is not wanted any more: Calendly may delete it.');
  end if;
  return row(connection.user_id, connection.id, subscription.state <> 'ended',
    connection.scope = 'organization' and connection.members = 'everyone'
  )::calendly.delivery_source;
end
$$;
comment on function calendly.source_of_delivery(uuid, timestamptz) is
  'Which subscription delivers; null: one made by hand. Errors: not_authentic where it is not '
  'known; subscription_ended where nobody wants it any more, see calendly.is_obsolete.';

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
  user_ids integer[], source calendly.delivery_source, created_by text, now_at timestamptz
) returns void
language plpgsql set search_path = ''
as $$
declare
  -- A person's row is what everything else about them may wait for: it is written once a second.
  stale_before constant timestamptz := now_at - interval '1 second';
  confirmed integer[] := '{}'::integer[];
  touched integer[];
  unconfirmed integer[];
begin
  select array_agg(u.id) filter (where u.last_calendly_sync >= stale_before is not true),
      array_agg(u.id) filter (where not u.calendly_webhook_enabled)
    into touched, unconfirmed
    from public.calendly_users u
    where u.id = any (user_ids);
  -- Nearly always webhooks are known to come to all of them.
  if source.is_wanted and unconfirmed is not null then
    confirmed := array(
      select unnest(unconfirmed)
      intersect
      select unnest(calendly.users_with_working_webhooks(
        user_ids, source.connection_id, created_by)));
  end if;
  touched := touched || confirmed;
  if cardinality(touched) > 0 is not true then
    return;
  end if;
  perform calendly.lock_people(touched);
  update public.calendly_users u set last_calendly_sync = now_at where u.id = any (touched);
  if confirmed <> '{}' then
    perform calendly.set_webhook_enabled(confirmed, true);
  end if;
end
$$;
comment on function calendly.note_delivery(
  integer[], calendly.delivery_source, text, timestamptz) is
  'Notes with these users that a delivery was applied, and with those for whom it is a proof that '
  'webhooks come.';

create function calendly.sync_for_unmet_host(body jsonb, connection_id uuid, now_at timestamptz)
returns void
language plpgsql set search_path = ''
as $$
begin
  perform calendly.sync_sooner(array[c.user_id], now_at)
    from public.calendly_connections c
    where c.id = sync_for_unmet_host.connection_id
      and exists (
        select
        from unnest((calendly.read_event(body #> '{payload,scheduled_event}')).hosts) host (uri)
        where not exists (
          select from public.calendly_users u where u.calendly_user_uri = host.uri));
end
$$;
comment on function calendly.sync_for_unmet_host(jsonb, uuid, timestamptz) is
  'Makes a connection due where a delivery names a host whom it has not met. For a connection that '
  'keeps every host: see calendly.delivery_source.';

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
  subscriber integer, outcome calendly.delivery_outcome, body jsonb
) returns integer
language plpgsql stable set search_path = ''
as $$
begin
  return case
    -- A subscriber who is no host of it must not read it: see calendly.readable_user_ids.
    when outcome.user_ids <> '{}' and (subscriber = any (outcome.user_ids)) is not true
      then outcome.user_ids[1]
    when outcome.status = 'deferred' then coalesce(subscriber, calendly.user_of_deferred(body))
    else subscriber
  end;
end
$$;
comment on function calendly.user_of_delivery(integer, calendly.delivery_outcome, jsonb) is
  'Whose a delivery is: the subscriber''s as a host of what was applied, else the first host''s; '
  'the subscriber''s where nothing was applied.';

create function calendly.follow_delivery(
  outcome calendly.delivery_outcome, user_id integer, body jsonb,
  source calendly.delivery_source, now_at timestamptz
) returns void
language plpgsql set search_path = ''
as $$
begin
  -- The next sync reads the event, or meets the host.
  if outcome.status = 'deferred' then
    perform calendly.sync_sooner(array[follow_delivery.user_id], now_at);
  elsif source.keeps_everyone then
    perform calendly.sync_for_unmet_host(body, source.connection_id, now_at);
  end if;
  if outcome.status = 'processed' then
    perform calendly.note_delivery(outcome.user_ids, source, body ->> 'created_by', now_at);
  end if;
end
$$;
comment on function calendly.follow_delivery(
  calendly.delivery_outcome, integer, jsonb, calendly.delivery_source, timestamptz) is
  'Notes what follows from a delivery of this user. source: the subscription that has just brought '
  'it; null for a replay, which proves nothing of webhooks.';

create function calendly.delivery_answer(outcome calendly.delivery_outcome) returns jsonb
language plpgsql immutable set search_path = ''
as $$
begin
  return jsonb_build_object('status', outcome.status)
    || case outcome.status
      when 'processed' then jsonb_build_object('created', outcome.created)
      when 'deferred' then jsonb_build_object('error', outcome.error)
      else '{}'
    end;
end
$$;
comment on function calendly.delivery_answer(calendly.delivery_outcome) is
  'What the function is told of a delivery: {status, created?, error?}.';

-- RPCs -------------------------------------------------------------------------------------------

create function calendly.check_signature_age(signed_at timestamptz, now_at timestamptz) returns void
language plpgsql set search_path = ''
as $$
declare
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
comment on function calendly.check_signature_age(timestamptz, timestamptz) is
  'Refuses deliveries that were recorded long ago. Error: not_authentic.';

create function public.calendly_receive_webhook(delivery jsonb) returns jsonb
language plpgsql security definer set search_path = '' set lock_timeout = '5s' set jit = off
-- Every statement of a delivery is about a few rows that an index finds. A session keeps its plans,
-- also those that it made while the tables were empty.
set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
  now_at constant timestamptz := calendly.now();
  delivered_id constant text :=
    calendly.delivery_id(delivery -> 'body', delivery ->> 'digest');
  source calendly.delivery_source;
  body jsonb;
  outcome calendly.delivery_outcome;
  owner_id integer;
begin
  perform calendly.check_signature_age(
    to_timestamp((delivery ->> 'signed_at')::double precision), now_at);
  perform calendly.lock_against_erasure();
  source := calendly.source_of_delivery((delivery ->> 'subscription_id')::uuid, now_at);
  perform calendly.lock_delivery(delivered_id);
  if exists (select from public.calendly_webhook_events e where e.event_id = delivered_id) then
    return jsonb_build_object('status', 'duplicate', 'event_id', delivered_id);
  end if;

  body := calendly.storable_delivery(delivery -> 'body');
  outcome := calendly.try_delivery(body, source.user_id, now_at);
  owner_id := calendly.user_of_delivery(source.user_id, outcome, body);
  -- Stored once, with what became of it. Nobody else stores this id: see calendly.lock_delivery.
  insert into public.calendly_webhook_events
      (event_id, event_type, payload, processed_at, user_id, created_at, status, attempts, error)
    values (delivered_id, coalesce(body ->> 'event', 'unknown'),
      case when outcome.status <> 'ignored' then body end,
      case when outcome.status <> 'deferred' then now_at end,
      owner_id, now_at, outcome.status, 1, outcome.error);
  perform calendly.follow_delivery(outcome, owner_id, body, source, now_at);
  return calendly.delivery_answer(outcome) || jsonb_build_object('event_id', delivered_id);
end
$$;
comment on function public.calendly_receive_webhook(jsonb) is
  'Applies an authentic delivery and stores it, all or nothing. Takes {body, digest (SHA-256 of '
  'the raw body), signed_at (seconds since 1970), subscription_id?}. Returns {status: processed | '
  'duplicate | ignored | deferred, event_id, created?, error?}. Errors: not_authentic, '
  'subscription_ended.';

create function calendly.stored_delivery(id uuid) returns public.calendly_webhook_events
language plpgsql set search_path = ''
as $$
declare
  delivery public.calendly_webhook_events;
begin
  select e.* into delivery from public.calendly_webhook_events e
    where e.id = stored_delivery.id for update;
  if delivery.id is null then
    perform calendly.raise_error('not_found', 'There is no such webhook event.',
      'select id from calendly_webhook_events where status = ''dead'';');
  elsif delivery.payload is null then
    perform calendly.raise_error('payload_not_kept', case delivery.status
        when 'ignored' then 'This webhook event was ignored, and its payload is not kept.'
        else 'This webhook event was processed, and its payload is not kept any more.'
      end,
      'A sync brings what Calendly has: POST /functions/v1/calendly-sync.');
  end if;
  return delivery;
end
$$;
comment on function calendly.stored_delivery(uuid) is
  'Locks a delivery to apply it again: step 3 of the lock order. Errors: not_found, '
  'payload_not_kept.';

create type calendly.replayed_delivery as (
  user_id integer,
  body jsonb,
  outcome calendly.delivery_outcome
);
comment on type calendly.replayed_delivery is
  'A stored delivery that was applied again: whose it is now, and what became of it.';

create function calendly.apply_again(
  delivery public.calendly_webhook_events, now_at timestamptz
) returns calendly.replayed_delivery
language plpgsql set search_path = ''
as $$
declare
  outcome constant calendly.delivery_outcome :=
    calendly.try_delivery(delivery.payload, delivery.user_id, now_at);
  owner_id constant integer :=
    calendly.user_of_delivery(delivery.user_id, outcome, delivery.payload);
begin
  update public.calendly_webhook_events e
    set status = outcome.status, error = outcome.error, user_id = owner_id,
      attempts = 1,  -- as if it had just come
      processed_at = case when outcome.status <> 'deferred' then now_at end,
      payload = case when outcome.status <> 'ignored' then e.payload end
    where e.id = delivery.id;
  return row(owner_id, delivery.payload, outcome)::calendly.replayed_delivery;
end
$$;
comment on function calendly.apply_again(public.calendly_webhook_events, timestamptz) is
  'Applies a stored delivery that the caller has locked. calendly.follow_delivery comes after it.';

create function public.calendly_replay_webhook_event(id uuid) returns jsonb
language plpgsql security definer set search_path = '' set lock_timeout = '5s' set jit = off
set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
  now_at constant timestamptz := calendly.now();
  replayed calendly.replayed_delivery;
begin
  perform calendly.lock_against_erasure();
  replayed := calendly.apply_again(
    calendly.stored_delivery(calendly_replay_webhook_event.id), now_at);
  perform calendly.follow_delivery(
    replayed.outcome, replayed.user_id, replayed.body, null, now_at);
  return calendly.delivery_answer(replayed.outcome);
end
$$;
comment on function public.calendly_replay_webhook_event(uuid) is
  'Applies a stored delivery again, a dead one for instance: {status, created?, error?}. Errors: '
  'not_found, payload_not_kept.';

create function calendly.lock_dead_deliveries(since timestamptz, at_most integer)
returns public.calendly_webhook_events[]
language plpgsql set search_path = ''
as $$
begin
  return array(
    select e from public.calendly_webhook_events e
    where e.status = 'dead' and e.created_at >= coalesce(since, '-infinity')
    -- the order of the index of what is dead; one person's in the order in which they came
    order by e.user_id, e.created_at
    limit at_most
    for update skip locked);  -- a replay or a cleaner that works on it
end
$$;
comment on function calendly.lock_dead_deliveries(timestamptz, integer) is
  'Locks dead deliveries that came since then (null: all), at most so many.';

create function public.calendly_replay_dead(since timestamptz default null) returns integer
language plpgsql security definer set search_path = '' set lock_timeout = '5s' set jit = off
set plan_cache_mode = force_generic_plan set enable_seqscan = off set statement_timeout = '30s'
as $$
declare
  now_at constant timestamptz := calendly.now();
  slice constant integer := 100;
  dead public.calendly_webhook_events[];
  replayed calendly.replayed_delivery[];
begin
  -- Several deliveries in one transaction: each step of the lock order for all of them at once.
  perform calendly.lock_against_erasure();
  dead := calendly.lock_dead_deliveries(calendly_replay_dead.since, slice);
  perform calendly.lock_events(array(
    select uri from unnest(dead) d, unnest(calendly.events_of_delivery(d.payload)) uri));
  replayed := array(select calendly.apply_again(d, now_at) from unnest(dead) d);
  perform calendly.lock_people(array(
    select person from unnest(replayed) r, unnest((r.outcome).user_ids) person));
  perform calendly.follow_delivery(r.outcome, r.user_id, r.body, null, now_at)
    from unnest(replayed) r;
  return cardinality(dead);
end
$$;
comment on function public.calendly_replay_dead(timestamptz) is
  'Applies dead webhook events that came since then (null: all) again, at most 100 in a call, and '
  'returns how many. What fails again is deferred to the next sync. Call it until it returns 0.';

select calendly.revoke_all();
