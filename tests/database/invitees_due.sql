-- When the invitees of a meeting must be read: never without a reason, and every request counts.
begin;
select plan(33);
select calendly.set_clock('2026-06-01T12:00:00Z');
select tests.add_person('ana');
create function tests.due(event text) returns timestamptz language sql as $$
  select s.invitees_due_at from calendly.meeting_sync s where s.event_uri = tests.event_uri(event) and s.user_id = tests.id_of('ana')
$$;
create function tests.due_now() returns text language sql as $$
  select string_agg(substring(event_uri from '[^/]+$'), ' ' order by event_uri) from calendly.meetings_due(array[tests.id_of('ana')])
$$;
-- a complete reading of one event by a run
create function tests.read(event text, variadic invitees jsonb[]) returns void language sql as $$
  select tests.begin('ana');
  select tests.bring('ana', tests.page('{}'));
  select tests.bring('ana', jsonb_build_object('invitees', jsonb_build_array(tests.invitees_of(event, variadic invitees))));
  select tests.fail('ana', '{}');
$$;

-- new, and settled
select tests.apply_event(tests.event('E1'));
select is(tests.due('E1'), calendly.now(), 'a new event''s invitees are due at once');
select tests.apply_event(tests.event('E0', tests.seats(0, 0)));
select is(tests.due('E0'), null, 'unless nobody took a seat');
select tests.read('E1', tests.invitee('E1', 'ines'));
select is(tests.due('E1'), '2026-06-10T10:30:00Z'::timestamptz, 'once read, they are due an hour after the end: somebody may not have come');
select tests.pass('1 day');
select tests.apply_event(tests.event('E1'));
select is(tests.due_now(), null, 'an unchanged event asks for nothing');

-- changed
select tests.apply_event(tests.event('E1', '{"name": "new", "updated_at": "2026-05-21T00:00:00Z"}'));
select is(tests.due_now(), 'E1', 'a change of the event makes its invitees due');
select tests.read('E1', tests.invitee('E1', 'ines'));
select tests.apply_event(tests.event('E1', '{"name": "new", "updated_at": "2026-05-22T00:00:00Z"}'));
select is(tests.due_now(), 'E1', 'so does a moved time alone: an invitee may have changed');
select tests.read('E1', tests.invitee('E1', 'ines'));
select tests.apply_event(tests.event('E1', '{"name": "newer at the same time", "updated_at": "2026-05-22T00:00:00Z"}'));
select is(tests.due_now(), 'E1', 'and so does other content at the same time');
select tests.read('E1', tests.invitee('E1', 'ines'));
select tests.apply_event(tests.event('E1', '{"name": "old"}'), 'webhook');
select is(tests.due_now(), null, 'an older copy does not');

-- the counter
select is(calendly.has_all_invitees(tests.id_of('ana'), tests.event_uri('E1'), tests.seats(1, 1)), true, 'a counter that agrees with the rows needs no reading');
select is(calendly.has_all_invitees(tests.id_of('ana'), tests.event_uri('E1'), tests.seats(2, 2)), false, 'one more seat than rows does');
select is(calendly.has_all_invitees(tests.id_of('ana'), tests.event_uri('E1'), tests.seats(1, 0)), false, 'one more canceled seat, too');
select is(calendly.has_all_invitees(tests.id_of('ana'), tests.event_uri('E1'), '{}'), false, 'without a counter nothing is known');
select is(calendly.has_all_invitees(tests.id_of('ana'), tests.event_uri('E99'), tests.seats(1, 1)), false, 'nor of an event that is not there');
update calendly.meeting_sync set invitees_total = 3, invitees_canceled = 1 where event_uri = tests.event_uri('E1');
select is(calendly.has_all_invitees(tests.id_of('ana'), tests.event_uri('E1'), tests.seats(3, 2)), true, 'a counter as of the last complete reading needs none either, whatever the rows say');
select is(calendly.has_all_invitees(tests.id_of('ana'), tests.event_uri('E1'), tests.seats(3, 1)), false, 'both of its numbers');
select tests.apply_event(tests.event('E2', tests.seats(2, 2, 5)));
select tests.read('E2', tests.invitee('E2', 'ines'), tests.invitee('E2', 'jo'));
select tests.apply_event(tests.event('E2', tests.seats(3, 3, 5)));
select is(tests.due_now(), 'E2', 'a new seat in a group event is read, even if nothing else moved');
select tests.read('E2', tests.invitee('E2', 'ines'), tests.invitee('E2', 'jo'));
select tests.apply_event(tests.event('E2', tests.seats(3, 3, 5)));
select is(tests.due_now(), null, 'and not asked for again when Calendly lists fewer than it counts');

