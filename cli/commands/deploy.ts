/**
 * `calendly-sync deploy`: brings what `install` has put into the folder to the project: the migrations in
 * one transaction, the key of the tokens, the three functions; then it asks the project whether all of it
 * works. It can be run again after any interruption, and goes on where it stopped.
 */
import { randomBytes } from "node:crypto";
import { VERSION } from "../../supabase/functions/_shared/calendly/version.ts";
import { CHANGING, type Context, defineCommand, type ExitCode, PROGRAM } from "../command.ts";
import { addSections } from "../config_toml.ts";
import { checkNames, noteDeployed, readDatabaseState, readTick } from "../database_state.ts";
import { type Deployment, openDeployment, TARGET, TOKEN_KEY } from "../deployment.ts";
import { compareVersions, FUNCTIONS, hashOf } from "../payload.ts";
import {
  installedMigrations,
  type Migration,
  migrationScript,
  readMigrations,
} from "../migrations.ts";
import { Problem } from "../problem.ts";
import { planFiles, type PlannedFile, readProduct } from "../project_files.ts";
import { findProject, type ProjectFolder } from "../project_folder.ts";
import { readSeconds } from "../seconds.ts";
import { explainSqlError, type SqlDatabase } from "../sql_database.ts";
import type { DeployedFunction } from "../supabase.ts";
import type { Terminal } from "../terminal.ts";
import { readVersions, verifyFunctions, verifyTick } from "../verification.ts";

/** A minute until pg_cron's next run, and some seconds. */
const TICK_LIMIT = 75;
/** A tick this recent shows that the schedule runs, where no migration was applied. */
const RECENT_TICK = 90_000;

const OPTIONS = {
  ...TARGET,
  "new-key": {
    type: "boolean",
    help: "make a new CALENDLY_TOKEN_KEY where the old one is lost: everybody connects again",
  },
  redeploy: { type: "boolean", help: "deploy the functions even if they are of this version" },
  wait: {
    type: "string",
    value: "<seconds>",
    help: `how long to wait for the schedule's next run, by default ${TICK_LIMIT}`,
  },
  ...CHANGING,
} as const;

interface Plan {
  /** All migrations of the installation, and those that the database lacks. */
  migrations: Migration[];
  missing: Migration[];
  /** Whether CALENDLY_TOKEN_KEY is to be made; undefined: secrets are not kept here. */
  makesKey?: boolean;
  /** Functions to deploy. */
  functions: string[];
  /** Functions' files that their owner has edited. */
  edited: string[];
  /** See Installed. */
  content: string | null;
}

interface Verified {
  /** The version as which they answer; null: they are not served. */
  functions: string | null;
  /** What was not verified, and why. */
  unverified: string[];
  /** Null: it was not waited for. */
  ticked_at: string | null;
}

export const deploy = defineCommand({
  name: "deploy",
  summary: "apply the migrations, deploy the functions, and verify both",
  argument: "[folder]",
  description:
    "It uses the project's Supabase CLI and its access token; no database password is needed. With\n" +
    "scopes the token needs database_read, database_write, edge_functions_read, edge_functions_write,\n" +
    "edge_functions_secrets_read and edge_functions_secrets_write.",
  options: OPTIONS,
  run: deployProject,
});

