-- Accounts of Supabase Auth, read and never written: whether one may be synced, and whose e-mail it
-- has proven. What is done when an account ends is in 350_end_of_accounts. Accounts may be many
-- more than our users: each statement finds them by id or by e-mail, by indexes that Auth has.

create view calendly.accounts with (security_invoker = true) as
  select a.id as auth_user_id, coalesce(a.banned_until, '-infinity') as open_from
  from auth.users a
  where a.deleted_at is null;
comment on view calendly.accounts is 'The accounts that are neither deleted nor soft-deleted.';
comment on column calendly.accounts.open_from is
  'When their ban ends; -infinity where there was none. Before that time nobody may sync them.';

create function calendly.account_is_open(auth_user_id uuid, now_at timestamptz) returns boolean
-- The session keeps the plan, and auth.users may grow: no plan may read it from end to end.
language plpgsql stable set search_path = '' set enable_seqscan = off
as $$
begin
  return account_is_open.auth_user_id is null or exists (
    select from calendly.accounts a
    where a.auth_user_id = account_is_open.auth_user_id and a.open_from <= now_at);
end
$$;
comment on function calendly.account_is_open(uuid, timestamptz) is
  'True without an account (null), and for an account that is neither deleted, soft-deleted nor '
  'banned. Nobody else is synced.';

create function calendly.check_account(auth_user_id uuid) returns void
language plpgsql stable set search_path = ''
as $$
begin
  if not calendly.account_is_open(check_account.auth_user_id, calendly.now()) then
    perform calendly.raise_error('account_closed', 'This account is deleted or banned.',
      'Its meetings are not synced. See auth.users: deleted_at, banned_until.');
  end if;
end
$$;
comment on function calendly.check_account(uuid) is 'Error: account_closed.';

create function calendly.accounts_with_proven_email(emails text[])
returns table (email text, auth_user_id uuid)
language plpgsql stable set search_path = '' set enable_seqscan = off
as $$
begin
  -- email_confirmed_at alone proves nothing: where confirmation is switched off, Auth sets it at
  -- sign-up, without having sent a mail.
  return query
    select a.email::text, a.id
    from auth.users a
    where a.email = any (emails) and not a.is_sso_user  -- as the unique index on e-mail says
      and a.deleted_at is null and a.email_confirmed_at is not null
      and a.confirmation_sent_at is not null
    union
    select i.email, i.user_id
    from auth.identities i
    join auth.users a on a.id = i.user_id
    where i.email = any (emails) and i.provider not in ('email', 'phone')
      and (a.is_sso_user or i.identity_data ->> 'email_verified' = 'true')
      and a.deleted_at is null;
end
$$;
comment on function calendly.accounts_with_proven_email(text[]) is
  'The accounts that have proven one of these e-mails (in lower case): by following a mail that '
  'was sent to it, or by an identity provider that vouches for it.';

create function calendly.unproven_emails(at_most integer)
returns table (accounts bigint, since timestamptz, looked_at bigint)
language plpgsql stable set search_path = '' set enable_seqscan = off
as $$
begin
  return query
    select count(*) filter (where e.is_unproven), min(e.confirmed_at) filter (where e.is_unproven),
      count(*)
    from (
      select a.email_confirmed_at as confirmed_at,
        a.email_confirmed_at is not null and a.confirmation_sent_at is null
          and a.deleted_at is null and not a.is_sso_user
          and not exists (
            select from auth.identities i
            where i.user_id = a.id and i.provider not in ('email', 'phone')
            offset 0  -- by the account's id
          ) as is_unproven
      from auth.users a
      -- Auth chooses ids at random: the first are a fair sample.
      order by a.id
      limit at_most
    ) e;
end
$$;
comment on function calendly.unproven_emails(integer) is
  'How many accounts have an e-mail that nothing proves, see calendly.accounts_with_proven_email, '
  'and since when there are any. Looks at a number of accounts, which looked_at returns: of more, '
  'single ones may be missed, but not that confirming is switched off.';
