-- Who is connected to Calendly, as whom, and how that is going. The token itself is kept apart.

create table public.calendly_connections (
  id uuid primary key,
  user_id integer not null unique references public.users (id) on delete cascade,
  calendly_user_uri text not null,
  calendly_organization_uri text,
  calendly_user_name text,
  calendly_user_email text,
  scope text not null default 'user' check (scope in ('user', 'organization')),
  state text not null default 'active' check (state in ('active', 'reconnect_required', 'disconnected')),
  next_sync_at timestamptz,
  last_full_sync_at timestamptz,
  current_as_of timestamptz,
  last_error jsonb,
  failures integer not null default 0,
  refusals integer not null default 0,
  webhook_state text not null default 'none' check (webhook_state in ('none', 'active', 'disabled')),
  webhooks_wanted boolean not null default false,
  webhooks_checked_at timestamptz,
  webhooks_lost_at timestamptz,
  rate_limit integer,
  rate_remaining integer,
  rate_resets_at timestamptz,
  connected_at timestamptz not null,
  created_at timestamptz not null,
  updated_at timestamptz not null
);
-- one Calendly user feeds one live connection, so that nobody can claim another's meetings
create unique index calendly_connections_live_idx on public.calendly_connections (calendly_user_uri)
  where state <> 'disconnected';
-- the schedule asks for what is due
create index calendly_connections_due_idx on public.calendly_connections (next_sync_at) where state = 'active';

comment on table public.calendly_connections is 'One row per connected person: the Calendly account, its state, when it is synced next and what went wrong last. Holds no secret.';
comment on column public.calendly_connections.id is 'Chosen before the token is encrypted, because the ciphertext names it.';
comment on column public.calendly_connections.scope is 'user: the person''s own meetings. organization: those of every member who is a user.';
comment on column public.calendly_connections.state is 'reconnect_required: Calendly refuses the token, only the person can help.';
comment on column public.calendly_connections.next_sync_at is 'When the schedule syncs it next; null: never by itself.';
comment on column public.calendly_connections.last_full_sync_at is 'End of the last complete FULL sync.';
comment on column public.calendly_connections.current_as_of is 'Everything in the synced range was as Calendly had it then: the begin of the last complete run.';
comment on column public.calendly_connections.last_error is '{code, message, hint, at} of the last failed run, or of a subscription that could not be made; null after a complete run.';
comment on column public.calendly_connections.failures is 'Runs in a row that failed: the back-off grows with them.';
comment on column public.calendly_connections.refusals is 'Times in a row that Calendly refused the token (401, 403).';
comment on column public.calendly_connections.webhook_state is 'Of our subscription at Calendly: none, active, disabled.';
comment on column public.calendly_connections.webhooks_wanted is 'The person asked for webhooks: a subscription that is lost is made again.';
comment on column public.calendly_connections.webhooks_checked_at is 'When the subscription was last seen to be alive at Calendly; looked after daily.';
comment on column public.calendly_connections.webhooks_lost_at is 'When the subscription was found to be dead, or its deliveries began to fail; null while it delivers or none is wanted.';
comment on column public.calendly_connections.rate_limit is 'Calendly''s X-RateLimit-Limit, requests a minute.';
comment on column public.calendly_connections.rate_remaining is 'Calendly''s X-RateLimit-Remaining as of the last answer; worth nothing after rate_resets_at.';
comment on column public.calendly_connections.rate_resets_at is 'When Calendly''s rate window starts anew.';
comment on column public.calendly_connections.connected_at is 'When the present token was given.';

alter table public.calendly_connections enable row level security;
revoke all on public.calendly_connections from public, anon, authenticated, service_role;
grant select on public.calendly_connections to authenticated, service_role;
create policy "Users read their own connection" on public.calendly_connections
  for select to authenticated
  using (user_id = (select u.id from public.users u where u.auth_user_id = (select auth.uid())));

