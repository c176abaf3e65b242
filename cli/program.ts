/** Which commands the command line has, and how one is chosen: `calendly-sync <command>`. */
import { VERSION } from "../supabase/functions/_shared/calendly/version.ts";
import { type Command, type ExitCode, PROGRAM, runCommand, type Surroundings } from "./command.ts";
import { connect } from "./commands/connect.ts";
import { deploy } from "./commands/deploy.ts";
import { install } from "./commands/install.ts";
import { reencrypt } from "./commands/reencrypt.ts";
import { sql } from "./commands/sql.ts";
import { status } from "./commands/status.ts";
import { uninstall } from "./commands/uninstall.ts";
import { stderr, stdout, Terminal } from "./terminal.ts";

/** In the order in which one needs them. */
export const COMMANDS: Command[] = [install, deploy, connect, status, sql, reencrypt, uninstall];

/** Runs the command that the arguments name. */
export async function runProgram(args: string[], surroundings?: Surroundings): Promise<ExitCode> {
  const [name, ...rest] = args;
  const command = COMMANDS.find((known) => known.name === name);
  if (command) return await runCommand(command, rest, surroundings);
  if (name === "--version") {
    new Terminal(surroundings?.stdout ?? stdout).line(VERSION);
    return 0;
  }
  const isAsked = name === undefined || name === "--help" || name === "-h" || name === "help";
  const terminal = new Terminal(
    isAsked ? surroundings?.stdout ?? stdout : surroundings?.stderr ?? stderr,
  );
  if (!isAsked) {
    terminal.problem({ code: "unknown_command", message: `There is no command ${name}.` });
    terminal.line();
  }
  terminal.line(`Usage: ${PROGRAM} <command> [options]`);
  terminal.line();
  for (const { name, summary } of COMMANDS) terminal.line(`  ${name.padEnd(11)} ${summary}`);
  terminal.line();
  terminal.line(`${PROGRAM} <command> --help says what a command takes. --version: ${VERSION}`);
  return isAsked ? 0 : 1;
}
