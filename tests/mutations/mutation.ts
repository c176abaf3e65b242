/** How a mutation is written down. */

export interface Mutation {
  /** What becomes wrong. */
  breaks: string;
  file: string;
  from: string;
  to: string;
  caughtBy: NamedTest[];
}

/** A test that must fail: of a long one a part that can run alone, and of that a step. */
export interface NamedTest {
  file: string;
  test: string;
  part?: string;
  step?: string;
  /** It needs concurrency, and so a real Postgres. */
  real?: true;
}

/** An assertion of a pgTAP file. */
export function pgtap(file: string, assertion: string): NamedTest {
  return {
    file: "tests/database/pgtap.test.ts",
    test: "pgTAP with the new default privileges",
    part: `${file}.sql`,
    step: `${file}.sql: ${assertion}`,
  };
}

/** A sentence of tests/behaviours. */
export function behaviour(way: "webhooks" | "syncs", sentence: string): NamedTest {
  return { file: "tests/behaviours/behaviours.test.ts", test: `By ${way}`, part: sentence };
}

/** A test of another suite, such as `functions/tokens`. */
export function requests(suite: string, test: string, part?: string, step?: string): NamedTest {
  return { file: `tests/${suite}.test.ts`, test, part, step };
}

/** A migration, such as `510_merge_snapshots`. */
export function sql(name: string): string {
  return `supabase/migrations/20261101000${name}.sql`;
}

/** A file of the functions, such as `_shared/calendly/api`. */
export function typescript(name: string): string {
  return `supabase/functions/${name}.ts`;
}
