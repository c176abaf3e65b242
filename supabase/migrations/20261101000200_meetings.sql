-- The meetings: one row per Calendly event and person whose meetings are kept. Apps read this table
-- under row level security; only the sync and the webhooks write what Calendly has (see
-- calendly.apply_events). Rows are never removed when a meeting is: is_deleted says so, and why.

create function calendly.guest_emails(event jsonb) returns text[]
language sql immutable set search_path = ''
as $$
  -- no e-mail is longer than 320 characters, and a longer text must not break the index
  select coalesce(array_agg(left(lower(guest ->> 'email'), 320)), '{}')
  from jsonb_array_elements(case jsonb_typeof(event -> 'event_guests')
    when 'array' then event -> 'event_guests' else '[]' end) guest
$$;
comment on function calendly.guest_emails(jsonb) is
  'The e-mails of an event''s guests: for the indexes by which a person who is erased is found.';

create table public.calendly_meetings (
  id bigint generated always as identity,
  user_id integer not null references public.calendly_users (id) on delete cascade,
  calendly_event_uri text,
  name text,
  status text check (status in ('active', 'canceled')),
  start_time timestamptz,
  end_time timestamptz,
  event_type_uri text,
  location_type text,
  join_url text,
  cancellation jsonb,
  rescheduled_from text,
  rescheduled_to text,
  is_deleted boolean not null default false,
  deleted_at timestamptz,
  deleted_reason text check (deleted_reason in ('canceled', 'gone', 'reassigned')),
  synced_via_webhook boolean not null default false,
  calendly_created_at timestamptz,
  calendly_updated_at timestamptz,
  created_at timestamptz default now(),
  updated_at timestamptz default now(),
  raw jsonb
);

-- all rows of one event: for merging, and for webhooks
create index calendly_meetings_calendly_event_uri_idx
  on public.calendly_meetings (calendly_event_uri);

-- a person's calendar, and what a listing of a range should have shown
create index calendly_meetings_user_start_idx on public.calendly_meetings (user_id, start_time);

-- health counts a person's meetings from the index alone
create index calendly_meetings_health_idx on public.calendly_meetings (user_id)
  include (is_deleted, synced_via_webhook, updated_at) where calendly_event_uri is not null;

-- conferences that Calendly is still making
create index calendly_meetings_unsettled_idx on public.calendly_meetings (user_id, end_time)
  where not is_deleted and raw #>> '{location,status}' in ('initiated', 'processing');

-- guests: a person who is erased may be one
create index calendly_meetings_guests_idx
  on public.calendly_meetings using gin (calendly.guest_emails(raw))
  where raw -> 'event_guests' <> '[]';

-- Each key has user_id in it, so that the table could be distributed or partitioned by user_id. id
-- comes first, because apps also look up meetings by it alone. Keys are made after the indexes, the
-- primary key last: a session keeps the plan of a foreign key's check, perhaps from when the table
-- was empty, and of indexes that seem equally good then, Postgres takes the one made last.
alter table public.calendly_meetings
  add constraint calendly_meetings_calendly_event_key unique (user_id, calendly_event_uri),
  add primary key (id, user_id);

comment on table public.calendly_meetings is
  'One row per Calendly event and host whose meetings are kept. Rows that an app''s server has '
  'added without calendly_event_uri are left alone.';
comment on column public.calendly_meetings.id is
  'Names the meeting by itself: always taken from the identity''s sequence, which gives no number '
  'twice. A foreign key refers to (id, user_id).';
comment on column public.calendly_meetings.user_id is
  'Whose meeting it is: a host. An event with two hosts who are kept has two rows.';
comment on column public.calendly_meetings.calendly_event_uri is
  'The event''s URI at Calendly: a name, never fetched as an address.';
comment on column public.calendly_meetings.status is
  'Calendly''s: active or canceled. Canceled is final.';
comment on column public.calendly_meetings.location_type is
  'Calendly''s location type: zoom, google_conference, physical, …; null without a location.';
comment on column public.calendly_meetings.join_url is 'The conference''s link, if any.';
comment on column public.calendly_meetings.cancellation is
  '{canceled_by, reason, canceler_type, created_at} as Calendly has it.';
comment on column public.calendly_meetings.rescheduled_from is
  'URI of the event that this one replaces.';
comment on column public.calendly_meetings.rescheduled_to is
  'URI of the event that replaces this one.';
comment on column public.calendly_meetings.is_deleted is
  'True for what is no longer in the person''s calendar. The row stays.';
comment on column public.calendly_meetings.deleted_at is
  'When it was canceled, or found to be gone or reassigned.';
comment on column public.calendly_meetings.deleted_reason is
  'canceled; gone: Calendly no longer has it; reassigned: this user is no longer a host.';
comment on column public.calendly_meetings.synced_via_webhook is
  'True once a webhook has written the row.';
comment on column public.calendly_meetings.calendly_created_at is 'Calendly''s created_at.';
comment on column public.calendly_meetings.calendly_updated_at is
  'Calendly''s updated_at: an older snapshot never replaces a newer one. Null where only a webhook '
  'without a time has told of the event.';
comment on column public.calendly_meetings.created_at is 'When the row was made here.';
comment on column public.calendly_meetings.updated_at is 'When the row was last written here.';
comment on column public.calendly_meetings.raw is
  'The event as Calendly sent it, without conference passwords.';

alter table public.calendly_meetings enable row level security;

create policy "People read the meetings of those whom they may read" on public.calendly_meetings
  for select to authenticated
  using (user_id = any ((select calendly.readable_user_ids())::integer[]));

select calendly.revoke_all();
