/**
 * The sandbox from a terminal. `deno task sandbox` serves it; `deno task sandbox book` and the other
 * verbs act on the one that runs. `deno task sandbox help` tells more.
 */
import { readFile } from "node:fs/promises";
import process from "node:process";
import { parseArgs } from "node:util";
import type { z } from "zod";
import { parseTime } from "./clock.ts";
import { createSandbox, DEMO_TOKEN, loadSandbox, SandboxError, serveSandbox } from "./mod.ts";
import type { Delivery, Sandbox, Truth } from "./mod.ts";
import { describeAnswer, describeWebhooks, wasAccepted } from "./report.ts";
import { keepState, readStateFile } from "./state_file.ts";
import { commandOf, PROGRAM, table, verbHelp } from "./verb_help.ts";
import { BOOKING_VERBS, isVerb, type Verb, VERBS } from "./verbs.ts";

const DEFAULT_PORT = 8090;

const HELP = `Usage: ${PROGRAM} <verb> [options]
       ${PROGRAM} [serve] [options]

Acts on the sandbox that stands in for Calendly in the local project; without a verb it serves one
by itself. What a verb takes: ${PROGRAM} <verb> --help

Verbs
${
  table(
    Object.entries(VERBS).map(([verb, { description = "" }]) => [
      commandOf(verb as Verb),
      description,
    ]),
  ).join("\n")
}

Options of every verb
${
  table([
    ["--url <address>", "of the sandbox; the local project's unless given"],
    ["--json", "print the whole answer as JSON"],
  ]).join("\n")
}

Options of serve
${
  table([
    ["--port <n>", `where it answers (${DEFAULT_PORT})`],
    ["--seed <n>", "the same seed gives the same account (1)"],
    ["--events <n>", "events of the demo user (250)"],
    ["--now <time>", "the clock stands still there until it is advanced"],
    [
      "--public-url <url>",
      "where links lead to, such as next_page, if clients use another address",
    ],
    ["--state <file>", "goes on from there, and keeps every change in it"],
  ]).join("\n")
}`;

/** What a verb has just changed of a booking; its webhooks are being sent. */
export interface BookingChange {
  /** The sandbox's address. */
  url: string;
  verb: string;
  // deno-lint-ignore no-explicit-any -- what the verb answers
  answer: any;
  /** `performance.now()` when it was asked for. */
  since: number;
  /** Aborts when no webhook tells anybody of the change. */
  signal: AbortSignal;
}

/** Is called with each change of a booking, and may tell in a sentence what becomes of it. */
export type ChangeObserver = (
  change: BookingChange,
) => Promise<{ arrived: boolean; text: string } | undefined>;

/** A refusal that a person can act on: printed without a stack. */
class UsageError extends Error {}

/** Does what the arguments say; ends the process with 1 where that makes no sense. */
export async function run(args: string[], observer?: ChangeObserver): Promise<void> {
  try {
    await main(args, observer);
  } catch (error) {
    if (!(error instanceof UsageError || error instanceof SandboxError)) throw error;
    console.error(refusal(error));
    process.exit(1);
  }
}

async function main(
  [command = "serve", ...args]: string[],
  observer: ChangeObserver = () => Promise.resolve(undefined),
): Promise<void> {
  if (["help", "--help", "-h"].includes(command)) return console.log(HELP);
  if (command.startsWith("-")) return await serve([command, ...args]);
  if (command === "serve") return await serve(args);
  await act(command, args, observer);
}

async function serve(args: string[]): Promise<void> {
  const fields = ["port", "seed", "events", "now", "public_url", "state"];
  const { values, help, json } = parse(args, fields, `${PROGRAM} --help`);
  if (help) return console.log(HELP);
  if (json) throw new UsageError("--json is for verbs, and serve has no answer to print.");
  const port = wholeNumber(values, "port", DEFAULT_PORT);
  const file = values.state;
  const state = file === undefined ? undefined : await readStateFile(file);
  const { sandbox, server } = await serving(port, sandboxMaker(values, state));
  // A file that cannot be written is told now, not when the sandbox is stopped.
  const kept = file === undefined ? undefined : await keepState(file, sandbox);
  console.log(greeting(server.url, sandbox));
  const stop = async () => {
    await server.stop();
    await kept?.stop();
  };
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.once(signal, () =>
      stop().then(() => process.exit(), (error) => {
        console.error(refusal(error));
        process.exit(1);
      }));
  }
}

