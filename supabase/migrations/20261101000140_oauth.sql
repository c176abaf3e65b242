-- OAuth: what is remembered of people who are at Calendly giving their consent.

create table calendly.oauth_states (
  id uuid primary key,
  state_digest text not null unique,
  auth_user_id uuid not null,
  verifier_jwe text not null,
  scope text not null,
  members text not null,
  replace boolean not null,
  created_at timestamptz not null
);
create index oauth_states_auth_user_idx on calendly.oauth_states (auth_user_id);
alter table calendly.oauth_states enable row level security;
comment on table calendly.oauth_states is
  'One row per consent that was asked for: used once, within ten minutes, by the account that '
  'asked.';
comment on column calendly.oauth_states.state_digest is
  'SHA-256 of the state, which itself is only in the person''s browser.';
comment on column calendly.oauth_states.verifier_jwe is
  'The PKCE verifier, encrypted like a token.';

create function public.calendly_start_oauth(request jsonb) returns void
language plpgsql security definer set search_path = ''
as $$
declare
  now_at constant timestamptz := calendly.now();
  own constant uuid := (request ->> 'auth_user_id')::uuid;
  again constant boolean := coalesce((request ->> 'again')::boolean, false);
begin
  perform calendly.check_account(own);
  delete from calendly.oauth_states o
    where o.created_at < now_at - interval '10 minutes' or (o.auth_user_id = own and not again);
  insert into calendly.oauth_states
      (id, state_digest, auth_user_id, verifier_jwe, scope, members, replace, created_at)
    select (request ->> 'id')::uuid, request ->> 'state_digest', own, request ->> 'verifier_jwe',
      request ->> 'scope', coalesce(request ->> 'members', 'accounts'),
      (request ->> 'replace')::boolean, now_at
    -- one that is put back does not end a newer one
    where not exists (select from calendly.oauth_states o where o.auth_user_id = own);
end
$$;
comment on function public.calendly_start_oauth(jsonb) is
  'Remembers who asks for consent: {auth_user_id, id, state_digest, verifier_jwe, scope, members?, '
  'replace, again?}. An earlier attempt of the same account ends; again: it is one that could '
  'not be finished, and is remembered where the account has not begun another. Error: '
  'account_closed.';

create function public.calendly_take_oauth_state(auth_user_id uuid, state_digest text) returns jsonb
language plpgsql security definer set search_path = ''
as $$
declare
  taken calendly.oauth_states;
begin
  -- Another account's row stays: following a link that somebody else sent connects nothing.
  delete from calendly.oauth_states o
    where o.state_digest = calendly_take_oauth_state.state_digest
      and o.auth_user_id = calendly_take_oauth_state.auth_user_id
    returning o.* into taken;
  if taken.id is null or taken.created_at < calendly.now() - interval '10 minutes' then
    perform calendly.raise_error('oauth_state_invalid',
      'This consent was not asked for by you, has been used, or is older than ten minutes.',
      'Begin again: POST /functions/v1/calendly-connect/oauth/start.');
  end if;
  return jsonb_build_object('id', taken.id, 'verifier_jwe', taken.verifier_jwe,
    'scope', taken.scope, 'members', taken.members, 'replace', taken.replace);
end
$$;
comment on function public.calendly_take_oauth_state(uuid, text) is
  'Ends the waiting: {id, verifier_jwe, scope, members, replace}, once, for the account that '
  'asked. Error: oauth_state_invalid.';

select calendly.revoke_all();
