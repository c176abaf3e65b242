/** What Calendly delivered: by day, and one by one. */
import { useMemo, useState } from "preact/hooks";
import { type Problem, toProblem } from "../data/problem.ts";
import { link, route } from "../routes.ts";
import { Button } from "../ui/button.tsx";
import { Dialog } from "../ui/dialog.tsx";
import { Plot } from "../ui/plot.tsx";
import { Failure } from "../ui/states.tsx";
import { Status } from "../ui/status.tsx";
import { currentTime, Time } from "../ui/time.tsx";
import { deliveriesByDayQuery } from "./answers.ts";
import { askOne, EVERY, useAnswer, useCount } from "./ask.ts";
import { ChoiceFilter, FilterBar, PersonFilter, SinceFilter, WordFilter } from "./filter_bar.tsx";
import {
  DELIVERY_FILTERS,
  DELIVERY_STATUSES,
  DELIVERY_TYPES,
  type Filters,
  isFiltered,
  readFilters,
  sinceTime,
  sinceValue,
} from "./filters.ts";
import { ListTable, PERSON, useList } from "./list.tsx";
import {
  Legend,
  number,
  Panel,
  Pending,
  Screen,
  SmallTable,
  Sources,
  type StoredError,
  WordStatus,
} from "./parts.tsx";
import { cumulate, describeStack, stackByDay } from "./plots.ts";
import { call, given, type Row, rowsWithPerson, type WithPerson } from "./query.ts";
import { DELIVERY_WORDS, wordOf } from "./words.ts";

const DAYS = 30;
const COLUMNS = [
  "id",
  "user_id",
  "event_type",
  "status",
  "created_at",
  "processed_at",
  "attempts",
  "error",
] as const;

export type DeliveryRow =
  & Pick<Row<"calendly_webhook_events">, typeof COLUMNS[number]>
  & WithPerson;

export function deliveriesQuery(filters: Partial<Filters<typeof DELIVERY_FILTERS>>, at: number) {
  return rowsWithPerson("calendly_webhook_events", {
    select: COLUMNS,
    where: given([
      { column: "status", is: "in", value: filters.status },
      { column: "event_type", is: "eq", value: filters.type },
      { column: "user_id", is: "eq", value: filters.person },
      { column: "created_at", is: "gte", value: sinceValue(filters.since ?? null, at) },
    ]),
    order: [{ column: "created_at", descending: true }, { column: "id" }],
  });
}

export function DeliveriesScreen() {
  const filters = readFilters(DELIVERY_FILTERS, route.value.query);
  const list = useList(deliveriesQuery(filters, currentTime()));
  const [replaying, setReplaying] = useState(false);
  return (
    <Screen
      title="Deliveries"
      resource={list.resource}
      every={EVERY}
      queries={[list.query]}
      actions={<Button icon="sync" onClick={() => setReplaying(true)}>Replay dead ones</Button>}
    >
      <ByDay />
      <FilterBar
        total={list.total}
        hasMore={list.hasMore}
        filtered={isFiltered(filters)}
        noun={["delivery", "deliveries"]}
      >
        <WordFilter
          name="status"
          label="Status"
          options={DELIVERY_STATUSES}
          words={DELIVERY_WORDS}
          chosen={filters.status}
        />
        <ChoiceFilter
          name="type"
          label="Type"
          all="Any type"
          options={DELIVERY_TYPES.map((type) => [type, type] as const)}
          chosen={filters.type}
        />
        <SinceFilter chosen={filters.since} />
        <PersonFilter chosen={filters.person} />
      </FilterBar>
      <DeliveryTable list={list} filtered={isFiltered(filters)} />
      {list.resource.data && <Legend title="What the words mean" words={DELIVERY_WORDS} />}
      {replaying && (
        <ReplayDialog
          since={filters.since}
          onClose={() => setReplaying(false)}
          done={list.resource.reload}
        />
      )}
    </Screen>
  );
}

const COLORS = ["accent", "info", "warn", "border-strong", "muted"];

function ByDay() {
  // Days begin at midnight UTC, so that the query stays the same for a day.
  const today = Math.floor(currentTime() / 86_400_000) * 86_400_000;
  const query = deliveriesByDayQuery(new Date(today - (DAYS - 1) * 86_400_000).toISOString());
  const resource = useAnswer(query, { every: 30_000 });
  const stack = useMemo(
    () => resource.data && stackByDay(resource.data, today + 1, DAYS),
    [resource.data, today],
  );
  const plot = useMemo(() => {
    if (!stack) return;
    const sums = cumulate(stack.series);
    // The tallest is drawn first, the others in front of it.
    return {
      data: [stack.days, ...sums.reverse()] as [number[], ...number[][]],
      series: stack.series.map(({ name, counts }, index) => ({
        label: name,
        legend: counts,
        color: COLORS[Math.min(index, COLORS.length - 1)],
        bars: true,
      })).reverse(),
    };
  }, [stack]);
  return (
    <Panel title={`By day and type, ${DAYS} days`} queries={[query]} class="ops-by-day">
      {!stack || !plot
        ? (
          <div class="ops-plot-place">
            <Pending resource={resource} lines={4} title="Deliveries by day cannot be shown" />
          </div>
        )
        : (
          <>
            <p class="muted">{describeStack(stack)}</p>
            {stack.series.length > 0 && (
              <Plot
                summary={describeStack(stack)}
                data={plot.data}
                series={plot.series}
                height={160}
                from={stack.days[0] - 43_200}
                to={stack.days[DAYS - 1] + 43_200}
                format={(value) => Number.isInteger(value) ? number(value) : ""}
              />
            )}
            <details>
              <summary>As a table</summary>
              <SmallTable
                label="Deliveries by day and type"
                rows={stack.days.map((_, index) => index).reverse()}
                columns={[
                  {
                    title: "Day (UTC)",
                    cell: (index) => new Date(stack.days[index] * 1000).toISOString().slice(0, 10),
                  },
                  ...stack.series.map(({ name, counts }) => ({
                    title: name,
                    right: true,
                    cell: (index: number) => number(counts[index]),
                  })),
                  { title: "All", right: true, cell: (index) => number(stack.totals[index]) },
                  { title: "Dead", right: true, cell: (index) => number(stack.dead[index]) },
                ]}
              />
            </details>
          </>
        )}
    </Panel>
  );
}

