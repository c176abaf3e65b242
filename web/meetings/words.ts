/** What My meetings says: how fresh the meetings are, what a sync does and did, and what to do when it fails. */
import type { Problem } from "../data/problem.ts";
import type { Tone } from "../ui/status.tsx";
import { formatDuration, toDate } from "../ui/time.tsx";
import type { Connection, Health, Run, Situation } from "./data.ts";

// How fresh -----------------------------------------------------------------------------------------

/** How changes reach the page. */
export type Live = "live" | "polling" | "connecting" | "off";

export interface Freshness {
  tone: Tone;
  /** In a few words. */
  title: string;
  /** What that means for the meetings that are shown. */
  sentence: string;
  /** What the person can do about it. */
  action?: "reconnect" | "sync" | "webhooks";
}

/** From so many seconds on without a check the meetings are called old. */
const OLD = 24 * 3600;

/** In milliseconds: a sync that was due so long ago is late. */
const LATE = 15 * 60_000;

/** A sync asks for so many missing meetings; with more, it cannot say of all whether they are gone. */
const MAX_LOOKUPS = 25;

/** What the answer is made of. */
export interface Known
  extends Pick<Situation, "health" | "connection" | "byOrganization" | "runs" | "comparedAt"> {
  /** In milliseconds: the situation is of then, and could not be read since. */
  unreadSince?: number;
  /** False where the project's functions do not answer: nothing arrives then. */
  functionsAnswer?: boolean;
}

/** Are these the meetings that Calendly has, now? Of who is connected. */
export function freshness(known: Known, now: number): Freshness {
  const { health, byOrganization, runs, comparedAt, unreadSince } = known;
  const age = comparedAt === undefined ? undefined : secondsSince(comparedAt, now);
  const checked = age === undefined ? "" : `All were compared with Calendly ${ago(age)}.`;
  if (unreadSince !== undefined) {
    return {
      tone: "warn",
      title: `Not known now: last read ${ago(secondsSince(unreadSince, now))}`,
      sentence: `${checked} What has changed since then is not here.`.trim(),
    };
  }
  if (health?.connection_state === "reconnect_required") {
    return {
      tone: "bad",
      title: "Calendly refuses the token",
      sentence: `${checked} What has changed at Calendly since then is not here.`.trim(),
      action: byOrganization ? undefined : "reconnect",
    };
  }
  if (age === undefined) {
    const active = runs.find(({ status }) => status === "running" || status === "paused");
    return {
      tone: active ? "busy" : "warn",
      title: active ? "The first sync is not complete yet" : "Not synced yet",
      sentence: "Until it is complete, meetings may be missing.",
      action: active ? undefined : "sync",
    };
  }
  if (age > OLD) {
    return {
      tone: "warn",
      title: `Not compared with Calendly for ${formatDuration(age)}`,
      sentence: health?.calendly_webhook_enabled
        ? "New bookings arrive by webhook. What webhooks do not tell may be missing."
        : "What has changed since then is not here.",
      action: "sync",
    };
  }
  return compared(known, age, now);
}

/** Of who was compared not long ago: what makes the answer less than "yes", the worst first. */
function compared(known: Known, age: number, now: number): Freshness {
  const then = `As Calendly had it ${ago(age)}`;
  return notDelivered(known, then) ?? notRepaired(known, then, now) ?? leftOut(known) ?? {
    tone: "good",
    title: "As Calendly has it",
    sentence: `Everything was compared ${ago(age)}, and each booking since then arrives by ` +
      "webhook within a second.",
  };
}

/** Changes since then do not arrive. */
function notDelivered(
  { health, connection, byOrganization, functionsAnswer }: Known,
  title: string,
): Freshness | undefined {
  if (functionsAnswer === false) {
    return {
      tone: "warn",
      title,
      sentence: "The functions of this project do not answer. What changes at Calendly is here " +
        "when they answer again.",
    };
  }
  if (health?.calendly_webhook_enabled) return;
  return {
    tone: connection?.webhook_error ? "warn" : "info",
    title,
    sentence: "Calendly does not tell of changes by webhook: they are here after the next sync.",
    action: byOrganization ? "sync" : "webhooks",
  };
}

