/** That a test in the browser fails when its page does what it must not, and opens it as it was asked to. */
import assert from "node:assert/strict";
import { until } from "../functions/support.ts";
import {
  assertAccessible,
  assertNoProblems,
  browserTest,
  openPage,
  type Page,
  VIEWPORTS,
} from "./support.ts";

browserTest("what a page must not do fails a test", async ({ project }) => {
  const page = await openPage(project, { expectErrors: [/expected/] });
  assertNoProblems();
  const forbidden: [RegExp, (page: Page) => Promise<unknown>][] = [
    [/error: broken/, (page) => page.evaluate(() => console.error("broken"))],
    [/thrown: .*too late/, (page) =>
      page.evaluate(() =>
        void setTimeout(() => {
          throw new Error("too late");
        }, 0)
      )],
    [/error: .*style-src/, (page) =>
      page.evaluate(() => {
        const style = document.createElement("style");
        style.textContent = "body { color: red }";
        document.head.append(style);
      })],
    [
      /error: .*example\.com.*connect-src/,
      (page) => page.evaluate(() => fetch("https://example.com/").catch(() => {})),
    ],
    [/404/, (page) => page.evaluate(() => fetch("/nothing").then(() => {}))],
  ];
  for (const [problem, act] of forbidden) {
    await act(page);
    await untilProblem(problem);
  }
  await page.evaluate(() => console.error("as expected"));
  await page.evaluate(() => console.error("the next one"));
  assert.doesNotMatch(await untilProblem(/the next one/), /as expected/);

  await page.goto(`${project.stack.url}/icon.svg`);
  await page.goto("http://outside.test/").catch(() => {});
  await untilProblem(/asked outside: http:\/\/outside\.test/);
  await page.context().close();
  takeProblems();
});

/** Waits for a problem: what a page logs comes by itself. Returns all that there have been meanwhile. */
async function untilProblem(pattern: RegExp): Promise<string> {
  let messages = "";
  await until(() => {
    messages += takeProblems();
    return pattern.test(messages);
  });
  return messages;
}

function takeProblems(): string {
  try {
    assertNoProblems();
    return "";
  } catch (error) {
    return (error as Error).message;
  }
}

browserTest("axe's findings fail a test", async ({ project }) => {
  const page = await openPage(project);
  await page.setContent(
    `<html lang="en"><title>t</title><main><h1>h</h1><img src="/icon.svg"></main>`,
  );
  await assert.rejects(assertAccessible(page), /image-alt: [^]*img/);
});

browserTest(
  "a page opens in the theme and size, and as the person that were asked for",
  async ({ project }) => {
    const ana = await project.person({ events: 1 });
    await ana.sync();
    const page = await openPage(project, { as: ana, theme: "dark", viewport: "phone" });
    assert.deepEqual(page.viewportSize(), VIEWPORTS.phone);
    assert.ok(await page.evaluate(() => matchMedia("(prefers-color-scheme: dark)").matches));
    const stored = await page.evaluate(() => JSON.stringify({ ...localStorage }));
    assert.ok(stored.includes(ana.host.email));
    const demo = await openPage(project, { as: "demo" });
    assert.ok(
      (await demo.evaluate(() => JSON.stringify({ ...localStorage }))).includes("demo@example.com"),
    );
  },
);
