/**
 * `calendly-sync uninstall`: takes the product out of a project as it came: everybody is disconnected at
 * Calendly first, then the database, the functions and the secrets, and last what install has put into the
 * folder, so that a run after any interruption can go on. People's data stays unless it is to be dropped.
 */
import { setTimeout as pause } from "node:timers/promises";
import { z } from "zod";
import { CHANGING, type Context, defineCommand, type ExitCode } from "../command.ts";
import { removeSections } from "../config_toml.ts";
import {
  countConnections,
  countData,
  DATA_TABLES,
  type DatabaseState,
  readDatabaseState,
  uninstallScript,
} from "../database_state.ts";
import { type Deployment, openDeployment, SECRETS, TARGET } from "../deployment.ts";
import { changeConfig, changeFiles, checkFiles } from "../file_changes.ts";
import { FUNCTIONS } from "../payload.ts";
import { Problem } from "../problem.ts";
import { type PlannedFile, planRemovals, readProduct } from "../project_files.ts";
import { findProject, type ProjectFolder } from "../project_folder.ts";
import { readSeconds } from "../seconds.ts";
import { explainSqlError, type SqlDatabase } from "../sql_database.ts";
import type { Terminal } from "../terminal.ts";
import { nudge } from "../verification.ts";
import { count } from "../words.ts";

/** The functions come once a minute and tell Calendly of one connection after the other. */
const WAIT_LIMIT = 300;
const LOOK_EVERY = 3000; // milliseconds

const OPTIONS = {
  ...TARGET,
  "drop-data": {
    type: "boolean",
    help: `drop people's data, too: ${DATA_TABLES.join(", ")}`,
  },
  wait: {
    type: "string",
    value: "<seconds>",
    help: `how long to wait until Calendly has been told, by default ${WAIT_LIMIT}`,
  },
  ...CHANGING,
} as const;

interface Plan {
  database: DatabaseState;
  connected: number;
  pending: number;
  /** Rows by table. */
  rows: Record<string, number>;
  dropsData: boolean;
  functions: string[];
  secrets: string[];
  /** The product's, and those that their owner has edited, which stay. */
  files: PlannedFile[];
  edited: PlannedFile[];
  config: ReturnType<typeof removeSections>;
}

const Uninstalled = z.object({
  kept: z.record(z.string(), z.number()),
  dropped: z.record(z.string(), z.number()),
});
type Uninstalled = z.infer<typeof Uninstalled>;

export const uninstall = defineCommand({
  name: "uninstall",
  summary: "disconnect everybody, and take all of it out of the project again",
  argument: "[folder]",
  description:
    "People's data stays in three plain tables, unless --drop-data is given, which works\n" +
    "later, too.\n" +
    "With scopes the access token needs what deploy needs.",
  options: OPTIONS,
  run: uninstallProject,
});

async function uninstallProject(context: Context<typeof OPTIONS>): Promise<ExitCode> {
  const { values, env, terminal } = context;
  const seconds = readSeconds(values.wait, WAIT_LIMIT);
  const folder = await findProject(context.argument ?? context.folder);
  const deployment = await openDeployment(folder.root, env, values);
  try {
    const plan = await terminal.step(
      `Read ${deployment.name}`,
      () => makePlan(deployment, folder, values["drop-data"] === true),
    );
    await checkFiles(folder.supabase, plan.files);
    showPlan(terminal, deployment, plan);
    const result = { project: deployment.name, plan: describe(plan) };
    if (values["dry-run"]) {
      context.answer({ ...result, done: false, dry_run: true });
      terminal.line("  Nothing has been changed: this was a dry run.");
      return 0;
    }
    if (isEmpty(plan)) {
      context.answer({ ...result, done: true });
      terminal.line("  There is nothing to do.");
      showLeft(terminal, plan);
      return 0;
    }
    if (!await context.confirm(question(deployment, plan))) {
      context.answer({ ...result, done: false, reason: "declined" });
      terminal.line("  Nothing has been changed.");
      return 1;
    }
    const uninstalled = await executePlan(terminal, deployment, folder, plan, seconds);
    context.answer({ ...result, done: true, ...uninstalled });
    terminal.line();
    terminal.line(`  Calendly Sync is out of ${deployment.name}.`);
    showLeft(terminal, plan);
    return 0;
  } finally {
    await deployment.database.close();
  }
}

