-- Erasing a person by e-mail: removed from invitees, guests, events and deliveries, for good. The
-- seat stays.
begin;
select plan(41);
select calendly.set_clock('2026-06-01T12:00:00Z');
select tests.add_person('ana');
create function tests.guests(variadic emails text[]) returns jsonb language sql as $$
  select jsonb_build_object('event_guests', jsonb_agg(jsonb_build_object('email', email,
    'created_at', '2026-05-20T08:00:00Z', 'updated_at', '2026-05-20T08:00:00Z')))
  from unnest(emails) email
$$;
create function tests.receive(event jsonb, invitee jsonb) returns text language sql as $$
  select public.calendly_receive_webhook(jsonb_build_object(
    'body', delivery, 'digest', encode(sha256(delivery::text::bytea), 'hex'),
    'signed_at', extract(epoch from calendly.now()))) ->> 'status'
  from jsonb_build_object('event', 'invitee.created', 'created_at', '2026-06-01T12:00:00Z',
    'created_by', tests.host('ana'),
    'payload', invitee || jsonb_build_object('scheduled_event', event)) delivery
$$;
create function tests.seat_of(event text, invitee text) returns public.calendly_invitees
language sql as $$
  select v from public.calendly_invitees v where v.uri = tests.invitee_uri(event, invitee)
$$;
create function tests.stored() returns text language sql as $$
  select string_agg(row, ' ') from (
    select m::text from public.calendly_meetings m
    union all select v::text from public.calendly_invitees v
    union all select e::text from public.calendly_webhook_events e
    union all select p::text from calendly.erased_people p
    union all select r::text from public.calendly_sync_runs r) everything (row)
$$;
create function tests.tells_of_ines() returns boolean language sql as $$
  select tests.stored() ~* 'ines@|"Ines"|912 345|is ill'
$$;
create function tests.counts(invitees integer, meetings integer, webhook_events integer)
returns jsonb language sql as $$
  select jsonb_build_object(
    'invitees', invitees, 'meetings', meetings, 'webhook_events', webhook_events)
$$;

-- ines has a seat in a group event, a seat that she has canceled, and is a guest in a third event
create temporary table calendar as select
  array[
    tests.event('E1', tests.seats(2, 2, 5)),
    tests.event('E2', tests.seats(1, 0)
      || '{"location": {"type": "outbound_call", "location": "+351 912 345 678"}}'
      || tests.canceled('{"cancellation": {"canceled_by": "Ines", "reason": "Ines is ill",
        "canceler_type": "invitee", "created_at": "2026-05-21T00:00:00.000000Z"}}')),
    tests.event('E3', tests.seats(1, 1)
      || tests.guests('INES@guest.example.com', 'gus@guest.example.com'))] as events,
  jsonb_build_object(
    'E1', array[tests.invitee('E1', 'ines'), tests.invitee('E1', 'ida')],
    'E2', array[tests.invitee('E2', 'ines',
      '{"status": "canceled", "text_reminder_number": "+351 912 345 678"}')],
    'E3', array[tests.invitee('E3', 'ivo')]) as invitees;
select tests.sync('ana', events, invitees) from calendar;
select is(tests.receive(events[1], tests.invitee('E1', 'ines')), 'processed',
  'a delivery tells of an invitee') from calendar;
select is(tests.receive(events[3], tests.invitee('E3', 'ivo')), 'processed',
  'a delivery tells of a guest') from calendar;
select ok(tests.stored() ~* 'ines@guest', 'the e-mail of an invitee is stored');
create temporary table others as
  select v.uri, v::text as row from public.calendly_invitees v where v.email not like 'ines@%';
select is(public.calendly_erase_invitee('  Ines@GUEST.example.com '), tests.counts(2, 2, 2),
  'an erasure counts what it has changed, whatever the case of the e-mail');
select is(
  (select array_agg(l.mode) from pg_catalog.pg_locks l
    where l.locktype = 'advisory' and l.pid = pg_backend_pid()
      and (l.classid::bigint << 32) + l.objid::bigint
        = hashtextextended('calendly.erasure', 0) and l.mode = 'ExclusiveLock'),
  '{ExclusiveLock}', 'an erasure holds off everybody who writes until it ends');

-- at once
select ok(tests.stored() !~* 'ines@guest', 'the e-mail of an erased person is stored nowhere');
select ok(tests.stored() !~ 'Ines', 'the name of an erased person is stored nowhere');
select ok(tests.stored() !~ '912 345 678', 'the telephone number is stored nowhere');
select ok(tests.stored() !~ 'is ill', 'the reason for the cancellation is stored nowhere');
select is(
    row(v.email, v.name, v.timezone, v.questions_and_answers, v.tracking, v.payment)::text,
    '(,,,,,)', 'the row of an erased invitee is anonymous')
  from tests.seat_of('E1', 'ines') v;
