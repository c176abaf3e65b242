/**
 * The sandbox's answers against an OpenAPI description of Calendly: `openapi.json` in the folder that
 * CALENDLY_REFERENCE_DIR names. Without that variable there is nothing to compare with.
 */
import assert from "node:assert/strict";
import { Ajv, type ValidateFunction } from "ajv";
import formats from "ajv-formats";
import { type Answer, Client, colleague, pathOf, pinned, stranger } from "./support.ts";
import { MISSING_OPERATIONS } from "../../sandbox/api/missing.ts";
import { ROUTES } from "../../sandbox/api/routes.ts";
import type { Sandbox } from "../../sandbox/mod.ts";
import { needing } from "../harness/requirements.ts";

const directory = Deno.env.get("CALENDLY_REFERENCE_DIR");

function referenceTest(name: string, run: (reference: Reference) => void | Promise<void>): void {
  Deno.test({
    ...needing(name, "calendlyReference"),
    fn: async () => await run(await Reference.load(`${directory}/openapi.json`)),
  });
}

// deno-lint-ignore no-explicit-any
type Json = any;

class Reference {
  readonly #document: Json;
  readonly #ajv = new Ajv({ strict: false, allErrors: true });
  readonly #validators = new Map<string, ValidateFunction>();
  /** Method, path and status of what has been validated. */
  readonly validated = new Set<string>();

  constructor(document: Json) {
    this.#document = withNulls(document);
    formats.default(this.#ajv);
    this.#ajv.addSchema({ $id: "calendly", ...this.#document });
  }

  static async load(file: string): Promise<Reference> {
    return new Reference(JSON.parse(await Deno.readTextFile(file)));
  }

  /** "GET /users/*" and the like. */
  get operations(): string[] {
    return Object.entries<Json>(this.#document.paths).flatMap(([path, operations]) =>
      Object.keys(operations)
        .filter((method) => ["get", "post", "put", "patch", "delete"].includes(method))
        .map((method) => `${method.toUpperCase()} ${path.replace(/\{\w+\}/g, "*")}`)
    );
  }

  /** Fails unless the body is what the description says of this method, path and status. */
  assertAnswer(method: string, path: string, { status, body }: Answer): void {
    const template = this.#template(path);
    const responses = this.#document.paths[template]?.[method.toLowerCase()]?.responses;
    const name = `${method} ${template} ${status}`;
    assert.ok(responses?.[status], `the reference knows no ${name}`);
    this.validated.add(name);
    const response = responses[status].$ref
      ? responses[status].$ref
      : `#/paths/${escaped(template)}/${method.toLowerCase()}/responses/${status}`;
    if (status === 204) return assert.equal(body, null);
    this.#assertValid(`${response}/content/application~1json/schema`, body, name);
  }

  assertSchema(schema: string, value: unknown): void {
    this.#assertValid(`#/components/schemas/${schema}`, value, schema);
  }

  #assertValid(pointer: string, value: unknown, name: string): void {
    let validate = this.#validators.get(pointer);
    if (!validate) {
      validate = this.#ajv.compile({ $ref: `calendly${pointer}` });
      this.#validators.set(pointer, validate);
    }
    const text = () => `${this.#ajv.errorsText(validate.errors)} in ${JSON.stringify(value)}`;
    assert.ok(validate(value), `${name}: ${validate.errors && text()}`);
  }

  #template(path: string): string {
    const segments = path.split("/");
    const fits = Object.keys(this.#document.paths).filter((template) => {
      const parts = template.split("/");
      return parts.length === segments.length &&
        parts.every((part, i) => part.startsWith("{") || part === segments[i]);
    });
    return fits.find((template) => !template.includes("{")) ?? fits[0];
  }
}

/** OpenAPI 3.0's `nullable` in JSON Schema's words. */
function withNulls(node: Json): Json {
  if (Array.isArray(node)) return node.map(withNulls);
  if (typeof node !== "object" || node === null) return node;
  const { nullable, ...rest } = Object.fromEntries(
    Object.entries(node).map(([key, value]) => [key, withNulls(value)]),
  ) as Json;
  return nullable === true ? { anyOf: [rest, { type: "null" }] } : rest;
}

