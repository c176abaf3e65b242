/**
 * Filters of the lists. They stand in the address, so that a reload, a bookmark and a colleague see the same
 * rows. What an address says wrongly (an unknown word, a person that is no number) is left out.
 */

/** How each filter of a screen is read. */
export type Shape = Record<string, Kind>;

export type Kind =
  | { kind: "one"; of: readonly string[] }
  | { kind: "many"; of: readonly string[] }
  | { kind: "id" }
  | { kind: "since" }
  | { kind: "text" };

export type Filters<S extends Shape> = {
  [K in keyof S]: S[K] extends { kind: "many" } ? readonly string[]
    : S[K] extends { kind: "id" } ? number | null
    : string | null;
};

export const RUN_STATUSES = ["running", "paused", "complete", "failed"] as const;
export const SYNC_TYPES = ["FULL", "INCREMENTAL"] as const;
export const TRIGGERS = ["manual", "scheduled", "service", "connect"] as const;
export const DELIVERY_STATUSES = ["processed", "ignored", "deferred", "dead"] as const;
export const DELIVERY_TYPES = [
  "invitee.created",
  "invitee.canceled",
  "invitee_no_show.created",
  "invitee_no_show.deleted",
] as const;
export const CONNECTION_STATES = ["active", "reconnect_required", "disconnected"] as const;
export const PERIODS = ["1h", "24h", "7d", "30d"] as const;

export const RUN_FILTERS = {
  status: { kind: "many", of: RUN_STATUSES },
  type: { kind: "one", of: SYNC_TYPES },
  trigger: { kind: "one", of: TRIGGERS },
  person: { kind: "id" },
  since: { kind: "since" },
} as const satisfies Shape;

export const DELIVERY_FILTERS = {
  status: { kind: "many", of: DELIVERY_STATUSES },
  type: { kind: "one", of: DELIVERY_TYPES },
  person: { kind: "id" },
  since: { kind: "since" },
} as const satisfies Shape;

export const PEOPLE_FILTERS = {
  state: { kind: "many", of: CONNECTION_STATES },
  account: { kind: "one", of: ["with", "without"] },
  search: { kind: "text" },
  person: { kind: "id" },
  /** Those whom this person's connection brings. */
  team: { kind: "id" },
} as const satisfies Shape;

export const MEETING_FILTERS = {
  when: { kind: "one", of: ["upcoming", "past", "deleted"] },
  person: { kind: "id" },
} as const satisfies Shape;

export function readFilters<S extends Shape>(shape: S, search: URLSearchParams): Filters<S> {
  return Object.fromEntries(
    Object.entries(shape).map(([name, kind]) => [name, readOne(kind, search.get(name))]),
  ) as Filters<S>;
}

function readOne(kind: Kind, text: string | null): string | number | readonly string[] | null {
  switch (kind.kind) {
    case "many":
      return kind.of.filter((word) => (text ?? "").split(",").includes(word));
    case "one":
      return text !== null && kind.of.includes(text) ? text : null;
    case "id":
      return text !== null && /^[1-9]\d{0,8}$/.test(text) ? Number(text) : null;
    case "since":
      return text !== null && sinceTime(text, 0) !== null ? text : null;
    case "text":
      return text?.trim().slice(0, 100) || null;
  }
}

/** "?status=failed,paused&person=3", in the order of the shape; "" where nothing is filtered. */
export function writeFilters<S extends Shape>(shape: S, filters: Partial<Filters<S>>): string {
  const parts = Object.keys(shape).flatMap((name) => {
    const value = filters[name as keyof S];
    if (value === null || value === undefined || (Array.isArray(value) && value.length === 0)) {
      return [];
    }
    const text = Array.isArray(value) ? value.join(",") : String(value);
    return [`${name}=${encodeURIComponent(text).replaceAll("%2C", ",").replaceAll("%3A", ":")}`];
  });
  return parts.length > 0 ? `?${parts.join("&")}` : "";
}

export function isFiltered(filters: Record<string, unknown>): boolean {
  return Object.values(filters).some((value) =>
    Array.isArray(value) ? value.length > 0 : value !== null
  );
}

const UNITS: Record<string, number> = { m: 60_000, h: 3_600_000, d: 86_400_000 };

/** "24h" before now, or a time, as milliseconds; null where it is neither. */
export function sinceTime(text: string, now: number): number | null {
  const [, number, unit] = text.match(/^(\d{1,4})([mhd])$/) ?? [];
  if (unit) return now - Number(number) * UNITS[unit];
  const time = /^\d{4}-\d\d-\d\d/.test(text) ? Date.parse(text) : NaN;
  return Number.isNaN(time) ? null : time;
}

/** The same as the database is asked for it: to the minute, so that a query stays the same for a while. */
export function sinceValue(text: string | null, now: number): string | null {
  const time = text === null ? null : sinceTime(text, now);
  return time === null ? null : new Date(Math.floor(time / 60_000) * 60_000).toISOString();
}
