-- What Calendly leaves out: no value that is missing loses a meeting or an invitee that can be
-- kept, and the run tells what cannot be kept.
begin;
select plan(29);
select calendly.set_clock('2026-06-01T12:00:00Z');
select tests.add_person('ana');
create function tests.problems() returns text language sql as $$
  select string_agg(
    coalesce(substring(r ->> 'uri' from '[^/]+$'), '-') || ': ' || (r ->> 'problem'), ', ' order by r ->> 'uri')
  from jsonb_array_elements((tests.run_of('ana')).rejections) r
$$;

-- every value of an event, left out and null
create temporary table lacking as
  select key.name, way.is_null, 'E-' || key.name || case when way.is_null then '-null' else '' end
    as event
  from jsonb_object_keys(tests.event('E')) key (name), (values (true), (false)) way (is_null);
create temporary table listed as
  select case when l.is_null
    then tests.event(l.event, tests.seats(0, 0) || jsonb_build_object(l.name, null))
    else tests.event(l.event, tests.seats(0, 0)) - l.name end as event
  from lacking l
  -- without the counter, the invitees are read at each sync
  where l.name <> 'invitees_counter';
select is(
  tests.sync('ana', array(select l.event from listed l)) #>> '{result,status}', 'complete',
  'a listing of events that each lack a value is read to its end');
select is_empty($$
  select l.event from lacking l where l.name not in ('uri', 'start_time', 'invitees_counter')
  except
  select substring(m.calendly_event_uri from '[^/]+$') from public.calendly_meetings m$$,
  'an event is kept whichever value it lacks, except its name and its start');
select is(tests.problems(), 'E-start_time: start_time is no time, '
  || 'E-start_time-null: start_time is no time, -: no event uri, -: no event uri',
  'the run tells of every event that was not kept');
select tests.pass('1 minute');
create temporary table versions as select tests.row_versions() as before;
select is(tests.sync('ana', array(select l.event from listed l)) #>> '{result,unchanged}',
  (select count(*)::text from public.calendly_meetings), 'a second sync finds them unchanged');
select is(tests.row_versions(), before, 'a second sync of them writes nothing') from versions;

select tests.pass('1 minute');
select tests.sync('ana', array[tests.event('C') - 'invitees_counter'],
  jsonb_build_object('C', array[tests.invitee('C', 'ines')]));
select is((select count(*) from public.calendly_invitees v
  where v.uri = tests.invitee_uri('C', 'ines')), 1::bigint,
  'the invitees of an event without a counter are read');

-- every value of an invitee
create temporary table invitees as
  select key.name, case when way.is_null
      then tests.invitee('G', key.name || '-null', jsonb_build_object(key.name, null))
      else tests.invitee('G', key.name) - key.name end as invitee
  from jsonb_object_keys(tests.invitee('G', 'i')) key (name),
    (values (true), (false)) way (is_null);
select tests.pass('1 minute');
select is(
  tests.sync('ana', array[tests.event('G', tests.seats(36, 36, 50))],
    jsonb_build_object('G', array(select i.invitee from invitees i))) #>> '{result,status}',
  'complete', 'invitees who each lack a value are read');
select is_empty($$
  select i.invitee ->> 'uri' from invitees i where i.name <> 'uri'
  except
  select v.uri from public.calendly_invitees v$$,
  'an invitee is kept whichever value is missing, except the URI');
select is((select count(*) from jsonb_array_elements((tests.run_of('ana')).rejections) r
  where r ->> 'problem' = 'no invitee uri'), 2::bigint,
  'the run tells of every invitee who was not kept');
select is(row(v.email, v.name, v.timezone, v.status)::text,
    format('(,%s,Europe/Lisbon,active)', v.name),
  'an invitee without an e-mail has the rest')
  from public.calendly_invitees v where v.uri = tests.invitee_uri('G', 'email');
select is(row(v.name, v.status)::text, '(,active)', 'an invitee without a name is kept')
  from public.calendly_invitees v where v.uri = tests.invitee_uri('G', 'name-null');
select is(row(v.timezone, v.status)::text, '(,active)', 'an invitee without a time zone is kept')
  from public.calendly_invitees v where v.uri = tests.invitee_uri('G', 'timezone');

-- hosts
create function tests.hostless(event text, changes jsonb default '{}') returns jsonb
language sql as $$ select tests.event(event, '{"event_memberships": []}' || changes) $$;
create function tests.receive(event jsonb, invitee jsonb) returns text language sql as $$
  select public.calendly_receive_webhook(jsonb_build_object(
    'body', delivery, 'digest', encode(sha256(delivery::text::bytea), 'hex'),
    'signed_at', extract(epoch from calendly.now()))) ->> 'status'
  from jsonb_build_object('event', 'invitee.created', 'created_at', '2026-06-01T12:00:00Z',
    'created_by', tests.host('ana'),
    'payload', invitee || jsonb_build_object('scheduled_event', event)) delivery
$$;
select tests.pass('1 minute');
select is(tests.receive(tests.hostless('H1'), tests.invitee('H1', 'ines')), 'deferred',
  'a delivery of an event without hosts that nobody has waits for the next sync');
select tests.sync('ana', array[tests.hostless('H1')],
  jsonb_build_object('H1', array[tests.invitee('H1', 'ines')]));
