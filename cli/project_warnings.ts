/** What in a project would keep an installation from working, or surprise its owner later. */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import type { TomlTable } from "smol-toml";
import { isTable } from "./config_toml.ts";
import { FUNCTIONS } from "./payload.ts";
import type { ProblemCode } from "./problem_codes.ts";
import { migrationsOf, versionOf } from "./project_files.ts";
import type { ProjectFolder } from "./project_folder.ts";

export interface Warning {
  code: ProblemCode;
  message: string;
  /** What to do. */
  hint: string;
}

/** `lastMigration` is the version of our last one; `config` is what config.toml says. */
export async function findWarnings(
  { supabase, ref }: ProjectFolder,
  config: TomlTable,
  lastMigration: string,
): Promise<Warning[]> {
  const warnings = ofConfig(config);
  if (!ref) {
    warnings.push({
      code: "not_linked",
      message: "The folder is not linked to a project at Supabase.",
      hint: "Run `npx supabase link` before you deploy.",
    });
  }
  const paths = table(config, "db", "migrations").schema_paths;
  if ((Array.isArray(paths) && paths.length > 0) || await hasSchemas(supabase, config)) {
    warnings.push({
      code: "declarative_schemas",
      message:
        "The project declares its schema in files. `npx supabase db schema declarative sync` " +
        "takes what they do not declare for deleted, and that includes everything of Calendly Sync.",
      hint:
        "Read each migration that it writes before you apply it, and take out every statement on " +
        "the schema calendly, on pg_cron, on pg_net or on a name that begins with calendly_.",
    });
  }
  const later = (await migrationsOf(supabase)).filter((name) => versionOf(name) > lastMigration);
  if (later.length > 0) {
    warnings.push({
      code: "later_migrations",
      message: `Migrations of yours have later versions than ours (${later.length}).`,
      hint: "`deploy` does not mind. `npx supabase db push --remote` would ask for --include-all.",
    });
  }
  return warnings;
}

function ofConfig(config: TomlTable): Warning[] {
  const warnings: Warning[] = [];
  if (table(config, "edge_runtime").policy === "oneshot") {
    warnings.push({
      code: "background_work_ends",
      message:
        '[edge_runtime] policy = "oneshot" ends a function with its answer: under `supabase ' +
        "start` syncs in the background stop.",
      hint: 'Set policy = "per_worker" in supabase/config.toml. Hosted projects do not have this.',
    });
  }
  const { schemas, enabled } = table(config, "api");
  if (enabled === false || Array.isArray(schemas) && !schemas.includes("public")) {
    warnings.push({
      code: "data_api",
      message:
        "[api] in supabase/config.toml does not offer the schema public, through which the " +
        "functions reach the database.",
      hint:
        'Set enabled = true and put "public" into schemas, there and in the dashboard (Data API).',
    });
  }
  const remotes = table(config, "remotes");
  const where: [string, TomlTable][] = [["", config]];
  for (const name of Object.keys(remotes)) where.push([`remotes.${name}.`, table(remotes, name)]);
  for (const [prefix, settings] of where) {
    for (const name of FUNCTIONS) {
      const { enabled, verify_jwt } = table(settings, "functions", name);
      if (enabled !== false && (prefix === "" || verify_jwt !== true)) continue;
      warnings.push({
        code: "function_settings",
        message: `[${prefix}functions.${name}] has ` +
          `${
            enabled === false ? "enabled = false" : "verify_jwt = true"
          }: the function would not answer.`,
        hint: "Take that line out of supabase/config.toml.",
      });
    }
  }
  return warnings;
}

/** Whether there are declared schemas where the CLI looks for them. */
async function hasSchemas(supabase: string, config: TomlTable): Promise<boolean> {
  const { declarative_schema_path } = table(config, "experimental", "pgdelta");
  const folder = typeof declarative_schema_path === "string" ? declarative_schema_path : "schemas";
  const names = await readdir(join(supabase, folder), { recursive: true }).catch(() => []);
  return names.some((name) => name.endsWith(".sql"));
}

/** A table in a table; empty where there is none. */
function table(config: TomlTable, ...path: string[]): TomlTable {
  let found = config;
  for (const name of path) {
    const next = found[name];
    if (!isTable(next)) return {};
    found = next;
  }
  return found;
}
