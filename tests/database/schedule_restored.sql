-- A database that was restored to an earlier time: its schedule notices, and everybody is synced anew
-- by a FULL sync. A restart, missed ticks and a failover change nothing.
begin;
select plan(36);
select calendly.set_clock('2026-06-01T12:00:00Z');
select tests.add_person(name) from unnest('{ana,ben,cleo,dan,eve}'::text[]) name;
update calendly.project set url = 'https://project.example.com';
-- Cleo is banned, Dan must reconnect, Eve is disconnected.
update public.calendly_users set calendly_initial_sync_complete = true;
create function tests.reset() returns void language sql as $$
  update public.calendly_connections
    set last_full_sync_at = calendly.now() - interval '1 day',
      webhooks_checked_at = calendly.now() - interval '1 hour',
      next_sync_at = case when user_id not in (
        tests.id_of('cleo'), tests.id_of('dan'), tests.id_of('eve'))
        then calendly.now() + interval '6 hours' end;
  select calendly.nudge()
$$;
create function tests.everybody() returns text language sql as $$
  select string_agg(u.name || case when c.next_sync_at <= calendly.now() then ' due' else '' end
    || case when c.last_full_sync_at is null then ' FULL' else '' end, ', ' order by u.name)
  from public.calendly_connections c join public.calendly_users u on u.id = c.user_id
$$;
create function tests.restored_at() returns timestamptz language sql as $$
  select (public.calendly_schedule() ->> 'restored_at')::timestamptz
$$;
-- what the rows remember is another Postgres than this one
create function tests.another_timeline() returns void language sql as $$
  update calendly.project set cluster = regexp_replace(cluster, '/[0-9A-F]{8}/', '/00000007/')
$$;
create function tests.another_server() returns void language sql as $$
  update calendly.project set cluster = '1' || cluster
$$;
create function tests.another_table() returns void language sql as $$
  update calendly.project set cluster = cluster || '1'
$$;
create function tests.another_start() returns void language sql as $$
  update calendly.project set postgres_started_at = postgres_started_at - interval '3 days'
$$;
update auth.users set banned_until = 'infinity' where id = tests.account_of('cleo');
update public.calendly_connections set state = 'reconnect_required'
  where user_id = tests.id_of('dan');
select public.calendly_disconnect(tests.account('eve'));
delete from calendly.pending_revocations;

select calendly.nudge();
select is((select p.cluster from calendly.project p), calendly.cluster_identity(),
  'the first tick notes which Postgres it runs on');
select ok(calendly.cluster_identity() ~ '^\d+/[0-9A-F]{8}/\d+$',
  'by its identifier, its timeline and the id of a table');
select is(tests.restored_at(), null, 'which is no restore');
set local role postgres;
select isnt(calendly.cluster_identity(), null, 'the owner needs no right of a superuser for it');
reset role;

-- what is no restore
create function tests.untouched() returns text language sql immutable as $$
  select 'Ana, Ben, Cleo, Dan, Eve'
$$;
select tests.reset();
select tests.pass('59 minutes'), tests.another_start(), calendly.nudge();
select is(tests.everybody(), tests.untouched(), 'a restart with less than an hour of silence changes nothing');
select is((select p.postgres_started_at from calendly.project p), pg_postmaster_start_time(),
  'the restart is noted');
select tests.reset();
select tests.pass('1 hour'), calendly.nudge();
select is(tests.everybody(), tests.untouched(), 'nor do missed ticks without a restart');
select tests.reset();
select tests.pass('4 minutes'), tests.another_timeline(), calendly.nudge();
select is(tests.everybody(), tests.untouched(), 'nor does a failover within minutes');
select is((select p.cluster from calendly.project p), calendly.cluster_identity(),
  'the failover is noted');
select tests.pass('4 minutes'), calendly.nudge();
select is(tests.everybody(), tests.untouched(), 'nor does the tick after it');
select is(tests.restored_at(), null, 'none of these is shown as a restore');

-- what is one
create function tests.all_anew() returns text language sql immutable as $$
  select 'Ana due FULL, Ben due FULL, Cleo, Dan, Eve'
$$;
select tests.reset();
select tests.pass('5 minutes'), tests.another_timeline(), calendly.nudge();
select is(tests.everybody(), tests.all_anew(),
  'after a recovery everybody who is scheduled is due, with a FULL sync');
select is(tests.restored_at(), calendly.now(), 'calendly_schedule shows when it was noticed');
select tests.reset();
select tests.pass('5 minutes'), tests.another_server(), calendly.nudge();
select is(tests.everybody(), tests.all_anew(), 'the same after a dump was restored on another server');
select tests.reset();
select tests.pass('5 minutes'), tests.another_table(), calendly.nudge();
select is(tests.everybody(), tests.all_anew(), 'or on the same server');
select tests.reset();
select tests.pass('1 hour'), tests.another_start(), calendly.nudge();
select is(tests.everybody(), tests.all_anew(),
  'or where Postgres has started in an hour of silence: from a copy of the disk, or after a pause');
select is((select count(*) from public.calendly_connections c
    where c.state = 'active' and c.next_sync_at is not null and c.webhooks_checked_at is not null),
  0::bigint, 'subscriptions are compared with Calendly''s');
