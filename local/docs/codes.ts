/**
 * Where each error code comes from: the bodies of the database's functions, and the sources of the Edge
 * Functions, the command line and the local stack. A code in a comparison, or in the list of a route, is
 * told by somebody else.
 */
import type { Routine } from "./catalogue.ts";

const ROOT = new URL("../../", import.meta.url);

export type Origin = "the database" | "the functions" | "the command line" | "the local stack";

/** The lists themselves. */
const LISTS = ["error_codes.ts", "problem_codes.ts"];
/** After `(`, `?`, `:`, or a status. */
const IN_TYPESCRIPT = /(?:[(?:]|\d,)\s*"([a-z]+(?:_[a-z]+)*)"/g;
const IN_SQL = /(?:raise_error\(\s*|'code',\s*)'([a-z_]+)'/g;
/** Scripts that the command line runs raise codes of their own: `message = 'code: …'`. */
const IN_SCRIPTS = /message = (?:format\()?'([a-z_]+): /g;

/** The words that stand where a code may stand, with who says them. */
export async function originsOfCodes(routines: Routine[]): Promise<Map<string, Set<Origin>>> {
  const origins = new Map<string, Set<Origin>>();
  const add = (origin: Origin, text: string, ...patterns: RegExp[]) => {
    for (const [, word] of patterns.flatMap((pattern) => [...text.matchAll(pattern)])) {
      origins.set(word, (origins.get(word) ?? new Set()).add(origin));
    }
  };
  for (const { body } of routines) add("the database", body, IN_SQL);
  for (
    const [folder, origin] of [
      ["supabase/functions/", "the functions"],
      ["cli/", "the command line"],
      ["local/", "the local stack"],
    ] as const
  ) {
    for await (const text of sourcesBelow(folder)) add(origin, text, IN_TYPESCRIPT, IN_SCRIPTS);
  }
  return origins;
}

/** The codes that SQL raises or stores. */
export function codesOfSql(routines: Routine[]): string[] {
  return routines.flatMap(({ body }) => [...body.matchAll(IN_SQL)].map(([, code]) => code));
}

/** The codes that the scripts of the command line raise. */
export async function codesOfScripts(): Promise<string[]> {
  const codes: string[] = [];
  for await (const text of sourcesBelow("cli/")) {
    codes.push(...[...text.matchAll(IN_SCRIPTS)].map(([, code]) => code));
  }
  return codes;
}

async function* sourcesBelow(folder: string): AsyncGenerator<string> {
  for await (const { name, isDirectory } of Deno.readDir(new URL(folder, ROOT))) {
    const path = folder + name;
    if (isDirectory) yield* sourcesBelow(`${path}/`);
    else if (/\.(ts|sql)$/.test(name) && !LISTS.includes(name)) {
      yield await Deno.readTextFile(new URL(path, ROOT));
    }
  }
}
