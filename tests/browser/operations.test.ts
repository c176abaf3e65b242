/**
 * Operations in a real browser: each screen shows what the database has, what is done there has its true
 * result, and whoever uses no mouse or cannot see gets as far.
 */
import assert from "node:assert/strict";
import type { Person, Project } from "../functions/support.ts";
import { until } from "../functions/support.ts";
import { assertAccessible, browserTest, openPage, type Page, takesFocus } from "./support.ts";

const HOME = "#/operations";

/** The answer of `GET calendly-sync/health` where an alert is critical. */
const UNHEALTHY = /status of 503/;

/** Where one screen's address begins. */
async function show(page: Page, path: string): Promise<void> {
  await page.evaluate((hash) => location.hash = hash, path);
  await page.locator(".ops-screen h1").waitFor();
  await page.waitForFunction(() => !document.querySelector(".ops .skeleton"));
}

/** Somebody whose webhook delivers, with a meeting that came by it. */
async function bookedBy(project: Project): Promise<{ person: Person; deliveries: number }> {
  const person = await project.person({ events: 3 });
  await person.sync();
  const { status } = await person.invoke("calendly-connect/webhooks", "POST");
  assert.ok(status < 300, `webhooks: ${status}`);
  const booked = project.sandbox.control.book({
    user: person.host.uri,
    invitee: { name: "Gus Guest", email: "gus@example.com" },
  });
  project.sandbox.control.cancel({ event: booked.event.uri });
  await until(async () =>
    (await project.stack.sql("select from public.calendly_webhook_events")).length === 2
  );
  return { person, deliveries: 2 };
}

/** An owner's connection with everyone in it: three hosts, one of whom is known to have an account. */
async function team(project: Project): Promise<Person> {
  const owner = await project.person({ connected: false });
  const { control } = project.sandbox;
  const members = ["Una Known", "Max Known"].map((name) =>
    control.create_user({ name, email: `${name.split(" ")[0].toLowerCase()}@example.org` })
  );
  const organization = owner.host.current_organization;
  for (const { uri } of members) control.join({ user: uri, organization });
  for (const { uri } of [owner.host, ...members]) control.book({ user: uri });
  const { status } = await owner.connect({ scope: "organization", members: "everyone" });
  assert.ok(status < 300, `connect: ${status}`);
  await until(async () =>
    (await project.stack.sql("select from public.calendly_sync_runs where status = 'complete'"))
      .length > 0
  );
  return owner;
}

browserTest(
  "without a session operations say how to open them, and show no data",
  async ({ project }) => {
    const person = await project.person({ events: 1 });
    await person.sync();
    for (const theme of ["light", "dark"] as const) {
      const page = await openPage(project, { path: `${HOME}/people`, theme });
      await page.getByRole("heading", { name: "Operations need a link" }).waitFor();
      assert.match(await page.locator("main").innerText(), /npx -y deno@2\.9\.6 task console/);
      assert.doesNotMatch(await page.locator("main").innerText(), /person\.1/);
      await assertAccessible(page);
    }
    const used = await openPage(project, { path: `${HOME}?link=used` });
    await used.getByRole("heading", { name: "This link was used already" }).waitFor();
  },
);

browserTest(
  "the first screen says that all is well, and its numbers lead to their rows",
  async ({ project }) => {
    const { person } = await bookedBy(project);
    const page = await openPage(project, { operations: true });
    const sentence = page.getByRole("status", { name: "State" });
    await sentence.getByText(/^All is well: the meetings of the one connected person/).waitFor();
    const [{ meetings }] = await project.stack.sql(
      "select count(*)::integer as meetings from public.calendly_meetings",
    );
    await page.getByRole("link", { name: `Meetings ${meetings}` }).waitFor();
    await page.getByRole("link", { name: /^People 1 0 no account/ }).click();
    await page.getByRole("heading", { name: "People" }).waitFor();
    const row = page.getByRole("table", { name: "People" }).getByRole("row").nth(1);
    await row.getByText(person.host.email).waitFor();
    assert.match(await row.innerText(), /connected[^]*own, personal token[^]*account[^]*active/);
  },
);

