/**
 * POST /functions/v1/calendly-webhook: what Calendly delivers for a subscription made by hand, and
 * …/<subscription id> for one of ours. With a personal access token we choose the key (derived from the
 * id); what an OAuth app subscribes to is signed with the app's one key (CALENDLY_WEBHOOK_SIGNING_KEY).
 * An authentic delivery is stored and applied in one transaction, then answered. 410 tells Calendly to
 * delete the subscription: an authentic delivery of one of ours that nobody wants any more. GET …/test
 * tells how to set up a subscription by hand.
 */
import type { ReceivedDelivery } from "../_shared/calendly/contract.ts";
import { Database } from "../_shared/calendly/database.ts";
import { DELIVERED_EVENTS, deliveryUrl } from "../_shared/calendly/delivery.ts";
import { sha256Hex } from "../_shared/calendly/encoding.ts";
import { setting } from "../_shared/calendly/environment.ts";
import { ApiError } from "../_shared/calendly/errors.ts";
import { json, readBytes, type Route, serve } from "../_shared/calendly/http.ts";
import { parseJson } from "../_shared/calendly/json.ts";
import { allKeys } from "../_shared/calendly/keys.ts";
import { log, logCounted, logError } from "../_shared/calendly/log.ts";
import { verifySignature } from "../_shared/calendly/signature.ts";

const MAX_BODY = 256 * 1024;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

async function receive(
  request: Request,
  { subscription }: Record<string, string | undefined>,
): Promise<Response> {
  try {
    return await accept(request, subscription);
  } catch (error) {
    if (error instanceof ApiError && error.status < 500) {
      // Calendly tells nobody that its deliveries are refused, and disables the subscription after a day.
      const logRefusal = FROM_ANYBODY.includes(error.code) ? logCounted : logError;
      // An id has 36 characters: whatever is longer is not logged.
      logRefusal(`A webhook was refused: ${error.message}`, {
        subscription_id: subscription?.slice(0, 36),
      });
    }
    throw error;
  }
}

/** Errors that need no signature of Calendly's: whoever sends nonsense must not fill the log. */
const FROM_ANYBODY = ["not_authentic", "body_too_large", "body_incomplete"];

async function accept(request: Request, subscription: string | undefined): Promise<Response> {
  const bytes = await readBytes(request, MAX_BODY);
  const signedAt = await verifySignature(
    request.headers.get("calendly-webhook-signature"),
    bytes,
    await keysFor(subscription),
  );
  const received = await new Database().call("calendly_receive_webhook", {
    delivery: {
      body: parseBody(bytes),
      digest: await sha256Hex(bytes),
      signed_at: signedAt,
      ...(subscription ? { subscription_id: subscription } : {}),
    },
  });
  report(received);
  return json({ status: received.status });
}

/** The keys that may have signed a delivery: of one of our subscriptions also those derived from its id. */
async function keysFor(subscription: string | undefined): Promise<string[]> {
  const configured = setting("CALENDLY_WEBHOOK_SIGNING_KEY");
  if (subscription === undefined) {
    if (configured.length === 0) {
      throw new ApiError("not_authentic", "CALENDLY_WEBHOOK_SIGNING_KEY is not set.");
    }
    return configured;
  }
  if (!UUID.test(subscription)) return [];
  const derived = (await allKeys()).map(({ signingKey }) => signingKey(subscription));
  return [...await Promise.all(derived), ...configured];
}

function parseBody(bytes: Uint8Array): unknown {
  try {
    return parseJson(new TextDecoder().decode(bytes));
  } catch {
    throw new ApiError("invalid_body", "The body is not JSON.");
  }
}

function report({ status, event_id, created, error }: ReceivedDelivery): void {
  if (status === "duplicate") log("Webhook event already processed, skipping", { event_id });
  else if (status === "deferred") log("Webhook event deferred", { event_id, error });
  else if (status === "ignored") log("Webhook event ignored", { event_id });
  else log(created ? "Meeting created from webhook" : "Meeting updated from webhook", { event_id });
}

/** How to make a subscription by hand, and whether its signing key is set. */
function test(): Promise<Response> {
  const url = deliveryUrl();
  return Promise.resolve(json({
    url,
    events: DELIVERED_EVENTS,
    signing_key_configured: setting("CALENDLY_WEBHOOK_SIGNING_KEY").length > 0,
    steps: [
      "Choose a signing key (`openssl rand -hex 32`) and set CALENDLY_WEBHOOK_SIGNING_KEY to it: npx supabase secrets set --env-file <file>. Delete the file afterwards.",
      "Find your organization and user: GET https://api.calendly.com/users/me with your token.",
      `Make the subscription: POST https://api.calendly.com/webhook_subscriptions with {"url": "${url}", "events": [the four above], "organization": …, "user": …, "scope": "user", "signing_key": the same key}. Calendly has no page for it.`,
      "Book a meeting with yourself: within a second it is in calendly_meetings, and calendly_webhook_events has the delivery.",
    ],
  }));
}

const DELIVERY: Omit<Route, "does"> = {
  handle: receive,
  caller: "anybody",
  answers: {
    200: '{"status": "processed" | "duplicate" | "ignored" | "deferred"}',
  },
  errors: [
    "not_authentic",
    "invalid_body",
    "body_too_large",
    "body_incomplete",
  ],
};

export const routes: Record<string, Route> = {
  "POST /": {
    ...DELIVERY,
    does:
      "Takes a delivery of a subscription that was made by hand, or by an OAuth app: the header " +
      "Calendly-Webhook-Signature must be made with CALENDLY_WEBHOOK_SIGNING_KEY.",
  },
  "POST /:subscription": {
    ...DELIVERY,
    does: "The same for a subscription that calendly-connect made, whose key is derived from " +
      "CALENDLY_TOKEN_KEY and the id in the path.",
    errors: [...DELIVERY.errors!, "subscription_ended"],
  },
  "GET /test": {
    handle: test,
    does: "Says how to make a subscription by hand, and whether its signing key is set.",
    caller: "anybody",
    answers: { 200: "{url, events, signing_key_configured, steps}" },
  },
};

export default { fetch: serve("calendly-webhook", routes) };
