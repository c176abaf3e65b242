/**
 * Are the packages that a deploy resolves those that were tested? The Supabase CLI uploads a function's
 * deno.json and sources, and not its deno.lock: of a dependency of a dependency the platform takes the
 * newest version that fits. So the graph is resolved here as the platform does it, without the lock file
 * and with an empty cache, and compared with what the lock file has.
 */

/** Packages by name and version, "zod@4.6.7", in order. */
export type Packages = string[];

/** What a deno.lock of version 4 or 5 has. */
export function lockedPackages(lock: string): Packages {
  return Object.keys(JSON.parse(lock).npm ?? {}).map(withoutPeers).sort();
}

/** What the graph of `entry` resolves to now. Throws where it cannot be resolved: with what Deno said. */
export async function resolvedPackages(
  entry: string,
  config: string,
  cwd: URL,
  cache: string,
): Promise<Packages> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["info", "--json", "--no-lock", `--config=${config}`, entry],
    cwd,
    env: { DENO_DIR: cache, NO_COLOR: "1" },
    stdin: "null",
  }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr).trim());
  const { modules, npmPackages } = JSON.parse(new TextDecoder().decode(stdout));
  const failed = modules.find(({ error }: { error?: string }) => error);
  if (failed) throw new Error(`${failed.specifier}: ${failed.error}`);
  return Object.keys(npmPackages ?? {}).map(withoutPeers).sort();
}

/** What a deploy would take and nobody has tested. A lock file may have more: functions share their imports. */
export function untested(locked: Packages, resolved: Packages): Packages {
  return resolved.filter((one) => !locked.includes(one));
}

/** "a@1.0.0_b@2.0.0" is a@1.0.0 beside the peer b@2.0.0. */
function withoutPeers(name: string): string {
  return name.replace(/(?<=.@[^_]*)_.*$/, "");
}
