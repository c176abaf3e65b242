/** A hosted project, the Management API before it, and an app's folder that is linked to it, for one test. */
import assert from "node:assert/strict";
import { needing } from "../harness/requirements.ts";
import { AppFolder } from "./app_folder.ts";
import { HostedProject } from "./hosted_project.ts";
import { ManagementApi } from "./management_api.ts";

export interface DeployContext {
  project: HostedProject;
  api: ManagementApi;
  app: AppFolder;
  t: Deno.TestContext;
}

/** Registers a test. The folder has our files; `beforeInstall` sees it without them. */
export function deployTest(
  name: string,
  test: (context: DeployContext) => Promise<unknown>,
  { beforeInstall, long = false, ...options }: {
    ticking?: boolean;
    /** Only with REQUIRE_ALL=1. */
    long?: boolean;
    beforeInstall?: (context: DeployContext) => Promise<unknown>;
  } = {},
): void {
  Deno.test({
    ...needing(name, "realPostgres", "supabaseCli", ...long ? ["longRun" as const] : []),
    async fn(t) {
      await using project = await HostedProject.start(options);
      await using api = new ManagementApi(project);
      await using app = await AppFolder.make(project.ref);
      app.url = project.url;
      await beforeInstall?.({ project, api, app, t });
      await install(app, api);
      await test({ project, api, app, t });
    },
  });
}

/** Puts our files into the folder. */
export async function install(app: AppFolder, api: ManagementApi): Promise<void> {
  const { code, stderr } = await app.run(api.environment, "install", "--yes");
  assert.equal(code, 0, stderr);
}

/** Deploys, as far as the tests that are about something else need it. */
export async function deploy(app: AppFolder, api: ManagementApi): Promise<void> {
  const args = ["deploy", "--yes", "--wait=0"];
  const { code, stdout, stderr } = await app.run(api.environment, ...args);
  assert.equal(code, 0, stdout + stderr);
}

/** Runs a command in a process that is killed, with the Supabase CLI, at a request to Supabase. */
export async function killAt(
  { api, app }: DeployContext,
  args: string[],
  isIt: (request: { method: string; path: string; body: unknown }) => boolean,
  when: "before" | "after",
): Promise<void> {
  const process = app.start(api.environment, ...args);
  let isKilled = false;
  api.onRequest = (request, at) => {
    if (isKilled || at !== when || !isIt(request)) return;
    isKilled = true;
    Deno.kill(-process.pid, "SIGKILL"); // The group: the Supabase CLI, too.
    if (when === "before") return "dropped";
  };
  const { stdout, stderr } = await process.output();
  api.onRequest = () => {};
  const decoder = new TextDecoder();
  assert.ok(isKilled, decoder.decode(stdout) + decoder.decode(stderr));
}
