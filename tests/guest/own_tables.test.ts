/** The recipes of docs/own-tables.md, as they stand there, in the apps that they are for. */
import assert from "node:assert/strict";
import postgres from "postgres";
import type { Transaction } from "../../local/database.ts";
import { FIXTURES } from "../database/fixtures/fixtures.ts";
import { createDatabase, databaseTest } from "../harness/databases.ts";
import { needing } from "../harness/requirements.ts";
import { asOwner, install, undone } from "./project.ts";
import { SHAPES } from "./shapes.ts";

const PAGE = await Deno.readTextFile(new URL("../../docs/own-tables.md", import.meta.url));
const TRIGGERS = section("The triggers");
const REPAIR = section("After a failure");
const BOOKINGS = section("Bookings of accounts");
const BY_UUID = section("The original system by uuid");
const BY_INTEGER = section("The original system by integers");
const NOTES = section("Rows that go with a meeting");

const UNMIGRATED = { migrations: null };
const byUuid = SHAPES.find(({ name }) => name === "the original system by uuid")!;
const byInteger = SHAPES.find(({ app }) => app.includes("-- 022"))!;

/** Ana's events, with one of each kind of change. */
const [E1, E2] = ["tests.event('E1')", "tests.event('E2', tests.canceled())"];
const INES = `jsonb_build_object('E1', array[tests.invitee('E1', 'ines')])`;
const RENAMED =
  `tests.event('E1', '{"name": "Review", "updated_at": "2026-06-01T12:00:00.000001Z"}')`;
const sync = (name: string, events: string[], invitees = INES) =>
  `select tests.sync('${name}', array[${events.join(", ")}], ${invitees}) as step;`;

databaseTest("a table of bookings follows calendly_meetings", async (database, t) => {
  await undone(database, async (transaction) => {
    await prepare(transaction, TRIGGERS + BOOKINGS);
    await transaction.exec("select tests.add_person('ana');");
    const bookings = `select title, guests, is_canceled, notes,
        user_id = tests.account_of('ana') as own
      from public.bookings order by calendly_meeting_id is null, is_canceled`;
    const E1_ROW = {
      title: "Intro call",
      guests: ["Ines"],
      is_canceled: false,
      notes: null,
      own: true,
    };
    const E2_ROW = { ...E1_ROW, guests: [], is_canceled: true };
    const versions = "select b.ctid::text, b.xmin::text from public.bookings b order by b.id";

    await t.step("a sync fills it, with guests, and with what is canceled", async () => {
      await transaction.exec(sync("ana", [E1, E2]));
      assert.deepEqual(await transaction.query(bookings), [E1_ROW, E2_ROW]);
    });
    await t.step("nothing that is right already is written again", async () => {
      const before = await transaction.query(versions);
      await transaction.exec(`select tests.pass('1 hour'); ${sync("ana", [E1, E2])}
        select public.fill_bookings();`);
      assert.deepEqual(await transaction.query(versions), before);
    });
    await t.step("what changes follows, and the app's own column stays", async () => {
      await transaction.exec(`update public.bookings set notes = 'Bring cake';
        ${sync("ana", [RENAMED, E2])}`);
      assert.deepEqual(await transaction.query(bookings), [
        { ...E1_ROW, title: "Review", notes: "Bring cake" },
        { ...E2_ROW, notes: "Bring cake" },
      ]);
    });
    await t.step(
      "without ids it fills all that is missing, and leaves the app's own rows alone",
      async () => {
        await transaction.exec(`delete from public.bookings;
        insert into public.bookings (user_id, title, starts_at, ends_at)
          values (tests.account_of('ana'), 'By phone', now(), now());
        select public.fill_bookings();`);
        const titles = (await transaction.query(bookings)).map(({ title }) => title);
        assert.deepEqual(titles, ["Review", "Intro call", "By phone"]);
      },
    );
    await t.step(
      "meetings go to whom their Calendly user belongs to now, and from whom it leaves",
      async () => {
        await transaction.exec(`select tests.add_account('ben@example.com');
        update public.calendly_users set auth_user_id = null;`);
        assert.deepEqual((await transaction.query(bookings)).map(({ title }) => title), [
          "By phone",
        ]);
        await transaction.exec(
          "update public.calendly_users set auth_user_id = tests.account_of('ben');",
        );
        assert.deepEqual(
          (await transaction.query(bookings)).map(({ title, own }) => [title, own]),
          [["Review", false], ["Intro call", false], ["By phone", true]],
        );
        await transaction.exec(
          "update public.calendly_users set auth_user_id = tests.account_of('ana');",
        );
      },
    );
    await t.step("what is erased goes from it", async () => {
      await transaction.exec(`select public.calendly_disconnect(jsonb_build_object(
        'auth_user_id', tests.account_of('ana'), 'erase', true));`);
      assert.deepEqual((await transaction.query(bookings)).map(({ title }) => title), ["By phone"]);
    });
  });
}, UNMIGRATED);