create table calendly.credentials (
  connection_id uuid primary key references public.calendly_connections (id) on delete cascade,
  kind text not null check (kind in ('personal_access_token', 'oauth')),
  token_jwe text not null,
  version integer not null default 1,
  expires_at timestamptz,
  refresh_began_at timestamptz,
  refresh_ends_at timestamptz,
  updated_at timestamptz not null
);
alter table calendly.credentials enable row level security;
revoke all on calendly.credentials from public, anon, authenticated, service_role;
comment on table calendly.credentials is 'Tokens as JWE, made by the functions with a key that the database does not have.';
comment on column calendly.credentials.token_jwe is 'Compact JWE of {access_token, refresh_token?}; its protected header names the key and the connection.';
comment on column calendly.credentials.version is 'Counts the tokens of this connection, so that of many instances one refreshes and the others notice.';
comment on column calendly.credentials.expires_at is 'When the access token expires; null: never.';
comment on column calendly.credentials.refresh_began_at is 'Last time that Calendly was asked for a token: by a refresh, or for a consent.';
comment on column calendly.credentials.refresh_ends_at is 'Until then that one has it to itself; null: nobody has.';

create function calendly.credential(connection_id uuid) returns jsonb
language sql stable set search_path = ''
as $$
  select jsonb_build_object('connection_id', k.connection_id, 'kind', k.kind, 'token_jwe', k.token_jwe, 'version', k.version,
    -- a request must not be overtaken by the end of its token
    'expires_soon', coalesce(k.expires_at < calendly.now() + interval '5 minutes', false))
  from calendly.credentials k
  where k.connection_id = credential.connection_id
$$;
revoke all on function calendly.credential(uuid) from public, anon, authenticated, service_role;
comment on function calendly.credential(uuid) is 'What a function needs to speak to Calendly for a connection: {connection_id, kind, token_jwe, version, expires_soon}.';

create table calendly.hosts (
  calendly_user_uri text primary key,
  user_id integer not null unique references public.users (id) on delete cascade,
  connection_id uuid not null references public.calendly_connections (id) on delete cascade
);
create index hosts_connection_idx on calendly.hosts (connection_id);
alter table calendly.hosts enable row level security;
revoke all on calendly.hosts from public, anon, authenticated, service_role;
comment on table calendly.hosts is 'Which Calendly user is which of ours, while connected: the hosts who get a row for an event.';
comment on column calendly.hosts.connection_id is 'The connection that syncs this host: the own one, or the organization''s.';

create function calendly.on_host_change() returns trigger
language plpgsql security definer set search_path = ''
as $$
declare
  host constant calendly.hosts := coalesce(new, old);
  enabled constant boolean := tg_op <> 'DELETE'
    and (select c.webhook_state = 'active' and c.webhooks_lost_at is null from public.calendly_connections c where c.id = host.connection_id);
begin
  if tg_op = 'UPDATE' and new.connection_id = old.connection_id then
    return null;
  end if;
  if tg_op <> 'INSERT' then
    -- a member's click that was put down on a connection which no longer brings this member's meetings
    perform calendly.end_run(r.id, jsonb_build_object('code', 'disconnected', 'message', 'The connection no longer brings this user''s meetings.'))
      from public.calendly_sync_runs r
      where r.connection_id = old.connection_id and r.user_id = old.user_id and r.status in ('running', 'paused');
  end if;
  -- what webhooks the former connection had says nothing of the present one
  update public.users u set calendly_webhook_enabled = enabled
    where u.id = host.user_id and u.calendly_webhook_enabled <> enabled;
  return null;
end
$$;
revoke all on function calendly.on_host_change() from public, anon, authenticated, service_role;
comment on function calendly.on_host_change() is 'Ends what is open on the connection that a host leaves; calendly_webhook_enabled is that of the connection from then on.';

create trigger calendly_host_change
  after insert or delete or update of connection_id on calendly.hosts
  for each row execute function calendly.on_host_change();

-- The account behind a connection is gone: nothing may run on its behalf any more.
create function calendly.on_user_change() returns trigger
-- whoever changes the row may not change the connection
language plpgsql security definer set search_path = ''
as $$
begin
  if old.auth_user_id is not null and new.auth_user_id is null then
    perform calendly.disconnect(new.id);
    -- nor may an organization's connection bring this person's meetings
    delete from calendly.hosts h where h.user_id = new.id;
  elsif old.calendly_initial_sync_complete and not new.calendly_initial_sync_complete then
    -- due at once, and the next sync is FULL
    update public.calendly_connections c set next_sync_at = calendly.now(), updated_at = calendly.now()
      where c.id = (select h.connection_id from calendly.hosts h where h.user_id = new.id) and c.state = 'active';
  end if;
  return new;