export function DeliveryTable(
  { list, filtered }: { list: ReturnType<typeof useList<DeliveryRow>>; filtered: boolean },
) {
  return (
    <ListTable<DeliveryRow>
      list={list}
      label="Deliveries"
      rowKey={({ id }) => id}
      href={({ id }) => link("operations", "deliveries", id)}
      narrowRowHeight={112}
      empty={filtered
        ? { title: "No delivery is like this", hint: "Take a filter away to see others." }
        : {
          title: "No delivery yet",
          hint: "They come when somebody books, cancels or is marked, where webhooks are on.",
        }}
      columns={[
        {
          id: "status",
          title: "Status",
          width: "104px",
          cell: ({ status }) => <WordStatus word={wordOf(DELIVERY_WORDS, status)} />,
        },
        {
          id: "received",
          title: "Received",
          width: "minmax(96px, 1fr)",
          cell: ({ created_at }) => <Time at={created_at} />,
        },
        {
          id: "type",
          title: "Type",
          width: "minmax(0, 1.2fr)",
          cell: ({ event_type }) => <code>{event_type}</code>,
        },
        PERSON,
        {
          id: "attempts",
          title: "Attempts",
          width: "68px",
          align: "right",
          wideOnly: true,
          cell: ({ attempts }) => number(attempts),
        },
        {
          id: "error",
          title: "Error",
          width: "minmax(0, 1.6fr)",
          cell: ({ error }) => {
            const stored = error as StoredError | null;
            return stored
              ? (
                <span title={stored.message}>
                  <code>{stored.code}</code> {stored.message}
                </span>
              )
              : <span class="muted">none</span>;
          },
        },
      ]}
    />
  );
}

// Replay ----------------------------------------------------------------------------------------

const SINCE: [string, string][] = [
  ["", "All that are kept"],
  ["1h", "Of the last hour"],
  ["24h", "Of the last 24 hours"],
  ["7d", "Of the last 7 days"],
  ["30d", "Of the last 30 days"],
];

/** The database tries so many in one call. */
const IN_ONE_CALL = 100;

function ReplayDialog(
  { since, onClose, done }: { since: string | null; onClose: () => void; done: () => void },
) {
  const [period, setPeriod] = useState(SINCE.some(([value]) => value === since) ? since! : "");
  const [outcome, setOutcome] = useState<{ tried: number; left: number } | { problem: Problem }>();
  const [tried, setTried] = useState<number>();
  const at = period === "" ? null : sinceTime(period, currentTime());
  const value = at === null ? null : new Date(Math.floor(at / 60_000) * 60_000).toISOString();
  const counting = deliveriesQuery({ status: ["dead"], since: value }, currentTime());
  const count = useCount(counting);
  const query = call<number>("calendly_replay_dead", { since: value });
  const busy = tried !== undefined;
  const replay = async () => {
    setTried(0);
    setOutcome(undefined);
    try {
      let sum = 0;
      for (let last = IN_ONE_CALL; last >= IN_ONE_CALL;) {
        last = await askOne(query);
        sum += last;
        setTried(sum);
      }
      await count.reload();
      setOutcome({ tried: sum, left: 0 });
    } catch (error) {
      setOutcome({ problem: await toProblem(error) });
    }
    setTried(undefined);
    done();
  };
  return (
    <Dialog
      title="Replay dead deliveries"
      onClose={onClose}
      actions={
        <>
          <Button onClick={onClose}>{outcome ? "Close" : "Leave them"}</Button>
          {!(outcome && "tried" in outcome) && (
            <Button
              kind="primary"
              icon="sync"
              busy={busy}
              disabled={count.data === 0}
              onClick={replay}
            >
              {count.data === undefined ? "Replay" : `Replay ${number(count.data)}`}
            </Button>
          )}
        </>
      }
    >
      <div class="stack">
        <p>
          A replay applies the payload again, as if Calendly had just sent it. What is stored and
          newer stays as it is.
        </p>
        <label class="field">
          <span class="label">Which</span>
          <select
            value={period}
            disabled={busy}
            onChange={(event) => {
              setPeriod(event.currentTarget.value);
              setOutcome(undefined);
            }}
          >
            {SINCE.map(([option, text]) => <option key={option} value={option}>{text}</option>)}
          </select>
        </label>
        <div role="status">
          {outcome && "tried" in outcome
            ? (
              <Status tone={count.data ? "warn" : "good"}>
                {number(outcome.tried)} replayed. {count.data
                  ? `${number(count.data)} of them cannot be applied and stay dead: each says why.`
                  : "None of them is dead any more."}
              </Status>
            )
            : busy
            ? <Status tone="busy">{number(tried)} replayed so far</Status>
            : count.data === undefined
            ? <span class="muted">Counting</span>
            : count.data === 0
            ? <Status tone="good">There is no dead delivery to replay.</Status>
            : (
              <Status tone="info">
                {number(count.data)} dead {count.data === 1 ? "delivery" : "deliveries"}{" "}
                will be replayed.
              </Status>
            )}
        </div>
        {outcome && "problem" in outcome && <Failure problem={outcome.problem} />}
        <Sources of={[query]} />
      </div>
    </Dialog>
  );
}
