/** The first screen: one sentence, how fresh the meetings are, and where to look further. */
import { useMemo } from "preact/hooks";
import { useResource } from "../data/resource.ts";
import { theConfig } from "../data/config.ts";
import { Icon } from "../ui/icon.tsx";
import { Plot } from "../ui/plot.tsx";
import { currentTime, formatDuration, now, Time } from "../ui/time.tsx";
import { alertsQuery } from "./alerts.tsx";
import {
  freshnessQuery,
  type FunctionsHealth,
  healthQuery,
  type Overview,
  overviewQuery,
} from "./answers.ts";
import { askHealth, useAnswer, useRows } from "./ask.ts";
import { Figure, number, Panel, Pending, PersonLink, Screen, SmallTable } from "./parts.tsx";
import { describeFreshness, durationMarks, freshnessData } from "./plots.ts";
import { rows } from "./query.ts";
import { type Facts, firstSentence, type Sentence } from "./sentence.ts";
import { remembered } from "../ui/remembered.ts";

/** In milliseconds. */
const FIGURES_EVERY = 10_000;
const PLOT_EVERY = 30_000;

const PERIODS = { "1h": 3_600_000, "24h": 86_400_000, "7d": 7 * 86_400_000 } as const;
const period = remembered<keyof typeof PERIODS>("freshness", "24h", ["1h", "24h", "7d"]);

/** The paused run that goes on last. */
const pausedQuery = rows("calendly_sync_runs", {
  select: ["resume_at", "error"],
  where: [{ column: "status", is: "eq", value: "paused" }],
  order: [{ column: "resume_at", descending: true, nullsFirst: false }],
  limit: 1,
});

export function OverviewScreen() {
  const resource = useAnswer(overviewQuery, { every: FIGURES_EVERY });
  const alerts = useRows(alertsQuery, { every: FIGURES_EVERY });
  const paused = useRows(pausedQuery, { every: FIGURES_EVERY });
  const health = useResource(askHealth, [], { every: 15_000 });
  const overview = resource.data;
  const functionsProblem = health.problem && health.problem.status !== 401
    ? {
      message: health.problem.message,
      hint: theConfig().kind === "local"
        ? "Look at what `task start` prints, or end it with Ctrl-C and start it again."
        : "Deploy them: calendly-sync deploy. Then look at their log in the project's dashboard.",
    }
    : null;
  // Not before the functions were asked: without them nothing is well.
  const asked = health.data ?? health.problem;
  const stale = resource.problem ? resource : alerts;
  const sentence = overview && alerts.data && asked && firstSentence({
    alerts: alerts.data.rows.map((alert) => ({
      code: alert.code ?? "",
      severity: alert.severity ?? "",
      user_id: alert.user_id,
      message: alert.message ?? "",
      what_to_do: alert.what_to_do ?? "",
    })),
    freshness: {
      users: overview.freshness.users,
      neverSynced: overview.freshness.never_synced,
      maxSeconds: overview.freshness.max_seconds,
    },
    failingConnections: overview.counts.failing_connections,
    paused: pausedFacts(overview, paused.data?.rows[0]),
    functionsProblem,
    unread: stale.problem && {
      seconds: (now.value - stale.at!) / 1000,
      message: stale.problem.message,
      hint: stale.problem.hint,
    },
    configurationErrors: health.data?.configuration_errors ?? [],
    kind: theConfig().kind,
  });
  return (
    <Screen
      title="Overview"
      resource={resource}
      every={FIGURES_EVERY}
      queries={[overviewQuery, alertsQuery]}
    >
      {!sentence || !overview
        ? (
          <>
            <div class="card ops-sentence empty">
              <Pending
                resource={stale}
                lines={2}
                height={26}
                title="The project cannot be read"
              />
            </div>
            <Counts />
          </>
        )
        : (
          <>
            <FirstSentence sentence={sentence} />
            <Counts overview={overview} alerts={alerts.data?.rows.length ?? 0} />
          </>
        )}
      <Freshness overview={overview} />
      <Versions overview={overview} health={health.data} failed={functionsProblem !== null} />
    </Screen>
  );
}

