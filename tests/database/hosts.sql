-- Whose meeting an event is: a row for every host who is a user and connected, and for nobody else.
begin;
select plan(33);
select calendly.set_clock('2026-06-01T12:00:00Z');
select tests.add_person('ana');
select tests.add_person('ben');
select tests.add_account('dan@example.com');

-- collective events
select is(tests.apply_event(tests.event('E1', tests.hosted_by('ana', 'ben', 'zoe'))), 'ana created, ben created', 'a collective event makes a row for each host who is a user');
select is(tests.apply_event(tests.event('E1', tests.hosted_by('ana', 'ben', 'zoe') || tests.canceled())), 'ana deleted, ben deleted', 'its cancellation reaches both');
select is(tests.apply_event(tests.event('E2', tests.hosted_by('zoe'))), null, 'an event whose host is not a user makes no row');
select is(tests.apply_event(tests.event('E2', tests.hosted_by('dan'))), null, 'nor one whose host is a user without a connection');
select is((select count(*) from public.meetings where calendly_event_uri = tests.event_uri('E2')), 0::bigint, 'for anybody');

-- scope
select is(tests.apply_event(tests.event('E3', tests.hosted_by('ana', 'ben')), 'listing', array[tests.id_of('ana')]), 'ana created', 'a user''s run writes that user''s rows only');
select is(tests.apply_event(tests.event('E3', tests.hosted_by('ana', 'ben') || '{"name": "new", "updated_at": "2026-05-21T00:00:00Z"}'), 'listing', array[tests.id_of('ben')]), 'ben created', 'the other host''s row is made by the other''s run');
select is((tests.meeting('E3', 'ana')).name, 'Intro call', 'which leaves the first one alone');
select is(tests.apply_event(tests.event('E3', tests.hosted_by('ana', 'ben')), 'listing', array[tests.id_of('ana')]), 'ana updated', 'the clock is the event''s: an old copy brings the newest content that any host''s row knows');
select is((tests.meeting('E3', 'ana')).name, 'new', 'to this row');
select is(tests.apply_event(tests.event('E4', tests.hosted_by('ben')), 'listing', array[tests.id_of('ana')]), null, 'an event listed for ana that does not name her makes no row for her, nor for ben');

-- reassigned
select is(tests.apply_event(tests.event('E5', tests.hosted_by('ana'))), 'ana created', 'an event of ana''s');
select is(tests.apply_event(tests.event('E5', tests.hosted_by('ben') || '{"updated_at": "2026-05-21T00:00:00.000000Z"}')), 'ben created', 'that a listing shows with another host goes to that host');
select is((tests.meeting('E5', 'ana')).is_deleted, false, 'but a listing deletes nothing');
select is(tests.apply_event(tests.event('E5', tests.hosted_by('ben') || '{"updated_at": "2026-05-21T00:00:00.000000Z"}'), 'read'), 'ana deleted, ben unchanged', 'the event asked for by itself proves that ana is no longer a host');
select is(row(m.status, m.is_deleted, m.deleted_reason, m.deleted_at)::text, row('active', true, 'reassigned', '2026-05-21T00:00:00Z'::timestamptz)::text, 'her row says so') from tests.meeting('E5', 'ana') m;
select is(tests.apply_event(tests.event('E5', tests.hosted_by('ben') || '{"updated_at": "2026-05-21T00:00:00.000000Z"}'), 'webhook'), 'ana unchanged, ben unchanged', 'once');
select is(tests.apply_event(tests.event('E5', tests.hosted_by('ana')), 'webhook'), 'ana unchanged, ben unchanged', 'a late old delivery does not give it back');
select is(tests.apply_event(tests.event('E5', tests.hosted_by('ben') || tests.canceled()), 'webhook'), 'ana updated, ben deleted', 'a cancellation is told to both');
select is(tests.apply_event(tests.event('E6', tests.hosted_by('ana', 'ben')), 'webhook'), 'ana created, ben created', 'a webhook makes a row for every host who is a user');
select is(tests.apply_event(tests.event('E6', tests.hosted_by('ben') || '{"updated_at": "2026-05-21T00:00:00.000000Z"}'), 'webhook'), 'ana deleted, ben updated', 'and takes it from a former one');
select is(tests.apply_event(tests.event('E6', tests.hosted_by('ana', 'ben') || '{"updated_at": "2026-05-22T00:00:00.000000Z"}'), 'webhook'), 'ana restored, ben updated', 'who can come back');

-- a former host gets no row
select is(tests.apply_event(tests.event('E7', tests.hosted_by('ben') || '{"updated_at": "2026-05-21T00:00:00.000000Z"}')), 'ben created', 'where the new host is known first');
select is(tests.apply_event(tests.event('E7', tests.hosted_by('ana')), 'webhook'), 'ben unchanged', 'a late delivery from before makes no row for the former host');
select is(tests.apply_event(tests.event('E7', tests.hosted_by('ana')), 'listing', array[tests.id_of('ana')]), null, 'nor does an old listing');
select is(tests.apply_event(tests.event('E8', tests.hosted_by('ana'))), 'ana created', 'and where the new host is not a user');
select is(tests.apply_event(tests.event('E8', tests.hosted_by('zoe') || '{"updated_at": "2026-05-21T00:00:00.000000Z"}'), 'webhook'), 'ana deleted', 'the former host''s row remembers the event''s clock');
select is(tests.apply_event(tests.event('E8', tests.hosted_by('ana', 'ben')), 'webhook'), 'ana unchanged', 'for everybody');

-- only connected hosts
select is(tests.apply_event(tests.event('E9', tests.hosted_by('ana', 'ben'))), 'ana created, ben created', 'of two hosts');
select public.calendly_disconnect(tests.account_of('ben'));
select is(tests.apply_event(tests.event('E9', tests.hosted_by('ana', 'ben') || tests.canceled())), 'ana deleted', 'one who has disconnected gets nothing any more');
select is((tests.meeting('E9', 'ben')).is_deleted, false, 'and keeps the rows as they were');
update public.calendly_connections set state = 'reconnect_required' where user_id = tests.id_of('ana');
select is(tests.apply_event(tests.event('E10', tests.hosted_by('ana')), 'webhook'), 'ana created', 'one whose token is refused still gets webhooks');
select is((select count(*) from public.meetings m join public.users u on u.id = m.user_id where u.email not in ('ana@example.com', 'ben@example.com')), 0::bigint, 'nobody else ever got a row');

select * from finish();
rollback;
