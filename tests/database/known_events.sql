-- Which events of a listed page are stored already, exactly as listed: those that applying would
-- leave unchanged without writing anything.
begin;
select plan(38);
select calendly.set_clock('2026-06-01T12:00:00Z');
select tests.add_person('ana');
select tests.add_person('ben');
select tests.add_person('cleo');

create function tests.hosts_of_run() returns integer[] language sql stable as $$
  select array[tests.id_of('ana'), tests.id_of('ben')]
$$;
create function tests.known(variadic events jsonb[]) returns text language sql stable as $$
  select string_agg(concat_ws(' ', split_part(k.event_uri, '/', 5), k.meetings), ', '
    order by k.event_uri)
  from calendly.known_events(to_jsonb(events), tests.hosts_of_run()) k
$$;
create function tests.on_zoom() returns jsonb language sql as $$
  select '{"location": {"type": "zoom", "status": "pushed", "join_url": "https://zoom.us/j/1",
    "data": {"id": 1, "password": "secret"}}}'::jsonb
$$;
create function tests.both_host(changes jsonb default '{}') returns jsonb language sql as $$
  select tests.event('E1', tests.hosted_by('ana', 'ben') || changes)
$$;

-- Each case: what was stored (applied in turn, by listing, webhook or read), a statement that has
-- changed something since, and what the listing shows now.
create temporary table scenario (
  known text, stored jsonb[], via text, since text, shown jsonb, sentence text);
