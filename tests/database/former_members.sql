-- People whom an organization's connection brought before it ended. Another connection of the same
-- organization goes on with them, also where no event names them any more: what Calendly has erased
-- meanwhile is looked up, and is gone.
begin;
select plan(23);
select calendly.set_clock('2026-06-01T12:00:00Z');
update calendly.settings set schedule_jitter = 0;
create function tests.kept_by(name text) returns text language sql as $$
  select substring(c.calendly_user_uri from '[^/]+$')
  from public.calendly_users u join public.calendly_connections c on c.id = u.connection_id
  where u.calendly_user_uri = tests.host(kept_by.name)
$$;
create function tests.end_account(name text) returns integer language sql as $$
  delete from auth.users where email = end_account.name || '@example.com';
  select calendly.end_closed_accounts();
$$;
create function tests.connect_organization(
  name text, members text, organization text default 'https://api.calendly.com/organizations/acme'
) returns void language sql as $$
  select tests.add_account(name || '@example.com')
    where not exists (select from auth.users a where a.email = name || '@example.com');
  select public.calendly_connect(jsonb_build_object(
      'auth_user_id', tests.account_of(name), 'calendly_user_uri', tests.host(name),
      'calendly_organization_uri', organization, 'scope', 'organization', 'members', members,
      'kind', 'personal_access_token', 'token_jwe', 'x')
    || public.calendly_prepare_connection(tests.host(name)));
$$;

-- the owner's account ends, and Calendly erases the only event of two hosts
select tests.connect_organization('olga', 'everyone');
select tests.sync('olga', array[tests.event('E1', tests.seats(0, 0)
  || tests.hosted_by('hanna', 'hugo'))], trigger => 'scheduled');
select is(tests.kept_by('hanna'), 'olga', 'an organization''s connection brings its hosts');
select tests.end_account('olga');
select is(tests.kept_by('hanna'), null, 'nobody brings them when its owner''s account has ended');
select is((tests.meeting('E1', 'hanna')).is_deleted, false, 'their meetings stay');
select tests.pass('1 hour');
select tests.connect_organization('zoe', 'everyone',
  'https://api.calendly.com/organizations/other');
select tests.sync('zoe', '{}', trigger => 'scheduled');
select is(tests.kept_by('hanna'), null, 'another organization''s connection does not bring them');
select tests.connect_organization('otto', 'everyone');
select is(tests.kept_by('hanna'), null, 'connecting the same organization alone changes nothing');
select tests.pass('1 second'), tests.begin('otto', 'scheduled');
select is(tests.kept_by('hanna'), 'otto', 'its first sync goes on with them');
create temporary table step as select tests.bring('otto', tests.page('{}')) as next;
select is(tests.event_names(next), '{E1}', 'what it does not list of them is looked up') from step;
select is((tests.meeting('E1', 'hugo')).is_deleted, false, 'a listing alone deletes nothing');
select tests.bring('otto', jsonb_build_object('events', jsonb_build_array(
  tests.read_of('E1', 404))));
select tests.finish('otto');
select is((select array_agg(m.deleted_reason) from public.calendly_meetings m), '{gone,gone}',
  'what Calendly no longer has is gone for each host');

-- two connections of one organization
select tests.connect_organization('otis', 'everyone');
select tests.sync('otis', '{}', trigger => 'scheduled');
select is(tests.kept_by('hugo'), 'otto', 'a connection takes nobody from another one');
select public.calendly_disconnect(tests.account('otto'));
select tests.sync('otis', '{}', trigger => 'scheduled');
select is(tests.kept_by('hugo'), 'otis', 'it goes on with them when the other one has ended');

-- who is not taken
update public.calendly_users set auth_user_id = tests.add_account('hugo@example.com')
  where calendly_user_uri = tests.host('hugo');
select public.calendly_disconnect(tests.account('otis'));
select tests.connect_organization('otto', 'accounts');
select tests.sync('otto', '{}', trigger => 'scheduled');
select is(tests.kept_by('hugo'), 'otto',
  'a connection that keeps accounts goes on with members who have one');
select is(tests.kept_by('hanna'), null, 'and with nobody else');
select calendly.leave_organization(tests.id_of('hugo'));
select tests.sync('otto', '{}', trigger => 'scheduled');
select is(tests.kept_by('hugo'), null, 'whoever has left the organization stays out');
select is(tests.kept_by('otis'), null, 'whoever had an own connection decides alone');
select public.calendly_disconnect(tests.account('otto'));
select tests.connect_organization('otto', 'everyone');
select tests.begin('otto');
select is(tests.kept_by('hanna'), null, 'a click lists one person alone, and takes nobody');
select tests.fail('otto', '{"code": "internal"}');
select tests.sync('otto', '{}', trigger => 'scheduled');
select is(tests.kept_by('hanna'), 'otto', 'the next sync of the organization does');

-- whose organization it is
select tests.connect_organization('zoe', 'everyone',
  'https://api.calendly.com/organizations/third');
select is((select u.calendly_organization_uri from public.calendly_users u
    where u.calendly_user_uri = tests.host('zoe')),
  'https://api.calendly.com/organizations/third',
  'an owner who connects another organization belongs to that one');

-- who has moved to another organization meanwhile
select tests.sync('otto', '{}', trigger => 'scheduled');
select tests.sync('zoe', array[tests.event('E2', tests.hosted_by('hanna') || tests.seats(0, 0))],
  trigger => 'scheduled');
select is(tests.kept_by('hanna'), 'zoe',
  'somebody whom no listing has named is given up to the organization whose listing does');
select is((tests.meeting('E2', 'hanna')).status, 'active', 'with what that organization has');
select tests.sync('otto', '{}', trigger => 'scheduled');
select is(tests.kept_by('hanna'), 'zoe', 'and the former organization does not take them back');
select tests.sync('otto', array[tests.event('E3', tests.hosted_by('hugo') || tests.seats(0, 0))],
  trigger => 'scheduled');
select public.calendly_disconnect(tests.account('otto'));
select tests.connect_organization('otis', 'everyone');
select tests.begin('otis', 'scheduled');
select is(tests.kept_by('hugo'), 'otis', 'another connection goes on with a host');
select tests.bring('otis', tests.page(array[tests.event('E3', tests.hosted_by('hugo')
  || tests.seats(0, 0))]));
select tests.finish('otis');
select tests.sync('zoe', array[tests.event('E4', tests.hosted_by('hugo') || tests.seats(0, 0))],
  trigger => 'scheduled');
select is(tests.kept_by('hugo'), 'otis', 'and keeps whom its listing has named');

select * from finish();
rollback;
