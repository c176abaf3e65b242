-- The figures that a monitor such as Prometheus keeps and draws. The Edge Function calendly-sync
-- writes them as OpenMetrics text.

create function calendly.alert_counts(alerts jsonb) returns jsonb
language sql immutable set search_path = ''
as $$
  select coalesce(jsonb_agg(to_jsonb(c) order by c.severity, c.code), '[]')
  from (
    select a ->> 'code' as code, a ->> 'severity' as severity, count(*) as count
    from jsonb_array_elements(alerts) a
    group by 1, 2
  ) c
$$;
comment on function calendly.alert_counts(jsonb) is
  'Alerts as calendly_health lists them, counted: [{code, severity, count}].';

create function calendly.to_seconds(duration text) returns double precision
language sql immutable set search_path = ''
as $$
  select extract(epoch from duration::interval)::double precision
$$;
comment on function calendly.to_seconds(text) is 'An interval as jsonb has it, in seconds.';

create function public.calendly_metrics() returns jsonb
language sql stable security definer set search_path = '' set jit = off
-- as calendly_health, whose work it does
set statement_timeout = '30s'
as $$
  select jsonb_build_object(
    'version', h.answer -> 'version',
    'status', h.answer -> 'status',
    'alerts', calendly.alert_counts(h.answer -> 'alerts'),
    'users', h.answer #> '{freshness,users}',
    'never_synced', h.answer #> '{freshness,never_synced}',
    'staleness_p50', calendly.to_seconds(h.answer #>> '{freshness,p50}'),
    'staleness_p95', calendly.to_seconds(h.answer #>> '{freshness,p95}'),
    'staleness_max', calendly.to_seconds(h.answer #>> '{freshness,max}'),
    'due', s.answer -> 'due',
    'running_workers', s.answer -> 'running_workers',
    'max_workers', s.answer -> 'max_workers',
    'ticked_at', extract(epoch from (s.answer ->> 'ticked_at')::timestamptz)::double precision)
  from (select public.calendly_health() as answer offset 0) h
  cross join (select public.calendly_schedule() as answer offset 0) s
$$;
comment on function public.calendly_metrics() is
  'What calendly_health and calendly_schedule say, as figures: {version, status, alerts: [{code, '
  'severity, count}], users, never_synced, staleness_p50, staleness_p95, staleness_max (seconds), '
  'due, running_workers, max_workers, ticked_at (seconds since 1970)}.';

select calendly.revoke_all();
