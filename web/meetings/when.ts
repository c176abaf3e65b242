/** A meeting's time, in the viewer's zone and in an invitee's. */
import { toDate } from "../ui/time.tsx";

const formats = new Map<string, Intl.DateTimeFormat>();

/** Formats are dear to make: one for each zone and kind. Undefined for a zone that the browser does not know. */
function format(
  zone: string,
  options: Intl.DateTimeFormatOptions,
): Intl.DateTimeFormat | undefined {
  const key = `${zone} ${Object.keys(options)}`;
  let found = formats.get(key);
  if (!found) {
    try {
      found = new Intl.DateTimeFormat("en-GB", { timeZone: zone, ...options });
    } catch {
      return undefined;
    }
    formats.set(key, found);
  }
  return found;
}

/** "Thu 26 Nov", with the year where it is not this one. */
export function dayOf(time: string, zone: string, now: number): string {
  const date = toDate(time);
  const day = format(zone, { weekday: "short", day: "numeric", month: "short" })!;
  const year = format(zone, { year: "numeric" })!;
  const shown = day.format(date).replace(",", "");
  return year.format(date) === year.format(now) ? shown : `${shown} ${year.format(date)}`;
}

/** "14:00"; "" for a zone that is unknown. */
export function clockOf(time: string, zone: string): string {
  return format(zone, { hour: "2-digit", minute: "2-digit" })?.format(toDate(time)) ?? "";
}

/** "14:00 – 14:30". */
export function hoursOf(start: string, end: string | null, zone: string): string {
  return end === null ? clockOf(start, zone) : `${clockOf(start, zone)} – ${clockOf(end, zone)}`;
}

/** "08:00 in New York", where that is another time of day than in the viewer's zone; with the day if that differs. */
export function elsewhere(time: string, zone: string | null, viewer: string): string | undefined {
  if (zone === null) return undefined;
  const there = clockOf(time, zone);
  if (there === "" || there === clockOf(time, viewer)) return undefined;
  const day = format(zone, { weekday: "short" })!.format(toDate(time));
  const here = format(viewer, { weekday: "short" })!.format(toDate(time));
  return `${day === here ? "" : `${day} `}${there} in ${cityOf(zone)}`;
}

/** "America/New_York" is New York. */
export function cityOf(zone: string): string {
  return zone.split("/").at(-1)!.replaceAll("_", " ");
}
