-- calendly_freshness: how old the last proof is, over all users. A service level can be set on it.
begin;
select plan(15);
select tests.add_person('p' || n) from generate_series(1, 101) n;
create function tests.freshness() returns public.calendly_freshness language sql as $$
  select f from public.calendly_freshness f
$$;

select is((tests.freshness()).users, 101::bigint, 'every user with an active connection counts');
select is((tests.freshness()).never_synced, 101::bigint,
  'a user who was never synced is counted as such');
select is((tests.freshness()).p50, null, 'without a complete sync there is no median');

-- p1 was synced a minute ago, p2 two minutes ago, and so on; p101 never
update public.calendly_connections c
  set current_as_of = now() - n * interval '1 minute'
  from generate_series(1, 100) n
  where c.user_id = tests.id_of('p' || n);
select is((tests.freshness()).never_synced, 1::bigint,
  'a user who was synced is no longer counted as never synced');
select is((tests.freshness()).p50, '50.5 minutes', 'p50 is the median staleness');
select is((tests.freshness()).p95, '95.05 minutes',
  'p95 is the staleness that 95 of a hundred users stay below');
select is((tests.freshness()).max, '100 minutes', 'max is the staleness of the stalest user');
select is((select h.staleness from public.calendly_sync_health h
    where h.user_id = tests.id_of('p7')), '7 minutes',
  'calendly_sync_health has the staleness of each user');

select public.calendly_disconnect(jsonb_build_object('auth_user_id', tests.account_of('p100')));
select is((tests.freshness()).max, '99 minutes', 'a disconnected user does not count');
update public.calendly_connections set state = 'reconnect_required'
  where user_id = tests.id_of('p99');
select is((tests.freshness()).max, '98 minutes', 'a user who must reconnect does not count');
select is((tests.freshness()).users, 99::bigint, 'neither is among the users');
select is((public.calendly_health() -> 'freshness' ->> 'users')::integer, 99,
  'calendly_health has the same figures');

-- a member of an organization
update public.calendly_connections set state = 'reconnect_required';
select tests.add_organization('olga');
select tests.add_account('mia@example.com');
select tests.begin('olga', 'scheduled');
select tests.bring('olga', tests.page(array[tests.event('E1', tests.seats(0, 0)
  || jsonb_build_object('event_memberships', jsonb_build_array(jsonb_build_object(
    'user', tests.host('mia'), 'user_email', 'mia@example.com'))))]));
select is((tests.freshness()).users, 2::bigint, 'a member of an organization counts as a user');

update public.calendly_connections set state = 'reconnect_required';
select is((tests.freshness()).users, 0::bigint,
  'without an active connection the view still has its one row');
select throws_ok($$set local role authenticated; select * from public.calendly_freshness$$,
  '42501', null, 'a signed-in person may not read calendly_freshness');
reset role;

select * from finish();
rollback;
