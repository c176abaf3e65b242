/**
 * The files of the console's page: in a packed release beside the program; in a clone they are built from
 * web/, which takes a few seconds.
 */
import { readdir, readFile } from "node:fs/promises";
import { Problem } from "./problem.ts";

/** The package has them here. */
const PACKED = new URL("./page/", import.meta.url);

export type Page = ReadonlyMap<string, Uint8Array>;

/** By name. Error: page_not_built. */
export async function readPage(): Promise<Page> {
  const names = await readdir(PACKED).catch(() => undefined);
  if (!names) return await buildPage();
  const files = names.map(async (name) => [name, await readFile(new URL(name, PACKED))] as const);
  return new Map(await Promise.all(files));
}

/** From its sources. Error: page_not_built. */
export async function buildPage(): Promise<Page> {
  // Not a literal: it is for Deno alone, and in no bundle.
  const builder = new URL("../web/build.ts", import.meta.url).href;
  try {
    const { buildConsole } = await import(builder) as { buildConsole(): Promise<Page> };
    return await buildConsole();
  } catch (cause) {
    throw new Problem(
      "page_not_built",
      `The console's page could not be built: ${(cause as Error).message}`,
      "The first build fetches the page's libraries from the npm registry: look at the network.",
      { cause },
    );
  }
}
