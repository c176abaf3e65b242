-- Tokens: kept encrypted, refreshed by one worker at a time. Calendly accepts a refresh token once,
-- so the new pair is committed before anybody uses it.

create sequence calendly.token_versions as integer;
comment on sequence calendly.token_versions is
  'The version of each token, of whatever connection. None is used twice: a token that waits to be '
  'revoked never takes the place of the one that its person has connected with since.';

create table calendly.credentials (
  connection_id uuid primary key references public.calendly_connections (id) on delete cascade,
  kind text not null check (kind in ('personal_access_token', 'oauth')),
  token_jwe text not null,
  version integer not null default nextval('calendly.token_versions'),
  expires_at timestamptz,
  refresh_began_at timestamptz,
  refresh_ends_at timestamptz,
  updated_at timestamptz not null
);
alter table calendly.credentials enable row level security;
comment on table calendly.credentials is
  'Tokens as JWE, made by the functions with a key that the database does not have.';
comment on column calendly.credentials.token_jwe is
  'Compact JWE of {access_token, refresh_token?}; its protected header names the key and the '
  'connection.';
comment on column calendly.credentials.version is
  'See calendly.token_versions. By it, of many workers one refreshes and the others notice.';
comment on column calendly.credentials.expires_at is 'When the access token expires; null: never.';
comment on column calendly.credentials.refresh_began_at is
  'Last time that Calendly was asked for a token: by a refresh, or for a consent.';
comment on column calendly.credentials.refresh_ends_at is
  'Until then one worker refreshes; null: nobody does.';

create function calendly.credential(connection_id uuid) returns jsonb
language sql stable set search_path = ''
as $$
  select jsonb_build_object('connection_id', k.connection_id, 'kind', k.kind,
    'token_jwe', k.token_jwe, 'version', k.version,
    -- A request must not arrive after the end of its token.
    'expires_soon', coalesce(k.expires_at < calendly.now() + interval '5 minutes', false))
  from calendly.credentials k
  where k.connection_id = credential.connection_id
$$;
comment on function calendly.credential(uuid) is
  'What a function needs to speak to Calendly for a connection: {connection_id, kind, token_jwe, '
  'version, expires_soon}.';

-- Refreshing --------------------------------------------------------------------------------------

create function public.calendly_begin_refresh(connection_id uuid, version integer) returns jsonb
language plpgsql security definer set search_path = ''
as $$
declare
  now_at constant timestamptz := calendly.now();
  -- Calendly answers eight token requests a minute.
  pace constant interval := interval '8 seconds';
  credential calendly.credentials;
begin
  select k.* into credential from calendly.credentials k
    where k.connection_id = calendly_begin_refresh.connection_id for update;
  if not found then
    perform calendly.raise_error('not_connected', 'This connection was ended.');
  elsif exists (select from public.calendly_connections c
      where c.id = credential.connection_id and c.state = 'reconnect_required') then
    perform calendly.raise_error('reconnect_required',
      'Calendly no longer accepts the token of this connection.',
      'The person connects again: POST /functions/v1/calendly-connect/oauth/start.');
  elsif credential.version <> calendly_begin_refresh.version then
    return jsonb_build_object('status', 'renewed',
      'credential', calendly.credential(credential.connection_id));
  elsif credential.refresh_ends_at > now_at or credential.refresh_began_at > now_at - pace then
    return '{"status": "wait"}'::jsonb;
  end if;
  update calendly.credentials k
    set refresh_began_at = now_at, refresh_ends_at = now_at + interval '30 seconds'
    where k.connection_id = credential.connection_id;
  return '{"status": "refresh"}'::jsonb;
end
$$;
comment on function public.calendly_begin_refresh(uuid, integer) is
  'Asks to refresh the token of this version: {status: refresh} for one worker, {status: wait} for '
  'the others meanwhile, {status: renewed, credential} when it is done. Errors: not_connected, '
  'reconnect_required.';

create function calendly.has_token(connection_id uuid, token_jwe text) returns boolean
language plpgsql stable set search_path = ''
as $$
begin
  return exists (
    select from calendly.credentials k
    where k.connection_id = has_token.connection_id and k.token_jwe = has_token.token_jwe
    union all
    select from calendly.pending_revocations r
    where r.connection_id = has_token.connection_id
      and r.credential ->> 'token_jwe' = has_token.token_jwe);
end
$$;
comment on function calendly.has_token(uuid, text) is
  'Is this the token of the connection, or of its pending revocation?';

