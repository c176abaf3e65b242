/**
 * The console of a local stack. Its page is built when it is first asked for, so that a stack without a
 * browser has no part in it, and again when its sources have changed.
 */
import { createHash } from "node:crypto";
import { fileURLToPath } from "node:url";
import { type Console, createConsole, VerbRefused } from "../cli/console/server.ts";
import { buildPage, type Page } from "../cli/page.ts";
import { type Sandbox, SandboxError } from "../sandbox/mod.ts";
import { describeVerbs } from "../sandbox/verbs.ts";
import { type Keys } from "./keys.ts";
import { whileLocked } from "./lock.ts";

const ROOT = new URL("../", import.meta.url);
const FOLDER = fileURLToPath(new URL(".local/pages", ROOT));

/** What the page is made from: folders and files. */
export const SOURCES = [
  "web/",
  "cli/",
  "supabase/functions/_shared/calendly/",
  "deno.json",
  "deno.lock",
];

/** The console at a stack's own address. */
export function localConsole(
  { url, keys: { publishableKey, secretKey }, realtime, sandbox, afterVerb, demoUser }: {
    url: string;
    keys: Keys;
    realtime: boolean;
    sandbox?: Sandbox;
    /** Waited for before what a verb has done is told. */
    afterVerb: () => Promise<void> | undefined;
    demoUser: { email: string; password: string };
  },
): Console {
  return createConsole({
    files: readPage,
    project: { url, publishableKey, secretKey, kind: "local" },
    origins: [url, url.replace("127.0.0.1", "localhost")],
    realtime,
    ahead: () => clockAhead(sandbox),
    sandbox: sandbox && (async (verb, args) => {
      const answer = await runVerb(sandbox, verb, args);
      await afterVerb();
      return answer;
    }),
    demoUser,
  });
}

/** Milliseconds; less than a second is what it takes to read two clocks. */
function clockAhead(sandbox: Sandbox | undefined): number {
  const milliseconds = Number(sandbox?.clock.ahead ?? 0n) / 1000;
  return Math.abs(milliseconds) < 1000 ? 0 : Math.round(milliseconds);
}

async function runVerb(
  { control, truth }: Sandbox,
  verb: string,
  args: unknown,
): Promise<unknown> {
  if (verb === "state") return truth();
  if (verb === "describe") return describeVerbs();
  try {
    return await control.run(verb, args as Record<string, unknown>);
  } catch (error) {
    if (!(error instanceof SandboxError)) throw error;
    throw new VerbRefused(error.code, error.message, error.hint);
  }
}

/** The page that was read last, with the hash of its sources. */
let page: { hash: string; files: Page } | undefined;

/** The page of the present sources, built first if need be: by one process, the others wait for it. */
export async function readPage(): Promise<Page> {
  const hash = await hashSources();
  if (page?.hash !== hash) page = { hash, files: await findPage(`${FOLDER}/${hash}`) };
  return page.files;
}

async function findPage(folder: string): Promise<Page> {
  await Deno.mkdir(FOLDER, { recursive: true });
  return await readFiles(folder) ??
    await whileLocked(`${FOLDER}/lock`, async () => {
      const made = await readFiles(folder);
      if (made) return made;
      const files = await buildPage();
      await write(folder, files);
      return files;
    });
}

async function readFiles(folder: string): Promise<Page | undefined> {
  try {
    const names = [...Deno.readDirSync(folder)].map(({ name }) => name);
    const contents = names.map(async (name) =>
      [name, await Deno.readFile(`${folder}/${name}`)] as const
    );
    return new Map(await Promise.all(contents));
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** In one step, so that no other process reads half of it. Pages of other sources go. */
async function write(folder: string, files: Page): Promise<void> {
  for (const { name, isDirectory } of Deno.readDirSync(FOLDER)) {
    if (isDirectory) await Deno.remove(`${FOLDER}/${name}`, { recursive: true });
  }
  const unfinished = await Deno.makeTempDir({ dir: FOLDER });
  for (const [name, bytes] of files) await Deno.writeFile(`${unfinished}/${name}`, bytes);
  await Deno.rename(unfinished, folder);
}

async function hashSources(): Promise<string> {
  const hash = createHash("sha256");
  for (const source of SOURCES) {
    for await (const path of filesOf(source)) {
      hash.update(`${path}\n`).update(await Deno.readFile(new URL(path, ROOT)));
    }
  }
  return hash.digest("hex").slice(0, 32);
}

async function* filesOf(path: string): AsyncGenerator<string> {
  if (!path.endsWith("/")) return yield path;
  const entries = await Array.fromAsync(Deno.readDir(new URL(path, ROOT)));
  for (const { name, isDirectory } of entries.sort((a, b) => a.name < b.name ? -1 : 1)) {
    yield* filesOf(`${path}${name}${isDirectory ? "/" : ""}`);
  }
}
