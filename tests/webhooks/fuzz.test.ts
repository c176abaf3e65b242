/**
 * Whatever is sent to the webhook's address: nothing is stored that is not authentic, nothing crashes,
 * everything is answered. PROOF=full sends 100,000 requests in place of a thousand.
 */
import assert from "node:assert/strict";
import { hkdfSync } from "node:crypto";
import fc from "fast-check";
import webhook from "../../supabase/functions/calendly-webhook/index.ts";
import { type Fuzzed, requests } from "./requests.ts";
import { digest, type Hooks, hookTest, SIGNING_KEY, silence } from "./support.ts";

const RUNS = Deno.env.get("PROOF") === "full" ? 100_000 : 1_000;
const TOKEN_KEY = "the only key that encrypts the tokens";

hookTest(
  "nothing is stored that is not authentic, nothing crashes, everything is answered",
  async (hooks) => {
    const person = await hooks.person();
    const deliveries = await everyKind(hooks, person.host.uri);
    const id = await hooks.registerSubscription(person);
    const subscriptionKey = new Uint8Array(
      hkdfSync("sha256", TOKEN_KEY, "", `calendly webhook ${id}`, 32),
    ).toHex();
    const keys = [SIGNING_KEY, subscriptionKey];
    using _silence = silence();
    using _environment = environment({
      SUPABASE_URL: hooks.project.stack.url,
      SUPABASE_SECRET_KEYS: JSON.stringify({ default: hooks.project.stack.secretKey }),
      CALENDLY_WEBHOOK_SIGNING_KEY: SIGNING_KEY,
      CALENDLY_TOKEN_KEY: TOKEN_KEY,
    });

    const seen = { answers: {} as Record<string, number>, authentic: new Set<string>() };
    const known = {
      deliveries,
      key: SIGNING_KEY,
      subscription: { id, key: subscriptionKey },
      now: hooks.now(),
    };
    await fc.assert(
      fc.asyncProperty(requests(known), async (fuzzed) => {
        const { status, answer } = await send(fuzzed);
        const told = status === 200 && answer?.status ? answer.status : status;
        seen.answers[told] = (seen.answers[told] ?? 0) + 1;
        const text = new TextDecoder().decode(fuzzed.body);
        if (status === 200 && fuzzed.method === "POST") {
          assert.ok(isSigned(fuzzed, keys), "what is accepted is signed");
          assert.match(answer.status, /^(processed|duplicate|ignored|deferred)$/);
          seen.authentic.add(text);
        } else if (status !== 200 && status !== 204) {
          assert.ok(
            [400, 401, 404, 405, 413].includes(status),
            `${status} ${JSON.stringify(answer)}`,
          );
          assert.ok(fuzzed.method === "HEAD" || answer.error.code && answer.error.message);
        }
        if (fuzzed.genuine) {
          assert.equal(status, fuzzed.body.length > 256 * 1024 ? 413 : isJson(text) ? 200 : 400);
        }
      }),
      { numRuns: RUNS, seed: 1 },
    );
    for (
      const answer of ["processed", "duplicate", "ignored", "deferred", 400, 401, 404, 405, 413]
    ) {
      assert.ok(seen.answers[answer] > 0, `${answer} among ${JSON.stringify(seen.answers)}`);
    }
    const stored = await hooks.events();
    assert.ok(stored.length > 0 && stored.length <= seen.authentic.size);
  },
);

/** A delivery of each type that we apply, and one that we ignore. */
async function everyKind(hooks: Hooks, user: string): Promise<string[]> {
  const { invitee } = hooks.control.book({ user, location: "zoom", conference: "pushed" });
  hooks.control.mark_no_show({ invitee: invitee.uri });
  hooks.control.undo_no_show({ invitee: invitee.uri });
  hooks.control.reschedule({ invitee: invitee.uri });
  const bodies = await hooks.take();
  return [
    ...bodies,
    JSON.stringify({
      event: "contact.created",
      payload: { uri: "https://api.calendly.com/contacts/1" },
    }),
  ];
}

async function send({ method, path, headers, body, chunks }: Fuzzed) {
  const request = new Request(`http://127.0.0.1/functions/v1/calendly-webhook${path}`, {
    method,
    headers,
    ...method !== "GET" && method !== "HEAD" && { body: chunks ? inChunks(body, chunks) : body },
  });
  const response = await webhook.fetch(request);
  const text = await response.text();
  return { status: response.status, answer: text === "" ? null : JSON.parse(text) };
}

function inChunks(body: Uint8Array, size: number): ReadableStream<Uint8Array> {
  return ReadableStream.from((function* () {
    for (let at = 0; at < body.length; at += size) yield body.slice(at, at + size);
  })());
}

/** By any of the keys, at a time that the header names. */
function isSigned({ headers, body }: Fuzzed, keys: string[]): boolean {
  const header = headers["calendly-webhook-signature"] ?? "";
  const times = header.match(/\d+/g) ?? [];
  return keys.some((key) =>
    times.some((time) => header.toLowerCase().includes(digest(body, key, Number(time))))
  );
}

function isJson(text: string): boolean {
  try {
    return depth(JSON.parse(text)) <= 64;
  } catch {
    return false;
  }
}

function depth(value: unknown): number {
  if (typeof value !== "object" || value === null) return 0;
  return 1 + Math.max(0, ...Object.values(value).map(depth));
}

/** Variables for the function, which runs in this very process. */
function environment(variables: Record<string, string>): Disposable {
  const before = Object.keys(variables).map((name) => [name, Deno.env.get(name)] as const);
  for (const [name, value] of Object.entries(variables)) Deno.env.set(name, value);
  return {
    [Symbol.dispose]() {
      for (const [name, value] of before) {
        if (value === undefined) Deno.env.delete(name);
        else Deno.env.set(name, value);
      }
    },
  };
}
