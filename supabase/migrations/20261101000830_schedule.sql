-- The schedule. Once a tick (a minute) pg_cron counts what is due and nudges as many function
-- instances (workers) as there is work and free slots. A nudge carries nothing and proves nothing:
-- the worker claims here what is due, and goes on claiming until nothing is left or its time is up.
-- A nudge that is lost is repeated by the next tick. Anybody may nudge: where nothing is due, a
-- claim reads a few rows by index, writes nothing and waits for no lock.

create function calendly.running_workers(now_at timestamptz default calendly.now())
returns integer
language plpgsql stable set search_path = ''
as $$
begin
  return (
    select count(*) from calendly.active_runs o
    where o.lease_expires_at > running_workers.now_at);
end
$$;
comment on function calendly.running_workers(timestamptz) is 'Runs that a worker is working on.';

-- What is due ------------------------------------------------------------------------------------

-- However much is due or paused, a claim and a tick read the beginning of each index. Postgres
-- keeps their plans, and may have made them while the tables were empty. So both switch sequential
-- scans off, and `limit 1` in a lateral subquery makes Postgres look up by index, row by row, what
-- belongs to a row.

create view calendly.connection_syncs with (security_invoker = true) as
  select c.id as connection_id, c.user_id, run.id as run_id, c.next_sync_at, c.last_full_sync_at,
    coalesce(run.resumable_at, c.next_sync_at) as claimable_at
  from public.calendly_connections c
  left join lateral (
    select d.id, d.resumable_at
    from calendly.active_run_details d
    where d.connection_id = c.id and d.covers_connection
    limit 1
  ) run on true
  where c.state = 'active';
comment on view calendly.connection_syncs is
  'What the schedule does next with each active connection: it goes on with the active run that '
  'covers the connection, or begins one (run_id is null), not before claimable_at.';

create function calendly.resumable_runs(now_at timestamptz, at_most integer)
returns table (connection_id uuid, run_id uuid)
language plpgsql stable rows 50 set search_path = ''
as $$
begin
  return query
    select paused.connection_id, paused.id
      from unnest('{FULL,INCREMENTAL}'::text[]) kind (sync_type)
      cross join unnest('{manual,service,connect,scheduled}'::text[]) cause (trigger)
      cross join lateral (
        select r.connection_id, r.id
        from public.calendly_sync_runs r
        cross join lateral (
          select d.resumable_at from calendly.active_run_details d where d.id = r.id limit 1) d
        where r.status = 'paused' and r.sync_type = kind.sync_type and r.trigger = cause.trigger
          and r.resume_at <= now_at and d.resumable_at <= now_at
        order by r.resume_at limit at_most
      ) paused
    union all
    -- Those whose worker has crashed. They are few: each has had a slot until its lease ended.
    (select d.connection_id, o.run_id
      from calendly.active_runs o
      cross join lateral (
        select d.connection_id, d.resumable_at
        from calendly.active_run_details d where d.id = o.run_id limit 1) d
      where o.lease_expires_at <= now_at and d.resumable_at <= now_at
      order by o.lease_expires_at limit at_most);
end
$$;
comment on function calendly.resumable_runs(timestamptz, integer) is
  'Runs that any worker may go on with: of each kind the at_most that may go on first.';

create function calendly.due_syncs(now_at timestamptz, at_most integer)
returns table (connection_id uuid, run_id uuid)
language plpgsql stable rows 50 set search_path = ''
as $$
declare
  -- A claim reads no more, though the flags of thousands of people were cleared.
  looked_at constant integer := 500;
begin
  return query
    (select s.connection_id, s.run_id
      from calendly.connection_syncs s
      where s.next_sync_at <= now_at and s.claimable_at <= now_at
      order by s.next_sync_at limit at_most)
    union
    -- without FULL syncs, which are claimed later
    (select s.connection_id, s.run_id
      from (
        select d.* from calendly.connection_syncs d
        where d.next_sync_at <= now_at and d.claimable_at <= now_at
          and d.last_full_sync_at is not null
        order by d.next_sync_at limit looked_at
      ) s
      where s.run_id is null and (
        select u.calendly_initial_sync_complete from public.calendly_users u
        where u.id = s.user_id)
      order by s.next_sync_at limit at_most)
    union
    -- Runs that go on, of each kind: clicks, which are claimed earlier, runs for one member of an
    -- organization, and runs of connections that the lists above do not reach.
    select r.connection_id, r.run_id from calendly.resumable_runs(now_at, at_most) r;
