-- When a connection is due after a sync: every quarter of an hour, every six hours while webhooks
-- arrive, and sooner where something is unfinished, but not without end.
begin;
select plan(35);
select calendly.set_clock('2026-06-01T12:00:00Z');
select tests.add_person('ana');

create function tests.due_in(name text default 'ana') returns interval language sql as $$
  select (tests.connection_of(name)).next_sync_at - calendly.now()
$$;
-- many draws, because each is by chance
create function tests.draws(draws integer default 500) returns table (wait interval) language sql as $$
  select calendly.next_sync_at(tests.connection_of('ana'), calendly.now()) - calendly.now()
    from generate_series(1, draws)
$$;
create function tests.webhooks(arrive boolean) returns void language sql as $$
  update public.calendly_users set calendly_webhook_enabled = arrive where id = tests.id_of('ana')
$$;
create function tests.conference(status text) returns jsonb language sql as $$
  select jsonb_build_object('location',
    jsonb_build_object('type', 'google_conference', 'status', conference.status, 'join_url', null))
    || tests.seats(0, 0)
$$;
create function tests.delivery(type text, event jsonb, invitee jsonb) returns jsonb
  language sql as $$
  select public.calendly_receive_webhook(jsonb_build_object(
    'body',
      jsonb_build_object('event', type, 'created_at', calendly.to_calendly(calendly.now()),
        'created_by', tests.host('ana'),
      'payload', invitee || jsonb_build_object('scheduled_event', event)),
    'digest', md5(type || event || invitee), 'signed_at', extract(epoch from calendly.now())))
$$;

-- intervals
select tests.sync('ana', '{}');
select ok(tests.due_in() between '13.5 minutes' and '16.5 minutes',
  'after a sync a connection is due in about a quarter of an hour');
create temporary table drawn as select d.wait from tests.draws() d;
select ok(min(wait) >= '13.5 minutes' and max(wait) <= '16.5 minutes',
  'the jitter is a tenth of the interval at most')
  from drawn;
select ok(max(wait) - min(wait) > '2 minutes' and count(distinct wait) > 400,
  'connections that began together are due at different times')
  from drawn;
select ok(avg(wait) between '14.5 minutes' and '15.5 minutes',
  'the interval is a quarter of an hour on average')
  from drawn;
select tests.webhooks(true);
select ok(min(wait) >= '5.4 hours' and max(wait) <= '6.6 hours' and max(wait) - min(wait)
  > '30 minutes', 'while webhooks arrive a connection is due in about six hours')
  from tests.draws();
select tests.webhooks(false);
select public.calendly_configure('{"sync_interval": "5 minutes", "schedule_jitter": 0}');
select ok(min(wait) = '5 minutes' and max(wait) = '5 minutes',
  'the interval and the jitter are settings')
  from tests.draws(20);
select tests.webhooks(true);
select public.calendly_configure('{"webhook_sync_interval": "2 hours"}');
select ok(min(wait) = '2 hours' and max(wait) = '2 hours',
  'the interval while webhooks arrive is a setting')
  from tests.draws(20);

-- a conference that Calendly is still making
select tests.sync('ana', array[tests.event('E1', tests.conference('processing'))]);
select is(tests.due_in(), '1 minute',
  'a meeting whose conference is being made is due in a minute though webhooks arrive');
select tests.pass('10 minutes');
select tests.sync('ana', array[tests.event('E1', tests.conference('processing'))]);
select is(tests.due_in(), '5 minutes',
  'a meeting whose conference is still being made is due after half of its age');
select tests.pass('1 day');
select tests.sync('ana', array[tests.event('E1', tests.conference('processing'))]);
select is(tests.due_in(), '2 hours',
  'a conference that is not made for a day does not make the connection due sooner');
select tests.sync('ana',
  array[tests.event('E1', tests.conference('pushed') || '{"updated_at": "2026-06-02T00:00:00Z"}'),
  tests.event('E2', tests.conference('initiated')
    || '{"start_time": "2026-06-01T09:00:00Z", "end_time": "2026-06-01T09:30:00Z"}')]);
select is(tests.due_in(), '2 hours',
  'a conference that is made, or whose meeting is over, makes nothing due');

-- no-shows
select tests.sync('ana',
  array[tests.event('E3',
    '{"start_time": "2026-06-02T12:00:00Z", "end_time": "2026-06-02T12:30:00Z"}')],
  jsonb_build_object('E3', array[tests.invitee('E3', 'ines')]));
select is((tests.connection_of('ana')).next_sync_at, '2026-06-02T13:30:00Z',
  'a connection is due an hour after a meeting to look for no-shows');
select calendly.set_clock('2026-06-02T13:30:00Z');
select tests.sync('ana',
  array[tests.event('E3',
    '{"start_time": "2026-06-02T12:00:00Z", "end_time": "2026-06-02T12:30:00Z"}')],
  jsonb_build_object('E3', array[tests.invitee('E3', 'ines')]));
select is(tests.due_in(), '2 hours',
  'after the look for no-shows the connection is due after the usual interval');
select is((select s.invitees_due_at from calendly.meeting_sync s where s.event_uri
  = tests.event_uri('E3')),
  '2026-06-03T12:30:00Z',
  'the second look for no-shows is a day after the meeting');
select tests.sync('ana', '{}');
select is((tests.meeting('E3')).deleted_reason, 'gone',
  'a meeting that is gone is deleted before its look for no-shows');
