/** My meetings in a real browser, against a local stack: from the first visit to what goes wrong. */
import assert from "node:assert/strict";
import { member } from "../connections/support.ts";
import { type Person, type Project, until } from "../functions/support.ts";
import { assertAccessible, browserTest, openPage, type Page } from "./support.ts";

/** The line that says what the running sync does, or how the last one ended. */
const outcome = (page: Page) => page.locator(".outcome");
const rows = (page: Page) => page.locator(".table-body [role=row]");
const syncButton = (page: Page) => page.getByRole("button", { name: /Sync Calendly|Continue/ });

async function waitForText(page: Page, selector: string, text: RegExp): Promise<void> {
  await page.locator(selector).filter({ hasText: text }).first().waitFor();
}

/** A person with so many meetings from the day after tomorrow on, which are synced, and with webhooks. */
async function synced(project: Project, events: number): Promise<Person> {
  const person = await project.person({ events, variety: "plain", from: later(2), to: later(300) });
  await person.invoke("calendly-connect/webhooks", "POST");
  const { status, body } = await person.sync();
  assert.equal(status, 200, JSON.stringify(body));
  return person;
}

/** A time in so many days. */
function later(days: number): string {
  return new Date(Math.ceil(Date.now() / 86400e3 + days) * 86400e3).toISOString();
}

/** Books with a person, in so many days. */
function book(project: Project, person: Person, name: string, days = 1) {
  return project.sandbox.control.book({
    user: person.host.uri,
    start_time: later(days),
    invitee: { name, email: "ada@example.com", timezone: "America/New_York" },
  });
}

browserTest("a first visit ends with synced meetings", async ({ project }) => {
  const { control } = project.sandbox;
  const host = control.create_user({ name: "Ana", email: "ana@example.com" });
  const { token } = control.create_token({ user: host.uri });
  control.populate({
    user: host.uri,
    events: 24,
    variety: "plain",
    from: later(-100),
    to: later(100),
  });
  const page = await openPage(project, { expectErrors: [/400/] });

  await page.getByLabel("E-mail").fill("ana@example.com");
  await page.getByLabel("Password").fill("wrong");
  await page.getByRole("button", { name: "Sign in", exact: true }).click();
  await waitForText(page, ".failure", /Invalid login credentials/i);
  await page.getByRole("button", { name: "I have no account yet" }).click();
  await page.getByLabel("Password").fill("correct horse");
  await page.getByRole("button", { name: "Make an account" }).click();

  await page.getByRole("heading", { name: "Connect to Calendly" }).waitFor();
  await page.getByRole("textbox", { name: "Token" }).fill(token);
  await page.getByRole("button", { name: "Connect with the token" }).click();
  await waitForText(page, ".outcome", /Full sync complete: 24 new\. \d+ requests in/);
  const { body } = await rest(page, project, "calendly_meetings?select=id,end_time,is_deleted");
  assert.equal(body.length, 24, "the page may read what was synced");
  const counts = await page.locator(".meetings .tabs .count").allInnerTexts();
  assert.equal(counts.reduce((sum, count) => sum + Number(count), 0), 24, "no tab lacks one");

  await page.getByText(/A quick sync.*reads what may have changed/).waitFor();
  await syncButton(page).click();
  await waitForText(page, ".outcome", /Quick sync complete: \d+ unchanged/);
});

/** Calendly sends the browser back to the project itself, and not by way of a test's wire. */
async function leadBackToProject(project: Project): Promise<void> {
  await project.restart({ SUPABASE_PUBLIC_URL: project.stack.url });
}

async function consentAs(page: Page, person: Person, decision: "Allow" | "Deny"): Promise<void> {
  await page.getByRole("button", { name: "Connect with Calendly" }).click();
  await page.getByLabel("Sign in as").selectOption(person.host.uri);
  await page.getByRole("button", { name: decision }).click();
}

browserTest("a consent at Calendly connects who began it", async ({ project }) => {
  await leadBackToProject(project);
  const ana = await project.person({ connected: false, events: 5, from: later(2), to: later(9) });
  const page = await openPage(project, { as: ana, expectErrors: [/favicon/] });
  await consentAs(page, ana, "Deny");
  await waitForText(page, ".failure", /You did not allow the access/);
  assert.equal(new URL(page.url()).search, "", "the answer is not kept in the address");
  await consentAs(page, ana, "Allow");
  await waitForText(page, ".outcome", /Full sync complete: 5 new/);
  assert.equal(new URL(page.url()).search, "");
  await page.reload();
  await waitForText(page, ".outcome", /Full sync complete/);
});