/** Webhooks deliver, and the sync that would find what they do not tell is late or was not completed. */
function notRepaired(
  { health, runs, comparedAt }: Known,
  title: string,
  now: number,
): Freshness | undefined {
  const latest = lastRun(runs, comparedAt);
  const due = health?.next_sync_at ? toDate(health.next_sync_at).getTime() : now;
  const reason = latest && notCompleted(latest)
    ? "The last sync was not completed"
    : now - due > LATE
    ? `The sync that was due ${ago(secondsSince(due, now))} has not run`
    : undefined;
  return reason === undefined ? undefined : {
    tone: "info",
    title,
    sentence: "Bookings since then come by webhook. " +
      `${reason}, so that what webhooks do not tell may be missing.`,
    action: "sync",
  };
}

/** What the last sync could not compare. */
function leftOut({ runs, comparedAt }: Known): Freshness | undefined {
  const latest = lastRun(runs, comparedAt);
  if (latest?.status !== "complete") return;
  if (latest.missing > MAX_LOOKUPS) {
    return {
      tone: "warn",
      title: `${plural(latest.missing, "meeting")} missing from Calendly’s list`,
      sentence: "They stay here until Calendly was asked for each: a few with each sync.",
    };
  }
  if (latest.rejected > 0) {
    return {
      tone: "warn",
      title: `As Calendly has it, except ${plural(latest.rejected, "row")}`,
      sentence: "Calendly sent events or invitees that could not be used. They are not here, or " +
        "as they were before. The next sync tries them again.",
    };
  }
}

/** The person's last run, unless all was compared after it, by the organization's connection for instance. */
function lastRun([latest]: Run[], comparedAt = -Infinity): Run | undefined {
  // What was compared is of the time when its run started; the two are read to the second.
  return latest && toDate(latest.started_at).getTime() > comparedAt - 2000 ? latest : undefined;
}

/** A run that waits or has failed; not one that another has replaced. */
function notCompleted({ status, error }: Run): boolean {
  const { code } = (error ?? {}) as { code?: string };
  return status === "paused" ||
    status === "failed" && code !== "replaced" && code !== "disconnected";
}

function secondsSince(time: number, now: number): number {
  return Math.max(0, Math.floor((now - time) / 1000));
}

function ago(seconds: number): string {
  return seconds < 2 ? "just now" : `${formatDuration(seconds)} ago`;
}

/** The state of a connection's webhooks, and what follows from it. */
export function webhookWords(
  connection: Pick<Connection, "webhook_state" | "webhooks_lost_at"> | undefined,
  health: Pick<Health, "calendly_webhook_enabled"> | undefined,
): { tone: Tone; word: string; meaning: string } {
  if (connection?.webhooks_lost_at) {
    return {
      tone: "warn",
      word: "not delivering",
      meaning: "Calendly has stopped to deliver. The schedule syncs more often meanwhile.",
    };
  }
  if (health?.calendly_webhook_enabled) {
    return { tone: "good", word: "working", meaning: "Bookings are here within a second or so." };
  }
  switch (connection?.webhook_state) {
    case "active":
      return {
        tone: "info",
        word: "on, not proven yet",
        meaning: "Calendly has the subscription. The first delivery proves that it works.",
      };
    case "disabled":
      return {
        tone: "warn",
        word: "disabled by Calendly",
        meaning: "Calendly disables a webhook that has failed for a day. Switch it on again.",
      };
    case "unknown":
      return {
        tone: "warn",
        word: "cannot be looked at",
        meaning: "The token may not read webhooks, so they are not relied on.",
      };
    default:
      return { tone: "idle", word: "off", meaning: "Changes are here after the next sync." };
  }
}

// What a sync does ------------------------------------------------------------------------------------

/** What a click on "Sync Calendly" will do. */
export function plannedSync(
  { self, runs }: Pick<Situation, "self" | "runs">,
): { type: Run["sync_type"]; resumes: boolean; sentence: string } {
  const paused = runs.find(({ status }) => status === "paused");
  const type = self?.calendly_initial_sync_complete ? "INCREMENTAL" : "FULL";
  if (paused && !(type === "FULL" && paused.sync_type !== "FULL")) {
    return {
      type: paused.sync_type,
      resumes: true,
      sentence: `Goes on with the ${
        kindOf(paused.sync_type)
      } sync that is paused, from where it stopped.`,
    };
  }
  const range = rangeOf(runs.find((run) => run.sync_type === type));
  return {
    type,
    resumes: false,
    sentence: type === "FULL"
      ? `A full sync${range}: reads all meetings, because none was complete yet.`
      : `A quick sync${range}: reads what may have changed.`,
  };
}