end
$$;
comment on function calendly.due_syncs(timestamptz, integer) is
  'What a worker could claim now: runs that may go on, and connections whose next run may begin '
  '(run_id is null). Of each kind the at_most that have been due longest.';

create function calendly.is_anything_due(now_at timestamptz) returns boolean
language plpgsql stable set search_path = ''
as $$
begin
  return exists (
      select from calendly.connection_syncs s
      where s.next_sync_at <= now_at and s.claimable_at <= now_at)
    or exists (
      select from public.calendly_sync_runs r
      cross join lateral (
        select d.resumable_at from calendly.active_run_details d where d.id = r.id limit 1) d
      where r.status = 'paused' and r.sync_type in ('FULL', 'INCREMENTAL')
        and r.trigger in ('manual', 'service', 'connect', 'scheduled')
        and r.resume_at <= now_at and d.resumable_at <= now_at)
    or exists (
      select from calendly.active_runs o
      cross join lateral (
        select d.resumable_at from calendly.active_run_details d where d.id = o.run_id limit 1) d
      where o.lease_expires_at <= now_at and d.resumable_at <= now_at);
end
$$;
comment on function calendly.is_anything_due(timestamptz) is
  'Is there a sync that a worker could claim now? As calendly.due_syncs, with less to read.';

-- A database that was restored --------------------------------------------------------------------

-- What happened after the point of restore is missing here, and nothing in the rows says so: they
-- went back together. But the tick that they remember is long ago, and Postgres is another one: a
-- recovery begins a new timeline, a dump makes tables with new ids, a new server has an identifier
-- of its own. A copy of the disk has none of these; then Postgres has started in between, and the
-- gap is longer. So a restart or some missed ticks mean nothing, while a paused project, a failover
-- with minutes of silence and an upgrade of Postgres count as a restore: what is done is harmless.
-- Only the primary ticks: pg_cron does not run on a replica.

create function calendly.cluster_identity() returns text
language plpgsql stable set search_path = ''
as $$
declare
  table_id constant text := 'calendly.project'::regclass::oid::text;
begin
  return concat_ws('/', (pg_control_system()).system_identifier,
    -- the timeline
    left(pg_walfile_name(pg_current_wal_lsn()), 8), table_id);
exception when insufficient_privilege or feature_not_supported then
  return table_id;  -- where a provider keeps these functions to itself
end
$$;
comment on function calendly.cluster_identity() is
  'What differs after a restore: Postgres''s identifier, its timeline, and the id of a table.';

create function calendly.was_restored(project calendly.project, now_at timestamptz)
returns boolean
language plpgsql stable set search_path = ''
as $$
declare
  silence constant interval := now_at - project.ticked_at;
begin
  return coalesce(
    (project.cluster <> calendly.cluster_identity() and silence >= interval '5 minutes')
    or (project.postgres_started_at <> pg_postmaster_start_time() and silence >= interval '1 hour'),
    false);
end
$$;
comment on function calendly.was_restored(calendly.project, timestamptz) is
  'Was the database restored since the last tick, or did it stand still for an hour or longer?';

create function calendly.resync_all(now_at timestamptz) returns void
language plpgsql set search_path = ''
as $$
begin
  perform calendly.lock_against_erasure();
  update public.calendly_connections c
    -- Without a last FULL sync the next scheduled one is FULL. Subscriptions that were made or
    -- ended after the point of restore are found by comparing them with Calendly's.
    set next_sync_at = now_at, last_full_sync_at = null, webhooks_checked_at = null
    from (
      select k.id from public.calendly_connections k
      -- those of banned accounts are not scheduled
      where k.state = 'active' and k.next_sync_at is not null
      -- A sync has its connection locked for a moment only; none may be left out.
      order by k.id for no key update
    ) active
    where c.id = active.id;
  update calendly.project p set resynced_at = now_at where p.only_row;
end
$$;
comment on function calendly.resync_all(timestamptz) is
  'Everybody is due, with a FULL sync; max_workers spreads them. An active FULL run ends, and '
  'another follows it. Where a refresh token was used after the point of restore, the next refresh '
  'is refused, and the person is asked to reconnect.';

