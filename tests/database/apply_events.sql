-- What a copy of an event makes of a person's meeting: one class each, and the columns that apps read.
begin;
select plan(56);
select calendly.set_clock('2026-06-01T12:00:00Z');
select tests.add_person('ana');
create function tests.became(m public.meetings) returns text language sql as $$ select concat_ws(' ', m.status, case when m.is_deleted then 'deleted' end, m.deleted_reason) $$;

-- created
select is(tests.apply_event(tests.event('E1', '{"location": {"type": "zoom", "status": "pushed", "join_url": "https://zoom.us/j/1", "data": {"id": 1, "password": "secret"}}}')), 'ana created', 'a new event makes a meeting');
select is(row(m.name, m.status, m.start_time, m.end_time)::text, row('Intro call', 'active', '2026-06-10T09:00:00Z'::timestamptz, '2026-06-10T09:30:00Z'::timestamptz)::text, 'with its name, status and times') from tests.meeting('E1') m;
select is(row(m.event_type_uri, m.location_type, m.join_url)::text, '(https://api.calendly.com/event_types/intro,zoom,https://zoom.us/j/1)', 'its type and place') from tests.meeting('E1') m;
select is(row(m.calendly_created_at, m.calendly_updated_at)::text, row('2026-05-20T08:00:00.000001Z'::timestamptz, '2026-05-20T08:00:00.000001Z'::timestamptz)::text, 'Calendly''s own times') from tests.meeting('E1') m;
select is(row(m.created_at, m.updated_at)::text, row(calendly.now(), calendly.now())::text, 'ours beside them') from tests.meeting('E1') m;
select is(row(m.is_deleted, m.deleted_at, m.deleted_reason, m.cancellation, m.synced_via_webhook)::text, '(f,,,,f)', 'it is alive, and no webhook wrote it') from tests.meeting('E1') m;
select ok(m.raw #> '{location,data}' = '{"id": 1}', 'the raw event is kept without the conference password') from tests.meeting('E1') m;
select is(tests.apply_event(tests.event('E2', tests.canceled())), 'ana created', 'a new event that is canceled counts as created, too');
select is(tests.became(m), 'canceled deleted canceled', 'and is stored as deleted') from tests.meeting('E2') m;
select is(m.cancellation ->> 'reason', 'ill', 'with the reason') from tests.meeting('E2') m;
select is(m.deleted_at, '2026-05-25T08:00:00Z'::timestamptz, 'as of the cancellation') from tests.meeting('E2') m;
select is(tests.apply_event(tests.event('E3', '{"name": null, "location": null}')), 'ana created', 'an event without name and place makes a meeting');
select is(row(m.name, m.location_type, m.join_url)::text, '(,,)', 'without them') from tests.meeting('E3') m;
select is(tests.apply_event(tests.event('E4', '{"name": "Überraschung 🎉 ‮rtl", "location": {"type": "custom", "location": null}}')), 'ana created', 'any letters are kept');
select is(m.name, 'Überraschung 🎉 ‮rtl', 'as they came') from tests.meeting('E4') m;

-- unchanged
select tests.pass('1 hour');
create temporary table lie as select tests.row_versions() as before;
select is(tests.apply_event(tests.event('E1', '{"location": {"type": "zoom", "status": "pushed", "join_url": "https://zoom.us/j/1", "data": {"id": 1, "password": "secret"}}}')), 'ana unchanged', 'the same event again is unchanged');
select is(tests.apply_event(tests.event('E2', tests.canceled())), 'ana unchanged', 'a canceled one, too');
select is(tests.apply_event(tests.event('E3', '{"name": null, "location": null}'), 'read'), 'ana unchanged', 'however it was read');
select is(tests.apply_event(tests.event('E3', '{"name": "late", "updated_at": "2026-05-20T08:00:00.000000Z"}'), 'webhook'), 'ana unchanged', 'and so is an older copy');
select is(tests.row_versions(), before, 'and none of it writes a row version anywhere') from lie;

-- updated
select is(tests.apply_event(tests.event('E1', '{"name": "Longer call", "end_time": "2026-06-10T10:00:00.000000Z", "updated_at": "2026-05-21T08:00:00.000000Z"}')), 'ana updated', 'news updates the meeting');
select is(row(m.name, m.end_time, m.updated_at)::text, row('Longer call', '2026-06-10T10:00:00Z'::timestamptz, '2026-06-01T13:00:00Z'::timestamptz)::text, 'in its columns') from tests.meeting('E1') m;
select is(m.created_at, '2026-06-01T12:00:00Z'::timestamptz, 'but for the time when it was made') from tests.meeting('E1') m;
select is(row(m.location_type, m.join_url)::text, '(physical,)', 'and what the news lacks is gone') from tests.meeting('E1') m;
select is(tests.apply_event(tests.event('E1', '{"name": "Older name", "updated_at": "2026-05-20T23:59:59.999999Z"}')), 'ana unchanged', 'an older copy never overwrites a newer one');
select is(m.name, 'Longer call', 'whatever it says') from tests.meeting('E1') m;

-- only the time moved
select is(tests.apply_event(tests.event('E3', '{"name": null, "location": null, "updated_at": "2026-05-22T08:00:00.000000Z"}')), 'ana unchanged', 'an event of which only the time moved is unchanged');
select is(m.calendly_updated_at, '2026-05-22T08:00:00Z'::timestamptz, 'but the time is remembered') from tests.meeting('E3') m;
select is(tests.apply_event(tests.event('E3', '{"name": "between", "updated_at": "2026-05-21T08:00:00.000000Z"}')), 'ana unchanged', 'so that what lies between stays old');

-- deleted, and canceled for good
select is(tests.apply_event(tests.event('E1', tests.canceled())), 'ana deleted', 'a cancellation deletes the meeting');
select is(tests.became(m), 'canceled deleted canceled', 'which stays as a row') from tests.meeting('E1') m;
select is(tests.apply_event(tests.event('E1', tests.canceled('{"updated_at": "2026-05-26T08:00:00.000000Z", "meeting_notes_plain": "sorry"}'))), 'ana updated', 'news of a canceled event is an update');
select is(tests.apply_event(tests.event('E1', '{"updated_at": "2026-05-27T08:00:00.000000Z"}')), 'ana updated', 'even news that it is active');
select is(tests.became(m), 'canceled deleted canceled', 'because canceled is final') from tests.meeting('E1') m;
select is(row(m.deleted_at, m.cancellation ->> 'reason')::text, row('2026-05-25T08:00:00Z'::timestamptz, 'ill')::text, 'and its time and reason stay') from tests.meeting('E1') m;
select is(tests.apply_event(tests.event('E3', tests.canceled('{"cancellation": {"canceled_by": "Ana", "reason": ""}}'))), 'ana deleted', 'a cancellation that does not say when');
select is(m.deleted_at, '2026-05-25T08:00:00.000001Z'::timestamptz, 'counts from Calendly''s last change') from tests.meeting('E3') m;

-- gone, and back
update public.meetings set is_deleted = true, deleted_reason = 'gone', deleted_at = calendly.now() where calendly_event_uri = tests.event_uri('E4');
create temporary table e4 as select tests.event('E4', '{"name": "Überraschung 🎉 ‮rtl", "location": {"type": "custom", "location": null}}') as event;
select is(tests.apply_event(event, 'webhook'), 'ana unchanged', 'an old delivery of what is gone proves nothing') from e4;
select is(tests.became(m), 'active deleted gone', 'it stays gone') from tests.meeting('E4') m;
select is(m.deleted_at, calendly.now(), 'since then') from tests.meeting('E4') m;
select tests.pass('1 hour');
select is(tests.apply_event(event), 'ana restored', 'a listing that shows it restores it') from e4;
select is(row(tests.became(m), m.deleted_at)::text, '(active,)', 'as if it had never been gone') from tests.meeting('E4') m;
update public.meetings set is_deleted = true, deleted_reason = 'gone', deleted_at = calendly.now() where calendly_event_uri = tests.event_uri('E4');
select is(tests.apply_event(event || '{"updated_at": "2026-06-01T13:30:00.000000Z"}', 'webhook'), 'ana restored', 'and so does news by a webhook') from e4;
select is(m.synced_via_webhook, true, 'which has written the row then') from tests.meeting('E4') m;
select is(tests.apply_event(event || '{"name": "x", "updated_at": "2026-06-01T13:40:00.000000Z"}'), 'ana updated', 'a later sync updates it') from e4;
select is(m.synced_via_webhook, true, 'and does not take that back') from tests.meeting('E4') m;
update public.meetings set is_deleted = true, deleted_reason = 'gone', deleted_at = calendly.now() where calendly_event_uri = tests.event_uri('E4');
select is(tests.apply_event(event || tests.canceled('{"updated_at": "2026-06-01T13:50:00.000000Z"}')), 'ana updated', 'what is gone and turns out to be canceled is updated') from e4;
select is(tests.became(m), 'canceled deleted canceled', 'to the better reason') from tests.meeting('E4') m;

-- an earlier app's row of the same event
insert into public.meetings (user_id, calendly_event_uri, name, created_at) values (tests.id_of('ana'), tests.event_uri('E5'), 'our own title', '2025-01-01');
select is(tests.apply_event(tests.event('E5')), 'ana updated', 'a row of an earlier app that carries the event''s URI is taken over');
select is(row(m.name, m.status, m.created_at)::text, row('Intro call', 'active', '2025-01-01'::timestamptz)::text, 'and filled') from tests.meeting('E5') m;
insert into public.meetings (user_id, calendly_event_uri, is_deleted) values (tests.id_of('ana'), tests.event_uri('E6'), true);
select is(tests.apply_event(tests.event('E6')), 'ana restored', 'one that the earlier app had deleted is restored, if Calendly has it');
insert into public.meetings (user_id, calendly_event_uri) values (tests.id_of('ana'), tests.event_uri('E7'));
select is(tests.apply_event(tests.event('E7', tests.canceled())), 'ana deleted', 'or deleted, if Calendly has it canceled');
select is((select count(*) from public.meetings), 7::bigint, 'and no event has two rows');

-- a whole page, and none
select results_eq($$select class, count(*) from calendly.apply_events(array(select calendly.read_event(tests.event('P' || n)) from generate_series(1, 100) n), false, null, false) group by 1$$,
  $$values ('created', 100::bigint)$$, 'a page of a hundred is applied at once');
select is_empty($$select * from calendly.apply_events('{}', false, null, false)$$, 'an empty page does nothing');
select is((select count(*) from public.meetings), 107::bigint, 'in particular, it deletes nothing');

select * from finish();
rollback;
