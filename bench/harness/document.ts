/**
 * docs/performance.md: what stands between two markers is written from bench/results, and nothing else is
 * touched. A block is named after a benchmark; "circumstances" and "goals" are about all of them.
 */
import { goals } from "../goals.ts";
import { drawPlot } from "./plot.ts";
import { render, type Result, type Table } from "./result.ts";

const ROOT = new URL("../../", import.meta.url);
const DOCS = new URL("docs/", ROOT);
const PAGE = new URL("performance.md", DOCS);

export async function readResults(folder: URL): Promise<Map<string, Result>> {
  const results = new Map<string, Result>();
  for (const file of filesOf(folder).filter((name) => name.endsWith(".json")).sort()) {
    const result: Result = JSON.parse(await Deno.readTextFile(new URL(file, folder)));
    results.set(result.name, result);
  }
  return results;
}

/** None where nothing has been measured yet. */
function filesOf(folder: URL): string[] {
  try {
    return [...Deno.readDirSync(folder)].map(({ name }) => name);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

/** Writes the page and its plots. */
export async function writeDocument(folder: URL): Promise<void> {
  const results = await readResults(folder);
  for (const plot of [...results.values()].flatMap(({ plots = [] }) => plots)) {
    await Deno.writeTextFile(new URL(`${plot.file}.svg`, DOCS), drawPlot(plot));
  }
  await Deno.writeTextFile(PAGE, fillPage(await Deno.readTextFile(PAGE), results));
  const args = ["fmt", "--quiet", "docs/performance.md"];
  await new Deno.Command(Deno.execPath(), { args, cwd: ROOT }).output();
}

/** A page whose blocks have these results; a block of which there is no result stays as it is. */
export function fillPage(page: string, results: Map<string, Result>): string {
  const blocks = new Map<string, string>();
  if (results.size > 0) {
    blocks.set("circumstances", render(circumstances(results)));
    blocks.set("goals", render(goals(results)));
  }
  for (const [name, { sizes, tables, plots = [] }] of results) {
    const all = Object.entries(sizes).map(([what, size]) =>
      `${what}: ${typeof size === "number" ? size.toLocaleString("en") : size}`
    );
    blocks.set(
      name,
      [
        ...all.length > 0 ? [`_${all.join(", ")}_`] : [],
        ...tables.map(render),
        ...plots.map(({ file, title }) => `![${title}](${file}.svg)`),
      ].join("\n\n"),
    );
  }
  return page.replaceAll(
    /(<!-- bench: (\w+) -->\n)[^]*?(<!-- end of \2 -->)/g,
    (block, begin, name, end) =>
      blocks.has(name) ? `${begin}\n${blocks.get(name)}\n\n${end}` : block,
  );
}

function circumstances(results: Map<string, Result>): Table {
  return {
    title: "",
    columns: ["on", "commit", "rounds", "Postgres", "cores", "fsync", "shared buffers"],
    rows: [...results.values()].map((result) => ({
      what: result.name,
      cells: [
        result.measured_at.slice(0, 10),
        result.commit,
        String(result.rounds),
        result.postgres,
        `${result.cores} (${result.processor})`,
        result.settings.fsync,
        result.settings.shared_buffers,
      ],
    })),
  };
}
