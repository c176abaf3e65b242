/** The help of a task that is for people who work on this repository. */

/** Prints the text and ends the process, where the arguments ask for help. */
export function answerHelp(help: string, args = Deno.args): void {
  if (!args.some((arg) => arg === "--help" || arg === "-h")) return;
  console.log(help);
  Deno.exit(0);
}
