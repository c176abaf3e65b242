-- Erasing a person by e-mail: gone from invitees, guests, events and deliveries, for good; the seat stays.
begin;
select plan(37);
select calendly.set_clock('2026-06-01T12:00:00Z');
select tests.add_person('ana');
create function tests.guests(variadic emails text[]) returns jsonb language sql as $$
  select jsonb_build_object('event_guests', jsonb_agg(jsonb_build_object('email', email, 'created_at', '2026-05-20T08:00:00Z', 'updated_at', '2026-05-20T08:00:00Z')))
  from unnest(emails) email
$$;
create function tests.delivery(type text, event jsonb, invitee jsonb) returns jsonb language sql as $$
  select jsonb_build_object('event', type, 'created_at', '2026-06-01T12:00:00Z', 'created_by', tests.host('ana'), 'payload', invitee || jsonb_build_object('scheduled_event', event))
$$;
create function tests.receive(delivery jsonb) returns jsonb language sql as $$
  select public.calendly_receive_webhook(jsonb_build_object('body', delivery, 'digest', encode(sha256(delivery::text::bytea), 'hex'), 'signed_at', extract(epoch from calendly.now())))
$$;
create function tests.seat_of(event text, invitee text) returns public.meeting_invitees language sql as $$
  select v from public.meeting_invitees v where v.uri = tests.invitee_uri(event, invitee)
$$;
create function tests.stored() returns text language sql as $$
  select string_agg(row, ' ') from (
    select m::text from public.meetings m union all select v::text from public.meeting_invitees v union all select e::text from public.calendly_webhook_events e
    union all select f::text from calendly.forgotten f union all select r::text from public.calendly_sync_runs r) everything (row)
$$;

-- what there is of ines: a seat of a group event, one that she has canceled, a guest's place, deliveries
create temporary table calendar as select
  array[
    tests.event('E1', tests.seats(2, 2, 5)),
    tests.event('E2', tests.seats(1, 0) || '{"location": {"type": "outbound_call", "location": "+351 912 345 678"}}' || tests.canceled(
      '{"cancellation": {"canceled_by": "Ines", "reason": "Ines is ill", "canceler_type": "invitee", "created_at": "2026-05-21T00:00:00.000000Z"}}')),
    tests.event('E3', tests.seats(1, 1) || tests.guests('INES@guest.example.com', 'gus@guest.example.com'))] as events,
  jsonb_build_object(
    'E1', array[tests.invitee('E1', 'ines'), tests.invitee('E1', 'ida')],
    'E2', array[tests.invitee('E2', 'ines', '{"status": "canceled", "text_reminder_number": "+351 912 345 678"}')],
    'E3', array[tests.invitee('E3', 'ivo')]) as invitees;
select tests.sync('ana', events, invitees) from calendar;
select is(tests.receive(tests.delivery('invitee.created', tests.event('E1', tests.seats(2, 2, 5)), tests.invitee('E1', 'ines'))) ->> 'status', 'processed', 'a delivery tells of her');
select is(tests.receive(tests.delivery('invitee.created', tests.event('E3', tests.seats(1, 1) || tests.guests('INES@guest.example.com', 'gus@guest.example.com')), tests.invitee('E3', 'ivo'))) ->> 'status', 'processed', 'and one of somebody whose guest she is');
select ok(tests.stored() ~* 'ines@guest', 'her e-mail is stored');
create temporary table others as select v.uri, v::text as row from public.meeting_invitees v where v.email not like 'ines@%';
create temporary table answer as select public.calendly_forget_invitee('  Ines@GUEST.example.com ') as counts;

