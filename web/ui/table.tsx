/**
 * A table of any length: only the rows in view are in the document. It scrolls with the page. On a narrow
 * screen a row's cells stand in lines, in the order of the columns.
 */
import {
  observeWindowOffset,
  observeWindowRect,
  Virtualizer,
  windowScroll,
} from "@tanstack/virtual-core";
import type { ComponentChildren } from "preact";
import { useEffect, useLayoutEffect, useMemo, useReducer, useRef } from "preact/hooks";

export interface Column<Row> {
  id: string;
  title: ComponentChildren;
  cell: (row: Row) => ComponentChildren;
  /** A track of CSS grid: "120px", "minmax(0, 2fr)"; by default minmax(0, 1fr). */
  width?: string;
  /** Numbers stand at the right. */
  align?: "right";
  /** Left out on a narrow screen. */
  wideOnly?: boolean;
}

interface Properties<Row> {
  /** What the table holds, for a screen reader. */
  label: string;
  columns: Column<Row>[];
  rows: Row[];
  rowKey: (row: Row) => string | number;
  /** Where a row leads; its first cell becomes the link. */
  href?: (row: Row) => string;
  /** Marks a row, such as "new". */
  rowClass?: (row: Row) => string | undefined;
  /** Pixels of a row; on a narrow screen `narrowRowHeight`. */
  rowHeight?: number;
  narrowRowHeight?: number;
  /** How many rows there are in all, where not all are loaded; -1: not known. */
  total?: number;
  /** Called when the end of the loaded rows comes into view. */
  onEnd?: () => void;
}

const NARROW = "(max-width: 719px)";

export function Table<Row>(properties: Properties<Row>) {
  const { label, columns, rows, rowKey, href, rowClass, total, onEnd } = properties;
  const { rowHeight = 44, narrowRowHeight = 72 } = properties;
  const [, redraw] = useReducer((count: number) => count + 1, 0);
  const body = useRef<HTMLDivElement>(null);
  const narrow = useMedia(NARROW, redraw);
  const height = narrow ? narrowRowHeight : rowHeight;

  const virtualizer = useMemo(() =>
    new Virtualizer<Window, HTMLElement>({
      count: 0,
      getScrollElement: () => window,
      estimateSize: () => 1,
      observeElementRect: observeWindowRect,
      observeElementOffset: observeWindowOffset,
      scrollToFn: windowScroll,
      initialOffset: () => scrollY,
    }), []);
  virtualizer.setOptions({
    ...virtualizer.options,
    count: rows.length,
    estimateSize: () => height,
    overscan: 8,
    scrollMargin: body.current ? body.current.getBoundingClientRect().top + scrollY : 0,
    onChange: (_instance, sync) => sync ? redraw(0) : requestAnimationFrame(() => redraw(0)),
    getItemKey: (index) => rows[index] === undefined ? index : rowKey(rows[index]),
  });
  useEffect(() => virtualizer._didMount(), [virtualizer]);
  useLayoutEffect(() => virtualizer._willUpdate());
  useLayoutEffect(() => virtualizer.measure(), [height]);

  const items = virtualizer.getVirtualItems();
  const last = items.at(-1)?.index ?? -1;
  useEffect(() => {
    if (rows.length > 0 && last >= rows.length - 1) onEnd?.();
  }, [last, rows]);

  const shown = narrow ? columns.filter(({ wideOnly }) => !wideOnly) : columns;
  const tracks = shown.map(({ width = "minmax(0, 1fr)" }) => width).join(" ");
  const margin = virtualizer.options.scrollMargin;
  return (
    <div
      class={`table ${narrow ? "narrow" : ""}`}
      role="table"
      aria-label={label}
      aria-rowcount={total === -1 ? -1 : (total ?? rows.length) + 1}
      ref={(element) => element?.style.setProperty("--tracks", tracks)}
    >
      <div role="rowgroup" class="table-head">
        <div role="row" aria-rowindex={1}>
          {shown.map(({ id, title, align }) => (
            <div key={id} role="columnheader" class={align}>{title}</div>
          ))}
        </div>
      </div>
      <div
        role="rowgroup"
        class="table-body"
        ref={(element) => {
          body.current = element;
          element?.style.setProperty("height", `${rows.length * height}px`);
        }}
      >
        {items.map(({ index, key, start }) => {
          const row = rows[index];
          if (row === undefined) return null;
          return (
            <div
              key={key}
              role="row"
              aria-rowindex={index + 2}
              class={rowClass?.(row)}
              ref={(element) => {
                element?.style.setProperty("height", `${height}px`);
                element?.style.setProperty("transform", `translateY(${start - margin}px)`);
              }}
            >
              {shown.map(({ id, cell, align }, column) => (
                <div key={id} role="cell" class={`cell-${id} ${align ?? ""}`}>
                  {column === 0 && href
                    ? <a class="row-link" href={href(row)}>{cell(row)}</a>
                    : cell(row)}
                </div>
              ))}
            </div>
          );
        })}
      </div>
    </div>
  );
}

/** Whether a media query matches; calls `onChange` when that changes. */
function useMedia(query: string, onChange: (action: number) => void): boolean {
  const list = useMemo(() => matchMedia(query), [query]);
  useEffect(() => {
    const changed = () => onChange(0);
    list.addEventListener("change", changed);
    return () => list.removeEventListener("change", changed);
  }, [list]);
  return list.matches;
}
