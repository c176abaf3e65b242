/** The first sentence of the operations: the worst comes first, and each says what to do. */
import assert from "node:assert/strict";
import { type Facts, firstSentence } from "../../web/operations/sentence.ts";

const WELL: Facts = {
  alerts: [],
  freshness: { users: 12, neverSynced: 0, maxSeconds: 240 },
  failingConnections: 0,
  paused: { runs: 0, resumeInSeconds: null, code: null },
  functionsProblem: null,
  configurationErrors: [],
  kind: "hosted",
};
const ALERT = {
  code: "reconnect_required",
  severity: "critical",
  user_id: 3,
  message: "Calendly refuses the token of user 3: revoked",
  what_to_do: "The person connects again: POST /functions/v1/calendly-connect.",
};

Deno.test("where all is well, the sentence says for whom and how fresh", () => {
  assert.deepEqual(firstSentence(WELL), {
    tone: "good",
    headline: "All is well: the meetings of all 12 connected people were compared with Calendly " +
      "within the last 4 min.",
    detail: "Nothing is to be done.",
  });
  const one = firstSentence({ ...WELL, freshness: { users: 1, neverSynced: 0, maxSeconds: 30 } });
  assert.match(one.headline, /of the one connected person were .* within the last minute\.$/);
});

Deno.test("what could not be read again is not called well", () => {
  const unread = { seconds: 190, message: "The project cannot be reached", hint: "Try again." };
  const said = firstSentence({ ...WELL, unread });
  assert.equal(said.tone, "critical");
  assert.equal(said.headline, "It is not known how it is: nothing could be read for 3 min.");
  assert.equal(said.detail, "The project cannot be reached. Try again.");
  // A single answer that was lost is no news.
  assert.equal(firstSentence({ ...WELL, unread: { ...unread, seconds: 12 } }).tone, "good");
});

Deno.test("a first sync that has not finished is told apart from what is proven", () => {
  const { headline, detail } = firstSentence({
    ...WELL,
    freshness: { users: 12, neverSynced: 2, maxSeconds: 240 },
  });
  assert.match(headline, /of 10 of 12 connected people/);
  assert.equal(detail, "The first sync of 2 more has not finished.");
  assert.match(
    firstSentence({ ...WELL, freshness: { users: 2, neverSynced: 2, maxSeconds: null } }).headline,
    /the first sync of 2 people has begun/,
  );
});

Deno.test("where the last sync of somebody failed, all is not called well", () => {
  const said = firstSentence({ ...WELL, failingConnections: 1 });
  assert.equal(said.tone, "warning");
  assert.equal(
    said.headline,
    "The last sync of one connection failed, and is tried again by itself.",
  );
  assert.match(
    firstSentence({ ...WELL, failingConnections: 2 }).headline,
    /of 2 connections failed, and are tried again/,
  );
  const alerts = [ALERT];
  assert.match(firstSentence({ ...WELL, failingConnections: 1, alerts }).headline, /user 3/);
});

Deno.test("a paused run is no alert, and is told with when it goes on and why it waits", () => {
  const paused = { runs: 1, resumeInSeconds: 50, code: "rate_limited" };
  assert.equal(
    firstSentence({ ...WELL, paused }).detail,
    "1 sync is paused and goes on by itself in 50 s (rate_limited).",
  );
  assert.match(
    firstSentence({ ...WELL, paused: { ...paused, runs: 2 } }).detail,
    /^2 syncs are paused and go on by themselves within 50 s/,
  );
  assert.equal(firstSentence({ ...WELL, paused }).tone, "good");
});

Deno.test("a critical alert is the sentence, with what to do, before every warning", () => {
  const warning = { ...ALERT, severity: "warning", message: "Slow." };
  const said = firstSentence({ ...WELL, alerts: [warning, ALERT] });
  assert.equal(said.tone, "critical");
  assert.equal(said.headline, "Calendly refuses the token of user 3: revoked.");
  assert.equal(said.detail, ALERT.what_to_do);
  assert.equal(said.person, 3);
  assert.equal(said.link?.text, "2 alerts, each with its evidence");
});

Deno.test("a warning does not deny that meetings are up to date", () => {
  const said = firstSentence({
    ...WELL,
    alerts: [{ ...ALERT, severity: "warning", message: "3 webhook events could not be applied." }],
  });
  assert.equal(said.tone, "warning");
  assert.match(said.headline, /^Meetings are up to date, and .* 3 webhook events could not/);
});

Deno.test("functions that do not answer come before all else", () => {
  const said = firstSentence({
    ...WELL,
    alerts: [ALERT],
    functionsProblem: { message: "No answer within 10 s", hint: "Deploy them" },
  });
  assert.equal(said.tone, "critical");
  assert.match(said.headline, /^The Edge Functions do not answer/);
  assert.equal(said.detail, "No answer within 10 s. Deploy them.");
});

Deno.test("a wrong environment names what is wrong and what would be right", () => {
  const said = firstSentence({
    ...WELL,
    configurationErrors: [{ message: "CALENDLY_TOKEN_KEY is missing.", hint: "Set 32 bytes." }],
  });
  assert.equal(
    said.headline,
    "The Edge Functions are not configured: CALENDLY_TOKEN_KEY is missing.",
  );
  assert.equal(said.detail, "Set 32 bytes.");
});

Deno.test("where nobody is connected, the sentence says how to begin", () => {
  const empty = { ...WELL, freshness: { users: 0, neverSynced: 0, maxSeconds: null } };
  assert.equal(firstSentence(empty).tone, "empty");
  assert.match(firstSentence(empty).detail, /calendly-connect/);
  assert.equal(firstSentence({ ...empty, kind: "local" }).link?.href, "#/meetings");
  assert.equal(firstSentence({ ...empty, alerts: [ALERT] }).tone, "critical");
});
