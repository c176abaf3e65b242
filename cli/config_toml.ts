/**
 * Our sections in a project's config.toml. Those that are missing are appended as text, so that no other
 * byte changes and they can be taken out again exactly. Of one that is there only its value changes. The
 * outcome is parsed again, as the Supabase CLI does it: nothing of its owner's may differ.
 */
import { parse as parseToPatch, patch } from "@decimalturn/toml-patch";
import { readFile } from "node:fs/promises";
import { isDeepStrictEqual } from "node:util";
import { parse, type TomlTable } from "smol-toml";
import { FUNCTIONS } from "./payload.ts";
import { Problem } from "./problem.ts";

const COMMENT = [
  "# Calendly Sync: these functions authenticate their callers themselves (a user's token, a secret",
  "# key, Calendly's signature), so the gateway lets every request through to them.",
];
const BOM = "\ufeff";

/** config.toml's text, with its byte order mark; undefined: there is none. */
export async function readConfig(path: string): Promise<string | undefined> {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(path);
  } catch (error) {
    if ((error as { code?: string }).code === "ENOENT") return undefined;
    throw invalid((error as Error).message, error);
  }
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (error) {
    throw invalid("it is not encoded in UTF-8", error);
  }
}

/** What a config.toml says. Error: config_invalid. */
export function parseConfig(text: string): TomlTable {
  try {
    return parse(withoutBom(text), { integersAsBigInt: "asNeeded" });
  } catch (error) {
    throw invalid((error as Error).message.trim(), error);
  }
}

/** The text with all of our sections; undefined: there is no file. Errors: config_invalid, config_not_patched. */
export function addSections(
  config: string | undefined,
): { text: string; added: string[]; patched: string[] } {
  const text = config ?? "";
  const sections = functionsOf(parseConfig(text));
  const added = FUNCTIONS.filter((name) => sections[name] === undefined);
  const patched = FUNCTIONS.filter((name) =>
    sections[name] !== undefined && verifyJwt(sections[name]) !== false
  );
  const result = append(
    patched.reduce(switchOff, text),
    added,
    config === undefined ? "" : lineEndOf(text),
  );
  if (!isRight(text, result)) throw notPatched();
  return { text: result, added, patched };
}

/**
 * The text without what `addSections` appended; undefined: the file was made by it and has nothing else.
 * `left` names the sections that are there still: their owner wrote or changed them. Error: config_invalid.
 */
export function removeSections(
  config: string | undefined,
): { text: string | undefined; removed: string[]; left: string[] } {
  const text = config ?? "";
  const before = parseConfig(text);
  let result = text;
  for (const lineEnd of ["\n", "\r\n"]) {
    result = result.replace(appended(lineEnd), (match, start: string, offset: number) => {
      if (start !== lineEnd) return start;
      const followsLine = offset === 0 || result[offset - 1] === "\n";
      return followsLine || offset + match.length === result.length ? "" : lineEnd;
    });
  }
  const isUnharmed = isDeepStrictEqual(withoutOurs(before), withoutOurs(tryParse(result) ?? {}));
  if (!isUnharmed) result = text;
  const [had, has] = [before, parseConfig(result)].map(functionsOf);
  const present = FUNCTIONS.filter((name) => had[name] !== undefined);
  const isOurs = config === undefined || (result === "" && text.startsWith(COMMENT[0]));
  return {
    text: isOurs ? undefined : result,
    removed: present.filter((name) => has[name] === undefined),
    left: present.filter((name) => has[name] !== undefined),
  };
}

/**
 * `start` is the end of one line in a file that is there, however it ends, so that it is known what to take
 * out again; a file that begins without it is ours.
 */
function append(text: string, names: string[], start: string): string {
  if (names.length === 0) return text;
  const lineEnd = lineEndOf(text);
  const sections = names.flatMap((name) => ["", `[functions.${name}]`, "verify_jwt = false"]);
  return text + start + [...COMMENT, ...sections].map((line) => line + lineEnd).join("");
}

function lineEndOf(text: string): string {
  return text.includes("\r\n") ? "\r\n" : "\n";
}

/** What `append` appends, from the line end before it. */
function appended(lineEnd: string): RegExp {
  const comment = COMMENT.map((line) => line.replace(/[()]/g, "\\$&") + lineEnd).join("");
  const section = `${lineEnd}\\[functions\\.(?:${FUNCTIONS.join("|")})\\]${lineEnd}`;
  return new RegExp(
    `(^${BOM}?|${lineEnd})${comment}(?:${section}verify_jwt = false(?:${lineEnd}|$))+`,
    "g",
  );
}

