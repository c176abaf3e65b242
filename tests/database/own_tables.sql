-- Own tables of an app: a recipe that fails is noted and does not fail the sync.
begin;
select plan(20);
select calendly.set_clock('2026-06-01T12:00:00Z');
select tests.add_person('ana');

create table public.bookings (event_uri text primary key, name text check (name <> 'Forbidden'));
-- as an app's migration makes it
alter table public.bookings owner to postgres;
create function keep_bookings() returns trigger language plpgsql as $$
begin
  insert into public.bookings select c.calendly_event_uri, c.name from changed c
    on conflict (event_uri) do update set name = excluded.name;
  return null;
exception when others then
  perform public.calendly_record_own_table_failure('bookings', sqlerrm, sqlstate);
  return null;
end
$$;
create trigger keep_bookings_insert after insert on public.calendly_meetings
  referencing new table as changed for each statement execute function keep_bookings();
create trigger keep_bookings_update after update on public.calendly_meetings
  referencing new table as changed for each statement execute function keep_bookings();
create function failure() returns calendly.own_table_failures language sql stable as $$
  select f from calendly.own_table_failures f where f.source = 'bookings'
$$;
create function named(event text, name text) returns jsonb language sql as $$
  select tests.event(event, tests.seats(0, 0) || jsonb_build_object('name', named.name))
$$;

select tests.sync('ana', array[named('E1', 'Intro')]);
select is((select array_agg(b.name) from public.bookings b), '{Intro}',
  'a recipe that works fills its table');
select is((failure()).source, null, 'a recipe that works is no failure');

select tests.pass('1 minute');
select is(tests.sync('ana', array[named('E1', 'Intro'), named('E2', 'Forbidden')])
    #>> '{result,status}', 'complete', 'a recipe that fails does not fail the sync');
select is((tests.meeting('E2')).name, 'Forbidden', 'the meeting is stored');
select is((select array_agg(b.name) from public.bookings b), '{Intro}', 'the own table lacks it');
select ok((failure()).error ~ 'bookings_name_check', 'the failure has the message of Postgres');
select is((failure()).sqlstate, '23514', 'the failure has the SQLSTATE');
select is((failure()).failures, 1, 'the first failure counts one');
select is((failure()).first_failed_at, calendly.now(), 'it has the time of the first failure');

select tests.pass('1 minute');
select tests.apply_event(named('E3', 'Forbidden'), 'webhook');
select is((failure()).failures, 2, 'a second failure is counted');
select is((failure()).last_failed_at, calendly.now(), 'it has the time of the last failure');
select is((failure()).first_failed_at, calendly.now() - interval '1 minute',
  'the time of the first failure stays');
select public.calendly_record_own_table_failure('profiles', null, null);
select is((select array_agg(f.source order by f.source) from calendly.own_table_failures f),
  '{bookings,profiles}', 'each recipe has a failure of its own');

select public.calendly_record_own_table_failure(source,
    'duplicate key value: (ines@guest.example.com, Ines)', '23505')
  from unnest('{profiles,bookings,people}'::text[]) source;
select is(array(select distinct f.error from calendly.own_table_failures f),
  '{"duplicate key value: ([e-mail], Ines)"}', 'a failure keeps no e-mail');
select is_empty($$select p.oid::regprocedure from pg_catalog.pg_proc p
    where p.pronamespace in ('calendly'::regnamespace, 'public'::regnamespace)
      and p.proname <> 'keep_bookings'
      and replace(p.prosrc, 'calendly.without_emails(sqlerrm)', '') ~* 'sqlerrm'$$,
  'no function of ours passes on what Postgres reports with e-mails');

select is(public.calendly_clear_own_table_failure('bookings'), true, 'a failure can be cleared');
select is((failure()).source, null, 'a cleared failure is gone');
select is(public.calendly_clear_own_table_failure('bookings'), false,
  'clearing tells where there was no failure');

-- who may
select throws_ok($$set local role authenticated;
    select public.calendly_record_own_table_failure('bookings', 'x', 'y')$$, '42501', null,
  'a signed-in person cannot record a failure');
reset role;
select throws_ok($$set local role authenticated;
    select public.calendly_clear_own_table_failure('profiles')$$, '42501', null,
  'a signed-in person cannot clear one');
reset role;

select * from finish();
rollback;
