-- Events that a complete listing does not show: each is fetched by itself, and only that answer
-- deletes its meeting.
begin;
select plan(48);
select calendly.set_clock('2026-06-01T12:00:00Z');
update calendly.settings set schedule_jitter = 0;
select tests.add_person('ana');
select tests.add_person('ben');
create function tests.known(variadic events text[]) returns void language sql as $$
  select tests.apply_event(tests.event(event)) from unnest(events) event;
  update calendly.meeting_sync set invitees_due_at = null;
$$;
create function tests.list(variadic events text[]) returns text[] language sql as $$
  select tests.event_names(tests.bring('ana',
    tests.page(array(select tests.event(event) from unnest(events) event))))
$$;
create function tests.alive() returns text language sql as $$
  select string_agg(substring(calendly_event_uri from '[^/]+$'), ' ' order by calendly_event_uri)
    from public.calendly_meetings where not is_deleted and user_id = tests.id_of('ana')
$$;
create function tests.answer(variadic reads jsonb[]) returns jsonb
  language sql as $$ select tests.bring('ana', jsonb_build_object('events', to_jsonb(reads))) $$;

-- a listing alone
select tests.known('E1', 'E2', 'E3', 'E4', 'E5');
select tests.pass('1 hour');
select tests.begin('ana');
select is(tests.list('E1'), array['E2', 'E3', 'E4', 'E5'],
  'events that a complete listing lacks are fetched one by one');
select is(tests.alive(), 'E1 E2 E3 E4 E5', 'a listing alone deletes nothing');
select is((tests.run_of('ana')).missing, 4, 'the run records how many meetings were missing');

-- the answers
select is(tests.answer(tests.read_of('E2', 404, null, 'Not found'),
  tests.read_of('E3', 403, null, 'You are not allowed to view this event'),
  tests.read_of('E4', 200, tests.event('E4')),
    tests.read_of('E5', 200,
      tests.event('E5', tests.hosted_by('ben') || '{"updated_at": "2026-05-21T00:00:00Z"}')))
    ->> 'do', 'finish', 'after all missing events were fetched the run can finish');
select is(row(m.is_deleted, m.deleted_reason, m.deleted_at, m.status)::text,
  row(true, 'gone', calendly.now(), 'active')::text, 'an event that answers 404 is gone')
  from tests.meeting('E2') m;
select is(row(m.is_deleted, m.deleted_reason)::text, '(t,gone)',
  'an event that answers 403 while the token works is gone')
  from tests.meeting('E3') m;
select is(row(m.is_deleted, m.deleted_reason)::text, '(f,)',
  'an event that answers with this person among its hosts is kept')
  from tests.meeting('E4') m;
select is(row(m.is_deleted, m.deleted_reason)::text, '(t,reassigned)',
  'an event that answers without this person among its hosts is reassigned')
  from tests.meeting('E5') m;
select is((select count(*) from public.calendly_meetings where user_id = tests.id_of('ben')),
  0::bigint, 'an event that was reassigned makes no meeting for its new host in this run');
select is(row(r.deleted, r.unchanged, r.updated, r.created, r.rejected)::text, '(3,2,0,0,0)',
  'each fetched event counts once')
  from tests.run_of('ana') r;
select tests.fail('ana', '{"code": "internal"}');

-- other answers prove nothing
update calendly.meeting_sync set invitees_due_at = null;
select tests.pass('1 hour');
select tests.begin('ana');
select is(tests.list('E1'), array['E4'], 'an event that is gone is not fetched again');
select is(tests.answer(tests.read_of('E4', 400, null, 'Bad request')) ->> 'do', 'finish',
  'an event that answers anything else is not fetched twice in a run');
select is((tests.meeting('E4')).is_deleted, false, 'an event that answers anything else is kept');
select is((tests.run_of('ana')).rejections,
  jsonb_build_array(jsonb_build_object('uri', tests.event_uri('E4'), 'problem', 'Bad request')),
  'an answer that proves nothing is recorded as rejected');
select tests.finish('ana');
select tests.pass('1 hour');
select tests.begin('ana');
select is(tests.list('E1'), array['E4'], 'the next run fetches an event again that proved nothing');
select tests.answer(tests.read_of('E4', 200, tests.event('E4', '{"start_time": "never"}')));
select is((tests.meeting('E4')).is_deleted, false, 'an event that cannot be used is kept');
select is((tests.run_of('ana')).rejections #>> '{0,problem}', 'start_time is no time',
  'an event that cannot be used is recorded as rejected');