async function deployProject(context: Context<typeof OPTIONS>): Promise<ExitCode> {
  const { values, env, terminal } = context;
  const seconds = readSeconds(values.wait, TICK_LIMIT);
  const folder = await findProject(context.argument ?? context.folder);
  checkConfig(folder);
  const files = await checkFiles(folder.supabase);
  const deployment = await openDeployment(folder.root, env, values);
  try {
    const { plan, postgres } = await terminal.step(
      `Read ${deployment.name}`,
      () => makePlan(deployment, files, values),
    );
    showPlan(terminal, deployment, plan, postgres);
    const result = { project: deployment.name, url: deployment.url, plan: describe(plan) };
    if (values["dry-run"]) {
      context.answer({ ...result, dry_run: true });
      terminal.line("  Nothing has been changed: this was a dry run.");
      return 0;
    }
    if (isEmpty(plan)) {
      terminal.line("  There is nothing to do. The project is asked whether all of it works.");
    } else if (!await context.confirm(`Change ${deployment.name}?`)) {
      context.answer({ ...result, done: false, reason: "declined" });
      terminal.line("  Nothing has been changed.");
      return 1;
    }
    await executePlan(terminal, deployment, plan);
    const verified = await verify(terminal, deployment, plan, seconds);
    context.answer({ ...result, verified });
    terminal.line();
    terminal.line(`  Version ${VERSION} runs. Next: ${nextCommand(deployment, context)}`);
    return 0;
  } finally {
    await deployment.database.close();
  }
}

/** connect, for the same project. */
function nextCommand(
  { supabase, url }: Deployment,
  { values, argument }: Context<typeof OPTIONS>,
): string {
  if (!supabase) {
    return `${PROGRAM} connect, with SUPABASE_URL=${url ?? "…"} and SUPABASE_SECRET_KEY set`;
  }
  const options = [
    values.remote && `--remote=${values.remote}`,
    values.url && `--url=${values.url}`,
  ];
  return [PROGRAM, "connect", argument, ...options].filter(Boolean).join(" ");
}

/** The Supabase CLI takes `verify_jwt` from config.toml. Errors: not_installed, config_invalid. */
function checkConfig({ supabase, config = "" }: ProjectFolder): void {
  const { added, patched } = addSections(config);
  const [name] = [...added, ...patched];
  if (name === undefined) return;
  throw new Problem(
    "not_installed",
    `${supabase}/config.toml does not have [functions.${name}] with verify_jwt = false.`,
    `Put it there: ${PROGRAM} install`,
  );
}

/** What the folder has of the product. */
interface Installed {
  files: PlannedFile[];
  /** Functions' files that their owner has edited. */
  edited: string[];
  /** A hash of the functions' files; null where one was edited: it may use others that nobody looks at. */
  content: string | null;
}

/**
 * The folder must have this version's files; those that their owner edited are returned. Errors:
 * not_installed, files_outdated, migration_changed, and those of `planFiles`.
 */
async function checkFiles(supabase: string): Promise<Installed> {
  const product = await readProduct();
  const files = await planFiles(supabase, product);
  const among = (state: PlannedFile["state"]) => files.filter((file) => file.state === state);
  const missing = among("new");
  if (missing.length > 0) {
    throw new Problem(
      "not_installed",
      `${missing.length} files are not in ${supabase}, such as ${missing[0].path}.`,
      `Put them there: ${PROGRAM} install`,
    );
  }
  const [outdated] = among("updated");
  if (outdated) {
    throw new Problem(
      "files_outdated",
      `${supabase} has files of version ${outdated.release}; this is ${VERSION}.`,
      `Upgrade them: ${PROGRAM} install`,
    );
  }
  const edited = among("edited");
  const migration = edited.find(({ path }) => path.startsWith("migrations/"));
  if (migration) {
    throw new Problem(
      "migration_changed",
      `supabase/${migration.path} was edited. The database would have another text than the file.`,
      "Take the file back as the release has it, and put your own changes into a migration of " +
        "your own.",
    );
  }
  const ofFunctions = product.payload.filter(({ path }) => path.startsWith("functions/"));
  return {
    files,
    edited: edited.map(({ path }) => path),
    content: edited.length > 0
      ? null
      : hashOf(ofFunctions.map(({ path, hash }) => `${path} ${hash}`).join("\n")),
  };
}

