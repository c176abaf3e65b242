-- Every sync is a run: what it was asked to do, how far it is, what it found. People read their own
-- runs. What a run needs to go on after a pause or a crash (lease, page token, events seen) is kept
-- apart in the private schema and is deleted when the run ends.

create table public.calendly_sync_runs (
  id uuid primary key default gen_random_uuid(),
  connection_id uuid not null references public.calendly_connections (id) on delete cascade,
  user_id integer not null references public.calendly_users (id) on delete cascade,
  subject text not null,
  trigger text not null check (trigger in ('manual', 'scheduled', 'service', 'connect')),
  sync_type text not null check (sync_type in ('FULL', 'INCREMENTAL')),
  initial boolean not null default false,
  min_start_time timestamptz not null,
  max_start_time timestamptz not null,
  status text not null default 'running'
    check (status in ('running', 'paused', 'complete', 'failed')),
  fetched_active integer not null default 0,
  fetched_canceled integer not null default 0,
  created integer not null default 0,
  updated integer not null default 0,
  unchanged integer not null default 0,
  deleted integer not null default 0,
  restored integer not null default 0,
  rejected integer not null default 0,
  rejections jsonb not null default '[]',
  missing integer not null default 0,
  hosts_without_account integer,
  requests integer not null default 0,
  progress jsonb not null default '{}',
  steps jsonb not null default '[]',
  error jsonb,
  resume_at timestamptz,
  started_at timestamptz not null,
  heartbeat_at timestamptz not null,
  finished_at timestamptz
);

-- one active run per connection and subject
create unique index calendly_sync_runs_active_idx
  on public.calendly_sync_runs (connection_id, subject) where status in ('running', 'paused');

-- The schedule goes on with paused runs, of each kind the one first that may go on first.
create index calendly_sync_runs_paused_idx
  on public.calendly_sync_runs (sync_type, trigger, resume_at) where status = 'paused';

-- retention deletes the oldest first
create index calendly_sync_runs_finished_idx
  on public.calendly_sync_runs (finished_at) where finished_at is not null;

-- health shows a person's last run; erasing a person deletes their runs
create index calendly_sync_runs_user_idx on public.calendly_sync_runs (user_id, started_at desc);

-- operators look at the newest; the failed ones among them are few
create index calendly_sync_runs_started_idx on public.calendly_sync_runs (started_at desc);
create index calendly_sync_runs_failures_idx on public.calendly_sync_runs (started_at desc)
  where status = 'failed';

-- how fresh the connection was at a time; disconnecting for good deletes its runs
create index calendly_sync_runs_connection_idx
  on public.calendly_sync_runs (connection_id, status, finished_at);

-- alerts ask for the users whose last run had problems, and since when runs fail; both are few
create index calendly_sync_runs_problems_idx on public.calendly_sync_runs (user_id, started_at desc)
  where status = 'complete' and (rejected > 0 or missing > 0);
create index calendly_sync_runs_failed_idx on public.calendly_sync_runs (user_id, finished_at)
  where status = 'failed';

comment on table public.calendly_sync_runs is 'Every sync, as it was asked for and as it went.';
comment on column public.calendly_sync_runs.id is 'The run_id of answers and log lines.';
comment on column public.calendly_sync_runs.connection_id is 'The connection whose token it uses.';
comment on column public.calendly_sync_runs.user_id is 'Whose sync it is.';
comment on column public.calendly_sync_runs.subject is
  'URI of the Calendly user or organization whose events are listed.';
comment on column public.calendly_sync_runs.trigger is
  'manual: the person''s click. service: a secret key. scheduled. connect: right after connecting. '
  'Where several have moved a run that was paused, the latest.';
comment on column public.calendly_sync_runs.sync_type is
  'FULL or INCREMENTAL: the range of days is in min_start_time and max_start_time.';
comment on column public.calendly_sync_runs.initial is 'It completed somebody''s initial sync.';
comment on column public.calendly_sync_runs.min_start_time is
  'Events that start after this are listed. Decided when the run begins, then fixed.';
comment on column public.calendly_sync_runs.max_start_time is
  'Events that start before this are listed.';
comment on column public.calendly_sync_runs.status is
  'running. paused: goes on at resume_at, or at once on a click. complete. failed: see error; the '
  'schedule begins another run later, unless the person has to connect again.';
comment on column public.calendly_sync_runs.fetched_active is
  'Events in the listing that are active.';
