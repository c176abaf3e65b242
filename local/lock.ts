/** Work that one process at a time does; the others wait. */

/** A process that ends releases its lock. */
export async function whileLocked<T>(file: string, work: () => Promise<T>): Promise<T> {
  using lock = await Deno.open(file, { create: true, write: true });
  await lock.lock(true);
  return await work();
}
