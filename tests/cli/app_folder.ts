/** An app's folder with the Supabase CLI in it, in which the command line is run. */
import { runProgram } from "../../cli/program.ts";
import type { Output } from "../../cli/terminal.ts";
import { installSupabaseCli, type RecordedCli } from "./supabase_cli.ts";

const MAIN = new URL("../../cli/main.ts", import.meta.url).pathname;

/** What an app has in its config.toml. */
const CONFIG = `# An app
project_id = "app"

[db]
major_version = 17

[functions.hello]
verify_jwt = true # its own
`;

export interface Outcome {
  code: number;
  stdout: string;
  stderr: string;
}

export class AppFolder implements AsyncDisposable {
  private constructor(readonly path: string, readonly cli: RecordedCli) {}

  /** A folder that is linked to `ref`. */
  static async make(ref: string | undefined, script?: string): Promise<AppFolder> {
    const path = await Deno.realPath(await Deno.makeTempDir({ prefix: "app-" }));
    await Deno.mkdir(`${path}/supabase/.temp`, { recursive: true });
    await Deno.writeTextFile(`${path}/supabase/config.toml`, CONFIG);
    if (ref) await Deno.writeTextFile(`${path}/supabase/.temp/project-ref`, ref);
    return new AppFolder(path, await installSupabaseCli(path, script));
  }

  /** Runs the command line in this process. */
  async run(env: Record<string, string>, ...args: string[]): Promise<Outcome> {
    const [stdout, stderr] = [new Written(), new Written()];
    const code = await runProgram(args, { env, folder: this.path, stdout, stderr });
    return { code, stdout: stdout.text, stderr: stderr.text };
  }

  /** Starts the command line as a process of its own, which leads its own group. */
  start(env: Record<string, string>, ...args: string[]): Deno.ChildProcess {
    return new Deno.Command(Deno.execPath(), {
      args: ["run", "--quiet", "--allow-all", "--no-check", MAIN, ...args],
      cwd: this.path,
      detached: true,
      clearEnv: true,
      env: { ...env, DENO_DIR: denoCache(), DENO_NO_UPDATE_CHECK: "1" },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
  }

  /** Each file below the folder, with its text; without node_modules and what the CLI notes for itself. */
  async files(): Promise<Record<string, string>> {
    const found: Record<string, string> = {};
    const read = async (folder: string) => {
      for await (const { name, isDirectory } of Deno.readDir(`${this.path}/${folder}`)) {
        const path = `${folder}${name}`;
        if (path === "node_modules" || path === "supabase/.temp") continue;
        if (isDirectory) {
          found[`${path}/`] = "";
          await read(`${path}/`);
        } else found[path] = await Deno.readTextFile(`${this.path}/${path}`);
      }
    };
    await read("");
    return found;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.path, { recursive: true });
  }
}

/** Where this process's Deno keeps modules: a process with another HOME would fetch them anew. */
function denoCache(): string {
  return Deno.env.get("DENO_DIR") ?? `${Deno.env.get("HOME")}/.cache/deno`;
}

class Written implements Output {
  text = "";
  readonly #decoder = new TextDecoder();
  isTerminal(): boolean {
    return false;
  }
  writeSync(bytes: Uint8Array): number {
    this.text += this.#decoder.decode(bytes, { stream: true });
    return bytes.length;
  }
}
