-- Who is connected to Calendly, by whose token, and how that is going. The token itself is kept
-- apart, see 130_credentials.

create table public.calendly_connections (
  id uuid primary key,
  user_id integer not null unique references public.calendly_users (id) on delete cascade,
  calendly_user_uri text not null,
  calendly_organization_uri text,
  scope text not null default 'user' check (scope in ('user', 'organization')),
  members text not null default 'accounts' check (members in ('accounts', 'everyone')),
  state text not null default 'active'
    check (state in ('active', 'reconnect_required', 'disconnected')),
  next_sync_at timestamptz,
  last_full_sync_at timestamptz,
  current_as_of timestamptz,
  last_error jsonb,
  failures integer not null default 0,
  refusals integer not null default 0,
  webhook_state text not null default 'none'
    check (webhook_state in ('none', 'active', 'disabled', 'unknown')),
  webhooks_wanted boolean not null default false,
  webhooks_checked_at timestamptz,
  webhooks_lost_at timestamptz,
  webhooks_unseen_since timestamptz,
  webhook_error jsonb,
  rate_limit integer,
  rate_remaining integer,
  rate_resets_at timestamptz,
  connected_at timestamptz not null,
  created_at timestamptz not null,
  updated_at timestamptz not null
);
-- The schedule asks for what is due.
create index calendly_connections_due_idx on public.calendly_connections (next_sync_at)
  where state = 'active';
-- The same without first syncs, however many of them are due.
create index calendly_connections_due_again_idx on public.calendly_connections (next_sync_at)
  where state = 'active' and last_full_sync_at is not null;
alter table public.calendly_connections enable row level security;
alter table public.calendly_users
  add constraint calendly_users_connection_id_fkey
  foreign key (connection_id) references public.calendly_connections (id) on delete set null;

comment on table public.calendly_connections is
  'One row per Calendly user whose token is or was connected: the state, when it is synced next '
  'and what went wrong last. Holds no secret.';
comment on column public.calendly_connections.id is
  'Chosen before the token is encrypted, because the ciphertext names it.';
comment on column public.calendly_connections.user_id is 'Whose token it is.';
comment on column public.calendly_connections.calendly_user_uri is
  'URI of the Calendly user whose token it is.';
comment on column public.calendly_connections.calendly_organization_uri is
  'The organization''s URI at Calendly; read again with each daily check of webhooks.';
comment on column public.calendly_connections.scope is
  'user: the person''s own meetings. organization: those of its members.';
comment on column public.calendly_connections.members is
  'Of an organization. accounts: members who have an account here, matched by Calendly user or, '
  'once, by a proven e-mail. everyone: every host, account or not.';
comment on column public.calendly_connections.state is
  'active. reconnect_required: Calendly refuses the token, and only a person can help. '
  'disconnected: ended, the token is gone.';
comment on column public.calendly_connections.next_sync_at is
  'When the schedule syncs it next; null: never by itself (not active, or the account is banned).';
comment on column public.calendly_connections.last_full_sync_at is
  'End of the last complete FULL sync.';
comment on column public.calendly_connections.current_as_of is
  'Everything in the synced range was as Calendly had it then: the begin of the last complete run.';
comment on column public.calendly_connections.last_error is
  '{code, message, hint, at} of the last failed run, or of a subscription that could not be made; '
  'null after a complete run.';
comment on column public.calendly_connections.failures is
  'Runs in a row that failed: the back-off grows with them.';
comment on column public.calendly_connections.refusals is
  'Times in a row that Calendly refused the token (401, 403).';
comment on column public.calendly_connections.webhook_state is
  'Of our subscription at Calendly: none, active, disabled, or unknown where it cannot be looked '
  'at, see webhook_error.';
comment on column public.calendly_connections.webhooks_wanted is
  'Somebody asked for webhooks: a subscription that is lost is made again.';
comment on column public.calendly_connections.webhooks_checked_at is
  'When the subscription was last seen to be active at Calendly; checked daily.';
comment on column public.calendly_connections.webhooks_lost_at is
  'When the subscription was found to be dead, or its deliveries began to fail; null while it '
  'delivers or none is wanted.';
comment on column public.calendly_connections.webhooks_unseen_since is
  'Since when Calendly''s subscriptions could not be compared with ours; null: they could.';
comment on column public.calendly_connections.webhook_error is
  '{code, message, hint, at}: why our subscription could not be made or looked at; null where all '
  'is well.';
comment on column public.calendly_connections.rate_limit is
  'Calendly''s X-RateLimit-Limit, requests a minute.';
comment on column public.calendly_connections.rate_remaining is
  'Calendly''s X-RateLimit-Remaining as of the last answer; worth nothing after rate_resets_at.';
comment on column public.calendly_connections.rate_resets_at is
  'When Calendly''s rate window starts again.';
comment on column public.calendly_connections.connected_at is 'When the present token was given.';
comment on column public.calendly_connections.created_at is 'When the row was made here.';
comment on column public.calendly_connections.updated_at is 'When the row was last written here.';

