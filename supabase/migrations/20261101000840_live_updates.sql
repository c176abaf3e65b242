-- Live updates: where the project has Realtime, each account gets one private broadcast per
-- transaction that changed rows which it may read: its own and, for the owner of an organization
-- connection that keeps everyone, those that the connection brings. A broadcast names rows and says
-- nothing about them: the app reads them again, under its own rights.
--
--   supabase.channel(`calendly:${user.id}`, { config: { private: true } })
--     .on('broadcast', { event: 'changed' }, ({ payload }) => …)   // {meeting_ids, run_ids}
--     .subscribe()

-- Noting changes ---------------------------------------------------------------------------------

-- Unlogged: no row outlives its transaction. One row for each user, however many statements: the
-- trigger that waits for the end is queued once.
create unlogged table calendly.pending_announcements (
  transaction_id xid8 not null default pg_current_xact_id(),
  user_id integer not null,
  meeting_ids bigint[] not null default '{}',
  run_ids uuid[] not null default '{}',
  primary key (transaction_id, user_id)
);
alter table calendly.pending_announcements enable row level security;
comment on table calendly.pending_announcements is
  'What a transaction has changed and will announce at its end. The trigger that waits for the end '
  'hangs here and not on calendly_meetings: a table with waiting triggers cannot be altered, and '
  'migrations of ours and of the app''s update and alter it in one transaction.';

create function calendly.max_named_meetings() returns integer
language sql immutable set search_path = ''
as $$
  select 100
$$;
comment on function calendly.max_named_meetings() is
  'Of more meetings than these none is named, and the app reads all again.';

create function calendly.note_meetings() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  insert into calendly.pending_announcements as a (user_id, meeting_ids)
    select c.user_id, array_agg(c.id)
    from changed c
    where c.calendly_event_uri is not null
    group by c.user_id
    on conflict (transaction_id, user_id) do update set
      meeting_ids = array(select distinct unnest(a.meeting_ids || excluded.meeting_ids))
      -- Of a transaction of many statements the list does not grow without end.
      where cardinality(a.meeting_ids) <= calendly.max_named_meetings()
        and not excluded.meeting_ids <@ a.meeting_ids;
  return null;
end
$$;
comment on function calendly.note_meetings() is 'Notes the meetings that a statement has written.';

create function calendly.note_invitees() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  insert into calendly.pending_announcements as a (user_id, meeting_ids)
    select c.user_id, array_agg(distinct c.meeting_id)
    from changed c
    group by c.user_id
    on conflict (transaction_id, user_id) do update set
      meeting_ids = array(select distinct unnest(a.meeting_ids || excluded.meeting_ids))
      -- Of a transaction of many statements the list does not grow without end.
      where cardinality(a.meeting_ids) <= calendly.max_named_meetings()
        and not excluded.meeting_ids <@ a.meeting_ids;
  return null;
end
$$;
comment on function calendly.note_invitees() is
  'Notes the meetings of the invitees that a statement has written.';

create function calendly.note_runs() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  insert into calendly.pending_announcements as a (user_id, run_ids)
    select c.user_id, array_agg(c.id)
    from changed c
    group by c.user_id
    on conflict (transaction_id, user_id) do update set run_ids = a.run_ids || excluded.run_ids
      where not excluded.run_ids <@ a.run_ids;
  return null;
end
$$;
comment on function calendly.note_runs() is 'Notes the runs that a statement has written.';

-- Announcing -------------------------------------------------------------------------------------

create function calendly.take_announcements(transaction_id xid8)
returns table (auth_user_id uuid, meeting_ids bigint[], run_ids uuid[])
language plpgsql set search_path = ''
-- By index: the session keeps its plans, also those that it made while the tables were empty.
set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off
as $$
begin
  return query
    with taken as (
      delete from calendly.pending_announcements a
        where a.transaction_id = take_announcements.transaction_id
        returning a.user_id, a.meeting_ids, a.run_ids
    )
    select r.auth_user_id,
      coalesce(
        array_agg(distinct changed.meeting_id) filter (where changed.meeting_id is not null), '{}'),
      coalesce(array_agg(distinct changed.run_id) filter (where changed.run_id is not null), '{}')
    from taken t
    -- for each user by index: a join would make the list of all readers first
    cross join lateral (
      select a.auth_user_id from calendly.readers a where a.user_id = t.user_id offset 0
    ) r
    -- side by side: the shorter list is filled up with nulls
    cross join lateral unnest(t.meeting_ids, t.run_ids) changed (meeting_id, run_id)
    group by r.auth_user_id
    having calendly.account_is_open(r.auth_user_id, calendly.now());
end
$$;
comment on function calendly.take_announcements(xid8) is
  'What a transaction has noted, for each open account that reads it. Takes it away: a second call '
  'returns nothing.';

create function calendly.announce_changes() returns trigger
language plpgsql security definer set search_path = ''
as $$
declare
  announcement record;