create function calendly.notice_restore(now_at timestamptz) returns void
language plpgsql set search_path = ''
as $$
declare
  present_cluster constant text := calendly.cluster_identity();
  started_at constant timestamptz := pg_postmaster_start_time();
  project calendly.project;
  restored boolean;
begin
  select p.* into project from calendly.project p;
  if project.cluster = present_cluster and project.postgres_started_at = started_at then
    return;
  end if;
  restored := calendly.was_restored(project, now_at);
  if restored then
    perform calendly.resync_all(now_at);
  end if;
  update calendly.project p
    set cluster = present_cluster, postgres_started_at = started_at,
      restored_at = case when restored then now_at else p.restored_at end
    where p.only_row;
end
$$;
comment on function calendly.notice_restore(timestamptz) is
  'Looks whether Postgres is the one of the last tick. Where the database was restored, everybody '
  'is synced anew.';

-- Nudging ----------------------------------------------------------------------------------------

create function calendly.count_due(now_at timestamptz, at_most integer) returns integer
language plpgsql stable set search_path = ''
as $$
begin
  return least(at_most, (
    select count(*) from calendly.due_syncs(count_due.now_at, count_due.at_most)));
end
$$;
comment on function calendly.count_due(timestamptz, integer) is
  'How many syncs a worker could claim now. No further than at_most is counted.';

create function calendly.nudge_pause(unanswered_since timestamptz, now_at timestamptz)
returns interval
language plpgsql immutable set search_path = ''
as $$
begin
  return case
    when now_at >= unanswered_since + interval '30 minutes' then interval '15 minutes'
    when now_at >= unanswered_since + interval '5 minutes' then interval '5 minutes'
    when now_at >= unanswered_since then interval '1 minute'
  end;
end
$$;
comment on function calendly.nudge_pause(timestamptz, timestamptz) is
  'How long to wait between nudges that nobody answers; null: each was answered. In a copy of the '
  'database the nudges go to the original, which must not pay for them.';

create function calendly.nudges_to_send(
  due integer, project calendly.project, now_at timestamptz
) returns integer
language plpgsql stable set search_path = ''
as $$
declare
  pause constant interval := calendly.nudge_pause(project.unanswered_since, now_at);
  -- pg_cron is not punctual: a tick that comes a little early is the one that was waited for.
  origin constant timestamptz := project.unanswered_since - interval '5 seconds';
begin
  return case
    -- a new project or a preview branch without data: no function has told its address yet
    when project.url is null then 0
    when pause is null then due
    -- one, when a pause has ended since the last tick
    when date_bin(pause, now_at, origin) > project.ticked_at then least(due, 1)
    else 0
  end;
end
$$;
comment on function calendly.nudges_to_send(integer, calendly.project, timestamptz) is
  'How many workers to nudge: as many as there is due work for, fewer where nobody answers.';

create table calendly.ticks (
  ticked_at timestamptz primary key,
  due integer not null,
  nudges integer not null,
  running_workers integer not null,
  unanswered_since timestamptz
);
alter table calendly.ticks enable row level security;
comment on table calendly.ticks is
  'The ticks of the schedule, for operators. They go with pg_cron''s log: calendly.clean_job_log.';
comment on column calendly.ticks.due is
  'Syncs that a worker could claim, no more than there were free slots.';
comment on column calendly.ticks.nudges is 'Workers that were asked to come.';
comment on column calendly.ticks.running_workers is 'Runs that a worker was working on.';
comment on column calendly.ticks.unanswered_since is
  'Since when nobody had come when nudged, as this tick found it; null: somebody had.';

create function calendly.record_tick(tick calendly.ticks) returns void
language plpgsql set search_path = ''
as $$
begin
  with ticked as (
    update calendly.project p
      set ticked_at = tick.ticked_at,
        -- A nudge that was lost and is not repeated, because nothing is due any more, is no alert.
        unanswered_since = case when p.url is not null and tick.due > 0
          then coalesce(p.unanswered_since, tick.ticked_at) end
      where p.only_row
      returning true
  )
  insert into calendly.ticks as t (ticked_at, due, nudges, running_workers, unanswered_since)
    select tick.* from ticked
    on conflict on constraint ticks_pkey do update
      set due = excluded.due, nudges = t.nudges + excluded.nudges,
        running_workers = excluded.running_workers;
