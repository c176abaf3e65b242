/** What monitors are told by calendly-sync/health and …/metrics, by whom they are and what is wrong. */
import assert from "node:assert/strict";
import sync from "../../supabase/functions/calendly-sync/index.ts";
import { VERSION } from "../../supabase/functions/_shared/calendly/version.ts";
import { type Family, parseOpenMetrics } from "./openmetrics.ts";
import { type Answers, collectErrors, SECRET_KEY, stillClock, Stub } from "./stub.ts";

const HEALTHY = {
  status: "healthy",
  alerts: [],
  freshness: { users: 2, never_synced: 0, p50: "00:01:00" },
};
const ALERT = { code: "stale", severity: "critical", user_id: 7, message: "User 7", since: null };
const UNHEALTHY = { ...HEALTHY, status: "unhealthy", alerts: [ALERT] };
const AS_SERVER = { apikey: SECRET_KEY };

async function ask(path: string, headers: Record<string, string> = {}, method = "GET") {
  const response = await sync.fetch(
    new Request(`http://project.test/functions/v1/calendly-sync/${path}`, { method, headers }),
  );
  const text = await response.text();
  return { status: response.status, headers: response.headers, text };
}

/** The answer to GET …/health. */
async function health(headers: Record<string, string> = {}) {
  const { status, text } = await ask("health", headers);
  return { status, body: JSON.parse(text) };
}

/** No remembered answer of a test is as young as this. */
let later = 1_000_000;

function healthTest(
  name: string,
  answers: Answers,
  test: (stub: Stub, clock: { now: number }) => Promise<void>,
  environment: Record<string, string> = {},
): void {
  Deno.test(name, async () => {
    using clock = stillClock();
    clock.now = later += 1_000_000;
    await using stub = new Stub(answers, environment);
    using _errors = collectErrors();
    await test(stub, clock);
  });
}

healthTest("strangers are told one word", { calendly_health: () => UNHEALTHY }, async () => {
  const strangers: [who: string, headers: Record<string, string>][] = [
    ["nobody", {}],
    ["the publishable key", { apikey: "sb_publishable_of_the_stub" }],
    ["a wrong secret key", { apikey: `${SECRET_KEY}x` }],
    ["a wrong bearer", { authorization: "Bearer sb_secret_wrong" }],
    ["what looks like a JWT", { authorization: "Bearer a.b.c", apikey: SECRET_KEY }],
    ["a password", { authorization: `Basic ${btoa("me:secret")}` }],
  ];
  for (const [who, headers] of strangers) {
    const { status, body } = await health(headers);
    assert.deepEqual([status, body], [503, { status: "unhealthy" }], who);
  }
});

healthTest("strangers cost one call of the database in ten seconds", {
  calendly_health: () => HEALTHY,
}, async (stub, clock) => {
  const answers = await Promise.all(Array.from({ length: 50 }, () => health()));
  for (const { status, body } of answers) {
    assert.deepEqual([status, body], [200, { status: "healthy" }]);
  }
  clock.now += 9_999;
  stub.answers = { calendly_health: () => UNHEALTHY };
  assert.equal((await health()).status, 200);
  assert.deepEqual(stub.names, ["calendly_health"]);
  clock.now += 1;
  assert.equal((await health()).status, 503);
  assert.deepEqual(stub.names, ["calendly_health", "calendly_health"]);
});

healthTest("a database that is away is asked no more often", {
  calendly_health: () => new Response("upstream connect error", { status: 503 }),
}, async (stub) => {
  for (let time = 0; time < 20; time++) {
    const { status, body } = await health();
    assert.deepEqual([status, body], [503, { status: "unhealthy" }]);
  }
  assert.deepEqual(stub.names, ["calendly_health"]);
});

healthTest("a server is told the truth of the moment", {
  calendly_health: () => ({ ...HEALTHY, version: "0.0.9" }),
}, async (stub) => {
  assert.deepEqual(await health(AS_SERVER), {
    status: 200,
    body: {
      status: "healthy",
      alerts: [],
      freshness: HEALTHY.freshness,
      configuration: { token_key: true, oauth: false, signing_key: false, public_url: true },
      configuration_errors: [],
      versions: { functions: VERSION, database: "0.0.9" },
    },
  });
  stub.answers = { calendly_health: () => UNHEALTHY };
  const { status, body } = await health({ authorization: `Bearer ${SECRET_KEY}` });
  assert.deepEqual([status, body.status, body.alerts], [503, "unhealthy", [ALERT]]);
  assert.deepEqual(body.versions, { functions: VERSION, database: null }, "it does not say");
});

