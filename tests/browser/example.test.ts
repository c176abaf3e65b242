/** examples/react in a browser: built by its own tools, and gone through from the sign-up to a live booking. */
import assert from "node:assert/strict";
import { createClient } from "@supabase/supabase-js";
import { type Project, until } from "../functions/support.ts";
import { installReactApp } from "../harness/npm_programs.ts";
import { assertAccessible, browserTest, openPage } from "./support.ts";

const SOURCES = new URL("../../examples/react/", import.meta.url);
const DAY = 86_400_000;

browserTest(
  "the React app signs in, connects, syncs and shows a booking by itself",
  async ({ project }) => {
    await using app = await serveApp(project);
    const { control } = project.sandbox;
    const host = control.create_user({ name: "Ana", email: "ana@example.com" });
    const { token } = control.create_token({ user: host.uri });
    const soon = (days: number) => new Date(Date.now() + days * DAY).toISOString();
    control.populate({ user: host.uri, events: 3, variety: "plain", from: soon(1), to: soon(9) });

    // The refused sign-in and the refused token are errors in the browser's log.
    const page = await openPage(project, { address: app.url, expectErrors: [/status of 4\d\d/] });
    await page.getByLabel("E-mail").fill("ana@example.com");
    await page.getByLabel("Password").fill("a-password");
    await assertAccessible(page);
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("alert").filter({ hasText: "Invalid login credentials" }).waitFor();
    await page.getByRole("button", { name: "Sign up" }).click();

    const field = page.getByLabel("Personal access token");
    await field.fill("not-a-token");
    await page.getByRole("button", { name: "Connect" }).click();
    await page.getByRole("alert").filter({ hasText: "Calendly" }).waitFor();
    await assertAccessible(page);
    await field.fill(token);
    await page.getByRole("button", { name: "Connect" }).click();

    // The first sync runs in the background: the list fills by itself.
    const meetings = page.getByRole("list", { name: "Meetings to come" }).getByRole("listitem");
    await meetings.nth(2).waitFor();
    assert.equal(await page.getByText("New", { exact: true }).count(), 0);
    await until(async () => {
      const runs = await project.stack.sql("select status from public.calendly_sync_runs");
      return runs.length === 1 && runs[0].status === "complete";
    });
    await page.getByRole("button", { name: "Sync Calendly" }).click();
    await page.getByText("INCREMENTAL sync complete: 0 new, 0 updated, 0 deleted").waitFor();

    await switchWebhooksOn(project, "ana@example.com", "a-password");
    control.book({ user: host.uri, invitee: { name: "Ines Live", email: "ines@example.com" } });
    const booked = meetings.filter({ hasText: "Ines Live" });
    await booked.waitFor();
    assert.match(await booked.innerText(), /New/);
    assert.equal(await meetings.count(), 4);
    await assertAccessible(page);

    // An answer that is late does not replace a newer one.
    const { promise: newer, resolve: release } = Promise.withResolvers<void>();
    const { promise: held, resolve: hold } = Promise.withResolvers<void>();
    const { promise: late, resolve: arrived } = Promise.withResolvers<void>();
    await page.route("**/rest/v1/calendly_meetings*", async (route) => {
      const response = await route.fetch();
      hold();
      await newer;
      await route.fulfill({ response });
      arrived();
    }, { times: 1 });
    control.book({ user: host.uri, invitee: { name: "Otto Before", email: "otto@example.com" } });
    await held;
    control.book({ user: host.uri, invitee: { name: "Nora After", email: "nora@example.com" } });
    await meetings.filter({ hasText: "Nora After" }).waitFor();
    release();
    await late;
    await page.evaluate(() => new Promise((done) => setTimeout(done, 200)));
    assert.equal(await meetings.filter({ hasText: "Nora After" }).count(), 1);

    // What was read stays after a reload, and another account does not see it.
    await page.reload();
    await booked.waitFor();
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByLabel("E-mail").fill("ben@example.com");
    await page.getByLabel("Password").fill("a-password");
    await page.getByRole("button", { name: "Sign up" }).click();
    await page.getByRole("heading", { name: "Connect Calendly" }).waitFor();
    assert.equal(await page.getByText("Ines Live").count(), 0);
  },
  { needs: ["reactApp"] },
);

/** For the account, as its owner. */
async function switchWebhooksOn({ stack }: Project, email: string, password: string) {
  const client = createClient(stack.url, stack.publishableKey, { auth: { persistSession: false } });
  const signedIn = await client.auth.signInWithPassword({ email, password });
  assert.equal(signedIn.error, null);
  const { error } = await client.functions.invoke("calendly-connect/webhooks", { method: "POST" });
  assert.equal(error, null);
  await client.auth.signOut({ scope: "local" });
}

/** Checks the app's types, builds it for the project, and serves what was built. */
async function serveApp({ stack }: Project): Promise<{ url: string } & AsyncDisposable> {
  const packages = installReactApp()!;
  const folder = await Deno.makeTempDir({ dir: packages });
  try {
    await copy(SOURCES, folder);
    await Deno.writeTextFile(
      `${folder}/.env`,
      `VITE_SUPABASE_URL=${stack.url}\nVITE_SUPABASE_PUBLISHABLE_KEY=${stack.publishableKey}\n`,
    );
    await run("npm", ["run", "build"], folder);
  } catch (error) {
    await Deno.remove(folder, { recursive: true });
    throw error;
  }
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, async (request) => {
    const { pathname } = new URL(request.url);
    const file = pathname === "/" ? "/index.html" : pathname;
    try {
      const { readable } = await Deno.open(`${folder}/dist${file}`);
      return new Response(readable, { headers: { "content-type": typeOf(file) } });
    } catch {
      return new Response("There is no such file.", { status: 404 });
    }
  });
  return {
    url: `http://127.0.0.1:${server.addr.port}`,
    async [Symbol.asyncDispose]() {
      await server.shutdown();
      await Deno.remove(folder, { recursive: true });
    },
  };
}

function typeOf(file: string): string {
  if (file.endsWith(".js")) return "text/javascript";
  return file.endsWith(".css") ? "text/css" : "text/html; charset=utf-8";
}

/** The files that git has: neither packages nor settings nor what was built. */
async function copy(from: URL, to: string): Promise<void> {
  for await (const { name, isDirectory } of Deno.readDir(from)) {
    if (["node_modules", "dist", ".env"].includes(name)) continue;
    if (!isDirectory) await Deno.copyFile(new URL(name, from), `${to}/${name}`);
    else {
      await Deno.mkdir(`${to}/${name}`);
      await copy(new URL(`${name}/`, from), `${to}/${name}`);
    }
  }
}

async function run(program: string, args: string[], cwd: string): Promise<void> {
  const { success, stdout, stderr } = await new Deno.Command(program, { args, cwd, stdin: "null" })
    .output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  assert.ok(success, `${program} ${args.join(" ")} failed:\n${text(stdout)}\n${text(stderr)}`);
}