end
$$;
comment on function calendly.record_tick(calendly.ticks) is
  'Notes a tick, in one statement, and since when nobody answers.';

create function calendly.nudge() returns integer
language plpgsql set search_path = '' set jit = off
set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
  now_at constant timestamptz := calendly.now();
  -- pg_net forgets failures, so the answers are never read. What was claimed is the truth.
  answer_timeout constant integer := 5000;  -- milliseconds
  running constant integer := calendly.running_workers(now_at);
  project calendly.project;
  due integer;
  nudges integer;
begin
  perform calendly.notice_restore(now_at);
  due := calendly.count_due(now_at, greatest(0,
    (select s.max_workers from calendly.settings s) - running));
  if due = 0 and calendly.revocations_are_due(now_at) then
    due := 1;
  end if;
  select p.* into project from calendly.project p;
  nudges := calendly.nudges_to_send(due, project, now_at);
  perform calendly.record_tick(
    row(now_at, due, nudges, running, project.unanswered_since)::calendly.ticks);
  perform net.http_post(
      url := project.url || '/functions/v1/calendly-sync/nudge',
      body := '{}'::jsonb,
      timeout_milliseconds := answer_timeout)
    from generate_series(1, nudges);
  return nudges;
end
$$;
comment on function calendly.nudge() is
  'The tick: asks as many workers to come as there are due syncs and free slots, one at least '
  'where a connection has to be ended at Calendly, and returns how many. While nobody answers it '
  'asks one a minute, after five minutes one every five, after half an hour one every fifteen.';

-- Claiming ---------------------------------------------------------------------------------------

create function calendly.has_budget(request jsonb) returns boolean
language plpgsql stable set search_path = ''
as $$
declare
  settings calendly.settings;
begin
  select s.* into settings from calendly.settings s;
  return coalesce((request ->> 'spent_seconds')::double precision, 0)
      < extract(epoch from settings.worker_time)
    and coalesce((request ->> 'spent_requests')::integer, 0) < settings.worker_requests;
end
$$;
comment on function calendly.has_budget(jsonb) is
  'Has the worker that claims {spent_seconds, spent_requests} time and requests left?';

create function calendly.free_slots(now_at timestamptz) returns setof integer
language plpgsql stable set search_path = ''
as $$
begin
  return query
    select f.slot
    from (
      select generate_series(1, s.max_workers) from calendly.settings s
      except
      select o.slot from calendly.active_runs o where o.lease_expires_at > now_at
    ) f (slot)
    order by f.slot
    -- A run that somebody clicked has no slot, and takes the place of one all the same.
    limit greatest(0,
      (select s.max_workers from calendly.settings s) - calendly.running_workers(now_at));
end
$$;
comment on function calendly.free_slots(timestamptz) is
  'The slots, of 1 to max_workers, that may be taken: the first in which no run is, as many as '
  'max_workers less all runs that a worker is working on.';

create function calendly.take_slot(now_at timestamptz) returns integer
language plpgsql set search_path = ''
as $$
declare
  slot integer;
begin
  -- Claims do not wait for each other, and none sees another that has not committed yet. So each
  -- locks the slot that its run will fill, and leaves a slot that is locked to whoever has it.
  loop
    select free into slot
      from calendly.free_slots(now_at) free
      where pg_try_advisory_xact_lock(hashtext('calendly.slot'), free)
      limit 1;
    -- Looked at once more: the claim that had the lock may have committed in between. Clicks lock
    -- no slot: together with a click a claim may begin one run too many.
    exit when slot is null or slot in (select calendly.free_slots(now_at));
  end loop;
  return slot;
end
$$;
comment on function calendly.take_slot(timestamptz) is
  'Takes a free slot for the run that this transaction claims; null: there is none.';

create type calendly.claim as (
  connection_id uuid,
  user_id integer,
  run_id uuid,
  all_members boolean
);
comment on type calendly.claim is
  'The sync that a worker gets: of all_members, or of user_id alone. run_id: the run that goes on, '
  'if there is one. All null: there is nothing to claim.';

