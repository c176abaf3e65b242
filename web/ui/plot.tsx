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
}

export function Plot({ summary, data, series, height = 180, format = String }: Properties) {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot>(undefined);
  const isDark = dark.value;
  const utc = timeMode.value === "utc";
  const shape = JSON.stringify(series);

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
        axes: [axis, {
          ...axis,
          size: 64,
          values: (_plot, values) => values.map((value) => format(value)),
        }],
        series: [
          { label: "Time" },
          ...series.map((one): uPlot.Series => ({
            label: one.label,
            stroke: color(one.color),
            fill: one.bars ? color(one.color) : undefined,
            paths: one.bars ? uPlot.paths.bars!({ size: [0.7, 40] }) : undefined,
            points: { show: false },
            width: one.bars ? 0 : 1.5,
            dash: one.dash,
            value: (_plot, value) => value === null || value === undefined ? "–" : format(value),
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
