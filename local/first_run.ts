/** What `deno task start` does and shows: a first sync and then a project to use, or the main job once. */
import { createClient, type SupabaseClient } from "@supabase/supabase-js";
import { unlessAborted, untilAborted } from "./interrupt.ts";
import { Problem } from "../cli/problem.ts";
import { LOCAL_FOLDER } from "../cli/target.ts";
import { type Stack, type StackOptions, startStack } from "./stack.ts";
import { type Terminal } from "../cli/terminal.ts";
import { count } from "../cli/words.ts";
import { DEMO_TOKEN, type PopulateInput } from "../sandbox/mod.ts";

/**
 * The demo user's events in the sandbox: few enough for a first sync within the rate limit, and all within
 * the range of an INCREMENTAL sync, so that a repeat lists each of them.
 */
function demoEvents(): PopulateInput {
  const inDays = (days: number) => new Date(Date.now() + days * 86_400_000).toISOString();
  return { events: 250, from: inDays(-80), to: inDays(150) };
}

/** The answer of `POST /functions/v1/calendly-sync`. */
interface SyncResult {
  run_id: string;
  sync_type: "FULL" | "INCREMENTAL";
  range: { min_start_time: string; max_start_time: string };
  fetched: { active: number; canceled: number };
  created: number;
  updated: number;
  unchanged: number;
  deleted: number;
  restored: number;
  requests: number;
  status: "complete" | "paused";
  duration_ms: number;
}

/**
 * Boots, syncs the demo account on the sandbox, prints the project's addresses and keys, and stays until
 * `interrupted`: returns 0. Interrupted before that, it throws the signal's reason.
 */
export async function start(
  terminal: Terminal,
  options: StackOptions,
  interrupted: AbortSignal,
): Promise<number> {
  const log = new HeldLog((source, line) => terminal.log(source, line));
  const stack = await boot(terminal, options, interrupted, log.add).catch((error) => {
    if (!interrupted.aborted) log.release();
    throw error;
  });
  const folder = options.folder ?? LOCAL_FOLDER;
  const file = `${folder}/stack.json`;
  try {
    if (stack.sandbox) await unlessAborted(interrupted, syncDemo(terminal, stack));
    log.drop();
    showProject(terminal, stack);
    await Deno.mkdir(folder, { recursive: true }); // an ephemeral stack has not needed it so far
    await Deno.writeTextFile(file, JSON.stringify(description(stack), null, 2) + "\n", {
      mode: 0o600,
    });
    await untilAborted(interrupted);
    terminal.line();
    return 0;
  } catch (error) {
    if (!interrupted.aborted) log.release();
    throw error;
  } finally {
    await removeDescription(file, stack);
    await stack.stop();
  }
}

/** Shows the main job once: returns 0 if every check holds, else 1. Interrupted, it throws the signal's reason. */
export async function runOnce(
  terminal: Terminal,
  options: StackOptions,
  interrupted: AbortSignal,
): Promise<number> {
  const log = (source: string, line: string) => terminal.log(source, line);
  const stack = await boot(terminal, options, interrupted, log);
  try {
    return await unlessAborted(interrupted, showMainJob(terminal, stack));
  } finally {
    await stack.stop();
  }
}

/**
 * What the functions print while the project starts: a person needs it only where the start fails. What
 * they print afterwards is passed on.
 */
class HeldLog {
  readonly #print: (source: string, line: string) => void;
  #held: [source: string, line: string][] | undefined = [];

  constructor(print: (source: string, line: string) => void) {
    this.#print = print;
  }

