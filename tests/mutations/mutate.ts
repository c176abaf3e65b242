/**
 * Do the tests notice a broken rule? Each mutation breaks one rule of the product, in a copy of the project,
 * and the tests that it names must fail then. Without it they pass.
 *
 *     deno task mutate              # all of them
 *     deno task mutate 7 lease      # the seventh, and those about a lease
 *
 * Those that need concurrency run where TEST_DATABASE_URL is set.
 */
import { cp } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { answerHelp } from "../../local/usage.ts";
import { type Outcome, readRecord } from "../harness/record.ts";
import { REQUIREMENTS } from "../harness/requirements.ts";
import type { Mutation, NamedTest } from "./mutation.ts";
import { MUTATIONS } from "./mutations.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
/** A test that hangs has not noticed the mutation. */
const TIMEOUT = 5 * 60_000;

export interface MutationReport {
  mutations: number;
  caught: number;
  /** What was broken and not noticed, or could not be tried. */
  survivors: string[];
  /** What needs something that is not here. */
  skipped: string[];
}

/** Tries these mutations one after the other, and prints a line for each. `onCaught` gets those that were noticed. */
export async function mutate(
  mutations: Mutation[],
  onCaught: (mutation: Mutation) => unknown = () => {},
): Promise<MutationReport> {
  const report: MutationReport = { mutations: 0, caught: 0, survivors: [], skipped: [] };
  await using copy = await Copy.make();
  for (const mutation of mutations) {
    const name = `${MUTATIONS.indexOf(mutation) + 1}. ${mutation.breaks}`;
    if (mutation.caughtBy.some(({ real }) => real) && !REQUIREMENTS.realPostgres.met) {
      report.skipped.push(name);
      console.log(`- ${name}: needs ${REQUIREMENTS.realPostgres.how}`);
      continue;
    }
    report.mutations++;
    try {
      await copy.prove(mutation);
      report.caught++;
      await onCaught(mutation);
      console.log(`✓ ${name}: caught by ${mutation.caughtBy.map(titleOf).join(", and by ")}`);
    } catch (error) {
      report.survivors.push(name);
      console.log(`✗ ${name}: ${error instanceof Error ? error.message : error}`);
    }
  }
  return report;
}

/** A mutated file's text. Error: the place is not found exactly once, so the mutation is out of date. */
export function apply({ file, from, to }: Mutation, text: string): string {
  const times = text.split(from).length - 1;
  if (times !== 1) throw new Error(`what it changes occurs ${times} times in ${file}: ${from}`);
  return text.replace(from, () => to);
}

export function readMutated({ file }: Mutation, root = ROOT): Promise<string> {
  return Deno.readTextFile(`${root}/${file}`);
}

/** The project in a folder of its own, where a rule is broken without disturbing anybody. */
class Copy implements AsyncDisposable {
  /** Results of the named tests without a mutation. */
  #unbroken = new Map<string, Promise<Ran>>();

  private constructor(readonly root: string) {}

