-- Webhook subscriptions at Calendly. One cannot be changed or revived, and its URL must be unique:
-- a new one is made before the old one is deleted. They are checked daily; after a gap, the gap is
-- synced.

create table calendly.webhook_subscriptions (
  id uuid primary key default gen_random_uuid(),
  connection_id uuid not null references public.calendly_connections (id) on delete cascade,
  uri text,
  key_id text,
  state text not null default 'making' check (state in ('making', 'active', 'ended')),
  created_at timestamptz not null,
  ended_at timestamptz
);
create index webhook_subscriptions_connection_idx
  on calendly.webhook_subscriptions (connection_id);
alter table calendly.webhook_subscriptions enable row level security;
comment on table calendly.webhook_subscriptions is
  'Our subscriptions at Calendly. The id is in the callback URL; its signing key is derived from '
  'it, so none is stored.';
comment on column calendly.webhook_subscriptions.uri is
  'Calendly''s name for it; null while it is being made.';
comment on column calendly.webhook_subscriptions.key_id is
  'Names the secret that its signing key is derived from; null: an OAuth app''s own key signs.';
comment on column calendly.webhook_subscriptions.state is
  'ended: no longer wanted at Calendly; its late deliveries count for two more days.';

-- Making one --------------------------------------------------------------------------------------

create function calendly.connection_to_subscribe(request jsonb) returns public.calendly_connections
language plpgsql set search_path = ''
as $$
declare
  connection public.calendly_connections;
begin
  if request ? 'connection_id' then
    select c.* into connection from public.calendly_connections c
      where c.id = (request ->> 'connection_id')::uuid for no key update;
  else
    select c.* into connection from public.calendly_connections c
      where c.user_id = calendly.requested_user(request) for no key update;
  end if;
  perform calendly.check_connection(connection);
  return connection;
end
$$;
comment on function calendly.connection_to_subscribe(jsonb) is
  'Locks the active connection of {connection_id | auth_user_id | user_id}. Errors: not_connected, '
  'reconnect_required, unknown_user, another_user.';

create function public.calendly_begin_subscription(request jsonb) returns jsonb
language plpgsql security definer set search_path = ''
as $$
declare
  now_at constant timestamptz := calendly.now();
  connection public.calendly_connections;
  subscription_id uuid;
begin
  perform calendly.lock_against_erasure();
  perform calendly.check_project(request ->> 'project_url');
  connection := calendly.connection_to_subscribe(request);
  update public.calendly_connections c set webhooks_wanted = true, updated_at = now_at
    where c.id = connection.id;
  insert into calendly.webhook_subscriptions (connection_id, created_at)
    values (connection.id, now_at) returning id into subscription_id;
  return jsonb_build_object('id', subscription_id, 'connection_id', connection.id,
    'credential', calendly.credential(connection.id));
end
$$;
comment on function public.calendly_begin_subscription(jsonb) is
  'Prepares a subscription for {connection_id | auth_user_id | user_id, project_url?}, so that its '
  'first delivery finds it: {id, connection_id, credential}. Errors: not_connected, '
  'reconnect_required, unknown_user, another_user, project_moved.';

create function calendly.replace_subscriptions(connection_id uuid, id uuid, uri text) returns text[]
language sql set search_path = ''
as $$
  with ended as (
    update calendly.webhook_subscriptions w set state = 'ended', ended_at = calendly.now()
      where w.connection_id = replace_subscriptions.connection_id
        and w.id <> replace_subscriptions.id and w.state <> 'ended'
      returning w.uri
  )
  -- A Calendly whose state was reset, such as a sandbox, may use a URI again.
  select coalesce(array_agg(e.uri) filter (where e.uri <> replace_subscriptions.uri), '{}')
  from ended e
$$;
comment on function calendly.replace_subscriptions(uuid, uuid, text) is
  'Ends the other subscriptions of a connection here; the URIs to delete at Calendly.';

create function public.calendly_keep_subscription(id uuid, uri text, key_id text) returns jsonb
language plpgsql security definer set search_path = ''
as $$
declare
  now_at constant timestamptz := calendly.now();
  kept_connection uuid;
  wanted boolean;
  replaced text[];
