-- Claiming: whoever has been due longest is next. A click comes before the schedule, and a first
-- sync last. Nobody is claimed twice, and no more runs are claimed than there are slots.
begin;
select plan(61);
select calendly.set_clock('2026-06-01T12:00:00Z');
select tests.add_person(name) from unnest('{ana,ben,cleo,dan}'::text[]) name;
update public.calendly_users set calendly_initial_sync_complete = true;

create function tests.claim(
  spent_seconds numeric default 0, spent_requests integer default 0,
  url text default 'https://project.example.com'
) returns jsonb language sql as $$
  select public.calendly_claim_sync(jsonb_build_object(
    'project_url', url, 'spent_seconds', spent_seconds, 'spent_requests', spent_requests))
$$;
create function tests.claimed() returns text language sql as $$
  select coalesce((
    select substring(u.calendly_user_uri from '[^/]+$') from public.calendly_users u
    where u.id = (c.claim ->> 'user_id')::integer), c.claim ->> 'status')
  from tests.claim() c (claim)
$$;
create function tests.due(name text, ago interval) returns void language sql as $$
  update public.calendly_connections set next_sync_at = calendly.now() - ago
    where user_id = tests.id_of(due.name)
$$;
create function tests.pause(name text, trigger text) returns void language sql as $$
  select tests.begin(pause.name, pause.trigger);
  select calendly.pause(calendly.read_run((tests.run_of(pause.name)).id), calendly.now(), null);
$$;
comment on function tests.pause(text, text) is 'A run of this person that is paused until now.';
create function tests.reset_work() returns void language sql as $$
  select calendly.end_runs(c.id, '{}') from public.calendly_connections c;
  update public.calendly_connections set next_sync_at = 'infinity';
  update public.calendly_users set calendly_initial_sync_complete = true;
$$;
comment on function tests.reset_work() is 'Nobody has a run, and nobody is due.';
create function tests.needs_first_sync(name text) returns void language sql as $$
  update public.calendly_users set calendly_initial_sync_complete = false
    where id = tests.id_of(needs_first_sync.name)
$$;

-- due or not
select is(tests.claimed(), 'idle', 'nothing is claimed while nobody is due');
select tests.due('ana', '-1 second');
select is(tests.claimed(), 'idle', 'a connection is not claimed a second before it is due');
select tests.due('ana', '0');
select is(tests.claimed(), 'ana', 'a connection that is due is claimed');
select is((tests.run_of('ana')).trigger, 'scheduled', 'its run has the trigger scheduled');
select ok((tests.state_of('ana')).lease is not null, 'its run has a lease');
select is(tests.claimed(), 'idle', 'it is not claimed a second time');
select is((tests.connection_of('ana')).next_sync_at, '2026-06-01T12:02:00Z',
  'it is due again when the lease ends');
select tests.pass('40 seconds');
select tests.bring('ana', tests.page(array[tests.event('E1', tests.seats(0, 0))], 'page 2'));
select tests.pass('119 seconds');
select is(tests.claimed(), 'idle', 'each step extends the lease');
select tests.pass('1 second');
create temporary table taken as select tests.claim() as claim;
select is(claim ->> 'run_id', (tests.run_of('ana')).id::text,
  'a run whose lease has ended is taken over') from taken;
select is(claim #>> '{next,query,page_token}', 'page 2',
  'the run that was taken over goes on where it stopped') from taken;
select is((tests.run_of('ana')).requests, 1, 'it keeps the requests that it had counted');
select is((select count(*) from public.calendly_sync_runs r where r.user_id = tests.id_of('ana')),
  1::bigint, 'taking over makes no second run');
select tests.bring('ana', tests.page('{}'));
select is(tests.finish('ana') #>> '{result,status}', 'complete',
  'a run that was taken over can finish');
select tests.reset_work();

-- the order
select tests.due('ana', '1 minute'), tests.due('ben', '3 minutes'), tests.due('cleo', '2 minutes');
select is(array[tests.claimed(), tests.claimed(), tests.claimed(), tests.claimed()],
  '{ben,cleo,ana,idle}', 'the connection that has been due longest is claimed first');
select tests.reset_work();
select tests.due('ana', '10 minutes'), tests.pause('ben', 'manual');
select is(array[tests.claimed(), tests.claimed()], '{ben,ana}',
  'a paused click is claimed before a connection that has been due for minutes');
select tests.reset_work();
select tests.due('ana', '10 minutes'), tests.pause('ben', 'service');
select is(array[tests.claimed(), tests.claimed()], '{ben,ana}',
  'a paused sync that a server asked for is claimed like a click');
select tests.reset_work();
select tests.due('ana', '61 minutes'), tests.pause('ben', 'manual');
select is(array[tests.claimed(), tests.claimed()], '{ana,ben}',
  'a connection that has been due for an hour is claimed before a click');
