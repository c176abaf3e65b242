-- Erasing a person by e-mail. What is stored of them is made anonymous at once, and a mark of the
-- e-mail (a salted digest) keeps the next sync, a late delivery and a replay from bringing them
-- back. The rows stay: seats still count. Erasing a Calendly user, with all rows, is another thing:
-- see calendly_disconnect.
--
-- A later booking by a person who was erased is stored without what tells who it is, like the
-- earlier ones. Calendly does not tell whether they have agreed anew, and their host sees them at
-- Calendly. Where they have agreed, an operator deletes the mark:
--   delete from calendly.erased_people where email_digest = calendly.email_digest('…');

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
    select sha256(convert_to(p.salt || ' ' || calendly.normal_email(email), 'UTF8'))
    from calendly.project p);
end
$$;
comment on function calendly.email_digest(text) is
  'The mark for an e-mail, in whichever form: see calendly.normal_email.';

create function calendly.is_erased(email text) returns boolean
language plpgsql stable set search_path = ''
as $$
begin
  return exists (
    select from calendly.erased_people e where e.email_digest = calendly.email_digest(email));
end
$$;
comment on function calendly.is_erased(text) is 'Was the person with this e-mail erased?';

create function calendly.names_erased(document jsonb) returns boolean
language plpgsql stable set search_path = ''
as $$
begin
  return exists (
    select from unnest(calendly.emails_in(document)) email where calendly.is_erased(email));
end
$$;
comment on function calendly.names_erased(jsonb) is
  'Is the e-mail of a person who was erased anywhere in it?';

-- What may be stored ------------------------------------------------------------------------------

create function calendly.redacted_invitee(invitee jsonb) returns jsonb
language plpgsql immutable set search_path = ''
as $$
begin
  -- what names, times and counts the seat, and nothing else
  return '{"email": null, "name": null, "erased": true}' || coalesce((
    select jsonb_object_agg(kept.key, kept.value)
    from jsonb_each(invitee) kept
    where kept.key in ('uri', 'event', 'status', 'created_at', 'updated_at', 'no_show',
      'rescheduled', 'old_invitee', 'new_invitee', 'scheduling_method')), '{}');
end
$$;
comment on function calendly.redacted_invitee(jsonb) is
  'An invitee without everything that tells who it is. erased: it is the mark of one, because an '
  'invitee may also have no e-mail at Calendly.';

create function calendly.redact_erased_text(content text) returns text
language plpgsql stable set search_path = ''
as $$
declare
  -- as it was, where nobody is found
  redacted text := calendly.folded(content);
  word text;
  is_found boolean := false;
begin
  for word in
    select w from calendly.email_words(redacted) w
    where calendly.is_erased(w) order by length(w) desc
  loop
    redacted := replace(redacted, word, '[erased]');
    is_found := true;
  end loop;
  return case when is_found then redacted else content end;
end
$$;
comment on function calendly.redact_erased_text(text) is
  'A text without the e-mails of people who were erased.';

