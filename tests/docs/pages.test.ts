/**
 * What pages say without being run: links lead somewhere, names are names that the code has, and a figure or
 * the name of a test is found where its link leads.
 */
import assert from "node:assert/strict";
import { type Block, type Link, type Page, parsePage, readPages, ROOT } from "./pages.ts";

const PAGES = await readPages();
const BY_PATH = new Map(PAGES.map((page) => [page.path, page]));

/** Where the names come from that pages mention. */
const SOURCES = ["supabase", "cli", "local", "sandbox", "tests", "bench", "web", "examples", ".ci"];
const AT_THE_TOP = ["deno.json", ".env.example"];

/** Names of others' programs and of files that people make, which the code has no reason to have. */
const FOREIGN = ["pg_upgrade", "supabase/functions/.env"];

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(new URL(path, ROOT)).then(() => true, () => false);
}

async function* textsBelow(path: string): AsyncGenerator<string> {
  for await (const { name, isDirectory } of Deno.readDir(new URL(`${path}/`, ROOT))) {
    if (["node_modules", ".temp", "dist"].includes(name)) continue;
    if (isDirectory) yield* textsBelow(`${path}/${name}`);
    else if (/\.(tsx?|sql|toml|json|css|html)$|^run$/.test(name)) {
      yield await Deno.readTextFile(new URL(`${path}/${name}`, ROOT));
    }
  }
}

/** Every word of the code that could be a name. */
async function readNames(): Promise<Set<string>> {
  const names = new Set<string>();
  const add = (text: string) => {
    for (const [word] of text.matchAll(/[A-Za-z_]\w*/g)) names.add(word);
  };
  for (const path of SOURCES) {
    if (!await exists(path)) continue;
    for await (const text of textsBelow(path)) add(text);
  }
  for (const path of AT_THE_TOP) add(await Deno.readTextFile(new URL(path, ROOT)));
  return names;
}

/** Undefined: the link is right. */
async function findWrong({ page, text, target }: Link): Promise<string | undefined> {
  if (/^https?:/.test(target)) {
    return URL.canParse(target) && !/[<>…]/.test(target) ? undefined : "is no address";
  }
  if (/^mailto:/.test(target)) return undefined;
  const [file, anchor] = target.split("#");
  const path = file === "" ? page : new URL(file, new URL(page, "file:///")).pathname.slice(1);
  if (!await exists(path)) return `${path} does not exist`;
  const isPage = BY_PATH.get(path);
  if (anchor !== undefined && !isPage?.anchors.has(anchor)) return `${path} has no #${anchor}`;
  const [, quoted] = text.match(/^"(.+)"$/) ?? [];
  if (quoted && !await contains(path, quoted)) return `${path} does not say "${quoted}"`;
  const [, figure] = text.match(/^([\d,.]+)(?: |$)/) ?? [];
  if (figure && isPage && !await contains(path, figure)) return `${path} does not have ${figure}`;
}