begin
  perform calendly.lock_against_erasure();
  select w.connection_id into kept_connection from calendly.webhook_subscriptions w
    where w.id = calendly_keep_subscription.id;
  select c.webhooks_wanted into wanted from public.calendly_connections c
    where c.id = kept_connection for no key update;
  if wanted is not true then
    -- Webhooks were switched off, or the connection ended, while it was being made.
    update calendly.webhook_subscriptions w
      set state = 'ended', ended_at = coalesce(w.ended_at, now_at),
        uri = calendly_keep_subscription.uri
      where w.id = calendly_keep_subscription.id;
    return jsonb_build_object('replaced', jsonb_build_array(calendly_keep_subscription.uri));
  end if;
  replaced := calendly.replace_subscriptions(
    kept_connection, calendly_keep_subscription.id, calendly_keep_subscription.uri);
  update calendly.webhook_subscriptions w
    set state = 'active', ended_at = null, uri = calendly_keep_subscription.uri,
      key_id = calendly_keep_subscription.key_id
    where w.id = calendly_keep_subscription.id;
  update public.calendly_connections c
    set webhook_state = 'active', webhooks_checked_at = now_at, webhooks_lost_at = null,
      webhooks_unseen_since = null, webhook_error = null, updated_at = now_at,
      -- What happened between the loss and the new subscription may lie outside the small window:
      -- without a last FULL sync the next scheduled one is FULL.
      last_full_sync_at = case when c.webhooks_lost_at is null then c.last_full_sync_at end
    where c.id = kept_connection;
  perform calendly.set_webhook_enabled(calendly.users_of_connection(kept_connection), true);
  return jsonb_build_object('replaced', to_jsonb(replaced));
end
$$;
comment on function public.calendly_keep_subscription(uuid, text, text) is
  'The subscription exists at Calendly under this URI, with a key derived from this secret: '
  '{replaced: [URIs to delete there]}, its own among them where it is not wanted any more. Where '
  'the former one was lost, the next scheduled sync is FULL.';

create function calendly.users_of_connection(connection_id uuid) returns integer[]
language sql stable set search_path = ''
as $$
  select array(select u.id from public.calendly_users u
    where u.connection_id = users_of_connection.connection_id order by u.id)
$$;
comment on function calendly.users_of_connection(uuid) is
  'The users whose meetings a connection brings.';

create function public.calendly_abandon_subscription(id uuid, error jsonb) returns void
language plpgsql security definer set search_path = ''
as $$
declare
  now_at constant timestamptz := calendly.now();
  -- Without an answer from Calendly the subscription may exist: the next sync looks for it.
  answered constant boolean := error ->> 'code' <> 'calendly_unavailable';
  noted constant jsonb := error || jsonb_build_object('at', calendly.to_calendly(now_at));
  abandoned_connection uuid;
begin
  perform calendly.lock_against_erasure();
  select w.connection_id into abandoned_connection from calendly.webhook_subscriptions w
    where w.id = calendly_abandon_subscription.id and w.state = 'making';
  update public.calendly_connections c
    set last_error = noted, webhook_error = noted,
      updated_at = now_at, webhooks_checked_at = case when answered then now_at end,
      webhooks_wanted = c.webhook_state <> 'none'
    where c.id = abandoned_connection;
  if answered then
    delete from calendly.webhook_subscriptions w
      where w.id = calendly_abandon_subscription.id and w.state = 'making';
  else
    update calendly.webhook_subscriptions w set state = 'ended', ended_at = now_at
      where w.id = calendly_abandon_subscription.id and w.state = 'making';
  end if;
end
$$;
comment on function public.calendly_abandon_subscription(uuid, jsonb) is
  'The subscription could not be made, for this reason. One that was lost stays wanted; a first '
  'one does not.';

-- Ending them -------------------------------------------------------------------------------------

create function calendly.end_subscriptions(connection_id uuid) returns text[]
language sql set search_path = ''
as $$
  with ended as (
    update calendly.webhook_subscriptions w set state = 'ended', ended_at = calendly.now()
      where w.connection_id = end_subscriptions.connection_id and w.state <> 'ended'
      returning w.uri
  )
  select coalesce(array_agg(e.uri) filter (where e.uri is not null), '{}') from ended e
$$;
comment on function calendly.end_subscriptions(uuid) is
  'Ends a connection''s subscriptions here and returns the URIs to delete at Calendly.';

