/** A sandbox's state in a file, where it outlives the process. */
import { readFile, rename, writeFile } from "node:fs/promises";
import { clearTimeout, setTimeout } from "node:timers";
import { SandboxError } from "./errors.ts";
import type { Sandbox } from "./mod.ts";

/** Milliseconds in which changes are gathered until they are written together. */
const GATHERED_FOR = 100;

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
    await writeFile(`${file}.new`, JSON.stringify(state), { mode: 0o600 });
    await rename(`${file}.new`, file);
  } catch (error) {
    throw new SandboxError(
      "not_saved",
      `The state cannot be written to ${file} (${error instanceof Error && error.message}).`,
      "Name a file in a folder that exists and can be written.",
    );
  }
}

/**
 * Keeps the state of a sandbox in a file, from now on and after each change, so that a process that is
 * killed loses a moment at most; `stop` writes what is not written yet. Errors: not_saved, also from `stop`.
 */
export async function keepState(
  file: string,
  sandbox: Pick<Sandbox, "save" | "onChange">,
): Promise<{ stop(): Promise<void> }> {
  await writeStateFile(file, sandbox.save());
  let timer: NodeJS.Timeout | undefined;
  let pause = GATHERED_FOR;
  let writing = Promise.resolve();
  let stopped = false;
  const write = async () => {
    const began = performance.now();
    await writeStateFile(file, sandbox.save());
    // A large state is written less often.
    pause = Math.max(GATHERED_FOR, 3 * (performance.now() - began));
  };
  sandbox.onChange(() => {
    if (stopped) return;
    timer ??= setTimeout(() => {
      timer = undefined;
      // What cannot be written now is written with the next change, or told by `stop`.
      writing = writing.then(write).catch(() => {});
    }, pause);
  });
  return {
    async stop() {
      stopped = true;
      clearTimeout(timer);
      await writing;
      await write();
    },
  };
}