comment on column public.calendly_sync_runs.fetched_canceled is
  'Events in the listing that are canceled.';
comment on column public.calendly_sync_runs.created is
  'Meetings that are new here. Each meeting counts in one class only.';
comment on column public.calendly_sync_runs.updated is
  'Meetings of which something changed, an invitee included.';
comment on column public.calendly_sync_runs.unchanged is
  'Meetings of which nothing changed: nothing was written.';
comment on column public.calendly_sync_runs.deleted is
  'Meetings that became deleted in this run: canceled, gone or reassigned.';
comment on column public.calendly_sync_runs.restored is
  'Deleted meetings that turned out to be alive.';
comment on column public.calendly_sync_runs.rejected is
  'Events, invitees and details that could not be used; the first 50 are in rejections.';
comment on column public.calendly_sync_runs.rejections is '[{uri, problem}].';
comment on column public.calendly_sync_runs.missing is
  'Meetings of the range that the listing did not show.';
comment on column public.calendly_sync_runs.hosts_without_account is
  'Hosts in an organization''s listing who have no account here; null for a person''s own listing '
  'and until the run is complete.';
comment on column public.calendly_sync_runs.requests is
  'Requests to Calendly, retries included.';
comment on column public.calendly_sync_runs.progress is
  '{phase, events, invitees_read, invitees_to_read}: see calendly.run_progress.';
comment on column public.calendly_sync_runs.steps is
  'What was done, in order: see calendly.add_step.';
comment on column public.calendly_sync_runs.error is
  '{code, message, hint} of a failed or paused run.';
comment on column public.calendly_sync_runs.resume_at is
  'When a paused run goes on; null: it is not paused.';
comment on column public.calendly_sync_runs.started_at is 'When the run began.';
comment on column public.calendly_sync_runs.heartbeat_at is
  'Last sign of life: when the step that is being worked on was given out, or the run ended.';
comment on column public.calendly_sync_runs.finished_at is
  'When the run ended; null while it is running or paused.';

alter table public.calendly_sync_runs enable row level security;

create policy "People read the runs that they may read" on public.calendly_sync_runs
  for select to authenticated
  using (user_id = any ((select calendly.readable_user_ids())::integer[]));

-- What an active run needs to go on ---------------------------------------------------------------

create table calendly.active_runs (
  run_id uuid primary key references public.calendly_sync_runs (id) on delete cascade,
  user_ids integer[] not null,
  refetch_all boolean not null,
  lease uuid,
  lease_expires_at timestamptz,
  slot integer,
  worker_ends_at timestamptz,
  worker_requests integer not null default 0,
  step integer not null default 0,
  step_began_at timestamptz,
  ahead_began_at timestamptz,
  phase text not null default 'list_events'
    check (phase in ('list_events', 'fetch_events', 'fetch_invitees', 'finish')),
  page_token text,
  list_after timestamptz not null,
  listed_until timestamptz,
  list_restarts integer not null default 0,
  missing_event_lookups integer not null default 0,
  processed integer not null default 0,
  invitees_read integer not null default 0,
  invitees_to_read integer,
  interruptions integer not null default 0,
  rate_limit_hits integer not null default 0
);

-- The schedule counts the leases that last, and goes on with runs whose lease has ended. A paused
-- run has no lease, and costs nothing here.
create index active_runs_lease_idx on calendly.active_runs (lease_expires_at)
  where lease_expires_at is not null;

alter table calendly.active_runs enable row level security;

comment on table calendly.active_runs is
  'Where a running or paused run stands. The row is deleted when the run ends.';
comment on column calendly.active_runs.user_ids is 'The people whose meetings this run writes.';
comment on column calendly.active_runs.refetch_all is
  'Fetch the invitees of every listed event, changed or not.';
comment on column calendly.active_runs.lease is
  'Token of the worker that has the run: a worker that wakes up after another one has taken the '
  'run over cannot write.';
comment on column calendly.active_runs.slot is
  'Of max_workers the one that the schedule gave the run, while its lease lasts; null: a click.';
comment on column calendly.active_runs.worker_ends_at is 'When the worker''s time is used up.';
comment on column calendly.active_runs.worker_requests is
  'Requests that the worker may still make.';
comment on column calendly.active_runs.step is
  'Number of the step that is asked for; an answer to an earlier one has been applied already.';
