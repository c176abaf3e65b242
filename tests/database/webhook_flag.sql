-- calendly_webhook_enabled makes syncs rare, so it is true only for whom webhooks really come.
begin;
select plan(16);
select calendly.set_clock('2026-06-01T12:00:00Z');
update calendly.settings set schedule_jitter = 0;

create function subscribe(name text) returns uuid language plpgsql as $$
declare
  id constant uuid := public.calendly_begin_subscription(jsonb_build_object('auth_user_id', tests.account_of(name))) ->> 'id';
begin
  perform public.calendly_keep_subscription(id, 'https://api.calendly.com/webhook_subscriptions/' || name, 'key');
  return id;
end
$$;
create function deliver(event text, hosts text[], created_by text, subscription uuid default null) returns text language sql as $$
  select public.calendly_receive_webhook(jsonb_build_object('signed_at', extract(epoch from calendly.now()), 'digest', md5(event), 'subscription_id', subscription,
    'body', jsonb_build_object('event', 'invitee.created', 'created_at', calendly.to_calendly(calendly.now()), 'created_by', tests.host(created_by),
      'payload', tests.invitee(event, 'ada') || jsonb_build_object('scheduled_event', tests.event(event, tests.hosted_by(variadic hosts)))))) ->> 'status'
$$;
create function for_whom() returns text language sql as $$
  select coalesce(string_agg(split_part(u.email, '@', 1), ', ' order by u.email), 'nobody') from public.users u where u.calendly_webhook_enabled
$$;
create function due_in(name text) returns interval language sql as $$ select (tests.connection_of(name)).next_sync_at - calendly.now() $$;

-- a host of somebody else's event
select tests.add_person('ana'), tests.add_person('ben');
select tests.sync('ana', '{}'), tests.sync('ben', '{}');
create temporary table subscription as select subscribe('ana') as id;
select is(for_whom(), 'ana', 'a subscription is for whom it was made');
select is(deliver('E1', '{ana,ben}', 'ana', id), 'processed', 'it brings an event that two host') from subscription;
select is(for_whom(), 'ana', 'and proves nothing for the co-host, whose other bookings it does not bring');
select tests.sync('ben', array[tests.event('E1', tests.hosted_by('ana', 'ben'))], jsonb_build_object('E1', jsonb_build_array(tests.invitee('E1', 'ada'))));
select is(due_in('ben'), interval '15 minutes', 'who is synced as often as before');

-- made by hand
select public.calendly_disable_webhooks(tests.account_of('ana'), null);
select is(for_whom(), 'nobody', 'without a subscription nobody relies on any');
select deliver('E2', '{ana,ben}', 'ana');
select is(for_whom(), 'ana', 'one that a host has made by hand is for the own events');
select deliver('E3', '{ben}', 'olga');
select is(for_whom(), 'ana, ben', 'one that somebody else has made is for the organization''s');

-- an organization's members
update public.users set calendly_webhook_enabled = false;
select tests.add_organization('olga'), tests.add_account('mia@example.com'), tests.add_account('max@example.com');
update subscription set id = subscribe('olga');
select tests.begin('olga', 'scheduled');
select tests.bring('olga', tests.page(array(select tests.event('M' || name, tests.seats(0, 0) || jsonb_build_object('event_memberships',
  jsonb_build_array(jsonb_build_object('user', tests.host(name), 'user_email', name || '@example.com')))) from unnest('{mia,max}'::text[]) name)));
select tests.finish('olga');
select is(for_whom(), 'max, mia, olga', 'an organization''s is for whoever is in it, from the first listing on');
select tests.connect('mia');
select is(for_whom(), 'max, olga', 'and no longer for who connects alone');
select tests.sync('mia', array[tests.event('Mmia', tests.hosted_by('mia') || tests.seats(0, 0))], trigger => 'scheduled');
select is(due_in('mia'), interval '15 minutes', 'who is synced often, then');
select public.calendly_disconnect(tests.account_of('olga'));
select is(for_whom(), 'nobody', 'when the organization leaves, it is nobody''s');

-- another scope
select tests.sync('ana', array[tests.event('E1', tests.hosted_by('ana', 'ben')), tests.event('E2', tests.hosted_by('ana', 'ben'))]);
select subscribe('ana');
select is((public.calendly_begin_sync(jsonb_build_object('user_id', tests.id_of('ana'), 'trigger', 'manual')) ->> 'review_webhooks')::boolean, false, 'a subscription that was just made needs no review');
select tests.fail('ana', '{"code": "internal"}');
select public.calendly_connect(jsonb_build_object('auth_user_id', tests.account_of('ana'), 'connection_id', (tests.connection_of('ana')).id, 'calendly_user_uri', tests.host('ana'),
  'calendly_organization_uri', 'https://api.calendly.com/organizations/acme', 'scope', 'organization', 'kind', 'personal_access_token', 'token_jwe', 'x'));
select is((public.calendly_begin_sync(jsonb_build_object('user_id', tests.id_of('ana'), 'trigger', 'connect')) ->> 'review_webhooks')::boolean, true,
  'but one for the own events is none for the organization, which the first sync finds');

-- deliveries that are refused
select tests.add_person('cleo'), tests.sync('cleo', '{}');
update subscription set id = subscribe('cleo');
create function review(retry_started_at timestamptz) returns jsonb language sql as $$
  select public.calendly_review_subscriptions((tests.connection_of('cleo')).id, jsonb_build_array(jsonb_build_object('uri', 'https://api.calendly.com/webhook_subscriptions/cleo',
    'state', 'active', 'callback_url', 'https://project.supabase.co/functions/v1/calendly-webhook/' || s.id, 'retry_started_at', calendly.to_calendly(retry_started_at))), 'key')
  from subscription s
$$;
update calendly.project set url = 'https://project.supabase.co';
select tests.pass('2 hours');
select review(calendly.now() - interval '1 hour');
select is(for_whom() || ': ' || coalesce((select string_agg(a.code, ', ') from public.calendly_alerts a where a.user_id = tests.id_of('cleo') and a.code like 'webhook%'), 'none'),
  'ana: webhooks_failing', 'a subscription whose deliveries Calendly repeats in vain is not relied on, and an alert');
select deliver('E9', '{cleo}', 'cleo', id) from subscription;
select is(for_whom() || ': ' || coalesce((select string_agg(a.code, ', ') from public.calendly_alerts a where a.user_id = tests.id_of('cleo') and a.code like 'webhook%'), 'none'),
  'ana, cleo: none', 'until one arrives');
select review(calendly.now() - interval '1 hour');
select is(for_whom(), 'ana, cleo', 'what arrived since has come through');

select * from finish();
rollback;
