-- A step may change one meeting in several ways: it counts once, by what says most.
begin;
select plan(2);
select calendly.set_clock('2026-06-01T12:00:00Z');
select tests.add_person('ana');
select tests.begin('ana');
select lives_ok($$select calendly.count_changes((tests.run_of('ana')).id, array[
  calendly.as_update(tests.id_of('ana'), 'E1'), calendly.as_update(tests.id_of('ana'), 'E1'), calendly.as_update(tests.id_of('ana'), 'E2'),
  row(tests.id_of('ana'), 'E2', 'deleted', null, false, true, 'gone', true, false)::calendly.meeting_change])$$, 'however often it is named');
select is(row(r.updated, r.deleted)::text, '(1,1)', 'each meeting counts once') from tests.run_of('ana') r;
select * from finish();
rollback;
