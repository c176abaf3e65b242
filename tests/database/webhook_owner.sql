-- Whose a delivery is: what was applied belongs to a host, whoever's subscription brought it. So an
-- organization's owner reads no other member's deliveries, and erasing a member erases them.
begin;
select plan(10);
select calendly.set_clock('2026-06-01T12:00:00Z');
select tests.add_organization('olga');
select tests.add_account('ben@example.com');
create function tests.hosted(event text, hosts text[], changes jsonb default '{}') returns jsonb
  language sql as $$
  select tests.event(event, changes || jsonb_build_object('event_memberships', (
    select jsonb_agg(jsonb_build_object('user', tests.host(name), 'user_email', name || '@example.com'))
    from unnest(hosts) name)))
$$;
select tests.sync('olga', array[tests.hosted('E1', '{ben,olga}')], trigger => 'scheduled');
create temporary table subscription as
  select (public.calendly_begin_subscription(tests.account('olga')) ->> 'id')::uuid as id;
select public.calendly_keep_subscription(s.id, 'https://api.calendly.com/webhook_subscriptions/S', 'k')
  from subscription s;
create function receive(event text, hosts text[], changes jsonb default '{}') returns text
  language sql as $$
  select public.calendly_receive_webhook(jsonb_build_object(
    'digest', event, 'signed_at', extract(epoch from calendly.now()), 'subscription_id', s.id,
    'body', jsonb_build_object('event', 'invitee.created',
      'created_at', calendly.to_calendly(calendly.now()), 'created_by', tests.host('olga'),
      'payload', tests.invitee(event, 'ines')
        || jsonb_build_object('scheduled_event', tests.hosted(event, hosts, changes))))) ->> 'status'
  from subscription s
$$;
create function owner_of(event text) returns text language sql as $$
  select substring(u.calendly_user_uri from '[^/]+$')
  from public.calendly_webhook_events e
  left join public.calendly_users u on u.id = e.user_id
  where e.payload #>> '{payload,scheduled_event,uri}' = tests.event_uri(owner_of.event)
$$;

select receive('E2', '{ben}'), receive('E3', '{ben,olga}');
select is(owner_of('E2'), 'ben', 'a delivery belongs to the host and not to whoever subscribed');
select is(owner_of('E3'), 'olga', 'unless the subscriber is a host');
select tests.sign_in('olga');
select is(array(select e.payload #>> '{payload,event}' from public.calendly_webhook_events e),
  array[tests.event_uri('E3')], 'the owner of an organization reads no delivery of another member');
select tests.sign_out();

-- a delivery that could not be applied at first
select receive('E4', '{ben}', '{"status": "tentative"}');
select is(owner_of('E4'), 'olga', 'a deferred delivery belongs to whoever subscribed');
select tests.sync('olga', array[tests.hosted('E1', '{ben,olga}'), tests.hosted('E2', '{ben}'),
  tests.hosted('E3', '{ben,olga}'), tests.hosted('E4', '{ben}')], trigger => 'scheduled');
select is(owner_of('E4'), 'ben', 'and to the host when a sync has settled it');

-- Calendly repeats what it could not deliver, and something has come through since
update calendly.project set url = 'https://p.example.com';
delete from public.calendly_webhook_events where user_id = tests.id_of('olga');
select public.calendly_review_subscriptions((tests.connection_of('olga')).id,
    jsonb_build_array(jsonb_build_object('uri', 'https://api.calendly.com/webhook_subscriptions/S',
      'state', 'active', 'retry_started_at', '2026-06-01T11:59:00.000000Z',
      'callback_url', 'https://p.example.com/functions/v1/calendly-webhook/' || s.id)), 'k')
  from subscription s;
select is((tests.connection_of('olga')).webhooks_lost_at, null,
  'a delivery about any host shows that deliveries come through');

-- erasing a member
select tests.connect('ben');
select public.calendly_disconnect(tests.account('ben') || '{"erase": true}');
select is(owner_of('E2'), null, 'erasing a member erases what was delivered about them');
select is((select count(*) from public.calendly_webhook_events e
    where e.payload::text ~ '/E[24]/'),
  0::bigint, 'whoever''s subscription brought it');

-- everyone
update public.calendly_connections set members = 'everyone', next_sync_at = calendly.now() + interval '6 hours'
  where user_id = tests.id_of('olga');
select is(receive('E5', '{olga,zoe}'), 'processed', 'an event of which one host is kept is applied');
select is((tests.connection_of('olga')).next_sync_at, calendly.now(),
  'and the sync that meets the other host is due at once');

select * from finish();
rollback;
