-- Whoever writes holds off erasures, whoever erases waits for all writers, and a statement that
-- people type waits until no rule has people locked: steps 1 and 6 of the order in 060_locks.
begin;
select plan(27);
select calendly.set_clock('2026-06-01T12:00:00Z');

-- Rows by hand: connecting would take the locks that are looked for here.
insert into public.calendly_users (id, calendly_user_uri, calendly_initial_sync_complete)
  values (1, tests.host('ana'), true);
insert into public.calendly_connections (id, user_id, calendly_user_uri, next_sync_at, connected_at,
    created_at, updated_at)
  select '00000000-0000-4000-8000-000000000001', 1, tests.host('ana'), now_at, now_at, now_at,
    now_at
  from calendly.now() now_at;
insert into calendly.credentials (connection_id, kind, token_jwe, version, updated_at)
  values ('00000000-0000-4000-8000-000000000001', 'oauth', 'ciphertext', 1, calendly.now());
update public.calendly_users set connection_id = '00000000-0000-4000-8000-000000000001';

create function tests.locks_of(variadic statements text[]) returns text
language plpgsql as $$
declare
  statement text;
  held text;
begin
  begin
    foreach statement in array statements loop
      execute statement;
    end loop;
    select string_agg(n.name || case l.mode when 'ShareLock' then ' shared' else ' exclusive' end,
        ', ' order by n.name, l.mode) into held
      from (values ('erasure'), ('people')) n (name)
      join pg_catalog.pg_locks l
        on l.locktype = 'advisory' and l.pid = pg_backend_pid()
        and (l.classid::bigint << 32 | l.objid::bigint)
          = hashtextextended('calendly.' || n.name, 0);
    raise exception using errcode = 'T0001', message = 'rolled back';
  exception when sqlstate 'T0001' then
    null;
  end;
  return coalesce(held, 'none');
end
$$;
comment on function tests.locks_of(text[]) is
  'The advisory locks that these statements take. They are rolled back, and their locks with them.';

create function tests.make_run(phase text) returns void
language sql as $$
  with run as (
    insert into public.calendly_sync_runs (connection_id, user_id, subject, trigger, sync_type,
        min_start_time, max_start_time, started_at, heartbeat_at)
      select '00000000-0000-4000-8000-000000000001', 1, tests.host('ana'), 'manual', 'FULL',
        now_at - interval '730 days', now_at + interval '365 days', now_at, now_at
      from calendly.now() now_at
      returning id, min_start_time
  )
  insert into calendly.active_runs (run_id, user_ids, refetch_all, lease, lease_expires_at,
      worker_ends_at, worker_requests, phase, list_after)
    select r.id, '{1}', false, gen_random_uuid(), calendly.now() + interval '2 minutes',
      calendly.now() + interval '50 seconds', 800, make_run.phase, r.min_start_time
    from run r
$$;

create function tests.delivery() returns jsonb
language sql as $$
  select jsonb_build_object('event', 'invitee.created',
    'created_at', calendly.to_calendly(calendly.now()),
    'payload', tests.invitee('E1', 'ines')
      || jsonb_build_object('scheduled_event', tests.event('E1')))
$$;

select is(tests.locks_of('select 1'), 'none', 'nothing is locked at first');

-- syncs
select is(tests.locks_of($$select tests.begin('ana')$$), 'erasure shared',
  'a sync that begins holds off erasures');
select is(tests.locks_of(
    $$select public.calendly_claim_sync('{"project_url": "https://x.example"}')$$),
  'erasure shared', 'a claim holds off erasures, and no other claim');
select is(tests.locks_of($$select tests.make_run('list_events')$$,
    $$select tests.bring('ana', tests.page(array[tests.event('E1')]))$$), 'erasure shared',
  'a page that is applied holds off erasures');
select is(tests.locks_of($$select tests.make_run('fetch_events')$$,
    $$select tests.bring('ana',
      jsonb_build_object('events', jsonb_build_array(tests.read_of('E1', 404))))$$),
  'erasure shared', 'fetched events that are applied hold off erasures');
select is(tests.locks_of($$select tests.make_run('fetch_invitees')$$,
    $$select tests.bring('ana', jsonb_build_object('invitees',
      jsonb_build_array(tests.invitees_of('E1', tests.invitee('E1', 'ines')))))$$),
  'erasure shared', 'invitees that are applied hold off erasures');
select is(tests.locks_of($$select tests.make_run('finish')$$, $$select tests.finish('ana')$$),
  'erasure shared, people shared',
  'a sync that ends holds off erasures and typed statements about people');
select is(tests.locks_of($$select tests.make_run('list_events')$$,
    $$select tests.fail('ana', '{"code": "internal"}')$$), 'erasure shared',
  'a sync that fails holds off erasures');
