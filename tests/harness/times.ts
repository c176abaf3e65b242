/**
 * tests/times.json: how long each test file takes and how much memory it needs, by default and with
 * REQUIRE_ALL=1 on a real Postgres, too. `deno task test --record-times` measures the files that it runs.
 */
import { REQUIREMENTS } from "./requirements.ts";

const FILE = new URL("../times.json", import.meta.url);
const MODE = REQUIREMENTS.longRun.met ? "full" : "default";

export interface Cost {
  seconds: number;
  /** Peak of all its processes, in MiB. */
  memory: number;
}

type Times = Record<"default" | "full", Record<string, Cost>>;

/** For a file that nobody has measured. */
const USUAL: Cost = { seconds: 5, memory: 1000 };

/** What each file costs in this mode, as measured last. */
export async function readCosts(): Promise<(file: string) => Cost> {
  const times = await readTimes();
  return (file) => times[MODE][file] ?? times.default[file] ?? USUAL;
}

/** Keeps what was measured, and drops files that are gone. */
export async function recordCosts(measured: Map<string, Cost>, files: string[]): Promise<void> {
  const times = await readTimes();
  Object.assign(times[MODE], Object.fromEntries(measured));
  const sorted = Object.entries(times).map(([mode, costs]) => [
    mode,
    Object.fromEntries(
      Object.entries(costs)
        .filter(([file]) => files.includes(file))
        .sort(([a], [b]) => a < b ? -1 : 1),
    ),
  ]);
  await Deno.writeTextFile(FILE, JSON.stringify(Object.fromEntries(sorted), null, 2) + "\n");
}

async function readTimes(): Promise<Times> {
  return JSON.parse(await Deno.readTextFile(FILE));
}

/** Measures the peak memory of processes and of all that they start, once a second. */
export class MemoryMeter implements Disposable {
  readonly #peaks = new Map<number, number>();
  readonly #timer = setInterval(() => this.#measure(), 1000);

  watch(pid: number): void {
    this.#peaks.set(pid, 0);
  }

  /** In MiB. */
  peak(pid: number): number {
    return this.#peaks.get(pid) ?? 0;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  async #measure(): Promise<void> {
    const { stdout } = await new Deno.Command("ps", { args: ["-A", "-o", "pid=,ppid=,rss="] })
      .output();
    const processes = new TextDecoder().decode(stdout).trim().split("\n")
      .map((line) => line.trim().split(/\s+/).map(Number));
    const memoryOf = (root: number): number =>
      processes.reduce(
        (sum, [pid, parent, kibibytes]) =>
          sum + (pid === root ? kibibytes / 1024 : 0) + (parent === root ? memoryOf(pid) : 0),
        0,
      );
    for (const [pid, peak] of this.#peaks) {
      this.#peaks.set(pid, Math.max(peak, Math.round(memoryOf(pid))));
    }
  }
}
