-- A step counts once, however often its result is brought, and only from the worker that has the
-- lease.
begin;
select plan(29);
select calendly.set_clock('2026-06-01T12:00:00Z');
select tests.add_person('ana');
select tests.begin('ana');
create function tests.bring_step(step integer, result jsonb) returns jsonb language sql as $$
  select public.calendly_apply_step(o.run_id, o.lease, bring_step.step, '{"requests": 1}' || result)
    from tests.state_of('ana') o
$$;
create function tests.counts() returns text language sql as $$
  select format(
    'requests %s, fetched %s+%s, created %s, updated %s, unchanged %s, deleted %s, rejected %s',
    r.requests, r.fetched_active, r.fetched_canceled, r.created, r.updated, r.unchanged, r.deleted,
      r.rejected)
      from tests.run_of('ana') r
$$;
create temporary table page as select tests.page(array[tests.event('E1'),
  tests.event('E2', tests.canceled()), '{"uri": "nonsense"}'],
  'page 2') as one;

-- a lost answer
create temporary table answer as select tests.bring_step(0, one) as first from page;
select is(tests.counts(),
  'requests 1, fetched 1+1, created 2, updated 0, unchanged 0, deleted 0, rejected 1',
  'a page is applied and counted');
select is(first ->> 'step', '1', 'an applied step returns the next one') from answer;
create temporary table versions as select tests.row_versions() as before;
select is(tests.bring_step(0, one), first, 'a step that is brought twice gets the same answer')
  from page, answer;
select is(tests.counts(),
  'requests 1, fetched 1+1, created 2, updated 0, unchanged 0, deleted 0, rejected 1',
  'a step that is brought twice counts once');
select is(tests.row_versions(), before, 'a step that is brought twice writes nothing')
  from versions;
select is((select count(*) from calendly.run_seen), 3::bigint,
  'a page that is brought twice is seen once');
select is(tests.bring_step(0,
  '{"requests": 7, "interruption": {"code": "calendly_unavailable", "message": "x"}}'),
  first, 'a different result for a step that was applied gets the first answer')
  from answer;
select is(tests.counts(),
  'requests 1, fetched 1+1, created 2, updated 0, unchanged 0, deleted 0, rejected 1',
  'a different result for a step that was applied is ignored');

-- another step than the one that is asked for
select is(tests.code_of($$select tests.bring_step(2, tests.page('{}'))$$), 'unexpected_step',
  'a step that was not asked for is refused');
select is(tests.code_of($$select tests.bring_step(-1, tests.page('{}'))$$), 'unexpected_step',
  'a step before the last one is refused');
select is(tests.code_of($$select public.calendly_apply_step((tests.state_of('ana')).run_id,
  gen_random_uuid(), 1, tests.page('{}'))$$),
  'lease_lost', 'a worker with another lease cannot apply a step');
select is(tests.code_of($$select public.calendly_apply_step((tests.state_of('ana')).run_id, null, 1,
  tests.page('{}'))$$),
  'lease_lost', 'a worker without a lease cannot apply a step');
select is(tests.code_of($$select public.calendly_apply_step(gen_random_uuid(), gen_random_uuid(), 1,
  tests.page('{}'))$$),
  'lease_lost', 'a step of a run that does not exist is refused');
select is(tests.counts(),
  'requests 1, fetched 1+1, created 2, updated 0, unchanged 0, deleted 0, rejected 1',
  'refused steps leave the run as it was');

-- the lease lasts as long as the work
select is((tests.state_of('ana')).lease_expires_at, calendly.now() + interval '2 minutes',
  'a lease lasts two minutes');
select tests.pass('40 seconds');
select tests.bring_step(1, tests.page(array[tests.event('E3', tests.seats(0, 0))], 'page 3'));
select is((tests.state_of('ana')).lease_expires_at, calendly.now() + interval '2 minutes',
  'a step extends the lease');
select is((tests.run_of('ana')).heartbeat_at, calendly.now(), 'a step moves the heartbeat');

-- all or nothing
create temporary table until_now as select tests.counts() as counts,
  (tests.state_of('ana')).step as step, (select count(*) from public.calendly_meetings) as meetings;
select throws_ok($$select tests.bring_step(2, '{"page": {"collection": 7}}')$$, null, null,
  'a result that is not understood is an error');
select is(row(tests.counts(), (tests.state_of('ana')).step,
  (select count(*) from public.calendly_meetings))::text,
  row(counts, step, meetings)::text, 'a step that fails writes nothing')
  from until_now;

-- progress
select is((tests.run_of('ana')).progress,
  '{"phase": "list_events", "events": 3, "invitees_read": 0, "invitees_to_read": null}'::jsonb,
  'while events are listed, the number of invitees to fetch is unknown');
select tests.bring_step(2, tests.page(array[tests.event('E4'), tests.event('E5')]));
select is((tests.run_of('ana')).progress,
  '{"phase": "fetch_invitees", "events": 5, "invitees_read": 0, "invitees_to_read": 4}'::jsonb,
  'when the listing is complete, the number of invitees to fetch is known');
select is(tests.bring_step(3,
  jsonb_build_object('requests', 2, 'invitees',
    jsonb_build_array(tests.invitees_of('E1', tests.invitee('E1', 'ines')),
      tests.invitees_of('E2', tests.invitee('E2', 'jo')))))
  ->> 'do', 'fetch_invitees', 'a part of the invitees that were asked for is accepted');
select is((tests.run_of('ana')).progress,
  '{"phase": "fetch_invitees", "events": 5, "invitees_read": 2, "invitees_to_read": 4}'::jsonb,
  'a part of the invitees that were asked for counts in the progress');

-- finish
select is(tests.finish('ana') ->> 'do', 'fetch_invitees',
  'a run with work left is not finished but gets the next step');
select tests.bring_step(4,
  jsonb_build_object('requests', 2, 'invitees',
    jsonb_build_array(tests.invitees_of('E4', tests.invitee('E4', 'ines')),
      tests.invitees_of('E5', tests.invitee('E5', 'jo')))));
create temporary table held as select * from tests.state_of('ana');
select is(tests.finish('ana') #>> '{result,status}', 'complete',
  'a run without work left is finished');
select is((select count(*) from calendly.active_runs), 0::bigint,
  'a finished run is no longer active');
select is((select count(*) from calendly.run_seen) + (select count(*) from calendly.run_changes)
  + (select count(*) from calendly.run_invitees),
  0::bigint, 'a finished run leaves nothing that it has collected');
select is(tests.code_of(format($$select public.calendly_apply_step(%L, %L, 5, '{"requests": 1}'
  || tests.page('{}'))$$,
  run_id, lease)),
  'lease_lost', 'a finished run accepts no step')
  from held;
select is(tests.counts(),
  'requests 7, fetched 4+1, created 5, updated 0, unchanged 0, deleted 0, rejected 1',
  'the counts of a finished run are the sums of its steps');

select * from finish();
rollback;
