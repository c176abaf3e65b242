-- What Realtime makes in a project's database, as far as private broadcasts need it: the schema
-- realtime with messages, topic() and send(), and in local_stack what local/realtime.ts uses. Runs after
-- platform.sql and only in a stack that has Realtime. Safe to run twice; what is there already stays.

do $$
begin
  if not exists (select from pg_catalog.pg_roles where rolname = 'supabase_realtime_admin') then
    create role supabase_realtime_admin nologin noinherit;
  end if;
exception
  -- Roles belong to the whole cluster: another database may be set up at this very moment.
  when duplicate_object or unique_violation then null;
end
$$;

-- As on the platform, a migration (postgres) may make policies on the tables of this role.
do $$
begin
  if not exists (
    select from pg_catalog.pg_auth_members m
    where m.roleid = 'supabase_realtime_admin'::regrole and m.member = 'postgres'::regrole
  ) then
    grant supabase_realtime_admin to postgres;
  end if;
end
$$;

create schema if not exists realtime;
grant usage on schema realtime to postgres, anon, authenticated, service_role;
grant all on schema realtime to supabase_realtime_admin;

-- The platform's is partitioned by day, so that old messages can be dropped; here they are deleted.
create table if not exists realtime.messages (
  topic text not null,
  extension text not null,
  payload jsonb,
  event text,
  private boolean default false,
  updated_at timestamp not null default now(),
  inserted_at timestamp not null default now(),
  id uuid not null default gen_random_uuid(),
  primary key (id, inserted_at)
);

do $$
begin
  if to_regprocedure('realtime.topic()') is not null then
    return;
  end if;
  alter table realtime.messages owner to supabase_realtime_admin;
  alter table realtime.messages enable row level security;
  grant select, insert, update on realtime.messages to postgres, anon, authenticated, service_role;
  create index messages_inserted_at_topic_index on realtime.messages (inserted_at desc, topic)
    where extension = 'broadcast' and private is true;

  create function realtime.topic() returns text language sql stable as $f$
    select nullif(current_setting('realtime.topic', true), '')::text
  $f$;

  create function realtime.send(
    payload jsonb, event text, topic text, private boolean default true
  ) returns void language plpgsql as $f$
  declare
    generated_id uuid := gen_random_uuid();
  begin
    perform set_config('realtime.topic', topic, true);
    insert into realtime.messages (id, payload, event, topic, private, extension)
    values (
      generated_id,
      case when payload ? 'id' then payload
        else jsonb_set(payload, '{id}', to_jsonb(generated_id)) end,
      event, topic, private, 'broadcast'
    );
  exception when others then
    raise warning 'ErrorSendingBroadcastMessage: %', sqlerrm;
  end
  $f$;
end
$$;

-- The platform's Realtime reads the write-ahead log; this one is notified.
create or replace function local_stack.notify_message() returns trigger
language plpgsql set search_path = '' as $$
begin
  perform pg_notify('realtime_messages', new.id::text);
  return null;
end
$$;

create or replace trigger notify_message after insert on realtime.messages
  for each row when (new.extension = 'broadcast' and new.private)
  execute function local_stack.notify_message();

-- As Realtime asks Postgres itself: a message of the topic is written, looked for under the caller's role
-- and claims, and never committed.
create or replace function local_stack.may_receive(topic text, claims jsonb) returns boolean
language plpgsql set search_path = '' as $$
declare
  probe uuid;
  is_allowed boolean;
begin
  begin
    insert into realtime.messages (topic, extension, private)
      values (may_receive.topic, 'broadcast', true)
      returning id into probe;
    perform set_config('realtime.topic', may_receive.topic, true);
    perform set_config('request.jwt.claims', claims::text, true);
    perform set_config('role', claims ->> 'role', true);
    select exists (
        select from realtime.messages m where m.id = probe and m.extension = 'broadcast'
      ) into is_allowed;
    raise exception using errcode = 'RB000', message = 'takes back the probe and the role';
  exception
    when sqlstate 'RB000' then null;
    when insufficient_privilege then is_allowed := false;
  end;
  return is_allowed;
end
$$;