create function public.calendly_disable_webhooks(request jsonb) returns jsonb
language plpgsql security definer set search_path = ''
as $$
declare
  now_at constant timestamptz := calendly.now();
  requested_id constant integer := calendly.requested_user(request);
  connection public.calendly_connections;
  ended text[];
begin
  perform calendly.lock_against_erasure();
  perform calendly.check_project(request ->> 'project_url');
  select c.* into connection from public.calendly_connections c
    where c.user_id = requested_id for no key update;
  ended := calendly.end_subscriptions(connection.id);
  update public.calendly_connections c
    -- Not checked: the next sync makes sure that Calendly has deleted them.
    set webhook_state = 'none', webhooks_wanted = false, webhooks_checked_at = null,
      webhooks_lost_at = null, webhooks_unseen_since = null, webhook_error = null,
      updated_at = now_at,
      -- From now on only syncs bring news.
      next_sync_at = case when c.next_sync_at is not null then
        least(c.next_sync_at, now_at + calendly.interval_between_syncs(false)) end
    where c.id = connection.id;
  perform calendly.set_webhook_enabled(calendly.users_of_connection(connection.id), false);
  return jsonb_build_object('ended', to_jsonb(ended),
    'credential', calendly.credential(connection.id),
    'status', calendly.connection_status(requested_id));
end
$$;
comment on function public.calendly_disable_webhooks(jsonb) is
  'Ends the subscriptions of {auth_user_id | user_id} here: {ended: [URIs to delete at Calendly], '
  'credential, status}. Errors: not_connected, unknown_user, another_user, project_moved.';

-- Checking them -----------------------------------------------------------------------------------

create function calendly.needs_review(connection public.calendly_connections, now_at timestamptz)
returns boolean
language sql stable set search_path = ''
as $$
  select coalesce(connection.webhooks_checked_at < now_at - interval '1 day', true)
    -- Also what is not wanted any more, as long as Calendly may still have it.
    and (connection.webhooks_wanted or exists (
      select from calendly.webhook_subscriptions w where w.connection_id = connection.id))
$$;
comment on function calendly.needs_review(public.calendly_connections, timestamptz) is
  'Is it time to compare a connection''s subscriptions with those at Calendly?';

create function calendly.note_organization(
  connection public.calendly_connections, organization text
) returns void
language plpgsql set search_path = ''
as $$
begin
  -- null: not told, which says nothing of the stored one
  if organization is null or organization = connection.calendly_organization_uri then
    return;
  elsif connection.scope = 'organization' then
    -- Another organization's events must not come in among those of the one that was connected.
    perform calendly.raise_error('organization_left',
      'The Calendly user whose token this is no longer belongs to the connected organization.',
      'Another owner or admin of that organization connects it. To change over to the '
      'organization of today, the person connects again: POST /functions/v1/calendly-connect.');
  end if;
  update public.calendly_connections c
    set calendly_organization_uri = organization, updated_at = calendly.now()
    where c.id = connection.id;
end
$$;
comment on function calendly.note_organization(public.calendly_connections, text) is
  'Stores the organization that the connection''s Calendly user is in now; null, not told, keeps '
  'the stored one. Error: organization_left where the connection is for another organization.';

create function calendly.subscription_subject(connection public.calendly_connections) returns jsonb
language sql immutable set search_path = ''
as $$
  select jsonb_build_object('organization', connection.calendly_organization_uri,
      'scope', connection.scope)
    || case connection.scope when 'user'
      then jsonb_build_object('user', connection.calendly_user_uri) else '{}' end
  where connection.calendly_organization_uri is not null
$$;
comment on function calendly.subscription_subject(public.calendly_connections) is
  'What a connection subscribes to: {organization, scope, user?}; null where its organization is '
  'not known.';

create function public.calendly_subscription_query(connection_id uuid, organization text)
returns jsonb
language plpgsql security definer set search_path = ''
as $$
declare
  connection public.calendly_connections;
