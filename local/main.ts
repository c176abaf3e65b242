/**
 * `deno task start`: boots the local stack and, on the sandbox, connects and syncs the demo account.
 * Nothing is imported here that has to be fetched, so that a missing network can be reported.
 */
import { parseArgs, parseEnv } from "node:util";
import { interruptSignal, unlessAborted } from "./interrupt.ts";
import { Problem } from "../cli/problem.ts";
import type { StackOptions } from "./stack.ts";
import { Terminal } from "../cli/terminal.ts";

const PORT = 54321;
/** Not 54322, where the Supabase CLI expects the database of `supabase start`. */
const DATABASE_PORT = 54329;
const SANDBOX_PORT = 54328;

const HELP = `Usage: npx -y deno@2.9.6 task start [options]

Starts a whole local Supabase project, with a sandbox in place of Calendly: it connects a demo user,
syncs them, and stays until Ctrl-C. The folder .local keeps the database and the sandbox's account.

  --port <n>             where the project answers (${PORT}; with --once --ephemeral a free port)
  --ephemeral            keep everything in memory, leave nothing behind
  --database-url <url>   a real Postgres (superuser) in place of the embedded one
  --calendly-url <url>   a Calendly in place of the sandbox; nothing is synced at the start
  --once                 show the main job once, then stop; exit code 0 only if it worked
  -h, --help             show this

Postgres answers at port ${DATABASE_PORT} and the sandbox at port ${SANDBOX_PORT}; where one is taken, at a free one.
Settings for the functions (see .env.example) are taken from the environment and from the file .env.`;

export interface Options {
  stack: StackOptions;
  once: boolean;
}

/** The command line and the environment as options; throws a `Problem` for a wrong one. */
export function parseOptions(
  args: string[],
  environment: Record<string, string | undefined>,
): Options | "help" {
  let values;
  try {
    ({ values } = parseArgs({
      args,
      options: {
        port: { type: "string" },
        ephemeral: { type: "boolean", default: false },
        "database-url": { type: "string" },
        "calendly-url": { type: "string" },
        once: { type: "boolean", default: false },
        help: { type: "boolean", short: "h" },
      },
    }));
  } catch (cause) {
    const message = (cause as Error).message.split(/[.'] To specify/)[0];
    throw new Problem(
      "unknown_option",
      message,
      "npx -y deno@2.9.6 task start --help lists the options.",
      { cause },
    );
  }
  if (values.help) return "help";

  // Shown once and gone: beside a project that runs it takes no port that somebody may want.
  const isPassing = values.once && values.ephemeral;
  const port = Number(values.port ?? (isPassing ? 0 : PORT));
  if (!Number.isInteger(port) || port < 0 || port > 65535 || values.port === "") {
    throw new Problem("bad_option", `--port ${values.port} is no port.`, "Such as --port 54321.");
  }
  const env = Object.fromEntries(
    Object.entries(environment).filter(([name, value]) =>
      (name.startsWith("CALENDLY_") || name === "SUPABASE_PUBLIC_URL") && value
    ),
  ) as Record<string, string>;
  const calendlyUrl = url("--calendly-url", values["calendly-url"], /^https?:$/) ??
    url("CALENDLY_API_URL", env.CALENDLY_API_URL, /^https?:$/);
  delete env.CALENDLY_API_URL;
  return {
    once: values.once,
    stack: {
      port,
      databasePort: isPassing ? 0 : DATABASE_PORT,
      sandboxPort: isPassing ? 0 : SANDBOX_PORT,
      ephemeral: values.ephemeral,
      databaseUrl: url("--database-url", values["database-url"], /^postgres(ql)?:$/),
      calendlyUrl,
      env,
    },
  };
}

function url(option: string, value: string | undefined, protocol: RegExp): string | undefined {
  if (value === undefined) return undefined;
  if (!URL.canParse(value) || !protocol.test(new URL(value).protocol)) {
    const example = protocol.test("http:")
      ? "https://api.calendly.com"
      : "postgresql://postgres:secret@127.0.0.1:5432/postgres";
    throw new Problem("bad_option", `${option} ${value} is no such URL.`, `Such as ${example}`);
  }
  return value.replace(/\/$/, "");
}

/** The file .env and the environment, which overrides it. */
async function readEnvironment(): Promise<Record<string, string | undefined>> {
  const file = await Deno.readTextFile(new URL("../.env", import.meta.url)).catch(() => "");
  return { ...parseEnv(file), ...Deno.env.toObject() };
}

/**
 * Does what the arguments say until it is done or interrupted, and returns the exit code: 130 when it was
 * interrupted before it was ready. `folder` is where the database, the keys and stack.json are kept.
 */
export async function main(args: string[], terminal: Terminal, folder?: string): Promise<number> {
  const interrupted = interruptSignal();
  try {
    const options = parseOptions(args, await readEnvironment());
    if (options === "help") {
      terminal.line(HELP);
      return 0;
    }
    terminal.heading(`Calendly Sync for Supabase${options.once ? ": the main job, once" : ""}`);
    const { start, runOnce } = await unlessAborted(interrupted, loadLibraries(terminal));
    const run = options.once ? runOnce : start;
    return await run(terminal, { ...options.stack, folder }, interrupted);
  } catch (error) {
    if (interrupted.aborted && error === interrupted.reason) return 130;
    if (!(error instanceof Problem)) throw error;
    terminal.line();
    terminal.problem(error);
    return 1;
  }
}

/** Milliseconds after which a person wants to know what is waited for. */
const PATIENCE = 1500;

/**
 * Loading takes a while the first time, above all where packages are still to be fetched: some 90. Deno
 * would print a line for each, but for `--quiet`; here it is one line, and none where it is quick. On a
 * terminal `deno task` itself has shown a bar before; into a file it prints lines, but for `deno task -q`.
 */
async function loadLibraries(terminal: Terminal): Promise<typeof import("./first_run.ts")> {
  const loading = loadFirstRun();
  const began = performance.now();
  if (await isQuick(loading)) return await loading;
  return await terminal.step("Libraries", async (note) => {
    const seconds = () => note(`… ${Math.round((performance.now() - began) / 1000)} s`);
    const counting = setInterval(seconds, 1000);
    try {
      return await loading;
    } finally {
      clearInterval(counting);
    }
  });
}

async function isQuick(work: Promise<unknown>): Promise<boolean> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<false>((resolve) => timer = setTimeout(() => resolve(false), PATIENCE));
  try {
    return await Promise.race([late, work.then(() => true as const)]);
  } finally {
    clearTimeout(timer);
  }
}

async function loadFirstRun(): Promise<typeof import("./first_run.ts")> {
  // Not a literal: Deno would fetch what it imports before a line of this file runs.
  const file = new URL("./first_run.ts", import.meta.url).href;
  try {
    return await import(file);
  } catch (cause) {
    const [reason] = (cause as Error).message.split("\n");
    throw new Problem(
      "no_network",
      `A library is missing and could not be fetched (${reason}).`,
      "The first start needs the npm registry: check the network, the proxy (HTTPS_PROXY) or NPM_CONFIG_REGISTRY.",
      { cause },
    );
  }
}

if (import.meta.main) Deno.exit(await main(Deno.args, new Terminal()));
