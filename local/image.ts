/**
 * An image of the embedded Postgres after all migrations: a database in memory starts from it in a
 * fraction of the time. Kept on disk under the hash of everything that it was made from.
 */
import { fileURLToPath } from "node:url";
import { openEmbedded, type Preparation, prepare } from "./database.ts";
import { readMigrations } from "../cli/migrations.ts";
import { whileLocked } from "./lock.ts";
import { PLATFORM, REALTIME, SEED } from "./migrations.ts";
import configuration from "../deno.json" with { type: "json" };

const FOLDER = fileURLToPath(new URL("../.local/images", import.meta.url));

/** The image for this preparation, made first if need be: by one process, the others wait for it. */
export async function preparedImage(preparation: Preparation): Promise<Blob> {
  const name = await preparationHash(preparation);
  await Deno.mkdir(FOLDER, { recursive: true });
  return await read(name) ?? await whileLocked(`${FOLDER}/${name}.lock`, async () => {
    const made = await read(name);
    if (made) return made;
    const database = await openEmbedded();
    try {
      await prepare(database, preparation);
      const image = await database.image();
      await writeImage(name, image);
      return image;
    } finally {
      await database.close();
    }
  });
}

async function read(name: string): Promise<Blob | undefined> {
  try {
    return new Blob([await Deno.readFile(`${FOLDER}/${name}`)]);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** Writes the image in one step, so that no other process reads half of it; drops images older than a day. */
async function writeImage(name: string, image: Blob): Promise<void> {
  for await (const { name } of Deno.readDir(FOLDER)) await dropIfOld(`${FOLDER}/${name}`);
  const unfinished = await Deno.makeTempFile({ dir: FOLDER, prefix: "unfinished-" });
  await Deno.writeFile(unfinished, new Uint8Array(await image.arrayBuffer()));
  await Deno.rename(unfinished, `${FOLDER}/${name}`);
}

async function dropIfOld(file: string): Promise<void> {
  const yesterday = Date.now() - 24 * 60 * 60 * 1000;
  try {
    const { mtime } = await Deno.stat(file);
    if (mtime && mtime.getTime() < yesterday) await Deno.remove(file);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error; // Another process was quicker.
  }
}

/** The same for preparations that make the same database. */
export async function preparationHash(preparation: Preparation): Promise<string> {
  const { migrations, seed = true, realtime = false, defaultPrivileges = "none" } = preparation;
  const parts = [
    configuration.imports["@electric-sql/pglite"],
    defaultPrivileges,
    await Deno.readTextFile(PLATFORM),
    realtime ? await Deno.readTextFile(REALTIME) : null,
    migrations === null ? null : await readMigrations(migrations),
    migrations === null || !seed ? null : await Deno.readTextFile(SEED),
  ];
  const bytes = new TextEncoder().encode(JSON.stringify(parts));
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
}