select is((tests.meeting('H1')).is_deleted, false,
  'an event without hosts in the person''s own listing is theirs');
select is(tests.problems(), null, 'the run has nothing to tell of it');
select is((select e.status from public.calendly_webhook_events e), 'processed',
  'the delivery that waited is settled');
select is(
  tests.receive(
    tests.hostless('H1', '{"name": "Moved", "updated_at": "2026-05-21T00:00:00.000000Z"}'),
    tests.invitee('H1', 'ines', '{"updated_at": "2026-05-21T00:00:00.000000Z"}')),
  'processed', 'a delivery of an event without hosts is for those who have the meeting');
select is((tests.meeting('H1')).name, 'Moved', 'the delivery is applied');
select is(tests.apply_event(tests.hostless('H1', '{"updated_at": "2026-05-22T00:00:00.000000Z"}'),
  'read'), 'ana updated', 'an event that was fetched and names no host is not taken from anybody');
select tests.pass('1 minute');
select tests.sync('ana', array[tests.event('H1', tests.hosted_by('ben')),
  tests.event('H2', tests.hosted_by('ben'))]);
select is((select count(*) from public.calendly_meetings m
  where m.calendly_event_uri = tests.event_uri('H2')), 0::bigint,
  'an event of which only somebody else is a host is not the person''s');
select is(tests.problems(),
  'H1: the user is not among the hosts, H2: the user is not among the hosts',
  'the run tells of it');

-- what only a delivery or a single fetch brings
create function tests.subscribe(name text) returns uuid language sql as $$
  select (calendly_begin_subscription ->> 'id')::uuid
  from public.calendly_begin_subscription(tests.account(name))
$$;
create function tests.receive_by(subscription uuid, event jsonb, invitee jsonb) returns text
  language sql as $$
  select public.calendly_receive_webhook(jsonb_build_object(
    'body', delivery, 'digest', encode(sha256(delivery::text::bytea), 'hex'),
    'subscription_id', subscription, 'signed_at', extract(epoch from calendly.now()))) ->> 'status'
  from jsonb_build_object('event', 'invitee.created', 'created_at', '2026-06-01T12:00:00Z',
    'payload', invitee || jsonb_build_object('scheduled_event', event)) delivery
$$;
create function tests.hosts_of(event text) returns text[] language sql as $$
  select array(
    select substring(u.calendly_user_uri from '[^/]+$')
    from public.calendly_meetings m join public.calendly_users u on u.id = m.user_id
    where m.calendly_event_uri = tests.event_uri(event) and not m.is_deleted order by 1)
$$;
select is_empty($$
  select delivered.event, received.status
  from (values ('H4', '{"event_memberships": []}'::jsonb), ('H5', '{"event_memberships": null}'),
    ('H6', '{"event_memberships": [{"user": null}]}')) delivered (event, memberships)
  cross join lateral (
    select tests.receive_by(tests.subscribe('ana'), tests.event(delivered.event)
      || delivered.memberships, tests.invitee(delivered.event, 'ines'))) received (status)
  where received.status <> 'processed' or tests.hosts_of(delivered.event) <> '{ana}'$$,
  'an event without hosts that a person''s own subscription brings is theirs');
select is(tests.receive(tests.hostless('H7'), tests.invitee('H7', 'ines')), 'deferred',
  'a delivery of a subscription made by hand, which may be an organization''s, waits');
select tests.add_person('ben');
select tests.sync('ben', array[tests.event('H8', tests.hosted_by('ben'))]);
select tests.receive_by(tests.subscribe('ana'),
  tests.hostless('H8', '{"updated_at": "2026-05-21T00:00:00.000000Z"}'), tests.invitee('H8', 'ines'));
select is(tests.hosts_of('H8'), '{ana,ben}', 'it is not taken from another host who has it');
select tests.pass('1 minute');
create temporary table asked as
  select tests.begin('ana'), tests.bring('ana', tests.page('{}')) as next;
select ok(next -> 'event_uris' ? tests.event_uri('H7'), 'the event is fetched') from asked;
select tests.bring('ana', jsonb_build_object('events', (
    select jsonb_agg(jsonb_build_object('event_uri', uri, 'status', 200, 'event',
      tests.hostless(substring(uri from '[^/]+$'))))
    from jsonb_array_elements_text(next -> 'event_uris') uri))) from asked;
select is(tests.hosts_of('H7'), '{ana}', 'an event without hosts that a person''s token fetched is theirs');
select tests.fail('ana', '{"code": "internal"}');

-- in an organization's listing nobody can be told
select tests.add_organization('olga', 'everyone');
select is(tests.receive_by(tests.subscribe('olga'), tests.hostless('H9'), tests.invitee('H9', 'ines')),
  'deferred', 'nor by its subscription');
select tests.sync('olga', array[tests.hostless('H3')], trigger => 'scheduled');
select is((select count(*) from public.calendly_meetings m
  where m.calendly_event_uri = tests.event_uri('H3')), 0::bigint,
  'an event without hosts in an organization''s listing is nobody''s');
select is((tests.run_of('olga')).rejections #>> '{0,problem}', 'names no host',
  'the organization''s run tells of it');

select * from finish();
rollback;
