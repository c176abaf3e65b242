-- Who is synced next: whoever has been due longest, a person's click before the schedule before a backfill,
-- nobody twice, never more at once than there are places.
begin;
select plan(49);
select calendly.set_clock('2026-06-01T12:00:00Z');
select tests.add_person(name) from unnest('{ana,ben,cleo,dan}'::text[]) name;
update public.users set calendly_initial_sync_complete = true;

create function tests.claim(spent_seconds numeric default 0, spent_requests integer default 0, url text default 'https://project.example.com') returns jsonb language sql as $$
  select public.calendly_claim_sync(jsonb_build_object('project_url', url, 'spent_seconds', spent_seconds, 'spent_requests', spent_requests))
$$;
create function tests.claimed() returns text language sql as $$
  select coalesce((select split_part(u.email, '@', 1) from public.users u where u.id = (c.claim ->> 'user_id')::integer), c.claim ->> 'status')
  from tests.claim() c (claim)
$$;
create function tests.due(name text, ago interval) returns void language sql as $$
  update public.calendly_connections set next_sync_at = calendly.now() - ago where user_id = tests.id_of(name)
$$;
-- a person's run that was put down, to go on now
create function tests.put_down(name text, trigger text) returns void language sql as $$
  select tests.begin(name, put_down.trigger);
  select calendly.pause((tests.run_of(name)).id, calendly.now(), null);
$$;
create function tests.nobody() returns void language sql as $$
  select calendly.end_runs(c.id, '{}') from public.calendly_connections c;
  update public.calendly_connections set next_sync_at = 'infinity';
  update public.users set calendly_initial_sync_complete = true;
$$;

