-- Which webhook events go, and when: settled ones after a month, dead ones after three, waiting ones never.
begin;
select plan(22);
select calendly.set_clock('2026-06-01T12:00:00Z');
create function tests.keep(name text, status text, age interval) returns void language sql as $$
  insert into public.calendly_webhook_events (event_id, event_type, payload, created_at, status)
    values (name, 'invitee.created', '{}', calendly.now() - age, status)
$$;
create function tests.kept() returns text language sql as $$
  select coalesce(string_agg(e.event_id, ', ' order by e.event_id), 'nothing') from public.calendly_webhook_events e
$$;

select is(clean_old_webhook_events(), 0, 'where there is nothing, nothing goes');
select tests.keep('processed, a second too young', 'processed', '30 days -1 second');
select tests.keep('processed, at its age', 'processed', '30 days');
select is(clean_old_webhook_events(), 0, 'for 30 days everything is kept');
select tests.keep('processed', 'processed', '30 days 1 second'), tests.keep('ignored', 'ignored', '31 days');
select is(clean_old_webhook_events(), 2, 'then what is processed or ignored goes');
select is(tests.kept(), 'processed, a second too young, processed, at its age', 'and nothing else');
delete from public.calendly_webhook_events;

select tests.keep('deferred', 'deferred', '10 years');
select is(clean_old_webhook_events(), 0, 'what waits is kept, however old');
select tests.keep('dead', 'dead', '90 days'), tests.keep('long dead', 'dead', '91 days');
select is(clean_old_webhook_events(), 1, 'what is dead goes after 90 days');
select is(tests.kept(), 'dead, deferred', 'not before');
delete from public.calendly_webhook_events;

-- slices
select tests.keep(n::text, 'processed', '40 days' + n * interval '1 second') from generate_series(1, 12001) n;
select tests.keep('waiting ' || n, 'deferred', '50 days') from generate_series(1, 100) n;
select is(clean_old_webhook_events(), 5000, 'at most 5,000 go at a time');
select is((select min(e.event_id::integer) || ' to ' || max(e.event_id::integer) from public.calendly_webhook_events e where e.status = 'processed'), '1 to 7001', 'the oldest first');
select is(clean_old_webhook_events(), 5000, 'so that no lock is held for long');
select is(clean_old_webhook_events(), 2001, 'the rest');
select is(clean_old_webhook_events(), 0, 'until nothing is left');
select is((select count(*) from public.calendly_webhook_events), 100::bigint, 'but what is kept');
delete from public.calendly_webhook_events;

-- settings
select public.calendly_configure('{"webhook_event_retention": "7 days", "dead_webhook_event_retention": "14 days"}');
select tests.keep('processed', 'processed', '8 days'), tests.keep('dead', 'dead', '13 days'), tests.keep('long dead', 'dead', '15 days');
select is(clean_old_webhook_events(), 2, 'both ages are settings');
select is(tests.kept(), 'dead', 'as they say');
select public.calendly_configure('{"webhook_event_retention": "30 days", "dead_webhook_event_retention": "1 day"}');
select is(clean_old_webhook_events(), 1, 'the one for what is dead may be the shorter one');
delete from public.calendly_webhook_events;

-- a person's
select tests.add_person('ana');
select tests.keep('hers', 'processed', '31 days');
update public.calendly_webhook_events set user_id = tests.id_of('ana');
select is(clean_old_webhook_events(), 1, 'whose it is makes no difference');

-- who may
select is((select array_agg(p.grantee::text order by p.grantee::text) from information_schema.routine_privileges p
    where p.routine_schema = 'public' and p.routine_name = 'clean_old_webhook_events' and p.grantee <> 'postgres'), '{service_role}', 'only the service role may clean');
select throws_ok($$set local role authenticated; select public.clean_old_webhook_events()$$, '42501', null, 'no signed-in person');
reset role;
set local role service_role;
select is(public.clean_old_webhook_events(), 0, 'the service role does');
reset role;
select throws_ok($$set local role service_role; delete from public.calendly_webhook_events$$, '42501', null, 'and deletes in no other way');
reset role;

-- the job
select is((select j.schedule || ' ' || j.active from cron.job j where j.jobname = 'calendly-clean-webhook-events'), '7 * * * * true', 'a job does it every hour');

select * from finish();
rollback;
