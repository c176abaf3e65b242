/** What the screens of the operations have in common. */
import type { ComponentChildren } from "preact";
import { theConfig } from "../data/config.ts";
import type { Problem } from "../data/problem.ts";
import type { Resource } from "../data/resource.ts";
import { link } from "../routes.ts";
import { Button, CopyButton } from "../ui/button.tsx";
import { Failure, Skeleton } from "../ui/states.tsx";
import { Status } from "../ui/status.tsx";
import { Time } from "../ui/time.tsx";
import { nameOf } from "./names.ts";
import { type Query, toCurl, toSql } from "./query.ts";
import type { Word } from "./words.ts";

/** A screen's heading, with when it was read and how to ask the same elsewhere. */
export function Screen(
  { title, back, of, resource, every, queries, actions, children }: {
    title: ComponentChildren;
    /** Where the list is, above a page of one thing. */
    back?: { text: string; href: string };
    /** Beside the title, such as a state. */
    of?: ComponentChildren;
    resource?: Pick<Resource<unknown>, "at" | "loading" | "problem" | "reload">;
    /** Milliseconds. */
    every?: number;
    queries?: readonly Query[];
    actions?: ComponentChildren;
    children: ComponentChildren;
  },
) {
  return (
    <div class="ops-screen">
      <header class="ops-head">
        <div>
          {back && <a class="ops-back" href={back.href}>← {back.text}</a>}
          <h1 tabIndex={-1}>{title}</h1>
          {of}
        </div>
        <div class="ops-tools">
          {actions}
          {resource && <ReadAt resource={resource} every={every} />}
          {queries && <Sources of={queries} />}
        </div>
      </header>
      {children}
    </div>
  );
}

/** When what is shown was read; and that it could not be read again, where that is so. */
export function ReadAt(
  { resource, every }: {
    resource: Pick<Resource<unknown>, "at" | "loading" | "problem" | "reload">;
    every?: number;
  },
) {
  const { at, problem, loading, reload } = resource;
  return (
    <span class={`ops-read ${problem && at ? "failed" : ""}`}>
      {at === undefined
        ? <span class="muted">{loading ? "Reading" : "Not read"}</span>
        : problem
        ? (
          <Status tone="warn" title={`${problem.message} ${problem.hint ?? ""}`}>
            not read since <Time at={at} />
          </Status>
        )
        : (
          <span
            class="muted"
            title={every
              ? `Read again every ${every / 1000} s while this page is visible`
              : undefined}
          >
            read <Time at={at} />
          </span>
        )}
      <Button kind="quiet" class="small" icon="sync" aria-label="Read again" onClick={reload} />
    </span>
  );
}

/** The same questions as SQL and as curl, to copy. */
export function Sources({ of: queries }: { of: readonly Query[] }) {
  const sql = queries.map(toSql).filter((text) => text !== null);
  return (
    <span class="ops-sources">
      {sql.length > 0 && <CopyButton text={sql.join("\n\n")} label="as SQL" />}
      <CopyButton
        text={queries.map((query) => toCurl(query, theConfig().url)).join("\n\n")}
        label="as curl"
      />
    </span>
  );
}

/** A part of a screen with its own heading. */
export function Panel(
  { title, queries, actions, children, class: extra = "" }: {
    title: ComponentChildren;
    queries?: readonly Query[];
    actions?: ComponentChildren;
    children: ComponentChildren;
    class?: string;
  },
) {
  return (
    <section class={`card ops-panel ${extra}`}>
      <header>
        <h2>{title}</h2>
        {(queries || actions) && (
          <div class="ops-tools">
            {actions}
            {queries && <Sources of={queries} />}
          </div>
        )}
      </header>
      {children}
    </section>
  );
}

