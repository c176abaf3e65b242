-- The schedule. Once a minute pg_cron counts what is due and nudges as many function instances
-- (workers) as there is work and free slots. A nudge carries nothing and proves nothing: the worker
-- claims here what is due, and goes on claiming until nothing is left or its time is up. A nudge
-- that is lost is repeated by the next tick.

create function calendly.running_workers(now_at timestamptz default calendly.now())
returns integer
language sql stable set search_path = ''
as $$
  select count(*)::integer
  from calendly.active_runs o where o.lease_expires_at > running_workers.now_at
$$;
comment on function calendly.running_workers(timestamptz) is 'Runs that a worker is working on.';

-- Nudging ----------------------------------------------------------------------------------------

create function calendly.count_due(now_at timestamptz, at_most integer) returns integer
language sql stable set search_path = ''
as $$
  select count(*)::integer
  from (
    (select c.id
      from public.calendly_connections c
      where c.state = 'active' and c.next_sync_at <= count_due.now_at
        -- not where a worker has its run, or the run is paused until later
        and not exists (
          select from calendly.active_run_details d
          where d.connection_id = c.id and d.covers_connection
            and d.resumable_at > count_due.now_at)
      limit at_most)
    union all
    -- clicks of members of an organization that were paused, or whose worker has crashed
    (select d.id
      from calendly.active_run_details d
      join public.calendly_connections c on c.id = d.connection_id
      where c.state = 'active' and not d.covers_connection and d.resumable_at <= count_due.now_at
      limit at_most)
    limit at_most
  ) due
$$;
comment on function calendly.count_due(timestamptz, integer) is
  'How many syncs a worker could claim now. No further than at_most is counted.';

create function calendly.nudge() returns integer
language plpgsql set search_path = ''
as $$
declare
  now_at constant timestamptz := calendly.now();
  free_slots constant integer := greatest(0,
    (select s.max_workers from calendly.settings s) - calendly.running_workers(now_at));
  -- pg_net forgets failures, so the answers are never read. What was claimed is the truth.
  answer_timeout constant integer := 5000;  -- milliseconds
  project calendly.project;
  due integer;
begin
  update calendly.project p set ticked_at = now_at where p.only_row returning p.* into project;
  due := calendly.count_due(now_at, free_slots);
  if due = 0 and exists (
      select from calendly.pending_revocations r where r.next_try_at <= now_at) then
    due := 1;
  end if;
  if project.url is null or due = 0 then
    -- A nudge that was lost and is not repeated, because nothing is due any more, is no alert.
    update calendly.project p set unanswered_since = null
      where p.only_row and p.unanswered_since is not null;
    return 0;
  end if;
  update calendly.project p
    set unanswered_since = coalesce(p.unanswered_since, now_at)
    where p.only_row;
  perform net.http_post(
      url := project.url || '/functions/v1/calendly-sync/nudge',
      body := '{}'::jsonb,
      timeout_milliseconds := answer_timeout)
    from generate_series(1, due);
  return due;
end
$$;
comment on function calendly.nudge() is
  'Asks as many workers to come as there are due syncs and free slots, one at least where a '
  'connection has to be ended at Calendly, and returns how many.';

-- Claiming ---------------------------------------------------------------------------------------

create function calendly.may_claim(request jsonb, now_at timestamptz) returns boolean
language plpgsql set search_path = ''
as $$
declare
  settings calendly.settings;
  project calendly.project;
begin
  select s.* into settings from calendly.settings s;
  update calendly.project p
    set unanswered_since = null,
      -- A copy of the database under another address must not spend the original's tokens.
      moved_to = case when p.url <> request ->> 'project_url' then request ->> 'project_url' end,
      moved_at = case when p.url <> request ->> 'project_url' then coalesce(p.moved_at, now_at) end
    where p.only_row
    returning p.* into project;
  return project.moved_to is null
    and calendly.running_workers(now_at) < settings.max_workers
    and coalesce((request ->> 'spent_seconds')::double precision, 0)
      < extract(epoch from settings.worker_time)
    and coalesce((request ->> 'spent_requests')::integer, 0) < settings.worker_requests;
