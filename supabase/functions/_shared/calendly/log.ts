/** Logs one line: the text that people search for, then its fields as JSON. Never a token. */
export function log(text: string, fields: Record<string, unknown> = {}): void {
  console.log(text, JSON.stringify(fields));
}

/** The same for an error. */
export function logError(text: string, fields: Record<string, unknown> = {}): void {
  console.error(text, JSON.stringify(fields));
}

/** What an error says, for a field of a log line. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
