/** The functions themselves: how soon each answers first, and what a long sync uses. */
import { Functions } from "../local/functions.ts";
import type { Stack } from "../local/stack.ts";
import { Grid } from "./harness/measure.ts";
import { usageOf } from "./harness/process.ts";
import { Project } from "./harness/project.ts";
import { type Benchmark, tableOf } from "./harness/result.ts";

const EMPTY = new URL("functions/", import.meta.url);
const STARTS = 9;
const FLOOR = "a function that does nothing";

/** What each is asked first: all that takes no work, and something that takes authentication or Postgres. */
const REQUESTS: {
  name: string;
  what: string;
  path?: string;
  init: (stack: Stack) => RequestInit;
  status: number;
}[] = [
  ...["calendly-sync", "calendly-webhook", "calendly-connect"].map((name) => ({
    name,
    what: "a preflight",
    init: () => ({ method: "OPTIONS" }),
    status: 204,
  })),
  {
    name: "calendly-sync",
    what: "health",
    path: "/health",
    init: ({ secretKey }) => ({ headers: { apikey: secretKey } }),
    status: 200,
  },
  {
    name: "calendly-webhook",
    what: "a delivery with a wrong signature",
    init: () => ({
      method: "POST",
      headers: { "calendly-webhook-signature": `t=${Math.round(Date.now() / 1000)},v1=00` },
      body: "{}",
    }),
    status: 401,
  },
  {
    name: "calendly-connect",
    what: "a request without credentials",
    init: () => ({}),
    status: 401,
  },
];

export const functions: Benchmark = {
  name: "functions",
  about: "First answers of each function, and CPU and memory of long syncs",
  async run({ small }) {
    const starts = new Grid();
    await using project = await Project.start({ calendly: 0, database: 0 });
    for (let start = 0; start < (small ? 1 : STARTS); start++) {
      await firstAnswerOfNothing(starts);
      for (const request of REQUESTS) await firstAnswer(project, request, starts);
    }
    const syncs = new Grid();
    for (const events of small ? [100] : [1_000, 5_000, 10_000]) await longSync(events, syncs);
    const floors = Object.fromEntries(starts.rows.slice(1).map((row) => [row, FLOOR]));
    return {
      sizes: { starts: small ? 1 : STARTS, "Deno of the functions": await denoOfFunctions() },
      tables: [
        tableOf("First answer, the start of the process in it", starts, { column: "ms", floors }),
        tableOf("A first sync and a repeat, by one process from its start", syncs),
      ],
    };
  },
};

async function firstAnswerOfNothing(grid: Grid): Promise<void> {
  const functions = new Functions({
    folder: EMPTY,
    environment: () => ({}),
    deno: Deno.env.get("FUNCTIONS_DENO"),
  });
  try {
    const began = performance.now();
    await functions.fetch("empty", new Request("http://127.0.0.1/functions/v1/empty"));
    await record(grid, FLOOR, performance.now() - began, functions.pid("empty"));
  } finally {
    await functions.stop();
  }
}

async function firstAnswer(
  { stack }: Project,
  { name, what, path = "", init, status }: (typeof REQUESTS)[number],
  grid: Grid,
): Promise<void> {
  await stack.functions.kill(name);
  const began = performance.now();
  const response = await fetch(`${stack.url}/functions/v1/${name}${path}`, init(stack));
  const ms = performance.now() - began;
  await response.body?.cancel();
  if (response.status !== status) throw new Error(`${name}, ${what}: ${response.status}`);
  await record(grid, `${name}: ${what}`, ms, stack.functions.pid(name));
}

async function record(grid: Grid, row: string, ms: number, pid?: number): Promise<void> {
  const { cpuSeconds, peakMegabytes } = await usageOf(pid);
  grid.add(row, { "ms": ms, "CPU ms": cpuSeconds * 1000, "peak memory, MB": peakMegabytes });
}

async function denoOfFunctions(): Promise<string> {
  const deno = Deno.env.get("FUNCTIONS_DENO");
  if (!deno) return Deno.version.deno;
  const { stdout } = await new Deno.Command(deno, { args: ["--version"] }).output();
  return new TextDecoder().decode(stdout).split(/\s/)[1];
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
