-- From the hosts of a listed page to calendly_users. With members accounts an organization's
-- connection keeps those who have an account here; with members everyone it keeps every host. And
-- it goes on with whom a connection of the same organization has kept before it ended, unless
-- another organization turns out to have them now.

create function calendly.listed_hosts(events jsonb)
returns table (calendly_user_uri text, email text, name text)
language plpgsql stable set search_path = ''
as $$
declare
  longest_uri constant integer := calendly.longest_uri();
begin
  return query
    select distinct on (host.uri) host.uri, m ->> 'user_email', m ->> 'user_name'
    from jsonb_array_elements(events) e
    cross join lateral jsonb_array_elements(case jsonb_typeof(e -> 'event_memberships')
      when 'array' then e -> 'event_memberships' else '[]' end) m
    cross join lateral (select m ->> 'user') host (uri)
    where length(host.uri) <= longest_uri and length(e ->> 'uri') <= longest_uri
      -- An event that cannot be used says nothing of its hosts.
      and e ->> 'status' in ('active', 'canceled')
    -- The newest event knows the present name and e-mail. Calendly writes all times alike.
    order by host.uri, (e ->> 'updated_at') collate "C" desc nulls last;
end
$$;
comment on function calendly.listed_hosts(jsonb) is
  'The hosts that events name, as Calendly sent them, with the newest name and e-mail.';

create function calendly.accounts_to_match(emails text[])
returns table (email text, auth_user_id uuid)
language sql stable set search_path = ''
as $$
  -- Where two hosts have an e-mail, or two accounts have proven it, it would be a guess.
  select p.email, min(p.auth_user_id::text)::uuid
  from calendly.accounts_with_proven_email(array(
    select e from unnest(emails) e group by e having count(*) = 1)) p
  -- Once: an account that has a row is not matched by e-mail.
  where not exists (
    select from public.calendly_users u where u.auth_user_id = p.auth_user_id)
  group by p.email
  having count(*) = 1
$$;
comment on function calendly.accounts_to_match(text[]) is
  'For these e-mails of hosts, the one account that has proven each and has no row yet.';

create function calendly.lock_former_connections(
  connection public.calendly_connections, events jsonb
) returns uuid[]
language plpgsql set search_path = ''
as $$
begin
  if not exists (select from calendly.unmet_members) then
    return '{}'::uuid[];
  end if;
  return array(
    select c.id from public.calendly_connections c
    where c.calendly_organization_uri <> connection.calendly_organization_uri
      and c.id in (
        select u.connection_id from calendly.listed_hosts(events) h
        join public.calendly_users u on u.calendly_user_uri = h.calendly_user_uri
        join calendly.unmet_members n on n.user_id = u.id)
    -- Whoever has this row may wait for people that we are going to lock: do not wait for it. The
    -- next sync tries again.
    for no key update skip locked);
end
$$;
comment on function calendly.lock_former_connections(public.calendly_connections, jsonb) is
  'Locks the connections of other organizations that give up hosts of a page to this one: they '
  'have only gone on with these people, and have not met them.';

create function calendly.hosts_to_keep(
  connection public.calendly_connections, events jsonb, former_connections uuid[]
)
returns table (calendly_user_uri text, email text, name text, auth_user_id uuid)
language plpgsql stable set search_path = ''
as $$
#variable_conflict use_column
begin
  return query
  with candidate as (
    select h.calendly_user_uri, h.email, h.name, u.auth_user_id,
      u.connection_id = connection.id as is_kept
    from calendly.listed_hosts(events) h
    left join lateral (
      select k.id, k.auth_user_id, k.connection_id from public.calendly_users k
      where k.calendly_user_uri = h.calendly_user_uri offset 0
    ) u on true
    -- Whoever has or had an own connection decides alone.
    where not exists (select from public.calendly_connections k where k.user_id = u.id)
      -- Another connection brings them.
      and (u.connection_id is null or u.connection_id = connection.id
        or (u.connection_id = any (former_connections)
          and exists (select from calendly.unmet_members n where n.user_id = u.id)))
  ),
  matched as (
    -- An account may have proven the e-mails of two hosts: one of them gets it.
    select distinct on (a.auth_user_id) a.auth_user_id, c.calendly_user_uri
    from calendly.accounts_to_match(array(
      select lower(c.email) from candidate c
      where c.auth_user_id is null and c.email is not null)) a
    join candidate c on lower(c.email) = a.email and c.auth_user_id is null
    order by a.auth_user_id, c.calendly_user_uri
  )
  select c.calendly_user_uri, c.email, c.name, m.auth_user_id
  from candidate c
  left join matched m using (calendly_user_uri)
  -- New here, or newly matched: whoever is kept already costs nothing.
  where (c.is_kept is not true or m.auth_user_id is not null)
    and (connection.members = 'everyone'
      or c.auth_user_id is not null or m.auth_user_id is not null)
    -- Whose account is banned is kept when the ban has ended.
    and calendly.account_is_open(coalesce(c.auth_user_id, m.auth_user_id), calendly.now());
