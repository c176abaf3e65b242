-- What Calendly says is believed within bounds: counters that lie, more invitees than one reading
-- can hold, clocks and dates that are far off.
begin;
select plan(21);
select calendly.set_clock('2026-06-01T12:00:00Z');
update calendly.settings set schedule_jitter = 0;
select tests.add_person('ana');
create function tests.starts(start_time text) returns jsonb language sql as $$
  select jsonb_build_object('start_time', start_time, 'end_time', start_time)
$$;

-- counters that lie
select tests.begin('ana');
create temporary table listed as select tests.bring('ana', tests.page(array[
  tests.event('huge', tests.seats(999999999, 999999999, 999999999)),
  tests.event('none', tests.seats(0, 7)),
  tests.event('one')])) as next;
select is(array(select unnest(tests.event_names(next)) order by 1), array['huge'],
  'an event that counts more invitees than requests are left is fetched alone') from listed;
select is(next ->> 'requests_left', '799', 'a step tells how many requests it may make')
  from listed;
create temporary table next as select tests.bring('ana', jsonb_build_object('requests', 1,
  'invitees', jsonb_build_array(tests.invitees_of('huge', tests.invitee('huge', 'ines'))))) as step;
select is((tests.run_of('ana')).rejections #>> '{0,problem}',
  'lists fewer invitees than it counts', 'a counter that is too large is told');
select ok(tests.event_names(step) @> array['one'], 'the events after it are fetched') from next;
select tests.bring('ana', jsonb_build_object('requests', 790, 'invitees', jsonb_build_array(
  tests.invitees_of('one', tests.invitee('one', 'ines'), tests.invitee('one', 'jo')))));
select is((select count(*) from public.calendly_invitees v join tests.meeting('one') m
  on m.id = v.meeting_id), 2::bigint, 'more invitees than the counter says are all kept');
select tests.fail('ana', '{"code": "internal"}');

-- more invitees than one reading holds
select tests.pass('1 hour');
update calendly.meeting_sync set invitees_due_at = null;
select tests.begin('ana');
select tests.bring('ana', tests.page(array[tests.event('one',
  '{"name": "changed", "updated_at": "2026-06-01T12:30:00Z"}')]));
select tests.bring('ana', jsonb_build_object('invitees', jsonb_build_array(
  tests.invitees_of('one', tests.invitee('one', 'kim')) || '{"problem": "has more"}')));
select is(array(select substring(v.uri from '[^/]+$') from public.calendly_invitees v
  join tests.meeting('one') m on m.id = v.meeting_id order by 1), array['ines', 'jo', 'kim'],
  'a reading that is not complete adds invitees and deletes none');
select is((tests.run_of('ana')).rejections,
  jsonb_build_array(jsonb_build_object('uri', tests.event_uri('one'), 'problem', 'has more')),
  'a reading that is not complete is told, and once');
select is((select s.invitees_due_at from calendly.meeting_sync s
  where s.event_uri = tests.event_uri('one')), calendly.now() + interval '15 minutes',
  'an event with too many invitees is read again one interval later');
select tests.fail('ana', '{"code": "internal"}');

-- clocks
select tests.pass('1 hour');
update calendly.meeting_sync set invitees_due_at = null;
select tests.begin('ana');
select tests.bring('ana', tests.page(array[tests.event('one',
  '{"name": "changed again", "updated_at": "2026-06-01T13:30:00Z"}')]));
select tests.bring('ana', jsonb_build_object('invitees', jsonb_build_array(
  tests.invitees_of('one', tests.invitee('one', 'ines'), tests.invitee('one', 'jo'))
    || '{"observed_at": "2099-01-01T00:00:00.000000Z"}')));
select is((select s.invitees_read_at from calendly.meeting_sync s
  where s.event_uri = tests.event_uri('one')), calendly.now(),
  'a reading from the future counts as one of now');
select is(calendly.with_credible_times(read), read,
  'a reading of a clock that is half an hour ahead is left as it is')
  from (select jsonb_build_array(jsonb_build_object('observed_at',
    calendly.to_calendly(calendly.now() + interval '30 minutes')), '{"problem": "x"}'::jsonb)
    as read) r;
select tests.fail('ana', '{"code": "internal"}');
create function deliver(event text, created_at text, invitee jsonb) returns text language sql as $$
  select public.calendly_receive_webhook(jsonb_build_object('digest', md5(created_at),
    'signed_at', extract(epoch from calendly.now()), 'body', jsonb_build_object(
      'event', deliver.event, 'created_at', created_at, 'created_by', tests.host('ana'),
      'payload', invitee || jsonb_build_object('scheduled_event', tests.event('one'))))) ->> 'status'
$$;
select is(deliver('invitee.created', '2099-01-01T00:00:00.000000Z', tests.invitee('one', 'kim')), 'processed',
  'a delivery from the future is applied');
select is((select v.no_show_known_at from public.calendly_invitees v
    where v.uri = tests.invitee_uri('one', 'kim')), calendly.now(), 'it counts as one of now');
select tests.pass('1 minute');
select deliver('invitee_no_show.created', calendly.to_calendly(calendly.now()),
  tests.invitee('one', 'kim', jsonb_build_object('no_show',
    jsonb_build_object('uri', 'N', 'created_at', calendly.to_calendly(calendly.now())))));
select is((select v.no_show_at from public.calendly_invitees v
    where v.uri = tests.invitee_uri('one', 'kim')), calendly.now(),
  'a mark as a no-show that is made after it counts');

-- dates
select is(calendly.to_time(value), null, format('%s is no time', value))
  from unnest('{294276-12-31T23:59:59Z,0044-03-15T12:00:00Z BC,-infinity}'::text[]) value;
select tests.pass('1 hour');
update calendly.meeting_sync set invitees_due_at = null;
select tests.begin('ana');
select is(tests.bring('ana', tests.page(array[
  tests.event('first', tests.starts('0001-01-01T00:00:00Z')),
  tests.event('second', tests.starts('2026-06-02T09:00:00Z')),
  tests.event('last', tests.starts('9999-12-31T23:59:59-14:00'))], 'p2')) ->> 'do', 'list_events',
  'dates at the ends of the calendar do not stop a listing');
select is((tests.run_of('ana')).rejected, 0, 'dates at the ends of the calendar are kept');
select is((tests.state_of('ana')).listed_until, '2026-06-02T09:00:00Z',
  'an event after the range does not count as how far the listing is');
select is(tests.bring('ana', '{"interruption": {"code": "page_token_expired", "message": "x"}}')
  #>> '{query,min_start_time}', '2026-06-02T08:59:59.000000Z',
  'a listing that is begun anew leaves out nothing because of an event after the range');
select tests.bring('ana', tests.page(array[
  tests.event('last', tests.starts('9999-12-31T23:59:59-14:00'))], 'p3'));
select is((tests.state_of('ana')).listed_until, '2026-06-02T09:00:00Z',
  'nor does one that is as it is stored');

select * from finish();
rollback;
