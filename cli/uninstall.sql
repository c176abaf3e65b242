-- Takes Calendly Sync out of a database: its tables, views, functions, schedule, policy and the
-- record of its migrations, and nothing else. Everybody must be disconnected before, at Calendly,
-- too: otherwise it is refused with still_connected. All of it is done in one statement, as a whole
-- or not at all: what of the app's refers to ours (a view, a foreign key, a policy that calls a
-- function of ours) is named and stops it with still_used.
-- Safe to repeat. For `calendly-sync uninstall`, the SQL editor or psql.
--
-- By default the data stays: calendly_users, calendly_meetings and calendly_invitees become plain
-- tables, which only their owner and service_role read. With `drop_data => true` in the last line
-- they go as well; that works later, too. The answer says how many rows were kept and dropped.

create or replace function pg_temp.calendly_check_owner(owner name) returns void
language plpgsql
as $$
begin
  if owner <> current_user then
    raise exception using
      errcode = 'insufficient_privilege',
      message = format('not_owner: Calendly Sync belongs to %s, and this runs as %s. Nothing was '
        'changed.', owner, current_user),
      detail = 'not_owner',
      hint = format('Connect as %1$s, or begin with: set role %1$I;', owner);
  end if;
end
$$;

-- Who is connecting at this moment is waited for, and whoever comes later finds nothing.
create or replace function pg_temp.calendly_lock_tables(tables text[]) returns void
language plpgsql
as $$
begin
  perform calendly.lock_for_erasure();
  execute 'lock table ' || array_to_string(tables, ', ') || ' in access exclusive mode';
end
$$;

create or replace function pg_temp.calendly_check_disconnected() returns void
language plpgsql
as $$
begin
  if exists (select from public.calendly_connections c where c.state <> 'disconnected')
      or exists (select from calendly.pending_revocations) then
    raise exception using
      message = 'still_connected: somebody is connected, or not yet disconnected at Calendly. '
        'Nothing was changed.',
      detail = 'still_connected',
      hint = 'First: select calendly.disconnect(user_id) from calendly_connections; Then the '
        'functions end each connection at Calendly, within minutes: wait until '
        'calendly.pending_revocations is empty. If the functions are gone already, delete the '
        'subscriptions at Calendly yourself, and then the rows of calendly.pending_revocations.';
  end if;
end
$$;

-- What is to go: everything of ours but the tables that are kept.
create or replace function pg_temp.calendly_leaving(kept text[])
returns table (classid regclass, objid oid)
language plpgsql  -- not sql: its names are looked up where we are installed
as $$
begin
  return query
    with relations as (
      select c.oid from pg_catalog.pg_class c
      where c.relnamespace = 'calendly'::regnamespace
      union
      select to_regclass(o.name)::oid from calendly.own_objects o
      where o.kind = 'relation' and to_regclass(o.name) <> all (
        array(select format('public.%I', k.name)::regclass from unnest(kept) k (name)))
    )
    select 'pg_namespace'::regclass, 'calendly'::regnamespace::oid
    union all
    select 'pg_class', r.oid from relations r
    union all
    select 'pg_type', t.oid
    from pg_catalog.pg_type t
    left join pg_catalog.pg_type element on element.oid = t.typelem
    where t.typnamespace = 'calendly'::regnamespace
      or coalesce(nullif(t.typrelid, 0), element.typrelid) in (select r.oid from relations r)
    union all
    select 'pg_proc', to_regprocedure(o.name) from calendly.own_objects o where o.kind = 'function';
end
$$;

