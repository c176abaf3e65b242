/** People and the connections that bring their meetings. */
import { useEffect, useState } from "preact/hooks";
import { link, route, setQuery } from "../routes.ts";
import { Empty, Failure, Skeleton } from "../ui/states.tsx";
import { Status } from "../ui/status.tsx";
import { Table } from "../ui/table.tsx";
import { formatDuration, Time } from "../ui/time.tsx";
import type { Person } from "./answers.ts";
import { EVERY, keyOf, useAnswer } from "./ask.ts";
import { ChoiceFilter, FilterBar, WordFilter } from "./filter_bar.tsx";
import {
  CONNECTION_STATES,
  type Filters,
  isFiltered,
  PEOPLE_FILTERS,
  readFilters,
} from "./filters.ts";
import { Legend, number, Screen, type StoredError, WordStatus } from "./parts.tsx";
import { call } from "./query.ts";
import { CONNECTION_WORDS, WEBHOOK_WORDS, wordOf } from "./words.ts";

const PAGE = 100;
const MOST = 1000;

export function peopleQuery(
  filters: Partial<Filters<typeof PEOPLE_FILTERS>>,
  atMost: number,
) {
  return call<Person[]>("calendly_console_people", {
    ...(filters.state?.length ? { states: `{${filters.state.join(",")}}` } : {}),
    ...(filters.account ? { with_account: filters.account === "with" } : {}),
    ...(filters.search ? { search: filters.search } : {}),
    ...(filters.person ? { person: filters.person } : {}),
    ...(filters.team ? { team: filters.team } : {}),
    at_most: atMost,
  }, { isSet: true });
}

export function PeopleScreen() {
  const filters = readFilters(PEOPLE_FILTERS, route.value.query);
  const [limit, setLimit] = useState(PAGE);
  const unlimited = keyOf(peopleQuery(filters, 0));
  useEffect(() => setLimit(PAGE), [unlimited]);
  const query = peopleQuery(filters, limit);
  const resource = useAnswer(query, { every: EVERY });
  const people = resource.data;
  const total = people ? people[0]?.total ?? 0 : undefined;
  return (
    <Screen title="People" resource={resource} every={EVERY} queries={[query]}>
      <FilterBar total={total} filtered={isFiltered(filters)} noun={["person", "people"]}>
        <Search value={filters.search ?? ""} />
        <WordFilter
          name="state"
          label="Connection"
          options={CONNECTION_STATES}
          words={CONNECTION_WORDS}
          chosen={filters.state}
        />
        <ChoiceFilter
          name="account"
          label="Account here"
          all="With or without account"
          options={[["with", "With an account"], ["without", "Without an account"]]}
          chosen={filters.account}
        />
      </FilterBar>
      {!people
        ? resource.problem
          ? (
            <Failure
              title="People cannot be shown"
              problem={resource.problem}
              busy={resource.loading}
              retry={resource.reload}
            />
          )
          : <Skeleton lines={8} height={56} />
        : people.length === 0
        ? (
          <Empty
            icon="people"
            title={isFiltered(filters) ? "Nobody is like this" : "Nobody is connected yet"}
            hint={isFiltered(filters)
              ? "Take a filter away to see others."
              : "People appear when they connect, or when an organization's connection meets them as hosts."}
          />
        )
        : (
          <Table<Person>
            label="People"
            rows={people}
            rowKey={({ user_id }) => user_id}
            href={({ user_id }) => link("operations", "people", String(user_id))}
            rowHeight={56}
            narrowRowHeight={88}
            total={total}
            onEnd={() => {
              if (people.length >= limit && limit < MOST) setLimit(Math.min(limit + PAGE, MOST));
            }}
            columns={[
              {
                id: "person",
                title: "Person",
                width: "minmax(0, 1.6fr)",
                cell: (person) => (
                  <>
                    {person.name || person.email || `Person ${person.user_id}`}
                    <span class="ops-second">{person.email}</span>
                  </>
                ),
              },
              {
                id: "state",
                title: "Connection",
                width: "minmax(0, 1.4fr)",
                cell: (person) => (
                  <>
                    <WordStatus word={wordOf(CONNECTION_WORDS, person.state)} />
                    <span class="ops-second">{howConnected(person)}</span>
                  </>
                ),
              },
              {
                id: "account",
                title: "Account",
                width: "96px",
                cell: ({ has_account }) =>
                  has_account ? "account" : <span class="muted">no account</span>,
              },
              {
                id: "fresh",
                title: "Fresh as of",
                width: "minmax(88px, 0.7fr)",
                cell: ({ staleness_seconds }) =>
                  staleness_seconds === null
                    ? <span class="muted">never</span>
                    : `${formatDuration(Math.round(staleness_seconds))} ago`,
              },
              {
                id: "next",
                title: "Next sync",
                width: "minmax(88px, 0.8fr)",
                wideOnly: true,
                cell: ({ connection }) =>
                  connection?.next_sync_at
                    ? <Time at={connection.next_sync_at} />
                    : <span class="muted">none</span>,
              },
              {
                id: "webhooks",
                title: "Webhooks",
                width: "96px",
                wideOnly: true,
                cell: ({ connection }) => (
                  <WordStatus word={wordOf(WEBHOOK_WORDS, connection?.webhook_state ?? "none")} />
                ),
              },
              {
                id: "error",
                title: "Last error",
                width: "minmax(0, 1.3fr)",
                wideOnly: true,
                cell: ({ connection }) => (
                  <LastError error={connection?.last_error as StoredError | null} />
                ),
              },
            ]}
          />
        )}
      {people && people.length >= MOST && (total ?? 0) > MOST && (
        <p class="muted">The first {number(MOST)} are shown. Filters bring the others.</p>
      )}
      {people && <Legend title="What the words mean" words={CONNECTION_WORDS} />}
    </Screen>
  );
}

/** "own, OAuth", "by the organization's". */
function howConnected({ connection, user_id, token_kind }: Person): string {
  if (!connection) return "";
  if (connection.user_id !== user_id) return "by the organization's";
  const token = { oauth: "OAuth", personal_access_token: "personal token" }[token_kind ?? ""];
  return [connection.scope === "organization" ? "organization" : "own", token].filter(Boolean)
    .join(", ");
}

function LastError({ error }: { error?: StoredError | null }) {
  if (!error) return <span class="muted">none</span>;
  return (
    <span title={`${error.message ?? ""} ${error.hint ?? ""}`}>
      <Status tone="bad">
        <code>{error.code}</code>
      </Status>
      <span class="ops-second">{error.hint ?? error.message}</span>
    </span>
  );
}

function Search({ value }: { value: string }) {
  return (
    <input
      type="search"
      class="ops-person"
      placeholder="Name or e-mail"
      aria-label="Name or e-mail"
      value={value}
      onInput={(event) => setQuery({ search: event.currentTarget.value || undefined })}
    />
  );
}
