/** Requests that anybody might send to the webhook's address: made up at random, and near misses. */
import fc from "fast-check";
import { createHash } from "node:crypto";
import { digest } from "./support.ts";

export interface Fuzzed {
  method: string;
  /** What follows /functions/v1/calendly-webhook. */
  path: string;
  headers: Record<string, string>;
  body: Uint8Array<ArrayBuffer>;
  /** How many bytes each chunk has; undefined: the body comes whole, with its length. */
  chunks?: number;
  /** Signed as Calendly would, by nothing but a key that fits the path, at a time that is accepted. */
  genuine: boolean;
}

/** What is known to whoever fuzzes. */
export interface Known {
  deliveries: string[];
  key: string;
  /** A subscription of ours, and its key. */
  subscription: { id: string; key: string };
  /** Seconds since 1970. */
  now: number;
}

const MAX_BODY = 256 * 1024;

/** More than fits an index. */
const INCOMPRESSIBLE = Array.from(
  { length: 150 },
  (_, number) => createHash("sha256").update(String(number)).digest("hex"),
).join("");

export function requests(known: Known): fc.Arbitrary<Fuzzed> {
  return fc.record({
    method: fc.oneof(
      { weight: 30, arbitrary: fc.constant("POST") },
      fc.constantFrom("GET", "PUT", "DELETE", "OPTIONS", "PATCH", "HEAD"),
    ),
    path: paths(known),
    body: bodies(known),
    signing: signings,
    headers: otherHeaders,
    chunks: fc.option(fc.constantFrom(1000, 8192, 65_536), { nil: undefined }),
  }).map(({ signing, headers, ...request }) => {
    const key = request.path.startsWith("/") && request.path.length > 1
      ? known.subscription.key
      : known.key;
    const signed = header(signing, { body: request.body, key, now: known.now });
    const own = request.path === "" || request.path === "/" ||
      request.path === `/${known.subscription.id}`;
    return {
      ...request,
      headers: signed === null ? headers : { ...headers, "calendly-webhook-signature": signed },
      genuine: own && signing.kind === "right" && Math.abs(signing.age) < 300 &&
        request.method === "POST",
    };
  });
}

function paths({ subscription: { id } }: Known): fc.Arbitrary<string> {
  return fc.oneof(
    { weight: 10, arbitrary: fc.constantFrom("", "/", `/${id}`) },
    fc.constantFrom(
      "/test",
      "/test/",
      "//",
      `/${id}/`,
      `/${id}/more`,
      `/${id.toUpperCase()}`,
      "/%00",
      "/%E0%A4",
      "/..%2F",
      "?a=/b",
    ),
    fc.uuid().map((uuid) => `/${uuid}`),
    fc.webPath().map((path) => path.startsWith("/") ? path : `/${path}`),
  );
}

type Signing =
  | { kind: "right"; age: number }
  | { kind: "none" | "another key" | "another body" | "empty key" }
  | { kind: "any"; text: string }
  | { kind: "damaged"; age: number; at: number; by: string };

const ages = fc.oneof(fc.constantFrom(0, 1, 60, 299), fc.integer({ min: -200_000, max: 200_000 }));

const signings: fc.Arbitrary<Signing> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ kind: fc.constant("right" as const), age: ages }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constantFrom(
        "none" as const,
        "another key" as const,
        "another body" as const,
        "empty key" as const,
      ),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("any" as const),
      text: fc.string({ unit: "grapheme-ascii", maxLength: 200 }),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant("damaged" as const),
      age: ages,
      at: fc.nat({ max: 90 }),
      by: fc.oneof(
        fc.constantFrom("", ",", "=", "t=1,", "v1=", " ", "0", "f", "v0=a,"),
        fc.string({ unit: "grapheme-ascii", maxLength: 5 }),
      ),
    }),
  },
);

function header(
  signing: Signing,
  { body, key, now }: { body: Uint8Array; key: string; now: number },
): string | null {
  const sign = (text: Uint8Array, secret: string, age: number) =>
    `t=${now - age},v1=${digest(text, secret, now - age)}`;
  switch (signing.kind) {
    case "none":
      return null;
    case "right":
      return sign(body, key, signing.age);
    case "another key":
      return sign(body, `${key} `, 0);
    case "another body":
      return sign(new Uint8Array([...body, 10]), key, 0);
    case "empty key":
      return sign(body, "", 0);
    case "any":
      return signing.text;
    case "damaged": {
      const right = sign(body, key, signing.age);
      const at = signing.at % right.length;
      return right.slice(0, at) + signing.by + right.slice(at + 1);
    }
  }
}

