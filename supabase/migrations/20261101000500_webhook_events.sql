-- What Calendly delivered: each delivery once, whatever became of it.

create table public.calendly_webhook_events (
  id uuid primary key default gen_random_uuid(),
  event_id text not null unique,
  event_type text not null,
  payload jsonb not null,
  processed_at timestamptz,
  user_id integer references public.users (id) on delete set null,
  created_at timestamptz not null,
  status text not null check (status in ('processed', 'ignored', 'deferred', 'dead')),
  attempts integer not null default 0,
  error jsonb
);
-- health counts them per user; an erased user's are removed
create index calendly_webhook_events_user_idx on public.calendly_webhook_events (user_id, created_at);
-- retention takes the oldest first
create index calendly_webhook_events_created_idx on public.calendly_webhook_events (created_at);

comment on table public.calendly_webhook_events is 'Every authentic delivery, stored before it is applied.';
comment on column public.calendly_webhook_events.event_id is 'Names the delivery, not the meeting: the same change delivered twice has the same one.';
comment on column public.calendly_webhook_events.event_type is 'Calendly''s: invitee.created, invitee.canceled, invitee_no_show.created, invitee_no_show.deleted, …';
comment on column public.calendly_webhook_events.payload is 'The delivery''s JSON, without conference passwords.';
comment on column public.calendly_webhook_events.user_id is 'The subscription''s user, else the first host who is a user, else null.';
comment on column public.calendly_webhook_events.status is 'deferred: stored, to be completed by the next sync. dead: given up after the last try.';
comment on column public.calendly_webhook_events.error is '{code, message} of the last try.';

alter table public.calendly_webhook_events enable row level security;
revoke all on public.calendly_webhook_events from public, anon, authenticated, service_role;
grant select on public.calendly_webhook_events to authenticated, service_role;
create policy "Users read their own webhook events" on public.calendly_webhook_events
  for select to authenticated
  using (user_id = (select u.id from public.users u where u.auth_user_id = (select auth.uid())));