-- What of the app's depends on that: views, policies, defaults, generated columns, foreign keys,
-- triggers, functions, types. `drop … cascade` would take these with it, silently. What the app has
-- on our own tables (a trigger, an index, a policy) goes with them.
create or replace function pg_temp.calendly_dependents(kept text[]) returns setof text
language plpgsql  -- not sql: its names are looked up where we are installed
as $$
begin
  return query
    select distinct case
        when d.classid = 'pg_rewrite'::regclass
          then pg_describe_object('pg_class'::regclass, c.oid, 0)
        else pg_describe_object(d.classid, d.objid, d.objsubid)
      end
    from pg_temp.calendly_leaving(kept) l
    join pg_catalog.pg_depend d on d.refclassid = l.classid and d.refobjid = l.objid
      and d.deptype in ('n', 'a')
    left join pg_policy p on d.classid = 'pg_policy'::regclass and p.oid = d.objid
    left join pg_trigger t on d.classid = 'pg_trigger'::regclass and t.oid = d.objid
    left join pg_attrdef a on d.classid = 'pg_attrdef'::regclass and a.oid = d.objid
    left join pg_rewrite r on d.classid = 'pg_rewrite'::regclass and r.oid = d.objid
    left join pg_constraint k on d.classid = 'pg_constraint'::regclass and k.oid = d.objid
    left join pg_index i on d.classid = 'pg_class'::regclass and i.indexrelid = d.objid
    left join pg_class c on c.oid = coalesce(p.polrelid, t.tgrelid, a.adrelid, r.ev_class,
      nullif(k.conrelid, 0), i.indrelid,
      case when d.classid = 'pg_class'::regclass then d.objid end)
    where d.classid = any ('{pg_class, pg_policy, pg_trigger, pg_attrdef, pg_rewrite, pg_constraint,
        pg_proc, pg_type, pg_cast, pg_event_trigger}'::regclass[])
      and (d.classid, d.objid) not in (
        select o.classid, o.objid from pg_temp.calendly_leaving('{}') o)
      -- null: a function or a type
      and (c.oid is null or c.oid not in (
        select o.objid from pg_temp.calendly_leaving('{}') o
        where o.classid = 'pg_class'::regclass))
    order by 1;
end
$$;

create or replace function pg_temp.calendly_check_dependents(kept text[]) returns void
language plpgsql
as $$
declare
  dependents constant text[] := array(select d from pg_temp.calendly_dependents(kept) d);
begin
  if dependents <> '{}' then
    raise exception using
      errcode = 'dependent_objects_still_exist',
      message = 'still_used: these of yours use what would be dropped. Nothing was changed.'
        || E'\n  - ' || array_to_string(dependents, E'\n  - '),
      detail = 'still_used',
      hint = 'Drop them or change them, so that they use nothing of Calendly Sync, then run this '
        'again.';
  end if;
end
$$;

create or replace function pg_temp.calendly_count(tables text[]) returns jsonb
language plpgsql
as $$
declare
  counts jsonb := '{}';
  name text;
  row_count bigint;
begin
  foreach name in array tables loop
    execute format('select count(*) from public.%I', name) into row_count;
    counts := counts || jsonb_build_object(name, row_count);
  end loop;
  return counts;
end
$$;

-- What an earlier run has kept, by the comment that it left.
create or replace function pg_temp.calendly_kept_tables() returns text[]
language sql
as $$
  select array(
    select c.relname::text from pg_catalog.pg_class c
    where c.relnamespace = 'public'::regnamespace and c.relkind = 'r'
      and c.relname in ('calendly_users', 'calendly_meetings', 'calendly_invitees')
      and starts_with(pg_catalog.obj_description(c.oid, 'pg_class'),
        'Kept when Calendly Sync was uninstalled on ')
    order by 1)
$$;

create or replace function pg_temp.calendly_drop_tables(tables text[]) returns void
language plpgsql
as $$
begin
  if tables <> '{}' then
    execute 'drop table ' || (
      select string_agg(format('public.%I', name), ', ') from unnest(tables) name);
  end if;
end
$$;

-- The triggers, policies and indexes of these tables that call into the schema calendly go with it.
create or replace function pg_temp.calendly_keep_table(name text) returns void
language plpgsql
as $$
declare
  policy text;
  grantees text;
