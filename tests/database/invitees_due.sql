-- When the invitees of a meeting must be fetched: never without a reason, because each fetch is a
-- request to Calendly.
begin;
select plan(40);
select calendly.set_clock('2026-06-01T12:00:00Z');
select tests.add_person('ana');
create function tests.due(event text) returns timestamptz language sql as $$
  select s.invitees_due_at from calendly.meeting_sync s
  where s.event_uri = tests.event_uri(event) and s.user_id = tests.id_of('ana')
$$;
create function tests.due_now() returns text language sql as $$
  select string_agg(substring(event_uri from '[^/]+$'), ' ' order by event_uri)
  from calendly.meetings_due(array[tests.id_of('ana')])
$$;
create function tests.end_run() returns void language sql as $$
  select tests.fail('ana', '{"code": "internal", "message": "ended by the test"}')
$$;
-- a complete read of one event's invitees by a run
create function tests.read(event text, variadic invitees jsonb[]) returns void language sql as $$
  select tests.begin('ana');
  select tests.bring('ana', tests.page('{}'));
  select tests.bring('ana', jsonb_build_object('invitees',
    jsonb_build_array(tests.invitees_of(event, variadic invitees))));
  select tests.end_run();
$$;
create function tests.stored_invitees(event text) returns bigint language sql as $$
  select count(*) from public.calendly_invitees v join tests.meeting(event) m on m.id = v.meeting_id
$$;

-- new, and read
select tests.apply_event(tests.event('E1'));
select is(tests.due('E1'), calendly.now(), 'the invitees of a new event are due at once');
select tests.apply_event(tests.event('E0', tests.seats(0, 0)));
select is(tests.due('E0'), null, 'the invitees of an event without a seat taken are not due');
select tests.read('E1', tests.invitee('E1', 'ines'));
select is(tests.due('E1'), '2026-06-10T10:30:00Z'::timestamptz,
  'invitees that were read are due an hour after the end, for no-shows');
select tests.pass('1 day');
select tests.apply_event(tests.event('E1'));
select is(tests.due_now(), null, 'the invitees of an unchanged event are not due');

-- changed
select tests.apply_event(
  tests.event('E1', '{"name": "new", "updated_at": "2026-05-21T00:00:00Z"}'));
select is(tests.due_now(), 'E1', 'a change of the event makes its invitees due');
select tests.read('E1', tests.invitee('E1', 'ines'));
select tests.apply_event(
  tests.event('E1', '{"name": "new", "updated_at": "2026-05-22T00:00:00Z"}'));
select is(tests.due_now(), 'E1',
  'an updated_at that moved alone makes the invitees due: one of them may have changed');
select tests.read('E1', tests.invitee('E1', 'ines'));
select tests.apply_event(
  tests.event('E1', '{"name": "newer at the same time", "updated_at": "2026-05-22T00:00:00Z"}'));
select is(tests.due_now(), 'E1', 'other content at the same updated_at makes the invitees due');
select tests.read('E1', tests.invitee('E1', 'ines'));
select tests.apply_event(tests.event('E1', '{"name": "old"}'), 'webhook');
select is(tests.due_now(), null, 'an older snapshot does not make the invitees due');

-- the counter
select is(
    calendly.has_all_invitees(
      tests.id_of('ana'), tests.event_uri(counter.event), counter.seats),
    counter.complete, counter.sentence)
from (values
  ('E1', tests.seats(1, 1), true, 'a counter that agrees with the rows needs no read'),
  ('E1', tests.seats(2, 2), false, 'a counter with one more seat than rows needs a read'),
  ('E1', tests.seats(1, 0), false, 'a counter with one more canceled seat needs a read'),
  ('E1', '{}', false, 'an event without a counter needs a read'),
  ('E99', tests.seats(1, 1), false, 'an event that is not stored needs a read')
) counter (event, seats, complete, sentence);
update calendly.meeting_sync set invitees_total = 3, invitees_canceled = 1
  where event_uri = tests.event_uri('E1');
select is(
  calendly.has_all_invitees(tests.id_of('ana'), tests.event_uri('E1'), tests.seats(3, 2)), true,
  'a counter as it was at the last complete read needs no read, whatever the rows are');
select is(
  calendly.has_all_invitees(tests.id_of('ana'), tests.event_uri('E1'), tests.seats(3, 1)), false,
  'a counter of which one number moved since the last complete read needs a read');
select tests.apply_event(tests.event('E2', tests.seats(2, 2, 5)));
select tests.read('E2', tests.invitee('E2', 'ines'), tests.invitee('E2', 'jo'));
select tests.apply_event(tests.event('E2', tests.seats(3, 3, 5)));
select is(tests.due_now(), 'E2',
  'a new seat in a group event makes the invitees due, even if nothing else moved');
select tests.read('E2', tests.invitee('E2', 'ines'), tests.invitee('E2', 'jo'));
select tests.apply_event(tests.event('E2', tests.seats(3, 3, 5)));
select is(tests.due_now(), null,
  'invitees are not due again at once when Calendly lists fewer than it counts');
