/**
 * What some tests need beyond Node, and how to get it. A test that lacks it is skipped, by a name that
 * says so; the runner lists what was skipped, and REQUIRE_ALL=1 makes a skip a failure.
 *
 * A long test runs only with REQUIRE_ALL=1. Without it, it is skipped and listed by name:
 *
 *     Deno.test({ ...needing("200 random seeds converge", "longRun"), fn: async () => { … } });
 *     databaseTest("10,000 rows are read by index", async (database) => { … }, { long: true });
 *     stackTest("a sync waits for a real minute", async ({ stack }) => { … }, { long: true });
 *     testOnEach("…", "both", async (kind) => { … }, { long: true });
 *
 * To make a test short by default and long in full, register two tests, a short one and a long one:
 * a size that changes silently would not be listed. Whatever runs single tests in a process of its own
 * (prove, mutate) sets REQUIRE_ALL=1 there, so that none of them is skipped.
 */

import { findSupabaseCli, installReactApp, SUPABASE_CLI } from "./npm_programs.ts";

export interface Requirement {
  /** Stands in brackets in the names of the tests that need it. */
  label: string;
  met: boolean;
  how: string;
  /** Not to be had by everybody: REQUIRE_ALL=1 does not ask for it. */
  rare?: true;
}

const realPostgresUrl = Deno.env.get("TEST_DATABASE_URL");

/** Folder of a Postgres server's programs, of a version that has pg_cron; undefined: there is none. */
export const SERVER_PROGRAMS = await findServer();

/** Path of a Chromium; undefined: there is none. */
export const CHROMIUM = await findChromium();

export const REQUIREMENTS = {
  longRun: {
    label: "REQUIRE_ALL=1",
    met: Deno.env.get("REQUIRE_ALL") === "1",
    how:
      "REQUIRE_ALL=1 npx -y deno@2.9.6 task test: the long tests, and the functions on the platform's Deno",
  },
  realPostgres: {
    label: "real Postgres",
    met: Boolean(realPostgresUrl),
    how:
      "TEST_DATABASE_URL=postgresql://… of a superuser on Postgres 15 or newer (.ci/run makes one)",
  },
  pgProve: {
    label: "pg_prove",
    met: Boolean(realPostgresUrl) && await isInstalled("pg_prove"),
    how: "TEST_DATABASE_URL, with pgTAP in that Postgres; apt-get install postgresql-15-pgtap " +
      "libtap-parser-sourcehandler-pgtap-perl",
  },
  node: {
    label: "Node 20",
    met: await isInstalled("node"),
    how: "Node 20 or newer on the PATH",
  },
  curl: {
    label: "curl",
    met: await isInstalled("curl"),
    how: "apt-get install curl",
  },
  psql: {
    label: "psql",
    met: await isInstalled("psql"),
    how: "apt-get install postgresql-client",
  },
  terminal: {
    label: "script",
    met: await isInstalled("script"),
    how: "apt-get install bsdutils: script runs a program on a terminal",
  },
  pgbench: {
    label: "pgbench",
    met: Boolean(realPostgresUrl) && await isInstalled("pgbench"),
    how: "TEST_DATABASE_URL, and apt-get install postgresql-15 for pgbench",
  },
  postgresServer: {
    label: "Postgres server with pg_cron",
    met: SERVER_PROGRAMS !== undefined,
    how: "apt-get install postgresql-15 postgresql-15-cron: the test starts one of its own",
  },
  chromium: {
    label: "Chromium",
    met: CHROMIUM !== undefined,
    how: "apt-get install chromium, or CHROMIUM=path of one",
  },
  supabaseCli: {
    label: `Supabase CLI ${SUPABASE_CLI}`,
    // Looked for only where a test needs it: npx takes a second.
    get met() {
      return findSupabaseCli() !== undefined;
    },
    how: `npx -y supabase@${SUPABASE_CLI}, for which npm must reach its registry`,
  },
  reactApp: {
    label: "packages of examples/react",
    // Looked for only where a test needs it: npm takes some seconds.
    get met() {
      return installReactApp() !== undefined;
    },
    how: "npm ci in examples/react, for which npm must reach its registry",
  },
  calendlyReference: {
    label: "Calendly reference",
    met: Boolean(Deno.env.get("CALENDLY_REFERENCE_DIR")),
    how: "CALENDLY_REFERENCE_DIR=folder with Calendly's openapi.json and samples",
    rare: true,
  },
} satisfies Record<string, Requirement>;

/** Whether a test that was skipped can be run by anybody who cares to. */
export function isObtainable(skipped: string): boolean {
  const requirements: Requirement[] = Object.values(REQUIREMENTS);
  return !requirements.some(({ label, rare }) => rare && skipped.includes(`[${label}]`));
}

/** Name and `ignore` of a test that needs something: `Deno.test({ ...needing(…), fn })`. */
export function needing(
  name: string,
  ...needs: (keyof typeof REQUIREMENTS)[]
): { name: string; ignore: boolean } {
  const requirements = needs.map((need) => REQUIREMENTS[need]);
  return {
    name: [name, ...requirements.map(({ label }) => `[${label}]`)].join(" "),
    ignore: requirements.some(({ met }) => !met),
  };
}

async function findServer(): Promise<string | undefined> {
  for (const version of [17, 16, 15]) {
    const programs = `/usr/lib/postgresql/${version}/bin`;
    const extension = `/usr/share/postgresql/${version}/extension/pg_cron.control`;
    if (await exists(`${programs}/postgres`) && await exists(extension)) return programs;
  }
}

async function findChromium(): Promise<string | undefined> {
  const named = Deno.env.get("CHROMIUM");
  for (const path of named ? [named] : ["/usr/bin/chromium", "/usr/bin/chromium-browser"]) {
    if (await exists(path)) return path;
  }
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}

async function isInstalled(command: string): Promise<boolean> {
  try {
    return (await new Deno.Command(command, { args: ["--version"] }).output()).success;
  } catch {
    return false;
  }
}
