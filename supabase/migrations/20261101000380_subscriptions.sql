-- Webhook subscriptions at Calendly. One cannot be changed or revived, and its URL must be unique: a new
-- one is made before the old one is deleted. Looked after daily; after a gap, the gap is synced.

create table calendly.webhook_subscriptions (
  id uuid primary key default gen_random_uuid(),
  connection_id uuid not null references public.calendly_connections (id) on delete cascade,
  uri text,
  key_id text,
  state text not null default 'making' check (state in ('making', 'active', 'ended')),
  created_at timestamptz not null,
  ended_at timestamptz
);
create index webhook_subscriptions_connection_idx on calendly.webhook_subscriptions (connection_id);
alter table calendly.webhook_subscriptions enable row level security;
revoke all on calendly.webhook_subscriptions from public, anon, authenticated, service_role;
comment on table calendly.webhook_subscriptions is 'Our subscriptions at Calendly. The id is in the callback URL; its signing key is derived from it, so none is stored.';
comment on column calendly.webhook_subscriptions.uri is 'Calendly''s name for it; null while it is being made.';
comment on column calendly.webhook_subscriptions.key_id is 'Names the secret that its signing key is derived from; null: an OAuth app''s own key signs.';
comment on column calendly.webhook_subscriptions.state is 'ended: no longer wanted at Calendly; its late deliveries count for two more days.';

create function public.calendly_begin_subscription(request jsonb) returns jsonb
language plpgsql security definer set search_path = ''
as $$
declare
  at constant timestamptz := calendly.now();
  connection public.calendly_connections;
  subscription_id uuid;
begin
  perform calendly.check_project(request ->> 'project_url');
  select c.* into connection from public.calendly_connections c
    -- case, not or: that would be free to look for an account of nobody's
    where c.id = case when request ? 'connection_id' then (request ->> 'connection_id')::uuid
      else (select k.id from public.calendly_connections k where k.user_id = calendly.user_of((request ->> 'auth_user_id')::uuid)) end
    for no key update;
  if not found or connection.state <> 'active' then
    perform calendly.fail(case when connection.state = 'reconnect_required' then 'reconnect_required' else 'not_connected' end,
      'This user is not connected to Calendly.', 'Connect first: POST /functions/v1/calendly-connect {"token": "…"}.');
  end if;
  update public.calendly_connections c set webhooks_wanted = true, updated_at = at where c.id = connection.id;
  insert into calendly.webhook_subscriptions (connection_id, created_at) values (connection.id, at) returning id into subscription_id;
  return jsonb_build_object('id', subscription_id, 'connection_id', connection.id, 'credential', calendly.credential(connection.id),
    'scope', connection.scope, 'user', connection.calendly_user_uri, 'organization', connection.calendly_organization_uri);
end
$$;
comment on function public.calendly_begin_subscription(jsonb) is
  'Prepares a subscription for a connection, {connection_id | auth_user_id, project_url?}, so that its first delivery finds it: {id, connection_id, credential, scope, user, organization}. Errors: unknown_user, not_connected, reconnect_required, project_moved.';

create function public.calendly_keep_subscription(id uuid, uri text, key_id text) returns jsonb
language plpgsql security definer set search_path = ''
as $$
declare
  at constant timestamptz := calendly.now();
  connection uuid;
  wanted boolean;
  replaced text[];
begin
  select w.connection_id into connection from calendly.webhook_subscriptions w where w.id = calendly_keep_subscription.id;
  select c.webhooks_wanted into wanted from public.calendly_connections c where c.id = connection for no key update;
  if wanted is not true then
    -- webhooks were switched off, or the connection ended, while it was being made
    update calendly.webhook_subscriptions w
      set state = 'ended', ended_at = coalesce(w.ended_at, at), uri = calendly_keep_subscription.uri
      where w.id = calendly_keep_subscription.id;
    return jsonb_build_object('replaced', jsonb_build_array(calendly_keep_subscription.uri));
  end if;
  with ended as (
    update calendly.webhook_subscriptions w set state = 'ended', ended_at = at
      where w.connection_id = connection and w.id <> calendly_keep_subscription.id and w.state <> 'ended'
      returning w.uri
  )
  -- a Calendly that starts anew, as a sandbox does, may use a name again
  select coalesce(array_agg(e.uri) filter (where e.uri <> calendly_keep_subscription.uri), '{}') into replaced from ended e;
  update calendly.webhook_subscriptions w
    set state = 'active', ended_at = null, uri = calendly_keep_subscription.uri, key_id = calendly_keep_subscription.key_id
    where w.id = calendly_keep_subscription.id;
  update public.calendly_connections c
    set webhook_state = 'active', webhooks_checked_at = at, webhooks_lost_at = null, updated_at = at,
      -- and so may what happened until there was one again
      last_full_sync_at = case when c.webhooks_lost_at is null then c.last_full_sync_at end
    where c.id = connection;
  update public.users u set calendly_webhook_enabled = true
    from calendly.hosts h where h.connection_id = connection and u.id = h.user_id and not u.calendly_webhook_enabled;
  return jsonb_build_object('replaced', to_jsonb(replaced));
