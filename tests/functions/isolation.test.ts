/** What one person may see and change of another's through the Data API: nothing, with any key but the secret one. */
import assert from "node:assert/strict";
import { createClient } from "@supabase/supabase-js";
import { day, type Person, type Project, projectTests } from "./support.ts";

const FEW = { events: 3, variety: "plain", from: day(2), to: day(9) } as const;

/** Tables of which a signed-in person reads the own rows. */
const OWN = [
  "calendly_meetings",
  "calendly_invitees",
  "calendly_connections",
  "calendly_sync_runs",
  "calendly_webhook_events",
  "calendly_sync_health",
];
const TABLES = ["calendly_users", ...OWN];

async function twoPeople(project: Project): Promise<{ ann: Person; bob: Person }> {
  const [ann, bob] = [await project.person(FEW), await project.person(FEW)];
  for (const person of [ann, bob]) {
    await person.sync();
    await project.stack.sql(
      `insert into calendly_webhook_events (event_id, event_type, payload, user_id, created_at, status)
       values ($1, 'invitee.created', '{}', $2, now(), 'processed')`,
      [`event ${person.id}`, person.id],
    );
  }
  return { ann, bob };
}

/** Everything that there is in a table, as the superuser sees it; only staleness grows by itself. */
function snapshot(project: Project, table: string): Promise<unknown[]> {
  return project.stack.sql(
    `select (to_jsonb(t) - 'staleness')::text as row from public.${table} t order by 1`,
  );
}

projectTests("Isolation", {
  "a signed-in person": async (project, t) => {
    const { ann, bob } = await twoPeople(project);

    for (const table of TABLES) {
      const owner = table === "calendly_users" ? "id" : "user_id";
      await t.step(`reads the own rows of ${table} and no others`, async () => {
        const { data, error } = await ann.supabase.from(table).select("*");
        assert.equal(error, null);
        assert.ok(data!.length > 0);
        assert.ok(data!.every((row) => row[owner] === ann.id));
        const { data: others } = await ann.supabase.from(table).select("*").eq(owner, bob.id);
        assert.deepEqual(others, []);
      });

      await t.step(`writes no row of ${table}, own or another's`, async () => {
        const before = await snapshot(project, table);
        const [own] = (await ann.supabase.from(table).select("*")).data!;
        for (const id of [ann.id, bob.id]) {
          const attempts = [
            ann.supabase.from(table).update({ [owner]: ann.id }).eq(owner, id).select(),
            ann.supabase.from(table).delete().eq(owner, id).select(),
            ann.supabase.from(table).insert({ ...own, [owner]: id }).select(),
            ann.supabase.from(table).upsert({ ...own, [owner]: id }).select(),
          ];
          for (const { data, error } of await Promise.all(attempts)) {
            assert.ok(error || data?.length === 0, `${table} was written`);
          }
        }
        assert.deepEqual(await snapshot(project, table), before);
      });
    }

    await t.step("gets meetings and invitees in one request, of the own only", async () => {
      const { data } = await ann.supabase.from("calendly_meetings").select(
        "*, calendly_invitees(*)",
      );
      assert.equal(data!.length, 3);
      for (const { user_id, calendly_invitees } of data!) {
        assert.equal(user_id, ann.id);
        assert.equal(calendly_invitees.length, 1);
        assert.equal(calendly_invitees[0].user_id, ann.id);
      }
      const { data: invitees } = await ann.supabase.from("calendly_invitees").select(
        "*, meetings(*)",
      );
      assert.ok(invitees!.every(({ meetings }) => meetings.user_id === ann.id));
    });

    await t.step("cannot take another's account, nor mark the own as synced", async () => {
      for (
        const change of [
          { auth_user_id: bob.account.auth_user_id },
          { calendly_initial_sync_complete: false },
          { calendly_webhook_enabled: true },
          { last_calendly_sync: null },
        ]
      ) {
        const { data, error } = await ann.supabase.from("calendly_users").update(change).eq(
          "id",
          ann.id,
        )
          .select();
        assert.ok(error || data?.length === 0);
      }
      assert.equal((await ann.row()).calendly_initial_sync_complete, true);
    });

    await t.step("a JWT of somebody who is not in the project reads nothing", async () => {
      const token = await project.stack.signJwt({ sub: crypto.randomUUID() });
      const stranger = createClient(project.stack.url, project.stack.publishableKey, {
        accessToken: () => Promise.resolve(token),
      });
      for (const table of TABLES) {
        assert.deepEqual((await stranger.from(table).select("*")).data ?? [], [], table);
      }
    });

    await t.step("an expired JWT reads nothing", async () => {
      const token = await project.stack.signJwt({ sub: ann.account.auth_user_id, expires: "-1m" });
      const late = createClient(project.stack.url, project.stack.publishableKey, {
        accessToken: () => Promise.resolve(token),
      });
      for (const table of TABLES) {
        assert.deepEqual((await late.from(table).select("*")).data ?? [], [], table);
      }
    });
  },

  "the publishable key": async (project, t) => {
    await twoPeople(project);
    const { url, publishableKey } = project.stack;
    const anybody = createClient(url, publishableKey, { auth: { persistSession: false } });

    for (const table of TABLES) {
      await t.step(`reads and writes nothing of ${table}`, async () => {
        const before = await snapshot(project, table);
        const owner = table === "calendly_users" ? "id" : "user_id";
        const attempts = [
          anybody.from(table).select("*"),
          anybody.from(table).update({ [owner]: 1 }).gt(owner, 0).select(),
          anybody.from(table).delete().gt(owner, 0).select(),
          anybody.from(table).insert([{ [owner]: 1 }] as never).select(),
        ];
        for (const { data, error } of await Promise.all(attempts)) {
          assert.ok(error, `${table}: ${JSON.stringify(data)}`);
        }
        assert.deepEqual(await snapshot(project, table), before);
      });
    }
  },

  "our SQL functions": async (project, t) => {
    const { ann } = await twoPeople(project);
    const { url, publishableKey } = project.stack;
    const anybody = createClient(url, publishableKey, { auth: { persistSession: false } });
    const functions = await project.stack.sql<{ name: string; arguments: string[] }>(`
    select p.proname as name, coalesce(p.proargnames[1:p.pronargs], '{}') as arguments
    from pg_proc p
    where p.pronamespace = 'public'::regnamespace and (p.proname like 'calendly%' or p.proname = 'clean_old_webhook_events')`);
    assert.ok(functions.length >= 10);

    for (const { name, arguments: names } of functions) {
      await t.step(`${name} is for the service role alone`, async () => {
        const values = Object.fromEntries(names.map((argument) => [argument, null]));
        for (const client of [ann.supabase, anybody]) {
          const { error } = await client.rpc(name, values);
          assert.ok(error);
          assert.match(`${error.code} ${error.message}`, /42501|PGRST202|permission denied/);
        }
      });
    }

    await t.step("nothing of the private schema is reachable", async () => {
      for (const client of [ann.supabase, anybody]) {
        for (const table of ["credentials", "settings", "active_runs", "hosts"]) {
          assert.ok((await client.schema("calendly").from(table).select("*")).error, table);
          assert.ok((await client.from(table).select("*")).error, table);
        }
      }
    });
  },
});
