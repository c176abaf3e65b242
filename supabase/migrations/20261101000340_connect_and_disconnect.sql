-- Connecting a Calendly user, and ending that. A row of calendly_users belongs to one Calendly
-- user: whoever brings that user's token has proven to be them, and takes the row over.

create function calendly.erase_meetings(user_ids integer[]) returns integer
language plpgsql set search_path = ''
as $$
declare
  erased integer;
begin
  delete from public.calendly_meetings m where m.user_id = any (user_ids);
  get diagnostics erased = row_count;
  delete from public.calendly_webhook_events e where e.user_id = any (user_ids);
  delete from public.calendly_sync_runs r where r.user_id = any (user_ids);
  perform calendly.lock_people(user_ids);
  update public.calendly_users u
    set calendly_initial_sync_complete = false, last_calendly_sync = null
    where u.id = any (user_ids);
  return erased;
end
$$;
comment on function calendly.erase_meetings(integer[]) is
  'Deletes these users'' meetings, deliveries and runs, and returns how many meetings. The caller '
  'holds calendly.lock_for_erasure.';

create function calendly.erase_users(user_ids integer[]) returns void
language plpgsql set search_path = ''
as $$
begin
  perform calendly.lock_for_erasure();
  delete from public.calendly_webhook_events e where e.user_id = any (user_ids);
  -- Everything else goes with the row; its connection is queued for revocation by a trigger.
  delete from public.calendly_users u where u.id = any (user_ids);
end
$$;
comment on function calendly.erase_users(integer[]) is
  'Deletes users with all that hangs on them. Their connections are ended at Calendly afterwards.';

create function calendly.release_accounts(user_ids integer[]) returns void
language plpgsql set search_path = ''
as $$
declare
  kept_for_everyone integer[];
begin
  if user_ids = '{}' then
    return;
  end if;
  perform calendly.lock_for_erasure();
  kept_for_everyone := array(
    select u.id
    from public.calendly_users u
    join public.calendly_connections c on c.id = u.connection_id
    where u.id = any (user_ids) and c.user_id <> u.id and c.members = 'everyone');
  perform calendly.lock_people(kept_for_everyone);
  update public.calendly_users u set auth_user_id = null where u.id = any (kept_for_everyone);
  perform calendly.erase_users(array(
    select unnest(user_ids) except select unnest(kept_for_everyone)));
end
$$;
comment on function calendly.release_accounts(integer[]) is
  'These users'' accounts end, or go over to another Calendly user. A host whom an organization '
  'keeps for everyone stays without the account; anybody else is disconnected and erased.';

create function calendly.disconnect(user_id integer) returns boolean
language plpgsql set search_path = ''
as $$
declare
  now_at constant timestamptz := calendly.now();
  connection public.calendly_connections;
begin
  perform calendly.lock_against_erasure();
  select c.* into connection from public.calendly_connections c
    where c.user_id = disconnect.user_id and c.state <> 'disconnected'
    for no key update;
  if not found then
    return false;
  end if;
  perform calendly.queue_revocation(connection.id);
  perform calendly.end_runs(connection.id,
    jsonb_build_object('code', 'disconnected', 'message', 'The connection was ended.'));
  update public.calendly_connections c
    set state = 'disconnected', next_sync_at = null, last_error = null, failures = 0, refusals = 0,
      webhook_state = 'none', webhooks_wanted = false, webhooks_checked_at = null,
      webhooks_lost_at = null, webhooks_unseen_since = null, webhook_error = null,
      updated_at = now_at
    where c.id = connection.id;
  perform calendly.assign_connection(calendly.users_of_connection(connection.id), null);
  return true;
end
$$;
comment on function calendly.disconnect(integer) is
  'Ends a user''s connection: takes the token away, ends active runs, keeps the meetings. False '
  'where there was none.';

