-- Ending a connection keeps the meetings, unless they are to be erased.
begin;
select plan(27);
select calendly.set_clock('2026-06-01T12:00:00Z');
select tests.add_person('ana');
select tests.add_person('ben');
select tests.sync('ana', array[tests.event('E1', tests.hosted_by('ana', 'ben')), tests.event('E2')], jsonb_build_object('E1', array[tests.invitee('E1', 'ines')]));
select tests.sync('ben', array[tests.event('E1', tests.hosted_by('ana', 'ben'))], jsonb_build_object('E1', array[tests.invitee('E1', 'ines')]));
insert into public.meetings (user_id, name) values (tests.id_of('ana'), 'from an earlier app');
insert into public.calendly_webhook_events (event_id, event_type, payload, user_id, created_at, status)
  values ('1', 'invitee.created', '{}', tests.id_of('ana'), calendly.now(), 'processed'), ('2', 'invitee.created', '{}', tests.id_of('ben'), calendly.now(), 'processed');
update public.users set calendly_webhook_enabled = true where id = tests.id_of('ana');
update public.calendly_connections set webhook_state = 'active', last_error = '{}', refusals = 2 where user_id = tests.id_of('ana');
select tests.pass('1 minute');
select tests.begin('ana');

create temporary table answer as select public.calendly_disconnect(tests.account_of('ana')) as status;
select is(status ->> 'disconnected', 'true', 'disconnecting says that it did') from answer;
select is(status ->> 'state', 'disconnected', 'and the new state') from answer;
select is(status ? 'erased_meetings', false, 'nothing is erased unless asked for') from answer;
select is((tests.connection_of('ana')).next_sync_at, null, 'a disconnected connection is never due');
select is((tests.connection_of('ana')).webhook_state, 'none', 'has no subscription');
select is((tests.connection_of('ana')).last_error, null, 'and no error');
select is((select u.calendly_webhook_enabled from public.users u where u.id = tests.id_of('ana')), false, 'no webhook is expected any more');
select is((select count(*) from calendly.credentials where connection_id = (tests.connection_of('ana')).id), 0::bigint, 'the token is forgotten');
select is((select count(*) from calendly.hosts where user_id = tests.id_of('ana')), 0::bigint, 'and no meeting comes to this person any more');
select is((tests.run_of('ana')).status, 'failed', 'a running sync ends');
select is((tests.run_of('ana')).error ->> 'code', 'disconnected', 'for this reason');
select is((tests.run_of('ana')).finished_at, calendly.now(), 'now');
select is((select count(*) from calendly.open_runs), 0::bigint, 'so that its instance loses the lease');
select is((select count(*) from public.meetings where user_id = tests.id_of('ana')), 3::bigint, 'the meetings are kept');
select is(tests.code_of($$select tests.begin('ana')$$), 'not_connected', 'nothing can be synced');
select is(public.calendly_disconnect(tests.account_of('ana')) ->> 'disconnected', 'false', 'a second time there is nothing to end');
select is(tests.code_of('select public.calendly_disconnect(gen_random_uuid())'), 'unknown_user', 'nor for an account that is not there');
select is((tests.connection_of('ben')).state, 'active', 'nobody else is disconnected');

select is(public.calendly_disconnect(tests.account_of('ana'), true) ->> 'erased_meetings', '2', 'erasing is possible later, too, and counts Calendly''s meetings');
select is((select array_agg(m.name) from public.meetings m where m.user_id = tests.id_of('ana')), array['from an earlier app'], 'an earlier app''s meetings stay');
select is((select count(*) from public.meeting_invitees where user_id = tests.id_of('ana')), 0::bigint, 'the invitees go');
select is((select count(*) from public.calendly_webhook_events where user_id = tests.id_of('ana')), 0::bigint, 'the webhook events go');
select is((select count(*) from public.calendly_sync_runs where user_id = tests.id_of('ana')), 0::bigint, 'the runs go');
select is((select row(c.state, c.calendly_user_name, c.calendly_user_email, c.last_full_sync_at)::text from tests.connection_of('ana') c), '(disconnected,,,)', 'of the connection no more is left than that there was one');
select is((select row(u.last_calendly_sync, u.calendly_initial_sync_complete)::text from public.users u where u.id = tests.id_of('ana')), '(,f)', 'and the person is as if never synced');
select is((select row(count(m.id), (select count(*) from public.meeting_invitees where user_id = tests.id_of('ben')), (select count(*) from public.calendly_webhook_events))::text
  from public.meetings m where m.user_id = tests.id_of('ben')), '(1,1,1)', 'the other host of a shared event keeps everything');
select is(tests.connect('ana', tests.host('anna')) ->> 'state', 'active', 'after erasing, another Calendly user can be connected');

select * from finish();
rollback;
