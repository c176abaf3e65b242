-- What a snapshot of an event makes of a person's meeting: one class each, and the columns that
-- apps read.
begin;
select plan(57);
select calendly.set_clock('2026-06-01T12:00:00Z');
select tests.add_person('ana');
create function tests.state(m public.calendly_meetings) returns text language sql as $$
  select concat_ws(' ', m.status, case when m.is_deleted then 'deleted' end, m.deleted_reason)
$$;
create function tests.on_zoom() returns jsonb language sql as $$
  select '{"location": {"type": "zoom", "status": "pushed", "join_url": "https://zoom.us/j/1",
    "data": {"id": 1, "password": "secret"}}}'::jsonb
$$;
create function tests.is_gone(event text) returns void language sql as $$
  update public.calendly_meetings
    set is_deleted = true, deleted_reason = 'gone', deleted_at = calendly.now()
    where calendly_event_uri = tests.event_uri(event)
$$;

-- created
select is(tests.apply_event(tests.event('E1', tests.on_zoom())), 'ana created',
  'a new event makes a meeting');
select is(
    row(m.name, m.status, m.start_time, m.end_time)::text,
    row('Intro call', 'active', '2026-06-10T09:00:00Z'::timestamptz,
      '2026-06-10T09:30:00Z'::timestamptz)::text,
    'a meeting has the event''s name, status and times')
  from tests.meeting('E1') m;
select is(row(m.event_type_uri, m.location_type, m.join_url)::text,
    '(https://api.calendly.com/event_types/intro,zoom,https://zoom.us/j/1)',
    'a meeting has the event''s type, location type and link')
  from tests.meeting('E1') m;
select is(
    row(m.calendly_created_at, m.calendly_updated_at)::text,
    row('2026-05-20T08:00:00.000001Z'::timestamptz,
      '2026-05-20T08:00:00.000001Z'::timestamptz)::text,
    'a meeting has Calendly''s own times')
  from tests.meeting('E1') m;
select is(row(m.created_at, m.updated_at)::text, row(calendly.now(), calendly.now())::text,
    'a meeting has the times when its row was made and written')
  from tests.meeting('E1') m;
select is(
    row(m.is_deleted, m.deleted_at, m.deleted_reason, m.cancellation,
      m.synced_via_webhook)::text,
    '(f,,,,f)', 'a new active meeting is neither deleted nor written by a webhook')
  from tests.meeting('E1') m;
select ok(m.raw #> '{location,data}' = '{"id": 1}',
    'the raw event is stored without the conference password')
  from tests.meeting('E1') m;
select is(tests.apply_event(tests.event('E2', tests.canceled())), 'ana created',
  'a new event that is canceled counts as created');
select is(tests.state(m), 'canceled deleted canceled', 'a canceled event is stored as deleted')
  from tests.meeting('E2') m;
select is(m.cancellation ->> 'reason', 'ill', 'a canceled meeting has the reason')
  from tests.meeting('E2') m;
select is(m.deleted_at, '2026-05-25T08:00:00Z'::timestamptz,
    'a canceled meeting is deleted since the cancellation')
  from tests.meeting('E2') m;
select is(tests.apply_event(tests.event('E3', '{"name": null, "location": null}')),
  'ana created', 'an event without name and location makes a meeting');
select is(row(m.name, m.location_type, m.join_url)::text, '(,,)',
    'a meeting without name and location has null there')
  from tests.meeting('E3') m;