browserTest("a consent that somebody else began connects nothing", async ({ project }) => {
  await leadBackToProject(project);
  const ana = await project.person({ connected: false });
  const eve = await project.person({ connected: false });
  const evil = await openPage(project, { as: eve, expectErrors: [/favicon|ERR_FAILED/] });
  await evil.route("**/oauth/finish", (route) => route.abort());
  const back = evil.waitForRequest((request) => /\/\?code=.*state=/.test(request.url()));
  await consentAs(evil, eve, "Allow");
  const { search } = new URL((await back).url());
  const page = await openPage(project, { as: ana, path: search, expectErrors: [/409/] });
  await waitForText(page, ".failure", /does not belong to you, or is too old/);
  assert.equal((await ana.connection()).state, "disconnected");
});

browserTest(
  "a booking appears by itself, marked, with the time that it took",
  async ({ project }) => {
    const ana = await synced(project, 3);
    const page = await openPage(project, { as: ana });
    await waitForText(page, ".proofs", /live/);
    const { event } = book(project, ana, "Ada Lovelace");
    const booked = page.locator(".arrived");
    await booked.waitFor();
    assert.match(await booked.innerText(), /Ada Lovelace/);
    assert.match(await booked.innerText(), /New · here after \d+(\.\d)? s/);
    await waitForText(page, ".proofs", /live, \d+(\.\d)? s after Calendly/);
    await waitForText(page, ".toast", /New: .* with Ada Lovelace/);

    project.sandbox.control.cancel({ event: event.uri, reason: "Ill" });
    await waitForText(page, ".toast", /Canceled: .* with Ada Lovelace/);
    await booked.waitFor({ state: "detached" });
    await page.getByRole("link", { name: /^Canceled/ }).click();
    await booked.waitFor();
    await booked.getByRole("link").click();
    await waitForText(page, "dialog", /Ill/);
  },
  { realtime: true },
);

browserTest("where there is no Realtime the page asks by itself", async ({ project }) => {
  const ana = await synced(project, 3);
  const page = await openPage(project, { as: ana });
  await waitForText(page, ".proofs", /asks every 5 s/);
  await rows(page).first().waitFor();
  book(project, ana, "Ada Lovelace");
  await page.locator(".arrived").filter({ hasText: "Ada Lovelace" }).waitFor();
}, { realtime: false });

browserTest("a reschedule is one line of history, and a no-show is seen", async ({ project }) => {
  const ana = await synced(project, 1);
  const { control } = project.sandbox;
  const first = book(project, ana, "Ada Lovelace");
  const second = control.reschedule({ invitee: first.invitee.uri, start_time: later(3) });
  const third = control.reschedule({ invitee: second.new.invitee.uri, start_time: later(5) });
  control.mark_no_show({ invitee: third.new.invitee.uri });
  await until(async () => (await ana.invitees()).some(({ no_show_at }) => no_show_at !== null));
  const page = await openPage(project, { as: ana });
  await rows(page).filter({ hasText: "No-show" }).getByRole("link").click();
  const chain = page.getByRole("navigation", { name: "How this booking was moved" });
  await chain.getByText("Moved 2 times").waitFor();
  assert.equal(await chain.getByRole("listitem").count(), 3);
  assert.equal(await chain.getByRole("listitem").last().locator("[aria-current]").count(), 1);
  await waitForText(page, "dialog", /no-show/);
  await chain.getByRole("link").first().click();
  await waitForText(page, "dialog", /Moved to another time/);
});

browserTest("two people never see each other's meetings", async ({ project }) => {
  const [ana, ben] = [await synced(project, 4), await synced(project, 6)];
  const [anas, bens] = [
    await openPage(project, { as: ana }),
    await openPage(project, { as: ben }),
  ];
  await waitForText(anas, ".proofs", /live/);
  await waitForText(bens, ".proofs", /live/);
  for (const [page, person] of [[anas, ana], [bens, ben]] as const) {
    const { body } = await rest(page, project, "calendly_meetings?select=user_id");
    assert.deepEqual(
      new Set(body.map((row: { user_id: number }) => row.user_id)),
      new Set([person.id]),
    );
  }
  book(project, ana, "Only Ana’s");
  await anas.locator(".arrived").waitFor();
  const meeting = (await ana.meetings()).find(({ synced_via_webhook }) => synced_via_webhook);
  // The other page has had time for a broadcast of its own.
  book(project, ben, "Only Ben’s");
  await bens.locator(".arrived").waitFor();
  assert.equal(await bens.getByText("Only Ana’s").count(), 0);
  assert.equal(await anas.getByText("Only Ben’s").count(), 0);
  await bens.goto(`${project.stack.url}/#/meetings/${meeting.id}`);
  await bens.getByText("There is no such meeting, or it is not yours to read.").waitFor();
}, { realtime: true });

