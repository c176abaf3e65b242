/** An option that takes a number of seconds. */
import { Problem } from "./problem.ts";

/** Error: invalid_option. */
export function readSeconds(text: string | undefined, otherwise: number): number {
  if (text === undefined) return otherwise;
  if (/^\d{1,5}$/.test(text)) return Number(text);
  throw new Problem(
    "invalid_option",
    `--wait ${text} is no number of seconds.`,
    "Give a whole number, such as --wait=60.",
  );
}
