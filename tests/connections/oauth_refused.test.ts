/** Consent that comes to nothing: too little is allowed, Calendly is away, or something is not set up. */
import assert from "node:assert/strict";
import { type Person, projectTests } from "../functions/support.ts";
import {
  callBack,
  connectByOAuth,
  consent,
  finish,
  isLive,
  SCOPES,
  start,
  watchTokens,
} from "./support.ts";

/** Values with which a person cannot connect by OAuth. */
const WRONG = [
  ["CALENDLY_API_URL", "api.calendly.com"],
  ["CALENDLY_AUTH_URL", "auth.calendly.com"],
  ["CALENDLY_CLIENT_ID", ""],
  ["CALENDLY_CLIENT_SECRET", ""],
  ["CALENDLY_RETURN_URL", "localhost:3000/settings"],
  ["CALENDLY_TOKEN_KEY", "short"],
  ["SUPABASE_PUBLIC_URL", "http://kong:8000"],
] as const;

async function assertNotConnected(person: Person): Promise<void> {
  assert.equal((await person.connection()).state, "disconnected");
}

projectTests("OAuth that does not succeed", {
  "a grant with too few scopes is refused": async (project, t) => {
    const person = await project.person({ connected: false });

    await t.step("with the missing ones named, and is given back", async () => {
      using watched = watchTokens(project);
      const { status, body: { error } } = await connectByOAuth(person, {
        scopes: ["users:read", "organizations:read", "scheduled_events:read"],
      });
      assert.deepEqual([status, error.code], [422, "scopes_missing"]);
      assert.deepEqual(error.missing, ["event_types:read", "webhooks:write"]);
      assert.match(error.message, /event_types:read, webhooks:write/);
      await assertNotConnected(person);
      const [{ access_token }] = watched.given;
      assert.equal(await isLive(project, access_token), false);
    });

    await t.step("webhooks:read is not enough to make webhooks", async () => {
      const scopes = SCOPES.map((scope) => scope.replace("webhooks:write", "webhooks:read"));
      const { body: { error } } = await connectByOAuth(person, { scopes });
      assert.deepEqual(error.missing, ["webhooks:write"]);
    });

    await t.step("but to write includes to read", async () => {
      const scopes = SCOPES.map((scope) =>
        scope.replace(/^(organizations|event_types|scheduled_events):read/, "$1:write")
      );
      assert.equal((await connectByOAuth(person, { scopes })).status, 201);
    });

    await t.step("and what an old app is granted by default is everything", async () => {
      assert.equal((await connectByOAuth(person, { scopes: ["default"] })).status, 201);
    });
  },

  "Calendly fails on the way": async (project, t) => {
    const { control } = project.sandbox;

    await t.step("while it is away the person is asked to begin again", async () => {
      const person = await project.person({ connected: false });
      control.faults({ path: "/oauth/token", effect: { kind: "status", status: 503 } });
      const { status, body: { error } } = await connectByOAuth(person);
      assert.deepEqual([status, error.code], [502, "calendly_unavailable"]);
      assert.match(error.hint, /[Bb]egin again/);
      await assertNotConnected(person);
      assert.equal((await connectByOAuth(person)).status, 201);
    });

    const refusals: [number, unknown, RegExp][] = [
      [400, { error: "invalid_request" }, /HTTP 400 \(invalid_request\)\.$/],
      [
        400,
        { error: "invalid_request", error_description: "redirect_uri is missing" },
        /HTTP 400 \(invalid_request\): redirect_uri is missing$/,
      ],
      [401, "<html>invalid_grant</html>", /HTTP 401\.$/],
      [404, { error: { code: "secret" } }, /HTTP 404\.$/],
    ];
    for (const [refused, body, message] of refusals) {
      await t.step(`what it says is handed on: ${message.source}`, async () => {
        const person = await project.person({ connected: false });
        control.faults({ path: "/oauth/token", effect: { kind: "status", status: refused, body } });
        const { status, body: { error } } = await connectByOAuth(person);
        assert.deepEqual([status, error.code], [502, "calendly_unavailable"]);
        assert.match(error.message, message);
      });
    }

    await t.step("a code that has grown old is told apart from a state that has", async () => {
      const person = await project.person({ connected: false });
      const url = await start(person);
      const back = await consent(project, url, { user: person.host.uri });
      control.advance({ by: "10m" });
      const { status, body: { error } } = await finish(person, back);
      assert.deepEqual([status, error.code], [422, "oauth_code_invalid"]);
      control.advance({ by: "-10m" });
    });
  },

  "what is not set up is said": async (project, t) => {
    const person = await project.person({ connected: false });
    const settings: [string, string, RegExp][] = [
      ["CALENDLY_RETURN_URL", "", /page of your app/],
      ["CALENDLY_RETURN_URL", "settings", /page of your app/],
      ["CALENDLY_CLIENT_ID", "", /OAuth app/],
      ["CALENDLY_CLIENT_SECRET", "", /OAuth app/],
      ["CALENDLY_TOKEN_KEY", "", /openssl/],
    ];
    for (const [name, value, hint] of settings) {
      await t.step(`${name}=${value}`, async () => {
        const good = project.environment[name];
        await project.restart({ [name]: value });
        const { status, body: { error } } = await person.invoke(
          "calendly-connect/oauth/start",
          "POST",
        );
        assert.deepEqual([status, error.code], [503, "not_configured"]);
        assert.match(error.message, new RegExp(name));
        assert.match(error.hint, hint);
        if (name === "CALENDLY_RETURN_URL") {
          assert.equal((await callBack(project, "?code=c&state=s")).status, 503);
        }
        if (good === undefined) delete project.environment[name];
        await project.restart(good === undefined ? {} : { [name]: good });
      });
    }
    await t.step("before a consent is used up: it is finished once all is set", async () => {
      for (const [name, value] of WRONG) {
        const url = await start(person);
        const back = await consent(project, url, { user: person.host.uri });
        const good = project.environment[name];
        await project.restart({ [name]: value });
        const asked = project.sandbox.control.requests().count;
        const { status, body: { error } } = await finish(person, back);
        assert.deepEqual([status, error.code], [503, "not_configured"], name);
        assert.match(error.message, new RegExp(name));
        assert.equal(project.sandbox.control.requests().count, asked, "Calendly is not asked");
        if (good === undefined) delete project.environment[name];
        await project.restart(good === undefined ? {} : { [name]: good });
        assert.equal((await finish(person, back)).status, 201, name);
        assert.equal((await person.disconnect()).status, 200);
      }
    });

    await t.step(
      "a client that Calendly does not know, which uses up no consent either",
      async () => {
        const back = await consent(project, await start(person), { user: person.host.uri });
        await project.restart({ CALENDLY_CLIENT_SECRET: "another secret" });
        const { status, body: { error } } = await finish(person, back);
        assert.deepEqual([status, error.code], [503, "not_configured"]);
        assert.match(error.hint, /CALENDLY_CLIENT_ID and CALENDLY_CLIENT_SECRET/);
        delete project.environment.CALENDLY_CLIENT_SECRET;
        await project.restart({});
        assert.equal((await finish(person, back)).status, 201);
        assert.equal((await finish(person, back)).body.error.code, "oauth_state_invalid");
      },
    );
  },
}, { env: { CALENDLY_RETURN_URL: "https://app.example.com/settings" } });