end
$$;
comment on function calendly.may_claim(jsonb, timestamptz) is
  'Notes that a worker has come. True where the project has not moved, a slot is free, and the '
  'worker has time and requests left.';

create function calendly.claimable_connections(now_at timestamptz)
returns table (connection_id uuid)
-- rows: few enough for the planner to look each of them up by index
language plpgsql stable rows 200 set search_path = ''
as $$
begin
  -- Of each kind 200, as many as there can be workers: what others have locked leaves enough.
  -- However many are due, only these can be first, and the index of what is due finds them. The
  -- number is written out, because the planner must see it.
  return query
    (select c.id
      from public.calendly_connections c
      join public.calendly_users u on u.id = c.user_id
      where c.state = 'active' and c.next_sync_at <= claimable_connections.now_at
        and u.calendly_initial_sync_complete
      order by c.next_sync_at limit 200)
    union
    (select c.id
      from public.calendly_connections c
      join public.calendly_users u on u.id = c.user_id
      where c.state = 'active' and c.next_sync_at <= claimable_connections.now_at
        and not u.calendly_initial_sync_complete
      order by c.next_sync_at limit 200)
    union
    select d.connection_id
      from calendly.active_run_details d
      where d.resumable_at <= claimable_connections.now_at;
end
$$;
comment on function calendly.claimable_connections(timestamptz) is
  'The connections among which the next claim is chosen.';

create type calendly.claim as (
  connection_id uuid,
  user_id integer,
  run_id uuid,
  all_members boolean
);
comment on type calendly.claim is
  'The sync that a worker gets: of all_members, or of user_id alone. run_id: the run that goes on, '
  'if there is one. All null: there is nothing to claim.';

create function calendly.next_claim(now_at timestamptz) returns calendly.claim
language plpgsql set search_path = ''
as $$
declare
  claim calendly.claim;
  -- What a person waits for comes first and a first sync, which is long, last: as if they were due
  -- earlier or later, so that nobody waits for ever.
  head_start_of_clicks constant interval := interval '1 hour';
  delay_of_full_syncs constant interval := interval '15 minutes';
begin
  select c.id, coalesce(r.user_id, c.user_id), r.id, coalesce(r.covers_connection, true)
    into claim
    from calendly.claimable_connections(now_at) claimable
    join public.calendly_connections c on c.id = claimable.connection_id
    join public.calendly_users u on u.id = c.user_id
    -- Of runs that may go on, a member's click comes before the organization.
    left join lateral (
      select d.*
      from calendly.active_run_details d
      where d.connection_id = c.id and d.resumable_at <= now_at
        -- next_sync_at is the organization's, and the later the more of its workers have crashed
        and (not d.covers_connection or c.next_sync_at <= now_at)
      order by d.covers_connection, d.started_at
      limit 1
    ) r on true
    where c.state = 'active'
      -- A member's click, of which there may always be one, does not keep the organization waiting.
      and (r.id is not null or (c.next_sync_at <= now_at and not exists (
        select from calendly.active_run_details d
        where d.connection_id = c.id and d.covers_connection)))
    order by coalesce(r.resumable_at, c.next_sync_at) + case
        when r.trigger in ('manual', 'service') then - head_start_of_clicks
        when r.sync_type = 'FULL' or not u.calendly_initial_sync_complete then delay_of_full_syncs
        else interval '0'
      end
    limit 1
    -- A connection that is being claimed, clicked or disconnected at this moment is left to that.
    for no key update of c skip locked;
  return claim;
end
$$;
comment on function calendly.next_claim(timestamptz) is
  'Locks the connection that has been due longest and says whose sync it is.';

