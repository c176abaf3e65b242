/** Opens an address in the browser of whoever sits at this machine. */
import { spawn } from "node:child_process";
import process from "node:process";

type Env = Record<string, string | undefined>;

/** The platform's command; undefined: there is no browser to be seen from here. */
export function browserCommand(
  url: string,
  env: Env,
  platform: string = process.platform,
): [command: string, args: string[]] | undefined {
  if (env.SSH_CONNECTION || env.CI) return undefined;
  if (platform === "darwin") return ["open", [url]];
  if (platform === "win32") return ["rundll32", ["url.dll,FileProtocolHandler", url]];
  if (!env.DISPLAY && !env.WAYLAND_DISPLAY) return undefined;
  return ["xdg-open", [url]];
}

/** Does not wait for the browser, which may run for long. Where none can be opened, nothing happens. */
export function openBrowser(url: string, env: Env): void {
  const command = browserCommand(url, env);
  if (!command) return;
  const child = spawn(...command, { detached: true, stdio: "ignore" });
  child.on("error", () => {}); // There is no such program.
  child.on("spawn", () => child.unref());
}