end
$$;
revoke all on function calendly.on_user_change() from public, anon, authenticated, service_role;
comment on function calendly.on_user_change() is 'A deleted account ends its connection; a cleared calendly_initial_sync_complete makes the connection due.';

create trigger calendly_user_change
  after update of auth_user_id, calendly_initial_sync_complete on public.users
  for each row execute function calendly.on_user_change();

create function calendly.on_account_delete() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  -- A sync holds its connection and then needs the row of users, which the deletion is about to hold.
  perform from public.calendly_connections c
    where c.id in (
      select k.id from public.users u join public.calendly_connections k on k.user_id = u.id where u.auth_user_id = old.id
      union
      select h.connection_id from public.users u join calendly.hosts h on h.user_id = u.id where u.auth_user_id = old.id)
    order by c.id for no key update;
  return old;
end
$$;
revoke all on function calendly.on_account_delete() from public, anon, authenticated, service_role;
comment on function calendly.on_account_delete() is 'Takes the locks of an account''s deletion in the order of a sync: the connection first, users last.';

create trigger calendly_account_delete
  before delete on auth.users
  for each row execute function calendly.on_account_delete();

create function calendly.say_farewell(connection_id uuid) returns void
language plpgsql set search_path = ''
as $$
declare
  at constant timestamptz := calendly.now();
  -- whoever is making a subscription at this moment needs the token to delete it
  in_the_making constant boolean := exists (select from calendly.webhook_subscriptions w
    where w.connection_id = say_farewell.connection_id and w.state = 'making' and w.created_at > at - interval '1 minute');
begin
  perform calendly.end_subscriptions(say_farewell.connection_id);
  insert into calendly.farewells (connection_id, credential, subscription_uris, next_try_at, created_at)
    select k.connection_id, calendly.credential(k.connection_id),
      -- those that were ended before, too: their deletion may have failed
      array(select w.uri from calendly.webhook_subscriptions w where w.connection_id = k.connection_id and w.uri is not null),
      case when in_the_making then at + interval '1 minute' else at end, at
    from calendly.credentials k where k.connection_id = say_farewell.connection_id;
  delete from calendly.credentials k where k.connection_id = say_farewell.connection_id;
end
$$;
revoke all on function calendly.say_farewell(uuid) from public, anon, authenticated, service_role;
comment on function calendly.say_farewell(uuid) is
  'Forgets a connection''s token; what has to be ended with it at Calendly is done afterwards, by a function: see calendly.farewells.';

create function calendly.on_connection_delete() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  perform calendly.say_farewell(old.id);
  return old;
end
$$;
revoke all on function calendly.on_connection_delete() from public, anon, authenticated, service_role;
comment on function calendly.on_connection_delete() is 'A user whose row is deleted is disconnected at Calendly as well.';

create trigger calendly_connection_delete
  before delete on public.calendly_connections
  for each row execute function calendly.on_connection_delete();

create function calendly.disconnect(user_id integer) returns boolean
language plpgsql set search_path = ''
as $$
declare
  connection public.calendly_connections;
  at constant timestamptz := calendly.now();
begin
  select c.* into connection from public.calendly_connections c
    where c.user_id = disconnect.user_id and c.state <> 'disconnected'
    for no key update;
  if not found then
    return false;
  end if;
  perform calendly.say_farewell(connection.id);
  perform calendly.end_runs(connection.id, jsonb_build_object('code', 'disconnected', 'message', 'The connection was ended.'));
  perform from public.users u join calendly.hosts h on h.user_id = u.id where h.connection_id = connection.id
    order by u.id for no key update of u;
  delete from calendly.hosts h where h.connection_id = connection.id;
  update public.calendly_connections c
    set state = 'disconnected', next_sync_at = null, last_error = null, failures = 0, refusals = 0,
      webhook_state = 'none', webhooks_wanted = false, webhooks_checked_at = null, webhooks_lost_at = null, updated_at = at
    where c.id = connection.id;
  return true;
