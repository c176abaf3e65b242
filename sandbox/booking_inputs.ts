/** What the verbs that act on bookings take. References are URIs; times are ISO 8601 with a zone. */
import { z } from "zod";
import { parseTime } from "./clock.ts";
import {
  ConferenceStatus,
  Email,
  Location,
  Reference,
  Text,
  Time,
  WholeLocation,
} from "./values.ts";

const Answers = z.array(z.strictObject({ answer: Text, position: z.int(), question: Text }));

const Tracking = z.strictObject({
  salesforce_uuid: Text.nullable(),
  utm_campaign: Text.nullable(),
  utm_content: Text.nullable(),
  utm_medium: Text.nullable(),
  utm_source: Text.nullable(),
  utm_term: Text.nullable(),
}).partial();

const Payment = z.strictObject({
  amount: z.number(),
  currency: z.enum(["AUD", "CAD", "EUR", "GBP", "USD"]),
  external_id: Text,
  provider: z.enum(["stripe", "paypal"]),
  successful: z.boolean(),
  terms: Text.nullable(),
});

const Reconfirmation = z.strictObject({ confirmed_at: Time.nullable(), created_at: Time });

export const InviteeInput = z.strictObject({
  name: Text,
  email: Text,
  first_name: Text.nullable(),
  last_name: Text.nullable(),
  timezone: Text.nullable(),
  questions_and_answers: Answers,
  tracking: Tracking,
  payment: Payment.nullable(),
  text_reminder_number: Text.nullable(),
  reconfirmation: Reconfirmation.nullable(),
  routing_form_submission: Reference.nullable(),
  scheduling_method: z.enum(["instant_book", "api"]).nullable(),
  invitee_scheduled_by: Reference.nullable(),
}).partial();
export type InviteeInput = z.input<typeof InviteeInput>;

/** The end, where there is one, needs a start before it. */
const hasLength = ({ start_time, end_time }: { start_time?: string; end_time?: string }) => {
  if (end_time === undefined) return true;
  if (start_time === undefined) return false;
  const [start, end] = [parseTime(start_time), parseTime(end_time)];
  return start === null || end === null || start < end; // What is no time is told by itself.
};
const LENGTH = { path: ["end_time"], error: "must be later than a start_time that is given too" };

export const BookInput = z.strictObject({
  event_type: Reference.describe("the user's first active one-to-one type unless given"),
  user: Reference.describe("the host, unless the event type says who; the demo user unless given"),
  event: Reference.describe("a group event with seats left to join"),
  start_time: Time.describe("the host's next free half hour unless given"),
  end_time: Time.describe("after the duration of the event type unless given"),
  invitee: InviteeInput.nullable().describe("null books a meeting without an invitee"),
  location: Location.describe("a kind, a whole location, or null"),
  conference: ConferenceStatus.describe("one in the making (processing) is ready after 8.5 s"),
  guests: z.array(Email),
  legacy_id: z.boolean().describe("an id of sixteen capitals, as before UUIDs"),
  touch: z.boolean().describe("false: the seat does not move the group event's updated_at"),
}).partial()
  .refine(hasLength, LENGTH)
  .refine(({ event, invitee }) => event === undefined || invitee !== null, {
    path: ["invitee"],
    error: "must not be null, since a seat in an event is somebody's",
  });
export type BookInput = z.input<typeof BookInput>;

const By = z.enum(["host", "invitee"]);

export const CancelInput = z.strictObject({
  event: Reference,
  invitee: Reference.describe("only this one's seat"),
  by: By,
  reason: Text.nullable(),
  touch: z.boolean().describe("false: one seat less does not move the group event's updated_at"),
  event_lags: z.boolean().describe("the webhook shows the event as it was before"),
}).partial();
export type CancelInput = z.input<typeof CancelInput>;

export const RescheduleInput = z.strictObject({
  invitee: Reference,
  event: Reference.describe("its first active invitee"),
  start_time: Time.describe("a week later unless given"),
  by: By,
  reason: Text.nullable(),
  user: Reference.describe("another host, as a round robin may choose"),
}).partial();
export type RescheduleInput = z.input<typeof RescheduleInput>;

export const ReassignInput = z.strictObject({
  event: Reference,
  to: Reference.describe("the new host"),
  from: Reference.describe("the host to replace; the first unless given").optional(),
  touch: z.boolean().describe("false leaves updated_at where it was").optional(),
});
export type ReassignInput = z.input<typeof ReassignInput>;

const EventFields = z.strictObject({
  name: Text.nullable(),
  start_time: Time,
  end_time: Time,
  location: WholeLocation.nullable(),
  meeting_notes_plain: Text.nullable(),
  meeting_notes_html: Text.nullable(),
  calendar_event: z.strictObject({ external_id: Text, kind: Text }).nullable(),
}).partial();

export const EditInput = z.strictObject({
  event: Reference,
  invitee: Reference,
  set: z.union(
    [EventFields, InviteeInput],
    `must have fields of an event (${
      Object.keys(EventFields.shape).join(", ")
    }) or of an invitee (${Object.keys(InviteeInput.shape).join(", ")})`,
  )
    .describe("fields to replace in the row"),
  guests: z.array(Email).describe("guests to add to the event"),
  conference: ConferenceStatus.describe("what becomes of the event's conference"),
  touch: z.boolean().describe("false leaves updated_at where it was"),
}).partial().superRefine(({ invitee, set = {} }, context) => {
  const { error } = (invitee === undefined ? EventFields : InviteeInput).safeParse(set);
  for (const { path, message } of error?.issues ?? []) {
    context.addIssue({ code: "custom", path: ["set", ...path], message });
  }
});
export type EditInput = z.input<typeof EditInput>;
