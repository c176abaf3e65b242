-- How old the last proof is, for each and over all: what a service level is set on.
begin;
select plan(14);
select tests.add_person('p' || n) from generate_series(1, 101) n;
create function tests.freshness() returns public.calendly_freshness language sql as $$ select f from public.calendly_freshness f $$;

select is((tests.freshness()).users, 101::bigint, 'everybody with a connection counts');
select is((tests.freshness()).never_synced, 101::bigint, 'whom nothing has been proven for yet as well');
select is((tests.freshness()).p50, null, 'without a proof there is no figure');

-- p1 was synced a minute ago, p2 two minutes ago, and so on; p101 never
update public.calendly_connections c set current_as_of = now() - substring(u.email from '\d+')::integer * interval '1 minute'
  from public.users u where u.id = c.user_id and u.email <> 'p101@example.com';
select is((tests.freshness()).never_synced, 1::bigint, 'who has none is told apart');
select is((tests.freshness()).p50, '50.5 minutes', 'half of a hundred people are fresher than the middle');
select is((tests.freshness()).p95, '95.05 minutes', '95 of them than this');
select is((tests.freshness()).max, '100 minutes', 'and all of them than the stalest');
select is((select h.staleness from public.calendly_sync_health h where h.user_id = tests.id_of('p7')), '7 minutes', 'each one''s own is in calendly_sync_health');

select public.calendly_disconnect(tests.account_of('p100'));
select is((tests.freshness()).max, '99 minutes', 'who has disconnected is waited for no more');
update public.calendly_connections set state = 'reconnect_required' where user_id = tests.id_of('p99');
select is((tests.freshness()).max, '98 minutes', 'nor who must reconnect: that is an alert');
select is((tests.freshness()).users, 99::bigint, 'they are not counted');
select is((public.calendly_health() -> 'freshness' ->> 'users')::integer, 99, 'calendly_health tells the same');

update public.calendly_connections set state = 'reconnect_required';
select is((tests.freshness()).users, 0::bigint, 'without anybody the view still has its one row');
select throws_ok($$set local role authenticated; select * from public.calendly_freshness$$, '42501', null, 'it is not for apps');
reset role;

select * from finish();
rollback;
