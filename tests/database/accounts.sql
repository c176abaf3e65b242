-- Accounts of Auth are noticed, not hooked: a row is made by connecting, and a job notices an account's
-- end. Deleting an account is never refused, and never waits.
begin;
select plan(40);
select calendly.set_clock('2026-06-01T12:00:00Z');
update calendly.settings set schedule_jitter = 0;
create function tests.ended() returns integer language sql as $$ select calendly.end_closed_accounts() $$;
create function tests.user_of_ana() returns public.calendly_users language sql as $$
  select u from public.calendly_users u where u.calendly_user_uri = tests.host('ana')
$$;

-- signing up
select tests.add_account('ana@example.com');
select is_empty('select * from public.calendly_users', 'signing up makes no row');
select tests.connect('ana');
select is((tests.user_of_ana()).auth_user_id, tests.account_of('ana'), 'connecting makes the row of the account');
select is((tests.user_of_ana()).email, 'ana@calendly.example.com', 'with the e-mail as Calendly has it');
select is_empty($$select t.tgname from pg_trigger t where t.tgrelid = 'auth.users'::regclass and t.tgfoid in (select p.oid from pg_proc p where p.pronamespace = 'calendly'::regnamespace)$$, 'no trigger of ours is on auth.users');
select is_empty($$select c.conname from pg_constraint c where c.confrelid = 'auth.users'::regclass and c.connamespace in ('public'::regnamespace, 'calendly'::regnamespace)$$, 'no key of ours refers to auth.users');

-- who is synced
select ok(calendly.account_is_open(null, calendly.now()), 'a user without an account is synced');
select ok(calendly.account_is_open(tests.account_of('ana'), calendly.now()), 'an account that is neither deleted nor banned is synced');
select ok(not calendly.account_is_open(gen_random_uuid(), calendly.now()), 'an account that does not exist is not synced');

-- a ban
select tests.sync('ana', array[tests.event('E1')]);
update auth.users set banned_until = calendly.now() + interval '1 hour' where email = 'ana@example.com';
select is(tests.code_of($$select tests.begin('ana')$$), 'account_closed', 'a banned account cannot sync');
select is(tests.code_of($$select tests.connect('ana')$$), 'account_closed', 'nor connect');
select tests.ended();
select is((tests.connection_of('ana')).next_sync_at, null, 'the schedule leaves a banned account out');
select is((tests.connection_of('ana')).state, 'active', 'its connection stays as it is');
select tests.pass('61 minutes');
select tests.ended();
select is((tests.connection_of('ana')).next_sync_at, calendly.now(), 'when the ban ends the connection is due');

-- a ban while a run is paused, and while one is at work
create function tests.run_ban() returns text language sql as $$
  update auth.users set banned_until = calendly.now() + interval '1 hour' where email = 'ana@example.com';
  select tests.ended();
  select (tests.run_of('ana')).status || ' ' || ((tests.run_of('ana')).error ->> 'code');
