/** An account can be deleted at any moment, also while its meetings are being synced. */
import assert from "node:assert/strict";
import postgres from "postgres";
import { projectTest, until } from "../functions/support.ts";
import { FEW } from "./support.ts";

projectTest(
  "an account that is deleted in the middle of a step waits for it, and goes",
  async (project) => {
    const person = await project.person(FEW);
    await person.sync();
    const sql = postgres(project.stack.databaseUrl, { max: 2, onnotice: () => {} });
    let deleted: Promise<unknown> | undefined;
    try {
      await sql.begin(async (step) => {
        // as a step does: the connection first, then rows that point at the user's
        await step`select from public.calendly_connections where user_id = ${person.id} for no key update`;
        deleted = sql`delete from auth.users where id = ${person.account.auth_user_id}`.execute();
        await until(async () => {
          const [{ waiting }] = await project.stack.sql(
            "select count(*)::integer as waiting from pg_locks where not granted",
          );
          return waiting > 0;
        });
        await step`insert into public.calendly_meetings (user_id, name, start_time, end_time)
        values (${person.id}, 'Written by the step', now(), now())`;
      });
      await deleted;
      const [{ state, owner }] = await project.stack.sql(
        `select c.state, u.auth_user_id as owner from public.calendly_connections c
       join public.calendly_users u on u.id = c.user_id where u.id = $1`,
        [person.id],
      );
      assert.deepEqual([state, owner], ["disconnected", null]);
    } finally {
      await sql.end();
    }
  },
  { on: "real" },
);
