-- Connecting an account to Calendly: whose meetings may come to whom.
begin;
select plan(38);
select calendly.set_clock('2026-06-01T12:00:00Z');
select tests.add_account('ana@example.com');
select tests.add_account('ben@example.com');

-- before
select is(public.calendly_connection_status(tests.account('ana')) ->> 'state', 'disconnected', 'an account is not connected at first');
select is(public.calendly_connection_status(tests.account('ana')) -> 'calendly_user', 'null', 'to nobody');
select is(public.calendly_connection_status(tests.account('ana')) #>> '{webhooks,enabled}', 'false', 'and has no webhooks');
select is(public.calendly_connection_status(tests.account('ana')) ->> 'user_id', null, 'an account has no row before it connects');
select is(tests.code_of($$select public.calendly_connection_status('{"user_id": 0}')$$), 'unknown_user', 'a user that does not exist has no status');
select ok((public.calendly_prepare_connection(tests.host('ana')) ->> 'connection_id')::uuid is not null, 'preparing a connection gives it an id');
select is((select count(*) from public.calendly_connections), 0::bigint, 'preparing a connection stores nothing');

-- connecting
create temporary table answer as select tests.connect('ana') as status;
select is(status ->> 'state', 'active', 'a connection is active at once') from answer;
select is(status #>> '{calendly_user,uri}', tests.host('ana'), 'and says as whom') from answer;
select is(status #>> '{calendly_user,name}', 'Ana', 'by name') from answer;
select is(status ->> 'initial_sync_complete', 'false', 'nothing has been synced') from answer;
select is(status, public.calendly_connection_status(tests.account('ana')), 'the status can be asked for later') from answer;
select ok(status::text not like '%ciphertext%', 'and holds no token') from answer;
select is((tests.connection_of('ana')).next_sync_at, '2026-06-01T12:15:00Z'::timestamptz, 'it is due one interval later: the first sync is the caller''s');
select is(u.auth_user_id, tests.account_of('ana'), 'the Calendly user''s meetings are this person''s') from public.calendly_users u where u.calendly_user_uri = tests.host('ana');
select is(k.token_jwe, 'ciphertext of ana', 'the encrypted token is kept') from calendly.credentials k where k.connection_id = (tests.connection_of('ana')).id;
select is((public.calendly_prepare_connection(tests.host('ana')) ->> 'connection_id')::uuid, (tests.connection_of('ana')).id, 'a later token is encrypted for the same connection');

-- again
update public.calendly_connections set state = 'reconnect_required', refusals = 3, last_error = '{"code": "token_refused"}', next_sync_at = null,
  rate_limit = 50, rate_remaining = 0, rate_resets_at = calendly.now() + interval '1 minute' where user_id = tests.id_of('ana');
select tests.pass('1 hour');
select tests.connect('ana');
select is((tests.connection_of('ana')).state, 'active', 'a new token revives a connection that Calendly refused');
select is((tests.connection_of('ana')).last_error, null, 'its error is forgotten');
select is((tests.connection_of('ana')).refusals, 0, 'its refusals, too');
select is((tests.connection_of('ana')).rate_remaining, null, 'and what was left of the rate limit');
select is((tests.connection_of('ana')).next_sync_at, '2026-06-01T13:15:00Z'::timestamptz, 'it is due again');
select is((select count(*) from public.calendly_connections), 1::bigint, 'it is one connection all the time');

-- somebody else's
select is(tests.code_of($$select tests.connect('ben', tests.host('ana'))$$), 'calendly_user_taken', 'one Calendly user cannot be live in two connections');
update public.calendly_connections set state = 'reconnect_required' where user_id = tests.id_of('ana');
select is(tests.code_of($$select tests.connect('ben', tests.host('ana'))$$), 'calendly_user_taken', 'not even while its token is refused');
select is((select count(*) from public.calendly_connections where user_id = tests.id_of('ben')), 0::bigint, 'and nothing of the attempt stays');
select public.calendly_disconnect(tests.account('ana'));
select lives_ok($$select tests.connect('ben', tests.host('ana'))$$, 'after a disconnect another account may connect it');
select is(tests.code_of($$select tests.connect('ana')$$), 'calendly_user_taken', 'and then the first one may not');
select is((select count(*) from public.calendly_users), 1::bigint, 'a Calendly user has one row, whoever connects it');
select is(u.auth_user_id, tests.account_of('ben'), 'new meetings are the other''s') from public.calendly_users u where u.calendly_user_uri = tests.host('ana');

-- as another Calendly user
select is(tests.code_of($$select tests.connect('ben', tests.host('carl'))$$), 'another_calendly_user', 'a live connection does not change to another Calendly user');
insert into public.calendly_meetings (user_id, calendly_event_uri) values (tests.id_of('ben'), tests.event_uri('E1'));
select public.calendly_disconnect(tests.account('ben'));
select is(tests.code_of($$select tests.connect('ben', tests.host('carl'))$$), 'another_calendly_user', 'nor does a disconnected one whose meetings are kept');
delete from public.calendly_meetings;
update public.calendly_users set calendly_initial_sync_complete = true, last_calendly_sync = calendly.now() where id = tests.id_of('ben');
select lives_ok($$select tests.connect('ben', tests.host('carl'))$$, 'a disconnected account without meetings may connect another Calendly user');
select is(u.calendly_initial_sync_complete, false, 'the first sync of another Calendly user is FULL') from public.calendly_users u where u.id = tests.id_of('ben');
select is((tests.connection_of('ben')).last_full_sync_at, null, 'no FULL sync of another Calendly user has finished');
select is((select count(*) from public.calendly_users u where u.calendly_user_uri = tests.host('ana')), 0::bigint, 'the row of the former Calendly user is gone');
select is((select u.calendly_user_uri from public.calendly_users u where u.id = tests.id_of('ben')), tests.host('carl'), 'an account belongs to one Calendly user');

-- a race with another attempt
select is(tests.code_of(format($$select public.calendly_connect(jsonb_build_object('auth_user_id', %L, 'connection_id', gen_random_uuid(),
  'calendly_user_uri', tests.host('carl'), 'scope', 'user', 'kind', 'personal_access_token', 'token_jwe', 'x'))$$, tests.account_of('ben'))),
  'connection_changed', 'a token that was encrypted for another connection is refused');

select * from finish();
rollback;
