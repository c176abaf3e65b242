/** Every RPC that the functions call exists in SQL with the same parameters, for the service role alone. */
import assert from "node:assert/strict";
import { openEmbedded } from "../../local/database.ts";
import { preparedImage } from "../../local/image.ts";
import { RPC } from "../../supabase/functions/_shared/calendly/contract.ts";

Deno.test("the SQL functions have the parameters of the contract", async (t) => {
  const database = await openEmbedded({ image: await preparedImage({ seed: false }) });
  try {
    const found = await database.query<{
      name: string;
      parameters: string[] | null;
      callers: string[];
    }>(`
      select p.proname as name, p.proargnames as parameters, array(
          select r.rolname::text from pg_roles r
          where r.rolname in ('anon', 'authenticated', 'service_role')
            and has_function_privilege(r.oid, p.oid, 'execute')) as callers
      from pg_proc p
      where p.pronamespace = 'public'::regnamespace and p.proname like 'calendly\\_%'`);
    for (const [name, { parameters }] of Object.entries(RPC)) {
      await t.step(name, () => {
        const [rpc, ...others] = found.filter((candidate) => candidate.name === name);
        assert.ok(rpc, "it does not exist");
        assert.deepEqual(others, [], "it exists more than once");
        assert.deepEqual(rpc.parameters ?? [], parameters);
        assert.deepEqual(rpc.callers, ["service_role"]);
      });
    }
  } finally {
    await database.close();
  }
});
