/** The keys by which a distributed Postgres could take meetings and invitees: see docs/scale.md. */
import assert from "node:assert/strict";
import { databaseTest } from "../harness/databases.ts";

interface Key {
  name: string;
  /** Of the table's own columns. */
  columns: string[];
}

/** Primary keys, unique indexes, and foreign keys from or to the two tables. */
const KEYS = `
  with distributed as (
    select unnest('{public.calendly_meetings, public.calendly_invitees}'::regclass[]) as id
  )
  select i.indexrelid::regclass::text as name, array(
      select a.attname::text from pg_catalog.pg_attribute a
      where a.attrelid = i.indrelid and a.attnum = any (i.indkey::int2[])) as columns
    from pg_catalog.pg_index i join distributed d on d.id = i.indrelid where i.indisunique
  union all
  select c.conrelid::regclass || ' ' || c.conname, array(
      select a.attname::text from pg_catalog.pg_attribute a
      where a.attrelid = c.conrelid and a.attnum = any (c.conkey))
    from pg_catalog.pg_constraint c
    where c.contype = 'f' and exists (
      select from distributed d where d.id in (c.conrelid, c.confrelid))
  order by 1`;

databaseTest("each key of meetings and invitees has user_id in it", async (database) => {
  const keys = await database.query<Key>(KEYS);
  assert.deepEqual(keys.map(({ name }) => name.replace(/^public\./, "")), [
    "calendly.meeting_sync meeting_sync_user_id_event_uri_fkey",
    "calendly_invitees calendly_invitees_meeting_id_user_id_fkey",
    "calendly_invitees calendly_invitees_user_id_fkey",
    "calendly_invitees_pkey",
    "calendly_invitees_uri_key",
    "calendly_meetings calendly_meetings_user_id_fkey",
    "calendly_meetings_calendly_event_key",
    "calendly_meetings_pkey",
  ]);
  const without = keys.filter(({ columns }) => !columns.includes("user_id"));
  assert.deepEqual(without, []);
});

databaseTest("each foreign key has an index that begins with its columns", async (database) => {
  const without = await database.query(
    `select c.conname from pg_catalog.pg_constraint c
     where c.contype = 'f' and c.connamespace in ('public'::regnamespace, 'calendly'::regnamespace)
       and not exists (
         select from pg_catalog.pg_index i where i.indrelid = c.conrelid
           and (i.indkey::int2[])[0:cardinality(c.conkey) - 1] = c.conkey)
     order by 1`,
  );
  assert.deepEqual(without, []);
});

databaseTest(
  "no key follows an update of user_id, which no database distributes",
  async (database) => {
    const following = await database.query(
      `select conname from pg_catalog.pg_constraint
     where contype = 'f' and connamespace in ('public'::regnamespace, 'calendly'::regnamespace)
       and confupdtype <> 'a'`,
    );
    assert.deepEqual(following, []);
  },
);

databaseTest("a meeting's id is always taken from its sequence", async (database) => {
  for (const table of ["calendly_meetings", "calendly_invitees"]) {
    const [{ identity }] = await database.query(
      `select a.attidentity::text as identity from pg_catalog.pg_attribute a
       where a.attrelid = $1::text::regclass and a.attname = 'id'`,
      [`public.${table}`],
    );
    assert.equal(identity, "a", table);
  }
});
