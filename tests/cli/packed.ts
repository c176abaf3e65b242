/** The npm tarball, made once per test file, and its program as a child process of Node. */
import assert from "node:assert/strict";
import { cp } from "node:fs/promises";
import { join } from "node:path";
import { makePackage } from "../../cli/package.ts";

/** How a program ended, and what it printed. */
export interface Ended {
  code: number;
  signal: string | null;
  stdout: string;
  stderr: string;
}

export class Packed {
  static #made: Promise<Packed> | undefined;
  #copies = 0;

  private constructor(readonly folder: string, readonly tarball: string) {}

  /** The package of this test file; gone when the file's tests have ended. */
  static get(): Promise<Packed> {
    return Packed.#made ??= Packed.#make();
  }

  static async #make(): Promise<Packed> {
    const folder = await Deno.makeTempDir({ prefix: "package-" });
    addEventListener("unload", () => Deno.removeSync(folder, { recursive: true }));
    const tarball = await makePackage(join(folder, "made"));
    const { code, stderr } = await run("tar", ["-xzf", tarball, "-C", folder]);
    assert.equal(code, 0, stderr);
    return new Packed(folder, tarball);
  }

  /** What the tarball has, unpacked. */
  get content(): string {
    return join(this.folder, "package");
  }

  /** A copy of what the tarball has, to be changed. */
  async copy(): Promise<string> {
    const copy = join(this.folder, `copy-${this.#copies++}`);
    await cp(this.content, copy, { recursive: true });
    return copy;
  }
}

/** Runs the program of an unpacked package. */
export async function runNode(
  content: string,
  args: string[],
  { preload, ...options }: RunOptions & { preload?: string } = {},
): Promise<Ended> {
  const program = join(content, "cli/main.js");
  return await run("node", [...preload ? ["--import", preload] : [], program, ...args], options);
}

export interface RunOptions {
  cwd?: string;
  env?: Record<string, string>;
  uid?: number;
  /** What comes by its standard input. */
  input?: string;
}

export async function run(
  program: string,
  args: string[],
  { cwd, env, uid, input }: RunOptions = {},
): Promise<Ended> {
  const child = new Deno.Command(program, {
    args,
    cwd,
    uid,
    env: { ...env, NO_COLOR: "1" },
    stdin: input === undefined ? "null" : "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  if (input !== undefined) await new Blob([input]).stream().pipeTo(child.stdin);
  const { code, signal, stdout, stderr } = await child.output();
  const decoder = new TextDecoder();
  return { code, signal, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}