function escaped(path: string): string {
  return encodeURIComponent(path.replaceAll("~", "~0").replaceAll("/", "~1"));
}

/** A client that holds every answer against the reference. */
class CheckedClient extends Client {
  constructor(readonly reference: Reference, sandbox: Sandbox, token?: string | null) {
    super(sandbox, token);
  }

  override async send(method: string, path: string, body?: string): Promise<Answer> {
    const answer = await super.send(method, path, body);
    // The reference predates scopes and the plan text of November 2026.
    const unknown = answer.body?.title === "Insufficient scope" ||
      answer.body?.message === "Please upgrade to a paid Calendly account.";
    if (!unknown) this.reference.assertAnswer(method, path.split("?")[0], answer);
    return answer;
  }
}

referenceTest("the reference notices a row that is not as it should be", async (reference) => {
  const sandbox = pinned();
  const { event } = sandbox.control.book();
  const wrong = { status: "gone", start_time: "soon", event_guests: null };
  for (const [field, value] of Object.entries(wrong)) {
    sandbox.control.override({ uri: event.uri, fields: { [field]: value } });
    const client = new CheckedClient(reference, sandbox);
    await assert.rejects(client.events(), new RegExp(`/${field} must`));
  }
});

referenceTest(
  "every row of a populated account is as the reference describes it",
  async (reference) => {
    const sandbox = pinned({ events: 400 });
    sandbox.control.set_rate_limit({ limit: null });
    const client = new CheckedClient(reference, sandbox);
    const user = sandbox.demo.user.uri;
    const { rows } = await client.all("/scheduled_events", { user, count: "100" });
    assert.equal(rows.length, 400);
    for (const { uri, event_type } of rows) {
      await client.get(pathOf(uri));
      await client.get(pathOf(event_type));
      const invitees = await client.all(`${pathOf(uri)}/invitees`, {});
      for (const invitee of invitees.rows) {
        await client.get(pathOf(invitee.uri));
        if (invitee.no_show) await client.get(pathOf(invitee.no_show.uri));
      }
    }
  },
);

referenceTest(
  "every operation of the reference is simulated or known to be missing",
  (reference) => {
    const ours = [...ROUTES, ...MISSING_OPERATIONS].map(([method, path]) =>
      `${method} ${path.replace(/:\w+/g, "*")}`
    ).concat("GET /users/me");
    assert.deepEqual(reference.operations.filter((operation) => !ours.includes(operation)), []);
  },
);

referenceTest("every endpoint answers as the reference describes it", async (reference) => {
  const sandbox = pinned({ events: 5 });
  const { organization, user } = sandbox.demo;
  const client = new CheckedClient(reference, sandbox);
  const group = sandbox.control.create_group({ members: [user.uri] });
  await client.get("/users/me");
  await client.get(pathOf(user.uri));
  await client.get(pathOf(organization.uri));
  const memberships = await client.get("/organization_memberships", {
    organization: organization.uri,
  });
  await client.get(pathOf(memberships.body.collection[0].uri));
  const eventTypes = await client.get("/event_types", { organization: organization.uri });
  await client.get(pathOf(eventTypes.body.collection[0].uri));
  await client.get("/groups", { organization: organization.uri });
  await client.get(pathOf(group.uri));

  const { event, invitee } = sandbox.control.book();
  await client.events();
  await client.get(pathOf(event.uri));
  await client.get(`${pathOf(event.uri)}/invitees`);
  await client.get(pathOf(invitee.uri));
  const marked = await client.post("/invitee_no_shows", { invitee: invitee.uri });
  await client.get(pathOf(marked.body.resource.uri));
  await client.delete(pathOf(marked.body.resource.uri));
  await client.post(`${pathOf(event.uri)}/cancellation`, { reason: "Ill" });

  const scope = { organization: organization.uri, scope: "user", user: user.uri };
  const hook = await client.post("/webhook_subscriptions", {
    ...scope,
    url: "http://127.0.0.1:1/hook",
    events: ["invitee.created"],
  });
  await client.get("/webhook_subscriptions", scope);
  await client.get("/sample_webhook_data", { ...scope, event: "invitee.created" });
  await client.get(pathOf(hook.body.resource.uri));
  await client.delete(pathOf(hook.body.resource.uri));
  const successes = [...reference.validated].filter((name) => / 20\d$/.test(name));
  assert.deepEqual(
    new Set(successes.map((name) => name.replace(/\{\w+\}/g, "*").slice(0, -" 200".length))),
    new Set(
      ROUTES.map(([method, path]) => `${method} ${path.replace(/:\w+/g, "*")}`)
        .concat("GET /users/me"),
    ),
  );
});

