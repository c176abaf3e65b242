-- calendly_receive_webhook: one call stores a delivery and applies it, all or nothing.
begin;
select plan(54);
select calendly.set_clock('2026-06-01T12:00:00Z');
select tests.add_person('ana');
select tests.add_person('ben');

create function delivery(
  event text, changes jsonb default '{}', payload jsonb default '{}',
  scheduled_event jsonb default '{}'
) returns jsonb language sql as $$
  select jsonb_build_object(
    'signed_at', extract(epoch from calendly.now()), 'digest', md5(random()::text),
    'body', jsonb_build_object(
      'event', event, 'created_at', calendly.to_calendly(calendly.now()),
      'created_by', tests.host('ana'),
      'payload', tests.invitee('E1', 'ada') || payload
        || jsonb_build_object('scheduled_event', tests.event('E1') || scheduled_event)) || changes)
$$;
create function receive(delivery jsonb) returns jsonb language sql as $$
  select public.calendly_receive_webhook(delivery) - 'event_id'
$$;
create function stored() returns public.calendly_webhook_events language sql stable as $$
  select e from public.calendly_webhook_events e order by e.created_at desc, e.id limit 1
$$;
create function callers(rpc regprocedure) returns text[] language sql stable as $$
  select array_agg(r)
  from unnest('{anon,authenticated,service_role}'::text[]) r
  where has_function_privilege(r, rpc, 'execute')
$$;
create function code_of(delivery jsonb) returns text language sql as $$
  select tests.code_of(format('select public.calendly_receive_webhook(%L)', delivery))
$$;

-- who may call it
select is((select prosecdef from pg_proc
    where oid = 'public.calendly_receive_webhook(jsonb)'::regprocedure), true,
  'calendly_receive_webhook runs with its owner''s rights');
select ok((select proconfig @> '{lock_timeout=5s}' from pg_proc
    where oid = 'public.calendly_receive_webhook(jsonb)'::regprocedure),
  'it waits for a lock shorter than Calendly waits for the answer');
select is(callers('public.calendly_receive_webhook(jsonb)'), '{service_role}',
  'only the functions may call it');
select is(callers('public.calendly_replay_webhook_event(uuid)'), '{service_role}',
  'only a server may replay a delivery');

-- the age of the signature
select is(code_of(delivery('invitee.created') || jsonb_build_object(
    'signed_at', extract(epoch from calendly.now() - interval '25 hours 1 second'))),
  'not_authentic', 'a signature older than 25 hours is refused');
select is(code_of(delivery('invitee.created') || jsonb_build_object(
    'signed_at', extract(epoch from calendly.now() + interval '5 minutes 1 second'))),
  'not_authentic', 'a signature of more than five minutes ahead is refused');
select is(code_of(delivery('invitee.created')
    || '{"subscription_id": "00000000-0000-4000-8000-000000000000"}'),
  'not_authentic', 'a subscription that is not ours is refused');
select is((select count(*) from public.calendly_webhook_events), 0::bigint,
  'a delivery that is refused is not stored');

-- stored and applied
create function updates() returns bigint language sql as $$
  select s.n_tup_upd from pg_stat_xact_user_tables s
  where s.relid = 'public.calendly_webhook_events'::regclass
$$;
create function notes() returns bigint language sql as $$
  select coalesce(sum(s.n_tup_ins + s.n_tup_upd), 0)::bigint from pg_stat_xact_user_tables s
  where s.relid = 'calendly.meeting_sync'::regclass
$$;
create temporary table updated as select updates() as before, notes() as notes_before;
select is(receive(delivery('invitee.created')), '{"status": "processed", "created": true}',
  'a booking is applied');
select is(receive(delivery('invitee.created')), '{"status": "duplicate"}',
  'the same booking delivered again is a duplicate');
select is((select count(*) from public.calendly_webhook_events), 1::bigint,
  'a duplicate is not stored');
select is(updates(), (select u.before from updated u),
  'the stored delivery is one row version, written with what became of it');
select is((select notes() - u.notes_before from updated u), 1::bigint,
  'what is noted of its meeting is one row version');
select is((select s.webhook_sourced_uris from calendly.meeting_sync s
    where s.event_uri = tests.event_uri('E1')),
  array[tests.event_uri('E1'), tests.invitee_uri('E1', 'ada')],
  'both snapshots are noted as a webhook''s');
select is(
  row((stored()).status, (stored()).attempts, (stored()).user_id = tests.id_of('ana'),
    (stored()).processed_at)::text,
  row('processed', 1, true, calendly.now())::text,
  'the stored delivery says what became of it');
select is((tests.meeting('E1')).synced_via_webhook, true,
  'the meeting says that a webhook wrote it');