$$;
select tests.begin('ana', 'scheduled');
create temporary table paused as select (tests.run_of('ana')).id;
select calendly.pause(calendly.read_run(id), calendly.now() + interval '1 minute', null) from paused;
select is(tests.run_ban(), 'failed account_closed', 'a ban ends a run that is paused');
select is_empty('select o.run_id from calendly.active_runs o', 'so that no claim reads it');
select tests.pass('61 minutes');
select tests.ended();
select tests.begin('ana', 'scheduled');
select isnt((tests.run_of('ana')).id, id, 'when the ban ends another run begins') from paused;
select is(tests.run_ban(), 'failed account_closed', 'a ban ends a run that a worker has');
select tests.pass('61 minutes');
select tests.ended();
select is(tests.sync('ana', array[tests.event('E1')]) #>> '{result,status}', 'complete', 'when the ban ends the account is synced');

-- soft deletion, as Auth does it
update auth.users set deleted_at = calendly.now(), email = md5(email) where id = (tests.user_of_ana()).auth_user_id;
select is(tests.code_of(format($$select public.calendly_begin_sync('{"user_id": %s, "trigger": "service"}')$$, (tests.user_of_ana()).id)), 'account_closed', 'a soft-deleted account is not synced from that moment');
select is(tests.ended(), 1, 'the job ends a soft-deleted account');
select is_empty('select * from public.calendly_users', 'its row is erased');
select is_empty('select * from public.calendly_meetings', 'with its meetings');
select is((select count(*) from calendly.pending_revocations), 1::bigint, 'and its token is queued for revocation at Calendly');
select is(tests.ended(), 0, 'the job does nothing the second time');

-- coming back
select tests.add_account('ana@example.com');
select lives_ok($$select tests.connect('ana')$$, 'whoever comes back with the same e-mail and Calendly user may connect');
select is((tests.user_of_ana()).calendly_initial_sync_complete, false, 'and begins with a FULL sync');

-- hard deletion
delete from auth.users where email = 'ana@example.com';
select is((tests.user_of_ana()).auth_user_id is null, false, 'deleting an account changes nothing of ours at once');
select is(tests.ended(), 1, 'the job ends a deleted account');
select is_empty('select * from public.calendly_users', 'its row is erased as well');

-- a host that an organization keeps for everyone
select tests.add_organization('olga', 'everyone');
select tests.add_account('ben@example.com');
insert into public.calendly_users (auth_user_id, calendly_user_uri, connection_id)
  values (tests.account_of('ben'), tests.host('ben'), (tests.connection_of('olga')).id);
delete from auth.users where email = 'ben@example.com';
select is(tests.ended(), 1, 'a deleted account of a host is noticed');
select is((select u.auth_user_id from public.calendly_users u where u.calendly_user_uri = tests.host('ben')), null, 'the host loses the account');
select is((select u.connection_id from public.calendly_users u where u.calendly_user_uri = tests.host('ben')), (tests.connection_of('olga')).id, 'and stays in the team''s mirror');

-- a banned host of an organization
update public.calendly_users set calendly_initial_sync_complete = true;
select tests.add_account('cleo@example.com');
insert into public.calendly_users (auth_user_id, calendly_user_uri, connection_id)
 values (tests.account_of('cleo'), tests.host('cleo'), (tests.connection_of('olga')).id);
select is(calendly.next_pending_work_at((tests.connection_of('olga')).id, calendly.now()), calendly.now(),
  'a host whose first sync is missing makes the organization due at once');
update auth.users set banned_until = calendly.now() + interval '1 hour' where email = 'cleo@example.com';
select is(calendly.next_pending_work_at((tests.connection_of('olga')).id, calendly.now()), null,
  'a banned host does not, because no sync would do it');
delete from public.calendly_users u where u.calendly_user_uri = tests.host('cleo');

-- proven e-mails
select tests.add_account('dora@example.com');
insert into auth.users (id, email, email_confirmed_at) values (gen_random_uuid(), 'eve@example.com', calendly.now());
insert into auth.users (id, email, email_confirmed_at) values (gen_random_uuid(), 'finn@example.com', calendly.now());
insert into auth.identities (provider_id, user_id, identity_data, provider)
  select '1', a.id, '{"email": "Finn@Example.com", "email_verified": true}', 'google' from auth.users a where a.email = 'finn@example.com';
insert into auth.identities (provider_id, user_id, identity_data, provider)
  select '2', a.id, '{"email": "eve@example.com", "email_verified": true}', 'email' from auth.users a where a.email = 'eve@example.com';
insert into auth.users (id, email, email_confirmed_at) values (gen_random_uuid(), 'gus@example.com', calendly.now());
insert into auth.identities (provider_id, user_id, identity_data, provider)
  select '3', a.id, '{"email": "gus@example.com", "email_verified": false}', 'google' from auth.users a where a.email = 'gus@example.com';
select set_eq($$select p.email from calendly.accounts_with_proven_email('{dora@example.com,eve@example.com,finn@example.com,gus@example.com}') p$$,
  '{dora@example.com,finn@example.com}'::text[], 'an e-mail is proven by a mail that was followed or by an identity provider that vouches for it, not by email_confirmed_at alone');

-- a restore without accounts
insert into public.calendly_users (auth_user_id, calendly_user_uri)
  select gen_random_uuid(), 'https://api.calendly.com/users/' || n from generate_series(1, 26) n;
select ok(calendly.too_many_ended_accounts(), 'that nearly all accounts are missing at once is not believed');
select is(tests.ended(), 0, 'then nobody is ended');
select is((select count(*) from public.calendly_users), 28::bigint, 'and no row is erased');
delete from public.calendly_users u where u.calendly_user_uri like '%/26';
delete from public.calendly_users u where u.calendly_user_uri = tests.host('ben');
select is(tests.ended(), 25, 'up to 25 are ended at once');
select is((select count(*) from public.calendly_users), 1::bigint, 'and nobody else');

select * from finish();
rollback;
