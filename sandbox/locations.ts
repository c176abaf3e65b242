/** Where a meeting takes place: every kind of location that Calendly serialises, with its nulls. */
import { SandboxError } from "./errors.ts";
import { Random } from "./random.ts";
import { ConferenceStatus, idOf, Location, Uri } from "./resources.ts";

/** How long Calendly was seen to take to make a conference: 8.5 s. */
export const CONFERENCE_TAKES = "8500ms";

export const CONFERENCES = [
  "google_conference",
  "zoom",
  "gotomeeting",
  "microsoft_teams_conference",
  "webex_conference",
];

export const LOCATION_KINDS = [
  ...CONFERENCES,
  "physical",
  "outbound_call",
  "inbound_call",
  "custom",
  "ask_invitee",
];

export function isConference(location: Location | null): boolean {
  return location !== null && CONFERENCES.includes(location.type);
}

/**
 * A location of a kind. A conference is made with the given status: without a link while Zoom and
 * the others are at work, with a redirect of Calendly's own for Google.
 */
export function makeLocation(
  kind: string,
  event: Uri,
  random: Random,
  status: ConferenceStatus = "pushed",
): Location {
  const ready = status === "pushed";
  const digits = (length: number) => random.text(length, "123456789");
  switch (kind) {
    case "physical":
      return {
        additional_info: "Ring twice 🛎️",
        location: "Calle Mayor 12, 28013 Madrid",
        type: kind,
      };
    case "inbound_call":
      return { additional_info: null, location: "+34 911 23 45 67", type: kind };
    case "outbound_call":
      return { location: `+44 20 7946 0${digits(3)}`, type: kind };
    case "custom":
      return { location: null, type: kind };
    case "ask_invitee":
      return { location: "Café Zürich, table 4", type: kind };
    case "google_conference":
      return {
        join_url: ready
          ? `https://meet.google.com/${random.text(3, "abcdef")}-${random.text(4, "ghijkl")}`
          : `https://calendly.com/events/${idOf(event)}/google_meet`,
        status,
        type: kind,
      };
    case "zoom": {
      const id = Number(digits(11));
      const password = random.secret(10);
      return {
        data: ready ? { extra: null, id, password, settings: {} } : null,
        join_url: ready ? `https://us05web.zoom.us/j/${id}?pwd=${password}` : null,
        status,
        type: kind,
      };
    }
    case "gotomeeting": {
      const id = Number(digits(9));
      return {
        data: ready
          ? {
            conferenceCallInfo: `United States: +1 (571) 317-3129\nAccess Code: ${id}`,
            uniqueMeetingId: id,
          }
          : null,
        join_url: ready ? `https://global.gotomeeting.com/join/${id}` : null,
        status,
        type: kind,
      };
    }
    case "microsoft_teams_conference":
      return {
        data: ready
          ? {
            audioConferencing: { conferenceId: digits(9), dialinUrl: null, tollNumber: null },
            id: random.secret(24),
          }
          : null,
        join_url: ready
          ? `https://teams.microsoft.com/l/meetup-join/19%3ameeting_${random.secret(20)}/0`
          : null,
        status,
        type: kind,
      };
    case "webex_conference":
      return {
        data: ready
          ? {
            id: random.text(32, "0123456789abcdef"),
            password: random.secret(8),
            telephony: { callInNumbers: [{ callInNumber: "+1-408-555-0100", label: "US Toll" }] },
          }
          : null,
        join_url: ready ? `https://meet.webex.com/meet/${digits(10)}` : null,
        status,
        type: kind,
      };
  }
  throw new SandboxError(
    "unknown_location",
    `There is no kind of location called ${kind}.`,
    `One of ${LOCATION_KINDS.join(", ")}, null, or a whole location object.`,
  );
}
