/**
 * Log lines: one JSON object each, with the text that people search for in `message` and its fields beside
 * it. Never a token and never an e-mail: nobody could erase a person from a log. The platform keeps
 * 10,000 characters of a line, and 100 lines in ten seconds.
 */
import { withoutEmails } from "./emails.ts";

/** What belongs to a message. */
export type Fields = Record<string, unknown> & { message?: never };

/** Logs one line. */
export function log(message: string, fields: Fields = {}): void {
  console.log(lineOf(message, fields));
}

/** The same for an error. */
export function logError(message: string, fields: Fields = {}): void {
  console.error(lineOf(message, fields));
}

/** How long an error that repeats is only counted, in milliseconds. */
const COUNTED = 60_000;
/** So many different errors are told apart. */
const MAX_COUNTERS = 100;
const counters = new Map<string, { loggedAt: number; count: number }>();

/**
 * The same for an error that strangers can cause, or that repeats while something is away: the first is
 * logged at once, and then one a minute. `count` is how many there were since the line before.
 * `key` tells which errors are the same.
 */
export function logCounted(message: string, fields: Fields = {}, key = message): void {
  const now = performance.now();
  const counter = counters.get(key) ?? newCounter(key);
  counter.count++;
  if (now - counter.loggedAt < COUNTED) return;
  logError(message, { ...fields, count: counter.count });
  Object.assign(counter, { loggedAt: now, count: 0 });
}

function newCounter(key: string) {
  if (counters.size >= MAX_COUNTERS) counters.clear();
  const counter = { loggedAt: -Infinity, count: 0 };
  counters.set(key, counter);
  return counter;
}

/** What an error says, for a field of a log line. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

const MAX_LINE = 10_000;

/** Calendly, the database and an app's trigger may name a person in what they say, and as a field. */
function clean(_key: string, value: unknown): unknown {
  if (typeof value === "string") return withoutEmails(value, "[e-mail]");
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, field]) => [withoutEmails(name, "[e-mail]"), field]),
  );
}

/** The line, with its longest values cut until it is short enough: `cut` names them. */
function lineOf(message: string, fields: Fields): string {
  let line = JSON.stringify({ message, ...fields }, clean);
  const values: Record<string, unknown> = { message, ...fields };
  const cut = new Set<string>();
  while (line.length > MAX_LINE) {
    const [[name, text]] = Object.entries(values)
      .map(([name, value]): [string, string] => [
        name,
        typeof value === "string" ? value : JSON.stringify(value, clean) ?? "",
      ])
      .sort(([, one], [, other]) => other.length - one.length);
    values[name] = text.slice(0, text.length / 2);
    cut.add(name);
    line = JSON.stringify({ ...values, cut: [...cut] }, clean);
  }
  return line;
}
