/** The sandbox's panel in a browser: what is done there shows on the same screen. */
import assert from "node:assert/strict";
import { type Person, type Project, until } from "../functions/support.ts";
import { assertAccessible, browserTest, openPage, type Page, takesFocus } from "./support.ts";

const DAY = 86_400_000;

browserTest(
  "a booking is made, moved and canceled in the panel, and shows beside it",
  async ({ project }) => {
    const ana = await host(project);
    const page = await openSandbox(project, ana);
    await page.getByText("A webhook tells the project of it at once.").waitFor();
    await page.getByRole("button", { name: "Book an example" }).click();
    await said(page, "Ines Castillo has booked 30 Minute Meeting");
    const meeting = meetings(page).getByText("Ines Castillo");
    await meeting.waitFor();
    await happened(page, "invitee.created Ines Castillo", "200");
    const [before] = await rows(project);

    await booking(page, "Ines Castillo").click();
    await page.getByRole("button", { name: "Reschedule by a week" }).click();
    await said(page, "Ines Castillo has rescheduled");
    await happened(page, "invitee.canceled Ines Castillo", "200");
    await until(async () => {
      const [row] = await rows(project);
      return row !== undefined && row.start_time !== before.start_time;
    });

    await booking(page, "Ines Castillo").click();
    await page.getByRole("button", { name: "Cancel", exact: true }).click();
    await said(page, "The meeting with Ines Castillo is canceled");
    await meeting.waitFor({ state: "detached" });
    assert.deepEqual(await rows(project), []);
    await panel(page).getByText("None to come.").waitFor();
  },
);

browserTest("Calendly is down until the fault is stopped", async ({ project }) => {
  const ana = await host(project);
  const page = await openSandbox(project, ana, [/status of (429|503|409)/]);
  for (const [fault, status] of [["Calendly is down (503)", "503"], ["Rate limit (429)", "429"]]) {
    await page.getByRole("button", { name: fault }).click();
    await panel(page).getByText("1 in force").waitFor();
    await page.getByRole("button", { name: "Sync Calendly" }).click();
    await happened(page, "GET /scheduled_events", `${status} (fault)`);
    await until(async () => (await lastRun(project)).status === "paused");
    await page.getByText(/paused/i).first().waitFor();

    await page.getByRole("button", { name: "Stop all faults" }).click();
    await said(page, "Calendly works again");
    await page.getByRole("button", { name: /Sync Calendly|Go on|Continue/ }).first().click();
    await until(async () => (await lastRun(project)).status === "complete");
    await page.getByText(/sync complete/).first().waitFor();
  }
});

browserTest(
  "a revoked token fails a sync, and the page says to connect again",
  async ({ project }) => {
    const ana = await host(project);
    const page = await openSandbox(project, ana, [/status of (4\d\d|503)/]);
    await page.getByRole("button", { name: "Token revoked (401)" }).click();
    await said(page, "From now on: Token revoked (401)");
    await page.getByRole("button", { name: "Sync Calendly" }).click();
    await until(async () => (await lastRun(project)).status === "failed");
    await page.getByText("Calendly refuses the token").first().waitFor();
    await page.getByRole("button", { name: "Connect again" }).waitFor();

    await page.getByRole("button", { name: "Stop all faults" }).click();
    await said(page, "Calendly works again");
    await page.getByRole("button", { name: "Sync Calendly" }).click();
    await until(async () => (await lastRun(project)).status === "complete");
  },
);

browserTest(
  "lost webhooks are found by a sync, late ones come when they are sent",
  async ({ project }) => {
    const ana = await host(project);
    const page = await openSandbox(project, ana);
    await page.getByRole("button", { name: "Webhooks lost" }).click();
    await page.getByRole("button", { name: "Book an example" }).click();
    await happened(page, "invitee.created Ines Castillo", "lost");
    await page.getByRole("button", { name: "Webhooks late" }).click();
    await page.getByRole("button", { name: "Book an example" }).click();
    await happened(page, "invitee.created Tom Becker", "waits");
    assert.deepEqual(await rows(project), []);
    await page.getByRole("button", { name: "Send 1 waiting now" }).click();
    await meetings(page).getByText("Tom Becker").waitFor();
    assert.equal((await rows(project)).length, 1);
    await page.getByRole("button", { name: "Sync Calendly" }).click();
    await meetings(page).getByText("Ines Castillo").waitFor();
  },
);