-- due or not
select is(tests.claimed(), 'idle', 'while nobody is due there is nothing to do');
select tests.due('ana', '-1 second');
select is(tests.claimed(), 'idle', 'a second before it is due, a connection is not claimed');
select tests.due('ana', '0');
select is(tests.claimed(), 'ana', 'when it is due, it is');
select is((tests.run_of('ana')).trigger, 'scheduled', 'its run is the schedule''s');
select ok((tests.state_of('ana')).lease is not null, 'under a lease');
select is(tests.claimed(), 'idle', 'and nobody else gets it');
select is((tests.connection_of('ana')).next_sync_at, '2026-06-01T12:02:00Z', 'unless its instance is not heard of for the length of a lease');
select tests.pass('40 seconds');
select tests.bring('ana', tests.page(array[tests.event('E1', tests.seats(0, 0))], 'page 2'));
select tests.pass('119 seconds');
select is(tests.claimed(), 'idle', 'every answer is a sign of life');
select tests.pass('1 second');
create temporary table taken as select tests.claim() as claim;
select is(claim ->> 'run_id', (tests.run_of('ana')).id::text, 'a dead run is taken over by the schedule') from taken;
select is(claim #>> '{next,query,page_token}', 'page 2', 'where it stopped') from taken;
select is((tests.run_of('ana')).requests, 1, 'with what it had spent');
select is((select count(*) from public.calendly_sync_runs r where r.user_id = tests.id_of('ana')), 1::bigint, 'as the one run that it is');
select tests.bring('ana', tests.page('{}'));
select is(tests.finish('ana') #>> '{result,status}', 'complete', 'and ended');
select tests.nobody();

-- who first
select tests.due('ana', '1 minute'), tests.due('ben', '3 minutes'), tests.due('cleo', '2 minutes');
select is(array[tests.claimed(), tests.claimed(), tests.claimed(), tests.claimed()], '{ben,cleo,ana,idle}', 'whoever has been due longest is first');
select tests.nobody();
select tests.due('ana', '10 minutes'), tests.put_down('ben', 'manual');
select is(array[tests.claimed(), tests.claimed()], '{ben,ana}', 'what a person asked for goes before the schedule');
select tests.nobody();
select tests.due('ana', '10 minutes'), tests.put_down('ben', 'service');
select is(array[tests.claimed(), tests.claimed()], '{ben,ana}', 'whether by a click or by a server');
select tests.nobody();
select tests.due('ana', '61 minutes'), tests.put_down('ben', 'manual');
select is(array[tests.claimed(), tests.claimed()], '{ana,ben}', 'but it does not make anybody wait for more than an hour');
select tests.nobody();
update public.users set calendly_initial_sync_complete = false where id = tests.id_of('ana');
select tests.due('ana', '10 minutes'), tests.due('ben', '0');
select is(array[tests.claimed(), tests.claimed()], '{ben,ana}', 'a first sync, which is long, lets the others go first');
select is((tests.run_of('ana')).sync_type, 'FULL', 'it is FULL');
select tests.nobody();
update public.users set calendly_initial_sync_complete = false where id = tests.id_of('ana');
select tests.due('ana', '16 minutes'), tests.due('ben', '0');
select is(array[tests.claimed(), tests.claimed()], '{ana,ben}', 'for a quarter of an hour, not for ever');
select tests.nobody();
update public.users set calendly_initial_sync_complete = false where id = tests.id_of('ana');
select tests.put_down('ana', 'connect'), tests.due('ben', '0');
select is(array[tests.claimed(), tests.claimed()], '{ben,ana}', 'so does one that was put down and goes on');
select tests.nobody();

-- who never
select tests.due(name, '1 hour') from unnest('{ana,ben,cleo}'::text[]) name;
update public.calendly_connections set state = 'reconnect_required' where user_id = tests.id_of('ana');
select public.calendly_disconnect(tests.account_of('ben'));
update public.calendly_connections set next_sync_at = calendly.now() where user_id = tests.id_of('ben');
update public.calendly_connections set next_sync_at = null where user_id = tests.id_of('cleo');
select is(tests.claimed(), 'idle', 'who must reconnect, has disconnected or is never due is not claimed');
update public.calendly_connections set state = 'active' where user_id = tests.id_of('ana');
select tests.connect('ben');
select tests.nobody();
select tests.begin('ana', 'scheduled');
select calendly.pause((tests.run_of('ana')).id, calendly.now() + interval '40 seconds', '{"code": "rate_limited"}');
select is(tests.claimed(), 'idle', 'a paused run is left alone until it may go on');
select tests.pass('40 seconds');
select is(tests.claimed(), 'ana', 'and then goes on');
select is((tests.run_of('ana')).status, 'running', 'as itself');
select tests.nobody();

-- room
select public.calendly_configure('{"instances": 2}');
-- who is due at the same moment is claimed in any order
select tests.due(name, waiting * interval '1 minute') from (values ('ana', 4), ('ben', 3), ('cleo', 2), ('dan', 1)) due (name, waiting);
select is(array[tests.claimed(), tests.claimed(), tests.claimed()], '{ana,ben,idle}', 'no more instances work than there are places');
select tests.bring('ben', tests.page('{}'));
select tests.finish('ben');
select is(tests.claimed(), 'cleo', 'a run that ends makes room');
select tests.pass('2 minutes');
select is(calendly.running_instances(), 0::bigint, 'and so does an instance that died');
select tests.nobody();
select tests.begin('ana'), tests.begin('ben');
select tests.due('cleo', '0');
select is(tests.claimed(), 'idle', 'clicks take places as well');
select tests.nobody();
select public.calendly_configure('{"instances": 20}');

-- an instance ends
select tests.due('ana', '0');
select is(tests.claim(spent_seconds => 50) ->> 'status', 'idle', 'an instance whose time is up gets no more work');
select is(tests.claim(spent_requests => 800) ->> 'status', 'idle', 'nor one whose requests are spent');
select is(tests.claim(spent_seconds => 49.5, spent_requests => 790) ->> 'status', 'started', 'one with a little left does');
select is((tests.state_of('ana')).instance_ends_at - calendly.now(), '0.5 seconds', 'with what is left of its time');
select is((tests.state_of('ana')).instance_requests, 10, 'and of its requests');
select tests.pass('1 second');
select is(tests.bring('ana', tests.page(array[tests.event('E2')])) ->> 'do', 'stop', 'then it stops');
select is((tests.run_of('ana')).status, 'paused', 'and puts its run down');
select is((tests.connection_of('ana')).next_sync_at, calendly.now(), 'for another instance to take up at once');
select is(tests.claim(spent_seconds => 51) ->> 'status', 'idle', 'which is not itself');
select is(tests.claim() ->> 'run_id', (tests.run_of('ana')).id::text, 'but the next one');
select tests.nobody();

-- another project
select is((select p.url from calendly.project p), 'https://project.example.com', 'the first function to claim told where the project is');
select tests.due('ana', '1 hour');
select is(tests.claim(url => 'https://copy.example.com') ->> 'status', 'idle', 'a function of a copy of the project gets nothing to do');
select is(p.moved_to, 'https://copy.example.com', 'and is remembered') from calendly.project p;
select is((select a.severity from public.calendly_alerts a where a.code = 'project_moved'), 'critical', 'which is an alert');
select is(tests.code_of($$select public.calendly_begin_sync(jsonb_build_object('user_id', tests.id_of('ana'), 'trigger', 'service', 'project_url', 'https://copy.example.com'))$$), 'project_moved', 'a click there is refused');
select is(public.calendly_confirm_project('https://copy.example.com'), 'https://copy.example.com', 'somebody may confirm that the project has moved');
select is((select count(*) from public.calendly_alerts a where a.code = 'project_moved'), 0::bigint, 'then the alert is gone');
select is(tests.claim(url => 'https://copy.example.com') ->> 'status', 'started', 'and work goes on there');
select is(tests.claim() ->> 'status', 'idle', 'and no longer at the old place');
select is(tests.code_of($$select public.calendly_confirm_project('copy.example.com/functions')$$), 'invalid_url', 'what is no address of a project cannot be confirmed');

select * from finish();
rollback;
