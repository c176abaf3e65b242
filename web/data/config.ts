/** What the page's server says about the project: its address, its publishable key, and what it offers. */
import { signal } from "@preact/signals";
import { setMoved } from "../ui/clock.ts";
import { fromResponse, Problem, toProblem } from "./problem.ts";

export interface Config {
  /** The project's address. */
  url: string;
  publishable_key: string;
  /** `local`: the stack of `deno task start`. */
  kind: "local" | "hosted";
  /** Whether this browser has a session for operations. */
  operations: boolean;
  /** Whether the project has Realtime. */
  realtime: boolean;
  /** Whether the sandbox Calendly can be worked from here. */
  sandbox: boolean;
  /** Local only: an account to try it with. */
  demo_user?: { email: string; password: string };
  /** Milliseconds that the project's clock is ahead of real time, where it was moved (local only). */
  ahead?: number;
  version: string;
}

/** Undefined until it is there. */
export const config = signal<Config>();
/** Why there is no config. */
export const configProblem = signal<Problem>();

let loading: Promise<void> | undefined;

/** Loads the config, again after a failure or a change of session. */
export function loadConfig(): Promise<void> {
  return loading ??= load().finally(() => loading = undefined);
}

async function load(): Promise<void> {
  try {
    const response = await fetch("/console/config", { headers: { accept: "application/json" } });
    if (!response.ok) throw await fromResponse(response);
    config.value = await response.json();
    setMoved(config.value?.ahead ?? 0);
    configProblem.value = undefined;
  } catch (error) {
    configProblem.value = await toProblem(error);
  }
}

/** The config, where it is known to be there: below the shell, which waits for it. */
export function theConfig(): Config {
  if (!config.value) throw new Error("The config is not loaded yet");
  return config.value;
}
