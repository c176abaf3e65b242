/**
 * Our sections in somebody's config.toml: they go in and out again without touching another byte, in
 * files as people have them and in generated ones.
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { parse } from "smol-toml";
import { addSections, removeSections } from "../../cli/config_toml.ts";
import { FUNCTIONS } from "../../cli/payload.ts";
import { Problem } from "../../cli/problem.ts";
import { CONFIGS, WITH_OURS } from "./configs.ts";

Deno.test("installing adds our sections to any config.toml, and uninstalling takes them out", async (t) => {
  for (const [name, text] of Object.entries(CONFIGS)) {
    await t.step(name, () => assertAddedAndRemoved(text));
  }
});

Deno.test("the sections are appended in the file's own line ends, after a comment that says why", () => {
  for (const end of ["\n", "\r\n"]) {
    const { text } = addSections(`[api]${end}`);
    const lines = text.split(end);
    assert.equal(lines.length, text.split("\n").length);
    assert.match(lines.slice(0, 5).join("|"), /^\[api\]\|\|# Calendly Sync: .*\|# .*\|$/);
    assert.deepEqual(lines.slice(5), [
      ...["[functions.calendly-sync]", "verify_jwt = false", ""],
      ...["[functions.calendly-connect]", "verify_jwt = false", ""],
      ...["[functions.calendly-webhook]", "verify_jwt = false", ""],
    ]);
  }
});

Deno.test("of a section that is there only the value changes", async (t) => {
  for (const [name, { before, after }] of Object.entries(WITH_OURS)) {
    await t.step(name, () => {
      const { text, added, patched } = addSections(before);
      assert.deepEqual(added, ["calendly-connect", "calendly-webhook"]);
      assert.deepEqual(patched, before === after ? [] : ["calendly-sync"]);
      assert.ok(text.startsWith(after), text);
      assertNothingLost(before, text);
      assert.deepEqual(addSections(text), { text, added: [], patched: [] });
      const { text: rest, removed, left } = removeSections(text);
      assert.equal(rest, after);
      assert.deepEqual({ removed, left }, {
        removed: ["calendly-connect", "calendly-webhook"],
        left: ["calendly-sync"],
      });
    });
  }
});

Deno.test("our sections are found where something follows them, and what follows stays", () => {
  const ours = addSections("[api]\nport = 1").text;
  const { text, left } = removeSections(`${ours}[auth]\nenabled = true\n`);
  assert.equal(text, "[api]\nport = 1\n[auth]\nenabled = true\n");
  assert.deepEqual(left, []);
});

Deno.test("our sections are found where an editor took the last line end", () => {
  const { text, left } = removeSections(addSections("[api]\n").text.trimEnd());
  assert.equal(text, "[api]\n");
  assert.deepEqual(left, []);
});

Deno.test("sections that were added one after the other are all found", () => {
  const half = addSections("[functions.calendly-sync]\nverify_jwt = false\n").text;
  const { text } = addSections(
    half.replace("\n[functions.calendly-webhook]\nverify_jwt = false\n", ""),
  );
  assert.equal(removeSections(text).text, "[functions.calendly-sync]\nverify_jwt = false\n");
});

Deno.test("a section of ours that its owner changed stays, and is named", () => {
  const { text } = addSections("[api]\n");
  for (
    const changed of [
      text.replace("[functions.calendly-connect]\n", "$&import_map = 'x'\n"),
      text.replaceAll("verify_jwt = false\n", "$&import_map = 'x'\n"),
      text.replaceAll("verify_jwt = false", "verify_jwt = true"),
      text.replace(/# Calendly Sync/, "# We have Calendly Sync"),
    ]
  ) {
    const removal = removeSections(changed);
    assertNothingLost(changed, removal.text!);
    assert.ok(removal.left.includes("calendly-connect"));
    for (const name of removal.left) assert.match(removal.text!, new RegExp(name));
  }
});

Deno.test("what cannot be changed without touching what is its owner's is refused", () => {
  for (
    const text of [
      "functions = { greet = { verify_jwt = true } }\n",
      'functions = "none"\n',
      "[[functions]]\nname = 'x'\n",
      "functions.calendly-sync = true\n",
      "[[functions.calendly-sync]]\nverify_jwt = true\n",
      "functions = 2026-11-26\n",
    ]
  ) {
    assertRefused(
      () => addSections(text),
      "config_not_patched",
      /verify_jwt = false for calendly-/,
    );
  }
});

Deno.test("a config.toml that cannot be read is refused with the place of its fault", () => {
  for (const change of [addSections, removeSections]) {
    const problem = assertRefused(() => change("[api]\nport = = 1\n"), "config_invalid", /Mend/);
    assert.match(problem.message, /port = = 1/);
  }
});

Deno.test("a section of ours that follows the byte order mark is changed as any other", () => {
  const own = "own0 = 1e6 # kept\n";
  const before = `\uFEFF[functions.calendly-connect] # first\n${own}`;
  const { text, patched } = addSections(before);
  assert.deepEqual(patched, ["calendly-connect"]);
  assert.ok(
    text.startsWith(`\uFEFF[functions.calendly-connect] # first\nverify_jwt = false\n${own}`),
  );
});

Deno.test("any config.toml gets our sections and loses them again, byte for byte", () => {
  fc.assert(fc.property(fileWithout(), assertAddedAndRemoved), { numRuns: 500 });
});

Deno.test("any config.toml that has sections of ours keeps everything else", () => {
  fc.assert(
    fc.property(fileWithOurs(), (before) => {
      const { text } = addSections(before);
      assertNothingLost(before, text);
      const comments = (toml: string) => toml.match(/#\d+/g) ?? [];
      assert.deepEqual(comments(text), comments(before));
      assert.deepEqual(addSections(text).text, text);
      const removal = removeSections(text);
      assertNothingLost(before, removal.text!);
      assert.deepEqual(comments(removal.text!), comments(before));
    }),
    { numRuns: 500 },
  );
});

function assertAddedAndRemoved(before: string) {
  const { text, added, patched } = addSections(before);
  assert.deepEqual({ added, patched }, { added: FUNCTIONS, patched: [] });
  assert.ok(text.startsWith(before), "what was there is as it was");
  assertNothingLost(before, text);
  assert.deepEqual(addSections(text), { text, added: [], patched: [] });
  assert.deepEqual(removeSections(text), { text: before, removed: FUNCTIONS, left: [] });
}

/** What both say is equal but for our keys; `after` says verify_jwt = false where it has a section. */
function assertNothingLost(before: string, after: string) {
  const [expected, actual] = [before, after].map((text) => {
    const config = read(text);
    const { functions, ...rest } = config;
    const others = Object.entries<Record<string, unknown>>(functions ?? {}).map(([name, value]) => {
      if (!FUNCTIONS.some((ours) => ours === name)) return [name, value];
      const { verify_jwt: _, ...others } = value;
      return [name, others];
    }).filter(([, value]) => Object.keys(value).length > 0);
    return { ...rest, functions: Object.fromEntries(others) };
  });
  assert.deepEqual(actual, expected);
}

