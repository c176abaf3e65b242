/**
 * What the functions' environment says, read by one schema. A variable that is missing or wrong is the
 * error not_configured, which names it and says what would be right. Addresses come from here and never
 * from a request.
 */
import { z } from "zod";
import { ApiError } from "./errors.ts";

/** An error message for a value that is missing, and one for a value that is wrong. */
function wording(wrong: string) {
  return { error: ({ input }: { input?: unknown }) => input === undefined ? "is not set" : wrong };
}

const text = z.string(wording("is not a text"));
const page = z.url({ protocol: /^https?$/, ...wording("is not an http or https address") });

/** The address of a server, below which paths are added: without a trailing slash. */
const server = page.transform((address) => new URL(address))
  .refine(({ search, hash, username, password }) => !search && !hash && !username && !password, {
    error: "has more in it than a host, a port and a path",
  })
  .transform(({ origin, pathname }) => origin + pathname.replace(/\/+$/, ""));

const list = text.transform((keys) =>
  keys.split(",").map((key) => key.trim()).filter((key) => key !== "")
);

const json = text.transform((value, context): unknown => {
  try {
    return JSON.parse(value);
  } catch {
    context.addIssue({ code: "custom", message: "is not JSON" });
    return z.NEVER;
  }
});
const NOT_KEYS = "is not a JSON object of keys by name";
const namedKeys = json.pipe(z.record(z.string(), z.string(NOT_KEYS).min(1, NOT_KEYS), NOT_KEYS));
const jwk = z.looseObject({ kty: z.string() });

const PLATFORM =
  "Supabase sets it for Edge Functions; locally `npx -y deno@2.9.6 task start` does.";
const OAUTH_APP = "Make an OAuth app at Calendly and set its id and secret.";

/**
 * Each variable: what it is for, and in its description what a right value is. docs/reference/environment.md
 * is made from here.
 */
export const Variables = z.object({
  SUPABASE_URL: server.meta({
    purpose: "The project's address, as the functions reach it.",
    description: PLATFORM,
  }),
  SUPABASE_PUBLIC_URL: server.optional().meta({
    purpose: "The project's address for Calendly and browsers, where SUPABASE_URL is another " +
      "(self-hosted, `supabase start`).",
    description: "Set it to this project's address as browsers and Calendly reach it, such as " +
      "https://supabase.example.com. Leave it out where that is SUPABASE_URL.",
  }),
  SUPABASE_SECRET_KEYS: namedKeys.default({}).meta({
    purpose: "Secret keys of the project by name: with one the functions reach the database, and " +
      "servers call the functions.",
    description: PLATFORM,
  }),
  SUPABASE_SERVICE_ROLE_KEY: text.optional().meta({
    purpose: "The same, of an older project.",
    description: PLATFORM,
  }),
  SUPABASE_PUBLISHABLE_KEYS: namedKeys.default({}).meta({
    purpose: "Publishable keys of the project by name: with one the functions ask Auth.",
    description: PLATFORM,
  }),
  SUPABASE_ANON_KEY: text.optional().meta({
    purpose: "The same, of an older project.",
    description: PLATFORM,
  }),
  SUPABASE_JWKS: json.pipe(
    z.union([z.object({ keys: z.array(jwk) }), z.array(jwk).transform((keys) => ({ keys }))], {
      error: "is not a JSON Web Key Set",
    }),
  ).optional().meta({
    purpose: "The keys by which people's JWTs are verified; without it Auth is asked for them.",
    description: PLATFORM,
  }),
  CALENDLY_API_URL: server.default("https://api.calendly.com").meta({
    purpose: "Calendly's API.",
    description:
      "Leave it out for Calendly itself, or set it to a sandbox, such as http://127.0.0.1:4010.",
  }),
  CALENDLY_AUTH_URL: server.default("https://auth.calendly.com").meta({
    purpose: "Calendly's authorization server.",
    description:
      "Leave it out for Calendly itself, or set it to a sandbox, such as http://127.0.0.1:4010.",
  }),
  CALENDLY_CLIENT_ID: text.meta({
    purpose: "Your OAuth app at Calendly. Only OAuth needs it.",
    description: OAUTH_APP,
  }),
  CALENDLY_CLIENT_SECRET: text.meta({
    purpose: "Its secret. Only OAuth needs it.",
    description: OAUTH_APP,
  }),
  CALENDLY_RETURN_URL: page.meta({
    purpose: "Your app's page that finishes OAuth; nobody is ever sent anywhere else. Only OAuth " +
      "needs it.",
    description: "Set it to the page of your app that finishes connecting, such as " +
      "https://app.example.com/settings.",
  }),
  CALENDLY_WEBHOOK_SIGNING_KEY: list.default([]).meta({
    purpose:
      "What signs webhooks of your OAuth app, or of a subscription made by hand; a comma list " +
      "while it is rotated.",
    description:
      "Set it to the webhook signing key of your OAuth app, or of a subscription made by hand.",
  }),
  CALENDLY_TOKEN_KEY: list.pipe(
    z.array(z.string().min(32, "has a key that is shorter than 32 characters"))
      .min(1, "has no key in it"),
  ).meta({
    purpose:
      "Encrypts people's Calendly tokens, and the keys of webhook subscriptions are derived " +
      "from it. The database does not have it.",
    description:
      "Set it to the output of `openssl rand -base64 32`; while it is rotated, to a comma list " +
      "with the new one first.",
  }),
});
type Variables = z.infer<typeof Variables>;