begin
  for policy in
    select p.policyname from pg_catalog.pg_policies p
    where p.schemaname = 'public' and p.tablename = calendly_keep_table.name
  loop
    execute format('drop policy %I on public.%I', policy, name);
  end loop;
  select string_agg(distinct case g.grantee when 0 then 'public'
      else quote_ident(pg_get_userbyid(g.grantee)) end, ', ')
    into grantees
    from pg_catalog.pg_class c
    left join pg_catalog.pg_attribute a on a.attrelid = c.oid
    cross join lateral (
      select t.grantee from aclexplode(c.relacl) t
      union select t.grantee from aclexplode(a.attacl) t) g
    where c.oid = format('public.%I', name)::regclass and g.grantee <> c.relowner;
  if grantees is not null then
    -- cascade: what they have granted further
    execute format('revoke all on public.%I from %s cascade', name, grantees);
  end if;
  execute format('grant select on public.%I to service_role', name);
  execute format('comment on table public.%I is %L', name, format(
    'Kept when Calendly Sync was uninstalled on %s: not synced since then. Only the owner and '
      'service_role read it.', to_char(now() at time zone 'UTC', 'YYYY-MM-DD')));
end
$$;

-- What the original system's migration 022 had made gets its names back.
create or replace function pg_temp.calendly_rename_originals() returns void
language plpgsql
as $$
declare
  renaming text;
begin
  for renaming in
    select format('alter %s public.%I rename to %I', case c.relkind when 'v' then 'view'
        when 'i' then 'index' else 'table' end, c.relname,
        substr(c.relname, length('original_') + 1))
      from pg_catalog.pg_class c
      where c.relnamespace = 'public'::regnamespace and c.relname like 'original\_calendly\_%'
    union all
    select 'alter function public.original_clean_old_webhook_events()
        rename to clean_old_webhook_events'
      from pg_catalog.pg_proc p
      where p.pronamespace = 'public'::regnamespace
        and p.proname = 'original_clean_old_webhook_events'
  loop
    execute renaming;
  end loop;
end
$$;

-- Ours of the release that this script belongs to, and of all before it.
create or replace function pg_temp.calendly_forget_migrations() returns void
language plpgsql
as $$
begin
  if to_regclass('supabase_migrations.schema_migrations') is not null then
    delete from supabase_migrations.schema_migrations m
      where m.version || '_' || m.name = any ('{
        20261101000010_collisions,
        20261101000020_schema_and_errors,
        20261101000030_settings,
        20261101000040_clock,
        20261101000050_project,
        20261101000060_locks,
        20261101000100_users,
        20261101000110_accounts,
        20261101000120_connections,
        20261101000130_credentials,
        20261101000140_oauth,
        20261101000200_meetings,
        20261101000210_invitees,
        20261101000220_meeting_sync,
        20261101000300_sync_runs,
        20261101000310_webhook_events,
        20261101000320_webhook_subscriptions,
        20261101000330_revocations,
        20261101000340_connect_and_disconnect,
        20261101000350_end_of_accounts,
        20261101000400_erasure,
        20261101000500_read_snapshots,
        20261101000510_merge_snapshots,
        20261101000515_invitees_due,
        20261101000520_apply_events,
        20261101000530_apply_invitees,
        20261101000540_meet_hosts,
        20261101000550_deferred_deliveries,
        20261101000600_sync_planning,
        20261101000610_sync_lease_and_progress,
        20261101000620_sync_next_step,
        20261101000630_sync_apply_events,
        20261101000640_sync_apply_invitees,
        20261101000650_sync_interrupt,
        20261101000660_sync_rpcs,
        20261101000700_webhook_delivery,
        20261101000800_health,
        20261101000820_retention,
        20261101000830_schedule,
        20261101000840_live_updates,
        20261101000850_own_tables,
        20261101000860_alerts,
        20261101000870_metrics,
        20261101000880_console,
        20261101000980_version,
        20261101000990_rights,
        20261101000995_original_names
      }'::text[]);
  end if;
end
$$;

create or replace function pg_temp.calendly_drop_product(dropped text[], kept text[]) returns void
language plpgsql
set client_min_messages = warning  -- not each object that goes with the schema
as $$
declare
  views text;
  functions text;
