-- Every sync is a run: what it was asked to do, how far it is, what it found. What it needs to go on
-- after a pause or a crash (lease, cursor, pages seen) is kept apart, out of sight.

create table public.calendly_sync_runs (
  id uuid primary key default gen_random_uuid(),
  connection_id uuid not null references public.calendly_connections (id) on delete cascade,
  user_id integer not null references public.users (id) on delete cascade,
  subject text not null,
  trigger text not null check (trigger in ('manual', 'scheduled', 'service', 'connect')),
  sync_type text not null check (sync_type in ('FULL', 'INCREMENTAL')),
  initial boolean not null default false,
  min_start_time timestamptz not null,
  max_start_time timestamptz not null,
  status text not null default 'running' check (status in ('running', 'paused', 'complete', 'failed')),
  fetched_active integer not null default 0,
  fetched_canceled integer not null default 0,
  created integer not null default 0,
  updated integer not null default 0,
  unchanged integer not null default 0,
  deleted integer not null default 0,
  restored integer not null default 0,
  rejected integer not null default 0,
  rejections jsonb not null default '[]',
  absent integer not null default 0,
  requests integer not null default 0,
  progress jsonb not null default '{}',
  error jsonb,
  resume_at timestamptz,
  started_at timestamptz not null,
  heartbeat_at timestamptz not null,
  finished_at timestamptz
);
-- one open run per connection and listed subject
create unique index calendly_sync_runs_open_idx on public.calendly_sync_runs (connection_id, subject)
  where status in ('running', 'paused');
-- retention takes the oldest first
create index calendly_sync_runs_finished_idx on public.calendly_sync_runs (finished_at) where finished_at is not null;
create index calendly_sync_runs_user_idx on public.calendly_sync_runs (user_id, started_at desc);

comment on table public.calendly_sync_runs is 'Every sync, as asked for and as it went.';
comment on column public.calendly_sync_runs.user_id is 'Whose sync it is.';
comment on column public.calendly_sync_runs.subject is 'The Calendly user or organization that is listed.';
comment on column public.calendly_sync_runs.trigger is 'manual: the person''s click. service: a secret key. scheduled. connect: right after connecting. The latest that moved it, if it was paused.';
comment on column public.calendly_sync_runs.initial is 'It completed somebody''s initial sync.';
comment on column public.calendly_sync_runs.min_start_time is 'Events that start after this are listed. Pinned when the run begins.';
comment on column public.calendly_sync_runs.max_start_time is 'Events that start before this are listed.';
comment on column public.calendly_sync_runs.status is 'paused: goes on at resume_at, or at once on a click. failed: only a person can mend it.';
comment on column public.calendly_sync_runs.fetched_active is 'Events in the listing that are active.';
comment on column public.calendly_sync_runs.fetched_canceled is 'Events in the listing that are canceled.';
comment on column public.calendly_sync_runs.created is 'Meetings that are new here. Each meeting counts in one class only.';
comment on column public.calendly_sync_runs.updated is 'Meetings of which something changed, an invitee included.';
comment on column public.calendly_sync_runs.deleted is 'Meetings that became deleted in this run: canceled, gone or reassigned.';
comment on column public.calendly_sync_runs.restored is 'Deleted meetings that turned out to be alive.';
comment on column public.calendly_sync_runs.rejected is 'Events, invitees and details that could not be used; the first 50 are in rejections.';
comment on column public.calendly_sync_runs.rejections is '[{uri, problem}].';
comment on column public.calendly_sync_runs.absent is 'Meetings of the range that the listing did not show.';
comment on column public.calendly_sync_runs.requests is 'Requests to Calendly, retries included.';
comment on column public.calendly_sync_runs.progress is '{phase, events, invitees_read, invitees_to_read}: see calendly.run_progress.';
comment on column public.calendly_sync_runs.error is '{code, message, hint} of a failed or interrupted run.';
comment on column public.calendly_sync_runs.heartbeat_at is 'Last sign of life: when the step that is under way was given out.';

alter table public.calendly_sync_runs enable row level security;
revoke all on public.calendly_sync_runs from public, anon, authenticated, service_role;
grant select on public.calendly_sync_runs to authenticated, service_role;
create policy "Users read their own runs" on public.calendly_sync_runs
  for select to authenticated
  using (user_id = (select u.id from public.users u where u.auth_user_id = (select auth.uid())));

