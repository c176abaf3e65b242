/** Alerts: each with the problem, what it means, the rows that prove it, and what to do. */
import { useState } from "preact/hooks";
import { theConfig } from "../data/config.ts";
import { link } from "../routes.ts";
import { Button, CopyButton, LinkButton } from "../ui/button.tsx";
import { Empty } from "../ui/states.tsx";
import { Badge } from "../ui/status.tsx";
import { Time } from "../ui/time.tsx";
import { askOne, askRows, EVERY, keyOf, useRows } from "./ask.ts";
import { evidenceOf } from "./evidence.ts";
import { Json, number, Pending, PersonLink, Screen } from "./parts.tsx";
import { useResource } from "../data/resource.ts";
import { rows, toCurl } from "./query.ts";
import { SEVERITY_WORDS, wordOf } from "./words.ts";

export const alertsQuery = rows("calendly_alerts", {
  select: [
    "code",
    "severity",
    "user_id",
    "since",
    "message",
    "what_to_do",
    "evidence",
    "evidence_sql",
  ],
  // "critical" is before "warning".
  order: [{ column: "severity" }, { column: "code" }, { column: "user_id" }],
  limit: 200,
});

type AlertRow = NonNullable<typeof alertsQuery.row>;

export function AlertsScreen() {
  const resource = useRows(alertsQuery, { every: EVERY });
  const alerts = resource.data?.rows;
  return (
    <Screen title="Alerts" resource={resource} every={EVERY} queries={[alertsQuery]}>
      {!alerts
        ? <Pending resource={resource} title="The alerts cannot be shown" lines={6} />
        : alerts.length === 0
        ? (
          <Empty
            icon="check"
            title="No alert"
            hint="An alert is something that a person must do something about. What mends itself is none."
          />
        )
        : (
          <ol class="ops-alerts">
            {alerts.map((alert) => (
              <li key={`${alert.code}${alert.user_id}`}>
                <AlertCard alert={alert} />
              </li>
            ))}
          </ol>
        )}
    </Screen>
  );
}

function AlertCard({ alert }: { alert: AlertRow }) {
  const [open, setOpen] = useState(false);
  const code = alert.code ?? "";
  const { title, impact, query, link: more } = evidenceOf(code, alert.user_id, alert.evidence);
  const severity = wordOf(SEVERITY_WORDS, alert.severity);
  return (
    <article class={`card ops-alert ${alert.severity}`}>
      <header>
        <h2>{title}</h2>
        <Badge tone={severity.tone} title={severity.meaning}>{severity.word}</Badge>
        <code class="muted">{code}</code>
        {alert.since && (
          <span class="muted">
            since <Time at={alert.since} />
          </span>
        )}
        {alert.user_id !== null && <PersonLink id={alert.user_id} />}
      </header>
      <dl class="facts">
        <dt>Problem</dt>
        <dd>{alert.message}</dd>
        <dt>Impact</dt>
        <dd>{impact}</dd>
        <dt>Fix</dt>
        <dd>{alert.what_to_do}</dd>
      </dl>
      <div class="actions">
        <Button
          icon={open ? "down" : "right"}
          aria-expanded={open}
          onClick={() => setOpen(!open)}
        >
          Evidence
        </Button>
        <LinkButton href={more.href}>{more.text}</LinkButton>
        {alert.evidence_sql && <CopyButton text={alert.evidence_sql} label="as SQL" />}
        <CopyButton text={() => toCurl(query, theConfig().url)} label="as curl" />
      </div>
      {open && <Evidence alert={alert} query={query} />}
    </article>
  );
}

function Evidence(
  { alert, query }: { alert: AlertRow; query: ReturnType<typeof evidenceOf>["query"] },
) {
  const resource = useResource(
    async (signal) =>
      query.kind === "rows"
        ? (await askRows(query, { signal })).rows
        : [await askOne(query, { signal })],
    [keyOf(query)],
    { every: EVERY },
  );
  const rows = resource.data as Record<string, unknown>[] | undefined;
  return (
    <div class="ops-evidence">
      {!rows
        ? <Pending resource={resource} title="The evidence cannot be shown" lines={3} />
        : rows.length === 0
        ? <p class="muted">No row is there any more: the alert ends with the next look.</p>
        : rows.map((row, index) => (
          <div key={index}>
            {typeof row.id === "string" && query.kind === "rows" && (
              <a
                href={link(
                  "operations",
                  query.from === "calendly_sync_runs"
                    ? "runs"
                    : query.from === "calendly_webhook_events"
                    ? "deliveries"
                    : "people",
                  query.from === "calendly_connections" ? String(row.user_id) : row.id,
                )}
              >
                Open
              </a>
            )}
            <dl class="facts">
              {Object.entries(row).map(([name, value]) => (
                <div key={name}>
                  <dt>{name}</dt>
                  <dd>{tellValue(value)}</dd>
                </div>
              ))}
            </dl>
          </div>
        ))}
      <Json value={alert} label="Raw alert" />
    </div>
  );
}

function tellValue(value: unknown) {
  if (value === null || value === undefined) return <span class="muted">null</span>;
  if (typeof value === "number") return number(value);
  if (typeof value === "string" && /^\d{4}-\d\d-\d\dT/.test(value)) return <Time at={value} />;
  if (typeof value === "object") {
    const { message, hint, code } = value as Record<string, unknown>;
    return typeof message === "string"
      ? `${message} ${hint ?? ""} (${code ?? ""})`
      : <code>{JSON.stringify(value)}</code>;
  }
  return String(value);
}
