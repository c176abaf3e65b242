-- A lost subscription: while there is none, the schedule brings the changes. Once there is one
-- again, a FULL sync brings what lay outside the range of the schedule. Each happens once.
begin;
select plan(10);
select calendly.set_clock('2026-06-01T12:00:00Z');
update calendly.settings set schedule_jitter = 0;
create function begin_subscription() returns uuid language sql as $$
  select (public.calendly_begin_subscription(tests.account('ana')) ->> 'id')::uuid
$$;
create function keep(id uuid, name text) returns jsonb language sql as $$
  select public.calendly_keep_subscription(
    id, 'https://api.calendly.com/webhook_subscriptions/' || name, 'key')
$$;
create function sync_by_schedule() returns text language plpgsql as $$
begin
  perform tests.pass('15 minutes');
  perform tests.begin('ana', 'scheduled');
  -- each sync reviews the subscription, and Calendly does not answer when one is to be made
  if public.calendly_review_subscriptions((tests.connection_of('ana')).id, '[]', 'key')
      ->> 'make' = 'true' then
    perform public.calendly_abandon_subscription(
      begin_subscription(), '{"code": "calendly_unavailable", "message": "no answer"}');
  end if;
  perform tests.bring('ana', tests.page('{}'));
  perform tests.finish('ana');
  return (tests.run_of('ana')).sync_type;
end
$$;
comment on function sync_by_schedule() is 'A scheduled sync that finds no subscription.';
create function alerts_of_users() returns text language sql as $$
  select string_agg(a.code, ', ' order by a.code)
  from public.calendly_alerts a where a.user_id is not null
$$;
select tests.add_person('ana');
select tests.sync('ana', '{}', trigger => 'scheduled');
select keep(begin_subscription(), 'W1');
select tests.pass('1 day');

select is(sync_by_schedule(), 'INCREMENTAL',
  'the sync that finds the subscription lost stays INCREMENTAL');
select is((tests.connection_of('ana')).next_sync_at, calendly.now(),
  'another sync is due at once');
select is(sync_by_schedule(), 'FULL', 'that sync is FULL');
select is(sync_by_schedule(), 'INCREMENTAL',
  'the next one is INCREMENTAL, although the subscription still cannot be made');
select is(sync_by_schedule(), 'INCREMENTAL', 'so is the one after it');
select keep(begin_subscription(), 'W2');
select is((public.calendly_begin_sync(jsonb_build_object(
    'user_id', tests.id_of('ana'), 'trigger', 'scheduled')) ->> 'sync_type'), 'FULL',
  'the first sync with a new subscription is FULL');
select tests.bring('ana', tests.page('{}')), tests.finish('ana');

-- switched off
select tests.pass('5 hours');
select public.calendly_disable_webhooks(tests.account('ana'));
select is(alerts_of_users(), null,
  'a user whose webhooks were just disabled is not stale before the next regular sync');
select tests.pass('21 minutes');
select is(alerts_of_users(), 'stale', 'the user is stale when that sync is late');

-- a person whose row is deleted while a worker compares
select is(tests.code_of($$select public.calendly_subscription_query(gen_random_uuid(), 'O')$$),
  'not_connected', 'a connection that is gone has no subscriptions to ask for');
select is(tests.code_of(
  $$select public.calendly_review_subscriptions(gen_random_uuid(), '[]', 'key')$$),
  'not_connected', 'nor any to compare');

select * from finish();
rollback;