create function calendly.claim_order(now_at timestamptz, at_most integer) returns uuid[]
language plpgsql stable set search_path = ''
as $$
declare
  -- What a person waits for comes first and a first sync, which is long, last: as if they were due
  -- earlier or later, so that nobody waits for ever.
  head_start_of_clicks constant interval := interval '1 hour';
  delay_of_full_syncs constant interval := interval '15 minutes';
begin
  return array(
    select s.connection_id
    from calendly.due_syncs(now_at, at_most) s
    cross join lateral (
      select c.next_sync_at, u.calendly_initial_sync_complete
      from public.calendly_connections c
      join public.calendly_users u on u.id = c.user_id
      where c.id = s.connection_id
      limit 1
    ) c
    left join lateral (
      select d.* from calendly.active_run_details d where d.id = s.run_id limit 1) r on true
    order by coalesce(r.resumable_at, c.next_sync_at) + case
        when r.trigger in ('manual', 'service') then - head_start_of_clicks
        when r.sync_type = 'FULL' or not c.calendly_initial_sync_complete then delay_of_full_syncs
        else interval '0'
      end);
end
$$;
comment on function calendly.claim_order(timestamptz, integer) is
  'The connections of which a sync is due, in the order in which they are claimed. Of each kind '
  'the at_most that have been due longest.';

create function calendly.lock_due_connection(now_at timestamptz, at_most integer) returns uuid
language plpgsql set search_path = ''
as $$
declare
  candidates constant uuid[] := calendly.claim_order(now_at, at_most);
begin
  return (
    select c.id
    from public.calendly_connections c
    where c.id = any (candidates)
    order by array_position(candidates, c.id)
    limit 1
    -- A connection that is being claimed, clicked or disconnected at this moment is left to that.
    for no key update of c skip locked);
end
$$;
comment on function calendly.lock_due_connection(timestamptz, integer) is
  'Locks the connection that is claimed next; null where nothing is due, or others have locked all '
  'that claim_order names.';

create function calendly.claim_of(connection_id uuid, now_at timestamptz) returns calendly.claim
language plpgsql stable set search_path = ''
as $$
declare
  claim calendly.claim;
begin
  select c.id, coalesce(r.user_id, c.user_id), r.id, coalesce(r.covers_connection, true)
    into claim
    from public.calendly_connections c
    -- Of runs that may go on, a member's click comes before the organization.
    left join lateral (
      select d.* from calendly.active_run_details d
      where d.connection_id = c.id and d.resumable_at <= now_at
      order by d.covers_connection, d.started_at
      limit 1
    ) r on true
    where c.id = claim_of.connection_id and c.state = 'active'
      -- A member's click, of which there may always be one, does not keep the organization waiting.
      and (r.id is not null or (c.next_sync_at <= now_at and not exists (
        select from calendly.active_run_details d
        where d.connection_id = c.id and d.covers_connection)));
  return claim;
end
$$;
comment on function calendly.claim_of(uuid, timestamptz) is
  'Which sync of a connection is due. Asked under its lock: between the choice of the connection '
  'and the lock another worker may have claimed it. All null where nothing is due any more.';

create function calendly.refuse_closed_account(claim calendly.claim, now_at timestamptz)
returns boolean
language plpgsql set search_path = ''
as $$
declare
  owner_is_closed boolean;
  user_is_closed boolean;
begin
  select not calendly.account_is_open(owner.auth_user_id, now_at),
      not calendly.account_is_open(u.auth_user_id, now_at)
    into owner_is_closed, user_is_closed
    from public.calendly_connections c
    join public.calendly_users owner on owner.id = c.user_id
    join public.calendly_users u on u.id = claim.user_id
    where c.id = claim.connection_id;
  if owner_is_closed then
    -- As calendly.suspend_banned_accounts does, which also ends it.
    perform calendly.suspend_connections(array[claim.connection_id]);
  elsif user_is_closed and not claim.all_members then
    perform calendly.end_run(claim.run_id, 'failed', jsonb_build_object(
      'code', 'account_closed', 'message', 'This account is deleted or banned.'));
  end if;
  return owner_is_closed or user_is_closed;
