/**
 * Retention beside webhook deliveries: pgbench delivers at a steady rate while the job deletes expired
 * events, on a real Postgres. Measures how long both take. By itself:
 *
 *     TEST_DATABASE_URL=postgresql://… deno run --allow-all bench/retention.ts 1000000
 */
import postgres from "postgres";
import { FIXTURES } from "../tests/database/fixtures/fixtures.ts";
import { openPostgres } from "../local/database.ts";
import { createDatabase } from "../tests/harness/databases.ts";

const DELIVER = new URL("retention/deliver.sql", import.meta.url).pathname;
/** Webhook calls a second. */
const RATE = 200;
const CLIENTS = 10;
/** Deferred events, which stay whatever their age. */
const DEFERRED = 1000;
/** The command of the job, as pg_cron runs it. */
const JOB = "select command from cron.job where jobname = 'calendly-clean-webhook-events'";

export interface Figures {
  expired: number;
  /** Expired events that are still there afterwards. */
  left: number;
  /** Deferred events that are there afterwards, of as many before. */
  deferred: [kept: number, before: number];
  /** Seconds that the job took. */
  seconds: number;
  /** Deliveries: made, stored afterwards, failed, and how long they took in ms. */
  deliveries: { made: number; stored: number; failed: number; average: number; slowest: number };
}

/** Runs both at once on a database of its own until the job is done. */
export async function cleanBesideWebhooks(expired: number): Promise<Figures> {
  const { url, drop } = await createDatabase({ seed: false });
  try {
    const database = await openPostgres(url);
    await database.script(FIXTURES);
    await database.close();
    const sql = postgres(url, { max: 2, onnotice: () => {} });
    try {
      return await run(sql, url, expired);
    } finally {
      await sql.end();
    }
  } finally {
    await drop();
  }
}

async function run(sql: postgres.Sql, url: string, expired: number): Promise<Figures> {
  await sql`select tests.add_person('ana')`;
  // Processed deliveries with their payload, older than the retention.
  await sql.unsafe(
    `insert into public.calendly_webhook_events (event_id, event_type, payload, user_id, created_at, processed_at, status)
     select 'old ' || n, 'invitee.created',
       jsonb_build_object('event', 'invitee.created', 'payload', tests.invitee('E' || n, 'ines')
         || jsonb_build_object('scheduled_event', tests.event('E' || n))),
       tests.id_of('ana'), received_at, received_at, case when n <= ${DEFERRED} then 'deferred' else 'processed' end
     from generate_series(1, ${expired + DEFERRED}) n,
       lateral (select now() - interval '31 days' - n * interval '1 second' as received_at) old`,
  );
  await sql`vacuum analyze public.calendly_webhook_events`;
  const [{ command }] = await sql.unsafe(JOB);

  // Long enough for the deliveries to go on from before the deletion until after it.
  const delivering = deliver(url, 5 + Math.ceil(expired / 10_000));
  await new Promise((resolve) => setTimeout(resolve, 1000));
  const began = performance.now();
  await sql.unsafe(command).simple();
  const seconds = (performance.now() - began) / 1000;
  const { made, failed, average, slowest } = await delivering;

  const [{ left, deferred, stored }] = await sql`
    select count(*) filter (where event_id like 'old %' and status = 'processed')::integer as left,
      count(*) filter (where event_id like 'old %' and status = 'deferred')::integer as deferred,
      count(*) filter (where event_id not like 'old %' and status = 'processed')::integer as stored
    from public.calendly_webhook_events`;
  return {
    expired,
    left,
    deferred: [deferred, DEFERRED],
    seconds,
    deliveries: { made, stored, failed, average, slowest },
  };
}

/** Delivers for so long at the rate; late deliveries are not left out. */
async function deliver(url: string, seconds: number) {
  const log = await Deno.makeTempDir();
  try {
    const { success, stdout, stderr } = await new Deno.Command("pgbench", {
      args: [
        `--client=${CLIENTS}`,
        "--jobs=2",
        `--rate=${RATE}`,
        `--time=${seconds}`,
        `--file=${DELIVER}`,
        "--no-vacuum",
        "--log",
        `--log-prefix=${log}/log`,
        url,
      ],
    }).output();
    const output = new TextDecoder().decode(stdout);
    if (!success) throw new Error(`pgbench failed: ${new TextDecoder().decode(stderr)}${output}`);
    const number = (pattern: RegExp) => Number(output.match(pattern)?.[1] ?? NaN);
    const milliseconds: number[] = [];
    for await (const { name } of Deno.readDir(log)) {
      for (const line of (await Deno.readTextFile(`${log}/${name}`)).trim().split("\n")) {
        const [, , microseconds, , , , lag] = line.split(" ").map(Number);
        // Without the wait for its turn, which is pgbench's schedule and not the database's.
        milliseconds.push((microseconds - lag) / 1000);
      }
    }
    return {
      made: number(/transactions actually processed: (\d+)/),
      failed: number(/number of failed transactions: (\d+)/),
      average: milliseconds.reduce((sum, each) => sum + each, 0) / milliseconds.length,
      slowest: milliseconds.reduce((most, each) => Math.max(most, each), 0),
    };
  } finally {
    await Deno.remove(log, { recursive: true });
  }
}

if (import.meta.main) {
  const figures = await cleanBesideWebhooks(Number(Deno.args[0] ?? 10_000));
  console.log(JSON.stringify(figures, null, 2));
}