function kindOf(type: string): string {
  return type === "FULL" ? "full" : "quick";
}

/** " of 2 years back and 1 year ahead", as a run of that kind had it: the days are a setting. */
function rangeOf(run: Run | undefined): string {
  if (!run) return "";
  const started = toDate(run.started_at).getTime();
  const days = (time: string) => Math.round(Math.abs(toDate(time).getTime() - started) / 86400e3);
  return ` of ${spanOf(days(run.min_start_time))} back and ${
    spanOf(days(run.max_start_time))
  } ahead`;
}

function spanOf(days: number): string {
  if (days > 0 && days % 365 === 0) return plural(days / 365, "year");
  return plural(days, "day");
}

export function plural(count: number, word: string): string {
  return `${count.toLocaleString("en")} ${word}${count === 1 ? "" : "s"}`;
}

export interface Progress {
  phase: string;
  events: number;
  invitees_read: number;
  invitees_to_read: number | null;
}

/** How far a run is: as its row says, of the last step that was written. */
export function progressOf({ progress }: Pick<Run, "progress">): Progress {
  const { phase = "list_events", events = 0, invitees_read = 0, invitees_to_read = null } =
    progress as Partial<Progress>;
  return { phase, events, invitees_read, invitees_to_read };
}

const PHASES: Record<string, string> = {
  list_events: "Reading the list of events",
  fetch_events: "Looking at events that the list did not show",
  fetch_invitees: "Reading invitees",
  finish: "Finishing",
};

/** One line about a run that is active. */
export function progressWords(run: Run): string {
  const { phase, events, invitees_read, invitees_to_read } = progressOf(run);
  return [
    PHASES[phase] ?? "Working",
    plural(events, "event"),
    ...invitees_to_read
      ? [`invitees of ${invitees_read} of ${plural(invitees_to_read, "event")}`]
      : [],
    plural(run.requests, "request"),
  ].join(" · ");
}

/** The counts of a run in words: "3 new, 24 changed, 2 canceled or gone, 220 unchanged". */
export function countWords(
  run: Pick<Run, "created" | "updated" | "deleted" | "restored" | "unchanged">,
): string {
  const parts = [
    [run.created, "new"],
    [run.updated, "changed"],
    [run.deleted, "canceled or gone"],
    [run.restored, "back again"],
    [run.unchanged, "unchanged"],
  ] as const;
  const shown = parts.filter(([count]) => count > 0);
  if (shown.length === 0) return "Calendly has no meetings in this range";
  return shown.map(([count, word]) => `${count.toLocaleString("en")} ${word}`).join(", ");
}

/** What a run that has ended cost. */
export function costWords(run: Pick<Run, "requests" | "started_at" | "finished_at">): string {
  const requests = plural(run.requests, "request");
  if (!run.finished_at) return requests;
  const seconds = (toDate(run.finished_at).getTime() - toDate(run.started_at).getTime()) / 1000;
  return `${requests} in ${formatDuration(seconds)}`;
}

// What to do when it fails ------------------------------------------------------------------------------

export type NextStep = "connect" | "reconnect" | "retry" | "wait" | "replace" | "sign_in" | "none";

interface Advice {
  title: string;
  /** What the person can do; without it the message's own hint is shown. */
  hint?: string;
  next: NextStep;
}

const BY_OPERATOR = "Only who runs this project can mend it. What you see stays as it is.";
const BY_ITSELF = "Nothing is lost. Try again in a moment; the schedule tries, too.";

