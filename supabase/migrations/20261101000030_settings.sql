-- Every number that a rule depends on, in one row, and the function that shows and changes them.
-- Each has a range: a value outside of it is refused before it can do harm.

create table calendly.settings (
  only_row boolean primary key default true check (only_row),
  full_days_back integer not null default 730 check (full_days_back between 1 and 3650),
  full_days_forward integer not null default 365 check (full_days_forward between 1 and 3650),
  incremental_days_back integer not null default 90
    check (incremental_days_back between 1 and 3650),
  incremental_days_forward integer not null default 180
    check (incremental_days_forward between 1 and 3650),
  full_sync_interval interval not null default '7 days' check (full_sync_interval >= '1 day'),
  sync_interval interval not null default '15 minutes'
    check (sync_interval between '1 minute' and '1 day'),
  webhook_sync_interval interval not null default '6 hours'
    check (webhook_sync_interval between '1 minute' and '1 day'),
  tick interval not null default '1 minute'
    check (tick between '1 second' and '1 minute' and tick = date_trunc('second', tick)),
  schedule_jitter real not null default 0.1 check (schedule_jitter between 0 and 0.5),
  max_workers integer not null default 20 check (max_workers between 1 and 200),
  page_size integer not null default 100 check (page_size between 1 and 100),
  invitee_batch integer not null default 100 check (invitee_batch between 1 and 100),
  max_concurrency integer not null default 20 check (max_concurrency between 1 and 20),
  missing_event_lookups integer not null default 25
    check (missing_event_lookups between 0 and 100),
  lease_duration interval not null default '2 minutes'
    check (lease_duration between '30 seconds' and '10 minutes'),
  worker_time interval not null default '50 seconds'
    check (worker_time between '5 seconds' and '140 seconds'),
  worker_requests integer not null default 800 check (worker_requests between 10 and 10000),
  rate_reserve numeric not null default 0.2 check (rate_reserve between 0 and 0.9),
  webhook_event_retention interval not null default '30 days'
    check (webhook_event_retention >= '1 day'),
  dead_webhook_event_retention interval not null default '90 days'
    check (dead_webhook_event_retention >= '1 day'),
  payload_retention interval default '7 days' check (payload_retention >= '1 day'),
  run_retention interval not null default '90 days' check (run_retention >= '1 day'),
  job_log_retention interval not null default '7 days' check (job_log_retention >= '1 hour')
);
insert into calendly.settings default values;
alter table calendly.settings enable row level security;

comment on table calendly.settings is 'One row: every number that a rule depends on.';
comment on column calendly.settings.only_row is 'True: there is one row.';
comment on column calendly.settings.full_days_back is
  'A FULL sync lists events that start this many days back.';
comment on column calendly.settings.full_days_forward is
  'A FULL sync lists events that start up to this many days ahead.';
comment on column calendly.settings.incremental_days_back is
  'An INCREMENTAL sync lists events that start this many days back.';
comment on column calendly.settings.incremental_days_forward is
  'An INCREMENTAL sync lists events that start up to this many days ahead.';
comment on column calendly.settings.full_sync_interval is
  'The schedule starts a FULL sync when the last one is older than this.';
comment on column calendly.settings.sync_interval is
  'A connection is due again this long after a sync.';
comment on column calendly.settings.webhook_sync_interval is
  'The same for a connection whose webhooks arrive: its syncs only repair.';
comment on column calendly.settings.tick is
  'How often the schedule looks for due work: 1 to 59 seconds (pg_cron 1.5 or newer), or a minute. '
  'pg_cron logs each tick: see job_log_retention.';
comment on constraint settings_tick_check on calendly.settings is
  'tick is 1 to 59 whole seconds, or 1 minute.';
comment on column calendly.settings.schedule_jitter is
  'Share of an interval by which it is shortened or lengthened at random, so that connections that '
  'became due together spread out.';
comment on column calendly.settings.max_workers is
  'How many runs may be worked on at once. A worker is a loop in a function instance that claims '
  'and works. An instance runs at most two: of the nudges of a tick it takes two, and the others '
  'are answered by other instances, or repeated by the next tick. So it may take some ticks until '
  'as many workers are at work.';
comment on column calendly.settings.page_size is
  'Events asked for per page. Calendly allows 100.';
comment on column calendly.settings.invitee_batch is
  'Events whose invitees are fetched between two round trips to Postgres.';
comment on column calendly.settings.max_concurrency is
  'Requests to Calendly that one worker makes at the same time, as far as the rate limit has them '
  'left.';
comment on column calendly.settings.missing_event_lookups is
  'How many events that are missing from a listing one run may look up directly.';