select is(tests.due('E2'), calendly.now() + interval '1 minute',
  'invitees are due a minute later when Calendly lists fewer than it counts');
select tests.pass('1 minute');
select tests.read('E2', tests.invitee('E2', 'ines'), tests.invitee('E2', 'jo'));
select is(tests.due('E2'), '2026-06-10T10:30:00Z'::timestamptz,
  'fewer invitees than the event counts are believed the second time in a row');

-- nobody left
select is(tests.stored_invitees('E2'), 2::bigint, 'an event has two invitees');
select tests.apply_event(
  tests.event('E2', tests.seats(0, 0, 5) || '{"updated_at": "2026-05-23T00:00:00Z"}'));
select is(tests.stored_invitees('E2'), 0::bigint,
  'invitees are deleted where Calendly counts no seat at all');
select is(tests.due('E2'), null, 'no invitees are due where Calendly counts no seat at all');

-- forced
select tests.apply_event(tests.event('E3'));
select tests.read('E3', tests.invitee('E3', 'ines'));
select tests.begin('ana', forced => true);
select is(
  tests.event_names(tests.bring('ana', tests.page(array(
    select m.raw from public.calendly_meetings m)))),
  array['E1', 'E3'],
  'a forced FULL sync fetches the invitees of unchanged events, but not where no seat was taken');
select tests.end_run();
update calendly.meeting_sync set invitees_due_at = null;
select tests.read(event, tests.invitee(event, 'ines')) from unnest('{E1,E3}'::text[]) event;

-- the looks for no-shows after the end
select is(
    calendly.next_no_show_check('2026-06-10T09:30:00Z', look.status, look.complete_at),
    look.next, look.sentence)
from (values
  ('active', '2026-06-01T00:00:00Z'::timestamptz, '2026-06-10T10:30:00Z'::timestamptz,
    'the first look for no-shows is an hour after the end'),
  ('active', '2026-06-10T10:29:59Z', '2026-06-10T10:30:00Z',
    'a read before the first look does not take its place'),
  ('active', '2026-06-10T10:30:00Z', '2026-06-11T09:30:00Z',
    'the second look for no-shows is a day after the end'),
  ('active', '2026-06-12T00:00:00Z', '2026-06-17T09:30:00Z',
    'the last look for no-shows is a week after the end'),
  ('active', '2026-06-17T09:30:00Z', null, 'after the last look for no-shows there is none'),
  ('canceled', '2026-06-01T00:00:00Z', null, 'no-shows are not looked for in a canceled meeting')
) look (status, complete_at, next, sentence);
select calendly.set_clock('2026-06-10T10:29:59Z');
select is(tests.due_now(), null, 'no invitees are due before the first look for no-shows');
select calendly.set_clock('2026-06-10T10:30:00Z');
select is(tests.due_now(), 'E1 E3', 'invitees are due at the time of a look for no-shows');
select tests.read('E3', tests.invitee('E3', 'ines'));
select is(tests.due('E3'), '2026-06-11T09:30:00Z'::timestamptz,
  'a read at the time of a look makes the next look due');

-- calendly.invitees_due_at
create function tests.due_when(
  due_at timestamptz, complete_at timestamptz, stale boolean, in_doubt boolean,
  changes jsonb default '{}'
) returns interval language sql as $$
  select calendly.invitees_due_at(tests.event('D1', changes), due_at, complete_at, stale, in_doubt,
    '2026-06-10T12:00:00Z') - '2026-06-10T12:00:00Z'
$$;
select is(tests.due_when('2026-06-10T11:00:00Z', null, true, true), '-1 hour',
  'invitees that were due already stay due since then');
select is(tests.due_when('2026-06-11T12:00:00Z', null, false, false), '1 day',
  'what has neither been fetched nor changed stays due as it was');
select is(tests.due_when(null, '2026-06-10T12:00:00Z', true, true), '1 minute',
  'invitees in doubt are due in a minute');
select is(tests.due_when(null, '2026-06-10T10:00:00Z', false, false), '1 minute',
  'a look for no-shows that fell due while the answer was on its way is made in a minute');
select is(tests.due_when(null, null, true, true, tests.seats(0, 0)), null,
  'nothing makes the invitees of an event without a seat taken due');

-- deleted meetings
update public.calendly_meetings set is_deleted = true, deleted_reason = 'gone'
  where calendly_event_uri = tests.event_uri('E1');
select is(tests.due_now(), null, 'the invitees of a meeting that is gone are not due');
select tests.apply_event(
  tests.event('E3', tests.canceled('{"updated_at": "2026-06-10T10:30:00Z"}')));
select is(tests.due_now(), 'E3',
  'the invitees of a canceled event are due: who canceled, and was it rescheduled?');
select tests.read('E3', tests.invitee('E3', 'ines', '{"status": "canceled"}'));
select is(tests.due('E3'), null, 'invitees of a canceled event that were read are not due again');

select * from finish();
rollback;
