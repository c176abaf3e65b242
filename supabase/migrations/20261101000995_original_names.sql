-- The names of the original system, `users` and `meetings`, as views over our tables, so that its
-- statements work as typed. They are made only where those names are free. This file belongs to
-- this repository's own project: an installation leaves it out unless it is asked for. It is the
-- last one, and decides on the views' rights itself, so that it can be asked for later, too.

do $$
begin
  if to_regclass('public.users') is null then
    execute 'create view public.users with (security_invoker = true) as
      select u.id, u.auth_user_id, u.email, u.name, u.last_calendly_sync,
        u.calendly_initial_sync_complete, u.calendly_webhook_enabled
      from public.calendly_users u';
    comment on view public.users is 'calendly_users, by the name of the original system.';
    revoke all on public.users from public, anon, authenticated, service_role;
    grant select on public.users to authenticated, service_role;
    grant update (calendly_initial_sync_complete) on public.users to service_role;
  end if;
  if to_regclass('public.meetings') is null then
    execute 'create view public.meetings with (security_invoker = true) as
      select m.* from public.calendly_meetings m';
    comment on view public.meetings is 'calendly_meetings, by the name of the original system.';
    revoke all on public.meetings from public, anon, authenticated, service_role;
    grant select on public.meetings to authenticated, service_role;
  end if;
end
$$;