end
$$;
comment on function public.calendly_keep_subscription(uuid, text, text) is
  'The subscription exists at Calendly under this URI, with a key derived from this secret: {replaced: [URIs to delete there]}, its own among them where it is not wanted any more. Where the former one was lost, the next scheduled sync is FULL.';

create function public.calendly_abandon_subscription(id uuid, error jsonb) returns void
language plpgsql security definer set search_path = ''
as $$
declare
  at constant timestamptz := calendly.now();
  -- without an answer from Calendly it may exist: the next sync looks for it
  answered constant boolean := error ->> 'code' <> 'calendly_unavailable';
  connection uuid;
begin
  select w.connection_id into connection from calendly.webhook_subscriptions w
    where w.id = calendly_abandon_subscription.id and w.state = 'making';
  update public.calendly_connections c
    set last_error = error || jsonb_build_object('at', calendly.to_calendly(at)), updated_at = at,
      webhooks_checked_at = case when answered then at end,
      webhooks_wanted = c.webhook_state <> 'none'
    where c.id = connection;
  if answered then
    delete from calendly.webhook_subscriptions w where w.id = calendly_abandon_subscription.id and w.state = 'making';
  else
    update calendly.webhook_subscriptions w set state = 'ended', ended_at = at
      where w.id = calendly_abandon_subscription.id and w.state = 'making';
  end if;
end
$$;
comment on function public.calendly_abandon_subscription(uuid, jsonb) is 'The subscription could not be made, for this reason. One that was lost stays wanted; a first one does not.';

create function calendly.end_subscriptions(connection_id uuid) returns text[]
language plpgsql set search_path = ''
as $$
declare
  ended text[];
begin
  with gone as (
    update calendly.webhook_subscriptions w set state = 'ended', ended_at = calendly.now()
      where w.connection_id = end_subscriptions.connection_id and w.state <> 'ended'
      returning w.uri
  )
  select coalesce(array_agg(g.uri) filter (where g.uri is not null), '{}') into ended from gone g;
  return ended;
end
$$;
revoke all on function calendly.end_subscriptions(uuid) from public, anon, authenticated, service_role;
comment on function calendly.end_subscriptions(uuid) is 'Ends a connection''s subscriptions here and returns the URIs to delete at Calendly.';

create function public.calendly_disable_webhooks(auth_user_id uuid, project_url text) returns jsonb
language plpgsql security definer set search_path = ''
as $$
declare
  at constant timestamptz := calendly.now();
  person constant integer := calendly.user_of(calendly_disable_webhooks.auth_user_id);
  connection public.calendly_connections;
  ended text[];
begin
  perform calendly.check_project(calendly_disable_webhooks.project_url);
  select c.* into connection from public.calendly_connections c where c.user_id = person for no key update;
  ended := calendly.end_subscriptions(connection.id);
  update public.calendly_connections c
    -- not checked: the next sync makes sure that Calendly has deleted them
    set webhook_state = 'none', webhooks_wanted = false, webhooks_checked_at = null, webhooks_lost_at = null, updated_at = at,
      -- from now on only syncs bring news
      next_sync_at = case c.state when 'active' then least(c.next_sync_at, at + (select s.sync_interval from calendly.settings s)) end
    where c.id = connection.id;
  update public.users u set calendly_webhook_enabled = false
    from calendly.hosts h where h.connection_id = connection.id and u.id = h.user_id and u.calendly_webhook_enabled;
  return jsonb_build_object('ended', to_jsonb(ended), 'credential', calendly.credential(connection.id), 'status', calendly.connection_status(person));
end
$$;
comment on function public.calendly_disable_webhooks(uuid, text) is
  'Ends an account''s subscriptions here: {ended: [URIs to delete at Calendly], credential, status}. Errors: unknown_user, project_moved.';

create function calendly.needs_review(connection public.calendly_connections, at timestamptz) returns boolean
language sql stable set search_path = ''
as $$
  select coalesce(connection.webhooks_checked_at < at - interval '1 day', true)
    -- also what is not wanted any more, as long as Calendly may still have it
    and (connection.webhooks_wanted or exists (select from calendly.webhook_subscriptions w where w.connection_id = connection.id))
$$;
revoke all on function calendly.needs_review(public.calendly_connections, timestamptz) from public, anon, authenticated, service_role;
comment on function calendly.needs_review(public.calendly_connections, timestamptz) is 'Is it time to compare a connection''s subscriptions with those at Calendly?';

