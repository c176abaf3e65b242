/**
 * What an alert rests on: what it means for people's meetings, the rows that prove it, and the screen that
 * shows them. calendly_alerts has the problem and what to do.
 */
import { call, type CallQuery, rows, type RowsQuery } from "./query.ts";

export interface Evidence {
  title: string;
  /** What it means for people's meetings. */
  impact: string;
  query: RowsQuery | CallQuery;
  link: { text: string; href: string };
}

type Where = "person" | "runs" | "dead" | "schedule" | "without_account" | "overview";

const NO_SECOND = "Bookings are not here within a second: the schedule brings them.";

/** What each alert means for people's meetings, and the screen that shows more of it. */
const KINDS: Record<string, { title: string; impact: string; where: Where }> = {
  reconnect_required: {
    title: "A token is refused",
    impact: "Nothing of this person is synced until they connect again. What is stored stays.",
    where: "person",
  },
  stale: {
    title: "Not synced for too long",
    impact: "Bookings and cancellations since the last complete sync may be missing here.",
    where: "runs",
  },
  failing: {
    title: "Syncs fail again and again",
    impact: "Meetings are as they were at the last complete sync.",
    where: "runs",
  },
  mass_absence: {
    title: "Many meetings are missing at Calendly",
    impact: "They are kept and shown here, and may not exist any more.",
    where: "runs",
  },
  rejected_rows: {
    title: "Something in a listing could not be used",
    impact: "What could not be used is missing or older here. All else is complete.",
    where: "runs",
  },
  webhook_disabled: {
    title: "Calendly has disabled a webhook",
    impact: NO_SECOND,
    where: "person",
  },
  webhook_unknown: {
    title: "A webhook cannot be looked at",
    impact: NO_SECOND,
    where: "person",
  },
  webhooks_failing: { title: "Deliveries are refused", impact: NO_SECOND, where: "person" },
  dead_webhook_events: {
    title: "Deliveries were given up",
    impact:
      "What they told is missing here until a sync reads the same events, or they are replayed.",
    where: "dead",
  },
  schedule_not_running: {
    title: "The schedule does not tick",
    impact: "Nothing is synced by itself. Deliveries and clicks still work.",
    where: "schedule",
  },
  functions_unreachable: {
    title: "The functions do not come when nudged",
    impact: "Nothing is synced by itself, and deliveries may not be taken.",
    where: "schedule",
  },
  project_moved: {
    title: "The project has moved",
    impact: "Nothing is synced until somebody says which project is the right one.",
    where: "schedule",
  },
  database_read_only: {
    title: "The database takes no writes",
    impact: "Nothing is synced. Calendly repeats its deliveries for a day.",
    where: "schedule",
  },
  many_accounts_ended: {
    title: "Many accounts have ended at once",
    impact: "The meetings of these accounts are neither synced nor erased.",
    where: "without_account",
  },
  email_unproven: {
    title: "E-mails that nothing proves",
    impact:
      "Members of an organization with such an e-mail are not recognized: they see no meetings.",
    where: "without_account",
  },
  live_updates_refused: {
    title: "Live updates are off",
    impact: "An app does not hear of changes. It sees them when it reads again.",
    where: "overview",
  },
  own_table_failing: {
    title: "A trigger of the app has failed",
    impact: "The app's own table is not up to date. calendly_meetings is.",
    where: "overview",
  },
};

/** The alerts that are known here, for a test against those of the database. */
export const KNOWN_ALERTS: readonly string[] = Object.keys(KINDS);

/** Of an alert, as calendly_alerts has it. */
export function evidenceOf(code: string, userId: number | null, evidence: unknown): Evidence {
  const { title, impact, where } = KINDS[code] ??
    { title: code.replaceAll("_", " "), impact: "", where: "overview" as const };
  return {
    title,
    impact,
    query: proof(code, (evidence ?? {}) as Named, where),
    link: linkTo(where, userId),
  };
}

/** What an alert names as its evidence: ids of rows, or something else. */
interface Named {
  connection_ids?: string[];
  run_ids?: string[];
  webhook_event_ids?: string[];
}

function proof(code: string, named: Named, where: Where): RowsQuery | CallQuery {
  if (named.run_ids) {
    return rows("calendly_sync_runs", {
      select: [
        "id",
        "status",
        "sync_type",
        "trigger",
        "started_at",
        "finished_at",
        "missing",
        "rejected",
        "error",
      ],
      where: [{ column: "id", is: "in", value: named.run_ids }],
      order: [{ column: "started_at", descending: true }],
    });
  }
  if (named.webhook_event_ids) {
    return rows("calendly_webhook_events", {
      select: ["id", "event_type", "status", "created_at", "attempts", "error"],
      where: [{ column: "id", is: "in", value: named.webhook_event_ids }],
      order: [{ column: "created_at", descending: true }],
    });
  }
  if (named.connection_ids) {
    return rows("calendly_connections", {
      select: [
        "id",
        "user_id",
        "state",
        "scope",
        "last_error",
        "failures",
        "refusals",
        "current_as_of",
        "next_sync_at",
        "webhook_state",
        "webhooks_lost_at",
        "webhook_error",
      ],
      where: [{ column: "id", is: "in", value: named.connection_ids }],
    });
  }
  if (where === "schedule") return call("calendly_schedule");
  return rows("calendly_alerts", {
    select: ["code", "severity", "user_id", "since", "evidence"],
    where: [{ column: "code", is: "eq", value: code }],
  });
}

function linkTo(where: Where, userId: number | null): Evidence["link"] {
  const person = userId === null ? "" : String(userId);
  switch (where) {
    case "person":
      return person === ""
        ? { text: "People", href: "#/operations/people" }
        : { text: "Person and connection", href: `#/operations/people/${person}` };
    case "runs":
      return {
        text: "Runs",
        href: `#/operations/runs${person === "" ? "" : `?person=${person}`}`,
      };
    case "dead":
      return {
        text: "Dead deliveries",
        href: `#/operations/deliveries?status=dead${person === "" ? "" : `&person=${person}`}`,
      };
    case "schedule":
      return { text: "Schedule", href: "#/operations/schedule" };
    case "without_account":
      return { text: "People without an account", href: "#/operations/people?account=without" };
    case "overview":
      return { text: "Overview", href: "#/operations" };
  }
}