create function public.calendly_disconnect(request jsonb) returns jsonb
language plpgsql security definer set search_path = '' set statement_timeout = '30s'
as $$
declare
  requested_id constant integer := calendly.requested_user(request);
  erase constant boolean := coalesce((request ->> 'erase')::boolean, false);
  -- Nobody else could ask for them to be erased.
  hosts_without_account constant integer[] := array(
    select u.id
    from public.calendly_users u
    join public.calendly_connections c on c.id = u.connection_id
    where c.user_id = requested_id and u.id <> requested_id and u.auth_user_id is null);
  disconnected boolean;
  erased integer;
begin
  if erase then
    perform calendly.lock_for_erasure();
  end if;
  if erase and exists (
      select from public.calendly_users u
      join public.calendly_connections c on c.id = u.connection_id
      where u.id = requested_id and c.user_id <> requested_id) then
    perform calendly.raise_error('synced_by_organization',
      'An organization''s connection brings these meetings, and would bring them again.',
      'Connect yourself and disconnect with {"erase": true}: from then on the organization''s '
      'connection leaves you out.');
  end if;
  disconnected := calendly.disconnect(requested_id);
  if erase then
    erased := calendly.erase_meetings(requested_id || hosts_without_account);
    perform calendly.erase_users(hosts_without_account);
  end if;
  return calendly.connection_status(requested_id)
    || jsonb_strip_nulls(jsonb_build_object(
      'disconnected', disconnected, 'erased_meetings', erased));
end
$$;
comment on function public.calendly_disconnect(jsonb) is
  'Ends the connection of {auth_user_id | user_id} and, with {erase: true}, erases the meetings of '
  'its owner and the hosts without an account whom it has kept: its status with {disconnected, '
  'erased_meetings?}. Errors: not_connected, unknown_user, another_user, synced_by_organization.';

-- Connecting --------------------------------------------------------------------------------------

create function public.calendly_prepare_connection(calendly_user_uri text) returns jsonb
language sql security definer set search_path = ''
as $$
  select jsonb_build_object('connection_id', coalesce((
    select c.id from public.calendly_connections c
    join public.calendly_users u on u.id = c.user_id
    where u.calendly_user_uri = calendly_prepare_connection.calendly_user_uri), gen_random_uuid()))
$$;
comment on function public.calendly_prepare_connection(text) is
  'The id under which calendly_connect will keep this Calendly user''s connection, so that the '
  'token can be encrypted for it: {connection_id}.';

create function calendly.check_not_taken(connection jsonb) returns void
language plpgsql stable set search_path = ''
as $$
declare
  own constant uuid := (connection ->> 'auth_user_id')::uuid;
  taken record;
begin
  select u.auth_user_id, c.scope, c.members into taken
    from public.calendly_users u
    join public.calendly_connections c on c.user_id = u.id
    where u.calendly_user_uri = connection ->> 'calendly_user_uri' and c.state <> 'disconnected';
  if not found or own is null or taken.auth_user_id = own then
    return;
  end if;
  if taken.auth_user_id is not null then
    perform calendly.raise_error('calendly_user_taken',
      'This Calendly user is already connected by another account.',
      'Disconnect it there first: one Calendly user can be live in one connection only.');
  elsif (taken.scope = 'organization' and connection ->> 'scope' <> 'organization')
      or (taken.members = 'everyone' and connection ->> 'members' is distinct from 'everyone') then
    -- The team's meetings must not stop because one person connects for themselves.
    perform calendly.raise_error('calendly_user_taken',
      'A server has connected the organization with this Calendly user.',
      format('Connect with scope organization and members %s, or let the server connect with '
        'auth_user_id.', taken.members));
  end if;
end
$$;
comment on function calendly.check_not_taken(jsonb) is
  'May the account of this connection (none: a server) connect its Calendly user? Error: '
  'calendly_user_taken.';

create function calendly.leave_former_user(auth_user_id uuid, uri text, replace boolean)
returns void
language plpgsql set search_path = ''
as $$
declare
  former record;
