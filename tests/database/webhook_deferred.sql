-- What could not be applied waits for a sync of its user, is tried five times, and can be tried by hand.
begin;
select plan(22);
select calendly.set_clock('2026-06-01T12:00:00Z');
select tests.add_person('ana');
select tests.add_person('ben');

select is(calendly.delivered_event_uri('{"payload": {"scheduled_event": {"uri": "a"}, "event": "b", "uri": "https://x/scheduled_events/c/invitees/d"}}'), 'a', 'the event embedded counts');
select is(calendly.delivered_event_uri('{"payload": {"event": "b", "uri": "https://x/scheduled_events/c/invitees/d"}}'), 'b', 'then the one named');
select is(calendly.delivered_event_uri('{"payload": {"uri": "https://x/scheduled_events/c/invitees/d"}}'), 'https://x/scheduled_events/c', 'then the invitee''s');
select is(calendly.delivered_event_uri('{"payload": {"uri": "d"}}'), null, 'or none');

create function defer(event text, name text, attempts integer default 1) returns uuid language sql as $$
  insert into public.calendly_webhook_events (event_id, event_type, payload, user_id, created_at, status, attempts, error)
    values (event || coalesce(name, ''), 'invitee.created', jsonb_build_object('event', 'invitee.created', 'payload', tests.invitee(event, 'ada')),
      tests.id_of(name), calendly.now(), 'deferred', attempts, '{"code": "not_understood"}')
    returning id
$$;
create function state_of(event text) returns text language sql stable as $$
  select string_agg(concat_ws(' ', e.status, e.attempts, split_part(u.email, '@', 1)), ', ' order by e.event_id)
  from public.calendly_webhook_events e left join public.users u on u.id = e.user_id where e.event_id like event || '%'
$$;
create function waiting(name text) returns text[] language sql stable as $$
  select array(select substring(w.event_uri from '[^/]+$') from calendly.waiting_events(array[tests.id_of(name)]) w order by 1)
$$;
select defer('E1', 'ana'), defer('E2', 'ben'), defer('E3', null);
select is(waiting('ana'), '{E1,E3}', 'a sync reads its user''s deferred events, and those that are nobody''s yet');
select is(waiting('ben'), '{E2,E3}', 'for everybody');

-- nobody has them
select calendly.settle_deferred(array[tests.id_of('ana')], array[tests.event_uri('E1'), tests.event_uri('E2')]);
select is(state_of('E1'), 'deferred 2 ana', 'read in vain it waits on');
select is(state_of('E2'), 'deferred 1 ben', 'another''s is not touched');
select is(state_of('E3'), 'deferred 1', 'nor is what was not read');

-- the sync brought it
select tests.apply_event(tests.event('E3'));
select calendly.settle_deferred(array[tests.id_of('ben')], array[tests.event_uri('E3')]);
select is(state_of('E3'), 'deferred 2', 'another''s sync does not settle what is not in their calendar');
select calendly.settle_deferred(array[tests.id_of('ana')], array[tests.event_uri('E3')]);
select is(state_of('E3'), 'processed 3 ana', 'the sync of whoever has the meeting does');
select is((select row(error, processed_at)::text from public.calendly_webhook_events where event_id = 'E3'), row(null::jsonb, calendly.now())::text, 'for good');

-- five times
select calendly.settle_deferred(array[tests.id_of('ana')], array[tests.event_uri('E1')]) from generate_series(1, 3);
select is(state_of('E1'), 'deferred 5 ana', 'four syncs do not give it up');
select calendly.settle_deferred(array[tests.id_of('ana')], array[tests.event_uri('E1')]);
select is(state_of('E1'), 'dead 6 ana', 'the fifth does');
select is(waiting('ana'), '{}', 'and nobody reads it any more');
select is((select error ->> 'code' from public.calendly_webhook_events where event_id = 'E1ana'), 'not_understood', 'it keeps its error');
select matches((select error ->> 'hint' from public.calendly_webhook_events where event_id = 'E1ana'), 'calendly_replay_webhook_event', 'and says what to do');

-- by hand
select is((select public.calendly_replay_webhook_event(id) ->> 'status' from public.calendly_webhook_events where event_id = 'E1ana'), 'deferred', 'a replay that fails');
select is(state_of('E1'), 'deferred 1 ana', 'has it wait for syncs again');
update public.calendly_webhook_events set payload = jsonb_set(payload, '{payload,scheduled_event}', tests.event('E1')) where event_id = 'E1ana';
select is((select public.calendly_replay_webhook_event(id) from public.calendly_webhook_events where event_id = 'E1ana'), '{"status": "processed", "created": true}', 'one that works');
select is((select calendly_webhook_enabled from public.users where id = tests.id_of('ana')), false, 'proves no subscription');
select is(tests.code_of($$select public.calendly_replay_webhook_event('00000000-0000-4000-8000-000000000000')$$), 'not_found', 'there must be something to replay');

select * from finish();
rollback;
