-- A signed-in person reads the own rows and writes none; anon reads nothing; nobody reads a credential.
begin;
select plan(60);
select calendly.set_clock('2026-06-01T12:00:00Z');
select tests.add_person('ana');
select tests.add_person('ben');
select tests.sync('ana', array[tests.event('E1', tests.hosted_by('ana', 'ben')), tests.event('E2')], jsonb_build_object('E1', array[tests.invitee('E1', 'ines')], 'E2', array[tests.invitee('E2', 'jo')]));
select tests.sync('ben', array[tests.event('E1', tests.hosted_by('ana', 'ben'))], jsonb_build_object('E1', array[tests.invitee('E1', 'ines')]));
insert into public.calendly_webhook_events (event_id, event_type, payload, user_id, created_at, status)
  select name, 'invitee.created', '{}', tests.id_of(name), calendly.now(), 'processed' from unnest('{ana,ben}'::text[]) name;
insert into public.calendly_webhook_events (event_id, event_type, payload, created_at, status) values ('nobody', 'x', null, calendly.now(), 'ignored');
-- what the stories compare with, readable by everybody
create temporary table person as select name, tests.id_of(name) as id, tests.account_of(name) as account from unnest('{ana,ben}'::text[]) name;
create temporary table owned (name, own) as values ('calendly_users', 'id'), ('calendly_meetings', 'user_id'), ('calendly_invitees', 'user_id'), ('calendly_connections', 'user_id'), ('calendly_sync_runs', 'user_id'), ('calendly_webhook_events', 'user_id');
grant select on person, owned to public;
create function tests.rows(relation text, own text, owner integer) returns bigint language plpgsql as $$
declare
  found bigint;
begin
  execute format('select count(*) from public.%I where %I = $1', relation, own) into found using owner;
  return found;
end
$$;

-- what there is
select is((select array_agg(format('%s %s', o.name, tests.rows(o.name, o.own, p.id)) order by o.name) from owned o, person p where p.name = 'ben'),
  '{calendly_connections 1,calendly_invitees 1,calendly_meetings 1,calendly_sync_runs 1,calendly_users 1,calendly_webhook_events 1}'::text[], 'ben has rows everywhere');
select set_eq($$select c.relname::text from pg_class c where c.relnamespace = 'public'::regnamespace and c.relkind = 'r' and has_table_privilege('authenticated', c.oid, 'select')$$,
  'select name from owned', 'and these are all the tables that a signed-in person can read');

-- reading
select tests.sign_in('ana');
select is(tests.rows(o.name, o.own, p.id), 0::bigint, format('of %s, ana reads none of ben''s', o.name)) from owned o, person p where p.name = 'ben' order by o.name;
select ok(tests.rows(o.name, o.own, p.id) > 0, format('of %s, ana reads the own', o.name)) from owned o, person p where p.name = 'ana' order by o.name;
select results_eq('select m.calendly_event_uri, i.name from calendly_meetings m join calendly_invitees i on i.meeting_id = m.id order by 1', $$values (tests.event_uri('E1'), 'Ines'), (tests.event_uri('E2'), 'Jo')$$, 'a shared event is read as the own row, with its invitees');
select is((select count(*) from calendly_webhook_events where user_id is null), 0::bigint, 'what is nobody''s is not ana''s');

-- writing
select throws_ok(format('insert into public.%I default values', o.name), '42501', null, format('ana cannot insert into %s', o.name)) from owned o order by o.name;
select throws_ok(format('update public.%I set %I = %I', o.name, o.own, o.own), '42501', null, format('nor update %s', o.name)) from owned o order by o.name;
select throws_ok(format('delete from public.%I', o.name), '42501', null, format('nor delete from %s', o.name)) from owned o order by o.name;
select throws_ok(format('truncate public.%I', o.name), '42501', null, format('nor truncate %s', o.name)) from owned o order by o.name;
select throws_ok('update public.calendly_users set auth_user_id = auth.uid()', '42501', null, 'least of all whose account a row is');

-- the private schema
select throws_ok('select * from calendly.credentials', '42501', null, 'ana cannot read a credential');
select throws_ok('select calendly.now()', '42501', null, 'nor call a private function');
select throws_ok($$select calendly_connect('{}')$$, '42501', null, 'nor what the functions call');
select throws_ok($$select calendly_begin_sync('{"user_id": 1, "trigger": "manual"}')$$, '42501', null, 'directly');
select tests.sign_out();

-- anon
set local role anon;
select throws_ok('select * from public.calendly_meetings', '42501', null, 'anon reads nothing');
select throws_ok('select * from public.calendly_users', '42501', null, 'of anybody');
select tests.sign_out();

-- claims that are none
set local role authenticated;
select is_empty('select * from public.calendly_meetings', 'a request without claims reads nothing');
select set_config('request.jwt.claims', '{"role": "authenticated"}', true);
select is_empty('select * from public.calendly_meetings', 'nor one without a subject');
select set_config('request.jwt.claims', jsonb_build_object('sub', gen_random_uuid(), 'user_id', p.id, 'email', 'ana@example.com', 'role', 'authenticated')::text, true) from person p where p.name = 'ana';
select is_empty('select * from public.calendly_meetings', 'nor one that names somebody by anything but the account');
select tests.sign_out();

-- the service role
set local role service_role;
select is((select count(*) from public.calendly_meetings), 3::bigint, 'the service role reads everybody''s meetings');
select throws_ok('select * from calendly.credentials', '42501', null, 'but no credential');
select throws_ok($$update public.calendly_connections set state = 'active'$$, '42501', null, 'and does not write past the functions');
select lives_ok($$update public.calendly_users set calendly_initial_sync_complete = false$$, 'a server may ask for a FULL sync');
select throws_ok($$update public.calendly_users set auth_user_id = null$$, '42501', null, 'and change nothing else of a person');
select throws_ok($$delete from public.calendly_meetings$$, '42501', null, 'nor delete a meeting');
select tests.sign_out();

-- a deleted account, whose token lives on for a while
delete from auth.users where email = 'ana@example.com';
select set_config('request.jwt.claims', jsonb_build_object('sub', p.account, 'role', 'authenticated')::text, true) from person p where p.name = 'ana';
set local role authenticated;
select is_empty('select * from public.calendly_meetings', 'the token of a deleted account reads nothing');
select tests.sign_out();

-- an organization's connection with members everyone
select tests.add_organization('olga', 'everyone');
update public.calendly_users set connection_id = (tests.connection_of('olga')).id where id = tests.id_of('ben');
select tests.sign_in('olga');
select is((select array_agg(distinct m.user_id) from public.calendly_meetings m), array[p.id], 'the owner reads the rows that the connection brings') from person p where p.name = 'ben';
select is((select count(*) from public.calendly_users), 2::bigint, 'and who they are');
select tests.sign_out();
update public.calendly_connections set members = 'accounts' where user_id = tests.id_of('olga');
select tests.sign_in('olga');
select is_empty('select * from public.calendly_meetings', 'with members accounts the owner reads the own rows only');
select tests.sign_out();

select * from finish();
rollback;