async function makePlan(
  deployment: Deployment,
  { files, edited, content }: Installed,
  { redeploy = false, "new-key": newKey = false }: { redeploy?: boolean; "new-key"?: boolean },
): Promise<{ plan: Plan; postgres: string }> {
  const { database, supabase } = deployment;
  const originalNames = files.some(({ path }) => path.endsWith("_original_names.sql"));
  const migrations = installedMigrations(await readMigrations(), { originalNames });
  const [state, secrets, versions] = await Promise.all([
    readDatabaseState(database),
    supabase?.listSecrets(),
    deployedVersions(deployment),
  ]);
  const { postgres, recorded } = state;
  refuseNewer({ "the database": state.version, ...versions });
  const makesKey = secrets && !secrets.includes(TOKEN_KEY);
  if (makesKey && state.hasTokens && !newKey) throw tokenKeyMissing();
  const missing = migrations.filter(({ version }) => !recorded.includes(version));
  if (missing[0] === migrations[0]) await checkNames(database, migrations);
  return {
    postgres,
    plan: {
      migrations,
      missing,
      makesKey,
      functions: supabase
        ? FUNCTIONS.filter((name) =>
          redeploy || edited.length > 0 || versions[name] !== VERSION ||
          isBehindGateway(supabase.functions, name) ||
          state.deployed[name] !== digest(content, supabase.functions, name)
        )
        : [],
      edited,
      content,
    },
  };
}

/** The versions of the functions that are deployed; null: no answer of ours. */
async function deployedVersions({ supabase, url }: Deployment): Promise<Versions> {
  const names = FUNCTIONS.filter((name) => supabase?.functions.some(({ slug }) => slug === name));
  if (names.length === 0) return {};
  const versions = await readVersions(url!);
  return Object.fromEntries(names.map((name) => [name, versions[name]]));
}

type Versions = Record<string, string | null>;

function isBehindGateway(functions: DeployedFunction[], name: string): boolean {
  return functions.find(({ slug }) => slug === name)?.verify_jwt !== false;
}

/** By it a function that was deployed is known again: our files, and the platform's bundle of them. */
function digest(content: string | null, functions: DeployedFunction[], name: string) {
  const bundle = functions.find(({ slug }) => slug === name)?.ezbr_sha256;
  return content && hashOf(`${content} ${bundle}`);
}

/** An older release must not replace a newer one: its functions do not know the newer database. */
function refuseNewer(versions: Versions): void {
  for (const [what, version] of Object.entries(versions)) {
    if (version === null || compareVersions(version, VERSION) <= 0) continue;
    throw new Problem(
      "newer_deployed",
      `The project has a newer release: ${what} is of version ${version}, this is ${VERSION}.`,
      `Nothing has been changed. Use version ${version} or a newer one.`,
    );
  }
}

function tokenKeyMissing(): Problem {
  return new Problem(
    "token_key_missing",
    `The database has tokens, and the secret ${TOKEN_KEY} that encrypted them is not set.`,
    `Set the key that you kept: npx supabase secrets set --env-file <file>, a file with the line ` +
      `${TOKEN_KEY}=<key> outside the repository. Is it lost, add --new-key: then everybody ` +
      "connects again.",
  );
}

function isEmpty({ missing, makesKey, functions }: Plan): boolean {
  return missing.length === 0 && !makesKey && functions.length === 0;
}

function describe({ missing, makesKey, functions, edited }: Plan) {
  return {
    migrations: missing.map(({ version, name }) => `${version}_${name}`),
    secrets: makesKey ? [TOKEN_KEY] : [],
    functions,
    edited_files: edited,
  };
}

function showPlan(terminal: Terminal, deployment: Deployment, plan: Plan, postgres: string): void {
  const { migrations, missing, makesKey, functions, edited } = plan;
  terminal.heading(`Plan for ${deployment.name}, Postgres ${postgres}`);
  const rows: [string, string][] = [["address", deployment.url ?? "not known"], [
    "database",
    missing.length === 0
      ? `up to date (${migrations.length} migrations)`
      : `apply ${missing.length} of ${migrations.length} migrations, as a whole or not at all` +
        (missing[0] === migrations[0] ? "; all names are free" : ""),
  ]];
  if (deployment.supabase) {
    rows.push(
      ["secrets", makesKey ? `make ${TOKEN_KEY}` : `${TOKEN_KEY} is set and stays`],
      [
        "functions",
        functions.length > 0 ? `deploy ${functions.join(", ")}` : `are of version ${VERSION}`,
      ],
    );
  } else {
    rows.push(
      ["secrets", `${TOKEN_KEY} is yours to set, in a file that Git does not take`],
      ["functions", "are served from the folder: npx supabase functions serve"],
    );
  }
  terminal.pairs(rows);
  for (const path of edited) terminal.line(`    edited by you: supabase/${path}`);
  terminal.line();
}

