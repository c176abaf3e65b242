-- What a Supabase project has before its first migration and a bare Postgres has not: the roles, the
-- auth schema, the default privileges, pgcrypto, and stand-ins for pg_cron and pg_net where they are
-- missing. Safe to run twice; runs with psql, too, on Postgres 15 to 17:
--
--   psql -v ON_ERROR_STOP=1 -f local/platform.sql
--
-- Default privileges in public: a project made before 2026 grants everything to the API roles, a newer
-- one nothing. This file does the latter unless the session says otherwise beforehand:
--
--   set platform.default_privileges = 'all';

set client_min_messages = warning;

-- Roles -----------------------------------------------------------------------------------------------

do $$
declare
  wanted record;
begin
  for wanted in
    select * from (values
      ('postgres', 'login createrole createdb bypassrls'),
      ('anon', 'nologin noinherit'),
      ('authenticated', 'nologin noinherit'),
      ('service_role', 'nologin noinherit bypassrls'),
      ('authenticator', 'login noinherit'),
      ('supabase_auth_admin', 'login noinherit createrole')
    ) as roles (name, attributes)
  loop
    begin
      if not exists (select from pg_catalog.pg_roles where rolname = wanted.name) then
        execute format('create role %I %s', wanted.name, wanted.attributes);
      end if;
    exception
      -- Roles belong to the whole cluster: another database may be set up at this very moment.
      when duplicate_object or unique_violation then null;
    end;
  end loop;
end
$$;

do $$
begin
  -- Granting what is granted already still writes pg_auth_members, which concurrent set-ups collide on.
  if not exists (
    select from pg_catalog.pg_auth_members as m
    join pg_catalog.pg_roles as r on r.oid = m.roleid
    join pg_catalog.pg_roles as g on g.oid = m.member
    where r.rolname = 'service_role' and g.rolname = 'authenticator'
  ) then
    grant anon, authenticated, service_role to authenticator;
    grant anon, authenticated, service_role, supabase_auth_admin to postgres;
  end if;
end
$$;

-- What marks a local stack, where alone the clock can be set -------------------------------------------

create schema if not exists local_stack;
comment on schema local_stack is 'This database belongs to a local stack, not to a project of the platform.';

-- Schemas and privileges ------------------------------------------------------------------------------

create schema if not exists extensions;
grant usage on schema extensions to public;
grant all on schema extensions to postgres;
create extension if not exists pgcrypto with schema extensions;

grant usage on schema public to postgres, anon, authenticated, service_role;
grant all on schema public to postgres;

do $$
begin
  execute format('grant create, connect, temporary on database %I to postgres', current_database());
  execute format(
    'alter database %I set search_path to "$user", public, extensions', current_database()
  );
  if current_setting('platform.default_privileges', true) = 'all' then
    alter default privileges in schema public
      grant all on tables to postgres, anon, authenticated, service_role;
    alter default privileges in schema public
      grant all on sequences to postgres, anon, authenticated, service_role;
    alter default privileges in schema public
      grant all on functions to postgres, anon, authenticated, service_role;
    alter default privileges for role postgres in schema public
      grant all on tables to postgres, anon, authenticated, service_role;
    alter default privileges for role postgres in schema public
      grant all on sequences to postgres, anon, authenticated, service_role;
    alter default privileges for role postgres in schema public
      grant all on functions to postgres, anon, authenticated, service_role;
  end if;
end
$$;

-- Auth: who is asking ---------------------------------------------------------------------------------

create schema if not exists auth authorization supabase_auth_admin;
grant usage on schema auth to postgres, anon, authenticated, service_role;

