-- Accounts of Supabase Auth, read and never written: whether one may be synced, and whose e-mail it
-- has proven. What is done when an account ends is in 350_end_of_accounts.

create function calendly.account_is_open(auth_user_id uuid, now_at timestamptz) returns boolean
language sql stable set search_path = ''
as $$
  select account_is_open.auth_user_id is null or exists (
    select from auth.users a
    where a.id = account_is_open.auth_user_id and a.deleted_at is null
      and coalesce(a.banned_until, '-infinity') <= now_at)
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
language sql stable set search_path = ''
as $$
  -- email_confirmed_at alone proves nothing: where confirmation is switched off, Auth sets it at
  -- sign-up, without having sent a mail.
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
    and a.deleted_at is null
$$;
comment on function calendly.accounts_with_proven_email(text[]) is
  'The accounts that have proven one of these e-mails (in lower case): by following a mail that '
  'was sent to it, or by an identity provider that vouches for it.';
