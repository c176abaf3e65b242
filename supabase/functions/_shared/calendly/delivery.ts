/** What Calendly delivers, and where to: for what creates subscriptions and for what receives them. */
import { publicUrl } from "./environment.ts";

/** What we subscribe to. */
export const DELIVERED_EVENTS = [
  "invitee.created",
  "invitee.canceled",
  "invitee_no_show.created",
  "invitee_no_show.deleted",
];

/** Where Calendly delivers to. Error: not_configured. */
export function deliveryUrl(): string {
  return `${publicUrl()}/functions/v1/calendly-webhook`;
}