function pausedFacts(
  { counts }: Overview,
  first?: { resume_at: string | null; error: unknown },
): Facts["paused"] {
  return {
    runs: counts.paused_runs,
    resumeInSeconds: first?.resume_at ? (Date.parse(first.resume_at) - currentTime()) / 1000 : null,
    code: (first?.error as { code?: string } | null)?.code ?? null,
  };
}

const SENTENCE_ICONS = {
  good: "check",
  warning: "warning",
  critical: "error",
  empty: "info",
} as const;

function FirstSentence({ sentence }: { sentence: Sentence }) {
  return (
    <section class={`card ops-sentence ${sentence.tone}`} aria-label="State" role="status">
      <Icon name={SENTENCE_ICONS[sentence.tone]} />
      <div>
        <p class="ops-headline">{sentence.headline}</p>
        <p>
          {sentence.detail} {sentence.person !== undefined && (
            <>
              <PersonLink id={sentence.person} />
              {sentence.link && ", "}
            </>
          )}
          {sentence.link && <a href={sentence.link.href}>{sentence.link.text}</a>}
        </p>
      </div>
    </section>
  );
}

/** Without an overview the same places, empty, so that nothing moves when it comes. */
function Counts({ overview, alerts }: { overview?: Overview; alerts?: number }) {
  const counts = overview?.counts;
  const shown = (value: number | undefined) => value === undefined ? "\u00a0" : number(value);
  return (
    <div class="ops-figures">
      <Figure
        label="Alerts"
        value={shown(alerts)}
        tone={overview?.alerts.critical ? "bad" : alerts ? "warn" : undefined}
        href="#/operations/alerts"
        hint={overview ? `${overview.alerts.critical} critical` : "\u00a0"}
      />
      <Figure
        label="People"
        value={shown(counts?.users)}
        href="#/operations/people"
        hint={counts ? `${number(counts.users_without_account)} no account` : "\u00a0"}
      />
      <Figure
        label="Connections"
        value={shown(counts?.connections)}
        href="#/operations/people?state=active"
        hint={overview ? `${number(overview.freshness.due)} due` : "\u00a0"}
      />
      <Figure
        label="Runs"
        value={counts ? number(counts.active_runs + counts.paused_runs) : "\u00a0"}
        href="#/operations/runs?status=running,paused"
        hint={counts ? `${number(counts.paused_runs)} paused` : "\u00a0"}
      />
      <Figure
        label="Meetings"
        value={counts
          ? `${counts.meetings_are_estimated ? "≈ " : ""}${number(counts.meetings)}`
          : "\u00a0"}
        href="#/operations/meetings"
      />
      <Figure
        label="Deliveries, 24 h"
        value={shown(counts?.deliveries_24h)}
        href="#/operations/deliveries?since=24h"
        hint={counts ? `${number(counts.deferred_deliveries)} deferred` : "\u00a0"}
      />
      <Figure
        label="Dead deliveries"
        value={shown(counts?.dead_deliveries)}
        href="#/operations/deliveries?status=dead"
        tone={counts?.dead_deliveries ? "warn" : undefined}
      />
      <Figure
        label="Next tick"
        value={overview
          ? overview.next_tick_at ? <NextTick overview={overview} /> : "none"
          : "\u00a0"}
        href="#/operations/schedule"
        tone={overview && !overview.next_tick_at ? "bad" : undefined}
        hint={overview
          ? (
            <>
              last <Time at={overview.last_tick_at} mode="relative" />
            </>
          )
          : "\u00a0"}
      />
    </div>
  );
}

/** Counts down by the database's clock, which the browser's need not agree with. */
function NextTick({ overview }: { overview: Overview }) {
  const ahead = useMemo(() => Date.parse(overview.now) - currentTime(), [overview.now]);
  const seconds = Math.round((Date.parse(overview.next_tick_at!) - ahead - now.value) / 1000);
  return <>{seconds > 0 ? `in ${formatDuration(seconds)}` : "now"}</>;
}

