-- Dead deliveries that are replayed together: which ones, how many, and in the order of all locks.
begin;
select plan(16);
select calendly.set_clock('2026-06-01T12:00:00Z');
select tests.add_person('ana');
select tests.add_person('ben');
create function tests.die(
  event text, came_at timestamptz, changes jsonb default '{}', host text default 'ana'
) returns void language sql as $$
  insert into public.calendly_webhook_events
      (event_id, event_type, payload, user_id, created_at, status, attempts, error)
    values (die.event, 'invitee.created', jsonb_build_object('event', 'invitee.created',
        'payload', tests.invitee(die.event, 'ines')
          || jsonb_build_object('scheduled_event', tests.event(die.event, tests.hosted_by(host)))
          || changes),
      tests.id_of(host), came_at, 'dead', 6, '{"code": "x"}')
$$;
create function tests.statuses() returns text language sql as $$
  select string_agg(e.event_id || ' ' || e.status, ', ' order by e.event_id)
  from public.calendly_webhook_events e
$$;

select is(public.calendly_replay_dead(), 0, 'where nothing is dead nothing is replayed');
select tests.die('E1', '2026-05-01T12:00:00Z'), tests.die('E2', '2026-06-01T10:00:00Z'),
  tests.die('E3', '2026-06-01T11:00:00Z', host => 'ben'),
  tests.die('E4', '2026-06-01T11:00:00Z', '{"scheduled_event": {"uri": "x"}}'),
  tests.die('E5', '2026-06-01T11:00:00Z', '{"scheduled_event": null}');
update public.calendly_webhook_events set payload = payload || '{"event": "x"}'
  where event_id = 'E5';
insert into public.calendly_webhook_events (event_id, event_type, created_at, status)
  values ('I', 'x', '2026-06-01T11:00:00Z', 'ignored');

-- What is locked when a meeting is written, and what is still dead when a person is.
create temporary table seen (locked_events integer, still_dead integer);
create function tests.note_locked_events() returns trigger
language plpgsql security definer as $$
begin
  insert into seen (locked_events)
    select count(*) from unnest('{E2,E3}'::text[]) e
    join pg_catalog.pg_locks k on k.locktype = 'advisory' and k.pid = pg_backend_pid()
      and (k.classid::bigint << 32 | k.objid::bigint)
        = hashtextextended(tests.event_uri(e), 0);
  return new;
end
$$;
create function tests.note_still_dead() returns trigger
language plpgsql security definer as $$
begin
  insert into seen (still_dead)
    select count(*) from public.calendly_webhook_events e
    where e.status = 'dead' and e.event_id <> 'E1';
  return new;
end
$$;
create trigger note_locked_events before insert on public.calendly_meetings
  for each row execute function tests.note_locked_events();
create trigger note_still_dead before update on public.calendly_users
  for each row execute function tests.note_still_dead();

select is(public.calendly_replay_dead('2026-06-01T10:00:00Z'), 4,
  'what is dead and came since then is replayed, and counted');
select is(tests.statuses(),
  'E1 dead, E2 processed, E3 processed, E4 deferred, E5 ignored, I ignored',
  'each becomes what it would have become when it came; older ones are left');
select is((select array_agg(substring(m.calendly_event_uri from '[^/]+$') order by m.id)
  from public.calendly_meetings m), '{E2,E3}', 'their meetings are written');
select is((select count(*) from public.calendly_users u
    where u.last_calendly_sync = calendly.now()),
  2::bigint, 'what follows from a delivery follows from each of them');
select is((select row(e.attempts, e.error, e.processed_at)::text
    from public.calendly_webhook_events e where e.event_id = 'E2'),
  row(1, null::jsonb, calendly.now())::text, 'a replayed delivery is as if it had just come');
select is((select c.next_sync_at from tests.connection_of('ana') c), calendly.now(),
  'what is deferred again makes its connection due');
select is((select min(locked_events) from seen), 2,
  'all events are locked before the first meeting is written');
select is((select max(still_dead) from seen), 0,
  'all meetings are written before the first person is');
select is((select calendly_webhook_enabled from public.calendly_users
    where id = tests.id_of('ana')), false, 'a replay does not prove that webhooks arrive');
select is(public.calendly_replay_dead('2026-06-01T10:00:00Z'), 0,
  'what is deferred is not replayed again');
select is(public.calendly_replay_dead(), 1, 'without a time all that is dead is replayed');
select is(public.calendly_replay_dead(), 0, 'until nothing is left');

-- very many
select tests.die('F' || n, '2026-06-01T11:00:00Z') from generate_series(1, 101) n;
select is(public.calendly_replay_dead(), 100, 'one call replays a hundred');
select is(public.calendly_replay_dead(), 1, 'the next one the rest');
select is((select count(*) from public.calendly_webhook_events e where e.status = 'dead'),
  0::bigint, 'then nothing is dead');

select * from finish();
rollback;
