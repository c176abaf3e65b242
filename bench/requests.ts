/** Syncs by the real functions: requests, round trips and seconds, and a day beside "fetch everything". */
import { Grid } from "./harness/measure.ts";
import { usageOf } from "./harness/process.ts";
import { type Latency, Project } from "./harness/project.ts";
import { type Benchmark, type Table, tableOf } from "./harness/result.ts";
import { day } from "./day.ts";

const LATENCY: Latency = { calendly: 100, database: 10 };
const PAGE = 100;
/** The most requests that the product makes at once. */
const AT_ONCE = 20;

export const requests: Benchmark = {
  name: "requests",
  about: `Syncs by the functions, ${LATENCY.calendly} ms a request to Calendly and ` +
    `${LATENCY.database} ms a round trip to the database`,
  async run({ small, rounds }) {
    const sizes = small ? [25] : [25, 250, 1_000];
    const grid = new Grid();
    await using project = await Project.start(LATENCY);
    const warm = await project.person(5, null);
    await project.sync(warm);
    for (let round = 1; round <= rounds; round++) {
      for (const events of sizes) await firstAndRepeat(project, events, grid);
    }
    const tables: Table[] = [tableOf("First sync and repeat", grid)];
    if (!small) tables.push(await withinTheLimit(1_000));
    tables.push(await day(small ? 25 : 250, small ? 8 : 96));
    return {
      sizes: { "ms a request": LATENCY.calendly, "ms a round trip": LATENCY.database },
      tables,
    };
  },
};

async function firstAndRepeat(project: Project, events: number, grid: Grid): Promise<void> {
  const person = await project.person(events, null);
  const pages = Math.ceil(events / PAGE);
  for (const what of ["first", "repeat"]) {
    const isFirst = what === "first";
    const pid = project.stack.functions.pid("calendly-sync");
    const { cpuSeconds } = await usageOf(pid);
    project.calendly.taken();
    project.database.taken();
    const began = performance.now();
    const visible = isFirst ? whenVisible(project, person.id, events, began) : undefined;
    let status = "paused";
    // A worker's requests are used up before those of 1,000 events: the next click goes on.
    while (status === "paused") ({ status } = await project.sync(person));
    const seconds = (performance.now() - began) / 1000;
    if (status !== "complete") throw new Error(`The sync is ${status}.`);
    const waits = pages + (isFirst ? Math.ceil(events / AT_ONCE) : 0);
    grid.add(`${what}, ${events.toLocaleString("en")} events`, {
      "requests to Calendly": project.calendly.taken(),
      "floor: requests": pages + (isFirst ? events : 0),
      "RPCs": project.database.taken("/rpc/"),
      "floor: RPCs": pages + 2,
      "seconds": seconds,
      [`floor: seconds of waiting, ${AT_ONCE} at once`]: waits * LATENCY.calendly / 1000,
      ...visible && { "all meetings visible after, s": await visible },
      "CPU seconds of the function": (await usageOf(pid)).cpuSeconds - cpuSeconds,
    });
  }
}

/** After how many seconds a person's meetings are all there. */
async function whenVisible(
  { stack }: Project,
  userId: number,
  events: number,
  began: number,
): Promise<number> {
  while (true) {
    const [{ count }] = await stack.sql(
      "select count(*)::integer as count from public.calendly_meetings where user_id = $1",
      [userId],
    );
    if (count >= events) return (performance.now() - began) / 1000;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** A first sync where Calendly allows 500 requests a minute, with the schedule on. */
async function withinTheLimit(events: number): Promise<Table> {
  const limit = 500;
  await using project = await Project.start(LATENCY, { cron: true });
  const person = await project.person(events, limit);
  project.stack.sandbox!.control.clear_requests();
  const began = performance.now();
  let { status } = await project.sync(person);
  while (status !== "complete") {
    await new Promise((resolve) => setTimeout(resolve, 200));
    const [run] = await project.stack.sql(
      `select status from public.calendly_sync_runs where user_id = $1
       order by started_at desc limit 1`,
      [person.id],
    );
    status = run.status;
    if (status === "failed") throw new Error("The sync has failed.");
  }
  const seconds = (performance.now() - began) / 1000;
  const { control } = project.stack.sandbox!;
  // One request was made to connect.
  const windows = Math.ceil((Math.ceil(events / PAGE) + events + 1) / limit) - 1;
  return {
    title: `A first sync of ${events.toLocaleString("en")} events at ${limit} requests a minute`,
    columns: ["seconds", "floor: seconds until the limit allows the last", "answers with 429"],
    rows: [{
      what: "first",
      cells: [seconds, windows * 60, control.requests({ status: 429 }).count],
    }],
  };
}
