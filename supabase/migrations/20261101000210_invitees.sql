-- The invitees: everyone who has booked a seat in a meeting. A group event has many, and one
-- invitee who cancels does not cancel the meeting. Each invitee has a time of its own, and the mark
-- as a no-show another one, because Calendly's updated_at does not move when somebody is marked.

create table public.calendly_invitees (
  id bigint generated always as identity,
  meeting_id bigint not null,
  user_id integer not null references public.calendly_users (id) on delete cascade,
  uri text not null,
  email text,
  name text,
  timezone text,
  status text not null check (status in ('active', 'canceled')),
  questions_and_answers jsonb,
  tracking jsonb,
  payment jsonb,
  no_show_at timestamptz,
  no_show_uri text,
  no_show_known_at timestamptz,
  rescheduled boolean not null,
  old_invitee text,
  new_invitee text,
  calendly_created_at timestamptz,
  calendly_updated_at timestamptz,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  raw jsonb not null,
  foreign key (meeting_id, user_id)
    references public.calendly_meetings (id, user_id) on delete cascade
);

create index calendly_invitees_user_idx on public.calendly_invitees (user_id);

-- the other half of a reschedule
create index calendly_invitees_old_idx on public.calendly_invitees (old_invitee)
  where old_invitee is not null;
create index calendly_invitees_new_idx on public.calendly_invitees (new_invitee)
  where new_invitee is not null;

-- a person who is erased is found by e-mail: the own one, or one in an answer of somebody else
create index calendly_invitees_emails_idx
  on public.calendly_invitees using gin (calendly.emails_in(raw));

-- user_id is in each key, and the keys are made last: see calendly_meetings
alter table public.calendly_invitees
  add constraint calendly_invitees_uri_key unique (meeting_id, user_id, uri),
  add primary key (id, user_id);

comment on table public.calendly_invitees is
  'Everyone who booked a seat in a meeting, canceled seats included. Guests are in event_guests '
  'of calendly_meetings.raw.';
comment on column public.calendly_invitees.id is
  'Names the invitee by itself: always taken from the identity''s sequence.';
comment on column public.calendly_invitees.meeting_id is
  'The meeting: one of each host who is kept, so that an invitee of two hosts has two rows.';
comment on column public.calendly_invitees.user_id is
  'Whose meeting it is: for row level security. The foreign key makes it the meeting''s own.';
comment on column public.calendly_invitees.uri is 'The invitee''s URI at Calendly.';
comment on column public.calendly_invitees.email is 'As Calendly has it.';
comment on column public.calendly_invitees.name is 'As Calendly has it.';
comment on column public.calendly_invitees.timezone is
  'IANA name as Calendly has it, old aliases included.';
comment on column public.calendly_invitees.status is
  'Calendly''s: active or canceled. Canceled is final.';
comment on column public.calendly_invitees.questions_and_answers is
  '[{question, answer, position}].';
comment on column public.calendly_invitees.tracking is
  '{utm_campaign, utm_source, utm_medium, utm_content, utm_term, salesforce_uuid}.';
comment on column public.calendly_invitees.payment is
  '{external_id, provider, amount, currency, terms, successful}, or null.';
comment on column public.calendly_invitees.no_show_at is
  'When the invitee was marked as a no-show; null: is not marked.';
comment on column public.calendly_invitees.no_show_uri is 'URI of the mark.';
comment on column public.calendly_invitees.no_show_known_at is
  'As of when it is known whether the invitee is marked: calendly_updated_at does not move then.';
comment on column public.calendly_invitees.rescheduled is
  'True where the seat was given up by rescheduling.';
comment on column public.calendly_invitees.old_invitee is
  'URI of the invitee that this booking replaces.';
comment on column public.calendly_invitees.new_invitee is
  'URI of the invitee that replaces this booking.';
comment on column public.calendly_invitees.calendly_created_at is 'Calendly''s created_at.';
comment on column public.calendly_invitees.calendly_updated_at is
  'Calendly''s updated_at: an older snapshot never replaces a newer one. Null where only a webhook '
  'without a time has told of the invitee.';
comment on column public.calendly_invitees.created_at is 'When the row was made here.';
comment on column public.calendly_invitees.updated_at is 'When the row was last written here.';
comment on column public.calendly_invitees.raw is 'The invitee as Calendly sent it.';

alter table public.calendly_invitees enable row level security;

create policy "People read the invitees of those whom they may read" on public.calendly_invitees
  for select to authenticated
  using (user_id = any ((select calendly.readable_user_ids())::integer[]));

select calendly.revoke_all();
