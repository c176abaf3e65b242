/**
 * Opens an address in the browser of whoever sits at this machine. Other users of the machine can read what a
 * program is started with, and the address has a secret: the browser gets a file that only this user can read,
 * and goes on from there.
 */
import { spawn } from "node:child_process";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { pause } from "./interrupt.ts";
import { withPrivateFile } from "./private_file.ts";

type Env = Record<string, string | undefined>;

/** In milliseconds: how long a browser may take until it has read the file. */
const READ_WITHIN = 10_000;

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

/**
 * Waits until the browser has had the time to read the file, not until it ends; `signal` ends the wait. Where
 * none can be opened, nothing happens.
 */
export async function openBrowser(
  url: string,
  env: Env,
  signal: AbortSignal,
  readWithin: number = READ_WITHIN,
): Promise<void> {
  if (!browserCommand(url, env)) return;
  await withPrivateFile(pageTo(url), async (file) => {
    const child = spawn(...browserCommand(pathToFileURL(file).href, env)!, {
      detached: true,
      stdio: "ignore",
    });
    const hasStarted = await new Promise<boolean>((resolve) => {
      child.on("error", () => resolve(false)); // There is no such program.
      child.on("spawn", () => resolve(true));
    });
    if (!hasStarted) return;
    child.unref();
    await pause(readWithin, signal);
  }, { name: "open.html", endProcess: false }).catch(() => {}); // No file can be written.
}

/** A page that leads on at once. */
function pageTo(url: string): string {
  const escaped = url.replace(/[&<>"]/g, (sign) => `&#${sign.charCodeAt(0)};`);
  return `<!doctype html>
<meta charset="utf-8">
<meta name="referrer" content="no-referrer">
<meta http-equiv="refresh" content="0; url=${escaped}">
<title>Calendly Sync</title>
<a href="${escaped}">Open operations</a>
`;
}
