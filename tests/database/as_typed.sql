-- What the README tells people to type, in the SQL editor or with psql.
begin;
select plan(8);
select calendly.set_clock('2026-06-01T12:00:00Z');
insert into public.calendly_users (id, calendly_user_uri, email)
  values (1, 'https://api.calendly.com/users/first', 'first@example.com') on conflict do nothing;
select tests.add_person('ana');
insert into public.calendly_webhook_events (event_id, event_type, payload, created_at, status) values
  ('1', 'invitee.created', '{}', '2026-05-31', 'processed'), ('2', 'invitee.created', null, '2026-05-30', 'ignored'), ('3', 'invitee.canceled', '{}', '2026-04-01', 'processed');

select lives_ok('select * from calendly_sync_health;', 'how is it going?');
select is((select count(*) from calendly_sync_health), (select count(*) from calendly_users), 'one row per user');
select bag_eq('select event_type, count(*) as count, max(created_at) as last_received from calendly_webhook_events group by event_type;',
  $$values ('invitee.created', 2::bigint, '2026-05-31'::timestamptz), ('invitee.canceled', 1, '2026-04-01')$$, 'what has been received?');
select lives_ok('update calendly_users set calendly_initial_sync_complete = false where id = 1;', 'sync everything again');
select results_eq('select clean_old_webhook_events();', 'select 1', 'clean up');
select results_eq('select clean_old_webhook_events();', 'select 0', 'until nothing is left');

-- clearing the flag of somebody who is connected
select tests.sync('ana', array[tests.event('E1')]);
select tests.pass('1 minute');
update calendly_users set calendly_initial_sync_complete = false where id = tests.id_of('ana');
select is(c.next_sync_at, calendly.now(), 'makes them due at once') from tests.connection_of('ana') c;
select is(tests.begin('ana', 'scheduled') ->> 'sync_type', 'FULL', 'for a FULL sync');

select * from finish();
rollback;
