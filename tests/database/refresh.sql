-- A token that expires: of any number of instances one refreshes it, and nobody too often.
begin;
select plan(14);
select calendly.set_clock('2026-06-01T12:00:00Z');
select tests.add_person('ana');
create function tests.ask(version integer) returns jsonb language sql as $$
  select public.calendly_begin_refresh((tests.connection_of('ana')).id, version)
$$;
create function tests.bring(version integer, token text) returns jsonb language sql as $$
  select public.calendly_finish_refresh((tests.connection_of('ana')).id, version, token, 7200)
$$;

-- one refreshes
select is(tests.ask(1), '{"status": "refresh"}', 'the first to ask refreshes');
select is(tests.ask(1), '{"status": "wait"}', 'meanwhile the others wait');
select tests.pass('29 seconds');
select is(tests.ask(1), '{"status": "wait"}', 'for as long as it may take');
select is(tests.bring(1, 'second') ->> 'version', '2', 'what it brings is the next version');
select is(tests.ask(1) -> 'status', '"renewed"', 'the others get that');
select is(tests.ask(1) #>> '{credential,token_jwe}', 'second', 'with its token');

-- an answer that was lost, and one that came too late
select is(tests.bring(1, 'second') ->> 'version', '2', 'brought twice it counts once');
select is(tests.code_of($$select tests.bring(1, 'of somebody else')$$), 'lease_lost', 'of two that refreshed, the later one has lost');

-- one that is never heard of again
select tests.pass('1 minute');
select is(tests.ask(2), '{"status": "refresh"}', 'a minute later it may be refreshed again');
select tests.pass('31 seconds');
select is(tests.ask(2), '{"status": "refresh"}', 'and by the next one, where that one died');

-- one that failed
select public.calendly_fail_refresh((tests.connection_of('ana')).id, 2, '{"code": "calendly_unavailable", "message": "x"}');
select is(tests.ask(2), '{"status": "wait"}', 'after a failure nobody tries at once: Calendly answers eight a minute');
select tests.pass('8 seconds');
select is(tests.ask(2), '{"status": "refresh"}', 'but seconds later');

-- one that cannot succeed any more
select public.calendly_fail_refresh((tests.connection_of('ana')).id, 2, '{"code": "reconnect_required", "message": "x"}');
select is(tests.code_of('select tests.ask(2)'), 'reconnect_required', 'what Calendly does not know any more is not asked for');
select public.calendly_disconnect(tests.account('ana'));
select is(tests.code_of('select tests.ask(2)'), 'not_connected', 'nor after the connection has ended');

select * from finish();
rollback;
