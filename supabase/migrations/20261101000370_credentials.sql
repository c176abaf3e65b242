-- Tokens that expire: of any number of instances one refreshes, and the new pair is committed before it
-- is used, because Calendly accepts a refresh token once. And what is ended at Calendly when a
-- connection ends here.

create function public.calendly_begin_refresh(connection_id uuid, version integer) returns jsonb
language plpgsql security definer set search_path = ''
as $$
declare
  at constant timestamptz := calendly.now();
  credential calendly.credentials;
begin
  select k.* into credential from calendly.credentials k where k.connection_id = calendly_begin_refresh.connection_id for update;
  if not found then
    perform calendly.fail('not_connected', 'This connection was ended.');
  elsif exists (select from public.calendly_connections c where c.id = credential.connection_id and c.state = 'reconnect_required') then
    perform calendly.fail('reconnect_required', 'Calendly no longer accepts the token of this connection.', 'The person connects again: POST /functions/v1/calendly-connect/oauth/start.');
  elsif credential.version <> calendly_begin_refresh.version then
    return jsonb_build_object('status', 'renewed', 'credential', calendly.credential(credential.connection_id));
  -- Calendly answers eight token requests a minute
  elsif credential.refresh_ends_at > at or credential.refresh_began_at > at - interval '8 seconds' then
    return '{"status": "wait"}'::jsonb;
  end if;
  update calendly.credentials k set refresh_began_at = at, refresh_ends_at = at + interval '30 seconds'
    where k.connection_id = credential.connection_id;
  return '{"status": "refresh"}'::jsonb;
end
$$;
comment on function public.calendly_begin_refresh(uuid, integer) is
  'Asks to refresh the token of this version: {status: refresh} for one instance, {status: wait} for the others meanwhile, {status: renewed, credential} when it is done. Errors: not_connected, reconnect_required.';

create function public.calendly_finish_refresh(connection_id uuid, version integer, token_jwe text, expires_in integer) returns jsonb
language plpgsql security definer set search_path = ''
as $$
begin
  perform from public.calendly_connections c where c.id = calendly_finish_refresh.connection_id for no key update;
  update calendly.credentials k
    set token_jwe = calendly_finish_refresh.token_jwe, version = k.version + 1, refresh_ends_at = null, updated_at = calendly.now(),
      expires_at = calendly.now() + make_interval(secs => calendly_finish_refresh.expires_in)
    where k.connection_id = calendly_finish_refresh.connection_id and k.version = calendly_finish_refresh.version;
  if not found then
    -- the connection ended meanwhile, or is being ended: its farewell needs the token that works
    update calendly.farewells f
      set credential = f.credential || jsonb_build_object('token_jwe', calendly_finish_refresh.token_jwe, 'version', calendly_finish_refresh.version + 1)
      where f.connection_id = calendly_finish_refresh.connection_id and (f.credential ->> 'version')::integer = calendly_finish_refresh.version;
  end if;
  if not found and not exists (
      -- kept before, and the answer was lost
      select from calendly.credentials k
      where k.connection_id = calendly_finish_refresh.connection_id and k.token_jwe = calendly_finish_refresh.token_jwe
      union all
      select from calendly.farewells f
      where f.connection_id = calendly_finish_refresh.connection_id and f.credential ->> 'token_jwe' = calendly_finish_refresh.token_jwe) then
    perform calendly.fail('lease_lost', 'This token was replaced meanwhile.');
  end if;
  return calendly.credential(calendly_finish_refresh.connection_id);
end
$$;
comment on function public.calendly_finish_refresh(uuid, integer, text, integer) is
  'Keeps the refreshed pair, before anyone uses it, and returns the credential; null where the connection has ended. expires_in in seconds. Brought twice it counts once. Error: lease_lost.';

create function public.calendly_fail_refresh(connection_id uuid, version integer, error jsonb) returns void
language plpgsql security definer set search_path = ''
as $$
declare
  at constant timestamptz := calendly.now();