select is(
  tests.apply_event(tests.event('E4', '{"name": "Überraschung 🎉 ‮rtl",
    "location": {"type": "custom", "location": null}}')),
  'ana created', 'an event whose name has unusual letters makes a meeting');
select is(m.name, 'Überraschung 🎉 ‮rtl', 'unusual letters are stored as they came')
  from tests.meeting('E4') m;

-- unchanged
select tests.pass('1 hour');
create temporary table versions as select tests.row_versions() as before;
select is(tests.apply_event(tests.event('E1', tests.on_zoom())), 'ana unchanged',
  'the same event again is unchanged');
select is(tests.apply_event(tests.event('E2', tests.canceled())), 'ana unchanged',
  'the same canceled event again is unchanged');
select is(tests.apply_event(tests.event('E3', '{"name": null, "location": null}'), 'read'),
  'ana unchanged', 'the same event fetched directly is unchanged');
select is(
  tests.apply_event(
    tests.event('E3', '{"name": "late", "updated_at": "2026-05-20T08:00:00.000000Z"}'),
    'webhook'),
  'ana unchanged', 'an older snapshot leaves the meeting unchanged');
select is(tests.row_versions(), before, 'an unchanged event writes no row version anywhere')
  from versions;

-- updated
select is(
  tests.apply_event(tests.event('E1', '{"name": "Longer call",
    "end_time": "2026-06-10T10:00:00.000000Z", "updated_at": "2026-05-21T08:00:00.000000Z"}')),
  'ana updated', 'a newer snapshot updates the meeting');
select is(
    row(m.name, m.end_time, m.updated_at)::text,
    row('Longer call', '2026-06-10T10:00:00Z'::timestamptz,
      '2026-06-01T13:00:00Z'::timestamptz)::text,
    'an update writes the columns')
  from tests.meeting('E1') m;
select is(m.created_at, '2026-06-01T12:00:00Z'::timestamptz,
    'an update leaves the time when the row was made')
  from tests.meeting('E1') m;
select is(row(m.location_type, m.location, m.join_url)::text, '(physical,"Main street 1",)',
    'an update writes where the meeting takes place, and removes the link it lacks')
  from tests.meeting('E1') m;
select is(
  tests.apply_event(
    tests.event('E1', '{"name": "Older name", "updated_at": "2026-05-20T23:59:59.999999Z"}')),
  'ana unchanged', 'an older snapshot is not an update');
select is(m.name, 'Longer call', 'an older snapshot never overwrites a newer one')
  from tests.meeting('E1') m;

-- only the time moved
select is(
  tests.apply_event(tests.event('E3', '{"name": null, "location": null,
    "updated_at": "2026-05-22T08:00:00.000000Z"}')),
  'ana unchanged', 'an event of which only updated_at moved counts as unchanged');
select is(m.calendly_updated_at, '2026-05-22T08:00:00Z'::timestamptz,
    'an updated_at that moved is stored')
  from tests.meeting('E3') m;
select is(
  tests.apply_event(
    tests.event('E3', '{"name": "between", "updated_at": "2026-05-21T08:00:00.000000Z"}')),
  'ana unchanged', 'a snapshot from before the moved updated_at is old');

-- deleted, and canceled for good
select is(tests.apply_event(tests.event('E1', tests.canceled())), 'ana deleted',
  'a cancellation deletes the meeting');
select is(tests.state(m), 'canceled deleted canceled', 'a canceled meeting stays as a row')
  from tests.meeting('E1') m;
select is(
  tests.apply_event(tests.event('E1', tests.canceled(
    '{"updated_at": "2026-05-26T08:00:00.000000Z", "meeting_notes_plain": "sorry"}'))),
  'ana updated', 'a newer snapshot of a canceled event is an update');
select is(
  tests.apply_event(tests.event('E1', '{"updated_at": "2026-05-27T08:00:00.000000Z"}')),
  'ana updated', 'a newer snapshot that is active updates a canceled meeting');
select is(tests.state(m), 'canceled deleted canceled',
    'a newer snapshot that is active does not revive a canceled meeting')
  from tests.meeting('E1') m;
select is(row(m.deleted_at, m.cancellation ->> 'reason')::text,
    row('2026-05-25T08:00:00Z'::timestamptz, 'ill')::text,
    'time and reason of a cancellation stay')
  from tests.meeting('E1') m;
select is(
  tests.apply_event(
    tests.event('E3', tests.canceled('{"cancellation": {"canceled_by": "Ana", "reason": ""}}'))),
  'ana deleted', 'a cancellation without a time deletes the meeting');
select is(m.deleted_at, '2026-05-25T08:00:00.000001Z'::timestamptz,
    'a cancellation without a time counts from updated_at')
  from tests.meeting('E3') m;

-- gone, and back
select tests.is_gone('E4');
create temporary table e4 as
  select tests.event('E4', '{"name": "Überraschung 🎉 ‮rtl",
    "location": {"type": "custom", "location": null}}') as event;
select is(tests.apply_event(event, 'webhook'), 'ana unchanged',
  'an old delivery does not restore a meeting that is gone') from e4;
select is(tests.state(m), 'active deleted gone', 'a meeting that is gone stays gone')
  from tests.meeting('E4') m;
select is(m.deleted_at, calendly.now(), 'an old delivery leaves the time of the deletion')
  from tests.meeting('E4') m;
select tests.pass('1 hour');
select is(tests.apply_event(event), 'ana restored',
  'a listing that shows a meeting which was gone restores it') from e4;
select is(row(tests.state(m), m.deleted_at)::text, '(active,)',
    'a restored meeting is as if it had never been gone')
  from tests.meeting('E4') m;
select tests.is_gone('E4');
select is(
    tests.apply_event(event || '{"updated_at": "2026-06-01T13:30:00.000000Z"}', 'webhook'),
    'ana restored', 'a newer delivery restores a meeting that was gone')
  from e4;
select is(m.synced_via_webhook, true, 'a meeting that a webhook has written says so')
  from tests.meeting('E4') m;
select is(
    tests.apply_event(event || '{"name": "x", "updated_at": "2026-06-01T13:40:00.000000Z"}'),
    'ana updated', 'a sync updates a meeting that a webhook has written')
  from e4;
select is(m.synced_via_webhook, true, 'a sync does not take back that a webhook has written')
  from tests.meeting('E4') m;
select tests.is_gone('E4');
select is(
    tests.apply_event(
      event || tests.canceled('{"updated_at": "2026-06-01T13:50:00.000000Z"}')),
    'ana updated', 'a meeting that was gone and turns out to be canceled is updated')
  from e4;
select is(tests.state(m), 'canceled deleted canceled',
    'a meeting that was gone and turns out to be canceled is deleted as canceled')
  from tests.meeting('E4') m;

-- a row that the sync has not filled yet
insert into public.calendly_meetings (user_id, calendly_event_uri, name, created_at)
  values (tests.id_of('ana'), tests.event_uri('E5'), 'title by hand', '2025-01-01');
select is(tests.apply_event(tests.event('E5')), 'ana updated',
  'a row with an event''s URI and nothing else is taken for that event''s');
select is(row(m.name, m.status, m.created_at)::text,
    row('Intro call', 'active', '2025-01-01'::timestamptz)::text,
    'a row with an event''s URI and nothing else is filled')
  from tests.meeting('E5') m;
insert into public.calendly_meetings (user_id, calendly_event_uri, is_deleted)
  values (tests.id_of('ana'), tests.event_uri('E6'), true);
select is(tests.apply_event(tests.event('E6')), 'ana restored',
  'an empty row that is deleted is restored where Calendly has the event');
insert into public.calendly_meetings (user_id, calendly_event_uri)
  values (tests.id_of('ana'), tests.event_uri('E7'));
select is(tests.apply_event(tests.event('E7', tests.canceled())), 'ana deleted',
  'an empty row is deleted where Calendly has the event canceled');
select is((select count(*) from public.calendly_meetings), 7::bigint,
  'no event has two rows of one user');

-- a page, and an empty one
select results_eq(
  $$select class, count(*)
    from calendly.apply_events(array(
      select calendly.read_event(tests.event('P' || n)) from generate_series(1, 100) n),
      false, null, false)
    group by 1$$,
  $$values ('created', 100::bigint)$$, 'a page of a hundred events is applied at once');
select is_empty($$select * from calendly.apply_events('{}', false, null, false)$$,
  'an empty page changes nothing');
select is((select count(*) from public.calendly_meetings), 107::bigint,
  'an empty page deletes nothing');

-- a guest's e-mail of any length
select lives_ok(
  $$select tests.apply_event(tests.event('G1', jsonb_build_object('event_guests',
    jsonb_build_array(jsonb_build_object('email', repeat('x', 10000) || '@example.com')))))$$,
  'a guest''s e-mail that is too long for an index is stored');

select * from finish();
rollback;