select tests.pass('1 minute'), calendly.nudge();
select is(tests.restored_at(), calendly.now() - interval '1 minute', 'it is noticed once');

-- what follows
select tests.reset();
select tests.pass('5 minutes'), tests.another_timeline();
select public.calendly_configure('{"max_workers": 1}');
select is(calendly.nudge(), 1, 'max_workers spreads the syncs');
create temporary table begun on commit drop as
  select public.calendly_claim_sync('{"project_url": "https://project.example.com"}') as answer;
select is(answer ->> 'sync_type', 'FULL', 'the schedule begins a FULL sync') from begun;
select is(answer ->> 'review_webhooks', 'false', 'without webhooks there is nothing to compare')
  from begun;
select tests.bring(name, tests.page('{}')), tests.finish(name)
  from begun, lateral (
    select lower(u.name) as name from public.calendly_users u
    where u.id = (answer ->> 'user_id')::integer) claimed;
select is(tests.everybody() ~ '^(Ana, Ben due FULL|Ana due FULL, Ben), Cleo, Dan, Eve$', true,
  'who is synced is done');

-- a paused run goes on, and the FULL sync follows it
select tests.pass('1 minute');
select tests.reset();
select calendly.end_runs(c.id, '{}') from public.calendly_connections c;
select tests.begin('ana');
select tests.bring('ana', '{"interruption": {"kind": "rate_limited", "retry_after": 60}}');
select is((tests.run_of('ana')).status, 'paused', 'an INCREMENTAL run was paused at the restore point');
select tests.pass('10 minutes'), tests.another_timeline(), calendly.nudge();
select is((tests.connection_of('ana')).next_sync_at, calendly.now(), 'it goes on at once');
select tests.begin('ana', 'scheduled');
select tests.bring('ana', tests.page('{}')), tests.finish('ana');
select is((tests.run_of('ana')).sync_type, 'INCREMENTAL', 'as what it was');
select is((tests.connection_of('ana')).next_sync_at, calendly.now(), 'then a FULL one is due at once');
select is(tests.begin('ana', 'scheduled') ->> 'sync_type', 'FULL', 'and begins');
select calendly.end_runs((tests.connection_of('ana')).id, '{}');

-- a paused FULL run lists from before the gap: it goes on, and does not count
select tests.pass('1 minute');
select tests.reset();
select tests.begin('ana', 'scheduled', forced => true);
select tests.bring('ana', '{"interruption": {"kind": "rate_limited", "retry_after": 60}}');
select tests.pass('10 minutes'), tests.another_timeline(), calendly.nudge();
select tests.begin('ana', 'scheduled');
select tests.bring('ana', tests.page('{}')), tests.finish('ana');
select is((tests.run_of('ana')).sync_type || ' ' || (tests.run_of('ana')).status, 'FULL complete',
  'a FULL run that was paused at the restore point ends complete');
select tests.pass('1 second');
select is(tests.begin('ana', 'scheduled') ->> 'sync_type', 'FULL', 'and a FULL one follows it');
select tests.bring('ana', tests.page('{}')), tests.finish('ana');
select ok((tests.connection_of('ana')).next_sync_at > calendly.now()
    and (tests.connection_of('ana')).last_full_sync_at = calendly.now(), 'which is the last');

-- a refresh token that was used after the point of restore
select tests.reset();
update calendly.credentials set kind = 'oauth', expires_at = calendly.now() - interval '1 minute'
  where connection_id = (tests.connection_of('ben')).id;
select tests.pass('5 minutes'), tests.another_timeline(), calendly.nudge();
select is(tests.begin('ben', 'scheduled') #>> '{credential,expires_soon}', 'true',
  'a token that has expired since is refreshed first');
select is(public.calendly_begin_refresh(k.connection_id, k.version) ->> 'status', 'refresh',
  'by one worker')
  from calendly.credentials k where k.connection_id = (tests.connection_of('ben')).id;
select public.calendly_fail_refresh(k.connection_id, k.version,
    '{"code": "reconnect_required", "message": "Calendly no longer knows the refresh token."}')
  from calendly.credentials k where k.connection_id = (tests.connection_of('ben')).id;
select is((tests.connection_of('ben')).state, 'reconnect_required',
  'where Calendly refuses it, the person is asked to reconnect');
select is((select count(*) from public.calendly_alerts a
    where a.code = 'reconnect_required' and a.user_id = tests.id_of('ben')), 1::bigint,
  'which is an alert');

-- without the functions that tell
create role owner_without_rights;
grant usage on schema calendly to owner_without_rights;
grant execute on function calendly.cluster_identity() to owner_without_rights;
revoke execute on function pg_control_system() from public;
set local role owner_without_rights;
select is(calendly.cluster_identity(), 'calendly.project'::regclass::oid::text,
  'where Postgres does not tell its identifier, the id of the table is left');
reset role;
select throws_ok($$set local role service_role; select calendly.notice_restore(now())$$, '42501',
  null, 'no API role can make everybody due');
reset role;

select * from finish();
rollback;
