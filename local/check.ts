/**
 * `deno task check`: formatting, lint and types of everything, and the rules of style.ts. A function is
 * checked with its own deno.json, which is deployed, and its deno.lock, which is not: what a deploy
 * resolves must be what is locked. It pins the same versions as the root's deno.json. The pages that
 * `deno task docs` writes must say what the sources say.
 */
import root from "../deno.json" with { type: "json" };
import { lockedPackages, resolvedPackages, untested } from "./graph.ts";
import { findStyleProblems } from "./style.ts";
import { answerHelp } from "./usage.ts";

answerHelp(`Usage: npx -y deno@2.9.6 task check

Checks formatting, lint, types, the packages of each function, and the words and line lengths of the
house style. Changes nothing. "npx -y deno@2.9.6 fmt" mends the formatting.`);

const ROOT = new URL("../", import.meta.url);
const FUNCTIONS = new URL("supabase/functions/", ROOT);
/** Folders that programs write. */
const NOT_WRITTEN = [".git", ".local", ".temp", "node_modules", "dist"];
/** Each app in it has a TypeScript and packages of its own: its test checks its types. */
const APPS = "examples";

const functions = [...Deno.readDirSync(FUNCTIONS)]
  .filter(({ isDirectory, name }) => isDirectory && !name.startsWith("_"))
  .map(({ name }) => `supabase/functions/${name}`)
  .sort();
const others = [...Deno.readDirSync(ROOT)]
  .filter(({ isDirectory, name }) =>
    isDirectory && !name.startsWith(".") && !["supabase", APPS].includes(name)
  )
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
await compareGraphs();
await deno("run", "--allow-all", "--quiet", "local/docs.ts", "--check");
await checkStyle();
if (failed) Deno.exit(1);

async function deno(...args: string[]): Promise<void> {
  console.log(`deno ${args.join(" ")}`);
  const { success } = await new Deno.Command(Deno.execPath(), { args, cwd: ROOT, stdin: "null" })
    .spawn().status;
  failed ||= !success;
}

/** Each of a function's imports must be an exact version of npm, and the root's where that has it. */
async function comparePins(folder: string): Promise<void> {
  const file = `${folder}/deno.json`;
  const { imports } = JSON.parse(await Deno.readTextFile(new URL(file, ROOT)));
  const pinned = new Map(Object.values(root.imports).map(packageAndVersion));
  for (const specifier of Object.values<string>(imports)) {
    const [name, version] = packageAndVersion(specifier);
    if (!/^\d+\.\d+\.\d+$/.test(version)) complain(`${file}: ${specifier} is no exact version`);
    else if (pinned.get(name) !== version) {
      complain(`${file}: ${specifier}: the root's deno.json has ${pinned.get(name) ?? "none"}`);
    }
  }
}

function packageAndVersion(specifier: string): [name: string, version: string] {
  const [, name, version = ""] = specifier.match(/^npm:(@?[^@]+)(?:@([^/]+))?/) ?? [, specifier];
  return [name, version];
}

function complain(problem: string): void {
  console.error(problem);
  failed = true;
}

/** What a deploy of each function would resolve today must be what its lock file has. */
async function compareGraphs(): Promise<void> {
  console.log("packages that a deploy resolves, without the lock files");
  const cache = await Deno.makeTempDir();
  try {
    for (const folder of functions) {
      const lock = await Deno.readTextFile(new URL(`${folder}/deno.lock`, ROOT));
      const resolved = await resolvedPackages(
        `${folder}/index.ts`,
        `${folder}/deno.json`,
        ROOT,
        cache,
      );
      for (const one of untested(lockedPackages(lock), resolved)) {
        complain(
          `${folder}: a deploy would take ${one}, and its deno.lock has another version: ` +
            "pin what brings it, or lock it anew and test it",
        );
      }
    }
  } catch (error) {
    complain(`The packages cannot be resolved. Does the npm registry answer? ${error}`);
  } finally {
    await Deno.remove(cache, { recursive: true });
  }
}

async function checkStyle(): Promise<void> {
  console.log("words that are not used any more, and long lines of SQL");
  for await (const path of textFiles("")) {
    const text = await Deno.readTextFile(new URL(path, ROOT));
    findStyleProblems({ path, text }).forEach(complain);
  }
}

/** The files below a folder that people write; `folder` is "" or ends with "/". */
async function* textFiles(folder: string): AsyncGenerator<string> {
  for await (const { name, isDirectory, isFile } of Deno.readDir(new URL(folder, ROOT))) {
    const path = folder + name;
    if (isDirectory && !NOT_WRITTEN.includes(name)) yield* textFiles(`${path}/`);
    if (isFile && /\.(ts|sql|md|json|toml|example)$|^\.ci\//.test(path)) yield path;
  }
}
