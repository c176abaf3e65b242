/**
 * The pages that people read, and what is in them: code blocks with what the page says about them, links,
 * anchors, and the names between backticks.
 *
 * A code block is run by blocks.test.ts, unless an HTML comment right before it says why not:
 *
 *     <!-- not run here: needs a hosted project -->
 *     <!-- run by tests/guest/own_tables.test.ts -->      that test reads the block from the page
 *     <!-- from examples/react/src/main.tsx -->           the block is a part of that file, which is tested
 */

export const ROOT = new URL("../../", import.meta.url);

/** Pages outside of docs/. */
const AT_THE_TOP = [
  "README.md",
  "CHANGELOG.md",
  "CONTRIBUTING.md",
  "SECURITY.md",
  "llms.txt",
];

/** What the comment before a block says. */
export type Mark =
  | { kind: "not run here"; reason: string }
  | { kind: "run by" | "from"; path: string };

export interface Block {
  page: string;
  /** Of the line with the opening fence. */
  line: number;
  language: string;
  text: string;
  mark?: Mark;
}

export interface Link {
  page: string;
  line: number;
  text: string;
  target: string;
}

export interface Page {
  path: string;
  blocks: Block[];
  links: Link[];
  /** What a link may name after #. */
  anchors: Set<string>;
  /** Single words between backticks, outside of blocks. */
  words: { word: string; line: number }[];
}

export async function readPages(): Promise<Page[]> {
  const paths = [
    ...AT_THE_TOP,
    ...await markdownBelow("docs/"),
    ...await markdownBelow("examples/"),
  ];
  return await Promise.all(
    paths.map(async (path) => parsePage(path, await Deno.readTextFile(new URL(path, ROOT)))),
  );
}

async function markdownBelow(folder: string): Promise<string[]> {
  const found: string[] = [];
  try {
    for await (const { name, isDirectory } of Deno.readDir(new URL(folder, ROOT))) {
      if (isDirectory && name !== "node_modules") {
        found.push(...await markdownBelow(`${folder}${name}/`));
      } else if (name.endsWith(".md")) found.push(folder + name);
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return found.sort();
}

export function parsePage(path: string, text: string): Page {
  const page: Page = { path, blocks: [], links: [], anchors: new Set(), words: [] };
  let block: Block | undefined;
  let fence = "";
  let mark: Mark | undefined;
  /** Lines outside of blocks, by their number: a link may be broken over two of them. */
  const prose: string[] = [];
  text.split("\n").forEach((content, index) => {
    const [, indent, opening, language] = content.match(/^( *)(`{3,})(\S*)/) ?? [];
    if (block) {
      prose.push("");
      if (opening === fence && language === "") {
        page.blocks.push(block);
        block = undefined;
      } else block.text += content.slice(indent?.length ?? 0) + "\n";
    } else if (opening) {
      prose.push("");
      fence = opening;
      block = { page: path, line: index + 1, language, text: "", mark };
      mark = undefined;
    } else {
      prose.push(content);
      mark = parseMark(content) ?? (content.trim() === "" ? mark : undefined);
      const [, heading] = content.match(/^#{1,6} (.*)/) ?? [];
      if (heading) addAnchor(page.anchors, heading);
      for (const [, id] of content.matchAll(/<a (?:id|name)="([^"]+)"/g)) page.anchors.add(id);
    }
  });
  if (block) throw new Error(`${path}: a code block does not end`);
  readProse(page, prose.join("\n"));
  return page;
}

function parseMark(line: string): Mark | undefined {
  const [, kind, rest] = line.match(/^\s*<!-- (not run here:|run by|from) (.+?) -->$/) ?? [];
  if (!kind) return undefined;
  if (kind === "not run here:") return { kind: "not run here", reason: rest };
  return { kind: kind as "run by" | "from", path: rest };
}

/** As GitHub makes an anchor from a heading. */
function addAnchor(anchors: Set<string>, heading: string): void {
  const slug = heading.replace(/\[([^\]]*)\]\([^)]*\)/g, "$1").trim().toLowerCase()
    .replace(/[^\p{L}\p{N} _-]/gu, "").replaceAll(" ", "-");
  let anchor = slug;
  for (let count = 1; anchors.has(anchor); count++) anchor = `${slug}-${count}`;
  anchors.add(anchor);
}

function readProse(page: Page, prose: string): void {
  const lineOf = (index: number) => prose.slice(0, index).split("\n").length;
  for (const { 1: code, index } of prose.matchAll(/`([^`]+)`/g)) {
    page.words.push({ word: code.replace(/\s+/g, " "), line: lineOf(index) });
  }
  for (const { 1: text, 2: target, index } of prose.matchAll(/\[([^\]]*)\]\(([^)\s]+)\)/g)) {
    page.links.push({
      page: page.path,
      line: lineOf(index),
      text: text.replace(/\s+/g, " "),
      target,
    });
  }
  for (const { 1: target, index } of prose.matchAll(/(?:src|srcset|href)="([^"]+)"/g)) {
    page.links.push({ page: page.path, line: lineOf(index), text: "", target });
  }
}