databaseTest("a note refers to a meeting by its key, and goes with it", async (database) => {
  await undone(database, async (transaction) => {
    await prepare(transaction, NOTES);
    await transaction.exec(`select tests.add_person('ana'); select tests.add_person('ben');
      ${sync("ana", [E1, E2])}`);
    const note = (owner: string) =>
      transaction.query(
        `insert into public.meeting_notes (user_id, meeting_id, note)
          select tests.id_of($1), m.id, 'Bring cake' from public.calendly_meetings m`,
        [owner],
      );
    await transaction.exec("savepoint another");
    await assert.rejects(note("ben"), /meeting_notes_meeting_id_user_id_fkey/);
    await transaction.exec("rollback to savepoint another");
    await note("ana");
    await transaction.exec(
      "delete from public.calendly_meetings where calendly_event_uri = tests.event_uri('E1')",
    );
    assert.deepEqual(
      await transaction.query(`select m.calendly_event_uri = tests.event_uri('E2') as other
        from public.meeting_notes n join public.calendly_meetings m on m.id = n.meeting_id`),
      [{ other: true }],
    );
  });
}, UNMIGRATED);

databaseTest("a recipe that fails is an alert, and the sync goes on", async (database) => {
  await undone(database, async (transaction) => {
    await prepare(transaction, TRIGGERS + BOOKINGS);
    await transaction.exec(`select tests.add_person('ana');
      alter table public.bookings add constraint polite check (title <> 'Intro call');`);
    const alerts = async () => (await transaction.query<{ code: string; message: string }>(
      "select code, message from public.calendly_alerts where code like 'own_table%'",
    ));
    const count = async (table: string) =>
      (await transaction.query<{ n: number }>(`select count(*)::integer as n from ${table}`))[0].n;

    const [{ step }] = await transaction.query<{ step: { result: Record<string, unknown> } }>(
      sync("ana", [E1]),
    );
    assert.equal(step.result.status, "complete");
    assert.equal(step.result.created, 1);
    assert.equal(await count("public.calendly_meetings"), 1);
    assert.equal(await count("public.calendly_invitees"), 1);
    assert.equal(await count("public.bookings"), 0);
    const [alert, ...others] = await alerts();
    assert.deepEqual(others, []);
    assert.equal(alert.code, "own_table_failing");
    assert.match(alert.message, /fill_bookings.*"polite".*23514/);

    await transaction.exec("alter table public.bookings drop constraint polite;");
    await transaction.exec(REPAIR);
    assert.equal(await count("public.bookings"), 1);
    assert.deepEqual(await alerts(), []);
  });
}, UNMIGRATED);

