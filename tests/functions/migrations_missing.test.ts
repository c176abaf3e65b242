/** The functions may be deployed before the migrations: they say so, and nothing worse happens. */
import assert from "node:assert/strict";
import { createClient } from "@supabase/supabase-js";
import { Project, projectTest } from "./support.ts";
import { testOnEach } from "../harness/databases.ts";

testOnEach(
  "a database without our migrations is told apart from everything else",
  "both",
  async (database) => {
    await using project = await Project.start(database, { migrations: null, seed: false });
    const { url, publishableKey, secretKey } = project.stack;
    const { auth } = createClient(url, publishableKey, { auth: { persistSession: false } });
    const { data } = await auth.signUp({
      email: "early@example.com",
      password: crypto.randomUUID(),
    });
    const authorization = `Bearer ${data.session!.access_token}`;
    const calls: [string, string, Record<string, string>, Record<string, unknown>?][] = [
      ["POST", "calendly-sync", { authorization }, {}],
      ["POST", "calendly-sync", { apikey: secretKey }, { user_id: 1 }],
      ["POST", "calendly-connect", { authorization }, { token: project.sandbox.demo.token }],
      ["GET", "calendly-connect", { authorization }],
      ["DELETE", "calendly-connect", { authorization }, {}],
    ];
    for (const [method, path, headers, body] of calls) {
      const answer = await project.fetch(path, {
        method,
        headers,
        body: body && JSON.stringify(body),
      });
      const { code, hint } = answer.body.error;
      assert.deepEqual([answer.status, code], [503, "migrations_missing"], `${method} ${path}`);
      assert.match(hint, /migrations/i);
    }
    const { requests } = project.sandbox.control.requests();
    assert.deepEqual(requests.map(({ path }) => path), ["/users/me"], "whose token it is, no more");
  },
);

projectTest("a function of ours that is missing is told by the same code", async (project) => {
  const person = await project.person();
  await project.stack.sql("drop function public.calendly_begin_sync(jsonb)");
  const { status, body: { error } } = await person.sync();
  assert.deepEqual([status, error.code], [503, "migrations_missing"]);
  assert.match(error.hint, /migrations/i);
});
