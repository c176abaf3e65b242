/**
 * The files that an installation copies into a project, and by whom a file that is there already was
 * written: a file whose content some release had is the product's, any other is its owner's.
 */
import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { isDeepStrictEqual } from "node:util";
import { VERSION } from "../supabase/functions/_shared/calendly/version.ts";

/** A file of the product: its path below a project's `supabase` folder, with `/`. */
export interface ProductFile {
  path: string;
  text: string;
  hash: string;
}

/** What a release consisted of: the hash of each file by its path. */
export interface Release {
  version: string;
  files: Record<string, string>;
}

/** The Edge Functions, each a folder of its name. */
export const FUNCTIONS = ["calendly-sync", "calendly-connect", "calendly-webhook"] as const;
export type FunctionName = typeof FUNCTIONS[number];

/** The folders below `supabase/functions` that are the product's alone. */
export const FUNCTION_FOLDERS = [...FUNCTIONS, "_shared/calendly"];

const SUPABASE = new URL("../supabase/", import.meta.url);
/** Where the product's own files are. */
export const PAYLOAD_FOLDER = fileURLToPath(SUPABASE);
/** The releases so far. A packed release names itself as the last. */
const RELEASES = new URL("./releases.json", import.meta.url);

/** All files of the functions and migrations of this version, by path. */
export async function readPayload(): Promise<ProductFile[]> {
  const paths = [...await filesBelow("functions"), ...await filesBelow("migrations")];
  return await Promise.all(
    paths.sort().map(async (path) => {
      const text = await readFile(new URL(path, SUPABASE), "utf8");
      return { path, text, hash: hashOf(text) };
    }),
  );
}

/** The releases so far: what they had never changes any more. */
export async function readReleased(): Promise<Release[]> {
  return JSON.parse(await readFile(RELEASES, "utf8"));
}

/** The releases so far, and these files, which may be on their way to the next one. */
export async function readReleases(payload: ProductFile[]): Promise<Release[]> {
  const files = Object.fromEntries(payload.map(({ path, hash }) => [path, hash]));
  const released = await readReleased();
  if (isDeepStrictEqual(released.at(-1)?.files, files)) return released;
  return [...released, { version: VERSION, files }];
}

/** The content's SHA-256 in hex. Line ends do not count: Git may change them on checkout. */
export function hashOf(text: string): string {
  return createHash("sha256").update(text.replaceAll("\r\n", "\n")).digest("hex");
}

/** The first release whose file at this path has this content; undefined: nobody's but the owner's. */
export function releaseOf(releases: Release[], path: string, hash: string): Release | undefined {
  return releases.find(({ files }) => files[path] === hash);
}

/** Orders versions such as 0.9.1 and 0.10.0. Negative: `one` came before `other`. */
export function compareVersions(one: string, other: string): number {
  return one.localeCompare(other, "en", { numeric: true });
}

async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(new URL(`${folder}/`, SUPABASE), { withFileTypes: true });
  const paths = await Promise.all(entries.map(async (entry) => {
    const path = `${folder}/${entry.name}`;
    return entry.isDirectory() ? await filesBelow(path) : [path];
  }));
  return paths.flat();
}
