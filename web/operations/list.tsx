/** A list of any length that grows as one scrolls, and is read again without losing its place. */
import { useEffect, useState } from "preact/hooks";
import { Empty, Failure, Skeleton } from "../ui/states.tsx";
import { type Column, Table } from "../ui/table.tsx";
import { askRows, EVERY, keyOf, type Rows } from "./ask.ts";
import { PersonLink } from "./parts.tsx";
import type { RowsQuery, WithPerson } from "./query.ts";
import { type Resource, useResource } from "../data/resource.ts";

/** As many rows as are asked for at first, and each time the end comes into view. */
const PAGE = 100;
/** The Data API answers no more at once. */
const MOST = 1000;

export interface List<R> {
  query: RowsQuery<R>;
  resource: Resource<Rows<R>>;
  /** How many rows there are; with `hasMore`, at least. */
  total: number | undefined;
  /** Not counted: a count of a large table reads all of it. */
  hasMore: boolean;
  more: () => void;
}

export function useList<R>(query: RowsQuery<R>, { every = EVERY } = {}): List<R> {
  const [limit, setLimit] = useState(PAGE);
  const key = keyOf(query);
  useEffect(() => setLimit(PAGE), [key]);
  const limited = { ...query, limit };
  const resource = useResource(
    async (signal) => ({ ...await askRows(limited, { signal }), asked: limit }),
    [keyOf(limited)],
    { every },
  );
  const total = resource.data?.rows.length;
  const hasMore = total !== undefined && total >= resource.data!.asked;
  return {
    query: limited,
    resource,
    total,
    hasMore,
    more: () => {
      if (hasMore && limit < MOST) setLimit(Math.min(limit + PAGE, MOST));
    },
  };
}

/** Whose row it is. */
export const PERSON: Column<{ user_id: number | null } & WithPerson> = {
  id: "person",
  title: "Person",
  width: "minmax(0, 1.2fr)",
  cell: ({ user_id, calendly_users }) => <PersonLink id={user_id} person={calendly_users} />,
};

export function ListTable<R>(
  { list, label, columns, rowKey, href, rowHeight = 44, narrowRowHeight = 92, empty }: {
    list: List<R>;
    label: string;
    columns: Column<R>[];
    rowKey: (row: R) => string | number;
    href?: (row: R) => string;
    rowHeight?: number;
    narrowRowHeight?: number;
    empty: { title: string; hint: string };
  },
) {
  const { data, problem, loading, reload } = list.resource;
  if (!data) {
    return problem
      ? (
        <Failure
          title={`${label} cannot be shown`}
          problem={problem}
          busy={loading}
          retry={reload}
        />
      )
      : <Skeleton lines={8} height={rowHeight} />;
  }
  if (data.rows.length === 0) return <Empty {...empty} />;
  return (
    <>
      <Table
        label={label}
        columns={columns}
        rows={data.rows}
        rowKey={rowKey}
        href={href}
        rowHeight={rowHeight}
        narrowRowHeight={narrowRowHeight}
        total={list.hasMore ? -1 : list.total}
        onEnd={list.more}
      />
      {list.hasMore && data.rows.length >= MOST && (
        <p class="muted">
          The first {MOST.toLocaleString("en")} are shown. Filters bring the others.
        </p>
      )}
    </>
  );
}