  static async make(): Promise<Copy> {
    const root = await Deno.makeTempDir({ prefix: "mutations-" });
    const left = /\/(\.git|\.local|node_modules)$/;
    await cp(ROOT, root, { recursive: true, filter: (path) => !left.test(path) });
    return new Copy(root);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.root, { recursive: true });
  }

  /** Throws unless each named test passes, and fails once the mutation is made. */
  async prove(mutation: Mutation): Promise<void> {
    const runs = Map.groupBy(mutation.caughtBy, (test) => argumentsOf(test).join(" "));
    for (const [key, [test]] of runs) {
      if (!this.#unbroken.has(key)) this.#unbroken.set(key, this.#run(test));
      const { outcome, output } = await this.#unbroken.get(key)!;
      if (!outcome || outcome.passed === 0 || outcome.failed.length > 0) {
        throw new Error(`${titleOf(test)} does not pass without it\n${output}`);
      }
    }

    const file = `${this.root}/${mutation.file}`;
    const text = await readMutated(mutation, this.root);
    const images = await this.#images();
    await Deno.writeTextFile(file, apply(mutation, text));
    try {
      await this.#compile(mutation.file);
      for (const tests of runs.values()) {
        const { outcome, output } = await this.#run(tests[0]);
        for (const test of tests) {
          const failed = outcome?.failed.some((title) => title.includes(lastNameOf(test)));
          if (!failed) throw new Error(`${titleOf(test)} does not fail\n${output}`);
        }
      }
    } finally {
      await Deno.writeTextFile(file, text);
      for (const image of (await this.#images()).difference(images)) await Deno.remove(image);
    }
  }

  /** Images of databases: each mutation of SQL makes some. */
  async #images(): Promise<Set<string>> {
    const folder = `${this.root}/.local/images`;
    await Deno.mkdir(folder, { recursive: true });
    return new Set([...Deno.readDirSync(folder)].map(({ name }) => `${folder}/${name}`));
  }

  /** A mutation that does not compile breaks more than its rule. Bodies of SQL functions are read when they run. */
  async #compile(file: string): Promise<void> {
    const check = file.endsWith(".sql")
      ? [
        "eval",
        "import { preparedImage } from './local/image.ts'; await preparedImage({ seed: false });",
      ]
      : ["check", "--quiet", file];
    const { success, output } = await this.#deno(check);
    if (!success) throw new Error(`it does not compile\n${output}`);
  }

  async #run(test: NamedTest): Promise<Ran> {
    const record = `${this.root}/record.xml`;
    await Deno.remove(record).catch(() => {});
    const { output } = await this.#deno([
      "test",
      "--allow-all",
      "--no-check",
      `--junit-path=${record}`,
      ...argumentsOf(test),
    ], test.real);
    const xml = await Deno.readTextFile(record).catch(() => undefined);
    return { outcome: xml === undefined ? undefined : readRecord(xml), output };
  }

  async #deno(args: string[], real = false): Promise<{ success: boolean; output: string }> {
    const { TEST_DATABASE_URL, PROOF: _, ...env } = Deno.env.toObject();
    const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args,
      cwd: this.root,
      // the named test may be a long one
      env: { ...env, ...real ? { TEST_DATABASE_URL } : {}, REQUIRE_ALL: "1", NO_COLOR: "1" },
      clearEnv: true,
      stdin: "null",
      signal: AbortSignal.timeout(TIMEOUT),
    }).output();
    const decoder = new TextDecoder();
    return { success, output: decoder.decode(stdout) + decoder.decode(stderr) };
  }
}

/** `outcome`: undefined where the tests did not run. */
interface Ran {
  outcome: Outcome | undefined;
  output: string;
}

function argumentsOf({ file, test, part, real }: NamedTest): string[] {
  const database = real ? " [real" : "";
  return [`--filter=${test}${database}`, file, ...part ? ["--", part] : []];
}

function lastNameOf({ test, part, step }: NamedTest): string {
  return step ?? part ?? test;
}

function titleOf({ file, test, part, step }: NamedTest): string {
  return [file, test, part, step].filter((name) => name !== undefined).join(" > ");
}

if (import.meta.main) {
  answerHelp(`Usage: npx -y deno@2.9.6 task mutate [numbers or words]

Breaks one rule of the product at a time, in a copy, and runs the tests that must fail then. Numbers
and words choose: "7" the seventh, "lease" those about a lease.

TEST_DATABASE_URL names a Postgres (a superuser's URL) for those that need concurrency.`);
  const chosen = MUTATIONS.filter(({ breaks }, n) =>
    Deno.args.length === 0 ||
    Deno.args.some((arg) => /^\d+$/.test(arg) ? Number(arg) === n + 1 : breaks.includes(arg))
  );
  const { mutations, caught, survivors, skipped } = await mutate(chosen);
  console.log(`\nmutations: ${caught} of ${mutations} caught, ${skipped.length} skipped`);
  Deno.exit(survivors.length === 0 && caught > 0 ? 0 : 1);
}