end
$$;
comment on function calendly.refuse_closed_account(calendly.claim, timestamptz) is
  'Is this the claim of an account that is deleted or banned, which calendly.end_closed_accounts '
  'has not noticed yet? Then it is not claimed again: a member''s click is ended, and the '
  'connection of a closed owner is suspended.';

create function calendly.next_claim(now_at timestamptz) returns calendly.claim
language plpgsql set search_path = ''
as $$
declare
  -- Each attempt keeps a connection locked until the end. The next tick does the rest.
  max_attempts constant integer := 20;
  connection_id uuid;
  claim calendly.claim;
begin
  for attempt in 1..max_attempts loop
    connection_id := coalesce(
      calendly.lock_due_connection(now_at, at_most => 20),
      -- where as many claims at this moment have locked those
      calendly.lock_due_connection(now_at, at_most => 500));
    exit when connection_id is null;
    claim := calendly.claim_of(connection_id, now_at);
    if claim.connection_id is not null
        and not calendly.refuse_closed_account(claim, now_at) then
      return claim;
    end if;
  end loop;
  return null;
end
$$;
comment on function calendly.next_claim(timestamptz) is
  'Locks the connection whose sync comes next, and says whose sync it is; null: there is none.';

create function public.calendly_claim_sync(request jsonb) returns jsonb
language plpgsql security definer
set search_path = '' set lock_timeout = '5s' set statement_timeout = '30s' set jit = off
set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
  now_at constant timestamptz := calendly.now();
  is_at_home boolean;
  free_slot integer;
  claim calendly.claim;
  begun jsonb;
begin
  -- Only reads come first: most claims, and all that a stranger causes, find nothing and end here.
  is_at_home := calendly.note_worker(request ->> 'project_url', now_at);
  if is_at_home and calendly.has_budget(request) and calendly.is_anything_due(now_at) then
    perform calendly.lock_against_erasure();
    free_slot := calendly.take_slot(now_at);
    if free_slot is not null then
      claim := calendly.next_claim(now_at);
    end if;
  end if;
  if claim.connection_id is null then
    return jsonb_build_object('status', 'idle',
      'revocations_due', is_at_home and calendly.revocations_are_due(now_at));
  end if;
  begun := public.calendly_begin_sync(request || jsonb_build_object(
    'user_id', claim.user_id, 'all_members', claim.all_members, 'trigger', 'scheduled'));
  update calendly.active_runs o set slot = free_slot
    where o.run_id = (begun ->> 'run_id')::uuid;
  return begun;
end
$$;
comment on function public.calendly_claim_sync(jsonb) is
  'Begins the sync of the connection that has been due longest, as calendly_begin_sync does; '
  '{status: idle, revocations_due} where nothing is due, no slot is free, the worker has used up '
  'its time or requests, or the project has moved. revocations_due: there is something to end at '
  'Calendly, see calendly_claim_revocation. Takes {project_url, spent_seconds, spent_requests}.';

-- Jobs -------------------------------------------------------------------------------------------

do $$
begin
  if to_regprocedure('cron.schedule(text, text, text)') is null then
    create extension pg_cron with schema pg_catalog;
  end if;
  if not exists (
      select from pg_catalog.pg_proc p
      where p.pronamespace = to_regnamespace('net') and p.proname = 'http_post') then
    create extension pg_net with schema extensions;
  end if;
end
$$;

create view calendly.own_jobs with (security_invoker = true) as
  select 'calendly-nudge' as name, 'select calendly.nudge()' as command,
    case s.tick when interval '1 minute' then '* * * * *'
      else extract(epoch from s.tick)::integer || ' seconds' end as schedule
  from calendly.settings s
  union all
  select 'calendly-accounts', 'select calendly.end_closed_accounts()', '* * * * *'
  union all
  -- A job of its own: what fails here stops no cleaning.
  select 'calendly-settle-deliveries', 'select calendly.settle_abandoned()', '5 * * * *'
  union all
  -- Slice by slice, each committed.
  select 'calendly-clean-webhook-events',
    'do $do$ begin while public.clean_old_webhook_events() > 0 loop commit; end loop; '
    'while calendly.clean_old_payloads() > 0 loop commit; end loop; end $do$', '7 * * * *'
  union all
  select 'calendly-clean-runs',
    'do $do$ begin while calendly.clean_old_runs() + calendly.clean_run_rows() > 0 loop commit; '
    'end loop; end $do$', '17 3 * * *'
  union all
  select 'calendly-clean-job-log', 'select calendly.clean_job_log()', '27 3 * * *';