begin
  select string_agg(o.name, ', ') filter (where c.relkind = 'v'),
      string_agg(o.name, ', ') filter (where o.kind = 'function')
    into views, functions
    from calendly.own_objects o
    -- to_regclass refuses a function's name, and a join may ask for all of them first
    left join pg_catalog.pg_class c
      on c.oid = case o.kind when 'relation' then to_regclass(o.name) end
    where o.name !~ '^calendly\.';
  perform cron.unschedule(j.jobname) from calendly.own_jobs o
    join cron.job j on j.jobname = o.name and j.username = current_user;
  if exists (select from pg_catalog.pg_policies p
      where p.policyname = 'People receive their own Calendly updates') then
    drop policy "People receive their own Calendly updates" on realtime.messages;
  end if;
  execute 'drop view ' || views;
  if kept <> '{}' then
    alter table public.calendly_users drop constraint calendly_users_connection_id_fkey;
  end if;
  drop schema calendly cascade;
  perform pg_temp.calendly_drop_tables(dropped);
  execute 'drop function ' || functions;
  perform pg_temp.calendly_keep_table(name) from unnest(kept) name;
  perform pg_temp.calendly_rename_originals();
  perform pg_temp.calendly_forget_migrations();
end
$$;

create or replace function pg_temp.calendly_try_uninstall(drop_data boolean) returns jsonb
language plpgsql
as $$
declare
  -- read here, because another role may not look into the schema
  owner constant name := (
    select pg_get_userbyid(c.relowner)
    from pg_catalog.pg_class c
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where n.nspname = 'calendly' and c.relname = 'own_objects');
  is_installed constant boolean := owner is not null;
  own text[] := pg_temp.calendly_kept_tables();
  kept text[];
  dropped text[];
  answer jsonb;
begin
  if is_installed then
    perform pg_temp.calendly_check_owner(owner);
    perform pg_temp.calendly_lock_tables(array(
      select c.oid::regclass::text
      from calendly.own_objects o
      join pg_catalog.pg_class c on c.oid = to_regclass(o.name) and c.relkind = 'r'
      where o.kind = 'relation'));
    perform pg_temp.calendly_check_disconnected();
    own := array(
      select c.relname::text
      from calendly.own_objects o
      join pg_catalog.pg_class c on c.oid = to_regclass(o.name) and c.relkind = 'r'
      where o.kind = 'relation' and c.relnamespace = 'public'::regnamespace
      order by 1);
  end if;
  kept := array(
    select name from unnest(own) name
    where not drop_data and name in ('calendly_users', 'calendly_meetings', 'calendly_invitees'));
  dropped := array(select name from unnest(own) name where name <> all (kept));
  if is_installed then
    perform pg_temp.calendly_check_dependents(kept);
  end if;
  answer := jsonb_build_object(
    'status', case when is_installed or dropped <> '{}' then 'uninstalled' else 'not_installed' end,
    'kept', pg_temp.calendly_count(kept),
    'dropped', pg_temp.calendly_count(dropped));
  if is_installed then
    perform pg_temp.calendly_drop_product(dropped, kept);
  else
    perform pg_temp.calendly_drop_tables(dropped);
  end if;
  return answer;
end
$$;

-- Jobs and functions lock our tables and views in other orders. So that nobody ends in a deadlock, no
-- lock is waited for as long as Postgres waits until it looks for one (deadlock_timeout, 1 second):
-- what was done by then is taken back, and it begins anew.
create or replace function pg_temp.calendly_uninstall(drop_data boolean) returns jsonb
language plpgsql
set lock_timeout = '200ms'
as $$
declare
  last_try constant timestamptz := clock_timestamp() + interval '30 seconds';
begin
  loop
    begin
      return pg_temp.calendly_try_uninstall(drop_data);
    exception when lock_not_available then
      if clock_timestamp() >= last_try then
        raise exception using
          errcode = 'lock_not_available',
          message = 'tables_in_use: other sessions have held a table or view of ours for 30 '
            'seconds. Nothing was changed.',
          detail = 'tables_in_use',
          hint = 'Run this again. pg_stat_activity shows who has been in a transaction for long.';
      end if;
      perform pg_sleep(0.1);
    end;
  end loop;
end
$$;

select pg_temp.calendly_uninstall(drop_data => false) as uninstalled;
