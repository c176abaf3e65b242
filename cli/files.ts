/**
 * Writes and removes files so that whatever ends the program leaves none half written, and says in words
 * what is in the way: a link, a file where a folder should be, a folder without rights.
 */
import {
  access,
  chmod,
  constants,
  lstat,
  mkdir,
  readFile,
  rename,
  rm,
  rmdir,
  unlink,
  writeFile,
} from "node:fs/promises";
import { dirname } from "node:path";
import { Problem } from "./problem.ts";

/** The ending of a file that is being written. It stays only where the program was killed. */
export const PARTIAL = ".calendly-part";

/** A file's text; undefined: there is none. */
export async function readText(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    const code = codeOf(error);
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    throw code === "EISDIR" ? notAFile(path) : toProblem(error, path);
  }
}

/** Writes a file beside its place, then puts it there at once. */
export async function writeWhole(path: string, text: string): Promise<void> {
  const partial = path + PARTIAL;
  try {
    await mkdir(dirname(path), { recursive: true });
    await rm(partial, { force: true });
    const before = await kindOf(path);
    try {
      await writeFile(partial, text, { flag: "wx", flush: true });
      if (before) await chmod(partial, before.mode);
      await rename(partial, path);
    } catch (error) {
      await rm(partial, { force: true });
      throw error;
    }
  } catch (error) {
    throw toProblem(error, path);
  }
}

/**
 * Removes a file or an empty folder, then the folders above as far as they are empty, up to `root`, which
 * stays.
 */
export async function removeWhole(path: string, root: string, isFolder = false): Promise<void> {
  try {
    if (isFolder) await rmdir(path);
    else await unlink(path);
    for (let folder = dirname(path); folder !== root; folder = dirname(folder)) {
      await rmdir(folder);
    }
  } catch (error) {
    const code = codeOf(error);
    if (code !== "ENOENT" && code !== "ENOTEMPTY" && code !== "EEXIST") {
      throw toProblem(error, path);
    }
  }
}

/** Finds what would keep a file, or a folder, from being written or removed, from `root` down to it. */
export async function checkWritable(
  path: string,
  root: string,
  isFolder = false,
): Promise<void> {
  const file = await kindOf(path);
  if (file?.isSymbolicLink()) throw symlink(path);
  if (file?.isDirectory() && !isFolder) throw notAFile(path);
  for (let folder = dirname(path);; folder = dirname(folder)) {
    const found = await kindOf(folder);
    if (found) await checkFolder(folder, found);
    if (folder === root) return;
  }
}

async function checkFolder(
  path: string,
  found: { isSymbolicLink(): boolean; isDirectory(): boolean },
) {
  if (found.isSymbolicLink()) throw symlink(path);
  if (!found.isDirectory()) {
    throw new Problem("not_a_folder", `${path} is no folder.`, "Move it away and run this again.");
  }
  try {
    await access(path, constants.W_OK | constants.X_OK);
  } catch (error) {
    throw toProblem(error, path);
  }
}

/** What is at a path, without following a link; undefined: nothing. */
export async function kindOf(path: string) {
  try {
    return await lstat(path);
  } catch (error) {
    const code = codeOf(error);
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    throw toProblem(error, path);
  }
}

function symlink(path: string): Problem {
  return new Problem(
    "symbolic_link",
    `${path} is a symbolic link: what is written there would land elsewhere.`,
    "Put the file or folder itself there and run this again.",
  );
}

function notAFile(path: string): Problem {
  return new Problem("not_a_file", `${path} is a folder.`, "Move it away and run this again.");
}

function codeOf(error: unknown): string | undefined {
  return (error as { code?: string }).code;
}

function toProblem(error: unknown, path: string): Problem {
  const code = codeOf(error);
  if (code === "EACCES" || code === "EPERM" || code === "EROFS") {
    return new Problem(
      "no_access",
      `${path} cannot be read or written (${code}).`,
      "Get the rights on it, then run this again: it goes on where it stopped.",
      { cause: error },
    );
  }
  return new Problem(
    "file_error",
    `${path}: ${(error as Error).message}.`,
    "Mend that, then run this again: it goes on where it stopped.",
    { cause: error },
  );
}