async function makePlan(
  { database, supabase }: Deployment,
  folder: ProjectFolder,
  dropsData: boolean,
): Promise<Plan> {
  const [state, secrets = []] = await Promise.all([
    readDatabaseState(database),
    supabase?.listSecrets(),
  ]);
  const counts = state.isInstalled
    ? await countConnections(database)
    : { connected: 0, pending: 0 };
  const found = await planRemovals(folder.supabase, await readProduct());
  return {
    database: state,
    ...counts,
    rows: await countData(database, state.isInstalled ? DATA_TABLES : state.keptTables),
    dropsData,
    functions: FUNCTIONS.filter((name) => supabase?.functions.some(({ slug }) => slug === name)),
    secrets: SECRETS.filter((name) => secrets.includes(name)),
    files: found.filter(({ state }) => state === "removed"),
    edited: found.filter(({ state }) => state === "kept"),
    config: removeSections(folder.config),
  };
}

/** Whether the database has something that is to go. */
function changesDatabase({ database, dropsData }: Plan): boolean {
  return database.isInstalled || (dropsData && database.keptTables.length > 0);
}

function isEmpty(plan: Plan): boolean {
  const { functions, secrets, files, config } = plan;
  return !changesDatabase(plan) &&
    [functions, secrets, files, config.removed].every((list) => list.length === 0);
}

function describe({ connected, rows, dropsData, functions, secrets, files, edited, config }: Plan) {
  return {
    connected,
    [dropsData ? "drop" : "keep"]: rows,
    functions,
    secrets,
    files: files.map(({ path }) => path),
    edited_files: edited.map(({ path }) => path),
    config_sections: config.removed,
  };
}

function question({ name }: Deployment, { rows, dropsData }: Plan): string {
  return `Take Calendly Sync out of ${name}` +
    (dropsData ? ` and drop ${count(sum(rows), "row")} of people's data?` : "?");
}

function showPlan(terminal: Terminal, deployment: Deployment, plan: Plan): void {
  const { database, connected, pending, rows, dropsData, functions, secrets } = plan;
  const { files, edited, config } = plan;
  const list = (names: string[]) => names.length > 0 ? names.join(", ") : "none";
  const data = Object.entries(rows).map(([table, rows]) => `${table} (${count(rows, "row")})`);
  terminal.heading(`Plan for ${deployment.name}, Postgres ${database.postgres}`);
  terminal.pairs([
    [
      "at Calendly",
      connected + pending > 0
        ? `disconnect ${connected}, and wait until it has been told of ${connected + pending}`
        : "nobody is connected",
    ],
    ["database", changesDatabase(plan) ? "take out what is ours" : "nothing is to go"],
    [dropsData ? "dropped" : "kept", list(data)],
    ["functions", functions.length > 0 ? `delete ${list(functions)}` : "none is deployed"],
    ["secrets", secrets.length > 0 ? `unset ${list(secrets)}` : "none is set"],
    ["files", files.length > 0 ? `remove ${files.length}` : "none is there"],
    [
      "config.toml",
      config.removed.length > 0 ? `take out ${count(config.removed.length, "section")}` : "–",
    ],
  ]);
  for (const { path } of edited) terminal.line(`    stays, edited by you: supabase/${path}`);
  for (const name of config.left) {
    terminal.line(`    stays, written by you: [functions.${name}] in supabase/config.toml`);
  }
  terminal.line();
}

/** What is still in the folder, and what to do with it. */
function showLeft(terminal: Terminal, { edited }: Plan): void {
  if (edited.length === 0) return;
  const [it, is] = edited.length === 1 ? ["it", "is"] : ["them", "are"];
  terminal.line(`  ${count(edited.length, "file")} edited by you ${is} left.`);
  terminal.line(`  Delete ${it} before you install again, unless ${it} is needed elsewhere:`);
  for (const { path } of edited) terminal.line(`    supabase/${path}`);
}

