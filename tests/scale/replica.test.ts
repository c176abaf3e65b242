/**
 * A streaming replica: an app reads from it while syncs run on the primary, and it takes the primary's
 * place when that crashes. See docs/scale.md.
 */
import assert from "node:assert/strict";
import postgres from "postgres";
import { type Person, Project } from "../functions/support.ts";
import { Cluster } from "../harness/cluster.ts";
import { needing, SERVER_PROGRAMS } from "../harness/requirements.ts";
import { allSynced, eventually, nextMinute, people } from "../schedule/support.ts";

const SETTINGS = { max_connections: 100 };
const EVENTS = 12;

Deno.test({
  ...needing("an app reads from a replica while syncs run", "postgresServer"),
  async fn(t) {
    await using primary = await Cluster.start(SERVER_PROGRAMS!, SETTINGS);
    await using project = await Project.start("embedded", { databaseUrl: primary.url });
    await using replica = await primary.startStandby();
    await using reader = connected(replica.url);
    const [ana, ben, ...others] = await people(project, 4, EVENTS);

    await t.step("reads succeed while rows come in, and nothing is taken back", async () => {
      let syncing = true;
      const syncs = Promise.all([ana, ben, ...others].map((person) => person.sync()))
        .finally(() => syncing = false);
      const counts: number[] = [];
      while (syncing) counts.push((await readAs(reader.sql, ana, OWN_MEETINGS)).length);
      assert.deepEqual((await syncs).map(({ body }) => body.created), [12, 12, 12, 12]);
      assert.deepEqual(counts, counts.toSorted((a, b) => a - b));
    });
    await caughtUp(project, reader.sql);

    await t.step("a signed-in person reads their own rows", async () => {
      const meetings = await readAs(reader.sql, ana, OWN_MEETINGS);
      assert.equal(meetings.length, EVENTS);
      assert.ok(meetings.every(({ user_id, invitees }) => user_id === ana.id && invitees === 1));
      const [health, ...more] = await readAs(
        reader.sql,
        ana,
        "select * from calendly_sync_health",
      );
      assert.deepEqual(more, []);
      assert.deepEqual([health.user_id, Number(health.active_calendly_meetings)], [ana.id, EVENTS]);
      const runs = await readAs(reader.sql, ana, "select user_id, status from calendly_sync_runs");
      assert.deepEqual([...runs], [{ user_id: ana.id, status: "complete" }]);
    });

    await t.step("whoever operates it reads there what the primary answers", async () => {
      for (const statement of OF_THE_OPERATOR) {
        const all = `select jsonb_agg(to_jsonb(a))::text as answer from (${statement}) a`;
        const [{ answer }] = await project.stack.sql<{ answer: string | null }>(all);
        const [there] = await reader.sql.unsafe(all);
        assert.equal(withoutAges(there.answer), withoutAges(answer), statement);
        assert.equal(answer === null, statement.includes("calendly_alerts"), statement);
      }
    });

    await t.step("what writes is refused there", async () => {
      for (const statement of WRITES) {
        await assert.rejects(reader.sql.unsafe(statement), { code: "25006" }, statement);
      }
    });
  },
});

Deno.test({
  ...needing("a run goes on at the standby that takes the primary's place", "postgresServer"),
  async fn() {
    await using primary = await Cluster.start(SERVER_PROGRAMS!, SETTINGS);
    await using project = await Project.start("embedded", { databaseUrl: primary.url });
    await using standby = await primary.startStandby();
    const [person] = await people(project, 1, EVENTS);
    await project.set("page_size", 5);
    await project.advance("15m");
    // Calendly answers the first page of the listing and never the second.
    project.sandbox.control.faults({
      path: "/scheduled_events",
      skip: 1,
      times: null,
      effect: { kind: "stall" },
    });
    await nextMinute(project);
    await eventually(
      "the first page is applied",
      async () => (await person.runs())[0]?.fetched_active === 5,
    );
    {
      await using reader = connected(standby.url);
      await caughtUp(project, reader.sql);
    }
    await project.stack.functions.kill("calendly-sync");
    await standby.takeOver(primary);
    project.sandbox.control.clear_faults();

    const [{ collected }] = await project.stack.sql(
      "select count(*)::integer as collected from calendly.run_seen",
    );
    assert.equal(collected, 0, "a failover empties unlogged tables");
    await nextMinute(project);
    await nextMinute(project);
    await allSynced(project);
    const [run, ...more] = await person.runs();
    assert.deepEqual(more, []);
    assert.equal(run.status, "complete");
    const meetings = await person.meetings();
    assert.deepEqual([meetings.length, meetings.some(({ is_deleted }) => is_deleted)], [
      EVENTS,
      false,
    ]);
  },
});

const OWN_MEETINGS = `
  select m.user_id, (
      select count(*) from calendly_invitees i where i.meeting_id = m.id)::integer as invitees
  from calendly_meetings m where m.start_time > '2026-03-01'`;

/** What answers about everybody. */
const OF_THE_OPERATOR = [
  "select public.calendly_health()",
  "select public.calendly_schedule()",
  "select * from public.calendly_sync_health order by user_id",
  "select * from public.calendly_alerts order by code",
  "select * from public.calendly_freshness",
];

/** How long ago something was depends on when it is asked for. */
const withoutAges = (answer: string | null) => answer?.replaceAll(/"\d+ days [^"]*"/g, '"…"');

const WRITES = [
  'select public.calendly_begin_sync(\'{"user_id": 2, "trigger": "manual"}\')',
  "update public.calendly_users set calendly_initial_sync_complete = false where id = 2",
  "select public.clean_old_webhook_events()",
  "select public.calendly_erase_invitee('jane@example.com')",
];

/** A statement as a signed-in person, as the Data API runs it. */
async function readAs(sql: postgres.Sql, person: Person, statement: string) {
  const claims = { sub: person.account.auth_user_id, role: "authenticated" };
  return await sql.begin("read only", async (transaction) => {
    await transaction`select set_config('role', 'authenticated', true),
      set_config('request.jwt.claims', ${JSON.stringify(claims)}, true)`;
    return await transaction.unsafe(statement);
  });
}

/** Waits until the replica has all that the primary has committed by now. */
async function caughtUp(project: Project, replica: postgres.Sql): Promise<void> {
  const [{ written }] = await project.stack.sql("select pg_current_wal_lsn()::text as written");
  await eventually("the replica has caught up", async () => {
    const [{ there }] = await replica`
      select pg_last_wal_replay_lsn() >= ${written}::pg_lsn as there`;
    return there;
  });
}

function connected(url: string): { sql: postgres.Sql } & AsyncDisposable {
  const sql = postgres(url, { max: 1, onnotice: () => {} });
  return { sql, [Symbol.asyncDispose]: () => sql.end() };
}