-- Who reads ---------------------------------------------------------------------------------------

create view calendly.readers with (security_invoker = true) as
  select u.id as user_id, u.auth_user_id
  from public.calendly_users u
  where u.auth_user_id is not null
  union
  select u.id, owner.auth_user_id
  from public.calendly_users owner
  join public.calendly_connections c on c.user_id = owner.id
  join public.calendly_users u on u.connection_id = c.id
  where owner.auth_user_id is not null
    and c.scope = 'organization' and c.members = 'everyone' and c.state <> 'disconnected';
comment on view calendly.readers is
  'Which accounts read whose rows: the own ones and, with an organization connection that keeps '
  'everyone, those that it brings. Whether the account is open is for whoever asks.';

create function calendly.readable_user_ids() returns integer[]
-- It reads the tables whose policies call it.
language plpgsql stable security definer set search_path = ''
-- The session keeps the plan, and the tables may grow. (jit: a scan that is off looks dear.)
set enable_seqscan = off set jit = off
as $$
declare
  own_account constant uuid := auth.uid();
begin
  -- The token of an account that was deleted lives on for a while.
  if own_account is null or not calendly.account_is_open(own_account, calendly.now()) then
    return '{}'::integer[];
  end if;
  return array(select r.user_id from calendly.readers r where r.auth_user_id = own_account);
end
$$;
comment on function calendly.readable_user_ids() is
  'Whose rows the signed-in account reads: their own and, with an organization connection that '
  'keeps everyone, those that it brings. Policies call it in a subquery, once per statement.';

create policy "People read their own row" on public.calendly_users
  for select to authenticated
  using (id = any ((select calendly.readable_user_ids())::integer[]));
create policy "People read their own connection" on public.calendly_connections
  for select to authenticated
  using (user_id = any ((select calendly.readable_user_ids())::integer[]));

create function calendly.check_connection(connection public.calendly_connections) returns void
language plpgsql set search_path = ''
as $$
declare
  hint constant text := 'Connect: POST /functions/v1/calendly-connect {"token": "…"}.';
begin
  if connection.state is null or connection.state = 'disconnected' then
    perform calendly.raise_error(
      'not_connected', 'This user is not connected to Calendly.', hint);
  elsif connection.state = 'reconnect_required' then
    perform calendly.raise_error('reconnect_required',
      'Calendly no longer accepts the token of this connection.', hint);
  end if;
end
$$;
comment on function calendly.check_connection(public.calendly_connections) is
  'May this connection (null: none) be used? Errors: not_connected, reconnect_required.';

-- Whose meetings a connection brings --------------------------------------------------------------

create function calendly.sync_sooner(user_ids integer[], due_at timestamptz) returns void
language plpgsql set search_path = ''
as $$
declare
  connection_ids constant uuid[] := array(
    select free.id
    from public.calendly_users u
    cross join lateral (
      select c.id
      from public.calendly_connections c
      where c.id = u.connection_id and c.state = 'active'
        and c.next_sync_at > sync_sooner.due_at
        -- A paused run does not go on sooner, and a due connection is looked at by each claim.
        and not exists (
          select from public.calendly_sync_runs r
          where r.connection_id = c.id and r.status = 'paused'
            and r.resume_at > sync_sooner.due_at and calendly.covers_connection(r, c))
      -- A run holds this row before it waits for an event, or for people, that we hold: do not wait
      -- for it. When that run finishes, it looks for what is due.
      for no key update skip locked
    ) free
    where u.id = any (user_ids));
begin
  if connection_ids <> '{}' then
    update public.calendly_connections c
      set next_sync_at = sync_sooner.due_at
      where c.id = any (connection_ids);
  end if;
end
$$;
comment on function calendly.sync_sooner(integer[], timestamptz) is
  'Brings the next sync of these users forward to a time, but not before a paused run may go on. A '
  'connection that the schedule leaves out stays out.';

create table calendly.unmet_members (
  user_id integer primary key references public.calendly_users (id) on delete cascade
);
alter table calendly.unmet_members enable row level security;
comment on table calendly.unmet_members is
  'People with whom an organization''s connection goes on, and whom no listing of it has named: '
  'they may have moved to another organization.';
comment on column calendly.unmet_members.user_id is 'calendly_users.id.';

create function calendly.assign_connection(user_ids integer[], connection_id uuid) returns void
language plpgsql set search_path = ''
as $$
declare
  delivers constant boolean := coalesce((
    select c.webhook_state = 'active' and c.webhooks_lost_at is null
    from public.calendly_connections c where c.id = assign_connection.connection_id), false);
  organization_uri constant text := (
    select c.calendly_organization_uri from public.calendly_connections c
    where c.id = assign_connection.connection_id and c.scope = 'organization');
  moving constant integer[] := array(
    select u.id from public.calendly_users u
    where u.id = any (user_ids)
      and u.connection_id is distinct from assign_connection.connection_id);
