/** The functions themselves: how soon each answers first, and what a long sync uses. */
import { Functions } from "../local/functions.ts";
import { Grid } from "./harness/measure.ts";
import { usageOf } from "./harness/process.ts";
import { Project } from "./harness/project.ts";
import { type Benchmark, tableOf } from "./harness/result.ts";

const EMPTY = new URL("functions/", import.meta.url);
const NAMES = ["calendly-sync", "calendly-webhook", "calendly-connect"];
const STARTS = 9;
/** As much as a function must find to start; the first answer asks for nothing more. */
const ENVIRONMENT = { SUPABASE_URL: "http://127.0.0.1:9" };

export const functions: Benchmark = {
  name: "functions",
  about: "First answer of each function (a preflight), and CPU and memory of long syncs",
  async run({ small }) {
    const starts = new Grid();
    for (let start = 0; start < (small ? 1 : STARTS); start++) {
      await firstAnswer("empty", EMPTY, starts);
      for (const name of NAMES) await firstAnswer(name, undefined, starts);
    }
    const syncs = new Grid();
    for (const events of small ? [100] : [1_000, 5_000, 10_000]) await longSync(events, syncs);
    return {
      sizes: { starts: small ? 1 : STARTS },
      tables: [
        tableOf("First answer, the process's start in it", starts, {
          column: "ms",
          floors: Object.fromEntries(NAMES.map((name) => [name, "empty"])),
        }),
        tableOf("A first sync and a repeat, by one process from its start", syncs),
      ],
    };
  },
};

async function firstAnswer(name: string, folder: URL | undefined, grid: Grid): Promise<void> {
  const functions = new Functions({
    folder,
    environment: () => ENVIRONMENT,
    deno: Deno.env.get("FUNCTIONS_DENO"),
  });
  try {
    const began = performance.now();
    const response = await functions.fetch(
      name,
      new Request(`http://127.0.0.1/functions/v1/${name}`, { method: "OPTIONS" }),
    );
    const ms = performance.now() - began;
    await response.body?.cancel();
    if (!response.ok) throw new Error(`${name} answers with ${response.status}.`);
    const { cpuSeconds, peakMegabytes } = await usageOf(functions.pid(name));
    grid.add(name, { "ms": ms, "CPU ms": cpuSeconds * 1000, "peak memory, MB": peakMegabytes });
  } finally {
    await functions.stop();
  }
}

/** Whether CPU and memory follow the events, and no more than that. */
async function longSync(events: number, grid: Grid): Promise<void> {
  await using project = await Project.start({ calendly: 0, database: 0 });
  await project.stack.sql(
    "update calendly.settings set worker_requests = 10000, worker_time = '140 seconds'",
  );
  const person = await project.person(events, null);
  await project.stack.functions.kill("calendly-sync");
  for (const what of ["first", "repeat"]) {
    const before = what === "first"
      ? 0
      : (await usageOf(project.stack.functions.pid("calendly-sync"))).cpuSeconds;
    let status = "";
    const began = performance.now();
    while (status !== "complete") ({ status } = await project.sync(person));
    const seconds = (performance.now() - began) / 1000;
    const usage = await usageOf(project.stack.functions.pid("calendly-sync"));
    const cpu = usage.cpuSeconds - before;
    grid.add(`${what}, ${events.toLocaleString("en")} events`, {
      "seconds": seconds,
      "CPU seconds": cpu,
      "CPU ms an event": cpu * 1000 / events,
      "peak memory, MB": usage.peakMegabytes,
    });
  }
}