begin
  perform calendly.lock_against_erasure();
  select c.* into connection from public.calendly_connections c
    where c.id = calendly_subscription_query.connection_id for no key update;
  if not found then
    perform calendly.raise_error('not_connected', 'This connection was ended.');
  end if;
  perform calendly.note_organization(connection, organization);
  organization := coalesce(organization, connection.calendly_organization_uri);
  if organization is null then
    perform calendly.raise_error('no_organization',
      'Calendly tells no organization of this user, and webhooks need one.',
      'Without webhooks meetings are synced by the schedule.');
  end if;
  connection.calendly_organization_uri := organization;
  return calendly.subscription_subject(connection);
end
$$;
comment on function public.calendly_subscription_query(uuid, text) is
  'What a connection subscribes to, which is also the query that lists its subscriptions: '
  '{organization, scope, user?}. Stores the organization, as /users/me has just told it: people '
  'change it, and a subscription ends with the membership. Where it was not told (null) the stored '
  'one counts. Errors: not_connected, no_organization where neither is known, organization_left.';

create type calendly.subscription_review as (
  delivers boolean,
  is_current boolean,
  failing_since timestamptz,
  obsolete text[]
);
comment on type calendly.subscription_review is
  'What a listing of Calendly''s says of a connection''s subscriptions. is_current: its key is '
  'derived from the current secret. obsolete: URIs of ours that are of no use.';

create function calendly.review_listed(
  connection_id uuid, listed jsonb, key_id text, now_at timestamptz
) returns calendly.subscription_review
language plpgsql stable set search_path = ''
as $$
declare
  review calendly.subscription_review;
  expected_url constant text := (
    select p.url || '/functions/v1/calendly-webhook/' from calendly.project p);
  user_ids constant integer[] := calendly.users_of_connection(review_listed.connection_id);
begin
  -- One whose key is derived from a secret that is being rotated out delivers, but not for long.
  select count(*) > 0,
      coalesce(bool_and(coalesce(w.key_id = review_listed.key_id, true)), false),
      min(calendly.to_time(l ->> 'retry_started_at'))
    into review.delivers, review.is_current, review.failing_since
    from calendly.webhook_subscriptions w
    join jsonb_array_elements(listed) l on l ->> 'uri' = w.uri
    where w.connection_id = review_listed.connection_id and w.state = 'active'
      and l ->> 'state' = 'active' and l ->> 'callback_url' = expected_url || w.id;
  -- Calendly tries for a day; what arrived since then has come through.
  if review.failing_since < now_at - interval '25 hours'
      or exists (select from public.calendly_webhook_events e
        where e.user_id = any (user_ids) and e.created_at >= review.failing_since) then
    review.failing_since := null;
  end if;
  -- Ours by their id, whatever address they call, but not the one in use. Never anybody else's.
  review.obsolete := array(
    select l ->> 'uri'
    from jsonb_array_elements(listed) l
    join calendly.webhook_subscriptions w
      on w.connection_id = review_listed.connection_id
      and w.id::text = substring(l ->> 'callback_url' from '/calendly-webhook/([0-9a-f-]{36})$')
    where not (review.delivers and w.state = 'active' and w.uri = l ->> 'uri'));
  return review;
end
$$;
comment on function calendly.review_listed(uuid, jsonb, text, timestamptz) is
  'Compares the subscriptions that Calendly lists with ours. One whose deliveries have failed '
  'since retry_started_at is failing, unless something arrived since.';

create function public.calendly_review_subscriptions(
  connection_id uuid, listed jsonb, key_id text
) returns jsonb
language plpgsql security definer set search_path = ''
as $$
declare
  now_at constant timestamptz := calendly.now();
  wanted boolean;
  review calendly.subscription_review;