browserTest(
  "time passes in the project, too: a sync runs by itself, and a no-show can be marked",
  async ({ project }) => {
    const ana = await host(project);
    const page = await openSandbox(project, ana);
    await page.getByRole("button", { name: "Book an example" }).click();
    await meetings(page).getByText("Ines Castillo").waitFor();
    await page.getByRole("button", { name: "Let 1 week pass" }).click();
    await said(page, "1 week passed");
    await panel(page).getByText("7 days ahead of real time").waitFor();
    await meetings(page).getByText("Ines Castillo").waitFor({ state: "detached" });
    await page.getByRole("link", { name: /^Past/ }).click();
    await meetings(page).getByText("Ines Castillo").waitFor();
    // The schedule's job runs with it: nobody has to wait for the next minute.
    await until(async () => {
      const { trigger, status } = await lastRun(project);
      return trigger === "scheduled" && status === "complete";
    });

    await page.getByRole("button", { name: "Past", exact: true }).click();
    await booking(page, "Ines Castillo").click();
    await page.getByRole("button", { name: "Mark as no-show" }).click();
    await said(page, "Ines Castillo is marked as a no-show");
    await until(async () => {
      const [invitee] = await ana.invitees();
      return invitee.no_show_at !== null;
    });
    await page.getByRole("button", { name: "Undo no-show" }).waitFor();
  },
  { cron: true },
);

browserTest("a meeting goes to another host", async ({ project }) => {
  const { control } = project.sandbox;
  const ana = await host(project);
  const organization = ana.host.current_organization;
  const ben = control.create_user({ name: "Ben", email: "ben@example.com", organization });
  const page = await openSandbox(project, ana);
  await page.getByRole("button", { name: "Book an example" }).click();
  await booking(page, "Ines Castillo").click();
  await page.getByLabel("Reassign the meeting with Ines Castillo to").selectOption("Ben");
  await said(page, "Ben is the host now");
  const [{ event }] = control.state().scheduled_events;
  assert.deepEqual(event.event_memberships.map(({ user }) => user), [ben.uri]);
  await page.getByLabel("Host").selectOption("Ben (ben@example.com)");
  await booking(page, "Ines Castillo").waitFor();
});

browserTest(
  "any verb can be run with all that it takes, and a wrong value is told at its field",
  async ({ project }) => {
    const ana = await host(project);
    const page = await openSandbox(project, ana, [/status of 400/]);
    await page.getByText("Everything else, with all details").click();
    await page.getByLabel("Verb").selectOption("book");
    const start = page.getByRole("textbox", { name: "start time" });
    await start.fill("tomorrow");
    await page.getByRole("button", { name: "Run book" }).click();
    await page.getByText("must be an ISO 8601 time", { exact: false }).first().waitFor();
    assert.equal(await start.getAttribute("aria-invalid"), "true");
    assert.equal(await start.evaluate((field) => field === document.activeElement), true);
    await start.fill(new Date(Date.now() + 3 * DAY).toISOString());
    await page.getByRole("textbox", { name: "user", exact: true }).fill(ana.host.email);
    await page.getByRole("textbox", { name: "invitee" }).fill(
      '{"name": "Typed In", "email": "typed@example.com"}',
    );
    await page.getByRole("button", { name: "Run book" }).click();
    await page.getByRole("region", { name: "What book answered" }).waitFor();
    await meetings(page).getByText("Typed In").waitFor();
  },
);

browserTest(
  "the panel needs a session for operations, and says how to get one",
  async ({ project }) => {
    const page = await openPage(project);
    await page.getByRole("button", { name: "Sandbox" }).click();
    await panel(page).getByText("npx -y deno@2.9.6 task console").waitFor();
    await assertAccessible(page);
  },
);