create function public.calendly_finish_refresh(
  connection_id uuid, version integer, token_jwe text, expires_in integer
) returns jsonb
language plpgsql security definer set search_path = ''
as $$
declare
  now_at constant timestamptz := calendly.now();
  new_version constant integer := nextval('calendly.token_versions');
begin
  perform calendly.lock_against_erasure();
  perform from public.calendly_connections c
    where c.id = calendly_finish_refresh.connection_id for no key update;
  update calendly.credentials k
    set token_jwe = calendly_finish_refresh.token_jwe, version = new_version,
      refresh_ends_at = null, updated_at = now_at,
      expires_at = now_at + make_interval(secs => calendly_finish_refresh.expires_in)
    where k.connection_id = calendly_finish_refresh.connection_id
      and k.version = calendly_finish_refresh.version;
  if not found then
    -- The connection ended meanwhile: its revocation needs the token that works.
    update calendly.pending_revocations r
      set credential = r.credential || jsonb_build_object(
        'token_jwe', calendly_finish_refresh.token_jwe, 'version', new_version)
      where r.connection_id = calendly_finish_refresh.connection_id
        and (r.credential ->> 'version')::integer = calendly_finish_refresh.version;
  end if;
  -- A pair that is stored already was brought before, and the answer was lost.
  if not found and not calendly.has_token(
      calendly_finish_refresh.connection_id, calendly_finish_refresh.token_jwe) then
    perform calendly.raise_error('lease_lost', 'This token was replaced meanwhile.');
  end if;
  return calendly.credential(calendly_finish_refresh.connection_id);
end
$$;
comment on function public.calendly_finish_refresh(uuid, integer, text, integer) is
  'Stores the refreshed pair, before anyone uses it, and returns the credential; null where the '
  'connection has ended. expires_in in seconds. Brought twice it counts once. Error: lease_lost.';

create function public.calendly_fail_refresh(connection_id uuid, version integer, error jsonb)
returns void
language plpgsql security definer set search_path = ''
as $$
declare
  now_at constant timestamptz := calendly.now();
begin
  perform calendly.lock_against_erasure();
  perform from public.calendly_connections c
    where c.id = calendly_fail_refresh.connection_id for no key update;
  update calendly.credentials k set refresh_ends_at = null
    where k.connection_id = calendly_fail_refresh.connection_id
      and k.version = calendly_fail_refresh.version;
  if found and error ->> 'code' = 'reconnect_required' then
    update public.calendly_connections c
      set state = 'reconnect_required', next_sync_at = null, updated_at = now_at,
        last_error = error || jsonb_build_object('at', calendly.to_calendly(now_at))
      where c.id = calendly_fail_refresh.connection_id;
    perform calendly.end_runs(calendly_fail_refresh.connection_id, error);
  end if;
end
$$;
comment on function public.calendly_fail_refresh(uuid, integer, jsonb) is
  'Lets another worker try. An error with the code reconnect_required means that Calendly no '
  'longer knows the refresh token: only the person can help.';

-- Rotating the key --------------------------------------------------------------------------------

create function public.calendly_list_credentials(
  after uuid default '00000000-0000-0000-0000-000000000000'
) returns jsonb
language plpgsql stable security definer set search_path = ''
as $$
begin
  return (
    select coalesce(jsonb_agg(calendly.credential(k.connection_id) || jsonb_build_object(
        'webhook_key_id', (select w.key_id from calendly.webhook_subscriptions w
          where w.connection_id = k.connection_id and w.state = 'active'))
      order by k.connection_id), '[]')
    from (
      select c.connection_id from calendly.credentials c
      where c.connection_id > calendly_list_credentials.after
      order by c.connection_id limit 500
    ) k);
end
$$;
comment on function public.calendly_list_credentials(uuid) is
  'Up to 500 credentials, see calendly.credential, of the connections after this id, for '
  'encrypting them anew; webhook_key_id: the key that their webhooks'' signing key is derived '
  'from.';

create function public.calendly_reencrypt(connection_id uuid, version integer, token_jwe text)
returns boolean
language plpgsql security definer set search_path = ''
as $$
begin
  update calendly.credentials k set token_jwe = calendly_reencrypt.token_jwe
    where k.connection_id = calendly_reencrypt.connection_id
      and k.version = calendly_reencrypt.version
      -- A refresh in progress replaces it anyhow.
      and coalesce(k.refresh_ends_at < calendly.now(), true);
  return found;
end
$$;
comment on function public.calendly_reencrypt(uuid, integer, text) is
  'Replaces the ciphertext of one and the same token. False where the token was replaced or '
  'refreshed meanwhile.';

select calendly.revoke_all();