select is(count(*), 2::bigint, 'the row of an erased invitee stays')
  from public.calendly_invitees v where v.uri like '%E1%';
select is((tests.meeting('E1')).raw #>> '{invitees_counter,total}', '2',
  'the event of an erased invitee counts the seat');
select is((select status from public.calendly_invitees v where v.uri like '%E2%'), 'canceled',
  'a canceled invitee who is erased stays canceled');
select is(row(m.is_deleted, m.cancellation ->> 'canceler_type')::text, '(t,invitee)',
  'an event that an erased invitee has canceled stays canceled by an invitee')
  from tests.meeting('E2') m;
select is(m.raw -> 'event_guests' -> 0 ->> 'email', 'gus@guest.example.com',
  'another guest of the event stays') from tests.meeting('E3') m;
select is(jsonb_array_length(m.raw -> 'event_guests'), 1, 'an erased guest is removed')
  from tests.meeting('E3') m;
select results_eq(
  'select v.uri, v::text from public.calendly_invitees v where v.email is not null order by 1',
  'select * from others order by 1', 'the rows of other invitees are not touched');
select is((select count(*) from public.calendly_webhook_events), 2::bigint,
  'the deliveries that told of an erased person stay');
select is((select count(*) from calendly.erased_people), 1::bigint,
  'a mark of the erased person is stored');
select ok(
    encode(p.email_digest, 'hex')
      not in (encode(sha256('ines@guest.example.com'), 'hex'), md5('ines@guest.example.com')),
    'the mark cannot be looked up in a table of e-mails')
  from calendly.erased_people p;

-- for good
select tests.pass('1 hour');
select is(tests.sync('ana', events, invitees, forced => true) #>> '{result,status}', 'complete',
  'a FULL sync fetches everything again') from calendar;
select ok(not tests.tells_of_ines(), 'a FULL sync brings nothing back of an erased person');
select is(
  (select array_agg(e.status || ' ' || (public.calendly_replay_webhook_event(e.id) ->> 'status'))
    from public.calendly_webhook_events e),
  '{processed processed,processed processed}', 'a delivery that was redacted can be replayed');
select ok(not tests.tells_of_ines(), 'a replay brings nothing back of an erased person');
delete from public.calendly_webhook_events;
select is(tests.receive(events[1], tests.invitee('E1', 'ines')), 'processed',
  'a delivery that comes again is processed') from calendar;
select is(
    tests.receive(events[3] || tests.guests('Ines@guest.example.com'), tests.invitee('E3', 'ivo')),
    'processed', 'a delivery with an erased guest is processed')
  from calendar;
select is(
  tests.receive(tests.event('E4', tests.seats(1, 1)),
    tests.invitee('E4', 'ines', '{"email": "INES@guest.example.com"}')),
  'processed', 'a delivery of a new booking by an erased person is processed');
select is(
  tests.receive(tests.event('E5', '{"start_time": "never"}'), tests.invitee('E5', 'ines')),
  'deferred', 'a delivery of an erased person that is not understood is deferred');
select ok(not tests.tells_of_ines(), 'no delivery brings anything back of an erased person');
select is((tests.meeting('E4')).status, 'active',
  'a new booking by an erased person makes a meeting');
select is(row(v.status, v.email)::text, '(active,)',
    'a new booking by an erased person makes an anonymous invitee')
  from tests.seat_of('E4', 'ines') v;
delete from public.calendly_meetings where user_id = tests.id_of('ana');
update public.calendly_users set calendly_initial_sync_complete = false
  where id = tests.id_of('ana');
select tests.sync('ana', events, invitees) from calendar;
select ok(not tests.tells_of_ines(), 'a first sync brings nothing back of an erased person');

-- again, and others
select is(public.calendly_erase_invitee('ines@guest.example.com'), tests.counts(0, 0, 0),
  'a second erasure finds nothing left');
select is(public.calendly_erase_invitee('nobody@guest.example.com'), tests.counts(0, 0, 0),
  'the erasure of somebody who was never here finds nothing');
select is(public.calendly_erase_invitee('ida@guest.example.com') ->> 'invitees', '1',
  'a second person can be erased');
select is(public.calendly_erase_invitee('gus@guest.example.com'), tests.counts(0, 1, 0),
  'a guest who is no invitee can be erased');

-- by whom
select is(tests.code_of(format('select public.calendly_erase_invitee(%L)', refused)),
  'invalid_email', format('"%s" is refused: it is no e-mail', refused))
  from unnest('{ines,"","two words@example.com"}'::text[]) refused;
select is(tests.code_of('select public.calendly_erase_invitee(null)'), 'invalid_email',
  'null is refused: it is no e-mail');
select tests.sign_in('ana');
select is(tests.code_of($$select public.calendly_erase_invitee('ivo@guest.example.com')$$),
  'permission denied for function calendly_erase_invitee',
  'somebody who is signed in may erase nobody');
select tests.sign_out();

select * from finish();
rollback;