databaseTest(
  "the original system's meetings by uuid follow calendly_meetings",
  async (database) => {
    await undone(database, async (transaction) => {
      await prepare(transaction, TRIGGERS + BY_UUID, byUuid.app);
      await transaction.exec(`select tests.add_account('ana@example.com');
      insert into public.meetings (user_id, title, starttime, meeting_source, calendly_event_uri)
        values (tests.account_of('ana'), 'Old title', now(), 'calendly', tests.event_uri('E1')),
          (tests.account_of('ana'), 'Lunch', now(), 'google', null);`);
      const meetings = `select title, meeting_source, is_deleted, attendees
      from public.meetings order by calendly_event_uri`;
      const earlier = await transaction.query("select id from public.meetings order by title");

      await transaction.exec(`select tests.connect('ana'); ${sync("ana", [E1, E2])}`);
      const ines = [{ name: "Ines", email: "ines@guest.example.com" }];
      const synced = [
        { title: "Intro call", meeting_source: "calendly", is_deleted: false, attendees: ines },
        { title: "Intro call", meeting_source: "calendly", is_deleted: true, attendees: [] },
        { title: "Lunch", meeting_source: "google", is_deleted: false, attendees: [] },
      ];
      assert.deepEqual(await transaction.query(meetings), synced);
      const ids = (await transaction.query("select id from public.meetings")).map(({ id }) => id);
      for (const { id } of earlier) assert.ok(ids.includes(id), "an earlier row is taken over");

      await transaction.exec(`delete from public.meetings where title = 'Intro call';
      select public.fill_meetings();`);
      assert.deepEqual(await transaction.query(meetings), synced);

      await transaction.exec(`set local role supabase_auth_admin;
      delete from auth.users where email = 'ana@example.com'; reset role;
      select calendly.end_closed_accounts();`);
      assert.deepEqual(await transaction.query(meetings), []);
      assert.deepEqual(await transaction.query("select from public.calendly_users"), []);
      assert.deepEqual(await transaction.query("select from public.calendly_alerts"), []);
    });
  },
  UNMIGRATED,
);

databaseTest(
  "the original system's users and meetings by integers follow both ways",
  async (database, t) => {
    await undone(database, async (transaction) => {
      await prepare(transaction, TRIGGERS + BY_INTEGER, byInteger.app + byInteger.rows);
      const person = async () =>
        (await transaction.query(`select p.calendly_initial_sync_complete as complete,
        p.last_calendly_sync = calendly.now() as synced_now from public.users p where p.id = 1`))[
          0
        ];
      const titles = async () =>
        (await transaction.query("select title, is_deleted from public.meetings order by id"))
          .map(({ title, is_deleted }) => `${title}${is_deleted ? " (deleted)" : ""}`);

      await t.step("a person's row follows once it is linked", async () => {
        // a server connects: nobody has an account
        await transaction.exec(`select tests.connect('ana'); ${sync("ana", [E1])}
        set local role service_role;
        update public.users set calendly_user_id = (select id from public.calendly_users)
          where id = 1;
        reset role;`);
        assert.deepEqual(await person(), { complete: true, synced_now: true });
        assert.deepEqual(await titles(), ["Review", "Intro call"]);
      });
      await t.step("a sync is seen in both tables", async () => {
        await transaction.exec(`select tests.pass('1 hour'); ${sync("ana", [E1, E2])}`);
        assert.deepEqual(await person(), { complete: true, synced_now: true });
        assert.deepEqual(await titles(), ["Review", "Intro call", "Intro call (deleted)"]);
      });
      await t.step(
        "the flag of migration 022, cleared in the app's own table, forces a FULL sync",
        async () => {
          const type = async () =>
            (await transaction.query<{ type: string }>(
              "select tests.begin('ana', 'scheduled') ->> 'sync_type' as type",
            ))[0].type;
          await transaction.exec(`set local role service_role;
        update users set calendly_initial_sync_complete = false where id = 1;
        reset role;`);
          assert.deepEqual(
            await transaction.query(`select u.calendly_initial_sync_complete as complete,
            c.next_sync_at = calendly.now() as due_now
          from public.calendly_users u join public.calendly_connections c on c.id = u.connection_id`),
            [{ complete: false, due_now: true }],
          );
          assert.equal(await type(), "FULL");
          await transaction.exec(`select tests.bring('ana', tests.page(array[${E1}, ${E2}]));
        select tests.finish('ana');`);
          assert.deepEqual(await person(), { complete: true, synced_now: true });
          await transaction.exec("select tests.pass('1 hour');");
          assert.equal(await type(), "INCREMENTAL");
        },
      );
      await t.step("nothing failed", async () => {
        assert.deepEqual(
          await transaction.query("select f.source, f.error from calendly.own_table_failures f"),
          [],
        );
      });
    });
  },
  UNMIGRATED,
);

