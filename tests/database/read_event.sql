-- What of Calendly's events can be used, and what is said of the rest.
begin;
select plan(35);

-- an event as it should be
select is((e).problem, null, 'a good event has no problem') from calendly.read_event(tests.event('E1')) e;
select is((e).uri, 'https://api.calendly.com/scheduled_events/E1', 'its URI is its name') from calendly.read_event(tests.event('E1')) e;
select is((e).updated_at, '2026-05-20T08:00:00.000001Z'::timestamptz, 'its times keep their microseconds') from calendly.read_event(tests.event('E1')) e;
select is((e).hosts, array[tests.host('ana'), tests.host('ben')], 'a collective event names all its hosts') from calendly.read_event(tests.event('E1', tests.hosted_by('ana', 'ben', 'ana'))) e;
select is((e).content, tests.event('E1'), 'its content is what came') from calendly.read_event(tests.event('E1')) e;
select is((e).problem, null, 'an event without a name is good') from calendly.read_event(tests.event('E1', '{"name": null}')) e;
select is((e).problem, null, 'one without a location, too') from calendly.read_event(tests.event('E1', '{"location": null}')) e;
select is((e).problem, null, 'one without length, too') from calendly.read_event(tests.event('E1', '{"end_time": "2026-06-10T09:00:00.000000Z"}')) e;
select is((e).problem, null, 'unknown keys do no harm') from calendly.read_event(tests.event('E1', '{"new_key": {"deep": [1, 2]}}')) e;
select is((e).problem, null, 'an id of the old shape is a name as well') from calendly.read_event(tests.event('GBGBDCAADAEDCRZ2')) e;

-- a conference's password is a secret
select is((e).content -> 'location', '{"type": "zoom", "status": "pushed", "join_url": "https://zoom.us/j/1", "data": {"id": 1}}'::jsonb, 'the conference password is dropped, and nothing else')
  from calendly.read_event(tests.event('E1', '{"location": {"type": "zoom", "status": "pushed", "join_url": "https://zoom.us/j/1", "data": {"id": 1, "password": "secret"}}}')) e;
select ok((e).content::text not like '%secret%', 'whatever the kind of conference')
  from calendly.read_event(tests.event('E1', '{"location": {"type": "webex_conference", "data": {"id": "1", "password": "secret", "telephony": {"callInNumbers": []}}}}')) e;
select is((e).problem, null, 'a conference without data is fine') from calendly.read_event(tests.event('E1', '{"location": {"type": "zoom", "data": null}}')) e;

-- what cannot be used, and why
select is((e).problem, rejected.problem, rejected.sentence)
from (values
  ('not an object', '7'::jsonb, 'a number is no event'),
  ('not an object', null, 'nothing is no event'),
  ('not an object', '[]', 'a list is no event'),
  ('no event uri', '{}', 'an empty object names no event'),
  ('no event uri', tests.event('E1', '{"uri": null}'), 'an event needs a URI'),
  ('no event uri', tests.event('E1', '{"uri": "https://api.calendly.com/scheduled_events/"}'), 'with something at its end'),
  ('no event uri', tests.event('E1', '{"uri": "https://api.calendly.com/scheduled_events/E1/invitees/I1"}'), 'an invitee''s URI is no event''s'),
  ('no event uri', tests.event('E1', '{"uri": {"href": "https://api.calendly.com/scheduled_events/E1"}}'), 'an object is no URI'),
  ('status is neither active nor canceled', tests.event('E1', '{"status": "cancelled"}'), 'a status is Calendly''s, to the letter'),
  ('status is neither active nor canceled', tests.event('E1', '{"status": null}'), 'an event needs a status'),
  ('start_time is no time', tests.event('E1', '{"start_time": "2026-02-30T10:00:00Z"}'), 'an impossible start is refused'),
  ('end_time is no time', tests.event('E1', '{"end_time": null}'), 'a missing end is refused'),
  ('ends before it starts', tests.event('E1', '{"end_time": "2026-06-10T08:59:59.999999Z"}'), 'time does not run backwards'),
  ('created_at is no time', tests.event('E1', '{"created_at": "yesterday"}'), 'a word is no time'),
  ('updated_at is no time', tests.event('E1', '{"updated_at": 1780300800}'), 'a number is no time'),
  ('updated_at is no time', tests.event('E1', '{"updated_at": null}'), 'without its clock, a copy cannot be compared'),
  ('names no host', tests.event('E1', '{"event_memberships": []}'), 'an event without hosts is nobody''s'),
  ('names no host', tests.event('E1', '{"event_memberships": null}'), 'nor is one whose hosts are null'),
  ('names no host', tests.event('E1', '{"event_memberships": "ana"}'), 'or a word'),
  ('names no host', tests.event('E1', '{"event_memberships": [null, 1, {"user": null}, {}]}'), 'or members that are nobody'),
  ('names no host', tests.event('E1') - 'event_memberships', 'or not there at all')
) rejected (problem, event, sentence)
cross join lateral calendly.read_event(rejected.event) e;

select is((select count(*) from jsonb_each(tests.event('E1')) key cross join jsonb_array_elements('[null, 1, "x", [], {}, true]') oddity
  cross join lateral (select calendly.read_event(tests.event('E1', jsonb_build_object(key.key, oddity)))) e),
  (select count(*) * 6 from jsonb_each(tests.event('E1'))), 'whatever any key holds, it is read without an error');

select * from finish();
rollback;
