/**
 * `deno task reencrypt`: finishes a rotation of CALENDLY_TOKEN_KEY. Every stored token that was made with
 * an older key of the list is encrypted with the first one; then the older keys can be taken out of the
 * list, but not before the daily check has given every webhook subscription a key derived from the first
 * one, too. Needs SUPABASE_URL, SUPABASE_SECRET_KEY (or SUPABASE_SERVICE_ROLE_KEY) and CALENDLY_TOKEN_KEY of
 * the project in the environment. Exits with 1 when a token cannot be read, with 2 when it could not go on.
 * Safe to repeat.
 */
import { Database } from "../supabase/functions/_shared/calendly/database.ts";
import { ApiError } from "../supabase/functions/_shared/calendly/errors.ts";
import { currentKeys } from "../supabase/functions/_shared/calendly/keys.ts";
import {
  decryptToken,
  encryptToken,
  isCurrent,
  type Token,
} from "../supabase/functions/_shared/calendly/tokens.ts";
import { Problem } from "./problem.ts";
import { namedProject } from "./project.ts";
import { Terminal } from "./terminal.ts";

/**
 * Encrypts what is not current. Counts connections; `unreadable` ones were made with no known key, and the
 * webhooks of `outdated_webhooks` still have one derived from an older key.
 */
export async function reencrypt(database: Database): Promise<
  { current: number; reencrypted: number; outdated_webhooks: number; unreadable: string[] }
> {
  const result = { current: 0, reencrypted: 0, outdated_webhooks: 0, unreadable: [] as string[] };
  const current = (await currentKeys()).id;
  let after = "00000000-0000-0000-0000-000000000000";
  while (true) {
    const page = await database.call("calendly_list_credentials", { after });
    if (page.length === 0) return result;
    for (const { connection_id, version, token_jwe, webhook_key_id } of page) {
      after = connection_id;
      if (webhook_key_id && webhook_key_id !== current) result.outdated_webhooks++;
      let token: Token;
      try {
        if (await isCurrent(token_jwe)) {
          result.current++;
          continue;
        }
        token = await decryptToken(token_jwe, connection_id);
      } catch {
        result.unreadable.push(connection_id);
        continue;
      }
      const replaced = await database.call("calendly_reencrypt", {
        connection_id,
        version,
        token_jwe: await encryptToken(token, connection_id),
      });
      // A refresh in between has encrypted with the current key.
      replaced ? result.reencrypted++ : result.current++;
    }
  }
}

/** Reencrypts in the project that the environment names, prints the counts, and returns the exit code. */
async function main(): Promise<number> {
  const project = namedProject(Deno.env.toObject());
  if (!project) {
    throw new Problem(
      "no_project",
      "SUPABASE_URL is not set.",
      "Set SUPABASE_URL, SUPABASE_SECRET_KEY and CALENDLY_TOKEN_KEY to the project's.",
    );
  }
  const { current, reencrypted, outdated_webhooks, unreadable } = await reencrypt(
    new Database(project.secretKey),
  );
  console.log(`${reencrypted} encrypted anew, ${current} were current.`);
  if (outdated_webhooks > 0) {
    console.log(
      `Webhook subscriptions that still need an older key: ${outdated_webhooks}. The daily check ` +
        "replaces them: repeat this tomorrow, before you take the older keys out of the list.",
    );
  }
  if (unreadable.length === 0) return 0;
  console.error(
    `${unreadable.length} cannot be read with any of the keys:`,
    unreadable.join(", "),
  );
  console.error(
    "Put the key they were made with back into the list, or let these people reconnect.",
  );
  return 1;
}

if (import.meta.main) {
  try {
    Deno.exit(await main());
  } catch (error) {
    const { code, message, hint } = error instanceof ApiError || error instanceof Problem
      ? error
      : new Problem(
        "reencrypt_failed",
        error instanceof Error ? error.message : String(error),
        "Is it a secret key of this project, and are the migrations applied?",
      );
    const terminal = new Terminal(Deno.stderr);
    terminal.line(`  ${terminal.red(code)}  ${message}`);
    if (hint) terminal.line(`  ${hint}`);
    Deno.exit(2);
  }
}
