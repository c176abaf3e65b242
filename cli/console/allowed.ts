/**
 * What the console may ask of a project with its secret key. Everything else is refused: the key could read
 * the tables of the project's own app, and write.
 */

/** Tables and views that are read. */
export const TABLES: ReadonlySet<string> = new Set([
  "calendly_alerts",
  "calendly_connections",
  "calendly_freshness",
  "calendly_invitees",
  "calendly_meetings",
  "calendly_sync_health",
  "calendly_sync_runs",
  "calendly_users",
  "calendly_webhook_events",
]);

/** Database functions. Those that change something replay webhook events. */
export const RPCS: ReadonlySet<string> = new Set([
  "calendly_console_overview",
  "calendly_console_people",
  "calendly_deliveries_by_day",
  "calendly_delivery_details",
  "calendly_freshness_history",
  "calendly_health",
  "calendly_replay_dead",
  "calendly_replay_webhook_event",
  "calendly_run_details",
  "calendly_schedule",
  "calendly_schedule_ticks",
]);

/** Edge Functions with what follows their names, and the methods. */
export const FUNCTION_CALLS: ReadonlyMap<string, readonly string[]> = new Map([
  ["calendly-sync", ["POST"]],
  ["calendly-sync/health", ["GET"]],
  ["calendly-sync/metrics", ["GET"]],
  ["calendly-connect", ["GET", "POST", "DELETE"]],
  ["calendly-connect/webhooks", ["POST", "DELETE"]],
]);

/**
 * What is wrong with a query of the Data API; undefined: nothing. A `select` may embed the tables of the
 * list and no others: `select=*,other(*)` reads a table that the path does not name.
 */
export function findForeignTable(query: URLSearchParams): string | undefined {
  for (const select of query.getAll("select")) {
    for (const name of embeddedIn(select)) {
      if (!isAllowed(name)) return name;
    }
  }
}

/** What stands before each bracket: `...alias:table!hint`, or an aggregate. */
function embeddedIn(select: string): string[] {
  return [...select.matchAll(/([^,()]*)(\(\s*\)|\()/g)].flatMap(([, name, bracket]) =>
    bracket !== "(" && /^\s*([a-z_:]+\.(sum|avg|min|max|count)|([a-z_]+:)?count)\s*$/.test(name)
      ? []
      : [name.trim()]
  );
}

/** A hint may name a foreign key or a table that is of the product. */
function isAllowed(embedded: string): boolean {
  const [, name, hints] = embedded.match(/^(?:\.\.\.)?(?:[a-z_]+:)?([a-z_]+)((?:![a-z_]+)*)$/) ??
    [];
  return TABLES.has(name) &&
    hints.split("!").slice(1).every((hint) => /^(inner|left|calendly_[a-z_]+)$/.test(hint));
}

/** The part of `Prefer` that only counts rows. */
export function allowedPreference(prefer: string | null): string | undefined {
  return prefer?.match(/\bcount=(exact|planned|estimated)\b/)?.[0];
}

/** The formats in which rows are asked for; any other becomes JSON. */
export function allowedFormat(accept: string | null): string {
  const known = ["application/vnd.pgrst.object+json", "text/csv"];
  return known.find((format) => accept?.split(/[,;]/)[0].trim() === format) ?? "application/json";
}
