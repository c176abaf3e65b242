-- calendly_webhook_enabled makes syncs rare, so it is true only for users whose webhooks arrive.
begin;
select plan(16);
select calendly.set_clock('2026-06-01T12:00:00Z');
update calendly.settings set schedule_jitter = 0;

create function subscribe(name text) returns uuid language plpgsql as $$
declare
  id constant uuid := public.calendly_begin_subscription(jsonb_build_object(
    'auth_user_id', tests.account_of(name))) ->> 'id';
begin
  perform public.calendly_keep_subscription(
    id, 'https://api.calendly.com/webhook_subscriptions/' || name, 'key');
  return id;
end
$$;
create function deliver(
  event text, hosts text[], created_by text, subscription uuid default null
) returns text language sql as $$
  select public.calendly_receive_webhook(jsonb_build_object(
    'signed_at', extract(epoch from calendly.now()), 'digest', md5(event),
    'subscription_id', subscription,
    'body', jsonb_build_object(
      'event', 'invitee.created', 'created_at', calendly.to_calendly(calendly.now()),
      'created_by', tests.host(created_by),
      'payload', tests.invitee(event, 'ada') || jsonb_build_object(
        'scheduled_event', tests.event(event, tests.hosted_by(variadic hosts)))))) ->> 'status'
$$;
create function enabled() returns text language sql as $$
  select coalesce(
    string_agg(substring(u.calendly_user_uri from '[^/]+$'), ', ' order by u.calendly_user_uri),
    'nobody')
  from public.calendly_users u where u.calendly_webhook_enabled
$$;
create function due_in(name text) returns interval language sql as $$
  select (tests.connection_of(due_in.name)).next_sync_at - calendly.now()
$$;
create function owner(name text) returns jsonb language sql as $$
  select jsonb_build_object('auth_user_id', tests.account_of(owner.name))
$$;

-- a co-host
select tests.add_person('ana'), tests.add_person('ben');
select tests.sync('ana', '{}'), tests.sync('ben', '{}');
create temporary table subscription as select subscribe('ana') as id;
select is(enabled(), 'ana', 'a new subscription enables webhooks for its user');
select is(deliver('E1', '{ana,ben}', 'ana', id), 'processed',
  'a subscription delivers an event that two users host') from subscription;
select is(enabled(), 'ana', 'the subscription of one host enables nothing for the co-host');
select tests.sync('ben', array[tests.event('E1', tests.hosted_by('ana', 'ben'))],
  jsonb_build_object('E1', jsonb_build_array(tests.invitee('E1', 'ada'))));
select is(due_in('ben'), interval '15 minutes', 'the co-host is synced as often as before');

-- made by hand
select public.calendly_disable_webhooks(owner('ana'));
select is(enabled(), 'nobody', 'disabling webhooks disables them for the user');
select deliver('E2', '{ana,ben}', 'ana');
select is(enabled(), 'ana',
  'a subscription that a host made by hand enables webhooks for that host only');
select deliver('E3', '{ben}', 'olga');
select is(enabled(), 'ana, ben',
  'a subscription that no host made is the organization''s: it enables webhooks for every host');

-- members of an organization
select calendly.set_webhook_enabled(array(select u.id from public.calendly_users u), false);
select tests.add_organization('olga'), tests.add_account('mia@example.com'),
  tests.add_account('max@example.com');
update subscription set id = subscribe('olga');
select tests.begin('olga', 'scheduled');
select tests.bring('olga', tests.page(array(
  select tests.event('M' || name, tests.seats(0, 0) || jsonb_build_object(
    'event_memberships', jsonb_build_array(jsonb_build_object(
      'user', tests.host(name), 'user_email', name || '@example.com'))))
  from unnest('{mia,max}'::text[]) name)));
select tests.finish('olga');
select is(enabled(), 'max, mia, olga',
  'an organization''s subscription enables webhooks for the members that it lists');
select tests.connect('mia');
select is(enabled(), 'max, olga', 'it is disabled for a member who connects alone');
select tests.sync('mia', array[tests.event('Mmia', tests.hosted_by('mia') || tests.seats(0, 0))],
  trigger => 'scheduled');
select is(due_in('mia'), interval '15 minutes', 'that member is synced often from then on');
select public.calendly_disconnect(owner('olga'));
select is(enabled(), 'nobody', 'it is disabled for all members when the organization disconnects');

-- another scope
select tests.sync('ana', array[tests.event('E1', tests.hosted_by('ana', 'ben')),
  tests.event('E2', tests.hosted_by('ana', 'ben'))]);
select subscribe('ana');
create function begin_and_review(trigger text) returns boolean language sql as $$
  select (public.calendly_begin_sync(jsonb_build_object(
    'user_id', tests.id_of('ana'), 'trigger', begin_and_review.trigger))
    ->> 'review_webhooks')::boolean
$$;
select is(begin_and_review('manual'), false, 'a new subscription is not reviewed');
select tests.fail('ana', '{"code": "internal"}');
select public.calendly_connect(owner('ana') || jsonb_build_object(
  'connection_id', (tests.connection_of('ana')).id, 'calendly_user_uri', tests.host('ana'),
  'calendly_organization_uri', 'https://api.calendly.com/organizations/other',
  'scope', 'organization', 'kind', 'personal_access_token', 'token_jwe', 'x'));
select is(begin_and_review('connect'), true,
  'after connecting with another scope the first sync reviews the subscription');

-- deliveries that are refused
select tests.add_person('cleo');
select tests.sync('cleo', '{}');
update subscription set id = subscribe('cleo');
create function review(retry_started_at timestamptz) returns jsonb language sql as $$
  select public.calendly_review_subscriptions(
    (tests.connection_of('cleo')).id,
    jsonb_build_array(jsonb_build_object(
      'uri', 'https://api.calendly.com/webhook_subscriptions/cleo', 'state', 'active',
      'callback_url', 'https://project.supabase.co/functions/v1/calendly-webhook/' || s.id,
      'retry_started_at', calendly.to_calendly(retry_started_at))), 'key')
  from subscription s
$$;
create function enabled_and_alerts() returns text language sql as $$
  select enabled() || ': ' || coalesce(string_agg(a.code, ', '), 'none')
  from public.calendly_alerts a
  where a.user_id = tests.id_of('cleo') and a.code like 'webhook%'
$$;
update calendly.project set url = 'https://project.supabase.co';
select tests.pass('2 hours');
select review(calendly.now() - interval '1 hour');
select is(enabled_and_alerts(), 'ana: webhooks_failing',
  'a subscription whose deliveries Calendly repeats in vain is disabled, and an alert');
select deliver('E9', '{cleo}', 'cleo', id) from subscription;
select is(enabled_and_alerts(), 'ana, cleo: none', 'a delivery that arrives enables it again');
select review(calendly.now() - interval '1 hour');
select is(enabled(), 'ana, cleo', 'repetitions that began before that delivery do not count');

select * from finish();
rollback;
