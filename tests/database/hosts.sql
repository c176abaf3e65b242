-- Whose meeting an event is: a row for every host whose meetings are kept, and for nobody else.
begin;
select plan(36);
select calendly.set_clock('2026-06-01T12:00:00Z');
select tests.add_person('ana');
select tests.add_person('ben');
select tests.add_account('dan@example.com');
create function tests.moved_on(day integer) returns jsonb language sql as $$
  select jsonb_build_object('updated_at', format('2026-05-%sT00:00:00.000000Z', day))
$$;

-- collective events
select is(tests.apply_event(tests.event('E1', tests.hosted_by('ana', 'ben', 'zoe'))),
  'ana created, ben created', 'a collective event makes a row for each host who is kept');
select is(
  tests.apply_event(tests.event('E1', tests.hosted_by('ana', 'ben', 'zoe') || tests.canceled())),
  'ana deleted, ben deleted', 'the cancellation of a collective event reaches each row');
select is(tests.apply_event(tests.event('E2', tests.hosted_by('zoe'))), null,
  'an event whose host is not kept makes no row');
select is(tests.apply_event(tests.event('E2', tests.hosted_by('dan'))), null,
  'an event whose host has an account and no connection makes no row');
select is(
  (select count(*) from public.calendly_meetings
    where calendly_event_uri = tests.event_uri('E2')), 0::bigint,
  'nobody has a row of an event whose hosts are not kept');

-- the users whose rows are written
select is(
  tests.apply_event(tests.event('E3', tests.hosted_by('ana', 'ben')), 'listing',
    array[tests.id_of('ana')]),
  'ana created', 'the run of a user writes that user''s rows only');
select is(
  tests.apply_event(
    tests.event('E3', tests.hosted_by('ana', 'ben') || tests.moved_on(21) || '{"name": "new"}'),
    'listing', array[tests.id_of('ben')]),
  'ben created', 'the row of the other host is made by the other''s run');
select is((tests.meeting('E3', 'ana')).name, 'Intro call',
  'the run of one user leaves the row of another host alone');
select is(
  tests.apply_event(tests.event('E3', tests.hosted_by('ana', 'ben')), 'listing',
    array[tests.id_of('ana')]),
  'ana updated', 'an old snapshot brings the newest content that any host''s row has');
select is((tests.meeting('E3', 'ana')).name, 'new',
  'a row takes newer content from the row of another host');
select is(
  tests.apply_event(tests.event('E4', tests.hosted_by('ben')), 'listing',
    array[tests.id_of('ana')]),
  null, 'an event listed for a user who is not among its hosts makes no row');

-- reassigned
select is(tests.apply_event(tests.event('E5', tests.hosted_by('ana'))), 'ana created',
  'an event has a first host');
select is(
  tests.apply_event(tests.event('E5', tests.hosted_by('ben') || tests.moved_on(21))),
  'ben created', 'a listing that shows an event with another host makes a row for that host');
select is((tests.meeting('E5', 'ana')).is_deleted, false,
  'a listing does not mark the row of the former host as deleted');
select is(
  tests.apply_event(tests.event('E5', tests.hosted_by('ben') || tests.moved_on(21)), 'read'),
  'ana deleted, ben unchanged',
  'an event that was fetched directly proves that a user is no longer a host');
select is(
  row(m.status, m.is_deleted, m.deleted_reason, m.deleted_at)::text,
  row('active', true, 'reassigned', '2026-05-21T00:00:00Z'::timestamptz)::text,
  'the row of the former host is marked as reassigned') from tests.meeting('E5', 'ana') m;
select is(
  tests.apply_event(tests.event('E5', tests.hosted_by('ben') || tests.moved_on(21)), 'webhook'),
  'ana unchanged, ben unchanged', 'a second proof changes nothing');
select is(tests.apply_event(tests.event('E5', tests.hosted_by('ana')), 'webhook'),
  'ana unchanged, ben unchanged',
  'an old delivery that comes late does not give an event back to the former host');