comment on column calendly.settings.lease_duration is
  'A run that has not been heard of for this long may be taken over.';
comment on column calendly.settings.worker_time is
  'A worker takes no further step after this long. Less than a minute, so that its slot is free '
  'when the next tick comes; the platform ends it at 150 s.';
comment on column calendly.settings.worker_requests is
  'A worker takes no further step after this many requests to Calendly.';
comment on column calendly.settings.rate_reserve is
  'Share of Calendly''s rate limit that scheduled work leaves for a person''s click.';
comment on column calendly.settings.webhook_event_retention is
  'How long processed and ignored webhook events are kept.';
comment on column calendly.settings.dead_webhook_event_retention is
  'How long dead webhook events are kept.';
comment on column calendly.settings.payload_retention is
  'How long processed webhook events keep their payload, without which they cannot be replayed; '
  'null: as long as they are kept themselves.';
comment on column calendly.settings.run_retention is 'How long ended runs are kept.';
comment on column calendly.settings.job_log_retention is
  'How long pg_cron''s log of our jobs is kept.';

create function calendly.humanize_days(days integer) returns text
language sql immutable set search_path = ''
as $$
  select case
    when days % 365 = 0 then
      format('%s %s', days / 365, case days / 365 when 1 then 'year' else 'years' end)
    when days % 30 = 0 then
      format('%s %s', days / 30, case days / 30 when 1 then 'month' else 'months' end)
    else format('%s %s', days, case days when 1 then 'day' else 'days' end)
  end
$$;
comment on function calendly.humanize_days(integer) is
  'Days as a person says them: 730 is ''2 years'', 90 is ''3 months''.';

create function calendly.interval_between_syncs(webhook_enabled boolean) returns interval
language sql stable set search_path = ''
as $$
  select case when webhook_enabled then s.webhook_sync_interval else s.sync_interval end
  from calendly.settings s
$$;
comment on function calendly.interval_between_syncs(boolean) is
  'How long after a sync the next one is due: longer where webhooks bring the news.';

create function calendly.change_setting(name text, value jsonb) returns void
language plpgsql set search_path = ''
as $$
declare
  refused_by text;
begin
  execute format(
    'update calendly.settings set %1$I = '
    '(jsonb_populate_record(null::calendly.settings, jsonb_build_object(%1$L, $1))).%1$I', name)
    using value;
exception
  when check_violation then
    get stacked diagnostics refused_by = constraint_name;
    perform calendly.raise_error('setting_out_of_range',
      format('%s cannot be %s.', name, value #>> '{}'), (
        select coalesce(pg_catalog.obj_description(c.oid, 'pg_constraint'),
          'It must satisfy ' || pg_catalog.pg_get_constraintdef(c.oid))
        from pg_catalog.pg_constraint c
        where c.conrelid = 'calendly.settings'::regclass and c.conname = refused_by));
  when data_exception or not_null_violation then
    perform calendly.raise_error('invalid_setting',
      format('%s cannot be %s.', name, coalesce(value #>> '{}', 'null')), (
        select 'It is of type ' || pg_catalog.format_type(a.atttypid, a.atttypmod)
        from pg_catalog.pg_attribute a
        where a.attrelid = 'calendly.settings'::regclass and a.attname = name));
end
$$;
comment on function calendly.change_setting(text, jsonb) is
  'Changes one setting. Errors: setting_out_of_range (with the range), invalid_setting.';

create function public.calendly_configure(changes jsonb default '{}') returns jsonb
language plpgsql security definer set search_path = ''
as $$
declare
  name text;
begin
  if jsonb_typeof(changes) <> 'object' then
    perform calendly.raise_error('invalid_setting', 'The settings to change are no object.',
      '{"sync_interval": "10 minutes"}');
  end if;
  for name in select jsonb_object_keys(changes) loop
    if name = 'only_row' or not exists (
        select from pg_catalog.pg_attribute a
        where a.attrelid = 'calendly.settings'::regclass and a.attname = name and a.attnum > 0) then
      perform calendly.raise_error('unknown_setting', format('There is no setting %s.', name),
        'select calendly_configure() shows them all.');
    end if;
    perform calendly.change_setting(name, changes -> name);
  end loop;
  return (select to_jsonb(s) - 'only_row' from calendly.settings s);
end
$$;
comment on function public.calendly_configure(jsonb) is
  'Changes settings, {name: value}, all or none, and returns them all. Errors: unknown_setting, '
  'setting_out_of_range (with the range), invalid_setting, tick_not_supported.';

select calendly.revoke_all();