browserTest(
  "the next person at the same browser sees nothing of the former",
  async ({ project }) => {
    const ana = await synced(project, 4);
    const page = await openPage(project, { as: ana, expectErrors: [/logout/] });
    await rows(page).first().waitFor();
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByRole("button", { name: "Use the demo account" }).click();
    await page.getByRole("heading", { name: "Connect to Calendly" }).waitFor();
    assert.equal(await rows(page).count(), 0);
  },
);

browserTest(
  "a used up rate limit is told with the time at which the sync goes on",
  async ({ project }) => {
    const ana = await synced(project, 3);
    const page = await openPage(project, { as: ana });
    project.sandbox.control.faults({
      path: "/scheduled_events",
      effect: { kind: "rate_limited", reset: 1800 },
    });
    await syncButton(page).click();
    await waitForText(page, ".outcome", /paused: Calendly’s rate limit is used up/);
    await waitForText(
      page,
      ".outcome",
      /goes on by itself in (29|30) min, or at once when you click/,
    );
    project.sandbox.control.clear_faults();
    await page.getByRole("button", { name: "Continue the sync" }).click();
    await waitForText(page, ".outcome", /sync complete/);
  },
);

browserTest("a revoked token is told, and a new one mends it", async ({ project }) => {
  const { control } = project.sandbox;
  const ana = await synced(project, 3);
  const page = await openPage(project, { as: ana, expectErrors: [/424|409/] });
  await rows(page).first().waitFor();
  control.revoke_token({ token: ana.token });
  await syncButton(page).click();
  await waitForText(page, ".outcome", /Calendly refuses the token/);
  assert.ok(await rows(page).count() > 0, "what was there stays");
  const { token } = control.create_token({ user: ana.host.uri });
  await page.getByRole("button", { name: "Connect again" }).click();
  const again = page.getByRole("button", { name: "Connect again…" });
  if (await again.count() > 0) await again.click();
  await page.getByRole("textbox", { name: "Token" }).fill(token);
  await page.getByRole("button", { name: "Connect with the token" }).click();
  await waitForText(page, ".outcome", /sync complete/);
  await waitForText(page, ".question", /As Calendly has it|As Calendly had it/);
});

browserTest(
  "functions that cannot be reached are told, and trying again helps",
  async ({ project }) => {
    const ana = await synced(project, 3);
    const page = await openPage(project, { as: ana, expectErrors: [/ERR_FAILED/] });
    await rows(page).first().waitFor();
    await page.route("**/functions/v1/**", (route) => route.abort());
    await syncButton(page).click();
    await waitForText(page, ".outcome", /cannot be reached/);
    await page.unroute("**/functions/v1/**");
    await page.getByRole("button", { name: "Try again" }).click();
    await waitForText(page, ".outcome", /Quick sync complete/);
  },
);

browserTest(
  "a request that is never answered does not keep the page from saying so",
  async ({ project }) => {
    const ana = await synced(project, 3);
    const page = await openPage(project, { as: ana });
    await waitForText(page, ".question", /As Calendly ha[sd] it/);
    await page.route("**/rest/v1/**", () => {});
    await page.clock.install();
    await page.evaluate(() => dispatchEvent(new Event("online")));
    await page.clock.runFor(31_000);
    await waitForText(
      page,
      ".notice",
      /The project does not answer: The project cannot be reached\. What/,
    );
    await waitForText(page, ".question", /Not known now/);
    await page.unroute("**/rest/v1/**");
    await page.evaluate(() => dispatchEvent(new Event("online")));
    await page.locator(".notice").waitFor({ state: "detached" });
  },
);

