/** Meetings as CSV: RFC 4180, and no cell that a spreadsheet would run as a formula. */
import { toDate } from "../ui/time.tsx";
import type { Meeting } from "./data.ts";

/** Cells in lines that end with CRLF. Null and undefined are empty. */
export function toCsv(header: string[], lines: (string | number | null | undefined)[][]): string {
  return [header, ...lines].map((cells) => cells.map(cell).join(",") + "\r\n").join("");
}

function cell(value: string | number | null | undefined): string {
  if (value === null || value === undefined) return "";
  if (typeof value === "number") return String(value);
  const safe = isFormula(value) ? `'${value}` : value;
  return /[",\r\n]|^\s|\s$|^'/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/** Spreadsheets run what begins with one of these, also behind spaces, and in their full-width form. */
function isFormula(text: string): boolean {
  return /^[\s\u00a0]*[=+\-@\uff1d\uff0b\uff0d\uff20]|^[\t\r\n]/.test(text);
}

const HEADER = [
  "start",
  "end",
  "name",
  "host",
  "invitees",
  "emails",
  "state",
  "location_type",
  "location",
  "join_url",
  "calendly_event_uri",
  "id",
];

/** With a mark that tells spreadsheets the text is UTF-8. Times are in UTC. */
export function meetingsCsv(meetings: Meeting[], hosts: Map<number, string>): string {
  const time = (at: string | null) => at === null ? null : toDate(at).toISOString();
  return "\ufeff" + toCsv(
    HEADER,
    meetings.map((meeting) => [
      time(meeting.start_time),
      time(meeting.end_time),
      meeting.name,
      hosts.get(meeting.user_id),
      meeting.calendly_invitees.map(({ name, email }) => name ?? email ?? "").join("; "),
      meeting.calendly_invitees.map(({ email }) => email ?? "").join("; "),
      meeting.is_deleted ? meeting.deleted_reason : "active",
      meeting.location_type,
      meeting.location,
      meeting.join_url,
      meeting.calendly_event_uri,
      meeting.id,
    ]),
  );
}
