-- Deleted only on proof: what a complete listing lacks is asked for by itself, and only that answer counts.
begin;
select plan(45);
select calendly.set_clock('2026-06-01T12:00:00Z');
update calendly.settings set schedule_jitter = 0;
select tests.add_person('ana');
select tests.add_person('ben');
create function tests.known(variadic events text[]) returns void language sql as $$
  select tests.apply_event(tests.event(event)) from unnest(events) event;
  update calendly.meeting_sync set invitees_due_at = null;
$$;
create function tests.list(variadic events text[]) returns text[] language sql as $$
  select tests.event_names(tests.bring('ana', tests.page(array(select tests.event(event) from unnest(events) event))))
$$;
create function tests.alive() returns text language sql as $$
  select string_agg(substring(calendly_event_uri from '[^/]+$'), ' ' order by calendly_event_uri) from public.meetings where not is_deleted and user_id = tests.id_of('ana')
$$;
create function tests.answer(variadic reads jsonb[]) returns jsonb language sql as $$ select tests.bring('ana', jsonb_build_object('events', to_jsonb(reads))) $$;

-- a listing alone
select tests.known('E1', 'E2', 'E3', 'E4', 'E5');
select tests.pass('1 hour');
select tests.begin('ana');
select is(tests.list('E1'), array['E2', 'E3', 'E4', 'E5'], 'what a complete listing lacks is asked for by itself');
select is(tests.alive(), 'E1 E2 E3 E4 E5', 'the listing alone deletes nothing');
select is((tests.run_of('ana')).absent, 4, 'but the run says how many were missing');

-- the answers
select is(tests.answer(tests.read_of('E2', 404, null, 'Not found'), tests.read_of('E3', 403, null, 'You are not allowed to view this event'),
  tests.read_of('E4', 200, tests.event('E4')), tests.read_of('E5', 200, tests.event('E5', tests.hosted_by('ben') || '{"updated_at": "2026-05-21T00:00:00Z"}'))) ->> 'do', 'finish', 'each of them has an answer');
select is(row(m.is_deleted, m.deleted_reason, m.deleted_at, m.status)::text, row(true, 'gone', calendly.now(), 'active')::text, '404 proves that the event is gone') from tests.meeting('E2') m;
select is(row(m.is_deleted, m.deleted_reason)::text, '(t,gone)', 'so does 403, while the token works') from tests.meeting('E3') m;
select is(row(m.is_deleted, m.deleted_reason)::text, '(f,)', '200 with this user among the hosts keeps it') from tests.meeting('E4') m;
select is(row(m.is_deleted, m.deleted_reason)::text, '(t,reassigned)', '200 without this user among the hosts proves that it was reassigned') from tests.meeting('E5') m;
select is((select count(*) from public.meetings where user_id = tests.id_of('ben')), 0::bigint, 'the new host''s row is that one''s run to make');
select is(row(r.deleted, r.unchanged, r.updated, r.created, r.rejected)::text, '(3,2,0,0,0)', 'each is counted once') from tests.run_of('ana') r;
select tests.fail('ana', '{}');

