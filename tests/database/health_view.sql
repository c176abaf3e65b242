-- calendly_sync_health: one row per user, every number exact, and each reader sees whom they may.
begin;
select plan(34);
select calendly.set_clock('2026-06-01T12:00:00Z');
select tests.add_person(name) from unnest('{ana,ben}'::text[]) name;
create function tests.health(name text) returns public.calendly_sync_health language sql as $$
  select h from public.calendly_sync_health h where h.user_id = tests.id_of(health.name)
$$;
create function tests.disconnect(name text) returns jsonb language sql as $$
  select public.calendly_disconnect(jsonb_build_object(
    'auth_user_id', tests.account_of(disconnect.name)))
$$;

select is((
    select array_agg(a.attname::text order by a.attnum) from pg_attribute a
    where a.attrelid = 'public.calendly_sync_health'::regclass and a.attnum between 1 and 10),
  '{user_id,email,last_calendly_sync,calendly_initial_sync_complete,calendly_webhook_enabled,'
    'active_calendly_meetings,deleted_calendly_meetings,webhook_synced_meetings,'
    'last_meeting_sync,webhook_events_received}',
  'the ten columns of the original view come first');

-- right after connecting
select is((tests.health('ana')).connection_state, 'active', 'a new connection is active');
select is((tests.health('ana')).next_sync_at, '2026-06-01T12:15:00Z',
  'a new connection is due in one interval');
select is((tests.health('ana')).email, 'ana@calendly.example.com',
  'the e-mail is the one that Calendly has');
select is((tests.health('ana')).active_calendly_meetings, 0::bigint,
  'no meetings are the number 0 and not null');
select is((tests.health('ana')).webhook_events_received, 0::bigint,
  'no webhook events are the number 0 and not null');
select is((tests.health('ana')).last_meeting_sync, null,
  'last_meeting_sync is null before a meeting was written');
select is((tests.health('ana')).staleness, null, 'staleness is null before a complete sync');

-- three meetings, two canceled, one of them by a webhook, five deliveries
select tests.sync('ana', array[
  tests.event('E1', tests.seats(0, 0)), tests.event('E2', tests.seats(0, 0)),
  tests.event('E3', tests.seats(0, 0)), tests.event('E4', tests.canceled(tests.seats(0, 0)))]);
select tests.pass('1 minute');
select public.calendly_receive_webhook(jsonb_build_object(
  'digest', type || event, 'signed_at', extract(epoch from calendly.now()),
  'body', jsonb_build_object(
    'event', type, 'created_at', calendly.to_calendly(calendly.now()),
    'created_by', tests.host('ana'),
    'payload', tests.invitee(event, 'ines', jsonb_build_object(
        'status', case type when 'invitee.canceled' then 'canceled' else 'active' end))
      || jsonb_build_object('scheduled_event', tests.event(event,
        case type when 'invitee.canceled' then tests.canceled() else '{}' end)))))
from (values ('invitee.created', 'E1'), ('invitee.created', 'E5'), ('invitee.canceled', 'E5'),
  ('routing_form_submission.created', 'E9'), ('invitee.created', 'E5')) delivered (type, event);
insert into public.calendly_meetings (user_id, name) values (tests.id_of('ana'), 'an app''s own');
select tests.pass('1 minute');
select tests.sync('ben', array[
  tests.event('E6', tests.hosted_by('ben') || tests.seats(0, 0))]);

select is((tests.health('ana')).active_calendly_meetings, 3::bigint,
  'active_calendly_meetings counts meetings that are in the calendar');
select is((tests.health('ana')).deleted_calendly_meetings, 2::bigint,
  'deleted_calendly_meetings counts canceled ones');
select is((tests.health('ana')).webhook_synced_meetings, 2::bigint,
  'webhook_synced_meetings counts each meeting that a webhook wrote once');
select is((tests.health('ana')).webhook_events_received, 3::bigint,
  'webhook_events_received counts no duplicate and none about nobody''s meeting');
select is((tests.health('ana')).last_meeting_sync, '2026-06-01T12:01:00Z',
  'last_meeting_sync is the last write of one of the user''s meetings');
select is((tests.health('ana')).last_calendly_sync, '2026-06-01T12:01:00Z',
  'last_calendly_sync is the last sync or delivery');
