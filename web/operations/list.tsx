/** A list of any length that grows as one scrolls, and is read again without losing its place. */
import { useEffect, useState } from "preact/hooks";
import { Empty, Failure, Skeleton } from "../ui/states.tsx";
import { type Column, Table } from "../ui/table.tsx";
import { EVERY, keyOf, type Rows, useRows } from "./ask.ts";
import type { RowsQuery } from "./query.ts";
import type { Resource } from "../data/resource.ts";

/** As many rows as are asked for at first, and each time the end comes into view. */
const PAGE = 100;
/** The Data API answers no more at once. */
const MOST = 1000;

export interface List<R> {
  query: RowsQuery<R>;
  resource: Resource<Rows<R>>;
  total: number | null | undefined;
  more: () => void;
}

export function useList<R>(query: RowsQuery<R>, { every = EVERY } = {}): List<R> {
  const [limit, setLimit] = useState(PAGE);
  const key = keyOf(query);
  useEffect(() => setLimit(PAGE), [key]);
  const limited = { ...query, limit };
  const resource = useRows(limited, { every, count: "estimated" });
  const total = resource.data?.total;
  return {
    query: limited,
    resource,
    total,
    more: () => {
      const shown = resource.data?.rows.length ?? 0;
      if (shown >= limit && limit < MOST && (total ?? Infinity) > shown) {
        setLimit(Math.min(limit + PAGE, MOST));
      }
    },
  };
}

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
        total={list.total ?? undefined}
        onEnd={list.more}
      />
      {data.rows.length >= MOST && (list.total ?? 0) > MOST && (
        <p class="muted">
          The first {MOST.toLocaleString("en")} are shown. Filters bring the others.
        </p>
      )}
    </>
  );
}
