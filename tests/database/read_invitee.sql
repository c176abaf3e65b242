-- What of Calendly's invitees can be used, and what is said of the rest.
begin;
select plan(25);
select calendly.set_clock('2026-06-01T12:00:00Z');

select is((i).problem, null, 'a good invitee has no problem') from calendly.read_invitee(tests.invitee('E1', 'ines'), calendly.now()) i;
select is((i).event_uri, tests.event_uri('E1'), 'its event is named by its own URI') from calendly.read_invitee(tests.invitee('E1', 'ines', '{"event": "https://elsewhere.example"}'), calendly.now()) i;
select is((i).observed_at, calendly.now(), 'the reading has a time') from calendly.read_invitee(tests.invitee('E1', 'ines'), calendly.now()) i;
select is((i).no_show_at, null, 'who is not marked has no no-show') from calendly.read_invitee(tests.invitee('E1', 'ines'), calendly.now()) i;
select is(row((i).no_show_at, (i).no_show_uri)::text, row('2026-06-01T11:00:00.25Z'::timestamptz, 'https://api.calendly.com/invitee_no_shows/mark')::text, 'a mark has a time and a name')
  from calendly.read_invitee(tests.invitee('E1', 'ines', tests.no_show('2026-06-01T11:00:00.250000Z')), calendly.now()) i;
select ok(not (i).content ? 'scheduled_event', 'the event that a webhook embeds is not kept twice') from calendly.read_invitee(tests.invitee('E1', 'ines', '{"scheduled_event": {"uri": "x"}}'), calendly.now()) i;
select is((i).problem, null, 'who has no name is still an invitee') from calendly.read_invitee(tests.invitee('E1', 'ines', '{"name": null, "email": null, "timezone": null}'), calendly.now()) i;

select is((i).problem, rejected.problem, rejected.sentence)
from (values
  ('not an object', '"ines"'::jsonb, 'a word is no invitee'),
  ('not an object', null, 'nothing is no invitee'),
  ('no invitee uri', '{}', 'an empty object names none'),
  ('no invitee uri', tests.invitee('E1', 'ines', '{"uri": "https://api.calendly.com/scheduled_events/E1"}'), 'an event''s URI is no invitee''s'),
  ('no invitee uri', tests.invitee('E1', 'ines', '{"uri": "https://api.calendly.com/scheduled_events/E1/invitees/"}'), 'something stands at its end'),
  ('status is neither active nor canceled', tests.invitee('E1', 'ines', '{"status": "declined"}'), 'a status is Calendly''s'),
  ('created_at is no time', tests.invitee('E1', 'ines', '{"created_at": "2026-06-31T00:00:00Z"}'), 'an impossible time is refused'),
  ('updated_at is no time', tests.invitee('E1', 'ines', '{"updated_at": null}'), 'without its clock a copy cannot be compared'),
  ('no_show has no time', tests.invitee('E1', 'ines', '{"no_show": {"uri": "x"}}'), 'nor a mark without its own'),
  ('no_show has no time', tests.invitee('E1', 'ines', '{"no_show": {"uri": "x", "created_at": "soon"}}'), 'which must be a time')
) rejected (problem, invitee, sentence)
cross join lateral calendly.read_invitee(rejected.invitee, calendly.now()) i;

select is((select count(*) from jsonb_each(tests.invitee('E1', 'ines')) key cross join jsonb_array_elements('[null, 1, "x", [], {}, true]') oddity
  cross join lateral (select calendly.read_invitee(tests.invitee('E1', 'ines', jsonb_build_object(key.key, oddity)), null)) i),
  (select count(*) * 6 from jsonb_each(tests.invitee('E1', 'ines'))), 'whatever any key holds, it is read without an error');

-- calendly.event_of
select is(calendly.event_of(tests.invitee_uri('E1', 'I1')), tests.event_uri('E1'), 'an invitee''s URI holds its event''s');
select is(calendly.event_of(tests.event_uri('E1')), null, 'an event''s URI does not');
select is(calendly.event_of(null), null, 'nor does nothing');

-- calendly.seats
select is(calendly.seats(tests.seats(5, 3, 8), 'total'), 5, 'the total includes the canceled seats');
select is(calendly.seats(tests.seats(5, 3, 8), 'canceled'), 2, 'which are those that are not active');
select results_eq(
  $$select calendly.seats(jsonb_build_object('invitees_counter', counter), which)
    from jsonb_array_elements('[null, "x", {}, {"total": -1}, {"total": 1e30}, {"total": "many", "active": 1}]') counter, unnest('{total,canceled}'::text[]) which$$,
  $$select null::integer from generate_series(1, 12)$$, 'a counter that is none counts nothing');
select is(calendly.seats(tests.seats(1, 3), 'canceled'), 0, 'seats are never fewer than none');

select * from finish();
rollback;
