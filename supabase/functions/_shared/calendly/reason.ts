/**
 * Why Calendly refuses a request, in its own words and fit to be stored with a run, shown to people and
 * logged. Its message is often the same for every cause; the cause is in `details`. Tokens, e-mail
 * addresses and telephone numbers are taken out: Calendly may repeat what was sent.
 */

import { withoutEmails } from "./emails.ts";

const MAX_REASON = 900;
/** Of a message with details, so that they have room. */
const MAX_MESSAGE = 300;
const MAX_DETAILS = 5;
const MAX_DETAIL = 200;
/** So much of a text, and so many details, are looked at: the rest is of no use to anybody. */
const MAX_TEXT = 10_000;
const MAX_LOOKED_AT = 100;

/** The reason in an error's body, `{title, message, details}`; undefined where there is none. */
export function reasonOf(
  body: Record<string, unknown>,
  secrets: string[] = [],
): string | undefined {
  const clean = (text: string) => withoutSecrets(text, secrets);
  const text = [body.message, body.title].find(isText);
  const details = [body.details].flat().slice(0, MAX_LOOKED_AT).map((detail) =>
    partsOf(detail).map((part) => clean(part).slice(0, MAX_DETAIL)).join(": ")
  );
  const told = [...new Set(details.filter(isText))].slice(0, MAX_DETAILS).join("; ");
  if (text === undefined) return cut(told) || undefined;
  return cut(told ? `${clean(text).slice(0, MAX_MESSAGE)} (${told})` : clean(text));
}

function cut(reason: string): string {
  return reason.slice(0, MAX_REASON).toWellFormed();
}

/** What is told of one of `details`: `{parameter, message}`, or a text. */
function partsOf(detail: unknown): string[] {
  const { parameter, message } = (detail ?? {}) as Record<string, unknown>;
  return [detail, parameter, message].filter(isText);
}

function isText(value: unknown): value is string {
  return typeof value === "string" && value.trim() !== "";
}

/** A text without these secrets, e-mail addresses and telephone numbers. */
export function withoutSecrets(text: string, secrets: string[]): string {
  const rest = secrets.filter(isText)
    .reduce((rest, secret) => rest.replaceAll(secret, "…"), text);
  return withoutEmails(beginningOf(rest), "(e-mail)")
    .replace(/\+\d[\d ().-]{5,30}\d/g, "(telephone number)")
    // deno-lint-ignore no-control-regex
    .replace(/[\u0000-\u001f]+/g, " ")
    .trim()
    .slice(0, MAX_REASON)
    .toWellFormed();
}

/** The first words of a long text: a part of an address would not be known as one. */
function beginningOf(text: string): string {
  if (text.length <= MAX_TEXT) return text;
  const end = text.lastIndexOf(" ", MAX_TEXT);
  return text.slice(0, end > 0 ? end : MAX_TEXT);
}
