/**
 * What is to be done with each of the product's files in a project. A file's content tells whose it is:
 * what some release had is the product's and may be replaced or removed, all else is its owner's.
 */
import { createTwoFilesPatch, FILE_HEADERS_ONLY } from "diff";
import { readdir } from "node:fs/promises";
import { basename, join } from "node:path";
import { kindOf, PARTIAL, readText } from "./files.ts";
import {
  compareVersions,
  FUNCTION_FOLDERS,
  hashOf,
  type ProductFile,
  readPayload,
  readReleased,
  readReleases,
  type Release,
  releaseOf,
} from "./payload.ts";
import { Problem } from "./problem.ts";

/** The ending of our file where one that its owner edited is in its place. No tool takes it for source. */
export const NEW_COPY = ".calendly-new";

/** The migration that is only there where it was asked for. */
const OPTIONAL = /_original_names\.sql$/;
const VERSION_FILE = "functions/_shared/calendly/version.ts";

export interface PlannedFile {
  /** Below the project's folder `supabase`. */
  path: string;
  /**
   * new, updated: is written. equal: stays. edited: its owner's, in the place of ours. removed: a
   * release's, not needed any more. kept: its owner's, in a place that we do not need any more.
   */
  state: "new" | "updated" | "equal" | "edited" | "removed" | "kept";
  /** What is written. */
  text?: string;
  /** The release whose file is there. */
  release?: string;
  /** The hash of what is there, where that is replaced or removed. */
  there?: string;
  /** An empty folder, which is removed. */
  isFolder?: true;
  /** From what is there to ours, where its owner edited it. */
  diff?: string;
}

/** This version's files, and what all releases had. */
export interface Product {
  payload: ProductFile[];
  /** With this version, released or not. */
  releases: Release[];
  /** Without what was not released yet. */
  released: Release[];
}

export async function readProduct(): Promise<Product> {
  const payload = await readPayload();
  const [releases, released] = await Promise.all([readReleases(payload), readReleased()]);
  return { payload, releases, released };
}

/** What installing does to each file. Errors: newer_installed, folder_taken, migration_changed, version_taken. */
export async function planFiles(
  supabase: string,
  product: Product,
  { originalNames = false, newCopies = false } = {},
): Promise<PlannedFile[]> {
  const { payload, releases, released } = product;
  const wanted = await wantedFiles(supabase, payload, originalNames);
  const planned = await Promise.all(
    wanted.map(async ({ path, text }) => await plan(supabase, releases, path, text)),
  );
  const obsolete = await Promise.all(
    formerPaths(product).map((path) => planRemoval(supabase, releases, path)),
  );
  const files = [...planned, ...obsolete.filter((file) => file !== undefined)];
  await refuseNewer(supabase, product, files);
  await refuseTaken(supabase, releases);
  refuseChanged(files, released);
  await refuseSameVersion(supabase, files);
  const copies = await Promise.all(
    planned.map((file) => planCopy(supabase, releases, file, newCopies)),
  );
  const folders = formerPaths(product).flatMap(foldersOf).filter((folder) =>
    FUNCTION_FOLDERS.some((ours) => folder.startsWith(`functions/${ours}/`))
  );
  return [
    ...files,
    ...copies.filter((copy) => copy !== undefined),
    ...await planPartials(supabase, product),
    ...await planEmpty(supabase, folders),
  ];
}

/** What uninstalling does to each file that is there: `removed`, or `kept`, because it was edited. */
export async function planRemovals(supabase: string, product: Product): Promise<PlannedFile[]> {
  const paths = [...product.payload.map(({ path }) => path), ...formerPaths(product)];
  const files = await Promise.all(
    paths.flatMap((path) => [path, path + NEW_COPY])
      .map((path) => planRemoval(supabase, product.releases, path)),
  );
  return [
    ...files.filter((file) => file !== undefined),
    ...await planPartials(supabase, product),
    ...await planEmpty(supabase, paths.flatMap(foldersOf)),
  ];
}