Deno.test({
  ...needing(
    "beside a sync the app's own rows neither hold it up nor lock in a circle",
    "realPostgres",
  ),
  async fn(t) {
    const { url, drop } = await createDatabase();
    const [app, worker] = [connect(url), connect(url)];
    try {
      await app.unsafe(`drop view if exists public.users, public.meetings;
        ${byInteger.app.split("-- 022")[0]}
        alter table public.users add last_calendly_sync timestamptz,
          add calendly_initial_sync_complete boolean default false,
          add calendly_webhook_enabled boolean default false;
        alter table public.meetings add synced_via_webhook boolean default false;
        ${TRIGGERS} ${BY_INTEGER} ${FIXTURES}
        select calendly.set_clock('2026-06-01T12:00:00Z'); select tests.connect('ana');
        insert into public.users (email, calendly_user_id) select 'one@example.com', tests.id_of('ana');`);
      const flag = "update users set calendly_initial_sync_complete = false where id = 1";
      const failures = "select f.source, f.sqlstate from calendly.own_table_failures f";
      const first =
        "select tests.begin('ana'); select tests.bring('ana', tests.page(array[]::jsonb[]));";

      await t.step("the flag waits for a sync that finishes, and wins", async () => {
        await worker.unsafe(`${first} begin; select tests.finish('ana');`);
        const cleared = app.unsafe(flag).execute();
        await waiting(url);
        await worker.unsafe("commit");
        await cleared;
        const [row] = await app.unsafe("select calendly_initial_sync_complete as done from users");
        assert.equal(row.done, false);
      });
      await t.step("a sync that finishes waits for the flag, and both are done", async () => {
        await worker.unsafe(first);
        await app.unsafe(`begin; ${flag}`);
        const finished = worker.unsafe("select tests.finish('ana')").execute();
        await waiting(url);
        await app.unsafe("commit");
        await finished;
        assert.deepEqual([...await app.unsafe(failures)], []);
      });
      await t.step(
        "a row that the app keeps locked is a failure of the recipe, not of the sync",
        async () => {
          await worker.unsafe(`select tests.pass('1 minute'); ${first}`);
          await app.unsafe("begin; select from public.users for update");
          await worker.unsafe("select tests.finish('ana')");
          await app.unsafe("rollback");
          assert.deepEqual([...await app.unsafe(failures)], [
            { source: "fill_users", sqlstate: "55P03" },
          ]);
          const [{ status }] = await app.unsafe("select (tests.run_of('ana')).status");
          assert.equal(status, "complete");
        },
      );
    } finally {
      await Promise.all([app.end(), worker.end()]);
      await drop();
    }
  },
});

/** A project with the app's tables, ours, a recipe and the words of the stories. */
async function prepare(transaction: Transaction, recipe: string, app = ""): Promise<void> {
  await asOwner(transaction, app);
  await install(transaction);
  await asOwner(transaction, recipe);
  await transaction.exec(`${FIXTURES} select calendly.set_clock('2026-06-01T12:00:00Z');`);
}

function connect(url: string): postgres.Sql {
  return postgres(url, { max: 1, onnotice: () => {} });
}

/** Until somebody waits for a lock in this database. */
async function waiting(url: string): Promise<void> {
  const sql = connect(url);
  try {
    while (true) {
      const [{ n }] = await sql`select count(*)::integer as n from pg_locks l
        join pg_stat_activity a using (pid)
        where not l.granted and a.datname = current_database()`;
      if (n > 0) return;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  } finally {
    await sql.end();
  }
}

/** The SQL under a heading of the page. */
function section(heading: string): string {
  const text = PAGE.split("\n## ").find((part) => part.startsWith(`${heading}\n`));
  const blocks = [...(text ?? "").matchAll(/```sql\n(.*?)```/gs)].map(([, sql]) => sql);
  assert.equal(blocks.length, 1, heading);
  return blocks[0];
}
