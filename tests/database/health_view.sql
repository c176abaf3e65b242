-- calendly_sync_health: one row per user, every number exact, and each sees what is theirs.
begin;
select plan(26);
select calendly.set_clock('2026-06-01T12:00:00Z');
select tests.add_person(name) from unnest('{ana,ben}'::text[]) name;
select tests.add_account('cleo@example.com');
create function tests.health(name text) returns public.calendly_sync_health language sql as $$
  select h from public.calendly_sync_health h where h.user_id = tests.id_of(name)
$$;

select is((select array_agg(a.attname::text order by a.attnum) from pg_attribute a where a.attrelid = 'public.calendly_sync_health'::regclass and a.attnum between 1 and 10),
  '{user_id,email,last_calendly_sync,calendly_initial_sync_complete,calendly_webhook_enabled,active_calendly_meetings,deleted_calendly_meetings,webhook_synced_meetings,last_meeting_sync,webhook_events_received}',
  'the ten columns that people know come first');

-- before anything
select is((tests.health('ana')).connection_state, 'active', 'who has just connected is active');
select is((tests.health('ana')).next_sync_at, '2026-06-01T12:15:00Z', 'due in an interval');
select is((tests.health('ana')).active_calendly_meetings, 0::bigint, 'without meetings, which is a number and not null');
select is((tests.health('ana')).webhook_events_received, 0::bigint, 'without webhook events');
select is((tests.health('ana')).last_meeting_sync, null, 'never written');
select is((tests.health('ana')).staleness, null, 'never proven');
select is((tests.health('cleo')).connection_state, 'disconnected', 'who never connected is disconnected');
select is((tests.health('cleo')).email, 'cleo@example.com', 'and has a row all the same');

-- three meetings, two canceled, one of them by a webhook, five deliveries
select tests.sync('ana', array[tests.event('E1', tests.seats(0, 0)), tests.event('E2', tests.seats(0, 0)), tests.event('E3', tests.seats(0, 0)), tests.event('E4', tests.canceled(tests.seats(0, 0)))]);
select tests.pass('1 minute');
select public.calendly_receive_webhook(jsonb_build_object('digest', type || event, 'signed_at', extract(epoch from calendly.now()),
  'body', jsonb_build_object('event', type, 'created_at', calendly.to_calendly(calendly.now()), 'created_by', tests.host('ana'),
    'payload', tests.invitee(event, 'ines', case when type = 'invitee.canceled' then '{"status": "canceled"}' else '{}' end::jsonb)
      || jsonb_build_object('scheduled_event', tests.event(event, case when type = 'invitee.canceled' then tests.canceled() else '{}' end)))))
from (values ('invitee.created', 'E1'), ('invitee.created', 'E5'), ('invitee.canceled', 'E5'), ('routing_form_submission.created', 'E9'), ('invitee.created', 'E5')) delivered (type, event);
insert into public.meetings (user_id, name) values (tests.id_of('ana'), 'of an earlier app');
select tests.pass('1 minute');
select tests.sync('ben', array[tests.event('E6', tests.hosted_by('ben') || tests.seats(0, 0))]);

select is((tests.health('ana')).active_calendly_meetings, 3::bigint, 'meetings in the calendar are counted');
select is((tests.health('ana')).deleted_calendly_meetings, 2::bigint, 'and those that are no longer in it');
select is((tests.health('ana')).webhook_synced_meetings, 2::bigint, 'and those that a webhook wrote, once each');
select is((tests.health('ana')).webhook_events_received, 3::bigint, 'each delivery counts once, a duplicate not, and one about nobody''s meeting for nobody');
select is((tests.health('ana')).last_meeting_sync, '2026-06-01T12:01:00Z', 'the last write of a meeting of theirs is told');
select is((tests.health('ana')).last_calendly_sync, '2026-06-01T12:01:00Z', 'the last sync or webhook, too');
select ok((tests.health('ana')).calendly_initial_sync_complete and (tests.health('ana')).calendly_webhook_enabled, 'both flags are those of users');
select is((tests.health('ana')).staleness, now() - '2026-06-01T12:00:00Z', 'staleness is the age of the last complete sync, which a webhook does not renew');
select is((tests.health('ben')).active_calendly_meetings, 1::bigint, 'another''s meetings are another''s');
select is((tests.health('ben')).webhook_events_received, 0::bigint, 'and so are the events');
select is((select count(*) from public.calendly_sync_health), (select count(*) from public.users), 'there is a row for every user');

select tests.begin('ana');
select tests.fail('ana', '{"code": "token_unreadable", "message": "No."}');
select is((tests.health('ana')).last_error ->> 'message', 'No.', 'the last error is told');
select public.calendly_disconnect(tests.account_of('ana'));
select is((tests.health('ana')).connection_state, 'disconnected', 'and the end of a connection');
select is((tests.health('ana')).active_calendly_meetings, 3::bigint, 'of which the meetings stay');

-- who sees what
select tests.sign_in('ben');
select is((select array_agg(h.email) from public.calendly_sync_health h), '{ben@example.com}', 'a signed-in user sees the own row only');
select tests.sign_out();
set local role service_role;
select is((select count(*) from public.calendly_sync_health), (select count(*) from public.users), 'the service role sees all');
reset role;
select throws_ok($$set local role anon; select * from public.calendly_sync_health$$, '42501', null, 'anybody else none');
reset role;

select * from finish();
rollback;
