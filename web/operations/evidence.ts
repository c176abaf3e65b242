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

interface Kind {
  title: string;
  impact: string;
  evidence: (userId: number | null) => Pick<Evidence, "query" | "link">;
}

const NO_SECOND = "Bookings are not here within a second: the schedule brings them.";

const KINDS: Record<string, Kind> = {
  reconnect_required: {
    title: "A token is refused",
    impact: "Nothing of this person is synced until they connect again. What is stored stays.",
    evidence: connection,
  },
  stale: {
    title: "Not synced for too long",
    impact: "Bookings and cancellations since the last complete sync may be missing here.",
    evidence: runs([]),
  },
  failing: {
    title: "Syncs fail again and again",
    impact: "Meetings are as they were at the last complete sync.",
    evidence: runs(["failed"]),
  },
  mass_absence: {
    title: "Many meetings are missing at Calendly",
    impact: "They are kept and shown here, and may not exist any more.",
    evidence: runs(["complete"]),
  },
  rejected_rows: {
    title: "Something in a listing could not be used",
    impact: "What could not be used is missing or older here. All else is complete.",
    evidence: runs(["complete"]),
  },
  webhook_disabled: {
    title: "Calendly has disabled a webhook",
    impact: NO_SECOND,
    evidence: connection,
  },
  webhook_unknown: {
    title: "A webhook cannot be looked at",
    impact: NO_SECOND,
    evidence: connection,
  },
  webhooks_failing: {
    title: "Deliveries are refused",
    impact: NO_SECOND,
    evidence: connection,
  },
  dead_webhook_events: {
    title: "Deliveries were given up",
    impact:
      "What they told is missing here until a sync reads the same events, or they are replayed.",
    evidence: (userId) => ({
      query: rows("calendly_webhook_events", {
        select: ["id", "event_type", "created_at", "attempts", "error"],
        where: [{ column: "status", is: "eq", value: "dead" }, ...of(userId)],
        order: [{ column: "created_at", descending: true }],
        limit: SHOWN,
      }),
      link: {
        text: "Dead deliveries",
        href: `#/operations/deliveries?status=dead${userId === null ? "" : `&person=${userId}`}`,
      },
    }),
  },
  schedule_not_running: {
    title: "The schedule does not tick",
    impact: "Nothing is synced by itself. Deliveries and clicks still work.",
    evidence: schedule,
  },
  functions_unreachable: {
    title: "The functions do not come when nudged",
    impact: "Nothing is synced by itself, and deliveries may not be taken.",
    evidence: schedule,
  },
  project_moved: {
    title: "The project has moved",
    impact: "Nothing is synced until somebody says which project is the right one.",
    evidence: schedule,
  },
  database_read_only: {
    title: "The database takes no writes",
    impact: "Nothing is synced. Calendly repeats its deliveries for a day.",
    evidence: () => ({
      query: call("calendly_health"),
      link: { text: "Schedule", href: "#/operations/schedule" },
    }),
  },
  many_accounts_ended: {
    title: "Many accounts have ended at once",
    impact: "The meetings of these accounts are neither synced nor erased.",
    evidence: people,
  },
  email_unproven: {
    title: "E-mails that nothing proves",
    impact:
      "Members of an organization with such an e-mail are not recognized: they see no meetings.",
    evidence: people,
  },
  live_updates_refused: {
    title: "Live updates are off",
    impact: "An app does not hear of changes. It sees them when it reads again.",
    evidence: alertRow("live_updates_refused"),
  },
  own_table_failing: {
    title: "A trigger of the app has failed",
    impact: "The app's own table is not up to date. calendly_meetings is.",
    evidence: alertRow("own_table_failing"),
  },
};

/** As many rows as an alert shows. */
const SHOWN = 10;

export function evidenceOf(code: string, userId: number | null): Evidence {
  const kind = KINDS[code] ??
    { title: code.replaceAll("_", " "), impact: "", evidence: alertRow(code) };
  return { title: kind.title, impact: kind.impact, ...kind.evidence(userId) };
}

/** The alerts that are known here, for a test against those of the database. */
export const KNOWN_ALERTS: readonly string[] = Object.keys(KINDS);

function of(userId: number | null) {
  return userId === null ? [] : [{ column: "user_id" as const, is: "eq" as const, value: userId }];
}

function connection(userId: number | null): Pick<Evidence, "query" | "link"> {
  return {
    query: rows("calendly_connections", {
      select: [
        "user_id",
        "state",
        "scope",
        "last_error",
        "failures",
        "refusals",
        "webhook_state",
        "webhooks_lost_at",
        "webhook_error",
        "updated_at",
      ],
      where: of(userId),
      limit: SHOWN,
    }),
    link: userId === null
      ? { text: "People", href: "#/operations/people" }
      : { text: `Person ${userId}`, href: `#/operations/people/${userId}` },
  };
}

function runs(statuses: string[]) {
  return (userId: number | null): Pick<Evidence, "query" | "link"> => ({
    query: rows("calendly_sync_runs", {
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
      where: [
        ...(statuses.length > 0
          ? [{ column: "status" as const, is: "in" as const, value: statuses }]
          : []),
        ...of(userId),
      ],
      order: [{ column: "started_at", descending: true }],
      limit: SHOWN,
    }),
    link: {
      text: "Runs",
      href: `#/operations/runs?${
        [
          ...(statuses.length > 0 ? [`status=${statuses.join(",")}`] : []),
          ...(userId === null ? [] : [`person=${userId}`]),
        ].join("&")
      }`.replace(/\?$/, ""),
    },
  });
}

function schedule(): Pick<Evidence, "query" | "link"> {
  return {
    query: call("calendly_schedule"),
    link: { text: "Schedule", href: "#/operations/schedule" },
  };
}

function people(): Pick<Evidence, "query" | "link"> {
  return {
    query: rows("calendly_users", {
      select: ["id", "email", "name", "auth_user_id", "connection_id"],
      where: [{ column: "auth_user_id", is: "null" }],
      order: [{ column: "id" }],
      limit: SHOWN,
    }),
    link: { text: "People without an account", href: "#/operations/people?account=without" },
  };
}

function alertRow(code: string) {
  return (): Pick<Evidence, "query" | "link"> => ({
    query: rows("calendly_alerts", {
      select: ["code", "severity", "user_id", "since", "message", "what_to_do"],
      where: [{ column: "code", is: "eq", value: code }],
      limit: SHOWN,
    }),
    link: { text: "Overview", href: "#/operations" },
  });
}
