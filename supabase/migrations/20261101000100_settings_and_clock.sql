-- The private schema, the settings that every rule reads, and the one clock.

create schema calendly;
revoke all on schema calendly from public, anon, authenticated, service_role;
comment on schema calendly is
  'Calendly sync: everything that is not for apps. The Data API does not expose it, and no role but the owner may use it.';

-- Settings -----------------------------------------------------------------------------------------

create table calendly.settings (
  only_row boolean primary key default true check (only_row),
  full_days_back integer not null default 730 check (full_days_back between 1 and 3650),
  full_days_forward integer not null default 365 check (full_days_forward between 1 and 3650),
  incremental_days_back integer not null default 90 check (incremental_days_back between 1 and 3650),
  incremental_days_forward integer not null default 180 check (incremental_days_forward between 1 and 3650),
  full_sync_interval interval not null default '7 days' check (full_sync_interval >= '1 day'),
  sync_interval interval not null default '15 minutes' check (sync_interval between '1 minute' and '1 day'),
  webhook_sync_interval interval not null default '6 hours' check (webhook_sync_interval between '1 minute' and '1 day'),
  schedule_jitter real not null default 0.1 check (schedule_jitter between 0 and 0.5),
  instances integer not null default 20 check (instances between 1 and 200),
  page_size integer not null default 100 check (page_size between 1 and 100),
  invitee_batch integer not null default 25 check (invitee_batch between 1 and 100),
  absence_checks integer not null default 25 check (absence_checks between 0 and 100),
  lease_duration interval not null default '2 minutes' check (lease_duration between '30 seconds' and '10 minutes'),
  instance_time interval not null default '50 seconds' check (instance_time between '5 seconds' and '140 seconds'),
  instance_requests integer not null default 800 check (instance_requests between 10 and 10000),
  rate_reserve numeric not null default 0.2 check (rate_reserve between 0 and 0.9),
  webhook_event_retention interval not null default '30 days' check (webhook_event_retention >= '1 day'),
  dead_webhook_event_retention interval not null default '90 days' check (dead_webhook_event_retention >= '1 day'),
  run_retention interval not null default '90 days' check (run_retention >= '1 day'),
  job_log_retention interval not null default '7 days' check (job_log_retention >= '1 hour')
);
insert into calendly.settings default values;

alter table calendly.settings enable row level security;
revoke all on calendly.settings from public, anon, authenticated, service_role;

comment on table calendly.settings is 'One row: every number that a rule depends on.';
comment on column calendly.settings.full_days_back is 'A FULL sync lists events that start this many days back.';
comment on column calendly.settings.full_days_forward is 'A FULL sync lists events that start up to this many days ahead.';
comment on column calendly.settings.incremental_days_back is 'An INCREMENTAL sync lists events that start this many days back.';
comment on column calendly.settings.incremental_days_forward is 'An INCREMENTAL sync lists events that start up to this many days ahead.';
comment on column calendly.settings.full_sync_interval is 'The schedule starts a FULL sync when the last one is older than this.';
comment on column calendly.settings.sync_interval is 'A connection is due again this long after a sync.';
comment on column calendly.settings.webhook_sync_interval is 'The same while webhooks arrive: then a sync only repairs.';
comment on column calendly.settings.schedule_jitter is 'Share of an interval by which it is shortened or lengthened at random, so that not all come at once.';
comment on column calendly.settings.instances is 'How many function instances may sync by schedule at once.';
comment on column calendly.settings.page_size is 'Events asked for per page (Calendly allows 100).';
comment on column calendly.settings.invitee_batch is 'Events whose invitees are read between two round trips to Postgres.';
comment on column calendly.settings.absence_checks is 'How many events missing from a listing one run may ask for by themselves.';
comment on column calendly.settings.lease_duration is 'A run that has not been heard of for this long may be taken over.';
comment on column calendly.settings.instance_time is 'A function instance takes no further step after this long. Less than a minute, so that its place is free when the next tick comes; the platform ends it at 150 s.';
comment on column calendly.settings.instance_requests is 'A function instance takes no further step after this many requests to Calendly.';
comment on column calendly.settings.rate_reserve is 'Share of Calendly''s rate limit that scheduled work leaves for a person''s click.';
comment on column calendly.settings.webhook_event_retention is 'How long processed and ignored webhook events are kept.';
comment on column calendly.settings.dead_webhook_event_retention is 'How long dead webhook events are kept.';
comment on column calendly.settings.run_retention is 'How long ended runs are kept.';
comment on column calendly.settings.job_log_retention is 'How long pg_cron''s log of our jobs is kept.';

create function calendly.in_words(days integer) returns text
language sql immutable set search_path = ''
as $$
  select case
    when days % 365 = 0 then format('%s %s', days / 365, case days / 365 when 1 then 'year' else 'years' end)
    when days % 30 = 0 then format('%s %s', days / 30, case days / 30 when 1 then 'month' else 'months' end)
    else format('%s %s', days, case days when 1 then 'day' else 'days' end)
  end
$$;
revoke all on function calendly.in_words(integer) from public, anon, authenticated, service_role;
comment on function calendly.in_words(integer) is 'Days as a person says them: 730 is ''2 years'', 90 is ''3 months''.';