comment on column calendly.active_runs.step_began_at is
  'No reading of this step began before. Null while no worker has been given the step.';
comment on column calendly.active_runs.ahead_began_at is
  'No reading of the next step''s invitees began before: when they were offered to be read ahead, '
  'with this step. Null where none were.';
comment on column calendly.active_runs.list_after is
  'The listing starts after this time: the range''s start or, when a page token expired, the last '
  'start time seen.';
comment on column calendly.active_runs.listed_until is
  'The last start time that the listing has shown, whatever has become of that event since.';
comment on column calendly.active_runs.list_restarts is
  'How often the listing was restarted because its page token expired, since the last page.';
comment on column calendly.active_runs.missing_event_lookups is
  'How many missing events have been fetched one by one so far.';
comment on column calendly.active_runs.processed is 'Meetings looked at so far.';
comment on column calendly.active_runs.invitees_read is 'Events whose invitees have been fetched.';
comment on column calendly.active_runs.invitees_to_read is
  'Events whose invitees are fetched in all: counted when that phase begins, and again when as '
  'many have been fetched and more are due.';
comment on column calendly.active_runs.interruptions is
  'Interruptions in a row: the back-off grows with them.';
comment on column calendly.active_runs.rate_limit_hits is
  'Steps in a row that were answered with 429.';

-- What a run collects, one row per event or meeting. No foreign key: it would be checked for each
-- row, and the end of a large run would take as long as deleting all of them. One index only, the
-- primary key: the statistics know nothing of a run that has just begun, and by a second index a
-- plan could read all rows of the run. Unlogged, but for what has changed: these rows would be
-- most of the WAL of a sync that finds nothing new. A crash of Postgres empties them, and the run
-- goes on without: what it listed with the start time of its last page is fetched once more, and
-- what was missing or queued is left to the next sync.

create unlogged table calendly.run_seen (
  run_id uuid not null,
  event_uri text not null,
  direct boolean not null,
  primary key (run_id, event_uri)
);

alter table calendly.run_seen enable row level security;

comment on table calendly.run_seen is 'The events that a run has listed or fetched one by one.';
comment on column calendly.run_seen.direct is 'The event was fetched by itself.';

create unlogged table calendly.run_missing (
  run_id uuid not null,
  event_uri text not null,
  start_time timestamptz not null,
  last_looked_up_at timestamptz not null,
  primary key (run_id, event_uri)
);

alter table calendly.run_missing enable row level security;

comment on table calendly.run_missing is
  'Events of the range that the listing should have shown by now and has not.';
comment on column calendly.run_missing.last_looked_up_at is
  'When the event was last fetched by itself; -infinity: never.';

create unlogged table calendly.run_invitees (
  run_id uuid not null,
  event_uri text not null,
  is_past boolean not null,
  distance interval not null,
  seats integer,
  -- in the order in which they are fetched: upcoming events first, the nearest first
  primary key (run_id, is_past, distance, event_uri)
);

alter table calendly.run_invitees enable row level security;

comment on table calendly.run_invitees is
  'The queue of a run: the events whose invitees it still has to fetch. An event that has moved '
  'may be there twice.';
comment on column calendly.run_invitees.distance is
  'Between the event''s start and the begin of the run.';
comment on column calendly.run_invitees.seats is
  'Seats ever booked, by the event''s counter; null where it has none.';

create table calendly.run_changes (
  run_id uuid not null,
  user_id integer not null,
  event_uri text not null,
  class text not null check (class in ('created', 'updated', 'deleted', 'restored')),
  primary key (run_id, user_id, event_uri)
);

alter table calendly.run_changes enable row level security;

comment on table calendly.run_changes is
  'What became of each meeting in the run, unless it is unchanged: one class per meeting, however '
  'many steps change it.';

create table calendly.run_hosts (
  run_id uuid not null references calendly.active_runs (run_id) on delete cascade,
  calendly_user_uri text not null,
  primary key (run_id, calendly_user_uri)
);

alter table calendly.run_hosts enable row level security;

comment on table calendly.run_hosts is
  'The hosts that an organization''s listing has named: see calendly.meet_hosts.';

-- What a run has collected goes with it, a large run's in slices --------------------------------

create table calendly.ended_runs (run_id uuid primary key);

alter table calendly.ended_runs enable row level security;

comment on table calendly.ended_runs is
  'Runs that have ended and left rows which a job still has to delete.';