begin
  select u.id, own.state,
      exists (select from public.calendly_meetings m where m.user_id = u.id) as has_meetings
    into former
    from public.calendly_users u
    left join public.calendly_connections own on own.user_id = u.id
    where u.auth_user_id = leave_former_user.auth_user_id and u.calendly_user_uri <> uri;
  if not found then
    return;
  end if;
  if (former.has_meetings or former.state <> 'disconnected') and not replace then
    perform calendly.raise_error('another_calendly_user',
      'This account''s meetings come from another Calendly user.',
      'To change over, confirm with {"replace": true}: the meetings of the former one are erased, '
      'so that the two are not mixed.');
  end if;
  perform calendly.release_accounts(array[former.id]);
end
$$;
comment on function calendly.leave_former_user(uuid, text, boolean) is
  'An account that connects another Calendly user than before leaves the former one''s row. '
  'replace confirms that what it brought is erased. Error: another_calendly_user.';

create function calendly.store_user(connection jsonb) returns integer
language sql set search_path = ''
as $$
  -- Before the row is written: a typed statement that has locked all people must not wait for it.
  select calendly.lock_people(array(
    select u.id from public.calendly_users u
    where u.calendly_user_uri = connection ->> 'calendly_user_uri'));
  insert into public.calendly_users as u (auth_user_id, calendly_user_uri, name, email, created_at)
    values ((connection ->> 'auth_user_id')::uuid, connection ->> 'calendly_user_uri',
      connection ->> 'calendly_user_name', connection ->> 'calendly_user_email', calendly.now())
    on conflict (calendly_user_uri) do update set
      -- A server that names no account leaves the row with its account.
      auth_user_id = coalesce(excluded.auth_user_id, u.auth_user_id),
      name = excluded.name, email = excluded.email
    returning u.id
$$;
comment on function calendly.store_user(jsonb) is
  'The row of a connecting Calendly user, made or taken over; see calendly_connect.';

create function calendly.release_members(former public.calendly_connections, connection jsonb)
returns void
language plpgsql set search_path = ''
as $$
begin
  if former.scope is distinct from 'organization' then
    return;
  elsif (connection ->> 'scope', connection ->> 'calendly_organization_uri')
      is distinct from (former.scope, former.calendly_organization_uri) then
    -- They came with that organization, and leave with it.
    perform calendly.end_runs(former.id,
      jsonb_build_object('code', 'replaced', 'message', 'The person connected again.'));
    perform calendly.assign_connection(array(select u.id from public.calendly_users u
      where u.connection_id = former.id and u.id <> former.user_id), null);
  elsif former.members = 'everyone' and connection ->> 'members' is distinct from 'everyone' then
    perform calendly.assign_connection(array(select u.id from public.calendly_users u
      where u.connection_id = former.id and u.id <> former.user_id
        and u.auth_user_id is null), null);
  end if;
end
$$;
comment on function calendly.release_members(public.calendly_connections, jsonb) is
  'A connection that changes organization, scope or members no longer brings those who do not '
  'belong to it any more. Their meetings stay.';

create function calendly.store_connection(user_id integer, connection jsonb)
returns public.calendly_connections
language sql set search_path = ''
as $$
  insert into public.calendly_connections as c (id, user_id, calendly_user_uri,
      calendly_organization_uri, scope, members, next_sync_at, connected_at, created_at, updated_at)
    select (connection ->> 'connection_id')::uuid, store_connection.user_id,
      connection ->> 'calendly_user_uri', connection ->> 'calendly_organization_uri',
      connection ->> 'scope', coalesce(connection ->> 'members', 'accounts'),
      now_at + calendly.interval_between_syncs(false), now_at, now_at, now_at
    from calendly.now() now_at
    on conflict on constraint calendly_connections_user_id_key do update set
      calendly_organization_uri = excluded.calendly_organization_uri,
      scope = excluded.scope, members = excluded.members, state = 'active',
      next_sync_at = excluded.next_sync_at, last_error = null, failures = 0, refusals = 0,
      rate_limit = null, rate_remaining = null, rate_resets_at = null,
      -- A subscription for another scope than before is none: the first sync looks for it.
      webhooks_checked_at = case when (c.scope, c.calendly_organization_uri)
        is not distinct from (excluded.scope, excluded.calendly_organization_uri)
        then c.webhooks_checked_at end,
      connected_at = excluded.connected_at, updated_at = excluded.updated_at
    returning c.*
