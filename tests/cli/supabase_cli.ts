/** The real Supabase CLI in a project's folder, where every call of it is recorded. */
import { findSupabaseCli } from "../harness/npm_programs.ts";

export interface RecordedCli {
  /** The arguments of every call so far. */
  calls(): Promise<string[][]>;
}

/** Installs it as npm does, in `node_modules/.bin`. `script` replaces the program itself. */
export async function installSupabaseCli(folder: string, script?: string): Promise<RecordedCli> {
  const record = `${folder}/node_modules/.supabase-calls`;
  await Deno.mkdir(`${folder}/node_modules/.bin`, { recursive: true });
  await Deno.writeTextFile(record, "");
  await Deno.writeTextFile(
    `${folder}/node_modules/.bin/supabase`,
    `#!/bin/sh
{ printf '%s\\037' "$@"; printf '\\n'; } >> '${record}'
${script ?? `exec '${findSupabaseCli()}' "$@"`}
`,
    { mode: 0o755 },
  );
  return {
    async calls() {
      const lines = (await Deno.readTextFile(record)).split("\n").filter((line) => line !== "");
      return lines.map((line) => line.split("\x1f").slice(0, -1));
    },
  };
}
