-- For deadlocks.test.ts: what clients do to the same few people and events, each time at random.

-- p1 to p20 connect for themselves, boss the organization with everyone, chief with accounts only
create function tests.any_name() returns text language sql volatile as $$
  select case when random() < 0.1 then (array['boss', 'chief'])[1 + floor(random() * 2)]
    else 'p' || (1 + floor(random() * 20)) end
$$;

-- an event with two hosts: two people, or one person and a host without an account (h1 to h10)
create function tests.any_event() returns jsonb language sql volatile as $$
  select case when random() < 0.2
    then tests.event(name, tests.hosted_by(variadic hosts) || tests.canceled())
    else tests.event(name, tests.hosted_by(variadic hosts)) end
  from (
    select 'E' || (1 + floor(random() * 60)) as name, array['p' || (1 + floor(random() * 20)),
      (array['p', 'h'])[1 + floor(random() * 2)] || (1 + floor(random() * 10))] as hosts
  ) event
$$;

create function tests.any_page() returns jsonb language sql volatile as $$
  select tests.page(array(
    select distinct on (event ->> 'uri') event
    from (select tests.any_event() as event from generate_series(1, 15)) e
    order by event ->> 'uri', random()))
$$;

create function tests.uri_of(event text) returns jsonb language sql immutable as $$
  select jsonb_build_object('uri', tests.event_uri(event))
$$;

-- what a worker brings back for a step of a sync
create function tests.any_result(step jsonb) returns jsonb language sql volatile as $$
  select '{"requests": 1}' || case step ->> 'do'
    when 'list_events' then tests.any_page()
    when 'fetch_events' then jsonb_build_object('events', (
      select jsonb_agg(case when random() < 0.5 then tests.read_of(event, 404)
        else tests.read_of(event, 200, tests.any_event() || tests.uri_of(event)) end)
      from unnest(tests.event_names(step)) event))
    when 'fetch_invitees' then jsonb_build_object('invitees', (
      select jsonb_agg(tests.invitees_of(event, tests.invitee(event, 'ines')))
      from unnest(tests.event_names(step)) event))
  end
$$;

create function tests.deliver_any() returns jsonb language sql volatile as $$
  select public.calendly_receive_webhook(jsonb_build_object(
    'digest', gen_random_uuid(), 'signed_at', extract(epoch from calendly.now()),
    'body', jsonb_build_object(
      'event', case event ->> 'status' when 'active' then 'invitee.created'
        else 'invitee.canceled' end,
      'created_at', calendly.to_calendly(calendly.now()),
      'created_by', event #>> '{event_memberships,0,user}',
      'payload', tests.invitee(substring(event ->> 'uri' from '[^/]+$'),
          'i' || floor(random() * 1000), jsonb_build_object('status', event -> 'status'))
        || jsonb_build_object('scheduled_event', event))))
  from (select tests.any_event() as event) e
$$;

-- an account connects its own Calendly user, or another one in its place
create function tests.connect_any() returns jsonb language plpgsql as $$
declare
  name constant text := tests.any_name();
  uri constant text := tests.host(name || case when random() < 0.3 then '-other' else '' end);
begin
  insert into auth.users (id, email, confirmation_sent_at, email_confirmed_at)
    values (gen_random_uuid(), name || '@example.com', now(), now())
    on conflict do nothing;
  return public.calendly_connect(jsonb_build_object(
    'auth_user_id', tests.account_of(name), 'replace', true,
    'connection_id', public.calendly_prepare_connection(uri) ->> 'connection_id',
    'calendly_user_uri', uri, 'calendly_user_email', name || '@example.com',
    'calendly_organization_uri', 'https://api.calendly.com/organizations/acme',
    'scope', case when name in ('boss', 'chief') then 'organization' else 'user' end,
    'members', case name when 'boss' then 'everyone' else 'accounts' end,
    'kind', 'personal_access_token', 'token_jwe', 'ciphertext of ' || name));
end
$$;

create function tests.disconnect_any() returns jsonb language sql volatile as $$
  select public.calendly_disconnect(tests.account(name) || '{"erase": true}')
  from (select tests.any_name() as name) n
$$;

create function tests.all_are_due() returns void language sql volatile as $$
  select calendly.sync_sooner(array(select id from public.calendly_users), calendly.now())
$$;

-- begins a subscription of an active connection
create function tests.subscribe_any() returns jsonb language plpgsql as $$
declare
  connection public.calendly_connections;
  subscription_id uuid;
begin
  select c.* into connection from public.calendly_connections c
    where c.state = 'active' order by random() limit 1;
  subscription_id := public.calendly_begin_subscription(
    jsonb_build_object('connection_id', connection.id)) ->> 'id';
  return jsonb_build_array(subscription_id, connection.id, connection.user_id);
end
$$;

-- Calendly no longer knows the refresh token of a connection
create function tests.refuse_any_token() returns void language sql volatile as $$
  select public.calendly_fail_refresh(k.connection_id, k.version,
    '{"code": "reconnect_required", "message": "invalid_grant"}')
  from (select * from calendly.credentials order by random() limit 1) k
$$;
