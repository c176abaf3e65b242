-- Changing a setting: what is right is taken, what is wrong is refused with what would be right.
begin;
select plan(159);

create function tests.setting(name text) returns text language sql as $$
  select to_jsonb(s) ->> setting.name from calendly.settings s
$$;
create function tests.hint_of(statement text) returns text language plpgsql as $$
declare
  hint text;
begin
  execute statement;
  return 'no error';
exception when others then
  get stacked diagnostics hint = pg_exception_hint;
  return hint;
end
$$;
create function tests.configure(name text, value jsonb) returns text language sql as $$
  select format('select public.calendly_configure(%L)', jsonb_build_object(name, value))
$$;
create temporary table ranges (name text, low jsonb, high jsonb, too_low jsonb, too_high jsonb);
insert into ranges values
  ('full_days_back', '1', '3650', '0', '3651'),
  ('full_days_forward', '1', '3650', '-1', '3651'),
  ('incremental_days_back', '1', '3650', '0', '3651'),
  ('incremental_days_forward', '1', '3650', '0', '3651'),
  ('full_sync_interval', '"1 day"', null, '"23:59:59"', null),
  ('sync_interval', '"1 minute"', '"1 day"', '"59 seconds"', '"25 hours"'),
  ('webhook_sync_interval', '"1 minute"', '"1 day"', '"-1 hour"', '"2 days"'),
  ('tick', '"1 second"', '"1 minute"', '"0"', '"61 seconds"'),
  ('schedule_jitter', '0', '0.5', '-0.1', '0.6'),
  ('max_workers', '1', '200', '0', '201'),
  ('max_concurrency', '1', '20', '0', '21'),
  ('page_size', '1', '100', '0', '101'),
  ('invitee_batch', '1', '100', '0', '101'),
  ('missing_event_lookups', '0', '100', '-1', '101'),
  ('lease_duration', '"30 seconds"', '"10 minutes"', '"29 seconds"', '"11 minutes"'),
  ('worker_time', '"5 seconds"', '"140 seconds"', '"4 seconds"', '"141 seconds"'),
  ('worker_requests', '10', '10000', '9', '10001'),
  ('rate_reserve', '0', '0.9', '-0.01', '1'),
  ('webhook_event_retention', '"1 day"', null, '"0"', null),
  ('dead_webhook_event_retention', '"1 day"', null, '"1 hour"', null),
  ('payload_retention', '"1 day"', null, '"23 hours"', null),
  ('run_retention', '"1 day"', null, '"0"', null),
  ('job_log_retention', '"1 hour"', null, '"59 minutes"', null);

select is((select array_agg(name order by name) from ranges),
  (select array_agg(name order by name) from jsonb_object_keys(public.calendly_configure()) name), 'without changes, all settings are told');

-- at its ends, a range is still in it; one step further it is not
select lives_ok(tests.configure(name, low), format('%s may be %s', name, low)) from ranges;
select lives_ok(tests.configure(name, high), format('%s may be %s', name, high)) from ranges where high is not null;
select is(tests.code_of(tests.configure(name, too_low)), 'setting_out_of_range', format('%s cannot be %s', name, too_low)) from ranges;
select is(tests.code_of(tests.configure(name, too_high)), 'setting_out_of_range', format('%s cannot be %s', name, too_high)) from ranges where too_high is not null;
select ok(tests.hint_of(tests.configure(name, too_low)) ~ name and tests.hint_of(tests.configure(name, too_low)) ~ '[0-9]', format('and is told the range of %s', name)) from ranges;
select is(tests.hint_of(tests.configure('tick', '"90 seconds"')), 'tick is 1 to 59 whole seconds, or 1 minute.', 'that of the tick in words');

-- what is no value at all
select is(tests.code_of(tests.configure('page_size', value)), 'invalid_setting', format('page_size cannot be %s', value))
from unnest(array['"many"', '1.5', '"1.5"', 'null', '{}', '[]', 'true', '""', '99999999999999999999', '"NaN"']::jsonb[]) value;
select is(tests.code_of(tests.configure('sync_interval', value)), 'invalid_setting', format('sync_interval cannot be %s', value))
from unnest(array['"soon"', '{}', 'null', '"1 fortnight and a bit"', '""']::jsonb[]) value;
select is(tests.code_of(tests.configure('rate_reserve', '"NaN"')), 'setting_out_of_range', 'not a number is not between two numbers');
select is(tests.hint_of(tests.configure('page_size', '"many"')), 'It is of type integer', 'the type is told');
select is(tests.hint_of(tests.configure('sync_interval', 'null')), 'It is of type interval', 'for nothing as well');