// deno-lint-ignore no-explicit-any -- tables of any shape
function read(text: string): any {
  return parse(text.replace(/^\ufeff/, ""), { integersAsBigInt: "asNeeded" });
}

function assertRefused(work: () => unknown, code: string, hint: RegExp): Problem {
  try {
    work();
  } catch (error) {
    assert.ok(error instanceof Problem, String(error));
    assert.equal(error.code, code);
    assert.match(error.hint, hint);
    return error;
  }
  assert.fail(`no ${code}`);
}

// Generated files: lines of keys, sections, comments and empty lines, in one kind of line end.

const VALUES = fc.oneof(
  fc.boolean().map(String),
  fc.integer({ min: -1e6, max: 1e6 }).map(String),
  fc.constantFrom(
    "1e6",
    "0.10",
    "+1",
    "0xff",
    "1979-05-27T07:32:00Z",
    "07:32:00",
    "[ ]",
    "[1,\n2 ]",
  ),
  fc.string().map((text) => JSON.stringify(text.replaceAll("\x7f", ""))),
  fc.constantFrom(
    "'[functions.calendly-sync]'",
    "'''\nverify_jwt = false\n'''",
    "{ a = 1, b.c = 2 }",
  ),
);
const SPACE = fc.constantFrom("", " ", "  ", "\t");
const COMMENT = fc.nat().map((number) => `#${number}`);
const END = fc.oneof(fc.constant(""), COMMENT.map((comment) => ` ${comment}`));

function keyLines(prefix: string) {
  const line = (at: number) =>
    fc.tuple(SPACE, SPACE, VALUES, END).map(([before, around, value, end]) =>
      `${before}${prefix}${at}${around}=${around}${value}${end}`
    );
  const others = fc.oneof(COMMENT, fc.constant(""));
  return fc.nat({ max: 3 }).chain((count) =>
    fc.tuple(
      ...Array.from({ length: count }, (_, at) =>
        fc.tuple(fc.array(others, { maxLength: 2 }), line(at))),
    )
  ).map((lines) => lines.flatMap(([others, line]) => [...others, line]));
}

const HEADERS = [
  "api",
  "auth.email",
  "functions.greet",
  'functions."calendly-sync "',
  "remotes.staging.functions.calendly-sync",
  "db.migrations",
  "a.b.c",
];

function sections() {
  return fc.shuffledSubarray(HEADERS).chain((headers) =>
    fc.tuple(
      ...headers.map((header) =>
        fc.tuple(SPACE, END, keyLines("key")).map(([space, end, lines]) => [
          `${space}[${space}${header}${space}]${end}`,
          ...lines,
        ])
      ),
    )
  ).map((sections) => sections.flat());
}

function file(lines: fc.Arbitrary<string[]>) {
  return fc.tuple(
    fc.constantFrom("", "\ufeff"),
    fc.constantFrom("\n", "\r\n"),
    fc.constantFrom("", "\n", "\n\n"),
    lines,
  ).map(([bom, lineEnd, end, lines]) => bom + (lines.join("\n") + end).replaceAll("\n", lineEnd));
}

function fileWithout() {
  return file(fc.tuple(keyLines("root"), sections()).map((parts) => parts.flat()));
}

/** Sections of ours in every form, some with keys of their owner's. */
function fileWithOurs() {
  const form = (name: string) =>
    fc.tuple(fc.constantFrom("true", "false", '"x"', "0"), END, keyLines("own")).map((
      [value, end, lines],
    ) => ({
      dotted: [`functions.${name}.verify_jwt = ${value}${end}`],
      section: [`[functions.${name}]${end}`, ...lines, `verify_jwt = ${value}${end}`],
      without: [`[functions.${name}]${end}`, ...lines],
      absent: [],
    }));
  const kind = fc.constantFrom("dotted", "section", "without", "absent");
  return file(
    fc.tuple(
      keyLines("root"),
      fc.tuple(...FUNCTIONS.map((name) => fc.tuple(form(name), kind))),
      sections(),
    ).map(([root, ours, sections]) => {
      const of = (...kinds: string[]) =>
        ours.flatMap(([forms, kind]) =>
          kinds.includes(kind) ? forms[kind as keyof typeof forms] : []
        );
      return [...of("dotted"), ...root, ...of("section"), ...sections, ...of("without")];
    }),
  );
}
