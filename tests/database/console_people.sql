-- The people that the console's Operations show: each with the connection that brings their meetings.
begin;
select plan(19);
select calendly.set_clock('2026-06-01T12:00:00Z');
update calendly.settings set schedule_jitter = 0;
create function tests.names(
  search text default null, states text[] default null, with_account boolean default null,
  person integer default null, team integer default null, at_most integer default 100
) returns text language sql as $$
  select string_agg(split_part(p.email, '@', 1), ' ')
  from public.calendly_console_people(search, states, with_account, person, team, at_most) p
$$;
create function tests.shown(name text, variadic path text[]) returns text language sql as $$
  select to_jsonb(p) #>> path
  from public.calendly_console_people(person => tests.id_of(name)) p
$$;

select is_empty('select * from public.calendly_console_people()', 'an empty project has nobody');

select tests.add_person('ana');
select is(tests.shown('ana', 'state'), 'active', 'somebody who has connected is active');
select is(tests.shown('ana', 'token_kind'), 'personal_access_token', 'the kind of token is told');
select is(tests.shown('ana', 'connection', 'scope'), 'user', 'and the connection''s row');
select ok(tests.shown('ana', 'connection') !~ 'ciphertext', 'the token is not');
select is(tests.shown('ana', 'staleness_seconds'), null, 'nothing is proven before the first sync');
select tests.sync('ana', array[tests.event('E1')]);
select tests.pass('90 seconds');
select is(tests.shown('ana', 'staleness_seconds')::numeric, 90::numeric,
  'after it, freshness counts from its begin');

select tests.add_organization('olga', 'everyone');
select tests.sync('olga', array[tests.event('O1', tests.hosted_by('hanna', 'hugo'))],
  trigger => 'scheduled');
select is((select string_agg(p.user_id::text, ' ' order by p.user_id)
    from public.calendly_console_people(team => tests.id_of('olga')) p),
  (select string_agg(u.id::text, ' ' order by u.id) from public.calendly_users u
    where u.id <> tests.id_of('ana')),
  'a team is those whom the organization''s connection brings, its owner among them');
select is((select array_agg(distinct (p.connection ->> 'user_id')::integer)
    from public.calendly_console_people(with_account => false) p), array[tests.id_of('olga')],
  'members without an account are shown with the connection of the organization');
select is((select count(*) from public.calendly_console_people(with_account => true)), 2::bigint,
  'those with an account can be asked for');
select is(tests.names(search => 'ANA@'), 'ana', 'a part of the e-mail finds them in any case');
select is(tests.names(search => 'ana%'), null, 'and a wildcard is a letter like others');

select tests.add_person('ben');
update public.calendly_connections
  set state = 'reconnect_required', last_error = '{"code": "token_refused"}'
  where user_id = tests.id_of('ben');
select is((select p.user_id from public.calendly_console_people(at_most => 1) p),
  tests.id_of('ben'), 'those with problems come first');
select is(tests.names(states => '{reconnect_required}'), 'ben', 'states can be asked for');
select is((select p.total from public.calendly_console_people(at_most => 1) p), 5::bigint,
  'a limit does not change how many there are');

select public.calendly_disconnect(jsonb_build_object('user_id', tests.id_of('ben')));
select is(tests.shown('ben', 'state'), 'disconnected', 'who has disconnected is kept and shown');
select is(tests.shown('ben', 'token_kind'), null, 'without a token');
select is(tests.names(states => '{active,reconnect_required}', search => 'ben'), null,
  'and is not among the connected');
select is_empty($$select * from public.calendly_console_people(person => -1)$$,
  'of a person who is not there nothing is shown');

select * from finish();
rollback;