create or replace function auth.uid() returns uuid language sql stable as $$
  select coalesce(
    nullif(current_setting('request.jwt.claim.sub', true), ''),
    (nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub')
  )::uuid
$$;

create or replace function auth.role() returns text language sql stable as $$
  select coalesce(
    nullif(current_setting('request.jwt.claim.role', true), ''),
    (nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'role')
  )::text
$$;

create or replace function auth.email() returns text language sql stable as $$
  select coalesce(
    nullif(current_setting('request.jwt.claim.email', true), ''),
    (nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'email')
  )::text
$$;

create or replace function auth.jwt() returns jsonb language sql stable as $$
  select coalesce(
    nullif(current_setting('request.jwt.claim', true), ''),
    nullif(current_setting('request.jwt.claims', true), '')
  )::jsonb
$$;

-- Auth: the tables, with the platform's columns and those that the local Auth server writes -----------

create table if not exists auth.users (
  instance_id uuid,
  id uuid primary key,
  aud varchar(255) default 'authenticated',
  role varchar(255) default 'authenticated',
  email varchar(255),
  encrypted_password varchar(255),
  email_confirmed_at timestamptz,
  invited_at timestamptz,
  confirmation_token varchar(255),
  confirmation_sent_at timestamptz,
  recovery_token varchar(255),
  recovery_sent_at timestamptz,
  email_change_token_new varchar(255),
  email_change varchar(255),
  email_change_sent_at timestamptz,
  last_sign_in_at timestamptz,
  raw_app_meta_data jsonb default '{}',
  raw_user_meta_data jsonb default '{}',
  is_super_admin boolean,
  created_at timestamptz default now(),
  updated_at timestamptz default now(),
  phone text unique,
  phone_confirmed_at timestamptz,
  phone_change text default '',
  phone_change_token varchar(255) default '',
  phone_change_sent_at timestamptz,
  confirmed_at timestamptz generated always as (least(email_confirmed_at, phone_confirmed_at)) stored,
  email_change_token_current varchar(255) default '',
  email_change_confirm_status smallint default 0 check (email_change_confirm_status between 0 and 2),
  banned_until timestamptz,
  reauthentication_token varchar(255) default '',
  reauthentication_sent_at timestamptz,
  is_sso_user boolean not null default false,
  deleted_at timestamptz,
  is_anonymous boolean not null default false
);
create unique index if not exists users_email_partial_key on auth.users (email)
  where is_sso_user = false;

create table if not exists auth.identities (
  provider_id text not null,
  user_id uuid not null references auth.users (id) on delete cascade,
  identity_data jsonb not null,
  provider text not null,
  last_sign_in_at timestamptz,
  created_at timestamptz default now(),
  updated_at timestamptz default now(),
  email text generated always as (lower(identity_data ->> 'email')) stored,
  id uuid primary key default gen_random_uuid(),
  unique (provider_id, provider)
);
create index if not exists identities_user_id_idx on auth.identities (user_id);
create index if not exists identities_email_idx on auth.identities (email text_pattern_ops);

create table if not exists auth.sessions (
  id uuid primary key,
  user_id uuid not null references auth.users (id) on delete cascade,
  created_at timestamptz default now(),
  updated_at timestamptz default now(),
  factor_id uuid,
  aal text,
  not_after timestamptz,
  refreshed_at timestamp,
  user_agent text,
  ip inet,
  tag text,
  refresh_token_hmac_key text,
  refresh_token_counter bigint,
  scopes text
);
create index if not exists sessions_user_id_idx on auth.sessions (user_id);

create table if not exists auth.refresh_tokens (
  id text primary key,
  token varchar(255) not null unique,
  user_id uuid not null,
  session_id uuid references auth.sessions (id) on delete cascade,
  revoked boolean default false,
  parent varchar(255),
  created_at timestamptz default now(),
  updated_at timestamptz default now()
);

create table if not exists auth.flow_state (
  id uuid primary key,
  user_id uuid,
  auth_code text,
  authentication_method text not null,
  code_challenge_method text,
  code_challenge text,
  provider_type text not null,
  provider_access_token text,
  provider_refresh_token text,
  auth_code_issued_at timestamptz,
  invite_token text,
  referrer text,
  oauth_client_state_id uuid,
  linking_target_id uuid,
  email_optional boolean not null default false,
  created_at timestamptz default now(),
  updated_at timestamptz default now()
);

create table if not exists auth.audit_log_entries (
  id uuid primary key,
  payload json,
  created_at timestamptz default now(),
  ip_address varchar(64) not null default ''
);

do $$
declare
  auth_table regclass;
begin
  -- As on the platform: a sign-up runs as supabase_auth_admin, so a trigger on auth.users that reaches
  -- into public must be security definer; and a migration (postgres) may add such a trigger.
  for auth_table in
    select c.oid::regclass from pg_catalog.pg_class as c
    where c.relnamespace = 'auth'::regnamespace and c.relkind = 'r'
  loop
    execute format('alter table %s owner to supabase_auth_admin', auth_table);
    execute format('grant all on table %s to postgres with grant option', auth_table);
  end loop;
end
$$;

-- pg_cron ---------------------------------------------------------------------------------------------

do $$
begin
  -- pg_cron lives in one database of a cluster, the one that it is preloaded for.
  if current_setting('cron.database_name', true) = current_database() then
    create extension if not exists pg_cron with schema pg_catalog;
    grant usage on schema cron to postgres;
    grant all on all tables in schema cron to postgres;
    grant execute on all functions in schema cron to postgres;
    return;
  end if;

  create schema if not exists cron;
  comment on schema cron is 'Stand-in for pg_cron: the local stack runs these jobs.';

  create table if not exists cron.job (
    jobid bigint generated by default as identity primary key,
    schedule text not null,
    command text not null,
    nodename text not null default 'localhost',
    nodeport integer not null default 5432,
    database text not null default current_database(),
    username text not null default current_user,
    active boolean not null default true,
    jobname text,
    unique (jobname, username)
  );

  create table if not exists cron.job_run_details (
    jobid bigint,
    runid bigint generated by default as identity primary key,
    job_pid integer,
    database text,
    username text,
    command text,
    status text,
    return_message text,
    start_time timestamptz,
    end_time timestamptz
  );

  create or replace function cron.schedule(job_name text, schedule text, command text)
  returns bigint language sql as $f$
    insert into cron.job (jobname, schedule, command) values (job_name, schedule, command)
    on conflict (jobname, username)
      do update set schedule = excluded.schedule, command = excluded.command, active = true
    returning jobid
  $f$;

  create or replace function cron.schedule(schedule text, command text)
  returns bigint language sql as $f$
    insert into cron.job (schedule, command) values (schedule, command) returning jobid
  $f$;

  create or replace function cron.unschedule(job_id bigint)
  returns boolean language plpgsql as $f$
  begin
    delete from cron.job where jobid = job_id;
    if not found then
      raise exception 'could not find valid entry for job ''%''', job_id;
    end if;
    return true;
  end
  $f$;

  create or replace function cron.unschedule(job_name text)
  returns boolean language plpgsql as $f$
  begin
    delete from cron.job where jobname = job_name and username = current_user;
    if not found then
      raise exception 'could not find valid entry for job ''%''', job_name;
    end if;
    return true;
  end
  $f$;

  revoke all on schema cron from public;
  grant usage on schema cron to postgres;
  grant all on all tables in schema cron to postgres;
  grant all on all sequences in schema cron to postgres;
end
$$;

-- pg_net ----------------------------------------------------------------------------------------------

do $$
begin
  if exists (select from pg_catalog.pg_available_extensions where name = 'pg_net') then
    create extension if not exists pg_net with schema extensions;
    return;
  end if;

  create schema if not exists net;
  comment on schema net is 'Stand-in for pg_net: the local stack sends what is queued here.';
  grant usage on schema net to postgres, anon, authenticated, service_role;

  create unlogged table if not exists net.http_request_queue (
    id bigint generated by default as identity primary key,
    method text not null,
    url text not null,
    headers jsonb not null,
    body bytea,
    timeout_milliseconds integer not null
  );

  create or replace function net._urlencode_string(string text)
  returns text language sql immutable strict as $f$
    select coalesce(string_agg(
      case when c ~ '^[A-Za-z0-9_.~-]$' then c
      else regexp_replace(upper(encode(convert_to(c, 'UTF8'), 'hex')), '(..)', '%\1', 'g') end,
      '' order by place
    ), '')
    from regexp_split_to_table(string, '') with ordinality as characters (c, place)
  $f$;

  create or replace function net.http_post(
    url text,
    body jsonb default '{}',
    params jsonb default '{}',
    headers jsonb default '{"Content-Type": "application/json"}',
    timeout_milliseconds integer default 5000
  ) returns bigint language sql security definer set search_path = '' as $f$
    insert into net.http_request_queue (method, url, headers, body, timeout_milliseconds)
    values (
      'POST',
      http_post.url || coalesce(
        (
          select '?' || string_agg(
            net._urlencode_string(p.key) || '=' || net._urlencode_string(p.value), '&'
          )
          from jsonb_each_text(params) as p
        ),
        ''
      ),
      http_post.headers,
      convert_to(http_post.body::text, 'UTF8'),
      http_post.timeout_milliseconds
    )
    returning id
  $f$;
end
$$;

reset client_min_messages;
