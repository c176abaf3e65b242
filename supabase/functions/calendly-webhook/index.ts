/**
 * POST /functions/v1/calendly-webhook: what Calendly delivers for a subscription made by hand, and
 * …/<subscription id> for one of ours. With a personal access token we choose the key (derived from the
 * id); what is made by OAuth is signed with the app's one key (CALENDLY_WEBHOOK_SIGNING_KEY).
 * Authentic, stored and applied in one transaction, then answered. GET …/test tells how to set it up.
 */
import { Database } from "../_shared/calendly/database.ts";
import { supabaseUrl } from "../_shared/calendly/environment.ts";
import { ApiError } from "../_shared/calendly/errors.ts";
import { json, readBytes, serve } from "../_shared/calendly/http.ts";
import { parseJson } from "../_shared/calendly/json.ts";
import { toHex } from "../_shared/calendly/keys.ts";
import { log, logError } from "../_shared/calendly/log.ts";
import {
  configuredKeys,
  subscriptionKeys,
  verifySignature,
} from "../_shared/calendly/signature.ts";
import { EVENTS } from "../_shared/calendly/subscriptions.ts";

const MAX_BODY = 256 * 1024;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

interface Outcome {
  status: "processed" | "duplicate" | "ignored" | "deferred";
  event_id: string;
  created?: boolean;
  error?: { code: string; message: string };
}

async function receive(
  request: Request,
  { subscription }: Record<string, string | undefined>,
): Promise<Response> {
  try {
    return await accept(request, subscription);
  } catch (error) {
    if (error instanceof ApiError && error.status < 500) {
      // Calendly tells nobody, and gives a subscription up after a day of it. An id has 36 letters.
      logError(`A webhook was refused: ${error.message}`, {
        subscription_id: subscription?.slice(0, 36),
      });
    }
    throw error;
  }
}

async function accept(request: Request, subscription: string | undefined): Promise<Response> {
  const bytes = await readBytes(request, MAX_BODY);
  const signedAt = await verifySignature(
    request.headers.get("calendly-webhook-signature"),
    bytes,
    await keysFor(subscription),
  );
  const body = understand(bytes);
  const outcome = await new Database().call("calendly_receive_webhook", {
    delivery: {
      body,
      digest: toHex(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes))),
      signed_at: signedAt,
      ...(subscription ? { subscription_id: subscription } : {}),
    },
  }) as Outcome;
  report(outcome);
  return json({ status: outcome.status });
}

/** For one of our subscriptions, its derived key; the configured keys sign what an OAuth app made. */
async function keysFor(subscription: string | undefined): Promise<string[]> {
  if (subscription === undefined) {
    const keys = configuredKeys();
    if (keys.length === 0) {
      throw new ApiError("not_authentic", "CALENDLY_WEBHOOK_SIGNING_KEY is not set.");
    }
    return keys;
  }
  if (!UUID.test(subscription)) return [];
  return [...await subscriptionKeys(subscription), ...configuredKeys()];
}

function understand(bytes: Uint8Array): unknown {
  try {
    return parseJson(new TextDecoder().decode(bytes));
  } catch {
    throw new ApiError("invalid_body", "The body is not JSON.");
  }
}

function report({ status, event_id, created, error }: Outcome): void {
  if (status === "duplicate") log("Webhook event already processed, skipping", { event_id });
  else if (status === "deferred") log("Webhook event deferred", { event_id, error });
  else if (status === "ignored") log("Webhook event ignored", { event_id });
  else log(created ? "Meeting created from webhook" : "Meeting updated from webhook", { event_id });
}

/** How to make a subscription by hand, and whether this end is ready for it. */
function test(): Promise<Response> {
  const url = `${supabaseUrl()}/functions/v1/calendly-webhook`;
  return Promise.resolve(json({
    url,
    events: EVENTS,
    signing_key_configured: configuredKeys().length > 0,
    steps: [
      "Choose a signing key (`openssl rand -hex 32`) and set it: supabase secrets set CALENDLY_WEBHOOK_SIGNING_KEY=…",
      "Find your organization and user: GET https://api.calendly.com/users/me with your token.",
      `Make the subscription: POST https://api.calendly.com/webhook_subscriptions with {"url": "${url}", "events": [the four above], "organization": …, "user": …, "scope": "user", "signing_key": the same key}. Calendly has no page for it.`,
      "Book a meeting with yourself: within a second it is in meetings, and calendly_webhook_events has the delivery.",
    ],
  }));
}

export default {
  fetch: serve("calendly-webhook", {
    "GET /test": test,
    "POST /": receive,
    "POST /:subscription": receive,
  }),
};
