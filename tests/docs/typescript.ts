/**
 * Runs the pages' TypeScript: each block is a function of its own that gets what an app has around it, is
 * checked with the database's types, and is run by a person of its own. A request that is refused is an
 * error, whether the block looks at it or not.
 */
import type { Stack } from "../../local/stack.ts";
import { type Block, ROOT } from "./pages.ts";

const AROUND = new URL("./around.ts", import.meta.url).href;

/** For each block, what went wrong; null: nothing. */
export async function runTypeScript(stack: Stack, blocks: Block[]): Promise<(string | null)[]> {
  const folder = await Deno.makeTempDir({ prefix: "docs-" });
  try {
    const names = blocks.map(({ page, line }) => `${page.replace(/\W+/g, "_")}_${line}.ts`);
    for (const [at, block] of blocks.entries()) {
      await Deno.writeTextFile(`${folder}/${names[at]}`, moduleOf(block));
    }
    const main = [
      `import { runBlock } from ${JSON.stringify(AROUND)};`,
      ...names.map((name, at) => `import { run as run${at} } from "./${name}";`),
      "const errors: (string | null)[] = [];",
      ...names.map((_, at) => `errors.push(await runBlock(run${at}));`),
      'console.log("\\n" + JSON.stringify(errors));',
      "Deno.exit(0);",
    ];
    await Deno.writeTextFile(`${folder}/main.ts`, main.join("\n"));
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "--quiet",
        "--check",
        "--no-lock",
        "--allow-all",
        `--config=${new URL("deno.json", ROOT).pathname}`,
        `${folder}/main.ts`,
      ],
      env: {
        URL: stack.url,
        PUBLISHABLE_KEY: stack.publishableKey,
        SANDBOX_URL: stack.calendlyUrl,
        NO_COLOR: "1",
      },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).output();
    const decoder = new TextDecoder();
    if (code !== 0) throw new Error(decoder.decode(stderr));
    return JSON.parse(decoder.decode(stdout).trimEnd().split("\n").at(-1)!);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** The block's imports at the top, and the rest as a function. */
function moduleOf({ page, text }: Block): string {
  const imports: string[] = [];
  const rest = text.replace(/^import [^;]*;$/gm, (found) => {
    imports.push(
      found.replace(/"(\.[^"]*)"/, (_, path) => `"${new URL(path, new URL(page, ROOT))}"`),
    );
    return "";
  });
  return [
    `import type { Around } from ${JSON.stringify(AROUND)};`,
    ...imports,
    "// deno-lint-ignore-file",
    "export async function run(around: Around): Promise<void> {",
    "  const { supabase, email, password, token, code, state, location, headers, show } = around;",
    "  {",
    rest,
    "  }",
    "}",
    `run.text = ${JSON.stringify(text)};`,
  ].join("\n");
}