select ok((tests.health('ana')).calendly_initial_sync_complete
    and (tests.health('ana')).calendly_webhook_enabled,
  'both flags are those of calendly_users');
select is((tests.health('ana')).staleness, now() - '2026-06-01T12:00:00Z',
  'staleness is the age of the last complete sync, which a webhook does not change');
select is((tests.health('ben')).active_calendly_meetings, 1::bigint,
  'the meetings of one user do not count for another');
select is((tests.health('ben')).webhook_events_received, 0::bigint,
  'the deliveries of one user do not count for another');

select tests.begin('ana');
select tests.fail('ana', '{"code": "token_unreadable", "message": "No."}');
select is((tests.health('ana')).last_error ->> 'message', 'No.',
  'last_error is that of the last failed run');
select tests.disconnect('ana');
select is((tests.health('ana')).connection_state, 'disconnected',
  'a connection that was ended is disconnected');
select is((tests.health('ana')).active_calendly_meetings, 3::bigint,
  'the meetings stay when a connection ends');
create temporary table health_of_ana as select tests.health('ana') as health;
grant select on health_of_ana to authenticated;
select tests.sign_in('ana');
select is((select h from public.calendly_sync_health h), (select health from health_of_ana),
  'a signed-in user sees the same numbers in their row as a server');
select tests.sign_out();

-- an organization that keeps members with an account
create function tests.hosted_by_member(event text, name text) returns jsonb language sql as $$
  select tests.event(event, tests.seats(0, 0) || jsonb_build_object(
    'event_memberships', jsonb_build_array(jsonb_build_object(
      'user', tests.host(name), 'user_email', name || '@example.com'))))
$$;
select tests.add_organization('olga');
select tests.add_account('mia@example.com');
select tests.begin('olga', 'scheduled');
select tests.bring('olga', tests.page(array[tests.hosted_by_member('M1', 'mia')]));
select tests.finish('olga');
select is((tests.health('mia')).connection_state, 'active',
  'a member has the state of the organization''s connection');
select is((tests.health('mia')).staleness, now() - '2026-06-01T12:02:00Z',
  'a member is as fresh as the organization''s connection');
select tests.sign_in('mia');
select is((select array_agg(h.connection_state || ' ' || h.active_calendly_meetings)
    from public.calendly_sync_health h), '{active 1}',
  'a signed-in member sees the state of the connection, which they may not read');
select is((select count(*) from public.calendly_connections), 0::bigint,
  'the connection itself stays hidden from the member');
select tests.sign_out();
select tests.sign_in('olga');
select is((select count(*) from public.calendly_sync_health), 1::bigint,
  'the owner of a connection with members accounts sees the own row only');
select tests.sign_out();

-- an organization that keeps everyone
update public.calendly_connections set members = 'everyone' where user_id = tests.id_of('olga');
select tests.pass('15 minutes');
select tests.begin('olga', 'scheduled');
select tests.bring('olga', tests.page(array[
  tests.hosted_by_member('M1', 'mia'), tests.hosted_by_member('H1', 'hugo')]));
select tests.finish('olga');
select is((tests.health('hugo')).active_calendly_meetings, 1::bigint,
  'a host without an account has a row');
select tests.sign_in('olga');
select is((
    select array_agg(substring(u.calendly_user_uri from '[^/]+$') order by u.calendly_user_uri)
    from public.calendly_sync_health h join public.calendly_users u on u.id = h.user_id),
  '{hugo,mia,olga}',
  'the owner of a connection that keeps everyone sees the rows that it brings');
select tests.sign_out();

-- who sees what
select is((select count(*) from public.calendly_sync_health),
  (select count(*) from public.calendly_users), 'the view has a row for every user');
select tests.sign_in('ben');
select is((select array_agg(h.email) from public.calendly_sync_health h),
  '{ben@calendly.example.com}', 'a signed-in user sees the own row only');
select tests.sign_out();
set local role service_role;
select is((select count(*) from public.calendly_sync_health),
  (select count(*) from public.calendly_users), 'the service role sees all rows');
reset role;
select throws_ok($$set local role anon; select * from public.calendly_sync_health$$,
  '42501', null, 'anon sees none');
reset role;
select tests.add_account('cleo@example.com');
select tests.sign_in('cleo');
select is((select count(*) from public.calendly_sync_health), 0::bigint,
  'an account that was never connected has no row');
select tests.sign_out();

select * from finish();
rollback;