begin
  perform from public.calendly_connections c where c.id = calendly_fail_refresh.connection_id for no key update;
  update calendly.credentials k set refresh_ends_at = null
    where k.connection_id = calendly_fail_refresh.connection_id and k.version = calendly_fail_refresh.version;
  if found and error ->> 'code' = 'reconnect_required' then
    update public.calendly_connections c
      set state = 'reconnect_required', next_sync_at = null, updated_at = at,
        last_error = error || jsonb_build_object('at', calendly.to_calendly(at))
      where c.id = calendly_fail_refresh.connection_id;
    perform calendly.end_runs(calendly_fail_refresh.connection_id, error);
  end if;
end
$$;
comment on function public.calendly_fail_refresh(uuid, integer, jsonb) is
  'Lets somebody else try. An error with the code reconnect_required means that Calendly knows the refresh token no more: only the person can help.';

-- OAuth: the way there and back ------------------------------------------------------------------------

create table calendly.oauth_states (
  id uuid primary key,
  state_digest text not null unique,
  user_id integer not null references public.users (id) on delete cascade,
  verifier_jwe text not null,
  scope text not null,
  replace boolean not null,
  created_at timestamptz not null
);
create index oauth_states_user_idx on calendly.oauth_states (user_id);
alter table calendly.oauth_states enable row level security;
revoke all on calendly.oauth_states from public, anon, authenticated, service_role;
comment on table calendly.oauth_states is 'People who are at Calendly giving their consent: used once, within ten minutes, by the one who set out.';
comment on column calendly.oauth_states.state_digest is 'SHA-256 of the state, which itself is only in the person''s browser.';
comment on column calendly.oauth_states.verifier_jwe is 'The PKCE verifier, encrypted like a token.';

create function public.calendly_start_oauth(request jsonb) returns void
language plpgsql security definer set search_path = ''
as $$
declare
  at constant timestamptz := calendly.now();
  person constant integer := calendly.user_of((request ->> 'auth_user_id')::uuid);
begin
  delete from calendly.oauth_states o where o.created_at < at - interval '10 minutes' or o.user_id = person;
  insert into calendly.oauth_states (id, state_digest, user_id, verifier_jwe, scope, replace, created_at)
    values ((request ->> 'id')::uuid, request ->> 'state_digest', person, request ->> 'verifier_jwe',
      request ->> 'scope', (request ->> 'replace')::boolean, at);
end
$$;
comment on function public.calendly_start_oauth(jsonb) is
  'Remembers who sets out to Calendly: {auth_user_id, id, state_digest, verifier_jwe, scope, replace}. An earlier attempt of the same person ends. Error: unknown_user.';

create function public.calendly_take_oauth_state(auth_user_id uuid, state_digest text) returns jsonb
language plpgsql security definer set search_path = ''
as $$
declare
  person constant integer := calendly.user_of(calendly_take_oauth_state.auth_user_id);
  taken calendly.oauth_states;
begin
  -- Another person's stays: approving a link that somebody else sent connects nothing and spoils nothing.
  delete from calendly.oauth_states o
    where o.state_digest = calendly_take_oauth_state.state_digest and o.user_id = person
    returning o.* into taken;
  if taken.id is null or taken.created_at < calendly.now() - interval '10 minutes' then
    perform calendly.fail('oauth_state_invalid', 'This consent was not asked for by you, has been used, or is older than ten minutes.',
      'Begin again: POST /functions/v1/calendly-connect/oauth/start.');
  end if;
  return jsonb_build_object('id', taken.id, 'verifier_jwe', taken.verifier_jwe, 'scope', taken.scope, 'replace', taken.replace);
end
$$;
comment on function public.calendly_take_oauth_state(uuid, text) is
  'Ends the waiting: {id, verifier_jwe, scope, replace}, once, for the person who set out. Errors: unknown_user, oauth_state_invalid.';

-- Ending at Calendly -------------------------------------------------------------------------------------

create table calendly.farewells (
  id uuid primary key default gen_random_uuid(),
  connection_id uuid not null,
  credential jsonb not null,
  subscription_uris text[] not null,
  attempts integer not null default 0,
  next_try_at timestamptz not null,
  created_at timestamptz not null
);
alter table calendly.farewells enable row level security;
revoke all on calendly.farewells from public, anon, authenticated, service_role;
comment on table calendly.farewells is 'Connections that have ended here, by their person or with the account, and still have a subscription or a token to be ended at Calendly.';
comment on column calendly.farewells.credential is 'The last credential, see calendly.credential: gone with the row.';