/** What makes the sandbox, once its address is known: a new one, or one that goes on. */
function sandboxMaker(values: Values, state: unknown): (url: string) => Sandbox {
  const publicUrl = (url: string) => values.public_url ?? url;
  if (state !== undefined) {
    if ((values.seed ?? values.events ?? values.now) === undefined) {
      return (url) => loadSandbox(state, { publicUrl: publicUrl(url) });
    }
    throw new UsageError(
      `--seed, --events and --now are for a new sandbox, and ${values.state} has one. ` +
        "Leave them out, or name another file.",
    );
  }
  const { now } = values;
  const seed = wholeNumber(values, "seed", 1);
  const events = wholeNumber(values, "events", 250);
  if (now && parseTime(now) === null) {
    throw new UsageError(`--now must be a time such as 2026-11-23T09:00:00Z, not ${now}.`);
  }
  return (url) => createSandbox({ seed, events, now, publicUrl: publicUrl(url) });
}

function wholeNumber(values: Values, name: string, otherwise: number): number {
  const value = Number(values[name] ?? otherwise);
  if (Number.isInteger(value) && value >= 0) return value;
  throw new UsageError(`--${name} must be a whole number, not ${values[name]}.`);
}

function greeting(url: string, sandbox: Sandbox): string {
  const { app, user } = sandbox.demo;
  const events = sandbox.truth().scheduled_events.length;
  return `
Calendly sandbox at ${url}
  ${events} events; the demo user is ${user.name} (${user.email})
  Personal access token: ${DEMO_TOKEN}
  OAuth application: ${app.client_id} / ${app.client_secret}

Try
  curl -H 'Authorization: Bearer ${DEMO_TOKEN}' ${url}/users/me
  curl -H 'Authorization: Bearer ${DEMO_TOKEN}' '${url}/scheduled_events?user=${user.uri}&count=2'
  curl -X POST ${url}/_sandbox/book
  ${PROGRAM} book --url ${url}

Ctrl-C stops it.`;
}

/** Takes the port first, because links lead to it. */
async function serving(port: number, create: (url: string) => Sandbox) {
  let open!: (sandbox: Sandbox) => void;
  const opened = new Promise<Sandbox>((resolve) => open = resolve);
  const server = await serveSandbox({
    fetch: async (request) => await (await opened).fetch(request),
    close: () => void opened.then((sandbox) => sandbox.close()),
  }, { port });
  const sandbox = create(server.url);
  open(sandbox);
  return { sandbox, server };
}

function refusal({ message, hint }: { message: string; hint?: string }): string {
  return [message, hint].filter(Boolean).join(" ");
}

/** Calls a verb of the running sandbox, and prints what it has done. */
async function act(command: string, args: string[], observer: ChangeObserver): Promise<void> {
  const verb = { no_show: "mark_no_show" }[command.replaceAll("-", "_")] ??
    command.replaceAll("-", "_");
  if (!isVerb(verb)) {
    throw new UsageError(`There is no verb ${command}. ${PROGRAM} --help lists them.`);
  }
  const shape: Record<string, z.ZodType> = VERBS[verb].shape;
  const { values, positionals, help, json } = parse(
    args,
    [...Object.keys(shape), "url", "name", "email"],
    `${PROGRAM} ${command} --help`,
  );
  if (help) return console.log(verbHelp(verb));
  const { url = await runningSandbox(), ...given } = values;
  const input = inputOf(verb, shape, given);
  const [target] = positionals;
  if (target) input[target.includes("/invitees/") ? "invitee" : "event"] = target;
  else if (needsBooking(verb, input)) input.invitee = latestInvitee(verb, await call(url, "state"));

  const before = new Set((await call<Delivery[]>(url, "deliveries")).map(({ id }) => id));
  const since = performance.now();
  const answer = await call(url, verb, input);
  if (json) return console.log(JSON.stringify(answer, null, 2));
  const unobserved = new AbortController();
  // At once, because it tells how long the change takes.
  const observed = BOOKING_VERBS.includes(verb)
    ? observer({ url, verb, answer, since, signal: unobserved.signal })
    : undefined;
  console.log(await describeAnswer(verb, answer, () => call(url, "state")));
  if (!observed) return;
  const deliveries = await causedDeliveries(url, before);
  if (deliveries.length === 0) unobserved.abort();
  const outcome = await observed;
  if (!outcome?.arrived || !deliveries.every(wasAccepted)) {
    console.log(describeWebhooks(deliveries));
  }
  if (outcome) console.log(outcome.text);
}