/** The text of a variable, white space around it left out; undefined where it is not set. */
function given(name: keyof Variables): string | undefined {
  return Deno.env.get(name)?.trim() || undefined;
}

/** The value of a variable; white space around it is no part of it. Error: not_configured. */
export function setting<Name extends keyof Variables>(name: Name): Variables[Name] {
  const schema = Variables.shape[name];
  const parsed = schema.safeParse(given(name));
  if (!parsed.success) throw notConfigured(name, parsed.error.issues[0].message);
  return parsed.data as Variables[Name];
}

export function notConfigured(name: keyof Variables, problem: string): ApiError {
  return new ApiError(
    "not_configured",
    `${name} ${problem}.`,
    Variables.shape[name].description,
  );
}

/**
 * Names that only a private network resolves: one word, such as kong, or one of these, with or without
 * the dot that ends a name. Loopback addresses are the local stack's.
 */
const INWARD = /^(?!localhost\.?$)[^.:]+\.?$|\.(internal|localdomain|svc|cluster\.local)\.?$/;
/** Addresses of private networks. A URL has them in this form, however they are written. */
const PRIVATE = /^(10|172\.(1[6-9]|2\d|3[01])|192\.168)(\.\d+){2,3}$/;

/**
 * The project's address for Calendly and for browsers. Where the functions know the project by a name
 * that only its own network resolves (self-hosted: http://kong:8000), another one must be set.
 * Error: not_configured.
 */
export function publicUrl(): string {
  const url = setting("SUPABASE_PUBLIC_URL") ?? setting("SUPABASE_URL");
  const { hostname } = new URL(url);
  if (INWARD.test(hostname) || PRIVATE.test(hostname)) {
    throw notConfigured(
      "SUPABASE_PUBLIC_URL",
      `is needed: ${url} is an address that neither Calendly nor a browser reaches`,
    );
  }
  return url;
}

/**
 * The project's secret keys by name: the new ones, and the service_role key of an older project.
 * Error: not_configured.
 */
export function secretKeys(): Record<string, string> {
  const keys = setting("SUPABASE_SECRET_KEYS");
  const legacy = setting("SUPABASE_SERVICE_ROLE_KEY");
  if (legacy) return { ...keys, service_role: legacy };
  if (Object.keys(keys).length === 0) throw notConfigured("SUPABASE_SECRET_KEYS", "has no key");
  return keys;
}

/** The secret key that the functions use themselves. Error: not_configured. */
export function secretKey(): string {
  const { default: first, service_role: legacy, ...others } = secretKeys();
  return first ?? Object.values(others)[0] ?? legacy;
}

/** Error: not_configured. */
export function publishableKey(): string {
  const keys = setting("SUPABASE_PUBLISHABLE_KEYS");
  const key = keys.default ?? Object.values(keys)[0] ?? setting("SUPABASE_ANON_KEY");
  if (!key) throw notConfigured("SUPABASE_PUBLISHABLE_KEYS", "has no key");
  return key;
}

/** Without these nothing is synced. */
export const REQUIRED: (keyof Variables)[] = [
  "SUPABASE_URL",
  "CALENDLY_TOKEN_KEY",
];

/** What an operator must know of the environment: what is set up, and each variable that is wrong. */
export function readConfiguration() {
  return {
    configuration: {
      /** Tokens can be kept. */
      token_key: isSetUp(() => setting("CALENDLY_TOKEN_KEY")),
      /** People can connect by OAuth. */
      oauth: isSetUp(() => setting("CALENDLY_CLIENT_ID")) &&
        isSetUp(() => setting("CALENDLY_CLIENT_SECRET")) &&
        isSetUp(() => setting("CALENDLY_RETURN_URL")),
      /** What is subscribed to by OAuth or by hand is believed. */
      signing_key: isSetUp(() => setting("CALENDLY_WEBHOOK_SIGNING_KEY")),
      /** Calendly and browsers reach the project. */
      public_url: isSetUp(publicUrl),
    },
    configuration_errors: (Object.keys(Variables.shape) as (keyof Variables)[])
      .filter((name) => given(name) !== undefined || REQUIRED.includes(name))
      .flatMap((name) => configurationErrors(() => setting(name))),
  };
}

function isSetUp(read: () => string | string[]): boolean {
  return configurationErrors(read).length === 0 && read().length > 0;
}

function configurationErrors(read: () => unknown): ApiError[] {
  try {
    read();
    return [];
  } catch (error) {
    if (error instanceof ApiError) return [error];
    throw error;
  }
}
