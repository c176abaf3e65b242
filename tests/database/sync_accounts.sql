-- People with and without an account, and accounts that are closed: who is synced, and how many
-- hosts of an organization have no account.
begin;
select plan(29);
select calendly.set_clock('2026-06-01T12:00:00Z');
update calendly.settings set schedule_jitter = 0;
select tests.add_person('ana');
create function tests.close(name text, deleted timestamptz, banned timestamptz) returns void
language sql as $$
  update auth.users set deleted_at = deleted, banned_until = banned
    where email = name || '@example.com'
$$;
create function tests.hosted(event text, variadic names text[]) returns jsonb language sql as $$
  select tests.event(event, tests.seats(0, 0) || jsonb_build_object('event_memberships',
    jsonb_agg(jsonb_build_object('user', tests.host(n), 'user_email', n || '@example.com'))))
  from unnest(names) n
$$;
create function tests.user_ids(variadic names text[]) returns integer[] language sql as $$
  select array(select tests.id_of(n) from unnest(names) n order by 1)
$$;

-- one person
select tests.close('ana', calendly.now(), null);
select is(tests.code_of($$select tests.begin('ana')$$), 'account_closed',
  'a person whose account is soft-deleted is not synced');
select tests.close('ana', null, calendly.now() + interval '1 day');
select is(tests.code_of($$select tests.begin('ana')$$), 'account_closed',
  'a person whose account is banned is not synced');
select is((select count(*) from public.calendly_sync_runs), 0::bigint,
  'a closed account makes no run');
select tests.close('ana', null, calendly.now());
select is(tests.begin('ana') ->> 'status', 'started', 'a person whose ban has ended is synced');
select tests.fail('ana', '{"code": "internal"}');
update public.calendly_users set auth_user_id = gen_random_uuid() where id = tests.id_of('ana');
select is(tests.code_of($$select tests.begin('ana')$$), 'account_closed',
  'a person whose account is gone is not synced');
update public.calendly_users set auth_user_id = null where id = tests.id_of('ana');
select is(tests.begin('ana', 'service') ->> 'status', 'started',
  'a person without an account is synced');
select is(tests.bring('ana', tests.page('{}')) ->> 'do', 'finish', 'an empty page leaves nothing');
select is(tests.finish('ana') #> '{result,hosts_without_account}', null,
  'the result of one person''s sync counts no hosts');

-- an organization that keeps everyone
select tests.add_organization('olga', 'everyone');
select tests.add_account('ben@example.com');
select tests.begin('olga', 'scheduled');
select tests.bring('olga', tests.page(
  array[tests.hosted('E1', 'olga', 'ben', 'zoe'), tests.hosted('E2', 'yan')], 'page 2'));
select is((tests.state_of('olga')).user_ids, tests.user_ids('olga', 'ben', 'zoe', 'yan'),
  'with members everyone a run writes the meetings of every host that it has met');
select is((select count(*) from public.calendly_meetings m
    where m.calendly_event_uri = tests.event_uri('E1')), 3::bigint,
  'with members everyone each host of an event has a meeting');
select tests.bring('olga', tests.page(array[tests.hosted('E3', 'zoe', 'ben')]));
create temporary table finished as select tests.finish('olga') -> 'result' as result;
select is(result -> 'hosts_without_account', '2',
  'the result of an organization counts each host without an account once') from finished;
select is((tests.run_of('olga')).hosts_without_account, 2,
  'the run of an organization keeps how many hosts have no account');
select is((select count(*) from calendly.run_hosts), 0::bigint,
  'a finished run leaves no list of its hosts');

-- closed accounts in an organization
select tests.pass('1 hour');
select tests.close('ben', calendly.now(), null);
select tests.begin('olga', 'scheduled');
select is((tests.state_of('olga')).user_ids, tests.user_ids('olga', 'zoe', 'yan'),
  'a run of an organization leaves out a member whose account is closed');
select is(tests.code_of($$select tests.begin('ben')$$), 'account_closed',
  'a member whose account is closed cannot start a sync');
select tests.close('ben', null, null);
select tests.pass('2 minutes');
select tests.begin('olga', 'scheduled');
select is((tests.state_of('olga')).user_ids, tests.user_ids('olga', 'zoe', 'yan'),
  'a run that goes on takes nobody in');
select tests.fail('olga', '{"code": "internal"}');
select tests.begin('olga', 'scheduled');
select is((tests.state_of('olga')).user_ids, tests.user_ids('olga', 'ben', 'zoe', 'yan'),
  'a run of an organization writes the meetings of a member whose account is open again');
select tests.close('ben', calendly.now(), null);
select tests.pass('2 minutes');
select tests.begin('olga', 'scheduled');
select is((tests.state_of('olga')).user_ids, tests.user_ids('olga', 'zoe', 'yan'),
  'a run that goes on leaves out a member whose account was closed meanwhile');
select tests.close('ben', null, null);
select is(tests.begin('ben') ->> 'status', 'started', 'a member is synced by their own click');
select tests.bring('ben', tests.page('{}'));
select tests.fail('ben', '{"code": "calendly_refused"}');
select is((select u.connection_id from public.calendly_users u where u.id = tests.id_of('ben')),
  null,
  'a member whom Calendly no longer knows leaves the organization');
select is((tests.connection_of('olga')).refusals, 0,
  'a member whom Calendly no longer knows is no refusal of the token');
select tests.close('olga', calendly.now(), null);
select is(tests.code_of($$select tests.begin('olga', 'scheduled')$$), 'account_closed',
  'an organization whose owner''s account is closed is not synced');
select is(tests.code_of($$select tests.begin('zoe')$$), 'account_closed',
  'a member of an organization whose owner''s account is closed is not synced');

-- an organization that keeps accounts
select tests.close('olga', null, null);
select tests.add_account('ulla@example.com');
update public.calendly_connections set members = 'accounts' where user_id = tests.id_of('olga');
update public.calendly_meetings set is_deleted = true;
select tests.fail('olga', '{"code": "internal"}');
select tests.begin('olga', 'scheduled');
select tests.bring('olga', tests.page(array[tests.hosted('E9', 'olga', 'ulla', 'uma', 'udo')]));
select is((tests.run_of('olga')).hosts_without_account, null,
  'hosts without an account are not counted before the run is complete');
select is(tests.finish('olga') #>> '{result,hosts_without_account}', '2',
  'with members accounts the hosts who are not kept count as hosts without an account');

-- a ban of the owner that has just ended
select tests.close('olga', null, calendly.now() + interval '1 day');
select calendly.end_closed_accounts();
select tests.close('olga', null, null);
select tests.begin('ulla');
select tests.bring('ulla', tests.page(array[tests.hosted('E9', 'ulla')]));
insert into calendly.meeting_sync (user_id, event_uri, invitees_due_at)
  values (tests.id_of('ulla'), tests.event_uri('E9'), calendly.now() + interval '30 days')
  on conflict on constraint meeting_sync_pkey do update set invitees_due_at = excluded.invitees_due_at;
select is(tests.finish('ulla') #>> '{result,status}', 'complete',
  'a member is synced as soon as the owner''s ban has ended');
select is((tests.connection_of('olga')).next_sync_at, null,
  'a member''s sync does not put the next one of the organization off to its next pending work');
select calendly.sync_sooner(array[tests.id_of('ulla')], calendly.now() + interval '30 days');
select is((tests.connection_of('olga')).next_sync_at, null,
  'nor does a delivery that makes something due later');
select calendly.end_closed_accounts();
select is((tests.connection_of('olga')).next_sync_at, calendly.now(),
  'within a minute the organization is due at once');

select * from finish();
rollback;