/** The version of ours whose files are there; undefined: none, or one that was edited. */
export async function installedVersion(
  supabase: string,
  { releases }: Product,
): Promise<string | undefined> {
  const text = await readText(join(supabase, VERSION_FILE));
  return text && releaseOf(releases, VERSION_FILE, hashOf(text))?.version;
}

/** This version's files without the optional one, unless it is asked for or there already. */
async function wantedFiles(supabase: string, payload: ProductFile[], originalNames: boolean) {
  const there = await Promise.all(
    payload.map(({ path }) =>
      originalNames || !OPTIONAL.test(path) || kindOf(join(supabase, path))
    ),
  );
  return payload.filter((_, at) => there[at]);
}

/** Where earlier releases had files and this version has none. */
function formerPaths({ payload, releases }: Product): string[] {
  const present = new Set(payload.map(({ path }) => path));
  const all = new Set(releases.flatMap(({ files }) => Object.keys(files)));
  return [...all].filter((path) => !present.has(path)).sort();
}

/** `path` may be that of a copy; `text` is ours. */
async function plan(
  supabase: string,
  releases: Release[],
  path: string,
  text: string,
): Promise<PlannedFile> {
  const there = await readText(join(supabase, path));
  if (there === undefined) return { path, state: "new", text };
  const hash = hashOf(there);
  if (hash === hashOf(text)) return { path, state: "equal" };
  const release = releaseOf(releases, originalPath(path), hash);
  if (release) return { path, state: "updated", text, release: release.version, there: hash };
  const diff = createTwoFilesPatch(path, path, unix(there), unix(text), "yours", "new", {
    context: 3,
    headerOptions: FILE_HEADERS_ONLY,
  });
  return { path, state: "edited", text, diff };
}

async function planRemoval(
  supabase: string,
  releases: Release[],
  path: string,
): Promise<PlannedFile | undefined> {
  const there = await readText(join(supabase, path));
  if (there === undefined) return undefined;
  const hash = hashOf(there);
  const release = releaseOf(releases, originalPath(path), hash);
  return release
    ? { path, state: "removed", release: release.version, there: hash }
    : { path, state: "kept" };
}

/** What a program that was killed had begun to write goes. */
async function planPartials(supabase: string, { payload }: Product): Promise<PlannedFile[]> {
  const paths = ["config.toml", ...payload.map(({ path }) => path)].map((path) => path + PARTIAL);
  const found = await Promise.all(paths.map((path) => kindOf(join(supabase, path))));
  return paths.filter((_, at) => found[at]).map((path) => ({ path, state: "removed" }));
}

/** Of these folders the empty ones go: a program that was killed had removed what was in them. */
async function planEmpty(supabase: string, folders: string[]): Promise<PlannedFile[]> {
  const unique = [...new Set(folders)];
  const contents = await Promise.all(
    unique.map((folder) => readdir(join(supabase, folder)).catch(() => undefined)),
  );
  return unique.filter((_, at) => contents[at]?.length === 0)
    .map((path) => ({ path, state: "removed", isFolder: true }));
}

/** The folders in which a file is, from the inner to the outer. */
function foldersOf(path: string): string[] {
  const parts = path.split("/").slice(0, -1);
  return parts.map((_, at) => parts.slice(0, parts.length - at).join("/"));
}

/** The copy of ours beside an edited file; one that nothing needs any more goes. */
async function planCopy(
  supabase: string,
  releases: Release[],
  { path, state, text }: PlannedFile,
  isWanted: boolean,
): Promise<PlannedFile | undefined> {
  const copy = path + NEW_COPY;
  if (state !== "edited") return await planRemoval(supabase, releases, copy);
  return isWanted ? await plan(supabase, releases, copy, text!) : undefined;
}

function originalPath(path: string): string {
  return path.endsWith(NEW_COPY) ? path.slice(0, -NEW_COPY.length) : path;
}

