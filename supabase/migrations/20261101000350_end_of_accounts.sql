-- What happens when an account ends. Nothing hangs on auth.users, so deleting an account is never
-- refused or delayed; a job compares once a minute instead. Deleted and soft-deleted accounts are
-- disconnected at Calendly and their rows erased. A banned account is not synced until the ban
-- ends.

create view calendly.ended_accounts with (security_invoker = true) as
  select u.id as user_id
  from public.calendly_users u
  where u.auth_user_id is not null and not exists (
    select from calendly.accounts a
    where a.auth_user_id = u.auth_user_id
    -- Keeps this a search by id for each user: a join may read all accounts instead.
    offset 0);
comment on view calendly.ended_accounts is 'Users whose account is deleted or soft-deleted.';

create function calendly.too_many_ended_accounts() returns boolean
language sql stable set search_path = ''
as $$
  -- A restore without the auth schema looks as if everybody had gone: then nothing is erased, and
  -- an alert says so.
  select count(*) > greatest(25, (
      select count(*) from public.calendly_users u where u.auth_user_id is not null) / 4)
  from calendly.ended_accounts e
$$;
comment on function calendly.too_many_ended_accounts() is
  'Are more than 25 accounts, and more than a quarter of all, gone at once? Then it is not '
  'believed.';

create function calendly.suspend_connections(connection_ids uuid[]) returns void
language plpgsql set search_path = ''
as $$
begin
  update public.calendly_connections c set next_sync_at = null where c.id = any (connection_ids);
  -- A run that stayed paused would be read by each claim as long as the ban lasts.
  perform calendly.end_run(r.id, 'failed', jsonb_build_object(
      'code', 'account_closed', 'message', 'This account is deleted or banned.'))
    from public.calendly_sync_runs r
    where r.connection_id = any (connection_ids) and r.status in ('running', 'paused');
end
$$;
comment on function calendly.suspend_connections(uuid[]) is
  'The schedule leaves these connections out, and their active runs end. The caller has locked '
  'them.';

create function calendly.suspend_banned_accounts(now_at timestamptz) returns void
language plpgsql set search_path = ''
as $$
declare
  closed uuid[];
  open_again uuid[];
begin
  select array_agg(changed.id) filter (where not changed.is_open),
      array_agg(changed.id) filter (where changed.is_open)
    into closed, open_again
    from (
      select k.id, account.is_open
      from public.calendly_connections k
      join public.calendly_users u on u.id = k.user_id
      cross join lateral (
        select exists (
          select from calendly.accounts a
          where a.auth_user_id = u.auth_user_id and a.open_from <= now_at
        ) as is_open
        offset 0  -- by id, see calendly.ended_accounts
      ) account
      where k.state = 'active' and u.auth_user_id is not null
        and (k.next_sync_at is null) = account.is_open
      for no key update of k skip locked
    ) changed;
  perform calendly.suspend_connections(closed);
  update public.calendly_connections c set next_sync_at = now_at where c.id = any (open_again);
end
$$;
comment on function calendly.suspend_banned_accounts(timestamptz) is
  'The schedule leaves the connections of banned accounts out, and takes them up when the ban '
  'ends. Their runs end; others begin then.';

create function calendly.end_closed_accounts() returns integer
language plpgsql set search_path = ''
as $$
declare
  now_at constant timestamptz := calendly.now();
  -- So that the exclusive lock is held for a moment only; the next minute goes on.
  at_most constant integer := 50;
  has_work constant boolean := exists (select from calendly.ended_accounts)
    and not calendly.too_many_ended_accounts();
  leaving integer[];
begin
  -- Before the rows of connections: whoever deletes people waits for these while it has the lock.
  if not has_work then
    perform calendly.lock_against_erasure();
    perform calendly.suspend_banned_accounts(now_at);
    return 0;
  end if;
  perform calendly.lock_for_erasure();
  perform calendly.suspend_banned_accounts(now_at);
  leaving := array(
    select e.user_id from calendly.ended_accounts e order by e.user_id limit at_most);
  perform calendly.release_accounts(leaving);
  return cardinality(leaving);
end
$$;
comment on function calendly.end_closed_accounts() is
  'Runs once a minute: disconnects and erases users whose account is deleted or soft-deleted, at '
  'most 50 at a time, and returns how many. Does nothing where a great part of all accounts is '
  'missing.';