-- at once
select is(counts, '{"invitees": 2, "meetings": 2, "webhook_events": 2}', 'it counts what it has erased, whatever the case of the e-mail') from answer;
select ok(tests.stored() !~* 'ines@guest', 'the e-mail is nowhere any more');
select ok(tests.stored() !~ 'Ines', 'nor the name');
select ok(tests.stored() !~ '912 345 678', 'nor the telephone number');
select ok(tests.stored() !~ 'is ill', 'nor the reason for a cancellation');
select is(row(v.email, v.name, v.timezone, v.questions_and_answers, v.tracking, v.payment)::text, '(,,,,,)', 'the seat belongs to nobody') from tests.seat_of('E1', 'ines') v;
select is(count(*), 2::bigint, 'but is still a seat') from public.meeting_invitees v where v.uri like '%E1%';
select is((tests.meeting('E1')).raw #>> '{invitees_counter,total}', '2', 'which the event counts');
select is((select status from public.meeting_invitees v where v.uri like '%E2%'), 'canceled', 'a canceled one stays canceled');
select is(row((tests.meeting('E2')).is_deleted, (tests.meeting('E2')).cancellation ->> 'canceler_type')::text, '(t,invitee)', 'and its event, by an invitee');
select is((tests.meeting('E3')).raw -> 'event_guests' -> 0 ->> 'email', 'gus@guest.example.com', 'another guest stays');
select is(jsonb_array_length((tests.meeting('E3')).raw -> 'event_guests'), 1, 'alone');
select results_eq($$select v.uri, v::text from public.meeting_invitees v where v.email is not null order by v.uri$$, 'select * from others order by uri', 'nobody else is touched');
select is((select count(*) from public.calendly_webhook_events), 2::bigint, 'the deliveries stay');
select is((select count(*) from calendly.forgotten), 1::bigint, 'and a mark');
select ok(encode(f.email_digest, 'hex') not in (encode(sha256('ines@guest.example.com'), 'hex'), md5('ines@guest.example.com')), 'that cannot be looked up in a table of e-mails') from calendly.forgotten f;

-- for good
select tests.pass('1 hour');
select is(tests.sync('ana', events, invitees, forced => true) #>> '{result,status}', 'complete', 'a FULL sync rereads everything') from calendar;
select ok(tests.stored() !~* 'ines@|"Ines"|912 345|is ill', 'and brings nobody back');
select is((select array_agg(e.status || ' ' || (public.calendly_replay_webhook_event(e.id) ->> 'status')) from public.calendly_webhook_events e), '{processed processed,processed processed}', 'a replay applies what is left of the deliveries');
select ok(tests.stored() !~* 'ines@|"Ines"|912 345|is ill', 'and brings nobody back');
delete from public.calendly_webhook_events;
select is(tests.receive(tests.delivery('invitee.created', tests.event('E1', tests.seats(2, 2, 5)), tests.invitee('E1', 'ines'))) ->> 'status', 'processed', 'so does a delivery that comes again');
select is(tests.receive(tests.delivery('invitee.created', tests.event('E3', tests.seats(1, 1) || tests.guests('Ines@guest.example.com')), tests.invitee('E3', 'ivo'))) ->> 'status', 'processed', 'or one that names her as a guest');
select is(tests.receive(tests.delivery('invitee.created', tests.event('E4', tests.seats(1, 1)), tests.invitee('E4', 'ines', '{"email": "INES@guest.example.com"}'))) ->> 'status', 'processed', 'or a new booking of hers');
select is(tests.receive(tests.delivery('invitee.created', tests.event('E5', '{"start_time": "never"}'), tests.invitee('E5', 'ines'))) ->> 'status', 'deferred', 'or one that is not understood');
select ok(tests.stored() !~* 'ines@|"Ines"|912 345|is ill', 'and brings nobody back');
select is((tests.meeting('E4')).status, 'active', 'the new meeting is there');
select is(row(v.status, v.email)::text, '(active,)', 'with a seat of nobody''s') from tests.seat_of('E4', 'ines') v;
delete from public.meetings where user_id = tests.id_of('ana');
update public.users set calendly_initial_sync_complete = false where id = tests.id_of('ana');
select tests.sync('ana', events, invitees) from calendar;
select ok(tests.stored() !~* 'ines@|"Ines"|912 345|is ill', 'nor does a first sync from the beginning');

-- again, and others
select is(public.calendly_forget_invitee('ines@guest.example.com'), '{"invitees": 0, "meetings": 0, "webhook_events": 0}', 'a second time there is nothing left');
select is(public.calendly_forget_invitee('nobody@guest.example.com'), '{"invitees": 0, "meetings": 0, "webhook_events": 0}', 'nor of somebody who was never here');
select is(public.calendly_forget_invitee('ida@guest.example.com') ->> 'invitees', '1', 'the next person is found as well');

-- by whom
select is(tests.code_of($$select public.calendly_forget_invitee('ines')$$), 'invalid_email', 'it takes an e-mail');
select is(tests.code_of($$select public.calendly_forget_invitee('')$$), 'invalid_email', 'and nothing else');
select tests.sign_in('ana');
select is(tests.code_of($$select public.calendly_forget_invitee('ivo@guest.example.com')$$), 'permission denied for function calendly_forget_invitee', 'nobody who is signed in may');
select tests.sign_out();

select * from finish();
rollback;
