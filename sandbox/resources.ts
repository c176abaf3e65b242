/**
 * Calendly's resources as its API serialises them. Times are text with microseconds, references are
 * URIs, and keys are in Calendly's (alphabetical) order where a resource is made.
 */

/** Where Calendly is. In URIs it is part of the name, wherever the sandbox is. */
export const BASE = "https://api.calendly.com";

export type Uri = string;

export function uri(collection: string, ...path: string[]): Uri {
  return [BASE, collection, ...path].join("/");
}

/** The last segment of a URI: what Calendly's path parameters take. */
export function idOf(reference: string): string {
  return reference.slice(reference.lastIndexOf("/") + 1);
}

export interface User {
  avatar_url: string | null;
  created_at: string;
  current_organization: Uri;
  email: string;
  locale: string;
  name: string;
  resource_type: "User";
  scheduling_url: string;
  slug: string;
  time_notation: "12h" | "24h";
  timezone: string;
  updated_at: string;
  uri: Uri;
}

export interface Organization {
  created_at: string;
  id: number;
  kind: string;
  name: string;
  plan: "basic" | "essentials" | "professional" | "teams" | "enterprise";
  stage: "free" | "trial" | "paid";
  updated_at: string;
  uri: Uri;
}

export type Role = "owner" | "admin" | "user";

/** As stored; the API embeds the user. */
export interface Membership {
  created_at: string;
  organization: Uri;
  role: Role;
  updated_at: string;
  uri: Uri;
  user: Uri;
}

export interface Group {
  created_at: string;
  member_count: number;
  name: string;
  organization: Uri;
  updated_at: string;
  uri: Uri;
}

export interface CustomQuestion {
  answer_choices: string[];
  enabled: boolean;
  include_other: boolean;
  name: string;
  position: number;
  required: boolean;
  type: "string" | "text" | "phone_number" | "single_select" | "multi_select";
}

export interface EventType {
  active: boolean;
  admin_managed: boolean;
  booking_method: "instant" | "poll";
  color: string;
  created_at: string;
  custom_questions: CustomQuestion[];
  deleted_at: string | null;
  description_html: string | null;
  description_plain: string | null;
  duration: number;
  duration_options: number[] | null;
  internal_note: string | null;
  is_paid: boolean;
  kind: "solo" | "group";
  locale: string;
  locations: { kind: string }[] | null;
  name: string | null;
  pooling_type: "round_robin" | "collective" | "multi_pool" | null;
  position: number;
  profile: { name: string; owner: Uri; type: "User" | "Team" } | null;
  scheduling_url: string;
  secret: boolean;
  slug: string | null;
  type: "StandardEventType" | "AdhocEventType";
  updated_at: string;
  uri: Uri;
}

export type ConferenceStatus = "initiated" | "processing" | "pushed" | "failed" | null;

/** An open union on `type`: Calendly adds kinds without notice. */
export type Location =
  & { type: string; location?: string | null; additional_info?: string | null }
  & { status?: ConferenceStatus; join_url?: string | null; data?: Record<string, unknown> | null };

export interface Cancellation {
  canceled_by: string;
  canceler_type: "host" | "invitee";
  created_at: string;
  reason: string | null;
}

export interface EventMembership {
  buffered_end_time: string;
  buffered_start_time: string;
  user: Uri;
  user_email: string;
  user_name: string;
}

export interface Guest {
  created_at: string;
  email: string;
  updated_at: string;
}

export interface ScheduledEvent {
  calendar_event: { external_id: string; kind: string } | null;
  created_at: string;
  end_time: string;
  event_guests: Guest[];
  event_memberships: EventMembership[];
  event_type: Uri;
  invitees_counter: { active: number; limit: number; total: number };
  location: Location | null;
  meeting_notes_html: string | null;
  meeting_notes_plain: string | null;
  name: string | null;
  start_time: string;
  status: "active" | "canceled";
  updated_at: string;
  uri: Uri;
  /** Absent, not null, while the event is active. */
  cancellation?: Cancellation;
}

export interface Tracking {
  salesforce_uuid: string | null;
  utm_campaign: string | null;
  utm_content: string | null;
  utm_medium: string | null;
  utm_source: string | null;
  utm_term: string | null;
}

export interface Payment {
  amount: number;
  currency: "AUD" | "CAD" | "EUR" | "GBP" | "USD";
  external_id: string;
  provider: "stripe" | "paypal";
  successful: boolean;
  terms: string | null;
}

export interface Answer {
  answer: string;
  position: number;
  question: string;
}

export interface Invitee {
  cancel_url: string;
  created_at: string;
  email: string;
  event: Uri;
  first_name: string | null;
  invitee_scheduled_by: Uri | null;
  last_name: string | null;
  name: string;
  new_invitee: Uri | null;
  no_show: { created_at: string; uri: Uri } | null;
  old_invitee: Uri | null;
  payment: Payment | null;
  questions_and_answers: Answer[];
  reconfirmation: { confirmed_at: string | null; created_at: string } | null;
  reschedule_url: string;
  rescheduled: boolean;
  routing_form_submission: Uri | null;
  scheduling_method: "instant_book" | "api" | null;
  status: "active" | "canceled";
  text_reminder_number: string | null;
  timezone: string | null;
  tracking: Tracking;
  updated_at: string;
  uri: Uri;
  /** Absent, not null, while the invitee is active. */
  cancellation?: Cancellation;
}

export interface InviteeNoShow {
  created_at: string;
  invitee: Uri;
  uri: Uri;
}

export const WEBHOOK_EVENTS = [
  "invitee.created",
  "invitee.canceled",
  "invitee_no_show.created",
  "invitee_no_show.deleted",
  "routing_form_submission.created",
  "event_type.created",
  "event_type.updated",
  "event_type.deleted",
  "meeting_recap.created",
  "meeting_recap.updated",
  "meeting_recap.deleted",
  "contact.created",
  "contact.updated",
  "contact.deleted",
] as const;

export type WebhookEvent = (typeof WEBHOOK_EVENTS)[number];

/** The four that a booking causes: the only ones that the sandbox sends. */
export const BOOKING_EVENTS = [
  "invitee.created",
  "invitee.canceled",
  "invitee_no_show.created",
  "invitee_no_show.deleted",
] as const satisfies WebhookEvent[];

export type BookingEvent = (typeof BOOKING_EVENTS)[number];

export interface WebhookSubscription {
  callback_url: string;
  created_at: string;
  creator: Uri | null;
  events: WebhookEvent[];
  group: Uri | null;
  organization: Uri;
  retry_started_at: string | null;
  scope: "organization" | "user" | "group";
  state: "active" | "disabled";
  updated_at: string;
  uri: Uri;
  user: Uri | null;
}
