-- Everyone who booked a seat is stored and merged by their own time.
begin;
select plan(38);
select calendly.set_clock('2026-06-01T12:00:00Z');
select tests.add_person('ana');
select tests.add_person('ben');
select tests.apply_event(tests.event('E1'));
create function tests.seat(invitee text) returns public.calendly_invitees language sql as $$
  select v from public.calendly_invitees v where v.uri = tests.invitee_uri('E1', seat.invitee)
$$;
create function tests.paid() returns jsonb language sql as $$
  select '{"payment": {"amount": "12.50", "currency": "EUR", "provider": "stripe"}}'::jsonb
$$;
create function tests.apply_many(number integer) returns boolean[] language sql as $$
  select array_agg(distinct o.changed) from calendly.apply_invitees(array(
    select calendly.read_invitee(tests.invitee('E1', 'guest' || n), calendly.now())
    from generate_series(1, number) n), false, null) o
$$;

-- a new one
select is(tests.apply_invitee(tests.invitee('E1', 'ines', tests.paid())), 'changed',
  'a new invitee makes a row');
select is(row(i.meeting_id, i.user_id)::text, row(m.id, m.user_id)::text,
    'an invitee belongs to the meeting and its user')
  from tests.seat('ines') i, tests.meeting('E1') m;
select is(row(i.email, i.name, i.timezone, i.status, i.rescheduled)::text,
    '(ines@guest.example.com,Ines,Europe/Lisbon,active,f)',
    'an invitee has e-mail, name, time zone and status')
  from tests.seat('ines') i;