function switchOff(text: string, name: string): string {
  const wanted = parseConfig(text);
  (functionsOf(wanted)[name] as TomlTable).verify_jwt = false;
  for (const candidate of candidates(text, name)) {
    if (isDeepStrictEqual(tryParse(candidate), wanted)) return candidate;
  }
  throw notPatched();
}

/** The text with one change each, of which one may be right: a value, a key in a section, toml-patch's way. */
function* candidates(text: string, name: string): Generator<string> {
  const value = /verify_jwt["']?[ \t]*=[ \t]*("[^"\r\n]*"|'[^'\r\n]*'|[^\s,#}]+)/g;
  for (const match of text.matchAll(value)) {
    const end = match.index + match[0].length;
    yield `${text.slice(0, end - match[1].length)}false${text.slice(end)}`;
  }
  for (
    const { 0: header, index, 1: lineEnd } of text.matchAll(/^\uFEFF?[ \t]*\[[^\r\n]*(\r?\n|$)/gm)
  ) {
    const end = index + header.length;
    const line = lineEnd === "" ? "\nverify_jwt = false" : `verify_jwt = false${lineEnd}`;
    if (header.includes(name)) yield text.slice(0, end) + line + text.slice(end);
  }
  const bom = text.startsWith(BOM) ? BOM : "";
  try {
    const config = parseToPatch(withoutBom(text));
    config.functions[name].verify_jwt = false;
    const result = bom + patch(withoutBom(text), config);
    if (isSmallChange(text, result)) yield result;
  } catch {
    // It parses less than the Supabase CLI does: no candidate.
  }
}

/** Whether all that went is one value: toml-patch may also take out spaces elsewhere. */
function isSmallChange(before: string, after: string): boolean {
  let start = 0;
  while (start < before.length && before[start] === after[start]) start++;
  let end = before.length;
  for (
    let at = after.length;
    end > start && at > start && before[end - 1] === after[at - 1];
    at--
  ) {
    end--;
  }
  return /^["'\w.]*$/.test(before.slice(start, end));
}

function isRight(before: string, after: string): boolean {
  const parsed = tryParse(after);
  return parsed !== undefined &&
    FUNCTIONS.every((name) => verifyJwt(functionsOf(parsed)[name]) === false) &&
    isDeepStrictEqual(withoutOurs(parseConfig(before)), withoutOurs(parsed));
}

/** What is its owner's: all but our keys, and tables that are empty without them. */
function withoutOurs(config: TomlTable): TomlTable {
  const functions = { ...functionsOf(config) };
  for (const name of FUNCTIONS) {
    const { verify_jwt: _, ...rest } = (functions[name] ?? {}) as TomlTable;
    if (Object.keys(rest).length > 0) functions[name] = rest;
    else delete functions[name];
  }
  const { functions: _, ...rest } = config;
  return Object.keys(functions).length > 0 ? { ...rest, functions } : rest;
}

function functionsOf({ functions = {} }: TomlTable): TomlTable {
  if (!isTable(functions)) throw notPatched();
  return functions;
}

function verifyJwt(section: unknown): unknown {
  if (!isTable(section)) throw notPatched();
  return section.verify_jwt;
}

export function isTable(value: unknown): value is TomlTable {
  return typeof value === "object" && value !== null && !Array.isArray(value) &&
    !(value instanceof Date);
}

function tryParse(text: string): TomlTable | undefined {
  try {
    return parseConfig(text);
  } catch {
    return undefined;
  }
}

function withoutBom(text: string): string {
  return text.startsWith(BOM) ? text.slice(BOM.length) : text;
}

function invalid(reason: string, cause: unknown): Problem {
  return new Problem(
    "config_invalid",
    `supabase/config.toml cannot be read: ${reason}`,
    "Mend the file and run this again.",
    { cause },
  );
}

function notPatched(): Problem {
  return new Problem(
    "config_not_patched",
    "supabase/config.toml is written in a way in which it cannot be changed without touching what is yours.",
    `Set verify_jwt = false for ${FUNCTIONS.join(", ")} in it yourself (${
      FUNCTIONS.map((name) => `functions.${name}.verify_jwt`).join(", ")
    }), then run this again.`,
  );
}
