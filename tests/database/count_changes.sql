-- A step may change one meeting in several ways: it counts once, by the class that says most.
begin;
select plan(3);
select calendly.set_clock('2026-06-01T12:00:00Z');
select tests.add_person('ana');
select tests.begin('ana');
create function tests.change(event text, class text) returns calendly.meeting_change
  language sql as $$ select calendly.bare_change(tests.id_of('ana'), event, class) $$;
create function tests.counts(run public.calendly_sync_runs) returns text language sql as $$
  select format('%s new, %s updated, %s unchanged, %s deleted, %s restored',
    run.created, run.updated, run.unchanged, run.deleted, run.restored)
$$;
create temporary table run as select calendly.count_changes(tests.run_of('ana'), array[
  tests.change('E1', 'updated'), tests.change('E1', 'updated'), tests.change('E2', 'updated'),
  tests.change('E2', 'deleted'), tests.change('E3', 'unchanged'),
  tests.change('E4', 'created')], 4) as first;
select is(tests.counts(first), '1 new, 1 updated, 1 unchanged, 1 deleted, 0 restored',
  'a meeting that changes in several ways counts once, by the class that says most')
  from run;

-- later steps of the same run
create temporary table later as select calendly.count_changes(first, array[
  tests.change('E1', 'deleted'), tests.change('E2', 'restored'), tests.change('E3', 'updated'),
  tests.change('E4', 'deleted'), tests.change('E5', 'unchanged')], 1) as run
  from run;
select is(tests.counts(run), '1 new, 1 updated, 1 unchanged, 1 deleted, 1 restored',
  'a later step moves a meeting to the class that says more; a new meeting stays new')
  from later;
select is(tests.counts(calendly.count_changes(run, array[tests.change('E2', 'updated'),
    tests.change('E3', 'updated')], 0)),
  '1 new, 1 updated, 1 unchanged, 1 deleted, 1 restored',
  'a change that says no more counts nothing')
  from later;
select * from finish();
rollback;
