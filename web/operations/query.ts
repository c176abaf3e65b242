/**
 * What a screen asks, described once: a description gives the request that the page sends, and the same
 * question "as SQL" and "as curl", so that what is shown can be asked again elsewhere, word for word.
 * The curl names `$SUPABASE_SECRET_KEY`; the key itself is never known here.
 */
import type { Database } from "../../supabase/functions/_shared/calendly/database.types.ts";

type Schema = Database["public"];
export type Relation = (keyof Schema["Tables"] | keyof Schema["Views"]) & string;
export type Row<R extends Relation> = (Schema["Tables"] & Schema["Views"])[R]["Row"];
type Column<R extends Relation> = keyof Row<R> & string;

export type Value = string | number | boolean;

export interface Condition {
  column: string;
  is: "eq" | "neq" | "gt" | "gte" | "lt" | "lte" | "ilike" | "in" | "null" | "not_null";
  /** A list for `in`, nothing for `null` and `not_null`. */
  value?: Value | readonly Value[];
}

export interface Order {
  column: string;
  descending?: boolean;
  nullsFirst?: boolean;
}

/** Rows of a table or view. */
export interface RowsQuery<R = unknown> {
  kind: "rows";
  from: Relation;
  select: readonly string[];
  where: readonly Condition[];
  order: readonly Order[];
  limit?: number;
  offset?: number;
  /** Each row with the name and e-mail of its user. */
  withPerson: boolean;
  /** Never there: carries the type of a row. */
  row?: R;
}

/** A database function. */
export interface CallQuery<Answer = unknown> {
  kind: "call";
  name: string;
  arguments: Readonly<Record<string, Value | null>>;
  /** Answers rows, not one value. */
  isSet: boolean;
  answer?: Answer;
}

/** An Edge Function, which SQL cannot call. */
export interface FunctionQuery<Answer = unknown> {
  kind: "function";
  method: "GET" | "POST" | "DELETE";
  path: string;
  body?: Record<string, Value>;
  answer?: Answer;
}

export type Query = RowsQuery | CallQuery | FunctionQuery;

/** What `withPerson` adds to a row; null where the user's row is gone. */
export interface WithPerson {
  calendly_users: { name: string | null; email: string | null } | null;
}

/** The conditions that have a value: a filter that is not set has none. */
export function given<C extends string>(
  conditions: (Omit<Condition, "value"> & {
    column: C;
    value: Condition["value"] | null;
  })[],
): (Condition & { column: C })[] {
  return conditions.flatMap(({ value, ...condition }) =>
    value === null || value === undefined || (Array.isArray(value) && value.length === 0)
      ? []
      : [{ ...condition, value }]
  );
}

interface RowsOptions<R extends Relation, C extends Column<R>> {
  select: readonly C[];
  where?: readonly (Condition & { column: Column<R> })[];
  order?: readonly (Order & { column: Column<R> })[];
  limit?: number;
  offset?: number;
}

export function rows<R extends Relation, C extends Column<R>>(
  from: R,
  options: RowsOptions<R, C>,
): RowsQuery<Pick<Row<R>, C>> {
  return { kind: "rows", from, where: [], order: [], withPerson: false, ...options };
}

/** The same of rows that name a user in `user_id`. */
export function rowsWithPerson<R extends Relation, C extends Column<R>>(
  from: R,
  options: RowsOptions<R, C>,
): RowsQuery<Pick<Row<R>, C> & WithPerson> {
  return { ...rows(from, options), withPerson: true, row: undefined };
}

export function call<Answer>(
  name: keyof Schema["Functions"] & string,
  args: Record<string, Value | null> = {},
  { isSet = false } = {},
): CallQuery<Answer> {
  return { kind: "call", name, arguments: args, isSet };
}

export function edgeFunction<Answer>(
  method: FunctionQuery["method"],
  path: string,
  body?: Record<string, Value>,
): FunctionQuery<Answer> {
  return { kind: "function", method, path, body };
}

// As a request ----------------------------------------------------------------------------------

export interface RequestOf {
  method: "GET" | "POST" | "DELETE";
  /** Below the project's address: `/rest/v1/…` or `/functions/v1/…`. */
  path: string;
  body?: string;
}

/** The request to the project's Data API or functions. */
export function toRequest(query: Query): RequestOf {
  switch (query.kind) {
    case "rows": {
      const search = parameters(query);
      return {
        method: "GET",
        path: `/rest/v1/${query.from}?${
          search.map(([name, value]) => `${name}=${encode(value)}`).join("&")
        }`,
      };
    }
    case "call":
      return {
        method: "POST",
        path: `/rest/v1/rpc/${query.name}`,
        body: JSON.stringify(query.arguments),
      };
    case "function":
      return {
        method: query.method,
        path: `/functions/v1/${query.path}`,
        ...(query.body && { body: JSON.stringify(query.body) }),
      };
  }
}