-- Clock --------------------------------------------------------------------------------------------

create table calendly.clock (
  only_row boolean primary key default true check (only_row),
  stopped_at timestamptz not null
);
alter table calendly.clock enable row level security;
revoke all on calendly.clock from public, anon, authenticated, service_role;
comment on table calendly.clock is 'Empty in production. A local stack may stop the clock here, so that days pass in seconds and tests do not depend on the time of day.';

create function calendly.now() returns timestamptz
language sql volatile set search_path = ''
as $$
  -- not now(): a transaction that waited for a lock must not extend its lease from before the wait
  select coalesce((select c.stopped_at from calendly.clock c), clock_timestamp())
$$;
revoke all on function calendly.now() from public, anon, authenticated, service_role;
comment on function calendly.now() is 'The time. Everything reads it here, once per step, into a variable.';

create function calendly.set_clock(at timestamptz) returns void
language plpgsql set search_path = ''
as $$
begin
  if to_regnamespace('local_stack') is null then
    perform calendly.fail('not_a_local_stack', 'The clock can be set on a local stack only.', 'A local stack has the schema local_stack.');
  end if;
  if at is null then
    delete from calendly.clock;
  else
    insert into calendly.clock (stopped_at) values (at) on conflict (only_row) do update set stopped_at = excluded.stopped_at;
  end if;
end
$$;
revoke all on function calendly.set_clock(timestamptz) from public, anon, authenticated, service_role;
comment on function calendly.set_clock(timestamptz) is
  'Stops the clock at a time; null lets it run again. Error: not_a_local_stack where the schema local_stack does not exist.';

create function calendly.to_time(value text) returns timestamptz
language plpgsql stable set search_path = ''
as $$
begin
  -- only times with a zone: Calendly's are UTC with 0 to 6 digits
  if value !~ '^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:?\d\d)$' then
    return null;
  end if;
  return value::timestamptz;
exception when data_exception then
  return null;
end
$$;
revoke all on function calendly.to_time(text) from public, anon, authenticated, service_role;
comment on function calendly.to_time(text) is 'A Calendly time with all its microseconds; null where it is none (''2026-02-30T…'').';

create function calendly.to_calendly(at timestamptz) returns text
language sql stable set search_path = ''
as $$
  select to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
$$;
revoke all on function calendly.to_calendly(timestamptz) from public, anon, authenticated, service_role;
comment on function calendly.to_calendly(timestamptz) is 'A time as Calendly writes it: UTC with six digits.';

-- Errors -------------------------------------------------------------------------------------------

create function calendly.fail(code text, message text, hint text default null) returns void
language plpgsql set search_path = ''
as $$
begin
  raise exception using errcode = 'P0001', message = fail.message, detail = fail.code, hint = coalesce(fail.hint, '');
end
$$;
revoke all on function calendly.fail(text, text, text) from public, anon, authenticated, service_role;
comment on function calendly.fail(text, text, text) is
  'Raises an error for a caller to act on: the code travels as the error''s detail, so that the Data API hands on all three.';

-- Changing settings ------------------------------------------------------------------------------------

create function public.calendly_configure(changes jsonb default '{}') returns jsonb
language plpgsql security definer set search_path = ''
as $$
declare
  name text;
  refused text;
  settings calendly.settings;
begin
  if jsonb_typeof(changes) <> 'object' then
    perform calendly.fail('invalid_setting', 'The settings to change are no object.', '{"sync_interval": "10 minutes"}');
  end if;
  for name in select jsonb_object_keys(changes) loop
    if name = 'only_row' or not exists (
        select from pg_catalog.pg_attribute a
        where a.attrelid = 'calendly.settings'::regclass and a.attname = name and a.attnum > 0) then
      perform calendly.fail('unknown_setting', format('There is no setting %s.', name), 'select calendly_configure() shows them all.');
    end if;
    begin
      execute format('update calendly.settings set %I = (jsonb_populate_record(null::calendly.settings, $1)).%I', name, name) using changes;
    exception
      when check_violation then
        get stacked diagnostics refused = constraint_name;
        perform calendly.fail('setting_out_of_range', format('%s cannot be %s.', name, changes ->> name), (
          select 'It must satisfy ' || pg_catalog.pg_get_constraintdef(c.oid) from pg_catalog.pg_constraint c
          where c.conrelid = 'calendly.settings'::regclass and c.conname = refused));
      when data_exception or not_null_violation then
        perform calendly.fail('invalid_setting', format('%s cannot be %s.', name, coalesce(changes ->> name, 'null')), (
          select 'It is of type ' || pg_catalog.format_type(a.atttypid, a.atttypmod) from pg_catalog.pg_attribute a
          where a.attrelid = 'calendly.settings'::regclass and a.attname = name));
    end;
  end loop;
  select s.* into settings from calendly.settings s;
  return to_jsonb(settings) - 'only_row';
end
$$;
revoke all on function public.calendly_configure(jsonb) from public, anon, authenticated, service_role;
grant execute on function public.calendly_configure(jsonb) to service_role;
comment on function public.calendly_configure(jsonb) is
  'Changes settings, {name: value}, all or none, and returns them all. Errors: unknown_setting, setting_out_of_range (with the range), invalid_setting.';
