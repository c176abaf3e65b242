-- Erasing a person by e-mail. What is stored of them is made anonymous at once, and a mark of the
-- e-mail (a salted digest) keeps the next sync, a late delivery and a replay from bringing them
-- back. The rows stay: seats still count. Erasing a Calendly user, with all rows, is another thing:
-- see calendly_disconnect.

create table calendly.erased_people (
  email_digest bytea primary key,
  erased_at timestamptz not null
);

alter table calendly.erased_people enable row level security;

comment on table calendly.erased_people is
  'Marks of people who were erased: no way leads from a mark back to the e-mail.';

create function calendly.email_digest(email text) returns bytea
language plpgsql stable set search_path = ''
as $$
begin
  return (
    select sha256(convert_to(p.salt || ' ' || lower(trim(email)), 'UTF8')) from calendly.project p);
end
$$;
comment on function calendly.email_digest(text) is 'The mark for an e-mail, whatever its case.';

create function calendly.is_erased(email text) returns boolean
language plpgsql stable set search_path = ''
as $$
begin
  return exists (
    select from calendly.erased_people e where e.email_digest = calendly.email_digest(email));
end
$$;
comment on function calendly.is_erased(text) is 'Was the person with this e-mail erased?';

-- What may be stored ------------------------------------------------------------------------------

create function calendly.redacted_invitee(invitee jsonb) returns jsonb
language plpgsql immutable set search_path = ''
as $$
begin
  -- what names, times and counts the seat, and nothing else
  return '{"email": null, "name": null}' || coalesce((
    select jsonb_object_agg(kept.key, kept.value)
    from jsonb_each(invitee) kept
    where kept.key in ('uri', 'event', 'status', 'created_at', 'updated_at', 'no_show',
      'rescheduled', 'old_invitee', 'new_invitee', 'scheduling_method')), '{}');
end
$$;
comment on function calendly.redacted_invitee(jsonb) is
  'An invitee without everything that tells who it is.';

create function calendly.redact_erased_invitee(invitee jsonb) returns jsonb
language plpgsql stable set search_path = ''
as $$
begin
  return case
    when not exists (select from calendly.erased_people) then invitee
    when calendly.is_erased(invitee ->> 'email') then calendly.redacted_invitee(invitee)
    else invitee
  end;
end
$$;
comment on function calendly.redact_erased_invitee(jsonb) is 'An invitee as it may be stored.';

create function calendly.redact_invitee_details(event jsonb) returns jsonb
language plpgsql immutable set search_path = ''
as $$
begin
  -- who canceled, and why; where the invitee is to be called or met
  return case event #>> '{cancellation,canceler_type}'
      when 'invitee' then event #- '{cancellation,canceled_by}' #- '{cancellation,reason}'
      else event
    end
    #- case when event #>> '{location,type}' in ('outbound_call', 'ask_invitee')
      then '{location,location}' else '{}' end::text[];
end
$$;
comment on function calendly.redact_invitee_details(jsonb) is
  'An event without what it tells of its invitee.';

create function calendly.redact_erased_guests(event jsonb) returns jsonb
language plpgsql stable set search_path = ''
as $$
begin
  if jsonb_typeof(event -> 'event_guests') is distinct from 'array'
      or event -> 'event_guests' = '[]'
      or not exists (select from calendly.erased_people) then
    return event;
  end if;
  return jsonb_set(event, '{event_guests}', (
    select coalesce(jsonb_agg(guest order by place), '[]')
    from jsonb_array_elements(event -> 'event_guests') with ordinality guests (guest, place)
    where not calendly.is_erased(guest ->> 'email')));
end
$$;
comment on function calendly.redact_erased_guests(jsonb) is
  'An event without guests who were erased.';

create function calendly.redact_erased_event(event jsonb) returns jsonb
language plpgsql stable set search_path = ''
as $$
begin
  if not exists (select from calendly.erased_people) then
    return event;
  end if;
  -- An event does not tell who its invitees are: the invitees that are stored do.
  if exists (
      select
      from public.calendly_meetings m
      cross join lateral (
        select v.raw from public.calendly_invitees v where v.meeting_id = m.id
        offset 0
      ) invitee
      where m.calendly_event_uri = event ->> 'uri' and invitee.raw -> 'email' = 'null') then
    event := calendly.redact_invitee_details(event);
  end if;
  return calendly.redact_erased_guests(event);
end
$$;
comment on function calendly.redact_erased_event(jsonb) is
  'An event without guests and invitees who were erased.';

create function calendly.redact_erased_delivery(delivery jsonb) returns jsonb
language plpgsql stable set search_path = ''
as $$
declare
  payload constant jsonb := delivery -> 'payload';
  event jsonb := payload -> 'scheduled_event';
