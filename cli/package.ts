/**
 * `deno task package`: makes the npm tarball of the command line with the product's files and the console's
 * page, in .local/package.
 * `--release` first adds this version to cli/releases.json: commit that, tag it, publish the tarball.
 * The program is one file for Node 20 and newer: esbuild (within `deno bundle`) puts the libraries into it,
 * in the versions of deno.lock.
 */
import { execFile } from "node:child_process";
import { cp, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs, promisify } from "node:util";
import { VERSION } from "../supabase/functions/_shared/calendly/version.ts";
import { buildPage } from "./page.ts";
import { readPayload, readReleased, readReleases } from "./payload.ts";
import { Problem } from "./problem.ts";
import { withRelease } from "./release.ts";
import { stderr, Terminal } from "./terminal.ts";

const ROOT = fileURLToPath(new URL("../", import.meta.url));

const HELP = `Usage: npx -y deno@2.9.6 task package [--release]

Makes the npm package of the command line, with the product's files, in .local/package.

  --release    first add this version to cli/releases.json
  -h, --help   show this`;

/** Files and folders that are copied as they are. */
const COPIED = [
  "supabase/functions",
  "supabase/migrations",
  "docs",
  "README.md",
  "CHANGELOG.md",
  "LICENSE",
];

/** The name says for whom the product is; it is made by neither Calendly nor Supabase. */
const DESCRIPTION = {
  name: "sync-for-calendly",
  version: VERSION,
  description: "Keeps a team's Calendly meetings in the Postgres of a Supabase project.",
  license: "MIT",
  type: "module",
  bin: { "calendly-sync": "cli/main.js" },
  engines: { node: ">=20.12" },
};

/** Makes the tarball in a folder, which is emptied first, and returns its path. */
export async function makePackage(folder: string): Promise<string> {
  const content = join(folder, "package");
  await rm(folder, { recursive: true, force: true });
  for (const path of COPIED) await cp(join(ROOT, path), join(content, path), { recursive: true });
  for (const name of await readdir(join(ROOT, "cli"))) {
    if (name.endsWith(".sql")) await cp(join(ROOT, "cli", name), join(content, "cli", name));
  }
  for (const [name, bytes] of await buildPage()) {
    await write(join(content, "cli/page", name), bytes);
  }
  await write(join(content, "package.json"), toJson(DESCRIPTION));
  await write(join(content, "cli/releases.json"), toJson(await readReleases(await readPayload())));
  await write(join(content, "cli/main.js"), await bundle(join(folder, "main.js")));
  const { stdout } = await run("npm", ["pack", "--json", "--pack-destination", folder], content);
  const [{ filename }] = JSON.parse(stdout);
  return join(folder, filename);
}

/** The program as one module. */
async function bundle(file: string): Promise<string> {
  // The platform deno leaves Node's modules alone.
  const options = ["--quiet", "--frozen", "--platform=deno", `--output=${file}`];
  await run(process.execPath, ["bundle", ...options, "cli/main.ts"], ROOT);
  const text = await readFile(file, "utf8");
  await rm(file);
  // Above each module the bundler says where it lay on this machine.
  return text.replace(/^\/\/ \S*\.(?:[cm]?js|ts|json)\n/gm, "");
}

/** Freezes the files of this version. */
async function release(): Promise<void> {
  const releases = withRelease(await readReleased(), {
    version: VERSION,
    payload: await readPayload(),
    changes: await readFile(join(ROOT, "CHANGELOG.md"), "utf8"),
  });
  await write(join(ROOT, "cli/releases.json"), toJson(releases));
}

function toJson(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}

async function write(file: string, content: string | Uint8Array): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, content);
}

function run(program: string, args: string[], cwd: string) {
  return promisify(execFile)(program, args, { cwd, env: process.env });
}

if (import.meta.main) {
  try {
    const { values } = parseArgs({
      options: { release: { type: "boolean" }, help: { type: "boolean", short: "h" } },
    });
    if (values.help) console.log(HELP);
    else {
      if (values.release) await release();
      console.log(await makePackage(join(ROOT, ".local/package")));
    }
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    new Terminal(stderr).problem(error);
    process.exitCode = 1;
  }
}
