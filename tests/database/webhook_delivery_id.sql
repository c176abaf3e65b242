-- The name of a delivery: the same for its repetitions, another one for every other change.
begin;
select plan(13);

create temporary table body as select jsonb_build_object(
  'event', 'invitee.created', 'created_at', '2026-06-01T12:00:00.000000Z',
  'payload', tests.invitee('E1', 'ada') || jsonb_build_object('scheduled_event', tests.event('E1'))) as delivery;
create function name_of(changes jsonb default '{}', payload jsonb default '{}') returns text language sql as $$
  select calendly.delivery_id(delivery || changes || jsonb_build_object('payload', delivery -> 'payload' || payload), 'digest') from body
$$;

select is(name_of(), name_of('{"created_at": "2026-06-01T12:00:05.000000Z", "created_by": "https://api.calendly.com/users/other"}'),
  'two subscriptions deliver one booking under one name');
select isnt(name_of(), name_of('{}', tests.invitee('E1', 'ben')), 'the second attendee of a group is another delivery');
select isnt(name_of(), name_of('{}', '{"updated_at": "2026-06-02T08:00:00.000001Z"}'), 'so is the booking after a change, by a microsecond');
select isnt(name_of(), name_of('{"event": "invitee.canceled"}'), 'and its cancellation');

select is(name_of('{"event": "invitee.canceled"}', '{"cancellation": {"created_at": "2026-06-02T08:00:00.000000Z"}}'),
  name_of('{"event": "invitee.canceled"}', '{"cancellation": {"created_at": "2026-06-02T08:00:00.000000Z"}, "updated_at": "2026-06-03T08:00:00.000000Z"}'),
  'a cancellation is named by its own time');
select is(name_of('{"event": "invitee.canceled"}', '{"cancellation": null}'), name_of('{"event": "invitee.canceled"}'), 'or by the invitee''s, where it has none');

select isnt(name_of('{"event": "invitee_no_show.created"}', tests.no_show('2026-06-02T08:00:00Z', 'first')),
  name_of('{"event": "invitee_no_show.created"}', tests.no_show('2026-06-02T08:00:00Z', 'second')), 'each mark is a delivery of its own');
select isnt(name_of('{"event": "invitee_no_show.deleted"}'), name_of('{"event": "invitee_no_show.deleted", "created_at": "2026-06-01T12:00:01.000000Z"}'),
  'and each undoing, by the time it was sent');

select is(name_of('{"event": "contact.created"}'), 'sha256 digest', 'what we do not know has the name of its bytes');
select is(name_of('{"event": "invitee_no_show.created"}', '{"no_show": null}'), 'sha256 digest', 'and what lacks its mark');
select is(calendly.delivery_id('[1]', 'digest'), 'sha256 digest', 'and what is no object');
select is(name_of('{}', jsonb_build_object('uri', repeat('x', 2000))), 'sha256 digest', 'and what is too long for an index');
select ok(octet_length(name_of()) < 1000, 'which nothing real is');

select * from finish();
rollback;
