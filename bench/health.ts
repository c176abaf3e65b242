/** Health, alerts and freshness: of one person, of all, and with a million deliveries. */
import { Grid, quantile } from "./harness/measure.ts";
import { type Benchmark, tableOf } from "./harness/result.ts";
import { Database } from "./harness/server.ts";
import { type Counts, Session } from "./harness/session.ts";

interface Size {
  people: number;
  meetings: number;
  deliveries: number;
  runs: number;
}

const MANY_EACH: Size = { people: 500, meetings: 400, deliveries: 60, runs: 10 };
const MANY_PEOPLE: Size = { people: 20_000, meetings: 10, deliveries: 50, runs: 10 };

/** By the service role, unless told otherwise. */
const STATEMENTS = {
  "health of all": "select * from public.calendly_sync_health",
  "health of one, by id": "select * from public.calendly_sync_health where user_id = 10042",
  "health of one, by e-mail":
    "select * from public.calendly_sync_health where email = 'person42@example.com'",
  "alerts": "select * from public.calendly_alerts",
  "calendly_health()": "select public.calendly_health()",
  "freshness": "select * from public.calendly_freshness",
  "floor: one person's rows counted": `select
    (select count(*) from public.calendly_meetings m where m.user_id = 10042),
    (select count(*) from public.calendly_webhook_events e where e.user_id = 10042)`,
  "floor: all rows counted, by person": `select
    (select count(*) from (select user_id, count(*) from public.calendly_meetings group by 1) m),
    (select count(*) from (select user_id, count(*) from public.calendly_webhook_events
      group by 1) e)`,
};
/** As the signed-in person 42. */
const OWN_ROW = "a signed-in person's own row";

const FLOORS = {
  "health of all": "floor: all rows counted, by person",
  "health of one, by id": "floor: one person's rows counted",
  "health of one, by e-mail": "floor: one person's rows counted",
  [OWN_ROW]: "floor: one person's rows counted",
};

const CALLS = 7;

export const health: Benchmark = {
  name: "health",
  about: "calendly_sync_health, calendly_alerts, calendly_freshness and calendly_health()",
  async run({ small, rounds }) {
    const tables = [];
    for (const full of [MANY_EACH, MANY_PEOPLE]) {
      const size = small ? { ...full, people: 50, meetings: full.meetings / 10 } : full;
      await using database = await populate(size);
      const grid = new Grid();
      for (let round = 1; round <= rounds; round++) {
        await using service = await database.session();
        await using person = await signedIn(database);
        for (const [what, statement] of Object.entries(STATEMENTS)) {
          grid.add(what, { ms: await median(service, statement) });
        }
        grid.add(OWN_ROW, { ms: await median(person, STATEMENTS["health of all"]) });
      }
      tables.push(tableOf(describe(size), grid, { column: "ms", floors: FLOORS }));
    }
    return { sizes: { "calls a median": CALLS }, tables };
  },
};

function describe({ people, meetings, deliveries, runs }: Size): string {
  const count = (number: number) => number.toLocaleString("en");
  return `${
    count(people)
  } people with ${meetings} meetings, ${deliveries} deliveries and ${runs} ` +
    `runs each: ${count(people * meetings)}, ${count(people * deliveries)} and ` +
    `${count(people * runs)} in all`;
}

async function populate(
  { people, meetings, deliveries, runs }: Size,
  autovacuum = true,
): Promise<Database> {
  const database = await Database.create({ autovacuum });
  await database.admin.run("select bench.add_people($1, $2, $3, $4)", [
    people,
    meetings,
    deliveries,
    runs,
  ]);
  await database.settle();
  return database;
}

async function signedIn({ url, admin }: Database): Promise<Session> {
  const { rows: [{ account }] } = await admin.run("select md5('account 42')::uuid as account");
  const session = await Session.open(url, "authenticated");
  await session.run("select set_config('request.jwt.claims', $1, false)", [
    JSON.stringify({ sub: account, role: "authenticated" }),
  ]);
  return session;
}

async function median(session: Session, statement: string): Promise<number> {
  const milliseconds: number[] = [];
  for (let call = 0; call <= CALLS; call++) {
    const { ms } = await session.run(statement);
    if (call > 0) milliseconds.push(ms); // the first plans
  }
  return quantile(milliseconds, 0.5);
}

/** What the health of one person reads among so many people. */
export async function countPeople(people: number): Promise<Record<string, Counts>> {
  await using database = await populate({ people, meetings: 10, deliveries: 10, runs: 3 }, false);
  return await countStatements(database, [
    "health of one, by id",
    "health of one, by e-mail",
    OWN_ROW,
  ]);
}

/** What alerts and health read where the same 100 people have a history of so many rows each. */
export async function countHistory(rows: number): Promise<Record<string, Counts>> {
  await using database = await populate({
    people: 100,
    meetings: rows,
    deliveries: rows * 5,
    runs: rows,
  }, false);
  return await countStatements(database, ["alerts", "calendly_health()"]);
}

async function countStatements(
  database: Database,
  names: (keyof typeof STATEMENTS | typeof OWN_ROW)[],
): Promise<Record<string, Counts>> {
  await using service = await database.session();
  await using person = await signedIn(database);
  const counts: Record<string, Counts> = {};
  for (const name of names) {
    const session = name === OWN_ROW ? person : service;
    const statement = STATEMENTS[name === OWN_ROW ? "health of all" : name as "alerts"];
    await session.run(statement); // what a first statement of a session reads of the catalog
    counts[name] = await session.countStatement(statement);
  }
  return counts;
}
