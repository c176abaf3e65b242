/**
 * Names that pages and people rely on exist: error codes, alerts, settings, environment variables, and the
 * tables, columns and functions that a page calls by calendly_… or calendly.….
 */
import assert from "node:assert/strict";
import { PROBLEM_CODES } from "../../cli/problem_codes.ts";
import { readCatalogue } from "../../local/docs/catalogue.ts";
import { codesOfScripts, codesOfSql, originsOfCodes } from "../../local/docs/codes.ts";
import { ERROR_CODES } from "../../supabase/functions/_shared/calendly/error_codes.ts";

const ROOT = new URL("../../", import.meta.url);
const CATALOGUE = await readCatalogue();
const PAGES = await readPages();
const KNOWN_CODES = [...Object.keys(ERROR_CODES), ...Object.keys(PROBLEM_CODES)];

/** The pages that people read, each with its text. */
async function readPages(): Promise<[path: string, text: string][]> {
  const paths: string[] = [];
  for (
    const folder of ["", "docs/", "docs/reference/", "sandbox/", "examples/", "examples/react/"]
  ) {
    try {
      for await (const { name } of Deno.readDir(new URL(folder, ROOT))) {
        if (name.endsWith(".md") || name === "llms.txt") paths.push(folder + name);
      }
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  return await Promise.all(
    paths.sort().map(async (path): Promise<[string, string]> => [
      path,
      await Deno.readTextFile(new URL(path, ROOT)),
    ]),
  );
}

/** What stands between backticks on a page, and in its blocks of code. */
function codeOf(text: string): string {
  const blocks = [...text.matchAll(/^```[^]*?^```/gm)].map(([block]) => block);
  const inline = text.replace(/^```[^]*?^```/gm, "").match(/`[^`]+`/g) ?? [];
  return [...blocks, ...inline].join("\n");
}

/** Names of this form that stand in a text and are none of these. */
function unknownNames(text: string, pattern: RegExp, isKnown: (name: string) => boolean): string[] {
  return [...text.matchAll(pattern)].map(([, name]) => name).filter((name) => !isKnown(name));
}

/** Fails where the code on a page, or its whole text, has a name that is not known. */
function assertNamed(
  pattern: RegExp,
  isKnown: (name: string) => boolean,
  { prose = false } = {},
): void {
  const unknown = PAGES.flatMap(([path, text]) =>
    unknownNames(prose ? text : codeOf(text), pattern, isKnown).map((name) => `${path}: ${name}`)
  );
  assert.deepEqual(unknown, []);
}

const VARIABLE = /\b((?:CALENDLY|SUPABASE|TEST|REQUIRE|NPM|DATABASE|PG|HTTPS)_?[A-Z]\w*)\b/g;
const CHANGED_SETTING = /calendly_configure\('\{"(\w+)"/g;
const NAMED_SETTING = /\bsettings? `(\w+)`/g;
const NAMED_CODE = /\b(?:codes?|errors?|refused with|alerts?)\s+`(\w+)`/g;
const READ = /\b(?:from|join|update|into|table|from\(["'])\s*(?:public\.)?(calendly[._][a-z]\w*)/g;
const CALLED = /\b(calendly[._][a-z]\w*)\(/g;

Deno.test("a name that does not exist is found", () => {
  const page =
    "Set `CALENDLY_NO_KEY`, or the setting `no_interval`; the error `no_code` tells it.\n" +
    "```sql\nselect calendly_nothing() from calendly_nowhere join calendly.nobody;\n" +
    "select calendly_configure('{\"no_setting\": 1}');\n```\n";
  const found = (pattern: RegExp, text = codeOf(page)) => unknownNames(text, pattern, () => false);
  assert.deepEqual(found(VARIABLE), ["CALENDLY_NO_KEY"]);
  assert.deepEqual(found(CHANGED_SETTING), ["no_setting"]);
  assert.deepEqual(found(NAMED_SETTING, page), ["no_interval"]);
  assert.deepEqual(found(NAMED_CODE, page), ["no_code"]);
  assert.deepEqual(found(READ), ["calendly_nowhere", "calendly.nobody"]);
  assert.deepEqual(found(CALLED), ["calendly_nothing", "calendly_configure"]);
});

Deno.test("a code that the database or a script raises is in the lists", async () => {
  const raised = [...codesOfSql(CATALOGUE.routines), ...await codesOfScripts()];
  assert.ok(raised.includes("lease_lost") && raised.includes("still_used"));
  assert.deepEqual(raised.filter((code) => !KNOWN_CODES.includes(code)), []);
});

Deno.test("each code in the lists is one that something raises", async () => {
  const origins = await originsOfCodes(CATALOGUE.routines);
  assert.deepEqual(KNOWN_CODES.filter((code) => !origins.has(code)), []);
});

Deno.test("each alert says what it means and what to do", () => {
  for (const { code, meaning, what_to_do } of CATALOGUE.alerts) {
    assert.ok(meaning && what_to_do, code);
  }
});

Deno.test("a setting that a page names or changes exists", () => {
  const settings = CATALOGUE.settings.map(({ name }) => name);
  assertNamed(CHANGED_SETTING, (name) => settings.includes(name));
  assertNamed(NAMED_SETTING, (name) => settings.includes(name), { prose: true });
});

Deno.test("an error code or alert that a page names exists", () => {
  const known = [...KNOWN_CODES, ...CATALOGUE.alerts.map(({ code }) => code)];
  assertNamed(NAMED_CODE, (name) => known.includes(name), { prose: true });
});

Deno.test("an environment variable that a page names exists", async () => {
  const sources = await readSources();
  assertNamed(VARIABLE, (name) => new RegExp(`\\b${name}\\b`).test(sources));
});

/** The sources that read the environment, one after the other. */
async function readSources(): Promise<string> {
  const texts: string[] = [await Deno.readTextFile(new URL(".ci/run", ROOT))];
  async function read(folder: string): Promise<void> {
    for await (const { name, isDirectory } of Deno.readDir(new URL(folder, ROOT))) {
      if (isDirectory && name !== "docs") await read(`${folder}${name}/`);
      else if (/\.ts$/.test(name)) {
        texts.push(await Deno.readTextFile(new URL(folder + name, ROOT)));
      }
    }
  }
  for (const folder of ["supabase/functions/", "cli/", "local/", "sandbox/", "tests/"]) {
    await read(folder);
  }
  return texts.join("\n");
}

Deno.test("a table or view that a page reads, and a function that it calls, exists", async () => {
  const { relations, routines, privateTables } = CATALOGUE;
  const known = new Set([
    ...relations.map(({ name }) => name),
    ...routines.map(({ name }) => name),
    ...privateTables.map(({ name }) => `calendly.${name}`),
    ...await otherObjects(),
  ]);
  assertNamed(READ, (name) => known.has(name));
  // A page's own functions are made on the page.
  const own = PAGES.flatMap(([, text]) =>
    [...text.matchAll(/create (?:or replace )?function (?:\w+\.)?(calendly_\w+)/g)].map((
      [, name],
    ) => name)
  );
  assertNamed(CALLED, (name) => known.has(name) || own.includes(name));
});

/** Views and types of the private schema, which the catalogue of the pages leaves out. */
async function otherObjects(): Promise<string[]> {
  const names: string[] = [];
  for await (const { name } of Deno.readDir(new URL("supabase/migrations/", ROOT))) {
    const sql = await Deno.readTextFile(new URL(`supabase/migrations/${name}`, ROOT));
    names.push(
      ...[...sql.matchAll(/^create (?:view|type) (calendly\.\w+)/gm)].map(([, name]) => name),
    );
  }
  return names;
}
