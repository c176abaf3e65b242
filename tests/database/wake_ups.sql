-- An organization's connection has several runs at a time: whatever one of them does, none of the others is
-- forgotten, and nothing that has become due waits for the next regular sync.
begin;
select plan(10);
select calendly.set_clock('2026-06-01T12:00:00Z');
update calendly.settings set schedule_jitter = 0;
select tests.add_organization('olga'), tests.add_account('mia@example.com'), tests.add_account('max@example.com');
create function hosted(event text, name text, changes jsonb default '{}') returns jsonb language sql as $$
  select tests.event(event, jsonb_build_object('event_memberships', jsonb_build_array(jsonb_build_object('user', tests.host(name), 'user_email', name || '@example.com'))) || changes)
$$;
create function listing() returns jsonb language sql as $$
  select tests.page(array[hosted('E1', 'mia', tests.seats(0, 0)), hosted('E2', 'max', tests.seats(0, 0))])
$$;
create function due_in() returns interval language sql as $$ select (tests.connection_of('olga')).next_sync_at - calendly.now() $$;
select tests.begin('olga', 'scheduled'), tests.bring('olga', listing()), tests.finish('olga');
select is(due_in(), interval '15 minutes', 'between syncs, the organization is due after its interval');

-- a click at the organization's own turn
update calendly.project set url = 'https://project.supabase.co';
select tests.pass('15 minutes');
select tests.begin('mia');
select is(calendly.nudge(), 1, 'while a member''s click is carried out, the organization gets its turn');
select is(public.calendly_claim_sync('{"project_url": "https://project.supabase.co", "spent_seconds": 0, "spent_requests": 0}') #>> '{next,query,organization}',
  'https://api.calendly.com/organizations/acme', 'however many of them click');
select tests.bring('olga', listing()), tests.finish('olga'), tests.bring('mia', listing()), tests.finish('mia');

-- a click that pauses beside the organization's own run
select tests.pass('15 minutes');
select tests.begin('olga', 'scheduled'), tests.begin('mia');
select tests.bring('mia', '{"interruption": {"code": "calendly_unavailable", "message": "no answer"}}');
select tests.bring('olga', listing()), tests.finish('olga');
select is((tests.run_of('mia')).status || ' ' || due_in(), 'paused 00:00:30', 'a member''s click that is put down is taken up when its time comes, whoever finishes meanwhile');
select tests.pass('30 seconds');
select is(public.calendly_claim_sync('{"project_url": "https://project.supabase.co", "spent_seconds": 0, "spent_requests": 0}') ->> 'run_id', (tests.run_of('mia')).id::text, 'by the schedule');
select tests.bring('mia', listing()), tests.finish('mia');

-- an instance that dies while it works on a click
select tests.begin('olga', 'scheduled'), tests.bring('olga', listing()), tests.finish('olga');
select tests.begin('mia');
select is(due_in(), (select s.lease_duration from calendly.settings s), 'a member''s click is looked after as long as its lease lasts');
select tests.pass('3 minutes');
select is(public.calendly_claim_sync('{"project_url": "https://project.supabase.co", "spent_seconds": 0, "spent_requests": 0}') ->> 'run_id', (tests.run_of('mia')).id::text, 'and taken up when its instance has died');

select tests.bring('mia', listing()), tests.finish('mia');

-- what a webhook could not tell the connection while a click held it
select tests.begin('olga', 'scheduled'), tests.bring('olga', listing()), tests.finish('olga'), tests.begin('mia');
insert into calendly.meeting_sync as s (user_id, event_uri, event_due_at) values (tests.id_of('max'), tests.event_uri('E2'), calendly.now() + interval '28 seconds')
  on conflict (user_id, event_uri) do update set event_due_at = excluded.event_due_at;
select tests.bring('mia', listing()), tests.finish('mia');
select is(due_in(), interval '28 seconds', 'what became due for another member meanwhile is seen when the click ends');

-- the organization's own run pauses or fails beside a click
select tests.pass('1 minute');
select tests.begin('olga', 'scheduled'), tests.begin('mia');
select tests.bring('mia', '{"interruption": {"code": "calendly_unavailable", "message": "no answer"}}');
select tests.bring('olga', '{"interruption": {"code": "rate_limited", "message": "enough", "retry_after": 50000}}');
select is(due_in(), interval '30 seconds', 'a long pause of the organization does not put off a click that waits for less');
update public.calendly_connections set rate_remaining = null;
select tests.begin('olga', 'scheduled');
select tests.fail('olga', '{"code": "internal", "message": "?"}');
select tests.begin('olga', 'scheduled');
select tests.fail('olga', '{"code": "internal", "message": "?"}');
select is(due_in(), interval '30 seconds', 'nor does its failure');

select * from finish();
rollback;
