/** The sandbox as a program of its own, on Deno and on Node, as docs/sandbox.md shows: the same commands and file. */
import assert from "node:assert/strict";
import { DEMO_TOKEN, type SavedState } from "../../sandbox/mod.ts";
import { verbHelp } from "../../sandbox/verb_help.ts";
import { type Verb, VERBS } from "../../sandbox/verbs.ts";
import { needing } from "../harness/requirements.ts";

const PROGRAM = new URL("../../sandbox/bin.ts", import.meta.url).href;
const PROJECT = new URL("../../", import.meta.url);

/** A command line that starts the program. */
type Program = string[];

/** Starts the sandbox, lets `use` have its address, and stops it as Ctrl-C does. */
async function whileServing(
  [command, ...start]: Program,
  options: string[],
  use: (url: string) => Promise<void>,
): Promise<void> {
  const process = new Deno.Command(command, {
    args: [...start, "--port", "0", ...options],
    env: { NO_COLOR: "1" },
    stdout: "piped",
  }).spawn();
  const reader = process.stdout.pipeThrough(new TextDecoderStream()).getReader();
  try {
    let printed = "";
    while (!printed.includes("Ctrl-C")) {
      const { value, done } = await reader.read();
      assert.ok(!done, printed);
      printed += value;
    }
    await use(/http:\/\/127\.0\.0\.1:\d+/.exec(printed)![0]);
  } finally {
    process.kill("SIGINT");
    await reader.cancel();
    assert.equal((await process.status).code, 0);
  }
}

