/** An app's folder with the Supabase CLI in it, in which the command line is run. */
import { runProgram } from "../../cli/program.ts";
import { quietOutput } from "./output.ts";
import { type Answer, tree } from "./projects.ts";
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

/** The commands that reach a hosted project. */
const REACHING = ["deploy", "connect", "status", "uninstall"];

export class AppFolder implements AsyncDisposable {
  /** Where the project answers that the folder is linked to: a stand-in does not at https://<ref>.supabase.co. */
  url?: string;

  private constructor(readonly path: string, readonly cli: RecordedCli) {}

  /** A folder that is linked to `ref`. */
  static async make(ref: string | undefined, script?: string): Promise<AppFolder> {
    const path = await Deno.realPath(await Deno.makeTempDir({ prefix: "app-" }));
    await Deno.mkdir(`${path}/supabase/.temp`, { recursive: true });
    await Deno.writeTextFile(`${path}/supabase/config.toml`, CONFIG);
    if (ref) await Deno.writeTextFile(`${path}/supabase/.temp/project-ref`, ref);
    return new AppFolder(path, await installSupabaseCli(path, script));
  }

  /** The arguments and, where the command takes it, the address of the project. */
  arguments(args: string[]): string[] {
    const isAdded = this.url && REACHING.includes(args[0]) &&
      !args.some((arg) => arg.startsWith("--url="));
    return isAdded ? [...args, `--url=${this.url}`] : args;
  }

  /** Runs the command line in this process. */
  async run(env: Record<string, string>, ...args: string[]): Promise<Answer> {
    const [out, err] = [quietOutput(), quietOutput()];
    const surroundings = { env, folder: this.path, stdout: out.output, stderr: err.output };
    const code = await runProgram(this.arguments(args), surroundings);
    return { code, stdout: out.text(), stderr: err.text() };
  }

  /** Starts the command line as a process of its own, which leads its own group. */
  start(env: Record<string, string>, ...args: string[]): Deno.ChildProcess {
    return new Deno.Command(Deno.execPath(), {
      args: ["run", "--quiet", "--allow-all", "--no-check", MAIN, ...this.arguments(args)],
      cwd: this.path,
      detached: true,
      clearEnv: true,
      env: { ...env, DENO_DIR: denoCache(), DENO_NO_UPDATE_CHECK: "1" },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
  }

  /** Each file below the folder with its text; without node_modules and what the CLI notes for itself. */
  async files(): Promise<Record<string, string>> {
    const all = Object.entries(await tree(this.path));
    return Object.fromEntries(
      all.filter(([path]) => !/^(node_modules|supabase\/\.temp)\//.test(path)),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.path, { recursive: true });
  }
}

/** Where this process's Deno keeps modules: a process with another HOME would fetch them anew. */
function denoCache(): string {
  return Deno.env.get("DENO_DIR") ?? `${Deno.env.get("HOME")}/.cache/deno`;
}
