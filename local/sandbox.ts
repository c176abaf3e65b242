/**
 * `deno task sandbox`: the sandbox's own commands. Beside a running stack, a command that changes a
 * booking also tells how long it took until a webhook had stored the change in Postgres.
 */
import { type BookingChange, type ChangeObserver, run } from "../sandbox/main.ts";

/** Milliseconds that a webhook is waited for. */
const WEBHOOK_TIMEOUT = 5_000;

/** The part of .local/stack.json that is used here. */
interface RunningStack {
  url: string;
  secret_key: string;
  calendly_url: string;
}

/** An invitee's row in Postgres, as far as it matters here. */
interface Row {
  status: string;
  no_show_uri: string | null;
}

/** Watches a stack's Postgres for changes of bookings in the stack's own sandbox. */
export function watch(stack: RunningStack): ChangeObserver {
  return async (change) => {
    const invitee = inviteeOf(change);
    if (change.url !== stack.calendly_url || !invitee) return;
    while (performance.now() - change.since < WEBHOOK_TIMEOUT) {
      const rows = await inviteeRows(stack, invitee);
      if (rows.some((row) => shows(row, change))) {
        const ms = Math.round(performance.now() - change.since);
        return { arrived: true, text: `In Postgres after ${ms} ms.` };
      }
      if (change.signal.aborted) return; // No webhook was sent: the next sync brings it.
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    return { arrived: false, text: "Not in Postgres: is the host connected, and are webhooks on?" };
  };
}

/** The invitee whose row must show the change, if any. */
function inviteeOf({ verb, answer }: BookingChange): string | undefined {
  if (verb === "mark_no_show") return answer.invitee;
  return (verb === "reschedule" ? answer.new : answer).invitee?.uri;
}

function shows(row: Row, { verb, answer }: BookingChange): boolean {
  switch (verb) {
    case "cancel":
      return row.status === "canceled";
    case "mark_no_show":
      return row.no_show_uri === answer.uri;
    case "undo_no_show":
      return row.no_show_uri === null;
    default:
      return true; // A new booking: the invitee's row exists.
  }
}

async function inviteeRows(stack: RunningStack, uri: string): Promise<Row[]> {
  const query = new URLSearchParams({ uri: `eq.${uri}`, select: "status,no_show_uri" });
  const response = await fetch(`${stack.url}/rest/v1/calendly_invitees?${query}`, {
    headers: { apikey: stack.secret_key },
  });
  return await response.json();
}

async function runningStack(): Promise<RunningStack | undefined> {
  try {
    return JSON.parse(
      await Deno.readTextFile(new URL("../.local/stack.json", import.meta.url)),
    );
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

if (import.meta.main) {
  const stack = await runningStack();
  await run(Deno.args, stack && watch(stack));
}
