-- The demo account, for local development: demo@example.com with the password "calendly-sync-demo".
-- It is the first to connect, and gets id 1 in public.calendly_users.

insert into auth.users (
  instance_id, id, aud, role, email, encrypted_password, email_confirmed_at,
  raw_app_meta_data, raw_user_meta_data, created_at, updated_at,
  -- the Auth server reads these as text and stumbles over null
  confirmation_token, recovery_token, email_change, email_change_token_new
)
values (
  '00000000-0000-0000-0000-000000000000', 'd0000000-0000-4000-8000-000000000001',
  'authenticated', 'authenticated', 'demo@example.com',
  extensions.crypt('calendly-sync-demo', extensions.gen_salt('bf')), now(),
  '{"provider": "email", "providers": ["email"]}', '{}', now(), now(),
  '', '', '', ''
)
on conflict (id) do nothing;

insert into auth.identities (
  id, provider_id, provider, user_id, identity_data, last_sign_in_at, created_at, updated_at
)
values (
  gen_random_uuid(), 'd0000000-0000-4000-8000-000000000001', 'email',
  'd0000000-0000-4000-8000-000000000001',
  '{"sub": "d0000000-0000-4000-8000-000000000001", "email": "demo@example.com", "email_verified": true}',
  now(), now(), now()
)
on conflict (provider_id, provider) do nothing;
