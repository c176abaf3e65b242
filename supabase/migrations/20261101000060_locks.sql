-- The order in which transactions lock, in one place. Every transaction that writes locks in this
-- order, so that two of them never wait for each other:
--
--   1. calendly.erasure   shared by everybody who locks any of the following, exclusive for whoever
--                         connects, ends or erases people
--   2. the run and its connection (row locks)
--   3. the delivery: calendly.lock_delivery while it is not stored, else its row lock
--   4. events: calendly.lock_events, sorted
--   5. meetings, then invitees
--   6. calendly.people    shared by the rules, exclusive for statements that people type; then the
--                         rows of calendly_users by id
--
-- A claim (830_schedule) locks in this order too, and waits for step 1 alone: it passes over
-- connections that are locked, and tries the locks of its slots (calendly.slot), which nobody waits
-- for. A worker writes the row of calendly.project before step 1 (calendly.note_worker): it passes
-- over that row where it is locked, and writes it only where the project's address is known. The
-- very first sync or connection notes the address, and writes the row after step 1
-- (calendly.check_project): while the address is not known, no worker has the row and waits for
-- step 1. The tick of the schedule writes it as well, and locks nothing after it that anybody else
-- locks; where the database was restored it locks the connections before, by id.
--
-- Whoever types several statements in one transaction deletes people before clearing their flags.
-- In the other order step 6 comes before step 1: Postgres may end a delivery or a step of a sync
-- that waits at the same moment, and it is then repeated.

create function calendly.lock_against_erasure() returns void
language plpgsql set search_path = ''
as $$
begin
  perform pg_advisory_xact_lock_shared(hashtextextended('calendly.erasure', 0));
end
$$;
comment on function calendly.lock_against_erasure() is
  'Step 1 of the lock order: until the end of the transaction nobody is erased. Taken before '
  'anything of Calendly''s is read for writing.';

create function calendly.lock_for_erasure() returns void
language sql set search_path = ''
as $$
  select pg_advisory_xact_lock(hashtextextended('calendly.erasure', 0))
$$;
comment on function calendly.lock_for_erasure() is
  'Step 1 for whoever erases: waits until nobody writes, and everybody else waits until the end of '
  'the transaction.';

create function calendly.lock_people(user_ids integer[]) returns void
language plpgsql set search_path = ''
as $$
begin
  perform pg_advisory_xact_lock_shared(hashtextextended('calendly.people', 0));
  -- Tells the triggers of calendly_users that a rule is at work and not a typed statement.
  perform set_config('calendly.people_are_locked', 'on', true);
  -- By id: two transactions with people in common lock them in the same order.
  perform from public.calendly_users u where u.id = any (user_ids) order by u.id for no key update;
end
$$;
comment on function calendly.lock_people(integer[]) is
  'Step 6 of the lock order: the last lock of a transaction, before calendly_users is written.';

create function calendly.lock_all_people() returns void
language sql set search_path = ''
as $$
  select pg_advisory_xact_lock(hashtextextended('calendly.people', 0))
$$;
comment on function calendly.lock_all_people() is
  'Step 6 for a statement that may touch any number of people in any order: no rule locks people '
  'until the end of the transaction.';
