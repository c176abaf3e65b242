/**
 * Why Calendly refuses a request, in its own words and fit to be stored with a run, shown to people and
 * logged. Its message is often the same for every cause; the cause is in `details`. Tokens, e-mail
 * addresses and telephone numbers are taken out: Calendly may repeat what was sent.
 */

const MAX_REASON = 1000;
/** Of a message with details, so that they have room. */
const MAX_MESSAGE = 300;
const MAX_DETAILS = 5;
const MAX_DETAIL = 200;

/** The reason in an error's body, `{title, message, details}`; undefined where there is none. */
export function reasonOf(
  body: Record<string, unknown>,
  secrets: string[] = [],
): string | undefined {
  const clean = (text: string) => withoutSecrets(text, secrets);
  const text = [body.message, body.title].find(isText);
  const details = [body.details].flat().map((detail) =>
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
  return secrets.filter(isText)
    .reduce((rest, secret) => rest.replaceAll(secret, "…"), text)
    .replace(/[^\s@<>()[\]{}"',:;=]+(@|%40)[^\s@<>()[\]{}"',:;]+/gi, "(e-mail)")
    .replace(/\+\d[\d ().-]{5,}\d/g, "(telephone number)")
    // deno-lint-ignore no-control-regex
    .replace(/[\u0000-\u001f]+/g, " ")
    .trim()
    .slice(0, MAX_REASON)
    .toWellFormed();
}