const otherHeaders = fc.oneof(
  { weight: 5, arbitrary: fc.constant({ "content-type": "application/json" }) },
  fc.dictionary(
    fc.constantFrom(
      "content-type",
      "content-encoding",
      "authorization",
      "apikey",
      "x-forwarded-host",
      "host",
      "accept",
      "calendly-signature",
      "user-agent",
    ),
    fc.string({ unit: "grapheme-ascii", maxLength: 300 }),
  ) as fc.Arbitrary<Record<string, string>>,
);

/** What Calendly sends, the same with something changed, other JSON, and anything at all. */
function bodies({ deliveries }: Known): fc.Arbitrary<Uint8Array<ArrayBuffer>> {
  const genuine = fc.constantFrom(...deliveries);
  const text = fc.oneof(
    { weight: 3, arbitrary: genuine },
    {
      weight: 6,
      arbitrary: fc.tuple(
        genuine,
        fc.nat({ max: 999_999 }),
        fc.array(changes, { minLength: 1, maxLength: 4 }),
      ).map(changed),
    },
    { weight: 1, arbitrary: fc.json() },
    { weight: 1, arbitrary: fc.string({ unit: "binary" }) },
    {
      weight: 1,
      arbitrary: fc.tuple(genuine, fc.nat(), fc.string()).map(([text, at, by]) =>
        text.slice(0, at % text.length) + by + text.slice(at % text.length + by.length)
      ),
    },
    {
      weight: 1,
      arbitrary: fc.tuple(fc.nat({ max: 500 }), fc.constantFrom("[", '{"a":')).map((
        [depth, open],
      ) => open.repeat(depth) + "1"),
    },
  ).map((text) => new TextEncoder().encode(text));
  const sized = fc.tuple(genuine, fc.integer({ min: -2, max: 2000 })).map(([text, over]) => {
    const bytes = new Uint8Array(MAX_BODY + over).fill(32);
    new TextEncoder().encodeInto(text, bytes);
    return bytes;
  });
  return fc.oneof(
    { weight: 30, arbitrary: text },
    { weight: 1, arbitrary: sized },
    {
      weight: 2,
      arbitrary: fc.uint8Array({ maxLength: 500 }) as fc.Arbitrary<Uint8Array<ArrayBuffer>>,
    },
  );
}

/** One value of the JSON, found by chance, mostly in the payload, and what becomes of it. */
interface Change {
  inPayload: boolean;
  steps: number[];
  to: { value: unknown } | "gone" | "doubled";
}

const changes: fc.Arbitrary<Change> = fc.record({
  inPayload: fc.nat({ max: 9 }).map((number) => number > 0),
  steps: fc.array(fc.nat({ max: 40 }), { minLength: 1, maxLength: 6 }),
  to: fc.oneof(
    fc.constantFrom("gone" as const, "doubled" as const),
    fc.record({
      value: fc.oneof(
        fc.jsonValue({ maxDepth: 3 }),
        fc.string({ unit: "binary" }),
        fc.constantFrom<unknown>(
          null,
          "",
          "\u0000",
          "\ud800",
          "canceled",
          "active",
          "invitee.canceled",
          "invitee_no_show.deleted",
          1e308,
          -1,
          2 ** 53,
          "2026-02-30T00:00:00Z",
          "infinity",
          "-infinity",
          "0001-01-01T00:00:00Z",
          "9999-12-31T23:59:59.999999Z",
          "2026-03-02T10:00:00+99:99",
          "https://api.calendly.com/scheduled_events/x/invitees/y",
          "x".repeat(5000),
          INCOMPRESSIBLE,
          [],
          {},
          true,
        ),
      ),
    }),
  ),
});

function changed([text, micros, changes]: [string, number, Change[]]): string {
  const body = JSON.parse(text);
  rename(body, `2026-03-02T10:00:00.${String(micros).padStart(6, "0")}Z`);
  for (const { inPayload, steps, to } of changes) {
    change(inPayload ? body.payload : body, steps, to);
  }
  return JSON.stringify(body);
}

/** Or it would be taken for a repetition, and not be looked at. */
function rename(body: Record<string, unknown>, time: string): void {
  const { cancellation, no_show } = body.payload as Record<string, Record<string, unknown> | null>;
  body.created_at = time;
  Object.assign(body.payload as object, { updated_at: time });
  if (cancellation) cancellation.created_at = time;
  if (no_show) no_show.uri = `https://api.calendly.com/invitee_no_shows/${time}`;
}

function change(within: unknown, [step, ...steps]: number[], to: Change["to"]): void {
  if (typeof within !== "object" || within === null) return;
  const keys = Object.keys(within);
  if (keys.length === 0) return;
  const key = keys[step % keys.length] as keyof typeof within;
  const inner: unknown = within[key];
  if (steps.length > 0 && typeof inner === "object" && inner !== null) {
    return change(inner, steps, to);
  }
  if (to === "gone") delete within[key];
  else Object.assign(within, { [key]: to === "doubled" ? [inner, inner] : to.value });
}