end
$$;
revoke all on function calendly.disconnect(integer) from public, anon, authenticated, service_role;
comment on function calendly.disconnect(integer) is 'Ends a user''s connection: forgets the token, stops open runs, keeps the meetings. False where there was none.';

create function calendly.erase_meetings(user_id integer) returns integer
language plpgsql set search_path = ''
as $$
declare
  erased integer;
begin
  delete from public.meetings m where m.user_id = erase_meetings.user_id and m.calendly_event_uri is not null;
  get diagnostics erased = row_count;
  delete from public.calendly_webhook_events e where e.user_id = erase_meetings.user_id;
  delete from public.calendly_sync_runs r where r.user_id = erase_meetings.user_id;
  -- what is left of the connection keeps an organization's from bringing all of it again
  update public.calendly_connections c
    set calendly_user_name = null, calendly_user_email = null, last_full_sync_at = null, current_as_of = null, updated_at = calendly.now()
    where c.user_id = erase_meetings.user_id and c.state = 'disconnected';
  update public.users u
    set last_calendly_sync = null, calendly_initial_sync_complete = false, calendly_webhook_enabled = false
    where u.id = erase_meetings.user_id;
  return erased;
end
$$;
revoke all on function calendly.erase_meetings(integer) from public, anon, authenticated, service_role;
comment on function calendly.erase_meetings(integer) is
  'Removes everything that came from Calendly for a disconnected user and returns the number of meetings. Meetings of an earlier app that carry no event URI stay.';

-- RPCs ---------------------------------------------------------------------------------------------

create function calendly.user_of(auth_user_id uuid) returns integer
language plpgsql stable set search_path = ''
as $$
declare
  found_id integer;
begin
  select u.id into found_id from public.users u where u.auth_user_id = user_of.auth_user_id;
  if found_id is null then
    perform calendly.fail('unknown_user', 'This account has no row in users.', 'Confirm the account''s e-mail, or insert its row with auth_user_id set.');
  end if;
  return found_id;
end
$$;
revoke all on function calendly.user_of(uuid) from public, anon, authenticated, service_role;
comment on function calendly.user_of(uuid) is 'The users.id of an account. Error: unknown_user.';

create function public.calendly_prepare_connection(auth_user_id uuid) returns jsonb
language plpgsql security definer set search_path = ''
as $$
declare
  person constant integer := calendly.user_of(calendly_prepare_connection.auth_user_id);
begin
  return jsonb_build_object('user_id', person, 'connection_id',
    coalesce((select c.id from public.calendly_connections c where c.user_id = person), gen_random_uuid()));
end
$$;
comment on function public.calendly_prepare_connection(uuid) is
  'The id under which calendly_connect will keep this account''s connection, so that the token can be encrypted for it: {user_id, connection_id}. Error: unknown_user.';

create function public.calendly_connect(connection jsonb) returns jsonb
language plpgsql security definer set search_path = ''
as $$
declare
  person constant integer := calendly.user_of((connection ->> 'auth_user_id')::uuid);
  uri constant text := connection ->> 'calendly_user_uri';
  at constant timestamptz := calendly.now();
  existing public.calendly_connections;
