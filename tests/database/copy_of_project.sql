-- A copy of the database whose functions run under another address: none of the calls by which a
-- function gets a token, or changes something at Calendly, gives anything there.
begin;
select plan(22);
select calendly.set_clock('2026-06-01T12:00:00Z');
select tests.add_person(name) from unnest('{ana,ben}'::text[]) name;
select tests.add_account('cleo@example.com');
update calendly.project set url = 'https://original.example.com';
update public.calendly_connections
  set next_sync_at = calendly.now(), last_full_sync_at = calendly.now(),
    webhooks_checked_at = calendly.now();
update public.calendly_users set calendly_initial_sync_complete = true;
create function tests.at_copy(request jsonb) returns jsonb language sql as $$
  select request || '{"project_url": "https://copy.example.com"}'
$$;
create function tests.claim() returns text language sql as $$
  select public.calendly_claim_sync(tests.at_copy('{}')) ->> 'status'
$$;
create function tests.new_connection() returns jsonb language sql as $$
  select tests.at_copy(jsonb_build_object('auth_user_id', tests.account_of('cleo'),
    'connection_id', gen_random_uuid(), 'calendly_user_uri', tests.host('cleo'),
    'calendly_user_name', 'Cleo', 'scope', 'user', 'kind', 'personal_access_token',
    'token_jwe', 'ciphertext'))
$$;

select is(tests.claim(), 'idle', 'a worker of the copy claims nothing');
select is(tests.code_of($$select public.calendly_begin_sync(
    tests.at_copy(tests.account('ana') || '{"trigger": "manual"}'))$$), 'project_moved',
  'a click begins no sync');
select is(tests.code_of($$select public.calendly_connect(tests.new_connection())$$),
  'project_moved', 'nobody connects');
select is(tests.code_of($$select public.calendly_begin_subscription(
    tests.at_copy(tests.account('ana')))$$), 'project_moved', 'no subscription is made');
select is(tests.code_of($$select public.calendly_disable_webhooks(
    tests.at_copy(tests.account('ana')))$$), 'project_moved', 'none is ended');
select is((select count(*) from public.calendly_sync_runs), 0::bigint, 'no run was begun');
select is((select count(*) from calendly.webhook_subscriptions), 0::bigint,
  'no subscription was prepared');

-- whoever disconnects in the copy
select public.calendly_disconnect(tests.account('ben'));
select is((select count(*) from calendly.pending_revocations), 1::bigint,
  'a connection that is ended in the copy waits for its revocation');
select is(public.calendly_claim_revocation('https://copy.example.com') ->> 'status', 'idle',
  'which no worker of the copy gets');
select is(public.calendly_claim_sync(tests.at_copy('{}')) -> 'revocations_due', 'false',
  'or is told of');
select tests.pass('1 day');
select is(public.calendly_claim_revocation('https://copy.example.com') ->> 'status', 'idle',
  'not a day later either');
-- The database does not know whose worker asks to refresh. But a worker has no token to refresh:
-- each call that gives one is above.
select is((select count(*) from calendly.credentials k where k.refresh_began_at is not null),
  0::bigint, 'no token was refreshed');
select is((select p.moved_to from calendly.project p), 'https://copy.example.com',
  'the other address is noted');
select is((select count(*) from public.calendly_alerts a where a.code = 'project_moved'),
  1::bigint, 'which is an alert');

-- moved for good
select public.calendly_confirm_project('https://copy.example.com');
select is(public.calendly_claim_revocation('https://copy.example.com') ->> 'status', 'idle',
  'what ended in the copy is not revoked after the move, because it goes on at the original');
create temporary table claimed on commit drop as
  select public.calendly_claim_sync(tests.at_copy('{}')) as answer;
select is(answer ->> 'status', 'started', 'after the move a worker gets a sync') from claimed;
select is(answer ->> 'sync_type', 'FULL', 'which fills the gap') from claimed;
select is((tests.connection_of('ana')).webhooks_checked_at, null,
  'subscriptions are compared with Calendly''s');
select is(public.calendly_connect(tests.new_connection()) ->> 'state', 'active',
  'and people connect');

-- moved before any function ran at the new address
select calendly.end_runs(c.id, '{}') from public.calendly_connections c;
create function tests.about_ana() returns text language sql as $$
  select concat_ws(', ', case when c.next_sync_at <= calendly.now() then 'due' end,
    case when c.last_full_sync_at is null then 'FULL' end,
    case when c.webhooks_checked_at is null then 'to be checked' end)
  from tests.connection_of('ana') c
$$;
create function tests.settle() returns void language sql as $$
  update public.calendly_connections
    set next_sync_at = calendly.now() + interval '6 hours', last_full_sync_at = calendly.now(),
      webhooks_checked_at = calendly.now()
$$;
select tests.settle(), public.calendly_confirm_project('https://copy.example.com');
select is(tests.about_ana(), '', 'the address that is known already changes nothing');
select public.calendly_confirm_project('https://third.example.com');
select is(tests.about_ana(), 'due, FULL, to be checked',
  'at another one everybody is synced anew, though no function was refused there');
select tests.settle(), tests.begin('ana', 'scheduled', forced => true);
select tests.pass('1 second');
select public.calendly_confirm_project('https://fourth.example.com'), tests.pass('1 second');
select tests.bring('ana', tests.page('{}')), tests.finish('ana');
select is(tests.about_ana(), 'due, FULL, to be checked',
  'and a FULL sync that was active then is not the new one');

select * from finish();
rollback;
