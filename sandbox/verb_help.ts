/** The help of a verb for a person, from its schema: `GET /_sandbox` shows the same to programs. */
import { wrap } from "../cli/words.ts";
import { BOOKING_VERBS, describeVerbs, type Verb } from "./verbs.ts";

/** How a person starts the program. */
export const PROGRAM = "npx -y deno@2.9.6 task sandbox";

/** The part of JSON Schema that verbs use. */
interface Schema {
  type?: string | string[];
  format?: string;
  description?: string;
  enum?: unknown[];
  anyOf?: Schema[];
  oneOf?: Schema[];
  properties?: Record<string, Schema>;
  required?: string[];
}

/** The width to which help keeps. */
const WIDTH = 96;
/** A longer option has a line of its own. */
const LONGEST_OPTION = 30;
/** A longer list of words is told beside the option. */
const LONGEST_CHOICE = 40;

/** An option, what it takes, and what it is for. */
type Row = [option: string, text: string];

const INVITEE: Row[] = [
  ["--name <text>", "who books"],
  ["--email <text>", "and this person's e-mail address"],
];

export function commandOf(verb: Verb): string {
  return (verb === "mark_no_show" ? "no_show" : verb).replaceAll("_", "-");
}

export function verbHelp(verb: Verb): string {
  const described = describeVerbs()[verb];
  const schema = described.arguments as Schema;
  const required = new Set(schema.required);
  const fields = Object.entries(schema.properties ?? {}).map(([field, property]): Row => [
    `--${field.replaceAll("_", "-")} ${placeholder(property)}`,
    [property.description, choices(property), required.has(field) ? "needed" : ""]
      .filter(Boolean).join("; "),
  ]);
  const rows: Row[] = [
    ...verb === "book" ? INVITEE : [],
    ...fields,
    ["--url <address>", "of the sandbox; the local project's unless given"],
    ["--json", "print the whole answer as JSON"],
    ["-h, --help", "show this"],
  ];
  const takesBooking = BOOKING_VERBS.includes(verb) && verb !== "book";
  return [
    `Usage: ${PROGRAM} ${commandOf(verb)}${takesBooking ? " [<event or invitee>]" : ""} [options]`,
    "",
    sentence(described.description),
    ...takesBooking ? ["The latest booking is meant unless one is named, by its URI."] : [],
    "",
    ...table(rows),
    ...rows.some(([option]) => option.endsWith("<JSON>"))
      ? ["", "GET /_sandbox at the sandbox's address describes each <JSON> as JSON Schema."]
      : [],
  ].join("\n");
}

/** Rows as lines, the second column wrapped. */
export function table(rows: Row[]): string[] {
  const width = Math.max(
    ...rows.map(([option]) => option.length).filter((length) => length <= LONGEST_OPTION),
  );
  return rows.flatMap(([option, text]) => {
    const lines = wrap(text, WIDTH - width - 5);
    const first = option.length > width ? [`  ${option}`] : [];
    return [
      ...first,
      ...lines.map((line, at) =>
        `  ${(at === 0 && first.length === 0 ? option : "").padEnd(width)}   ${line}`.trimEnd()
      ),
    ];
  });
}

function sentence(text: string): string {
  return `${text[0].toUpperCase()}${text.slice(1)}.`;
}

/** What stands for a value. */
function placeholder(schema: Schema): string {
  const parts = schema.anyOf ?? schema.oneOf;
  if (parts) return [...new Set(parts.map(placeholder))].join("|");
  if (schema.enum) {
    const words = schema.enum.join("|");
    return words.length > LONGEST_CHOICE ? "<word>" : words;
  }
  if (schema.format === "date-time") return "<time>";
  if (schema.type === "string") return "<text>";
  if (schema.type === "integer" || schema.type === "number") return "<number>";
  if (schema.type === "boolean") return "true|false";
  if (schema.type === "null") return "null";
  return "<JSON>";
}

/** The words that the placeholder does not show. */
function choices(schema: Schema): string {
  const parts = schema.anyOf ?? schema.oneOf;
  if (parts) return parts.map(choices).filter(Boolean).join("; ");
  return placeholder(schema) === "<word>" ? `one of ${schema.enum!.join(", ")}` : "";
}