select is(tests.locks_of(
    $$select public.calendly_finish_refresh(
      '00000000-0000-4000-8000-000000000001', 1, 'other', 7200)$$),
  'erasure shared', 'a refreshed token that is stored holds off erasures');
select is(tests.locks_of(
    $$select public.calendly_fail_refresh('00000000-0000-4000-8000-000000000001', 1,
      '{"code": "reconnect_required"}')$$),
  'erasure shared', 'a token that is refused holds off erasures');

-- subscriptions
create function tests.make_subscription() returns void
language sql as $$
  insert into calendly.webhook_subscriptions (id, connection_id, created_at)
    values ('00000000-0000-4000-8000-000000000002', '00000000-0000-4000-8000-000000000001',
      calendly.now());
  update public.calendly_connections set webhooks_wanted = true;
$$;
select is(tests.locks_of($$select public.calendly_begin_subscription('{"user_id": 1}')$$),
  'erasure shared', 'a subscription that is to be made holds off erasures');
select is(tests.locks_of('select tests.make_subscription()',
    $$select public.calendly_keep_subscription('00000000-0000-4000-8000-000000000002', 'x', 'k')$$),
  'erasure shared, people shared',
  'one that is made holds off erasures and typed statements about people');
select is(tests.locks_of('select tests.make_subscription()',
    $$select public.calendly_abandon_subscription('00000000-0000-4000-8000-000000000002',
      '{"code": "internal"}')$$),
  'erasure shared', 'one that could not be made holds off erasures');
select is(tests.locks_of('select tests.make_subscription()',
    'update public.calendly_users set calendly_webhook_enabled = true',
    $$select public.calendly_review_subscriptions(
      '00000000-0000-4000-8000-000000000001', '[]', 'k')$$),
  'erasure shared, people shared',
  'one that Calendly has lost holds off erasures and typed statements about people');
select is(tests.locks_of('update public.calendly_users set calendly_webhook_enabled = true',
    $$select public.calendly_disable_webhooks('{"user_id": 1}')$$),
  'erasure shared, people shared',
  'one that is switched off holds off erasures and typed statements about people');

-- deliveries
select is(tests.locks_of($$select public.calendly_receive_webhook(jsonb_build_object(
    'signed_at', extract(epoch from calendly.now()), 'digest', 'x', 'body', tests.delivery()))$$),
  'erasure shared, people shared',
  'a delivery holds off erasures and typed statements about people');
select is(tests.locks_of(
    $$insert into public.calendly_webhook_events (event_id, event_type, payload, created_at, status)
      values ('x', 'invitee.created', tests.delivery(), calendly.now(), 'dead')$$,
    $$select public.calendly_replay_webhook_event(e.id) from public.calendly_webhook_events e$$),
  'erasure shared, people shared', 'so does a replay');
select is(tests.locks_of(
    $$insert into public.calendly_webhook_events (event_id, event_type, payload, created_at, status)
      values ('x', 'invitee.created', tests.delivery(), calendly.now(), 'dead')$$,
    $$select public.calendly_replay_dead()$$),
  'erasure shared, people shared', 'so does a replay of what is dead');

-- retention
select is(tests.locks_of('select public.clean_old_webhook_events()'), 'erasure shared',
  'cleaning webhook events holds off erasures');
select is(tests.locks_of('select calendly.clean_old_runs()'), 'erasure shared',
  'cleaning runs holds off erasures');

-- connections and accounts
select is(tests.locks_of($$select public.calendly_disconnect('{"user_id": 1}')$$),
  'erasure shared, people shared', 'a disconnect that keeps the meetings holds off erasures');
select matches(tests.locks_of(
    $$select public.calendly_disconnect('{"user_id": 1, "erase": true}')$$),
  'erasure exclusive', 'a disconnect that erases waits for everybody who writes');
select matches(tests.locks_of($$select tests.connect('ana')$$), 'erasure exclusive',
  'connecting waits for everybody who writes, because a former row may have to go');
select matches(tests.locks_of(
    $$select public.calendly_erase_invitee('ines@guest.example.com')$$),
  'erasure exclusive', 'erasing an invitee waits for everybody who writes');
select is(tests.locks_of('select calendly.end_closed_accounts()'), 'erasure shared',
  'the job that finds no ended account waits for nobody');

-- statements that people type
select is(tests.locks_of('update public.calendly_users set calendly_initial_sync_complete = false'),
  'people exclusive',
  'clearing the flag of any number of people waits until nobody has people locked');
select matches(
  tests.locks_of('delete from public.calendly_users'), 'erasure exclusive, people exclusive',
  'deleting people waits for everybody');

select * from finish();
rollback;
