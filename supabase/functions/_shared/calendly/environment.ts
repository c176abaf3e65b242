/** What the functions are told by their environment. Addresses come from here and never from a request. */
import { ApiError } from "./errors.ts";

/** A required variable. Error: not_configured. */
export function required(name: string, hint: string): string {
  const value = Deno.env.get(name);
  if (!value) throw new ApiError("not_configured", `${name} is not set.`, hint);
  return value;
}

export function supabaseUrl(): string {
  return required("SUPABASE_URL", "The platform sets it; locally `deno task start` does.");
}

/** Calendly's API, without a trailing slash. */
export function calendlyUrl(): string {
  return (Deno.env.get("CALENDLY_API_URL") || "https://api.calendly.com").replace(/\/+$/, "");
}

/** The project's secret keys by name: the new ones, and the service_role key of an older project. */
export function secretKeys(): Record<string, string> {
  const keys = named("SUPABASE_SECRET_KEYS");
  const legacy = Deno.env.get("SUPABASE_SERVICE_ROLE_KEY");
  return legacy ? { ...keys, service_role: legacy } : keys;
}

export function publishableKey(): string | undefined {
  const keys = named("SUPABASE_PUBLISHABLE_KEYS");
  return keys.default ?? Object.values(keys)[0] ?? Deno.env.get("SUPABASE_ANON_KEY");
}

function named(variable: string): Record<string, string> {
  const value = Deno.env.get(variable);
  if (!value) return {};
  try {
    return JSON.parse(value);
  } catch {
    throw new ApiError("not_configured", `${variable} is not JSON.`, "The platform sets it.");
  }
}
