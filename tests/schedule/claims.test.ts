/** Many instances at once, on a real Postgres: each connection has one of them, and all have their cap. */
import assert from "node:assert/strict";
import { needing } from "../harness/requirements.ts";
import { type Claim, Instances } from "./instances.ts";
import { eventually } from "./support.ts";

type Started = Claim & { status: "started" };

function claimsTest(
  name: string,
  people: number,
  test: (instances: Instances) => Promise<void>,
): void {
  Deno.test({
    ...needing(name, "realPostgres"),
    async fn() {
      await using instances = await Instances.start({ people, connections: 40 });
      await test(instances);
    },
  });
}

function started(claims: Claim[]): Started[] {
  return claims.filter((claim): claim is Started => claim.status === "started");
}

claimsTest(
  "forty claims at once get no more places than there are, and nobody twice",
  50,
  async (instances) => {
    await instances.sql`select public.calendly_configure('{"instances": 7}')`;
    for (let round = 0; round < 5; round++) {
      await instances.makeAllDue();
      const claims = started(
        await Promise.all(Array.from({ length: 40 }, () => instances.claim())),
      );
      assert.equal(claims.length, 7);
      assert.equal(new Set(claims.map(({ user_id }) => user_id)).size, 7);
      const ids = await instances.sql`select id from public.calendly_users order by id limit 7`;
      assert.deepEqual(
        claims.map(({ user_id }) => user_id).sort((a, b) => a - b),
        ids.map(({ id }) => id),
        "those who have been due longest",
      );
      await Promise.all(claims.map((claim) => instances.carryOut(claim)));
    }
  },
);

claimsTest("everybody becomes due in turn, however slow the clock is", 20, async (instances) => {
  const { sql } = instances;
  await sql`create or replace function calendly.now() returns timestamptz language sql volatile
    as 'select clock_timestamp() from pg_sleep(0.005)'`;
  const ids = (await sql`select id from public.users order by id`).map(({ id }) => id);
  // the last comes first in the table
  for (const id of ids.toReversed()) {
    await sql`update public.calendly_connections set updated_at = updated_at where user_id = ${id}`;
  }
  await instances.makeAllDue();
  const due = await sql`select user_id from public.calendly_connections order by next_sync_at`;
  assert.deepEqual(due.map(({ user_id }) => user_id), ids);
});

claimsTest("twenty instances sync three hundred people once each", 300, async (instances) => {
  await instances.makeAllDue();
  let working = 0;
  let most = 0;
  const synced: number[] = [];
  await Promise.all(Array.from({ length: 25 }, async () => {
    while (true) {
      const claim = await instances.claim();
      if (claim.status === "idle") return;
      most = Math.max(most, ++working);
      await instances.carryOut(claim);
      working--;
      synced.push(claim.user_id);
    }
  }));
  assert.equal(synced.length, 300);
  assert.equal(new Set(synced).size, 300);
  assert.ok(most <= 20 && most > 5, `${most} at once`);
  const [{ waiting }] = await instances.sql`
    select count(*)::integer as waiting from public.calendly_connections where next_sync_at <= calendly.now()`;
  assert.equal(waiting, 0);
});

claimsTest(
  "a connection that somebody holds is passed over, not waited for",
  3,
  async (instances) => {
    await instances.makeAllDue();
    const [first, second] = await instances.sql`select id from public.calendly_users order by id`;
    await instances.sql.begin(async (holder) => {
      await holder`select from public.calendly_connections where user_id = ${first.id} for no key update`;
      // one that waits would do so until lock_timeout: what it waits for ends after it
      const claim = await instances.claim();
      assert.equal(claim.status === "started" && claim.user_id, second.id);
    });
    const claim = await instances.claim();
    assert.equal(
      claim.status === "started" && claim.user_id,
      first.id,
      "and is next when it is free",
    );
  },
);

claimsTest("a click and claims at the same moment: one of them runs", 1, async (instances) => {
  const [{ id }] = await instances.sql`select id from public.calendly_users`;
  for (let round = 0; round < 30; round++) {
    await instances.makeAllDue();
    const [clicked, ...claims] = await Promise.all([
      instances.sql`select public.calendly_begin_sync(${
        instances.sql.json({ user_id: id, trigger: "manual" })
      }) as claim`.then(([{ claim }]) =>
        claim as Claim | { status: "in_progress"; run_id: string }
      ),
      ...Array.from({ length: 5 }, () => instances.claim()),
    ]);
    const running = started(claims);
    if (clicked.status === "started") running.push(clicked);
    assert.equal(running.length, 1);
    if (clicked.status === "in_progress") assert.equal(clicked.run_id, running[0].run_id);
    await instances.carryOut(running[0]);
  }
});

claimsTest("a lease begins when the wait for the connection is over", 1, async ({ sql }) => {
  const [{ id }] = await sql`select id from public.calendly_users`;
  const begin = async () =>
    (await sql`select public.calendly_begin_sync(${
      sql.json({ user_id: id, trigger: "manual" })
    }) as claim`)[0].claim as Started;
  let begun: Promise<Started> | undefined;
  const [{ freed_at }] = await sql.begin(async (holder) => {
    await holder`select from public.calendly_connections for no key update`;
    begun = begin();
    await eventually("the click waits", async () => {
      const waiting = await sql`select from pg_stat_activity
        where datname = current_database() and wait_event_type = 'Lock'`;
      return waiting.length === 1;
    });
    return await holder`select clock_timestamp()::text as freed_at`;
  });
  const { run_id } = await begun!;
  const [{ whole, run_after }] = await sql`
    select o.lease_expires_at >= ${freed_at}::timestamptz + s.lease_duration as whole,
      r.started_at >= ${freed_at}::timestamptz as run_after
    from public.calendly_sync_runs r join calendly.active_runs o on o.run_id = r.id, calendly.settings s
    where r.id = ${run_id}`;
  assert.deepEqual([whole, run_after], [true, true]);
});

claimsTest("one that was taken over cannot write any more", 1, async (instances) => {
  await instances.makeAllDue();
  const dead = await instances.claim() as Started;
  await instances.sql`update calendly.active_runs set lease_expires_at = calendly.now()`;
  await instances.sql`update public.calendly_connections set next_sync_at = calendly.now()`;
  const heir = await instances.claim() as Started;
  assert.equal(heir.run_id, dead.run_id, "the same run");
  await assert.rejects(instances.carryOut(dead), { detail: "lease_lost" });
  await instances.carryOut(heir);
  await assert.rejects(instances.carryOut(dead), { detail: "lease_lost" });
});

claimsTest(
  "the tick, the claims and the syncs of all do not lock each other out",
  60,
  async (instances) => {
    let over = false;
    const ticks = (async () => {
      while (!over) await instances.sql`select calendly.nudge()`;
    })();
    try {
      for (let round = 0; round < 3; round++) {
        await instances.makeAllDue();
        const synced = await Promise.all(Array.from({ length: 15 }, async () => {
          let count = 0;
          for (let claim = await instances.claim(); claim.status === "started"; count++) {
            await instances.carryOut(claim);
            claim = await instances.claim();
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
