/** Many workers at once, on a real Postgres: one per connection, and no more than max_workers in all. */
import assert from "node:assert/strict";
import { needing } from "../harness/requirements.ts";
import { type Claim, IDLE, type Started, Workers } from "./workers.ts";
import { eventually } from "./support.ts";

function claimsTest(
  name: string,
  people: number,
  test: (workers: Workers) => Promise<void>,
): void {
  Deno.test({
    ...needing(name, "realPostgres"),
    async fn() {
      await using workers = await Workers.start({ people, connections: 40 });
      await test(workers);
    },
  });
}

function started(claims: Claim[]): Started[] {
  return claims.filter((claim): claim is Started => claim.status === "started");
}

claimsTest(
  "of forty claims at once, max_workers get a run, each of another connection",
  50,
  async (workers) => {
    await workers.sql`select public.calendly_configure('{"max_workers": 7}')`;
    for (let round = 0; round < 5; round++) {
      await workers.makeAllDue();
      const claims = started(
        await Promise.all(Array.from({ length: 40 }, () => workers.claim())),
      );
      assert.equal(claims.length, 7);
      assert.equal(new Set(claims.map(({ user_id }) => user_id)).size, 7);
      const ids = await workers.sql`select id from public.calendly_users order by id limit 7`;
      assert.deepEqual(
        claims.map(({ user_id }) => user_id).sort((a, b) => a - b),
        ids.map(({ id }) => id),
        "the connections that have been due longest",
      );
      await Promise.all(claims.map((claim) => workers.runSync(claim)));
    }
  },
);

claimsTest(
  "the test makes people due in the order of their ids, however slow the clock is",
  20,
  async (workers) => {
    const { sql } = workers;
    await sql`create or replace function calendly.now() returns timestamptz language sql volatile
    as 'select clock_timestamp() from pg_sleep(0.005)'`;
    const ids = (await sql`select id from public.calendly_users order by id`).map(({ id }) => id);
    // the last comes first in the table
    for (const id of ids.toReversed()) {
      await sql`update public.calendly_connections set updated_at = updated_at where user_id = ${id}`;
    }
    await workers.makeAllDue();
    const due = await sql`select user_id from public.calendly_connections order by next_sync_at`;
    assert.deepEqual(due.map(({ user_id }) => user_id), ids);
  },
);

claimsTest(
  "of twenty-five workers, twenty sync three hundred people once each",
  300,
  async (workers) => {
    await workers.makeAllDue();
    const first = await Promise.all(Array.from({ length: 25 }, () => workers.claim()));
    assert.equal(started(first).length, 20, "the others find no free slot");
    const synced: number[] = [];
    await Promise.all(first.map(async (claim) => {
      while (claim.status === "started") {
        await workers.runSync(claim);
        synced.push(claim.user_id);
        claim = await workers.claim();
      }
    }));
    assert.equal(synced.length, 300);
    assert.equal(new Set(synced).size, 300);
    const [{ waiting }] = await workers.sql`
    select count(*)::integer as waiting from public.calendly_connections where next_sync_at <= calendly.now()`;
    assert.equal(waiting, 0);
  },
);

claimsTest(
  "a claim passes over a connection that another transaction has locked",
  3,
  async (workers) => {
    await workers.makeAllDue();
    const [first, second] = await workers.sql`select id from public.calendly_users order by id`;
    await workers.sql.begin(async (holder) => {
      await holder`select from public.calendly_connections where user_id = ${first.id} for no key update`;
      // A claim that waited would fail by lock_timeout: the lock is released after it.
      const claim = await workers.claim();
      assert.equal(claim.status === "started" && claim.user_id, second.id);
    });
    const claim = await workers.claim();
    assert.equal(
      claim.status === "started" && claim.user_id,
      first.id,
      "once unlocked it is the next to be claimed",
    );
  },
);

claimsTest(
  "a claim waits for no other, and slots of claims that are not committed yet are not free",
  4,
  async (workers) => {
    await workers.sql`select public.calendly_configure('{"max_workers": 3}')`;
    await workers.makeAllDue();
    // the very first sync notes the project's address, and others wait for that
    await workers.runSync(await workers.claim() as Started);
    await workers.makeAllDue();
    const ids = (await workers.sql`select id from public.calendly_users order by id`)
      .map(({ id }) => id);
    await workers.sql.begin(async (first) => {
      const claims = [await workers.claim(first), await workers.claim(), await workers.claim()];
      assert.deepEqual(started(claims).map(({ user_id }) => user_id), ids.slice(0, 3));
      assert.deepEqual(await workers.claim(), IDLE);
    });
    assert.deepEqual(await workers.claim(), IDLE);
  },
);

claimsTest(
  "of claims and clicks at once, no more run than max_workers and the clicks",
  40,
  async (workers) => {
    await workers.sql`select public.calendly_configure('{"max_workers": 7}')`;
    const ids = (await workers.sql`select id from public.calendly_users order by id desc limit 5`)
      .map(({ id }) => id);
    for (let round = 0; round < 5; round++) {
      await workers.makeAllDue();
      const [clicks, claims] = await Promise.all([
        Promise.all(ids.map((id) => workers.click(id))),
        Promise.all(Array.from({ length: 30 }, () => workers.claim())),
      ]);
      assert.ok(clicks.every(({ status }) => status === "started"), "a click needs no free slot");
      const claimed = started(claims);
      assert.ok(claimed.length >= 2 && claimed.length <= 7, `${claimed.length} claims`);
      await Promise.all([...claimed, ...clicks as Started[]].map((run) => workers.runSync(run)));
    }
  },
);

