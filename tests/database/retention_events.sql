-- Retention of webhook events: settled ones go after 30 days, dead ones after 90, deferred ones
-- never. The payload of processed ones goes after 7 days.
begin;
select plan(33);
select calendly.set_clock('2026-06-01T12:00:00Z');
create function tests.keep(id text, status text, age interval) returns void language sql as $$
  insert into public.calendly_webhook_events (event_id, event_type, payload, created_at, status)
    values (keep.id, 'invitee.created', case when keep.status <> 'ignored' then '{}'::jsonb end,
      calendly.now() - age, keep.status)
$$;
create function tests.kept() returns text language sql as $$
  select coalesce(string_agg(e.event_id, ', ' order by e.event_id), 'nothing')
  from public.calendly_webhook_events e
$$;

select is(clean_old_webhook_events(), 0, 'an empty table is left as it is');
select tests.keep('processed, a second too young', 'processed', '30 days -1 second');
select tests.keep('processed, of the age', 'processed', '30 days');
select is(clean_old_webhook_events(), 0, 'events are kept for 30 days');
select tests.keep('processed', 'processed', '30 days 1 second');
select tests.keep('ignored', 'ignored', '31 days');
select is(clean_old_webhook_events(), 2, 'processed and ignored events go after 30 days');
select is(tests.kept(), 'processed, a second too young, processed, of the age',
  'younger events stay');
delete from public.calendly_webhook_events;

select tests.keep('deferred', 'deferred', '10 years');
select is(clean_old_webhook_events(), 0, 'deferred events are kept, however old');
select tests.keep('dead', 'dead', '90 days'), tests.keep('long dead', 'dead', '91 days');
select is(clean_old_webhook_events(), 1, 'dead events go after 90 days');
select is(tests.kept(), 'dead, deferred', 'dead events of 90 days stay');
delete from public.calendly_webhook_events;

-- slices
select tests.keep(n::text, 'processed', '40 days' + n * interval '1 second')
  from generate_series(1, 12001) n;
select tests.keep('deferred ' || n, 'deferred', '50 days') from generate_series(1, 100) n;
select is(clean_old_webhook_events(), 5000, 'at most 5,000 events go in one call');
select is((select min(e.event_id::integer) || ' to ' || max(e.event_id::integer)
    from public.calendly_webhook_events e where e.status = 'processed'), '1 to 7001',
  'the oldest events go first');
select is(clean_old_webhook_events(), 5000, 'the second call deletes the next slice');
select is(clean_old_webhook_events(), 2001, 'the last slice is smaller');
select is(clean_old_webhook_events(), 0, 'then nothing is left to delete');
select is((select count(*) from public.calendly_webhook_events), 100::bigint,
  'deferred events among them are kept');
delete from public.calendly_webhook_events;

-- settings
select public.calendly_configure(
  '{"webhook_event_retention": "7 days", "dead_webhook_event_retention": "14 days"}');
select tests.keep('processed', 'processed', '8 days'), tests.keep('dead', 'dead', '13 days'),
  tests.keep('long dead', 'dead', '15 days');
select is(clean_old_webhook_events(), 2, 'both ages are settings');
select is(tests.kept(), 'dead', 'each setting is for its own events');
select public.calendly_configure(
  '{"webhook_event_retention": "30 days", "dead_webhook_event_retention": "1 day"}');
select is(clean_old_webhook_events(), 1, 'the age of dead events may be the shorter one');
delete from public.calendly_webhook_events;

select tests.add_person('ana');
select tests.keep('of ana', 'processed', '31 days');
update public.calendly_webhook_events set user_id = tests.id_of('ana');
select is(clean_old_webhook_events(), 1, 'events of a user go as well');

-- payloads
create function tests.payloads() returns text language sql as $$
  select coalesce(string_agg(e.event_id, ', ' order by e.event_id), 'none')
  from public.calendly_webhook_events e where e.payload is not null
$$;
select is(calendly.clean_old_payloads(), 0, 'without events there are no payloads to remove');
select tests.keep('old', 'processed', '7 days 1 second'),
  tests.keep('of the age', 'processed', '7 days'), tests.keep('ignored', 'ignored', '8 days'),
  tests.keep('deferred', 'deferred', '8 days'), tests.keep('dead', 'dead', '8 days');
select is(calendly.clean_old_payloads(), 1, 'the payload of a processed event goes after 7 days');
select is(tests.payloads(), 'dead, deferred, of the age',
  'deferred and dead events keep their payload, younger ones too');
select is(tests.kept(), 'dead, deferred, ignored, of the age, old', 'every event itself stays');
select throws_ok(format($$update public.calendly_webhook_events set payload = null
    where event_id = %L$$, kept.id), '23514', null, kept.reason)
  from (values ('deferred', 'no deferred event can lose its payload'),
    ('dead', 'no dead event can lose its payload')) kept (id, reason);
select tests.keep(n::text, 'processed', '8 days') from generate_series(1, 5001) n;
select is(calendly.clean_old_payloads(), 5000, 'at most 5,000 payloads go in one call');
select is(calendly.clean_old_payloads(), 1, 'the second call removes the rest');
select public.calendly_configure('{"payload_retention": "1 day"}');
select is(calendly.clean_old_payloads(), 1, 'the age is a setting');
select public.calendly_configure('{"payload_retention": null}');
select tests.keep('very old', 'processed', '29 days');
select is(calendly.clean_old_payloads(), 0, 'without an age every payload is kept');
delete from public.calendly_webhook_events;

-- who may
select is((select array_agg(p.grantee::text order by p.grantee::text)
    from information_schema.routine_privileges p
    where p.routine_schema = 'public' and p.routine_name = 'clean_old_webhook_events'
      and p.grantee <> 'postgres'), '{service_role}',
  'only the service role may call clean_old_webhook_events');
select throws_ok($$set local role authenticated; select public.clean_old_webhook_events()$$,
  '42501', null, 'a signed-in person may not call it');
reset role;
set local role service_role;
select is(public.clean_old_webhook_events(), 0, 'the service role can call it');
reset role;
select throws_ok($$set local role service_role; delete from public.calendly_webhook_events$$,
  '42501', null, 'the service role cannot delete events itself');
reset role;

-- the job
select is((select j.schedule || ' ' || j.active from cron.job j
    where j.jobname = 'calendly-clean-webhook-events'), '7 * * * * true',
  'a job cleans webhook events every hour');
select ok((select j.command ~ 'clean_old_payloads' from cron.job j
    where j.jobname = 'calendly-clean-webhook-events'), 'the same job removes old payloads');

select * from finish();
rollback;
