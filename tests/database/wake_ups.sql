-- An organization's connection has several runs at a time: each is taken up when its own time comes, none
-- puts off or brings forward another, and nothing that has become due waits for the next regular sync.
begin;
select plan(13);
select calendly.set_clock('2026-06-01T12:00:00Z');
update calendly.settings set schedule_jitter = 0;
update calendly.project set url = 'https://project.supabase.co';
select tests.add_organization('olga'), tests.add_account('mia@example.com'), tests.add_account('max@example.com');
create function hosted(event text, name text, changes jsonb default '{}') returns jsonb language sql as $$
  select tests.event(event, jsonb_build_object('event_memberships', jsonb_build_array(jsonb_build_object('user', tests.host(name), 'user_email', name || '@example.com'))) || changes)
$$;
create function listing() returns jsonb language sql as $$
  select tests.page(array[hosted('E1', 'mia', tests.seats(0, 0)), hosted('E2', 'max', tests.seats(0, 0))])
$$;
create function due_in() returns interval language sql as $$ select (tests.connection_of('olga')).next_sync_at - calendly.now() $$;
create function claim() returns text language sql as $$
  select case claimed #>> '{next,query,user}' when tests.host('mia') then 'mia' else coalesce('organization' || left(claimed #>> '{next,query,organization}', 0), claimed ->> 'status') end
  from public.calendly_claim_sync('{"project_url": "https://project.supabase.co", "spent_seconds": 0, "spent_requests": 0}') claimed
$$;
create function fails(name text) returns jsonb language sql as $$
  select tests.bring(name, '{"interruption": {"code": "calendly_unavailable", "message": "no answer"}}')
$$;
select tests.begin('olga', 'scheduled'), tests.bring('olga', listing()), tests.finish('olga');
select is(due_in(), interval '15 minutes', 'between syncs, the organization is due after its interval');
select tests.begin('mia'), tests.bring('mia', listing()), tests.finish('mia');
select is(due_in(), interval '15 minutes', 'a member''s click changes nothing of that');

-- a click at the organization's own turn
select tests.pass('15 minutes');
select tests.begin('mia');
select is(calendly.nudge(), 1, 'while a member''s click is carried out, the organization gets its turn');
select is(claim(), 'organization', 'however many of them click');
select tests.bring('olga', listing()), tests.finish('olga'), tests.bring('mia', listing()), tests.finish('mia');

-- a click that pauses beside the organization's own run
select tests.pass('15 minutes');
select tests.begin('olga', 'scheduled'), tests.begin('mia');
select fails('mia'), tests.bring('olga', listing()), tests.finish('olga');
select is(claim(), 'idle', 'a member''s click that is put down waits');
select tests.pass('30 seconds');
select is(calendly.nudge() || ' ' || claim(), '1 mia', 'and is taken up when its time comes, whoever has finished meanwhile');

-- an instance that dies while it works on a click
select tests.pass('1 minute 59 seconds');
select is(claim(), 'idle', 'it is left to its instance');
select tests.pass('1 second');
select is(calendly.nudge() || ' ' || claim(), '1 mia', 'until that has died');
select tests.bring('mia', listing()), tests.finish('mia');

-- what a webhook could not tell the connection while a click held it
select tests.begin('mia');
insert into calendly.meeting_sync as s (user_id, event_uri, event_due_at) values (tests.id_of('max'), tests.event_uri('E2'), calendly.now() + interval '28 seconds')
  on conflict (user_id, event_uri) do update set event_due_at = excluded.event_due_at;
select tests.bring('mia', listing()), tests.finish('mia');
select is(due_in(), interval '28 seconds', 'what became due for another member meanwhile is seen when the click ends');

-- the organization's own run pauses or fails beside a click
select tests.pass('1 minute');
select tests.begin('olga', 'scheduled'), tests.begin('mia');
select fails('mia');
select tests.bring('olga', '{"interruption": {"code": "rate_limited", "message": "enough", "retry_after": 50000}}');
select is(claim(), 'idle', 'an organization whose run is put down waits');
update public.calendly_connections set rate_remaining = null;
select tests.pass('30 seconds');
select is(claim(), 'mia', 'which does not put off a click that waits for less');
select tests.bring('mia', listing()), tests.finish('mia');
select is(calendly.nudge() || ' ' || claim(), '0 idle', 'nor does the click bring it forward');
select tests.pass('14 hours');
select is(claim(), 'organization', 'it goes on when its time comes');

select * from finish();
rollback;