browserTest("a sync that runs already is shown with its progress", async ({ project }) => {
  const ana = await synced(project, 3);
  const page = await openPage(project, { as: ana, expectErrors: [/409/] });
  await rows(page).first().waitFor();
  // Somebody else's click, in the middle of its work.
  await project.stack.sql(
    `with begun as (
       select public.calendly_begin_sync(jsonb_build_object('user_id', $1::integer,
         'trigger', 'service')) as answer)
     select answer from begun`,
    [ana.id],
  );
  await syncButton(page).click();
  await waitForText(page, ".outcome", /Quick sync: Reading the list of events · 0 events/);
  const [{ id }] = await ana.runs();
  await project.stack.sql(
    `update public.calendly_sync_runs set requests = 7, progress = '{"phase": "fetch_invitees",
       "events": 120, "invitees_read": 30, "invitees_to_read": 90}' where id = $1`,
    [id],
  );
  await waitForText(page, ".outcome", /120 events · invitees of 30 of 90 events · 7 requests/);
  assert.equal(await page.getByRole("progressbar").getAttribute("value"), "30");
});

browserTest("an owner sees the team, by host", async ({ project }) => {
  const { control } = project.sandbox;
  const organization = control.create_organization({ name: "Team" });
  const owner = control.create_user({
    name: "Olga",
    email: "olga@example.com",
    organization: organization.uri,
    role: "owner",
  });
  const member = control.create_user({
    name: "Max",
    email: "max@example.com",
    organization: organization.uri,
  });
  for (const user of [owner.uri, member.uri]) {
    control.populate({ user, events: 6, variety: "plain", from: later(2), to: later(90) });
  }
  const { token } = control.create_token({ user: owner.uri });
  const olga = await project.person({ connected: false });
  const page = await openPage(project, { as: olga });
  await page.getByLabel(/My organization’s/).check();
  await page.getByLabel(/Everyone/).check();
  await page.getByRole("textbox", { name: "Token" }).fill(token);
  await page.getByRole("button", { name: "Connect with the token" }).click();
  const host = page.getByRole("combobox", { name: "Host", exact: true });
  await waitForText(page, ".outcome", /Full sync complete/);
  await host.waitFor();
  assert.deepEqual(await host.locator("option").allInnerTexts(), ["All hosts", "Max", "Olga"]);
  const total = async () =>
    (await page.locator(".meetings .tabs .count").allInnerTexts())
      .reduce((sum, count) => sum + Number(count), 0);
  await until(async () => await total() === 12);
  await host.selectOption("Max");
  await until(async () => await total() === 6);
  assert.match(page.url(), /host=\d+/);
});

browserTest(
  "a member sees that the organization's connection brings the meetings",
  async ({ project }) => {
    const { control } = project.sandbox;
    const organization = control.create_organization({ name: "Team" });
    const olga = await member(project, organization.uri, "olga", "owner");
    const max = await member(project, organization.uri, "max");
    control.populate({
      user: max.host.uri,
      events: 3,
      variety: "plain",
      from: later(2),
      to: later(90),
    });
    await olga.connect({ scope: "organization" });
    await until(async () => (await max.meetings().catch(() => [])).length === 3);
    const page = await openPage(project, { as: max });
    await rows(page).first().waitFor();
    await waitForText(page, ".question", /As Calendly had it/);
    await waitForText(page, ".outcome", /organization’s connection brings these meetings/);
    await syncButton(page).click();
    await waitForText(page, ".outcome", /Quick sync complete: 3 unchanged/);
  },
);

browserTest(
  "webhooks are switched off and on, and the connection is ended",
  async ({ project }) => {
    const ana = await synced(project, 3);
    const page = await openPage(project, { as: ana });
    const drawer = page.getByRole("dialog").first();
    await page.getByRole("button", { name: "Connection" }).click();
    await drawer.getByRole("button", { name: "Switch webhooks off" }).click();
    await drawer.getByRole("button", { name: "Switch webhooks on" }).waitFor();
    await until(async () => (await ana.connection()).webhooks.state === "none");
    await drawer.getByRole("button", { name: "Switch webhooks on" }).click();
    await drawer.getByRole("button", { name: "Switch webhooks off" }).waitFor();
    await page.getByRole("button", { name: "Disconnect…" }).click();
    await page.getByRole("button", { name: "Stay connected" }).click();
    assert.equal((await ana.connection()).state, "active");
    await page.getByRole("button", { name: "Disconnect…" }).click();
    await page.getByLabel(/Erase them/).check();
    await page.getByRole("button", { name: "Disconnect and erase" }).click();
    await page.getByRole("heading", { name: "Connect to Calendly" }).waitFor();
    assert.equal((await ana.connection()).state, "disconnected");
    assert.deepEqual(await ana.meetings(), []);
    await rows(page).first().waitFor({ state: "detached" });
  },
);