referenceTest("refusals are as the reference describes them", async (reference) => {
  const sandbox = pinned();
  const { organization, user } = sandbox.demo;
  const member = colleague(sandbox);
  const checked = (token: string | null) => new CheckedClient(reference, sandbox, token);
  const owner = checked(sandbox.demo.token);
  const plain = checked(member.client.token);
  const outsider = checked(stranger(sandbox).client.token);
  const { event } = sandbox.control.book();
  const scope = { organization: organization.uri, scope: "organization" };
  const hook = { ...scope, url: "http://127.0.0.1:1/hook", events: ["invitee.created"] };

  await checked(null).get("/users/me");
  await owner.get("/users/none");
  await outsider.get(pathOf(user.uri));
  await outsider.get(pathOf(organization.uri));
  await outsider.get("/organization_memberships", { organization: organization.uri });
  await owner.get("/organization_memberships");
  await owner.get("/scheduled_events");
  await owner.events({ count: "1000" });
  await owner.get("/scheduled_events", { user: member.user.uri });
  await plain.get("/scheduled_events", { organization: organization.uri });
  await outsider.get("/scheduled_events", { organization: organization.uri });
  await outsider.get(pathOf(event.uri));
  await outsider.get(`${pathOf(event.uri)}/invitees`);
  await owner.get("/scheduled_events/none/invitees");
  await outsider.post(`${pathOf(event.uri)}/cancellation`, {});
  await owner.post(`${pathOf(event.uri)}/cancellation`, {});
  await owner.post(`${pathOf(event.uri)}/cancellation`, {});
  await owner.post("/invitee_no_shows", {});
  await owner.get("/invitee_no_shows/none");
  await owner.get("/event_types");
  await plain.get("/event_types", { organization: organization.uri });
  await owner.get("/event_types/none");
  await owner.post("/webhook_subscriptions", {});
  await plain.post("/webhook_subscriptions", hook);
  await owner.post("/webhook_subscriptions", hook);
  await owner.post("/webhook_subscriptions", hook);
  await plain.get("/webhook_subscriptions", scope);
  await owner.get("/webhook_subscriptions/none");
  sandbox.control.set_rate_limit({ limit: 0 });
  await owner.get("/users/me");
  const refusals = [...reference.validated].map((name) => name.slice(-3));
  assert.deepEqual([...new Set(refusals)].sort(), [
    "201",
    "400",
    "401",
    "403",
    "404",
    "409",
    "429",
  ]);
});

referenceTest("deliveries are as the reference describes them", async (reference) => {
  const sandbox = pinned();
  const { organization } = sandbox.demo;
  await new Client(sandbox).post("/webhook_subscriptions", {
    organization: organization.uri,
    scope: "organization",
    url: "http://127.0.0.1:1/hook",
    events: [
      "invitee.created",
      "invitee.canceled",
      "invitee_no_show.created",
      "invitee_no_show.deleted",
    ],
  });
  const { invitee } = sandbox.control.book({ location: "zoom", guests: ["guest@example.com"] });
  const { new: moved } = sandbox.control.reschedule({ invitee: invitee.uri });
  sandbox.control.mark_no_show({ invitee: moved.invitee.uri });
  sandbox.control.undo_no_show({ invitee: moved.invitee.uri });
  sandbox.control.cancel({ event: moved.event.uri });
  const deliveries = sandbox.control.deliveries();
  assert.equal(deliveries.length, 6);
  for (const { body } of deliveries) {
    const envelope = JSON.parse(body);
    reference.assertSchema("WebhookPayload", envelope);
    reference.assertSchema("InviteePayload", envelope.payload);
  }
});
