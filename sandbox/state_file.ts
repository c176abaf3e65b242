/** A sandbox's state in a file, where it outlives the process. */
import { readFile, rename, writeFile } from "node:fs/promises";
import { SandboxError } from "./errors.ts";

/** What the file has, or undefined where there is none. */
export async function readStateFile(file: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(file, "utf8"));
  } catch (error) {
    if ((error as { code?: string }).code === "ENOENT") return undefined;
    throw new SandboxError(
      "bad_state",
      `${file} cannot be read as the state of a sandbox (${
        error instanceof Error && error.message
      }).`,
      "Name another file.",
    );
  }
}

/** Writes the whole file or nothing: what was in it stays until all is written. */
export async function writeStateFile(file: string, state: unknown): Promise<void> {
  try {
    await writeFile(`${file}.new`, JSON.stringify(state));
    await rename(`${file}.new`, file);
  } catch (error) {
    throw new SandboxError(
      "not_saved",
      `The state cannot be written to ${file} (${error instanceof Error && error.message}).`,
      "Name a file in a folder that exists and can be written.",
    );
  }
}
