import type { ProblemCode } from "./problem_codes.ts";

/**
 * An error that a person can mend: `code`, what happened, what to do. A command that ends with one exits
 * with 1, or with 2 where it could not find out how things are (`cannotTell`).
 */
export class Problem extends Error {
  override name = "Problem";
  readonly cannotTell: boolean;

  constructor(
    readonly code: ProblemCode,
    message: string,
    readonly hint: string,
    { cannotTell = false, ...options }: ErrorOptions & { cannotTell?: boolean } = {},
  ) {
    super(message, options);
    this.cannotTell = cannotTell;
  }

  get exitCode(): 1 | 2 {
    return this.cannotTell ? 2 : 1;
  }

  toJSON(): { code: string; message: string; hint: string } {
    const { code, message, hint } = this;
    return { code, message, hint };
  }
}