healthTest("a server is told why the database does not answer", {
  calendly_health: () => new Response("upstream connect error", { status: 503 }),
}, async () => {
  const { status, body } = await health(AS_SERVER);
  assert.deepEqual([status, body.status, body.error.code], [
    503,
    "unhealthy",
    "database_unavailable",
  ]);
  assert.equal(body.configuration.token_key, true);
  assert.deepEqual(body.versions, { functions: VERSION, database: null });
});

healthTest("a server is told of missing migrations", {}, async () => {
  const { status, body } = await health(AS_SERVER);
  assert.deepEqual([status, body.error.code], [503, "migrations_missing"]);
});

healthTest(
  "what is set up is told as it is",
  { calendly_health: () => HEALTHY },
  async () => {
    assert.deepEqual((await health(AS_SERVER)).body.configuration, {
      token_key: true,
      oauth: true,
      signing_key: true,
      public_url: false,
    });
  },
  {
    CALENDLY_CLIENT_ID: "id",
    CALENDLY_CLIENT_SECRET: "secret",
    CALENDLY_RETURN_URL: "https://app.example.com/settings",
    CALENDLY_WEBHOOK_SIGNING_KEY: "key",
    SUPABASE_PUBLIC_URL: "http://kong:8000",
  },
);

healthTest(
  "a variable that is wrong or missing is named, and its value is not repeated",
  { calendly_health: () => HEALTHY },
  async () => {
    const { status, body } = await health(AS_SERVER);
    assert.deepEqual([status, body.status], [503, "unhealthy"]);
    assert.deepEqual(body.configuration, {
      token_key: false,
      oauth: false,
      signing_key: false,
      public_url: true,
    });
    const errors: { code: string; message: string; hint: string }[] = body.configuration_errors;
    assert.deepEqual(errors.map(({ code, message }) => `${code}: ${message}`), [
      "not_configured: CALENDLY_AUTH_URL is not an http or https address.",
      "not_configured: CALENDLY_RETURN_URL is not an http or https address.",
      "not_configured: CALENDLY_TOKEN_KEY is not set.",
    ]);
    for (const { hint } of errors) assert.ok(hint);
    assert.doesNotMatch(JSON.stringify(body), /somewhere/);
    assert.deepEqual((await health()).body, { status: "unhealthy" });
  },
  {
    CALENDLY_TOKEN_KEY: "",
    CALENDLY_AUTH_URL: "somewhere",
    CALENDLY_RETURN_URL: "somewhere:3000",
    CALENDLY_CLIENT_ID: "id",
    CALENDLY_CLIENT_SECRET: "secret",
  },
);

healthTest("HEAD answers as GET does, without a body", {
  calendly_health: () => UNHEALTHY,
}, async () => {
  for (const headers of [{}, AS_SERVER]) {
    const get = await ask("health", headers);
    const head = await ask("health", headers, "HEAD");
    assert.deepEqual([head.status, head.text], [get.status, ""]);
    assert.deepEqual([...head.headers], [...get.headers]);
  }
  assert.equal((await ask("nudge", {}, "HEAD")).status, 405);
  assert.equal((await ask("nowhere", {}, "HEAD")).status, 404);
});

healthTest(
  "keys that cannot be read make nobody a server, and strangers learn nothing",
  { calendly_health: () => HEALTHY },
  async () => {
    for (const headers of [{}, { apikey: "sb_publishable_of_the_stub" }, AS_SERVER]) {
      assert.deepEqual(await health(headers), { status: 503, body: { status: "unhealthy" } });
    }
    const { status, text } = await ask("metrics", AS_SERVER);
    assert.deepEqual([status, JSON.parse(text).error.code], [503, "not_configured"]);
  },
  { SUPABASE_SECRET_KEYS: "{bad" },
);

// Metrics -------------------------------------------------------------------------------------------------

const FIGURES = {
  status: "unhealthy",
  version: "0.0.9",
  alerts: [
    { code: "stale", severity: "critical", count: 2 },
    { code: 'odd "\\\n', severity: "warning", count: 1 },
  ],
  users: 3,
  never_synced: 1,
  staleness_p50: 61.5,
  staleness_p95: 120,
  staleness_max: 1e21,
  due: 4,
  running_workers: 1,
  max_workers: 20,
  ticked_at: 1772445600.25,
};

function valueOf(families: Map<string, Family>, name: string): number | undefined {
  return families.get(`calendly_sync_${name}`)!.samples[0]?.value;
}