browserTest(
  "the panel opens and closes by the keyboard, stays open, and the page works beside it",
  async ({ project }) => {
    const ana = await host(project);
    const page = await openPage(project, { as: ana, operations: true, path: "#/meetings" });
    const button = page.getByRole("button", { name: "Sandbox" });
    await button.focus();
    await page.keyboard.press("Enter");
    const heading = page.getByRole("heading", { name: "Sandbox Calendly" });
    await heading.waitFor();
    assert.equal(await heading.evaluate((element) => element === document.activeElement), true);
    await page.reload();
    await heading.waitFor();
    await page.getByRole("link", { name: "Operations" }).click();
    await heading.waitFor();
    await button.click();
    await heading.waitFor({ state: "detached" });
    await button.focus();
    await page.keyboard.press("Enter");
    await heading.waitFor();
    await page.keyboard.press("Escape");
    await heading.waitFor({ state: "detached" });
    assert.equal(await button.evaluate((element) => element === document.activeElement), true);
  },
);

browserTest("the first key pressed arrives in the panel", async ({ project }) => {
  const ana = await host(project);
  const page = await openPage(project, { as: ana, operations: true, path: "#/meetings" });
  assert.ok(await takesFocus(page.getByRole("button", { name: "Sandbox" }), ".side-panel"));
});

for (const theme of ["light", "dark"] as const) {
  browserTest(
    `axe finds nothing in the panel, ${theme}, on a desktop and a phone`,
    async ({ project }) => {
      const ana = await host(project);
      for (const viewport of ["desktop", "phone"] as const) {
        const page = await openPage(project, {
          as: ana,
          theme,
          viewport,
          operations: true,
          path: "#/meetings",
        });
        await page.getByRole("button", { name: "Sandbox" }).click();
        await page.getByRole("button", { name: "Book an example" }).click();
        await said(page, "has booked");
        await page.getByRole("button", { name: "Webhooks late" }).click();
        await page.getByRole("button", { name: "Book an example" }).click();
        await page.getByRole("button", { name: /^Send \d waiting now/ }).waitFor();
        await panel(page).locator(".booking").first().click();
        await page.getByText("Everything else, with all details").click();
        await page.getByRole("button", { name: "Run book" }).waitFor();
        await assertAccessible(page);
        await page.getByRole("button", { name: "Stop all faults" }).click();
        await said(page, "Calendly works again");
      }
    },
  );
}

/** A host with a person's account, connected, with webhooks and a first sync. */
async function host(project: Project): Promise<Person> {
  const ana = await project.person();
  assert.ok((await ana.invoke("calendly-connect/webhooks", "POST")).status < 300);
  assert.equal((await ana.sync()).body.status, "complete");
  return ana;
}

async function openSandbox(project: Project, as: Person, expectErrors?: RegExp[]): Promise<Page> {
  const page = await openPage(project, { as, operations: true, path: "#/meetings", expectErrors });
  await page.getByRole("button", { name: "Sandbox" }).click();
  await panel(page).getByLabel("Host").waitFor();
  return page;
}

function panel(page: Page) {
  return page.getByRole("complementary", { name: "Sandbox Calendly" });
}

function meetings(page: Page) {
  return page.getByRole("region", { name: "Meetings" });
}

function booking(page: Page, name: string) {
  return panel(page).locator(".booking").filter({ hasText: name });
}

/** Waits for what the panel says of the last verb. */
async function said(page: Page, text: string) {
  await panel(page).locator(".said").getByText(text).waitFor();
}

/** Waits for a line below What happens. */
async function happened(page: Page, what: string, outcome: string) {
  await panel(page).getByRole("listitem").filter({ hasText: what }).filter({ hasText: outcome })
    .first().waitFor();
}

/** The person's meetings to come. */
function rows(project: Project) {
  return project.stack.sql(
    "select start_time from public.calendly_meetings where not is_deleted order by start_time",
  );
}

async function lastRun(project: Project): Promise<{ status: string; trigger: string }> {
  const [run] = await project.stack.sql(
    "select status, trigger from public.calendly_sync_runs order by started_at desc, id limit 1",
  );
  return run;
}
