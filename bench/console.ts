/**
 * The console's page in a Chromium that has never seen it: what is transferred, how soon the meetings are
 * there, how much moves while it loads, and how long it keeps the browser busy. A phone is slower by four.
 */
import type { Browser, CDPSession, Page } from "playwright-core";
import { readPage } from "../local/console.ts";
import { launchChromium, newContext, type VIEWPORTS } from "../tests/browser/chromium.ts";
import { Grid } from "./harness/measure.ts";
import { type Person, Project } from "./harness/project.ts";
import { type Benchmark, tableOf } from "./harness/result.ts";

/** Chromium's factor for a phone of the middle class, as Lighthouse has it. */
const PHONE_SLOWDOWN = 4;

interface Visit {
  what: string;
  person: Person;
  viewport: keyof typeof VIEWPORTS;
  operations?: boolean;
  path: string;
  /** Stands in the page once it shows what one came for. */
  content: string;
}

export const console: Benchmark = {
  name: "console",
  about: "First visits of the console's page, with an empty cache",
  async run({ small, rounds }) {
    const [few, many] = small ? [20, 200] : [250, 10_000];
    await readPage();
    await using project = await Project.start({ calendly: 0, database: 0 });
    const people = [await project.person(few, null), await project.person(many, null)];
    for (const person of people) {
      while ((await project.sync(person)).status === "paused");
    }
    const grid = new Grid();
    const browser = await launchChromium();
    try {
      for (let round = 0; round <= rounds; round++) {
        for (const visit of visitsOf(people, [few, many])) {
          // The first round is for what the project does for the first time.
          await measure(browser, project, visit, round === 0 ? new Grid() : grid);
        }
      }
      return { sizes: { Chromium: browser.version() }, tables: [tableOf("", grid)] };
    } finally {
      await browser.close();
    }
  },
};

function visitsOf(people: Person[], counts: number[]): Visit[] {
  const meetings = people.flatMap((person, n) =>
    (["desktop", "phone"] as const).map((viewport) => ({
      what: `${counts[n].toLocaleString("en")} meetings, ${viewport}`,
      person,
      viewport,
      path: "#/meetings",
      content: ".table-body [role=row]",
    }))
  );
  return [...meetings, {
    what: "operations, desktop",
    person: people[0],
    viewport: "desktop",
    operations: true,
    path: "#/operations",
    content: ".ops-headline",
  }];
}

async function measure(browser: Browser, project: Project, visit: Visit, grid: Grid) {
  const { stack } = project;
  const { person, viewport, operations, path, content } = visit;
  const context = await newContext(browser, stack, { as: person.account, viewport });
  try {
    if (operations) {
      const opening = await context.request.get(stack.consoleLink(), { maxRedirects: 0 });
      await opening.dispose();
    }
    const page = await context.newPage();
    const session = await context.newCDPSession(page);
    const transferred = await watchNetwork(session);
    if (viewport === "phone") {
      await session.send("Emulation.setCPUThrottlingRate", { rate: PHONE_SLOWDOWN });
    }
    await page.addInitScript(observe, content);
    await page.goto(`${stack.url}/${path}`);
    await page.waitForFunction(() => (globalThis as unknown as Observed).observed.content !== null);
    await page.waitForLoadState("networkidle");
    grid.add(visit.what, { ...await read(page), ...transferred() });
  } finally {
    await context.close();
  }
}

/** What the page's observers have seen. Times are in milliseconds since the navigation began. */
interface Observed {
  observed: { content: number | null; shift: number; blocked: number };
}

/** Runs in the page, before its own scripts. */
function observe(content: string): void {
  const observed: Observed["observed"] = { content: null, shift: 0, blocked: 0 };
  Object.assign(globalThis, { observed });
  const looking = new MutationObserver(() => {
    if (!document.querySelector(content)) return;
    looking.disconnect();
    requestAnimationFrame(() => observed.content = performance.now());
  });
  looking.observe(document, { childList: true, subtree: true, attributes: true });
  const on = (type: string, take: (entry: PerformanceEntry & { value: number }) => void) =>
    new PerformanceObserver((list) =>
      list.getEntries().forEach((entry) => take(entry as PerformanceEntry & { value: number }))
    ).observe({ type, buffered: true });
  on("layout-shift", ({ value }) => observed.shift += value);
  on("longtask", ({ duration }) => observed.blocked += duration - 50);
}

async function read(page: Page): Promise<Record<string, number>> {
  return await page.evaluate(() => {
    const { content, shift, blocked } = (globalThis as unknown as Observed).observed;
    const [paint] = performance.getEntriesByName("first-contentful-paint");
    return {
      "ms to the first paint": paint.startTime,
      "ms to the content": content!,
      "layout shift": shift,
      "ms of long tasks above 50": blocked,
    };
  });
}

/** Counts bytes as they come over the wire. */
async function watchNetwork(session: CDPSession): Promise<() => Record<string, number>> {
  const sizes = new Map<string, number>();
  let requests = 0;
  const isData = new Set<string>();
  session.on("Network.responseReceived", ({ requestId, type }) => {
    if (type === "Fetch" || type === "XHR") isData.add(requestId);
  });
  session.on("Network.requestWillBeSent", () => void requests++);
  session.on(
    "Network.loadingFinished",
    ({ requestId, encodedDataLength }) => void sizes.set(requestId, encodedDataLength),
  );
  await session.send("Network.enable");
  const sum = (data: boolean) =>
    [...sizes].reduce((total, [id, size]) => total + (isData.has(id) === data ? size : 0), 0);
  return () => ({ requests, "kB of the page": sum(false) / 1000, "kB of data": sum(true) / 1000 });
}
