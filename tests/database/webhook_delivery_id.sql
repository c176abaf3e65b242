-- The id of a delivery: the same for a repetition, another one for each change and each attendee.
begin;
select plan(14);

create temporary table body as select jsonb_build_object(
  'event', 'invitee.created', 'created_at', '2026-06-01T12:00:00.000000Z',
  'payload', tests.invitee('E1', 'ada')
    || jsonb_build_object('scheduled_event', tests.event('E1'))) as delivery;
create function id_of(changes jsonb default '{}', payload jsonb default '{}') returns text
language sql as $$
  select calendly.delivery_id(
    delivery || changes || jsonb_build_object('payload', delivery -> 'payload' || payload),
    'digest')
  from body
$$;

select is(id_of(), id_of(jsonb_build_object(
    'created_at', '2026-06-01T12:00:05.000000Z', 'created_by', tests.host('other'))),
  'two subscriptions that deliver one booking give it the same id');
select isnt(id_of(), id_of('{}', tests.invitee('E1', 'ben')),
  'the second attendee of a group event is another delivery');
select isnt(id_of(), id_of('{}', '{"updated_at": "2026-06-02T08:00:00.000001Z"}'),
  'a booking that was changed, even by a microsecond, is another delivery');
select isnt(id_of(), id_of('{"event": "invitee.canceled"}'),
  'a cancellation is another delivery than the booking');

select is(
  id_of('{"event": "invitee.canceled"}',
    '{"cancellation": {"created_at": "2026-06-02T08:00:00.000000Z"}}'),
  id_of('{"event": "invitee.canceled"}',
    '{"cancellation": {"created_at": "2026-06-02T08:00:00.000000Z"},
      "updated_at": "2026-06-03T08:00:00.000000Z"}'),
  'a cancellation is named by the time of the cancellation');
select is(id_of('{"event": "invitee.canceled"}', '{"cancellation": null}'),
  id_of('{"event": "invitee.canceled"}'),
  'a cancellation without a time is named by the invitee''s updated_at');

select isnt(
  id_of('{"event": "invitee_no_show.created"}', tests.no_show('2026-06-02T08:00:00Z', 'first')),
  id_of('{"event": "invitee_no_show.created"}', tests.no_show('2026-06-02T08:00:00Z', 'second')),
  'each mark as a no-show is a delivery of its own');
select isnt(id_of('{"event": "invitee_no_show.deleted"}'),
  id_of('{"event": "invitee_no_show.deleted", "created_at": "2026-06-01T12:00:01.000000Z"}'),
  'each removal of a mark is a delivery of its own, by the time it was sent');

select is(id_of('{"event": "contact.created"}'), calendly.delivery_id('{}', 'digest'),
  'a delivery of an unknown type is named by the digest of its body');
select is(id_of('{"event": "invitee_no_show.created"}', '{"no_show": null}'),
  calendly.delivery_id('{}', 'digest'),
  'a delivery without its mark is named by the digest of its body');
select is(calendly.delivery_id('[1]', 'digest'), calendly.delivery_id('{}', 'digest'),
  'a delivery that is no object is named by the digest of its body');
select isnt(calendly.delivery_id('{}', 'digest'), calendly.delivery_id('{}', 'other'),
  'another body has another id');
select isnt(id_of('{}', jsonb_build_object('uri', repeat('x', 2000))),
  id_of('{}', jsonb_build_object('uri', repeat('x', 2001))),
  'a name of any length tells two deliveries apart');
select matches(id_of('{}', jsonb_build_object('uri', repeat('x', 2000))), '^[\w-]{43}$',
  'an id is 43 characters, however long the name');

select * from finish();
rollback;