async function executePlan(terminal: Terminal, deployment: Deployment, plan: Plan): Promise<void> {
  const { database, supabase } = deployment;
  if (plan.missing.length > 0) {
    await terminal.step("Migrations", async () => {
      await database.query(migrationScript(plan.migrations)).catch((error) => {
        throw explainSqlError(error);
      });
    }, () => `${plan.missing.length} applied`);
  }
  if (plan.makesKey) {
    const key = randomBytes(32).toString("base64");
    // Before it is set: whatever happens then, its owner has it.
    showKey(terminal, key, { isFirst: plan.missing.length === plan.migrations.length });
    await terminal.step(`Secret ${TOKEN_KEY}`, () => supabase!.setSecret(TOKEN_KEY, key));
  }
  if (plan.functions.length > 0) {
    await terminal.step(
      "Functions",
      async () => {
        await supabase!.deployFunctions(plan.functions);
        const functions = await supabase!.listFunctions();
        const digests = plan.functions.map((name) => [name, digest(plan.content, functions, name)]);
        await noteDeployed(database, Object.fromEntries(digests));
      },
      () => plan.functions.join(", "),
    );
  }
}

function showKey(terminal: Terminal, key: string, { isFirst }: { isFirst: boolean }): void {
  terminal.line();
  terminal.line(`  ${TOKEN_KEY}=${key}`);
  terminal.line("  Keep it in a safe place. It is shown only now, and encrypts Calendly's tokens.");
  if (!isFirst) {
    terminal.line("  It replaces any key that an earlier run has shown: that one is not set.");
  }
  if (!terminal.isInteractive) {
    terminal.line(
      "  This output is no terminal: if it is kept, as in the log of a job, so is the key.",
    );
  }
  terminal.line();
}

async function verify(
  terminal: Terminal,
  deployment: Deployment,
  plan: Plan,
  seconds: number,
): Promise<Verified> {
  const { database, supabase, url } = deployment;
  const { now } = await readTick(database);
  const unverified: string[] = [];
  const isServed = url !== undefined &&
    (supabase !== undefined || Object.values(await readVersions(url)).some((v) => v !== null));
  if (isServed) {
    const secret = await deployment.readSecretKey();
    const key = "key" in secret ? secret.key : undefined;
    if ("missing" in secret) {
      unverified.push(`that the functions accept the secret key (${secret.missing})`);
    }
    await terminal.step(
      key ? "Functions answer, and accept the secret key" : "Functions answer",
      () => verifyFunctions(url, key),
      () => `version ${VERSION}`,
    );
  } else unverified.push("the functions, which are not served at present");
  if (seconds === 0) unverified.push("the schedule (--wait=0)");
  for (const part of unverified) terminal.line(`  · Not verified: ${part}`);
  return {
    functions: isServed ? VERSION : null,
    unverified,
    ticked_at: seconds === 0 ? null : await waitForTick(terminal, database, plan, now, seconds),
  };
}

async function waitForTick(
  terminal: Terminal,
  database: SqlDatabase,
  { missing }: Plan,
  now: string,
  seconds: number,
): Promise<string> {
  const since = missing.length > 0 ? now : new Date(Date.parse(now) - RECENT_TICK).toISOString();
  return await terminal.step(
    "The schedule runs",
    (note) => {
      note(`waiting for its next run, ${seconds} seconds at most`);
      return verifyTick(database, since, seconds);
    },
    (ticked_at) => `last at ${ticked_at}`,
  );
}
