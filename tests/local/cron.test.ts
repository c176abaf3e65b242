/** The stand-ins for pg_cron and pg_net behave like these. */
import assert from "node:assert/strict";
import { isDue, startTicker } from "../../local/cron.ts";
import { databaseTest } from "../harness/databases.ts";

const at = (time: string) => new Date(`2026-11-23T${time}Z`);

Deno.test("a job is due once in the span that contains its time", () => {
  const cases: [schedule: string, since: string, until: string, due: boolean][] = [
    ["* * * * *", "10:00:59", "10:01:00", true],
    ["* * * * *", "10:01:00", "10:01:01", false],
    ["*/5 * * * *", "10:04:59", "10:05:00", true],
    ["*/5 * * * *", "10:05:00", "10:05:59", false],
    ["30 3 * * *", "03:29:00", "03:31:00", true],
    ["30 3 * * *", "03:31:00", "23:59:59", false],
    ["0 3 * * 0", "02:59:59", "03:00:00", false],
    ["10 seconds", "10:00:09", "10:00:10", true],
    ["10 seconds", "10:00:10", "10:00:19", false],
    // as the setting tick writes it
    ["1 seconds", "10:00:10", "10:00:11", true],
    ["20 seconds", "10:00:19", "10:00:20", true],
    ["20 seconds", "10:00:20", "10:00:39", false],
  ];
  for (const [schedule, since, until, due] of cases) {
    assert.equal(isDue(schedule, at(since), at(until)), due, `${schedule} ${since} ${until}`);
  }
});

databaseTest("a due job runs as its owner, and its run is recorded", async (database) => {
  await database.script(`create table public.ran (by text);
    grant insert on public.ran to postgres;
    set local role postgres;
    select cron.schedule('work', '* * * * *', 'insert into public.ran values (current_user)');
    select cron.schedule('fail', '* * * * *', 'select 1 / 0');
    select cron.schedule('idle', '0 3 * * *', 'insert into public.ran values (''idle'')');`);
  const ticker = await startTicker(database, { automatic: false });
  await ticker.tick(at("10:00:30"), at("10:01:30"));
  await ticker.stop();
  assert.deepEqual(await database.query("select * from public.ran"), [{ by: "postgres" }]);
  assert.deepEqual(
    await database.query(`select jobname, status, return_message from cron.job_run_details
      join cron.job using (jobid) order by runid`),
    [
      { jobname: "work", status: "succeeded", return_message: null },
      { jobname: "fail", status: "failed", return_message: "division by zero" },
    ],
  );
}, { migrations: null });

databaseTest(
  "a job may commit several times, and what it has not committed is rolled back when it fails",
  async (database) => {
    await database.script(`create table public.ran (n integer);
    grant all on public.ran to postgres;
    set local role postgres;
    select cron.schedule('slices', '* * * * *', 'do $do$ begin
      for n in 1..3 loop insert into public.ran values (n); commit; end loop;
      insert into public.ran values (4); rollback;
    end $do$');
    select cron.schedule('half', '* * * * *', 'begin; insert into public.ran values (5); select 1 / 0');`);
    const ticker = await startTicker(database, { automatic: false });
    await ticker.tick(at("10:00:30"), at("10:01:30"));
    await ticker.stop();
    assert.deepEqual(await database.query("select n from public.ran order by n"), [
      { n: 1 },
      { n: 2 },
      { n: 3 },
    ]);
    assert.deepEqual(
      await database.query("select status from cron.job_run_details order by runid"),
      [
        { status: "succeeded" },
        { status: "failed" },
      ],
    );
    assert.deepEqual(await database.query("select current_user = session_user as own"), [{
      own: true,
    }]);
  },
  { migrations: null },
);

databaseTest(
  "a queued request is sent once, whatever the answer is",
  async (database) => {
    const received: unknown[] = [];
    const server = Deno.serve(
      { hostname: "127.0.0.1", port: 0, onListen() {} },
      async (request) => {
        const { pathname, search } = new URL(request.url);
        received.push([
          request.method,
          pathname + search,
          request.headers.get("x-a"),
          await request.text(),
        ]);
        return new Response(null, { status: 500 });
      },
    );
    const ticker = await startTicker(database, { automatic: false });
    try {
      await database.query(
        `select net.http_post(url => $1, body => '{"a": 1}', params => '{"q": "x y&ü"}', headers => '{"x-a": "b"}')`,
        [`http://127.0.0.1:${server.addr.port}/nudge`],
      );
      await database.query("select net.http_post('http://127.0.0.1:9/closed')");
      await ticker.tick(at("10:00:00"), at("10:00:01"));
      await ticker.tick(at("10:00:01"), at("10:00:02"));
      await ticker.sent();
      assert.deepEqual(received, [["POST", "/nudge?q=x%20y%26%C3%BC", "b", '{"a": 1}']]);
    } finally {
      await ticker.stop();
      await server.shutdown();
    }
  },
  { migrations: null },
);

databaseTest("a request of a rolled-back transaction is not sent", async (database) => {
  await assert.rejects(
    database.script("select net.http_post('http://127.0.0.1:9/'); select 1 / 0"),
  );
  assert.deepEqual(await database.query("select * from net.http_request_queue"), []);
}, { migrations: null });
