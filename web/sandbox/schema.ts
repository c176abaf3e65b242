/** A form for any verb, from the JSON Schema of its argument. No rendering, so that it can be tested. */
export interface JsonSchema {
  type?: string;
  description?: string;
  properties?: Record<string, JsonSchema>;
  required?: string[];
  enum?: unknown[];
  anyOf?: JsonSchema[];
  format?: string;
}

export interface Field {
  name: string;
  label: string;
  hint?: string;
  required: boolean;
  /** How it is typed: what is none of the others is typed as JSON, and some take a text as well. */
  kind: "text" | "number" | "yes_no" | "choice" | "json" | "text_or_json";
  choices: string[];
}

/** The fields of a verb's argument. */
export function fieldsOf({ properties = {}, required = [] }: JsonSchema): Field[] {
  return Object.entries(properties).map(([name, schema]) => ({
    name,
    label: name.replaceAll("_", " "),
    hint: schema.description,
    required: required.includes(name),
    ...typed(schema),
  }));
}

function typed(schema: JsonSchema): Pick<Field, "kind" | "choices"> {
  const choices = schema.enum?.filter((one): one is string => typeof one === "string") ?? [];
  if (choices.length > 0) return { kind: "choice", choices };
  // A value or null: null is what a field that is left out means, or is typed as JSON.
  const others = schema.anyOf?.filter(({ type }) => type !== "null");
  if (others?.length === 1) return typed(others[0]);
  if (others?.some(({ type }) => type === "string")) {
    const isJson = others.some(({ type }) => type === "object" || type === "array");
    // A number or a text, such as a length of time: the text does for both.
    return { kind: isJson ? "text_or_json" : "text", choices: [] };
  }
  if (schema.type === "string") return { kind: "text", choices: [] };
  if (schema.type === "integer" || schema.type === "number") return { kind: "number", choices: [] };
  if (schema.type === "boolean") return { kind: "yes_no", choices: [] };
  return { kind: "json", choices: [] };
}

/** The argument that was typed; a field that is empty is left out. Throws a SyntaxError with the field's name. */
export function argumentOf(
  fields: Field[],
  typed: Record<string, string>,
): Record<string, unknown> {
  const argument: Record<string, unknown> = {};
  for (const { name, kind, label } of fields) {
    const text = typed[name]?.trim() ?? "";
    if (text === "") continue;
    if (kind === "number") argument[name] = Number(text);
    else if (kind === "yes_no") argument[name] = text === "yes";
    else if (kind === "json" || (kind === "text_or_json" && /^[[{]/.test(text))) {
      try {
        argument[name] = JSON.parse(text);
      } catch {
        throw new SyntaxError(`${label}: this is not JSON.`);
      }
    } else argument[name] = text;
  }
  return argument;
}

/** Which field a refusal is about: "book does not take this. start_time: must be …; guests.0: must be …". */
export function complaints(fields: Field[], message: string): Record<string, string> {
  const found: Record<string, string> = {};
  for (const part of message.replace(/^\w+ does not take this\. /, "").split("; ")) {
    const [, path, reason] = /^([\w.]+): (.*)$/s.exec(part) ?? [];
    const name = path?.split(".")[0];
    if (name && fields.some((field) => field.name === name)) found[name] = reason;
  }
  return found;
}
