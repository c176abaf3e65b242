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
import { readStateFile, writeStateFile } from "./state_file.ts";
import { isVerb, VERBS } from "./verbs.ts";

const DEFAULT_PORT = 8090;

/** Verbs that cause webhooks. */
const BOOKING_VERBS = ["book", "cancel", "reschedule", "mark_no_show", "undo_no_show"];

const HELP = `A Calendly to develop against.

  npx -y deno@2.9.6 task sandbox [--port ${DEFAULT_PORT}] [--seed 1] [--events 250] [--now <time>]
      serves one; with --now its clock stands still until it is advanced. --public-url names the
      address that links such as next_page lead to, where clients use another one. --state keeps
      everything in a file: it goes on from there, and saves when it is stopped
  npx -y deno@2.9.6 task sandbox book [--name Ana] [--email ana@example.com] [--start-time <time>]
  npx -y deno@2.9.6 task sandbox cancel | reschedule | no-show | undo-no-show [<event or invitee>]
      the latest booking unless one is named
  npx -y deno@2.9.6 task sandbox <verb> [--field value …]
      any verb of the control API; values may be JSON; --url names another sandbox

Verbs: ${Object.keys(VERBS).map((verb) => verb.replaceAll("_", "-")).join(", ")}`;

/** What a verb has just changed of a booking; its webhooks are being sent. */
export interface BookingChange {
  /** The sandbox's address. */
  url: string;
  verb: string;
  // deno-lint-ignore no-explicit-any -- what the verb answers
  answer: any;
  /** `performance.now()` when it was asked for. */
  since: number;
}

/** Is called with each change of a booking, and may print what becomes of it. */
export type ChangeObserver = (change: BookingChange) => Promise<void>;

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
  observer: ChangeObserver = () => Promise.resolve(),
): Promise<void> {
  if (command.startsWith("--") && command !== "--help") return await serve([command, ...args]);
  if (command === "serve") return await serve(args);
  if (command === "help" || command === "--help") return console.log(HELP);
  await act(command, args, observer);
}

async function serve(args: string[]): Promise<void> {
  const { values } = parse(args, ["port", "seed", "events", "now", "public_url", "state"]);
  const port = wholeNumber(values, "port", DEFAULT_PORT);
  const file = values.state;
  const state = file === undefined ? undefined : await readStateFile(file);
  const { sandbox, server } = await serving(port, sandboxMaker(values, state));
  const save = async () => {
    if (file !== undefined) await writeStateFile(file, sandbox.save());
  };
  await save(); // A file that cannot be written is told now, not when the sandbox is stopped.
  console.log(greeting(server.url, sandbox));
  const stop = async () => {
    await server.stop();
    await save();
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
  npx -y deno@2.9.6 task sandbox book --url ${url}

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

/** Calls a verb of the running sandbox, and prints its answer. */
async function act(command: string, args: string[], observer: ChangeObserver): Promise<void> {
  const verb = { no_show: "mark_no_show" }[command.replaceAll("-", "_")] ??
    command.replaceAll("-", "_");
  if (!isVerb(verb)) throw new UsageError(`There is no command ${command}.\n\n${HELP}`);
  const shape: Record<string, z.ZodType> = VERBS[verb].shape;
  const { values, positionals } = parse(args, [...Object.keys(shape), "url", "name", "email"]);
  const { url = await runningSandbox(), name, email, ...given } = values;
  const input: Record<string, unknown> = Object.fromEntries(
    Object.entries(given).map(([field, value]) => [field, fieldValue(shape[field], value!)]),
  );
  if (verb === "book" && (name || email)) input.invitee = { name, email };
  else Object.assign(input, name && { name }, email && { email });
  const [target] = positionals;
  if (target) input[target.includes("/invitees/") ? "invitee" : "event"] = target;
  else if (needsBooking(verb, input)) input.invitee = latestInvitee(verb, await call(url, "state"));

  const before = new Set((await call<Delivery[]>(url, "deliveries")).map(({ id }) => id));
  const since = performance.now();
  const answer = await call(url, verb, input);
  console.log(JSON.stringify(answer, null, 2));
  if (!BOOKING_VERBS.includes(verb)) return;
  await Promise.all([reportDeliveries(url, before), observer({ url, verb, answer, since })]);
}

function needsBooking(verb: string, input: Record<string, unknown>): boolean {
  return BOOKING_VERBS.includes(verb) && verb !== "book" &&
    input.event === undefined && input.invitee === undefined;
}

function latestInvitee(verb: string, state: Truth): string {
  const fits = state.scheduled_events.flatMap(({ invitees }) => invitees).filter((invitee) =>
    verb === "undo_no_show"
      ? invitee.no_show !== null
      : invitee.status === "active" && (verb !== "mark_no_show" || invitee.no_show === null)
  );
  const latest = fits.sort((a, b) => (a.created_at < b.created_at ? 1 : -1))[0];
  if (!latest) throw new UsageError("There is no booking that this could be done to.");
  return latest.uri;
}

/** Waits a moment for the webhooks that the verb has caused, and prints how long each took. */
async function reportDeliveries(url: string, before: Set<string>): Promise<void> {
  for (let tries = 0; tries < 50; tries++) {
    const made = (await call<Delivery[]>(url, "deliveries")).filter(({ id }) => !before.has(id));
    const attempted = made.filter((delivery) => delivery.attempts.length > 0);
    if (attempted.length === made.length) {
      for (const { event, url, created_at, attempts: [first] } of made) {
        const ms = Date.parse(first.answered_at) - Date.parse(created_at);
        console.log(`${event} → ${url}: ${first.status ?? first.error} after ${ms} ms`);
      }
      if (made.length === 0) console.log("No webhook subscription covers this.");
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  console.log("Webhooks are waiting: `npx -y deno@2.9.6 task sandbox deliver` sends them.");
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
    throw new UsageError(`No sandbox answers at ${url}. Start one: npx -y deno@2.9.6 task sandbox`);
  });
  const answer = await response.json();
  if (response.ok) return answer;
  throw new UsageError(refusal(answer.error));
}

/** Values of the options, by the name of the field. */
type Values = Record<string, string | undefined>;

/** `--start-time x` for the field start_time. */
function parse(args: string[], fields: string[]): { positionals: string[]; values: Values } {
  const names = [...new Set(fields)].map((field) => field.replaceAll("_", "-"));
  try {
    const { values, positionals } = parseArgs({
      args,
      allowPositionals: true,
      options: Object.fromEntries(names.map((name) => [name, { type: "string" as const }])),
    });
    return {
      positionals,
      values: Object.fromEntries(
        Object.entries(values).map(([name, value]) => [name.replaceAll("-", "_"), String(value)]),
      ) as Values,
    };
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
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