insert into scenario values
  ('E1 2', array[tests.both_host()], 'listing', null, tests.both_host(),
    'an event as it was stored is known for each of its hosts'),
  ('E1 1', array[tests.event('E1')], 'listing', null, tests.event('E1'),
    'an event of one host is known for that host'),
  ('E1 1', array[tests.event('E1', tests.on_zoom())], 'listing', null,
    tests.event('E1', tests.on_zoom()), 'an event with a conference password is known'),
  ('E1 1', array[tests.event('E1', tests.canceled())], 'listing', null,
    tests.event('E1', tests.canceled()), 'a canceled event is known'),
  ('E1 1', array[tests.event('E1')], 'read', null, tests.event('E1'),
    'an event that was fetched directly is known'),
  ('E1 1', array[tests.event('E1')], 'webhook', 'select tests.apply_event(tests.event(''E1''))',
    tests.event('E1'), 'an event that a listing has confirmed after a webhook is known'),
  ('E1 1', array[tests.event('E1', tests.hosted_by('ana', 'nobody'))], 'listing', null,
    tests.event('E1', tests.hosted_by('ana', 'nobody')), 'a host who is not kept does not matter'),
  ('E1 1', array[tests.event('E1', tests.hosted_by('ana', 'cleo'))], 'read', null,
    tests.event('E1', tests.hosted_by('ana', 'cleo')),
    'a host whose meetings the run does not write is not counted'),
  ('E1 1', array[tests.event('E1', tests.hosted_by('ana', 'cleo')),
      tests.event('E1', '{"updated_at": "2026-05-21T08:00:00.000000Z"}')], 'listing', null,
    tests.event('E1', '{"updated_at": "2026-05-21T08:00:00.000000Z"}'),
    'an older row of a former host does not matter'),
  (null, '{}', 'listing', null, tests.event('E1'), 'a new event is not known'),
  (null, array[tests.event('E1')], 'listing', null,
    tests.event('E1', '{"name": "x", "updated_at": "2026-05-21T08:00:00.000000Z"}'),
    'a newer event is not known'),
  (null, array[tests.event('E1')], 'listing', null,
    tests.event('E1', '{"updated_at": "2026-05-21T08:00:00.000000Z"}'),
    'an event of which only the time has moved is not known'),
  (null, array[tests.event('E1')], 'listing', null, tests.event('E1', tests.seats(2, 2)),
    'an event whose counter has moved is not known'),
  (null, array[tests.event('E1', tests.canceled())], 'listing', null,
    tests.event('E1', '{"updated_at": "2026-05-26T08:00:00.000000Z"}'),
    'an event that is active again is not known where a cancellation is stored'),
  (null, array[tests.event('E1')], 'webhook', null, tests.event('E1'),
    'an event that only a webhook has told is not known'),
  (null, array[tests.event('E1')], 'listing',
    'update public.calendly_meetings set is_deleted = true, deleted_reason = ''gone''',
    tests.event('E1'), 'an event that was gone is not known'),
  (null, array[tests.both_host()], 'listing',
    'update public.calendly_meetings set is_deleted = true, deleted_reason = ''reassigned''
      where user_id = tests.id_of(''ben'')', tests.both_host(),
    'an event whose host had lost it is not known'),
  (null, array[tests.both_host()], 'listing',
    'delete from public.calendly_meetings where user_id = tests.id_of(''ben'')',
    tests.both_host(), 'an event that one of its hosts lacks is not known'),
  (null, array[tests.event('E1', tests.hosted_by('nobody'))], 'listing', null,
    tests.event('E1', tests.hosted_by('nobody')), 'an event without a kept host is not known'),
  (null, array[tests.both_host()], 'listing',
    'update public.calendly_meetings set raw = tests.event(''E1'')', tests.event('E1'),
    'an event is not known where somebody has it who is not among the hosts'),
  (null, array[tests.event('E1', tests.hosted_by('ana', 'cleo'))], 'listing',
    'select tests.apply_event(tests.event(''E1'', tests.hosted_by(''ana'', ''cleo'')
      || ''{"updated_at": "2026-05-21T08:00:00.000000Z"}''), ''read'',
      array[tests.id_of(''cleo'')])', tests.event('E1', tests.hosted_by('ana', 'cleo')),
    'an event is not known where somebody else has a newer snapshot'),
  (null, array[tests.event('E1')], 'listing',
    'update public.calendly_users set email = ''ana@x.example'' where id = tests.id_of(''ana'');
    update public.calendly_meetings set raw = raw || ''{"event_memberships":
      [{"user_email": "ana@x.example"}]}''',
    tests.event('E1', '{"event_memberships": [{"user_email": "ana@x.example"}]}'),
    'an event that names its host by e-mail only is not known'),
  (null, array[tests.event('E1')], 'listing', 'delete from calendly.meeting_sync',
    tests.event('E1'), 'an event of which the sync remembers nothing is not known'),
  (null, array[tests.event('E1')], 'listing',
    'update calendly.meeting_sync set event_due_at = calendly.now()', tests.event('E1'),
    'an event that must be fetched directly is not known'),
  (null, array[tests.event('E1', tests.seats(0, 0))], 'listing',
    'update calendly.meeting_sync set invitees_due_at = calendly.now()',
    tests.event('E1', tests.seats(0, 0)),
    'an event in which nobody has booked is not known while its invitees are due'),
  (null, '{}', 'listing', format('insert into public.calendly_meetings
      (user_id, calendly_event_uri) values (%s, %L)', tests.id_of('ana'), tests.event_uri('E1')),
    tests.event('E1'), 'an event with an empty row is not known');

-- Applies what a case says, undoes it, and returns what was known and what applying it did.
create function tests.outcome_of(scenario, out known text, out applied text, out written boolean)
language plpgsql as $$
declare
  before text;
begin
  perform tests.apply_event(e, $1.via,
      case when $1.via = 'listing' then tests.hosts_of_run() || tests.id_of('cleo') end)
    from unnest($1.stored) with ordinality s (e, turn) order by turn;
  if $1.since is not null then
    execute $1.since;
  end if;
  known := tests.known($1.shown);
  before := tests.row_versions();
  applied := tests.apply_event($1.shown, 'listing', tests.hosts_of_run());
  written := tests.row_versions() is distinct from before;
  raise exception using errcode = 'P0004';
exception when sqlstate 'P0004' then
  return;
end
$$;
create temporary table outcome as
  select s.known as expected, s.sentence, o.* from scenario s cross join tests.outcome_of(s) o;
select is(known, expected, sentence) from outcome;
select is_empty(
  $$select * from outcome where known is not null
    and (written or (applied !~ 'created|updated|deleted|restored') is not true)$$,
  'applying an event that is known leaves each meeting unchanged and writes nothing');

-- whatever two snapshots came before, and by whichever way
create temporary table snapshot as
  select tests.event('E1', changes) as event
  from (values
    ('{}'::jsonb), (tests.on_zoom()), (tests.canceled()), (tests.hosted_by('ana', 'ben')),
    (tests.hosted_by('ben')), (tests.seats(0, 0)),
    (tests.seats(2, 1)), ('{"name": "x", "updated_at": "2026-05-21T08:00:00.000000Z"}'),
    ('{"location": {"type": "zoom", "status": "processing"}}')
  ) s (changes);
create temporary table any_outcome as
  select a.event as first, b.event as second, via, o.*
  from snapshot a, snapshot b, unnest('{listing,webhook}'::text[]) via,
    unnest(array[a.event, b.event]) listed_event
  cross join lateral tests.outcome_of(
    row(null, array[a.event, b.event], via, null, listed_event, null)::scenario) o;
select is_empty(
  $$select * from any_outcome where known is not null
    and (written or (applied !~ 'created|updated|deleted|restored') is not true)$$,
  'whatever is stored, applying an event that is known changes nothing');
select cmp_ok((select count(*) from any_outcome where known is not null), '>', 40::bigint,
  'many of these events are known');

-- a page
select tests.apply_event(tests.event('E' || n)) from generate_series(1, 3) n;
select is(tests.known(tests.event('E1'), tests.event('E4'), tests.event('E3')), 'E1 1, E3 1',
  'of a page the events that are stored are known');
select is(
  tests.known(tests.event('E1'), tests.event('E1', '{"name": "x"}'), tests.event('E2')), 'E2 1',
  'an event that is twice on the page is not known');
select is(tests.known('7', 'null', '"x"', '[]', '{}', '{"uri": 1}', tests.event('E2')), 'E2 1',
  'what is no event is not known, and does not matter to the others');
select is(tests.known(variadic '{}'), null, 'of an empty page nothing is known');
select is(row(k.status, k.start_time)::text,
    row('active', '2026-06-10T09:00:00Z'::timestamptz)::text,
    'a known event has its status and start')
  from calendly.known_events(jsonb_build_array(tests.event('E1')), tests.hosts_of_run()) k;

-- a co-host outside the run, whose row is older
select tests.apply_event(tests.event('E5', tests.hosted_by('ana', 'cleo')), 'listing',
  tests.hosts_of_run() || tests.id_of('cleo'));
create function tests.moved_and_canceled() returns jsonb language sql as $$
  select tests.event('E5', tests.hosted_by('ana', 'cleo') || tests.canceled()
    || '{"start_time": "2026-06-10T09:10:00.000000Z"}')
$$;
select tests.apply_event(tests.moved_and_canceled(), 'listing', tests.hosts_of_run());
select is(tests.known(tests.moved_and_canceled()), 'E5 1',
  'a canceled event is known though a host outside the run has it as active');
select is(row(k.status, k.start_time)::text,
    row('canceled', '2026-06-10T09:10:00Z'::timestamptz)::text,
    'its status and start are those of the run''s people')
  from calendly.known_events(jsonb_build_array(tests.moved_and_canceled()),
    tests.hosts_of_run()) k;

-- somebody was erased
create function tests.with_guests(variadic emails text[]) returns jsonb language sql as $$
  select tests.event('G1', jsonb_build_object('event_guests',
    jsonb_agg(jsonb_build_object('email', email)))) from unnest(emails) email
$$;
select tests.apply_event(tests.with_guests('gil@x.example', 'gus@x.example'));
select public.calendly_erase_invitee('gil@x.example');
select is(tests.known(tests.with_guests('gil@x.example', 'gus@x.example')), 'G1 1',
  'an event that still lists a guest who was erased is known');
select is(tests.known(tests.with_guests('gus@x.example', 'gil@x.example', 'new@x.example')), null,
  'an event with a new guest is not known');

select * from finish();
rollback;
