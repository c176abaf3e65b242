-- Members who join an organization's connection or leave it while its run is active, who change
-- their Calendly user, or whose account is banned.
begin;
select plan(22);
select calendly.set_clock('2026-06-01T12:00:00Z');
update calendly.settings set schedule_jitter = 0;
create function tests.hosted(event text, variadic names text[]) returns jsonb language sql as $$
  select tests.event(event, tests.seats(0, 0) || jsonb_build_object('event_memberships', (
    select jsonb_agg(jsonb_build_object('user', tests.host(name), 'user_email', name || '@example.com'))
    from unnest(names) name)))
$$;
create function tests.row_of(name text) returns public.calendly_users language sql as $$
  select u from public.calendly_users u where u.calendly_user_uri = tests.host(row_of.name)
$$;
create function tests.events_of(name text) returns text language sql as $$
  select string_agg(substring(m.calendly_event_uri from '[^/]+$'), ' ' order by m.calendly_event_uri)
  from public.calendly_meetings m where m.user_id = (tests.row_of(events_of.name)).id and not m.is_deleted
$$;
create function tests.connect_as(name text, changes jsonb) returns jsonb language sql as $$
  select public.calendly_connect(jsonb_build_object(
    'auth_user_id', tests.account_of(name),
    'connection_id', public.calendly_prepare_connection(
      coalesce(changes ->> 'calendly_user_uri', tests.host(name))) ->> 'connection_id',
    'calendly_user_uri', tests.host(name),
    'calendly_organization_uri', 'https://api.calendly.com/organizations/acme',
    'scope', 'user', 'kind', 'personal_access_token', 'token_jwe', 'x') || changes)
$$;

-- an account that is made while the organization is listed
select tests.add_organization('olga');
select tests.begin('olga', 'scheduled');
select tests.bring('olga', tests.page(array[tests.hosted('E1', 'ben')], 'next'));
select tests.add_account('ben@example.com');
select tests.bring('olga', tests.page(array[tests.hosted('E2', 'ben')]));
select tests.finish('olga');
select is((tests.row_of('ben')).connection_id, (tests.connection_of('olga')).id,
  'a host whose account is new is kept from the page on that finds it');
select is((tests.row_of('ben')).calendly_initial_sync_complete, false,
  'a run that has listed this host before is no complete sync of theirs');
select is((tests.connection_of('olga')).next_sync_at, calendly.now(),
  'so the organization is due at once');
select tests.sync('olga', array[tests.hosted('E1', 'ben'), tests.hosted('E2', 'ben')], trigger => 'scheduled');
select is(tests.events_of('ben'), 'E1 E2', 'and the next run brings what the first one has missed');
select is((tests.row_of('ben')).calendly_initial_sync_complete, true, 'which is complete');

-- a member who connects while the organization is listed
select tests.begin('olga', 'scheduled', true);
select tests.bring('olga', tests.page(array[tests.hosted('E1', 'ben')], 'next'));
select tests.connect('ben');
select public.calendly_disconnect(tests.account('ben') || '{"erase": true}');
select tests.connect('ben');
select tests.bring('olga', tests.page(array[tests.hosted('E2', 'ben')]));
select tests.finish('olga');
select is(tests.events_of('ben'), null, 'an organization''s run writes nothing of a member who has connected since');
select is((tests.row_of('ben')).calendly_initial_sync_complete, false, 'nor is it a sync of theirs');

-- a member who changes to another Calendly user
select tests.add_account('cleo@example.com');
select tests.sync('olga', array[tests.hosted('E3', 'cleo')], trigger => 'scheduled');
select is(tests.code_of(format($$select tests.connect('cleo', %L)$$, tests.host('cleo2'))),
  'another_calendly_user', 'changing the Calendly user asks for a confirmation');
select tests.connect_as('cleo', jsonb_build_object('calendly_user_uri', tests.host('cleo2'), 'replace', true));
select is((tests.row_of('cleo')).id, null,
  'where an organization keeps accounts only, a former row without an account is erased');

-- an e-mail that two hosts have, and two accounts that have proven the same e-mail
select tests.add_account('gus@example.com'), tests.add_account('hal@example.com'), tests.add_account('ida@example.com');
insert into auth.identities (provider_id, user_id, identity_data, provider)
  values ('hal', tests.account_of('ida'), '{"email": "hal@example.com", "email_verified": true}', 'google');
select tests.sync('olga', array[
  tests.hosted('E6', 'hal'),
  tests.event('E7', tests.seats(0, 0) || jsonb_build_object('event_memberships', jsonb_build_array(
    jsonb_build_object('user', tests.host('gus'), 'user_email', 'gus@example.com'),
    jsonb_build_object('user', tests.host('gus2'), 'user_email', 'Gus@example.com'))))], trigger => 'scheduled');
select is((tests.row_of('gus')).id, null, 'of two hosts with one e-mail neither is matched with its account');
select is((tests.row_of('gus2')).id, null, 'because it would be a guess');
select is((tests.row_of('hal')).id, null, 'nor is a host whose e-mail two accounts have proven');

-- everyone
select tests.connect_as('olga', '{"scope": "organization", "members": "everyone"}');
select tests.add_account('dora@example.com');
select tests.sync('olga', array[tests.hosted('E4', 'dora', 'zoe')], trigger => 'scheduled');
select tests.connect_as('dora', jsonb_build_object('calendly_user_uri', tests.host('dora2'), 'replace', true));
select is((tests.row_of('dora')).auth_user_id is null and (tests.row_of('dora')).connection_id is not null, true,
  'where it keeps everyone, the row stays without the account');

-- a banned account
select tests.add_account('finn@example.com');
update auth.users set banned_until = '2026-06-02T00:00:00Z' where email = 'finn@example.com';
select tests.sync('olga', array[tests.hosted('E5', 'finn')], trigger => 'scheduled');
select is(tests.events_of('finn'), null, 'a host whose account is banned is not synced');
select tests.pass('1 day');
select tests.sync('olga', array[tests.hosted('E5', 'finn')], trigger => 'scheduled');
select is(tests.events_of('finn'), 'E5', 'until the ban ends');

-- the owner's row is deleted
update public.calendly_connections set webhook_state = 'active' where user_id = tests.id_of('olga');
select calendly.set_webhook_enabled(array[(tests.row_of('zoe')).id], true);
delete from public.calendly_users u where u.calendly_user_uri = tests.host('olga');
select is((tests.row_of('zoe')).connection_id, null, 'hosts stay when the owner of their connection is deleted');
select is((tests.row_of('zoe')).calendly_webhook_enabled, false, 'but no webhook brings their meetings');

-- an account takes over what a server has connected
select tests.connect_as('olga', '{"auth_user_id": null, "scope": "organization", "members": "everyone"}');
select tests.sync('olga', array[tests.hosted('E4', 'zoe')], trigger => 'scheduled');
select is(tests.code_of($$select tests.connect_as('olga', '{"scope": "user"}')$$), 'calendly_user_taken',
  'an account does not take over a server''s organization for its own meetings');
select is(tests.code_of($$select tests.connect_as('olga', '{"scope": "organization"}')$$), 'calendly_user_taken',
  'nor with fewer members than the server keeps');
select is((tests.row_of('zoe')).connection_id, (tests.connection_of('olga')).id, 'so the team stays');
select is(tests.connect_as('olga', '{"scope": "organization", "members": "everyone"}') ->> 'state', 'active',
  'with everyone it does');
select is((tests.row_of('olga')).auth_user_id, tests.account_of('olga'), 'and the row is the account''s');

select * from finish();
rollback;
