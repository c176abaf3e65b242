-- A no-show has a time of its own, because marking moves no updated_at. A mark counts from when it
-- was made, an undo from the time of its delivery, a read from when it was made. The later one
-- counts; in doubt, the mark.
begin;
select plan(33);
select calendly.set_clock('2026-06-10T12:00:00Z');
select tests.add_person('ana');
select tests.apply_event(tests.event('E1'));
create function tests.marked() returns text language sql as $$
  select coalesce(substring(v.no_show_uri from '[^/]+$') || ' '
    || to_char(v.no_show_at at time zone 'UTC', 'HH24:MI:SS.US'), 'not marked')
  from public.calendly_invitees v
$$;
create function tests.start_with(
  invitee jsonb, observed_at timestamptz, via text default 'reading'
) returns void language sql as $$
  delete from public.calendly_invitees;
  update calendly.meeting_sync set invitees_read_at = null;
  select tests.apply_invitee(invitee, via, observed_at);
  update calendly.meeting_sync
    set invitees_read_at = case when via = 'reading' then observed_at end;
$$;
create temporary table ines as select
  tests.invitee('E1', 'ines') as unmarked,
  tests.invitee('E1', 'ines', tests.no_show('2026-06-10T10:00:00.700000Z', 'first')) as first,
  tests.invitee('E1', 'ines', tests.no_show('2026-06-10T11:00:00.200000Z', 'second')) as second;

-- marked
select tests.start_with(unmarked, '2026-06-10T09:00:00Z') from ines;
select is(tests.marked(), 'not marked', 'a new invitee is not marked');
select is(tests.apply_invitee(first, 'webhook', '2026-06-10T10:00:00Z'), 'changed',
  'a mark changes the invitee though updated_at stands still') from ines;
select is(tests.marked(), 'first 10:00:00.700000', 'a mark has a URI and a time');
select is(raw #>> '{no_show,created_at}', '2026-06-10T10:00:00.700000Z', 'raw has the mark')
  from public.calendly_invitees;
select is(tests.apply_invitee(first, 'webhook', '2026-06-10T10:00:00Z'), 'unchanged',
  'the same mark again changes nothing') from ines;

-- a late delivery from before
select is(tests.apply_invitee(unmarked, 'webhook', '2026-06-10T09:30:00Z'), 'unchanged',
  'a delivery from before the mark does not undo it') from ines;
select is(tests.marked(), 'first 10:00:00.700000',
  'a mark stays when an older delivery comes late');
select is(
    tests.apply_invitee(
      unmarked || '{"name": "New Name", "updated_at": "2026-05-21T00:00:00Z"}',
      'reading', '2026-06-10T09:30:00Z'),
    'changed', 'a read from before the mark is applied where it is newer otherwise')
  from ines;
select is(tests.marked(), 'first 10:00:00.700000', 'a read from before the mark leaves it');
select is(
    tests.apply_invitee(
      first - 'no_show' || '{"name": "Newer", "updated_at": "2026-05-22T00:00:00Z"}',
      'webhook', '2026-06-10T11:00:00Z'),
    'changed', 'a snapshot without no_show is applied where it is newer')
  from ines;
select is(tests.marked(), 'first 10:00:00.700000', 'a snapshot without no_show leaves the mark');

-- undone, and marked again
select is(tests.apply_invitee(unmarked, 'webhook', '2026-06-10T10:30:00Z'), 'changed',
  'a delivery from after the mark undoes it') from ines;
select is(tests.marked(), 'not marked', 'an undone mark leaves neither URI nor time');
select is((select raw -> 'no_show' from public.calendly_invitees), 'null'::jsonb,
  'an undone mark is null in raw');
select is(tests.apply_invitee(first, 'webhook', '2026-06-10T10:00:00Z'), 'unchanged',
  'the delivery of an undone mark that comes late changes nothing') from ines;
select is(tests.apply_invitee(second, 'webhook', '2026-06-10T11:00:00Z'), 'changed',
  'a second mark counts') from ines;
select is(tests.marked(), 'second 11:00:00.200000', 'a second mark has its own URI and time');
select is(tests.apply_invitee(unmarked, 'webhook', '2026-06-10T10:30:00Z'), 'unchanged',
  'the first undo that comes late does not touch the second mark') from ines;
select is(tests.apply_invitee(unmarked, 'webhook', '2026-06-10T11:30:00Z'), 'changed',
  'the second undo undoes the second mark') from ines;
select is(tests.marked(), 'not marked', 'an invitee is not marked after the second undo');

-- reads
select tests.start_with(first, '2026-06-10T10:10:00Z') from ines;
select is(tests.apply_invitee(unmarked, 'reading', '2026-06-10T10:20:00Z'), 'changed',
  'a later read without the mark undoes it: no webhook is needed') from ines;
select is(tests.apply_invitee(first, 'reading', '2026-06-10T10:10:00Z'), 'unchanged',
  'an earlier read that comes late does not bring the mark back') from ines;
select is(tests.apply_invitee(second, 'reading', '2026-06-10T11:10:00Z'), 'changed',
  'a read brings a mark') from ines;
select is(tests.marked(), 'second 11:00:00.200000',
  'a mark that a read has brought counts from when it was made');
select tests.start_with(unmarked, '2026-06-10T10:05:00Z') from ines;
select tests.apply_invitee(first, 'webhook', '2026-06-10T10:00:00Z') from ines;
select is(tests.marked(), 'not marked',
  'the delivery of a mark is older than a read that does not show it any more');
select tests.start_with(unmarked, '2026-06-10T10:00:30Z') from ines;
select is(tests.apply_invitee(first, 'reading', '2026-06-10T10:10:00Z'), 'changed',
  'of two reads the later one is right, however old the mark is') from ines;

-- too close to tell
select tests.start_with(first, '2026-06-10T10:00:01Z', 'webhook') from ines;
select is(tests.apply_invitee(unmarked, 'webhook', '2026-06-10T10:00:00Z'), 'unchanged, unsure',
  'an undo in the second of the mark, without its fraction, leaves the mark and is unsure')
  from ines;
select is(tests.apply_invitee(unmarked, 'reading', '2026-06-10T10:00:00.7Z'),
  'unchanged, unsure', 'a read at the time of the mark leaves it and is unsure') from ines;
select is(tests.apply_invitee(unmarked, 'reading', '2026-06-10T10:00:02Z'), 'changed, unsure',
  'a read a second later undoes the mark and is unsure, as clocks differ') from ines;
select tests.start_with(unmarked, '2026-06-10T10:00:01.5Z') from ines;
select alike(tests.apply_invitee(first, 'webhook', '2026-06-10T10:00:00Z'), '%, unsure',
  'a mark just before a read without it is unsure') from ines;
select tests.start_with(unmarked, '2026-06-10T09:59:59Z') from ines;
select is(tests.apply_invitee(first, 'webhook', '2026-06-10T10:00:00Z'), 'changed, unsure',
  'a mark just after a read without it is unsure') from ines;
select is(tests.apply_invitee(first, 'reading', '2026-06-10T10:00:01Z'), 'unchanged',
  'a read that agrees with the mark is sure') from ines;

-- for every host
select tests.add_person('ben');
select tests.apply_event(tests.event('E2', tests.hosted_by('ana', 'ben')));
select is(
  tests.apply_invitee(
    tests.invitee('E2', 'jo', tests.no_show('2026-06-10T10:00:00Z')), 'webhook'),
  'changed; changed', 'a mark reaches the meeting of every host');

select * from finish();
rollback;
