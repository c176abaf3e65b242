/** The filters above a list. What is chosen stands in the address. */
import type { ComponentChildren } from "preact";
import { useId, useState } from "preact/hooks";
import { setQuery } from "../routes.ts";
import { Button } from "../ui/button.tsx";
import { Icon } from "../ui/icon.tsx";
import { Status } from "../ui/status.tsx";
import { useRows } from "./ask.ts";
import { PERIODS } from "./filters.ts";
import { rows } from "./query.ts";
import { type Word, wordOf } from "./words.ts";

export function FilterBar(
  { children, total, hasMore = false, filtered, noun }: {
    children: ComponentChildren;
    total: number | undefined;
    /** There are more than `total`. */
    hasMore?: boolean;
    filtered: boolean;
    noun: [one: string, many: string];
  },
) {
  return (
    <div class="ops-filters" role="search" aria-label="Filters">
      {children}
      {filtered && (
        <Button
          kind="quiet"
          icon="close"
          onClick={(event) => {
            // The button goes, and would take the focus with it.
            event.currentTarget.closest(".ops-filters")
              ?.querySelector<HTMLElement>("button, input, select")?.focus();
            clear();
          }}
        >
          No filter
        </Button>
      )}
      <span class="ops-total muted" role="status">
        {total === undefined
          ? "\u00a0"
          : `${total.toLocaleString("en")}${hasMore ? "+" : ""} ${noun[total === 1 ? 0 : 1]}`}
      </span>
    </div>
  );
}

function clear(): void {
  setQuery(Object.fromEntries(
    ["status", "type", "trigger", "person", "since", "state", "account", "search", "when"]
      .map((name) => [name, undefined]),
  ));
}

/** States that are chosen together: none chosen means all. */
export function WordFilter(
  { name, label, options, words, chosen }: {
    name: string;
    label: string;
    options: readonly string[];
    words: Record<string, Word>;
    chosen: readonly string[];
  },
) {
  const toggle = (option: string) =>
    setQuery({
      [name]: options.filter((one) => chosen.includes(one) !== (one === option)).join(","),
    });
  return (
    <div class="ops-chips" role="group" aria-label={label}>
      {options.map((option) => {
        const { tone, word, meaning } = wordOf(words, option);
        return (
          <button
            key={option}
            type="button"
            class="button ops-chip"
            aria-pressed={chosen.includes(option)}
            title={meaning}
            onClick={() => toggle(option)}
          >
            <Status tone={tone === "busy" ? "info" : tone}>{word}</Status>
          </button>
        );
      })}
    </div>
  );
}

export function ChoiceFilter(
  { name, label, all, options, chosen }: {
    name: string;
    label: string;
    /** What stands there while nothing is chosen. */
    all: string;
    options: readonly (readonly [value: string, text: string])[];
    chosen: string | null;
  },
) {
  const known = options.some(([value]) => value === chosen);
  return (
    <select
      aria-label={label}
      value={chosen ?? ""}
      onChange={(event) => setQuery({ [name]: event.currentTarget.value || undefined })}
    >
      <option value="">{all}</option>
      {chosen !== null && !known && <option value={chosen}>{chosen}</option>}
      {options.map(([value, text]) => <option key={value} value={value}>{text}</option>)}
    </select>
  );
}

const PERIOD_TEXTS: Record<typeof PERIODS[number], string> = {
  "1h": "Last hour",
  "24h": "Last 24 hours",
  "7d": "Last 7 days",
  "30d": "Last 30 days",
};

export function SinceFilter({ chosen }: { chosen: string | null }) {
  return (
    <ChoiceFilter
      name="since"
      label="Since when"
      all="Any time"
      options={PERIODS.map((period) => [period, PERIOD_TEXTS[period]] as const)}
      chosen={chosen}
    />
  );
}

/** One person: typed as e-mail, with those that fit to choose from. */
export function PersonFilter({ chosen }: { chosen: number | null }) {
  return chosen === null ? <PersonSearch /> : <ChosenPerson id={chosen} />;
}

function ChosenPerson({ id }: { id: number }) {
  const { data } = useRows(
    rows("calendly_users", {
      select: ["name", "email"],
      where: [{ column: "id", is: "eq", value: id }],
    }),
    { every: 3_600_000 },
  );
  const person = data?.rows[0];
  return (
    <button
      type="button"
      class="button ops-chip"
      aria-label={`Person ${person?.name ?? id}: remove this filter`}
      onClick={() => setQuery({ person: undefined })}
    >
      <Icon name="user" />
      <span>{person?.name || person?.email || `Person ${id}`}</span>
      <Icon name="close" />
    </button>
  );
}

function PersonSearch() {
  const list = useId();
  const [typed, setTyped] = useState("");
  const { data } = useRows(
    rows("calendly_users", {
      select: ["id", "name", "email"],
      where: typed === "" ? [] : [{ column: "email", is: "ilike", value: typed }],
      order: [{ column: "email" }],
      limit: 20,
    }),
    { every: 3_600_000 },
  );
  const found = data?.rows ?? [];
  return (
    <>
      <input
        type="search"
        class="ops-person"
        placeholder="Person's e-mail"
        aria-label="Person, by e-mail"
        list={list}
        value={typed}
        onInput={(event) => {
          const text = event.currentTarget.value;
          setTyped(text);
          const one = found.find(({ email }) => email === text);
          if (one) setQuery({ person: String(one.id) });
        }}
        onKeyDown={(event) => {
          if (event.key === "Enter" && typed !== "" && found.length === 1) {
            setQuery({ person: String(found[0].id) });
          }
        }}
      />
      <datalist id={list}>
        {found.map(({ id, name, email }) => (
          <option key={id} value={email ?? ""}>{name ?? ""}</option>
        ))}
      </datalist>
    </>
  );
}
