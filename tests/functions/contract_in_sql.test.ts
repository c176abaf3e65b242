/**
 * Every RPC that the functions call exists in SQL with the same parameters, for the service role alone,
 * and is waited for exactly as long as Postgres lets it run.
 */
import assert from "node:assert/strict";
import { openEmbedded } from "../../local/database.ts";
import { preparedImage } from "../../local/image.ts";
import { RPC } from "../../supabase/functions/_shared/calendly/contract.ts";

/** statement_timeout of the roles that the Data API takes, on the platform. */
const PLATFORM_SECONDS = 8;

Deno.test("the SQL functions have the parameters of the contract", async (t) => {
  const database = await openEmbedded({ image: await preparedImage({ seed: false }) });
  try {
    const found = await database.query<{
      name: string;
      parameters: string[] | null;
      callers: string[];
      seconds: number | null;
    }>(`
      select p.proname as name, p.proargnames as parameters, array(
          select r.rolname::text from pg_roles r
          where r.rolname in ('anon', 'authenticated', 'service_role')
            and has_function_privilege(r.oid, p.oid, 'execute')) as callers,
        (select extract(epoch from substring(setting from 'statement_timeout=(.*)')::interval)::float8
          from unnest(p.proconfig) setting
          where setting like 'statement\\_timeout=%') as seconds
      from pg_proc p
      where p.pronamespace = 'public'::regnamespace and p.proname like 'calendly\\_%'`);
    for (const [name, { parameters, seconds }] of Object.entries(RPC)) {
      await t.step(name, () => {
        const [rpc, ...others] = found.filter((candidate) => candidate.name === name);
        assert.ok(rpc, "it does not exist");
        assert.deepEqual(others, [], "it exists more than once");
        assert.deepEqual(rpc.parameters ?? [], parameters);
        assert.deepEqual(rpc.callers, ["service_role"]);
        assert.equal(seconds, rpc.seconds ?? PLATFORM_SECONDS, "the seconds that it may run");
      });
    }
  } finally {
    await database.close();
  }
});