comment on view calendly.own_jobs is
  'Our jobs as they are handed to pg_cron. What else an app has there, by whatever name, is the '
  'app''s.';

create function calendly.schedule_jobs() returns void
language sql set search_path = ''
as $$
  select cron.schedule(j.name, j.schedule, j.command) from calendly.own_jobs j
$$;
comment on function calendly.schedule_jobs() is
  'Hands our jobs to pg_cron; repeated, it changes nothing. For whoever has made pg_cron anew, as '
  'an upgrade of Postgres does.';

select calendly.schedule_jobs();

create function calendly.ticks_in_seconds(pg_cron_version text) returns boolean
language sql immutable set search_path = ''
as $$
  select string_to_array(substring(pg_cron_version from '^\d+(?:\.\d+)*'), '.')::integer[]
    >= '{1,5}'
$$;
comment on function calendly.ticks_in_seconds(text) is
  'Can this version of pg_cron run a job more often than once a minute?';

create function calendly.on_tick_change() returns trigger
-- The jobs are the owner's, whoever changes the setting.
language plpgsql security definer set search_path = ''
as $$
declare
  version constant text := (
    select e.extversion from pg_catalog.pg_extension e where e.extname = 'pg_cron');
begin
  -- null: the local stack's stand-in, which can
  if new.tick < interval '1 minute' and not calendly.ticks_in_seconds(version) then
    perform calendly.raise_error('tick_not_supported',
      format('The tick cannot be %s: pg_cron %s runs a job once a minute at most.',
        new.tick, version),
      'It takes pg_cron 1.5 or newer. Where it is installed: alter extension pg_cron update; '
      'else upgrade Postgres.');
  end if;
  perform cron.schedule(j.name, j.schedule, j.command)
    from calendly.own_jobs j where j.name = 'calendly-nudge';
  return null;
end
$$;
comment on function calendly.on_tick_change() is
  'A changed setting tick changes the schedule of the job. Error: tick_not_supported.';

create trigger tick_change
  after update of tick on calendly.settings
  for each row when (old.tick <> new.tick)
  execute function calendly.on_tick_change();

-- What an operator sees of it --------------------------------------------------------------------

create function calendly.jobs() returns jsonb
language sql stable set search_path = ''
as $$
  select coalesce(jsonb_agg(
    jsonb_build_object('name', j.jobname, 'schedule', j.schedule, 'active', j.active,
      'started_at', last.start_time, 'status', last.status, 'message', last.return_message)
    order by j.jobname), '[]')
  from cron.job j
  left join lateral (
    select d.start_time, d.status, d.return_message
    from cron.job_run_details d
    where d.jobid = j.jobid
    order by d.runid desc
    limit 1
  ) last on true
  where j.jobname in (select own.name from calendly.own_jobs own)
$$;
comment on function calendly.jobs() is 'Our jobs, each with its last run by pg_cron.';

create function public.calendly_schedule() returns jsonb
language sql stable security definer set search_path = ''
as $$
  select jsonb_build_object(
    'project_url', p.url,
    'tick', s.tick,
    'ticked_at', p.ticked_at,
    'unanswered_since', p.unanswered_since,
    'backing_off', coalesce(
      calendly.nudge_pause(p.unanswered_since, clock.now_at) > interval '1 minute', false),
    'restored_at', p.restored_at,
    'due', (
      select count(*) from public.calendly_connections c
      where c.state = 'active' and c.next_sync_at <= clock.now_at),
    'running_workers', calendly.running_workers(clock.now_at),
    'max_workers', s.max_workers,
    'jobs', calendly.jobs())
  from calendly.project p
  cross join calendly.settings s
  cross join (select calendly.now() as now_at) clock
$$;
comment on function public.calendly_schedule() is
  'The schedule as it stands: {project_url, tick, ticked_at, unanswered_since, backing_off (nobody '
  'answers, so that it nudges seldom), restored_at, due (connections), running_workers, '
  'max_workers, jobs: [{name, schedule, active, started_at, status, message}]}.';

select calendly.revoke_all();