select is((select count(*) from public.calendly_invitees), 1::bigint, 'its invitee is stored');
select is((select row(u.last_calendly_sync, u.calendly_webhook_enabled)::text
    from public.calendly_users u where u.id = tests.id_of('ana')),
  row(calendly.now(), true)::text, 'the host has a new last_calendly_sync and working webhooks');
select is((select u.calendly_webhook_enabled from public.calendly_users u
    where u.id = tests.id_of('ben')), false, 'nobody else has working webhooks by it');
create temporary table host as
  select u.ctid as version from public.calendly_users u where u.id = tests.id_of('ana');
select receive(delivery('invitee.created', '{}', '{"updated_at": "2026-06-01T12:00:00.5Z"}'));
select is((select u.ctid from public.calendly_users u where u.id = tests.id_of('ana')),
  (select version from host),
  'a second delivery within a second does not write the host''s row again');

-- conference passwords
select receive(delivery('invitee.created', '{}', '{"updated_at": "2026-06-01T12:00:00.6Z"}',
  '{"uri": "https://api.calendly.com/scheduled_events/E8", "location": {
    "type": "zoom", "join_url": "https://zoom.example.com/1", "data": {"password": "secret"}}}'));
select is((select count(*) from public.calendly_webhook_events e where e.payload::text ~ 'secret'),
  0::bigint, 'a delivery is stored without the password of its conference');

-- what is left to read
select is((select row(s.invitees_due_at > calendly.now() or s.invitees_due_at is null,
      s.event_due_at)::text
    from calendly.meeting_sync s where s.event_uri = tests.event_uri('E1')),
  row(true, null::timestamptz)::text, 'nothing is left to read after a complete delivery');
