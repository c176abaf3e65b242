/**
 * `calendly-sync reencrypt`: finishes a rotation of CALENDLY_TOKEN_KEY. Every stored token that was made with
 * an older key of the list is encrypted with the first one; then the older keys can be taken out of the
 * list, but not before the daily check has given every webhook subscription a key derived from the first
 * one, too. Needs SUPABASE_URL, SUPABASE_SECRET_KEY (or SUPABASE_SERVICE_ROLE_KEY) and CALENDLY_TOKEN_KEY of
 * the project in the environment. Exits with 1 when a token cannot be read, with 2 when it could not go on.
 * Safe to repeat.
 */
import { Database } from "../../supabase/functions/_shared/calendly/database.ts";
import { ApiError } from "../../supabase/functions/_shared/calendly/errors.ts";
import { currentKeys } from "../../supabase/functions/_shared/calendly/keys.ts";
import {
  decryptToken,
  encryptToken,
  isCurrent,
  type Token,
} from "../../supabase/functions/_shared/calendly/tokens.ts";
import { defineCommand } from "../command.ts";
import { Problem } from "../problem.ts";
import { namedProject } from "../target.ts";
import type { Terminal } from "../terminal.ts";

interface Result {
  current: number;
  reencrypted: number;
  outdated_webhooks: number;
  unreadable: string[];
}

/**
 * Encrypts what is not current. Counts connections; `unreadable` ones were made with no known key, and the
 * webhooks of `outdated_webhooks` still have one derived from an older key.
 */
async function reencryptTokens(database: Database): Promise<Result> {
  const result: Result = { current: 0, reencrypted: 0, outdated_webhooks: 0, unreadable: [] };
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

export const reencrypt = defineCommand({
  name: "reencrypt",
  summary: "encrypt the stored tokens with the first key of CALENDLY_TOKEN_KEY",
  description: "SUPABASE_URL, SUPABASE_SECRET_KEY and CALENDLY_TOKEN_KEY name the project.",
  async run({ env, terminal, answer }) {
    const project = namedProject(env);
    if (!project) {
      throw new Problem(
        "no_project",
        "SUPABASE_URL is not set.",
        "Set SUPABASE_URL, SUPABASE_SECRET_KEY and CALENDLY_TOKEN_KEY to the project's.",
        { cannotTell: true },
      );
    }
    const result = await reencryptTokens(new Database(project.secretKey)).catch(explain);
    answer(result);
    show(terminal, result);
    return result.unreadable.length === 0 ? 0 : 1;
  },
});

function show(terminal: Terminal, result: Result): void {
  const { current, reencrypted, outdated_webhooks, unreadable } = result;
  terminal.line(`${reencrypted} encrypted anew, ${current} were current.`);
  if (outdated_webhooks > 0) {
    terminal.line(
      `Webhook subscriptions that still need an older key: ${outdated_webhooks}. The daily check ` +
        "replaces them: repeat this tomorrow, before you take the older keys out of the list.",
    );
  }
  if (unreadable.length === 0) return;
  terminal.line(
    `${unreadable.length} cannot be read with any of the keys: ${unreadable.join(", ")}`,
  );
  terminal.line(
    "Put the key they were made with back into the list, or let these people reconnect.",
  );
}

function explain(error: unknown): never {
  const { code, message, hint } = error instanceof ApiError ? error : {
    code: "reencrypt_failed" as const,
    message: error instanceof Error ? error.message : String(error),
  };
  throw new Problem(
    code,
    message,
    hint ?? "Is it a secret key of this project, and are the migrations applied?",
    { cannotTell: true },
  );
}
