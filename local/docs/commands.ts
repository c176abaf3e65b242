/** docs/reference/commands.md: the help of each command of the command line. */
import { help, PROGRAM } from "../../cli/command.ts";
import { COMMANDS } from "../../cli/program.ts";
import { blocks } from "./markdown.ts";

export function commandsPage(): string {
  return blocks(
    "# Commands",
    "`calendly-sync` is the program of the package, which needs Node 20 and nothing else: " +
      "`npx -y --package ./sync-for-calendly-<version>.tgz calendly-sync …` runs it. In a clone of the " +
      "repository it is `npx -y deno@2.9.6 task cli …`.",
    "Every command can be repeated. `install`, `deploy` and `uninstall` show their plan, ask, do it and " +
      "look whether it worked; `--dry-run` shows the plan alone. With `--json` the result is one JSON " +
      "object on the standard output, and what a person reads goes to stderr. An error is " +
      '`{"error": {"code", "message", "hint"}}`: its code is in [operate.md](../operate.md#error-codes).',
    "A command ends with 0 when it is done, or all is well; with 1 when it is refused, or all is not well; " +
      "with 2 when it cannot tell.",
    ...COMMANDS.map((command) =>
      blocks(
        `## ${command.name}`,
        ["```text", help(command).replaceAll(PROGRAM, "calendly-sync"), "```"].join("\n"),
      )
    ),
  );
}
