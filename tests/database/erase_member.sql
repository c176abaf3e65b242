-- What a person has had erased does not come back through an organization.
begin;
select plan(8);
select calendly.set_clock('2026-06-01T12:00:00Z');
select tests.add_organization('olga'), tests.add_account('mia@example.com');
create function list_all() returns bigint language plpgsql as $$
begin
  perform tests.pass('1 hour'), tests.begin('olga', 'scheduled');
  perform tests.bring('olga', tests.page(array[tests.event('E1', tests.seats(0, 0) || jsonb_build_object('event_memberships',
    jsonb_build_array(jsonb_build_object('user', tests.host('mia'), 'user_email', 'mia@example.com'))))]));
  perform tests.finish('olga');
  return (select count(*) from public.calendly_meetings m where m.user_id = tests.id_of('mia'));
end
$$;

select is(list_all(), 1::bigint, 'an organization brings a member''s meeting');
select is(tests.code_of($$select public.calendly_disconnect(tests.account('mia') || '{"erase": true}')$$), 'synced_by_organization', 'erasing it would be in vain, and is refused');
select is((select count(*) from public.calendly_meetings), 1::bigint, 'so nothing is erased');
select is(public.calendly_disconnect(tests.account('mia')) ->> 'disconnected', 'false', 'nor is a member disconnected by asking for it');

select tests.connect('mia');
select is((public.calendly_disconnect(tests.account('mia') || '{"erase": true}') ->> 'erased_meetings')::integer, 1, 'who connects alone may erase');
select is(list_all(), 0::bigint, 'and is left out by the organization from then on');
select is(tests.connect('mia', 'https://api.calendly.com/users/mia.the.second') ->> 'state', 'active', 'until connecting again, as whomever');
select tests.sync('mia', array[tests.event('E2', tests.seats(0, 0) || '{"event_memberships": [{"user": "https://api.calendly.com/users/mia.the.second"}]}')]);
select is((select row(m.name, r.sync_type)::text from public.calendly_meetings m, tests.run_of('mia') r where m.user_id = tests.id_of('mia')), '("Intro call",FULL)', 'which begins anew');

select * from finish();
rollback;
