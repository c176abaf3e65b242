/** A plot over time by uPlot, in the page's colors, as wide as its place. Its numbers also stand in words. */
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import { dark } from "./theme.tsx";
import { timeMode } from "./time.tsx";

export interface Series {
  label: string;
  /** Name of a color of style.css: "accent", "good", "warn", "bad", "info", "muted". */
  color: string;
  /** Bars in place of a line; stacked bars are given as sums by the caller. */
  bars?: boolean;
  /** What the legend says where it is not what is drawn, as of stacked bars. */
  legend?: (number | null)[];
  /** Dashes of the line, so that lines differ by more than color. */
  dash?: number[];
}

interface Properties {
  /** What it shows, in a sentence, for who cannot see it: "Freshness of the last day: median 12 s, …". */
  summary: string;
  /** Seconds since 1970, ascending; then one list of values for each series, null where there is none. */
  data: [at: number[], ...values: (number | null)[][]];
  series: Series[];
  height?: number;
  /** A value in words, for the axis and the legend. */
  format?: (value: number) => string;
  /** Where the axis of values has its marks, up to the largest value; as uPlot does unless given. */
  marks?: (max: number) => number[];
  /** What the axis of time shows, in seconds since 1970; what the data have unless given. */
  from?: number;
  to?: number;
}

export function Plot(
  { summary, data, series, height = 180, format = String, marks, from, to }: Properties,
) {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot>(undefined);
  const isDark = dark.value;
  const utc = timeMode.value === "utc";
  // Of a single time there is no line: a point shows it.
  const points = data[0].length < 3;
  const shape = JSON.stringify([series, points]);
  const range = useRef<[number, number]>(undefined);
  range.current = from !== undefined && to !== undefined ? [from, to] : undefined;

  useEffect(() => {
    const element = place.current!;
    const color = (name: string) =>
      getComputedStyle(element).getPropertyValue(`--${name}`).trim() || "currentColor";
    const axis = {
      stroke: color("muted"),
      grid: { stroke: color("border"), width: 1 },
      ticks: { stroke: color("border"), width: 1, size: 4 },
      font: "11px system-ui, sans-serif",
    };
    const instance = plot.current = new uPlot(
      {
        width: element.clientWidth || 300,
        height,
        legend: { live: true },
        cursor: { points: { size: 6 }, drag: { x: false, y: false } },
        tzDate: utc ? (at) => uPlot.tzDate(new Date(at * 1000), "Etc/UTC") : undefined,
        scales: {
          x: { range: (_plot, min, max) => range.current ?? [min, max] },
          ...marks && { y: { range: (_plot, _min, max) => [0, Math.max(max, 1) * 1.05] } },
        },
        axes: [{
          ...axis,
          space: 64,
          size: 32,
          values: (_plot, values, _axis, _space, step) =>
            values.map((value) => formatMark(value, step, utc)),
        }, {
          ...axis,
          size: 64,
          ...marks && { splits: (_plot, _axis, _min, max) => marks(max) },
          values: (_plot, values) => values.map((value) => format(value)),
        }],
        series: [
          {
            label: "Time",
            value: (_plot, value) => value === null ? "–" : formatMoment(value, utc),
          },
          ...series.map((one): uPlot.Series => ({
            label: one.label,
            stroke: color(one.color),
            fill: one.bars ? color(one.color) : undefined,
            paths: one.bars ? uPlot.paths.bars!({ size: [0.7, 40] }) : undefined,
            points: { show: points && !one.bars, size: 6 },
            width: one.bars ? 0 : 1.5,
            dash: one.dash,
            value: (_plot, drawn, _series, index) => {
              const value = one.legend && index !== null ? one.legend[index] : drawn;
              return value === null || value === undefined ? "–" : format(value);
            },
          })),
        ],
      },
      data,
      element,
    );
    const observer = new ResizeObserver(() =>
      instance.setSize({ width: element.clientWidth, height })
    );
    observer.observe(element);
    return () => {
      observer.disconnect();
      instance.destroy();
      plot.current = undefined;
    };
  }, [isDark, utc, shape, height]);
  useEffect(() => plot.current?.setData(data), [data]);

  return (
    <figure
      class="plot"
      ref={(element) => element?.style.setProperty("--plot-height", `${height}px`)}
    >
      <div ref={place} role="img" aria-label={summary} />
    </figure>
  );
}

/** A mark of the axis of time: a day, or a time of day. */
function formatMark(seconds: number, step: number, utc: boolean): string {
  const date = new Date(seconds * 1000);
  const options = utc ? { timeZone: "UTC" } : {};
  return step >= 86_400
    ? date.toLocaleDateString("en-GB", { ...options, day: "numeric", month: "short" })
    : date.toLocaleTimeString("en-GB", { ...options, hour: "2-digit", minute: "2-digit" });
}

/** The time that the legend tells. */
function formatMoment(seconds: number, utc: boolean): string {
  return new Date(seconds * 1000).toLocaleString("en-GB", {
    ...utc && { timeZone: "UTC" },
    day: "numeric",
    month: "short",
    hour: "2-digit",
    minute: "2-digit",
  });
}