begin
  perform calendly.check_project(connection ->> 'project_url');
  if connection ->> 'scope' = 'organization' and connection ->> 'calendly_organization_uri' is null then
    perform calendly.fail('no_organization', 'This Calendly user belongs to no organization.', 'Connect with scope user.');
  end if;
  -- one connect per person at a time, and one per Calendly user
  perform pg_advisory_xact_lock(hashtextextended('calendly.connect', 0));

  if exists (select from public.calendly_connections c
      where c.calendly_user_uri = uri and c.state <> 'disconnected' and c.user_id <> person) then
    perform calendly.fail('calendly_user_taken', 'This Calendly user is already connected by another account.',
      'Disconnect it there first: one Calendly user can be live in one connection only.');
  end if;
  select c.* into existing from public.calendly_connections c where c.user_id = person for no key update;
  if existing.calendly_user_uri <> uri and (connection ->> 'replace')::boolean then
    perform calendly.disconnect(person);
    perform calendly.erase_meetings(person);
    existing := null;
  end if;
  if existing.calendly_user_uri <> uri and (existing.state <> 'disconnected'
      or exists (select from public.meetings m where m.user_id = person and m.calendly_event_uri is not null)) then
    perform calendly.fail('another_calendly_user', 'This account''s meetings come from another Calendly user.',
      'To change over, confirm with {"replace": true}: the meetings of the former one are erased, so that the two are not mixed.');
  end if;
  if existing.calendly_user_uri <> uri then
    -- nothing of this Calendly user's has been synced
    update public.users u set calendly_initial_sync_complete = false, last_calendly_sync = null where u.id = person;
  end if;
  if existing.scope = 'organization'
      and (connection ->> 'scope', connection ->> 'calendly_organization_uri') is distinct from (existing.scope, existing.calendly_organization_uri) then
    -- its members came with the organization, and go with it
    perform from public.users u join calendly.hosts h on h.user_id = u.id where h.connection_id = existing.id
      order by u.id for no key update of u;
    delete from calendly.hosts h where h.connection_id = existing.id and h.user_id <> person;
    perform calendly.end_runs(existing.id, jsonb_build_object('code', 'replaced', 'message', 'The person connected anew.'));
  end if;

  insert into public.calendly_connections as c (id, user_id, calendly_user_uri, calendly_organization_uri, calendly_user_name,
      calendly_user_email, scope, next_sync_at, connected_at, created_at, updated_at)
    values ((connection ->> 'connection_id')::uuid, person, uri, connection ->> 'calendly_organization_uri',
      connection ->> 'calendly_user_name', connection ->> 'calendly_user_email', connection ->> 'scope',
      at + (select s.sync_interval from calendly.settings s), at, at, at)
    on conflict (user_id) do update set
      calendly_user_uri = excluded.calendly_user_uri, calendly_organization_uri = excluded.calendly_organization_uri,
      calendly_user_name = excluded.calendly_user_name, calendly_user_email = excluded.calendly_user_email,
      scope = excluded.scope, state = 'active', next_sync_at = excluded.next_sync_at, last_error = null, failures = 0, refusals = 0,
      rate_limit = null, rate_remaining = null, rate_resets_at = null,
      -- a subscription for another scope than before is none: the first sync looks for it
      webhooks_checked_at = case when (c.scope, c.calendly_organization_uri, c.calendly_user_uri)
        is not distinct from (excluded.scope, excluded.calendly_organization_uri, excluded.calendly_user_uri) then c.webhooks_checked_at end,
      last_full_sync_at = case when c.calendly_user_uri = excluded.calendly_user_uri then c.last_full_sync_at end,
      current_as_of = case when c.calendly_user_uri = excluded.calendly_user_uri then c.current_as_of end,
      connected_at = excluded.connected_at, updated_at = excluded.updated_at
    returning c.* into existing;
  if existing.id <> (connection ->> 'connection_id')::uuid then
    perform calendly.fail('connection_changed', 'The connection changed while it was being made.', 'Try again.');
  end if;
  -- whose token it is beats what an organization's listing made us believe
  delete from calendly.hosts h where h.calendly_user_uri = uri and h.user_id <> person;
  insert into calendly.hosts as h (calendly_user_uri, user_id, connection_id) values (uri, person, existing.id)
    on conflict (user_id) do update set calendly_user_uri = excluded.calendly_user_uri, connection_id = excluded.connection_id;
  insert into calendly.credentials as k (connection_id, kind, token_jwe, expires_at, refresh_began_at, updated_at)
    values (existing.id, connection ->> 'kind', connection ->> 'token_jwe', at + make_interval(secs => (connection ->> 'expires_in')::integer),
      case connection ->> 'kind' when 'oauth' then at end, at)
    on conflict (connection_id) do update set kind = excluded.kind, token_jwe = excluded.token_jwe, version = k.version + 1,
      expires_at = excluded.expires_at, refresh_began_at = excluded.refresh_began_at, refresh_ends_at = null, updated_at = excluded.updated_at;
  return calendly.connection_status(person);
end
$$;
comment on function public.calendly_connect(jsonb) is
  'Stores a verified connection and its encrypted token, and returns its status. Takes {auth_user_id, connection_id, calendly_user_uri, calendly_organization_uri, calendly_user_name, calendly_user_email, scope, kind (personal_access_token | oauth), token_jwe, expires_in? (seconds), project_url?, replace?}. replace erases what another Calendly user brought. It is due one interval later; the caller starts the first sync. Errors: unknown_user, calendly_user_taken, another_calendly_user, connection_changed, no_organization, project_moved.';

