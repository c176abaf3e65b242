/**
 * The ports of a local project's Postgres and sandbox. People write these addresses down, in database
 * programs and in webhook subscriptions, so a project keeps them from start to start.
 */

export interface Ports {
  postgres?: number;
  sandbox?: number;
}

/** The ports that `file` has; none where there is no such file. */
export async function readPorts(file: string): Promise<Ports> {
  try {
    return JSON.parse(await Deno.readTextFile(file));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof SyntaxError) return {};
    throw error;
  }
}

/** Keeps the ports that are in use now, and those of before that are not. */
export async function keepPorts(file: string, ports: Ports): Promise<void> {
  const kept = JSON.stringify({ ...await readPorts(file), ...ports }, null, 2);
  await Deno.writeTextFile(`${file}.new`, kept + "\n");
  await Deno.rename(`${file}.new`, file);
}

/** The port of an address that has one. */
export function portOf(url: string): number {
  return Number(new URL(url).port);
}