async function asked(url: string, body?: unknown) {
  const response = await fetch(url, {
    method: body === undefined ? "GET" : "POST",
    headers: { authorization: `Bearer ${DEMO_TOKEN}` },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  assert.ok(response.ok, `${url}: ${response.status}`);
  return await response.json();
}

/** Books, lists, receives a webhook; stops, and goes on from the file. */
async function mainJob(program: Program, folder: string): Promise<void> {
  const file = `${folder}/state.json`;
  const bodies: string[] = [];
  const receiver = Deno.serve(
    { port: 0, hostname: "127.0.0.1", onListen() {} },
    async (request) => {
      bodies.push(await request.text());
      return new Response();
    },
  );
  try {
    await whileServing(program, ["--events", "3", "--state", file], async (url) => {
      const { resource: me } = await asked(`${url}/users/me`);
      await asked(`${url}/webhook_subscriptions`, {
        url: `http://127.0.0.1:${receiver.addr.port}/`,
        events: ["invitee.created"],
        organization: me.current_organization,
        scope: "organization",
      });
      const { invitee } = await asked(`${url}/_sandbox/book`, { invitee: { name: "Zoë 🎉" } });
      const found = [];
      let page = `${url}/scheduled_events?user=${me.uri}&count=1`;
      while (page) {
        assert.ok(page.startsWith(`${url}/`), page);
        const { collection, pagination } = await asked(page);
        found.push(...collection);
        page = pagination.next_page;
      }
      assert.equal(found.length, 4);
      while (bodies.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
      const { event, payload } = JSON.parse(bodies[0]);
      assert.deepEqual([event, payload.uri, payload.name], [
        "invitee.created",
        invitee.uri,
        "Zoë 🎉",
      ]);
    });
    const saved: SavedState = JSON.parse(await Deno.readTextFile(file));
    assert.equal(saved.world.events.length, 4);

    await whileServing(program, ["--state", file], async (url) => {
      assert.equal((await asked(`${url}/_sandbox/state`)).scheduled_events.length, 4);
      const deliveries = await asked(`${url}/_sandbox/deliveries`);
      assert.deepEqual(deliveries.map(({ state }: { state: string }) => state), ["delivered"]);
      await asked(`${url}/_sandbox/book`, {});
      while (bodies.length === 1) await new Promise((resolve) => setTimeout(resolve, 5));
    });
    assert.equal(JSON.parse(await Deno.readTextFile(file)).world.events.length, 5);
  } finally {
    await receiver.shutdown();
  }
}

async function inFolder(use: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await use(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const ON_DENO: Program = [Deno.execPath(), "run", "-A", PROGRAM];

Deno.test("on Deno it serves, delivers, and goes on from its file", async () => {
  await inFolder((folder) => mainJob(ON_DENO, folder));
});

Deno.test({
  ...needing("on Node it serves, delivers, and goes on from its file", "node"),
  fn: async () =>
    await inFolder(async (folder) => {
      const bundle = `${folder}/sandbox.mjs`;
      const { success, stderr } = await new Deno.Command(Deno.execPath(), {
        args: ["bundle", "--quiet", "--platform", "deno", "--output", bundle, PROGRAM],
        cwd: PROJECT,
      }).output();
      assert.ok(success, new TextDecoder().decode(stderr));
      await mainJob(["node", bundle], folder);
    }),
});

Deno.test("a sandbox that is killed goes on from its latest change", async () => {
  await inFolder(async (folder) => {
    const file = `${folder}/state.json`;
    const [command, ...start] = ON_DENO;
    const process = new Deno.Command(command, {
      args: [...start, "--port", "0", "--events", "3", "--state", file],
      stdout: "piped",
    }).spawn();
    const { value } = await process.stdout.pipeThrough(new TextDecoderStream()).getReader().read();
    const { event } = await asked(
      `${/http:\/\/127\.0\.0\.1:\d+/.exec(value!)![0]}/_sandbox/book`,
      {},
    );
    const isKept = async () => (await Deno.readTextFile(file)).includes(event.uri);
    while (!await isKept()) await new Promise((resolve) => setTimeout(resolve, 10));
    process.kill("SIGKILL");
    await process.status;
    await whileServing(ON_DENO, ["--state", file], async (url) => {
      assert.equal((await asked(`${url}/_sandbox/state`)).scheduled_events.length, 4);
    });
  });
});

Deno.test("the help of each verb lists its arguments and what they take", () => {
  for (const verb of Object.keys(VERBS) as Verb[]) {
    const help = verbHelp(verb);
    assert.match(help, /^Usage: npx -y deno@\S+ task sandbox [a-z-]+/);
    for (const field of Object.keys(VERBS[verb].shape)) {
      assert.match(help, new RegExp(`^  --${field.replaceAll("_", "-")} \\S+`, "m"), verb);
    }
    assert.deepEqual(help.split("\n").filter((line) => line.length > 100), []);
  }
  assert.match(verbHelp("set_rate_limit"), /--limit <number>\|null +null: none/);
  assert.match(verbHelp("cancel"), /--by host\|invitee/);
});

Deno.test("a wrong command names the help that lists the right ones", async () => {
  const refused = async (...args: string[]) => {
    const [command, ...start] = ON_DENO;
    const { code, stderr } = await new Deno.Command(command, { args: [...start, ...args] })
      .output();
    assert.equal(code, 1);
    return new TextDecoder().decode(stderr).trim();
  };
  assert.equal(
    await refused("set-rate-limit", "--limits", "5"),
    "Unknown option '--limits'. npx -y deno@2.9.6 task sandbox set-rate-limit --help lists the options.",
  );
  assert.match(await refused("hop"), /no verb hop\. npx \S+ \S+ task sandbox --help/);
  assert.match(
    await refused("book", "--url", "http://127.0.0.1:9"),
    /No sandbox answers at http:\S+ npx -y deno@2\.9\.6 task start starts/,
  );
});

Deno.test("a file or port that cannot be used is told, and nothing is written", async () => {
  await inFolder(async (folder) => {
    const file = `${folder}/state.json`;
    const refused = async (...args: string[]) => {
      const { code, stderr } = await new Deno.Command(Deno.execPath(), {
        args: ["run", "-A", PROGRAM, "--port", "0", ...args],
        env: { NO_COLOR: "1" },
      }).output();
      assert.equal(code, 1);
      return new TextDecoder().decode(stderr);
    };
    assert.match(await refused("--state", `${folder}/none/state.json`), /cannot be written/);
    await Deno.writeTextFile(file, "{");
    assert.match(await refused("--state", file), /cannot be read as the state of a sandbox/);
    await Deno.writeTextFile(file, "{}");
    assert.match(await refused("--state", file), /This is no state of a sandbox/);
    assert.match(await refused("--state", file, "--seed", "2"), /are for a new sandbox/);
    assert.equal(await Deno.readTextFile(file), "{}");
    assert.match(await refused("--public-url", "nowhere"), /publicUrl cannot be nowhere/);
    using taken = Deno.listen({ port: 0, hostname: "127.0.0.1" });
    assert.match(await refused("--port", String(taken.addr.port)), /Port \d+ is taken/);
  });
});
