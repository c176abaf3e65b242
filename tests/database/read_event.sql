-- Which events of Calendly can be used, and what is said of the others.
begin;
select plan(52);

-- an event as it should be
select is((e).problem, null, 'a good event has no problem')
  from calendly.read_event(tests.event('E1')) e;
select is((e).uri, 'https://api.calendly.com/scheduled_events/E1',
    'a snapshot has the event''s URI')
  from calendly.read_event(tests.event('E1')) e;
select is((e).updated_at, '2026-05-20T08:00:00.000001Z'::timestamptz,
    'the times of an event keep their microseconds')
  from calendly.read_event(tests.event('E1')) e;
select is(row((e).start_time, (e).end_time, (e).created_at, (e).problem)::text,
    row('2026-06-10T09:00:00Z'::timestamptz, '2026-06-10T09:30:00.5Z'::timestamptz,
      '2024-02-29T08:00:00Z'::timestamptz, null::text)::text,
    'times with an offset, with other digits and of a leap day are read')
  from calendly.read_event(tests.event('E1', '{"start_time": "2026-06-10T11:00:00+02:00",
    "end_time": "2026-06-10T09:30:00.5Z", "created_at": "2024-02-29T08:00:00.000000Z"}')) e;
select is(
    array(select concat_ws(' ', right((e).uri, 2), (e).problem)
      from unnest(calendly.event_snapshots(jsonb_build_array(tests.event('E1'), 7,
        tests.event('E2', '{"end_time": "2026-02-30T09:30:00.000000Z"}'), tests.event('E3')))) e),
    array['E1', 'not an object', 'E2 end_time is no time', 'E3'],
    'a page is read in its order, and an event that cannot be used does not matter to the others');
select is((e).hosts, array[tests.host('ana'), tests.host('ben')],
    'a collective event has all its hosts, each once')
  from calendly.read_event(tests.event('E1', tests.hosted_by('ana', 'ben', 'ana'))) e;
select is((e).content, tests.event('E1'), 'the content of an event is what came')
  from calendly.read_event(tests.event('E1')) e;
select is((e).problem, null, accepted.sentence)
from (values
  (tests.event('E1', '{"name": null}'), 'an event without a name is good'),
  (tests.event('E1', '{"location": null}'), 'an event without a location is good'),
  (tests.event('E1', '{"end_time": "2026-06-10T09:00:00.000000Z"}'),
    'an event that ends when it starts is good'),
  (tests.event('E1', '{"end_time": null}'), 'an event without an end is good'),
  (tests.event('E1', '{"created_at": null, "updated_at": null}'),
    'an event without the times of its changes is good'),
  (tests.event('E1', jsonb_build_object('event_memberships',
    '[null, {"user": {"x": 1}}]'::jsonb || jsonb_build_object('user', tests.host('ana')))),
    'an event of whose hosts one has a URI is good'),
  (tests.event('E1', '{"new_key": {"deep": [1, 2]}}'), 'an event with unknown keys is good'),
  (tests.event('GBGBDCAADAEDCRZ2'), 'an event with an id of the old shape is good'),
  (tests.event('E1', '{"location": {"type": "zoom", "data": null}}'),
    'an event whose conference has no data is good')
) accepted (event, sentence)
cross join lateral calendly.read_event(accepted.event) e;

-- a status that is missing
select is(row((e).status, (e).content ->> 'status', (e).problem)::text, expected.row,
    expected.sentence)
from (values
  (tests.event('E1') - 'status', '(active,active,)', 'an event without a status is active'),
  (tests.event('E1', '{"status": null}'), '(active,active,)',
    'an event whose status is null is active'),
  (tests.event('E1', tests.canceled()) - 'status', '(canceled,canceled,)',
    'an event without a status that has a cancellation is canceled')
) expected (event, row, sentence)
cross join lateral calendly.read_event(expected.event) e;

-- hosts by e-mail, as old webhooks have them
select calendly.set_clock('2026-06-01T12:00:00Z');
select tests.add_person('ana');
create function tests.hosted_by_email(email text) returns jsonb language sql as $$
  select tests.event('E1', jsonb_build_object('event_memberships',
    jsonb_build_array(jsonb_build_object('user_email', email))))
$$;
select is((e).hosts, array[tests.host('ana')],
    'a host who is named by e-mail only is found by the e-mail that Calendly has, in any case')
  from calendly.read_event(tests.hosted_by_email('Ana@Calendly.example.com')) e;
select is((e).problem, 'names no host', 'the e-mail of an account here names no host')
  from calendly.read_event(tests.hosted_by_email('ana@example.com')) e;
select tests.add_person('ben');
update public.calendly_users set email = 'ana@calendly.example.com'
  where id = tests.id_of('ben');
select is((e).problem, 'names no host', 'an e-mail that two people have names no host')
  from calendly.read_event(tests.hosted_by_email('ana@calendly.example.com')) e;
update public.calendly_users set connection_id = null where id = tests.id_of('ben');
select is((e).hosts, array[tests.host('ana')],
    'the e-mail of somebody whose meetings are not kept does not count')
  from calendly.read_event(tests.hosted_by_email('ana@calendly.example.com')) e;

-- hosts who are not named
select is((e).hosts, array[tests.host('ana')],
    'an event that names no host has those it is read for')
  from calendly.read_event(tests.event('E1', '{"event_memberships": []}'),
    array[tests.host('ana')]) e;
select is((e).hosts, array[tests.host('ben')], 'an event that names a host has that one alone')
  from calendly.read_event(tests.event('E1', tests.hosted_by('ben')), array[tests.host('ana')]) e;
select tests.apply_event(tests.event('E9'));
select is((e).hosts, array[tests.host('ana')],
    'an event that names no host has those who have the meeting')
  from calendly.read_event(tests.event('E9', '{"event_memberships": []}')) e;

-- the password of a conference is a secret
select is((e).content -> 'location',
    '{"type": "zoom", "status": "pushed", "join_url": "https://zoom.us/j/1",
      "data": {"id": 1}}'::jsonb,
    'the conference password is dropped, and nothing else')
  from calendly.read_event(tests.event('E1', '{"location": {"type": "zoom", "status": "pushed",
    "join_url": "https://zoom.us/j/1", "data": {"id": 1, "password": "secret"}}}')) e;