create function calendly.refuse_closed_account(claim calendly.claim, now_at timestamptz)
returns boolean
language plpgsql set search_path = ''
as $$
declare
  owner_is_closed constant boolean := (
    select not calendly.account_is_open(u.auth_user_id, refuse_closed_account.now_at)
    from public.calendly_connections c
    join public.calendly_users u on u.id = c.user_id
    where c.id = claim.connection_id);
  user_is_closed constant boolean := (
    select not calendly.account_is_open(u.auth_user_id, refuse_closed_account.now_at)
    from public.calendly_users u
    where u.id = claim.user_id);
begin
  if owner_is_closed then
    -- As calendly.suspend_banned_accounts does, which also ends it.
    update public.calendly_connections c set next_sync_at = null where c.id = claim.connection_id;
  end if;
  if (owner_is_closed or user_is_closed) and not claim.all_members then
    perform calendly.end_run(claim.run_id, 'failed', jsonb_build_object(
      'code', 'account_closed', 'message', 'This account is deleted or banned.'));
  end if;
  return owner_is_closed or user_is_closed;
end
$$;
comment on function calendly.refuse_closed_account(calendly.claim, timestamptz) is
  'Is this the claim of an account that is deleted or banned, which calendly.end_closed_accounts '
  'has not noticed yet? Then it is not claimed again: a member''s click is ended, and the schedule '
  'leaves the connection of a closed owner out.';

create function public.calendly_claim_sync(request jsonb) returns jsonb
language plpgsql security definer set search_path = '' set lock_timeout = '5s' set jit = off
as $$
declare
  now_at constant timestamptz := calendly.now();
  -- Each refusal takes a moment of the lock. The minutely job does the rest.
  max_refusals constant integer := 20;
  claim calendly.claim;
begin
  perform calendly.lock_against_erasure();
  -- One claim at a time: two would both count the last free slot. A claim takes milliseconds.
  perform pg_advisory_xact_lock(hashtextextended('calendly.claim', 0));
  if calendly.may_claim(request, now_at) then
    for attempt in 0..max_refusals loop
      claim := calendly.next_claim(now_at);
      exit when claim.connection_id is null;
      if not calendly.refuse_closed_account(claim, now_at) then
        return public.calendly_begin_sync(request || jsonb_build_object(
          'user_id', claim.user_id, 'all_members', claim.all_members, 'trigger', 'scheduled'));
      end if;
    end loop;
  end if;
  return jsonb_build_object('status', 'idle');
end
$$;
comment on function public.calendly_claim_sync(jsonb) is
  'Begins the sync of the connection that has been due longest, as calendly_begin_sync does; '
  '{status: idle} where nothing is due, no slot is free, the worker has used up its time or '
  'requests, or the project has moved. Takes {project_url, spent_seconds, spent_requests}.';

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

select cron.schedule('calendly-nudge', '* * * * *', 'select calendly.nudge()');
select cron.schedule('calendly-accounts', '* * * * *', 'select calendly.end_closed_accounts()');
-- Slice by slice, each committed.
select cron.schedule('calendly-clean-webhook-events', '7 * * * *',
  'do $do$ begin while public.clean_old_webhook_events() > 0 loop commit; end loop; '
  'while calendly.clean_old_payloads() > 0 loop commit; end loop; end $do$');
select cron.schedule('calendly-clean-runs', '17 3 * * *',
  'do $do$ begin while calendly.clean_old_runs() + calendly.clean_run_rows() > 0 loop commit; '
  'end loop; end $do$');
select cron.schedule('calendly-clean-job-log', '27 3 * * *', 'select calendly.clean_job_log()');

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
  where j.jobname like 'calendly-%'
$$;
comment on function calendly.jobs() is 'Our jobs, each with its last run by pg_cron.';

create function public.calendly_schedule() returns jsonb
language sql stable security definer set search_path = ''
as $$
  select jsonb_build_object(
    'project_url', p.url,
    'ticked_at', p.ticked_at,
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
  'The schedule as it stands: {project_url, ticked_at, due (connections), running_workers, '
  'max_workers, jobs: [{name, schedule, active, started_at, status, message}]}.';

select calendly.revoke_all();
