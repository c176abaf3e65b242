/**
 * Every code block of the pages, run as it stands there, against one local project whose demo user is
 * connected and synced:
 *
 * - `sh`: by bash, where npx, git and the like are those of commands.ts: what is long, never ends or needs a
 *   hosted project is only checked for its options;
 * - `sql`: as `postgres`, as in the SQL editor, in a transaction that is taken back;
 * - `ts`: checked with the database's types and run by a person of its own (see typescript.ts);
 * - `json`, `toml` and `env` (settings of the functions) are read;
 * - `text` is for what is printed or drawn.
 */
import assert from "node:assert/strict";
import { createClient } from "@supabase/supabase-js";
import { parse as parseToml } from "smol-toml";
import { parseEnv } from "node:util";
import postgres from "postgres";
import { AS_OWNER } from "../../local/migrations.ts";
import type { Stack } from "../../local/stack.ts";
import { needing } from "../harness/requirements.ts";
import { startTestStack } from "../harness/stack.ts";
import { type Block, readPages, ROOT } from "./pages.ts";
import { Shell } from "./shell.ts";
import { runTypeScript } from "./typescript.ts";

const BLOCKS = (await readPages()).flatMap(({ blocks }) => blocks);
const RUN = BLOCKS.filter(({ mark }) => !mark);
const TOKEN_KEY = "the key that encrypts the tokens";
const LANGUAGES = ["sh", "sql", "ts", "json", "toml", "env", "text"];

/** A block that does not look at the error that it gets. */
const REFUSED: Block = {
  page: "README.md",
  line: 1,
  language: "ts",
  text: 'await supabase.functions.invoke("calendly-connect", { body: { token: "x" } });',
};

/** What a page writes where each project has something else. */
function fill(text: string, stack: Stack): string {
  const values: [placeholder: string | RegExp, value: string][] = [
    ["https://<project>.supabase.co", stack.url],
    ["http://127.0.0.1:54321", stack.url],
    ["127.0.0.1:54329", new URL(stack.databaseUrl).host],
    ["http://127.0.0.1:8090", stack.calendlyUrl],
    ["sb_publishable_…", stack.publishableKey],
    ["sb_secret_…", stack.secretKey],
    ["<address of this repository>", "https://example.com/calendly-sync.git"],
    ["<version>", "0.1.0"],
    ["<branch>", "abcdefghijklmnopqrst"],
    ["<new>", "abcdefghijklmnopqrst"],
    ["<ref>", "abcdefghijklmnopqrst"],
  ];
  return values.reduce((filled, [from, to]) => filled.replaceAll(from, to), text);
}

function inLanguage(...languages: string[]): Block[] {
  return RUN.filter(({ language }) => languages.includes(language));
}

function nameOf({ page, line, language }: Block): string {
  return `${page}:${line} (${language})`;
}

Deno.test("each block says its language, and one that is run here is of one that can be", () => {
  for (const block of BLOCKS) {
    assert.ok(block.language !== "", `${nameOf(block)}: what is it? Output and drawings are text`);
  }
  for (const block of RUN) {
    assert.ok(LANGUAGES.includes(block.language), `${nameOf(block)} needs a mark, see pages.ts`);
  }
});

Deno.test("blocks of data can be read", async (t) => {
  const settings = await Deno.readTextFile(new URL(".env.example", ROOT));
  for (const block of inLanguage("json", "toml", "env")) {
    await t.step(nameOf(block), () => {
      if (block.language === "json") JSON.parse(block.text);
      if (block.language === "toml") parseToml(block.text);
      if (block.language !== "env") return;
      for (const name of Object.keys(parseEnv(block.text))) {
        assert.ok(
          settings.includes(`${name}=`) || /^SUPABASE_(URL|SECRET_KEY)$/.test(name),
          `there is no setting ${name}`,
        );
      }
    });
  }
});

Deno.test("blocks that do something work", async (t) => {
  await using stack = await startTestStack("embedded", {
    sandboxOptions: { events: 20 },
    env: { CALENDLY_TOKEN_KEY: TOKEN_KEY },
  });
  await prepareDemo(stack);
  for (const block of inLanguage("sql")) {
    await t.step(nameOf(block), () => runSql(stack, fill(block.text, stack)));
  }
  await t.step("TypeScript", async (t) => {
    const blocks = inLanguage("ts").map((block) => ({ ...block, text: fill(block.text, stack) }));
    const errors = await runTypeScript(stack, [...blocks, REFUSED]);
    for (const [at, block] of blocks.entries()) {
      await t.step(nameOf(block), () => assert.equal(errors[at], null));
    }
    assert.match(errors.at(-1)!, /calendly-connect: 4\d\d/);
  });
  await using shell = await Shell.open(stack, TOKEN_KEY);
  for (const block of inLanguage("sh")) {
    const text = fill(block.text, stack);
    const needs = (["psql", "curl"] as const).filter((name) => text.includes(`${name} `));
    await t.step({ ...needing(nameOf(block), ...needs), fn: () => shell.run(text, block.page) });
  }
  await t.step("a line, a statement and a block that are wrong fail", async () => {
    for (const line of ["task startt", "task cli deploy --nowhere", "task start --port x"]) {
      await assert.rejects(shell.run(`npx -y deno@2.9.6 ${line}`), Error, line);
    }
    await assert.rejects(runSql(stack, "select nothing from calendly_meetings;"));
    const mistyped = 'await supabase.from("calendly_meetings").select("titel").eq("nowhere", 1);';
    await assert.rejects(runTypeScript(stack, [{ ...REFUSED, text: mistyped }]), /nowhere/);
  });
});

/** As `task start` leaves the demo user. */
async function prepareDemo(stack: Stack): Promise<void> {
  const demo = createClient(stack.url, stack.publishableKey, {
    auth: { persistSession: false, autoRefreshToken: false },
  });
  await demo.auth.signInWithPassword(stack.demoUser);
  const token = stack.sandbox!.demo.token;
  for (
    const [name, body] of [
      ["calendly-connect", { token, sync: false }],
      ["calendly-connect/webhooks", {}],
      ["calendly-sync", {}],
    ] as const
  ) {
    const { error } = await demo.functions.invoke(name, { body });
    assert.equal(error, null, name);
  }
}

async function runSql(stack: Stack, text: string): Promise<void> {
  const script = `begin; ${AS_OWNER} ${text}; rollback;`;
  const sql = postgres(stack.databaseUrl, { max: 1, onnotice: () => {} });
  try {
    await sql.unsafe(script).simple();
  } finally {
    await sql.unsafe("rollback").simple();
    await sql.end();
  }
}
