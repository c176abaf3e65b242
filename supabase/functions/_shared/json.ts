/**
 * JSON from outside on its way to jsonb, which refuses NUL and lone surrogates: they become U+FFFD here,
 * and nowhere else.
 */
export function parseJson(text: string): unknown {
  return clean(JSON.parse(text));
}

function clean(value: unknown): unknown {
  if (typeof value === "string") return cleanText(value);
  if (Array.isArray(value)) return value.map(clean);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [cleanText(key), clean(inner)]),
  );
}

function cleanText(text: string): string {
  // deno-lint-ignore no-control-regex
  return text.toWellFormed().replace(/\u0000/g, "\uFFFD");
}
