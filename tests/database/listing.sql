-- Page by page: everything that is listed is applied, counted once and remembered as seen.
begin;
select plan(38);
select calendly.set_clock('2026-06-01T12:00:00Z');
select tests.add_person('ana');
select tests.add_person('ben');
create function tests.counts() returns text language sql as $$
  select format(
    '%s+%s listed: %s new, %s updated, %s unchanged, %s deleted, %s restored, %s rejected',
    r.fetched_active, r.fetched_canceled, r.created, r.updated, r.unchanged, r.deleted, r.restored,
      r.rejected)
      from tests.run_of('ana') r
$$;
create function tests.seen() returns text[] language sql as $$
  select array(select substring(s.event_uri from '[^/]+$')
    from calendly.run_seen s where s.run_id = (tests.run_of('ana')).id order by 1)
$$;

-- one page after the other
select tests.begin('ana');
create temporary table answer as select tests.bring('ana',
  tests.page(array[tests.event('E1'), tests.event('E2')], 'token of page 2')) as next;
select is(next #>> '{query,page_token}', 'token of page 2',
  'the next page is asked for by its token')
  from answer;
select is((next -> 'query') - 'page_token',
  jsonb_build_object('user', tests.host('ana'), 'min_start_time', '2024-06-01T12:00:00.000000Z',
    'max_start_time', '2027-06-01T12:00:00.000000Z', 'sort', 'start_time:asc', 'count', '100'),
  'the query of the next page repeats every filter')
  from answer;
select is(tests.counts(),
  '2+0 listed: 2 new, 0 updated, 0 unchanged, 0 deleted, 0 restored, 0 rejected',
  'a page is counted');
select is(tests.seen(), array['E1', 'E2'], 'the events of a page are recorded as seen');

-- a row that moved from one page to the next
select tests.bring('ana',
  tests.page(array[tests.event('E2'), tests.event('E3')], 'token of page 3'));
select is(tests.counts(),
  '3+0 listed: 3 new, 0 updated, 0 unchanged, 0 deleted, 0 restored, 0 rejected',
  'an event that is listed on two pages counts once');
select is(tests.seen(), array['E1', 'E2', 'E3'],
  'an event that is listed on two pages is seen once');
select tests.bring('ana',
  tests.page(array[tests.event('E1', tests.canceled()), tests.event('E4')], 'token of page 4'));
select is(tests.counts(),
  '4+0 listed: 4 new, 0 updated, 0 unchanged, 0 deleted, 0 restored, 0 rejected',
  'a meeting that changes between two pages stays in one class');
select is((tests.meeting('E1')).status, 'canceled', 'a change between two pages is applied');
select tests.bring('ana',
  tests.page(array[tests.event('E5', '{"name": "older"}'),
    tests.event('E5', '{"name": "newer", "updated_at": "2026-05-21T00:00:00Z"}'),
    tests.event('E5')],
    'token of page 5'));
select is((tests.meeting('E5')).name, 'newer',
  'of an event that is listed three times on a page the newest is kept');
select is(tests.counts(),
  '5+0 listed: 5 new, 0 updated, 0 unchanged, 0 deleted, 0 restored, 0 rejected',
  'an event that is listed three times on a page counts once');

-- bad rows
select lives_ok($$select tests.bring('ana', tests.page(array[
    tests.event('bad', '{"start_time": "2026-02-30T10:00:00Z"}'), tests.event('E6'), 'null', '7',
      '{}',
    tests.event('bad2', '{"end_time": "noon"}'), tests.event('E7', tests.hosted_by('ben'))],
      'token of page 6'))$$,
      'events that cannot be used do not fail their page');
select is(tests.counts(),
  '7+0 listed: 6 new, 0 updated, 0 unchanged, 0 deleted, 0 restored, 6 rejected',
  'usable events are applied and the others are counted as rejected');
select results_eq($$select r ->> 'uri', r ->> 'problem'
  from jsonb_array_elements((tests.run_of('ana')).rejections) r order by 2, 1$$,
  $$values (tests.event_uri('bad2'), 'end_time is no time'), (null, 'no event uri'),
    (null, 'not an object'), (null, 'not an object'),
    (tests.event_uri('bad'), 'start_time is no time'),
    (tests.event_uri('E7'), 'the user is not among the hosts')$$,
    'each rejected event is recorded with its URI and problem');
select is((select count(*) from public.calendly_meetings where user_id = tests.id_of('ben')),
  0::bigint, 'an event of another host makes no meeting for that host');
select ok(tests.seen() @> array['bad', 'bad2', 'E7'],
  'an event that cannot be used counts as seen');
select tests.bring('ana',
  tests.page(array[tests.event('bad', '{"start_time": "2026-02-30T10:00:00Z"}')],
    'token of page 7'));
select is((tests.run_of('ana')).rejected, 6,
  'an event that cannot be used is rejected once even if it is listed twice');
select tests.bring('ana',
  tests.page(array(select tests.event('worse' || n, '{"status": "?"}')
    from generate_series(1, 100) n),
    'token of page 8'));
select is(row(r.rejected, jsonb_array_length(r.rejections))::text, '(106,50)',
  'all rejected events are counted and fifty of them are kept')
  from tests.run_of('ana') r;

-- an empty page
select is(tests.bring('ana', tests.page('{}', 'token of page 9')) #>> '{query,page_token}',
  'token of page 9', 'an empty page with a token is followed by the next page');
select is(tests.bring('ana', tests.page('{}')) ->> 'do', 'fetch_invitees',
  'a page without a token is the last one');
select is(tests.finish('ana') ->> 'do', 'fetch_invitees',
  'after the listing the invitees are fetched');
select tests.fail('ana', '{"code": "internal"}');

