/** Where tokens are stored: of use to nobody but the functions of this very project, with the right key. */
import assert from "node:assert/strict";
import { createClient } from "@supabase/supabase-js";
import { assertMirrors } from "../functions/mirror.ts";
import {
  everythingStored,
  type Person,
  type Project,
  projectTests,
  until,
} from "../functions/support.ts";
import { Wire } from "../functions/wire.ts";
import {
  connectByOAuth,
  connected,
  derivedKey,
  FEW,
  isLive,
  start,
  subscriptionsOf,
  TOKEN_KEY,
  tokenRequests,
  watchTokens,
} from "./support.ts";

/** Puts the ciphertext of each into the other's row. */
async function swap(project: Project, ann: Person, bob: Person): Promise<void> {
  await project.stack.sql(
    `update calendly.credentials k set token_jwe = other.token_jwe
     from calendly_connections mine, calendly_connections theirs, calendly.credentials other
     where mine.id = k.connection_id and theirs.id = other.connection_id
       and ((mine.user_id = $1 and theirs.user_id = $2) or (mine.user_id = $2 and theirs.user_id = $1))`,
    [ann.id, bob.id],
  );
}

/** The forms in which a secret might lie about. */
function formsOf(secret: string): string[] {
  const bytes = new TextEncoder().encode(secret);
  return [secret, secret.slice(3, 40), btoa(secret).slice(0, 40), bytes.toHex().slice(0, 60)];
}

