/** Programs from npm that tests run, by version (npx keeps them in its cache), and an app's packages. */
import { createHash } from "node:crypto";
import { fileURLToPath } from "node:url";

/** Path of a Deno. */
export async function findDeno(version: string): Promise<string> {
  const { success, stdout } = await new Deno.Command("npx", {
    args: [
      "-y",
      "-p",
      `deno@${version}`,
      "deno",
      "eval",
      "--no-config",
      "--no-lock",
      "console.log(Deno.execPath())",
    ],
    stdin: "null",
    stderr: "inherit",
  }).output();
  if (!success) throw new Error(`npm does not give Deno ${version}`);
  return new TextDecoder().decode(stdout).trim();
}

/** The Deno of the hosted Edge Runtime. */
export const PLATFORM_DENO = "2.1.4";

/** The Supabase CLI that the command line is tested with. */
export const SUPABASE_CLI = "3.1.0";

let supabaseCli: string | null | undefined;

/** Path of the Supabase CLI; undefined where npm does not give it. */
export function findSupabaseCli(): string | undefined {
  if (supabaseCli === undefined) {
    try {
      const { success, stdout } = new Deno.Command("npx", {
        args: ["-y", "-p", `supabase@${SUPABASE_CLI}`, "-c", "command -v supabase"],
        stdin: "null",
        stderr: "null",
      }).outputSync();
      supabaseCli = success ? new TextDecoder().decode(stdout).trim() : null;
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error; // Without npx there is none.
      supabaseCli = null;
    }
  }
  return supabaseCli ?? undefined;
}

const ROOT = new URL("../../", import.meta.url);

/** A file of a React app that lists its packages. */
const REACT_LOCK = new URL("examples/react/package-lock.json", ROOT);

let reactApp: string | null | undefined;

/** Folder with the packages of examples/react, none of its sources; undefined where npm does not give them. */
export function installReactApp(): string | undefined {
  reactApp ??= install() ?? null;
  return reactApp ?? undefined;
}

function install(): string | undefined {
  const lock = Deno.readFileSync(REACT_LOCK);
  const hash = createHash("sha256").update(lock).digest("hex").slice(0, 16);
  const folder = fileURLToPath(new URL(`.local/examples/react-${hash}`, ROOT));
  const installed = `${folder}/installed`;
  if (isFile(installed)) return folder;
  Deno.mkdirSync(folder, { recursive: true });
  using file = Deno.openSync(`${folder}/lock`, { create: true, write: true });
  file.lockSync(true); // Another test file may be at it.
  if (isFile(installed)) return folder;
  for (const name of ["package.json", "package-lock.json"]) {
    Deno.copyFileSync(new URL(name, REACT_LOCK), `${folder}/${name}`);
  }
  try {
    const { success } = new Deno.Command("npm", {
      args: ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"],
      cwd: folder,
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).outputSync();
    if (!success) return undefined;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    return undefined;
  }
  Deno.writeTextFileSync(installed, "");
  return folder;
}

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    return false;
  }
}
