/**
 * No connection waits for ever: an hour of the schedule on the stopped clock, with connections that fail,
 * are slow, or crash every worker that syncs them, all due at the same moment to begin with. The rules run
 * as they are; only Calendly and the workers are simulated (fairness.sql). PROOF=full: 10,000 connections.
 */
import assert from "node:assert/strict";
import { type Database } from "../../local/database.ts";
import { databaseTest } from "../harness/databases.ts";

const BEGIN = "2026-06-01T12:00:00Z";
const MINUTES = 60;
/** Share of the connections. */
const SLOW = 0.05;
const FAILING = 0.009;
const CRASHING = 0.001;
/** Workers for a thousand such connections; more than half of their time goes to the slow ones. */
const WORKERS_PER_THOUSAND = 10;

for (
  const [kind, people] of [
    ["embedded", 100],
    ["real", Deno.env.get("PROOF") === "full" ? 10_000 : 300],
  ] as const
) {
  databaseTest(
    `of ${people} connections, some of which fail, every healthy one is synced within its interval`,
    (database) => passAnHour(database, people),
    { on: kind, seed: false, long: true },
  );
}

databaseTest(
  "nudges of a stranger every second sync nobody sooner or more often, and start no more workers",
  async (database) => {
    const strangers = 60;
    const maxWorkers = 3;
    await populate(database, 40, maxWorkers);
    await pass(database, strangers);
    const [{ fewest, most, most_workers, claims }] = await database.query<Record<string, number>>(
      `select min(syncs) as fewest, max(syncs) as most,
         (select max(workers) from tests.slots_in_use) as most_workers,
         (select count(*)::integer from public.calendly_sync_runs) as claims
       from tests.person where kind in ('healthy', 'slow')`,
    );
    // the first at once, the others after an interval each, a tenth shorter at the shortest
    assert.ok(fewest >= 4 && most <= 1 + Math.floor(MINUTES / (15 * 0.9)), `${fewest} to ${most}`);
    assert.ok(most_workers <= maxWorkers, `${most_workers} workers at once`);
    assert.ok(claims < 40 * 6, `${claims} runs for ${strangers * MINUTES} nudges`);
  },
  { seed: false, long: true },
);

async function populate(database: Database, people: number, maxWorkers: number): Promise<void> {
  await database.script(await Deno.readTextFile(new URL("fairness.sql", import.meta.url)));
  await database.query("select public.calendly_configure($1)", [
    JSON.stringify({ max_workers: maxWorkers }),
  ]);
  await database.query(
    `call tests.populate(${people}, ${SLOW}, ${FAILING}, ${CRASHING}, '${BEGIN}')`,
  );
  await database.query("analyze");
}

/** The hour, with what autovacuum does once a minute. */
async function pass(database: Database, strangers = 0): Promise<void> {
  for (let minute = 0; minute < MINUTES; minute++) {
    await database.query(`call tests.pass(1, ${strangers})`);
    await database.query(
      `vacuum analyze public.calendly_connections, public.calendly_sync_runs, public.calendly_users,
         calendly.active_runs, calendly.run_seen, calendly.clock, tests.person, tests.worker`,
    );
  }
}

async function passAnHour(database: Database, people: number): Promise<void> {
  const maxWorkers = Math.max(4, Math.round(people * WORKERS_PER_THOUSAND / 1000));
  await populate(database, people, maxWorkers);
  await pass(database);

  // An interval, its jitter, a tick, and a minute of waiting for a free worker.
  const limit = 15 * 1.1 + 2;
  const rows = await database.query<Record<string, number>>(
    `select kind, count(*)::integer as people, min(syncs) as fewest,
       max(extract(epoch from greatest(longest_gap, calendly.now() - synced_at)) / 60)::real as longest,
       (select count(*)::integer from public.calendly_sync_runs r join tests.person o using (user_id)
        where o.kind = p.kind) as runs
     from tests.person p group by kind`,
  );
  const kinds = Object.fromEntries(rows.map((row) => [row.kind, row]));
  console.log(`longest wait of a healthy one: ${kinds.healthy.longest.toFixed(1)} min`);
  assert.ok(kinds.healthy.longest <= limit, JSON.stringify(kinds.healthy));
  assert.ok(kinds.healthy.fewest >= 3);
  assert.ok(kinds.slow.fewest >= 3, "the slow ones are synced as often as the others");
  // half a minute, one, two, … up to an hour: seven tries, and the first
  if (kinds.failing) {
    assert.ok(
      kinds.failing.runs <= 9 * kinds.failing.people,
      "a connection that fails is tried less and less often",
    );
  }
  const [{ most_workers }] = await database.query<{ most_workers: number }>(
    "select max(workers) as most_workers from tests.slots_in_use",
  );
  assert.ok(most_workers <= maxWorkers, `${most_workers} workers at once`);
}