select ok((e).content::text not like '%secret%',
    'the password of any kind of conference is dropped')
  from calendly.read_event(tests.event('E1', '{"location": {"type": "webex_conference",
    "data": {"id": "1", "password": "secret", "telephony": {"callInNumbers": []}}}}')) e;
select ok(bool_and(calendly.without_conference_password(odd) = odd),
    'an event without a conference''s data is left as it is')
  from jsonb_array_elements('[null, 1, {"location": null}, {"location": {"data": "secret"}}]') odd;

-- what cannot be used, and why
select is((e).problem, rejected.problem, rejected.sentence)
from (values
  ('not an object', '7'::jsonb, 'a number is no event'),
  ('not an object', null, 'null is no event'),
  ('not an object', '[]', 'a list is no event'),
  ('no event uri', '{}', 'an empty object has no URI'),
  ('no event uri', tests.event('E1', '{"uri": null}'), 'an event without a URI is refused'),
  ('no event uri', tests.event('E1', '{"uri": "https://api.calendly.com/scheduled_events/"}'),
    'an event''s URI without an id is refused'),
  ('no event uri',
    tests.event('E1', '{"uri": "https://api.calendly.com/scheduled_events/E1/invitees/I1"}'),
    'an invitee''s URI is no event''s'),
  ('no event uri',
    tests.event('E1', '{"uri": {"href": "https://api.calendly.com/scheduled_events/E1"}}'),
    'an object is no URI'),
  ('the uri is too long', tests.event(repeat('E', 500)), 'a URI too long for an index is refused'),
  ('status is neither active nor canceled', tests.event('E1', '{"status": "cancelled"}'),
    'a status that Calendly does not have is refused'),
  ('start_time is no time', tests.event('E1', '{"start_time": "2026-02-30T10:00:00Z"}'),
    'an impossible start is refused'),
  ('start_time is no time', tests.event('E1', '{"start_time": null}'),
    'a missing start is refused: nothing tells where it belongs'),
  ('end_time is no time', tests.event('E1', '{"end_time": "noon"}'), 'a word is no end'),
  ('ends before it starts', tests.event('E1', '{"end_time": "2026-06-10T08:59:59.999999Z"}'),
    'an end before the start is refused'),
  ('created_at is no time', tests.event('E1', '{"created_at": "yesterday"}'),
    'a word is no time'),
  ('updated_at is no time', tests.event('E1', '{"updated_at": 1780300800}'),
    'a number is no time'),
  ('names no host', tests.event('E1', '{"event_memberships": []}'),
    'an event without hosts is refused'),
  ('names no host', tests.event('E1', '{"event_memberships": null}'),
    'an event whose hosts are null is refused'),
  ('names no host', tests.event('E1', '{"event_memberships": "ana"}'),
    'an event whose hosts are no list is refused'),
  ('names no host', tests.event('E1', '{"event_memberships": [null, 1, {"user": null}, {}]}'),
    'an event whose hosts have no URI is refused'),
  ('names no host', tests.event('E1') - 'event_memberships',
    'an event without the key for hosts is refused'),
  ('nested too deeply', '{"nested_too_deeply": true}',
    'an event that is nested too deeply is refused')
) rejected (problem, event, sentence)
cross join lateral calendly.read_event(rejected.event) e;

select is(
  (select count(*) from jsonb_each(tests.event('E1')) key
    cross join jsonb_array_elements('[null, 1, "x", [], {}, true]') odd
    cross join lateral (
      select calendly.read_event(tests.event('E1', jsonb_build_object(key.key, odd)))) e),
  (select count(*) * 6 from jsonb_each(tests.event('E1'))),
  'an event is read without an error, whatever any key holds');

select * from finish();
rollback;
