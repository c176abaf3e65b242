/**
 * `deno task bench [names] [--small] [--rounds 3] [--write | --rewrite]`: measures on the Postgres of
 * TEST_DATABASE_URL (a superuser's URL), else on one that it starts. Prints tables and writes them into
 * bench/results; `--write` also into docs/performance.md, `--rewrite` does only that. `--small` shows in a
 * minute that the benchmarks work; it writes nothing.
 */
import { parseArgs } from "node:util";
import { answerHelp } from "../local/usage.ts";
import { writeDocument } from "./harness/document.ts";
import { type Benchmark, render, type Result } from "./harness/result.ts";
import { describeMachine, startServer } from "./harness/server.ts";
import { console as consolePage } from "./console.ts";
import { deliveries } from "./deliveries.ts";
import { functions } from "./functions.ts";
import { growth } from "./growth.ts";
import { health } from "./health.ts";
import { invitees } from "./invitees.ts";
import { pages } from "./pages.ts";
import { requests } from "./requests.ts";
import { runs } from "./runs.ts";
import { schedule } from "./schedule.ts";
import { storage } from "./storage.ts";

const BENCHMARKS: Benchmark[] = [
  pages,
  invitees,
  deliveries,
  runs,
  schedule,
  health,
  requests,
  storage,
  functions,
  growth,
  consolePage,
];
const ROOT = new URL("../", import.meta.url);
const RESULTS = new URL("results/", import.meta.url);

const USAGE = "npx -y deno@2.9.6 task bench [names] [options]";
answerHelp(`Usage: ${USAGE}

Measures on the Postgres of TEST_DATABASE_URL (a superuser's URL), else on one that it starts, and
writes tables into bench/results. Names choose among
${BENCHMARKS.map(({ name }) => name).join(", ")}.

  --small        see in a minute that the benchmarks work; writes nothing
  --rounds <n>   measure so many times (3)
  --write        write docs/performance.md, too
  --rewrite      write that alone, from bench/results
  -h, --help     show this`);

const { values, positionals } = parseArgs({
  args: Deno.args,
  allowPositionals: true,
  options: {
    small: { type: "boolean", default: false },
    rounds: { type: "string", default: "3" },
    write: { type: "boolean", default: false },
    rewrite: { type: "boolean", default: false },
  },
});
const rounds = Number(values.rounds);
const chosen = BENCHMARKS.filter(({ name }) =>
  positionals.length === 0 || positionals.includes(name)
);
const unknown = positionals.filter((name) => !BENCHMARKS.some((known) => known.name === name));
if (unknown.length > 0 || !(Number.isSafeInteger(rounds) && rounds > 0)) {
  console.error(`${USAGE}: --help lists the names. --rounds is a number above 0.`);
  Deno.exit(2);
}

let failed = false;
if (!values.rewrite) await measure();
if (values.write || values.rewrite) await writeDocument(RESULTS);
Deno.exit(failed ? 1 : 0);

async function measure(): Promise<void> {
  await using _server = await startServer();
  const machine = await describeMachine();
  for (const { name, about, run } of chosen) {
    console.log(`\n${name}: ${about}`);
    const began = new Date();
    const outcome = await run({ small: values.small, rounds });
    const result: Result = {
      name,
      about,
      measured_at: began.toISOString().slice(0, 16) + "Z",
      commit: commit(),
      small: values.small,
      rounds,
      ...machine,
      ...outcome,
    };
    for (const table of outcome.tables) console.log(`\n${render(table)}`);
    for (const problem of outcome.problems ?? []) console.error(`\n${problem}`);
    failed ||= (outcome.problems ?? []).length > 0;
    if (!values.small) await save(result);
  }
}

async function save(result: Result): Promise<void> {
  await Deno.mkdir(RESULTS, { recursive: true });
  const file = new URL(`${result.name}.json`, RESULTS);
  await Deno.writeTextFile(file, JSON.stringify(result, null, 2) + "\n");
}

/** The commit that is measured, and whether files have changed since. */
function commit(): string {
  const git = (...args: string[]) =>
    new TextDecoder().decode(new Deno.Command("git", { args, cwd: ROOT }).outputSync().stdout)
      .trim();
  const changed = git("status", "--porcelain", "--", "supabase", "local", "bench/*.ts");
  return git("rev-parse", "--short", "HEAD") + (changed ? ", changed" : "");
}