$$;
comment on function calendly.store_connection(integer, jsonb) is
  'Stores a verified connection of a user; see calendly_connect. It is due one interval later.';

create function calendly.store_token(connection_id uuid, connection jsonb) returns void
language sql set search_path = ''
as $$
  insert into calendly.credentials as k
      (connection_id, kind, token_jwe, expires_at, refresh_began_at, updated_at)
    select store_token.connection_id, connection ->> 'kind', connection ->> 'token_jwe',
      now_at + make_interval(secs => (connection ->> 'expires_in')::integer),
      case connection ->> 'kind' when 'oauth' then now_at end, now_at
    from calendly.now() now_at
    on conflict on constraint credentials_pkey do update set
      kind = excluded.kind, token_jwe = excluded.token_jwe, version = excluded.version,
      expires_at = excluded.expires_at, refresh_began_at = excluded.refresh_began_at,
      refresh_ends_at = null, updated_at = excluded.updated_at
$$;
comment on function calendly.store_token(uuid, jsonb) is
  'Stores the encrypted token of a connection; see calendly_connect.';

create function public.calendly_connect(connection jsonb) returns jsonb
language plpgsql security definer set search_path = '' set statement_timeout = '30s'
as $$
declare
  own constant uuid := (connection ->> 'auth_user_id')::uuid;
  uri constant text := connection ->> 'calendly_user_uri';
  replace constant boolean := coalesce((connection ->> 'replace')::boolean, false);
  former public.calendly_connections;
  stored public.calendly_connections;
  stored_id integer;
begin
  -- Always the exclusive form: a former row may have to be erased.
  perform calendly.lock_for_erasure();
  perform calendly.check_project(connection ->> 'project_url');
  if connection ->> 'scope' = 'organization'
      and connection ->> 'calendly_organization_uri' is null then
    perform calendly.raise_error('no_organization',
      'This Calendly user belongs to no organization.', 'Connect with scope user.');
  end if;
  perform calendly.check_account(own);
  -- Whoever comes back before the job has noticed that their former account ended begins anew.
  perform calendly.release_accounts(array(
    select e.user_id from calendly.ended_accounts e
    join public.calendly_users u on u.id = e.user_id
    where u.calendly_user_uri = uri));
  perform calendly.check_not_taken(connection);
  perform calendly.leave_former_user(own, uri, replace);
  stored_id := calendly.store_user(connection);
  select c.* into former from public.calendly_connections c
    where c.user_id = stored_id for no key update;
  perform calendly.release_members(former, connection);
  stored := calendly.store_connection(stored_id, connection);
  if stored.id <> (connection ->> 'connection_id')::uuid then
    perform calendly.raise_error('connection_changed',
      'The connection changed while it was being made.', 'Try again.');
  end if;
  perform calendly.store_token(stored.id, connection);
  perform calendly.assign_connection(array[stored_id], stored.id);
  return calendly.connection_status(stored_id);
end
$$;
comment on function public.calendly_connect(jsonb) is
  'Stores a verified connection and its encrypted token, and returns its status. Takes '
  '{auth_user_id? (without: a server connects, and the person need not have an account), '
  'connection_id, calendly_user_uri, calendly_organization_uri, calendly_user_name, '
  'calendly_user_email, scope, members? (accounts | everyone), kind (personal_access_token | '
  'oauth), token_jwe, expires_in? (seconds), project_url?, replace?}. replace erases what another '
  'Calendly user brought. It is due one interval later; the caller starts the first sync. Errors: '
  'account_closed, calendly_user_taken, another_calendly_user, connection_changed, '
  'no_organization, project_moved.';

select calendly.revoke_all();