/** What stands there until there is something: lines of the final size, or why there is nothing. */
export function Pending(
  { resource, lines = 4, height = 44, title }: {
    resource: { problem?: Problem; loading: boolean; reload: () => void };
    lines?: number;
    height?: number;
    title: string;
  },
) {
  return resource.problem
    ? (
      <Failure
        title={title}
        problem={resource.problem}
        busy={resource.loading}
        retry={resource.reload}
      />
    )
    : <Skeleton lines={lines} height={height} />;
}

/** A person by name, with a link to their page. The name is looked up where it is not given. */
export function PersonLink(
  { id, person }: {
    id: number | null;
    person?: { name: string | null; email: string | null } | null;
  },
) {
  if (id === null) return <span class="muted">nobody</span>;
  const known = person ?? nameOf(id);
  return (
    <a href={link("operations", "people", String(id))} title={known?.email ?? undefined}>
      {known?.name || known?.email || `Person ${id}`}
    </a>
  );
}

export function WordStatus({ word: { tone, word, meaning } }: { word: Word }) {
  return <Status tone={tone} title={meaning}>{word}</Status>;
}

/** What went wrong, and what to do next. */
export interface StoredError {
  code?: string;
  message?: string;
  hint?: string;
  at?: string;
}

export function ErrorNote({ error, title }: { error: StoredError; title?: string }) {
  return (
    <div class="ops-error">
      {title && <h2>{title}</h2>}
      <p>
        {error.message ?? "No message was stored."}
      </p>
      {error.hint && (
        <p>
          <strong>Next step:</strong> {error.hint}
        </p>
      )}
      {(error.code || error.at) && (
        <p class="muted">
          <code>{error.code}</code> {error.at && <Time at={error.at} />}
        </p>
      )}
    </div>
  );
}

/** The words of a list and what each means. */
export function Legend({ words, title }: { words: Record<string, Word>; title: string }) {
  return (
    <details class="ops-legend">
      <summary>{title}</summary>
      <dl>
        {Object.values(words).map((word) => (
          <div key={word.word}>
            <dt>
              <WordStatus word={word} />
            </dt>
            <dd>{word.meaning}</dd>
          </div>
        ))}
      </dl>
    </details>
  );
}

/** A number with its name; a link where it leads to the rows. */
export function Figure(
  { label, value, href, hint, tone }: {
    label: string;
    value: ComponentChildren;
    href?: string;
    hint?: ComponentChildren;
    tone?: "bad" | "warn";
  },
) {
  const content = (
    <>
      <span class="ops-figure-label">{label}</span>
      <span class={`ops-figure-value ${tone ?? ""}`}>{value}</span>
      {hint !== undefined && <span class="ops-figure-hint muted">{hint}</span>}
    </>
  );
  return href ? <a class="ops-figure" href={href}>{content}</a> : (
    <div class="ops-figure">
      {content}
    </div>
  );
}

export function Json({ value, label, open = false }: {
  value: unknown;
  label: string;
  open?: boolean;
}) {
  const text = JSON.stringify(value, null, 2);
  return (
    <details class="ops-json" open={open}>
      <summary>{label}</summary>
      <CopyButton text={text} label="JSON" />
      <pre tabIndex={0} aria-label={label}>{text}</pre>
    </details>
  );
}

/** A table of few rows: not virtualised, scrolls sideways where it must. */
export function SmallTable<R>(
  { label, columns, rows, empty }: {
    label: string;
    columns: { title: string; cell: (row: R) => ComponentChildren; right?: boolean }[];
    rows: readonly R[];
    empty?: string;
  },
) {
  if (rows.length === 0 && empty) return <p class="muted">{empty}</p>;
  return (
    <div class="ops-scroll" tabIndex={0} role="region" aria-label={label}>
      <table class="ops-table">
        <thead>
          <tr>
            {columns.map(({ title, right }) => (
              <th key={title} scope="col" class={right ? "number" : undefined}>{title}</th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row, index) => (
            <tr key={index}>
              {columns.map(({ title, cell, right }) => (
                <td key={title} class={right ? "number" : undefined}>{cell(row)}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** "1,234". */
export function number(value: number): string {
  return value.toLocaleString("en");
}