async function executePlan(
  terminal: Terminal,
  deployment: Deployment,
  folder: ProjectFolder,
  plan: Plan,
  seconds: number,
): Promise<Uninstalled | undefined> {
  const { database, supabase } = deployment;
  const { connected, pending, functions, secrets, files, config } = plan;
  let uninstalled: Uninstalled | undefined;
  if (connected + pending > 0) await disconnect(terminal, deployment, plan, seconds);
  if (changesDatabase(plan)) {
    uninstalled = await terminal.step(
      "Database",
      () => uninstallDatabase(database, plan.dropsData),
      (rows) => rows ? describeRows(rows, plan) : "",
    );
  }
  for (const name of functions) {
    await terminal.step(`Function ${name}`, () => supabase!.deleteFunction(name), () => "deleted");
  }
  if (secrets.length > 0) {
    await terminal.step("Secrets", () => supabase!.unsetSecrets(secrets), () => secrets.join(", "));
  }
  if (files.length > 0) {
    await terminal.step(
      "Files",
      () => changeFiles(folder.supabase, files),
      () => `${files.length} removed`,
    );
  }
  if (config.removed.length > 0) {
    await terminal.step(
      "config.toml",
      () => changeConfig(folder.supabase, removeSections),
      ({ removed }) => `${count(removed.length, "section")} taken out`,
    );
  }
  return uninstalled;
}

/** Of people's data; what else was dropped, such as connections, nobody wants to keep. */
function describeRows({ kept, dropped }: Uninstalled, { dropsData }: Plan): string {
  return dropsData
    ? `${count(sum(dropped), "row")} dropped`
    : `${count(sum(kept), "row")} of people's data kept`;
}

function sum(rows: Record<string, number>): number {
  return Object.values(rows).reduce((sum, count) => sum + count, 0);
}

const DISCONNECT = `select calendly.disconnect(c.user_id) from public.calendly_connections c
  where c.state <> 'disconnected' order by c.user_id`;

/**
 * Ends all connections and waits until the functions have told Calendly. Errors: functions_missing,
 * not_disconnected.
 */
async function disconnect(
  terminal: Terminal,
  { database, supabase, url }: Deployment,
  { connected, functions }: Plan,
  seconds: number,
): Promise<void> {
  if (supabase && !functions.includes("calendly-sync")) {
    throw new Problem(
      "functions_missing",
      "The function calendly-sync is not deployed, and it alone can tell Calendly.",
      "Run deploy first. Or delete the webhook subscriptions at Calendly yourself, then: delete " +
        "from calendly.pending_revocations;",
    );
  }
  if (connected > 0) {
    await terminal.step("Connections", () => changing(database, DISCONNECT), () => "ended here");
  }
  await terminal.step("Calendly is told; this may take a minute or two", async (note) => {
    const end = Date.now() + seconds * 1000;
    while (true) {
      const { pending } = await countConnections(database);
      if (pending === 0) return;
      if (Date.now() >= end) throw notDisconnected(pending, seconds);
      note(`${count(pending, "connection")} left`);
      // The schedule does the same, once a minute.
      if (url) await nudge(url);
      await pause(Math.min(LOOK_EVERY, Math.max(end - Date.now(), 0)));
    }
  });
}

function notDisconnected(pending: number, seconds: number): Problem {
  return new Problem(
    "not_disconnected",
    `Calendly has not been told of ${count(pending, "connection")} within ${
      count(seconds, "second")
    }.`,
    "Run uninstall again: it goes on where it stopped. The logs of calendly-sync say what is in " +
      "the way. Where a token can never be read again, delete the subscription at Calendly " +
      "yourself, then its row of calendly.pending_revocations.",
  );
}

async function uninstallDatabase(
  database: SqlDatabase,
  dropData: boolean,
): Promise<Uninstalled | undefined> {
  const rows = await changing<{ uninstalled: unknown }>(database, await uninstallScript(dropData));
  return Uninstalled.safeParse(rows[0]?.uninstalled).data;
}

async function changing<Row>(database: SqlDatabase, sql: string): Promise<Row[]> {
  return await database.query<Row>(sql).catch((error) => {
    throw explainSqlError(error);
  });
}
