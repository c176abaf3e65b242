-- A token that expires: of any number of instances one refreshes it, and nobody too often.
begin;
select plan(19);
select calendly.set_clock('2026-06-01T12:00:00Z');
select tests.add_person('ana');
-- the version of each token, by its name
create temporary table tokens (token text primary key, version integer not null);
create function tests.note(token text) returns void language sql as $$
  insert into tokens select note.token, k.version from calendly.credentials k
  where k.connection_id = (tests.connection_of('ana')).id
$$;
create function tests.ask(token text) returns jsonb language sql as $$
  select public.calendly_begin_refresh((tests.connection_of('ana')).id, t.version)
  from tokens t where t.token = ask.token
$$;
create function tests.bring(token text, refreshed text) returns jsonb language sql as $$
  select public.calendly_finish_refresh(
    (tests.connection_of('ana')).id, t.version, bring.refreshed, 7200)
  from tokens t where t.token = bring.token
$$;
create function tests.version_of(token text) returns text language sql as $$
  select t.version::text from tokens t where t.token = version_of.token
$$;
select tests.note('first');

-- one refreshes
select is(tests.ask('first'), '{"status": "refresh"}', 'the first to ask refreshes');
select is(tests.ask('first'), '{"status": "wait"}', 'meanwhile the others wait');
select tests.pass('29 seconds');
select is(tests.ask('first'), '{"status": "wait"}', 'for as long as it may take');
select is(tests.bring('first', 'second') ->> 'token_jwe', 'second', 'what it brings is stored');
select tests.note('second');
select isnt(tests.version_of('second'), tests.version_of('first'), 'as another version');
select is(tests.ask('first') -> 'status', '"renewed"', 'the others get that');
select is(tests.ask('first') #>> '{credential,token_jwe}', 'second', 'with its token');

-- an answer that was lost, and one that came too late
select is(tests.bring('first', 'second') ->> 'version', tests.version_of('second'), 'brought twice it counts once');
select is(tests.code_of($$select tests.bring('first', 'of somebody else')$$), 'lease_lost', 'of two that refreshed, the later one has lost');

-- one that is never heard of again
select tests.pass('1 minute');
select is(tests.ask('second'), '{"status": "refresh"}', 'a minute later it may be refreshed again');
select tests.pass('31 seconds');
select is(tests.ask('second'), '{"status": "refresh"}', 'and by the next one, where that one died');

-- one that failed
select public.calendly_fail_refresh((tests.connection_of('ana')).id, tests.version_of('second')::integer, '{"code": "calendly_unavailable", "message": "x"}');
select is(tests.ask('second'), '{"status": "wait"}', 'after a failure nobody tries at once: Calendly answers eight a minute');
select tests.pass('8 seconds');
select is(tests.ask('second'), '{"status": "refresh"}', 'but seconds later');

-- one that cannot succeed any more
select public.calendly_fail_refresh((tests.connection_of('ana')).id, tests.version_of('second')::integer, '{"code": "reconnect_required", "message": "x"}');
select is(tests.code_of($$select tests.ask('second')$$), 'reconnect_required', 'what Calendly does not know any more is not asked for');
select public.calendly_disconnect(tests.account('ana'));
select is(tests.code_of($$select tests.ask('second')$$), 'not_connected', 'nor after the connection has ended');

-- one that comes back while its former token still has to be ended at Calendly
select tests.connect('ana');
select tests.note('third');
select is(tests.bring('third', 'fourth') ->> 'token_jwe', 'fourth', 'the present token is refreshed');
select is(tests.bring('second', 'former token, refreshed') ->> 'token_jwe', 'fourth',
  'a former one that is refreshed does not take its place');
select is((select r.credential ->> 'token_jwe' from calendly.pending_revocations r), 'former token, refreshed', 'but is kept to be revoked');
select is(tests.code_of($$select tests.bring('second', 'once more')$$), 'lease_lost', 'once');

select * from finish();
rollback;
