/**
 * Back from Calendly's consent page: `?code=…&state=…` or `?error=…` in the address. They are taken out of it
 * at once, so that no reload, link or history finishes the same consent again.
 */
import { signal } from "@preact/signals";
import { callAsPerson } from "../data/person.ts";
import { Problem, toProblem } from "../data/problem.ts";
import { link } from "../routes.ts";

export interface Consent {
  code?: string;
  state?: string;
  error?: string;
  error_description?: string;
}

/** A consent that waits to be finished by the person who began it. */
export const consent = signal<Consent>();

/** Before the first rendering. */
export function takeConsent(): void {
  const query = new URLSearchParams(location.search);
  if (!query.has("state") || !(query.has("code") || query.has("error"))) return;
  consent.value = Object.fromEntries(query);
  history.replaceState(null, "", `${location.pathname}${link("meetings")}`);
}

/** Finishes it: connects, and the first sync begins. Throws a `Problem`. */
export async function finishConsent(): Promise<void> {
  const taken = consent.peek();
  consent.value = undefined;
  if (taken?.code === undefined) {
    throw new Problem(
      taken?.error ?? "access_denied",
      taken?.error_description ?? "Calendly has not given access.",
    );
  }
  const { code, state } = taken;
  try {
    await callAsPerson("calendly-connect/oauth/finish", { body: { code, state } });
  } catch (error) {
    const problem = await toProblem(error);
    // The code is not spent where no function was reached: the person can try again.
    if (problem.code === "unreachable") consent.value = taken;
    throw problem;
  }
}
