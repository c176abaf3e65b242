/** Claiming and nudging with 100,000 connections, whatever is due or paused. */
import { Grid, quantile } from "./harness/measure.ts";
import { load } from "./harness/load.ts";
import { type Benchmark, type Plot, tableOf } from "./harness/result.ts";
import { Database } from "./harness/server.ts";
import { type Call, type Counts, Session } from "./harness/session.ts";

const URL_OF_PROJECT = "https://project.example.com";
const REQUEST = { project_url: URL_OF_PROJECT, spent_seconds: 0, spent_requests: 0 };
const CLAIM: Call = {
  expression: "public.calendly_claim_sync($1::jsonb)",
  parameters: [JSON.stringify(REQUEST)],
};
const NUDGE: Call = { expression: "calendly.nudge()" };
const COUNT: Call = { expression: "public.calendly_schedule()" };

/** What takes the longest waiting connection and does nothing more. */
const BARE_CLAIM: Call = {
  expression: `(
    with due as materialized (
      select c.id from public.calendly_connections c
      where c.state = 'active' and c.next_sync_at <= now()
      order by c.next_sync_at limit 1 for no key update skip locked)
    select id from due)`,
};

const CLAIMERS = 20;
const CLAIMS_A_ROUND = 20;

export const schedule: Benchmark = {
  name: "schedule",
  about: "One claim, nudge or count with 100,000 connections, by how many are due or paused",
  async run({ small, rounds }) {
    const connections = small ? 1_000 : 100_000;
    const some = connections / 10;
    const cases: [due: number, paused: number][] = [
      [0, 0],
      [connections / 1_000, 0],
      [some, 0],
      [some, some],
      [connections, 0],
    ];
    const single = new Grid();
    const together = new Grid();
    const strangers = new Grid();
    const points: Record<string, [number, number][]> = { claim: [], nudge: [] };
    await using database = await populate(connections);
    await using session = await database.session();
    await using admin = await Session.open(database.url, "none");
    for (let round = 1; round <= rounds; round++) {
      for (const [due, paused] of cases) {
        await setDue(database, due, paused);
        const what = `${due.toLocaleString("en")} due, ${paused.toLocaleString("en")} paused`;
        const claims = await timesRolledBack(session, CLAIM, due > 0 ? "started" : "idle");
        const nudges = await timesRolledBack(admin, NUDGE);
        single.add(what, {
          "claim, ms": quantile(claims, 0.5),
          "claim, p95 ms": quantile(claims, 0.95),
          "nudge, ms": quantile(nudges, 0.5),
          "calendly_schedule, ms": quantile(await timesRolledBack(admin, COUNT), 0.5),
          "bare claim by index, ms": quantile(await timesRolledBack(admin, BARE_CLAIM), 0.5),
        });
        if (paused === 0 && due > 0) {
          points.claim.push([due, quantile(claims, 0.5)]);
          points.nudge.push([due, quantile(nudges, 0.5)]);
        }
        if (due >= CLAIMERS) together.add(what, await claimTogether(database));
      }
      await setDue(database, 0, some);
      const nothingDue = await load({
        url: database.url,
        clients: 8,
        calls: small ? 80 : 8_000,
        from: 0,
        statement: `select public.calendly_claim_sync('${JSON.stringify(REQUEST)}')`,
      });
      strangers.add("claim where nothing is due", {
        "calls/s": nothingDue.perSecond,
        "p50 ms": nothingDue.p50,
        "p99 ms": nothingDue.p99,
      });
    }
    const plot: Plot = {
      file: "growth-schedule",
      title: `One claim and one nudge, by how many of ${
        connections.toLocaleString("en")
      } connections are due`,
      x: "connections due",
      y: "ms",
      lines: Object.entries(points).map(([name, points]) => ({ name, points: medians(points) })),
    };
    return {
      sizes: { connections, "claims a round": CLAIMS_A_ROUND },
      tables: [
        tableOf(`One call, of ${connections.toLocaleString("en")} connections`, single),
        tableOf(`${CLAIMERS} workers claim at once`, together),
        tableOf("Workers, or strangers, come by 8 clients and find nothing", strangers),
      ],
      plots: [plot],
    };
  },
};

async function populate(connections: number, autovacuum = true): Promise<Database> {
  const database = await Database.create({ autovacuum });
  await database.admin.run("select bench.add_people($1, 0, 0, 0)", [connections]);
  await database.admin.run("update calendly.project set url = $1", [URL_OF_PROJECT]);
  return database;
}

async function setDue(database: Database, due: number, paused: number): Promise<void> {
  await database.admin.run("select bench.set_due($1, $2)", [due, paused]);
  await database.settle();
}

/** Each call is taken back, so that the next one finds what it found. */
async function timesRolledBack(
  session: Session,
  call: Call,
  expectedStatus?: string,
  calls = CLAIMS_A_ROUND,
): Promise<number[]> {
  const milliseconds: number[] = [];
  for (let n = 0; n <= calls; n++) {
    await session.script("begin");
    const { answer, ms } = await session.call(call);
    await session.script("rollback");
    if (expectedStatus && answer.status !== expectedStatus) throw new Error(JSON.stringify(answer));
    if (n > 0) milliseconds.push(ms); // the first plans
  }
  return milliseconds;
}

/** Workers that come at the same moment over connections that are warm, and what each waits. */
async function claimTogether({ url }: Database): Promise<Record<string, number>> {
  const sessions = await Promise.all(
    Array.from({ length: CLAIMERS }, () => Session.open(url)),
  );
  try {
    for (const session of sessions) await timesRolledBack(session, CLAIM, "started", 1);
    const began = performance.now();
    const claims = await Promise.allSettled(sessions.map((session) => session.call(CLAIM)));
    const seconds = (performance.now() - began) / 1000;
    const started = claims.flatMap((claim) =>
      claim.status === "fulfilled" && claim.value.answer.status === "started"
        ? [claim.value.ms]
        : []
    );
    return {
      "got a sync": started.length,
      "p50 ms": quantile(started, 0.5),
      "slowest ms": Math.max(...started),
      "claims/s": started.length / seconds,
    };
  } finally {
    await Promise.all(sessions.map((session) => session[Symbol.asyncDispose]()));
  }
}

function medians(points: [number, number][]): [number, number][] {
  const sizes = [...new Set(points.map(([x]) => x))];
  return sizes.map((size) => [
    size,
    quantile(points.filter(([x]) => x === size).map(([, y]) => y), 0.5),
  ]);
}

/** What claims and nudges read where a tenth is due, and where nothing is and a tenth is paused. */
export async function countSchedule(connections: number): Promise<Record<string, Counts>> {
  await using database = await populate(connections, false);
  await using session = await database.session();
  const some = connections / 10;
  const counts: Record<string, Counts> = {};
  for (const [what, due, paused] of [["due", some, some], ["nothing due", 0, some]] as const) {
    await setDue(database, due, paused);
    await timesRolledBack(session, CLAIM); // until the session keeps its plans
    await timesRolledBack(database.admin, NUDGE);
    counts[`claim, ${what}`] = await session.count(CLAIM);
    counts[`nudge, ${what}`] = await database.admin.count(NUDGE);
  }
  return counts;
}