create function public.calendly_claim_farewell(project_url text) returns jsonb
language plpgsql security definer set search_path = ''
as $$
declare
  at constant timestamptz := calendly.now();
  farewell calendly.farewells;
begin
  -- a copy of the database must not end what goes on at the original
  if exists (select from calendly.project p where p.url <> calendly_claim_farewell.project_url) then
    return '{"status": "idle"}'::jsonb;
  end if;
  -- after a day of tries Calendly's side is left to itself: the token's person is gone
  delete from calendly.farewells f where f.attempts >= 30;
  update calendly.farewells f
    set attempts = f.attempts + 1, next_try_at = calendly.back_off(f.attempts + 1, at)
    from (
      select w.id from calendly.farewells w where w.next_try_at <= at order by w.next_try_at limit 1 for update skip locked
    ) next
    where f.id = next.id
    returning f.* into farewell;
  return case when farewell.id is null then '{"status": "idle"}'::jsonb
    else jsonb_build_object('status', 'claimed', 'id', farewell.id, 'credential', farewell.credential,
      'subscription_uris', to_jsonb(farewell.subscription_uris)) end;
end
$$;
comment on function public.calendly_claim_farewell(text) is
  'One ended connection to be ended at Calendly as well: {status: claimed, id, credential, subscription_uris}, or {status: idle}, always so where the project has moved.';

create function public.calendly_end_farewell(id uuid) returns void
language sql security definer set search_path = ''
as $$
  delete from calendly.farewells f where f.id = calendly_end_farewell.id
$$;
comment on function public.calendly_end_farewell(uuid) is 'Forgets an ended connection, its credential included.';

-- Rotating the key ---------------------------------------------------------------------------------------

create function public.calendly_list_credentials(after uuid default '00000000-0000-0000-0000-000000000000') returns jsonb
language plpgsql stable security definer set search_path = ''
as $$
begin
  return (
    select coalesce(jsonb_agg(calendly.credential(k.connection_id) || jsonb_build_object('webhook_key_id', (
        select w.key_id from calendly.webhook_subscriptions w where w.connection_id = k.connection_id and w.state = 'active'))
      order by k.connection_id), '[]')
    from (
      select c.connection_id from calendly.credentials c
      where c.connection_id > calendly_list_credentials.after
      order by c.connection_id limit 500
    ) k);
end
$$;
comment on function public.calendly_list_credentials(uuid) is 'Up to 500 credentials, see calendly.credential, of the connections after this id, for encrypting them anew; webhook_key_id: from which key that of their webhooks is derived.';

create function public.calendly_reencrypt(connection_id uuid, version integer, token_jwe text) returns boolean
language plpgsql security definer set search_path = ''
as $$
begin
  update calendly.credentials k set token_jwe = calendly_reencrypt.token_jwe
    where k.connection_id = calendly_reencrypt.connection_id and k.version = calendly_reencrypt.version
      -- a refresh that is under way replaces it anyhow
      and coalesce(k.refresh_ends_at < calendly.now(), true);
  return found;
end
$$;
comment on function public.calendly_reencrypt(uuid, integer, text) is 'Replaces the ciphertext of one and the same token. False where the token was replaced or refreshed meanwhile.';

revoke all on function public.calendly_begin_refresh(uuid, integer), public.calendly_finish_refresh(uuid, integer, text, integer),
  public.calendly_fail_refresh(uuid, integer, jsonb), public.calendly_start_oauth(jsonb), public.calendly_take_oauth_state(uuid, text),
  public.calendly_claim_farewell(text), public.calendly_end_farewell(uuid), public.calendly_list_credentials(uuid),
  public.calendly_reencrypt(uuid, integer, text)
  from public, anon, authenticated, service_role;
grant execute on function public.calendly_begin_refresh(uuid, integer), public.calendly_finish_refresh(uuid, integer, text, integer),
  public.calendly_fail_refresh(uuid, integer, jsonb), public.calendly_start_oauth(jsonb), public.calendly_take_oauth_state(uuid, text),
  public.calendly_claim_farewell(text), public.calendly_end_farewell(uuid), public.calendly_list_credentials(uuid),
  public.calendly_reencrypt(uuid, integer, text)
  to service_role;