select tests.reset_work();
select tests.needs_first_sync('ana'), tests.due('ana', '10 minutes'), tests.due('ben', '0');
select is(array[tests.claimed(), tests.claimed()], '{ben,ana}',
  'a first sync is claimed after a regular one');
select is((tests.run_of('ana')).sync_type, 'FULL', 'a first sync is FULL');
select tests.reset_work();
select tests.needs_first_sync('ana'), tests.due('ana', '16 minutes'), tests.due('ben', '0');
select is(array[tests.claimed(), tests.claimed()], '{ana,ben}',
  'a first sync that has been due for 15 minutes is claimed before a regular one');
select tests.reset_work();
select tests.needs_first_sync('ana'), tests.pause('ana', 'connect'), tests.due('ben', '0');
select is(array[tests.claimed(), tests.claimed()], '{ben,ana}',
  'a first sync that was paused is claimed after a regular one');
select tests.reset_work();

-- the order, where more FULL syncs are due than a claim looks at
create temporary table others as
  select 'x' || n as name from generate_series(1, 30) n;
select tests.add_person(name) from others;
update public.calendly_users set calendly_initial_sync_complete = true;
update public.calendly_connections set next_sync_at = 'infinity', last_full_sync_at = calendly.now();
select tests.needs_first_sync(name), tests.due(name, '10 minutes') from others;
select tests.due('ana', '5 minutes');
select is(tests.claimed(), 'ana',
  'a regular sync is claimed before those of people whose flag was cleared, however many');
select tests.reset_work();
select tests.needs_first_sync(name), tests.pause(name, 'connect') from others;
select tests.pass('1 minute'), tests.due('ana', '0');
update public.calendly_users set calendly_initial_sync_complete = true;
select is(tests.claimed(), 'ana',
  'a regular sync is claimed before FULL runs that were paused, however many');
select tests.reset_work();
delete from public.calendly_users u
  using others o where u.calendly_user_uri = tests.host(o.name);

-- never claimed
select tests.due(name, '1 hour') from unnest('{ana,ben,cleo}'::text[]) name;
update public.calendly_connections set state = 'reconnect_required'
  where user_id = tests.id_of('ana');
select public.calendly_disconnect(tests.account('ben'));
update public.calendly_connections set next_sync_at = calendly.now()
  where user_id = tests.id_of('ben');
update public.calendly_connections set next_sync_at = null where user_id = tests.id_of('cleo');
select is(tests.claimed(), 'idle',
  'a connection that must reconnect, has ended or is never due is not claimed');
update public.calendly_connections set state = 'active' where user_id = tests.id_of('ana');
select tests.connect('ben');
select tests.reset_work();
select tests.begin('ana', 'scheduled');
select calendly.pause(calendly.read_run((tests.run_of('ana')).id),
  calendly.now() + interval '40 seconds', '{"code": "rate_limited"}');
select is(tests.claimed(), 'idle', 'a paused run is not claimed before its pause is over');
select calendly.sync_sooner(array[tests.id_of('ana')], calendly.now());
select is((tests.connection_of('ana')).next_sync_at, calendly.now() + interval '40 seconds',
  'news does not make the connection of a paused run due before the run may go on');
select tests.pass('40 seconds');
select is(tests.claimed(), 'ana', 'a paused run is claimed when its pause is over');
select is((tests.run_of('ana')).status, 'running', 'the paused run goes on, and none is begun');
select tests.reset_work();

-- closed accounts
select tests.due('ana', '2 hours'), tests.due('ben', '1 hour');
update auth.users set banned_until = 'infinity' where id = tests.account_of('ana');
select is(array[tests.claimed(), tests.claimed()], '{ben,idle}',
  'the connection of a banned account is skipped, and the next one is claimed');
select is((tests.connection_of('ana')).next_sync_at, null,
  'the schedule leaves the connection of a banned account out');
select tests.reset_work();
update auth.users set banned_until = null where id = tests.account_of('ana');
select tests.pause('ana', 'scheduled');
update auth.users set banned_until = 'infinity' where id = tests.account_of('ana');
select is(tests.claimed(), 'idle', 'the paused run of a banned account is not claimed');
select is((tests.run_of('ana')).error ->> 'code', 'account_closed', 'that run is ended');
select tests.reset_work();
update auth.users set banned_until = null where id = tests.account_of('ana');
select tests.due('ana', '0');
select is(tests.claimed(), 'ana', 'it is claimed again when the ban has ended');
select tests.reset_work();
select tests.due('ben', '0');
update auth.users set deleted_at = now() where id = tests.account_of('ben');
select is(tests.claimed(), 'idle', 'the connection of a soft-deleted account is skipped');
update auth.users set deleted_at = null where id = tests.account_of('ben');
select tests.reset_work();
select tests.add_organization('olga');
select tests.add_account('mia@example.com');
create function tests.list_mia() returns jsonb language sql as $$
  select tests.page(array[tests.event('M1', tests.seats(0, 0) || jsonb_build_object(
    'event_memberships', jsonb_build_array(jsonb_build_object(
      'user', tests.host('mia'), 'user_email', 'mia@example.com'))))])
