/** docs/reference/functions.md: what is called in SQL, or by the Data API with a secret key. */
import { RPC } from "../../supabase/functions/_shared/calendly/contract.ts";
import { ERROR_CODES } from "../../supabase/functions/_shared/calendly/error_codes.ts";
import type { Catalogue, Routine } from "./catalogue.ts";
import { blocks, bullets, code, prose } from "./markdown.ts";
import { shortType } from "./tables.ts";

/** Functions of the private schema that hints and pages name. */
const FOR_OPERATORS = [
  "calendly.disconnect",
  "calendly.enable_live_updates",
  "calendly.release_accounts",
  "calendly.schedule_jobs",
];

export function functionsPage({ routines }: Catalogue): string {
  const ours = routines.filter(({ name }) => !name.startsWith("calendly."));
  const isInternal = ({ name }: Routine) =>
    Object.hasOwn(RPC, name) && !["calendly_health", "calendly_metrics"].includes(name);
  return blocks(
    "# Functions",
    "Those in `public` may be called by `service_role` alone, through the Data API with a secret key, " +
      "and by the owner in the SQL editor. Errors have the code as `details`: see " +
      "[operate.md](../operate.md#error-codes).",
    "## For operators and servers",
    ...ours.filter((routine) => !isInternal(routine)).map(section),
    "## In the private schema",
    "The Data API does not reach these: they are for the SQL editor and psql.",
    ...FOR_OPERATORS.flatMap((name) => {
      const found = routines.filter((routine) => routine.name === name);
      if (found.length === 0) throw new Error(`There is no function ${name}.`);
      return found.map(section);
    }),
    "## What the Edge Functions call",
    "These belong to the Edge Functions of the same version and may change with it: do not call them.",
    bullets(
      ours.filter(isInternal).map(({ name, arguments: args, comment }) =>
        `${code(`${name}(${shortArguments(args)})`)}: ${prose(comment ?? "")}`
      ),
    ),
  );
}

function section({ name, arguments: args, result, comment }: Routine): string {
  const returns = result === "void" ? "" : ` → ${shortType(result)}`;
  return blocks(
    `### ${name}`,
    code(`${name}(${shortArguments(args)})${returns}`),
    linkCodes(prose(comment ?? "")),
  );
}

/** Error codes of a comment lead to what they mean. */
function linkCodes(markdown: string): string {
  return markdown.replace(
    /`([a-z_]+)`/g,
    (found, name) => Object.hasOwn(ERROR_CODES, name) ? `[${name}](../operate.md#${name})` : found,
  );
}

function shortArguments(args: string): string {
  return shortType(args).replaceAll(/::[a-z ]+(\[\])?/g, "").replaceAll(" DEFAULT ", " default ");
}