begin
  -- The first of a transaction's rows takes all of them, and the others find none.
  for announcement in select * from calendly.take_announcements(new.transaction_id) loop
    begin
      perform realtime.send(
        jsonb_build_object(
          'meeting_ids', case
            when cardinality(announcement.meeting_ids) <= calendly.max_named_meetings()
              then to_jsonb(announcement.meeting_ids)
          end,
          'run_ids', to_jsonb(announcement.run_ids)),
        'changed', 'calendly:' || announcement.auth_user_id, true);
    exception when others then
      -- A message that cannot be sent must not undo what it is about.
      raise warning 'Calendly live update not sent: %', calendly.without_emails(sqlerrm);
    end;
  end loop;
  return null;
end
$$;
comment on function calendly.announce_changes() is
  'At the end of a transaction, sends to the topic calendly:<auth user id> the event changed: '
  '{meeting_ids, run_ids}; meeting_ids is null where there are more than 100.';

-- Deferred to the end of the transaction, where everything is known.
create constraint trigger calendly_announce
  after insert on calendly.pending_announcements
  deferrable initially deferred
  for each row execute function calendly.announce_changes();

-- Beginning --------------------------------------------------------------------------------------

create table calendly.live_updates_refusal (
  only_row boolean primary key default true check (only_row),
  refused_at timestamptz not null,
  error text not null
);
alter table calendly.live_updates_refusal enable row level security;
comment on table calendly.live_updates_refusal is
  'One row where Postgres refused the policy on realtime.messages: an alert says what to run.';

create function calendly.live_updates_policy() returns text
language sql immutable set search_path = ''
as $$
  select 'create policy "People receive their own Calendly updates" on realtime.messages '
    'for select to authenticated using (extension = ''broadcast'' '
    'and (select realtime.topic()) = ''calendly:'' || (select auth.uid()));'
$$;
comment on function calendly.live_updates_policy() is
  'The statement that lets each account join its own topic, and no other.';

create function calendly.allow_live_updates() returns boolean
language plpgsql set search_path = ''
as $$
begin
  if to_regprocedure('realtime.send(jsonb, text, text, boolean)') is null
      or to_regclass('realtime.messages') is null then
    return false;
  end if;
  if not exists (
      select from pg_catalog.pg_policy p
      where p.polrelid = to_regclass('realtime.messages')
        and p.polname = 'People receive their own Calendly updates') then
    execute calendly.live_updates_policy();
  end if;
  delete from calendly.live_updates_refusal;
  return true;
exception when insufficient_privilege then
  insert into calendly.live_updates_refusal (refused_at, error)
    values (calendly.now(), calendly.without_emails(sqlerrm))
    on conflict (only_row) do update set error = excluded.error;
  raise warning using
    message = 'Calendly live updates are off: ' || calendly.without_emails(sqlerrm),
    hint = 'Everything else works. select what_to_do from calendly_alerts '
      'where code = ''live_updates_refused'';';
  return false;
end
$$;
comment on function calendly.allow_live_updates() is
  'Makes the policy on realtime.messages unless it is there. False where there is no Realtime, and '
  'where Postgres refuses the policy: that is a warning and an alert, because live updates are not '
  'worth a stopped migration.';

create function calendly.watch_changes() returns void
language plpgsql set search_path = '' set client_min_messages = warning
as $$
declare
  watched record;
begin
  for watched in
    select w.relation, w.verb, w.note, case w.verb when 'delete' then 'old' else 'new' end as rows
    from (values
      ('calendly_meetings', 'insert', 'note_meetings'),
      ('calendly_meetings', 'update', 'note_meetings'),
      ('calendly_meetings', 'delete', 'note_meetings'),
      ('calendly_invitees', 'insert', 'note_invitees'),
      ('calendly_invitees', 'update', 'note_invitees'),
      ('calendly_invitees', 'delete', 'note_invitees'),
      -- a run that is old enough to be deleted is no news
      ('calendly_sync_runs', 'insert', 'note_runs'),
      ('calendly_sync_runs', 'update', 'note_runs')) w (relation, verb, note)
  loop
    execute format('drop trigger if exists calendly_note_%s on public.%I',
      watched.verb, watched.relation);
    execute format(
      'create trigger calendly_note_%1$s after %1$s on public.%2$I '
      'referencing %3$s table as changed for each statement execute function calendly.%4$I()',
      watched.verb, watched.relation, watched.rows, watched.note);
  end loop;
end
$$;
comment on function calendly.watch_changes() is
  'Makes the triggers that note what each statement has written. Safe to run again.';

create function calendly.enable_live_updates() returns boolean
language plpgsql set search_path = ''
as $$
begin
  if not calendly.allow_live_updates() then
    return false;
  end if;
  perform calendly.watch_changes();
  return true;
end
$$;
comment on function calendly.enable_live_updates() is
  'Begins to broadcast where the project has Realtime and the policy is allowed, else returns '
  'false. Safe to run again: in a project that gets Realtime later, or once the policy is made.';

select calendly.enable_live_updates();

select calendly.revoke_all();
