/** Whether what was deployed works: asked of the functions and of the schedule, as the outside sees them. */
import { setTimeout as pause } from "node:timers/promises";
import { VERSION } from "../supabase/functions/_shared/calendly/version.ts";
import { readTick } from "./database_state.ts";
import { askFunction, outdatedFunction, readFunctions } from "./functions_api.ts";
import { type FunctionName, FUNCTIONS } from "./payload.ts";
import { Problem } from "./problem.ts";
import type { SqlDatabase } from "./sql_database.ts";

/** How long a new deployment may take until the platform serves it, in milliseconds. */
const ARRIVAL_LIMIT = 30_000;
const LOOK_EVERY = 2000;

/** Each function's version as a stranger reads it; null: it is not deployed, not ours, or not reached. */
export async function readVersions(url: string): Promise<Record<FunctionName, string | null>> {
  const stranger = { url, secretKey: "" };
  const versions = await Promise.all(FUNCTIONS.map(async (name) => {
    try {
      return [name, (await askFunction(stranger, name, { anonymous: true })).version];
    } catch (error) {
      if (error instanceof Problem) return [name, null];
      throw error;
    }
  }));
  return Object.fromEntries(versions);
}

/**
 * Waits until the functions answer as this version and, where a key is given, say that they accept it and
 * have all they need. Error: what is wrong with them after half a minute.
 */
export async function verifyFunctions(url: string, key?: string): Promise<void> {
  const end = Date.now() + ARRIVAL_LIMIT;
  while (true) {
    const problem = await findProblem(url, key);
    if (!problem) return;
    if (Date.now() >= end) throw problem;
    await pause(LOOK_EVERY);
  }
}

/** What is wrong with the functions now, as a stranger sees it and, with a key, as a server does. */
export async function findProblem(url: string, secretKey?: string): Promise<Problem | undefined> {
  try {
    const versions = await Promise.all(FUNCTIONS.map(async (name) => {
      const answer = await askFunction({ url, secretKey: "" }, name, { anonymous: true });
      return { name, version: answer.version };
    }));
    const other = versions.find(({ version }) => version !== VERSION);
    if (other) return outdatedFunction(other.name, other.version);
    if (secretKey === undefined) return undefined;
    const { problems, databaseVersion } = await readFunctions({ url, secretKey });
    return problems[0] ?? (databaseVersion === null ? databaseUntold(url) : undefined);
  } catch (error) {
    if (error instanceof Problem) return error;
    throw error;
  }
}

function databaseUntold(url: string): Problem {
  return new Problem(
    "unexpected_answer",
    `calendly-sync at ${url} does not tell the version of the database.`,
    "See the function's log in the dashboard of Supabase, then run this again.",
    { cannotTell: true },
  );
}

/** Waits for a tick of the schedule after `since`, a time of the database's clock. Error: no_tick. */
export async function verifyTick(
  database: SqlDatabase,
  since: string,
  seconds: number,
): Promise<string> {
  const end = Date.now() + seconds * 1000;
  while (true) {
    const { ticked_at } = await readTick(database);
    if (ticked_at !== null && Date.parse(ticked_at) > Date.parse(since)) return ticked_at;
    if (Date.now() >= end) break;
    await pause(Math.min(LOOK_EVERY, Math.max(end - Date.now(), 0)));
  }
  throw new Problem(
    "no_tick",
    `The schedule has not run within ${seconds} seconds.`,
    "Is pg_cron on (Integrations, Cron in the dashboard)? Its last runs: select * from " +
      "cron.job_run_details order by start_time desc limit 5;",
  );
}

/** Tells the functions that there may be work; they look for themselves. An answer is not needed. */
export async function nudge(url: string): Promise<void> {
  const response = await fetch(`${url}/functions/v1/calendly-sync/nudge`, {
    method: "POST",
    signal: AbortSignal.timeout(LOOK_EVERY),
  }).catch(() => undefined);
  await response?.body?.cancel();
}
