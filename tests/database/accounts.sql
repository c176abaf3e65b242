-- One row in users per account; an earlier app's row goes to the account that proves its e-mail, once.
begin;
select plan(30);
select calendly.set_clock('2026-06-01T12:00:00Z');

-- a new account
select tests.add_account('ana@example.com');
select is(count(*), 1::bigint, 'a new account gets a row') from public.users where email = 'ana@example.com';
select is(u.auth_user_id, tests.account_of('ana'), 'of its own') from public.users u where u.email = 'ana@example.com';
select is(u.calendly_initial_sync_complete, false, 'that has never been synced') from public.users u where u.email = 'ana@example.com';
select is(u.auth_user_linked_at, calendly.now(), 'and notes when it was given away') from public.users u where u.email = 'ana@example.com';
select tests.add_account('bea@example.com', confirmed => false);
select is(u.auth_user_id, tests.account_of('bea'), 'an unconfirmed account gets a row as well, where nobody''s is to be had') from public.users u where u.email = 'bea@example.com';
select tests.add_account(null, confirmed => false);
select is(count(*), 1::bigint, 'an account without an e-mail gets a row') from public.users where email is null and auth_user_id is not null;

-- an earlier app's row
insert into public.users (email) values ('Cleo@Example.com');
select tests.add_account('cleo@example.com', confirmed => false);
select is(count(*), 1::bigint, 'an account that claims an earlier row''s e-mail waits for the confirmation') from public.users where lower(email) = 'cleo@example.com';
select is(u.auth_user_id, null, 'an unconfirmed e-mail never links') from public.users u where u.email = 'Cleo@Example.com';
select is(tests.code_of(format('select public.calendly_prepare_connection(%L)', tests.account_of('cleo'))), 'unknown_user', 'and the account cannot connect until then');
update auth.users set email_confirmed_at = calendly.now() where email = 'cleo@example.com';
select is(u.auth_user_id, tests.account_of('cleo'), 'the confirmation links the earlier row, in whatever case its e-mail is written') from public.users u where lower(u.email) = 'cleo@example.com';
select is(count(*), 1::bigint, 'and makes no second one') from public.users where lower(email) = 'cleo@example.com';

insert into public.users (email) values ('dora@example.com');
select tests.add_account('dora@example.com');
select is(u.auth_user_id, tests.account_of('dora'), 'a confirmed account is linked at once') from public.users u where u.email = 'dora@example.com';

-- an ambiguous one
insert into public.users (email) values ('twin@example.com'), ('TWIN@example.com');
select tests.add_account('twin@example.com');
select is(count(*), 2::bigint, 'where two earlier rows have the e-mail, neither is linked') from public.users where lower(email) = 'twin@example.com' and auth_user_id is null;
select is(count(*), 1::bigint, 'and the account gets a row of its own') from public.users where auth_user_id = tests.account_of('twin');

-- an account that is deleted
select tests.add_person('eve');
create temporary table before as select u.id from public.users u where u.email = 'eve@example.com';
insert into public.meetings (user_id, calendly_event_uri) select id, 'https://api.calendly.com/scheduled_events/E1' from before;
delete from auth.users where email = 'eve@example.com';
select is(u.auth_user_id, null, 'a deleted account''s row stays, without the account') from public.users u join before using (id);
select is(c.state, 'disconnected', 'its connection has stopped') from public.calendly_connections c join before on c.user_id = before.id;
select is(c.next_sync_at, null, 'and is never due') from public.calendly_connections c join before on c.user_id = before.id;
select is((select count(*) from calendly.credentials k join public.calendly_connections c on c.id = k.connection_id join before on c.user_id = before.id), 0::bigint, 'its token is forgotten');
select is((select count(*) from public.meetings m join before on m.user_id = before.id), 1::bigint, 'its meetings are kept');
select tests.add_account('eve@example.com');
select is(u.auth_user_id, null, 'a later account with the same e-mail does not inherit the row') from public.users u join before using (id);
select isnt(u.id, before.id, 'but gets its own') from public.users u, before where u.auth_user_id = tests.account_of('eve');

-- an earlier row that is linked is never given to a second account
delete from auth.users where email = 'dora@example.com';
select tests.add_account('dora@example.com');
select is(count(*), 1::bigint, 'a row is given away once') from public.users where email = 'dora@example.com' and auth_user_id is null;

-- an e-mail that changes
update auth.users set email = 'ana.new@example.com' where email = 'ana@example.com';
select is(u.email, 'ana.new@example.com', 'the e-mail follows the account''s') from public.users u join auth.users a on a.id = u.auth_user_id where a.email = 'ana.new@example.com';
select is(count(*), 0::bigint, 'and no row is left under the old one') from public.users where email = 'ana@example.com';
update auth.users set email = 'bea.new@example.com' where email = 'bea@example.com';
select is(u.email, 'bea@example.com', 'an unconfirmed e-mail does not follow') from public.users u join auth.users a on a.id = u.auth_user_id where a.email = 'bea.new@example.com';
insert into public.users (email) values ('fay@example.com');
update auth.users set email = 'fay@example.com' where email = 'cleo@example.com';
select is(count(*), 1::bigint, 'an account with a row does not take another one by changing its e-mail') from public.users where email = 'fay@example.com' and auth_user_id is null;
select is(u.email, 'fay@example.com', 'its own row follows all the same') from public.users u join auth.users a on a.id = u.auth_user_id where a.email = 'fay@example.com';
select lives_ok($$update auth.users set last_sign_in_at = calendly.now() where email = 'fay@example.com'$$, 'a sign-in changes nothing');

-- what an account cannot be stopped by
create unique index on public.users (lower(email)) where lower(email) like '%@unique.example.com';
insert into public.users (email, auth_user_linked_at) values ('gus@unique.example.com', calendly.now());
select lives_ok($$select tests.add_account('gus@unique.example.com')$$, 'an earlier app''s unique e-mails do not stop a sign-up');
insert into public.users (email, auth_user_linked_at) values ('ida@unique.example.com', calendly.now());
select tests.add_account('hal@unique.example.com');
select lives_ok($$update auth.users set email = 'ida@unique.example.com' where email = 'hal@unique.example.com'$$, 'nor a change of e-mail');

select * from finish();
rollback;
