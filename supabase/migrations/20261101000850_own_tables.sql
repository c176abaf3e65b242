-- An app may keep a table of its own in step by a trigger of its own on calendly_meetings (recipes
-- are in docs/own-tables.md). A recipe that fails must not fail a sync, so it catches its error and
-- reports it here. The failure stays, as an alert, until somebody has mended it and says so.

create table calendly.own_table_failures (
  source text primary key,
  error text not null,
  sqlstate text not null,
  failures integer not null default 1,
  first_failed_at timestamptz not null,
  last_failed_at timestamptz not null
);
alter table calendly.own_table_failures enable row level security;
comment on table calendly.own_table_failures is
  'Recipes that have failed to keep an app''s own table in step, until somebody clears them.';
comment on column calendly.own_table_failures.source is
  'Names the recipe: the app''s table or trigger.';
comment on column calendly.own_table_failures.error is
  'Message of the last failure, without e-mails.';
comment on column calendly.own_table_failures.sqlstate is 'SQLSTATE of the last failure.';
comment on column calendly.own_table_failures.failures is
  'How often it has failed since it was last cleared; of failures at the same moment one counts.';

create function public.calendly_record_own_table_failure(source text, error text, sqlstate text)
returns void
language plpgsql security definer set search_path = ''
as $$
declare
  now_at constant timestamptz := calendly.now();
  -- Postgres may have quoted a row, of a person.
  message constant text :=
    coalesce(calendly.without_emails(calendly_record_own_table_failure.error), '');
begin
  update calendly.own_table_failures f
    set error = message,
      sqlstate = coalesce(calendly_record_own_table_failure.sqlstate, ''),
      failures = f.failures + 1, last_failed_at = now_at
    from (
      select k.source from calendly.own_table_failures k
      where k.source = calendly_record_own_table_failure.source
      -- A recipe that fails for one person fails for all: syncs and deliveries must not wait for
      -- each other here. Somebody who holds the row is noting the same.
      for no key update skip locked
    ) free
    where f.source = free.source;
  if not found then
    insert into calendly.own_table_failures
        (source, error, sqlstate, first_failed_at, last_failed_at)
      values (calendly_record_own_table_failure.source, message,
        coalesce(calendly_record_own_table_failure.sqlstate, ''), now_at, now_at)
      on conflict on constraint own_table_failures_pkey do nothing;
  end if;
end
$$;
comment on function public.calendly_record_own_table_failure(text, text, text) is
  'Notes that a recipe has failed: its name, sqlerrm and sqlstate. Called in the exception block '
  'of an app''s trigger on calendly_meetings.';

create function public.calendly_clear_own_table_failure(source text) returns boolean
language plpgsql security definer set search_path = ''
as $$
begin
  delete from calendly.own_table_failures f
    where f.source = calendly_clear_own_table_failure.source;
  return found;
end
$$;
comment on function public.calendly_clear_own_table_failure(text) is
  'Says that a recipe is mended and its table is filled again: the alert goes. False where there '
  'was none.';

select calendly.revoke_all();
