/** The schedule: its ticks, the next one, and the jobs of pg_cron. */
import { useState } from "preact/hooks";
import { Status, type Tone } from "../ui/status.tsx";
import { formatDuration, intervalSeconds, now, Time } from "../ui/time.tsx";
import { overviewQuery, scheduleQuery, ticksQuery } from "./answers.ts";
import { EVERY, useAnswer } from "./ask.ts";
import { Figure, number, Panel, Pending, Screen, SmallTable } from "./parts.tsx";
import {
  type Cell,
  CELL_MEANINGS,
  CELL_WORDS,
  cellsOf,
  type CellState,
  describeCells,
} from "./ticks.ts";

/** As many ticks as the strip shows. */
const SHOWN = 60;

const TONES: Record<CellState, Tone> = {
  answered: "good",
  unanswered: "bad",
  thinned: "warn",
  quiet: "idle",
  failed: "bad",
  missing: "warn",
};

export function ScheduleScreen() {
  const resource = useAnswer(scheduleQuery, { every: EVERY });
  const overview = useAnswer(overviewQuery, { every: 15_000 });
  const schedule = resource.data;
  const step = schedule ? Math.max(intervalSeconds(schedule.tick), 1) * 1000 : 60_000;
  // To the step, so that the query stays the same from tick to tick.
  const since = Math.floor(now.value / step) * step - (SHOWN - 1) * step;
  const ticks = ticksQuery(new Date(since).toISOString());
  const strip = useAnswer(ticks, { every: EVERY });
  return (
    <Screen title="Schedule" resource={resource} every={EVERY} queries={[scheduleQuery]}>
      {!schedule
        ? <Pending resource={resource} title="The schedule cannot be shown" lines={8} />
        : (
          <>
            {schedule.unanswered_since && (
              <p role="status">
                <Status tone="bad">
                  Nobody has answered nudges since <Time at={schedule.unanswered_since} />
                  {schedule.backing_off && ": they are sent seldom until somebody answers"}. Deploy
                  calendly-sync, or start its functions again.
                </Status>
              </p>
            )}
            <div class="ops-figures">
              <Figure
                label="Next tick"
                value={overview.data?.next_tick_at
                  ? <Time at={overview.data.next_tick_at} mode="relative" />
                  : overview.data
                  ? "none"
                  : "\u00a0"}
                tone={overview.data && !overview.data.next_tick_at ? "bad" : undefined}
                hint={`every ${formatDuration(step / 1000)}`}
              />
              <Figure label="Last tick" value={<Time at={schedule.ticked_at} mode="relative" />} />
              <Figure
                label="Due"
                value={number(schedule.due)}
                href="#/operations/people"
                hint="connections"
              />
              <Figure
                label="Workers"
                value={`${schedule.running_workers} of ${schedule.max_workers}`}
                href="#/operations/runs?status=running"
                hint="busy"
              />
            </div>
            <Panel title={`The last ${SHOWN} ticks`} queries={[ticks]}>
              {!strip.data
                ? (
                  <Pending
                    resource={strip}
                    title="The ticks cannot be shown"
                    lines={1}
                    height={136}
                  />
                )
                : <Strip cells={cellsOf(strip.data, { now: now.value, step, length: SHOWN })} />}
            </Panel>
            <Panel title="Jobs of pg_cron" queries={[scheduleQuery]}>
              <SmallTable
                label="Jobs of pg_cron"
                empty="pg_cron has none of the jobs. In the SQL editor: select calendly.schedule_jobs();"
                rows={schedule.jobs}
                columns={[
                  { title: "Job", cell: ({ name }) => <code>{name}</code> },
                  {
                    title: "When",
                    cell: (job) =>
                      job.active ? <code>{job.schedule}</code> : <Status tone="warn">off</Status>,
                  },
                  { title: "Last run", cell: ({ started_at }) => <Time at={started_at} /> },
                  { title: "Result", cell: ({ status }) => <JobStatus status={status} /> },
                  {
                    title: "What it said",
                    cell: ({ message }) => <span class="ops-message">{message}</span>,
                  },
                ]}
              />
            </Panel>
            {schedule.restored_at && (
              <p class="muted">
                The database was found to be restored{" "}
                <Time at={schedule.restored_at} />: everything was synced again.
              </p>
            )}
          </>
        )}
    </Screen>
  );
}

function JobStatus({ status }: { status: string | null }) {
  if (status === null) return <Status tone="idle">not run yet</Status>;
  const tone = status === "failed" ? "bad" : status === "succeeded" ? "good" : "busy";
  return <Status tone={tone}>{status}</Status>;
}

function Strip({ cells }: { cells: Cell[] }) {
  const [chosen, setChosen] = useState<number>();
  const shown = cells.find(({ at }) => at === chosen) ?? cells.at(-1);
  const move = (event: KeyboardEvent) => {
    const index = cells.findIndex(({ at }) => at === shown?.at);
    const next = { ArrowLeft: index - 1, ArrowRight: index + 1, Home: 0, End: cells.length - 1 }[
      event.key
    ];
    if (next === undefined || !cells[next]) return;
    event.preventDefault();
    setChosen(cells[next].at);
  };
  return (
    <>
      <p class="muted">{describeCells(cells)}</p>
      <div
        class="ops-strip"
        role="slider"
        tabIndex={0}
        aria-label="Ticks"
        aria-valuemin={1}
        aria-valuemax={Math.max(cells.length, 1)}
        aria-valuenow={shown ? cells.indexOf(shown) + 1 : 1}
        aria-valuetext={shown ? tellCell(shown) : "none"}
        onKeyDown={move}
      >
        {cells.map((cell) => (
          <span
            key={cell.at}
            class={`ops-cell ${cell.state} ${cell === shown ? "shown" : ""}`}
            title={tellCell(cell)}
            onPointerEnter={() => setChosen(cell.at)}
            onClick={() => setChosen(cell.at)}
          />
        ))}
      </div>
      <p class="ops-cell-words" aria-hidden="true">
        {shown && (
          <>
            <Time at={shown.tick?.at ?? shown.at} mode="local" />{" "}
            <Status tone={TONES[shown.state]}>{CELL_WORDS[shown.state]}</Status>{" "}
            <span class="muted">{numbersOf(shown)}</span>
          </>
        )}
      </p>
      <details class="ops-legend">
        <summary>What the colors mean</summary>
        <dl>
          {(Object.keys(CELL_WORDS) as CellState[]).map((state) => (
            <div key={state}>
              <dt>
                <span class={`ops-cell ${state}`} aria-hidden="true" />
                <span>{CELL_WORDS[state]}</span>
              </dt>
              <dd>{CELL_MEANINGS[state]}</dd>
            </div>
          ))}
        </dl>
      </details>
    </>
  );
}

function tellCell(cell: Cell): string {
  const time = new Date(cell.tick?.at ?? cell.at).toLocaleTimeString("en-GB");
  return [time, CELL_WORDS[cell.state], numbersOf(cell)].filter((part) => part !== "").join(", ");
}

function numbersOf({ tick }: Cell): string {
  if (!tick) return "";
  if (tick.error !== null) return tick.error;
  return [
    [tick.due, "due"],
    [tick.nudges, "nudged"],
    [tick.runs_started, tick.runs_started === 1 ? "run started" : "runs started"],
    [tick.running_workers, "busy"],
  ].filter(([count]) => count).map((words) => words.join(" ")).join(", ");
}
