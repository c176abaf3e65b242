/** Rules about what is believed of Calendly and of the database, and about what is told of their errors. */
import { type Mutation, pgtap, requests, sql, typescript } from "./mutation.ts";

const PAGING = typescript("_shared/calendly/paging");
const REASON = typescript("_shared/calendly/reason");
const RPCS = sql("660_sync_rpcs");

export const BOUNDS: Mutation[] = [
  // Reasons
  {
    breaks: "the details of a refusal are not told",
    file: REASON,
    from: "told ? `${clean(text).slice(0, MAX_MESSAGE)} (${told})` : clean(text)",
    to: "clean(text)",
    caughtBy: [
      requests("functions/reasons", "a reason is the message with the parameters that are wrong"),
    ],
  },
  {
    breaks: "a detail of a refusal may repeat personal data",
    file: REASON,
    from: "clean(part).slice(0, MAX_DETAIL)",
    to: "part.slice(0, MAX_DETAIL)",
    caughtBy: [
      requests(
        "functions/reasons",
        "a reason holds no token, e-mail or telephone number, however it is cut",
      ),
    ],
  },
  {
    breaks: "a long message of a refusal leaves no room for its details",
    file: REASON,
    from: "clean(text).slice(0, MAX_MESSAGE)",
    to: "clean(text)",
    caughtBy: [
      requests(
        "functions/reasons",
        "a reason holds no token, e-mail or telephone number, however it is cut",
      ),
    ],
  },
  {
    breaks: "the scopes that are missing may repeat personal data",
    file: typescript("_shared/calendly/api"),
    from: 'withoutSecrets(body.required_scopes.join(", "), [token])',
    to: 'body.required_scopes.join(", ")',
    caughtBy: [
      requests(
        "functions/reasons",
        "a reason holds no token, e-mail or telephone number, however it is cut",
      ),
    ],
  },
  {
    breaks: "an e-mail in other characters is logged",
    file: typescript("_shared/calendly/emails"),
    from: "(?:[@\\uff20\\ufe6b]|%40",
    to: "(?:[@]|%40",
    caughtBy: [
      requests("functions/log", "however an e-mail is written, neither a value nor a name has it"),
    ],
  },
  {
    breaks: "an e-mail that is the name of a field is logged",
    file: typescript("_shared/calendly/log"),
    from: '[withoutEmails(name, "[e-mail]"), field]',
    to: "[name, field]",
    caughtBy: [
      requests("functions/log", "however an e-mail is written, neither a value nor a name has it"),
    ],
  },

  // Rate limits
  {
    breaks: "a rate limit that resets in a year is waited for",
    file: sql("610_sync_lease_and_progress"),
    from: "extract(epoch from interval '1 hour')",
    to: "extract(epoch from interval '2 years')",
    caughtBy: [pgtap("rate_limit", "a reset in a year is waited for an hour")],
  },
  {
    breaks: "a rate limit that resets at once is asked for every second",
    file: sql("650_sync_interrupt"),
    from: "context.state.rate_limit_hits := (context.state).rate_limit_hits + 1;",
    to: "context.state.rate_limit_hits := 1;",
    caughtBy: [
      pgtap(
        "rate_limit",
        "a reset at once is waited for longer each time in a row, up to a minute",
      ),
    ],
  },
  {
    breaks: "a click waits for a rate limit that may be wrong",
    file: RPCS,
    from: "  if request ->> 'trigger' <> 'scheduled' then\n    perform calendly.allow_one_request",
    to: "  if false then\n    perform calendly.allow_one_request",
    caughtBy: [
      pgtap(
        "schedule_rate",
        "a server's sync without requests tries once when the reset is after its time",
      ),
    ],
  },
  {
    breaks: "a moment in a rate limit's header is taken for seconds",
    file: typescript("_shared/calendly/rate_limit"),
    from: "if (seconds < EPOCH) return",
    to: "return",
    caughtBy: [
      requests(
        "functions/bounds",
        "a header that tells when something is over is read in every unit",
      ),
    ],
  },

  // Paging
  {
    breaks: "a page token that comes again is followed again",
    file: PAGING,
    from: "(this.#tokens.has(next) || isSame)",
    to: "isSame",
    caughtBy: [
      requests(
        "functions/bounds",
        "a listing that does not advance is begun anew, as after an expired token",
      ),
    ],
  },
  {
    breaks: "two pages without rows are believed to be the same page",
    file: PAGING,
    from: "this.#empty === 0 ? shown",
    to: "this.#empty >= 0 ? shown",
    caughtBy: [
      requests("functions/bounds", "a paging that does not advance ends"),
    ],
  },
  {
    breaks: "a listing ends where only next_page tells that it goes on",
    file: PAGING,
    from: "if (!next_page) return null;",
    to: "if (next_page_token === undefined || !next_page) return null;",
    caughtBy: [
      requests("functions/bounds", "a listing goes on by whatever tells its next page"),
    ],
  },
  {
    breaks: "a step makes more requests than the worker has left",
    file: typescript("_shared/calendly/api"),
    from: "if (limited && !this.isAllowed) throw",
    to: "if (false) throw",
    caughtBy: [
      requests(
        "functions/bounds",
        "events with more pages than they count do not exceed a worker's requests",
      ),
    ],
  },
  {
    breaks: "what is read ahead is made of requests of its own",
    file: typescript("_shared/calendly/step_reader"),
    from: "const told = this.#told ?? this.#calendly.requests;",
    to: "const told = this.#calendly.requests;",
    caughtBy: [
      requests(
        "functions/bounds",
        "what is read ahead is made of the same requests as the step before and after",
      ),
    ],
  },
  {
    breaks: "what is read ahead goes on where the rate limit is used up",
    file: typescript("_shared/calendly/step_reader"),
    from: "Math.min(lastRequest, this.#calendly.requests + remaining)",
    to: "lastRequest",
    caughtBy: [
      requests("functions/bounds", "what is read ahead stops at what Calendly's rate limit leaves"),
    ],
  },
  {
    breaks: "a reading that meets the rate limit loses the pages before it",
    file: typescript("_shared/calendly/api"),
    from: "if (isUsedUp(error)) return",
    to: "if (isUsedUp(error) && error instanceof RequestsUsedUp) return",
    caughtBy: [
      requests(
        "functions/bounds",
        "of an event whose reading meets the rate limit the pages before it are kept",
      ),
    ],
  },
  {
    breaks: "a reading of some of the invitees deletes the others",
    file: sql("640_sync_apply_invitees"),
    from: "where r ? 'invitees' and not r ? 'problem' and m.user_id = any (user_ids)",
    to: "where r ? 'invitees' and m.user_id = any (user_ids)",
    caughtBy: [
      pgtap("bounds", "a reading that is not complete adds invitees and deletes none"),
    ],
  },

  // Clocks
  {
    breaks: "a reading from the future is newer than all that comes later",
    file: RPCS,
    from: "calendly.with_credible_times(result -> 'invitees')",
    to: "result -> 'invitees'",
    caughtBy: [pgtap("bounds", "a reading from the future counts as one of now")],
  },
  {
    breaks: "a delivery from the future is newer than all that comes later",
    file: sql("700_webhook_delivery"),
    from: "calendly.invitee_snapshots(calendly.with_credible_times(",
    to: "calendly.invitee_snapshots((",
    caughtBy: [pgtap("bounds", "a mark as a no-show that is made after it counts")],
  },
  {
    breaks: "an event after the range moves a listing to its end",
    file: sql("630_sync_apply_events"),
    from: "where c.start_time < run.max_start_time));",
    to: "));",
    caughtBy: [
      pgtap("bounds", "an event after the range does not count as how far the listing is"),
    ],
  },

  // The database and the settings
  {
    breaks: "an error of reading is told as perhaps a trigger's",
    file: typescript("_shared/calendly/errors"),
    from: "READING.includes(rpc) || (",
    to: "(",
    caughtBy: [
      requests(
        "functions/database_errors",
        "only what an app's trigger or constraint can cause is told as perhaps its fault",
      ),
    ],
  },
  {
    breaks: "a database that is away says that a subscription cannot be looked at",
    file: typescript("_shared/calendly/subscriptions"),
    from: "if (SAYS_OF_SUBSCRIPTION.includes(error.code)) {",
    to: "if (!error.code.startsWith('token_')) {",
    caughtBy: [
      requests(
        "functions/calendly_requests",
        "only what Calendly answers says that a subscription cannot be looked at",
      ),
    ],
  },
  {
    breaks: "a database that takes no writes is told as the app's fault",
    file: typescript("_shared/calendly/database"),
    from: "  if (CANNOT_WRITE.test(code)) return writesRefused(code);\n",
    to: "",
    caughtBy: [
      requests(
        "functions/database_errors",
        "a database that can only be read is told as such",
      ),
    ],
  },
  {
    breaks: "an error of the app's own trigger is told as an outage",
    file: typescript("_shared/calendly/database"),
    from: "(status >= 500 && !SQLSTATE.test(code))",
    to: "status >= 500",
    caughtBy: [
      requests(
        "functions/database_errors",
        "only what an app's trigger or constraint can cause is told as perhaps its fault",
      ),
    ],
  },
  {
    breaks: "a database that takes no writes is healthy",
    file: sql("860_alerts"),
    from: "where current_setting('default_transaction_read_only')::boolean;",
    to: "where false;",
    caughtBy: [pgtap("health_alerts", "a database that takes no writes is an alert")],
  },
  {
    breaks: "a wrong setting uses up a person's consent",
    file: typescript("calendly-connect/consent"),
    from: "  await checkSettings();\n  const state_digest",
    to: "  const state_digest",
    caughtBy: [
      requests(
        "connections/oauth_refused",
        "OAuth that does not succeed",
        "what is not set up is said",
      ),
    ],
  },
];
