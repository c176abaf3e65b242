/**
 * The sandbox that stands in for Calendly in a local project. Its state is kept beside the database: the
 * second start finds the account as the first one left it, with its bookings, tokens and subscriptions.
 */
import { Problem } from "../cli/problem.ts";
import {
  createSandbox,
  loadSandbox,
  type Sandbox,
  SandboxError,
  type SandboxOptions,
  serveSandbox,
} from "../sandbox/mod.ts";
import { keepState, readStateFile } from "../sandbox/state_file.ts";
import { type Database } from "./database.ts";

export interface ServedSandbox {
  sandbox: Sandbox;
  url: string;
  stop(): Promise<void>;
}

/**
 * Serves a sandbox at `port`, or at a free one where that is 0 or taken. It goes on from `file` and keeps
 * its state there; without a file, or where there is none yet, it begins as `options` say. Error:
 * sandbox_broken.
 */
export async function startSandbox(
  { file, port, options }: { file?: string; port: number; options?: SandboxOptions },
): Promise<ServedSandbox> {
  const sandbox = file === undefined ? createSandbox(options) : await openSandbox(file, options);
  try {
    const kept = file === undefined ? undefined : await keepState(file, sandbox);
    const served = await serveNear(sandbox, port);
    return {
      sandbox,
      url: served.url,
      async stop() {
        await served.stop();
        await kept?.stop();
      },
    };
  } catch (error) {
    sandbox.close();
    throw error;
  }
}

/**
 * The seed of an account that is made anew beside this database: where somebody's meetings are stored
 * already, those of the new account must have other URIs. Undefined: the sandbox's own.
 */
export async function seedBeside(database: Database): Promise<number | undefined> {
  const [{ known }] = await database.query<{ known: boolean }>(
    "select to_regclass('public.calendly_users') is not null as known",
  );
  if (!known) return undefined;
  const people = await database.query("select from public.calendly_users limit 1");
  return people.length > 0 ? crypto.getRandomValues(new Uint32Array(1))[0] : undefined;
}

async function openSandbox(file: string, options?: SandboxOptions): Promise<Sandbox> {
  try {
    const state = await readStateFile(file);
    return state === undefined ? createSandbox(options) : loadSandbox(state, options);
  } catch (cause) {
    if (!(cause instanceof SandboxError)) throw cause;
    throw new Problem(
      "sandbox_broken",
      `The sandbox's state in ${file} cannot be used: ${cause.message}`,
      "Move that file away or delete it; the next start makes a new Calendly account.",
      { cause },
    );
  }
}

async function serveNear(sandbox: Sandbox, port: number) {
  try {
    return await serveSandbox(sandbox, { port });
  } catch (error) {
    if (!(error instanceof SandboxError && error.code === "port_taken")) throw error;
    return await serveSandbox(sandbox, { port: 0 });
  }
}
