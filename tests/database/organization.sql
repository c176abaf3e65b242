-- An organization's listing recognizes its members among our users: by confirmed e-mail, once.
begin;
select plan(25);
select calendly.set_clock('2026-06-01T12:00:00Z');
update calendly.settings set schedule_jitter = 0;
select tests.add_organization('olga');
select tests.add_person('ana');
select tests.add_account('ben@example.com');
select tests.add_account('cleo@example.com', confirmed => false);
create function tests.hosted(event text, variadic names text[]) returns jsonb language sql as $$
  select tests.event(event, tests.seats(0, 0) || jsonb_build_object('event_memberships', jsonb_agg(jsonb_build_object('user', tests.host(name), 'user_email', initcap(name) || '@example.com'))))
  from unnest(names) name
$$;
create function tests.owners(event text) returns text language sql as $$
  select string_agg(split_part(u.email, '@', 1), ' ' order by u.email) from public.meetings m join public.users u on u.id = m.user_id where m.calendly_event_uri = tests.event_uri(event)
$$;

-- the listing of the whole
select is(tests.begin('olga', 'scheduled') #>> '{next,query,organization}', 'https://api.calendly.com/organizations/acme', 'the schedule lists the organization');
select tests.bring('olga', tests.page(array[tests.hosted('E1', 'olga', 'ben'), tests.hosted('E2', 'ben'), tests.hosted('E3', 'ana'), tests.hosted('E4', 'cleo'), tests.hosted('E5', 'zoe')]));
select is(tests.owners('E1'), 'ben olga', 'a member who is a user gets a row, as the owner of the connection does');
select is(tests.owners('E2'), 'ben', 'of events that are the member''s alone, too');
select is(tests.owners('E3'), null, 'who has an own connection is synced by that');
select is(tests.owners('E4'), null, 'an unconfirmed e-mail proves nothing');
select is(tests.owners('E5'), null, 'and who is no user has no row');
select is(h.calendly_user_uri, tests.host('ben'), 'from then on the member''s URI counts') from calendly.hosts h where h.user_id = tests.id_of('ben');
select tests.finish('olga');
select tests.pass('1 hour');
select tests.begin('olga', 'scheduled');
select tests.bring('olga', tests.page(array[tests.event('E6', tests.seats(0, 0) || jsonb_build_object('event_memberships', jsonb_build_array(
  jsonb_build_object('user', tests.host('impostor'), 'user_email', 'ben@example.com')))), tests.hosted('E1', 'olga', 'ben'), tests.hosted('E2', 'ben')]));
select is(tests.owners('E6'), null, 'and another Calendly user with the same e-mail does not');
select is(tests.finish('olga') #>> '{result,status}', 'complete', 'so the organization is synced');

-- the health of a member
create function tests.health(name text) returns public.calendly_sync_health language sql as $$
  select h from public.calendly_sync_health h where h.user_id = tests.id_of(name)
$$;
select is((tests.health('ben')).connection_state, 'active', 'a member comes with a living connection');
select is((tests.health('ben')).next_sync_at, (tests.connection_of('olga')).next_sync_at, 'is synced when the organization is');
select is((tests.health('ben')).staleness, (tests.health('olga')).staleness, 'and is as fresh');
select is((select f.users from public.calendly_freshness f), 3::bigint, 'each person counts in the freshness of all');
select is((tests.health('cleo')).connection_state, 'disconnected', 'who is no member is not connected');
select tests.sign_in('ben');
select is((select array_agg(h.email || ' ' || h.connection_state) from public.calendly_sync_health h), '{"ben@example.com active"}', 'a member sees the own row');
select tests.sign_out();
update public.users set calendly_initial_sync_complete = false where id = tests.id_of('ben');
select is((tests.health('ben')).staleness, null, 'for whom no sync of all has finished, nothing is proven');
update public.users set calendly_initial_sync_complete = true where id = tests.id_of('ben');
update public.calendly_connections set state = 'reconnect_required' where user_id = tests.id_of('olga');
select is((tests.health('ben')).connection_state, 'reconnect_required', 'and when Calendly refuses the organization''s token, it is refused for its members');
update public.calendly_connections set state = 'active' where user_id = tests.id_of('olga');

-- a person's own listing
select tests.add_account('dora@example.com');
select tests.begin('ana');
select tests.bring('ana', tests.page(array[tests.hosted('E7', 'ana', 'dora')]));
select is(tests.owners('E7'), 'ana', 'a person''s own listing recognizes nobody else');
select is((select count(*) from calendly.hosts h where h.user_id = tests.id_of('dora')), 0::bigint, 'and remembers nobody');
select tests.begin('olga');
select is((tests.run_of('olga')).subject, tests.host('olga'), 'the owner''s click lists the own events');
select tests.bring('olga', tests.page(array[tests.hosted('E8', 'olga', 'dora')]));
select is(tests.owners('E8'), 'olga', 'and recognizes nobody either');
select tests.fail('olga', '{}');

-- a member's end
select public.calendly_disconnect(tests.account_of('olga'));
select is((select count(*) from calendly.hosts h where h.user_id in (tests.id_of('olga'), tests.id_of('ben'))), 0::bigint, 'with the organization''s connection its members'' end');
select is((tests.health('ben')).connection_state, 'disconnected', 'which their health says');
select is(tests.owners('E2'), 'ben', 'their meetings are kept');
select is((tests.connection_of('ana')).state, 'active', 'and own connections are nobody else''s business');

select * from finish();
rollback;
