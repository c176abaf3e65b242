-- The one clock, and Calendly's times.
begin;
select plan(25);

select ok(calendly.now() between clock_timestamp() - interval '5 seconds' and clock_timestamp(), 'the clock runs unless it is stopped');

select calendly.set_clock('2026-06-01T12:00:00Z');
select is(calendly.now(), '2026-06-01T12:00:00Z'::timestamptz, 'a local stack can stop the clock');
select calendly.set_clock('2026-06-02T12:00:00.000001Z');
select is(calendly.now(), '2026-06-02T12:00:00.000001Z'::timestamptz, 'and set it again, to the microsecond');
select calendly.set_clock(null);
select ok(calendly.now() between clock_timestamp() - interval '5 seconds' and clock_timestamp(), 'null lets it run again');

select calendly.set_clock(null, '36 hours');
select ok(calendly.now() - interval '36 hours' between clock_timestamp() - interval '5 seconds' and clock_timestamp(), 'a local stack can let the clock run ahead');
select calendly.set_clock('2026-06-01T12:00:00Z');
select is(calendly.now(), '2026-06-01T12:00:00Z'::timestamptz, 'and stop it again');
select calendly.set_clock(null);

savepoint as_in_production;
drop schema local_stack cascade;
select is(tests.code_of($$select calendly.set_clock('2026-06-01T12:00:00Z')$$), 'not_a_local_stack', 'where the marker of a local stack is missing, the clock cannot be set');
select is((select count(*) from calendly.clock), 0::bigint, 'and stays as it was');
rollback to as_in_production;

-- calendly.to_time: what Calendly may send
select is(calendly.to_time('2026-02-25T18:13:01.136075Z'), '2026-02-25 18:13:01.136075+00'::timestamptz, 'a time keeps its microseconds');
select is(calendly.to_time('2026-02-25T18:13:01.136Z'), '2026-02-25 18:13:01.136+00'::timestamptz, 'three digits are a time');
select is(calendly.to_time('2026-02-25T18:13:01Z'), '2026-02-25 18:13:01+00'::timestamptz, 'no digits are a time');
select is(calendly.to_time('2026-02-25T20:13:01+02:00'), '2026-02-25 18:13:01+00'::timestamptz, 'an offset is understood');
select is(calendly.to_time('2028-02-29T00:00:00Z'), '2028-02-29 00:00:00+00'::timestamptz, 'a leap day is a day');
set local timezone to 'Asia/Tokyo';
select is(calendly.to_time('2026-02-25T18:13:01Z'), '2026-02-25 18:13:01+00'::timestamptz, 'the session''s time zone does not matter');
select is(calendly.to_calendly('2026-02-25 18:13:01.136075+00'), '2026-02-25T18:13:01.136075Z', 'nor when a time is written for Calendly');
reset timezone;

select results_eq(
  $$select calendly.to_time(text) from generate_series(2027, 2028) year,
      generate_series(0, 13) month, generate_series(0, 32) day,
      format('%s-%s-%sT23:59:59.999999Z', year, to_char(month, 'FM00'), to_char(day, 'FM00')) text
    where calendly.to_time(text) is not null order by text$$,
  $$select day + '1 day - 1 microsecond' from generate_series(
      '2027-01-01T00:00:00Z'::timestamptz, '2028-12-31T00:00:00Z', '1 day') day$$,
  'every day of a year and of a leap year can be read, and no other day');

-- and what is none
select is(calendly.to_time(null), null, 'null is no time');
select is(calendly.to_time('2026-02-30T10:00:00Z'), null, 'the 30th of February is no time');
select is(calendly.to_time('2026-13-01T10:00:00Z'), null, 'month 13 is no time');
select is(calendly.to_time('2026-02-25T18:13:01'), null, 'a time without a zone is none, because it would be read as the session''s');
select is(calendly.to_time('infinity'), null, 'infinity is no time');
select is(calendly.to_time('now'), null, 'a word is no time');
select is(calendly.to_time('2026-02-25T18:13:01.1360751Z'), null, 'seven digits, which Postgres would round, are no time');
select is(calendly.to_time(''), null, 'an empty text is no time');
select is(calendly.to_calendly('2026-06-01T12:00:00Z'), '2026-06-01T12:00:00.000000Z', 'a time is written with six digits, in UTC');

select * from finish();
rollback;
