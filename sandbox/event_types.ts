/** Event types: what can be booked, with whom, for how long and where. */
import { z } from "zod";
import { SandboxError } from "./errors.ts";
import { EventType, uri } from "./resources.ts";
import { LocationKind, Reference, Text } from "./values.ts";
import { EventTypeRecord, World } from "./world.ts";

const CustomQuestion = z.strictObject({
  answer_choices: z.array(Text),
  enabled: z.boolean(),
  include_other: z.boolean(),
  name: Text,
  position: z.int(),
  required: z.boolean(),
  type: z.enum(["string", "text", "phone_number", "single_select", "multi_select"]),
});

/** A week: longer than any meeting. */
const MINUTES = 7 * 24 * 60;

export const EventTypeInput = z.strictObject({
  user: Reference.describe("the owner, and the only host unless hosts names more"),
  hosts: z.array(Reference),
  name: Text.nullable(),
  kind: z.enum(["solo", "group"]),
  pooling_type: z.enum(["round_robin", "collective"]).nullable(),
  duration: z.int().min(1).max(MINUTES).describe("minutes (30)"),
  seats: z.int().min(1).max(100_000).describe("seats of a group event (10)"),
  locations: z.array(LocationKind).nullable()
    .describe("kinds, google_conference unless given; null for none"),
  custom_questions: z.array(CustomQuestion),
  buffer_minutes: z.int().min(0).max(MINUTES).describe("minutes kept free before and after (0)"),
  active: z.boolean(),
}).partial();
export type EventTypeInput = z.input<typeof EventTypeInput>;

export function createEventType(
  world: World,
  input: EventTypeInput & { user: string },
): EventTypeRecord {
  const owner = world.user(input.user);
  const { kind = "solo", pooling_type = null, duration = 30 } = input;
  const hosts = [
    ...new Set([owner.uri, ...(input.hosts ?? []).map((host) => world.user(host).uri)]),
  ];
  if (hosts.length > 1 && pooling_type === null) {
    throw new SandboxError(
      "bad_event_type",
      "Several hosts need a pooling_type.",
      "Give pooling_type: collective or round_robin.",
    );
  }
  const name = input.name === undefined ? `${duration} Minute Meeting` : input.name;
  const slug = name && name.toLowerCase().replace(/[^a-z0-9]+/g, "-");
  const at = world.stamp();
  const locations = input.locations === undefined ? ["google_conference"] : input.locations;
  const resource: EventType = {
    active: input.active ?? true,
    admin_managed: false,
    booking_method: "instant",
    color: "#8247f5",
    created_at: at,
    custom_questions: input.custom_questions ?? [
      {
        answer_choices: [],
        enabled: true,
        include_other: false,
        name: "Please share anything that will help prepare for our meeting.",
        position: 0,
        required: false,
        type: "text",
      },
    ],
    deleted_at: null,
    description_html: null,
    description_plain: null,
    duration,
    duration_options: null,
    internal_note: null,
    is_paid: false,
    kind,
    locale: "en",
    locations: locations && locations.map((location) => ({ kind: location })),
    name,
    pooling_type,
    position: [...world.eventTypes.values()].filter((type) => type.hosts[0] === owner.uri).length,
    profile: { name: owner.name, owner: owner.uri, type: "User" },
    scheduling_url: `${owner.scheduling_url}/${slug ?? "meeting"}`,
    secret: false,
    slug,
    type: "StandardEventType",
    updated_at: at,
    uri: uri("event_types", world.random.uuid()),
  };
  const record: EventTypeRecord = {
    resource,
    organization: owner.current_organization,
    hosts,
    seats: kind === "group" ? input.seats ?? 10 : 1,
    buffer_minutes: input.buffer_minutes ?? 0,
  };
  world.eventTypes.set(resource.uri, record);
  return record;
}
