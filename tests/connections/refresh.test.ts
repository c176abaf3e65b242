/** OAuth tokens live two hours and their refresh tokens work once: nobody notices, or is told what to do. */
import assert from "node:assert/strict";
import { assertMirrors } from "../functions/mirror.ts";
import {
  type Person,
  type Project,
  projectTest,
  projectTests,
  until,
} from "../functions/support.ts";
import {
  connectByOAuth,
  connected,
  FEW,
  isLive,
  member,
  moreInstances,
  runSchedule,
  TOKEN_KEY,
  tokenRequests,
  watchTokens,
} from "./support.ts";

/** Has Calendly's tokens end at once, though they were given for two hours. */
async function expireUnawares(project: Project): Promise<void> {
  await project.stack.sql(
    "update calendly.credentials set expires_at = expires_at + interval '1 day' where kind = 'oauth'",
  );
  await project.advance("3h");
}

/** What the person's row of calendly_sync_health says, and the alerts. */
async function health(person: Person) {
  const [row] = await person.project.stack.sql<{
    connection_state: string;
    last_error: Record<string, string>;
    next_sync_at: string | null;
  }>(
    "select connection_state, last_error, next_sync_at from calendly_sync_health where user_id = $1",
    [person.id],
  );
  const alerts = await person.project.stack.sql<Record<string, string>>(
    "select code, severity, message, what_to_do from calendly_alerts where user_id = $1",
    [person.id],
  );
  return { ...row, alerts };
}

/** Fails unless everybody is told to reconnect this person, and Calendly is left alone from now on. */
async function assertReconnectRequired(person: Person, reason: RegExp): Promise<void> {
  const { connection_state, last_error, next_sync_at, alerts } = await health(person);
  assert.deepEqual([connection_state, next_sync_at], ["reconnect_required", null]);
  assert.match(last_error.message, reason);
  assert.ok(last_error.hint && last_error.at);
  const alert = alerts.find(({ code }) => code === "reconnect_required");
  assert.equal(alert?.severity, "critical");
  assert.match(alert.message, reason);
  assert.match(alert.what_to_do, /connects again/);

  const { count } = person.project.sandbox.control.requests();
  const { status, body: { error } } = await person.sync();
  assert.deepEqual([status, error.code], [409, "reconnect_required"]);
  assert.match(error.hint, /calendly-connect/);
  await person.project.advance("1d");
  await runSchedule(person.project);
  assert.equal(person.project.sandbox.control.requests().count, count, "Calendly is left alone");
}