end
$$;
comment on function calendly.hosts_to_keep(public.calendly_connections, jsonb, uuid[]) is
  'The hosts of a page that an organization''s connection begins to keep, each with the account '
  'that has proven its e-mail, if any. former_connections: those that calendly.'
  'lock_former_connections has locked.';

create function calendly.keep_hosts(connection public.calendly_connections, events jsonb)
returns integer[]
language plpgsql set search_path = ''
as $$
declare
  former_connections constant uuid[] := calendly.lock_former_connections(connection, events);
  kept integer[];
begin
  if not exists (select from calendly.hosts_to_keep(connection, events, former_connections)) then
    return '{}'::integer[];
  end if;
  -- Events before people: see the lock order in 060_locks.
  perform calendly.lock_events(array(
    select e ->> 'uri' from jsonb_array_elements(events) e where e ->> 'uri' is not null));
  -- Before the rows are written: a typed statement that has locked all people must not wait for
  -- one.
  perform calendly.lock_people(array(
    select u.id from public.calendly_users u
    join calendly.hosts_to_keep(connection, events, former_connections) h
      using (calendly_user_uri)));
  with written as (
    insert into public.calendly_users as u
        (auth_user_id, calendly_user_uri, email, name, created_at)
      select h.auth_user_id, h.calendly_user_uri, h.email, h.name, calendly.now()
      from calendly.hosts_to_keep(connection, events, former_connections) h
      -- In one order: two connections of an organization may meet the same hosts.
      order by h.calendly_user_uri
      on conflict (calendly_user_uri) do update set
        auth_user_id = coalesce(u.auth_user_id, excluded.auth_user_id),
        email = excluded.email, name = excluded.name
      returning u.id
  )
  select array_agg(w.id) into kept from written w;
  perform calendly.assign_connection(kept, connection.id);
  return kept;
end
$$;
comment on function calendly.keep_hosts(public.calendly_connections, jsonb) is
  'Makes or takes over the rows of the hosts that a connection begins to keep: their user_ids.';

create function calendly.former_members(connection public.calendly_connections)
returns integer[]
language plpgsql stable set search_path = ''
as $$
begin
  return array(
    select u.id from public.calendly_users u
    where u.connection_id is null
      and u.calendly_organization_uri = connection.calendly_organization_uri
      and (connection.members = 'everyone' or u.auth_user_id is not null)
      -- Whoever has or had an own connection decides alone.
      and not exists (select from public.calendly_connections k where k.user_id = u.id));
end
$$;
comment on function calendly.former_members(public.calendly_connections) is
  'The people whom a connection of the same organization brought before it ended, whom this one is '
  'to keep, and whom no connection brings now.';

create function calendly.keep_former_members(connection public.calendly_connections) returns void
language plpgsql set search_path = ''
as $$
declare
  found_ids integer[] := case connection.scope
    when 'organization' then calendly.former_members(connection) else '{}' end;
begin
  if found_ids = '{}' then
    return;
  end if;
  perform calendly.lock_people(found_ids);
  -- Looked at once more: another connection of the organization may have gone on with them.
  found_ids := array(
    select unnest(found_ids) intersect select unnest(calendly.former_members(connection)));
  perform calendly.assign_connection(found_ids, connection.id);
  insert into calendly.unmet_members (user_id) select unnest(found_ids)
    on conflict do nothing;
end
$$;
comment on function calendly.keep_former_members(public.calendly_connections) is
  'An organization''s connection goes on with the people of one that has ended. A listing would '
  'keep only those whom an event still names: what Calendly has erased meanwhile would stay for '
  'ever. Until a listing names them, another organization''s connection may take them over.';

create function calendly.meet_hosts(
  run public.calendly_sync_runs, connection public.calendly_connections, events jsonb
) returns integer[]
language plpgsql set search_path = ''
as $$
declare
  first_listed text[];
  kept integer[];
begin
  if connection.scope <> 'organization'
      or not calendly.covers_connection(run, connection) then
    return '{}'::integer[];
  end if;
  with noted as (
    insert into calendly.run_hosts as r (run_id, calendly_user_uri)
      select run.id, h.calendly_user_uri from calendly.listed_hosts(events) h
      on conflict do nothing
      returning r.calendly_user_uri
  )
  select array_agg(n.calendly_user_uri) into first_listed from noted n;
  delete from calendly.unmet_members n
    using public.calendly_users u
    where u.id = n.user_id and u.connection_id = connection.id
      and u.calendly_user_uri = any (first_listed);
  kept := calendly.keep_hosts(connection, events);
  -- Of a host whom an earlier page has listed, but who has an account since, this run has missed
  -- events: they do not join it, and the next sync is FULL for them.
  return array(
    select u.id from public.calendly_users u
    where u.id = any (kept) and u.calendly_user_uri = any (first_listed));
end
$$;
comment on function calendly.meet_hosts(
  public.calendly_sync_runs, public.calendly_connections, jsonb) is
  'In an organization''s listing: notes whom the page names, keeps those whom the connection is to '
  'keep, and returns the user_ids that join the run. Where there is somebody to keep, the page''s '
  'events are locked first.';
