/** Runs the pages' shell lines by bash, in a folder beside an app, as somebody would type them. */
import assert from "node:assert/strict";
import type { Stack } from "../../local/stack.ts";
import { ROOT } from "./pages.ts";

const COMMANDS = new URL("./commands.ts", import.meta.url).pathname;
/** Programs that commands.ts stands in for. */
const STAND_INS = ["npx", "npm", "git", "supabase"];

export class Shell implements AsyncDisposable {
  private constructor(readonly folder: string, private readonly stack: Stack) {}

  /**
   * `<folder>/clone` is where lines are typed, `<folder>/your-app` is a project of Supabase, and
   * `<folder>/keys.env` has the key of the local project's tokens.
   */
  static async open(stack: Stack, tokenKey: string): Promise<Shell> {
    const folder = await Deno.makeTempDir({ prefix: "docs-" });
    for (const path of ["bin", "your-app/supabase"]) {
      await Deno.mkdir(`${folder}/${path}`, { recursive: true });
    }
    await Deno.writeTextFile(`${folder}/your-app/supabase/config.toml`, 'project_id = "app"\n');
    await Deno.writeTextFile(`${folder}/keys.env`, `CALENDLY_TOKEN_KEY="${tokenKey}"\n`);
    for (const name of STAND_INS) {
      await Deno.writeTextFile(
        `${folder}/bin/${name}`,
        `#!/bin/sh\nexec "${Deno.execPath()}" run --quiet --no-check -A "${COMMANDS}" ${name} "$@"\n`,
        { mode: 0o755 },
      );
    }
    return new Shell(folder, stack);
  }

  /** Fails unless each line ends with 0. `page` is the page that it is of. */
  async run(text: string, page = "README.md"): Promise<void> {
    const { stack, folder } = this;
    await Deno.remove(`${folder}/clone`, { recursive: true }).catch(() => {});
    await Deno.mkdir(`${folder}/clone`);
    const settings = new URL(".env.example", new URL(page, ROOT));
    await Deno.copyFile(settings, `${folder}/clone/.env.example`).catch(() => {});
    const child = new Deno.Command("bash", {
      args: ["-euo", "pipefail", "-c", text],
      cwd: `${folder}/clone`,
      env: {
        PATH: `${folder}/bin:${Deno.env.get("PATH")}`,
        SUPABASE_URL: stack.url,
        SUPABASE_SECRET_KEY: stack.secretKey,
        SANDBOX_URL: stack.calendlyUrl,
        NO_COLOR: "1",
      },
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const writer = child.stdin.getWriter();
    await writer.write(new TextEncoder().encode(ownerToken(stack))).catch(() => {});
    await writer.close().catch(() => {});
    const { code, stdout, stderr } = await child.output();
    const decoder = new TextDecoder();
    assert.equal(code, 0, decoder.decode(stdout) + decoder.decode(stderr));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.folder, { recursive: true });
  }
}

/** The token of an owner whom nobody has connected yet: what `connect` reads. */
function ownerToken({ sandbox }: Stack): string {
  const { control } = sandbox!;
  const name = `owner-${crypto.randomUUID()}`;
  const organization = control.create_organization({ name }).uri;
  const email = `${name}@example.com`;
  const { uri } = control.create_user({ name, email, organization, role: "owner" });
  return control.create_token({ user: uri }).token;
}