create function calendly.delete_run_rows(run_id uuid, max_rows integer) returns integer
language plpgsql set search_path = ''
as $$
declare
  deleted integer;
  total integer := 0;
begin
  delete from calendly.run_seen s where s.ctid = any (array(
    select k.ctid from calendly.run_seen k
    where k.run_id = delete_run_rows.run_id limit max_rows));
  get diagnostics deleted = row_count;
  total := total + deleted;
  delete from calendly.run_changes c where c.ctid = any (array(
    select k.ctid from calendly.run_changes k
    where k.run_id = delete_run_rows.run_id limit max_rows));
  get diagnostics deleted = row_count;
  total := total + deleted;
  delete from calendly.run_missing m where m.ctid = any (array(
    select k.ctid from calendly.run_missing k
    where k.run_id = delete_run_rows.run_id limit max_rows));
  get diagnostics deleted = row_count;
  total := total + deleted;
  delete from calendly.run_invitees i where i.ctid = any (array(
    select k.ctid from calendly.run_invitees k
    where k.run_id = delete_run_rows.run_id limit max_rows));
  get diagnostics deleted = row_count;
  return total + deleted;
end
$$;
comment on function calendly.delete_run_rows(uuid, integer) is
  'Deletes what a run has collected, at most max_rows of each kind, and returns how many rows.';

create function calendly.on_run_end() returns trigger
language plpgsql security definer set search_path = ''
as $$
declare
  -- so many rows that the end of a run takes no longer for them
  max_rows constant integer := 5000;
begin
  if calendly.delete_run_rows(old.run_id, max_rows) >= max_rows then
    insert into calendly.ended_runs (run_id) values (old.run_id);
  end if;
  return null;
end
$$;
comment on function calendly.on_run_end() is
  'Deletes what a run has collected; what a large run has collected is left to a job.';

create trigger calendly_run_end
  after delete on calendly.active_runs
  for each row execute function calendly.on_run_end();

create function calendly.clean_run_rows() returns integer
language plpgsql set search_path = ''
as $$
declare
  slice constant integer := 5000;
  ended_run_id constant uuid := (
    select e.run_id from calendly.ended_runs e limit 1 for update skip locked);
  cleaned integer;
begin
  cleaned := calendly.delete_run_rows(ended_run_id, slice);
  if cleaned = 0 then
    delete from calendly.ended_runs e where e.run_id = ended_run_id;
    get diagnostics cleaned = row_count;
  end if;
  return cleaned;
end
$$;
comment on function calendly.clean_run_rows() is
  'Deletes a slice of what ended runs have left, and returns how many rows; 0: nothing is left.';

-- Progress and end --------------------------------------------------------------------------------

create function calendly.run_progress(state calendly.active_runs) returns jsonb
language plpgsql immutable set search_path = ''
as $$
begin
  return jsonb_build_object(
    'phase', state.phase,
    'events', state.processed,
    'invitees_read', state.invitees_read,
    'invitees_to_read', state.invitees_to_read);
end
$$;
comment on function calendly.run_progress(calendly.active_runs) is
  '{phase, events, invitees_read, invitees_to_read}. invitees_… count events whose invitees are '
  'fetched; invitees_to_read is null until all events are listed.';

create function calendly.end_run(run_id uuid, status text, error jsonb) returns void
language plpgsql set search_path = ''
as $$
declare
  now_at constant timestamptz := calendly.now();
begin
  update public.calendly_sync_runs r
    set status = end_run.status, error = end_run.error, resume_at = null,
      heartbeat_at = now_at, finished_at = now_at,
      progress = coalesce((
        select calendly.run_progress(o) from calendly.active_runs o where o.run_id = r.id),
        r.progress)
    where r.id = end_run.run_id;
  delete from calendly.active_runs o where o.run_id = end_run.run_id;
end
$$;
comment on function calendly.end_run(uuid, text, jsonb) is
  'Ends an active run as complete or failed. A worker that has it loses its lease.';

create function calendly.end_runs(connection_id uuid, error jsonb) returns void
language sql set search_path = ''
as $$
  select calendly.end_run(r.id, 'failed', end_runs.error)
  from public.calendly_sync_runs r
  where r.connection_id = end_runs.connection_id and r.status in ('running', 'paused')
$$;
comment on function calendly.end_runs(uuid, jsonb) is
  'Fails every active run of a connection.';

select calendly.revoke_all();