  add = (source: string, line: string): void => {
    if (this.#held) this.#held.push([source, line]);
    else this.#print(source, line);
  };

  drop(): void {
    this.#held = undefined;
  }

  release(): void {
    for (const [source, line] of this.#held ?? []) this.#print(source, line);
    this.drop();
  }
}

async function boot(
  terminal: Terminal,
  options: StackOptions,
  interrupted: AbortSignal,
  log: StackOptions["log"],
): Promise<Stack> {
  const stack = await startStack({
    realtime: true,
    ...options,
    signal: interrupted,
    sandboxOptions: { events: demoEvents() },
    step: (title, work, outcome) => terminal.step(title, work, outcome),
    log,
  });
  try {
    await terminal.step(
      "Edge Functions",
      () => unlessAborted(interrupted, warm(stack)),
      (names) => names.join(", "),
    );
    return stack;
  } catch (error) {
    await stack.stop();
    throw error;
  }
}

function warm(stack: Stack): Promise<string[]> {
  return stack.functions.warm().catch((cause) => {
    throw new Problem(
      "functions_failed",
      "The Edge Functions do not start.",
      "What they printed is above. The first start fetches their libraries from the npm registry.",
      { cause },
    );
  });
}

async function showMainJob(terminal: Terminal, stack: Stack): Promise<number> {
  const { sandbox } = stack;
  if (!sandbox) {
    throw new Problem("bad_option", "--once needs the sandbox.", "Leave --calendly-url out.");
  }
  const grace = sandbox.control.book({
    invitee: { name: "Grace Hopper", email: "grace@example.com" },
  });
  const linus = sandbox.control.book({
    invitee: { name: "Linus Pauling", email: "linus@example.com" },
  });
  const demo = await connectDemo(terminal, stack);

  terminal.heading("A first sync is FULL: two years back, one year ahead");
  const full = await sync(terminal, stack, demo, { full: true });

  terminal.heading("Meanwhile, in Calendly");
  sandbox.control.book({ invitee: { name: "Ada Lovelace", email: "ada@example.com" } });
  terminal.line("    Ada Lovelace books a meeting");
  sandbox.control.cancel({ invitee: grace.invitee.uri, by: "invitee", reason: "A bug to catch" });
  terminal.line("    Grace Hopper cancels hers: A bug to catch");
  sandbox.control.reschedule({ invitee: linus.invitee.uri, by: "invitee" });
  terminal.line("    Linus Pauling moves his to another day");

  terminal.heading("From now on a sync is INCREMENTAL: three months back, six ahead");
  const incremental = await sync(terminal, stack, demo);
  showResults(terminal, [full, incremental]);

  terminal.heading("With webhooks a change arrives at once");
  await switchWebhooksOn(terminal, demo);
  const katherine = { name: "Katherine Johnson", email: "katherine@example.com" };
  const { event, invitee } = sandbox.control.book({ invitee: katherine });
  const booked = await untilStored(terminal, stack, "Katherine Johnson books a meeting", event.uri);
  sandbox.control.cancel({ invitee: invitee.uri, by: "invitee", reason: "Off to the moon" });
  const canceled = await untilStored(terminal, stack, "She cancels it: Off to the moon", event.uri);

  terminal.heading("select * from calendly_sync_health");
  const [health] = await stack.sql("select * from public.calendly_sync_health where user_id = 1");
  terminal.pairs(Object.entries(health).map(([column, value]) => [column, String(value ?? "")]));

  const active =
    sandbox.truth().scheduled_events.filter(({ event }) =>
      event.status === "active" && isWithin(full.range, event.start_time) &&
      event.event_memberships.some(({ user }) => user === sandbox.demo.user.uri)
    ).length;
  const checks: [claim: string, holds: boolean][] = [
    ["the FULL sync is complete", full.sync_type === "FULL" && full.status === "complete"],
    ["the next sync is INCREMENTAL", incremental.sync_type === "INCREMENTAL"],
    ["two meetings are new: Ada's, and Linus's at its new time", incremental.created === 2],
    ["two are deleted: Grace's, and Linus's at its old time", incremental.deleted === 2],
    ["a webhook stored Katherine's meeting", booked === "active"],
    ["a webhook stored its cancellation", canceled === "canceled"],
    [
      "as many meetings are active here as at Calendly",
      Number(health.active_calendly_meetings) === active,
    ],
    ["the initial sync is marked complete", health.calendly_initial_sync_complete === true],
    ["webhooks are known to arrive", health.calendly_webhook_enabled === true],
  ];
  terminal.line();
  for (const [claim, holds] of checks) terminal.check(claim, holds);
  terminal.line();
  return checks.every(([, holds]) => holds) ? 0 : 1;
}

/**
 * Waits until a webhook has stored what has just happened to an event at Calendly, and returns the
 * meeting's status; undefined if that does not come.
 */
async function untilStored(
  terminal: Terminal,
  stack: Stack,
  title: string,
  uri: string,
): Promise<string | undefined> {
  const since = performance.now();
  const { event } = stack.sandbox!.truth().scheduled_events.find(({ event }) => event.uri === uri)!;
  while (performance.now() - since < 10_000) {
    const [row] = await stack.sql(
      `select status from public.calendly_meetings
       where calendly_event_uri = $1 and status = $2 and synced_via_webhook`,
      [uri, event.status],
    );
    if (row) {
      const ms = Math.round(performance.now() - since);
      terminal.line(`    ${title} ${terminal.dim(`in Postgres after ${ms} ms`)}`);
      return row.status;
    }
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  terminal.line(`    ${title} ${terminal.red("not in Postgres")}`);
}

function isWithin(range: SyncResult["range"], time: string): boolean {
  return range.min_start_time < time && time < range.max_start_time;
}

async function syncDemo(terminal: Terminal, stack: Stack): Promise<void> {
  const demo = await connectDemo(terminal, stack);
  await switchWebhooksOn(terminal, demo);
  const result = await sync(terminal, stack, demo);
  terminal.check(describeSync(result), true);
}

/** One line: what a sync has found and written, and how much it has asked Calendly for. */
function describeSync(result: SyncResult): string {
  const { sync_type, created, updated, unchanged, deleted, restored } = result;
  const changes = { new: created, updated, deleted, restored };
  const written = Object.entries(changes).filter(([, meetings]) => meetings > 0)
    .map(([what, meetings]) => `${meetings} ${what}`).join(", ");
  const meetings = count(created + updated + unchanged + deleted + restored, "meeting");
  const requests = count(result.requests, "request");
  const outcome = written ? `${written}; ${requests}` : `${requests}, nothing written`;
  return `${sync_type} sync of ${meetings}: ${outcome}  ${
    (result.duration_ms / 1000).toFixed(1)
  } s`;
}

/** Signs the demo user in and connects the sandbox's account, as an app would do it. */
async function connectDemo(terminal: Terminal, stack: Stack): Promise<SupabaseClient> {
  const replace = await hasFormerSandbox(stack);
  if (replace) {
    terminal.line(
      "    The sandbox has a new Calendly account. What the former one brought is erased.",
    );
  }
  return await terminal.step("Demo account signed in and connected to the sandbox", async () => {
    const demo = createClient(stack.url, stack.publishableKey, {
      auth: { persistSession: false, autoRefreshToken: false },
    });
    const { error } = await demo.auth.signInWithPassword(stack.demoUser);
    if (error) throw syncFailed("The demo account cannot sign in", error);
    await invoke(demo, "calendly-connect", {
      token: stack.sandbox!.demo.token,
      sync: false,
      replace,
    });
    return demo;
  });
}

/** Whether the demo account was connected to the account of a sandbox whose state is lost. */
async function hasFormerSandbox(stack: Stack): Promise<boolean> {
  const { user } = stack.sandbox!.demo;
  // An address at example.com is a sandbox's, never a real Calendly user's.
  const former = await stack.sql(
    `select from public.calendly_users u join auth.users a on a.id = u.auth_user_id
     where a.email = $1 and u.email = $2 and u.calendly_user_uri <> $3`,
    [stack.demoUser.email, user.email, user.uri],
  );
  return former.length > 0;
}

/** Subscribes to the demo account's bookings, by calendly-connect/webhooks. */
async function switchWebhooksOn(terminal: Terminal, demo: SupabaseClient): Promise<void> {
  await terminal.step(
    "Webhooks switched on",
    () => invoke(demo, "calendly-connect/webhooks", {}),
  );
}

/** Syncs, with a bar that shows the run's progress; resumes a run that pauses. */
async function sync(
  terminal: Terminal,
  stack: Stack,
  demo: SupabaseClient,
  body: { full?: true } = {},
): Promise<SyncResult> {
  const bar = terminal.bar("Syncing");
  const watching = setInterval(() => showProgress(stack, bar), 200);
  try {
    const onWait = () => {
      bar.finish(); // It is drawn again with the next progress.
      terminal.line("    Waiting for a sync that was running");
    };
    let result = await invoke<SyncResult>(demo, "calendly-sync", body, onWait);
    while (result.status === "paused") result = await invoke(demo, "calendly-sync", {}, onWait);
    return result;
  } finally {
    clearInterval(watching);
    bar.finish();
  }
}

async function showProgress(stack: Stack, bar: ReturnType<Terminal["bar"]>): Promise<void> {
  const [run] = await stack.sql(
    `select sync_type, progress from public.calendly_sync_runs
     where user_id = 1 and status = 'running' order by started_at desc limit 1`,
  ).catch(() => []);
  if (!run) return;
  const { events = 0, invitees_read = 0, invitees_to_read } = run.progress;
  bar.update(
    invitees_read,
    invitees_to_read ?? 0,
    invitees_to_read ? `invitees of ${events} events` : `${events} events listed`,
  );
}

/**
 * Calls a function and returns its answer; its error becomes a `Problem`. A sync that runs already is waited
 * for: where one is due, the schedule begins it when the project starts, and that of a stack that was killed
 * may still have its lease. `onWait` is called once, before the wait.
 */
export async function invoke<T>(
  client: Pick<SupabaseClient, "functions">,
  name: string,
  body: unknown,
  onWait = () => {},
): Promise<T> {
  const { data, error } = await client.functions.invoke(name, { body: body as object });
  if (!error) return data;
  const answered = parseError(error.context instanceof Response ? await error.context.text() : "");
  if (answered.code !== "sync_in_progress") throw syncFailed(`${name} failed`, error, answered);
  onWait();
  await new Promise((resolve) => setTimeout(resolve, 500));
  return await invoke(client, name, body);
}

interface Answered {
  code?: string;
  message?: string;
  hint?: string;
}

function parseError(answer: string): Answered {
  try {
    const parsed = JSON.parse(answer);
    return parsed.error ?? parsed;
  } catch {
    return {}; // Not JSON: the error's own message has to do.
  }
}

function syncFailed(what: string, error: Error, answered: Answered = {}): Problem {
  const message = [answered.code, answered.message ?? error.message].filter(Boolean).join(": ");
  return new Problem(
    "sync_failed",
    `${what}: ${message}`,
    answered.hint ?? "The lines above, from the function itself, say more.",
    { cause: error },
  );
}

function showResults(terminal: Terminal, results: SyncResult[]): void {
  const row = (label: string, value: (result: SyncResult) => string | number) => [
    label,
    ...results.map((result) => String(value(result))),
  ];
  terminal.line();
  terminal.table([
    row("", (result) => result.sync_type),
    row("new", (result) => result.created),
    row("updated", (result) => result.updated),
    row("unchanged", (result) => result.unchanged),
    row("deleted", (result) => result.deleted),
    row("requests spent", (result) => result.requests),
    row("time", (result) => `${(result.duration_ms / 1000).toFixed(1)} s`),
  ]);
}

/** The page first: what a person opens. Then what an app and other programs need. */
function showProject(terminal: Terminal, stack: Stack): void {
  const { email, password } = stack.demoUser;
  terminal.heading("Open");
  terminal.pairs([
    ["page", terminal.bold(`${stack.url}/`)],
    ["sign in", `${email} / ${password}`],
    ["operations", `${stack.consoleLink()} (once, within ten minutes)`],
  ]);
  terminal.heading("Try, in another terminal");
  terminal.pairs(
    stack.sandbox
      ? [
        ["somebody books", "npx -y deno@2.9.6 task sandbox book"],
        ["how it goes", "npx -y deno@2.9.6 task status"],
      ]
      : [
        ["connect", "npx -y deno@2.9.6 task cli connect"],
        ["how it goes", "npx -y deno@2.9.6 task status"],
      ],
  );
  terminal.heading("For your app and other programs");
  terminal.pairs([
    ["Supabase URL", stack.url],
    ["publishable key", stack.publishableKey],
    ["secret key", stack.secretKey],
    ["Postgres", stack.databaseUrl],
    ...stack.sandbox
      ? [
        ["sandbox Calendly", stack.calendlyUrl],
        ["Calendly token", `${DEMO_TOKEN} (the demo user's)`],
      ] as [string, string][]
      : [["Calendly", stack.calendlyUrl]] as [string, string][],
  ]);
  terminal.line();
  terminal.line("  Ctrl-C ends it.");
  terminal.line();
}

/** Removes the file, unless another stack has written it since. */
async function removeDescription(file: string, stack: Stack): Promise<void> {
  const present = await Deno.readTextFile(file).catch(() => "{}");
  if (JSON.parse(present).url === stack.url) await Deno.remove(file);
}

/** What other programs find in .local/stack.json while the stack runs. */
function description(stack: Stack) {
  return {
    url: stack.url,
    publishable_key: stack.publishableKey,
    secret_key: stack.secretKey,
    database_url: stack.databaseUrl,
    demo_user: stack.demoUser,
    calendly_url: stack.calendlyUrl,
  };
}
