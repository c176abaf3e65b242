-- Erasing a person by e-mail. What is stored is made anonymous at once, and a one-way mark keeps the next
-- sync, a late delivery and a replay from bringing the person back. The rows stay: seats still count.

create table calendly.forgotten (
  email_digest bytea primary key,
  forgotten_at timestamptz not null
);
alter table calendly.forgotten enable row level security;
revoke all on calendly.forgotten from public, anon, authenticated, service_role;
comment on table calendly.forgotten is 'Marks of people who were erased: no way leads from a mark back to the e-mail.';

create function calendly.hold_off_forgetting() returns void
language sql set search_path = ''
as $$
  select pg_advisory_xact_lock_shared(hashtextextended('calendly.forget', 0))
$$;
revoke all on function calendly.hold_off_forgetting() from public, anon, authenticated, service_role;
comment on function calendly.hold_off_forgetting() is
  'Taken before anything of Calendly''s is read for writing: nobody is erased between the reading and the writing.';

create function calendly.email_digest(email text) returns bytea
language sql stable set search_path = ''
as $$
  select sha256(convert_to(p.salt || ' ' || lower(trim(email)), 'UTF8')) from calendly.project p
$$;
revoke all on function calendly.email_digest(text) from public, anon, authenticated, service_role;
comment on function calendly.email_digest(text) is 'The mark for an e-mail, whatever its case.';

create function calendly.is_forgotten(email text) returns boolean
language sql stable set search_path = ''
as $$
  select exists (select from calendly.forgotten f where f.email_digest = calendly.email_digest(email))
$$;
revoke all on function calendly.is_forgotten(text) from public, anon, authenticated, service_role;
comment on function calendly.is_forgotten(text) is 'Was the person with this e-mail erased?';

create function calendly.anonymous_invitee(invitee jsonb) returns jsonb
language sql immutable set search_path = ''
as $$
  -- what names, times and counts the seat, and nothing else
  select coalesce(jsonb_object_agg(kept.key, kept.value), '{}') || '{"email": null, "name": null}'
  from jsonb_each(invitee) kept
  where kept.key in ('uri', 'event', 'status', 'created_at', 'updated_at', 'no_show', 'rescheduled', 'old_invitee', 'new_invitee', 'scheduling_method')
$$;
revoke all on function calendly.anonymous_invitee(jsonb) from public, anon, authenticated, service_role;
comment on function calendly.anonymous_invitee(jsonb) is 'An invitee without everything that tells who it is.';

create function calendly.without_forgotten_invitee(invitee jsonb) returns jsonb
language sql stable set search_path = ''
as $$
  select case when not exists (select from calendly.forgotten) or not calendly.is_forgotten(invitee ->> 'email') then invitee
    else calendly.anonymous_invitee(invitee) end
$$;
revoke all on function calendly.without_forgotten_invitee(jsonb) from public, anon, authenticated, service_role;
comment on function calendly.without_forgotten_invitee(jsonb) is 'An invitee as it may be stored.';

create function calendly.without_invitee(event jsonb) returns jsonb
language sql immutable set search_path = ''
as $$
  -- who canceled, and why; where the invitee is to be called or met
  select case when event #>> '{cancellation,canceler_type}' = 'invitee' then event #- '{cancellation,canceled_by}' #- '{cancellation,reason}' else event end
    #- case when event #>> '{location,type}' in ('outbound_call', 'ask_invitee') then '{location,location}' else '{}' end::text[]
$$;
revoke all on function calendly.without_invitee(jsonb) from public, anon, authenticated, service_role;
comment on function calendly.without_invitee(jsonb) is 'An event without what it tells of its invitee.';

create function calendly.without_forgotten_guests(event jsonb) returns jsonb
language sql stable set search_path = ''
as $$
  select case
    when jsonb_typeof(event -> 'event_guests') is distinct from 'array' or event -> 'event_guests' = '[]'
      or not exists (select from calendly.forgotten) then event
    else jsonb_set(event, '{event_guests}', (
      select coalesce(jsonb_agg(guest order by place), '[]')
      from jsonb_array_elements(event -> 'event_guests') with ordinality guests (guest, place)
      where not calendly.is_forgotten(guest ->> 'email')))
  end
$$;
revoke all on function calendly.without_forgotten_guests(jsonb) from public, anon, authenticated, service_role;
comment on function calendly.without_forgotten_guests(jsonb) is 'An event as it may be stored: without guests who were erased.';