const ADVICE: Record<string, Advice> = {
  // connecting
  token_invalid: {
    title: "Calendly does not know this token",
    hint: "Copy it again: at Calendly, Integrations & apps > API and webhooks > " +
      "Personal access tokens.",
    next: "none",
  },
  scope_missing: {
    title: "The token may not read what is needed",
    hint: "Make one with users:read and scheduled_events:read, and webhooks:write for webhooks.",
    next: "reconnect",
  },
  scopes_missing: {
    title: "The consent lacks a permission",
    hint: "Begin again and allow all that is asked for.",
    next: "none",
  },
  no_organization: {
    title: "This Calendly user belongs to no organization",
    hint: "Connect your own meetings only.",
    next: "none",
  },
  calendly_user_taken: { title: "This Calendly user is connected already", next: "none" },
  another_calendly_user: {
    title: "Your meetings here come from another Calendly user",
    hint: "To change over, the meetings of the former one are erased here, so that the two are " +
      "not mixed. Nothing is erased at Calendly.",
    next: "replace",
  },
  connection_changed: {
    title: "The connection changed meanwhile",
    hint: "Try again.",
    next: "retry",
  },
  oauth_state_invalid: {
    title: "This consent does not belong to you, or is too old",
    hint: "Begin again with \u201cConnect with Calendly\u201d.",
    next: "none",
  },
  oauth_code_invalid: {
    title: "The consent was used already, or is too old",
    hint: "Begin again with \u201cConnect with Calendly\u201d.",
    next: "none",
  },
  access_denied: {
    title: "You did not allow the access",
    hint: "Nothing was connected. Begin again if that was a mistake.",
    next: "none",
  },
  // syncing
  not_connected: {
    title: "You are not connected to Calendly",
    hint: "Connect, and the meetings are synced at once.",
    next: "connect",
  },
  reconnect_required: {
    title: "Calendly no longer accepts the token",
    hint: "Connect again. Your meetings stay, and the gap is filled.",
    next: "reconnect",
  },
  token_refused: {
    title: "Calendly refuses the token",
    hint: "It was revoked or has expired. Connect again. Your meetings stay.",
    next: "reconnect",
  },
  calendly_refused: { title: "Calendly refuses to list the meetings", next: "reconnect" },
  organization_left: {
    title: "You are no longer in the organization",
    hint: "Connect yourself to keep your meetings in step.",
    next: "connect",
  },
  synced_by_organization: {
    title: "An organization's connection brings these meetings",
    hint: "It would bring them again. Connect yourself, then disconnect and erase.",
    next: "none",
  },
  rate_limited: {
    title: "Calendly's rate limit is used up",
    hint: "The sync goes on by itself when the limit is free again.",
    next: "wait",
  },
  calendly_unavailable: { title: "Calendly does not answer", hint: BY_ITSELF, next: "retry" },
  lease_lost: {
    title: "Another worker has taken the sync over",
    hint: "It goes on by itself.",
    next: "wait",
  },
  replaced: { title: "Another sync took its place", next: "none" },
  disconnected: { title: "The connection was ended", next: "connect" },
  // webhooks
  webhooks_need_plan: {
    title: "Calendly's plan has no webhooks",
    hint: "Without them the schedule keeps the meetings in step.",
    next: "none",
  },
  webhooks_need_role: {
    title: "You may not subscribe for the organization",
    hint: "Its owner or an admin must connect.",
    next: "none",
  },
  // the project
  auth_unavailable: { title: "Auth does not answer", hint: BY_ITSELF, next: "retry" },
  database_unavailable: { title: "The database is away", hint: BY_ITSELF, next: "retry" },
  not_authenticated: { title: "You are signed out", hint: "Sign in again.", next: "sign_in" },
  invalid_jwt: { title: "Your session has ended", hint: "Sign in again.", next: "sign_in" },
  account_closed: { title: "This account is closed", hint: BY_OPERATOR, next: "none" },
  not_configured: { title: "The project's settings are not complete", next: "none" },
  project_moved: { title: "This project is a copy", hint: BY_OPERATOR, next: "none" },
  token_unreadable: { title: "The stored token cannot be read", next: "reconnect" },
  migrations_missing: { title: "The migrations are missing", next: "none" },
  functions_outdated: { title: "Functions and database do not fit together", next: "none" },
  database_outdated: { title: "Functions and database do not fit together", next: "none" },
  internal: { title: "Something went wrong in the project", next: "retry" },
};

/** What a failure means and what comes next; of an unknown code its own message. */
export function adviceFor(
  problem: Pick<Problem, "code" | "message" | "hint" | "status">,
): Required<Pick<Advice, "title" | "next">> & { hint?: string } {
  const known = ADVICE[problem.code];
  if (known) return { ...known, hint: known.hint ?? problem.hint };
  // No function answered: what stands in front of it did.
  if ([502, 503, 504, 546].includes(problem.status)) {
    return { title: "The functions do not answer", hint: BY_ITSELF, next: "retry" };
  }
  return { title: problem.message, hint: problem.hint, next: "retry" };
}