begin
  -- A member's click that was paused on a connection which no longer brings this member's meetings.
  perform calendly.end_run(r.id, 'failed', jsonb_build_object('code', 'disconnected',
      'message', 'The connection no longer brings this user''s meetings.'))
    from public.calendly_users u
    join public.calendly_sync_runs r on r.connection_id = u.connection_id and r.user_id = u.id
    where u.id = any (moving) and r.status in ('running', 'paused');
  -- The other active runs of that connection write nothing more of them.
  update calendly.active_runs o
    set user_ids = array(
      select unnest(o.user_ids) except select unnest(moving) order by 1)
    from public.calendly_sync_runs r
    where r.id = o.run_id and r.status in ('running', 'paused') and o.user_ids && moving
      and r.connection_id in (
        select u.connection_id from public.calendly_users u where u.id = any (moving));
  perform calendly.lock_people(user_ids);
  update public.calendly_users u
    set connection_id = assign_connection.connection_id,
      -- kept when a connection ends: another one of the organization may go on
      calendly_organization_uri = coalesce(organization_uri, u.calendly_organization_uri)
    where u.id = any (user_ids) and (u.id = any (moving)
      -- the owner of a connection that changes over to another organization
      or u.calendly_organization_uri is distinct from coalesce(
        organization_uri, u.calendly_organization_uri));
  delete from calendly.unmet_members n where n.user_id = any (moving);
  -- What webhooks the former connection had says nothing of the present one.
  perform calendly.set_webhook_enabled(moving, delivers);
end
$$;
comment on function calendly.assign_connection(integer[], uuid) is
  'From now on this connection (null: none) brings these users'' meetings.';

create function calendly.on_connection_delete() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  perform calendly.queue_revocation(old.id);
  perform calendly.assign_connection(calendly.users_of_connection(old.id), null);
  return old;
end
$$;
comment on function calendly.on_connection_delete() is
  'Somebody whose row is deleted is disconnected at Calendly as well, and their connection no '
  'longer brings anybody''s meetings.';

create trigger calendly_connection_delete
  before delete on public.calendly_connections
  for each row execute function calendly.on_connection_delete();

-- Status ------------------------------------------------------------------------------------------

create function calendly.connection_status(user_id integer) returns jsonb
language sql stable set search_path = ''
as $$
  select coalesce((
    select jsonb_build_object(
        'state', c.state, 'scope', c.scope, 'user_id', u.id,
        'calendly_user', jsonb_build_object('uri', u.calendly_user_uri, 'name', u.name,
          'email', u.email, 'organization', c.calendly_organization_uri),
        'webhooks', jsonb_build_object('state', c.webhook_state,
            'enabled', u.calendly_webhook_enabled)
          || case when c.user_id = u.id and c.webhook_error is not null
            then jsonb_build_object('error', c.webhook_error) else '{}' end,
        'initial_sync_complete', u.calendly_initial_sync_complete,
        'last_sync', u.last_calendly_sync)
      || case
        when c.user_id <> u.id then jsonb_build_object('by', 'organization')
        else jsonb_build_object('members', c.members, 'next_sync', c.next_sync_at,
          'last_error', c.last_error, 'connected_at', c.connected_at)
      end
    from public.calendly_users u
    join public.calendly_connections c
      -- The own connection while it is not ended, else the organization's.
      on c.id = coalesce(
        (select k.id from public.calendly_connections k
          where k.user_id = u.id and k.state <> 'disconnected'),
        u.connection_id)
    where u.id = connection_status.user_id
  ), jsonb_build_object('state', 'disconnected', 'scope', null,
    'user_id', connection_status.user_id, 'calendly_user', null,
    'webhooks', jsonb_build_object('state', 'none', 'enabled', false)))
$$;
comment on function calendly.connection_status(integer) is
  'What GET /calendly-connect answers: {state: active | reconnect_required | disconnected, scope, '
  'user_id, calendly_user: {uri, name, email, organization}, webhooks: {state, enabled, error?}, '
  'initial_sync_complete, last_sync}. Of the own connection also members, next_sync, last_error '
  'and connected_at; where somebody else''s connection brings this user''s meetings, by: '
  'organization. user_id is null for an account that was never connected.';

create function public.calendly_connection_status(request jsonb) returns jsonb
language sql stable security definer set search_path = ''
as $$
  select calendly.connection_status(case
    -- An account without a row is simply not connected.
    when request ->> 'auth_user_id' is not null and request ->> 'user_id' is null then (
      select u.id from public.calendly_users u
      where u.auth_user_id = (request ->> 'auth_user_id')::uuid)
    else calendly.requested_user(request)
  end)
$$;
comment on function public.calendly_connection_status(jsonb) is
  '{state, scope, user_id, calendly_user, webhooks, …} of {auth_user_id | user_id}; state '
  'disconnected where there is no connection. Errors: unknown_user, another_user.';

select calendly.revoke_all();