$$;
select tests.begin('olga', 'scheduled');
select tests.bring('olga', tests.list_mia());
select tests.finish('olga');
select tests.reset_work();
select tests.pause('mia', 'manual'), tests.due('olga', '0');
update auth.users set banned_until = 'infinity' where id = tests.account_of('mia');
select is(tests.claimed(), 'olga',
  'where a banned member''s click is paused, the organization is claimed');
select is((tests.run_of('mia')).error ->> 'code', 'account_closed', 'the click is ended');
select tests.reset_work();

-- slots
select public.calendly_configure('{"max_workers": 2}');
select tests.due(name, waiting * interval '1 minute')
  from (values ('ana', 4), ('ben', 3), ('cleo', 2), ('dan', 1)) due (name, waiting);
select is(array[tests.claimed(), tests.claimed(), tests.claimed()], '{ana,ben,idle}',
  'no more runs are claimed than there are slots');
select tests.bring('ben', tests.page('{}'));
select tests.finish('ben');
select is(tests.claimed(), 'cleo', 'a run that ends frees a slot');
select tests.pass('2 minutes');
select is(calendly.running_workers(calendly.now()), 0, 'a lease that has ended frees a slot');
select tests.reset_work();
select tests.begin('ana'), tests.begin('ben');
select tests.due('cleo', '0');
select is(tests.claimed(), 'idle', 'clicks take slots as well');
select tests.reset_work();
select tests.due('ana', '2 minutes'), tests.due('ben', '1 minute');
select tests.claimed(), tests.claimed();
select calendly.end_run(o.run_id, 'complete', null) from calendly.active_runs o where o.slot = 1;
select tests.begin('cleo'), tests.due('dan', '0');
select is(tests.claimed(), 'idle', 'a click takes a slot, whichever of them are taken');
select tests.reset_work();
select public.calendly_configure('{"max_workers": 20}');

-- a worker's time and requests
select tests.due('ana', '0');
select is(tests.claim(spent_seconds => 50) ->> 'status', 'idle',
  'a worker whose time is used up gets nothing');
select is(tests.claim(spent_requests => 800) ->> 'status', 'idle',
  'a worker whose requests are used up gets nothing');
select is(tests.claim(spent_seconds => 49.5, spent_requests => 790) ->> 'status', 'started',
  'a worker with a little time and a few requests left gets a run');
select is((tests.state_of('ana')).worker_ends_at - calendly.now(), '0.5 seconds',
  'the run has what is left of the worker''s time');
select is((tests.state_of('ana')).worker_requests, 10,
  'the run has what is left of the worker''s requests');
select tests.pass('1 second');
select is(tests.bring('ana', tests.page(array[tests.event('E2')])) ->> 'do', 'stop',
  'the worker stops when its time is used up');
select is((tests.run_of('ana')).status, 'paused', 'its run is paused');
select is((tests.connection_of('ana')).next_sync_at, calendly.now(),
  'another worker may go on at once');
select is(tests.claim(spent_seconds => 51) ->> 'status', 'idle', 'the same worker may not');
select is(tests.claim() ->> 'run_id', (tests.run_of('ana')).id::text,
  'the next worker goes on with the run');
select tests.reset_work();

-- another project
select is((select p.url from calendly.project p), 'https://project.example.com',
  'the first claim tells where the project is');
select tests.due('ana', '1 hour');
select is(tests.claim(url => 'https://copy.example.com') ->> 'status', 'idle',
  'a worker under another address gets nothing');
select is(p.moved_to, 'https://copy.example.com', 'the other address is noted')
  from calendly.project p;
select is((select a.severity from public.calendly_alerts a where a.code = 'project_moved'),
  'critical', 'the other address is an alert');
select is(tests.code_of($$select public.calendly_begin_sync(jsonb_build_object(
    'user_id', tests.id_of('ana'), 'trigger', 'service',
    'project_url', 'https://copy.example.com'))$$), 'project_moved',
  'a click under another address is refused');
select is(public.calendly_confirm_project('https://copy.example.com'), 'https://copy.example.com',
  'a person may confirm that the project has moved');
select is((select count(*) from public.calendly_alerts a where a.code = 'project_moved'),
  0::bigint, 'confirming the address ends the alert');
select is(tests.claim(url => 'https://copy.example.com') ->> 'status', 'started',
  'a worker under the confirmed address gets a run');
select is(tests.claim() ->> 'status', 'idle', 'a worker under the former address gets nothing');
select is(tests.code_of($$select public.calendly_confirm_project('copy.example.com/functions')$$),
  'invalid_url', 'a text that is no address of a project cannot be confirmed');

select * from finish();
rollback;
