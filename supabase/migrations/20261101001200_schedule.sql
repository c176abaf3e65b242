-- The schedule. Once a minute pg_cron counts what is due and nudges as many function instances as there
-- is work and room. A nudge carries nothing and proves nothing: the instance claims what is due here, and
-- goes on claiming until nothing is left or its time is up. A lost nudge is repeated by the next tick.

create function calendly.running_instances() returns bigint
language sql stable set search_path = ''
as $$
  select count(*) from calendly.open_runs o where o.lease_expires_at > (select calendly.now())
$$;
revoke all on function calendly.running_instances() from public, anon, authenticated, service_role;
comment on function calendly.running_instances() is 'Runs that an instance is working on.';

create function calendly.nudge() returns integer
language plpgsql set search_path = ''
as $$
declare
  at constant timestamptz := calendly.now();
  project calendly.project;
  room integer;
  due integer;
begin
  update calendly.project p set ticked_at = at where p.only_row returning p.* into project;
  room := (select s.instances from calendly.settings s) - calendly.running_instances();
  due := (select count(*) from (
    (select c.id from public.calendly_connections c
      where c.state = 'active' and c.next_sync_at <= at
        and not exists (select from calendly.runs_under_way w where w.connection_id = c.id and w.is_main and w.free_at > at)
      limit greatest(room, 0))
    union
    (select c.id from calendly.runs_under_way w join public.calendly_connections c on c.id = w.connection_id
      where c.state = 'active' and w.free_at <= at and not w.is_main
      limit greatest(room, 0))
    limit greatest(room, 0)) as due_now);
  if due = 0 and exists (select from calendly.farewells f where f.next_try_at <= at) then
    due := 1;
  end if;
  if project.url is null or due = 0 then
    return 0;
  end if;
  update calendly.project p set unanswered_since = coalesce(p.unanswered_since, at) where p.only_row;
  -- The answers are never read: pg_net forgets failures. What was claimed is the truth.
  perform net.http_post(url := project.url || '/functions/v1/calendly-sync/nudge', body := '{}'::jsonb, timeout_milliseconds := 5000)
    from generate_series(1, due);
  return due;
end
$$;
revoke all on function calendly.nudge() from public, anon, authenticated, service_role;
comment on function calendly.nudge() is 'Asks as many function instances to work as there are due connections and free places, one at least where a connection has to be ended at Calendly, and returns how many.';

create function public.calendly_claim_sync(request jsonb) returns jsonb
language plpgsql security definer set search_path = ''
as $$
declare
  at constant timestamptz := calendly.now();
  settings calendly.settings;
  project calendly.project;
  claimed jsonb;
begin
  -- one claim at a time, or the cap on instances would be counted past; a claim takes milliseconds
  perform pg_advisory_xact_lock(hashtextextended('calendly.claim', 0));
  select s.* into settings from calendly.settings s;
  update calendly.project p
    set unanswered_since = null,
      -- a copy of the database under another address must not spend the original's tokens
      moved_to = case when p.url <> request ->> 'project_url' then request ->> 'project_url' end,
      moved_at = case when p.url <> request ->> 'project_url' then coalesce(p.moved_at, at) end
    where p.only_row returning p.* into project;
  if project.moved_to is not null or calendly.running_instances() >= settings.instances
      or (request ->> 'spent_seconds')::double precision >= extract(epoch from settings.instance_time)
      or (request ->> 'spent_requests')::integer >= settings.instance_requests then
    return '{"status": "idle"}'::jsonb;
  end if;

  select jsonb_build_object('user_id', coalesce(r.user_id, c.user_id), 'whole', coalesce(r.is_main, true)) into claimed
    from (
      -- However many are due, only these can be first: more of each kind, by the index of what is due, than
      -- are held at any moment, and what was put down.
      (select k.id from public.calendly_connections k join public.users n on n.id = k.user_id
        where k.state = 'active' and k.next_sync_at <= at and n.calendly_initial_sync_complete
        order by k.next_sync_at limit 200)
      union
      (select k.id from public.calendly_connections k join public.users n on n.id = k.user_id
        where k.state = 'active' and k.next_sync_at <= at and not n.calendly_initial_sync_complete
        order by k.next_sync_at limit 200)
      union
      select o.connection_id from public.calendly_sync_runs o where o.status in ('running', 'paused')
    ) candidate
    join public.calendly_connections c on c.id = candidate.id
    join public.users u on u.id = c.user_id
    -- of what was put down, a member's click before the organization
    left join lateral (
      select w.* from calendly.runs_under_way w where w.connection_id = c.id and w.free_at <= at
        -- next_sync_at is that of the organization, and the later the more often its instance has died
        and (not w.is_main or c.next_sync_at <= at)
      order by w.is_main, w.started_at limit 1
    ) r on true
    where c.state = 'active'
      -- a member's click, of which there may always be one, keeps nobody from the organization
      and (r.id is not null or (c.next_sync_at <= at and not exists (
        select from calendly.runs_under_way w where w.connection_id = c.id and w.is_main)))
    -- What a person waits for goes first and a backfill last, as if they were due earlier or later: nobody
    -- waits for ever.
    order by coalesce(r.free_at, c.next_sync_at) + case
        when r.trigger in ('manual', 'service') then interval '-1 hour'
        when r.sync_type = 'FULL' or not u.calendly_initial_sync_complete then interval '15 minutes'
        else interval '0'
      end
    limit 1
    -- whoever is being claimed, clicked or disconnected at this moment is left to that
    for no key update of c skip locked;
  if claimed is null then
    return '{"status": "idle"}'::jsonb;
  end if;
  return public.calendly_begin_sync(request || claimed || '{"trigger": "scheduled"}');
