/** Opens an address in the browser of whoever sits at this machine. */
import process from "node:process";
import { x } from "tinyexec";

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

/** False where no browser could be opened. */
export async function openBrowser(url: string, env: Env): Promise<boolean> {
  const command = browserCommand(url, env);
  if (!command) return false;
  try {
    return (await x(...command)).exitCode === 0;
  } catch {
    return false; // There is no such program.
  }
}