-- other answers prove nothing
update calendly.meeting_sync set invitees_due_at = null;
select tests.pass('1 hour');
select tests.begin('ana');
select is(tests.list('E1'), array['E4'], 'what is gone is not asked for again');
select is(tests.answer(tests.read_of('E4', 400, null, 'Bad request')) ->> 'do', 'finish', 'any other answer is no reason to ask twice in a run');
select is((tests.meeting('E4')).is_deleted, false, 'and proves nothing');
select is((tests.run_of('ana')).rejections, jsonb_build_array(jsonb_build_object('uri', tests.event_uri('E4'), 'problem', 'Bad request')), 'but is recorded');
select tests.finish('ana');
select tests.pass('1 hour');
select tests.begin('ana');
select is(tests.list('E1'), array['E4'], 'the next run asks again');
select tests.answer(tests.read_of('E4', 200, tests.event('E4', '{"start_time": "never"}')));
select is((tests.meeting('E4')).is_deleted, false, 'an event that cannot be used proves nothing');
select is((tests.run_of('ana')).rejections #>> '{0,problem}', 'start_time is no time', 'and is recorded');
select tests.finish('ana');
select tests.pass('1 hour');
select tests.begin('ana');
select tests.list('E1');
select tests.answer(tests.read_of('E4', 200, tests.event('E1', tests.canceled())));
select is(tests.alive(), 'E1 E4', 'nor does the answer to another question');
select tests.answer(tests.read_of('E4', 200, tests.event('E4', tests.canceled())));
select tests.fail('ana', '{}');

-- a webhook meanwhile
select tests.known('W1', 'W2');
select tests.pass('1 hour');
select tests.begin('ana');
select tests.pass('1 second');
select tests.apply_event(tests.event('W1', '{"name": "new", "updated_at": "2026-05-21T00:00:00Z"}'), 'webhook');
select is(tests.list('E1', 'E4'), array['W2'], 'what a webhook has touched since the run began is not missing');
select tests.pass('1 second');
select tests.apply_event(tests.event('W2', '{"name": "new", "updated_at": "2026-05-21T00:00:00Z"}'), 'webhook');
select tests.answer(tests.read_of('W2', 404));
select is((tests.meeting('W2')).is_deleted, false, 'nor is it deleted when the webhook comes after the question');
select tests.fail('ana', '{}');

-- what a webhook told too little about, and the listing lacks
select tests.pass('1 hour');
update calendly.meeting_sync set event_due_at = calendly.now(), invitees_due_at = null where event_uri = tests.event_uri('W2');
select tests.begin('ana');
select is(tests.list('E1', 'E4', 'W1'), array['W2'], 'is asked for once, though there are two reasons');
select is(tests.answer(tests.read_of('W2', 200, tests.event('W2', tests.canceled()))) ->> 'do' <> 'read_events', true, 'and the answer settles both');
select is((tests.meeting('W2')).status, 'canceled', 'whatever it is');
select tests.fail('ana', '{}');

-- outside the range
select tests.apply_event(tests.event('past', '{"start_time": "2026-01-10T09:00:00Z", "end_time": "2026-01-10T09:30:00Z"}'));
select tests.apply_event(tests.event('far', '{"start_time": "2027-01-10T09:00:00Z", "end_time": "2027-01-10T09:30:00Z"}'));
insert into public.meetings (user_id, name, start_time) values (tests.id_of('ana'), 'an earlier app''s', '2026-06-10');
update calendly.meeting_sync set invitees_due_at = null;
select tests.pass('1 hour');
select tests.begin('ana');
select is(tests.list('E1', 'W1'), '{}', 'what lies outside the range, is deleted already, or never was at Calendly is not missing');
select tests.finish('ana');
select tests.pass('1 hour');
select tests.begin('ana', forced => true);
select is(tests.list('E1', 'W1'), array['past', 'far'], 'a FULL sync sees further');
select tests.fail('ana', '{}');
update public.meetings set is_deleted = true where name <> 'an earlier app''s';

-- a row of an earlier app that names an event
insert into public.meetings (user_id, calendly_event_uri, start_time, updated_at) values (tests.id_of('ana'), tests.event_uri('adopted'), '2026-06-10', null);
select tests.pass('1 hour');
select tests.begin('ana');
select is(tests.list(variadic '{}'), array['adopted'], 'a row of an earlier app that nobody has written since is missing like any other');
select tests.answer(tests.read_of('adopted', 404));
select is((tests.meeting('adopted')).deleted_reason, 'gone', 'and deleted on the same proof');
select is(tests.finish('ana') #>> '{result,status}', 'complete', 'an empty listing is a listing');
select is((select count(*) from public.meetings where name = 'an earlier app''s' and not is_deleted), 1::bigint, 'and its other rows are left alone');

-- very many
select count(*) from calendly.apply_events(array(select calendly.read_event(tests.event('M' || to_char(n, 'FM00'),
  jsonb_build_object('start_time', calendly.to_calendly('2026-06-10T09:00:00Z'::timestamptz + n * interval '1 hour'), 'end_time', '2026-07-10T09:00:00Z'))) from generate_series(1, 60) n), false, null, false);
update calendly.meeting_sync set invitees_due_at = null;
select tests.pass('1 hour');
select tests.begin('ana');
create temporary table round as select tests.list(variadic '{}') as asked;
select is(cardinality(asked), 25, 'of a mass absence at most 25 are asked for in a run') from round;
select is(asked[1] || asked[25], 'M01M25', 'the nearest first') from round;
select is((tests.run_of('ana')).absent, 60, 'the run says how many were missing');
create function tests.all_there(asked text[]) returns jsonb language sql as $$
  select tests.bring('ana', jsonb_build_object('requests', cardinality(asked), 'events', (select jsonb_agg(tests.read_of(event, 200, (tests.meeting(event)).raw)) from unnest(asked) event)))
$$;
select is(tests.all_there(asked) ->> 'do', 'finish', 'and no more of them in this run') from round;
select is(tests.finish('ana') #>> '{result,unchanged}', '25', 'those that were asked for are unchanged');
select tests.pass('1 hour');
select tests.begin('ana');
update round set asked = tests.list(variadic '{}');
select is(asked[1] || asked[25], 'M26M50', 'the next run asks for those that were not asked yet') from round;
select tests.all_there(asked) from round;
select tests.finish('ana');
select tests.pass('1 hour');
select tests.begin('ana');
update round set asked = tests.list(variadic '{}');
select is(asked[1] || asked[10] || asked[11] || asked[25], 'M51M60M01M15', 'and the one after that for the rest, then for those asked least recently') from round;
select is(cardinality(asked), 25, 'always 25') from round;

-- a part of the answers
select is(tests.bring('ana', jsonb_build_object('events', jsonb_build_array(tests.read_of('M51', 404)), 'interruption', '{"code": "calendly_unavailable", "message": "x"}'::jsonb)) ->> 'do', 'stop', 'where Calendly interrupts');
select is((tests.meeting('M51')).deleted_reason, 'gone', 'the answers that it gave count');
select is(cardinality(tests.event_names(tests.begin('ana') -> 'next')), 24, 'and only the others are asked for again');
select is((tests.event_names(tests.begin('ana') -> 'next')), '{}', 'by the one who holds the run');
update calendly.settings set absence_checks = 0;
select tests.fail('ana', '{}');
select tests.pass('1 hour');
select tests.begin('ana');
select is(tests.list(variadic '{}'), '{}', 'asking can be switched off');
select is(tests.finish('ana') #>> '{result,deleted}', '0', 'and then nothing that is missing is ever deleted');
select is((select count(*) from public.meetings where calendly_event_uri like '%/M%' and not is_deleted), 59::bigint, 'all others are still there');
select is((select count(*) from calendly.open_runs), 0::bigint, 'and the runs have ended');

select * from finish();
rollback;
