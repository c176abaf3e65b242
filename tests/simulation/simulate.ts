/**
 * `deno task simulate --seeds N --from S`, or `deno task simulate 237 283` for these seeds: each is a team
 * with bookings, syncs, accounts and faults; afterwards what is stored must be what Calendly has. A seed
 * that diverges is shrunk to the operations that it takes, and the differences are shown.
 * `--processes P` (one a core) work in parallel; `--json` prints a `Report`. `--cover` instead prints those of
 * the seeds in which together every fault strikes and every kind of operation is done, at the least cost.
 */
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { answerHelp } from "../../local/usage.ts";
import { Random } from "../../sandbox/random.ts";
import type { Divergence } from "./comparison.ts";
import { connectAll } from "./connecting.ts";
import { check, settle, type Verdict } from "./convergence.ts";
import { allFaults, countPlanted } from "./faults.ts";
import { allOperations, type Operation, operationsOf, run } from "./operations.ts";
import { Project } from "./project.ts";
import { createTeam } from "./team.ts";

/** What many seeds come to. */
export interface Report {
  seeds: number;
  operations: number;
  /** How often each kind of operation did something. */
  done: Record<string, number>;
  /** Requests that the functions made, to Calendly and to Postgres. */
  requests: number;
  faults: Record<string, number>;
  exceptions: Record<string, number>;
  /** Seeds that diverge, each with the fewest operations that it takes. */
  failures: { seed: number; operations: Operation[]; divergences: Divergence[] }[];
}

export function emptyReport(): Report {
  return {
    seeds: 0,
    operations: 0,
    done: {},
    requests: 0,
    faults: {},
    exceptions: {},
    failures: [],
  };
}

export function add(sum: Report, part: Report): Report {
  sum.seeds += part.seeds;
  sum.operations += part.operations;
  sum.requests += part.requests;
  for (const name of ["done", "faults", "exceptions"] as const) {
    for (const [key, count] of Object.entries(part[name])) {
      sum[name][key] = (sum[name][key] ?? 0) + count;
    }
  }
  sum.failures.push(...part.failures);
  return sum;
}

/** Runs a seed with all or some of its operations and checks the outcome; `done`: which did something. */
export async function runSeed(
  project: Project,
  seed: number,
  operations: Operation[] = operationsOf(seed),
): Promise<Verdict & { done: Record<string, number> }> {
  const done: Record<string, number> = {};
  await project.begin(seed);
  try {
    const draw = new Random(seed + 1);
    const team = await createTeam(project, draw);
    await connectAll(team, draw);
    for (const [index, operation] of operations.entries()) {
      if (await run(team, operation)) done[operation.do] = (done[operation.do] ?? 0) + 1;
      // In one seed of a hundred Postgres is restarted half way.
      if (seed % 100 === 0 && index === operations.length >> 1) await project.restart();
    }
    countPlanted(team);
    const since = await settle(team, new Random(seed + 2));
    return { ...await check(team, since), done };
  } catch (error) {
    const stored = error instanceof Error ? error.stack ?? error.message : String(error);
    return {
      divergences: [{ whose: "everybody", what: "the run", stored, expected: "its end" }],
      exceptions: {},
      done,
    };
  } finally {
    project.sandbox.close();
  }
}

/** Leaves operations out for as long as the seed still diverges: halves first, then less and less. */
export async function shrink(
  project: Project,
  seed: number,
  operations: Operation[],
): Promise<Operation[]> {
  for (let size = operations.length >> 1; size > 0; size >>= 1) {
    for (let from = 0; from < operations.length;) {
      const fewer = operations.toSpliced(from, size);
      if ((await runSeed(project, seed, fewer)).divergences.length > 0) operations = fewer;
      else from += size;
    }
  }
  return operations;
}

/** These seeds, one after the other; `each` gets the report of every one. */
export async function simulate(
  seeds: number[],
  each: (seed: number, report: Report) => void = () => {},
): Promise<Report> {
  await using project = await Project.open();
  const sum = emptyReport();
  for (const seed of seeds) {
    const operations = operationsOf(seed);
    const { divergences, exceptions, done } = await runSeed(project, seed, operations);
    const report: Report = {
      seeds: 1,
      operations: operations.length,
      done,
      requests: project.requests,
      faults: { ...project.struck },
      exceptions,
      failures: [],
    };
    if (divergences.length > 0) {
      console.error(`seed ${seed} diverges`);
      const fewer = await shrink(project, seed, operations);
      const last = await runSeed(project, seed, fewer);
      report.failures.push({
        seed,
        operations: fewer,
        // A seed that diverges only sometimes is a fault of the simulation.
        divergences: last.divergences.length > 0 ? last.divergences : divergences,
      });
    }
    each(seed, report);
    add(sum, report);
  }
  return sum;
}

/** Which faults did not strike, and which operations were not done. */
export function missing(report: Report): string[] {
  return [
    ...allFaults().filter((fault) => !report.faults[fault]),
    ...allOperations().filter((operation) => !report.done[operation]),
  ];
}

/**
 * Some of these seeds that together leave nothing missing: each time the one that adds most for the requests
 * that it takes. Error: they do not suffice.
 */