-- what is no setting
select is(tests.code_of(tests.configure(name, '1')), 'unknown_setting', format('there is no setting %L', name))
from unnest('{only_row,pagesize,ctid,"page_size = 1; --",""}'::text[]) name;
select is(tests.hint_of(tests.configure('pagesize', '1')), 'select calendly_configure() shows them all.', 'and one is told how to see them');
select is(tests.code_of(format('select public.calendly_configure(%L)', value)), 'invalid_setting', format('%s is no object of settings', value))
from unnest(array['1', '[]', 'null', '"page_size"']) value;
select is(public.calendly_configure(null), public.calendly_configure(), 'nothing at all changes nothing');

-- all or none
select public.calendly_configure('{"page_size": 50, "max_workers": 7}');
select is(tests.code_of($$select public.calendly_configure('{"page_size": 60, "max_workers": 0}')$$), 'setting_out_of_range', 'one wrong value among good ones');
select is(tests.setting('page_size'), '50', 'changes nothing');
select is(public.calendly_configure('{"page_size": 60, "max_workers": 8}') ->> 'max_workers', '8', 'two good ones are both taken and told');
select is(tests.setting('page_size'), '60', 'indeed');
select is(public.calendly_configure('{}') ->> 'page_size', '60', 'no change is no error');
select is(public.calendly_configure('{"sync_interval": "PT10M"}') ->> 'sync_interval', '00:10:00', 'an interval may be written in any way that Postgres reads');

-- the tick
create function tests.nudged_every() returns text language sql as $$
  select string_agg(j.schedule || ' ' || j.username || ' ' || j.active, ', ') from cron.job j where j.jobname = 'calendly-nudge'
$$;
select public.calendly_configure('{"tick": "1 minute"}');
select is(tests.nudged_every(), '* * * * * postgres true', 'by default the schedule ticks once a minute');
select is(public.calendly_configure('{"tick": "20 seconds"}') ->> 'tick', '00:00:20', 'it may tick more often');
select is(tests.nudged_every(), '20 seconds postgres true', 'its job is changed at once');
select cron.unschedule(j.jobid) from cron.job j where j.jobname = 'calendly-clean-runs';
select public.calendly_configure('{"tick": "1 second"}');
select is(tests.nudged_every(), '1 seconds postgres true', 'up to once a second');
select is((select count(*) from cron.job j where j.jobname = 'calendly-clean-runs'), 0::bigint, 'no other job is touched by it');
select is(tests.code_of(tests.configure('tick', '"1.5 seconds"')), 'setting_out_of_range', 'seconds are whole');
update calendly.settings set tick = '30 seconds';
select is(tests.nudged_every(), '30 seconds postgres true', 'a typed statement does the same, and the job stays the owner''s');
select public.calendly_configure('{"page_size": 55}');
select is(tests.nudged_every(), '30 seconds postgres true', 'another setting leaves it as it is');
select cron.unschedule(j.jobid) from cron.job j where j.jobname like 'calendly-%';
set local role postgres;
select calendly.schedule_jobs();
reset role;
select is((select array_agg(j.jobname || ' ' || j.schedule order by j.jobname) from cron.job j where j.jobname like 'calendly-%'),
  '{"calendly-accounts * * * * *","calendly-clean-job-log 27 3 * * *","calendly-clean-runs 17 3 * * *","calendly-clean-webhook-events 7 * * * *","calendly-nudge 30 seconds","calendly-settle-deliveries 5 * * * *"}',
  'jobs that were lost can be scheduled again, with this tick');
select public.calendly_configure('{"tick": "1 minute"}');
select is(tests.nudged_every(), '* * * * * postgres true', 'and it may tick once a minute again');
select is(calendly.ticks_in_seconds(version), capable, format('pg_cron %s %s tick more often', version, case when capable then 'can' else 'cannot' end))
from (values ('1.3.1', false), ('1.4', false), ('1.4-1', false), ('1.5', true), ('1.6.4', true), ('1.10', true), ('2.0', true)) v (version, capable);

-- who may
select is((select array_agg(grantee::text order by grantee::text) from information_schema.routine_privileges
    where routine_schema = 'public' and routine_name = 'calendly_configure' and grantee <> 'postgres'), '{service_role}', 'only the service role may change settings');
set local role service_role;
select is(public.calendly_configure('{"page_size": 70}') ->> 'page_size', '70', 'and does');
reset role;

select * from finish();
rollback;