select calendly.set_clock('2026-06-03T13:00:00Z');
select tests.sync('ana', '{}');
select is(tests.due_in(), '2 hours', 'a meeting that is gone makes nothing due');

-- rule 5: the last invitee left an event that is said to be active
select tests.sync('ana', array[tests.event('E4')],
  jsonb_build_object('E4', array[tests.invitee('E4', 'ines')]));
select is(tests.delivery('invitee.canceled',
  tests.event('E4', tests.seats(1, 0) || '{"updated_at": "2026-06-03T13:00:00Z"}'),
    tests.invitee('E4', 'ines', '{"status": "canceled", "updated_at": "2026-06-03T13:00:00Z"}'))
      ->> 'status', 'processed',
  'a delivery about the last invitee''s cancellation of an active event is processed');
select ok(tests.due_in() <= '1 minute',
  'an active event without active invitees is due within a minute');
select tests.pass('1 minute');
select tests.sync('ana',
  array[tests.event('E4', tests.canceled('{"updated_at": "2026-06-03T13:00:30Z"}'))],
  jsonb_build_object('E4',
    array[tests.invitee('E4', 'ines',
      '{"status": "canceled", "updated_at": "2026-06-03T13:00:00Z"}')]));
select is(tests.due_in(), '2 hours',
  'an event that was fetched after its last cancellation makes nothing due');

-- a delivery that told too little
select is(tests.delivery('invitee.created', '{}', tests.invitee('E5', 'ines')) ->> 'status',
  'deferred', 'a delivery without its event is deferred');
select is(tests.due_in(), '0', 'a deferred delivery makes its connection due at once');
select tests.begin('ana');
select tests.bring('ana', tests.page('{}'));
select tests.bring('ana',
  jsonb_build_object('events', jsonb_build_array(tests.read_of('E5', 500, null, 'HTTP 500'))));
select tests.finish('ana');
select is(tests.due_in(), '1 minute',
  'a deferred delivery whose event cannot be fetched is due again in a minute');
select tests.sync('ana', array[tests.event('E5', tests.seats(0, 0))]);
select is(tests.due_in(), '2 hours', 'a delivery whose event was fetched makes nothing due');

-- an event that is listed and cannot be used
select tests.delivery('invitee.created', tests.event('E6', '{"start_time": "never"}'),
  tests.invitee('E6', 'ines'));
select tests.sync('ana', array[tests.event('E6', '{"start_time": "never"}')])
  from generate_series(1, 6);
select is((select e.status from public.calendly_webhook_events e where e.payload
  #>> '{payload,scheduled_event,uri}' = tests.event_uri('E6')),
  'dead',
  'a delivery about an event that cannot be used is dead after some tries');
select is(tests.due_in(), '2 hours', 'a dead delivery makes nothing due');

-- invitees that cannot be read
select public.calendly_configure('{"webhook_sync_interval": "6 hours"}');
select tests.begin('ana');
select tests.bring('ana', tests.page(array[tests.event('E7')]));
select tests.bring('ana',
  jsonb_build_object('invitees',
    jsonb_build_array(jsonb_build_object('event_uri', tests.event_uri('E7'), 'problem',
      'HTTP 403'))));
select tests.finish('ana');
select is(tests.due_in(), '5 minutes', 'invitees that cannot be fetched are due after an interval');

-- the flag
select tests.begin('ana');
update public.calendly_users set calendly_initial_sync_complete = false where id
  = tests.id_of('ana');
select tests.bring('ana', tests.page('{}'));
select tests.pass('10 seconds');
select tests.finish('ana');
select is((tests.run_of('ana')).sync_type, 'INCREMENTAL',
  'an INCREMENTAL sync goes on when the flag is cleared meanwhile');
select is(tests.due_in(), '0',
  'a flag that was cleared during a sync makes the connection due at once');
select tests.sync('ana', '{}', trigger => 'scheduled');
select is((tests.run_of('ana')).sync_type, 'FULL', 'the sync after the flag was cleared is FULL');

-- a subscription that is lost
select tests.add_person('cleo');
select tests.sync('cleo', '{}');
create temporary table subscription as select (
  public.calendly_begin_subscription(jsonb_build_object('auth_user_id',
  tests.account_of('cleo')))
  ->> 'id')::uuid as id;
select public.calendly_keep_subscription(id, 'https://api.calendly.com/webhook_subscriptions/W1',
  'key')
  from subscription;
select tests.sync('cleo', '{}');
select is(tests.due_in('cleo'), '6 hours',
  'with an active subscription a connection is due in six hours');
select tests.begin('cleo', 'scheduled');
select is(public.calendly_review_subscriptions((tests.connection_of('cleo')).id, '[]', 'key')
  ->> 'make', 'true', 'a lost subscription is made again');
select tests.bring('cleo', tests.page('{}')), tests.finish('cleo');
select is(tests.due_in('cleo'), '0', 'a lost subscription makes the connection due at once');
select tests.pass('1 second');
select tests.sync('cleo', '{}', trigger => 'scheduled');
select is((tests.run_of('cleo')).sync_type, 'FULL', 'the sync after a lost subscription is FULL');
select is(tests.due_in('cleo'), '5 minutes',
  'after a lost subscription a connection is due after the interval without webhooks');

-- a connection that has ended
select tests.add_person('ben');
select public.calendly_disconnect(jsonb_build_object('auth_user_id', tests.account_of('ben')));
select is((tests.connection_of('ben')).next_sync_at, null,
  'a connection that was ended is never due');

select * from finish();
rollback;
