/**
 * Stands in for the programs that the pages' shell lines name: commands.ts <program> [arguments]. A task or
 * a command of this project runs, if it ends soon and needs nothing but the local project; of any other the
 * options are checked. What does not exist is refused.
 */
import { parseArgs } from "node:util";
import config from "../../deno.json" with { type: "json" };
import { COMMANDS } from "../../cli/program.ts";
import { parseOptions } from "../../local/main.ts";

const ROOT = new URL("../../", import.meta.url);
const [program, ...args] = Deno.args;

/** Commands of the command line that the local project is enough for. It stands in for a linked one. */
const RUN = ["install", "connect", "status", "sql", "reencrypt", "--help", "--version"];

/** Tasks that are long or never end, beside `start`; tests of their own run them. */
const NOT_RUN = [
  "test",
  "prove",
  "simulate",
  "mutate",
  "bench",
  "check",
  "types",
  "package",
  "web",
  "docs",
  "console",
  "screenshots",
];

/** How `npx` names the command line where it is packed. */
const PACKED = ["calendly-sync", "sync-for-calendly"];

function refuse(message: string): never {
  console.error(`${[program, ...args].join(" ")}: ${message}`);
  Deno.exit(1);
}

async function run(file: string, ...args: string[]): Promise<never> {
  const { code } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--no-check", "-A", new URL(file, ROOT).pathname, ...args],
  }).spawn().status;
  Deno.exit(code);
}

/** `calendly-sync <name>`. */
async function command(name = "--help", ...args: string[]): Promise<void> {
  const known = COMMANDS.find((command) => command.name === name);
  if (!known && !name.startsWith("--")) refuse(`there is no command ${name}`);
  if (known) {
    const { positionals } = parseArgs({
      args,
      options: { ...known.options, json: { type: "boolean" }, help: { type: "boolean" } },
      allowPositionals: true,
    });
    if (positionals.length > (known.argument ? 1 : 0)) refuse("takes no argument");
  }
  if (args.includes("--watch")) return;
  if (RUN.includes(name) || args.includes("--help")) {
    await run(
      "cli/main.ts",
      name,
      ...name === "install" ? [...args, "--yes"] : args.filter((arg) => arg !== "../your-app"),
    );
  }
}

/** `deno task <name>`. */
async function task(name: string, ...args: string[]): Promise<void> {
  if (!Object.hasOwn(config.tasks, name)) refuse(`there is no task ${name}`);
  if (name === "cli") return await command(...args);
  if (COMMANDS.some((command) => command.name === name)) return await command(name, ...args);
  if (name === "start") return void parseOptions(args, {});
  if (name === "sandbox") {
    const serves = args.length === 0 || args[0].startsWith("--");
    if (serves) return;
    await run("local/sandbox.ts", ...args, "--url", Deno.env.get("SANDBOX_URL")!);
  }
  if (!NOT_RUN.includes(name)) refuse("is it to be run? Say so in tests/docs/commands.ts");
}

/** `npx …`; what the Supabase CLI has, tests/cli/named_commands.test.ts checks. */
async function npx(...args: string[]): Promise<void> {
  const named = args.filter((arg, at) =>
    arg !== "-y" && arg !== "--package" && args[at - 1] !== "--package"
  );
  const [name, ...rest] = named;
  if (/^supabase(@|$)/.test(name)) return;
  if (PACKED.includes(name)) return await command(...rest);
  if (name !== "deno@2.9.6") refuse("is no program of the pages");
  if (rest[0] === "task") return await task(rest[1], ...rest.slice(2));
  if (rest[0] !== "test") refuse("is no command of the pages");
}

switch (program) {
  case "npx":
    await npx(...args);
    break;
  case "git": {
    const [verb, address, folder] = args;
    if (verb === "clone") await Deno.mkdir(folder ?? address.replace(/.*\/|\.git$/g, ""));
    break;
  }
  case "supabase":
  case "npm":
    break;
}