function inputOf(
  verb: Verb,
  shape: Record<string, z.ZodType>,
  { name, email, ...given }: Values,
): Record<string, unknown> {
  const input: Record<string, unknown> = Object.fromEntries(
    Object.entries(given).map(([field, value]) => [field, fieldValue(shape[field], value!)]),
  );
  if (verb !== "book") return Object.assign(input, name && { name }, email && { email });
  if (name || email) input.invitee = { name, email };
  return input;
}

function needsBooking(verb: Verb, input: Record<string, unknown>): boolean {
  return BOOKING_VERBS.includes(verb) && verb !== "book" &&
    input.event === undefined && input.invitee === undefined;
}

function latestInvitee(verb: Verb, state: Truth): string {
  const fits = state.scheduled_events.flatMap(({ invitees }) => invitees).filter((invitee) =>
    verb === "undo_no_show"
      ? invitee.no_show !== null
      : invitee.status === "active" && (verb !== "mark_no_show" || invitee.no_show === null)
  );
  const latest = fits.sort((a, b) => (a.created_at < b.created_at ? 1 : -1))[0];
  if (!latest) throw new UsageError("There is no booking that this could be done to.");
  return latest.uri;
}

/** The webhooks that a verb has caused, once each has been tried, or as they are after five seconds. */
async function causedDeliveries(url: string, before: Set<string>): Promise<Delivery[]> {
  for (let tries = 0;; tries++) {
    const made = (await call<Delivery[]>(url, "deliveries")).filter(({ id }) => !before.has(id));
    if (tries === 100 || made.every(({ attempts }) => attempts.length > 0)) return made;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** The sandbox of the local stack of this folder if one runs, else the default address. */
async function runningSandbox(): Promise<string> {
  try {
    const stack = await readFile(new URL("../.local/stack.json", import.meta.url), "utf8");
    const { calendly_url } = JSON.parse(stack);
    if (calendly_url) return calendly_url;
  } catch (error) {
    if ((error as { code?: string }).code !== "ENOENT") throw error;
  }
  return `http://127.0.0.1:${DEFAULT_PORT}`;
}

async function call<T = Truth>(
  url: string,
  verb: string,
  input?: Record<string, unknown>,
): Promise<T> {
  const request = input === undefined ? {} : { method: "POST", body: JSON.stringify(input) };
  const response = await fetch(`${url}/_sandbox/${verb}`, request).catch(() => {
    throw new UsageError(
      `No sandbox answers at ${url}. npx -y deno@2.9.6 task start starts a local project with one.`,
    );
  });
  const answer = await response.json();
  if (response.ok) return answer;
  throw new UsageError(refusal(answer.error));
}

/** Values of the options, by the name of the field. */
type Values = Record<string, string | undefined>;

interface Parsed {
  positionals: string[];
  values: Values;
  help: boolean;
  json: boolean;
}

/** `--start-time x` for the field start_time. `hint` is the command that lists what there is. */
function parse(args: string[], fields: string[], hint: string): Parsed {
  const names = [...new Set(fields)].map((field) => field.replaceAll("_", "-"));
  try {
    const { values: { help = false, json = false, ...values }, positionals } = parseArgs({
      args,
      allowPositionals: true,
      options: {
        ...Object.fromEntries(names.map((name) => [name, { type: "string" as const }])),
        help: { type: "boolean", short: "h" },
        json: { type: "boolean" },
      },
    });
    return {
      positionals,
      values: Object.fromEntries(
        Object.entries(values).map(([name, value]) => [name.replaceAll("-", "_"), String(value)]),
      ) as Values,
      help,
      json,
    };
  } catch (error) {
    const [reason] = (error as Error).message.split(". To specify");
    throw new UsageError(`${reason}. ${hint} lists the options.`);
  }
}

/** The text as JSON where the field takes that, else as it is: a name may look like a number. */
function fieldValue(field: z.ZodType | undefined, text: string): unknown {
  try {
    const value = JSON.parse(text);
    const takesText = field?.safeParse(text).success && !field.safeParse(value).success;
    return takesText ? text : value;
  } catch {
    return text;
  }
}