browserTest(
  "every screen is accessible, light and dark, and none is wider than a phone",
  async ({ project }) => {
    const { person } = await bookedBy(project);
    project.sandbox.control.revoke_token({ token: person.token });
    for (let attempt = 0; attempt < 3; attempt++) await person.sync();
    await project.stack.sql(
      `update public.calendly_webhook_events set status = 'dead', attempts = 5,
    processed_at = null, error = '{"code": "internal", "message": "It failed.", "hint": "Replay."}'
    where event_type = 'invitee.canceled'`,
    );
    await project.stack.sql("select calendly.nudge()");
    const [[{ id: run }], [{ id: delivery }], [{ id: meeting }]] = await Promise.all([
      project.stack.sql("select id from public.calendly_sync_runs where status = 'failed' limit 1"),
      project.stack.sql("select id from public.calendly_webhook_events where status = 'dead'"),
      project.stack.sql("select id from public.calendly_meetings limit 1"),
    ]);
    const paths = [
      HOME,
      ...["people", "runs", "deliveries", "meetings", "schedule", "alerts"].map((one) =>
        `${HOME}/${one}`
      ),
      `${HOME}/people/${person.id}`,
      `${HOME}/runs/${run}`,
      `${HOME}/deliveries/${delivery}`,
      `${HOME}/meetings/${meeting}`,
    ];
    for (const theme of ["light", "dark"] as const) {
      const page = await openPage(project, {
        operations: true,
        theme,
        viewport: theme === "dark" ? { width: 360, height: 780 } : "desktop",
        expectErrors: [UNHEALTHY],
      });
      for (const path of paths) {
        await show(page, path);
        await assertAccessible(page);
        const beyond = await page.evaluate(() =>
          document.documentElement.scrollWidth - document.documentElement.clientWidth
        );
        assert.equal(beyond, 0, `${path} is ${beyond} pixels too wide (${theme})`);
      }
    }
  },
);

