-- Whom an organization's connection keeps: with members accounts the hosts who have an account here, by
-- Calendly user or, once, by a proven e-mail; with members everyone every host.
begin;
select plan(44);
select calendly.set_clock('2026-06-01T12:00:00Z');
update calendly.settings set schedule_jitter = 0;
select tests.add_organization('olga');
select tests.add_person('ana');
select tests.add_account('ben@example.com');
select tests.add_account('cleo@example.com', confirmed => false);
insert into auth.users (id, email, email_confirmed_at) values (gen_random_uuid(), 'carl@example.com', calendly.now());
create function tests.hosted(event text, variadic names text[]) returns jsonb language sql as $$
  select tests.event(event, tests.seats(0, 0) || jsonb_build_object('event_memberships', jsonb_agg(jsonb_build_object(
    'user', tests.host(name), 'user_email', initcap(name) || '@example.com', 'user_name', initcap(name)))))
  from unnest(names) name
$$;
create function tests.owners(event text) returns text language sql as $$
  select string_agg(substring(u.calendly_user_uri from '[^/]+$'), ' ' order by u.calendly_user_uri)
  from public.calendly_meetings m join public.calendly_users u on u.id = m.user_id where m.calendly_event_uri = tests.event_uri(event)
$$;
create function tests.host_row(name text) returns public.calendly_users language sql as $$
  select u from public.calendly_users u where u.calendly_user_uri = tests.host(host_row.name)
$$;

