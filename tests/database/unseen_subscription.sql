-- A subscription that cannot be looked at is not relied on, and the organization of a connection is
-- read anew with each look, because people change it.
begin;
select plan(35);
select calendly.set_clock('2026-06-01T12:00:00Z');
update calendly.settings set schedule_jitter = 0;
create function state_of_webhooks(name text default 'ana') returns text language sql as $$
  select concat_ws(' ', c.webhook_state, case when u.calendly_webhook_enabled then 'enabled' end,
    c.webhook_error ->> 'code')
  from public.calendly_connections c
  join public.calendly_users u on u.id = c.user_id
  where u.id = tests.id_of(state_of_webhooks.name)
$$;
create function fail_review(code text) returns void language sql as $$
  select public.calendly_fail_review((tests.connection_of('ana')).id,
    jsonb_build_object('code', code, 'message', 'No.', 'hint', 'Mend it.'))
$$;
create function subscribe(name text) returns void language sql as $$
  select public.calendly_keep_subscription(
    (public.calendly_begin_subscription(tests.account(name)) ->> 'id')::uuid,
    'https://api.calendly.com/webhook_subscriptions/' || gen_random_uuid(), 'key')
$$;
create function reviewed() returns text language sql as $$
  select public.calendly_review_subscriptions((tests.connection_of('ana')).id, (
      select jsonb_agg(jsonb_build_object('uri', w.uri, 'state', 'active', 'callback_url',
        (select p.url from calendly.project p) || '/functions/v1/calendly-webhook/' || w.id))
      from calendly.webhook_subscriptions w where w.state = 'active'), 'key') ->> 'make'
$$;
create function is_full_next() returns boolean language sql as $$
  select (tests.connection_of('ana')).last_full_sync_at is null
$$;
create function alert_of_webhooks() returns text language sql as $$
  select concat_ws(': ', a.code, a.message, a.what_to_do)
  from public.calendly_alerts a where a.code like 'webhook%'
$$;
update calendly.project set url = 'https://project.example.com';
select tests.add_person('ana');
select tests.sync('ana', '{}', trigger => 'scheduled');
select subscribe('ana');

-- refused
select tests.pass('1 day');
select fail_review('webhooks_refused');
select is(state_of_webhooks(), 'unknown webhooks_refused',
  'a subscription that Calendly does not show is not relied on');
select ok(is_full_next(), 'what happened since it was last seen is synced FULL');
select is((tests.connection_of('ana')).webhooks_checked_at, calendly.now(),
  'a refusal counts as the look of the day');
select matches(alert_of_webhooks(), '^webhook_unknown: .*No\..*Mend it',
  'it is an alert with the reason and what to do');
select matches(public.calendly_connection_status(tests.account('ana')) #>> '{webhooks,error}',
  'Mend it', 'the person sees the reason as well');
select tests.sync('ana', '{}', trigger => 'scheduled');
select is((tests.connection_of('ana')).next_sync_at, calendly.now() + interval '15 minutes',
  'the next sync is due after the short interval');
select tests.pass('1 day');
select fail_review('scope_missing');
select ok(not is_full_next(), 'a second refusal in a row does not make the next sync FULL again');
select is(state_of_webhooks(), 'unknown scope_missing', 'it tells its own reason');
select is(reviewed(), 'false', 'a subscription that is seen again and delivers stays');
select is(state_of_webhooks(), 'active', 'its state is known again, and the reason is gone');
select is(alert_of_webhooks(), null, 'so is the alert');

-- Calendly does not answer
select subscribe('ana');
select tests.sync('ana', '{}', trigger => 'scheduled');
select tests.pass('25 hours');
select fail_review('calendly_unavailable');
select is(state_of_webhooks(), 'active enabled calendly_unavailable',
  'an outage does not end the trust in webhooks at once');
select ok(calendly.needs_review(tests.connection_of('ana'), calendly.now()),
  'the next sync looks again');
select tests.pass('23 hours');
select fail_review('calendly_unavailable');
select is(state_of_webhooks(), 'active enabled calendly_unavailable', 'nor within a day');
select tests.pass('2 hours');
select fail_review('calendly_unavailable');
select is(state_of_webhooks(), 'unknown calendly_unavailable', 'it does when it lasts longer');
select ok(is_full_next(), 'then the gap is synced FULL');
select reviewed();
select is((tests.connection_of('ana')).webhooks_unseen_since, null,
  'an outage that is over is forgotten');

-- our own failures
create temporary table before as select tests.connection_of('ana')::text as row;
select fail_review(code) from unnest(array['database_unavailable', 'database_outdated',
  'migrations_missing', 'functions_outdated', 'schema_not_exposed', 'internal', 'project_moved',
  null]) code;
select is(tests.connection_of('ana')::text, before.row,
  'a failure of our own database or functions says nothing of a subscription') from before;

-- what is known to be dead, or is not wanted
select public.calendly_review_subscriptions((tests.connection_of('ana')).id, '[]', 'key');
select fail_review('webhooks_refused');
select is(state_of_webhooks(), 'disabled webhooks_refused',
  'a subscription that is known to be disabled stays so');
select public.calendly_disable_webhooks(tests.account('ana'));
select is(state_of_webhooks(), 'none', 'whoever switches webhooks off has no error with them');
select tests.sync('ana', '{}', trigger => 'scheduled');
select fail_review('webhooks_refused');
select is(row(state_of_webhooks(), (tests.connection_of('ana')).webhooks_unseen_since)::text, '(none,)',
  'what is not wanted and cannot be looked at becomes no alert');
select ok(not is_full_next(), 'nor a FULL sync');
select lives_ok($$select public.calendly_fail_review(gen_random_uuid(), '{"code": "internal"}')$$,
  'a connection that is gone meanwhile is no error');

-- the organization
create function ask(name text, organization text) returns jsonb language sql as $$
  select public.calendly_subscription_query((tests.connection_of(name)).id, organization)
$$;
select is(ask('ana', 'the next one'), jsonb_build_object('organization', 'the next one',
    'scope', 'user', 'user', tests.host('ana')),
  'a person subscribes in the organization that Calendly names now');
select is((tests.connection_of('ana')).calendly_organization_uri, 'the next one',
  'which is stored');
select is(ask('ana', null) ->> 'organization', 'the next one',
  'an organization that Calendly does not tell is the stored one');
select is((tests.connection_of('ana')).calendly_organization_uri, 'the next one', 'which stays');
update public.calendly_connections c set calendly_organization_uri = null
  where c.id = (tests.connection_of('ana')).id;
select is(tests.code_of($$select ask('ana', null)$$), 'no_organization',
  'where none is known nothing can be subscribed to');
select tests.add_organization('olga');
select subscribe('olga');
select is(tests.code_of($$select ask('olga', 'the next one')$$), 'organization_left',
  'the connection of an organization does not change over to another one');
select is((tests.connection_of('olga')).calendly_organization_uri,
  'https://api.calendly.com/organizations/acme', 'nor is another one stored');
select is(ask('olga', null) ->> 'organization', 'https://api.calendly.com/organizations/acme',
  'nor does it end where Calendly does not tell one');
select is(ask('olga', 'https://api.calendly.com/organizations/acme') -> 'user', null,
  'an organization''s subscription names no user');
select tests.begin('olga', 'scheduled');
select is(tests.fail('olga', '{"code": "organization_left", "message": "Left."}') ->> 'status',
  'failed', 'it fails the run');
select is((tests.connection_of('olga')).state, 'reconnect_required',
  'and asks at once to connect again');
select is((tests.connection_of('olga')).next_sync_at, null, 'until then nothing is synced');

select * from finish();
rollback;
