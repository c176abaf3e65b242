-- One call stores a delivery and applies it, all or nothing.
begin;
select plan(27);
select calendly.set_clock('2026-06-01T12:00:00Z');
select tests.add_person('ana');
select tests.add_person('ben');

create function delivery(event text, changes jsonb default '{}', payload jsonb default '{}', scheduled_event jsonb default '{}') returns jsonb language sql as $$
  select jsonb_build_object('signed_at', extract(epoch from calendly.now()), 'digest', md5(random()::text), 'body', jsonb_build_object(
    'event', event, 'created_at', calendly.to_calendly(calendly.now()), 'created_by', tests.host('ana'),
    'payload', tests.invitee('E1', 'ada') || payload || jsonb_build_object('scheduled_event', tests.event('E1') || scheduled_event)) || changes)
$$;
create function receive(delivery jsonb) returns jsonb language sql as $$ select public.calendly_receive_webhook(delivery) - 'event_id' $$;
create function stored() returns public.calendly_webhook_events language sql stable as $$
  select e from public.calendly_webhook_events e order by e.created_at desc, e.id limit 1
$$;

-- the way in
select is((select prosecdef from pg_proc where oid = 'public.calendly_receive_webhook(jsonb)'::regprocedure), true, 'it runs with its owner''s rights');
select ok((select proconfig @> '{lock_timeout=5s}' from pg_proc where oid = 'public.calendly_receive_webhook(jsonb)'::regprocedure),
  'and waits for a lock shorter than Calendly waits for it');
select is((select array_agg(r) from unnest('{anon,authenticated,service_role}'::text[]) r where has_function_privilege(r, 'public.calendly_receive_webhook(jsonb)', 'execute')),
  '{service_role}', 'only functions may call it');
select is((select array_agg(r) from unnest('{anon,authenticated,service_role}'::text[]) r where has_function_privilege(r, 'public.calendly_replay_webhook_event(uuid)', 'execute')),
  '{service_role}', 'nor may others replay');

-- its age, by the one clock
select is(tests.code_of(format('select public.calendly_receive_webhook(%L)', delivery('invitee.created') || jsonb_build_object('signed_at', extract(epoch from calendly.now()) - 25 * 3600 - 1))),
  'not_authentic', 'older than 25 h is refused');
select is(tests.code_of(format('select public.calendly_receive_webhook(%L)', delivery('invitee.created') || jsonb_build_object('signed_at', extract(epoch from calendly.now()) + 301))),
  'not_authentic', 'so is what comes from the future');
select is(tests.code_of(format('select public.calendly_receive_webhook(%L)', delivery('invitee.created') || '{"subscription_id": "00000000-0000-4000-8000-000000000000"}')),
  'not_authentic', 'and a subscription that is not ours');
select is((select count(*) from public.calendly_webhook_events), 0::bigint, 'nothing of it is stored');

-- stored and applied
select is(receive(delivery('invitee.created')), '{"status": "processed", "created": true}', 'a booking is applied');
select is(receive(delivery('invitee.created')), '{"status": "duplicate"}', 'once');
select is((select count(*) from public.calendly_webhook_events), 1::bigint, 'and stored once');
select is(row((stored()).status, (stored()).attempts, (stored()).user_id = tests.id_of('ana'), (stored()).processed_at)::text,
  row('processed', 1, true, calendly.now())::text, 'with what became of it');
select is((tests.meeting('E1')).synced_via_webhook, true, 'the meeting says by which way it came');
select is((select count(*) from public.meeting_invitees), 1::bigint, 'with its invitee');
select is((select row(u.last_calendly_sync, u.calendly_webhook_enabled)::text from public.users u where u.id = tests.id_of('ana')),
  row(calendly.now(), true)::text, 'and the person, since when');
select is((select calendly_webhook_enabled from public.users u where u.id = tests.id_of('ben')), false, 'nobody else');

-- nothing is left to read
select is((select row(s.invitees_due_at > calendly.now() or s.invitees_due_at is null, s.event_due_at)::text from calendly.meeting_sync s), row(true, null::timestamptz)::text,
  'it brought its own details');
select tests.pass('2 seconds');
select is(receive(delivery('invitee.canceled', '{}', '{"status": "canceled", "updated_at": "2026-06-01T12:00:01.000000Z", "cancellation": {"created_at": "2026-06-01T12:00:01.000000Z"}}', tests.seats(1, 0))),
  '{"status": "processed", "created": false}', 'the last invitee cancels, and the event is still called active');
select is((select row(status, is_deleted)::text from public.meetings), '(active,f)', 'its own status decides');
select is((select s.event_due_at - calendly.now() from calendly.meeting_sync s), interval '30 seconds', 'so it is read again in half a minute');
select ok((tests.connection_of('ana')).next_sync_at <= calendly.now() + interval '1 minute', 'for which the connection is due');

-- not ours, not understood
select is(receive(delivery('routing_form_submission.created')), '{"status": "ignored"}', 'another kind of event is ignored');
select is(receive(delivery('invitee.created', '{}', '{"updated_at": "2026-06-01T12:00:03Z"}', tests.hosted_by('stranger') || '{"uri": "https://api.calendly.com/scheduled_events/E2"}')),
  '{"status": "ignored"}', 'so is a host who is no user');
select tests.pass('2 seconds');
select is(receive(delivery('invitee.created', '{}', '{"updated_at": "2026-06-01T12:00:04Z"}', '{"status": "tentative", "uri": "https://api.calendly.com/scheduled_events/E3"}')) #>> '{error,code}',
  'not_understood', 'what is not understood is deferred');
select is(row((stored()).status, (stored()).user_id = tests.id_of('ana'), (stored()).processed_at)::text, row('deferred', true, null::timestamptz)::text, 'for whoever subscribed');
select is((tests.connection_of('ana')).next_sync_at, calendly.now(), 'who is due at once');
select is(array(select calendly.waiting_events(array[tests.id_of('ana')])), array['https://api.calendly.com/scheduled_events/E3'], 'for that one event');

select * from finish();
rollback;
