/** What the verbs that act on bookings take. References are URIs; times are ISO 8601 with a zone. */
import {
  Answer,
  ConferenceStatus,
  Invitee,
  Location,
  Payment,
  Tracking,
  Uri,
} from "./resources.ts";

export interface InviteeInput {
  name?: string;
  email?: string;
  first_name?: string | null;
  last_name?: string | null;
  timezone?: string | null;
  questions_and_answers?: Answer[];
  tracking?: Partial<Tracking>;
  payment?: Payment | null;
  text_reminder_number?: string | null;
  reconfirmation?: Invitee["reconfirmation"];
  routing_form_submission?: Uri | null;
  scheduling_method?: Invitee["scheduling_method"];
  invitee_scheduled_by?: Uri | null;
}

export interface BookInput {
  /** URI or id; the user's first active event type unless given. */
  event_type?: string;
  /** The host, unless the event type says who; the demo user unless given. */
  user?: string;
  /** A group event with seats left to join. */
  event?: string;
  start_time?: string;
  end_time?: string;
  /** `null` books a meeting without an invitee. */
  invitee?: InviteeInput | null;
  /** A kind, a whole location, or null. */
  location?: string | Location | null;
  /** The status of the conference; one in the making is ready after 8.5 s. */
  conference?: ConferenceStatus;
  guests?: string[];
  legacy_id?: boolean;
  /** False when the new seat is not to move the group event's `updated_at`. */
  touch?: boolean;
}

export interface CancelInput {
  event?: string;
  invitee?: string;
  by?: "host" | "invitee";
  reason?: string | null;
  /** False when one seat's cancellation is not to move the group event's `updated_at`. */
  touch?: boolean;
  /** The webhook still shows the event as it was before, as in Calendly's own example. */
  event_lags?: boolean;
}

export interface RescheduleInput {
  invitee?: string;
  event?: string;
  start_time?: string;
  by?: "host" | "invitee";
  reason?: string | null;
  /** Another host, as a round robin may choose. */
  user?: string;
}

export interface ReassignInput {
  event: string;
  /** The new host. */
  to: string;
  /** The host to replace; the first unless given. */
  from?: string;
  touch?: boolean;
}

export interface EditInput {
  event?: string;
  invitee?: string;
  /** Fields to replace in the row. */
  set?: Record<string, unknown>;
  /** Guests to add to the event, by e-mail. */
  guests?: string[];
  /** Settles (or fails) the event's conference. */
  conference?: ConferenceStatus;
  /** False leaves `updated_at` where it was. */
  touch?: boolean;
}
