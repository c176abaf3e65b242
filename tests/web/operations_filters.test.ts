/** Filters in the address: what is written is read again, and what is wrong is left out. */
import assert from "node:assert/strict";
import {
  isFiltered,
  PEOPLE_FILTERS,
  readFilters,
  RUN_FILTERS,
  sinceTime,
  sinceValue,
  writeFilters,
} from "../../web/operations/filters.ts";

const NOW = Date.parse("2026-11-26T08:30:42.5Z");

Deno.test("filters that are written are read again", () => {
  const filters = {
    status: ["paused", "failed"],
    type: "FULL",
    trigger: null,
    person: 12,
    since: "2026-11-26T08:00:00Z",
  };
  const written = writeFilters(RUN_FILTERS, filters);
  assert.equal(written, "?status=paused,failed&type=FULL&person=12&since=2026-11-26T08:00:00Z");
  assert.deepEqual(readFilters(RUN_FILTERS, new URLSearchParams(written)), filters);
});

Deno.test("without a filter nothing is written", () => {
  const none = readFilters(RUN_FILTERS, new URLSearchParams());
  assert.deepEqual(none, { status: [], type: null, trigger: null, person: null, since: null });
  assert.equal(writeFilters(RUN_FILTERS, none), "");
  assert.equal(isFiltered(none), false);
  assert.equal(isFiltered({ ...none, person: 1 }), true);
});

Deno.test("an address with unknown words, a wrong person or time filters nothing by them", () => {
  const search = new URLSearchParams(
    "status=failed,lost&type=full&trigger=x&person=1%20or%201=1&since=soon&more=1",
  );
  assert.deepEqual(readFilters(RUN_FILTERS, search), {
    status: ["failed"],
    type: null,
    trigger: null,
    person: null,
    since: null,
  });
});

Deno.test("a search may contain what an address separates by", () => {
  const written = writeFilters(PEOPLE_FILTERS, { search: "a&b=c, d#e" });
  assert.equal(readFilters(PEOPLE_FILTERS, new URLSearchParams(written)).search, "a&b=c, d#e");
});

Deno.test("a period counts back from now, a time is itself", () => {
  assert.equal(sinceTime("24h", NOW), NOW - 86_400_000);
  assert.equal(sinceTime("7d", NOW), NOW - 7 * 86_400_000);
  assert.equal(sinceTime("2026-11-01", NOW), Date.parse("2026-11-01"));
  assert.equal(sinceTime("yesterday", NOW), null);
});

Deno.test("within a minute the database is asked for the same time", () => {
  assert.equal(sinceValue("1h", NOW), "2026-11-26T07:30:00.000Z");
  assert.equal(sinceValue("1h", NOW + 10_000), "2026-11-26T07:30:00.000Z");
  assert.equal(sinceValue(null, NOW), null);
});
