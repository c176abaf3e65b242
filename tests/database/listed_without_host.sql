-- An organization's listing shows an event of which somebody who has it is no longer a host: the event
-- itself is asked for, and its answer proves the change. Whether Calendly moves updated_at then is unknown.
begin;
select plan(9);
select calendly.set_clock('2026-06-01T12:00:00Z');
update calendly.settings set schedule_jitter = 0;
select tests.add_account(name || '@example.com') from unnest('{olga,ben}'::text[]) name;
select public.calendly_connect(jsonb_build_object('auth_user_id', tests.account_of('olga'), 'connection_id', gen_random_uuid(), 'calendly_user_uri', tests.host('olga'),
  'calendly_organization_uri', 'https://api.calendly.com/organizations/acme', 'scope', 'organization', 'kind', 'personal_access_token', 'token_jwe', 'x'));
create function tests.hosted(variadic names text[]) returns jsonb language sql as $$
  select tests.event('E1', tests.seats(0, 0) || jsonb_build_object('event_memberships', jsonb_agg(jsonb_build_object('user', tests.host(name), 'user_email', name || '@example.com'))))
  from unnest(names) name
$$;
create function tests.row_of(name text) returns text language sql as $$
  select row(m.is_deleted, m.deleted_reason)::text from tests.meeting('E1', name) m
$$;
create function tests.counts() returns text language sql as $$
  select row(r.created, r.deleted, r.restored, r.updated, r.unchanged)::text from tests.run_of('olga') r
$$;
create function tests.list(variadic names text[]) returns jsonb language sql as $$ select tests.bring('olga', tests.page(array[tests.hosted(variadic names)])) $$;

select tests.begin('olga', 'scheduled');
select is(tests.list('olga', 'ben') ->> 'do', 'finish', 'both host it');
select tests.finish('olga');
select tests.pass('1 hour');

select tests.begin('olga', 'scheduled');
select is(tests.list('olga') -> 'event_uris', jsonb_build_array(tests.event_uri('E1')), 'listed without one of them, it is asked for by itself');
select is(tests.row_of('ben'), '(f,)', 'the listing alone takes it from nobody');
select is(tests.bring('olga', jsonb_build_object('events', jsonb_build_array(tests.read_of('E1', 200, tests.hosted('olga'))))) ->> 'do', 'finish', 'once');
select is(tests.row_of('ben'), '(t,reassigned)', 'its own answer does');
select is(tests.row_of('olga'), '(f,)', 'and leaves it with who still hosts it');
select is(tests.counts(), '(0,1,0,1,0)', 'each meeting is counted once');
select tests.finish('olga');
select tests.pass('1 hour');

select tests.begin('olga', 'scheduled');
select is(tests.list('olga') ->> 'do', 'finish', 'what is settled is not asked for again');
select tests.fail('olga', '{}');
select tests.begin('olga', 'scheduled');
select tests.list('olga', 'ben');
select is(tests.row_of('ben'), '(f,)', 'and who hosts it again has it again');
select tests.fail('olga', '{}');

select * from finish();
rollback;
