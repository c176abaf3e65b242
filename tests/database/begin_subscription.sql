-- A subscription is begun for whom it is asked, however Postgres plans to find the connection.
begin;
select plan(7);
select calendly.set_clock('2026-06-01T12:00:00Z');
select tests.add_person(name) from unnest('{ana,ben}'::text[]) name;
create function tests.begun(who jsonb) returns text language sql as $$
  select split_part(u.email, '@', 1) from public.calendly_users u join public.calendly_connections c on c.user_id = u.id
  where c.id = (public.calendly_begin_subscription(who) ->> 'connection_id')::uuid
$$;

-- as the daily check does, and as a person does
set local plan_cache_mode = force_generic_plan;
select is(tests.begun(jsonb_build_object('connection_id', (tests.connection_of('ben')).id)), 'ben', 'by the connection');
select is(tests.begun(jsonb_build_object('auth_user_id', tests.account_of('ana'))), 'ana', 'by the account');
set local enable_seqscan = off;
select is(tests.begun(jsonb_build_object('connection_id', (tests.connection_of('ben')).id)), 'ben', 'by the connection, by its indexes');
select is(tests.begun(jsonb_build_object('auth_user_id', tests.account_of('ana'))), 'ana', 'by the account, by its index');
select is(tests.code_of($$select public.calendly_begin_subscription(jsonb_build_object('auth_user_id', gen_random_uuid()))$$), 'not_connected', 'an account without a row is not connected');
select is(tests.code_of($$select public.calendly_begin_subscription(jsonb_build_object('connection_id', gen_random_uuid()))$$), 'not_connected', 'nor is a connection that was deleted');
update public.calendly_connections set state = 'reconnect_required' where user_id = tests.id_of('ben');
select throws_ok($$select public.calendly_begin_subscription(jsonb_build_object('user_id', tests.id_of('ben')))$$,
  'P0001', 'Calendly no longer accepts the token of this connection.', 'a connection whose token is refused says so');

select * from finish();
rollback;
