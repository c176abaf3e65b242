/** Runs of calendly_sync_runs in words. What is counted was counted by the run; nothing is estimated. */
import { count } from "./words.ts";

/** A row of calendly_sync_runs, the columns that are shown; times as Postgres writes them. */
export interface Run {
  id: string;
  connection_id: string;
  user_id: number;
  trigger: string;
  sync_type: "FULL" | "INCREMENTAL";
  status: "running" | "paused" | "complete" | "failed";
  fetched_active: number;
  fetched_canceled: number;
  created: number;
  updated: number;
  unchanged: number;
  deleted: number;
  restored: number;
  rejected: number;
  /** Null for a person's own listing, and until the run is complete. */
  hosts_without_account: number | null;
  requests: number;
  progress: {
    phase?: string;
    events?: number;
    /** Events whose invitees were fetched. */
    invitees_read?: number;
    /** Null until all events are listed. */
    invitees_to_read?: number | null;
  };
  error: { code?: string; message?: string; hint?: string } | null;
  resume_at: string | null;
  started_at: string;
  finished_at: string | null;
}

export const RUN_COLUMNS = "id, connection_id, user_id, trigger, sync_type, status, " +
  "fetched_active, fetched_canceled, created, updated, unchanged, deleted, restored, rejected, " +
  "hosts_without_account, requests, progress, error, resume_at, started_at, finished_at";

/** "120 events listed, invitees of 30 of 48 events fetched (63 %), 36 requests". */
export function describeProgress({ progress, requests }: Pick<Run, "progress" | "requests">) {
  const { events = 0, invitees_read = 0, invitees_to_read } = progress;
  const share = invitees_to_read
    ? ` (${Math.floor(Math.min(invitees_read / invitees_to_read, 1) * 100)} %)`
    : "";
  const invitees = invitees_to_read
    ? [`invitees of ${invitees_read} of ${count(invitees_to_read, "event")} fetched${share}`]
    : invitees_read
    ? [`invitees of ${count(invitees_read, "event")} fetched`]
    : [];
  return [`${count(events, "event")} listed`, ...invitees, count(requests, "request")].join(", ");
}

/** "3 min ago", "in 2 h", "never". */
export function age(time: string | null, now: Date): string {
  if (!time) return "never";
  const seconds = (now.getTime() - Date.parse(time)) / 1000;
  return seconds >= 0 ? `${duration(seconds)} ago` : `in ${duration(-seconds)}`;
}

export function duration(seconds: number): string {
  if (seconds < 60) return `${Math.round(seconds)} s`;
  if (seconds < 3600) return `${Math.round(seconds / 60)} min`;
  if (seconds < 2 * 86_400) return `${(seconds / 3600).toFixed(1)} h`;
  return `${Math.round(seconds / 86_400)} d`;
}
