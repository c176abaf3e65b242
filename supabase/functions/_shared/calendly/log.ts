/** One line per happening: the text that people search for, then its fields as JSON. Never a token. */
export function log(text: string, fields: Record<string, unknown> = {}): void {
  console.log(text, JSON.stringify(fields));
}

/** The same for what went wrong. */
export function logError(text: string, fields: Record<string, unknown> = {}): void {
  console.error(text, JSON.stringify(fields));
}
