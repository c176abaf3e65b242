/** docs/reference/tables.md: what people, servers and operators read. */
import type { Catalogue, Relation } from "./catalogue.ts";
import { blocks, bullets, code, prose } from "./markdown.ts";

export function tablesPage({ relations, privateTables }: Catalogue): string {
  const ofKind = (kind: Relation["kind"]) =>
    relations.filter((relation) => relation.kind === kind).map(section);
  return blocks(
    "# Tables and views",
    "All are in the schema `public` and under row level security. A signed-in person reads their own " +
      "rows, and whoever has connected an organization with `members: everyone` also the rows that it " +
      "brings. A server with a secret key reads all. Nobody who is signed in writes.",
    "## Tables",
    ...ofKind("table"),
    "## Views",
    ...ofKind("view"),
    "## Private tables",
    "The schema `calendly` is for the functions alone: no role of the API may use it.",
    bullets(
      privateTables.map(({ name, comment }) =>
        `${code(`calendly.${name}`)}: ${prose(comment ?? "")}`
      ),
    ),
  );
}

function section(relation: Relation): string {
  const { name, comment, columns, keys, references, writable } = relation;
  const rows = [
    `Read by: ${readers(relation)}.`,
    writable.length > 0 &&
    `A server may write: ${writable.map(code).join(", ")}. Nothing else is written from outside.`,
    keys.length > 0 && `Keys: ${keys.map((key) => code(key.join(", "))).join("; ")}.`,
    references.length > 0 && `Refers to: ${references.map(reference).join("; ")}.`,
  ].filter((row) => row !== false);
  return blocks(
    `### ${name}`,
    prose(comment ?? ""),
    bullets(rows),
    "Columns:",
    bullets(
      columns.map(({ name, type, comment }) =>
        `${code(name)} ${shortType(type)}. ${prose(comment ?? "")}`
      ),
    ),
  );
}

function readers({ readers, kind }: Relation): string {
  if (!readers.includes("authenticated")) return "servers (a secret key) and the SQL editor";
  return kind === "view"
    ? "signed-in people (what they may read), servers"
    : "signed-in people (their own rows), servers";
}

/** `FOREIGN KEY (user_id) REFERENCES calendly_users(id) ON DELETE CASCADE`, as a person says it. */
function reference(definition: string): string {
  const [, from, table, to] = definition.match(
    /^FOREIGN KEY \(([^)]*)\) REFERENCES (?:public\.)?([\w.]+)\(([^)]*)\)/,
  )!;
  return `${code(from)} → ${code(`${table} (${to})`)}`;
}

export function shortType(type: string): string {
  return type.replaceAll("timestamp with time zone", "timestamptz");
}
