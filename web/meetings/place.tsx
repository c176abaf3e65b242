/** Where a meeting takes place. */
import { Icon, type IconName } from "../ui/icon.tsx";
import type { Meeting } from "./data.ts";

const KINDS: Record<string, [IconName, string]> = {
  zoom: ["video", "Zoom"],
  zoom_conference: ["video", "Zoom"],
  google_conference: ["video", "Google Meet"],
  microsoft_teams_conference: ["video", "Microsoft Teams"],
  webex_conference: ["video", "Webex"],
  gotomeeting_conference: ["video", "GoTo Meeting"],
  gotomeeting: ["video", "GoTo Meeting"],
  physical: ["place", "In person"],
  inbound_call: ["phone", "Invitee calls"],
  outbound_call: ["phone", "Host calls"],
  ask_invitee: ["place", "As the invitee says"],
  custom: ["place", "As agreed"],
};

type Placed = Pick<Meeting, "location_type" | "location" | "join_url">;

export function placeOf({ location_type }: Pick<Placed, "location_type">): [IconName, string] {
  if (location_type === null) return ["place", "No place"];
  return KINDS[location_type] ?? ["place", location_type.replaceAll("_", " ")];
}

/** A link that may be followed: http and https only. */
export function joinLink({ join_url }: Pick<Placed, "join_url">): string | undefined {
  return join_url !== null && /^https?:\/\//i.test(join_url) ? join_url : undefined;
}

/** Icon and words in one line. */
export function Place({ meeting }: { meeting: Placed }) {
  const [icon, word] = placeOf(meeting);
  return (
    <span class={`place ${meeting.location_type === null ? "muted" : ""}`}>
      <Icon name={icon} />
      <span>{meeting.location ?? word}</span>
    </span>
  );
}