select tests.pass('2 seconds');
select is(receive(delivery('invitee.canceled', '{}', '{
      "status": "canceled", "updated_at": "2026-06-01T12:00:01.000000Z",
      "cancellation": {"created_at": "2026-06-01T12:00:01.000000Z"}}', tests.seats(1, 0))),
  '{"status": "processed", "created": false}', 'the cancellation of the last invitee is applied');
select is((select row(m.status, m.is_deleted)::text from tests.meeting('E1') m), '(active,f)',
  'the event stays active until its own status says otherwise');
select is((select s.event_due_at - calendly.now() from calendly.meeting_sync s
    where s.event_uri = tests.event_uri('E1')), interval '30 seconds',
  'an active event whose last invitee has canceled is read again in half a minute');
select ok((tests.connection_of('ana')).next_sync_at <= calendly.now() + interval '1 minute',
  'its connection is due for that');

-- ignored
select is(receive(delivery('routing_form_submission.created')), '{"status": "ignored"}',
  'a delivery of a type that is not handled is ignored');
select is(receive(delivery('invitee.created', '{}', '{"updated_at": "2026-06-01T12:00:03Z"}',
    tests.hosted_by('stranger') || '{"uri": "https://api.calendly.com/scheduled_events/E2"}')),
  '{"status": "ignored"}', 'a delivery about a host who is not kept is ignored');
select is((select count(*) from public.calendly_webhook_events e
    where e.status = 'ignored' and e.payload is null and e.processed_at is not null), 2::bigint,
  'an ignored delivery is stored without its payload');
select throws_ok($$update public.calendly_webhook_events set payload = '{}'
    where status = 'ignored'$$, '23514', null, 'no ignored delivery can have a payload');

-- not understood
select tests.pass('2 seconds');
select is(receive(delivery('invitee.created', '{}', '{"updated_at": "2026-06-01T12:00:04Z"}',
    '{"status": "tentative", "uri": "https://api.calendly.com/scheduled_events/E3"}'))
    #>> '{error,code}',
  'not_understood', 'a delivery that is not understood is deferred');
select is(row((stored()).status, (stored()).user_id = tests.id_of('ana'),
    (stored()).processed_at)::text,
  row('deferred', true, null::timestamptz)::text,
  'a deferred delivery belongs to whoever subscribed');
select is((tests.connection_of('ana')).next_sync_at, calendly.now(),
  'the connection of whoever subscribed is due at once');
select is(array(select calendly.waiting_events(array[tests.id_of('ana')])),
  array[tests.event_uri('E3')], 'the next sync fetches the event of the deferred delivery');

-- an app's own trigger that fails
create function fail_always() returns trigger language plpgsql as $$
begin raise exception 'no room'; end $$;
create trigger fails before insert on public.calendly_meetings
  for each row execute function fail_always();
select tests.pass('2 seconds');
select is(receive(delivery('invitee.created', '{}', '{"updated_at": "2026-06-01T12:00:05Z"}',
    '{"uri": "https://api.calendly.com/scheduled_events/E4"}')),
  '{"status": "deferred", "error": {"code": "P0001", "message": "no room"}}',
  'a delivery that cannot be written is deferred with the error of Postgres');
select isnt((stored()).payload, null, 'a deferred delivery keeps its payload');
drop trigger fails on public.calendly_meetings;
select is((select count(*) from public.calendly_invitees v where v.uri ~ '/E4/'), 0::bigint,
  'nothing of a delivery that is deferred is applied');
select is(receive(delivery('invitee.created', '{}', '{"updated_at": "2026-06-01T12:00:05Z"}',
    '{"uri": "https://api.calendly.com/scheduled_events/E4"}')), '{"status": "duplicate"}',
  'a deferred delivery that comes again is a duplicate');

-- an organization
select tests.add_organization('olga');
create temporary table subscription as select (public.calendly_begin_subscription(
  jsonb_build_object('auth_user_id', tests.account_of('olga'))) ->> 'id')::uuid as id;
create function from_organization(event text, host text) returns jsonb language sql as $$
  select receive(delivery('invitee.created', '{}', tests.invitee(event, 'ada'),
      tests.event(event, tests.hosted_by(host)))
    || jsonb_build_object('subscription_id', s.id))
  from subscription s
$$;
select tests.pass('1 minute');
select is(from_organization('O1', 'hugo'), '{"status": "ignored"}',
  'an organization''s delivery about a host who is not kept is ignored');
select ok((tests.connection_of('olga')).next_sync_at > calendly.now(),
  'with members accounts, it brings no sync forward');
select is(receive(delivery('invitee.created', '{}', tests.invitee('O1', 'eve', '{"status": "maybe"}'),
      tests.event('O1', tests.hosted_by('hugo')))
    || jsonb_build_object('subscription_id', s.id)), '{"status": "ignored"}',
  'nothing is kept of a host who is not kept, not even an invitee that cannot be read')
  from subscription s;
update public.calendly_connections set members = 'everyone' where user_id = tests.id_of('olga');
select is(from_organization('O2', 'hugo'), '{"status": "ignored"}',
  'with members everyone, a delivery about a host who was never met is ignored as well');
select is((tests.connection_of('olga')).next_sync_at, calendly.now(),
  'with members everyone, the sync that meets the host is due at once');
update public.calendly_connections set state = 'reconnect_required'
  where user_id = tests.id_of('olga');
select isnt(from_organization('O3', 'hugo') ->> 'status', null,
  'a subscription of a connection that must be reconnected still delivers');
update public.calendly_connections set state = 'active' where user_id = tests.id_of('olga');

-- subscriptions that nobody wants any more
create function code_of_organization(event text) returns text language sql as $$
  select tests.code_of(format('select from_organization(%L, %L)', event, 'hugo'))
$$;
create function begin_another() returns uuid language sql as $$
  select (public.calendly_begin_subscription(
    jsonb_build_object('auth_user_id', tests.account_of('olga'))) ->> 'id')::uuid
$$;
create temporary table another as select begin_another() as id;
select public.calendly_keep_subscription(a.id,
  'https://api.calendly.com/webhook_subscriptions/another', 'k') from another a;
select is(code_of_organization('O4'), 'no error',
  'what a replaced subscription delivers late counts');
select tests.pass('2 days');
select is(code_of_organization('O5'), 'no error', 'for two days');
select tests.pass('1 second');
select is(code_of_organization('O6'), 'subscription_ended',
  'after them Calendly is told that nobody wants it');
update subscription s set id = a.id from another a;
select is(code_of_organization('O7'), 'no error',
  'the one that has replaced it goes on');
select public.calendly_disable_webhooks(
  jsonb_build_object('auth_user_id', tests.account_of('olga')));
select is(code_of_organization('O8'), 'subscription_ended',
  'a subscription of switched off webhooks is not wanted');
update subscription set id = begin_another();
select is(code_of_organization('O9'), 'no error',
  'a subscription that is being made delivers');
select public.calendly_abandon_subscription(s.id, '{"code": "calendly_unavailable"}')
  from subscription s;
select is(code_of_organization('O10'), 'subscription_ended',
  'a subscription that was abandoned without an answer is not wanted');
update subscription set id = begin_another();
select public.calendly_keep_subscription(s.id,
  'https://api.calendly.com/webhook_subscriptions/last', 'k') from subscription s;
select public.calendly_disconnect(jsonb_build_object('auth_user_id', tests.account_of('olga')));
select is(code_of_organization('O11'), 'subscription_ended',
  'a subscription of a connection that has ended is not wanted');
select is(code_of(delivery('invitee.created') || jsonb_build_object('subscription_id', s.id,
    'signed_at', extract(epoch from calendly.now() - interval '25 hours 1 second'))),
  'not_authentic', 'what is too old to be believed does not end a subscription')
  from subscription s;
select is((select count(*) from public.calendly_webhook_events e
    where e.payload #>> '{payload,scheduled_event,uri}' = any (array[
      tests.event_uri('O6'), tests.event_uri('O8'), tests.event_uri('O10'), tests.event_uri('O11')])),
  0::bigint, 'nothing is stored of what such a subscription delivers');

select * from finish();
rollback;
