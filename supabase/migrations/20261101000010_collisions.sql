-- Before anything is made: is every name that this product uses free? What is in the way is listed,
-- all of it, before the first change. Objects that the original system's migration 022 made are
-- recognised by their exact shape, and renamed aside with their rows.

create function pg_temp.calendly_names() returns table (kind text, name text)
language sql
as $$
  select 'table or view', unnest('{calendly_users, calendly_connections, calendly_meetings,
    calendly_invitees, calendly_sync_runs, calendly_webhook_events, calendly_sync_health,
    calendly_freshness, calendly_alerts}'::text[])
  union all
  select 'function', unnest('{calendly_abandon_subscription, calendly_apply_step,
    calendly_begin_refresh, calendly_begin_subscription, calendly_begin_sync,
    calendly_claim_revocation, calendly_claim_sync, calendly_clear_own_table_failure,
    calendly_configure, calendly_confirm_project, calendly_connect, calendly_connection_status,
    calendly_console_overview, calendly_console_people, calendly_deliveries_by_day,
    calendly_delivery_details, calendly_disable_webhooks, calendly_disconnect,
    calendly_erase_invitee, calendly_fail_refresh, calendly_fail_review, calendly_fail_sync,
    calendly_finish_refresh, calendly_finish_revocation, calendly_finish_sync,
    calendly_freshness_history, calendly_health, calendly_keep_subscription,
    calendly_list_credentials, calendly_metrics, calendly_prepare_connection,
    calendly_receive_webhook, calendly_record_own_table_failure, calendly_reencrypt,
    calendly_replay_dead, calendly_replay_webhook_event, calendly_review_subscriptions,
    calendly_run_details, calendly_schedule, calendly_schedule_ticks, calendly_start_oauth,
    calendly_subscription_query, calendly_take_oauth_state, clean_old_webhook_events}'::text[])
$$;

-- What the original system's migration 022 made, by its exact shape.
create function pg_temp.calendly_originals() returns table (kind text, name text, renaming text)
language sql
as $$
  with shape as (
    select c.oid, c.relname, c.relkind,
      array(select a.attname || ' ' || pg_catalog.format_type(a.atttypid, a.atttypmod)
        from pg_catalog.pg_attribute a
        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped order by 1) as columns
    from pg_catalog.pg_class c
    where c.relnamespace = 'public'::regnamespace
  ),
  found as (
    select s.oid, s.relname, s.relkind from shape s
    where s.relkind = 'r' and s.relname = 'calendly_webhook_events'
      and array_remove(s.columns, 'user_id integer') = '{created_at timestamp with time zone,
        event_id text, event_type text, id uuid, payload jsonb,
        processed_at timestamp with time zone}'::text[]
    union all
    select s.oid, s.relname, s.relkind from shape s
    where s.relkind = 'v' and s.relname = 'calendly_sync_health'
      -- its types are those of the app's tables: varchar or text, with a time zone or without
      and array(select split_part(c, ' ', 1) from unnest(s.columns) c order by 1)
        = '{active_calendly_meetings, calendly_initial_sync_complete, calendly_webhook_enabled,
          deleted_calendly_meetings, email, last_calendly_sync, last_meeting_sync, user_id,
          webhook_events_received, webhook_synced_meetings}'::text[]
  )
  select 'table or view', f.relname::text, format('alter %s public.%I rename to original_%s',
    case f.relkind when 'v' then 'view' else 'table' end, f.relname, f.relname)
  from found f
  union all
  -- The table's own indexes must not keep the names that ours get.
  select 'index', i.relname::text,
    format('alter index public.%I rename to original_%s', i.relname, i.relname)
  from found f
  join pg_catalog.pg_index x on x.indrelid = f.oid
  join pg_catalog.pg_class i on i.oid = x.indexrelid and i.relname like 'calendly\_%'
  union all
  select 'function', p.proname::text,
    'alter function public.clean_old_webhook_events() rename to original_clean_old_webhook_events'
  from pg_catalog.pg_proc p
  where p.pronamespace = 'public'::regnamespace and p.proname = 'clean_old_webhook_events'
    and p.pronargs = 0 and p.prorettype = 'integer'::regtype
    and p.prosrc ~ 'calendly_webhook_events'
$$;

