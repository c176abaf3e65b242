/**
 * What the browser's tests share: a Chromium for each test file, a local stack for each test, and pages of
 * its console, of somebody who is signed in, of an operator, or of a stranger.
 *
 *     browserTest("a booking appears", async ({ project }) => {
 *       const ana = await project.person({ events: 3 });
 *       const page = await openPage(project, { as: ana, theme: "dark", viewport: "phone" });
 *       await page.getByRole("button", { name: "Sync Calendly" }).click();
 *       await assertAccessible(page);
 *     });
 *
 * A test fails if a page logs an error, breaks its content security policy, or asks for anything beyond this
 * machine. Its clocks run with real time, in Calendly and in Postgres, as those of `deno task start` do.
 */
import axe from "axe-core";
import type { Browser, BrowserContext, Locator, Page } from "playwright-core";
import { readPage } from "../../local/console.ts";
import { type Person, Project } from "../functions/support.ts";
import { Cluster } from "../harness/cluster.ts";
import { needing } from "../harness/requirements.ts";
import { type StackTestOptions } from "../harness/stack.ts";
import { type ContextOptions, launchChromium, newContext } from "./chromium.ts";

export { REBOUND, VIEWPORTS } from "./chromium.ts";
export type { Page } from "playwright-core";

export interface PageOptions extends Omit<ContextOptions, "as"> {
  /** Who is signed in when the page opens: nobody unless told otherwise. */
  as?: Person | "demo";
  /** Comes by a link for operations. */
  operations?: boolean;
  /** What follows the address, such as `#/operations/runs`. */
  path?: string;
  /** Another page than the console's. */
  address?: string;
  /** Errors in the page's log that this test brings about. */
  expectErrors?: RegExp[];
}

export interface BrowserTestOptions extends Omit<StackTestOptions, "on" | "long"> {
  /** A Postgres server of the project's own, which the test may stop. */
  ownServer?: boolean;
  /** What the test needs beside Chromium. */
  needs?: Parameters<typeof needing>[1][];
  /** Only with REQUIRE_ALL=1. */
  long?: boolean;
}

/** What is open in the present test. */
const open: { context: BrowserContext; page: Page; problems: string[] }[] = [];
let browser: Promise<Browser> | undefined;

/** Registers a test with a project of its own, on the embedded Postgres unless it has a server of its own. */
export function browserTest(
  name: string,
  test: (
    context: { project: Project; server: Cluster; t: Deno.TestContext },
  ) => Promise<unknown>,
  { long = false, ownServer = false, needs = [], ...options }: BrowserTestOptions = {},
): void {
  Deno.test({
    ...needing(
      name,
      "chromium",
      ...needs,
      ...ownServer ? ["postgresServer" as const] : [],
      ...long ? ["longRun" as const] : [],
    ),
    async fn(t) {
      await using server = ownServer ? await Cluster.start() : undefined;
      await using project = await Project.start("embedded", {
        clock: "real",
        realtime: true,
        databaseUrl: server?.url,
        ...options,
      });
      try {
        await test({ project, server: server!, t });
        assertNoProblems();
      } catch (error) {
        await photograph(name);
        throw error;
      } finally {
        await Promise.all(open.splice(0).map(({ context }) => context.close()));
      }
    },
  });
}

/** Fails if a page of this test has logged an error since the last time, or asked for what it must not. */
export function assertNoProblems(): void {
  const problems = open.flatMap(({ problems }) => problems.splice(0));
  if (problems.length > 0) throw new Error(`In the browser:\n${problems.join("\n")}`);
}

/** Opens the console in a browser of its own, with its own cookies and storage. */
export async function openPage(project: Project, options: PageOptions = {}): Promise<Page> {
  const { as, operations = false, path = "" } = options;
  const { stack } = project;
  const url = options.address ?? stack.url;
  await readPage(); // Or the page's own patience would have to last for its making.
  const context = await newContext(await (browser ??= launchChromium()), stack, {
    ...options,
    as: typeof as === "object" ? { ...as.account, email: as.host.email } : as,
  });
  const page = await context.newPage();
  const problems = watch(page, options.expectErrors ?? []);
  open.push({ context, page, problems });
  if (operations) await page.goto(stack.consoleLink());
  if (!operations || path) await page.goto(`${url}/${path}`);
  await page.waitForSelector("#app > *");
  return page;
}

/** Presses `opener`, and tells whether the focus is inside `selector` when that appears, before it is painted. */
export function takesFocus(opener: Locator, selector: string): Promise<boolean> {
  return opener.evaluate((element, selector) =>
    new Promise<boolean>((resolve) => {
      new MutationObserver((_, observer) => {
        const opened = document.querySelector(selector);
        if (!opened) return;
        observer.disconnect();
        resolve(opened.contains(document.activeElement));
      }).observe(document, { subtree: true, childList: true });
      (element as HTMLElement).focus();
      (element as HTMLElement).click();
    }), selector);
}

/** Fails with what axe finds: WCAG 2.2 A and AA, and its best practices. */
export async function assertAccessible(page: Page): Promise<void> {
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate(() =>
    (globalThis as unknown as { axe: typeof axe }).axe.run(document, {
      resultTypes: ["violations"],
    })
  );
  if (violations.length === 0) return;
  const found = violations.flatMap(({ id, help, nodes }) => [
    `${id}: ${help}`,
    ...nodes.map(({ target, failureSummary = "" }) =>
      `  ${target.join(" ")}\n    ${failureSummary.replaceAll("\n", "\n    ")}`
    ),
  ]);
  throw new Error(`axe finds in ${page.url()}:\n${found.join("\n")}`);
}

Deno.test.afterAll(async () => await (await browser)?.close());

/** What the page must not do, as it happens. */
function watch(page: Page, expected: RegExp[]): string[] {
  const problems: string[] = [];
  const report = (problem: string) => {
    if (!expected.some((pattern) => pattern.test(problem))) problems.push(problem);
  };
  // A broken content security policy is an error in the log, too.
  page.on("console", (message) => {
    if (message.type() !== "error") return;
    const { url } = message.location();
    report(`error: ${message.text()}${url ? ` (${url})` : ""}`);
  });
  page.on("pageerror", (error) => report(`thrown: ${error.stack ?? error}`));
  page.on("request", (request) => {
    if (isOutside(request.url())) problems.push(`asked outside: ${request.url()}`);
  });
  page.on("websocket", (socket) => {
    if (isOutside(socket.url())) problems.push(`connected outside: ${socket.url()}`);
  });
  return problems;
}

function isOutside(address: string): boolean {
  const { protocol, hostname } = new URL(address);
  return !["data:", "blob:"].includes(protocol) && !["127.0.0.1", "localhost"].includes(hostname);
}

/** Keeps what a failed test's pages showed. */
async function photograph(name: string): Promise<void> {
  const folder = new URL("../../.local/browser/", import.meta.url);
  await Deno.mkdir(folder, { recursive: true });
  for (const [n, { page }] of open.entries()) {
    const file = `${name.replaceAll(/\W+/g, "-")}-${n + 1}.png`;
    const bytes = await page.screenshot({ fullPage: true }).catch(() => undefined);
    if (!bytes) continue;
    await Deno.writeFile(new URL(file, folder), bytes);
    console.log(`The page is shown in .local/browser/${file}`);
  }
}
