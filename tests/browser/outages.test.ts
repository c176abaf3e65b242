/** Postgres crashes or stays away, and the functions do not boot: both doors keep what they have, say it, and go on. */
import assert from "node:assert/strict";
import { cp } from "node:fs/promises";
import { pathToFileURL } from "node:url";
import { type Person, type Project, until } from "../functions/support.ts";
import { assertAccessible, browserTest, openPage, type Page } from "./support.ts";

const DAY = 86_400_000;

/** Somebody with synced meetings to come, and webhooks. */
async function synced(project: Project): Promise<Person> {
  const from = new Date(Date.now() + 2 * DAY).toISOString();
  const person = await project.person({ events: 3, variety: "plain", from });
  assert.ok((await person.invoke("calendly-connect/webhooks", "POST")).status < 300);
  assert.equal((await person.sync()).body.status, "complete");
  return person;
}

const meetings = (page: Page) => page.locator(".table-body [role=row]");

async function says(page: Page, selector: string, text: RegExp): Promise<void> {
  await page.locator(selector).filter({ hasText: text }).first().waitFor();
}

/** Has the page look at once, as when somebody comes back to it. */
const look = (page: Page) => page.evaluate(() => dispatchEvent(new Event("online")));

const EXPECTED = { expectErrors: [/Failed to load resource/] };

browserTest(
  "after a crash of Postgres both doors go on by themselves",
  async ({ project, server }) => {
    const ana = await synced(project);
    const mine = await openPage(project, { as: ana, ...EXPECTED });
    await mine.getByText("live", { exact: true }).waitFor();
    const runs = await openPage(project, {
      operations: true,
      path: "#/operations/runs",
      ...EXPECTED,
    });
    await runs.getByText("1 run", { exact: true }).waitFor();

    await server.restart("immediate");
    await until(() => project.stack.sql("select").then(() => true, () => false));
    project.sandbox.control.book({
      user: ana.host.uri,
      start_time: new Date(Math.ceil(Date.now() / DAY + 1) * DAY).toISOString(),
      invitee: { name: "Ada After" },
    });
    await meetings(mine).filter({ hasText: "Ada After" }).waitFor();
    await mine.getByRole("button", { name: "Sync Calendly" }).click();
    await says(mine, ".outcome", /Quick sync complete/);
    await runs.getByText("2 runs", { exact: true }).waitFor();
  },
  { ownServer: true },
);

browserTest(
  "while Postgres is away both doors keep what they have, say so, and go on by themselves",
  async ({ project, server }) => {
    const ana = await synced(project);
    const mine = await openPage(project, { as: ana, ...EXPECTED });
    await meetings(mine).nth(2).waitFor();
    const runs = await openPage(project, {
      operations: true,
      path: "#/operations/runs",
      ...EXPECTED,
    });
    await runs.getByText("1 run", { exact: true }).waitFor();

    await server.whileStopped(async () => {
      await look(mine);
      await says(mine, ".notice", /The project does not answer/);
      await says(mine, ".question", /Not known now/);
      assert.equal(await meetings(mine).count(), 3);
      await mine.getByRole("button", { name: "Sync Calendly" }).click();
      await says(mine, ".outcome", /does not answer/);
      await assertAccessible(mine);
      await runs.getByText(/^not read since/).waitFor();
      await runs.getByText("1 run", { exact: true }).waitFor();
      await runs.reload();
      await runs.getByRole("alert").getByText("Database connection error.").waitFor();
      await assertAccessible(runs);
    });
    await look(mine);
    await mine.locator(".notice").waitFor({ state: "detached" });
    await says(mine, ".question", /As Calendly ha[sd] it/);
    await runs.getByText("1 run", { exact: true }).waitFor();
    assert.equal(await runs.getByRole("alert").count(), 0);
  },
  { ownServer: true },
);

/** A copy of the functions, which a test may break. */
const copy = await Deno.makeTempDir({ prefix: "functions-" });
addEventListener("unload", () => Deno.removeSync(copy, { recursive: true }));
await cp(new URL("../../supabase/functions/", import.meta.url), copy, { recursive: true });

browserTest(
  "functions that do not boot are told in both doors, and trying again helps",
  async ({ project }) => {
    const ana = await synced(project);
    const mine = await openPage(project, { as: ana, ...EXPECTED });
    await meetings(mine).nth(2).waitFor();
    const file = `${copy}/_shared/calendly/errors.ts`; // All functions import it.
    const source = await Deno.readTextFile(file);
    await Deno.writeTextFile(file, 'throw new Error("It does not boot.");');
    await project.restart({});

    await mine.getByRole("button", { name: "Sync Calendly" }).click();
    await says(mine, ".outcome", /The functions do not answer/);
    await look(mine);
    await says(mine, ".question", /functions of this project do not answer/);
    assert.equal(await meetings(mine).count(), 3);
    const overview = await openPage(project, { operations: true, ...EXPECTED });
    const sentence = overview.getByRole("status", { name: "State" });
    await sentence.getByText(/^The Edge Functions do not answer/).waitFor();
    assert.match(await sentence.innerText(), /Function failed to start.*start it again/);
    await overview.getByText("do not answer", { exact: true }).waitFor();
    await assertAccessible(overview);

    await Deno.writeTextFile(file, source);
    await mine.getByRole("button", { name: "Try again" }).click();
    await says(mine, ".outcome", /Quick sync complete/);
    await sentence.getByText(/^All is well/).waitFor();
  },
  { functions: pathToFileURL(`${copy}/`) },
);
