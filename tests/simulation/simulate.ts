/**
 * `deno task simulate --seeds N --from S`, or `deno task simulate 237 283` for these seeds: team after team,
 * each with a story of its own full of trouble; afterwards each mirror must equal what its Calendly has. A
 * seed that fails is told again without what it can do without, and its differences are shown.
 * `--processes P` (one a core) work side by side; `--json` answers with a `Report`. `--cover` instead prints
 * those of the seeds that together have every fault strike and every deed happen, at the least cost.
 */
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { Random } from "../../sandbox/random.ts";
import { calmDown, type Divergence, judge, type Judgement } from "./calm.ts";
import { Project } from "./project.ts";
import { allDeeds, allFaults, countPlanted, type Deed, deedsOf, gather, happen } from "./storm.ts";

/** What many seeds come to. */
export interface Report {
  seeds: number;
  deeds: number;
  /** How often each kind of deed did something. */
  done: Record<string, number>;
  /** Requests that the functions made, to Calendly and to Postgres. */
  requests: number;
  faults: Record<string, number>;
  exceptions: Record<string, number>;
  /** Seeds that failed, and a story for each that is no longer than it need be. */
  failures: { seed: number; deeds: Deed[]; divergences: Divergence[] }[];
}

export function emptyReport(): Report {
  return { seeds: 0, deeds: 0, done: {}, requests: 0, faults: {}, exceptions: {}, failures: [] };
}

export function add(sum: Report, part: Report): Report {
  sum.seeds += part.seeds;
  sum.deeds += part.deeds;
  sum.requests += part.requests;
  for (const name of ["done", "faults", "exceptions"] as const) {
    for (const [key, count] of Object.entries(part[name])) {
      sum[name][key] = (sum[name][key] ?? 0) + count;
    }
  }
  sum.failures.push(...part.failures);
  return sum;
}

/** Tells a seed's story, or a part of it, and judges what came of it; `done`: which deeds did something. */
export async function tell(
  project: Project,
  seed: number,
  deeds: Deed[] = deedsOf(seed),
): Promise<Judgement & { done: Record<string, number> }> {
  const done: Record<string, number> = {};
  await project.begin(seed);
  try {
    const team = await gather(project, seed);
    for (const [index, deed] of deeds.entries()) {
      if (await happen(team, deed)) done[deed.do] = (done[deed.do] ?? 0) + 1;
      // A seed in a hundred finds Postgres restarted in the middle of its story.
      if (seed % 100 === 0 && index === deeds.length >> 1) await project.restart();
    }
    countPlanted(team);
    return { ...await judge(team, await calmDown(team, new Random(seed + 2))), done };
  } catch (error) {
    const stored = error instanceof Error ? error.stack ?? error.message : String(error);
    return {
      divergences: [{ whose: "everybody", what: "the story", stored, expected: "its end" }],
      exceptions: {},
      done,
    };
  } finally {
    project.sandbox.close();
  }
}

/** Leaves deeds out for as long as the story still fails: halves first, then less and less. */
export async function shrink(project: Project, seed: number, deeds: Deed[]): Promise<Deed[]> {
  for (let size = deeds.length >> 1; size > 0; size >>= 1) {
    for (let from = 0; from < deeds.length;) {
      const fewer = deeds.toSpliced(from, size);
      if ((await tell(project, seed, fewer)).divergences.length > 0) deeds = fewer;
      else from += size;
    }
  }
  return deeds;
}

/** These seeds, one after the other; `each` gets the report of every one. */
export async function simulate(
  seeds: number[],
  each: (seed: number, report: Report) => void = () => {},
): Promise<Report> {
  await using project = await Project.open();
  const sum = emptyReport();
  for (const seed of seeds) {
    const deeds = deedsOf(seed);
    const { divergences, exceptions, done } = await tell(project, seed, deeds);
    const report: Report = {
      seeds: 1,
      deeds: deeds.length,
      done,
      requests: project.requests,
      faults: { ...project.struck },
      exceptions,
      failures: [],
    };
    if (divergences.length > 0) {
      console.error(`seed ${seed} diverges`);
      const fewer = await shrink(project, seed, deeds);
      const last = await tell(project, seed, fewer);
      report.failures.push({
        seed,
        deeds: fewer,
        // A story that fails now and then would be a fault of the simulation.
        divergences: last.divergences.length > 0 ? last.divergences : divergences,
      });
    }
    each(seed, report);
    add(sum, report);
  }
  return sum;
}

/** What of the faults and the deeds has not happened in what is reported. */
export function missing(report: Report): string[] {
  return [
    ...allFaults().filter((fault) => !report.faults[fault]),
    ...allDeeds().filter((deed) => !report.done[deed]),
  ];
}

/**
 * Of these seeds some that together leave nothing missing: each time the one that adds most for the requests
 * that it takes. Throws where they do not suffice.
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

/**
 * The same by several processes, each with a portion of the seeds at a time. The last process starts when
 * its core is `free`.
 */
export async function simulateAll(
  seeds: number[],
  processes: number,
  free: Promise<unknown> = Promise.resolve(),
): Promise<Report> {
  const portion = Math.min(PORTION, Math.ceil(seeds.length / processes));
  const left = [...seeds];
  const sum = emptyReport();
  const work = async () => {
    while (left.length > 0) add(sum, await childReport(left.splice(0, portion)));
  };
  await Promise.all(
    Array.from({ length: processes }, (_, n) => n < processes - 1 ? work() : free.then(work)),
  );
  sum.failures.sort((a, b) => a.seed - b.seed);
  return sum;
}

/** So many seeds in a row. */
export function row(from: number, seeds: number): number[] {
  return Array.from({ length: seeds }, (_, n) => from + n);
}

/** What a process of its own reports: the simulation takes over its clocks and its environment. */
export async function childReport(seeds: number[]): Promise<Report> {
  const { success, stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--allow-all", import.meta.url, "--json", "--processes=1", ...seeds.map(String)],
    stdin: "null",
    stderr: "inherit",
  }).output();
  const text = new TextDecoder().decode(stdout);
  if (!success && text === "") throw new Error(`seeds from ${seeds[0]} could not be simulated`);
  return JSON.parse(text);
}

/** As a person reads it. */
export function describe(report: Report): string {
  const counts = (of: Record<string, number>) =>
    Object.entries(of).sort(([, a], [, b]) => b - a)
      .map(([name, count]) => `${name} ${count}`).join(", ") || "none";
  const failures = report.failures.flatMap(({ seed, deeds, divergences }) => [
    "",
    `Seed ${seed} fails (deno task simulate ${seed}). What it takes:`,
    ...deeds.map((deed) => `  ${deed.do} (${deed.seed})`),
    ...divergences.flatMap(({ whose, what, stored, expected }) => [
      `  ${whose}: ${what}`,
      ...table(stored, expected),
    ]),
  ]);
  return [
    `${report.seeds} seeds, ${report.deeds} deeds, ${report.requests} requests`,
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
  const seeds = named.length > 0 ? named : row(from, count);
  if (values.cover) {
    console.log((await cover(seeds)).join(", "));
    Deno.exit(0);
  }
  const report = processes === 1 ? await simulate(seeds) : await simulateAll(seeds, processes);
  console.log(values.json ? JSON.stringify(report) : describe(report));
  Deno.exit(report.failures.length === 0 ? 0 : 1);
}
