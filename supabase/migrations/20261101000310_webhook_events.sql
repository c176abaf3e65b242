-- What Calendly delivered: each authentic delivery once, whatever became of it. The unique event_id
-- is what makes a delivery that is repeated do nothing. The rules are in 700_webhook_delivery, and
-- for how long a payload and a delivery are kept in 820_retention.

create table public.calendly_webhook_events (
  id uuid primary key default gen_random_uuid(),
  event_id text collate "C" not null unique,  -- a digest: compared byte by byte
  event_type text not null,
  payload jsonb,
  processed_at timestamptz,
  user_id integer references public.calendly_users (id) on delete set null,
  created_at timestamptz not null,
  status text not null check (status in ('processed', 'ignored', 'deferred', 'dead')),
  attempts integer not null default 0,
  error jsonb,
  -- An ignored delivery is about people of whom nothing is kept. One that is deferred or dead may
  -- be applied later, from its payload.
  constraint calendly_webhook_events_payload_check
    check (case status
      when 'ignored' then payload is null
      when 'processed' then true
      else payload is not null
    end)
);

-- health counts them per user; when a user is erased, theirs are deleted
create index calendly_webhook_events_user_idx
  on public.calendly_webhook_events (user_id, created_at);

-- retention deletes the oldest first
create index calendly_webhook_events_created_idx on public.calendly_webhook_events (created_at);

-- retention removes old payloads of processed ones; a row leaves this index with its payload
create index calendly_webhook_events_payload_idx on public.calendly_webhook_events (created_at)
  where status = 'processed' and payload is not null;

-- deferred ones wait for the next sync of their user, dead ones are an alert; both are few
create index calendly_webhook_events_unapplied_idx
  on public.calendly_webhook_events (status, user_id, created_at)
  where status in ('deferred', 'dead');

-- a person who is erased is found by e-mail, wherever it is, while a payload is kept
create index calendly_webhook_events_emails_idx
  on public.calendly_webhook_events using gin (calendly.emails_in(payload))
  where payload is not null;

comment on table public.calendly_webhook_events is
  'Every authentic delivery, stored in the transaction that applies it.';
comment on column public.calendly_webhook_events.id is 'What calendly_replay_webhook_event takes.';
comment on column public.calendly_webhook_events.event_id is
  'Names the delivery, not the meeting: the same change delivered twice has the same one. A digest '
  'in 43 characters, see calendly.delivery_id.';
comment on column public.calendly_webhook_events.event_type is
  'Calendly''s: invitee.created, invitee.canceled, invitee_no_show.created, '
  'invitee_no_show.deleted, …';
comment on column public.calendly_webhook_events.payload is
  'The delivery''s JSON, without conference passwords. Null where it was ignored, and of a '
  'processed one when it is older than the setting payload_retention.';
comment on column public.calendly_webhook_events.processed_at is
  'When it was applied or ignored; null while it is deferred, and of a dead one.';
comment on column public.calendly_webhook_events.user_id is
  'A host whom it is about: whoever subscribed if they are one, else the first who is kept. Where '
  'nothing was applied: whoever subscribed, else null.';
comment on column public.calendly_webhook_events.created_at is 'When it arrived.';
comment on column public.calendly_webhook_events.status is
  'processed: applied. ignored: of a type that is not handled, or about no host who is kept. '
  'deferred: it waits for the next sync. dead: given up after the last try.';
comment on column public.calendly_webhook_events.attempts is 'How often it was tried.';
comment on column public.calendly_webhook_events.error is
  '{code, message, hint?} of the last try.';

alter table public.calendly_webhook_events enable row level security;

create policy "People read the webhook events of those whom they may read"
  on public.calendly_webhook_events
  for select to authenticated
  using (user_id = any ((select calendly.readable_user_ids())::integer[]));

select calendly.revoke_all();
