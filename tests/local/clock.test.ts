/** Time that is let pass in the sandbox passes in the project, too, and what has become due is done. */
import assert from "node:assert/strict";
import { followClock } from "../../local/clock.ts";
import { type Database } from "../../local/database.ts";
import { createSandbox } from "../../sandbox/mod.ts";
import { until } from "../functions/support.ts";
import { databaseTest } from "../harness/databases.ts";
import { stackTest } from "../harness/stack.ts";

const HOUR = 3600;

stackTest("Postgres's clock follows the sandbox's", async ({ stack }) => {
  const { control } = stack.sandbox!;
  assert.ok(Math.abs(await secondsAhead({ query: stack.sql })) < HOUR);
  for (const [by, hours] of [["36h", 36], ["12h", 48]] as const) {
    control.advance({ by });
    await until(async () =>
      Math.abs(await secondsAhead({ query: stack.sql }) - hours * HOUR) < HOUR
    );
  }
  // What was written later would count as newer than anything that happens then.
  for (
    const back of [
      () => control.advance({ by: "-2d" }),
      () => control.set_clock({ now: new Date().toISOString() }),
    ]
  ) {
    assert.throws(back, { code: "clock_goes_back" });
  }
  assert.ok(Math.abs(await secondsAhead({ query: stack.sql }) - 48 * HOUR) < HOUR, "it stays");
});

Deno.test("a sandbox that nobody follows may go back", () => {
  const sandbox = createSandbox();
  try {
    sandbox.control.advance({ by: "-2d" });
    assert.ok(sandbox.clock.ahead < 0n);
  } finally {
    sandbox.close();
  }
});

databaseTest("what follows a move begins when Postgres has the new time", async (database) => {
  const seen: number[] = [];
  let move!: () => void;
  const clock = {
    ahead: 0n,
    advance() {},
    keepForward() {},
    onMove: (listener: () => void) => void (move = listener),
  };
  const passed = async () => void seen.push(await secondsAhead(database));
  const { followed, stop } = await followClock(database, clock, { passed });
  clock.ahead = 3_600_000_000n;
  move();
  await followed();
  assert.equal(seen.length, 1);
  assert.ok(Math.abs(seen[0] - HOUR) < 60);
  stop();
  clock.ahead = 0n;
  move();
  await followed();
  assert.equal(seen.length, 1, "a stack that has stopped follows no more");
});

databaseTest(
  "a sandbox whose state is lost is moved forward to Postgres's time",
  async (database) => {
    await database.query("select calendly.set_clock(null, '3 days')");
    const sandbox = createSandbox();
    try {
      await followClock(database, sandbox.clock);
      assert.equal(Math.round(Number(sandbox.clock.ahead) / 1e6), 72 * HOUR);
      assert.ok(Math.abs(await secondsAhead(database) - 72 * HOUR) < 60);
    } finally {
      sandbox.close();
    }
  },
);

databaseTest("a sandbox that is ahead of Postgres stays so", async (database) => {
  await database.query("select calendly.set_clock(null, '3 days')");
  const sandbox = createSandbox();
  try {
    sandbox.control.advance({ by: "7d" });
    await followClock(database, sandbox.clock);
    assert.ok(Math.abs(await secondsAhead(database) - 7 * 24 * HOUR) < 60);
  } finally {
    sandbox.close();
  }
});

databaseTest(
  "without a sandbox the clock is real time, whatever it was before",
  async (database) => {
    await database.query("select calendly.set_clock(null, '3 days')");
    await followClock(database, undefined);
    assert.deepEqual(await database.query("select * from calendly.clock"), []);
  },
);

async function secondsAhead(database: Pick<Database, "query">): Promise<number> {
  const [{ seconds }] = await database.query<{ seconds: number }>(
    "select extract(epoch from calendly.now() - clock_timestamp())::float as seconds",
  );
  return seconds;
}
