-- Deferred deliveries: they wait for a sync of their user, are dead after five tries, and can be
-- replayed by hand.
begin;
select plan(35);
select calendly.set_clock('2026-06-01T12:00:00Z');
select tests.add_person('ana');
select tests.add_person('ben');

select is(calendly.delivered_event_uri('{"payload": {"scheduled_event": {"uri": "a"},
    "event": "b", "uri": "https://x/scheduled_events/c/invitees/d"}}'), 'a',
  'a delivery is about the event that is embedded in it');
select is(calendly.delivered_event_uri('{"payload": {
    "event": "b", "uri": "https://x/scheduled_events/c/invitees/d"}}'), 'b',
  'without an embedded event it is about the event that it names');
select is(calendly.delivered_event_uri(
    '{"payload": {"uri": "https://x/scheduled_events/c/invitees/d"}}'),
  'https://x/scheduled_events/c', 'else it is about the event of the invitee''s URI');
select is(calendly.delivered_event_uri('{"payload": {"uri": "d"}}'), null,
  'a delivery may name no event');

create function defer(event text, owner text) returns uuid language sql as $$
  insert into public.calendly_webhook_events
      (event_id, event_type, payload, user_id, created_at, status, attempts, error)
    values (event || coalesce(owner, ''), 'invitee.created',
      jsonb_build_object('event', 'invitee.created', 'payload', tests.invitee(event, 'ada')),
      tests.id_of(owner), calendly.now(), 'deferred', 1, '{"code": "not_understood"}')
    returning id
$$;
create function state_of(event text) returns text language sql stable as $$
  select string_agg(concat_ws(' ', e.status, e.attempts,
    substring(u.calendly_user_uri from '[^/]+$')), ', ' order by e.event_id)
  from public.calendly_webhook_events e
  left join public.calendly_users u on u.id = e.user_id
  where e.event_id like event || '%'
$$;
create function waiting(name text) returns text[] language sql stable as $$
  select array(
    select substring(w.event_uri from '[^/]+$')
    from calendly.waiting_events(array[tests.id_of(waiting.name)]) w order by 1)
$$;
create function settle(name text, variadic events text[]) returns void language sql as $$
  select calendly.settle_deferred(array[tests.id_of(settle.name)],
    array(select tests.event_uri(e) from unnest(events) e))
$$;
select defer('E1', 'ana'), defer('E2', 'ben'), defer('E3', null);
select is(waiting('ana'), '{E1,E3}',
  'a sync fetches the events of its user''s deferred deliveries and of those without a user');
select is(waiting('ben'), '{E2,E3}', 'a deferred delivery without a user is fetched by every sync');

-- fetched, and nobody has the meeting
select settle('ana', 'E1', 'E2');
select is(state_of('E1'), 'deferred 2 ana',
  'a delivery whose event brought nothing stays deferred');
select is(state_of('E2'), 'deferred 1 ben', 'another user''s delivery is not touched');
select is(state_of('E3'), 'deferred 1', 'a delivery whose event was not fetched is not touched');

-- fetched, and the meeting is there
select tests.apply_event(tests.event('E3'));
select settle('ben', 'E3');
select is(state_of('E3'), 'deferred 2',
  'the sync of a user without the meeting does not settle the delivery');
select settle('ana', 'E3');
select is(state_of('E3'), 'processed 3 ana', 'the sync of a user who has the meeting settles it');
select is((select row(error, processed_at)::text
    from public.calendly_webhook_events where event_id = 'E3'),
  row(null::jsonb, calendly.now())::text, 'a settled delivery has no error and a processed_at');

-- five tries
select settle('ana', 'E1') from generate_series(1, 3);
select is(state_of('E1'), 'deferred 5 ana', 'a delivery is still deferred after four syncs');
select settle('ana', 'E1');
select is(state_of('E1'), 'dead 6 ana', 'a delivery is dead after the fifth sync');
select is(waiting('ana'), '{}', 'a dead delivery is fetched by no sync');
select is((select error ->> 'code' from public.calendly_webhook_events where event_id = 'E1ana'),
  'not_understood', 'a dead delivery keeps its error');
select matches((select error ->> 'hint'
    from public.calendly_webhook_events where event_id = 'E1ana'),
  'calendly_replay_webhook_event', 'a dead delivery says how to replay it');

-- by hand
create function replay(name text) returns jsonb language sql as $$
  select public.calendly_replay_webhook_event(e.id)
  from public.calendly_webhook_events e where e.event_id = replay.name
$$;
select is(replay('E1ana') ->> 'status', 'deferred', 'a replay may be deferred again');
select is(state_of('E1'), 'deferred 1 ana', 'a deferred replay has five tries again');
update public.calendly_webhook_events
  set payload = jsonb_set(payload, '{payload,scheduled_event}', tests.event('E1'))
  where event_id = 'E1ana';
select is(replay('E1ana'), '{"status": "processed", "created": true}', 'a replay may be applied');
select is((select calendly_webhook_enabled from public.calendly_users
    where id = tests.id_of('ana')), false, 'a replay does not prove that webhooks arrive');
update public.calendly_webhook_events
  set payload = jsonb_set(payload, '{event}', '"routing_form_submission.created"')
  where event_id = 'E1ana';
select is(replay('E1ana'), '{"status": "ignored"}', 'a replay may be ignored');
select is((select payload from public.calendly_webhook_events where event_id = 'E1ana'), null,
  'a replay that is ignored loses its payload');
select is(tests.code_of($$select replay('E1ana')$$), 'payload_not_kept',
  'an ignored delivery cannot be replayed');
update public.calendly_webhook_events set payload = null, status = 'processed'
  where event_id = 'E3';
select is(tests.code_of($$select replay('E3')$$), 'payload_not_kept',
  'a processed delivery whose payload is not kept any more cannot be replayed');
select is(tests.code_of($$select public.calendly_replay_webhook_event(
    '00000000-0000-4000-8000-000000000000')$$), 'not_found',
  'a delivery that is not stored cannot be replayed');

-- of connections that have ended
select tests.add_person(name) from unnest('{cora,dan}'::text[]) name;
select defer('E7', 'cora'), defer('E8', 'cora'), defer('E9', null), defer('E9', 'dan');
select tests.sync('dan', array[tests.event('E8', tests.hosted_by('dan'))]);
select is(calendly.settle_abandoned(), 0, 'what waits for a sync is left to it');
select public.calendly_disconnect(tests.account('cora'));
select is(calendly.settle_abandoned(), 2, 'what waits for an ended connection is settled');
select is(state_of('E7'), 'ignored 1 cora', 'it is ignored where nobody else has the meeting');
select is((select payload from public.calendly_webhook_events where event_id = 'E7cora'), null,
  'without its payload');
select is((select error ->> 'code' from public.calendly_webhook_events
    where event_id = 'E7cora'), 'not_connected', 'with the reason');
select is(state_of('E8'), 'deferred 1 dan', 'else it waits for the sync of somebody who has');
select is(state_of('E9'), 'deferred 2, deferred 2 dan',
  'a delivery without a user waits while anybody is connected');
select public.calendly_disconnect(tests.account(name))
  from unnest('{ana,ben,dan}'::text[]) name;
select is(calendly.settle_abandoned(), 4, 'and is settled when nobody is');
select is(calendly.settle_abandoned(), 0, 'a second time nothing is left');

select * from finish();
rollback;
