-- Which invitees of Calendly can be used, and what is said of the others.
begin;
select plan(32);
select calendly.set_clock('2026-06-01T12:00:00Z');

select is((i).problem, null, 'a good invitee has no problem')
  from calendly.read_invitee(tests.invitee('E1', 'ines'), calendly.now()) i;
select is((i).event_uri, tests.event_uri('E1'),
    'the event of an invitee is the one in the invitee''s own URI')
  from calendly.read_invitee(
    tests.invitee('E1', 'ines', '{"event": "https://elsewhere.example"}'), calendly.now()) i;
select is((i).observed_at, calendly.now(), 'a snapshot has the time of the read')
  from calendly.read_invitee(tests.invitee('E1', 'ines'), calendly.now()) i;
select is((i).no_show_at, null, 'an invitee who is not marked has no no-show')
  from calendly.read_invitee(tests.invitee('E1', 'ines'), calendly.now()) i;
select is(row((i).no_show_at, (i).no_show_uri)::text,
    row('2026-06-01T11:00:00.25Z'::timestamptz,
      'https://api.calendly.com/invitee_no_shows/mark')::text,
    'a no-show has a time and a URI')
  from calendly.read_invitee(
    tests.invitee('E1', 'ines', tests.no_show('2026-06-01T11:00:00.250000Z')), calendly.now()) i;
select ok(not (i).content ? 'scheduled_event',
    'the event that a webhook embeds in an invitee is dropped')
  from calendly.read_invitee(
    tests.invitee('E1', 'ines', '{"scheduled_event": {"uri": "x"}}'), calendly.now()) i;
select is((i).problem, null, 'an invitee without name, e-mail and time zone is good')
  from calendly.read_invitee(
    tests.invitee('E1', 'ines', '{"name": null, "email": null, "timezone": null}'),
    calendly.now()) i;

select is((i).problem, null, 'an invitee without the times of its changes is good')
  from calendly.read_invitee(
    tests.invitee('E1', 'ines', '{"created_at": null, "updated_at": null}'), calendly.now()) i;
select is(row((i).status, (i).problem)::text, expected.row, expected.sentence)
from (values
  (tests.invitee('E1', 'ines') - 'status', '(active,)', 'an invitee without a status is active'),
  (tests.invitee('E1', 'ines', '{"cancellation": {"reason": "ill"}}') - 'status', '(canceled,)',
    'an invitee without a status who has a cancellation is canceled'),
  (tests.invitee('E1', 'ines', '{"canceled": true}') - 'status', '(canceled,)',
    'an invitee of an old delivery that says canceled is canceled')
) expected (invitee, row, sentence)
cross join lateral calendly.read_invitee(expected.invitee, calendly.now()) i;
select is(row((i).no_show_at, (i).problem)::text,
    row('2026-05-20T08:00:00.000001Z'::timestamptz, null::text)::text,
    'a no-show without a time is as old as the invitee''s last change')
  from calendly.read_invitee(
    tests.invitee('E1', 'ines', '{"no_show": {"uri": "x"}}'), calendly.now()) i;

select is((i).problem, rejected.problem, rejected.sentence)
from (values
  ('not an object', '"ines"'::jsonb, 'a word is no invitee'),
  ('not an object', null, 'null is no invitee'),
  ('no invitee uri', '{}', 'an empty object has no URI'),
  ('no invitee uri',
    tests.invitee('E1', 'ines', '{"uri": "https://api.calendly.com/scheduled_events/E1"}'),
    'an event''s URI is no invitee''s'),
  ('no invitee uri',
    tests.invitee('E1', 'ines', jsonb_build_object('uri', tests.event_uri('E1') || '/invitees/')),
    'an invitee''s URI without an id is refused'),
  ('the uri is too long', tests.invitee('E1', repeat('i', 700)),
    'a URI too long for an index is refused'),
  ('status is neither active nor canceled', tests.invitee('E1', 'ines', '{"status": "declined"}'),
    'a status that Calendly does not have is refused'),
  ('created_at is no time', tests.invitee('E1', 'ines', '{"created_at": "2026-06-31T00:00:00Z"}'),
    'an impossible time is refused'),
  ('updated_at is no time', tests.invitee('E1', 'ines', '{"updated_at": "now"}'),
    'a word is no time'),
  ('no_show has no time',
    tests.invitee('E1', 'ines', '{"no_show": {"uri": "x", "created_at": "soon"}}'),
    'a no-show whose time is a word is refused'),
  ('nested too deeply', '{"nested_too_deeply": true}',
    'an invitee that is nested too deeply is refused')
) rejected (problem, invitee, sentence)
cross join lateral calendly.read_invitee(rejected.invitee, calendly.now()) i;

select is(
  (select count(*) from jsonb_each(tests.invitee('E1', 'ines')) key
    cross join jsonb_array_elements('[null, 1, "x", [], {}, true]') odd
    cross join lateral (select calendly.read_invitee(
      tests.invitee('E1', 'ines', jsonb_build_object(key.key, odd)), null)) i),
  (select count(*) * 6 from jsonb_each(tests.invitee('E1', 'ines'))),
  'an invitee is read without an error, whatever any key holds');

-- several readings
select is(
    array(select concat_ws(' ', right((i).uri, 4), right((i).event_uri, 2),
        to_char((i).observed_at at time zone 'UTC', 'HH24'), (i).problem)
      from unnest(calendly.invitee_snapshots(jsonb_build_array(
        jsonb_build_object('event_uri', tests.event_uri('E1'),
          'observed_at', '2026-06-01T11:00:00Z',
          'invitees', jsonb_build_array(tests.invitee('E1', 'ines'), tests.invitee('E2', 'jane'))),
        jsonb_build_object('event_uri', tests.event_uri('E2'), 'problem', 'HTTP 500'),
        jsonb_build_object('event_uri', tests.event_uri('E3'),
          'observed_at', '2026-06-01T12:00:00Z', 'invitees', '[7]'::jsonb)))) i),
    array['ines E1 11', 'jane E2 11 belongs to another event', 'E3 12 not an object'],
    'each invitee of several readings has its event, its time and what is wrong with it');

-- calendly.event_of
select is(calendly.event_of(tests.invitee_uri('E1', 'I1')), tests.event_uri('E1'),
  'the event''s URI is read from an invitee''s URI');
select is(calendly.event_of(tests.event_uri('E1')), null,
  'no event''s URI is read from a URI that is no invitee''s');
select is(calendly.event_of(null), null, 'no event''s URI is read from null');

-- calendly.seats
select is(calendly.seats(tests.seats(5, 3, 8), 'total'), 5,
  'the total of a counter includes canceled seats');
select is(calendly.seats(tests.seats(5, 3, 8), 'canceled'), 2,
  'the canceled seats are those that are not active');
select results_eq(
  $$select calendly.seats(jsonb_build_object('invitees_counter', counter), which)
    from jsonb_array_elements('[null, "x", {}, {"total": -1}, {"total": 1e30},
      {"total": "many", "active": 1}]') counter, unnest('{total,canceled}'::text[]) which$$,
  $$select null::integer from generate_series(1, 12)$$,
  'a counter that is none counts nothing');
select is(calendly.seats(tests.seats(1, 3), 'canceled'), 0,
  'no seat is canceled where a counter has more active seats than seats');

select * from finish();
rollback;
