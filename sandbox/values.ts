/** Values that several verbs of the control API take: for each a schema that says what is right. */
import { z } from "zod";
import { isDuration, parseTime, withinCalendar } from "./clock.ts";
import { LOCATION_KINDS } from "./locations.ts";

export const Reference = z.string().min(1).meta({ description: "URI or id" });

export const Time = z.string().refine((text) => {
  const at = parseTime(text);
  return at !== null && withinCalendar(at);
}, "must be an ISO 8601 time with a zone, from 1970 to 8999, such as 2026-11-23T09:30:00Z")
  .meta({ format: "date-time" });

const DURATION = 'must be seconds, or text such as "1500ms", "90s", "15m", "24h" or "7d"';

export const Duration = z.union([
  z.number().min(-1e12).max(1e12),
  z.string().refine(isDuration, DURATION),
], DURATION);

/** Words of people; only their length is bounded. */
export const Text = z.string().max(100_000);

export const Email = z.string().regex(/^\S+@\S+$/, "must be an e-mail address");

export const Role = z.enum(["owner", "admin", "user"]);

export const Count = z.int().min(0).max(1_000_000);

export const ConferenceStatus = z.enum(["initiated", "processing", "pushed", "failed"]).nullable();

/** Event types say `zoom_conference` where scheduled events say `zoom`. */
const KINDS = [...LOCATION_KINDS, "zoom_conference", "gotomeeting_conference"];

export const LocationKind = z.string()
  .refine((kind) => KINDS.includes(kind), `must be one of ${KINDS.join(", ")}`)
  .meta({ enum: KINDS });

/** A whole location, as Calendly serialises it; kinds that Calendly may add are let through. */
export const WholeLocation = z.looseObject({
  type: Text,
  location: Text.nullable().optional(),
  additional_info: Text.nullable().optional(),
  status: ConferenceStatus.optional(),
  join_url: Text.nullable().optional(),
  data: z.record(z.string(), z.unknown()).nullable().optional(),
});

export const Location = z.union(
  [LocationKind, WholeLocation],
  `must be one of ${KINDS.join(", ")}, or a whole location with its type, or null`,
).nullable();
