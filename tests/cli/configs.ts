/** config.toml files as projects have them: what `supabase init` writes, and what people make of it. */

const INIT = await Deno.readTextFile(new URL("fixtures/supabase_init.toml", import.meta.url));

/** None has a section of ours. */
export const CONFIGS: Record<string, string> = {
  "what supabase init writes": INIT,
  "the same with the line ends of Windows": INIT.replaceAll("\n", "\r\n"),
  "the same with a byte order mark": `\ufeff${INIT}`,
  "the same as an earlier version wrote it": INIT
    .replace('policy = "per_worker"', 'policy = "oneshot"')
    .replace(/\n\[experimental\.pgdelta\][\s\S]*/, "\n"),
  "empty": "",
  "a byte order mark alone": "\ufeff",
  "one empty line": "\n",
  "comments alone": "# nothing is set yet\n# api.port = 54321",
  "no line end at the end": 'project_id = "shop"\n\n[api]\nport = 54321',
  "no line end at the end, on Windows": 'project_id = "shop"\r\n[api]\r\nport = 54321',
  "a comment at the end without a line end": "[api]\nport = 54321 # the default",
  "many empty lines at the end": 'project_id = "shop"\n\n\n\n',
  "mixed line ends": 'project_id = "shop"\r\n[api]\nport = 54321\r\n',
  "inline tables": `project_id = "shop"
api = { port = 54321, schemas = ["public", "shop"], tls = { enabled = false } }
auth.external.github = { enabled = true, client_id = "env(GITHUB_ID)" }
`,
  "dotted keys": `project_id = "shop"
api.port = 54321
functions.greet.verify_jwt = false # for everybody
auth.email.enable_signup = true
`,
  "other functions": `[functions.greet]
enabled = true
verify_jwt = true
import_map = "./functions/greet/deno.json"
entrypoint = "./functions/greet/index.ts"

  [functions."sends mail"] # indented
  verify_jwt=false

[functions.calendly]
verify_jwt = true
`,
  "functions in one table, each inline": `[functions]
greet = { verify_jwt = true }
"calendly-sync-old" = { verify_jwt = true, enabled = false }

[auth]
enabled = true
`,
  "remotes": `project_id = "shop"

[remotes.staging]
project_id = "abcdefghijklmnopqrst"

[remotes.staging.api]
max_rows = 50

[remotes.staging.functions.greet]
verify_jwt = false
`,
  "every kind of value": `title = "tab \\t, quote \\", é"
path = 'C:\\supabase'
text = """
[functions.calendly-sync]
verify_jwt = true
"""
raw = '''
# Calendly Sync: not a comment'''
at = 2026-11-26T05:00:00Z
day = 2026-11-26
time = 05:00:00
numbers = [1_000, 0x1F, 3.5e-3, inf,
  # in an array
  9007199254740993,
]
[[hooks]]
name = "first"
[[hooks]]
name = "second"
`,
};

/** Those that have some of our sections, and what installing makes of them. */
export const WITH_OURS: Record<string, { before: string; after: string }> = {
  "a section that checks tokens": {
    before: "[functions.calendly-sync]\nverify_jwt = true # why not\nimport_map = 'x'\n\n[api]\n",
    after: "[functions.calendly-sync]\nverify_jwt = false # why not\nimport_map = 'x'\n\n[api]\n",
  },
  "a section after another function's": {
    before: "[functions.greet]\nverify_jwt = true\n[functions.calendly-sync]\nverify_jwt = true\n",
    after: "[functions.greet]\nverify_jwt = true\n[functions.calendly-sync]\nverify_jwt = false\n",
  },
  "a section without the key, on Windows": {
    before: "[functions.calendly-sync]\r\nenabled = true\r\n\r\n[api]\r\n",
    after: "[functions.calendly-sync]\r\nverify_jwt = false\r\nenabled = true\r\n\r\n[api]\r\n",
  },
  "a dotted key": {
    before: "functions.calendly-sync.verify_jwt = true\n",
    after: "functions.calendly-sync.verify_jwt = false\n",
  },
  "an inline table": {
    before: "[functions]\ncalendly-sync = { verify_jwt = true }\ngreet = {verify_jwt=true}\n",
    after: "[functions]\ncalendly-sync = { verify_jwt = false }\ngreet = {verify_jwt=true}\n",
  },
  "a quoted name, and odd spaces": {
    before: "\ufeff[functions . \"calendly-sync\"] #1\n\n  'verify_jwt'  =   true   # 2\n",
    after: "\ufeff[functions . \"calendly-sync\"] #1\n\n  'verify_jwt'  =   false   # 2\n",
  },
  "an inline table without the key": {
    before: "[functions]\ncalendly-sync = { enabled = true } # ours\n",
    after: "[functions]\ncalendly-sync = { enabled = true, verify_jwt = false } # ours\n",
  },
  "a section without the key at the end of the file": {
    before: "[api]\nport = 1\n[functions.calendly-sync]",
    after: "[api]\nport = 1\n[functions.calendly-sync]\nverify_jwt = false",
  },
  "a section that is right already": {
    before: "[functions.calendly-sync]\nverify_jwt = false\n",
    after: "[functions.calendly-sync]\nverify_jwt = false\n",
  },
  "a value of another kind": {
    before: '[functions.calendly-sync]\nverify_jwt = "no"\n',
    after: "[functions.calendly-sync]\nverify_jwt = false\n",
  },
};
