-- What is kept, and for how long.

create function public.clean_old_webhook_events() returns integer
language plpgsql security definer set search_path = ''
as $$
declare
  at constant timestamptz := calendly.now();
  cleaned integer;
begin
  delete from public.calendly_webhook_events e
    where e.id in (
      select old.id
      from public.calendly_webhook_events old, calendly.settings s
      where old.created_at < at - s.webhook_event_retention
        and (old.status in ('processed', 'ignored')
          or (old.status = 'dead' and old.created_at < at - s.dead_webhook_event_retention))
      order by old.created_at
      limit 5000
      -- whoever else cleans, or works on one of them, is not waited for
      for update of old skip locked
    );
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
  at constant timestamptz := calendly.now();
  cleaned integer;
begin
  delete from public.calendly_sync_runs r
    where r.id in (
      select old.id
      from public.calendly_sync_runs old, calendly.settings s
      where old.finished_at < at - s.run_retention
      order by old.finished_at
      limit 5000
      for update of old skip locked
    );
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
    where d.end_time < now() - s.job_log_retention
      and d.jobid in (select j.jobid from cron.job j where j.jobname like 'calendly-%');
  get diagnostics cleaned = row_count;
  return cleaned;
end
$$;
revoke all on function calendly.clean_job_log() from public, anon, authenticated, service_role;
comment on function calendly.clean_job_log() is 'Trims pg_cron''s log of our own jobs, which it never does itself, and returns how many entries went.';
