/** The client, what this app reads, and how it calls the functions. */
import { createClient, FunctionsHttpError } from "@supabase/supabase-js";

export const supabase = createClient(
  import.meta.env.VITE_SUPABASE_URL,
  import.meta.env.VITE_SUPABASE_PUBLISHABLE_KEY,
);

export interface Meeting {
  id: number;
  name: string;
  start_time: string;
  end_time: string;
  join_url: string | null;
  calendly_created_at: string;
  calendly_invitees: {
    name: string | null;
    email: string | null;
    status: string;
  }[];
}

/** Calls a function. What it refuses is an Error that says what to do. */
export async function call<Answer>(
  name: string,
  method: "GET" | "POST" | "DELETE",
  body?: Record<string, unknown>,
): Promise<Answer> {
  const { data, error } = await supabase.functions.invoke(name, {
    method,
    body,
  });
  if (!error) return data;
  if (!(error instanceof FunctionsHttpError)) throw error;
  const { message, hint } = (await error.context.json()).error;
  throw new Error(hint ? `${message.replace(/\.?$/, ".")} ${hint}` : message);
}

/** For messages to people. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
