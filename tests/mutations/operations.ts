/** Rules of the console's Operations: what they ask, what they say first, and whom they show. */
import { type Mutation, pgtap, requests, sql } from "./mutation.ts";

const QUOTES = "a quote in a value ends neither the statement nor the word of the shell";

export const OPERATIONS: Mutation[] = [
  {
    breaks: "a quote in a value ends the SQL that is copied",
    file: "web/operations/query.ts",
    from: `value.replaceAll("'", "''")`,
    to: "value",
    caughtBy: [requests("web/operations_query", QUOTES)],
  },
  {
    breaks: "a quote in a value ends the word of the command that is copied",
    file: "web/operations/query.ts",
    from: "text.replaceAll(\"'\", `'\\\\''`)",
    to: "text",
    caughtBy: [requests("web/operations_query", QUOTES)],
  },
  {
    breaks: "alerts hide that the functions do not answer",
    file: "web/operations/sentence.ts",
    from: "functionsAway(facts) ?? misconfigured(facts) ??",
    to: 'alerting(facts, "critical") ?? functionsAway(facts) ?? misconfigured(facts) ??',
    caughtBy: [
      requests("web/operations_sentence", "functions that do not answer come before all else"),
    ],
  },
  {
    breaks: "any word of an address becomes a filter",
    file: "web/operations/filters.ts",
    from: 'kind.of.filter((word) => (text ?? "").split(",").includes(word))',
    to: '(text ?? "").split(",")',
    caughtBy: [
      requests(
        "web/operations_filters",
        "an address with unknown words, a wrong person or time filters nothing by them",
      ),
    ],
  },
  {
    breaks: "ticks are missing before the schedule has begun",
    file: "web/operations/ticks.ts",
    from: "(at > first && at < present)",
    to: "at < present",
    caughtBy: [
      requests("web/operations_plots", "where nothing has ticked yet no tick is missing"),
    ],
  },
  {
    breaks: "a search for people takes wildcards",
    file: sql("880_console"),
    from: "position(lower(search) in lower(concat_ws(' ', p.name, p.email))) > 0",
    to: "concat_ws(' ', p.name, p.email) ilike '%' || search || '%'",
    caughtBy: [pgtap("console_people", "and a wildcard is a letter like others")],
  },
  {
    breaks: "members are shown without the connection that brings them",
    file: sql("880_console"),
    from: "when own.state <> 'disconnected' then own.id else coalesce(u.connection_id, own.id) end",
    to: "when true then own.id end",
    caughtBy: [
      pgtap(
        "console_people",
        "members without an account are shown with the connection of the organization",
      ),
    ],
  },
];