create function calendly.without_forgotten(delivery jsonb) returns jsonb
language plpgsql stable set search_path = ''
as $$
begin
  if jsonb_typeof(delivery -> 'payload') is distinct from 'object' or not exists (select from calendly.forgotten) then
    return delivery;
  end if;
  return jsonb_set(delivery, '{payload}', calendly.without_forgotten_invitee((delivery -> 'payload') - 'scheduled_event')
    || case when delivery -> 'payload' ? 'scheduled_event' then jsonb_build_object('scheduled_event', calendly.without_forgotten_guests(
        case when calendly.is_forgotten(delivery #>> '{payload,email}') then calendly.without_invitee(delivery #> '{payload,scheduled_event}')
          else delivery #> '{payload,scheduled_event}' end))
      else '{}' end);
end
$$;
revoke all on function calendly.without_forgotten(jsonb) from public, anon, authenticated, service_role;
comment on function calendly.without_forgotten(jsonb) is 'A delivery as it may be stored.';

create function calendly.without_forgotten_person(event jsonb) returns jsonb
language sql stable set search_path = ''
as $$
  select case
    when not exists (select from calendly.forgotten) then event
    -- an event does not tell who its invitees are: those that are stored do
    when exists (
      select from public.meetings m join public.meeting_invitees v on v.meeting_id = m.id
      where m.calendly_event_uri = event ->> 'uri' and v.raw -> 'email' = 'null') then calendly.without_forgotten_guests(calendly.without_invitee(event))
    else calendly.without_forgotten_guests(event)
  end
$$;
revoke all on function calendly.without_forgotten_person(jsonb) from public, anon, authenticated, service_role;
comment on function calendly.without_forgotten_person(jsonb) is 'An event as it may be stored: without guests and invitees who were erased.';

create function calendly.erase_from_events(event_uris text[]) returns text[]
language plpgsql set search_path = ''
as $$
declare
  erased text[];
begin
  with changed as (
    update public.meetings m
      set raw = clean.event, updated_at = calendly.now(),
        cancellation = case when m.cancellation is not null then clean.event -> 'cancellation' end
      from (
        select k.id, calendly.without_forgotten_person(k.raw) as event
        from public.meetings k where k.calendly_event_uri = any (event_uris)
      ) clean
      where m.id = clean.id and m.raw is distinct from clean.event
      returning m.id::text
  )
  select coalesce(array_agg(c.id), '{}') into erased from changed c;
  return erased;
end
$$;
revoke all on function calendly.erase_from_events(text[]) from public, anon, authenticated, service_role;
comment on function calendly.erase_from_events(text[]) is 'Removes people who were erased from these events'' meetings, and returns the meetings that told of them.';

create function calendly.guest_emails(event jsonb) returns text[]
language sql immutable set search_path = ''
as $$
  select coalesce(array_agg(left(lower(guest ->> 'email'), 320)), '{}')
  from jsonb_array_elements(case when jsonb_typeof(event -> 'event_guests') = 'array' then event -> 'event_guests' else '[]' end) guest
$$;
revoke all on function calendly.guest_emails(jsonb) from public, anon, authenticated, service_role;
-- an index's function runs with the rights of whoever writes the row: an app's server may write meetings
grant execute on function calendly.guest_emails(jsonb) to service_role;
comment on function calendly.guest_emails(jsonb) is 'The guests of an event, for the index that finds them.';

-- Who is to be forgotten is found wherever that person may be. No e-mail is longer than 320 characters,
-- and what is not one must not be too long for an index.
create index meeting_invitees_email_idx on public.meeting_invitees (left(lower(email), 320));
create index if not exists meetings_guests_idx on public.meetings using gin (calendly.guest_emails(raw)) where raw -> 'event_guests' <> '[]';
create index calendly_webhook_events_email_idx on public.calendly_webhook_events (left(lower(payload #>> '{payload,email}'), 320));
create index calendly_webhook_events_guests_idx on public.calendly_webhook_events
  using gin (calendly.guest_emails(payload #> '{payload,scheduled_event}')) where payload #> '{payload,scheduled_event,event_guests}' <> '[]';

create function public.calendly_forget_invitee(email text) returns jsonb
language plpgsql security definer set search_path = ''
as $$
declare
  at constant timestamptz := calendly.now();
  person constant text := lower(trim(calendly_forget_invitee.email));
  uris text[];
  invitees integer;
  deliveries integer;
begin
  if person !~ '^[^@\s]+@[^@\s]+$' then
    perform calendly.fail('invalid_email', 'That is no e-mail.', 'select calendly_forget_invitee(''jane@example.com'');');
  end if;
  -- whoever is applying anything ends first, and whoever comes later sees the mark
  perform pg_advisory_xact_lock(hashtextextended('calendly.forget', 0));
  insert into calendly.forgotten (email_digest, forgotten_at) values (calendly.email_digest(person), at) on conflict do nothing;

  update public.calendly_webhook_events e set payload = calendly.without_forgotten(e.payload)
    where left(lower(e.payload #>> '{payload,email}'), 320) = person
      or (e.payload #> '{payload,scheduled_event,event_guests}' <> '[]' and calendly.guest_emails(e.payload #> '{payload,scheduled_event}') @> array[person]);
  get diagnostics deliveries = row_count;

  with erased as (
    update public.meeting_invitees v
      set email = null, name = null, timezone = null, questions_and_answers = null, tracking = null, payment = null,
        raw = calendly.anonymous_invitee(v.raw), updated_at = at
      where left(lower(v.email), 320) = person
      returning v.meeting_id
  )
  select count(*), coalesce(array_agg(m.calendly_event_uri), '{}') into invitees, uris
    from erased e join public.meetings m on m.id = e.meeting_id;
  uris := uris || array(
    select m.calendly_event_uri from public.meetings m
    where m.raw -> 'event_guests' <> '[]' and calendly.guest_emails(m.raw) @> array[person] and m.calendly_event_uri is not null);
  return jsonb_build_object('invitees', invitees, 'meetings', cardinality(calendly.erase_from_events(uris)), 'webhook_events', deliveries);
end
$$;
revoke all on function public.calendly_forget_invitee(text) from public, anon, authenticated, service_role;
grant execute on function public.calendly_forget_invitee(text) to service_role;
comment on function public.calendly_forget_invitee(text) is
  'Erases a person from invitees, guests, events and deliveries, for good, and returns the counts {invitees, meetings, webhook_events}. Error: invalid_email.';
