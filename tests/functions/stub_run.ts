/** A run that a stub of the database gives to a worker. */
import { encryptToken } from "../../supabase/functions/_shared/calendly/tokens.ts";
import { type Answers, Stub } from "./stub.ts";

export const RESULT = {
  run_id: "run",
  sync_type: "FULL",
  status: "complete",
  created: 1,
  updated: 0,
  deleted: 0,
};
export const STOP = { do: "stop", result: RESULT };

/** What calendly_begin_sync answers where `next` comes next. */
export async function started(next: unknown): Promise<Record<string, unknown>> {
  return {
    status: "started",
    run_id: "run",
    lease: "lease",
    user_id: 7,
    sync_type: "FULL",
    range_in_words: "2 years back, 1 year forward",
    credential: {
      connection_id: "connection",
      kind: "personal_access_token",
      token_jwe: await encryptToken({ access_token: "pat" }, "connection"),
      version: 1,
      expires_soon: false,
    },
    review_webhooks: false,
    next,
  };
}

/** A database whose runs go like this: `next` first, then what each RPC answers. */
export async function stubOf(next: unknown, answers: Answers = {}): Promise<Stub> {
  const stub = new Stub({});
  const run = await started(next);
  stub.answers = {
    calendly_begin_sync: () => run,
    calendly_claim_sync: () => run,
    calendly_fail_sync: () => ({ status: "paused" }),
    ...answers,
  };
  return stub;
}