select is(i.questions_and_answers #>> '{0,answer}', '1', 'an invitee has the answers')
  from tests.seat('ines') i;
select is(i.tracking ->> 'utm_source', 'news', 'an invitee has the tracking parameters')
  from tests.seat('ines') i;
select is(i.payment ->> 'amount', '12.50', 'an invitee has the payment')
  from tests.seat('ines') i;
select is(row(i.calendly_updated_at, i.created_at, i.updated_at)::text,
    row('2026-05-20T08:00:00.000001Z'::timestamptz, calendly.now(), calendly.now())::text,
    'an invitee has Calendly''s time and ours')
  from tests.seat('ines') i;
select is(i.raw, tests.invitee('E1', 'ines', tests.paid()), 'raw is the invitee as it came')
  from tests.seat('ines') i;
select is(
  tests.apply_invitee(tests.invitee('E1', 'jo', '{"name": null, "email": null,
    "timezone": null, "tracking": null, "payment": null, "questions_and_answers": null,
    "rescheduled": null}')),
  'changed', 'an invitee of whom nothing is known makes a row');
select is(
    row(i.name, i.email, i.timezone, i.tracking, i.payment, i.questions_and_answers,
      i.rescheduled)::text,
    '(,,,,,,f)', 'JSON null is stored as SQL null')
  from tests.seat('jo') i;

-- unchanged
select tests.pass('1 hour');
create temporary table versions as select tests.row_versions() as before;
select is(tests.apply_invitee(i.raw), 'unchanged', 'the same invitee again is unchanged')
  from tests.seat('ines') i;
create temporary table older as
  select tests.invitee('E1', 'ines',
    '{"name": "Old Name", "updated_at": "2026-05-20T08:00:00.000000Z"}') as invitee;
select is(tests.apply_invitee(invitee), 'unchanged',
  'an older snapshot of the API never overwrites a newer one') from older;
select is(tests.apply_invitee(invitee - 'no_show', 'webhook'), 'unchanged',
  'an older snapshot of a webhook never overwrites a newer one') from older;
select is(tests.row_versions(), before, 'an unchanged invitee writes no row version')
  from versions;

-- changed
select is(
  tests.apply_invitee(tests.invitee('E1', 'ines',
    '{"name": "Inês", "updated_at": "2026-05-20T08:00:00.000002Z"}')),
  'changed', 'a snapshot that is newer by a microsecond wins');
select is(row(i.name, i.payment, i.updated_at, i.created_at)::text,
    row('Inês', null::jsonb, '2026-06-01T13:00:00Z'::timestamptz,
      '2026-06-01T12:00:00Z'::timestamptz)::text,
    'a newer snapshot writes every column but the time when the row was made')
  from tests.seat('ines') i;

-- canceled is final
select is(
  tests.apply_invitee(tests.invitee('E1', 'ines', '{"status": "canceled",
    "updated_at": "2026-05-21T00:00:00Z", "cancellation": {"reason": "ill"}}')),
  'changed', 'a cancellation changes the invitee');
select is(
  tests.apply_invitee(tests.invitee('E1', 'ines', '{"updated_at": "2026-05-22T00:00:00Z"}')),
  'changed', 'a newer active snapshot changes a canceled invitee');
select is(row(i.status, i.raw #>> '{cancellation,reason}')::text, '(canceled,ill)',
    'a newer active snapshot does not revive a canceled invitee')
  from tests.seat('ines') i;
select is(
  tests.apply_invitee(
    tests.invitee('E1', 'jo', '{"updated_at": "2026-05-30T00:00:00Z"}'), 'webhook'),
  'changed', 'a newer active snapshot is applied');
select is(
  tests.apply_invitee(
    tests.invitee('E1', 'jo', '{"status": "canceled", "updated_at": "2026-05-29T00:00:00Z"}'),
    'webhook'),
  'changed', 'an older cancellation that comes late changes the invitee');
select is(i.status, 'canceled', 'an older cancellation cancels a newer active invitee')
  from tests.seat('jo') i;
select is(row(m.status, m.is_deleted)::text, '(active,f)',
    'canceled invitees do not cancel the event')
  from tests.meeting('E1') m;

-- at equal time
select tests.apply_invitee(tests.invitee('E1', 'kim') - '{timezone,payment}'::text[], 'webhook');
select is(
  tests.apply_invitee(tests.invitee('E1', 'kim', '{"name": "Kim of the API"}'), 'reading'),
  'changed', 'at equal time the API''s snapshot completes a webhook''s');
select is(
  tests.apply_invitee(
    tests.invitee('E1', 'kim', '{"name": "Kim of the webhook", "only": 1}')
      - '{timezone,payment}'::text[], 'webhook'),
  'changed', 'at equal time a webhook''s snapshot adds what only it has');
select is(row(i.name, i.timezone, i.raw -> 'only')::text, '("Kim of the API",Europe/Lisbon,1)',
    'at equal time the API wins where both have a value')
  from tests.seat('kim') i;

-- whose
select is(tests.apply_invitee(tests.invitee('E99', 'ines')), null,
  'an invitee of an unknown event makes no row');
select tests.apply_event(tests.event('E2', tests.hosted_by('ana', 'ben')));
select is(tests.apply_invitee(tests.invitee('E2', 'ines')), 'changed; changed',
  'an invitee of a collective event is stored in the meeting of each host');
select results_eq(
  $$select v.user_id from public.calendly_invitees v
    where v.uri = tests.invitee_uri('E2', 'ines') order by 1$$,
  $$select tests.id_of(host) from unnest('{ana,ben}'::text[]) host order by 1$$,
  'an invitee''s row belongs to the host whose meeting it is in');
select is(
  (select count(*) from calendly.apply_invitees(
    array[calendly.read_invitee(tests.invitee('E2', 'jo'), calendly.now())], false,
    array[tests.id_of('ben')])),
  1::bigint, 'the run of a user writes the invitees of that user''s meetings');
select is(
  (select count(*) from public.calendly_invitees v
    where v.uri = tests.invitee_uri('E2', 'jo') and v.user_id = tests.id_of('ana')),
  0::bigint, 'the run of a user writes no invitees of another host''s meetings');
select tests.apply_event(
  tests.event('E2', tests.hosted_by('ben') || '{"updated_at": "2026-05-21T00:00:00Z"}'),
  'webhook');
select is(tests.apply_invitee(tests.invitee('E2', 'kim'), 'webhook'), 'changed',
  'a new invitee of an event that was reassigned is stored once');
select is(
  (select array_agg(v.user_id) from public.calendly_invitees v
    where v.uri = tests.invitee_uri('E2', 'kim')),
  array[tests.id_of('ben')], 'a former host learns of no new invitee');
select public.calendly_disconnect(jsonb_build_object('auth_user_id', tests.account_of('ben')));
select is(tests.apply_invitee(tests.invitee('E2', 'lea'), 'webhook'), null,
  'somebody who has disconnected learns of no new invitee');

-- many
select is(tests.apply_many(300), '{t}', 'three hundred invitees of one event are applied at once');
select is(
  (select count(*) from public.calendly_invitees
    where uri like tests.invitee_uri('E1', 'guest') || '%'),
  300::bigint, 'each of three hundred invitees has a row');
update versions set before = tests.row_versions();
select is(tests.apply_many(300), '{f}', 'the same three hundred invitees again are unchanged');
select is(tests.row_versions(), before, 'the same three hundred invitees again write nothing')
  from versions;

select * from finish();
rollback;