function parameters(query: RowsQuery): [string, string][] {
  const { select, where, order, limit, offset, withPerson } = query;
  return [
    ["select", [...select, ...(withPerson ? ["calendly_users(name,email)"] : [])].join(",")],
    ...where.map((condition): [string, string] => [condition.column, operation(condition)]),
    ...(order.length > 0 ? [["order", order.map(direction).join(",")] as [string, string]] : []),
    ...(limit === undefined ? [] : [["limit", String(limit)] as [string, string]]),
    ...(offset ? [["offset", String(offset)] as [string, string]] : []),
  ];
}

function operation({ is, value }: Condition): string {
  switch (is) {
    case "null":
      return "is.null";
    case "not_null":
      return "not.is.null";
    case "in":
      return `in.(${(value as readonly Value[]).map(listed).join(",")})`;
    case "ilike":
      return `ilike.*${String(value)}*`;
    default:
      return `${is}.${value}`;
  }
}

/** A value in a list: quoted, where it contains what ends a value there. */
function listed(value: Value): string {
  const text = String(value);
  return /[,()"\\\s:.]/.test(text) ? `"${text.replace(/(["\\])/g, "\\$1")}"` : text;
}

function direction({ column, descending = false, nullsFirst }: Order): string {
  return [
    column,
    descending ? "desc" : "asc",
    ...(nullsFirst === undefined ? [] : [nullsFirst ? "nullsfirst" : "nullslast"]),
  ].join(".");
}

/** As much of a value is left readable as a query may contain; and no `'`, which ends a word in a shell. */
function encode(value: string): string {
  return encodeURIComponent(value)
    .replace(/%(2C|3A|28|29|2A)/g, (code) => decodeURIComponent(code))
    .replace(/'/g, "%27");
}

// As SQL ----------------------------------------------------------------------------------------

/** The same question as a statement; null where SQL has none. */
export function toSql(query: Query): string | null {
  switch (query.kind) {
    case "rows":
      return rowsSql(query);
    case "call": {
      const args = Object.entries(query.arguments)
        .map(([name, value]) => `${name} => ${literal(value)}`).join(", ");
      return `select ${query.isSet ? "* from " : ""}${query.name}(${args});`;
    }
    case "function":
      return null;
  }
}

function rowsSql({ from, select, where, order, limit, offset, withPerson }: RowsQuery): string {
  const name = (column: string) => withPerson ? `t.${column}` : column;
  const clauses = [
    `select ${
      wrapList([
        ...select.map(name),
        ...(withPerson ? ["u.name as person_name", "u.email as person_email"] : []),
      ])
    }`,
    withPerson
      ? `from ${from} t\nleft join calendly_users u on u.id = ${name("user_id")}`
      : `from ${from}`,
    ...(where.length > 0
      ? [`where ${where.map((one) => comparison(one, name(one.column))).join("\n  and ")}`]
      : []),
    ...(order.length > 0
      ? [
        `order by ${
          order.map(({ column, descending, nullsFirst }) =>
            name(column) + (descending ? " desc" : "") +
            (nullsFirst === undefined ? "" : nullsFirst ? " nulls first" : " nulls last")
          ).join(", ")
        }`,
      ]
      : []),
    ...(limit === undefined ? [] : [`limit ${limit}${offset ? ` offset ${offset}` : ""}`]),
  ];
  return `${clauses.join("\n")};`;
}

const COMPARISONS = { eq: "=", neq: "<>", gt: ">", gte: ">=", lt: "<", lte: "<=" } as const;

function comparison({ is, value }: Condition, column: string): string {
  switch (is) {
    case "null":
      return `${column} is null`;
    case "not_null":
      return `${column} is not null`;
    case "in":
      return `${column} in (${(value as readonly Value[]).map(literal).join(", ")})`;
    case "ilike":
      return `${column} ilike ${literal(`%${value}%`)}`;
    default:
      return `${column} ${COMPARISONS[is]} ${literal(value as Value)}`;
  }
}

function literal(value: Value | null): string {
  if (value === null) return "null";
  return typeof value === "string" ? `'${value.replaceAll("'", "''")}'` : String(value);
}

/** Columns in lines of at most 80 characters. */
function wrapList(columns: readonly string[]): string {
  const lines = [""];
  for (const column of columns) {
    const line = lines.at(-1)!;
    if (line && line.length + column.length > 70) lines.push(column);
    else lines[lines.length - 1] = line ? `${line}, ${column}` : column;
  }
  return lines.join(",\n  ");
}

// As curl ---------------------------------------------------------------------------------------

/** The same question as a command for a POSIX shell. */
export function toCurl(query: Query, projectUrl: string): string {
  const { method, path, body } = toRequest(query);
  return [
    `curl ${method === "GET" || body ? "" : `-X ${method} `}${quote(projectUrl + path)}`,
    `-H "apikey: $SUPABASE_SECRET_KEY"`,
    ...(body ? [`-H 'Content-Type: application/json'`, `-d ${quote(body)}`] : []),
  ].join(" \\\n  ");
}

/** One word of a shell, in which nothing is replaced. */
function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
