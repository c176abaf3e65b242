-- The numbers that the rules depend on, the ranges made from them, and the same in words.
begin;
select plan(19);
select calendly.set_clock('2026-06-01T12:00:00Z');

select is((select count(*) from calendly.settings), 1::bigint, 'there is one row of settings');
select throws_ok($$insert into calendly.settings default values$$, '23505', null,
  'a second row of settings is refused');
select throws_ok($$insert into calendly.settings (only_row) values (false)$$, '23514', null,
  'a row of settings with another key is refused');

select is(r.min_start_time, '2024-06-01T12:00:00Z'::timestamptz, 'a FULL sync goes 730 days back')
  from calendly.sync_range('FULL', calendly.now()) r;
select is(r.max_start_time, '2027-06-01T12:00:00Z'::timestamptz,
  'a FULL sync goes 365 days forward')
  from calendly.sync_range('FULL', calendly.now()) r;
select is(r.range_in_words, '2 years back, 1 year forward',
  'the range of a FULL sync is told in years')
  from calendly.sync_range('FULL', calendly.now()) r;
select is(r.min_start_time, '2026-03-03T12:00:00Z'::timestamptz,
  'an INCREMENTAL sync goes 90 days back')
  from calendly.sync_range('INCREMENTAL', calendly.now()) r;
select is(r.max_start_time, '2026-11-28T12:00:00Z'::timestamptz,
  'an INCREMENTAL sync goes 180 days forward')
  from calendly.sync_range('INCREMENTAL', calendly.now()) r;
select is(r.range_in_words, '3 months back, 6 months forward',
  'the range of an INCREMENTAL sync is told in months')
  from calendly.sync_range('INCREMENTAL', calendly.now()) r;

update calendly.settings set full_days_back = 45, full_days_forward = 1;
select is(r.min_start_time, '2026-04-17T12:00:00Z'::timestamptz,
  'the range of a sync follows the settings')
  from calendly.sync_range('FULL', calendly.now()) r;
select is(r.range_in_words, '45 days back, 1 day forward',
  'the words of a range follow the settings')
  from calendly.sync_range('FULL', calendly.now()) r;

select results_eq(
  $$select calendly.humanize_days(days)
    from unnest('{1,2,7,30,60,90,180,364,365,730,1095}'::integer[]) days$$,
  $$values ('1 day'), ('2 days'), ('7 days'), ('1 month'), ('2 months'), ('3 months'), ('6 months'),
    ('364 days'), ('1 year'), ('2 years'), ('3 years')$$,
  'days are told as a person says them');

-- a setting that would break a rule is refused
select throws_ok(format('update calendly.settings set %s', impossible.setting), '23514', null,
  impossible.reason)
from (values
  ('full_days_back = 0', 'a range is at least a day'),
  ('page_size = 101', 'Calendly lists at most 100 events a page'),
  ('invitee_batch = 0', 'a batch holds at least one event'),
  ('rate_reserve = 1', 'the reserve cannot be the whole limit'),
  ('worker_time = ''150 seconds''', 'a worker stops before the platform ends it'),
  ('sync_interval = ''0''', 'syncs do not follow one another without a pause'),
  ('lease_duration = ''1 second''', 'a lease outlasts a slow request')) impossible (setting,
    reason);

select * from finish();
rollback;
