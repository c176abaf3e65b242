/**
 * A test of many parts runs those alone that are named after `--`:
 * `deno test --allow-all tests/database/pgtap.test.ts -- missing_events.sql`.
 */

/** Of these parts those that are asked for: all unless some are named. */
export function wanted(parts: string[]): string[] {
  const chosen = parts.filter((part) => Deno.args.length === 0 || Deno.args.includes(part));
  if (chosen.length === 0) throw new Error(`There is no part named ${Deno.args.join(" or ")}.`);
  return chosen;
}
