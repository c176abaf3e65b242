-- An organization's connection may have several runs at a time: its own, and clicks of members.
-- Each goes on when its own time comes, and none puts off another or brings it forward.
begin;
select plan(13);
select calendly.set_clock('2026-06-01T12:00:00Z');
update calendly.settings set schedule_jitter = 0;
update calendly.project set url = 'https://project.supabase.co';
select tests.add_organization('olga'), tests.add_account('mia@example.com'),
  tests.add_account('max@example.com');
create function hosted(event text, host text) returns jsonb language sql as $$
  select tests.event(event, tests.seats(0, 0) || jsonb_build_object(
    'event_memberships', jsonb_build_array(jsonb_build_object(
      'user', tests.host(hosted.host), 'user_email', hosted.host || '@example.com'))))
$$;
create function listing() returns jsonb language sql as $$
  select tests.page(array[hosted('E1', 'mia'), hosted('E2', 'max')])
$$;
create function due_in() returns interval language sql as $$
  select (tests.connection_of('olga')).next_sync_at - calendly.now()
$$;
create function claim() returns text language sql as $$
  select case
    when claimed #>> '{next,query,user}' = tests.host('mia') then 'mia'
    when claimed #>> '{next,query,organization}' is not null then 'organization'
    else claimed ->> 'status'
  end
  from public.calendly_claim_sync('{
    "project_url": "https://project.supabase.co", "spent_seconds": 0, "spent_requests": 0}') claimed
$$;
create function complete(name text) returns void language plpgsql as $$
begin
  perform tests.bring(complete.name, listing());
  perform tests.finish(complete.name);
end
$$;
create function interrupt(name text) returns jsonb language sql as $$
  select tests.bring(interrupt.name,
    '{"interruption": {"code": "calendly_unavailable", "message": "no answer"}}')
$$;

select tests.begin('olga', 'scheduled'), complete('olga');
select is(due_in(), interval '15 minutes', 'an organization is due one interval after its sync');
select tests.begin('mia'), complete('mia');
select is(due_in(), interval '15 minutes',
  'a member''s click does not change when the organization is due');

-- a click while the organization is due
select tests.pass('15 minutes');
select tests.begin('mia');
select is(calendly.nudge(), 1, 'the organization is nudged while a member''s click runs');
select is(claim(), 'organization', 'the organization is claimed while a member''s click runs');
select complete('olga'), complete('mia');

-- a click that is paused while the organization's run goes on
select tests.pass('15 minutes');
select tests.begin('olga', 'scheduled'), tests.begin('mia');
select interrupt('mia'), complete('olga');
select is(claim(), 'idle', 'a member''s click that is paused waits');
select tests.pass('30 seconds');
select is(calendly.nudge() || ' ' || claim(), '1 mia',
  'it goes on when its own time comes, although the organization has finished');

-- a worker that crashes during a click
select tests.pass('1 minute 59 seconds');
select is(claim(), 'idle', 'a click is not taken over while its lease lasts');
select tests.pass('1 second');
select is(calendly.nudge() || ' ' || claim(), '1 mia',
  'a click is taken over when its lease has ended');
select complete('mia');

-- what becomes due for another member during a click
select tests.begin('mia');
insert into calendly.meeting_sync as s (user_id, event_uri, event_due_at)
  values (tests.id_of('max'), tests.event_uri('E2'), calendly.now() + interval '28 seconds')
  on conflict (user_id, event_uri) do update set event_due_at = excluded.event_due_at;
select complete('mia');
select is(due_in(), interval '28 seconds',
  'the end of a click brings forward what became due for another member');

-- both are paused
select tests.pass('1 minute');
select tests.begin('olga', 'scheduled'), tests.begin('mia');
select interrupt('mia');
select tests.bring('olga', '{"interruption": {
  "code": "rate_limited", "message": "enough", "retry_after": 50000}}');
select is(claim(), 'idle', 'an organization whose run is paused waits');
update public.calendly_connections set rate_remaining = null;
select tests.pass('30 seconds');
select is(claim(), 'mia', 'it does not put off a click that waits for less');
select complete('mia');
select is(calendly.nudge() || ' ' || claim(), '0 idle',
  'the end of the click does not bring the organization forward');
select tests.pass('14 hours');
select is(claim(), 'organization', 'the organization goes on when its own time comes');

select * from finish();
rollback;
