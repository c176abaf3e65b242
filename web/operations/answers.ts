/** What the database functions of the operations answer: see supabase/migrations/…880_console.sql. */
import { call, edgeFunction, type Row } from "./query.ts";
import type { StoredError } from "./parts.tsx";
import type { DayCount, FreshnessPoint } from "./plots.ts";

export interface Alert {
  code: string;
  severity: string;
  user_id: number | null;
  since: string | null;
  message: string;
  what_to_do: string;
}

export interface Overview {
  now: string;
  status: "healthy" | "unhealthy";
  alerts: { critical: number; warning: number };
  first_alert: Alert | null;
  freshness: {
    p50_seconds: number | null;
    p95_seconds: number | null;
    max_seconds: number | null;
    users: number;
    never_synced: number;
    due: number;
  };
  counts: {
    users: number;
    users_without_account: number;
    connections: number;
    failing_connections: number;
    active_runs: number;
    paused_runs: number;
    meetings: number;
    meetings_are_estimated: boolean;
    deliveries_24h: number;
    deferred_deliveries: number;
    dead_deliveries: number;
  };
  running_workers: number;
  max_workers: number;
  last_tick_at: string | null;
  next_tick_at: string | null;
  backing_off: boolean;
  versions: { database: string | null; postgres: string };
}

export const overviewQuery = call<Overview>("calendly_console_overview");

export function freshnessQuery(since: string, step: string) {
  return call<FreshnessPoint[]>("calendly_freshness_history", { since, step }, { isSet: true });
}

/** What GET calendly-sync/health answers to a secret key, healthy or not. */
export interface FunctionsHealth {
  status: string;
  versions: { functions: string; database: string | null };
  configuration_errors?: { code: string; message: string; hint?: string }[];
}

export const healthQuery = edgeFunction<FunctionsHealth>("GET", "calendly-sync/health");

export interface Step {
  kind: string;
  at: string;
  /** Null: it is being worked on. */
  until: string | null;
  /** How many steps this one stands for. */
  steps?: number;
  requests?: number;
  events?: number;
  invitees_read?: number;
  created?: number;
  updated?: number;
  unchanged?: number;
  deleted?: number;
  restored?: number;
  rejected?: number;
  missing?: number;
  interruption?: string;
  code?: string;
}

export interface RunDetails {
  run: {
    id: string;
    user_id: number;
    status: string;
    sync_type: string;
    trigger: string;
    initial: boolean;
    min_start_time: string;
    max_start_time: string;
    fetched_active: number;
    fetched_canceled: number;
    created: number;
    updated: number;
    unchanged: number;
    deleted: number;
    restored: number;
    rejected: number;
    missing: number;
    hosts_without_account: number | null;
    requests: number;
    progress: Record<string, unknown>;
    error: StoredError | null;
    resume_at: string | null;
    started_at: string;
    heartbeat_at: string;
    finished_at: string | null;
  };
  steps: Step[];
  rejections: { uri: string; problem: string }[];
  people: {
    count: number;
    first: { user_id: number; name: string | null; email: string | null; has_account: boolean }[];
  };
  connection: {
    id: string;
    user_id: number;
    scope: string;
    members: string;
    state: string;
    covered: boolean;
  };
  worker: {
    slot: number | null;
    lease_expires_at: string;
    ends_at: string | null;
    requests_left: number;
  } | null;
}

export function runDetailsQuery(id: string) {
  return call<RunDetails>("calendly_run_details", { run_id: id });
}

export function deliveriesByDayQuery(since: string) {
  return call<(DayCount & { is_complete: boolean })[]>("calendly_deliveries_by_day", { since }, {
    isSet: true,
  });
}

export interface DeliveryDetails {
  delivery: {
    id: string;
    event_id: string;
    event_type: string;
    payload: unknown;
    processed_at: string | null;
    user_id: number | null;
    created_at: string;
    status: string;
    attempts: number;
    error: StoredError | null;
  };
  event_uri: string | null;
  meetings: {
    id: number;
    user_id: number;
    name: string | null;
    status: string;
    is_deleted: boolean;
    deleted_reason: string | null;
    start_time: string;
    synced_via_webhook: boolean;
    updated_at: string;
  }[];
  next_run: {
    id: string;
    status: string;
    trigger: string;
    started_at: string;
    finished_at: string | null;
  } | null;
}

export function deliveryDetailsQuery(id: string) {
  return call<DeliveryDetails>("calendly_delivery_details", { id });
}

export interface Tick {
  at: string;
  due: number | null;
  nudges: number | null;
  answered: boolean | null;
  running_workers: number | null;
  runs_started: number | null;
  error: string | null;
}

export function ticksQuery(since: string) {
  return call<Tick[]>("calendly_schedule_ticks", { since }, { isSet: true });
}

export interface Schedule {
  project_url: string | null;
  tick: string;
  ticked_at: string | null;
  unanswered_since: string | null;
  backing_off: boolean;
  restored_at: string | null;
  due: number;
  running_workers: number;
  max_workers: number;
  jobs: {
    name: string;
    schedule: string;
    active: boolean;
    started_at: string | null;
    status: string | null;
    message: string | null;
  }[];
}

export const scheduleQuery = call<Schedule>("calendly_schedule");

/** One person with the connection that brings their meetings, or theirs that has ended. */
export interface Person {
  user_id: number;
  name: string | null;
  email: string | null;
  has_account: boolean;
  initial_sync_complete: boolean;
  webhook_delivers: boolean;
  state: string;
  staleness_seconds: number | null;
  token_kind: string | null;
  token_expires_at: string | null;
  connection: Row<"calendly_connections"> | null;
  /** How many people there are with these filters. */
  total: number;
}
