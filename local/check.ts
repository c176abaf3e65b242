/**
 * `deno task check`: formatting, lint and types of everything. A function is checked with its own
 * deno.json and deno.lock, which are what is deployed, and may pin nothing otherwise than the root's does.
 */
import root from "../deno.json" with { type: "json" };

const ROOT = new URL("../", import.meta.url);
const FUNCTIONS = new URL("supabase/functions/", ROOT);

const functions = [...Deno.readDirSync(FUNCTIONS)]
  .filter(({ isDirectory, name }) => isDirectory && !name.startsWith("_"))
  .map(({ name }) => `supabase/functions/${name}`)
  .sort();
const others = [...Deno.readDirSync(ROOT)]
  .filter(({ isDirectory, name }) => isDirectory && !name.startsWith(".") && name !== "supabase")
  .map(({ name }) => name)
  .sort();

let failed = false;
await deno("fmt", "--check", "--quiet");
await deno("lint", "--quiet");
await deno("check", "--quiet", ...others);
for (const folder of functions) {
  await deno("check", "--quiet", "--frozen", `--config=${folder}/deno.json`, `${folder}/index.ts`);
  await comparePins(folder);
}
if (failed) Deno.exit(1);

async function deno(...args: string[]): Promise<void> {
  console.log(`deno ${args.join(" ")}`);
  const { success } = await new Deno.Command(Deno.execPath(), { args, cwd: ROOT, stdin: "null" })
    .spawn().status;
  failed ||= !success;
}

/** Each of a function's imports must be an exact version of npm, and the root's where that has it. */
async function comparePins(folder: string): Promise<void> {
  const { imports } = JSON.parse(await Deno.readTextFile(new URL(`${folder}/deno.json`, ROOT)));
  const pinned = new Map(Object.values(root.imports).map(packageAndVersion));
  for (const specifier of Object.values<string>(imports)) {
    const [name, version] = packageAndVersion(specifier);
    if (!/^\d+\.\d+\.\d+$/.test(version)) complain(folder, `${specifier} is no exact version`);
    else if (pinned.get(name) !== version) {
      complain(folder, `${specifier}: the root's deno.json has ${pinned.get(name) ?? "none"}`);
    }
  }
}

function packageAndVersion(specifier: string): [name: string, version: string] {
  const [, name, version = ""] = specifier.match(/^npm:(@?[^@]+)(?:@([^/]+))?/) ?? [, specifier];
  return [name, version];
}

function complain(folder: string, problem: string): void {
  console.error(`${folder}/deno.json: ${problem}`);
  failed = true;
}
