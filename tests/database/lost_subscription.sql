-- While a subscription is lost the schedule brings what happens; once there is one again, a FULL sync
-- brings what the schedule may have missed. Each of that once.
begin;
select plan(8);
select calendly.set_clock('2026-06-01T12:00:00Z');
update calendly.settings set schedule_jitter = 0;
create function begin_subscription() returns uuid language sql as $$
  select (public.calendly_begin_subscription(jsonb_build_object('auth_user_id', tests.account_of('ana'))) ->> 'id')::uuid
$$;
create function keep(id uuid, name text) returns jsonb language sql as $$
  select public.calendly_keep_subscription(id, 'https://api.calendly.com/webhook_subscriptions/' || name, 'key')
$$;
create function sync_type() returns text language plpgsql as $$
begin
  perform tests.pass('15 minutes');
  perform tests.begin('ana', 'scheduled');
  -- each sync looks, and Calendly does not answer when one is to be made
  if public.calendly_review_subscriptions((tests.connection_of('ana')).id, '[]', 'key') ->> 'make' = 'true' then
    perform public.calendly_abandon_subscription(begin_subscription(), '{"code": "calendly_unavailable", "message": "no answer"}');
  end if;
  perform tests.bring('ana', tests.page('{}'));
  perform tests.finish('ana');
  return (tests.run_of('ana')).sync_type;
end
$$;
select tests.add_person('ana');
select tests.sync('ana', '{}', trigger => 'scheduled');
select keep(begin_subscription(), 'W1');
select tests.pass('1 day');

select is(sync_type(), 'INCREMENTAL', 'the sync that finds the subscription lost goes on as it began');
select is((tests.connection_of('ana')).next_sync_at, calendly.now(), 'and another one follows at once');
select is(sync_type(), 'FULL', 'for all that happened meanwhile');
select is(sync_type(), 'INCREMENTAL', 'a subscription that cannot be made yet makes no sync dearer');
select is(sync_type(), 'INCREMENTAL', 'however often');
select keep(begin_subscription(), 'W2');
select is((public.calendly_begin_sync(jsonb_build_object('user_id', tests.id_of('ana'), 'trigger', 'scheduled')) ->> 'sync_type'), 'FULL', 'when there is one again, what lay outside the small window is brought');
select tests.bring('ana', tests.page('{}')), tests.finish('ana');

-- switched off
select tests.pass('5 hours');
select public.calendly_disable_webhooks(tests.account_of('ana'), null);
select is((select string_agg(a.code, ', ') from public.calendly_alerts a where a.user_id is not null), null, 'whose webhooks are switched off is not late before the next turn');
select tests.pass('21 minutes');
select is((select string_agg(a.code, ', ' order by a.code) from public.calendly_alerts a where a.user_id is not null), 'stale', 'but after it');

select * from finish();
rollback;
