/**
 * JSON from outside on its way to jsonb, which refuses NUL and lone surrogates: they become U+FFFD here,
 * and nowhere else. Nothing real is nested deeply; what is would exhaust somebody's stack.
 */
export function parseJson(text: string): unknown {
  return clean(JSON.parse(text), 0);
}

const MAX_DEPTH = 64;

function clean(value: unknown, depth: number): unknown {
  if (typeof value === "string") return cleanText(value);
  if (value === null || typeof value !== "object") return value;
  if (depth === MAX_DEPTH) throw new SyntaxError(`JSON nested deeper than ${MAX_DEPTH}`);
  if (Array.isArray(value)) return value.map((inner) => clean(inner, depth + 1));
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [cleanText(key), clean(inner, depth + 1)]),
  );
}

function cleanText(text: string): string {
  // deno-lint-ignore no-control-regex
  return text.toWellFormed().replace(/\u0000/g, "\uFFFD");
}