-- nobody left
select is((select count(*) from public.meeting_invitees v join tests.meeting('E2') m on m.id = v.meeting_id), 2::bigint, 'of two invitees');
select tests.apply_event(tests.event('E2', tests.seats(0, 0, 5) || '{"updated_at": "2026-05-23T00:00:00Z"}'));
select is((select count(*) from public.meeting_invitees v join tests.meeting('E2') m on m.id = v.meeting_id), 0::bigint, 'none is left where Calendly counts no seat at all');
select is(tests.due('E2'), null, 'and there is nothing to read');

-- forced
select tests.apply_event(tests.event('E3'));
select tests.read('E3', tests.invitee('E3', 'ines'));
select tests.begin('ana', forced => true);
select is(tests.event_names(tests.bring('ana', tests.page(array[tests.event('E3'), tests.event('E0', tests.seats(0, 0))]))), array['E3'], 'a forced FULL sync rereads unchanged events, but not those without a seat');
select tests.fail('ana', '{}');
update calendly.meeting_sync set invitees_due_at = null where event_uri = tests.event_uri('E3');
select tests.read('E3', tests.invitee('E3', 'ines'));

-- the looks after the end
select is(calendly.next_no_show_check('2026-06-10T09:30:00Z', 'active', '2026-06-01T00:00:00Z'), '2026-06-10T10:30:00Z'::timestamptz, 'the first look is an hour after the end');
select is(calendly.next_no_show_check('2026-06-10T09:30:00Z', 'active', '2026-06-10T10:29:59Z'), '2026-06-10T10:30:00Z'::timestamptz, 'a reading before it does not settle it');
select is(calendly.next_no_show_check('2026-06-10T09:30:00Z', 'active', '2026-06-10T10:30:00Z'), '2026-06-11T09:30:00Z'::timestamptz, 'a reading from then on does: the next is a day after');
select is(calendly.next_no_show_check('2026-06-10T09:30:00Z', 'active', '2026-06-12T00:00:00Z'), '2026-06-17T09:30:00Z'::timestamptz, 'the last a week after');
select is(calendly.next_no_show_check('2026-06-10T09:30:00Z', 'active', '2026-06-17T09:30:00Z'), null, 'then none is left');
select is(calendly.next_no_show_check('2026-06-10T09:30:00Z', 'canceled', '2026-06-01T00:00:00Z'), null, 'nobody can miss a canceled meeting');
select calendly.set_clock('2026-06-10T10:29:59Z');
select is(tests.due_now(), null, 'before the first look nothing is due');
select calendly.set_clock('2026-06-10T10:30:00Z');
select is(tests.due_now(), 'E1 E3', 'at its time it is');
select tests.read('E3', tests.invitee('E3', 'ines'));
select is(tests.due('E3'), '2026-06-11T09:30:00Z'::timestamptz, 'and is settled by the reading');

-- deleted meetings
update public.meetings set is_deleted = true, deleted_reason = 'gone' where calendly_event_uri = tests.event_uri('E1');
select is(tests.due_now(), null, 'what is gone is not read');
select tests.apply_event(tests.event('E3', tests.canceled('{"updated_at": "2026-06-10T10:30:00Z"}')));
select is(tests.due_now(), 'E3', 'what was canceled is read once more: who canceled, and did they reschedule?');
select tests.read('E3', tests.invitee('E3', 'ines', '{"status": "canceled"}'));
select is(tests.due('E3'), null, 'and then never again');

select * from finish();
rollback;
