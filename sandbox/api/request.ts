/** What a handler of the public API is given, and how it reads parameters as Calendly does. */
import { formatTime, parseTime } from "../clock.ts";
import { denied, invalid, notFound } from "../errors.ts";
import { Role, Uri, User } from "../resources.ts";
import { AccessToken } from "../tokens.ts";
import { Webhooks } from "../webhooks.ts";
import { Bookings } from "../bookings.ts";
import { World } from "../world.ts";

export interface ApiRequest {
  world: World;
  bookings: Bookings;
  webhooks: Webhooks;
  token: AccessToken;
  user: User;
  path: string;
  /** Where links to other pages lead. */
  publicUrl: string;
  query: URLSearchParams;
  /** Values of the path's `:name` segments. */
  params: Record<string, string>;
  /** The JSON body; empty where there is none. */
  body: Record<string, unknown>;
  /** Faults that change how a listing is made. */
  listing: { empty?: boolean; repeat_last_row?: boolean };
}

export interface ApiAnswer {
  status: number;
  body?: unknown;
}

export type Handler = (request: ApiRequest) => ApiAnswer;

export const resource = (value: unknown, status = 200): ApiAnswer => ({
  status,
  body: { resource: value },
});

/** A URI parameter of the query or body, checked for its shape. */
export function uriParameter(name: string, value: unknown, collection: string): Uri | null {
  if (value === null || value === undefined) return null;
  if (
    typeof value === "string" &&
    new RegExp(`^https://api\\.calendly\\.com/${collection}/[^/]+$`).test(value)
  ) return value;
  throw invalid({ parameter: name, message: `must be a valid ${name} URI` });
}

export function oneOf<T extends string>(
  name: string,
  value: string | null,
  allowed: readonly T[],
): T | null {
  if (value === null) return null;
  if ((allowed as readonly string[]).includes(value)) return value as T;
  throw invalid({ parameter: name, message: `must be one of: ${allowed.join(", ")}` });
}

export function timeParameter(query: URLSearchParams, name: string): string | null {
  const value = query.get(name);
  if (value === null) return null;
  const micros = parseTime(value);
  if (micros === null) throw invalid({ parameter: name, message: "must be a valid UTC time" });
  return formatTime(micros);
}

export function booleanParameter(query: URLSearchParams, name: string): boolean | null {
  const value = oneOf(name, query.get(name), ["true", "false"]);
  return value === null ? null : value === "true";
}

/** `field:direction`, with the direction ascending unless given. */
export function sortParameter<T extends string>(
  query: URLSearchParams,
  fields: readonly [T, ...T[]],
): { field: T; descending: boolean } {
  const value = query.get("sort") ?? `${fields[0]}:asc`;
  const [field, direction = "asc", ...rest] = value.split(":");
  if (
    rest.length > 0 || !(fields as readonly string[]).includes(field) ||
    !["asc", "desc"].includes(direction)
  ) {
    throw invalid({
      parameter: "sort",
      message: `must be ${fields.map((name) => `${name}:asc|desc`).join(" or ")}`,
    });
  }
  return { field: field as T, descending: direction === "desc" };
}

/** The caller's role in the organization; strangers are refused. */
export function requireMember(request: ApiRequest, organization: Uri): Role {
  const role = request.world.role(request.user.uri, organization);
  if (role === null) throw denied();
  return role;
}

export function found<T>(value: T | undefined): T {
  if (value === undefined) throw notFound();
  return value;
}
