/** The verbs in docs/sandbox.md, from the schemas that the sandbox checks its callers by. */
import { describeVerbs } from "../../sandbox/verbs.ts";
import { blocks, bullets, code, prose } from "./markdown.ts";

interface JsonSchema {
  type?: string | string[];
  enum?: unknown[];
  anyOf?: JsonSchema[];
  description?: string;
  properties?: Record<string, JsonSchema>;
  required?: string[];
}

export function verbSections(): string {
  return blocks(
    ...Object.entries(describeVerbs()).map(([verb, { description, arguments: schema }]) => {
      const { properties = {}, required = [] } = schema as JsonSchema;
      const fields = Object.entries(properties).map(([name, field]) =>
        fieldLine(name, field, required.includes(name))
      );
      return blocks(
        `### ${verb}`,
        sentence(prose(description)),
        fields.length > 0 ? bullets(fields) : "It takes nothing.",
      );
    }),
  );
}

function sentence(text: string): string {
  return `${text[0].toUpperCase()}${text.slice(1)}.`;
}

function fieldLine(name: string, field: JsonSchema, isRequired: boolean): string {
  const facts = [kindOf(field), isRequired && "required"].filter(Boolean).join(", ");
  const what = field.description ? `: ${prose(field.description)}` : "";
  return `${code(name)}${facts && ` (${facts})`}${what}`;
}

function kindOf({ enum: words, type, anyOf }: JsonSchema): string {
  if (words) return words.map((word) => code(String(word))).join(", ");
  if (anyOf) return [...new Set(anyOf.map(kindOf).filter(Boolean))].join(" or ");
  return [type ?? []].flat().join(" or ");
}
