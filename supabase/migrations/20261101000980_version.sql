-- Which release of the product this database is at. The functions know theirs
-- (supabase/functions/_shared/calendly/version.ts), and say so where the two differ.
--
-- Each later release adds a migration, its last, that replaces calendly.version(), even where
-- nothing else of the database changes.

create function calendly.version() returns text
language sql immutable set search_path = ''
as $$
  select '0.1.0'
$$;
comment on function calendly.version() is
  'The release of Calendly Sync whose migrations this database has.';

select calendly.revoke_all();
