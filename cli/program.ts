/** Which commands the command line has, and how one is chosen: `calendly-sync <command>`. */
import { VERSION } from "../supabase/functions/_shared/calendly/version.ts";
import {
  type Command,
  type ExitCode,
  PROGRAM,
  runCommand,
  standardSurroundings,
  type Surroundings,
  wantsJson,
} from "./command.ts";
import { connect } from "./commands/connect.ts";
import { console as openConsole } from "./commands/console.ts";
import { deploy } from "./commands/deploy.ts";
import { install } from "./commands/install.ts";
import { reencrypt } from "./commands/reencrypt.ts";
import { sql } from "./commands/sql.ts";
import { status } from "./commands/status.ts";
import { uninstall } from "./commands/uninstall.ts";
import { Problem } from "./problem.ts";
import { OutputClosed, Terminal } from "./terminal.ts";

/** In the order in which one needs them. */
export const COMMANDS: Command[] = [
  install,
  deploy,
  connect,
  status,
  openConsole,
  sql,
  reencrypt,
  uninstall,
];

/**
 * Runs the command that the arguments name. Where nobody reads the output any more, it ends without a word.
 */
export async function runProgram(
  args: string[],
  surroundings = standardSurroundings(),
): Promise<ExitCode> {
  try {
    return await runNamed(args, surroundings);
  } catch (error) {
    if (error instanceof OutputClosed) return 1;
    throw error;
  }
}

async function runNamed(args: string[], surroundings: Surroundings): Promise<ExitCode> {
  const [name, ...rest] = args;
  const command = COMMANDS.find((known) => known.name === name);
  if (command) return await runCommand(command, rest, surroundings);
  const output = new Terminal(surroundings.stdout);
  const isJson = wantsJson(args);
  const answer = (text: string, result: unknown) =>
    output.raw(isJson ? JSON.stringify(result, null, 2) : text);
  if (name === "--version") {
    answer(VERSION, { version: VERSION });
    return 0;
  }
  const usage = describeUsage();
  if (name === undefined || name === "--help" || name === "-h" || name === "help") {
    answer(usage, { help: usage });
    return 0;
  }
  // It is not repeated where it may be anything else than a mistyped name.
  const what = /^[a-z-]{1,20}$/.test(name) ? `no command ${name}` : "no such command";
  const problem = new Problem(
    "unknown_command",
    `There is ${what}.`,
    `${PROGRAM} --help lists the commands.`,
  );
  if (isJson) answer("", { error: problem });
  new Terminal(surroundings.stderr).problem(problem);
  return problem.exitCode;
}

function describeUsage(): string {
  return [
    `Usage: ${PROGRAM} <command> [options]`,
    "",
    ...COMMANDS.map(({ name, summary }) => `  ${name.padEnd(11)} ${summary}`),
    "",
    `${PROGRAM} <command> --help says what a command takes. --version: ${VERSION}`,
  ].join("\n");
}
