-- Retention of ended runs and of pg_cron's log of our own jobs.
begin;
select plan(26);
select calendly.set_clock('2026-06-01T12:00:00Z');
select tests.add_person('ana');
create function tests.keep(
  subject text, status text, age interval, sync_type text default 'INCREMENTAL'
) returns void language sql as $$
  insert into public.calendly_sync_runs
      (connection_id, user_id, subject, trigger, sync_type, min_start_time, max_start_time, status,
        started_at, heartbeat_at, finished_at)
    select c.id, c.user_id, keep.subject, 'scheduled', keep.sync_type, now_at, now_at, keep.status,
      now_at - age, now_at - age,
      case when keep.status in ('complete', 'failed') then now_at - age end
    from tests.connection_of('ana') c
    cross join (select calendly.now() as now_at) clock
$$;
create function tests.kept() returns text language sql as $$
  select coalesce(string_agg(r.subject, ', ' order by r.subject), 'nothing')
  from public.calendly_sync_runs r
$$;

-- what a large run has collected
insert into calendly.run_seen (run_id, event_uri, direct)
  select '00000000-0000-0000-0000-000000000001', tests.event_uri('E' || n), false
  from generate_series(1, 5001) n;
insert into calendly.ended_runs values ('00000000-0000-0000-0000-000000000001');
select is(calendly.clean_run_rows(), 5000,
  'at most 5,000 rows that a large run has left go in one call');
select is(calendly.clean_run_rows(), 1, 'the next call deletes the rest of a large run''s rows');
select is(array[calendly.clean_run_rows(), calendly.clean_run_rows()], array[1, 0],
  'a run that has left nothing more is forgotten');

-- runs
select is(calendly.clean_old_runs(), 0, 'an empty table is left as it is');
select tests.keep('complete', 'complete', '90 days'), tests.keep('failed', 'failed', '90 days');
select is(calendly.clean_old_runs(), 0, 'runs are kept for 90 days');
select tests.keep('long complete', 'complete', '91 days'),
  tests.keep('long failed', 'failed', '1 year'),
  tests.keep('long FULL', 'complete', '91 days', 'FULL');
select is(calendly.clean_old_runs(), 3, 'ended runs go after 90 days, however they ended');
select is(tests.kept(), 'complete, failed', 'younger runs stay');
select tests.keep('paused', 'paused', '1 year'), tests.keep('running', 'running', '1 year');
select is(calendly.clean_old_runs(), 0, 'a run that has not ended is kept, however old');
select public.calendly_configure('{"run_retention": "10 days"}');
select is(calendly.clean_old_runs(), 2, 'the age is a setting');
select tests.keep(n::text, 'complete', '20 days') from generate_series(1, 5001) n;
select is(calendly.clean_old_runs(), 5000, 'at most 5,000 runs go in one call');
select is(calendly.clean_old_runs(), 1, 'the next call deletes the rest');
select is(tests.kept(), 'paused, running', 'runs that have not ended are kept among them');
select is((select j.schedule || ' ' || j.active from cron.job j
    where j.jobname = 'calendly-clean-runs'), '17 3 * * * true', 'a job cleans runs every night');

-- pg_cron's log
delete from cron.job_run_details;
create function tests.log(
  message text, job text, status text, started interval, ended interval default null
) returns void language sql as $$
  insert into cron.job_run_details
      (jobid, runid, job_pid, database, username, command, status, return_message, start_time,
        end_time)
    select j.jobid, (select count(*) from cron.job_run_details), 1, current_database(), j.username,
      j.command, log.status, message, now() - started, now() - ended
    from cron.job j where j.jobname = log.job
$$;
create function tests.logged() returns text language sql as $$
  select coalesce(string_agg(d.return_message, ', ' order by d.return_message), 'nothing')
  from cron.job_run_details d
$$;
select cron.schedule('of-the-app', '* * * * *', 'select 1');
select is(calendly.clean_job_log(), 0, 'an empty log is left as it is');
select tests.log('young', 'calendly-nudge', 'succeeded', '6 days', '6 days'),
  tests.log('old', 'calendly-nudge', 'succeeded', '8 days', '8 days');
select is(calendly.clean_job_log(), 1, 'log entries of our jobs go after a week');
select is(tests.logged(), 'young', 'younger entries stay');
select tests.log('failed', 'calendly-clean-runs', 'failed', '8 days', '8 days');
select is(calendly.clean_job_log(), 1, 'entries of failed jobs go as well');
select tests.log('cut off by a restart', 'calendly-nudge', 'failed', '8 days'),
  tests.log('cut off before it began', 'calendly-nudge', 'failed', null);
select is(calendly.clean_job_log(), 2, 'entries without an end go as well');
select tests.log('running', 'calendly-clean-webhook-events', 'running', '8 days'),
  tests.log('of the app', 'of-the-app', 'succeeded', '8 days', '8 days');
select is(calendly.clean_job_log(), 0, 'entries of running jobs and of the app''s jobs are kept');
select public.calendly_configure('{"job_log_retention": "1 day"}');
select is(calendly.clean_job_log(), 1, 'the age of log entries is a setting');
select is(tests.logged(), 'of the app, running', 'it is for our own jobs only');
select is((select j.schedule || ' ' || j.active from cron.job j
    where j.jobname = 'calendly-clean-job-log'), '27 3 * * * true',
  'a job cleans the log every night');

-- all jobs
select is((select array_agg(j.jobname || ' ' || j.schedule order by j.jobname)
    from cron.job j where j.jobname like 'calendly-%'),
  '{"calendly-accounts * * * * *","calendly-clean-job-log 27 3 * * *",'
    '"calendly-clean-runs 17 3 * * *","calendly-clean-webhook-events 7 * * * *",'
    '"calendly-nudge * * * * *","calendly-settle-deliveries 5 * * * *"}',
  'there are six jobs and no other');
select is((select j.command from cron.job j where j.jobname = 'calendly-settle-deliveries'),
  'select calendly.settle_abandoned()', 'what fails to settle a delivery stops no cleaning');
select is((select j.command from cron.job j where j.jobname = 'calendly-accounts'),
  'select calendly.end_closed_accounts()', 'a job looks for ended accounts every minute');
select is((select count(*) from cron.job j
    where j.jobname like 'calendly-%' and j.command ~* 'bearer|apikey|eyJ|sb_'), 0::bigint,
  'no job contains a key');

select * from finish();
rollback;
