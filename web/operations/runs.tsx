/** Every sync, the latest first. */
import { describeProgress, type Run } from "../../cli/runs.ts";
import { count } from "../../cli/words.ts";
import { link, route } from "../routes.ts";
import { currentTime, now, Time } from "../ui/time.tsx";
import { EVERY } from "./ask.ts";
import { ChoiceFilter, FilterBar, PersonFilter, SinceFilter, WordFilter } from "./filter_bar.tsx";
import {
  type Filters,
  isFiltered,
  readFilters,
  RUN_FILTERS,
  RUN_STATUSES,
  sinceValue,
  SYNC_TYPES,
  TRIGGERS,
} from "./filters.ts";
import { ListTable, PERSON, useList } from "./list.tsx";
import { Legend, Screen, WordStatus } from "./parts.tsx";
import { given, type Row, rowsWithPerson, type WithPerson } from "./query.ts";
import { took } from "./timeline.ts";
import { RUN_WORDS, syncTypeName, TRIGGER_WORDS, wordOf } from "./words.ts";

const COLUMNS = [
  "id",
  "user_id",
  "status",
  "sync_type",
  "trigger",
  "started_at",
  "finished_at",
  "heartbeat_at",
  "resume_at",
  "created",
  "updated",
  "unchanged",
  "deleted",
  "restored",
  "rejected",
  "requests",
  "progress",
  "error",
] as const;

export type RunRow = Pick<Row<"calendly_sync_runs">, typeof COLUMNS[number]> & WithPerson;

export function runsQuery(filters: Partial<Filters<typeof RUN_FILTERS>>, at: number) {
  return rowsWithPerson("calendly_sync_runs", {
    select: COLUMNS,
    where: given([
      { column: "status", is: "in", value: filters.status },
      { column: "sync_type", is: "eq", value: filters.type },
      { column: "trigger", is: "eq", value: filters.trigger },
      { column: "user_id", is: "eq", value: filters.person },
      { column: "started_at", is: "gte", value: sinceValue(filters.since ?? null, at) },
    ]),
    order: [{ column: "started_at", descending: true }, { column: "id" }],
  });
}

export function RunsScreen() {
  const filters = readFilters(RUN_FILTERS, route.value.query);
  const list = useList(runsQuery(filters, currentTime()));
  return (
    <Screen title="Runs" resource={list.resource} every={EVERY} queries={[list.query]}>
      <FilterBar
        total={list.total}
        hasMore={list.hasMore}
        filtered={isFiltered(filters)}
        noun={["run", "runs"]}
      >
        <WordFilter
          name="status"
          label="Status"
          options={RUN_STATUSES}
          words={RUN_WORDS}
          chosen={filters.status}
        />
        <ChoiceFilter
          name="type"
          label="Type of sync"
          all="Any type"
          options={SYNC_TYPES.map((type) => [type, syncTypeName(type)] as const)}
          chosen={filters.type}
        />
        <ChoiceFilter
          name="trigger"
          label="Begun by"
          all="Begun by anybody"
          options={TRIGGERS.map((trigger) => [trigger, trigger] as const)}
          chosen={filters.trigger}
        />
        <SinceFilter chosen={filters.since} />
        <PersonFilter chosen={filters.person} />
      </FilterBar>
      <RunTable list={list} filtered={isFiltered(filters)} />
      {list.resource.data && <Legend title="What the words mean" words={RUN_WORDS} />}
    </Screen>
  );
}

export function RunTable(
  { list, filtered }: { list: ReturnType<typeof useList<RunRow>>; filtered: boolean },
) {
  return (
    <ListTable<RunRow>
      list={list}
      label="Runs"
      rowKey={({ id }) => id}
      href={({ id }) => link("operations", "runs", id)}
      empty={filtered
        ? { title: "No run is like this", hint: "Take a filter away to see others." }
        : { title: "No run yet", hint: "The first begins when somebody connects." }}
      columns={[
        {
          id: "status",
          title: "Status",
          width: "104px",
          cell: ({ status }) => <WordStatus word={wordOf(RUN_WORDS, status)} />,
        },
        {
          id: "started",
          title: "Started",
          width: "minmax(96px, 0.9fr)",
          cell: ({ started_at }) => <Time at={started_at} />,
        },
        PERSON,
        {
          id: "type",
          title: "Type",
          width: "92px",
          wideOnly: true,
          cell: ({ sync_type }) => syncTypeName(sync_type),
        },
        {
          id: "trigger",
          title: "Begun by",
          width: "84px",
          wideOnly: true,
          cell: ({ trigger }) => <span title={TRIGGER_WORDS[trigger]}>{trigger}</span>,
        },
        {
          id: "took",
          title: "Took",
          width: "84px",
          align: "right",
          wideOnly: true,
          cell: (run) => took(durationOf(run, now.value)),
        },
        {
          id: "requests",
          title: "Requests",
          width: "68px",
          align: "right",
          wideOnly: true,
          cell: ({ requests }) => requests.toLocaleString("en"),
        },
        {
          id: "result",
          title: "Result",
          width: "minmax(0, 2fr)",
          cell: (run) => <RunResult run={run} />,
        },
      ]}
    />
  );
}

/** Milliseconds from its begin to its end, or until now. */
export function durationOf(
  { started_at, finished_at }: Pick<RunRow, "started_at" | "finished_at">,
  at: number,
): number {
  return Math.max((finished_at ? Date.parse(finished_at) : at) - Date.parse(started_at), 0);
}

/** What came of it, in words. */
export function RunResult({ run }: { run: RunRow }) {
  const error = run.error as { code?: string; message?: string } | null;
  switch (run.status) {
    case "failed":
      return (
        <span title={error?.message}>
          <code>{error?.code ?? "failed"}</code> {error?.message}
        </span>
      );
    case "paused":
      return (
        <span title={error?.message}>
          goes on <Time at={run.resume_at} mode="relative" />
          {error?.code && (
            <>
              {" "}· <code>{error.code}</code>
            </>
          )}
        </span>
      );
    case "running":
      return <span>{describeProgress(run as unknown as Run)}</span>;
    default:
      return <span>{describeCounts(run)}</span>;
  }
}

type Counts = Pick<
  RunRow,
  "created" | "updated" | "deleted" | "restored" | "unchanged" | "rejected"
>;

/** "1 new, 24 updated, 2 deleted", "nothing new in 300 meetings". */
export function describeCounts(
  { created, updated, deleted, restored, unchanged, rejected }: Counts,
): string {
  const changes = [
    ...(created ? [`${created} new`] : []),
    ...(updated ? [`${updated} updated`] : []),
    ...(deleted ? [`${deleted} deleted`] : []),
    ...(restored ? [`${restored} restored`] : []),
  ];
  return [
    changes.length > 0 ? changes.join(", ") : `nothing new in ${count(unchanged, "meeting")}`,
    ...(rejected ? [`${rejected} not usable`] : []),
  ].join(", ");
}
