-- What is kept, and for how long.

create function public.clean_old_webhook_events() returns integer
language plpgsql security definer set search_path = ''
as $$
declare
  at constant timestamptz := calendly.now();
  cleaned integer;
begin
  delete from public.calendly_webhook_events e
    where e.id in (
      select old.id
      from public.calendly_webhook_events old, calendly.settings s
      where old.created_at < at - s.webhook_event_retention
        and (old.status in ('processed', 'ignored')
          or (old.status = 'dead' and old.created_at < at - s.dead_webhook_event_retention))
      order by old.created_at
      limit 5000
      -- whoever else cleans, or works on one of them, is not waited for
      for update of old skip locked
    );
  get diagnostics cleaned = row_count;
  return cleaned;
end
$$;
revoke all on function public.clean_old_webhook_events() from public, anon, authenticated, service_role;
grant execute on function public.clean_old_webhook_events() to service_role;
comment on function public.clean_old_webhook_events() is
  'Deletes at most 5,000 webhook events older than 30 days and returns how many. Deferred ones are kept, dead ones for 90 days. Call it until it returns 0.';