healthTest("a monitor reads the figures as OpenMetrics", {
  calendly_metrics: () => FIGURES,
}, async () => {
  const { status, headers, text } = await ask("metrics", AS_SERVER);
  assert.equal(status, 200);
  assert.equal(
    headers.get("content-type"),
    "application/openmetrics-text; version=1.0.0; charset=utf-8",
  );
  const families = parseOpenMetrics(text);
  assert.deepEqual(
    [...families].map(([name]) => [name, valueOf(families, name.slice("calendly_sync_".length))]),
    [
      ["calendly_sync_build", 1],
      ["calendly_sync_alerts", 2],
      ["calendly_sync_healthy", 0],
      ["calendly_sync_configuration_errors", 0],
      ["calendly_sync_users", 3],
      ["calendly_sync_users_never_synced", 1],
      ["calendly_sync_staleness_p50_seconds", 61.5],
      ["calendly_sync_staleness_p95_seconds", 120],
      ["calendly_sync_staleness_max_seconds", 1e21],
      ["calendly_sync_due", 4],
      ["calendly_sync_running_workers", 1],
      ["calendly_sync_max_workers", 20],
      ["calendly_sync_last_tick_timestamp_seconds", 1772445600.25],
    ],
  );
  for (const [name, { help }] of families) assert.ok(help, name);
  assert.deepEqual(families.get("calendly_sync_build")!.samples[0].labels, {
    functions: VERSION,
    database: "0.0.9",
  });
  assert.deepEqual(families.get("calendly_sync_alerts")!.samples, [
    { labels: { code: "stale", severity: "critical" }, value: 2 },
    { labels: { code: 'odd "\\\n', severity: "warning" }, value: 1 },
  ]);
});

healthTest("a figure that does not exist yet is left out", {
  calendly_metrics: () => ({
    ...FIGURES,
    status: "healthy",
    version: null,
    alerts: [],
    staleness_p50: null,
    staleness_p95: null,
    staleness_max: null,
    ticked_at: null,
  }),
}, async () => {
  const families = parseOpenMetrics((await ask("metrics", AS_SERVER)).text);
  assert.equal(valueOf(families, "healthy"), 1);
  for (const name of ["alerts", "staleness_p50_seconds", "last_tick_timestamp_seconds"]) {
    assert.equal(valueOf(families, name), undefined, name);
  }
});

healthTest(
  "a variable that is wrong is in the figures",
  { calendly_metrics: () => ({ ...FIGURES, status: "healthy", alerts: [] }) },
  async () => {
    const families = parseOpenMetrics((await ask("metrics", AS_SERVER)).text);
    assert.deepEqual(
      [valueOf(families, "healthy"), valueOf(families, "configuration_errors")],
      [0, 1],
    );
  },
  { CALENDLY_TOKEN_KEY: "short" },
);

healthTest("figures are for servers", { calendly_metrics: () => FIGURES }, async (stub) => {
  for (const headers of [{}, { apikey: "sb_publishable_of_the_stub" }]) {
    const { status, text } = await ask("metrics", headers as Record<string, string>);
    assert.deepEqual([status, JSON.parse(text).error.code], [401, "not_authenticated"]);
  }
  assert.deepEqual(stub.names, []);
});

Deno.test("the reader of these tests refuses what a monitor would refuse", () => {
  const GAUGE = "# TYPE a gauge\n";
  const refused: Record<string, string> = {
    "no end": `${GAUGE}a 1\n`,
    "more after the end": `${GAUGE}a 1\n# EOF\n\n`,
    "a sample of nothing": "a 1\n# EOF\n",
    "another family's sample": `${GAUGE}b 1\n# EOF\n`,
    "no number": `${GAUGE}a null\n# EOF\n`,
    "an empty line": `${GAUGE}\na 1\n# EOF\n`,
    "the same sample twice": `${GAUGE}a{b="c"} 1\na{b="c"} 2\n# EOF\n`,
    "a family that comes twice": `${GAUGE}a 1\n# TYPE b gauge\nb 1\n${GAUGE}a 2\n# EOF\n`,
    "a quotation mark in a label": `${GAUGE}a{b="c"d"} 1\n# EOF\n`,
    "an unknown escape": `${GAUGE}a{b="\\t"} 1\n# EOF\n`,
    "a unit that the name lacks": `${GAUGE}# UNIT a seconds\na 1\n# EOF\n`,
    "an info without its suffix": "# TYPE a info\na 1\n# EOF\n",
  };
  for (const [what, text] of Object.entries(refused)) {
    assert.throws(() => parseOpenMetrics(text), Error, what);
  }
  const accepted = `${GAUGE}# HELP a Text.\na{b="c\\"\\\\\\n"} 1\n# EOF\n`;
  assert.deepEqual(parseOpenMetrics(accepted).get("a")!.samples, [
    { labels: { b: 'c"\\\n' }, value: 1 },
  ]);
});