-- members accounts
select is(tests.begin('olga', 'scheduled') #>> '{next,query,organization}', 'https://api.calendly.com/organizations/acme', 'the schedule lists the organization');
select tests.bring('olga', tests.page(array[tests.hosted('E1', 'olga', 'ben'), tests.hosted('E2', 'ben'), tests.hosted('E3', 'ana'), tests.hosted('E4', 'cleo'), tests.hosted('E4b', 'carl'), tests.hosted('E5', 'zoe')]));
select is(tests.owners('E1'), 'ben olga', 'a host with an account gets a row, as the owner of the connection does');
select is(tests.owners('E2'), 'ben', 'also for events that are the host''s alone');
select is(tests.owners('E3'), null, 'a host with an own connection is synced by that');
select is(tests.owners('E4'), null, 'an unconfirmed e-mail proves nothing');
select is(tests.owners('E4b'), null, 'nor does one that was confirmed without a mail');
select is(tests.owners('E5'), null, 'a host without an account has no row');
select is((tests.host_row('ben')).auth_user_id, tests.account_of('ben'), 'the proven e-mail links the account');
select is(row((tests.host_row('ben')).name, (tests.host_row('ben')).email)::text, '(Ben,Ben@example.com)', 'name and e-mail are as Calendly has them');
select is(tests.finish('olga') #>> '{result,hosts_without_account}', '3', 'the run counts the hosts without an account');
select tests.pass('1 hour');
select tests.begin('olga', 'scheduled');
select tests.bring('olga', tests.page(array[tests.event('E6', tests.seats(0, 0) || jsonb_build_object('event_memberships', jsonb_build_array(
  jsonb_build_object('user', tests.host('impostor'), 'user_email', 'ben@example.com')))), tests.hosted('E1', 'olga', 'ben'), tests.hosted('E2', 'ben')]));
select is(tests.owners('E6'), null, 'an account that is linked is not matched by e-mail again');
select is(tests.finish('olga') #>> '{result,status}', 'complete', 'the organization is synced');

-- the health of a member
create function tests.health(name text) returns public.calendly_sync_health language sql as $$
  select h from public.calendly_sync_health h where h.user_id = tests.id_of(name)
$$;
select is((tests.health('ben')).connection_state, 'active', 'a member has the state of the organization''s connection');
select is((tests.health('ben')).next_sync_at, (tests.connection_of('olga')).next_sync_at, 'is synced when the organization is');
select is((tests.health('ben')).staleness, (tests.health('olga')).staleness, 'and is as fresh');
select is((select f.users from public.calendly_freshness f), 3::bigint, 'each person counts in the freshness of all');
select tests.sign_in('ben');
select is((select array_agg(h.user_id || ' ' || h.connection_state) from public.calendly_sync_health h), array[tests.id_of('ben') || ' active'], 'a member sees the own row');
select tests.sign_out();
update public.calendly_users set calendly_initial_sync_complete = false where id = tests.id_of('ben');
select is((tests.health('ben')).staleness, null, 'nothing is proven for somebody whose initial sync is not complete');
update public.calendly_users set calendly_initial_sync_complete = true where id = tests.id_of('ben');
update public.calendly_connections set state = 'reconnect_required' where user_id = tests.id_of('olga');
select is((tests.health('ben')).connection_state, 'reconnect_required', 'a member sees that Calendly refuses the organization''s token');
update public.calendly_connections set state = 'active' where user_id = tests.id_of('olga');

-- a person's own listing
select tests.add_account('dora@example.com');
select tests.begin('ana');
select tests.bring('ana', tests.page(array[tests.hosted('E7', 'ana', 'dora')]));
select is(tests.owners('E7'), 'ana', 'a person''s own listing keeps nobody else');
select is((tests.host_row('dora')).id, null, 'and makes no row');
select tests.begin('olga');
select is((tests.run_of('olga')).subject, tests.host('olga'), 'the owner''s click lists the own events');
select tests.bring('olga', tests.page(array[tests.hosted('E8', 'olga', 'dora')]));
select is(tests.owners('E8'), 'olga', 'and keeps nobody else either');
select tests.fail('olga', '{"code": "internal"}');
update public.calendly_connections set failures = 0, last_error = null where user_id = tests.id_of('olga');

-- members everyone
select public.calendly_connect(jsonb_build_object('auth_user_id', tests.account_of('olga'),
  'connection_id', (tests.connection_of('olga')).id, 'calendly_user_uri', tests.host('olga'),
  'calendly_organization_uri', 'https://api.calendly.com/organizations/acme',
  'scope', 'organization', 'members', 'everyone', 'kind', 'personal_access_token', 'token_jwe', 'x'));
select tests.pass('1 hour');
select tests.begin('olga', 'scheduled');
select tests.bring('olga', tests.page(array[tests.hosted('E9', 'olga', 'ben', 'zoe'), tests.hosted('E3', 'ana'), tests.hosted('E10', 'carl'),
  tests.hosted('E1', 'olga', 'ben'), tests.hosted('E2', 'ben'), tests.hosted('E8', 'olga')]));
select is(tests.owners('E9'), 'ben olga zoe', 'with members everyone each host has the meeting once');
select is(tests.owners('E10'), 'carl', 'account or not');
select is((tests.host_row('carl')).auth_user_id, null, 'an e-mail that is not proven still links no account');
select is(tests.owners('E3'), null, 'a host with an own connection is still synced by that');
select is(tests.finish('olga') #>> '{result,hosts_without_account}', '2', 'the run counts the hosts without an account that it keeps');
select is((tests.host_row('zoe')).calendly_initial_sync_complete, false, 'a host that an INCREMENTAL sync has met has no complete history');
select is((tests.connection_of('olga')).next_sync_at, calendly.now(), 'so the organization is due at once');
select is(tests.begin('olga', 'scheduled') ->> 'sync_type', 'FULL', 'for a FULL sync');
select tests.bring('olga', tests.page(array[tests.hosted('E9', 'olga', 'ben', 'zoe'), tests.hosted('E10', 'carl'),
  tests.hosted('E1', 'olga', 'ben'), tests.hosted('E2', 'ben'), tests.hosted('E8', 'olga')])), tests.finish('olga');
select is((tests.host_row('zoe')).calendly_initial_sync_complete, true, 'which brings the history of the new hosts');

-- somebody who signs in and connects later
select tests.add_account('zoe@example.com');
select tests.connect('zoe');
select is((tests.host_row('zoe')).auth_user_id, tests.account_of('zoe'), 'whoever connects later takes over the row of that Calendly user');
select is(tests.owners('E9'), 'ben olga zoe', 'with its meetings');
select is((tests.host_row('zoe')).connection_id, (tests.connection_of('zoe')).id, 'and is synced by the own connection');

-- a server connects without an account
select public.calendly_connect(jsonb_build_object('connection_id', gen_random_uuid(), 'calendly_user_uri', tests.host('team'),
  'calendly_organization_uri', 'https://api.calendly.com/organizations/team', 'scope', 'organization', 'members', 'everyone',
  'kind', 'personal_access_token', 'token_jwe', 'x'));
select is((tests.host_row('team')).auth_user_id, null, 'a server connects a Calendly user without an account');
select tests.add_account('team@example.com');
select is(tests.code_of($$select tests.connect('team')$$), 'calendly_user_taken', 'a person''s own connection does not take the place of the organization''s');
select is((tests.connection_of('team')).scope, 'organization', 'which goes on');

-- from everyone back to accounts, and the end
select public.calendly_connect(jsonb_build_object('auth_user_id', tests.account_of('olga'),
  'connection_id', (tests.connection_of('olga')).id, 'calendly_user_uri', tests.host('olga'),
  'calendly_organization_uri', 'https://api.calendly.com/organizations/acme',
  'scope', 'organization', 'members', 'accounts', 'kind', 'personal_access_token', 'token_jwe', 'x'));
select is((tests.host_row('carl')).connection_id, null, 'with members accounts the others are not kept any more');
select is((tests.host_row('ben')).connection_id, (tests.connection_of('olga')).id, 'those with an account are');
select is(tests.owners('E10'), 'carl', 'what was stored stays');
select public.calendly_disconnect(tests.account('olga'));
select is((select count(*) from public.calendly_users u where u.connection_id = (tests.connection_of('olga')).id), 0::bigint, 'the end of the organization''s connection ends it for its members');
select is((tests.health('ben')).connection_state, 'disconnected', 'which their health says');
select is((tests.connection_of('ana')).state, 'active', 'own connections go on');

select * from finish();
rollback;