/** Files of a release that came after this one are not put back. */
async function refuseNewer(supabase: string, product: Product, files: PlannedFile[]) {
  const isEdited = files.some(({ path, state }) => path === VERSION_FILE && state === "edited");
  const text = isEdited ? await readText(join(supabase, VERSION_FILE)) : "";
  const [, version] = text!.match(/VERSION = "(\d+\.\d+\.\d+)"/) ?? [];
  const own = product.releases.at(-1)!.version;
  if (version && compareVersions(own, version) < 0) {
    throw new Problem(
      "newer_installed",
      `The project has version ${version}; this is ${own}.`,
      `Nothing has been changed. Use version ${version} or a newer one.`,
    );
  }
}

/** A folder of our name in which nothing is from us is somebody else's. */
async function refuseTaken(supabase: string, releases: Release[]) {
  for (const name of FUNCTION_FOLDERS) {
    const folder = `functions/${name}`;
    const paths = (await filesBelow(supabase, folder)).filter((path) => !isOurEnding(path));
    const releasesOfFiles = await Promise.all(paths.map(async (path) => {
      const text = await readText(join(supabase, path));
      return text !== undefined && releaseOf(releases, path, hashOf(text));
    }));
    if (paths.length > 0 && !releasesOfFiles.some(Boolean)) {
      throw new Problem(
        "folder_taken",
        `supabase/${folder} is there, and no file in it is of a release of Calendly Sync.`,
        "Nothing has been changed. Rename the folder. Or delete it if it has what uninstall left because " +
          "you had edited it, or is a copy of ours from before the first release. Then run this again.",
      );
    }
  }
}

function refuseChanged(files: PlannedFile[], released: Release[]) {
  const changed = files.filter(({ path, state }) =>
    (state === "edited" || state === "kept") && path.startsWith("migrations/") &&
    released.some(({ files }) => files[path])
  );
  if (changed.length === 0) return;
  const list = changed.map(({ path }) => `\n  - supabase/${path}`).join("");
  throw new Problem(
    "migration_changed",
    `Released migrations never change, and these were changed here:${list}`,
    "Nothing has been changed. Restore them (git), or delete them and run this again; make your own " +
      "changes to the database in migrations of your own.",
  );
}

/** Two migrations cannot have one version: the second would never be applied. */
async function refuseSameVersion(supabase: string, files: PlannedFile[]) {
  const ours = new Map(files.map(({ path }) => [basename(path), path]));
  const versions = new Set([...ours.keys()].map(versionOf).filter(Boolean));
  const taken = (await migrationsOf(supabase))
    .filter((name) => !ours.has(name) && versions.has(versionOf(name)));
  if (taken.length === 0) return;
  throw new Problem(
    "version_taken",
    `Migrations of yours have a version of ours: ${taken.join(", ")}.`,
    "Nothing has been changed. Give them another version if they are not applied anywhere; else open " +
      "an issue.",
  );
}

/** The names of the migrations in a project, as the Supabase CLI finds them. */
export async function migrationsOf(supabase: string): Promise<string[]> {
  const paths = await filesBelow(supabase, "migrations");
  return paths.map((path) => basename(path)).filter((name) => versionOf(name) !== "").sort();
}

/** The version of a migration by its file's name; "" if it is none. */
export function versionOf(name: string): string {
  return name.match(/^(\d+)_.*\.sql$/)?.[1] ?? "";
}

async function filesBelow(supabase: string, folder: string): Promise<string[]> {
  const found = await kindOf(join(supabase, folder));
  if (!found?.isDirectory()) return [];
  const entries = await readdir(join(supabase, folder), { withFileTypes: true });
  const paths = await Promise.all(entries.map(async (entry) => {
    const path = `${folder}/${entry.name}`;
    return entry.isDirectory() ? await filesBelow(supabase, path) : [path];
  }));
  return paths.flat();
}

function isOurEnding(path: string): boolean {
  return path.endsWith(PARTIAL) || path.endsWith(NEW_COPY);
}

function unix(text: string): string {
  return text.replaceAll("\r\n", "\n");
}