projectTests("Storage of tokens", {
  "no token and no signing key can be read": async (project, t) => {
    using watched = watchTokens(project);
    const [ann, bob] = [await connected(project), await project.person(FEW)];
    await bob.sync();
    await project.advance("3h");
    await ann.sync();
    assert.equal((await bob.invoke("calendly-connect/webhooks", "POST")).status, 201);
    const consentUnderWay = new URL(await start(ann));
    await ann.disconnect();
    await connectByOAuth(ann);
    const [{ callback_url }] = subscriptionsOf(bob);
    const secrets = {
      "access token": watched.given.map(({ access_token }) => access_token),
      "refresh token": watched.given.map(({ refresh_token }) => refresh_token),
      "personal access token": [bob.token],
      "signing key of a subscription": [derivedKey(TOKEN_KEY, callback_url)],
      "signing key of the OAuth app": [project.sandbox.demo.app.signing_key],
      "secret of the OAuth app": [project.sandbox.demo.app.client_secret],
      "key that encrypts": [TOKEN_KEY],
      "state of a consent": [consentUnderWay.searchParams.get("state")!],
    };

    await t.step("in a dump of the database", async () => {
      const dump = await everythingStored(project);
      assert.ok(dump.includes(bob.host.uri) && dump.includes(callback_url.split("/").at(-1)!));
      for (const [what, values] of Object.entries(secrets)) {
        for (const form of values.flatMap(formsOf)) assert.ok(!dump.includes(form), what);
      }
    });

    await t.step("in what the functions answer and log", async () => {
      const answers = [];
      for (const person of [ann, bob]) {
        answers.push(await person.connection(), await person.sync());
        answers.push(await person.connect({ token: "pat_wrong" }));
        answers.push(await person.invoke("calendly-connect/webhooks", "POST"));
      }
      answers.push(await project.fetch("calendly-webhook/test"));
      answers.push(
        await project.fetch("calendly-sync/health", {
          headers: { apikey: project.stack.secretKey },
        }),
      );
      const told = JSON.stringify([answers, project.logs()]) +
        project.stack.functions.logs("calendly-webhook").join();
      for (const [what, values] of Object.entries(secrets)) {
        for (const form of values.flatMap(formsOf)) assert.ok(!told.includes(form), what);
      }
      assert.doesNotMatch(told, /eyJ[\w-]{20,}\.\./, "no ciphertext either");
    });

    await t.step("through the Data API, with whatever key", async () => {
      const { url, publishableKey, secretKey } = project.stack;
      const options = { auth: { persistSession: false } };
      const clients = {
        "somebody signed in": bob.supabase,
        anybody: createClient(url, publishableKey, options),
        "a server": createClient(url, secretKey, options),
      };
      const functions = await project.stack.sql<{ name: string; args: Record<string, unknown> }>(`
        select p.proname as name, (
          select jsonb_object_agg(a.name, case a.type::oid::regtype::text when 'uuid' then '"00000000-0000-4000-8000-000000000000"'::jsonb
            when 'integer' then '1' when 'jsonb' then '{}' else '"x"' end)
          from unnest(p.proargnames, string_to_array(p.proargtypes::text, ' ')) a (name, type)) as args
        from pg_proc p where p.pronamespace = 'public'::regnamespace
          and p.proname in ('calendly_list_credentials', 'calendly_begin_refresh', 'calendly_begin_subscription',
            'calendly_begin_sync', 'calendly_claim_sync', 'calendly_claim_revocation', 'calendly_disable_webhooks',
            'calendly_take_oauth_state', 'calendly_reencrypt')`);
      assert.equal(functions.length, 9, "those that hand out a credential or take one");
      for (const [who, client] of Object.entries(clients)) {
        for (
          const table of [
            "credentials",
            "pending_revocations",
            "oauth_states",
            "webhook_subscriptions",
          ]
        ) {
          const { data, error } = await client.schema("calendly").from(table).select("*");
          assert.ok(error, `${who} reads ${table}`);
          assert.equal(data, null);
        }
        if (who === "a server") continue;
        for (const { name, args } of functions) {
          const { error } = await client.rpc(name, args);
          assert.equal(error?.code, "42501", `${who} calls ${name}: ${error?.message}`);
        }
      }
    });
  },

  "swapped ciphertexts are noticed, and spend nothing": async (project) => {
    const [ann, bob] = [await connected(project), await connected(project)];
    await swap(project, ann, bob);
    const counts = () => [tokenRequests(project), ann.requests() + bob.requests()];
    counts();
    const [before] = counts();
    for (const wait of ["1m", "3h"]) {
      // the second time the tokens have ended: a refresh token must not be spent by the wrong one
      await project.advance(wait);
      for (const person of [ann, bob]) {
        const { status, body: { error } } = await person.sync();
        assert.deepEqual([status, error.code], [500, "token_unreadable"]);
        assert.equal((await person.connection()).last_error.code, "token_unreadable");
      }
    }
    assert.deepEqual(counts(), [before, 0]);
    await swap(project, ann, bob);
    await project.advance("1m");
    for (const person of [ann, bob]) {
      assert.equal((await person.sync()).body.status, "complete");
      await assertMirrors(person);
    }
  },

  "a wrong key is a clear error": async (project, t) => {
    const person = await connected(project);
    using watched = watchTokens(project);

    for (const [when, wait] of [["while the token lives", "1m"], ["when it has ended", "3h"]]) {
      await t.step(when, async () => {
        await project.restart({ CALENDLY_TOKEN_KEY: "another key that nobody knows a thing of" });
        await project.advance(wait);
        const { status, body: { error } } = await person.sync();
        assert.deepEqual([status, error.code], [500, "token_unreadable"]);
        assert.match(error.message + error.hint, /CALENDLY_TOKEN_KEY/);
        const { state, last_error } = await person.connection();
        assert.deepEqual([state, last_error.code], ["active", "token_unreadable"]);
        assert.equal(watched.given.length, 0, "and no refresh token is spent");
        await assertMirrors(person);
        await project.restart({ CALENDLY_TOKEN_KEY: TOKEN_KEY });
        await project.advance("1m");
        assert.equal((await person.sync()).body.status, "complete");
        assert.equal((await person.connection()).last_error, null);
      });
    }
    assert.equal(watched.given.length, 1);
  },

  "a restored copy under another address": async (project, t) => {
    using watched = watchTokens(project);
    const [ann, bob] = [await connected(project), await project.person(FEW)];
    await bob.invoke("calendly-connect/webhooks", "POST");
    await project.advance("3h");
    const original = project.wire.url;
    const copy = new Wire();
    copy.leadTo(project.stack.url);
    await project.restart({ SUPABASE_URL: copy.url });
    const { control } = project.sandbox;
    control.clear_requests();

    await t.step("runs nothing that a person asks for", async () => {
      const attempts = [
        await ann.sync(),
        await ann.invoke("calendly-connect/webhooks", "POST"),
        await bob.invoke("calendly-connect/webhooks", "DELETE"),
      ];
      for (const { status, body: { error } } of attempts) {
        assert.deepEqual([status, error.code], [409, "project_moved"]);
        assert.match(error.hint, /calendly_confirm_project/);
        assert.ok(error.message.includes(original) && error.message.includes(copy.url));
      }
    });

    await t.step("nor what the schedule would do", async () => {
      await project.stack.sql("update calendly_connections set next_sync_at = calendly.now()");
      copy.calls.length = 0;
      await project.fetch("calendly-sync/nudge", { method: "POST" });
      await until(() => copy.idleClaims >= 1);
      assert.deepEqual((await ann.runs()).length, 1);
    });

    await t.step("nor what is left to do when somebody disconnects there", async () => {
      await ann.disconnect();
      await until(() => copy.calls.includes("calendly_claim_revocation"));
      await project.advance("1h");
      await project.fetch("calendly-sync/nudge", { method: "POST" });
      await until(() => copy.idleClaims >= 2);
    });

    await t.step("so Calendly hears nothing of it", async () => {
      assert.deepEqual(control.requests().requests, []);
      assert.ok(await isLive(project, (await fresh(watched.given[0])).access_token));
      assert.equal(subscriptionsOf(bob).length, 1);
    });

    await t.step("which is an alert", async () => {
      const alerts = await project.stack.sql("select code, what_to_do from calendly_alerts");
      const moved = alerts.find(({ code }) => code === "project_moved");
      assert.ok(moved.what_to_do.includes(`calendly_confirm_project('${copy.url}')`));
    });

    await t.step("until somebody confirms that the project has moved", async () => {
      await project.stack.sql("select calendly_confirm_project($1)", [copy.url]);
      assert.equal((await bob.sync()).body.status, "complete");
      assert.equal(
        (await project.stack.sql(
          "select 1 from calendly_alerts where code = 'project_moved'",
        )).length,
        0,
      );
    });

    await t.step("and what ended in the copy has not ended at the original", async () => {
      await project.fetch("calendly-sync/nudge", { method: "POST" });
      await until(() => copy.idleClaims >= 3);
      assert.equal(control.requests({ path: "/oauth/revoke" }).count, 0);
    });
    await project.restart({ SUPABASE_URL: original });
    await project.stack.sql("select calendly_confirm_project($1)", [original]);
    await copy.stop();

    /** The original goes on: it refreshes the pair that the copy has not touched. */
    async function fresh({ refresh_token }: { refresh_token: string }) {
      const { client_id, client_secret } = project.sandbox.demo.app;
      const response = await project.sandbox.fetch(
        new Request("https://auth.calendly.com/oauth/token", {
          method: "POST",
          body: new URLSearchParams({
            grant_type: "refresh_token",
            refresh_token,
            client_id,
            client_secret,
          }),
        }),
      );
      assert.equal(response.status, 200);
      return await response.json();
    }
  },
}, { env: { CALENDLY_TOKEN_KEY: TOKEN_KEY } });
