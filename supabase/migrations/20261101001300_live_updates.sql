-- Live updates: where the project has Realtime, each person gets one private broadcast per transaction
-- that changed something of theirs. It names rows and tells nothing of them: the app reads them again,
-- under its own rights.
--
--   supabase.channel(`calendly:${user.id}`, { config: { private: true } })
--     .on('broadcast', { event: 'changed' }, ({ payload }) => …)   // {meeting_ids, run_ids}
--     .subscribe()

create function calendly.note_changes() returns trigger
language plpgsql security definer set search_path = ''
as $$
declare
  noted text;
begin
  -- one line for each row: whose, what, which
  if tg_table_name = 'meetings' then
    select string_agg(format(E'%s meeting %s\n', c.user_id, to_json(c.id)), '') into noted
      from changed c where c.calendly_event_uri is not null;
  elsif tg_table_name = 'meeting_invitees' then
    select string_agg(format(E'%s meeting %s\n', c.user_id, to_json(c.meeting_id)), '') into noted from changed c;
  else
    select string_agg(format(E'%s run %s\n', c.user_id, to_json(c.id)), '') into noted from changed c;
  end if;
  if noted is not null then
    perform set_config('calendly.changed', coalesce(current_setting('calendly.changed', true), '') || noted, true);
  end if;
  return null;
end
$$;
revoke all on function calendly.note_changes() from public, anon, authenticated, service_role;
comment on function calendly.note_changes() is
  'Notes, until the transaction ends, which meetings and runs a statement has written: in a setting, which a rollback takes back and nobody waits for.';

create function calendly.announce_changes() returns trigger
language plpgsql security definer set search_path = ''
as $$
declare
  noted constant text := current_setting('calendly.changed', true);
begin
  if coalesce(noted, '') = '' then
    return null;  -- the first row of this transaction has told of all
  end if;
  perform set_config('calendly.changed', '', true);
  begin
    perform realtime.send(
        jsonb_build_object(
          'meeting_ids', case when count(distinct line[3]) filter (where line[2] = 'meeting') <= 100
            then coalesce(jsonb_agg(distinct line[3]::jsonb) filter (where line[2] = 'meeting'), '[]') end,
          'run_ids', coalesce(jsonb_agg(distinct line[3]::jsonb) filter (where line[2] = 'run'), '[]')),
        'changed', 'calendly:' || u.auth_user_id, true)
      from regexp_split_to_table(rtrim(noted, E'\n'), E'\n') noted_line
      cross join lateral string_to_array(noted_line, ' ') line
      join public.users u on u.id = line[1]::integer
      where u.auth_user_id is not null
      group by u.auth_user_id;
  exception when others then
    -- a message that cannot be sent must not undo what it tells of
    raise warning 'Calendly live update not sent: %', sqlerrm;
  end;
  return null;
end
$$;
revoke all on function calendly.announce_changes() from public, anon, authenticated, service_role;
comment on function calendly.announce_changes() is
  'At the end of a transaction, sends to the topic calendly:<auth user id> the event changed: {meeting_ids, run_ids}; meeting_ids is null where there are more than 100.';

create function calendly.enable_live_updates() returns boolean
language plpgsql set search_path = '' set client_min_messages = warning
as $$
declare
  watched record;
begin
  if to_regprocedure('realtime.send(jsonb, text, text, boolean)') is null or to_regclass('realtime.messages') is null then
    return false;
  end if;
  drop policy if exists "People receive their own Calendly updates" on realtime.messages;
  create policy "People receive their own Calendly updates" on realtime.messages
    for select to authenticated
    using (extension = 'broadcast' and (select realtime.topic()) = 'calendly:' || (select auth.uid()));

  for watched in
    select * from (values
      ('meetings', 'insert'), ('meetings', 'update'), ('meetings', 'delete'),
      ('meeting_invitees', 'insert'), ('meeting_invitees', 'update'), ('meeting_invitees', 'delete'),
      -- a run that is old enough to be deleted is no news
      ('calendly_sync_runs', 'insert'), ('calendly_sync_runs', 'update')) w (relation, verb)
  loop
    execute format('drop trigger if exists calendly_note_%1$s on public.%2$I', watched.verb, watched.relation);
    execute format('create trigger calendly_note_%1$s after %1$s on public.%2$I referencing %3$s table as changed
        for each statement execute function calendly.note_changes()',
      watched.verb, watched.relation, case watched.verb when 'delete' then 'old' else 'new' end);
    -- deferred to the end of the transaction, where everything is known
    execute format('drop trigger if exists calendly_announce_%1$s on public.%2$I', watched.verb, watched.relation);
    execute format('create constraint trigger calendly_announce_%1$s after %1$s on public.%2$I
        deferrable initially deferred for each row execute function calendly.announce_changes()',
      watched.verb, watched.relation);
  end loop;
  return true;
end
$$;
revoke all on function calendly.enable_live_updates() from public, anon, authenticated, service_role;
comment on function calendly.enable_live_updates() is
  'Begins to broadcast where the project has Realtime, else does nothing and returns false. Safe to run again: in a project that gets Realtime later.';

select calendly.enable_live_updates();
