/** The figures of calendly_metrics as OpenMetrics text (openmetrics.io), which Prometheus and its kind read. */
import type { Metrics } from "../_shared/calendly/contract.ts";
import { VERSION } from "../_shared/calendly/version.ts";

export const CONTENT_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8";

type Labels = Record<string, string>;
type Sample = [labels: Labels, value: number];
interface Family {
  name: string;
  help: string;
  type?: "gauge" | "info";
  samples: Sample[];
}

export function exposition(metrics: Metrics, configurationErrors: number): string {
  return [...familiesOf(metrics, configurationErrors).flatMap(linesOf), "# EOF\n"].join("\n");
}

function familiesOf(metrics: Metrics, configurationErrors: number): Family[] {
  return [
    {
      name: "calendly_sync_build",
      help: "Versions of the Edge Functions and of the database.",
      type: "info",
      samples: [[{ functions: VERSION, database: metrics.version ?? "" }, 1]],
    },
    gauge(
      "calendly_sync_healthy",
      "1 while no alert is critical and no variable is wrong, else 0.",
      metrics.status === "healthy" && configurationErrors === 0 ? 1 : 0,
    ),
    gauge(
      "calendly_sync_configuration_errors",
      "Variables of the functions' environment that are wrong.",
      configurationErrors,
    ),
    {
      name: "calendly_sync_alerts",
      help: "Rows of calendly_alerts.",
      samples: metrics.alerts.map(({ code, severity, count }) => [{ code, severity }, count]),
    },
    gauge("calendly_sync_users", "Users with an active connection.", metrics.users),
    gauge(
      "calendly_sync_users_never_synced",
      "Of them, those without a complete sync.",
      metrics.never_synced,
    ),
    gauge(
      "calendly_sync_staleness_p50_seconds",
      "Half of the users were proven to be up to date less long ago.",
      metrics.staleness_p50,
    ),
    gauge(
      "calendly_sync_staleness_p95_seconds",
      "95 of 100 users were proven to be up to date less long ago.",
      metrics.staleness_p95,
    ),
    gauge(
      "calendly_sync_staleness_max_seconds",
      "How long ago the stalest user was proven to be up to date.",
      metrics.staleness_max,
    ),
    gauge("calendly_sync_due", "Connections whose sync is due.", metrics.due),
    gauge(
      "calendly_sync_running_workers",
      "Runs that a worker is working on.",
      metrics.running_workers,
    ),
    gauge("calendly_sync_max_workers", "So many may run at once.", metrics.max_workers),
    gauge(
      "calendly_sync_last_tick_timestamp_seconds",
      "When the schedule last ran.",
      metrics.ticked_at,
    ),
  ];
}

/** A figure of the whole project; null: there is none. */
function gauge(name: string, help: string, value: number | null): Family {
  return { name, help, samples: value === null ? [] : [[{}, value]] };
}

function linesOf({ name, help, type = "gauge", samples }: Family): string[] {
  const unit = name.endsWith("_seconds") ? [`# UNIT ${name} seconds`] : [];
  const sample = type === "info" ? `${name}_info` : name;
  return [
    `# TYPE ${name} ${type}`,
    ...unit,
    `# HELP ${name} ${help}`,
    ...samples.map(([labels, value]) => `${sample}${labelsOf(labels)} ${value}`),
  ];
}

function labelsOf(labels: Labels): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escape(value)}"`);
  return pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
}

function escape(value: string): string {
  return value.replace(/\\/g, "\\\\").replace(/\n/g, "\\n").replace(/"/g, '\\"');
}
