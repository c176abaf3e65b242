/** Rules of the sandbox: what it refuses, what it does not have, and its state. */
import { type Mutation, requests } from "./mutation.ts";

const GOES_ON = requests(
  "sandbox/state",
  "a sandbox that was saved and loaded goes on as if it had not been",
);
const CHANGES_NOTHING = requests(
  "sandbox/state",
  "an argument that a verb refuses changes nothing",
);

export const SANDBOX: Mutation[] = [
  {
    breaks: "a workshop of a second populate joins one of the first",
    file: "sandbox/populate.ts",
    from: `if (type.resource.kind !== "group") return { type, start: wanted };`,
    to: `if (type.resource.kind) return { type, start: wanted };`,
    caughtBy: [requests(
      "sandbox/bookings",
      "an account can be populated again and again, each time by exactly so many events",
    )],
  },
  {
    breaks: "410 is a failure of the sandbox's webhooks like any other",
    file: "sandbox/webhooks.ts",
    from: "const GONE = 410;",
    to: "const GONE = 418;",
    caughtBy: [requests(
      "sandbox/webhooks",
      "410 deletes the subscription, and what was waiting for it is given up",
    )],
  },
  {
    breaks: "a webhook that is to be lost is sent",
    file: "sandbox/webhooks.ts",
    from: `if (this.fault?.effect === "lost") {`,
    to: `if (this.fault?.effect === undefined) {`,
    caughtBy: [requests(
      "sandbox/webhooks",
      "webhooks are lost or late while a fault says so, and no longer once it is cleared",
    )],
  },
  {
    breaks: "an operation that the sandbox does not have looks like a missing row",
    file: "sandbox/api/routes.ts",
    from: "throw missing ? ",
    to: "throw missing && false ? ",
    caughtBy: [requests(
      "sandbox/access",
      "an operation that the sandbox does not have answers 501 and says so",
    )],
  },
  {
    breaks: "the sandbox takes subscriptions to events that it never sends",
    file: "sandbox/api/webhooks.ts",
    from: "  requireSimulated(events);\n",
    to: "",
    caughtBy: [requests(
      "sandbox/webhooks",
      "subscriptions to events that the sandbox never sends are refused with 501",
    )],
  },
  {
    breaks: "next_page leads out of the sandbox",
    file: "sandbox/api/paging.ts",
    from: "${request.publicUrl}",
    to: "https://api.calendly.com",
    caughtBy: [requests(
      "sandbox/listing",
      "with a public URL, links lead there page by page, and URIs stay names",
    )],
  },
  {
    breaks: "a verb of the sandbox takes whatever it is given",
    file: "sandbox/verbs.ts",
    from: "if (problem) throw problem;",
    to: "",
    caughtBy: [
      CHANGES_NOTHING,
      requests(
        "sandbox/control",
        "a wrong verb, field, body, time or reference is refused with a hint",
      ),
    ],
  },
  {
    breaks: "a group that is refused has moved the sandbox's clock",
    file: "sandbox/control.ts",
    from: "const members = input.members.map(",
    to: "this.#world.stamp();\n    const members = input.members.map(",
    caughtBy: [CHANGES_NOTHING],
  },
  {
    breaks: "a user that is refused has moved the sandbox's clock",
    file: "sandbox/control.ts",
    from:
      "const organization = input.organization && this.#world.organization(input.organization);",
    to: "const organization = input.organization && (this.#world.stamp(), " +
      "this.#world.organization(input.organization));",
    caughtBy: [CHANGES_NOTHING],
  },
  {
    breaks: "a loaded sandbox has forgotten how many requests were made",
    file: "sandbox/rate_limit.ts",
    from: "this.#windows.set(user, { started: time(started), used });",
    to: "this.#windows.set(user, { started: time(started), used: 0 });",
    caughtBy: [GOES_ON],
  },
  {
    breaks: "in a loaded sandbox expired page tokens work again",
    file: "sandbox/faults.ts",
    from: "new Set(expired_page_tokens)",
    to: "new Set()",
    caughtBy: [requests(
      "sandbox/state",
      "a page token that has expired stays so in a loaded sandbox",
    )],
  },
  {
    breaks: "a loaded sandbox draws other random numbers",
    file: "sandbox/world.ts",
    from: "this.random.state = state.random;",
    to: "",
    caughtBy: [GOES_ON],
  },
  {
    breaks: "a loaded sandbox does not finish the conferences that were being made",
    file: "sandbox/world.ts",
    from: "...conference_ready_at !== null && {",
    to: "...conference_ready_at === undefined && {",
    caughtBy: [GOES_ON],
  },
  {
    breaks: "a loaded sandbox sends nothing by itself",
    file: "sandbox/webhooks.ts",
    from: "this.#deliveries.set(delivery.id, delivery);\n      this.#schedule(delivery);\n    }\n" +
      "  }\n\n  // Subscriptions",
    to: "this.#deliveries.set(delivery.id, delivery);\n    }\n  }\n\n  // Subscriptions",
    caughtBy: [requests(
      "sandbox/state",
      "with a running clock, what is due when a state is loaded is sent at once",
    )],
  },
];