create function public.calendly_subscription_query(connection_id uuid) returns jsonb
language sql stable security definer set search_path = ''
as $$
  select jsonb_build_object('organization', c.calendly_organization_uri, 'scope', c.scope)
    || case c.scope when 'user' then jsonb_build_object('user', c.calendly_user_uri) else '{}' end
  from public.calendly_connections c
  where c.id = calendly_subscription_query.connection_id
$$;
comment on function public.calendly_subscription_query(uuid) is 'The query that lists a connection''s subscriptions at Calendly.';

create function public.calendly_review_subscriptions(connection_id uuid, listed jsonb, key_id text) returns jsonb
language plpgsql security definer set search_path = ''
as $$
declare
  at constant timestamptz := calendly.now();
  expected_url text;
  wanted boolean;
  owner_id integer;
  alive boolean;
  current boolean;
  failing_since timestamptz;
  obsolete text[];
begin
  select c.webhooks_wanted, c.user_id into wanted, owner_id from public.calendly_connections c
    where c.id = calendly_review_subscriptions.connection_id for no key update;
  select p.url || '/functions/v1/calendly-webhook/' into expected_url from calendly.project p;
  -- one whose key is derived from a secret that is being rotated out delivers, but not for long
  select count(*) > 0, coalesce(bool_and(coalesce(w.key_id = calendly_review_subscriptions.key_id, true)), false),
      min(calendly.to_time(l ->> 'retry_started_at'))
    into alive, current, failing_since
    from calendly.webhook_subscriptions w
    join jsonb_array_elements(listed) l on l ->> 'uri' = w.uri
    where w.connection_id = calendly_review_subscriptions.connection_id and w.state = 'active'
      and l ->> 'state' = 'active' and l ->> 'callback_url' = expected_url || w.id;
  -- Calendly tries for a day; what arrived since then has come through.
  if failing_since < at - interval '25 hours'
      or exists (select from public.calendly_webhook_events e where e.user_id = owner_id and e.created_at >= failing_since) then
    failing_since := null;
  end if;
  -- Ours by their id, whatever address they call, but no longer the one in use. Never anybody else's.
  obsolete := array(
    select l ->> 'uri'
    from jsonb_array_elements(listed) l
    join calendly.webhook_subscriptions w
      on w.connection_id = calendly_review_subscriptions.connection_id
      and w.id::text = substring(l ->> 'callback_url' from '/calendly-webhook/([0-9a-f-]{36})$')
    where not (alive and w.state = 'active' and w.uri = l ->> 'uri'));
  delete from calendly.webhook_subscriptions w
    where w.connection_id = calendly_review_subscriptions.connection_id and w.ended_at < at - interval '2 days'
      and not exists (select from jsonb_array_elements(listed) l where l ->> 'uri' = any (obsolete) and l ->> 'callback_url' like '%' || w.id);
  update public.calendly_connections c
    -- where a new one is to be made, that settles it
    set webhooks_checked_at = case when wanted and not current then c.webhooks_checked_at else at end,
      webhook_state = case when not wanted then c.webhook_state when alive then 'active' else 'disabled' end,
      webhooks_lost_at = case when not wanted then null when alive then failing_since else coalesce(c.webhooks_lost_at, at) end,
      -- what happened meanwhile may lie outside the small window
      last_full_sync_at = case when alive or not wanted or c.webhooks_lost_at is not null then c.last_full_sync_at end
    where c.id = calendly_review_subscriptions.connection_id;
  if wanted and (not alive or failing_since is not null) then
    update public.users u set calendly_webhook_enabled = false
      from calendly.hosts h
      where h.connection_id = calendly_review_subscriptions.connection_id and u.id = h.user_id and u.calendly_webhook_enabled;
  end if;
  return jsonb_build_object('make', wanted and not current, 'delete', to_jsonb(obsolete));
end
$$;
comment on function public.calendly_review_subscriptions(uuid, jsonb, text) is
  'Compares the subscriptions that Calendly lists with ours, whose keys should be derived from this secret: {make: is a new one needed, delete: [URIs of ours that are of no use]}. After a gap the next scheduled sync is FULL. One that is lost, or whose deliveries have failed since retry_started_at, is relied on no more.';

revoke all on function public.calendly_begin_subscription(jsonb), public.calendly_keep_subscription(uuid, text, text),
  public.calendly_abandon_subscription(uuid, jsonb), public.calendly_disable_webhooks(uuid, text), public.calendly_subscription_query(uuid),
  public.calendly_review_subscriptions(uuid, jsonb, text)
  from public, anon, authenticated, service_role;
grant execute on function public.calendly_begin_subscription(jsonb), public.calendly_keep_subscription(uuid, text, text),
  public.calendly_abandon_subscription(uuid, jsonb), public.calendly_disable_webhooks(uuid, text), public.calendly_subscription_query(uuid),
  public.calendly_review_subscriptions(uuid, jsonb, text)
  to service_role;