begin
  perform calendly.lock_against_erasure();
  select c.webhooks_wanted into wanted from public.calendly_connections c
    where c.id = calendly_review_subscriptions.connection_id for no key update;
  if not found then
    perform calendly.raise_error('not_connected', 'This connection was ended.');
  end if;
  review := calendly.review_listed(
    calendly_review_subscriptions.connection_id, listed,
    calendly_review_subscriptions.key_id, now_at);
  delete from calendly.webhook_subscriptions w
    where w.connection_id = calendly_review_subscriptions.connection_id
      and w.ended_at < now_at - interval '2 days'
      and not exists (
        select from jsonb_array_elements(listed) l
        where l ->> 'uri' = any (review.obsolete) and l ->> 'callback_url' like '%' || w.id);
  update public.calendly_connections c
    -- Where a new one is to be made, making it counts as the check.
    set webhooks_checked_at =
        case when wanted and not review.is_current then c.webhooks_checked_at else now_at end,
      webhook_state = case when not wanted then c.webhook_state
        when review.delivers then 'active' else 'disabled' end,
      webhooks_lost_at = case when not wanted then null
        when review.delivers then review.failing_since
        else coalesce(c.webhooks_lost_at, now_at) end,
      webhooks_unseen_since = null,
      webhook_error = case when wanted and not review.delivers then c.webhook_error end,
      -- What happened since the loss may lie outside the small window.
      last_full_sync_at = case
        when review.delivers or not wanted or c.webhooks_lost_at is not null
          then c.last_full_sync_at end
    where c.id = calendly_review_subscriptions.connection_id;
  if wanted and (not review.delivers or review.failing_since is not null) then
    perform calendly.set_webhook_enabled(
      calendly.users_of_connection(calendly_review_subscriptions.connection_id), false);
  end if;
  return jsonb_build_object('make', wanted and not review.is_current,
    'delete', to_jsonb(review.obsolete));
end
$$;
comment on function public.calendly_review_subscriptions(uuid, jsonb, text) is
  'Compares the subscriptions that Calendly lists with ours, whose keys should be derived from '
  'this secret: {make: is a new one needed, delete: [URIs of ours that are of no use]}. After a '
  'gap the next scheduled sync is FULL. One that is lost or failing is not relied on. Error: '
  'not_connected.';

create function calendly.stop_relying_on_webhooks(
  connection public.calendly_connections, now_at timestamptz
) returns void
language plpgsql set search_path = ''
as $$
begin
  update public.calendly_connections c
    set webhook_state = case c.webhook_state when 'active' then 'unknown' else c.webhook_state end,
      webhooks_lost_at = coalesce(c.webhooks_lost_at, now_at),
      -- What happened since the loss may lie outside the small window.
      last_full_sync_at = case when c.webhooks_lost_at is not null then c.last_full_sync_at end
    where c.id = connection.id;
  perform calendly.set_webhook_enabled(calendly.users_of_connection(connection.id), false);
end
$$;
comment on function calendly.stop_relying_on_webhooks(
  public.calendly_connections, timestamptz) is
  'A subscription that cannot be looked at may be gone: the schedule brings the changes at the '
  'short interval, until it can be looked at or a delivery arrives. webhook_state stays unknown '
  'until it can be looked at.';

create function public.calendly_fail_review(connection_id uuid, error jsonb) returns void
language plpgsql security definer set search_path = ''
as $$
declare
  now_at constant timestamptz := calendly.now();
  code constant text := error ->> 'code';
  -- An outage of Calendly's says nothing of the subscription, unless it goes on.
  patience constant interval := interval '1 day';
  temporary constant boolean := code = 'calendly_unavailable';
  connection public.calendly_connections;
begin
  -- A failure of our own, of the database for instance, says nothing of it at all.
  if (temporary or code in ('webhooks_refused', 'scope_missing', 'no_organization',
      'not_configured')) is not true then
    return;
  end if;
  perform calendly.lock_against_erasure();
  select c.* into connection from public.calendly_connections c
    where c.id = calendly_fail_review.connection_id for no key update;
  update public.calendly_connections c
    -- After an outage the next sync looks again; what is refused stays refused for a while.
    set webhooks_checked_at = case when temporary then c.webhooks_checked_at else now_at end,
      webhooks_unseen_since = case when c.webhooks_wanted
        then coalesce(c.webhooks_unseen_since, now_at) end,
      webhook_error = case when c.webhooks_wanted
        then error || jsonb_build_object('at', calendly.to_calendly(now_at)) end
    where c.id = connection.id;
  if connection.webhooks_wanted
      and (not temporary or connection.webhooks_unseen_since <= now_at - patience) then
    perform calendly.stop_relying_on_webhooks(connection, now_at);
  end if;
end
$$;
comment on function public.calendly_fail_review(uuid, jsonb) is
  'The subscriptions of a connection could not be looked at, for this reason. Where Calendly or a '
  'setting refuses it they are not relied on; after an outage of Calendly''s, '
  'calendly_unavailable, not before it has lasted for a day. Any other reason changes nothing.';

select calendly.revoke_all();
