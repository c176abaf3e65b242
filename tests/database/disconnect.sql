-- Ending a connection keeps the meetings, unless they are to be erased.
begin;
select plan(33);
select calendly.set_clock('2026-06-01T12:00:00Z');
select tests.add_person('ana');
select tests.add_person('ben');
select tests.sync('ana', array[tests.event('E1', tests.hosted_by('ana', 'ben')), tests.event('E2')], jsonb_build_object('E1', array[tests.invitee('E1', 'ines')]));
select tests.sync('ben', array[tests.event('E1', tests.hosted_by('ana', 'ben'))], jsonb_build_object('E1', array[tests.invitee('E1', 'ines')]));
insert into public.calendly_webhook_events (event_id, event_type, payload, user_id, created_at, status)
  values ('1', 'invitee.created', '{}', tests.id_of('ana'), calendly.now(), 'processed'), ('2', 'invitee.created', '{}', tests.id_of('ben'), calendly.now(), 'processed');
update public.calendly_users set calendly_webhook_enabled = true where id = tests.id_of('ana');
update public.calendly_connections set webhook_state = 'active', last_error = '{}', refusals = 2 where user_id = tests.id_of('ana');
select tests.pass('1 minute');
select tests.begin('ana');

create temporary table answer as select public.calendly_disconnect(tests.account('ana')) as status;
select is(status ->> 'disconnected', 'true', 'disconnecting says that it did') from answer;
select is(status ->> 'state', 'disconnected', 'and the new state') from answer;
select is(status ? 'erased_meetings', false, 'nothing is erased unless asked for') from answer;
select is((tests.connection_of('ana')).next_sync_at, null, 'a disconnected connection is never due');
select is((tests.connection_of('ana')).webhook_state, 'none', 'has no subscription');
select is((tests.connection_of('ana')).last_error, null, 'and no error');
select is((select u.calendly_webhook_enabled from public.calendly_users u where u.id = tests.id_of('ana')), false, 'no webhook is expected any more');
select is((select count(*) from calendly.credentials where connection_id = (tests.connection_of('ana')).id), 0::bigint, 'the token is forgotten');
select is((select u.connection_id from public.calendly_users u where u.id = tests.id_of('ana')), null, 'and no connection brings this person''s meetings any more');
select is((tests.run_of('ana')).status, 'failed', 'a running sync ends');
select is((tests.run_of('ana')).error ->> 'code', 'disconnected', 'for this reason');
select is((tests.run_of('ana')).finished_at, calendly.now(), 'now');
select is((select count(*) from calendly.active_runs), 0::bigint, 'so that its worker loses the lease');
select is((select count(*) from public.calendly_meetings where user_id = tests.id_of('ana')), 2::bigint, 'the meetings are kept');
select is(tests.code_of($$select tests.begin('ana')$$), 'not_connected', 'nothing can be synced');
select is(public.calendly_disconnect(tests.account('ana')) ->> 'disconnected', 'false', 'a second time there is nothing to end');
select is(tests.code_of($$select public.calendly_disconnect(jsonb_build_object('auth_user_id', gen_random_uuid()))$$), 'not_connected', 'an account that never connected has nothing to end');
select is(tests.code_of($$select public.calendly_disconnect('{"user_id": 0}')$$), 'unknown_user', 'nor has a user that does not exist');
select is(tests.code_of(format($$select public.calendly_disconnect(tests.account('ana') || '{"user_id": %s}')$$, tests.id_of('ben'))), 'another_user', 'an account does not disconnect somebody else');
select is((tests.connection_of('ben')).state, 'active', 'nobody else is disconnected');

select is(public.calendly_disconnect(tests.account('ana') || '{"erase": true}') ->> 'erased_meetings', '2', 'erasing is possible later, too, and counts the meetings');
select is((select count(*) from public.calendly_meetings m where m.user_id = tests.id_of('ana')), 0::bigint, 'the meetings go');
select is((select count(*) from public.calendly_invitees where user_id = tests.id_of('ana')), 0::bigint, 'the invitees go');
select is((select count(*) from public.calendly_webhook_events where user_id = tests.id_of('ana')), 0::bigint, 'the webhook events go');
select is((select count(*) from public.calendly_sync_runs where user_id = tests.id_of('ana')), 0::bigint, 'the runs go');
select is((tests.connection_of('ana')).state, 'disconnected', 'the ended connection stays, so that an organization leaves this person out');
select is((select row(u.last_calendly_sync, u.calendly_initial_sync_complete)::text from public.calendly_users u where u.id = tests.id_of('ana')), '(,f)', 'and the person is as if never synced');
select is((select row(count(m.id), (select count(*) from public.calendly_invitees where user_id = tests.id_of('ben')), (select count(*) from public.calendly_webhook_events))::text
  from public.calendly_meetings m where m.user_id = tests.id_of('ben')), '(1,1,1)', 'the other host of a shared event keeps everything');
select is(tests.connect('ana', tests.host('anna')) ->> 'state', 'active', 'after erasing, another Calendly user can be connected');

-- an organization that keeps everyone: nobody but its owner could ask for its hosts without an account to be erased
select tests.add_organization('olga', 'everyone');
select tests.add_account('dora@example.com');
select tests.begin('olga', 'scheduled');
select tests.bring('olga', tests.page(array[tests.event('E5', tests.seats(0, 0) || jsonb_build_object('event_memberships', (
  select jsonb_agg(jsonb_build_object('user', tests.host(name), 'user_email', name || '@example.com')) from unnest('{olga,zoe,dora}'::text[]) name)))]));
select tests.finish('olga');
select is((select count(*) from public.calendly_meetings m where m.calendly_event_uri = tests.event_uri('E5')), 3::bigint, 'an organization keeps an event of three hosts');
select is(public.calendly_disconnect(tests.account('olga') || '{"erase": true}') ->> 'erased_meetings', '2', 'its owner erases the own meetings and those of hosts without an account');
select is((select count(*) from public.calendly_users u where u.calendly_user_uri = tests.host('zoe')), 0::bigint, 'of whom nothing is left');
select is((select count(*) from public.calendly_meetings m where m.user_id = tests.id_of('dora')), 1::bigint, 'a host with an account keeps theirs');

select * from finish();
rollback;
