/** Connecting by OAuth: who sets out, consents and comes back must be one person, and it counts once. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { assertMirrors } from "../functions/mirror.ts";
import { type Person, type Project, projectTests, until } from "../functions/support.ts";
import {
  callBack,
  connectByOAuth,
  consent,
  FEW,
  finish,
  isLive,
  runSchedule,
  SCOPES,
  start,
  tokenRequests,
  watchTokens,
} from "./support.ts";

const RETURN_URL = "https://app.example.com/settings?tab=calendly";

function stranger(project: Project): Promise<Person> {
  return project.person({ ...FEW, connected: false });
}

async function assertNotConnected(...people: Person[]): Promise<void> {
  for (const person of people) assert.equal((await person.connection()).state, "disconnected");
}

projectTests("OAuth", {
  "consent connects": async (project, t) => {
    const person = await stranger(project);
    let url: URL;
    let back: URL;

    await t.step("the way out asks for what a sync needs, with PKCE and a state", async () => {
      url = new URL(await start(person));
      assert.equal(url.origin + url.pathname, `${project.stack.calendlyUrl}/oauth/authorize`);
      const { client_id, response_type, redirect_uri, scope, code_challenge_method } = Object
        .fromEntries(url.searchParams);
      assert.deepEqual([client_id, response_type, code_challenge_method], [
        project.sandbox.demo.app.client_id,
        "code",
        "S256",
      ]);
      assert.equal(
        redirect_uri,
        `${project.wire.url}/functions/v1/calendly-connect/oauth/callback`,
      );
      assert.deepEqual(scope.split(" "), SCOPES);
      assert.match(url.searchParams.get("code_challenge")!, /^[\w-]{43}$/);
      assert.match(url.searchParams.get("state")!, /^[\w-]{43}$/);
    });

    await t.step("what is remembered of it would let nobody finish it", async () => {
      const [{ row }] = await project.stack.sql(
        "select o::text as row from calendly.oauth_states o",
      );
      const state = url.searchParams.get("state")!;
      assert.ok(!row.includes(state));
      assert.ok(row.includes(createHash("sha256").update(state).digest("hex")));
      assert.equal(row.match(/eyJ/g).length, 1, "the verifier is encrypted");
    });

    await t.step("the way back ends at the app, with code and state", async () => {
      back = await consent(project, url.href, { user: person.host.uri });
      assert.equal(`${back.origin}${back.pathname}`, "https://app.example.com/settings");
      assert.deepEqual([...back.searchParams.keys()].sort(), ["code", "state", "tab"]);
      await assertNotConnected(person);
    });

    await t.step("finishing connects, and starts the first sync in the background", async () => {
      const { status, body } = await finish(person, back, {});
      assert.equal(status, 201);
      assert.deepEqual([body.state, body.scope, body.calendly_user.uri], [
        "active",
        "user",
        person.host.uri,
      ]);
      assert.doesNotMatch(JSON.stringify(body), /at_|rt_|eyJ/, "tells no token");
      await until(async () => (await person.runs())[0]?.status === "complete");
      await assertMirrors(person);
      const [run] = await person.runs();
      assert.deepEqual([run.trigger, run.sync_type, run.created], ["connect", "FULL", 3]);
    });
  },

  "a person who does not consent comes back with Calendly's reason": async (project) => {
    const person = await stranger(project);
    const back = await consent(project, await start(person), {
      user: person.host.uri,
      decision: "deny",
    });
    assert.equal(back.searchParams.get("error"), "access_denied");
    assert.ok(back.searchParams.get("error_description"));
    assert.equal(back.searchParams.get("code"), null);
  },

  "the callback leads to CALENDLY_RETURN_URL and nowhere else": async (project, t) => {
    const attempts: [what: string, search: string, headers: Record<string, string>][] = [
      [
        "a foreign address in the query",
        "?return_to=https://evil.example.com&redirect_uri=//evil",
        {},
      ],
      ["a foreign host in the headers", "", {
        "x-forwarded-host": "evil.example.com",
        "x-forwarded-proto": "https",
        forwarded: "host=evil.example.com",
        referer: "https://evil.example.com/",
        origin: "https://evil.example.com",
      }],
      ["the app's own parameters in the query", "?tab=evil&code=c&state=s&user=1", {}],
      [
        "an address for a code",
        `?code=${encodeURIComponent("https://evil.example.com/?a=b#c")}`,
        {},
      ],
      ["a path that goes on", "?state=%2F..%2F..%0d%0alocation:%20https://evil.example.com", {}],
    ];
    for (const [what, search, headers] of attempts) {
      await t.step(what, async () => {
        const response = await callBack(project, search, headers);
        assert.equal(response.status, 302);
        const target = new URL(response.headers.get("location")!);
        assert.equal(target.origin + target.pathname, "https://app.example.com/settings");
        assert.equal(target.searchParams.get("tab"), "calendly");
        const asked = new URLSearchParams(search);
        for (const [name, value] of target.searchParams) {
          assert.ok(["tab", "code", "state"].includes(name), name);
          if (name !== "tab") assert.equal(value, asked.get(name));
        }
        assert.equal(response.headers.get("referrer-policy"), "no-referrer");
        assert.equal(response.headers.get("cache-control"), "no-store");
      });
    }
  },

  "whoever did not set out cannot finish": async (project, t) => {
    const [mallory, victim] = [await stranger(project), await stranger(project)];
    const before = tokenRequests(project);
    const link = await start(mallory);

    await t.step("approving somebody else's link connects nothing", async () => {
      const back = await consent(project, link, { user: victim.host.uri });
      const { status, body: { error } } = await finish(victim, back);
      assert.deepEqual([status, error.code], [409, "oauth_state_invalid"]);
      assert.match(error.hint, /oauth\/start/);
      await assertNotConnected(mallory, victim);
      assert.equal(tokenRequests(project), before, "the code is not even shown to Calendly");
    });

    await t.step("nor does a state that nobody made, or none", async () => {
      for (const state of ["made up", ""]) {
        const { status } = await victim.invoke("calendly-connect/oauth/finish", "POST", {
          code: "any",
          state,
        });
        assert.equal(status, state ? 409 : 400);
      }
    });

    await t.step("nor a code that was bought with another one's link", async () => {
      const own = new URL(await start(victim));
      const back = await consent(project, link, { user: victim.host.uri });
      back.searchParams.set("state", own.searchParams.get("state")!);
      const { status, body: { error } } = await finish(victim, back);
      assert.deepEqual([status, error.code], [422, "oauth_code_invalid"], "PKCE tells them apart");
      await assertNotConnected(victim);
    });

    await t.step("nor anybody who is not signed in, or a server", async () => {
      const body = JSON.stringify({ code: "c", state: new URL(link).searchParams.get("state") });
      for (const headers of [{}, { apikey: project.stack.secretKey }] as HeadersInit[]) {
        for (const path of ["start", "finish"]) {
          const answer = await project.fetch(`calendly-connect/oauth/${path}`, {
            method: "POST",
            headers,
            body,
          });
          assert.deepEqual([answer.status, answer.body.error.code], [401, "not_authenticated"]);
        }
      }
    });

    await t.step("and the attempt is not spoilt for the one who made it", async () => {
      const back = await consent(project, link, { user: mallory.host.uri });
      assert.equal((await finish(mallory, back)).status, 201);
    });
  },

  "a state works once": async (project, t) => {
    await t.step("and not a second time", async () => {
      const person = await stranger(project);
      const back = await consent(project, await start(person), { user: person.host.uri });
      assert.equal((await finish(person, back)).status, 201);
      const { status, body } = await finish(person, back);
      assert.deepEqual([status, body.error.code], [409, "oauth_state_invalid"]);
      assert.equal((await person.connection()).state, "active");
      assert.equal((await person.sync()).body.status, "complete", "what was connected goes on");
    });

    await t.step("for one of two that finish at once", async () => {
      const person = await stranger(project);
      const back = await consent(project, await start(person), { user: person.host.uri });
      const answers = await Promise.all([finish(person, back), finish(person, back)]);
      assert.deepEqual(answers.map(({ status }) => status).sort(), [201, 409]);
    });

    await t.step("within ten minutes", async () => {
      const person = await stranger(project);
      const url = await start(person);
      await project.advance("601s");
      const back = await consent(project, url, { user: person.host.uri });
      const { status, body: { error } } = await finish(person, back);
      assert.deepEqual([status, error.code], [409, "oauth_state_invalid"]);
      await assertNotConnected(person);
    });

    await t.step("until its person sets out anew", async () => {
      const person = await stranger(project);
      const [first, second] = [await start(person), await start(person)];
      const refused = await finish(
        person,
        await consent(project, first, { user: person.host.uri }),
      );
      assert.equal(refused.body.error.code, "oauth_state_invalid");
      const back = await consent(project, second, { user: person.host.uri });
      assert.equal((await finish(person, back)).status, 201);
    });
  },

  "another Calendly account than before": async (project, t) => {
    const person = await stranger(project);
    const other = project.sandbox.control.create_user({ email: "other@example.com" });
    project.sandbox.control.populate({ ...FEW, events: 2, user: other.uri });
    using watched = watchTokens(project);
    await connectByOAuth(person);
    await person.sync();

    await t.step("is not mixed with it: it asks for confirmation", async () => {
      const { status, body: { error } } = await connectByOAuth(person, { user: other.uri });
      assert.deepEqual([status, error.code], [409, "another_calendly_user"]);
      assert.match(error.hint, /"replace": true/);
      assert.equal((await person.connection()).calendly_user.uri, person.host.uri);
      await assertMirrors(person);
    });

    await t.step("and its grant is given back, while the one in use lives", async () => {
      const live = await Promise.all(
        watched.given.map(({ access_token }) => isLive(project, access_token)),
      );
      assert.deepEqual(live, [true, false]);
    });

    await t.step("takes its place once that is confirmed", async () => {
      const { status, body } = await connectByOAuth(person, { user: other.uri, replace: true });
      assert.deepEqual([status, body.calendly_user.uri], [201, other.uri]);
      assert.deepEqual(await person.meetings(), []);
      const { body: synced } = await person.sync();
      assert.deepEqual([synced.sync_type, synced.created], ["FULL", 2]);
    });

    await t.step("and the former grant is given back", async () => {
      await runSchedule(project);
      assert.equal(await isLive(project, watched.given[0].access_token), false);
      await project.advance("1m");
      assert.equal((await person.sync()).body.status, "complete");
    });
  },

  "reconnecting as the same Calendly user keeps everything": async (project) => {
    const person = await stranger(project);
    await connectByOAuth(person);
    await person.sync();
    const versions = () =>
      project.stack.sql(
        "select ctid::text, id from public.calendly_meetings where user_id = $1 order by id",
        [
          person.id,
        ],
      );
    const before = await versions();
    const { id } =
      (await project.stack.sql("select id from calendly_connections where user_id = $1", [
        person.id,
      ]))[0];
    await project.advance("1m");
    assert.equal((await connectByOAuth(person)).status, 201);
    const { body } = await person.sync();
    assert.deepEqual([body.unchanged, body.created, body.requests], [3, 0, 1]);
    assert.deepEqual(await versions(), before);
    const connections = await project.stack.sql(
      "select id from calendly_connections where user_id = $1",
      [person.id],
    );
    assert.deepEqual(connections, [{ id }]);
  },

  "a second connection to one Calendly user is refused": async (project) => {
    const [ann, bob] = [await stranger(project), await stranger(project)];
    await connectByOAuth(ann);
    await ann.sync();
    using watched = watchTokens(project);
    const { status, body: { error } } = await connectByOAuth(bob, { user: ann.host.uri });
    assert.deepEqual([status, error.code], [409, "calendly_user_taken"]);
    await assertNotConnected(bob);
    assert.deepEqual(await bob.meetings(), []);
    assert.equal(await isLive(project, watched.given[0].access_token), false, "it is given back");
    await project.advance("1m");
    assert.equal((await ann.sync()).body.unchanged, 3);
  },
}, { env: { CALENDLY_RETURN_URL: RETURN_URL } });
