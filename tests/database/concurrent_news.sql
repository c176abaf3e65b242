-- What a webhook brings while a worker is busy with a step is newer than what the step brings, and
-- is kept.
begin;
select plan(10);
select calendly.set_clock('2026-06-01T12:00:00Z');
select tests.add_person('ana');
create function names() returns text language sql as $$
  select string_agg(v.name, ', ' order by v.name) from public.calendly_invitees v
    join tests.meeting('E1') m on m.id = v.meeting_id
$$;
create function event(total integer, changes jsonb default '{}') returns jsonb language sql as $$
  select tests.event('E1', tests.seats(total, total, 9) || changes)
$$;

-- the invitees of one event are read early in a step, and the result comes late
select tests.begin('ana');
select tests.bring('ana', tests.page(array[event(1), tests.event('E2')]));
select tests.pass('3 seconds');
select tests.apply_event(event(2), 'webhook'),
  tests.apply_invitee(tests.invitee('E1', 'joe'), 'webhook');
select tests.pass('7 seconds');
select tests.bring('ana',
  jsonb_build_object('invitees',
    jsonb_build_array(tests.invitees_of('E1', tests.invitee('E1', 'ines')),
      tests.invitees_of('E2', tests.invitee('E2', 'kim')))));
select is(names(), 'Ines, Joe',
  'an invitee whom a webhook brings while a step is worked on is kept');
select ok((select s.invitees_due_at <= calendly.now() + interval '1 minute'
  from calendly.meeting_sync s where s.event_uri = tests.event_uri('E1')),
  'an event that a webhook changes while its step is worked on is due again within a minute');
select tests.finish('ana');
select tests.pass('1 minute');
select tests.sync('ana', array[event(2), tests.event('E2')],
  jsonb_build_object('E1',
    jsonb_build_array(tests.invitee('E1', 'ines'), tests.invitee('E1', 'joe'))),
  forced => true);
select tests.pass('1 minute');

-- the counter alone does not tell: Lea has taken the place of Joe, who is erased
select tests.begin('ana', forced => true);
select tests.bring('ana', tests.page(array[event(2), tests.event('E2')]));
select tests.pass('3 seconds');
delete from public.calendly_invitees where uri = tests.invitee_uri('E1', 'joe');
select tests.apply_invitee(tests.invitee('E1', 'lea'), 'webhook');
select tests.pass('7 seconds');
select tests.bring('ana',
  jsonb_build_object('invitees',
    jsonb_build_array(tests.invitees_of('E1', tests.invitee('E1', 'ines'),
      tests.invitee('E1', 'joe')),
      tests.invitees_of('E2', tests.invitee('E2', 'kim')))));
select ok(names() like '%Lea%',
  'an invitee whom a webhook brings is kept though the event''s counter agrees with the reading');
select tests.finish('ana');
select tests.pass('1 minute');
select tests.sync('ana', array[event(2), tests.event('E2')],
  jsonb_build_object('E1',
    jsonb_build_array(tests.invitee('E1', 'ines'), tests.invitee('E1', 'joe'))),
  forced => true);
select tests.pass('1 minute');

-- a failed reading is not the first of two readings in a row
select tests.begin('ana', forced => true);
select tests.bring('ana', tests.page(array[event(2), tests.event('E2')]));
select tests.bring('ana',
  jsonb_build_object('interruption',
    jsonb_build_object('code', 'calendly_unavailable', 'message', '503', 'event_uri',
      tests.event_uri('E1'))));
select tests.pass('1 minute');
select tests.begin('ana');
select tests.bring('ana',
  jsonb_build_object('invitees',
    jsonb_build_array(tests.invitees_of('E1', tests.invitee('E1', 'ines')),
      tests.invitees_of('E2', tests.invitee('E2', 'kim')))));
select is(names(), 'Ines, Joe',
  'fewer invitees than the event counts delete nobody the first time, also after a failure');
select tests.finish('ana');
select tests.pass('1 minute');
select tests.begin('ana');
select tests.bring('ana', tests.page(array[event(2), tests.event('E2')]));
select tests.bring('ana',
  jsonb_build_object('invitees',
    jsonb_build_array(tests.invitees_of('E1', tests.invitee('E1', 'ines')),
      tests.invitees_of('E2', tests.invitee('E2', 'kim')))));
select is(names(), 'Ines',
  'fewer invitees than the event counts are believed the second time in a row');
select tests.finish('ana');

-- the listing must be restarted
select tests.pass('1 hour');
create temporary table step as select tests.begin('ana', forced => true) -> 'next' as next;
update step set next = tests.bring('ana', tests.page(array[event(2)], 'page 2'));
select is(next #>> '{query,page_token}', 'page 2', 'a listing goes on page by page') from step;
select is((tests.state_of('ana')).listed_until, '2026-06-10T09:00:00Z'::timestamptz,
  'a run records the last start time that its listing has shown');
select tests.apply_event(event(2,
  jsonb_build_object('start_time', '2026-09-10T09:00:00.000000Z',
    'end_time', '2026-09-10T09:30:00.000000Z', 'updated_at', '2026-06-01T12:30:00.000000Z')),
  'webhook');
update step set next
  = tests.bring('ana', '{"interruption": {"code": "page_token_expired", "message": "expired"}}');
select is(next #>> '{query,min_start_time}', '2026-06-10T08:59:59.000000Z',
  'a restarted listing starts at the last start time shown, wherever the event has moved')
  from step;
select is(next #>> '{query,page_token}', null, 'a restarted listing has no page token') from step;
update step set next
  = tests.bring('ana', '{"interruption": {"code": "page_token_expired", "message": "expired"}}');
select is(next #>> '{query,min_start_time}', '2026-06-10T08:59:59.000000Z',
  'a listing that restarts twice starts at the same time')
  from step;

select * from finish();
rollback;
