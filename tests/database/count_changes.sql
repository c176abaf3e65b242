-- A step may change one meeting in several ways: it counts once, by the class that says most.
begin;
select plan(2);
select calendly.set_clock('2026-06-01T12:00:00Z');
select tests.add_person('ana');
select tests.begin('ana');
select lives_ok($$select calendly.count_changes((tests.run_of('ana')).id, array[
  calendly.bare_change(tests.id_of('ana'), 'E1', 'updated'),
    calendly.bare_change(tests.id_of('ana'), 'E1', 'updated'),
    calendly.bare_change(tests.id_of('ana'), 'E2', 'updated'),
  calendly.bare_change(tests.id_of('ana'), 'E2', 'deleted', 'gone')])$$,
    'one step may change a meeting in several ways');
select is(row(r.updated, r.deleted)::text, '(1,1)',
  'a meeting that changes in several ways counts once, by the class that says most')
  from tests.run_of('ana') r;
select * from finish();
rollback;
