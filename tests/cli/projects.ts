/** Folders of projects, what is in them, and the command line run in one, in this process. */
import { mkdir, readdir, readFile, readlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { runProgram } from "../../cli/program.ts";
import type { Output } from "../../cli/terminal.ts";
import { quietOutput } from "./output.ts";

export interface ProjectFolder extends AsyncDisposable {
  path: string;
}

/** A new folder with these files. */
export async function projectFolder(files: Record<string, string>): Promise<ProjectFolder> {
  const path = await Deno.realPath(await Deno.makeTempDir({ prefix: "project-" }));
  await write(path, files);
  return { path, [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }) };
}

export async function write(folder: string, files: Record<string, string>): Promise<void> {
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), text);
  }
}

/** Every file of a folder with its text, every link with where it leads, every empty folder. */
export async function tree(folder: string, path = ""): Promise<Record<string, string>> {
  const entries = await readdir(join(folder, path), { withFileTypes: true });
  if (entries.length === 0 && path !== "") return { [`${path}/`]: "" };
  const found: Record<string, string> = {};
  for (const entry of entries.sort((a, b) => a.name < b.name ? -1 : 1)) {
    const inside = path === "" ? entry.name : `${path}/${entry.name}`;
    if (entry.isDirectory()) Object.assign(found, await tree(folder, inside));
    else if (entry.isSymbolicLink()) found[inside] = `-> ${await readlink(join(folder, inside))}`;
    else found[inside] = await readFile(join(folder, inside), "utf8");
  }
  return found;
}

export interface Answer {
  code: number;
  stdout: string;
  stderr: string;
}

/** Runs the command line as if it were typed in a folder. */
export async function runIn(folder: string, ...args: string[]): Promise<Answer> {
  return await runAndEdit(folder, undefined, ...args);
}

/** The same; `edit` is what the owner does once the plan is shown, before anything is written. */
export async function runAndEdit(
  folder: string,
  edit: (() => void) | undefined,
  ...args: string[]
): Promise<Answer> {
  const [out, err] = [quietOutput(), quietOutput()];
  const watched: Output = {
    ...out.output,
    writeSync(bytes) {
      const written = out.output.writeSync(bytes);
      if (/^ {2}Plan$/m.test(out.text())) {
        edit?.();
        edit = undefined;
      }
      return written;
    },
  };
  const code = await runProgram(args, { env: {}, folder, stdout: watched, stderr: err.output });
  return { code, stdout: out.text(), stderr: err.text() };
}