select tests.finish('ana');
select tests.pass('1 hour');
select tests.begin('ana');
select tests.list('E1');
select tests.answer(tests.read_of('E4', 200, tests.event('E1', tests.canceled())));
select is(tests.alive(), 'E1 E4', 'an answer about another event deletes nothing');
select tests.answer(tests.read_of('E4', 200, tests.event('E4', tests.canceled())));
select tests.fail('ana', '{"code": "internal"}');

-- a webhook meanwhile
select tests.known('W1', 'W2');
select tests.pass('1 hour');
select tests.begin('ana');
select tests.pass('1 second');
select tests.apply_event(tests.event('W1', '{"name": "new", "updated_at": "2026-05-21T00:00:00Z"}'),
  'webhook');
select is(tests.list('E1', 'E4'), array['W2'],
  'a meeting that a webhook has changed since the run began is not missing');
select tests.pass('1 second');
select tests.apply_event(tests.event('W2', '{"name": "new", "updated_at": "2026-05-21T00:00:00Z"}'),
  'webhook');
select tests.answer(tests.read_of('W2', 404));
select is((tests.meeting('W2')).is_deleted, false,
  'a meeting that a webhook changes while its event is fetched is not deleted');
select tests.fail('ana', '{"code": "internal"}');

-- an event that waits because a webhook told too little, and is missing from the listing as well
select tests.pass('1 hour');
update calendly.meeting_sync set event_due_at = calendly.now(), invitees_due_at = null
  where event_uri = tests.event_uri('W2');
select tests.begin('ana');
select is(tests.list('E1', 'E4', 'W1'), array['W2'],
  'an event that is missing and waits as well is fetched once');
select is(tests.answer(tests.read_of('W2', 200, tests.event('W2', tests.canceled()))) ->> 'do'
  <> 'fetch_events', true, 'the answer about an event that is missing and waits settles both');
select is((tests.meeting('W2')).status, 'canceled',
  'the answer about an event that is missing and waits is applied');
select tests.fail('ana', '{"code": "internal"}');

-- outside the range
select tests.apply_event(tests.event('past',
  '{"start_time": "2026-01-10T09:00:00Z", "end_time": "2026-01-10T09:30:00Z"}'));
select tests.apply_event(tests.event('far',
  '{"start_time": "2027-01-10T09:00:00Z", "end_time": "2027-01-10T09:30:00Z"}'));
insert into public.calendly_meetings (user_id, name, start_time)
  values (tests.id_of('ana'), 'written by hand', '2026-06-10');
update calendly.meeting_sync set invitees_due_at = null;
select tests.pass('1 hour');
select tests.begin('ana');
select is(tests.list('E1', 'W1'), '{}',
  'a meeting outside the range, a deleted one and one without an event URI are not missing');
select tests.finish('ana');
select tests.pass('1 hour');
select tests.begin('ana', forced => true);
select is(tests.list('E1', 'W1'), array['past', 'far'],
  'a FULL sync finds the missing meetings of its larger range');
select tests.fail('ana', '{"code": "internal"}');
update public.calendly_meetings set is_deleted = true where name <> 'written by hand';

-- a row that somebody inserted and no sync has updated
insert into public.calendly_meetings (user_id, calendly_event_uri, start_time, updated_at)
  values (tests.id_of('ana'), tests.event_uri('byhand'), '2026-06-10', null);
select tests.pass('1 hour');
select tests.begin('ana');
select is(tests.list(variadic '{}'), array['byhand'],
  'a meeting that was never updated can be missing');
select tests.answer(tests.read_of('byhand', 404));
select is((tests.meeting('byhand')).deleted_reason, 'gone',
  'a meeting that was never updated is deleted when its event is gone');
select is(tests.finish('ana') #>> '{result,status}', 'complete',
  'a sync with an empty listing is complete');
select is((select count(*) from public.calendly_meetings where name = 'written by hand'
  and not is_deleted),
  1::bigint, 'a meeting without an event URI is never deleted');

-- very many
select count(*)
  from calendly.apply_events(array(select calendly.read_event(tests.event('M' || to_char(n, 'FM00'),
  jsonb_build_object('start_time',
    calendly.to_calendly('2026-06-10T09:00:00Z'::timestamptz + n * interval '1 hour'), 'end_time',
    '2026-07-10T09:00:00Z')))
    from generate_series(1, 60) n),
    false, null, false);