create function calendly.connection_status(user_id integer) returns jsonb
language sql stable set search_path = ''
as $$
  select coalesce(
    (select jsonb_build_object(
        'state', c.state, 'scope', c.scope, 'user_id', c.user_id,
        'calendly_user', jsonb_build_object('uri', c.calendly_user_uri, 'name', c.calendly_user_name,
          'email', c.calendly_user_email, 'organization', c.calendly_organization_uri),
        'webhooks', jsonb_build_object('state', c.webhook_state, 'enabled', u.calendly_webhook_enabled),
        'initial_sync_complete', u.calendly_initial_sync_complete, 'last_sync', u.last_calendly_sync,
        'next_sync', c.next_sync_at, 'last_error', c.last_error, 'connected_at', c.connected_at)
      from public.calendly_connections c
      join public.users u on u.id = c.user_id
      where c.user_id = connection_status.user_id and c.state <> 'disconnected'),
    (select jsonb_build_object(
        'state', c.state, 'scope', c.scope, 'user_id', u.id, 'by', 'organization',
        'calendly_user', jsonb_build_object('uri', h.calendly_user_uri, 'organization', c.calendly_organization_uri),
        'webhooks', jsonb_build_object('state', c.webhook_state, 'enabled', u.calendly_webhook_enabled),
        'initial_sync_complete', u.calendly_initial_sync_complete, 'last_sync', u.last_calendly_sync)
      from calendly.hosts h
      join public.calendly_connections c on c.id = h.connection_id
      join public.users u on u.id = h.user_id
      where h.user_id = connection_status.user_id),
    jsonb_build_object('state', 'disconnected', 'scope', null, 'user_id', connection_status.user_id, 'calendly_user', null,
      'webhooks', jsonb_build_object('state', 'none', 'enabled', false)))
$$;
revoke all on function calendly.connection_status(integer) from public, anon, authenticated, service_role;
comment on function calendly.connection_status(integer) is 'What GET /calendly-connect answers. by: organization where somebody else''s connection brings this user''s meetings.';

create function public.calendly_connection_status(auth_user_id uuid) returns jsonb
language sql stable security definer set search_path = ''
as $$
  select calendly.connection_status(calendly.user_of(auth_user_id))
$$;
comment on function public.calendly_connection_status(uuid) is
  '{state, scope, user_id, calendly_user, webhooks, …} of an account''s connection; state disconnected where there is none. Error: unknown_user.';

create function public.calendly_disconnect(auth_user_id uuid, erase boolean default false) returns jsonb
language plpgsql security definer set search_path = ''
as $$
declare
  person constant integer := calendly.user_of(calendly_disconnect.auth_user_id);
  disconnected boolean;
begin
  if erase and exists (select from calendly.hosts h join public.calendly_connections c on c.id = h.connection_id
      where h.user_id = person and c.user_id <> person) then
    perform calendly.fail('synced_by_organization', 'An organization''s connection brings these meetings, and would bring them again.',
      'Connect yourself and disconnect with {"erase": true}: from then on the organization''s connection leaves you out.');
  end if;
  disconnected := calendly.disconnect(person);
  return calendly.connection_status(person)
    || jsonb_build_object('disconnected', disconnected)
    || case when erase then jsonb_build_object('erased_meetings', calendly.erase_meetings(person)) else '{}'::jsonb end;
end
$$;
comment on function public.calendly_disconnect(uuid, boolean) is
  'Ends an account''s connection and, if asked, erases its meetings: its status with {disconnected, erased_meetings?}. Errors: unknown_user, synced_by_organization.';

revoke all on function public.calendly_prepare_connection(uuid), public.calendly_connect(jsonb),
  public.calendly_connection_status(uuid), public.calendly_disconnect(uuid, boolean)
  from public, anon, authenticated, service_role;
grant execute on function public.calendly_prepare_connection(uuid), public.calendly_connect(jsonb),
  public.calendly_connection_status(uuid), public.calendly_disconnect(uuid, boolean)
  to service_role;