end
$$;
revoke all on function public.calendly_claim_sync(jsonb) from public, anon, authenticated, service_role;
grant execute on function public.calendly_claim_sync(jsonb) to service_role;
comment on function public.calendly_claim_sync(jsonb) is
  'Begins the sync of the connection that has been due longest, as calendly_begin_sync does; {status: idle} where nothing is due, no place is free, the instance is spent, or the project has moved. Takes {project_url, spent_seconds, spent_requests}.';

-- Jobs -----------------------------------------------------------------------------------------------

do $$
begin
  if to_regprocedure('cron.schedule(text, text, text)') is null then
    create extension pg_cron with schema pg_catalog;
  end if;
  if not exists (select from pg_catalog.pg_proc p where p.pronamespace = to_regnamespace('net') and p.proname = 'http_post') then
    create extension pg_net with schema extensions;
  end if;
end
$$;

select cron.schedule('calendly-nudge', '* * * * *', 'select calendly.nudge()');
-- Slice by slice, each committed: no lock is held for long, however much there is.
select cron.schedule('calendly-clean-webhook-events', '7 * * * *',
  'do $do$ begin while public.clean_old_webhook_events() > 0 loop commit; end loop; end $do$');
select cron.schedule('calendly-clean-runs', '17 3 * * *',
  'do $do$ begin while calendly.clean_old_runs() > 0 loop commit; end loop; end $do$');
select cron.schedule('calendly-clean-job-log', '27 3 * * *', 'select calendly.clean_job_log()');

-- What `deno task status` shows of it --------------------------------------------------------------------

create function public.calendly_schedule() returns jsonb
language sql stable security definer set search_path = ''
as $$
  select jsonb_build_object(
    'project_url', p.url, 'ticked_at', p.ticked_at,
    'due', (select count(*) from public.calendly_connections c where c.state = 'active' and c.next_sync_at <= calendly.now()),
    'working', calendly.running_instances(), 'instances', s.instances,
    'jobs', (
      select coalesce(jsonb_agg(jsonb_build_object('name', j.jobname, 'schedule', j.schedule, 'active', j.active,
        'started_at', last.start_time, 'status', last.status, 'message', last.return_message) order by j.jobname), '[]')
      from cron.job j
      left join lateral (
        select d.start_time, d.status, d.return_message from cron.job_run_details d
        where d.jobid = j.jobid order by d.runid desc limit 1
      ) last on true
      where j.jobname like 'calendly-%'))
  from calendly.project p, calendly.settings s
$$;
revoke all on function public.calendly_schedule() from public, anon, authenticated, service_role;
grant execute on function public.calendly_schedule() to service_role;
comment on function public.calendly_schedule() is
  'The schedule as it stands: {project_url, ticked_at, due (connections), working (instances), instances (places), jobs: [{name, schedule, active, started_at, status, message}]}, each job with its last run by pg_cron.';
