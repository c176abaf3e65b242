/**
 * A secret on its way to another program that takes it by a file alone: only this user can read it, and it
 * is gone when that program has ended, when this one is interrupted, or else, where this one was killed, at
 * its next start.
 */
import { rmSync } from "node:fs";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";

/** Before the number of the process that has made the folder. */
const PREFIX = "calendly-sync-";
const LEFT = new RegExp(`^${PREFIX}(\\d+)-\\w{6}$`);

/** Signals that end this process, with their numbers. */
const SIGNALS = { SIGINT: 2, SIGTERM: 15 } as const;

/**
 * Calls `use` with the path of a file that has this text as long as `use` takes. Interrupted, the process ends,
 * unless `endProcess` is false: then `use` has to end.
 */
export async function withPrivateFile<T>(
  text: string,
  use: (file: string) => Promise<T>,
  { name = "secrets", endProcess = true } = {},
): Promise<T> {
  let folder: string | undefined;
  const remove = () => folder && rmSync(folder, { recursive: true, force: true });
  const end = (signal: keyof typeof SIGNALS) => {
    remove();
    process.exit(128 + SIGNALS[signal]);
  };
  const signals = Object.keys(SIGNALS) as (keyof typeof SIGNALS)[];
  if (endProcess) { for (const signal of signals) process.on(signal, end); }
  try {
    folder = await mkdtemp(join(tmpdir(), `${PREFIX}${process.pid}-`));
    const file = join(folder, name);
    await writeFile(file, text, { mode: 0o600 });
    return await use(file);
  } finally {
    remove();
    for (const signal of signals) process.off(signal, end);
  }
}

/** Removes what processes of this user that were killed have left. */
export async function removeLeftFiles(): Promise<void> {
  const names = await readdir(tmpdir()).catch(() => []);
  for (const name of names) {
    const [, pid] = name.match(LEFT) ?? [];
    if (pid === undefined || isRunning(Number(pid))) continue;
    // Another user's cannot be removed, and is not ours.
    await rm(join(tmpdir(), name), { recursive: true, force: true }).catch(() => {});
  }
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as { code?: string }).code !== "ESRCH";
  }
}
