-- Every error with which a worker stops is reported. SQL decides what becomes of the run: it fails,
-- it is paused, or another worker goes on when the lease ends.
begin;
select plan(26);
select calendly.set_clock('2026-06-01T12:00:00Z');
update calendly.settings set schedule_jitter = 0;
select tests.add_person('ana');
create function tests.reported(code text) returns text language sql as $$
  select tests.begin('ana', 'scheduled');
  select tests.fail('ana', jsonb_build_object('code', code, 'message', 'No.')) ->> 'status';
$$;

-- what only a person can mend
select is(tests.reported(code), 'failed', format('the error %s fails the run', code))
from unnest('{internal,token_unreadable,not_configured}'::text[]) code;
select is((tests.connection_of('ana')).failures, 3, 'each failed run counts for its connection');
select is((tests.connection_of('ana')).refusals, 0,
  'an error that is no refusal does not count as one');
select is(tests.reported(code), 'failed', format('the refusal %s fails the run', code))
from unnest('{token_refused,scope_missing}'::text[]) code;
select is((tests.connection_of('ana')).refusals, 2, 'each refusal counts as one');
select tests.sync('ana', '{}');

-- functions of an older version
select is(tests.reported('functions_outdated'), 'paused',
  'a step that the functions do not know pauses the run');
select is(r.error ->> 'code', 'functions_outdated', 'a run paused by old functions says so')
from tests.run_of('ana') r;
select is((tests.run_of('ana')).resume_at, calendly.now() + interval '30 seconds',
  'a run paused by old functions goes on after half a minute');
select is((tests.connection_of('ana')).next_sync_at, calendly.now() + interval '30 seconds',
  'a connection with old functions is due when its run goes on');
select is((tests.connection_of('ana')).failures, 0, 'old functions are no failure');
select is((tests.state_of('ana')).lease, null, 'a worker with old functions gives its lease back');
select tests.reported('functions_outdated');
select is((tests.run_of('ana')).resume_at, calendly.now() + interval '1 minute',
  'old functions pause the run longer each time');
select tests.bring('ana', '{}') from tests.begin('ana');
select tests.bring('ana', tests.page('{}'));
select is(tests.finish('ana') #>> '{result,status}', 'complete',
  'a run paused by old functions is completed by new ones');

-- anything else
select tests.pass('1 hour');
select is(tests.reported('database_unavailable'), 'running',
  'an error that proves nothing leaves the run running');
select is((tests.run_of('ana')).requests, 1,
  'an error that proves nothing has its requests counted');
select is((tests.run_of('ana')).error, null, 'an error that proves nothing is no error of the run');
select is((tests.connection_of('ana')).failures, 0,
  'an error that proves nothing is no failure of the connection');
select is(tests.begin('ana') ->> 'status', 'in_progress',
  'a run that nobody ended is in progress while its lease lasts');
select tests.pass('2 minutes');
select is(tests.begin('ana') #>> '{next,do}', 'list_events',
  'a run that nobody ended goes on when its lease has ended');
select is(public.calendly_fail_sync(o.run_id, o.lease, '{}') ->> 'status', 'running',
  'an error without a code leaves the run running')
from tests.state_of('ana') o;
select is(tests.fail('ana', '{"code": "internal", "message": "No."}'), '{"status": "failed"}',
  'a report returns the status of the run and nothing else');
select is((select count(*) from calendly.active_runs), 0::bigint,
  'a failed run is no longer active');
select is(tests.code_of(format(
    'select public.calendly_fail_sync(%L, gen_random_uuid(), %L)', (tests.run_of('ana')).id, '{}')),
  'lease_lost', 'a worker without the lease cannot report an error');

select * from finish();
rollback;
