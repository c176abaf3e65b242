/** Programs from npm that tests run, by version. npx keeps them in its cache. */

/** Path of a Deno. */
export async function findDeno(version: string): Promise<string> {
  const { success, stdout } = await new Deno.Command("npx", {
    args: [
      "-y",
      "-p",
      `deno@${version}`,
      "deno",
      "eval",
      "--no-config",
      "--no-lock",
      "console.log(Deno.execPath())",
    ],
    stdin: "null",
    stderr: "inherit",
  }).output();
  if (!success) throw new Error(`npm does not give Deno ${version}`);
  return new TextDecoder().decode(stdout).trim();
}

/** The Deno of the hosted Edge Runtime. */
export const PLATFORM_DENO = "2.1.4";

/** The Supabase CLI that the command line is tested with. */
export const SUPABASE_CLI = "3.1.0";

let supabaseCli: string | null | undefined;

/** Path of the Supabase CLI; undefined where npm does not give it. */
export function findSupabaseCli(): string | undefined {
  if (supabaseCli === undefined) {
    try {
      const { success, stdout } = new Deno.Command("npx", {
        args: ["-y", "-p", `supabase@${SUPABASE_CLI}`, "-c", "command -v supabase"],
        stdin: "null",
        stderr: "null",
      }).outputSync();
      supabaseCli = success ? new TextDecoder().decode(stdout).trim() : null;
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error; // Without npx there is none.
      supabaseCli = null;
    }
  }
  return supabaseCli ?? undefined;
}
