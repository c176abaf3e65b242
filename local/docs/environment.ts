/** docs/reference/environment.md: the variables of the Edge Functions, from the schema that reads them. */
import { REQUIRED, Variables } from "../../supabase/functions/_shared/calendly/environment.ts";
import { blocks, bullets, code, prose } from "./markdown.ts";

export function environmentPage(): string {
  const names = Object.keys(Variables.shape) as (keyof typeof Variables.shape)[];
  return blocks(
    "# Environment",
    "The variables of the Edge Functions. One that is missing or wrong is the error " +
      "[not_configured](../operate.md#not_configured), which names it; `calendly-sync/health` lists all " +
      "that are wrong.",
    "On the platform they are set as secrets, from a file outside the repository:",
    "<!-- not run here: needs a hosted project -->",
    "```sh\nnpx supabase secrets set --env-file ../secrets.env # NAME=value, one a line; delete it afterwards\n```",
    "Locally they stand in `.env` (see `.env.example`); what is left out is made up, or is the " +
      "sandbox's.",
    "## Yours",
    ...names.filter(isYours).map(section),
    "## The platform's",
    "Supabase sets these for Edge Functions. Leave them alone.",
    bullets(names.filter((name) => !isYours(name)).map(line)),
  );
}

function isYours(name: string): boolean {
  return name.startsWith("CALENDLY_") || name === "SUPABASE_PUBLIC_URL";
}

function line(name: keyof typeof Variables.shape): string {
  return `${code(name)}: ${prose(Variables.shape[name].meta()!.purpose as string)}`;
}

function section(name: keyof typeof Variables.shape): string {
  const schema = Variables.shape[name];
  const { purpose, description = "" } = schema.meta() as { purpose: string; description?: string };
  const given = schema.safeParse(undefined);
  const standard = given.success && typeof given.data === "string" ? given.data : undefined;
  return blocks(
    `### ${name}`,
    prose(purpose),
    bullets([
      REQUIRED.includes(name)
        ? "Required."
        : `Optional${standard === undefined ? "." : `; without it ${standard}.`}`,
      prose(description),
    ]),
  );
}
