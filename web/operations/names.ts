/** Names of people who are shown by their number alone: looked up together, and kept. */
import { signal } from "@preact/signals";
import { askRows } from "./ask.ts";
import { rows } from "./query.ts";

interface Name {
  name: string | null;
  email: string | null;
}

const names = signal<ReadonlyMap<number, Name>>(new Map());
const asked = new Set<number>();
let waiting: number[] = [];

/** Undefined until it is known; whoever has read it is shown anew then. */
export function nameOf(id: number): Name | undefined {
  if (!asked.has(id)) {
    asked.add(id);
    if (waiting.length === 0) setTimeout(lookUp);
    waiting.push(id);
  }
  return names.value.get(id);
}

async function lookUp(): Promise<void> {
  const ids = waiting;
  waiting = [];
  try {
    const found = await askRows(rows("calendly_users", {
      select: ["id", "name", "email"],
      where: [{ column: "id", is: "in", value: ids }],
    }));
    names.value = new Map([...names.value, ...found.rows.map((row) => [row.id, row] as const)]);
  } catch {
    // The number stands there, and the next screen asks again.
    ids.forEach((id) => asked.delete(id));
  }
}
