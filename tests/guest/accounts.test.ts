/**
 * Accounts come and go at Auth, which knows nothing of us: signing up and in by its API; what its API
 * does only with an administrator's key (deleting, soft-deleting, banning) by its own statements.
 */
import assert from "node:assert/strict";
import { createClient } from "@supabase/supabase-js";
import postgres from "postgres";
import { FIXTURES } from "../database/fixtures/fixtures.ts";
import { stackTest } from "../harness/stack.ts";

const EMAIL = "ana@example.com";
const PASSWORD = "correct horse battery";

/** Auth's statements, run as its own role. */
const AUTH = {
  delete: (id: string) => `delete from auth.users where id = '${id}';`,
  softDelete: (id: string) => `
    delete from auth.sessions where user_id = '${id}';
    update auth.identities set identity_data = '{}',
        provider_id = encode(extensions.digest(user_id || provider_id, 'sha256'), 'base64')
      where user_id = '${id}';
    update auth.users set deleted_at = now(), encrypted_password = '', phone = null,
        email = encode(extensions.digest(id || email, 'sha256'), 'base64'),
        raw_user_meta_data = '{}', raw_app_meta_data = '{}'
      where id = '${id}';`,
  ban: (id: string, duration: string) =>
    `update auth.users set banned_until = now() + interval '${duration}' where id = '${id}';`,
  unban: (id: string) => `update auth.users set banned_until = null where id = '${id}';`,
};

stackTest("accounts come, go and come back", async ({ stack, t }) => {
  const sql = postgres(stack.databaseUrl, { max: 1, onnotice: () => {} });
  const run = async (text: string) => void await sql.unsafe(text).simple();
  const auth = (text: string) => run(`begin; set local role supabase_auth_admin; ${text} commit;`);
  /** What is stored of all of us: users, meetings, connections by their state, queued revocations. */
  const stored = async () => {
    const [found] = await stack.sql(`select
      (select count(*)::integer from public.calendly_users) as users,
      (select count(*)::integer from public.calendly_meetings) as meetings,
      (select coalesce(jsonb_agg(c.state), '[]') from public.calendly_connections c) as states,
      (select count(*)::integer from calendly.pending_revocations) as revocations`);
    return found;
  };
  const client = () =>
    createClient(stack.url, stack.publishableKey, { auth: { persistSession: false } });
  const signUp = async () => {
    const person = client();
    const { data, error } = await person.auth.signUp({ email: EMAIL, password: PASSWORD });
    assert.equal(error, null);
    return {
      id: data.user!.id,
      meetings: async () => (await person.from("calendly_meetings").select("name")).data!,
    };
  };
  /** As calendly-connect does once Calendly has said whose token it is; then the first sync. */
  const connectAndSync = () =>
    run(`select tests.connect('ana'); select tests.sync('ana', array[tests.event('E1')]);`);
  const begin = async (id: string) => {
    const [{ code }] = await stack.sql(`select tests.code_of($$
      select public.calendly_begin_sync('{"auth_user_id": "${id}", "trigger": "manual"}')$$) as code`);
    return code;
  };
  const syncType = async () =>
    (await stack.sql("select r.sync_type from tests.run_of('ana') r"))[0].sync_type;
  const NOTHING = { users: 0, meetings: 0, states: [], revocations: 0 };
  const CONNECTED = { users: 1, meetings: 1, states: ["active"], revocations: 0 };
  const revoked = () => run("delete from calendly.pending_revocations");

  try {
    await run(FIXTURES);
    let ana = await signUp();
    await t.step("a sign-up makes nothing of ours, and may sign in", async () => {
      assert.deepEqual(await stored(), NOTHING);
      const { error } = await client().auth.signInWithPassword({
        email: EMAIL,
        password: PASSWORD,
      });
      assert.equal(error, null);
      assert.equal(await begin(ana.id), "not_connected");
    });
    await t.step("whoever connects sees their own meetings", async () => {
      await connectAndSync();
      assert.deepEqual(await stored(), CONNECTED);
      assert.equal((await ana.meetings()).length, 1);
    });
    await t.step(
      "a banned account is not synced, keeps all, and goes on when the ban ends",
      async () => {
        await auth(AUTH.ban(ana.id, "1 hour"));
        assert.equal(await begin(ana.id), "account_closed");
        await run("select calendly.end_closed_accounts()");
        assert.deepEqual(await stored(), CONNECTED);
        const due =
          "select c.next_sync_at <= calendly.now() as due from public.calendly_connections c";
        assert.deepEqual(await stack.sql(due), [{ due: null }]);
        await auth(AUTH.unban(ana.id));
        await run("select calendly.end_closed_accounts()");
        assert.deepEqual(await stack.sql(due), [{ due: true }]);
      },
    );
    for (const way of ["delete", "softDelete"] as const) {
      await t.step(
        `${way}: nothing is synced from that moment, and the job erases all`,
        async () => {
          await auth(AUTH[way](ana.id));
          assert.equal(await begin(ana.id), "account_closed");
          await run("select calendly.end_closed_accounts()");
          assert.deepEqual(await stored(), { ...NOTHING, revocations: 1 });
          await revoked();
        },
      );
      await t.step(`${way}: with the same e-mail and Calendly user one begins anew`, async () => {
        const former = ana.id;
        ana = await signUp();
        assert.notEqual(ana.id, former);
        assert.deepEqual(await ana.meetings(), []);
        await connectAndSync();
        assert.equal(await syncType(), "FULL");
        assert.deepEqual(await stored(), CONNECTED);
        assert.equal((await ana.meetings()).length, 1);
      });
      await t.step(`${way}: coming back before the job has run begins anew, too`, async () => {
        await auth(AUTH[way](ana.id));
        ana = await signUp();
        assert.deepEqual(await ana.meetings(), [], "of another account");
        await connectAndSync();
        assert.equal(await syncType(), "FULL");
        assert.deepEqual(await stored(), { ...CONNECTED, revocations: 1 });
        assert.equal((await ana.meetings()).length, 1);
        await run("select calendly.end_closed_accounts()");
        assert.deepEqual(
          await stored(),
          { ...CONNECTED, revocations: 1 },
          "nothing is left to end",
        );
        await revoked();
      });
    }
  } finally {
    await sql.end();
  }
});
