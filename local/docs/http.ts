/** docs/reference/http.md: what the three Edge Functions answer, from their routes and schemas. */
import { z } from "zod";
import { routes as connect } from "../../supabase/functions/calendly-connect/index.ts";
import { routes as sync } from "../../supabase/functions/calendly-sync/index.ts";
import { routes as webhook } from "../../supabase/functions/calendly-webhook/index.ts";
import {
  ERROR_CODES,
  type ErrorCode,
  type ErrorCodeEntry,
} from "../../supabase/functions/_shared/calendly/error_codes.ts";
import type { Route } from "../../supabase/functions/_shared/calendly/http.ts";
import type { Catalogue } from "./catalogue.ts";
import { blocks, bullets, code, prose } from "./markdown.ts";

const FUNCTIONS = {
  "calendly-connect": connect,
  "calendly-sync": sync,
  "calendly-webhook": webhook,
};

/** Errors that many calls have, with which calls these are. */
const COMMON: [which: string, codes: ErrorCode[]][] = [
  ["Every call", ["not_found", "method_not_allowed", "not_configured", "internal"]],
  ["A call for signed-in people or servers", [
    "not_authenticated",
    "invalid_jwt",
    "invalid_key",
    "auth_unavailable",
  ]],
  ["A call with a body or a query", [
    "invalid_body",
    "invalid_query",
    "body_incomplete",
    "body_too_large",
  ]],
  ["A call that asks the database", [
    "database_unavailable",
    "migrations_missing",
    "schema_not_exposed",
    "key_claims_refused",
    "database_outdated",
    "functions_outdated",
  ]],
];

export function httpPage(catalogue: Catalogue): string {
  return blocks(
    "# HTTP",
    "All paths are below `https://<project>.supabase.co/functions/v1/`. The functions authenticate " +
      "their callers themselves (`verify_jwt = false`): a signed-in person sends their JWT as " +
      "`Authorization: Bearer …`, which `supabase.functions.invoke` does, and a server a secret key as " +
      "`apikey`. A body is JSON. What answers `GET` answers `HEAD`, and every answer has the version in " +
      "`x-calendly-sync-version`.",
    'An error is `{"error": {"code", "message", "hint"?}}`. Each code links to what it means. ' +
      "Those that many calls have are listed here, the others with their call.",
    bullets(COMMON.map(([which, codes]) => `${which}: ${links(codes)}.`)),
    ...Object.entries(FUNCTIONS).flatMap(([name, routes]) => [
      `## ${name}`,
      ...Object.entries(routes).map(([route, about]) => section(name, route, about)),
    ]),
    "## Answers",
    ...[["calendly.connection_status", "The status of a connection"], [
      "calendly.run_result",
      "What a sync found",
    ]].map(([name, title]) => blocks(`### ${title}`, prose(commentOf(catalogue, name)))),
  );
}

function section(name: string, route: string, about: Route): string {
  const [method, path] = route.split(" ");
  const title = `${method} ${name}${path === "/" ? "" : path.replace(/:(\w+)/, "<$1 id>")}`;
  const fields = (title: string, schema?: z.ZodType) =>
    schema && blocks(`${title}:`, bullets(fieldsOf(schema)));
  return blocks(
    `### ${title.replace(/[<>]/g, "\\$&")}`,
    prose(about.does),
    `For ${about.caller}.`,
    fields("Body", about.body),
    about.query && about.body
      ? "The query may have `user_id` or `auth_user_id` as well."
      : fields("Query", about.query),
    bullets(Object.entries(about.answers).map(([status, what]) => `${status}: ${answer(what)}.`)),
    about.errors && `Errors: ${links(about.errors)}.`,
  );
}

function answer(what: string): string {
  return prose(what)
    .replace("`calendly.connection_status`", "[the status](#the-status-of-a-connection)")
    .replace("`calendly.run_result`", "[what the sync found](#what-a-sync-found)");
}

interface JsonSchema {
  type?: string;
  enum?: unknown[];
  default?: unknown;
  description?: string;
  properties?: Record<string, JsonSchema>;
  required?: string[];
}

function fieldsOf(schema: z.ZodType): string[] {
  const { properties = {}, required = [] } = z.toJSONSchema(schema, {
    io: "input",
    unrepresentable: "any",
  }) as JsonSchema;
  return Object.entries(properties).map(([name, field]) => {
    const kind = field.enum?.map((word) => code(String(word))).join(" or ") ??
      field.type?.replace("number", "integer");
    const facts = [
      kind,
      required.includes(name) && "required",
      field.default !== undefined && `default ${code(String(field.default))}`,
    ].filter(Boolean).join(", ");
    return `${code(name)} (${facts}): ${prose(field.description ?? "")}`;
  });
}

function links(codes: readonly ErrorCode[]): string {
  return codes.map((name) => {
    const { status }: ErrorCodeEntry = ERROR_CODES[name];
    return `[${name}](../operate.md#${name})${status ? ` ${status}` : ""}`;
  }).join(", ");
}

function commentOf({ routines }: Catalogue, name: string): string {
  const comment = routines.find((routine) => routine.name === name)?.comment;
  if (!comment) throw new Error(`${name} has no comment.`);
  return comment;
}
