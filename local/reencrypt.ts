/**
 * `deno task reencrypt`: finishes a rotation of CALENDLY_TOKEN_KEY. Every stored token that was made with
 * an older key of the list is encrypted with the first one; then the older keys can be taken out of the
 * list, but not before the daily check has given every webhook subscription a key derived from the first
 * one, too. Needs SUPABASE_URL, SUPABASE_SECRET_KEYS (or SUPABASE_SERVICE_ROLE_KEY) and CALENDLY_TOKEN_KEY of
 * the project in the environment. Safe to repeat.
 */
import type { Credential } from "../supabase/functions/_shared/calendly/credential.ts";
import { Database } from "../supabase/functions/_shared/calendly/database.ts";
import { ApiError } from "../supabase/functions/_shared/calendly/errors.ts";
import { subscriptionKeyId } from "../supabase/functions/_shared/calendly/signature.ts";
import {
  decryptToken,
  encryptToken,
  isCurrent,
} from "../supabase/functions/_shared/calendly/tokens.ts";

/**
 * Encrypts what is not current. Counts connections; `unreadable` ones were made with no known key, and the
 * webhooks of `outdated_webhooks` still have one derived from an older key.
 */
export async function reencrypt(database: Database): Promise<
  { current: number; reencrypted: number; outdated_webhooks: number; unreadable: string[] }
> {
  const result = { current: 0, reencrypted: 0, outdated_webhooks: 0, unreadable: [] as string[] };
  const webhookKey = await subscriptionKeyId();
  let after = "00000000-0000-0000-0000-000000000000";
  while (true) {
    const page = await database.call("calendly_list_credentials", { after }) as (Credential & {
      webhook_key_id: string | null;
    })[];
    if (page.length === 0) return result;
    for (const { connection_id, version, token_jwe, webhook_key_id } of page) {
      after = connection_id;
      if (webhook_key_id && webhook_key_id !== webhookKey) result.outdated_webhooks++;
      try {
        if (await isCurrent(token_jwe)) {
          result.current++;
          continue;
        }
        const token = await decryptToken(token_jwe, connection_id);
        const replaced = await database.call("calendly_reencrypt", {
          connection_id,
          version,
          token_jwe: await encryptToken(token, connection_id),
        });
        // a refresh that came in between has used the current key
        replaced ? result.reencrypted++ : result.current++;
      } catch {
        result.unreadable.push(connection_id);
      }
    }
  }
}

if (import.meta.main) {
  const { current, reencrypted, outdated_webhooks, unreadable } = await reencrypt(new Database())
    .catch((error) => {
      if (!(error instanceof ApiError)) throw error;
      console.error([error.message, error.hint].filter((text) => text).join("\n"));
      Deno.exit(1);
    });
  console.log(`${reencrypted} encrypted anew, ${current} were current.`);
  if (outdated_webhooks > 0) {
    console.log(
      `Webhook subscriptions that still need an older key: ${outdated_webhooks}. The daily check ` +
        "replaces them: repeat this tomorrow, before you take the older keys out of the list.",
    );
  }
  if (unreadable.length > 0) {
    console.error(
      `${unreadable.length} cannot be read with any of the keys:`,
      unreadable.join(", "),
    );
    console.error(
      "Put the key they were made with back into the list, or let these people reconnect.",
    );
    Deno.exit(1);
  }
}