browserTest("filters of runs stand in the address and outlast a reload", async ({ project }) => {
  const person = await project.person({ events: 2 });
  await person.sync();
  project.sandbox.control.revoke_token({ token: person.token });
  await person.sync();
  const page = await openPage(project, { operations: true, expectErrors: [UNHEALTHY] });
  await show(page, `${HOME}/runs`);
  const runs = page.getByRole("table", { name: "Runs" });
  await page.getByText("2 runs").waitFor();
  await page.getByRole("button", { name: "failed", exact: true }).click();
  await page.getByText("1 run", { exact: true }).waitFor();
  await page.getByLabel("Type of sync").selectOption("Incremental");
  assert.match(page.url(), /#\/operations\/runs\?status=failed&type=INCREMENTAL$/);
  await page.reload();
  await page.getByText("1 run", { exact: true }).waitFor();
  assert.equal(
    await page.getByRole("button", { name: "failed", exact: true }).getAttribute("aria-pressed"),
    "true",
  );
  assert.equal(await runs.getByRole("row").count(), 2, "its head and the one run");
  await page.getByRole("button", { name: "No filter" }).click();
  await page.getByText("2 runs").waitFor();
  assert.match(page.url(), /#\/operations\/runs$/);
});

browserTest("a run shows its steps, and one that failed what to do", async ({ project }) => {
  const person = await project.person({ events: 4 });
  await person.sync();
  const [{ id, requests }] = await person.runs();
  const page = await openPage(project, { operations: true, expectErrors: [UNHEALTHY] });
  await show(page, `${HOME}/runs/${id}`);
  await page.getByRole("heading", { name: `Full sync of ${person.host.name}` }).waitFor();
  const steps = page.getByRole("region", { name: "Steps of the run" });
  for (const step of ["Begin", "List events", "Fetch invitees", "Finish"]) {
    await steps.getByRole("cell", { name: step, exact: true }).first().waitFor();
  }
  await page.getByText(`Cost, requests${requests}`).waitFor();

  project.sandbox.control.revoke_token({ token: person.token });
  await person.sync();
  const [failed] = await person.runs();
  await show(page, `${HOME}/runs/${failed.id}`);
  const main = await page.locator("main").innerText();
  assert.match(main, /It ended before it was complete/);
  assert.ok(main.includes(failed.error.message), main);
  assert.ok(main.includes(`Next step: ${failed.error.hint}`), main);
});

browserTest(
  "one person is synced from here, now and fully, with the true result",
  async ({ project }) => {
    const person = await project.person({ events: 3 });
    await person.sync();
    project.sandbox.control.populate({ user: person.host.uri, events: 2 });
    const page = await openPage(project, {
      operations: true,
      expectErrors: [/status of 424/, UNHEALTHY],
    });
    await show(page, `${HOME}/people/${person.id}`);
    await page.getByRole("button", { name: "Sync now" }).click();
    const result = page.locator(".ops-result");
    await result.getByText(/^Incremental sync complete: /).waitFor();
    const [run] = await person.runs();
    assert.equal(run.trigger, "service");
    assert.match(await result.innerText(), new RegExp(`complete: .*${run.requests} requests? in `));

    await page.getByRole("button", { name: "Sync full" }).click();
    const dialog = page.getByRole("dialog", { name: /^Sync everything of/ });
    assert.equal((await person.runs()).length, 2, "nothing is done before it is confirmed");
    await assertAccessible(page);
    await dialog.getByRole("button", { name: "Sync full" }).click();
    await result.getByText(/^Full sync complete: /).waitFor();
    assert.equal((await person.runs())[0].sync_type, "FULL");

    project.sandbox.control.revoke_token({ token: person.token });
    await page.getByRole("button", { name: "Sync now" }).click();
    await result.getByText(/token_refused/).waitFor();
    assert.match(await result.innerText(), /Next step: /);
  },
);

browserTest("a dead delivery is replayed, alone and with all others", async ({ project }) => {
  const { person } = await bookedBy(project);
  const dead = async () =>
    (await project.stack.sql("select from public.calendly_webhook_events where status = 'dead'"))
      .length;
  const kill = () =>
    project.stack.sql(`update public.calendly_webhook_events set status = 'dead', attempts = 5,
      processed_at = null, error = '{"code": "internal", "message": "It failed."}'`);
  await kill();
  const [{ id }] = await project.stack.sql(
    "select id from public.calendly_webhook_events where event_type = 'invitee.created'",
  );
  const page = await openPage(project, { operations: true, expectErrors: [UNHEALTHY] });
  await show(page, `${HOME}/deliveries/${id}`);
  await page.getByText("gus@example.com").first().waitFor();
  await page.getByRole("link", { name: /^30 Minute Meeting/ }).waitFor();
  await page.getByRole("button", { name: "Replay" }).click();
  await page.getByText(/^Replayed: processed/).waitFor();
  assert.equal(await dead(), 1);

  await kill();
  await show(page, `${HOME}/deliveries?status=dead`);
  await page.getByText("2 deliveries", { exact: true }).waitFor();
  await page.getByRole("button", { name: "Replay dead ones" }).click();
  const dialog = page.getByRole("dialog", { name: "Replay dead deliveries" });
  await dialog.getByText("2 dead deliveries will be replayed.").waitFor();
  await assertAccessible(page);
  assert.equal(await dead(), 2, "it says how many first");
  await dialog.getByRole("button", { name: "Replay 2" }).click();
  await dialog.getByText("2 replayed. None of them is dead any more.").waitFor();
  assert.equal(await dead(), 0);
  assert.ok((await person.meetings()).length >= 3);
});

browserTest(
  "a team with everyone shows members with and without an account",
  async ({ project }) => {
    const owner = await team(project);
    const page = await openPage(project, { operations: true });
    await show(page, `${HOME}/people/${owner.id}`);
    await page.getByText(/^organization, every host, with an account here or without/).waitFor();
    await page.getByText("3 in all: 1 with an account here, 2 without.").waitFor();
    const members = page.getByRole("region", { name: "Members" });
    await members.getByRole("row", { name: /Una Known una@example\.org no account/ }).waitFor();

    await show(page, `${HOME}/people?account=without`);
    await page.getByText("2 people", { exact: true }).waitFor();
    await page.getByRole("searchbox", { name: "Name or e-mail" }).fill("una");
    await page.getByText("1 person", { exact: true }).waitFor();
    const row = page.getByRole("table", { name: "People" }).getByRole("row").nth(1);
    assert.match(await row.innerText(), /Una Known[^]*by the organization's[^]*no account/);
    assert.match(page.url(), /search=una/);
  },
);

browserTest("an alert opens its evidence, and leads to the rows", async ({ project }) => {
  const person = await project.person({ events: 1 });
  await person.sync();
  project.sandbox.control.revoke_token({ token: person.token });
  for (let attempt = 0; attempt < 3; attempt++) await person.sync();
  const page = await openPage(project, { operations: true, expectErrors: [UNHEALTHY] });
  const [alert] = await project.stack.sql("select * from public.calendly_alerts");
  assert.equal(alert.code, "reconnect_required");
  const sentence = page.getByRole("status", { name: "State" });
  await sentence.getByText(alert.message).waitFor();
  await sentence.getByText(alert.what_to_do).waitFor();
  await sentence.getByRole("link", { name: "See the evidence" }).click();
  await page.getByRole("heading", { name: "A token is refused" }).waitFor();
  await page.getByRole("button", { name: "Evidence" }).click();
  await page.getByText("reconnect_required").nth(1).waitFor();
  await assertAccessible(page);
  await page.getByRole("link", { name: "Person and connection" }).click();
  await page.getByRole("heading", { name: person.host.name }).waitFor();
});

browserTest(
  "what is shown can be copied as SQL and as curl, without the key",
  async ({ project }) => {
    const person = await project.person({ events: 1 });
    await person.sync();
    const page = await openPage(project, { operations: true });
    await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
    await show(page, `${HOME}/runs?status=complete&person=${person.id}`);
    const copied = async (label: string) => {
      await page.locator(".ops-head").getByRole("button", { name: `Copy ${label}` }).click();
      return await page.evaluate(() => navigator.clipboard.readText());
    };
    const rows = await project.stack.sql(await copied("as SQL"));
    assert.deepEqual(rows.map(({ id }) => id), (await person.runs()).map(({ id }) => id));
    const curl = await copied("as curl");
    assert.match(curl, /-H "apikey: \$SUPABASE_SECRET_KEY"$/);
    const [, address] = curl.match(/^curl '([^']+)'/)!;
    const response = await fetch(address, { headers: { apikey: project.stack.secretKey } });
    const answered = await response.json();
    assert.deepEqual(answered.map(({ id }: { id: string }) => id), rows.map(({ id }) => id));
  },
);

browserTest(
  "the first key pressed arrives in a new screen, and in a dialog",
  async ({ project }) => {
    const person = await project.person({ events: 1 });
    await person.sync();
    const page = await openPage(project, { operations: true });
    await page.getByText(/^All is well/).waitFor();
    const tab = page.getByRole("link", { name: "Deliveries", exact: true });
    assert.ok(await takesFocus(tab, ".ops-screen:has(.ops-filters)"));
    assert.ok(await takesFocus(page.getByRole("button", { name: "Replay dead ones" }), "dialog"));
  },
);

browserTest(
  "the way from the first screen to a run and back needs no mouse",
  async ({ project }) => {
    const person = await project.person({ events: 1 });
    await person.sync();
    const page = await openPage(project, { operations: true });
    await page.getByText(/^All is well/).waitFor();
    const focused = () => page.evaluate(() => document.activeElement?.textContent ?? "");
    const tabTo = async (text: RegExp) => {
      for (let pressed = 0; pressed < 60; pressed++) {
        if (text.test(await focused())) return;
        await page.keyboard.press("Tab");
      }
      throw new Error(`Tab does not come to ${text}`);
    };
    await tabTo(/^Runs\d/);
    await page.keyboard.press("Enter");
    await page.getByText("No run is like this").waitFor();
    assert.equal(await focused(), "Runs", "the new screen's heading has the focus");
    await tabTo(/^No filter$/);
    await page.keyboard.press("Enter");
    await page.getByRole("table", { name: "Runs" }).waitFor();
    assert.equal(await focused(), "running", "the first filter has the focus");
    await tabTo(/^complete$/);
    await page.keyboard.press("Enter");
    assert.match(page.url(), /status=complete/);
    await page.keyboard.press("Tab");
    await tabTo(/^complete$/);
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: /^Full sync of/ }).waitFor();
    await page.goBack();
    await page.getByRole("table", { name: "Runs" }).waitFor();
    assert.match(page.url(), /status=complete/);
  },
);
