-- The one clock of all rules, and Calendly's way of writing a time.

create table calendly.clock (
  only_row boolean primary key default true check (only_row),
  stopped_at timestamptz,
  ahead interval,
  check (num_nonnulls(stopped_at, ahead) = 1)
);
alter table calendly.clock enable row level security;
comment on table calendly.clock is
  'Empty in production. A local stack may stop the clock here, or let it run ahead of real time: '
  'days pass in seconds, and tests do not depend on the time of day.';

create function calendly.now() returns timestamptz
language plpgsql volatile set search_path = ''
as $$
begin
  -- Not now(): a transaction that waited for a lock must not extend its lease from before the wait.
  return coalesce(
    (select coalesce(c.stopped_at, clock_timestamp() + c.ahead) from calendly.clock c),
    clock_timestamp());
end
$$;
comment on function calendly.now() is
  'The time. Each function reads it here once, into a variable called now_at.';

create function calendly.set_clock(stopped_at timestamptz, ahead interval default null)
returns void
language plpgsql set search_path = ''
as $$
begin
  if to_regnamespace('local_stack') is null then
    perform calendly.raise_error('not_a_local_stack',
      'The clock can be set on a local stack only.',
      'A local stack has the schema local_stack.');
  end if;
  if num_nonnulls(set_clock.stopped_at, set_clock.ahead) = 0 then
    delete from calendly.clock;
  else
    insert into calendly.clock as c (stopped_at, ahead)
      values (set_clock.stopped_at, set_clock.ahead)
      on conflict (only_row) do update set
        stopped_at = excluded.stopped_at, ahead = excluded.ahead;
  end if;
end
$$;
comment on function calendly.set_clock(timestamptz, interval) is
  'Stops the clock at a time, or lets it run so much ahead of real time; two nulls let it run with '
  'real time again. Error: not_a_local_stack where the schema local_stack does not exist.';

create function calendly.times_as_sent() returns text
language plpgsql immutable set search_path = ''
as $$
declare
  -- the days of each month; the 29th of February is left out
  day constant text := '(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1\d|2[0-8])|(?:0[13-9]|1[0-2])-(?:29|30)'
    '|(?:0[13578]|1[02])-31)';
begin
  return format('^\[(?:"[12]\d{3}-%sT(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{6}Z"|null|, )*\]$', day);
end
$$;
comment on function calendly.times_as_sent() is
  'A regular expression for a JSON array of times in the form that Calendly sends: UTC with six '
  'digits, or null. Where it matches, casting the times cannot fail; whatever else came is read by '
  'calendly.to_time.';

create function calendly.to_time(value text) returns timestamptz
language plpgsql stable set search_path = ''
as $$
begin
  if to_jsonb(array[value])::text ~ calendly.times_as_sent() then
    return value::timestamptz;
  end if;
  -- Only times with a zone: Calendly's are UTC with 0 to 6 digits.
  if value !~ '^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:?\d\d)$' then
    return null;
  end if;
  begin
    return value::timestamptz;
  exception when data_exception then
    return null;
  end;
end
$$;
comment on function calendly.to_time(text) is
  'A Calendly time with all its microseconds; null where it is none (''2026-02-30T…'').';

create function calendly.to_calendly("time" timestamptz) returns text
language plpgsql stable set search_path = ''
as $$
begin
  return to_char("time" at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"');
end
$$;
comment on function calendly.to_calendly(timestamptz) is
  'A time as Calendly writes it: UTC with six digits.';