-- Our indexes and sequences begin with the name of their table, and a table makes a type. An app's
-- table with a longer name, say calendly_meetings_archive, is not in the way.
create function pg_temp.calendly_taken() returns table (kind text, name text)
language sql
as $$
  select case c.relkind when 'v' then 'view' when 'm' then 'materialized view'
      when 'S' then 'sequence' when 'i' then 'index' else 'table' end, c.relname::text
  from pg_catalog.pg_class c
  left join pg_catalog.pg_index x on x.indexrelid = c.oid
  left join pg_catalog.pg_depend d on c.relkind = 'S' and d.deptype in ('a', 'i')
    and d.objid = c.oid and d.classid = 'pg_class'::regclass and d.refclassid = 'pg_class'::regclass
  left join pg_catalog.pg_class t on t.oid in (x.indrelid, d.refobjid)
  where c.relnamespace = 'public'::regnamespace and exists (
    select from pg_temp.calendly_names() n
    where n.kind = 'table or view' and (c.relname = n.name
      or (c.relkind in ('i', 'S') and starts_with(c.relname, n.name || '_')
        -- not what is called after a table of the app's
        and not starts_with(c.relname, coalesce(t.relname, '') || '_'))))
  union all
  select 'type', t.typname::text
  from pg_catalog.pg_type t
  join pg_temp.calendly_names() n on n.kind = 'table or view' and n.name = t.typname
  where t.typnamespace = 'public'::regnamespace and t.typrelid = 0
  union all
  select 'function', p.proname::text
  from pg_catalog.pg_proc p
  join pg_temp.calendly_names() n on n.kind = 'function' and n.name = p.proname
  where p.pronamespace = 'public'::regnamespace
$$;

-- The tables that uninstalling keeps say so in their comment, see cli/uninstall.sql.
create function pg_temp.calendly_kept_by_uninstall(name text) returns boolean
language sql
as $$
  select coalesce(starts_with(
    pg_catalog.obj_description(to_regclass(format('public.%I', name)), 'pg_class'),
    'Kept when Calendly Sync was uninstalled on '), false)
$$;

create function pg_temp.calendly_collisions() returns setof text
language sql
as $$
  select format('%s public.%I', t.kind, t.name)
    || case when pg_temp.calendly_kept_by_uninstall(t.name)
      then ', kept when Calendly Sync was uninstalled' else '' end
  from pg_temp.calendly_taken() t
  where t.name not in (select o.name from pg_temp.calendly_originals() o)
  union
  -- what an original would be called when it stands aside
  select format('table public.%I', c.relname)
  from pg_catalog.pg_class c
  join pg_temp.calendly_originals() o on c.relname = 'original_' || o.name
  where c.relnamespace = 'public'::regnamespace
  union
  select 'schema calendly' from pg_catalog.pg_namespace s where s.nspname = 'calendly'
  order by 1
$$;

create function pg_temp.calendly_make_room() returns void
language plpgsql
as $$
declare
  collisions constant text[] := array(select c from pg_temp.calendly_collisions() c);
  original record;
begin
  if collisions <> '{}' then
    raise exception using errcode = 'duplicate_object', message =
      'Calendly Sync is not installed, and nothing was changed. Rename or drop what has one of its '
      || 'names, then apply the migrations again'
      || case when exists (
          select from pg_temp.calendly_names() n where pg_temp.calendly_kept_by_uninstall(n.name))
        then '. What an earlier uninstall kept: drop it, move it to another schema '
          || '(alter table … set schema …), or run `calendly-sync uninstall --drop-data`, '
          || 'and `install` again'
        else '' end
      || E':\n  - ' || array_to_string(collisions, E'\n  - ');
  end if;
  for original in select o.renaming from pg_temp.calendly_originals() o loop
    execute original.renaming;
  end loop;
end
$$;

select pg_temp.calendly_make_room();

-- From now on these names are ours. See calendly.own_objects.
create schema calendly;
create table calendly.public_names as select n.kind, n.name from pg_temp.calendly_names() n;

drop function pg_temp.calendly_make_room(), pg_temp.calendly_collisions(),
  pg_temp.calendly_kept_by_uninstall(text), pg_temp.calendly_taken(),
  pg_temp.calendly_originals(), pg_temp.calendly_names();