function Freshness({ overview }: { overview?: Overview }) {
  const length = PERIODS[period.value];
  // To the minute, so that the query stays the same for a while.
  const since = Math.floor((currentTime() - length) / 60_000) * 60_000;
  const step = { "1h": "1 minute", "24h": "15 minutes", "7d": "2 hours" }[period.value];
  const query = freshnessQuery(new Date(since).toISOString(), step);
  const resource = useAnswer(query, { every: PLOT_EVERY });
  const points = resource.data;
  const data = useMemo(() => points && freshnessData(points), [points]);
  const freshness = overview?.freshness;
  const figure = (value: number | null | undefined) =>
    value === undefined ? "\u00a0" : value === null ? "–" : formatDuration(Math.round(value));
  return (
    <Panel
      title="Freshness"
      queries={[query]}
      actions={
        <select
          aria-label="Time shown"
          value={period.value}
          onChange={(event) => period.value = event.currentTarget.value as keyof typeof PERIODS}
        >
          <option value="1h">Last hour</option>
          <option value="24h">Last 24 hours</option>
          <option value="7d">Last 7 days</option>
        </select>
      }
    >
      <p class="muted">
        How long ago all of a person's meetings were last proven to be as Calendly has them. What a
        delivery brings in between is newer still.
      </p>
      <div class="ops-figures three">
        <Figure
          label="p50"
          value={figure(freshness?.p50_seconds)}
          hint="half of the people, at most"
        />
        <Figure label="p95" value={figure(freshness?.p95_seconds)} hint="95 of 100, at most" />
        <Figure label="max" value={figure(freshness?.max_seconds)} hint="everybody, at most" />
      </div>
      <div class="ops-plot-place">
        {!points || !data
          ? <Pending resource={resource} lines={6} height={30} title="Freshness cannot be shown" />
          : points.length === 0
          ? <p class="muted">Nobody was synced completely in this time.</p>
          : (
            <Plot
              summary={`Freshness, ${period.value}: ${describeFreshness(points)}`}
              data={data}
              series={[
                { label: "p50", color: "accent" },
                { label: "p95", color: "info", dash: [6, 3] },
                { label: "max", color: "warn", dash: [2, 3] },
              ]}
              height={180}
              format={(seconds) => formatDuration(Math.round(seconds))}
              marks={(max) => durationMarks(max, 4)}
              from={since / 1000}
              to={Math.max(since + length, Date.parse(points.at(-1)!.at)) / 1000}
            />
          )}
      </div>
      <details>
        <summary>As a table</summary>
        <SmallTable
          label="Freshness over time"
          empty="Nobody was synced completely in this time."
          rows={points?.toReversed() ?? []}
          columns={[
            { title: "At", cell: ({ at }) => <Time at={at} /> },
            { title: "p50", right: true, cell: (point) => figure(point.p50_seconds) },
            { title: "p95", right: true, cell: (point) => figure(point.p95_seconds) },
            { title: "max", right: true, cell: (point) => figure(point.max_seconds) },
          ]}
        />
      </details>
    </Panel>
  );
}

function Versions(
  { overview, health, failed }: {
    overview?: Overview;
    health?: FunctionsHealth;
    failed: boolean;
  },
) {
  const functions = health?.versions?.functions;
  const database = overview?.versions.database;
  return (
    <Panel title="Versions" queries={[healthQuery]}>
      <dl class="ops-versions">
        <div>
          <dt>Functions</dt>
          <dd>{failed ? "do not answer" : functions ?? "\u00a0"}</dd>
        </div>
        <div>
          <dt>Database</dt>
          <dd>{database ?? "\u00a0"}</dd>
        </div>
        <div>
          <dt>Console</dt>
          <dd>{theConfig().version}</dd>
        </div>
        <div>
          <dt>Postgres</dt>
          <dd>{overview?.versions.postgres ?? "\u00a0"}</dd>
        </div>
        <div>
          <dt>Project</dt>
          <dd>
            <code>{theConfig().url}</code>
          </dd>
        </div>
      </dl>
    </Panel>
  );
}
