/**
 * Comments of the database and descriptions of schemas as Markdown. They are plain text for `\d+`, hints
 * and terminals; here names, statements and shapes in them become code.
 */

/** A shape in braces, with shapes in it, so many levels deep. */
function shape(depth: number): string {
  const inner = depth === 0 ? "" : `(?:${shape(depth - 1)}[^{}]*)*`;
  return `\\{[^{}]*${inner}\\}`;
}

/** What stands for itself: already code, a link, a shape in braces, a statement, a call, a name. */
const CODE = new RegExp(
  [
    "`[^`]*`", // code already
    "https?://[^\\s,;)]*[^\\s,;).:]", // an address
    "select [^;]*;", // a statement
    "create policy [^;]*;",
    "\\w+_\\w+ = \\w+", // name = value
    `\\[?${shape(4)}\\]?(?: \\| null)?`,
    "(?:GET|POST|DELETE|HEAD) [/a-z][\\w/-]*", // a call
    "/functions/v1/[\\w/-]+",
    "\\b[a-z]\\w*\\.[a-z_]+(?:\\.[a-z_]+)*\\([^()]*\\)", // schema.function(…)
    "\\b(?:calendly|auth|cron|realtime|supabase|reference|docs)[./][\\w./-]*\\w",
    "\\b[A-Za-z]\\w*_\\w+(?:\\.\\w+)*(?:\\([^()]*\\))?", // snake_case, VARIABLES, table_name.column
    "\\bcalendly-(?:sync|connect|webhook|nudge)\\b",
  ].join("|"),
  "g",
);

/** Plain text as one paragraph of Markdown. */
export function prose(text: string): string {
  let markdown = "";
  let end = 0;
  for (const found of text.matchAll(CODE)) {
    markdown += escape(text.slice(end, found.index)) + asCode(found[0]);
    end = found.index + found[0].length;
  }
  return markdown + escape(text.slice(end));
}

/** Extensions are called by their name in a sentence. */
function asCode(text: string): string {
  return /^(`|https?:|pg_cron$|pg_net$)/.test(text) ? text : code(text);
}

export function code(text: string): string {
  return `\`${text}\``;
}

function escape(text: string): string {
  return text.replace(/[*<|\[\]\\]/g, (character) => `\\${character}`);
}

/** Words one after the other: "a, b and c". */
export function listed(words: string[]): string {
  if (words.length < 2) return words.join("");
  return `${words.slice(0, -1).join(", ")} and ${words.at(-1)}`;
}

export function bullets(lines: string[]): string {
  return lines.map((line) => `- ${line}`).join("\n");
}

/** Paragraphs, lists and headings one after the other; what is empty is left out. */
export function blocks(...parts: (string | false | undefined)[]): string {
  return parts.filter(Boolean).join("\n\n");
}
