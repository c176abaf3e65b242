/** calendly_sync_health with 500 users, 400 meetings and 60 webhook events each: exact, and at a cost that follows the rows. */
import assert from "node:assert/strict";
import { type Database } from "../../local/database.ts";
import { databaseTest } from "../harness/databases.ts";
import { FIXTURES } from "../database/fixtures/fixtures.ts";

/** A node of `explain (format json)`. */
interface PlanNode {
  "Node Type": string;
  "Actual Rows": number;
  "Actual Loops": number;
  Plans?: PlanNode[];
}

for (
  const [kind, users, meetings, events] of [
    ["embedded", 50, 40, 6],
    ["real", 500, 400, 60],
  ] as const
) {
  databaseTest(
    `health is exact for ${users} users with ${meetings} meetings and ${events} webhook events each`,
    async (database, t) => {
      await populate(database, users, meetings, events);
      await t.step("every number is exact", async () => {
        const wrong = await database.query(DIFFERENCES);
        assert.deepEqual(wrong, []);
        const [{ count }] = await database.query<{ count: number }>(
          "select count(*)::integer as count from public.calendly_sync_health",
        );
        assert.equal(count, users);
      });
      await t.step("meetings and webhook events do not multiply each other", async () => {
        const nodes = await explain(database, "select * from public.calendly_sync_health");
        const all = users * (meetings + events);
        for (const { type, rows } of nodes) {
          assert.ok(rows <= (/Join|Loop/.test(type) ? users : all), `${type}: ${rows} rows`);
        }
      });
      await t.step("the health of one user reads that user's rows only", async () => {
        const nodes = await explain(
          database,
          "select * from public.calendly_sync_health where user_id = (select min(id) from public.calendly_users)",
        );
        for (const { type, rows } of nodes) {
          assert.ok(rows <= Math.max(meetings, users), `${type}: ${rows} rows`);
        }
      });
      await t.step("the health of one user by e-mail reads that user's rows only", async () => {
        const nodes = await explain(
          database,
          "select * from public.calendly_sync_health where email = 'p7@example.com'",
        );
        for (const { type, rows } of nodes) {
          assert.ok(rows <= Math.max(meetings, users), `${type}: ${rows} rows`);
        }
      });
      await t.step("a signed-in person reads their own row only", async () => {
        await database.script(`select tests.sign_in('p7');
          do $$ begin
            if (select array_agg(email::text) from public.calendly_sync_health) <> '{p7@example.com}' then
              raise 'reads more than that';
            end if;
          end $$;`);
      });
      await t.step("every number is exact for the owner of an organization", async () => {
        await database.script(`
          insert into public.calendly_connections (id, user_id, calendly_user_uri, scope, members,
              connected_at, created_at, updated_at)
            select gen_random_uuid(), tests.id_of('p7'), tests.host('p7'), 'organization', 'everyone',
              now(), now(), now();
          update public.calendly_users set connection_id = (tests.connection_of('p7')).id;
          grant usage on schema tests to authenticated;
          grant select on tests.truth to authenticated;
          select tests.sign_in('p7');
          do $$ begin
            if exists (${DIFFERENCES}) then
              raise 'a number is wrong';
            end if;
          end $$;`);
      });
    },
    { on: kind, seed: false },
  );
}

/** Meeting m and webhook event e of each user depend on m and e alone. */
async function populate(database: Database, users: number, meetings: number, events: number) {
  await database.script(`${FIXTURES};
    insert into auth.users (id, email, email_confirmed_at)
      select gen_random_uuid(), 'p' || n || '@example.com', now() from generate_series(1, ${users}) n;
    insert into public.calendly_users (auth_user_id, calendly_user_uri, email)
      select a.id, tests.host(split_part(a.email, '@', 1)), a.email from auth.users a;
    insert into public.calendly_meetings (user_id, calendly_event_uri, name, status, start_time, end_time,
        is_deleted, synced_via_webhook, created_at, updated_at, raw)
      select u.id, tests.event_uri(u.id || '-' || m), 'Intro call', 'active', now(), now(),
        m % 4 = 0, m % 3 = 0, now(), '2026-06-01T00:00:00Z'::timestamptz + m * interval '1 second',
        tests.event('E')
      from public.calendly_users u, generate_series(1, ${meetings}) m;
    insert into public.calendly_meetings (user_id, name) select id, 'an app''s own' from public.calendly_users;
    insert into public.calendly_webhook_events (event_id, event_type, payload, user_id, created_at, status)
      select u.id || '-' || e, 'invitee.created', '{}', u.id, now(), 'processed'
      from public.calendly_users u, generate_series(1, ${events} + u.id % 2) e;
    insert into public.calendly_webhook_events (event_id, event_type, payload, created_at, status)
      values ('nobody''s', 'invitee.created', null, now(), 'ignored');
    create table tests.truth as
      select u.id as user_id, ${meetings} - ${meetings} / 4 as active, ${meetings} / 4 as deleted,
        ${meetings} / 3 as by_webhook,
        '2026-06-01T00:00:00Z'::timestamptz + ${meetings} * interval '1 second' as last_written,
        ${events} + u.id % 2 as received
      from public.calendly_users u;`);
  await database.query("analyze");
}

const DIFFERENCES = `
  select t.*, h.* from tests.truth t
  full join public.calendly_sync_health h using (user_id)
  where (t.active, t.deleted, t.by_webhook, t.last_written, t.received) is distinct from
    (h.active_calendly_meetings, h.deleted_calendly_meetings, h.webhook_synced_meetings,
     h.last_meeting_sync, h.webhook_events_received)
  limit 5`;

/** The nodes of a query's plan with the rows that really came out of them. */
async function explain(
  database: Database,
  query: string,
): Promise<{ type: string; rows: number }[]> {
  const [{ "QUERY PLAN": answer }] = await database.query<{ "QUERY PLAN": unknown }>(
    `explain (analyze, timing off, format json) ${query}`,
  );
  const [{ Plan }] = (typeof answer === "string" ? JSON.parse(answer) : answer) as [
    { Plan: PlanNode },
  ];
  const flatten = (node: PlanNode): { type: string; rows: number }[] => [
    { type: node["Node Type"], rows: node["Actual Rows"] * node["Actual Loops"] },
    ...(node.Plans ?? []).flatMap(flatten),
  ];
  return flatten(Plan);
}