projectTests("Refreshing", {
  "a token is refreshed": async (project, t) => {
    const person = await connected(project);
    const before = tokenRequests(project);

    await t.step("not while it lives long enough for a sync", async () => {
      await project.advance("110m");
      assert.equal((await person.sync()).body.status, "complete");
      assert.equal(tokenRequests(project), before);
    });

    await t.step("shortly before it ends, without a request that is refused", async () => {
      await project.advance("6m");
      person.requests();
      const { body } = await person.sync();
      assert.deepEqual([body.status, body.requests], ["complete", 1]);
      assert.equal(tokenRequests(project), before + 1);
      assert.equal(project.sandbox.control.requests({ status: 401 }).count, 0);
    });

    await t.step("when Calendly refuses it earlier than expected", async () => {
      await expireUnawares(project);
      const { body } = await person.sync();
      assert.deepEqual([body.status, body.requests], ["complete", 2], "refused, and again");
      assert.equal(tokenRequests(project), before + 2);
    });

    await t.step("for weeks, and nobody notices", async () => {
      for (let week = 0; week < 3; week++) {
        await project.advance("7d");
        assert.equal((await person.sync()).body.status, "complete");
      }
      assert.equal(tokenRequests(project), before + 5);
      assert.equal((await health(person)).last_error, null);
    });
  },

  "the new pair is stored before it is used": async (project, t) => {
    const person = await connected(project);
    await project.advance("3h");

    await t.step("so Calendly sees nothing of it until then", async () => {
      using watched = watchTokens(project);
      const { given } = watched;
      const held = project.wire.hold("calendly_finish_refresh");
      person.requests();
      const syncing = person.sync();
      await held.arrived;
      assert.equal(given.length, 1);
      assert.equal(person.requests(), 0);
      held.release();
      assert.equal((await syncing).body.status, "complete");
      assert.equal(person.requests(), 1);
    });

    await t.step("though the answer that it is stored be lost", async () => {
      await project.advance("3h");
      const before = tokenRequests(project);
      project.wire.loseAnswer("calendly_finish_refresh");
      assert.equal((await person.sync()).body.status, "complete");
      assert.equal(tokenRequests(project), before + 1);
    });

    await t.step("though the database be away for a moment", async () => {
      for (const code of ["PGRST001", "PGRST002", "PGRST003"]) {
        await project.advance("3h");
        const before = tokenRequests(project);
        const away = () => Promise.resolve(Response.json({ code }, { status: 503 }));
        project.wire.next("calendly_finish_refresh", away);
        assert.equal((await person.sync()).body.status, "complete", code);
        assert.equal(tokenRequests(project), before + 1);
      }
    });
  },

  "Calendly does not know the refresh token any more": async (project, t) => {
    for (
      const [when, expire] of [
        ["when it is refreshed in time", () => project.advance("3h")],
        ["when it is refused unawares", () => expireUnawares(project)],
      ] as const
    ) {
      await t.step(when, async () => {
        using watched = watchTokens(project);
        const person = await connected(project);
        project.sandbox.control.revoke_token({ token: watched.given[0].access_token });
        await expire();
        const before = tokenRequests(project);
        const { status, body: { error } } = await person.sync();
        assert.deepEqual([status, error.code], [409, "reconnect_required"]);
        assert.match(error.hint, /connects again/);
        const [run] = await person.runs();
        assert.deepEqual([run.status, run.error.code], ["failed", "reconnect_required"]);
        assert.equal(tokenRequests(project), before + 1);
        await assertMirrors(person);
        await assertReconnectRequired(person, /refresh token/);

        assert.equal((await connectByOAuth(person)).body.state, "active");
        const { body } = await person.sync();
        assert.deepEqual([body.status, body.unchanged], ["complete", 3]);
        assert.deepEqual((await health(person)).alerts, []);
      });
    }

    await t.step("and the schedule finds it out by itself", async () => {
      using watched = watchTokens(project);
      const person = await connected(project);
      project.sandbox.control.revoke_token({ token: watched.given[0].access_token });
      await project.advance("3h");
      await runSchedule(project);
      await assertReconnectRequired(person, /refresh token/);
    });
  },

  "three refusals in a row ask for a reconnect": async (project, t) => {
    const refusals: [string, number, Record<string, unknown>, RegExp][] = [
      ["401, after a refresh, too", 401, {
        title: "Unauthenticated",
        message: "The access token is invalid",
      }, /token is invalid/],
      ["403 for a scope", 403, {
        title: "Insufficient scope",
        required_scopes: ["scheduled_events:read"],
      }, /scheduled_events:read/],
      ["403 for something else", 403, {
        title: "Permission Denied",
        message: "You do not have permission",
      }, /permission/],
    ];
    for (const [what, status, body, reason] of refusals) {
      await t.step(what, async () => {
        const { control } = project.sandbox;
        const person = await connected(project);
        control.faults({
          path: "/scheduled_events",
          user: person.host.uri,
          times: null,
          effect: { kind: "status", status, body },
        });
        for (let time = 1; time <= 3; time++) {
          assert.equal((await health(person)).connection_state, "active");
          await project.advance("1m");
          const { status, body: { error } } = await person.sync();
          assert.equal(status, 424);
          assert.match(error.message, reason);
        }
        await assertReconnectRequired(person, reason);
        control.clear_faults();
      });
    }
  },

  "a function dies between Calendly's answer and Postgres": async (project, t) => {
    const deaths: [string, (person: Person) => Promise<void>][] = [
      ["of a click", async (person) => void await person.sync()],
      [
        "of the schedule",
        async () => void await project.fetch("calendly-sync/nudge", { method: "POST" }),
      ],
    ];
    for (const [what, run] of deaths) {
      await t.step(what, async () => {
        const person = await connected(project);
        await project.advance("3h");
        const died = Promise.withResolvers<void>();
        project.wire.next("calendly_finish_refresh", async () => {
          await project.stack.functions.kill("calendly-sync");
          died.resolve();
          return new Response(null, { status: 503 });
        });
        await Promise.all([run(person), died.promise]);
        // whoever takes the run up has the spent refresh token only
        await project.advance("5m");
        await runSchedule(project);
        await assertReconnectRequired(person, /a new token was lost on the way/);
        const [run_] = await person.runs();
        assert.deepEqual([run_.status, run_.error.code], ["failed", "reconnect_required"]);
        assert.equal((await connectByOAuth(person)).status, 201);
        assert.equal((await person.sync()).body.status, "complete");
      });
    }
  },

  "Calendly does not answer a refresh": async (project) => {
    const person = await connected(project);
    await project.advance("3h");
    project.sandbox.control.faults({
      path: "/oauth/token",
      effect: { kind: "status", status: 503 },
    });
    const { body } = await person.sync();
    assert.deepEqual([body.status, body.reason.code], ["paused", "calendly_unavailable"]);
    assert.equal((await health(person)).connection_state, "active");
    await project.advance("1m");
    assert.equal((await person.sync()).body.status, "complete", "the same token works later");
  },

  "Calendly has been asked for too many tokens, and is asked again when it says": async (
    project,
  ) => {
    const person = await connected(project);
    await project.advance("3h");
    project.sandbox.control.faults({
      path: "/oauth/token",
      effect: { kind: "rate_limited", reset: 120 },
    });
    const { body } = await person.sync();
    assert.deepEqual([body.status, body.reason.code], ["paused", "rate_limited"]);
    assert.equal(Date.parse(body.resume_at) - Date.parse(project.now), 120_000);
    await project.advance("2m");
    assert.equal((await person.sync()).body.status, "complete");
  },

  "Calendly is asked for eight tokens a minute at most": async (project) => {
    const person = await project.person({ ...FEW, connected: false });
    const before = tokenRequests(project);
    const began = Date.parse(project.now);
    await connectByOAuth(person);
    const asked = () => project.wire.calls.filter((c) => c === "calendly_begin_refresh").length;
    while (Date.parse(project.now) - began < 60_000) {
      await project.stack.sql("update calendly.credentials set expires_at = calendly.now()");
      let heard = asked();
      let answer: { body: { status: string } } | undefined;
      person.sync().then((body) => answer = body);
      await until(async () => {
        // told to wait: a second goes by
        if (asked() > heard) await project.advance("2s");
        heard = asked();
        return answer !== undefined;
      });
      assert.equal(answer!.body.status, "complete");
    }
    const all = project.sandbox.control.requests({ path: "/oauth/token" });
    const requests = all.requests.slice(before);
    const inTheMinute = requests.filter(({ at }) => Date.parse(at) - began < 60_000);
    assert.ok(inTheMinute.length >= 6 && inTheMinute.length <= 8, `${inTheMinute.length}`);
    assert.ok(requests.every(({ status }) => status !== 429));
  },
});

