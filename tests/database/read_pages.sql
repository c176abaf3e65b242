-- Over many pages: what is exactly as stored is only counted, and what the listing has passed
-- without showing it is missing, wherever it would have been listed.
begin;
select plan(19);
select calendly.set_clock('2026-06-01T12:00:00Z');
update calendly.settings set schedule_jitter = 0;
select tests.add_person('ana');
create function tests.at(event text, day integer) returns jsonb language sql as $$
  select tests.event(event, tests.seats(0, 0) || jsonb_build_object(
    'start_time', calendly.to_calendly(today.nine + day * interval '1 day'),
    'end_time', calendly.to_calendly(today.nine + day * interval '1 day' + interval '1 hour')))
  from (values ('2026-06-01T09:00:00Z'::timestamptz)) today (nine)
$$;
create function tests.list(days integer[], next_page_token text default null) returns jsonb
  language sql as $$
  select tests.bring('ana',
    tests.page(array(select tests.at('E' || day, day) from unnest(days) day), next_page_token))
$$;
create function tests.missing() returns text language sql as $$
  select string_agg(substring(m.event_uri from '[^/]+$'), ' ' order by m.event_uri)
  from calendly.run_missing m
$$;
create function tests.counts() returns text language sql as $$
  select format('%s listed, %s new, %s updated, %s unchanged', r.fetched_active, r.created,
    r.updated, r.unchanged)
  from tests.run_of('ana') r
$$;
select tests.sync('ana', array(select tests.at('E' || day, day) from generate_series(1, 9) day));

-- exactly as stored
select tests.pass('1 hour');
create temporary table versions as select tests.row_versions() as before;
select tests.begin('ana');
select tests.list('{1,2}', 'p2');
select is(tests.counts(), '2 listed, 0 new, 0 updated, 2 unchanged',
  'events that are exactly as stored are counted');
select is((tests.state_of('ana')).listed_until, '2026-06-03T09:00:00Z',
  'and move the last start time that was listed');
select tests.list('{2,3}', 'p3');
select is(tests.counts(), '3 listed, 0 new, 0 updated, 3 unchanged',
  'an unchanged event that is listed on two pages counts once');
select is(tests.row_versions(), before, 'unchanged events write nothing') from versions;
select is((tests.run_of('ana')).progress ->> 'events', '3', 'they count in the progress');

-- missing, page by page
select is(tests.missing(), null, 'nothing is missing so far');
select tests.list('{6}', 'p4');
select is(tests.missing(), 'E4 E5',
  'what earlier pages have passed without showing it is missing');
select tests.list('{5,7}', 'p5');
select is(tests.missing(), 'E4', 'what a later page shows is not missing');
select tests.apply_event(tests.at('E8', 8) || '{"name": "new", "updated_at":
  "2026-06-01T12:30:00.000000Z"}', 'webhook');
select is(tests.event_names(tests.list('{}')), '{E4,E9}',
  'after the last page what is missing is fetched, but not what a webhook has written since');
select is(tests.missing(), 'E4 E9', 'the end of the range is passed by the last page');
select is((tests.run_of('ana')).missing, 2, 'the run records how many meetings are missing');
select tests.apply_event(tests.at('E9', 9) || '{"name": "new", "updated_at":
  "2026-06-01T12:30:00.000000Z"}', 'webhook');
select is(tests.event_names(calendly.next_step(calendly.read_run((tests.run_of('ana')).id))),
  '{E4}', 'what a webhook writes before it is fetched is not missing any more');
select tests.bring('ana', jsonb_build_object('events',
  jsonb_build_array(tests.read_of('E4', 404))));
select is(tests.missing(), 'E9', 'what was fetched by itself is not fetched again');
select is(tests.finish('ana') #>> '{result,deleted}', '1', 'what is gone is deleted');

-- a delivery about an event that the listing has passed
select tests.sync('ana', array(select tests.at('E' || day, day) from generate_series(1, 9) day));
select tests.pass('1 hour');
select tests.begin('ana');
select tests.list('{5}', 'p2');
select tests.pass('1 second');
select tests.apply_event(tests.at('E' || day, day) || tests.canceled(), 'webhook')
  from generate_series(1, 3) day;
select tests.list('{6,7,8,9}');
select is((tests.run_of('ana')).missing, 1,
  'what a delivery has written after the listing passed it is not missing');
select tests.fail('ana', '{"code": "internal"}');

-- two events at the same time, on two pages
select tests.pass('1 hour');
select tests.sync('ana', array[tests.at('S1', 5), tests.at('S2', 5)]);
select tests.pass('1 hour');
select tests.begin('ana');
select tests.bring('ana', tests.page(array[tests.at('S1', 5)], 'p2'));
select ok(not exists (select from calendly.run_missing m where m.event_uri = tests.event_uri('S2')),
  'an event that starts with the last of a page may be on the next one');
select tests.fail('ana', '{"code": "internal"}');

-- an unlisted meeting of which an invitee changes
select tests.sync('ana', array[tests.event('old', tests.seats(1, 1) || jsonb_build_object(
  'start_time', '2025-01-10T09:00:00.000000Z', 'end_time', '2025-01-10T09:30:00.000000Z'))],
  jsonb_build_object('old', jsonb_build_array(tests.invitee('old', 'ines'))), forced => true);
update calendly.meeting_sync set invitees_due_at = calendly.now()
  where event_uri = tests.event_uri('old');
select tests.pass('1 hour');
select tests.begin('ana');
update calendly.settings set missing_event_lookups = 0;
select is(tests.event_names(tests.bring('ana', tests.page('{}'))), '{old}',
  'invitees that are due are fetched though the event is outside the range');
select tests.bring('ana', jsonb_build_object('invitees', jsonb_build_array(
  tests.invitees_of('old', tests.invitee('old', 'ines', '{"name": "Ines B.", "updated_at":
    "2026-06-01T12:30:00.000000Z"}')))));
select is(tests.counts(), '0 listed, 0 new, 1 updated, 0 unchanged',
  'a meeting that was not listed and of which an invitee changes counts as updated');
select is((tests.run_of('ana')).progress ->> 'events', '0', 'and is not counted as listed');
select * from finish();
rollback;
