-- A no-show has a clock of its own: a mark moves no updated_at. Marks count from when they were made, undoings
-- from the delivery's time, readings from when they were made. The later one counts; in doubt, the mark.
begin;
select plan(33);
select calendly.set_clock('2026-06-10T12:00:00Z');
select tests.add_person('ana');
select tests.apply_event(tests.event('E1'));
create function tests.marked() returns text language sql as $$
  select coalesce(substring(v.no_show_uri from '[^/]+$') || ' ' || to_char(v.no_show_at at time zone 'UTC', 'HH24:MI:SS.US'), 'not marked') from public.meeting_invitees v
$$;
create function tests.start_with(invitee jsonb, observed_at timestamptz, via text default 'reading') returns void language sql as $$
  delete from public.meeting_invitees;
  update calendly.meeting_sync set invitees_read_at = null;
  select tests.apply_invitee(invitee, via, observed_at);
  update calendly.meeting_sync set invitees_read_at = case when via = 'reading' then observed_at end;
$$;
create temporary table copy as select tests.invitee('E1', 'ines') as plain,
  tests.invitee('E1', 'ines', tests.no_show('2026-06-10T10:00:00.700000Z', 'first')) as first,
  tests.invitee('E1', 'ines', tests.no_show('2026-06-10T11:00:00.200000Z', 'second')) as second;

-- marked
select tests.start_with(plain, '2026-06-10T09:00:00Z') from copy;
select is(tests.marked(), 'not marked', 'an invitee is not marked at first');
select is(tests.apply_invitee(first, 'webhook', '2026-06-10T10:00:00Z'), 'changed', 'a mark changes the invitee though its updated_at stands still') from copy;
select is(tests.marked(), 'first 10:00:00.700000', 'it has a name and a time');
select is(raw #>> '{no_show,created_at}', '2026-06-10T10:00:00.700000Z', 'in the raw copy, too') from public.meeting_invitees;
select is(tests.apply_invitee(first, 'webhook', '2026-06-10T10:00:00Z'), 'unchanged', 'twice is once') from copy;

-- a late delivery from before
select is(tests.apply_invitee(plain, 'webhook', '2026-06-10T09:30:00Z'), 'unchanged', 'a late delivery from before the mark does not undo it') from copy;
select is(tests.marked(), 'first 10:00:00.700000', 'it stays');
select is(tests.apply_invitee(plain || '{"name": "New Name", "updated_at": "2026-05-21T00:00:00Z"}', 'reading', '2026-06-10T09:30:00Z'), 'changed', 'a reading from before brings its other news') from copy;
select is(tests.marked(), 'first 10:00:00.700000', 'and leaves the mark');
select is(tests.apply_invitee(first - 'no_show' || '{"name": "Newer", "updated_at": "2026-05-22T00:00:00Z"}', 'webhook', '2026-06-10T11:00:00Z'), 'changed', 'a copy that tells nothing of no-shows brings its other news') from copy;
select is(tests.marked(), 'first 10:00:00.700000', 'and leaves the mark, too');

-- undone, and marked again
select is(tests.apply_invitee(plain, 'webhook', '2026-06-10T10:30:00Z'), 'changed', 'a delivery from after it undoes the mark') from copy;
select is(tests.marked(), 'not marked', 'wholly');
select is((select raw -> 'no_show' from public.meeting_invitees), 'null'::jsonb, 'in the raw copy, too');
select is(tests.apply_invitee(first, 'webhook', '2026-06-10T10:00:00Z'), 'unchanged', 'the undone mark''s delivery, late, changes nothing') from copy;
select is(tests.apply_invitee(second, 'webhook', '2026-06-10T11:00:00Z'), 'changed', 'a second mark counts') from copy;
select is(tests.marked(), 'second 11:00:00.200000', 'by its own name and time');
select is(tests.apply_invitee(plain, 'webhook', '2026-06-10T10:30:00Z'), 'unchanged', 'the first undoing, late, does not touch the second mark') from copy;
select is(tests.apply_invitee(plain, 'webhook', '2026-06-10T11:30:00Z'), 'changed', 'the second undoing does') from copy;
select is(tests.marked(), 'not marked', 'at last');

-- readings
select tests.start_with(first, '2026-06-10T10:10:00Z') from copy;
select is(tests.apply_invitee(plain, 'reading', '2026-06-10T10:20:00Z'), 'changed', 'a later reading without the mark undoes it: no webhook need tell') from copy;
select is(tests.apply_invitee(first, 'reading', '2026-06-10T10:10:00Z'), 'unchanged', 'an earlier reading that arrives late does not bring it back') from copy;
select is(tests.apply_invitee(second, 'reading', '2026-06-10T11:10:00Z'), 'changed', 'a reading brings a mark') from copy;
select is(tests.marked(), 'second 11:00:00.200000', 'as of when it was made');
select tests.start_with(plain, '2026-06-10T10:05:00Z') from copy;
select tests.apply_invitee(first, 'webhook', '2026-06-10T10:00:00Z') from copy;
select is(tests.marked(), 'not marked', 'a mark''s late delivery is older than a reading that does not show it any more');
select tests.start_with(plain, '2026-06-10T10:00:30Z') from copy;
select is(tests.apply_invitee(first, 'reading', '2026-06-10T10:10:00Z'), 'changed', 'a reading counts from when it was made: the later one is right about an older mark') from copy;

-- too close to tell
select tests.start_with(first, '2026-06-10T10:00:01Z', 'webhook') from copy;
select is(tests.apply_invitee(plain, 'webhook', '2026-06-10T10:00:00Z'), 'unchanged, unsure', 'an undoing in the same second, of which Calendly cuts the fraction, leaves the mark and asks again') from copy;
select is(tests.apply_invitee(plain, 'reading', '2026-06-10T10:00:00.7Z'), 'unchanged, unsure', 'on a tie, too') from copy;
select is(tests.apply_invitee(plain, 'reading', '2026-06-10T10:00:02Z'), 'changed, unsure', 'a second later it is undone, but asked again, as clocks differ') from copy;
select tests.start_with(plain, '2026-06-10T10:00:01.5Z') from copy;
select alike(tests.apply_invitee(first, 'webhook', '2026-06-10T10:00:00Z'), '%, unsure', 'a mark just before a reading without it is unsure') from copy;
select tests.start_with(plain, '2026-06-10T09:59:59Z') from copy;
select is(tests.apply_invitee(first, 'webhook', '2026-06-10T10:00:00Z'), 'changed, unsure', 'as is one just after') from copy;
select is(tests.apply_invitee(first, 'reading', '2026-06-10T10:00:01Z'), 'unchanged', 'a reading that agrees settles it') from copy;

-- for every host alike
select tests.add_person('ben');
select tests.apply_event(tests.event('E2', tests.hosted_by('ana', 'ben')));
select is(tests.apply_invitee(tests.invitee('E2', 'jo', tests.no_show('2026-06-10T10:00:00Z')), 'webhook'), 'changed; changed', 'a mark reaches the meeting of every host');

select * from finish();
rollback;
