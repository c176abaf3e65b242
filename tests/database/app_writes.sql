-- An app's server may keep what it likes in a meeting: our indexes do not stand in its way.
begin;
select plan(3);
select calendly.set_clock('2026-06-01T12:00:00Z');
select tests.add_person('ana');
select tests.apply_event(tests.event('E1', '{"event_guests": [{"email": "guest@example.com"}]}'));

set local role service_role;
select lives_ok($$update public.meetings set start_time = start_time + interval '1 hour'$$, 'a meeting with guests can be changed');
select lives_ok($$insert into public.meetings (user_id, name) select user_id, 'of our own' from public.meetings$$, 'one that is not Calendly''s can be added');
reset role;
select is((select array_agg(m.name order by m.id) from public.meetings m where m.calendly_event_uri is null), '{of our own}', 'and is there');

select * from finish();
rollback;
