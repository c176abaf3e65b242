-- What is kept, and for how long.

create function public.clean_old_webhook_events() returns integer
language plpgsql security definer set search_path = ''
as $$
declare
  at constant timestamptz := calendly.now();
  settings calendly.settings;
  cleaned integer;
begin
  select s.* into settings from calendly.settings s;
  delete from public.calendly_webhook_events e
    where e.id = any (array(
      select old.id
      from public.calendly_webhook_events old
      -- so much for the index, which ends the search among the young
      where old.created_at < at - least(settings.webhook_event_retention, settings.dead_webhook_event_retention)
        and old.created_at < at - case
          when old.status in ('processed', 'ignored') then settings.webhook_event_retention
          when old.status = 'dead' then settings.dead_webhook_event_retention
        end
      order by old.created_at
      limit 5000
      -- whoever else cleans, or works on one of them, is not waited for
      for update of old skip locked
    ));
  get diagnostics cleaned = row_count;
  return cleaned;
end
$$;
revoke all on function public.clean_old_webhook_events() from public, anon, authenticated, service_role;
grant execute on function public.clean_old_webhook_events() to service_role;
comment on function public.clean_old_webhook_events() is
  'Deletes at most 5,000 webhook events older than 30 days and returns how many. Deferred ones are kept, dead ones for 90 days. Call it until it returns 0.';

create function calendly.clean_old_runs() returns integer
language plpgsql set search_path = ''
as $$
declare
  horizon constant timestamptz := calendly.now() - (select s.run_retention from calendly.settings s);
  cleaned integer;
begin
  delete from public.calendly_sync_runs r
    where r.id = any (array(
      select old.id
      from public.calendly_sync_runs old
      where old.finished_at < horizon
      order by old.finished_at
      limit 5000
      for update of old skip locked
    ));
  get diagnostics cleaned = row_count;
  return cleaned;
end
$$;
revoke all on function calendly.clean_old_runs() from public, anon, authenticated, service_role;
comment on function calendly.clean_old_runs() is 'Deletes at most 5,000 runs that ended more than 90 days ago and returns how many.';

create function calendly.clean_job_log() returns integer
language plpgsql set search_path = ''
as $$
declare
  cleaned integer;
begin
  delete from cron.job_run_details d
    using calendly.settings s
    -- a run that a restart of Postgres cut off has no end
    where d.status in ('succeeded', 'failed') and coalesce(d.end_time, d.start_time, '-infinity') < now() - s.job_log_retention
      and d.jobid in (select j.jobid from cron.job j where j.jobname like 'calendly-%');
  get diagnostics cleaned = row_count;
  return cleaned;
end
$$;
revoke all on function calendly.clean_job_log() from public, anon, authenticated, service_role;
comment on function calendly.clean_job_log() is 'Trims pg_cron''s log of our own jobs, which it never does itself, and returns how many entries went.';
