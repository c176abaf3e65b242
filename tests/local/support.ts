/** For tests of `deno task start`: running it, and what it printed. */
import assert from "node:assert/strict";
import { Problem } from "../../cli/problem.ts";
import { Terminal } from "../../cli/terminal.ts";

const SCRIPT = new URL("./fixtures/start.ts", import.meta.url).href;

/** A Calendly at which nothing listens. */
export const NO_CALENDLY = "http://127.0.0.1:9";

/** Expects `work` to end with a `Problem`, and returns that. */
export async function assertProblem(
  work: Promise<unknown>,
  code: string,
  message: RegExp,
): Promise<Problem> {
  const error = await work.then(() => assert.fail(`no ${code}`), (error) => error);
  assert.ok(error instanceof Problem, String(error));
  assert.equal(error.code, code);
  assert.match(error.message, message);
  return error;
}

/** Ends, at the latest, with the test. */
export interface Child extends AsyncDisposable {
  process: Deno.ChildProcess;
  output: Promise<string>;
}

export function spawn(folder: string, args: string[], env: Record<string, string> = {}): Child {
  const process = new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--allow-all", "--no-lock", SCRIPT, folder, ...args],
    env: { ...env, NO_COLOR: "1" },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const output = Promise.all([
    new Response(process.stdout).text(),
    new Response(process.stderr).text(),
  ]).then((texts) => texts.join("\n"));
  return {
    process,
    output,
    async [Symbol.asyncDispose]() {
      try {
        process.kill("SIGKILL");
      } catch (error) {
        if (!(error instanceof TypeError)) throw error; // It has ended by itself.
      }
      await process.status;
    },
  };
}

export async function waitForFile(file: string, child: Child) {
  let ended: Deno.CommandStatus | undefined;
  child.process.status.then((status) => ended = status);
  while (true) {
    try {
      return JSON.parse(await Deno.readTextFile(file));
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound || error instanceof SyntaxError)) throw error;
    }
    if (ended) assert.fail(`it ended with ${ended.code}: ${await child.output}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

export async function temporaryFolder(): Promise<{ path: string } & AsyncDisposable> {
  const path = await Deno.makeTempDir();
  return { path, [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }) };
}

/** A terminal that prints nothing; `onText` gets the text instead. */
export function quietTerminal(onText: (text: string) => void = () => {}): Terminal {
  const decoder = new TextDecoder();
  return new Terminal({
    isTerminal: () => false,
    writeSync(bytes) {
      onText(decoder.decode(bytes));
      return bytes.length;
    },
  });
}
