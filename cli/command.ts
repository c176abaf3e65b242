/**
 * What every command of the command line has in common: options with their help, `--json`, questions, and
 * how it ends. A command reads, plans, shows the plan, asks, does, and verifies; it can be repeated.
 */
import { confirm, isCancel } from "@clack/prompts";
import process from "node:process";
import { parseArgs } from "node:util";
import { Problem } from "./problem.ts";
import { wrap } from "./words.ts";
import { type Output, OutputClosed, stderr, stdout, Terminal } from "./terminal.ts";

/** 0: done, or all is well. 1: not well, or refused. 2: cannot tell. */
export type ExitCode = 0 | 1 | 2;

export interface Option {
  type: "string" | "boolean";
  short?: string;
  /** What stands for the value of a string in the help, such as `<ref>`. */
  value?: string;
  help: string;
}
type Options = Record<string, Option>;
type Values<Own extends Options> = {
  [Name in keyof Own]?: Own[Name]["type"] extends "boolean" ? boolean : string;
};

/** Every command has these. */
const COMMON = {
  json: { type: "boolean", help: "print the result as one JSON object" },
  help: { type: "boolean", short: "h", help: "show this" },
} satisfies Options;

/** For commands that change something. */
export const CHANGING = {
  "dry-run": { type: "boolean", help: "show the plan and change nothing" },
  yes: { type: "boolean", short: "y", help: "ask nothing" },
} satisfies Options;

export interface Definition<Own extends Options> {
  name: string;
  /** One line for the list of commands. */
  summary: string;
  /** What the command takes beside options, such as `[folder]`. At most one. */
  argument?: string;
  /** Further lines for its help. */
  description?: string;
  options?: Own;
  run(context: Context<Own>): Promise<ExitCode>;
}

/** A command whose options are known by name only, for the list of all. */
export type Command = Definition<Options>;

/** Keeps the types of the options for `run`. */
export function defineCommand<const Own extends Options>(definition: Definition<Own>): Command {
  return definition as unknown as Command;
}

export interface Context<Own extends Options = Options> {
  values: Values<Own & typeof CHANGING>;
  argument?: string;
  env: Record<string, string | undefined>;
  /** The folder in which the command was typed. */
  folder: string;
  /** The result, where it is text for other programs. */
  output: Terminal;
  /** What a person reads; with --json on stderr. */
  terminal: Terminal;
  isJson: boolean;
  /** Prints the result as JSON, where that was asked for. */
  answer(result: unknown): void;
  /** Asks before something is changed; --yes answers. Error: not_confirmed where nobody can. */
  confirm(question: string): Promise<boolean>;
}

/** Where a command runs. Tests have their own. */
export interface Surroundings {
  env: Record<string, string | undefined>;
  folder: string;
  stdout: Output;
  stderr: Output;
}

/** In a clone the program runs in the clone's own folder, and is no command of the project's folder. */
export const IS_CLONE = process.versions.deno !== undefined;

/**
 * How a person calls this program: by its name, or in a clone by its task. No `npx` before the name: the
 * package is not on npm, and what npx would run under that name is anybody's.
 */
export const PROGRAM = IS_CLONE ? "npx -y deno@2.9.6 task cli" : "calendly-sync";

export function standardSurroundings(): Surroundings {
  return { env: process.env, folder: process.cwd(), stdout, stderr };
}

/** Until the arguments are understood, only a word of them tells what kind of answer is wanted. */
export function wantsJson(args: string[]): boolean {
  return args.includes("--json");
}

/** Runs one command with its arguments, and tells how it ended. Error: OutputClosed. */
export async function runCommand(
  command: Command,
  args: string[],
  surroundings: Surroundings = standardSurroundings(),
): Promise<ExitCode> {
  const output = new Terminal(surroundings.stdout);
  const isJson = wantsJson(args);
  const terminal = isJson ? new Terminal(surroundings.stderr) : output;
  const answer = (result: unknown) => {
    if (isJson) output.raw(JSON.stringify(result, null, 2));
  };
  try {
    const { values, positionals } = parse(command, args);
    if (values.help) {
      if (isJson) answer({ help: help(command) });
      else output.line(help(command));
      return 0;
    }
    return await command.run({
      values: values as Context["values"],
      argument: positionals[0],
      env: surroundings.env,
      folder: surroundings.folder,
      output,
      terminal,
      isJson,
      answer,
      confirm: (question) => askToConfirm(question, values.yes === true, isJson),
    });
  } catch (error) {
    if (error instanceof OutputClosed) throw error;
    const problem = error instanceof Problem ? error : unexpected(command, error);
    answer({ error: problem });
    const errors = new Terminal(surroundings.stderr);
    errors.problem(problem);
    if (problem !== error) errors.line(`\n${(error as Error)?.stack ?? error}`);
    return problem.exitCode;
  }
}

function unexpected({ name }: Command, error: unknown): Problem {
  return new Problem(
    "unexpected",
    `${name} has met an error that it does not know: ${(error as Error)?.message ?? error}`,
    `${PROGRAM} status says how the project is. What stderr says after this belongs into a report.`,
    { cause: error, cannotTell: true },
  );
}

function parse(command: Command, args: string[]) {
  try {
    const { values, positionals } = parseArgs({
      args,
      options: { ...command.options, ...COMMON },
      allowPositionals: true,
    });
    const allowed = command.argument ? 1 : 0;
    if (positionals.length > allowed) {
      // It is not repeated: it may be a secret that was put in the wrong place.
      throw new Error(
        allowed === 0 ? `${command.name} takes no argument` : `${command.name} takes one argument`,
      );
    }
    return { values: values as Record<string, string | boolean | undefined>, positionals };
  } catch (cause) {
    const [message] = (cause as Error).message.split(/\. To specify/);
    throw new Problem(
      "unknown_option",
      `${message}.`,
      `${PROGRAM} ${command.name} --help lists the options.`,
      { cause },
    );
  }
}

/** The width to which the help keeps its options. */
const WIDTH = 80;

/** The help of a command. */
export function help({ name, argument, summary, description, options = {} }: Command): string {
  const rows = Object.entries<Option>({ ...options, ...COMMON }).map((
    [option, { short, value, help }],
  ) => [
    `${short ? `-${short}, ` : "    "}--${option}${value ? ` ${value}` : ""}`,
    help,
  ]);
  const width = Math.max(...rows.map(([option]) => option.length));
  return [
    `Usage: ${[PROGRAM, name, argument, "[options]"].filter(Boolean).join(" ")}`,
    "",
    `${summary[0].toUpperCase()}${summary.slice(1)}.`,
    ...description ? ["", description] : [],
    "",
    ...rows.flatMap(([option, text]) =>
      wrap(text, WIDTH - width - 5).map((line, at) =>
        `  ${(at === 0 ? option : "").padEnd(width)}   ${line}`
      )
    ),
  ].join("\n");
}

async function askToConfirm(question: string, isYes: boolean, isJson: boolean): Promise<boolean> {
  if (isYes) return true;
  if (!process.stdin.isTTY) {
    throw new Problem(
      "not_confirmed",
      "Nothing has been changed: there is no terminal on which to ask.",
      "Add --yes to go on without a question, or --dry-run to see the plan alone.",
    );
  }
  const answer = await confirm({
    message: question,
    initialValue: false,
    output: isJson ? process.stderr : process.stdout,
  });
  return !isCancel(answer) && answer;
}