-- the classes of a later listing
select tests.pass('1 hour');
update public.calendly_users set calendly_initial_sync_complete = true where id
  = tests.id_of('ana');
update public.calendly_meetings set is_deleted = true, deleted_reason = 'gone', deleted_at
  = calendly.now(), updated_at = calendly.now() where calendly_event_uri = tests.event_uri('E6');
update calendly.meeting_sync set invitees_due_at = null;
select tests.begin('ana');
select tests.pass('1 second');
select tests.bring('ana',
  tests.page(array[tests.event('E1', tests.canceled()),
    tests.event('E2', '{"name": "new", "updated_at": "2026-05-21T00:00:00Z"}'),
    tests.event('E3', tests.canceled()),
  tests.event('E4'), tests.event('E5', '{"updated_at": "2026-05-21T00:00:00Z", "name": "newer"}'),
    tests.event('E6'), tests.event('E8')]));
select is(tests.counts(),
  '5+2 listed: 1 new, 1 updated, 3 unchanged, 1 deleted, 1 restored, 0 rejected',
  'each meeting of a listing is in one class');
select is((select r.created + r.updated + r.unchanged + r.deleted + r.restored
  from tests.run_of('ana') r),
  7, 'every meeting of a listing is in a class');
select is((tests.run_of('ana')).missing, 0, 'a complete listing has no missing meetings');
select tests.fail('ana', '{"code": "internal"}');

-- changes to one meeting in several steps
select tests.begin('ana');
select tests.bring('ana',
  tests.page(array[tests.event('E4', '{"name": "a", "updated_at": "2026-05-21T00:00:00Z"}')],
    'p2'));
select is(tests.counts(),
  '1+0 listed: 0 new, 1 updated, 0 unchanged, 0 deleted, 0 restored, 0 rejected',
  'an event that changed counts as updated');
select tests.bring('ana', tests.page(array[tests.event('E4', tests.canceled())], 'p3'));
select is(tests.counts(),
  '1+0 listed: 0 new, 0 updated, 0 unchanged, 1 deleted, 0 restored, 0 rejected',
  'an event that was updated and then canceled counts as deleted');
select tests.bring('ana',
  tests.page(array[tests.event('E4',
    tests.canceled('{"updated_at": "2026-05-26T00:00:00Z", "name": "b"}'))],
    'p4'));
select is(tests.counts(),
  '1+0 listed: 0 new, 0 updated, 0 unchanged, 1 deleted, 0 restored, 0 rejected',
  'a deleted event that changes again counts as deleted');
select tests.fail('ana', '{"code": "internal"}');

-- an event that came by webhook while the run was listing
select tests.pass('1 hour');
select tests.begin('ana');
select tests.apply_event(tests.event('E9'), 'webhook');
select tests.bring('ana', tests.page(array[tests.event('E9')], 'p2'));
select is(tests.counts(),
  '1+0 listed: 0 new, 0 updated, 1 unchanged, 0 deleted, 0 restored, 0 rejected',
  'a meeting that a webhook made during the run counts as unchanged');
select is((tests.meeting('E9')).synced_via_webhook, true,
  'a meeting that a webhook made during the run stays marked as made by a webhook');
select tests.fail('ana', '{"code": "internal"}');

-- a page token that has expired
select tests.pass('1 hour');
select tests.begin('ana');
select tests.bring('ana',
  tests.page(array[tests.event('S1',
    '{"start_time": "2026-06-02T10:00:00Z", "end_time": "2026-06-02T10:30:00Z"}'),
    tests.event('S2',
      '{"start_time": "2026-06-03T10:00:00Z", "end_time": "2026-06-03T10:30:00Z"}')],
    'will expire'));
create temporary table fresh_listing as select tests.bring('ana',
  '{"interruption": {"code": "page_token_expired", "message": "The page token is invalid."}}')
  as next;
select is(next ->> 'do', 'list_events', 'after a page token has expired the listing goes on')
  from fresh_listing;
select ok(not next -> 'query' ? 'page_token',
  'after a page token has expired the query has no token')
  from fresh_listing;
select is(next #>> '{query,min_start_time}', '2026-06-03T09:59:59.000000Z',
  'after a page token has expired the listing starts a second before the last event seen')
  from fresh_listing;
select is(next #>> '{query,max_start_time}', '2026-11-28T15:00:01.000000Z',
  'after a page token has expired the listing has the same end')
  from fresh_listing;
select is((tests.run_of('ana')).status, 'running', 'an expired page token does not pause the run');
select is(tests.seen(), array['S1', 'S2'], 'an expired page token keeps what the run has seen');
select is(tests.bring('ana',
  tests.page(array[tests.event('S2',
    '{"start_time": "2026-06-03T10:00:00Z", "end_time": "2026-06-03T10:30:00Z"}')],
    'new token'))
  #>> '{query,page_token}', 'new token', 'a restarted listing has page tokens of its own');
select is(tests.counts(),
  '2+0 listed: 2 new, 0 updated, 0 unchanged, 0 deleted, 0 restored, 0 rejected',
  'a restarted listing counts no event twice');
select is(tests.bring('ana', '{"interruption": {"code": "page_token_expired", "message": "x"}}')
  ->> 'do', 'list_events', 'a page token may expire again after a page');
select tests.fail('ana', '{"code": "internal"}');
select tests.begin('ana');
select tests.bring('ana', tests.page('{}', 'will expire'));
select is(tests.bring('ana', '{"interruption": {"code": "page_token_expired", "message": "x"}}')
  #>> '{query,min_start_time}', '2026-03-03T15:00:01.000000Z',
  'a listing that has seen nothing restarts at the begin of the range');

select * from finish();
rollback;
