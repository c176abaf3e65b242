/**
 * `deno task sandbox`: the sandbox's own commands. Beside a running stack, a booking and whatever happens
 * to it also tell how long it took until the webhook had it in Postgres.
 */
import { type Happening, run, type Witness } from "../sandbox/main.ts";

/** How long a webhook is waited for. */
const PATIENCE = 5_000;

/** What .local/stack.json tells of a running stack. */
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

/** Somebody who looks into a stack's Postgres, unless another sandbox than the stack's is meant. */
export function watch(stack: RunningStack): Witness {
  return async (happening) => {
    const invitee = inviteeOf(happening);
    if (happening.url !== stack.calendly_url || !invitee) return;
    while (performance.now() - happening.since < PATIENCE) {
      const rows = await inviteeRows(stack, invitee);
      if (rows.some((row) => tells(row, happening))) {
        const ms = Math.round(performance.now() - happening.since);
        return console.log(`In Postgres after ${ms} ms.`);
      }
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    console.log("Not in Postgres: is the host connected, and are webhooks on?");
  };
}

/** Whose row must tell of it, if anybody's. */
function inviteeOf({ verb, answer }: Happening): string | undefined {
  if (verb === "mark_no_show") return answer.invitee;
  return (verb === "reschedule" ? answer.new : answer).invitee?.uri;
}

function tells(row: Row, { verb, answer }: Happening): boolean {
  switch (verb) {
    case "cancel":
      return row.status === "canceled";
    case "mark_no_show":
      return row.no_show_uri === answer.uri;
    case "undo_no_show":
      return row.no_show_uri === null;
    default:
      return true; // A new invitee's row is there, or it is not.
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
