/**
 * `deno task screenshots`: photographs the console's main states against a local stack of its own, light and
 * dark, for the README: docs/images/*.png. Needs Chromium.
 */
import { type Browser, chromium, type Page } from "playwright-core";
import { startStack } from "../../local/stack.ts";
import { answerHelp } from "../../local/usage.ts";
import type { Sandbox } from "../../sandbox/mod.ts";
import { CHROMIUM } from "../harness/requirements.ts";

answerHelp(`Usage: npx -y deno@2.9.6 task screenshots

Photographs the console's main states on a local project of its own, light and dark, and writes
docs/images. Needs Chromium.`);

const IMAGES = new URL("../../docs/images/", import.meta.url);
const SIZE = { width: 1280, height: 800 };

interface Shot {
  /** Without theme and extension. */
  name: string;
  path: string;
  viewport?: { width: number; height: number };
  /** Brings the page into its state. */
  prepare?: (page: Page) => Promise<unknown>;
}

let stack: Awaited<ReturnType<typeof demoStack>>;
let browser: Browser;

async function main(): Promise<void> {
  stack = await demoStack();
  browser = await chromium.launch({ executablePath: CHROMIUM, args: ["--disable-quic"] });
  await Deno.mkdir(IMAGES, { recursive: true });
  try {
    for (const theme of ["light", "dark"] as const) {
      for (const shot of shots(theme)) await photograph(shot, theme);
    }
  } finally {
    await browser.close();
    await stack.stop();
  }
}

/** A stack whose demo account is synced, with webhooks. */
async function demoStack() {
  const stack = await startStack({
    ephemeral: true,
    realtime: true,
    sandboxOptions: { events: 250 },
  });
  const request = (path: string, body: unknown = { user_id: 1 }) =>
    fetch(`${stack.url}/functions/v1/${path}`, {
      method: "POST",
      headers: { apikey: stack.secretKey, "content-type": "application/json" },
      body: JSON.stringify(body),
    });
  const { control } = stack.sandbox!;
  bookDemo(control, INVITEES.slice(0, 4), 0);
  const [demo] = await stack.sql<{ id: string }>("select id from auth.users limit 1");
  await request("calendly-connect", {
    token: stack.sandbox!.demo.token,
    auth_user_id: demo.id,
    sync: false,
  });
  await request("calendly-connect/webhooks");
  await request("calendly-sync");
  // These come by webhook.
  bookDemo(control, INVITEES.slice(4), 4);
  control.cancel({ event: control.book({ start_time: at(9, 9) }).event.uri });
  return stack;
}

/** What is booked for the next days: the name of the event type, its minutes and its kind of location. */
const EVENT_TYPES = [
  ["Intro call", 30, "google_conference"],
  ["Product demo", 45, "zoom"],
  ["Office visit", 60, "physical"],
  ["Support call", 15, "outbound_call"],
] as const;

const INVITEES = [
  ["Grace Hopper", "grace@example.com", "America/New_York"],
  ["Alan Turing", "alan@example.com", "Europe/London"],
  ["Katherine Johnson", "katherine@example.com", "America/Los_Angeles"],
  ["José Núñez", "jose@example.com", "Europe/Madrid"],
  ["Hedy Lamarr", "hedy@example.com", "Europe/Vienna"],
  ["王小明", "xiaoming@example.com", "Asia/Shanghai"],
  ["Margaret Hamilton", "margaret@example.com", "America/Chicago"],
] as const;

const ANSWERS = [{
  question: "What would you like to talk about?",
  answer: "Whether a machine can keep two calendars in step.",
  position: 0,
}];

/** At an hour of a day from tomorrow on. */
function at(day: number, hour: number): string {
  return new Date((Math.ceil(Date.now() / 86400e3) + day) * 86400e3 + hour * 3600e3).toISOString();
}

/** Books with these people, who are the `from`th and following. */
function bookDemo(
  control: Sandbox["control"],
  people: readonly (typeof INVITEES)[number][],
  from: number,
): void {
  const types = EVENT_TYPES.map(([name, duration, kind]) =>
    control.create_event_type({ name, duration, locations: [kind] }).uri
  );
  people.forEach(([name, email, timezone], index) => {
    const n = from + index;
    const { invitee } = control.book({
      event_type: types[n % types.length],
      start_time: at(Math.floor(n / 2), n % 2 === 0 ? 9 : 15),
      invitee: { name, email, timezone, questions_and_answers: n === 1 ? ANSWERS : [] },
    });
    // The second is moved to the afternoon.
    if (n === 1) control.reschedule({ invitee: invitee!.uri, start_time: at(0, 16) });
  });
}

function shots(theme: "light" | "dark"): Shot[] {
  return [
    {
      name: "my-meetings",
      path: "#/meetings",
      prepare: async (page) => {
        await page.getByText("live", { exact: true }).waitFor();
        stack.sandbox!.control.book({
          start_time: at(0, theme === "light" ? 12 : 13),
          invitee: {
            name: "Ada Lovelace",
            email: "ada@example.com",
            timezone: "America/New_York",
          },
        });
        await page.locator(".arrived").waitFor();
        await page.getByRole("button", { name: "Close message" }).click();
      },
    },
    {
      name: "meeting",
      path: "#/meetings",
      prepare: async (page) => {
        await page.locator(".marks").filter({ hasText: "Moved here" }).first().waitFor();
        await page.locator("[role=row]").filter({ hasText: "Moved here" }).first()
          .getByRole("link").click();
        await page.getByText("How it came here").waitFor();
      },
    },
    { name: "phone", path: "#/meetings", viewport: { width: 390, height: 844 } },
    { name: "operations", path: "#/operations" },
    { name: "runs", path: "#/operations/runs" },
    { name: "deliveries", path: "#/operations/deliveries" },
  ];
}

async function photograph(
  { name, path, viewport = SIZE, prepare }: Shot,
  theme: "light" | "dark",
): Promise<void> {
  const context = await browser.newContext({
    colorScheme: theme,
    viewport,
    deviceScaleFactor: 1,
    locale: "en-GB",
    timezoneId: "Europe/Berlin",
    reducedMotion: "reduce",
  });
  const page = await context.newPage();
  await page.goto(stack.consoleLink());
  await page.goto(`${stack.url}/#/meetings`);
  await page.getByRole("button", { name: "Use the demo account" }).click();
  await page.locator(".table-body [role=row]").first().waitFor();
  await page.goto(`${stack.url}/${path}`);
  await page.waitForLoadState("networkidle");
  await prepare?.(page);
  await page.mouse.move(0, 0);
  await page.screenshot({ path: new URL(`${name}-${theme}.png`, IMAGES).pathname });
  console.log(`docs/images/${name}-${theme}.png`);
  await context.close();
}

await main();
