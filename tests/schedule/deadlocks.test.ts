/**
 * Everything that locks many rows at once, beside syncs and deliveries of the same few people and events, on
 * a real Postgres: none waits for another in a circle. PROOF=full: for a minute, else for ten seconds.
 */
import assert from "node:assert/strict";
import postgres from "postgres";
import { needing } from "../harness/requirements.ts";
import { type Next, Workers } from "./workers.ts";

const SECONDS = Deno.env.get("PROOF") === "full" ? 60 : 10;

/** What one client does again and again, and how many clients do it. */
interface Operation {
  clients: number;
  run: (workers: Workers) => Promise<unknown>;
}

const OPERATIONS: Record<string, Operation> = {
  "a sync": { clients: 8, run: syncSomebody },
  "a delivery": { clients: 6, run: ({ sql }) => sql`select tests.deliver_any()` },
  "clearing the flag of all": {
    clients: 1,
    run: ({ sql }) => sql`update public.calendly_users set calendly_initial_sync_complete = false`,
  },
  "disconnecting with erase": { clients: 1, run: ({ sql }) => sql`select tests.disconnect_any()` },
  "connecting with replace": { clients: 2, run: ({ sql }) => sql`select tests.connect_any()` },
  "deleting people": {
    clients: 1,
    run: ({ sql }) =>
      sql`delete from public.calendly_users
        where id in (select id from public.calendly_users order by random() limit 2)`,
  },
  "erasing an invitee": {
    clients: 1,
    run: ({ sql }) =>
      sql`select public.calendly_erase_invitee('i' || floor(random() * 1000) || '@guest.example.com')`,
  },
  "the end of an account": { clients: 1, run: endAnAccount },
  "a subscription": { clients: 2, run: subscribeSomebody },
  "a refused token": { clients: 1, run: ({ sql }) => sql`select tests.refuse_any_token()` },
  "a tick": { clients: 1, run: ({ sql }) => sql`select calendly.nudge()` },
};

/** Errors of our functions that come of what the other clients do. */
const EXPECTED = [
  "account_closed",
  "calendly_user_taken",
  "connection_changed",
  "lease_lost",
  "not_connected",
  "reconnect_required",
  "synced_by_organization",
  "unknown_user",
];
/** A wait that was given up after `lock_timeout`, as on a busy machine; a deadlock is found before. */
const LOCK_NOT_AVAILABLE = "55P03";

Deno.test({
  ...needing(
    `${SECONDS} seconds of syncs, deliveries, connecting and erasing without a deadlock`,
    "realPostgres",
    "longRun",
  ),
  async fn() {
    const clients = Object.values(OPERATIONS).reduce((sum, { clients }) => sum + clients, 0);
    await using workers = await Workers.start({ people: 0, connections: clients });
    const { sql } = workers;
    await sql.unsafe(await Deno.readTextFile(new URL("deadlocks.sql", import.meta.url))).simple();
    for (let connections = 0; connections < 40; connections++) {
      await sql`select tests.connect_any()`;
    }

    const done = await runAll(workers);
    console.log(Object.entries(done).map(([name, times]) => `${name}: ${times}`).join(", "));
    for (const [name, times] of Object.entries(done)) assert.ok(times > 0, `${name}: never`);
    assert.equal(await deadlocks(sql), 0);

    // What is left goes on as if nothing had happened.
    await sql`update calendly.active_runs set lease_expires_at = calendly.now()`;
    await sql`select tests.all_are_due()`;
    for (let claim = await workers.claim(); claim.status === "started";) {
      await workers.runSync(claim, anyResult);
      claim = await workers.claim();
    }
    const [{ active, current }] = await sql`
      select count(*)::integer as active, count(current_as_of)::integer as current
      from public.calendly_connections where state = 'active'`;
    assert.ok(active > 0);
    assert.equal(current, active, "every connection has been synced completely");
  },
});

/** Lets all clients work side by side; how often each operation was done. Throws an unexpected error. */
async function runAll(workers: Workers): Promise<Record<string, number>> {
  const end = performance.now() + SECONDS * 1000;
  const done = Object.fromEntries(Object.keys(OPERATIONS).map((name) => [name, 0]));
  const failed = new AbortController();
  await Promise.all(
    Object.entries(OPERATIONS).flatMap(([name, { clients, run }]) =>
      Array.from({ length: clients }, async () => {
        while (performance.now() < end && !failed.signal.aborted) {
          try {
            await run(workers);
            done[name]++;
          } catch (error) {
            if (isExpected(error)) continue;
            failed.abort();
            throw new Error(`${name} failed: ${error}`, { cause: error });
          }
        }
      })
    ),
  );
  return done;
}

function isExpected(error: unknown): boolean {
  if (!(error instanceof postgres.PostgresError)) return false;
  return error.code === LOCK_NOT_AVAILABLE ||
    error.code === "P0001" && EXPECTED.includes(error.detail ?? "");
}

/** A worker's sync, or a person's click. */
async function syncSomebody(workers: Workers): Promise<void> {
  const { sql } = workers;
  const [{ id }] = await sql`
    select coalesce((select id from public.calendly_users order by random() limit 1), 0) as id`;
  const claim = Math.random() < 0.2 ? await workers.click(id) : await workers.claim();
  if (claim.status === "started") await workers.runSync(claim, anyResult);
  if (claim.status === "idle") await sql`select tests.all_are_due()`;
}

function anyResult(sql: postgres.Sql, step: Next): postgres.Fragment {
  return sql`tests.any_result(${sql.json({ ...step })})`;
}

/** A subscription is begun, then kept, compared with Calendly's, or switched off. */
async function subscribeSomebody({ sql }: Workers): Promise<void> {
  const [{ begun: [subscription, connection, user] }] = await sql`
    select tests.subscribe_any() as begun`;
  const next = [
    () =>
      sql`select public.calendly_keep_subscription(${subscription}, ${`s/${subscription}`}, 'k')`,
    () => sql`select public.calendly_review_subscriptions(${connection}, '[]', 'k')`,
    () => sql`select public.calendly_disable_webhooks(${sql.json({ user_id: user })})`,
  ];
  await next[Math.floor(Math.random() * next.length)]();
}

/** An account is deleted, as Auth does it, and the minutely job notices. */
async function endAnAccount({ sql }: Workers): Promise<void> {
  await sql`delete from auth.users where id in (select id from auth.users order by random() limit 1)`;
  await sql`select calendly.end_closed_accounts()`;
}

async function deadlocks(sql: postgres.Sql): Promise<number> {
  await sql`select pg_stat_force_next_flush()`;
  const [{ deadlocks }] = await sql`
    select deadlocks::integer from pg_stat_database where datname = current_database()`;
  return deadlocks;
}