claimsTest(
  "where nothing is due, a claim only reads, and waits for no lock",
  2,
  async (workers) => {
    await workers.sql.begin(async (holder) => {
      await holder`select calendly.lock_for_erasure()`;
      await holder`select from calendly.project for update`;
      await holder`select from public.calendly_connections for update`;
      await workers.sql.begin(async (transaction) => {
        assert.deepEqual(await workers.claim(transaction), IDLE);
        const [{ writes, locks }] = await transaction`
          select pg_current_xact_id_if_assigned() is not null as writes, array(
            select l.locktype || ' ' || l.mode from pg_locks l
            where l.pid = pg_backend_pid() and l.locktype <> 'virtualxid'
              and l.mode <> 'AccessShareLock') as locks`;
        assert.deepEqual({ writes, locks }, { writes: false, locks: [] });
      });
    });
  },
);

claimsTest(
  "a worker that comes after a tick is noted once, and waits for nobody to note it",
  1,
  async (workers) => {
    const { sql } = workers;
    const unanswered = async () =>
      (await sql`select unanswered_since is not null as unanswered from calendly.project`)[0]
        .unanswered;
    await sql`update calendly.project set unanswered_since = calendly.now()`;
    await sql.begin(async (holder) => {
      await holder`select from calendly.project for update`;
      await workers.claim();
      assert.equal(await unanswered(), true, "whoever holds the row is not waited for");
    });
    await workers.claim();
    assert.equal(await unanswered(), false);
    const version = async () => (await sql`select xmin::text from calendly.project`)[0].xmin;
    const before = await version();
    await workers.claim();
    assert.equal(await version(), before);
  },
);

claimsTest(
  "of a click and five claims at the same moment, one gets the run",
  1,
  async (workers) => {
    const [{ id }] = await workers.sql`select id from public.calendly_users`;
    for (let round = 0; round < 30; round++) {
      await workers.makeAllDue();
      const [clicked, ...claims] = await Promise.all([
        workers.click(id),
        ...Array.from({ length: 5 }, () => workers.claim()),
      ]);
      const running = started(claims);
      if (clicked.status === "started") running.push(clicked);
      assert.equal(running.length, 1);
      if (clicked.status === "in_progress") assert.equal(clicked.run_id, running[0].run_id);
      await workers.runSync(running[0]);
    }
  },
);

claimsTest("a lease starts when the wait for the connection is over", 1, async (workers) => {
  const { sql } = workers;
  const [{ id }] = await sql`select id from public.calendly_users`;
  let begun: ReturnType<Workers["click"]> | undefined;
  const [{ freed_at }] = await sql.begin(async (holder) => {
    await holder`select from public.calendly_connections for no key update`;
    begun = workers.click(id);
    await eventually("the click waits", async () => {
      const waiting = await sql`select from pg_stat_activity
        where datname = current_database() and wait_event_type = 'Lock'`;
      return waiting.length === 1;
    });
    return await holder`select clock_timestamp()::text as freed_at`;
  });
  const { run_id } = await begun as Started;
  const [{ lease_after, run_after }] = await sql`
    select o.lease_expires_at >= ${freed_at}::timestamptz + s.lease_duration as lease_after,
      r.started_at >= ${freed_at}::timestamptz as run_after
    from public.calendly_sync_runs r join calendly.active_runs o on o.run_id = r.id, calendly.settings s
    where r.id = ${run_id}`;
  assert.deepEqual([lease_after, run_after], [true, true]);
});

claimsTest("a worker whose run was taken over cannot write any more", 1, async (workers) => {
  await workers.makeAllDue();
  const crashed = await workers.claim() as Started;
  await workers.sql`update calendly.active_runs set lease_expires_at = calendly.now()`;
  await workers.sql`update public.calendly_connections set next_sync_at = calendly.now()`;
  const next = await workers.claim() as Started;
  assert.equal(next.run_id, crashed.run_id, "the same run");
  await assert.rejects(workers.runSync(crashed), { detail: "lease_lost" });
  await workers.runSync(next);
  await assert.rejects(workers.runSync(crashed), { detail: "lease_lost" });
});

claimsTest(
  "ticks, claims and syncs of all connections at once do not deadlock",
  60,
  async (workers) => {
    let over = false;
    const ticks = (async () => {
      while (!over) await workers.sql`select calendly.nudge()`;
    })();
    try {
      for (let round = 0; round < 3; round++) {
        await workers.makeAllDue();
        const synced = await Promise.all(Array.from({ length: 15 }, async () => {
          let count = 0;
          for (let claim = await workers.claim(); claim.status === "started"; count++) {
            await workers.runSync(claim);
            claim = await workers.claim();
          }
          return count;
        }));
        assert.equal(synced.reduce((sum, count) => sum + count), 60);
      }
    } finally {
      over = true;
      await ticks;
    }
  },
);
