-- What is kept, and for how long. Everything is deleted slice by slice, the oldest first, so that
-- no lock is held for long however much there is. The jobs in 830_schedule repeat it until nothing
-- is left.

create function public.clean_old_webhook_events() returns integer
language plpgsql security definer set search_path = ''
as $$
declare
  now_at constant timestamptz := calendly.now();
  slice constant integer := 5000;
  settings calendly.settings;
  cleaned integer;
begin
  perform calendly.lock_against_erasure();
  select s.* into settings from calendly.settings s;
  delete from public.calendly_webhook_events e
    where e.id = any (array(
      select old.id
      from public.calendly_webhook_events old
      -- for the index: the search ends at the first one that no retention lets go
      where old.created_at < now_at
          - least(settings.webhook_event_retention, settings.dead_webhook_event_retention)
        and old.created_at < now_at - case
          when old.status in ('processed', 'ignored') then settings.webhook_event_retention
          when old.status = 'dead' then settings.dead_webhook_event_retention
        end
      order by old.created_at
      limit slice
      -- a second cleaner, or somebody who works on a delivery, is not waited for
      for update of old skip locked
    ));
  get diagnostics cleaned = row_count;
  return cleaned;
end
$$;
comment on function public.clean_old_webhook_events() is
  'Deletes at most 5,000 webhook events older than 30 days and returns how many. Deferred ones are '
  'kept, dead ones for 90 days. Call it until it returns 0.';

create function calendly.clean_old_payloads() returns integer
language plpgsql set search_path = ''
as $$
declare
  -- null where all are kept: then no delivery is older
  kept_after constant timestamptz :=
    calendly.now() - (select s.payload_retention from calendly.settings s);
  slice constant integer := 5000;
  cleaned integer;
begin
  perform calendly.lock_against_erasure();
  update public.calendly_webhook_events e
    set payload = null
    where e.id = any (array(
      select old.id
      from public.calendly_webhook_events old
      where old.status = 'processed' and old.payload is not null and old.created_at < kept_after
      order by old.created_at
      limit slice
      -- a second cleaner, or a replay, is not waited for
      for update of old skip locked
    ));
  get diagnostics cleaned = row_count;
  return cleaned;
end
$$;
comment on function calendly.clean_old_payloads() is
  'Removes the payload of at most 5,000 processed webhook events older than the setting '
  'payload_retention and returns how many.';

create function calendly.clean_old_runs() returns integer
language plpgsql set search_path = ''
as $$
declare
  kept_after constant timestamptz :=
    calendly.now() - (select s.run_retention from calendly.settings s);
  slice constant integer := 5000;
  cleaned integer;
begin
  perform calendly.lock_against_erasure();
  delete from public.calendly_sync_runs r
    where r.id = any (array(
      select old.id
      from public.calendly_sync_runs old
      where old.finished_at < kept_after
      order by old.finished_at
      limit slice
      for update of old skip locked
    ));
  get diagnostics cleaned = row_count;
  return cleaned;
end
$$;
comment on function calendly.clean_old_runs() is
  'Deletes at most 5,000 runs that ended more than 90 days ago and returns how many.';

create function calendly.clean_job_log() returns integer
language plpgsql set search_path = ''
as $$
declare
  cleaned integer;
begin
  delete from cron.job_run_details d
    using calendly.settings s
    where d.jobid in (
        select j.jobid from cron.job j join calendly.own_jobs own on own.name = j.jobname)
      and d.status in ('succeeded', 'failed')
      -- an entry that a restart of Postgres cut off has no end
      and coalesce(d.end_time, d.start_time, '-infinity') < now() - s.job_log_retention;
  get diagnostics cleaned = row_count;
  delete from calendly.ticks t
    using calendly.settings s
    where t.ticked_at < calendly.now() - s.job_log_retention;
  return cleaned;
end
$$;
comment on function calendly.clean_job_log() is
  'Deletes old entries of our own jobs from pg_cron''s log, which pg_cron never does, and returns '
  'how many. What calendly.ticks knows of the same time goes with them.';

select calendly.revoke_all();