create function calendly.redact_erased_json(value jsonb) returns jsonb
language plpgsql stable set search_path = ''
as $$
begin
  return case jsonb_typeof(value)
    when 'string' then to_jsonb(calendly.redact_erased_text(value #>> '{}'))
    when 'array' then (
      select coalesce(jsonb_agg(calendly.redact_erased_json(item) order by place), '[]')
      from jsonb_array_elements(value) with ordinality items (item, place))
    when 'object' then case
      when calendly.is_erased(value ->> 'email') then calendly.redacted_invitee(value)
      else (
        select coalesce(jsonb_object_agg(calendly.redact_erased_text(part.key), case
          when part.key = 'event_memberships' then part.value
          else calendly.redact_erased_json(part.value) end), '{}')
        from jsonb_each(value) part)
      end
    else value
  end;
end
$$;
comment on function calendly.redact_erased_json(jsonb) is
  'What Calendly sent, without people who were erased: an object with the e-mail of one tells no '
  'more than an invitee who was erased, and from a text the e-mail goes. Hosts stay.';

create function calendly.redact_erased_invitee(invitee jsonb) returns jsonb
language plpgsql stable set search_path = ''
as $$
begin
  return case
    when not exists (select from calendly.erased_people) then invitee
    when calendly.is_erased(invitee ->> 'email') then calendly.redacted_invitee(invitee)
    -- in an answer, for instance
    when calendly.names_erased(invitee) then calendly.redact_erased_json(invitee)
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
    #- case when lower(event #>> '{location,type}') in ('outbound_call', 'ask_invitee')
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
      where m.calendly_event_uri = event ->> 'uri' and invitee.raw -> 'erased' = 'true') then
    event := calendly.redact_invitee_details(event);
  end if;
  event := calendly.redact_erased_guests(event);
  return case when calendly.names_erased(event) then calendly.redact_erased_json(event)
    else event end;
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
  if not exists (select from calendly.erased_people) then
    return delivery;
  elsif jsonb_typeof(payload) is distinct from 'object' then
    return case when calendly.names_erased(delivery) then calendly.redact_erased_json(delivery)
      else delivery end;
  elsif calendly.is_erased(payload ->> 'email') then
    event := calendly.redact_invitee_details(event);
  end if;
  delivery := jsonb_set(delivery, '{payload}',
    calendly.redact_erased_invitee(payload - 'scheduled_event')
      || case when payload ? 'scheduled_event'
        then jsonb_build_object('scheduled_event', calendly.redact_erased_guests(event))
        else '{}' end);
  return case when calendly.names_erased(delivery) then calendly.redact_erased_json(delivery)
    else delivery end;
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
    where calendly.emails_in(e.payload) @> array[erased_email] and e.payload is not null;
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
  with told as (
    select v.id, v.user_id, calendly.redact_erased_invitee(v.raw) as invitee
    from public.calendly_invitees v
    where calendly.emails_in(v.raw) @> array[erased_email]
  ), erased as (
    update public.calendly_invitees v
      set email = t.invitee ->> 'email', name = t.invitee ->> 'name',
        timezone = t.invitee ->> 'timezone',
        questions_and_answers = nullif(t.invitee -> 'questions_and_answers', 'null'),
        tracking = nullif(t.invitee -> 'tracking', 'null'),
        payment = nullif(t.invitee -> 'payment', 'null'),
        raw = t.invitee, updated_at = calendly.now()
      from told t
      where v.id = t.id and v.user_id = t.user_id
      returning v.meeting_id
  )
  select m.calendly_event_uri from erased e join public.calendly_meetings m on m.id = e.meeting_id
$$;
comment on function calendly.erase_from_invitees(text) is
  'Makes the invitees with this e-mail anonymous, and removes it from what others have written; '
  'returns the event of each.';

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
    set raw = clean.event, updated_at = calendly.now(), name = clean.event ->> 'name',
      location = place.location, join_url = place.join_url,
      cancellation = case when m.cancellation is not null then clean.event -> 'cancellation' end
    from (
      select k.id, calendly.redact_erased_event(k.raw) as event
      from public.calendly_meetings k
      where k.calendly_event_uri = any (event_uris)
    ) clean
    cross join lateral calendly.read_location(clean.event -> 'location') place
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
  erased_email constant text := calendly.normal_email(calendly_erase_invitee.email);
  invited_to text[];
  named_in text[];
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
  named_in := array(
    select m.calendly_event_uri from public.calendly_meetings m
    where calendly.emails_in(m.raw) @> array[erased_email] and calendly.emails_in(m.raw) <> '{}'
      and m.calendly_event_uri is not null);
  return jsonb_build_object(
    'invitees', cardinality(invited_to),
    'meetings', calendly.erase_from_events(invited_to || named_in),
    'webhook_events', calendly.erase_from_deliveries(erased_email));
end
$$;
comment on function public.calendly_erase_invitee(text) is
  'Erases a person from invitees, guests, events and deliveries, for good, wherever the e-mail is, '
  'in any case and Unicode form. Returns what it has changed: {invitees, meetings, '
  'webhook_events}. Error: invalid_email.';

select calendly.revoke_all();