update calendly.meeting_sync set invitees_due_at = null;
select tests.pass('1 hour');
select tests.begin('ana');
create temporary table round as select tests.list(variadic '{}') as asked;
select is(cardinality(asked), 25, 'at most 25 missing events are fetched in a run') from round;
select is(asked[1] || asked[25], 'M01M25', 'of many missing events the nearest are fetched first')
  from round;
select is((tests.run_of('ana')).missing, 60, 'the run records the number of all missing meetings');
create function tests.all_there(asked text[]) returns jsonb language sql as $$
  select tests.bring('ana',
    jsonb_build_object('requests', cardinality(asked), 'events',
      (select jsonb_agg(tests.read_of(event, 200, (tests.meeting(event)).raw))
        from unnest(asked) event)))
$$;
select is(tests.all_there(asked) ->> 'do', 'finish',
  'after 25 missing events the run fetches no more')
  from round;
select is(tests.finish('ana') #>> '{result,unchanged}', '25',
  'fetched events that did not change count as unchanged');
select tests.pass('1 hour');
select tests.begin('ana');
update round set asked = tests.list(variadic '{}');
select is(asked[1] || asked[25], 'M26M50',
  'the next run fetches the missing events that were not looked up yet')
  from round;
select tests.all_there(asked) from round;
select tests.finish('ana');
select tests.pass('1 hour');
select tests.begin('ana');
update round set asked = tests.list(variadic '{}');
select is(asked[1] || asked[10] || asked[11] || asked[25], 'M51M60M01M15',
  'after those that were never looked up come those looked up least recently')
  from round;
select is(cardinality(asked), 25, 'a later run fetches at most 25 missing events as well')
  from round;

-- a part of the answers
select is(tests.bring('ana',
  jsonb_build_object('events', jsonb_build_array(tests.read_of('M51', 404)), 'interruption',
    '{"code": "calendly_unavailable", "message": "x"}'::jsonb))
  ->> 'do', 'stop', 'an interruption among the missing events pauses the run');
select is((tests.meeting('M51')).deleted_reason, 'gone',
  'an answer before an interruption is applied');
select is(cardinality(tests.event_names(tests.begin('ana') -> 'next')), 24,
  'after an interruption only the other missing events are fetched');
select is((tests.event_names(tests.begin('ana') -> 'next')), '{}',
  'a second click while a run is active gets no step');
update calendly.settings set missing_event_lookups = 0;
select tests.fail('ana', '{"code": "internal"}');
select tests.pass('1 hour');
select tests.begin('ana');
select is(tests.list(variadic '{}'), '{}',
  'with missing_event_lookups 0 no missing event is fetched');
select is(tests.finish('ana') #>> '{result,deleted}', '0',
  'with missing_event_lookups 0 no missing meeting is deleted');
select is((select count(*) from public.calendly_meetings where calendly_event_uri like '%/M%'
  and not is_deleted),
  59::bigint, 'meetings whose events were not gone are kept');
select is((select count(*) from calendly.active_runs), 0::bigint, 'all runs have ended');

-- a crash of Postgres, after which the unlogged tables are empty
update calendly.settings set missing_event_lookups = 25;
delete from public.calendly_meetings;
select tests.apply_event(tests.event('C' || n, jsonb_build_object(
    'start_time', format('2026-06-0%sT10:00:00.000000Z', n), 'end_time', format('2026-06-0%sT10:30:00.000000Z', n))))
  from generate_series(3, 7) n;
update calendly.meeting_sync set invitees_due_at = null;
select tests.pass('1 hour');
select tests.begin('ana');
select tests.bring('ana', tests.page(array(
  select m.raw from public.calendly_meetings m where m.start_time < '2026-06-06' order by m.start_time), 'next'));
delete from calendly.run_seen;
delete from calendly.run_missing;
delete from calendly.run_invitees;
select is(tests.event_names(tests.bring('ana', tests.page(array(
    select m.raw from public.calendly_meetings m where m.start_time > '2026-06-06' order by m.start_time)))),
  array['C5'], 'after a crash of Postgres a run asks again for what starts when its last page ended, and for nothing else');
select tests.answer(tests.read_of('C5', 200, tests.event('C5', '{"start_time": "2026-06-05T10:00:00.000000Z", "end_time": "2026-06-05T10:30:00.000000Z"}')));
select is(tests.finish('ana') ->> 'do', 'stop', 'the run is completed');
select is(tests.alive(), 'C3 C4 C5 C6 C7', 'and nothing is deleted');

select * from finish();
rollback;
