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

type Figures = Metrics & { configurationErrors: number };

/** Figures of the whole project; null: there is none. */
const GAUGES: [name: string, help: string, value: (figures: Figures) => number | null][] = [
  [
    "calendly_sync_healthy",
    "1 while no alert is critical and no variable is wrong, else 0.",
    ({ status, configurationErrors }) => status === "healthy" && configurationErrors === 0 ? 1 : 0,
  ],
  [
    "calendly_sync_configuration_errors",
    "Variables of the functions' environment that are wrong.",
    ({ configurationErrors }) => configurationErrors,
  ],
  ["calendly_sync_users", "Users with an active connection.", ({ users }) => users],
  [
    "calendly_sync_users_never_synced",
    "Of them, those without a complete sync.",
    ({ never_synced }) => never_synced,
  ],
  [
    "calendly_sync_staleness_p50_seconds",
    "Half of the users were proven to be up to date less long ago.",
    ({ staleness_p50 }) => staleness_p50,
  ],
  [
    "calendly_sync_staleness_p95_seconds",
    "95 of 100 users were proven to be up to date less long ago.",
    ({ staleness_p95 }) => staleness_p95,
  ],
  [
    "calendly_sync_staleness_max_seconds",
    "How long ago the stalest user was proven to be up to date.",
    ({ staleness_max }) => staleness_max,
  ],
  ["calendly_sync_due", "Connections whose sync is due.", ({ due }) => due],
  [
    "calendly_sync_running_workers",
    "Runs that a worker is working on.",
    ({ running_workers }) => running_workers,
  ],
  ["calendly_sync_max_workers", "So many may run at once.", ({ max_workers }) => max_workers],
  [
    "calendly_sync_last_tick_timestamp_seconds",
    "When the schedule last ran.",
    ({ ticked_at }) => ticked_at,
  ],
];

function familiesOf(metrics: Metrics, configurationErrors: number): Family[] {
  return [
    {
      name: "calendly_sync_build",
      help: "Versions of the Edge Functions and of the database.",
      type: "info",
      samples: [[{ functions: VERSION, database: metrics.version ?? "" }, 1]],
    },
    {
      name: "calendly_sync_alerts",
      help: "Rows of calendly_alerts.",
      samples: metrics.alerts.map(({ code, severity, count }) => [{ code, severity }, count]),
    },
    ...GAUGES.map(([name, help, valueOf]): Family => {
      const value = valueOf({ ...metrics, configurationErrors });
      return { name, help, samples: value === null ? [] : [[{}, value]] };
    }),
  ];
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
