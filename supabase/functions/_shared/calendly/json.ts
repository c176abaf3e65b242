/**
 * JSON from outside on its way to jsonb, which refuses NUL and lone surrogates: they become U+FFFD here,
 * and nowhere else. JSON that is nested deeper than anything of Calendly's is refused, because reading it
 * may exhaust a stack.
 */
export function parseJson(text: string): unknown {
  return clean(JSON.parse(text), 0);
}

/**
 * The same for an answer of Calendly's. Of a row that is nested too deeply only the URI stays, with a mark
 * by which Postgres rejects it: one bad row must not fail its page.
 */
export function cleanAnswer<T>(answer: T): T {
  if (answer === null || typeof answer !== "object") return answer;
  return Object.fromEntries(
    Object.entries(answer).map((
      [key, value],
    ) => [key, Array.isArray(value) ? value.map(cleanRow) : cleanRow(value)]),
  ) as T;
}

function cleanRow(row: unknown): unknown {
  try {
    return clean(row, 0);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    const { uri } = row as { uri?: unknown };
    return { nested_too_deeply: true, ...(typeof uri === "string" ? { uri: cleanText(uri) } : {}) };
  }
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