async function contains(path: string, words: string): Promise<boolean> {
  const text = await Deno.readTextFile(new URL(path, ROOT));
  return text.replace(/["`]\s*\+\s*["`]/g, "").replace(/\s+/g, " ").includes(words);
}

Deno.test("each link leads to a file and an anchor that are there", async (t) => {
  for (const page of PAGES) {
    await t.step(page.path, async () => {
      for (const link of page.links) {
        assert.equal(await findWrong(link), undefined, `${link.page}:${link.line} ${link.target}`);
      }
    });
  }
});

Deno.test("a wrong link, quotation or figure is found", async () => {
  const page = "docs/README.md";
  const wrong = (target: string, text = "") => findWrong({ page, line: 1, text, target });
  assert.equal(await wrong("../README.md"), undefined);
  assert.equal(await wrong("missing.md"), "docs/missing.md does not exist");
  assert.equal(await wrong("../README.md#nowhere"), "README.md has no #nowhere");
  assert.equal(await wrong("https://…"), "is no address");
  const test = "../tests/docs/pages.test.ts";
  assert.equal(await wrong(test, '"a wrong link, quotation or figure is found"'), undefined);
  const other = ["said", "nowhere"].join(" ");
  assert.equal(
    await wrong(test, `"${other}"`),
    `tests/docs/pages.test.ts does not say "${other}"`,
  );
  assert.equal(
    await wrong("performance.md", "987,654,321.5 times"),
    "docs/performance.md does not have 987,654,321.5",
  );
});

Deno.test("each image is shown by a page", async () => {
  const shown = PAGES.flatMap(({ links }) =>
    links.map(({ page, target }) => new URL(target, new URL(page, "file:///")).pathname.slice(1))
  );
  for (const folder of ["docs/", "docs/images/"]) {
    if (!await exists(folder)) continue;
    for await (const { name } of Deno.readDir(new URL(folder, ROOT))) {
      if (/\.(svg|png)$/.test(name)) assert.ok(shown.includes(folder + name), folder + name);
    }
  }
});

Deno.test("each name between backticks is one that the code has", async (t) => {
  const names = await readNames();
  for (const page of PAGES) {
    await t.step(page.path, async () => {
      const unknown: string[] = [];
      for (const { word, line } of page.words) {
        if (!await isKnown(word, names)) unknown.push(`${page.path}:${line} ${word}`);
      }
      assert.deepEqual(unknown, []);
    });
  }
});

/** Whether the code has the name; what is neither a name nor a path is not looked for. */
async function isKnown(word: string, names: Set<string>): Promise<boolean> {
  if (FOREIGN.includes(word)) return true;
  const [, identifier] = word.match(/^(?:(?:public|calendly|cli|auth)\.)?(\w*_\w*)(?:\(.*\))?$/) ??
    [];
  if (identifier && !identifier.includes("__")) {
    return names.has(identifier);
  }
  const [, path] =
    word.match(/^((?:supabase|cli|local|sandbox|tests|bench|docs|web|examples)\/[\w./-]*)$/) ??
      [];
  return !path || await exists(path);
}

Deno.test("a name or a path that is not there is found", async () => {
  const names = await readNames();
  for (const word of ["calendly_meetings", "public.calendly_users", "cli/main.ts", "select 1"]) {
    assert.ok(await isKnown(word, names), word);
  }
  for (const word of [["calendly", "meetingz"].join("_"), "cli/mine.ts"]) {
    assert.ok(!await isKnown(word, names), word);
  }
});

Deno.test("what is said of a block that is not run is true", async (t) => {
  for (const { blocks } of PAGES) {
    for (const block of blocks.filter(({ mark }) => mark)) {
      await t.step(`${block.page}:${block.line}`, () => checkMark(block));
    }
  }
});

async function checkMark({ page, text, mark }: Block): Promise<void> {
  if (mark!.kind === "not run here") {
    return assert.ok(mark!.reason.length > 10, "no reason is given");
  }
  const file = await Deno.readTextFile(new URL(mark!.path, ROOT));
  if (mark!.kind === "run by") {
    return assert.ok(file.includes(page), `${mark!.path} reads no ${page}`);
  }
  // Indentation and semicolons are the formatter's; a comment … stands for what is left out.
  const flat = (part: string) => part.replace(/[\s;]+/g, " ").trim();
  for (const part of text.split(/^\s*(?:\/\/|\{\/\*) …(?: \*\/\})?$/m)) {
    assert.ok(flat(file).includes(flat(part)), `${mark!.path} does not have:\n${part}`);
  }
}

Deno.test("a page's blocks, marks, anchors and links are read", () => {
  const fence = "```";
  const page: Page = parsePage(
    "a.md",
    `# Some *words*: here
See [the
list](b.md#c), \`calendly_users\`.
<!-- not run here: needs a hosted project -->

${fence}sh
one
${fence}

${fence}sql
select 1;
${fence}
## Some words here
`,
  );
  assert.deepEqual([...page.anchors], ["some-words-here", "some-words-here-1"]);
  assert.deepEqual(page.links, [{ page: "a.md", line: 2, text: "the list", target: "b.md#c" }]);
  assert.deepEqual(page.words, [{ word: "calendly_users", line: 3 }]);
  assert.deepEqual(page.blocks, [
    {
      page: "a.md",
      line: 6,
      language: "sh",
      text: "one\n",
      mark: { kind: "not run here", reason: "needs a hosted project" },
    },
    { page: "a.md", line: 10, language: "sql", text: "select 1;\n", mark: undefined },
  ]);
});
