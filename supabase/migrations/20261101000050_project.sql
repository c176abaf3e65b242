-- Which project this database belongs to: the address that pg_cron nudges, learnt from the
-- functions' own SUPABASE_URL. In a restored copy of the database that address is another one.
-- Nothing runs there until somebody confirms it, because a copy would spend the original's tokens.

create table calendly.project (
  only_row boolean primary key default true check (only_row),
  url text,
  salt uuid not null default gen_random_uuid(),
  moved_to text,
  moved_at timestamptz,
  ticked_at timestamptz,
  unanswered_since timestamptz,
  cluster text,
  postgres_started_at timestamptz,
  restored_at timestamptz,
  resynced_at timestamptz,
  deployed jsonb not null default '{}'
);
insert into calendly.project default values;
alter table calendly.project enable row level security;
comment on table calendly.project is
  'One row: where the functions are, and signs of life of the schedule.';
comment on column calendly.project.url is
  'SUPABASE_URL, as the functions tell it; never from a request.';
comment on column calendly.project.salt is
  'Part of the digests of erased e-mails, so that they cannot be looked up elsewhere.';
comment on column calendly.project.moved_to is
  'Another SUPABASE_URL that functions run under: nothing runs until calendly_confirm_project.';
comment on column calendly.project.moved_at is 'When that was first seen.';
comment on column calendly.project.ticked_at is 'Last tick of the schedule.';
comment on column calendly.project.unanswered_since is
  'Since when the schedule has nudged functions and none has asked for work; null: one has.';
comment on column calendly.project.cluster is
  'Which Postgres the last tick ran on, see calendly.cluster_identity.';
comment on column calendly.project.postgres_started_at is
  'When that Postgres had started.';
comment on column calendly.project.restored_at is
  'When the schedule last found that the database had been restored, or had stood still for long: '
  'see calendly.was_restored.';
comment on column calendly.project.resynced_at is
  'When everybody was last made due with a FULL sync: one that began before does not count.';
comment on column calendly.project.deployed is
  'What the command deploy has put in place: by function a digest of its files and of the '
  'platform''s bundle of them. Where one of the two has changed since, it deploys again.';

create function calendly.check_project(url text) returns void
language plpgsql set search_path = ''
as $$
declare
  stored_url text;
begin
  select p.url into stored_url from calendly.project p;
  if stored_url is null and check_project.url is not null then
    update calendly.project p set url = check_project.url where p.url is null;
  elsif stored_url <> check_project.url then
    perform calendly.raise_error('project_moved',
      format('This database belongs to %s, and the functions run under %s.',
        stored_url, check_project.url),
      format('If the project has moved for good: select calendly_confirm_project(%L); '
        'In a copy: disconnect its users instead.', check_project.url));
  end if;
end
$$;
comment on function calendly.check_project(text) is
  'Learns the project''s URL the first time and compares it ever after. Error: project_moved.';

create function calendly.note_worker(project_url text, now_at timestamptz) returns boolean
language plpgsql set search_path = ''
as $$
declare
  project calendly.project;
  found_at text;  -- another address; null: the project's own
begin
  select p.* into project from calendly.project p;
  -- A copy of the database under another address must not spend the original's tokens.
  found_at := case when project.url <> note_worker.project_url then note_worker.project_url end;
  if (project.unanswered_since is not null and found_at is null)
      or project.moved_to is distinct from found_at then
    update calendly.project p
      -- A worker under another address says nothing of those that are nudged.
      set unanswered_since = case when found_at is not null then p.unanswered_since end,
        moved_to = found_at,
        moved_at = case when found_at is not null then coalesce(p.moved_at, now_at) end
      from (
        select k.only_row from calendly.project k
        -- Workers that come together do not wait for each other: one of them writes.
        for no key update skip locked
      ) free
      where p.only_row = free.only_row;
  end if;
  return found_at is null;
end
$$;
comment on function calendly.note_worker(text, timestamptz) is
  'Notes that a worker has come: writes only where that is news. False where the worker runs under '
  'another address than the project''s.';

create function public.calendly_confirm_project(url text) returns text
language plpgsql security definer set search_path = ''
as $$
begin
  if calendly_confirm_project.url !~ '^https?://[^/ ]+$' then
    perform calendly.raise_error('invalid_url',
      format('%s is not a project''s URL.', calendly_confirm_project.url),
      'It looks like https://abcdefghijkl.supabase.co.');
  end if;
  -- Syncs and deliveries were missed, and Calendly's subscriptions have the old address.
  perform calendly.resync_all(calendly.now())
    from calendly.project p where p.url <> calendly_confirm_project.url;
  -- What ended in a copy has not ended at the original: nothing may be revoked at Calendly for it.
  delete from calendly.pending_revocations r
    using calendly.project p where p.url <> calendly_confirm_project.url;
  update calendly.project p
    set url = calendly_confirm_project.url, moved_to = null, moved_at = null,
      unanswered_since = null  -- nobody has been nudged there yet
    where p.only_row;
  return calendly_confirm_project.url;
end
$$;
comment on function public.calendly_confirm_project(text) is
  'Says that this database now belongs to the project at this URL, after a move: everybody is '
  'synced anew, and subscriptions are made for the new address. Error: invalid_url.';

select calendly.revoke_all();