projectTest(
  "20 workers of 4 instances whose token ends at once make one refresh, and all go on",
  async (project, t) => {
    const { control } = project.sandbox;
    await using instances = moreInstances(project, 4);
    const organization = control.create_organization().uri;
    const owner = await member(project, organization, "owner", "owner");
    const workers = await Promise.all(
      Array.from({ length: 20 }, (_, n) => member(project, organization, `worker${n}`)),
    );
    for (const { host } of workers) control.populate({ ...FEW, user: host.uri });
    using watched = watchTokens(project);
    await connectByOAuth(owner, { scope: "organization", sync: true });
    await until(async () => (await owner.connection()).initial_sync_complete);

    const rounds: [string, () => Promise<void>][] = [
      ["before it ends", () => project.advance("117m")],
      ["when Calendly refuses it", () => expireUnawares(project)],
    ];
    for (const [when, expire] of rounds) {
      await t.step(when, async () => {
        await expire();
        control.clear_requests();
        project.wire.calls.length = 0;
        const given = watched.given.length;
        // nobody gets the new token before all have asked for it
        const held = project.wire.hold("calendly_finish_refresh");
        const answers = Promise.all(workers.map((worker, n) => instances.sync(n, worker)));
        await until(() =>
          project.wire.calls.filter((call) => call === "calendly_begin_refresh").length >= 20
        );
        held.release();
        for (const { status, body } of await answers) {
          assert.deepEqual([status, body.status, body.unchanged], [200, "complete", 3]);
        }
        const { by_status } = control.requests({ path: "/oauth/token" });
        assert.deepEqual(by_status, { "200": 1 }, "one refresh, and no invalid_grant");
        assert.equal(watched.given.length, given + 1);
        assert.ok(await isLive(project, watched.given[given].access_token));
        assert.equal((await owner.connection()).last_error, null);
      });
    }
  },
  // 20 that ask again ten times as often would keep Postgres from answering
  { on: "real", env: { CALENDLY_TOKEN_KEY: TOKEN_KEY }, shortenPauses: 1 },
);
