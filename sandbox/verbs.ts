/**
 * The verbs of the control API: what each does and what it takes. A verb whose argument is not as its
 * schema says changes nothing. GET /_sandbox/ shows the same as JSON Schema.
 */
import { z } from "zod";
import {
  BookInput,
  CancelInput,
  EditInput,
  ReassignInput,
  RescheduleInput,
} from "./booking_inputs.ts";
import { SandboxError } from "./errors.ts";
import { EventTypeInput } from "./event_types.ts";
import { FaultRule } from "./faults.ts";
import { PopulateInput } from "./populate.ts";
import { RequestFilter } from "./request_log.ts";
import { SCOPES } from "./tokens.ts";
import { Count, Duration, Email, Reference, Role, Text, Time } from "./values.ts";
import { DeliverInput, WebhookFaultInput } from "./webhooks.ts";

const Nothing = z.strictObject({});
const Plan = z.enum(["basic", "essentials", "professional", "teams", "enterprise"]);
const Stage = z.enum(["free", "trial", "paid"]);
const Word = z.string().regex(/^\S+$/, "must be text without spaces");
const Scope = z.enum(SCOPES);
const oneUser = { user: Reference.describe("the demo user unless given").optional() };

/** A rule, whose change is a verb with an argument that is right too. */
const CheckedRule = FaultRule.superRefine(({ effect }, context) => {
  if (effect.kind !== "change") return;
  const problem = problemWith(effect.verb, effect.arguments ?? {});
  if (problem) context.addIssue({ code: "custom", path: ["effect"], message: problem.message });
});

export const VERBS = {
  create_organization: z.strictObject({ name: Text, plan: Plan, stage: Stage }).partial()
    .describe("makes an organization; teams and paid unless given"),
  create_user: z.strictObject({
    name: Text.optional(),
    email: Email,
    organization: Reference.describe("an own one unless given").optional(),
    role: Role.describe("user unless given").optional(),
    timezone: Text.optional(),
    locale: Text.optional(),
  }).describe("makes a user with a 30-minute event type"),
  create_token: z.strictObject({
    ...oneUser,
    token: Word.optional(),
    scopes: z.array(Scope).describe("all unless given").optional(),
    expires_at: Time.describe("never unless given").optional(),
  }).describe("makes a personal access token"),
  revoke_token: z.strictObject({ token: Word }).describe("ends a token"),
  create_app: z.strictObject({
    client_id: Text.min(1),
    client_secret: Text.min(1),
    kind: z.enum(["web", "native"]),
    name: Text,
    redirect_uris: z.array(z.url()).describe("any loopback address unless given"),
    signing_key: Text.min(1).describe("signs every webhook of the application"),
  }).partial().describe("makes an OAuth application"),
  create_group: z.strictObject({
    name: Text.optional(),
    organization: Reference.optional(),
    members: z.array(Reference),
    admins: z.array(Reference).optional(),
  }).describe("makes a group of users"),
  create_event_type: EventTypeInput.describe("makes something that can be booked"),
  join: z.strictObject({ ...oneUser, organization: Reference, role: Role.optional() })
    .describe("moves a user into an organization, or changes the role there"),
  leave: z.strictObject(oneUser)
    .describe("removes a user from the organization; old events stay there"),
  set_plan: z.strictObject({
    organization: Reference,
    plan: Plan.optional(),
    stage: Stage.describe("free: 50 requests a minute").optional(),
  }).describe("upgrades or downgrades an organization"),
  populate: PopulateInput.describe("gives a user so many events more, without webhooks"),
  book: BookInput.describe("books a meeting"),
  cancel: CancelInput.describe("cancels a whole event, or one invitee's seat"),
  reschedule: RescheduleInput.describe("cancels a booking and makes another in its place"),
  mark_no_show: z.strictObject({ invitee: Reference }).describe("marks an invitee as a no-show"),
  undo_no_show: z.strictObject({ invitee: Reference.describe("or the no-show's URI") })
    .describe("takes the mark away"),
  reassign_host: ReassignInput.describe("gives an event to another host, without a webhook"),
  edit: EditInput.describe("changes an event or an invitee, without a webhook"),
  erase_event: z.strictObject({ event: Reference }).describe("erases an event, without a webhook"),
  erase_invitee: z.strictObject({ invitee: Reference })
    .describe("erases an invitee, without a webhook"),
  override: z.strictObject({
    uri: Reference.describe("URI of an event or invitee"),
    fields: z.record(z.string(), z.unknown()).nullable().describe("null ends it"),
  }).describe("serves these fields in place of the row's own, however impossible"),
  advance: z.strictObject({ by: Duration })
    .describe("moves the clock; in a local project forward only"),
  set_clock: z.strictObject({ now: Time })
    .describe("sets the clock; in a local project forward only"),
  set_rate_limit: z.strictObject({
    ...oneUser,
    limit: Count.nullable().describe("null: none; the plan's unless given").optional(),
  }).describe("sets how many requests a minute a user has"),
  faults: z.strictObject({
    rules: z.array(CheckedRule)
      .describe('such as [{"path": "/users/me", "effect": {"kind": "rate_limited"}}]').optional(),
  })
    .describe("adds rules for faults, and lists those in force"),
  clear_faults: Nothing.describe("ends all faults, of webhooks too"),
  webhook_fault: WebhookFaultInput
    .describe("loses the webhooks of what happens from now on, or sends them late"),
  requests: RequestFilter.describe("lists the requests that were served, with counts"),
  clear_requests: Nothing.describe("forgets the requests that were served"),
  overview: z.strictObject(oneUser)
    .describe("shows the time, the people, a user's bookings, and what happened last"),
  deliveries: Nothing.describe("lists all webhooks"),
  deliver: DeliverInput.describe("sends webhooks"),
};