begin
  if jsonb_typeof(payload) is distinct from 'object'
      or not exists (select from calendly.erased_people) then
    return delivery;
  end if;
  if calendly.is_erased(payload ->> 'email') then
    event := calendly.redact_invitee_details(event);
  end if;
  return jsonb_set(delivery, '{payload}',
    calendly.redact_erased_invitee(payload - 'scheduled_event')
      || case when payload ? 'scheduled_event'
        then jsonb_build_object('scheduled_event', calendly.redact_erased_guests(event))
        else '{}' end);
end
$$;
comment on function calendly.redact_erased_delivery(jsonb) is 'A delivery as it may be stored.';

-- Erasing what is stored --------------------------------------------------------------------------

create function calendly.erase_from_deliveries(erased_email text) returns integer
language plpgsql set search_path = ''
as $$
declare
  erased integer;
begin
  update public.calendly_webhook_events e
    set payload = calendly.redact_erased_delivery(e.payload)
    where left(lower(e.payload #>> '{payload,email}'), 320) = erased_email
      or (e.payload #> '{payload,scheduled_event,event_guests}' <> '[]'
        and calendly.guest_emails(e.payload #> '{payload,scheduled_event}')
          @> array[erased_email]);
  get diagnostics erased = row_count;
  return erased;
end
$$;
comment on function calendly.erase_from_deliveries(text) is
  'Removes a person who is marked as erased from the stored deliveries; returns how many told of '
  'them.';

create function calendly.erase_from_invitees(erased_email text) returns setof text
language sql set search_path = ''
as $$
  with erased as (
    update public.calendly_invitees v
      set email = null, name = null, timezone = null, questions_and_answers = null,
        tracking = null, payment = null, raw = calendly.redacted_invitee(v.raw),
        updated_at = calendly.now()
      where left(lower(v.email), 320) = erased_email
      returning v.meeting_id
  )
  select m.calendly_event_uri from erased e join public.calendly_meetings m on m.id = e.meeting_id
$$;
comment on function calendly.erase_from_invitees(text) is
  'Makes the invitees with this e-mail anonymous; returns the event of each.';

create function calendly.erase_from_events(event_uris text[]) returns integer
language plpgsql set search_path = ''
as $$
declare
  erased integer;
begin
  if event_uris = '{}' or not exists (select from calendly.erased_people) then
    return 0;
  end if;
  update public.calendly_meetings m
    set raw = clean.event, updated_at = calendly.now(),
      cancellation = case when m.cancellation is not null then clean.event -> 'cancellation' end
    from (
      select k.id, calendly.redact_erased_event(k.raw) as event
      from public.calendly_meetings k
      where k.calendly_event_uri = any (event_uris)
    ) clean
    where m.calendly_event_uri = any (event_uris)
      and m.id = clean.id and m.raw is distinct from clean.event;
  get diagnostics erased = row_count;
  return erased;
end
$$;
comment on function calendly.erase_from_events(text[]) is
  'Removes people who were erased from the meetings of these events; returns how many meetings '
  'told of them.';

create function public.calendly_erase_invitee(email text) returns jsonb
language plpgsql security definer set search_path = ''
as $$
declare
  erased_email constant text := lower(trim(calendly_erase_invitee.email));
  invited_to text[];
  guest_of text[];
begin
  if erased_email ~ '^[^@\s]+@[^@\s]+$' is not true then
    perform calendly.raise_error('invalid_email', 'That is no e-mail.',
      'select calendly_erase_invitee(''jane@example.com'');');
  end if;
  -- Whoever is writing ends first, and whoever writes later sees the mark.
  perform calendly.lock_for_erasure();
  insert into calendly.erased_people (email_digest, erased_at)
    values (calendly.email_digest(erased_email), calendly.now())
    on conflict do nothing;

  invited_to := array(select calendly.erase_from_invitees(erased_email));
  guest_of := array(
    select m.calendly_event_uri from public.calendly_meetings m
    where m.raw -> 'event_guests' <> '[]'
      and calendly.guest_emails(m.raw) @> array[erased_email]
      and m.calendly_event_uri is not null);
  return jsonb_build_object(
    'invitees', cardinality(invited_to),
    'meetings', calendly.erase_from_events(invited_to || guest_of),
    'webhook_events', calendly.erase_from_deliveries(erased_email));
end
$$;
comment on function public.calendly_erase_invitee(text) is
  'Erases a person from invitees, guests, events and deliveries, for good. Returns what it has '
  'changed: {invitees, meetings, webhook_events}. Error: invalid_email.';

select calendly.revoke_all();
