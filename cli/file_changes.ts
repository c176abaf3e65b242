/**
 * Does what was planned with the files of a project. Between the plan and its execution a person may edit a
 * file: what is not as it was when it was planned is not touched.
 */
import { join } from "node:path";
import { readConfig } from "./config_toml.ts";
import { checkWritable, PARTIAL, readText, removeWhole, writeWhole } from "./files.ts";
import { hashOf } from "./payload.ts";
import { Problem } from "./problem.ts";
import type { PlannedFile } from "./project_files.ts";

export function isWritten({ state }: PlannedFile): boolean {
  return state === "new" || state === "updated";
}

export function isRemoved({ state }: PlannedFile): boolean {
  return state === "removed";
}

/** Everything that is to be written or removed can be, or nothing is. Errors: symbolic_link, no_access, … */
export async function checkFiles(supabase: string, files: PlannedFile[]): Promise<void> {
  for (const file of files) {
    if (!isWritten(file) && !isRemoved(file)) continue;
    await checkWritable(join(supabase, file.path), supabase, file.isFolder);
  }
}

/** Writes and removes files. Error: changed_meanwhile, mostly before anything was done. */
export async function changeFiles(
  supabase: string,
  files: PlannedFile[],
  note: (path: string) => void = () => {},
): Promise<void> {
  const changes = [...files.filter(isWritten), ...files.filter(isRemoved)];
  await checkFiles(supabase, changes);
  for (const file of changes) await checkUnchanged(supabase, file);
  for (const file of changes) {
    const path = join(supabase, file.path);
    note(file.path);
    await checkUnchanged(supabase, file);
    if (isWritten(file)) await writeWhole(path, file.text!);
    else await removeWhole(path, supabase, file.isFolder);
  }
}

/** Of a folder nothing is to be checked: it goes only if it is empty. */
async function checkUnchanged(supabase: string, file: PlannedFile): Promise<void> {
  const { path, there, isFolder } = file;
  if (isFolder || path.endsWith(PARTIAL)) return;
  const text = await readText(join(supabase, path));
  const isGone = text === undefined && isRemoved(file);
  if (isGone || (text === undefined ? undefined : hashOf(text)) === there) return;
  throw new Problem(
    "changed_meanwhile",
    `supabase/${path} was changed after the plan was made; it has not been touched.`,
    "Run this again: it makes a new plan.",
  );
}

/**
 * Changes config.toml as it is now, whatever it was when the plan was made. A text that is undefined: there
 * is, or will be, no file.
 */
export async function changeConfig<Change extends { text: string | undefined }>(
  supabase: string,
  change: (text: string | undefined) => Change,
): Promise<Change> {
  const path = join(supabase, "config.toml");
  await checkWritable(path, supabase);
  const before = await readConfig(path);
  const changed = change(before);
  if (changed.text === before) return changed;
  if (changed.text === undefined) await removeWhole(path, supabase);
  else await writeWhole(path, changed.text);
  return changed;
}