export type Verb = keyof typeof VERBS;
export type Input<V extends Verb> = z.input<(typeof VERBS)[V]>;

/** Verbs that cause webhooks. */
export const BOOKING_VERBS: Verb[] = [
  "book",
  "cancel",
  "reschedule",
  "mark_no_show",
  "undo_no_show",
];

export function isVerb(name: string): name is Verb {
  return Object.hasOwn(VERBS, name);
}

/** Throws unless the argument is as the verb's schema says. */
export function check(verb: string, input: unknown): void {
  const problem = problemWith(verb, input);
  if (problem) throw problem;
}

/** What `GET /_sandbox/` says of every verb. */
export function describeVerbs(): Record<Verb, { description: string; arguments: unknown }> {
  return Object.fromEntries(
    Object.entries(VERBS).map(([verb, schema]) => {
      const { $schema: _, description = "", ...rest } = z.toJSONSchema(schema, { io: "input" });
      return [verb, { description, arguments: rest }];
    }),
  ) as Record<Verb, { description: string; arguments: unknown }>;
}

function problemWith(verb: string, input: unknown): SandboxError | null {
  if (!isVerb(verb)) {
    return new SandboxError(
      "unknown_verb",
      `There is no verb ${verb}.`,
      `One of ${Object.keys(VERBS).join(", ")}.`,
    );
  }
  const { error } = VERBS[verb].safeParse(input);
  if (!error) return null;
  const unknown = error.issues.some(({ code }) => code === "unrecognized_keys");
  const reasons = error.issues.map(({ path, message }) =>
    [path.join("."), message].filter(Boolean).join(": ")
  );
  const fields = Object.keys(VERBS[verb].shape);
  return new SandboxError(
    unknown ? "unknown_field" : "bad_value",
    `${verb} does not take this. ${reasons.join("; ")}`,
    fields.length > 0 ? `It takes ${fields.join(", ")}.` : "It takes nothing.",
  );
}