create table calendly.open_runs (
  run_id uuid primary key references public.calendly_sync_runs (id) on delete cascade,
  scope integer[] not null,
  reread boolean not null,
  lease uuid,
  lease_expires_at timestamptz,
  instance_ends_at timestamptz,
  instance_requests integer not null default 0,
  step integer not null default 0,
  doing text not null default 'list_events' check (doing in ('list_events', 'read_events', 'read_invitees', 'finish')),
  page_token text,
  list_after timestamptz not null,
  listed_until timestamptz,
  list_restarts integer not null default 0,
  absence_checks integer not null default 0,
  processed integer not null default 0,
  invitees_read integer not null default 0,
  invitees_to_read integer,
  interruptions integer not null default 0
);
alter table calendly.open_runs enable row level security;
revoke all on calendly.open_runs from public, anon, authenticated, service_role;
comment on table calendly.open_runs is 'Where a running or paused run stands; gone when the run ends.';
comment on column calendly.open_runs.scope is 'The users whose meetings this run writes.';
comment on column calendly.open_runs.reread is 'Read the invitees of every listed event, changed or not.';
comment on column calendly.open_runs.lease is 'Token of the instance that works on it: a stalled one that wakes up after a take-over cannot write.';
comment on column calendly.open_runs.instance_ends_at is 'When the instance''s time is used up.';
comment on column calendly.open_runs.instance_requests is 'Requests that the instance may still spend.';
comment on column calendly.open_runs.step is 'Number of the step that is asked for; an answer to an earlier one has been applied already.';
comment on column calendly.open_runs.list_after is 'The listing starts after this time: the range''s start or, when a page token expired, the last start time seen.';
comment on column calendly.open_runs.listed_until is 'The last start time that the listing has shown, whatever has become of that event since.';
comment on column calendly.open_runs.list_restarts is 'Times the listing was restarted because its page token expired, since the last page.';
comment on column calendly.open_runs.absence_checks is 'Missing events asked for by themselves so far.';
comment on column calendly.open_runs.processed is 'Meetings looked at so far.';
comment on column calendly.open_runs.invitees_read is 'Events whose invitees have been read.';
comment on column calendly.open_runs.invitees_to_read is 'Events whose invitees are read in all; counted when the reading begins.';
comment on column calendly.open_runs.interruptions is 'Interruptions in a row: the back-off grows with them.';

create table calendly.run_pages (
  run_id uuid not null references calendly.open_runs (run_id) on delete cascade,
  step integer not null,
  event_uris text[] not null,
  by_itself boolean not null,
  primary key (run_id, step)
);
alter table calendly.run_pages enable row level security;
revoke all on calendly.run_pages from public, anon, authenticated, service_role;
comment on table calendly.run_pages is 'The events that each applied page held, or that were asked for by themselves. Together they are what the run has seen.';

create table calendly.run_changes (
  run_id uuid not null references calendly.open_runs (run_id) on delete cascade,
  user_id integer not null,
  event_uri text not null,
  class text not null check (class in ('created', 'updated', 'deleted', 'restored')),
  primary key (run_id, user_id, event_uri)
);
alter table calendly.run_changes enable row level security;
revoke all on calendly.run_changes from public, anon, authenticated, service_role;
comment on table calendly.run_changes is 'What became of each meeting in the run, unless it is unchanged: one class per meeting, whatever happens to it in how many steps.';

create function calendly.end_run(run_id uuid, error jsonb) returns void
language plpgsql set search_path = ''
as $$
begin
  update public.calendly_sync_runs r
    set status = 'failed', error = end_run.error, resume_at = null, finished_at = calendly.now()
    where r.id = end_run.run_id;
  delete from calendly.open_runs o where o.run_id = end_run.run_id;
end
$$;
revoke all on function calendly.end_run(uuid, jsonb) from public, anon, authenticated, service_role;
comment on function calendly.end_run(uuid, jsonb) is 'Fails an open run; an instance that works on it loses its lease.';

create function calendly.end_runs(connection_id uuid, error jsonb) returns void
language sql set search_path = ''
as $$
  select calendly.end_run(r.id, end_runs.error)
  from public.calendly_sync_runs r
  where r.connection_id = end_runs.connection_id and r.status in ('running', 'paused')
$$;
revoke all on function calendly.end_runs(uuid, jsonb) from public, anon, authenticated, service_role;
comment on function calendly.end_runs(uuid, jsonb) is 'Fails every open run of a connection.';