browserTest("the list is searched, and saved as CSV as it is shown", async ({ project }) => {
  const ana = await synced(project, 8);
  book(project, ana, "=cmd|' /C calc'!A0", 2);
  await until(async () => (await ana.meetings()).length === 9);
  const page = await openPage(project, { as: ana });
  await page.getByLabel("Search meetings").fill("CMD");
  await page.getByText("1 meeting", { exact: true }).waitFor();
  assert.match(page.url(), /search=CMD/);
  const saving = page.waitForEvent("download");
  await page.getByRole("button", { name: "CSV" }).click();
  const download = await saving;
  assert.equal(download.suggestedFilename(), "calendly-upcoming.csv");
  const csv = await Deno.readTextFile(await download.path());
  assert.equal(csv.split("\r\n").length, 3, "a header, one meeting, an end");
  assert.match(csv, /'=cmd\|/);
  await page.getByLabel("Search meetings").fill("nobody has this name");
  await page.getByText("Nothing matches “nobody has this name”").waitFor();
  await page.getByRole("button", { name: "Clear the search" }).click();
  await rows(page).first().waitFor();
});

browserTest("everything can be done by keyboard", async ({ project }) => {
  const ana = await synced(project, 6);
  const page = await openPage(project, { as: ana });
  await rows(page).first().waitFor();
  await page.keyboard.press("Tab");
  assert.equal(await focused(page), "Skip to the content");
  await page.keyboard.press("Enter");
  assert.equal(await page.evaluate(() => document.activeElement?.id), "main");
  await tabTo(page, /^Sync Calendly/);
  await page.keyboard.press("Enter");
  await waitForText(page, ".outcome", /Quick sync complete/);
  assert.match(await focused(page), /Sync Calendly/, "the focus stays on the button");
  await tabTo(page, /^Search/);
  await tabTo(page, /^(Mon|Tue|Wed|Thu|Fri|Sat|Sun)/);
  const row = await focused(page);
  await page.keyboard.press("Enter");
  await page.locator("dialog[open]").waitFor();
  assert.ok(await page.evaluate(() => document.activeElement!.closest("dialog") !== null));
  for (let press = 0; press < 12; press++) await page.keyboard.press("Tab");
  assert.ok(
    await page.evaluate(() =>
      document.activeElement === document.body || document.activeElement!.closest("dialog") !== null
    ),
    "the focus stays in the drawer",
  );
  await page.keyboard.press("Escape");
  await page.locator("dialog").waitFor({ state: "detached" });
  assert.equal(await focused(page), row, "the focus is back on the row");
});

/** The words of what has the focus. */
function focused(page: Page): Promise<string> {
  return page.evaluate(() => {
    const element = document.activeElement as HTMLElement;
    return (element.getAttribute("aria-label") ?? element.getAttribute("placeholder") ??
      element.innerText).trim();
  });
}

async function tabTo(page: Page, words: RegExp): Promise<void> {
  for (let press = 0; press < 40; press++) {
    await page.keyboard.press("Tab");
    if (words.test(await focused(page))) return;
  }
  throw new Error(`${words} is not reached by Tab`);
}

for (const theme of ["light", "dark"] as const) {
  browserTest(`nobody is kept out of any state, ${theme}`, async ({ project }) => {
    const ana = await synced(project, 12);
    const stranger = await openPage(project, { theme, expectErrors: [/400/] });
    await stranger.getByRole("heading", { name: "Sign in" }).waitFor();
    await assertAccessible(stranger);
    await stranger.getByLabel("E-mail").fill("x@example.com");
    await stranger.getByLabel("Password").fill("wrong");
    await stranger.getByRole("button", { name: "Sign in", exact: true }).click();
    await stranger.locator(".failure").waitFor();
    await assertAccessible(stranger);

    const unconnected = await openPage(project, {
      theme,
      as: await project.person({ connected: false }),
    });
    await unconnected.getByLabel(/My organization’s/).check();
    await assertAccessible(unconnected);

    const page = await openPage(project, { theme, as: ana, expectErrors: [/ERR_FAILED/] });
    await rows(page).first().waitFor();
    await assertAccessible(page);
    await page.getByRole("link", { name: /^Gone/ }).click();
    await page.getByText("Nothing is gone").waitFor();
    await assertAccessible(page);
    await page.getByRole("link", { name: /^Upcoming/ }).click();
    await rows(page).first().getByRole("link").click();
    await page.getByText("How it came here").waitFor();
    await page.getByText("Raw, as Calendly sent it").click();
    await assertAccessible(page);
    await page.keyboard.press("Escape");
    await page.getByRole("button", { name: "Connection" }).click();
    await assertAccessible(page);
    await page.getByRole("button", { name: "Disconnect…" }).click();
    await assertAccessible(page);
    await page.getByRole("button", { name: "Stay connected" }).click();
    await page.keyboard.press("Escape");
    await page.route("**/functions/v1/**", (route) => route.abort());
    await syncButton(page).click();
    await outcome(page).locator(".failure").waitFor();
    await assertAccessible(page);
    const phone = await openPage(project, { theme, as: ana, viewport: "phone" });
    await rows(phone).first().waitFor();
    await assertAccessible(phone);
    assert.ok(
      await phone.evaluate(() => document.documentElement.scrollWidth <= innerWidth),
      "nothing is wider than the phone",
    );
  });
}

browserTest("ten thousand meetings scroll as lightly as two hundred", async ({ project }) => {
  const [many, few] = [await synced(project, 1), await synced(project, 1)];
  for (const [{ id }, count] of [[many, 10_000], [few, 200]] as const) {
    await project.stack.sql(
      `insert into public.calendly_meetings (user_id, calendly_event_uri, name, status, start_time,
         end_time, raw, calendly_created_at, calendly_updated_at)
       select $1::integer, format('https://api.calendly.com/scheduled_events/%s-%s', $1::integer, n),
         'Meeting ' || n, 'active', t, t + interval '30 minutes', '{}', t0, t0
       from generate_series(1, $2::integer) n,
         lateral (select now() - interval '400 days' as t0) b,
         lateral (select now() - n * interval '1 hour' as t) s`,
      [id, count],
    );
  }
  const path = "#/meetings?tab=past";
  const large = await openPage(project, { as: many, path });
  const small = await openPage(project, { as: few, path });
  await rows(small).first().waitFor();
  await rows(large).first().waitFor();
  await scrollToEnd(small, /201 meetings|200 meetings/);
  await scrollToEnd(large, /10,00\d meetings/);
  // The work of the same scrolling, in turns; the least of each is the one that nothing disturbed.
  const work = { large: Infinity, small: Infinity };
  for (let turn = 0; turn < 3; turn++) {
    work.small = Math.min(work.small, await scrollingWork(small));
    work.large = Math.min(work.large, await scrollingWork(large));
  }
  assert.ok(await rows(large).count() < 60, "only the rows in view are in the document");
  assert.ok(work.large < 3 * work.small, JSON.stringify(work));
});

/** Scrolls until all pages are loaded. */
async function scrollToEnd(page: Page, words: RegExp): Promise<void> {
  const end = page.locator(".end");
  while (/so far/.test(await end.innerText())) {
    await page.evaluate(() => scrollTo(0, document.documentElement.scrollHeight));
    await page.waitForTimeout(50);
  }
  assert.match(await end.innerText(), words);
}

/** What the browser's main thread has done for fifty steps over the list, in seconds of its own. */
async function scrollingWork(page: Page): Promise<number> {
  await page.bringToFront();
  const devtools = await page.context().newCDPSession(page);
  await devtools.send("Performance.enable", { timeDomain: "threadTicks" });
  const spent = async () => {
    const { metrics } = await devtools.send("Performance.getMetrics");
    return metrics.find(({ name }) => name === "TaskDuration")!.value;
  };
  const before = await spent();
  await page.evaluate(async () => {
    for (let step = 0; step < 50; step++) {
      scrollTo(0, 1000 + step * 150);
      await new Promise((resolve) => requestAnimationFrame(resolve));
    }
  });
  const work = await spent() - before;
  await devtools.detach();
  return work;
}

/** What PostgREST answers to this page's person. */
function rest(page: Page, { stack }: Project, path: string) {
  return page.evaluate(async ({ url, key, path }) => {
    const kept = localStorage.getItem(`calendly-console.auth.${new URL(url).host}`);
    const { access_token } = JSON.parse(kept!);
    const response = await fetch(`${url}/rest/v1/${path}`, {
      headers: { apikey: key, authorization: `Bearer ${access_token}` },
    });
    return { status: response.status, body: await response.json() };
  }, { url: stack.url, key: stack.publishableKey, path });
}
