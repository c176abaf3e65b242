/** One sync of a whole organization: whether each of its steps costs what the first one does. */
import { Grid, quantile } from "./harness/measure.ts";
import { type Benchmark, type Plot, tableOf } from "./harness/result.ts";
import { type Listing, prepareListing, Run, type Step } from "./harness/run.ts";
import { Database } from "./harness/server.ts";
import type { Counts, Session } from "./harness/session.ts";

const MEMBERS = 1_000;
/** Events of a sync that comes first: Postgres settles on a plan when a session has run it six times. */
const WARM_UP = 700;
/** Calls that a median is taken of, at each place. */
const WINDOW = 10;

export const runs: Benchmark = {
  name: "runs",
  about: `One sync of an organization of ${MEMBERS.toLocaleString("en")} members, step by step`,
  async run({ small, rounds }) {
    const sizes = small ? [500, 2_000] : [2_000, 20_000, 200_000];
    const members = small ? 50 : MEMBERS;
    const grids = new Map<string, Grid>();
    for (let round = 1; round <= rounds; round++) {
      for (const events of sizes) {
        const { first, repeat } = await syncOrganization(events, members);
        for (const [name, samples] of [["First sync", first], ["Repeat", repeat]] as const) {
          const title = titleOf(name, events);
          if (!grids.has(title)) grids.set(title, new Grid());
          record(grids.get(title)!, samples);
        }
      }
    }
    const pointsOf = (name: string, what: string) =>
      sizes.map((events): [number, number] => [
        events,
        quantile(grids.get(titleOf(name, events))!.values(what, "ms"), 0.5),
      ]);
    const plot: Plot = {
      file: "growth-run",
      title: "One step of a sync, by the events of the run",
      x: "events",
      y: "ms",
      lines: ([
        ["First sync", "page, at the end"],
        ["First sync", "last page"],
        ["First sync", "invitees, at the end"],
        ["Repeat", "page, at the end"],
        ["Repeat", "last page"],
        ["Repeat", "finish"],
      ] as const).map(([name, what]) => ({
        name: `${name}: ${what}`,
        points: pointsOf(name, what),
      })),
    };
    return {
      sizes: { members, "calls at each place": WINDOW },
      tables: [...grids].map(([title, grid]) => tableOf(title, grid)),
      plots: [plot],
    };
  },
};

function titleOf(name: string, events: number): string {
  return `${name} of ${events.toLocaleString("en")} events`;
}

/** Of each place the median of its calls. */
function record(grid: Grid, samples: Samples): void {
  for (const [what, calls] of Object.entries(samples)) {
    const counted = calls.flatMap(({ counts }) => counts ?? []);
    grid.add(what, {
      ms: quantile(calls.map(({ ms }) => ms), 0.5),
      ...counted.length > 0 && {
        buffers: quantile(counted.map(({ buffers }) => buffers), 0.5),
        "WAL, kB": quantile(counted.map(({ wal }) => wal / 1000), 0.5),
      },
    });
  }
}

/** Calls by where in the run they were. */
export type Samples = Record<string, Step[]>;

/** An organization of which everybody is kept: a first sync, then one of what has not changed. */
export async function syncOrganization(
  events: number,
  members: number,
  autovacuum = true,
): Promise<{ first: Samples; repeat: Samples }> {
  await using database = await Database.create({ autovacuum });
  await using session = await database.session();
  await warmUp(database, session);
  await database.admin.run("select tests.add_organization('admin', 'everyone')");
  const { rows: [{ id, hosts }] } = await database.admin.run(
    `select tests.id_of('admin') as id,
       array(select bench.host(n) from generate_series(1, $1) n) as hosts`,
    [members],
  );
  const listing: Listing = { events, hosts };
  await prepareListing(database.admin, listing);
  const first = await sample(database, session, id, listing, "created");
  await database.settle();
  const repeat = await sample(database, session, id, listing, "unchanged");
  return { first, repeat };
}

/** The session has its plans then, made when there was next to nothing in the tables. */
async function warmUp({ admin }: Database, session: Session): Promise<void> {
  await admin.run("select tests.add_person('warm')");
  const { rows: [{ id }] } = await admin.run("select tests.id_of('warm') as id");
  const listing: Listing = {
    events: WARM_UP,
    from: 10_000_000,
    hosts: ["https://api.calendly.com/users/warm"],
  };
  await prepareListing(admin, listing);
  for (const expected of ["created", "unchanged"] as const) {
    const run = new Run(session, admin, { user_id: id, trigger: "service" }, listing);
    for await (const _ of run.steps());
    await run.expect(expected);
  }
}

async function sample(
  { admin }: Database,
  session: Session,
  userId: number,
  listing: Listing,
  expected: "created" | "unchanged",
): Promise<Samples> {
  // One call of each ten is counted, and the single ones.
  const run = new Run(
    session,
    admin,
    { user_id: userId, trigger: "service", all_members: true },
    listing,
    (kind, place) => kind === "page" || kind === "invitees" ? place % WINDOW === 2 : true,
  );
  const steps: Step[] = [];
  for await (const step of run.steps()) steps.push(step);
  await run.expect(expected);
  const of = (kind: Step["kind"]) => steps.filter((step) => step.kind === kind);
  const invitees = of("invitees");
  const around = (calls: Step[], share: number) => {
    const from = Math.round(Math.max(0, calls.length - WINDOW) * share);
    return calls.slice(from, from + WINDOW);
  };
  const samples: Samples = {
    "begin": of("begin").slice(0, 1),
    "page, at the start": around(of("page"), 0),
    "page, in the middle": around(of("page"), 0.5),
    "page, at the end": around(of("page"), 1),
    "last page": of("last page"),
    "invitees, at the start": around(invitees, 0),
    "invitees, at the end": around(invitees, 1),
    "finish": of("finish"),
  };
  return Object.fromEntries(Object.entries(samples).filter(([, calls]) => calls.length > 0));
}

/** What each place of a run reads, for the comparison of sizes. */
export async function countRun(events: number): Promise<Record<string, Counts>> {
  const { first, repeat } = await syncOrganization(events, 50, false);
  const counts: Record<string, Counts> = {};
  for (const [name, samples] of [["first sync", first], ["repeat", repeat]] as const) {
    for (const [what, calls] of Object.entries(samples)) {
      const counted = calls.flatMap(({ counts }) => counts ?? []);
      if (counted.length > 0) counts[`${name}: ${what}`] = counted[0];
    }
  }
  return counts;
}