export async function cover(seeds: number[]): Promise<number[]> {
  const reports = new Map<number, Report>();
  await simulate(seeds, (seed, report) => reports.set(seed, report));
  const chosen: number[] = [];
  const sum = emptyReport();
  while (missing(sum).length > 0) {
    const left = missing(sum);
    const worth = ({ faults, done, requests }: Report) =>
      left.filter((name) => faults[name] || done[name]).length / requests;
    const [seed, report] = [...reports].reduce((a, b) => worth(b[1]) > worth(a[1]) ? b : a);
    if (worth(report) === 0) throw new Error(`no seed has: ${left.join(", ")}`);
    chosen.push(seed);
    add(sum, report);
  }
  return chosen.sort((a, b) => a - b);
}

const PORTION = 100;

/** The same by several processes, each with a portion of the seeds at a time, which `report` simulates. */
export async function simulateAll(
  seeds: number[],
  processes: number,
  report: (portion: number[]) => Promise<Report> = childReport,
): Promise<Report> {
  const portion = Math.min(PORTION, Math.ceil(seeds.length / processes));
  const left = [...seeds];
  const sum = emptyReport();
  const work = async () => {
    while (left.length > 0) add(sum, await report(left.splice(0, portion)));
  };
  await Promise.all(Array.from({ length: processes }, work));
  sum.failures.sort((a, b) => a.seed - b.seed);
  return sum;
}

/** Consecutive seeds. */
export function range(from: number, seeds: number): number[] {
  return Array.from({ length: seeds }, (_, n) => from + n);
}

/**
 * What a process of its own reports, with `env` added to its environment: the simulation takes over its clocks
 * and its environment.
 */
export async function childReport(
  seeds: number[],
  env: Record<string, string> = {},
): Promise<Report> {
  const { success, stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--allow-all", import.meta.url, "--json", "--processes=1", ...seeds.map(String)],
    env,
    stdin: "null",
    stderr: "inherit",
  }).output();
  const text = new TextDecoder().decode(stdout);
  if (!success && text === "") throw new Error(`seeds from ${seeds[0]} could not be simulated`);
  return JSON.parse(text);
}

/** A report as text. */
export function describe(report: Report): string {
  const counts = (of: Record<string, number>) =>
    Object.entries(of).sort(([, a], [, b]) => b - a)
      .map(([name, count]) => `${name} ${count}`).join(", ") || "none";
  const failures = report.failures.flatMap(({ seed, operations, divergences }) => [
    "",
    `Seed ${seed} diverges (npx -y deno@2.9.6 task simulate ${seed}) with these operations:`,
    ...operations.map((operation) => `  ${operation.do} (${operation.seed})`),
    ...divergences.flatMap(({ whose, what, stored, expected }) => [
      `  ${whose}: ${what}`,
      ...table(stored, expected),
    ]),
  ]);
  return [
    `${report.seeds} seeds, ${report.operations} operations, ${report.requests} requests`,
    `faults: ${counts(report.faults)}`,
    `exceptions: ${counts(report.exceptions)}`,
    `seeds that diverge: ${report.failures.length}`,
    ...failures,
  ].join("\n");
}

/** Field by field, what is here and what Calendly has. */
function table(stored: unknown, expected: unknown): string[] {
  if (typeof stored !== "object" || typeof expected !== "object") {
    return [`    here      ${text(stored)}`, `    Calendly  ${text(expected)}`];
  }
  const [a, b] = [stored, expected] as Record<string, unknown>[];
  return Object.keys({ ...a, ...b }).flatMap((field) => [
    `    ${field}`,
    `      here      ${text(a[field])}`,
    `      Calendly  ${text(b[field])}`,
  ]);
}

function text(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value) ?? "nothing";
}

if (import.meta.main) {
  answerHelp(`Usage: npx -y deno@2.9.6 task simulate [seeds] [options]

Each seed is a team with months of bookings, syncs, accounts, faults and crashes; afterwards what is
stored must be what Calendly has. A seed that diverges is shrunk to the operations that it takes.

  --seeds <n>       so many seeds (100), where none is named
  --from <seed>     beginning with this one (1)
  --processes <n>   in parallel (one a core)
  --cover           print the seeds in which together every fault strikes, at the least cost
  --json            print the report as JSON
  -h, --help        show this`);
  const { values, positionals } = parseArgs({
    args: Deno.args,
    allowPositionals: true,
    options: {
      seeds: { type: "string", default: "100" },
      from: { type: "string", default: "1" },
      processes: { type: "string", default: String(availableParallelism()) },
      json: { type: "boolean", default: false },
      cover: { type: "boolean", default: false },
    },
  });
  const [from, count, processes] = [values.from, values.seeds, values.processes].map(Number);
  const named = positionals.map(Number);
  if (![from, count, processes, ...named].every((n) => Number.isSafeInteger(n) && n > 0)) {
    console.error("Seeds, --from, --seeds and --processes are whole numbers above 0.");
    Deno.exit(2);
  }
  const seeds = named.length > 0 ? named : range(from, count);
  if (values.cover) {
    console.log((await cover(seeds)).join(", "));
    Deno.exit(0);
  }
  const report = processes === 1 ? await simulate(seeds) : await simulateAll(seeds, processes);
  console.log(values.json ? JSON.stringify(report) : describe(report));
  Deno.exit(report.failures.length === 0 ? 0 : 1);
}
