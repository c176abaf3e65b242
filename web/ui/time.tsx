/** Points in time and lengths of time, and the switch that says how they are shown. */
import { currentTime, now } from "./clock.ts";
import { remembered } from "./remembered.ts";

export { currentTime, now };

export type TimeMode = "local" | "utc" | "relative";

/** How the page shows points in time. */
export const timeMode = remembered<TimeMode>("time", "relative", ["local", "utc", "relative"]);

/** The viewer's time zone, such as Europe/Berlin. */
export const viewerZone = Intl.DateTimeFormat().resolvedOptions().timeZone;

/** A point in time as PostgREST sends it ("2026-11-26T08:43:12+00:00") or Postgres prints it ("2026-11-26 08:43:12+00"). */
export function toDate(at: string | number | Date): Date {
  if (typeof at !== "string") return new Date(at);
  return new Date(at.replace(" ", "T").replace(/([+-]\d\d)$/, "$1:00"));
}

/** A point in time as the switch says; the other forms when pointed at. `at` is ISO 8601 or milliseconds. */
export function Time({ at, mode }: { at: string | number | null | undefined; mode?: TimeMode }) {
  if (at === null || at === undefined) return <span class="muted">never</span>;
  const date = toDate(at);
  const shown = mode ?? timeMode.value;
  return (
    <time dateTime={date.toISOString()} title={`${formatLocal(date)}\n${formatUtc(date)}`}>
      {shown === "relative"
        ? formatRelative(date.getTime(), now.value)
        : shown === "utc"
        ? formatUtc(date)
        : formatLocal(date)}
    </time>
  );
}

const localFormat = new Intl.DateTimeFormat("en-GB", {
  year: "numeric",
  month: "short",
  day: "2-digit",
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  timeZoneName: "short",
});

export function formatLocal(date: Date): string {
  return localFormat.format(date).replace(",", "");
}

export function formatUtc(date: Date): string {
  return `${date.toISOString().slice(0, 19).replace("T", " ")} UTC`;
}

/** "just now", "12 s ago", "in 3 min", "2 days ago". */
export function formatRelative(at: number, from: number): string {
  const seconds = Math.round((from - at) / 1000);
  if (Math.abs(seconds) < 2) return "just now";
  const length = formatDuration(Math.abs(seconds));
  return seconds > 0 ? `${length} ago` : `in ${length}`;
}

/** The largest unit alone: "0.4 s", "12 s", "3 min", "5 h", "2 days". */
export function formatDuration(seconds: number): string {
  if (seconds < 10 && !Number.isInteger(seconds)) return `${seconds.toFixed(1)} s`;
  if (seconds < 60) return `${Math.round(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h`;
  const days = Math.floor(seconds / 86400);
  return days === 1 ? "1 day" : `${days} days`;
}

/** Seconds of a Postgres interval ("01:02:03.5", "2 days 03:00:00"). */
export function intervalSeconds(interval: string): number {
  const days = Number(/(-?\d+) days?/.exec(interval)?.[1] ?? 0);
  const [, sign = "", h = 0, m = 0, s = 0] = /(-?)(\d+):(\d+):(\d+(?:\.\d+)?)/.exec(interval) ?? [];
  const clock = Number(h) * 3600 + Number(m) * 60 + Number(s);
  return days * 86400 + (sign === "-" ? -clock : clock);
}

const MODES: [TimeMode, string][] = [["local", "Local"], ["utc", "UTC"], ["relative", "Relative"]];

export function TimeSwitch() {
  return (
    <label class="switch">
      <span class="spoken">Times</span>
      <select
        value={timeMode.value}
        onChange={(event) => timeMode.value = event.currentTarget.value as TimeMode}
      >
        {MODES.map(([mode, word]) => <option key={mode} value={mode}>{word}</option>)}
      </select>
    </label>
  );
}