select is(
  tests.apply_event(tests.event('E5', tests.hosted_by('ben') || tests.canceled()), 'webhook'),
  'ana updated, ben deleted', 'a cancellation reaches the row of a former host');
select is(tests.apply_event(tests.event('E6', tests.hosted_by('ana', 'ben')), 'webhook'),
  'ana created, ben created', 'a delivery makes a row for every host who is kept');
select is(
  tests.apply_event(tests.event('E6', tests.hosted_by('ben') || tests.moved_on(21)), 'webhook'),
  'ana deleted, ben updated', 'a delivery marks the row of a former host as deleted');
select is(
  tests.apply_event(
    tests.event('E6', tests.hosted_by('ana', 'ben') || tests.moved_on(22)), 'webhook'),
  'ana restored, ben updated', 'a former host who becomes a host again has the meeting again');

-- a former host gets no row
select is(
  tests.apply_event(tests.event('E7', tests.hosted_by('ben') || tests.moved_on(21))),
  'ben created', 'the new host may be known first');
select is(tests.apply_event(tests.event('E7', tests.hosted_by('ana')), 'webhook'),
  'ben unchanged', 'an old delivery makes no row for a former host');
select is(
  tests.apply_event(tests.event('E7', tests.hosted_by('ana')), 'listing',
    array[tests.id_of('ana')]),
  null, 'an old listing makes no row for a former host');
select is(tests.apply_event(tests.event('E8', tests.hosted_by('ana'))), 'ana created',
  'an event has a host who is kept');
select is(
  tests.apply_event(tests.event('E8', tests.hosted_by('zoe') || tests.moved_on(21)), 'webhook'),
  'ana deleted', 'the row of a former host is deleted also where the new host is not kept');
select is(tests.apply_event(tests.event('E8', tests.hosted_by('ana', 'ben')), 'webhook'),
  'ana unchanged', 'the time of an event is known by the row of a former host, for everybody');

-- a delivery without updated_at may name some of the hosts only
select is(tests.apply_event(tests.event('E11', tests.hosted_by('ana', 'ben'))),
  'ana created, ben created', 'an event has two hosts');
select is(
  (select string_agg(c.class, ', ' order by c.user_id) from calendly.apply_events(
    array[calendly.read_event(tests.event('E11') - 'updated_at')], true, null, false) c),
  'unchanged, unchanged', 'a delivery without updated_at changes nothing of what has a time');

-- only who is kept
select is(tests.apply_event(tests.event('E9', tests.hosted_by('ana', 'ben'))),
  'ana created, ben created', 'an event has two hosts who are connected');
select public.calendly_disconnect(jsonb_build_object('auth_user_id', tests.account_of('ben')));
select is(
  tests.apply_event(tests.event('E9', tests.hosted_by('ana', 'ben') || tests.canceled())),
  'ana deleted', 'the row of somebody who has disconnected is not written any more');
select is((tests.meeting('E9', 'ben')).is_deleted, false,
  'the row of somebody who has disconnected stays as it was');
update public.calendly_connections set state = 'reconnect_required'
  where user_id = tests.id_of('ana');
select is(tests.apply_event(tests.event('E10', tests.hosted_by('ana')), 'webhook'),
  'ana created', 'a delivery is applied for somebody whose token is refused');

-- somebody without an account whose meetings an organization's connection brings
insert into public.calendly_users (calendly_user_uri, email, connection_id)
  select tests.host('noa'), 'noa@calendly.example.com', c.id from tests.connection_of('ana') c;
select is(tests.apply_event(tests.event('E12', tests.hosted_by('ana', 'noa', 'zoe'))),
  'ana created, noa created', 'a host without an account who is kept gets a row');
select is(
  (select count(*) from public.calendly_meetings m
    where m.user_id not in (tests.id_of('ana'), tests.id_of('ben'), tests.id_of('noa'))),
  0::bigint, 'nobody else ever got a row');

select * from finish();
rollback;
