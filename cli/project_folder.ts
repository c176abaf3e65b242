/** Finds a person's Supabase project on disk, and reads what its config.toml says. */
import { realpath } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { readConfig } from "./config_toml.ts";
import { kindOf, readText } from "./files.ts";
import { PAYLOAD_FOLDER } from "./payload.ts";
import { Problem } from "./problem.ts";

export interface ProjectFolder {
  root: string;
  /** The folder `supabase` in it. */
  supabase: string;
  /** config.toml's text; undefined: there is none. */
  config?: string;
  /** The project at Supabase to which it is linked. */
  ref?: string;
}

/**
 * The project of a folder: the one that has a folder `supabase`, or whose config.toml is further up, as
 * the Supabase CLI finds it. Errors: no_folder, no_project, own_folder.
 */
export async function findProject(folder: string): Promise<ProjectFolder> {
  const start = resolve(folder);
  if (!(await kindOf(start))) {
    throw new Problem(
      "no_folder",
      `There is no folder ${start}.`,
      "Name the folder of your Supabase project.",
    );
  }
  const root = await findRoot(await realpath(start));
  if (root === undefined) {
    throw new Problem(
      "no_project",
      `There is no Supabase project in ${start}: neither it nor a folder above it has supabase/config.toml.`,
      "Make one with `npx supabase init`, or name its folder.",
    );
  }
  const supabase = await realpath(join(root, "supabase"));
  if (supabase === await realpath(PAYLOAD_FOLDER)) {
    throw new Problem(
      "own_folder",
      `${supabase} is where Calendly Sync itself comes from.`,
      "Name the folder of your Supabase project.",
    );
  }
  const ref = (await readText(join(supabase, ".temp/project-ref")))?.trim();
  const config = await readConfig(join(supabase, "config.toml"));
  return { root, supabase, ref: ref || undefined, config };
}

async function findRoot(start: string): Promise<string | undefined> {
  if (await isFolder(join(start, "supabase"))) return start;
  for (let folder = start;; folder = dirname(folder)) {
    if (await kindOf(join(folder, "supabase/config.toml"))) return folder;
    if (folder === dirname(folder)) return undefined;
  }
}

async function isFolder(path: string): Promise<boolean> {
  const found = await kindOf(path);
  return found?.isSymbolicLink()
    ? (await kindOf(await realpath(path).catch(() => path)))?.isDirectory() === true
    : found?.isDirectory() === true;
}
