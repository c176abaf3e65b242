-- What the sync remembers of each meeting and no app needs to see: when the event or its invitees
-- must be read again, and whose snapshot is stored. It is a table of its own, so that remembering
-- something makes no new version of the meeting and announces nothing to the app.

create table calendly.meeting_sync (
  user_id integer not null,
  event_uri text not null,
  invitees_due_at timestamptz,
  invitees_read_at timestamptz,
  invitees_total integer,
  invitees_canceled integer,
  read_failures integer not null default 0,
  count_mismatch boolean not null default false,
  event_due_at timestamptz,
  last_looked_up_at timestamptz,
  webhook_sourced_uris text[] not null default '{}',
  primary key (user_id, event_uri),
  foreign key (user_id, event_uri)
    references public.calendly_meetings (user_id, calendly_event_uri) on delete cascade
);

-- the events that must be fetched directly
create index meeting_sync_event_due_idx on calendly.meeting_sync (user_id, event_due_at)
  where event_due_at is not null;

-- the events whose invitees must be fetched
create index meeting_sync_due_idx on calendly.meeting_sync (user_id, invitees_due_at)
  where invitees_due_at is not null;

alter table calendly.meeting_sync enable row level security;

comment on table calendly.meeting_sync is
  'What the sync remembers of a meeting and no app needs to see.';
comment on column calendly.meeting_sync.invitees_due_at is
  'When the invitees must be read again: at once after a change, after the end for no-shows; null: '
  'nothing is left to read. See calendly.invitees_due_at.';
comment on column calendly.meeting_sync.invitees_read_at is
  'Calendly''s time of the last complete read of the invitees: their no-shows are known up to '
  'then.';
comment on column calendly.meeting_sync.invitees_total is
  'The event''s counter at that read: seats ever booked.';
comment on column calendly.meeting_sync.invitees_canceled is
  'The event''s counter at that read: seats canceled.';
comment on column calendly.meeting_sync.read_failures is
  'Reads of the invitees in a row that brought nothing.';
comment on column calendly.meeting_sync.count_mismatch is
  'The last read brought fewer invitees than the event counts: believed the second time in a row.';
comment on column calendly.meeting_sync.event_due_at is
  'When the event itself must be fetched directly, because a webhook or a listing told too little; '
  'null: nothing is missing.';
comment on column calendly.meeting_sync.last_looked_up_at is
  'When the event, missing from a listing, was last fetched directly.';
comment on column calendly.meeting_sync.webhook_sourced_uris is
  'URIs (of the event, of invitees) whose stored snapshot is a webhook''s: at equal time the '
  'API''s replaces it.';
