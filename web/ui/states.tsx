/** What stands where there is nothing to show: nothing yet, still loading, failed, offline. */
import type { ComponentChildren } from "preact";
import type { Problem } from "../data/problem.ts";
import { Button } from "./button.tsx";
import { Icon, type IconName } from "./icon.tsx";

/** Nothing is there, why, and what can be done: `<Empty title="No runs yet" hint="…"><Button …/></Empty>`. */
export function Empty(
  { title, hint, icon = "idle", children }: {
    title: string;
    hint?: ComponentChildren;
    icon?: IconName;
    children?: ComponentChildren;
  },
) {
  return (
    <div class="state">
      <Icon name={icon} />
      <h2>{title}</h2>
      {hint !== undefined && <p>{hint}</p>}
      {children !== undefined && <div class="actions">{children}</div>}
    </div>
  );
}

/** It failed: what happened, what to do, the code, and a button to try again. */
export function Failure(
  { problem, retry, busy, title, children }: {
    problem: Problem;
    retry?: () => void;
    busy?: boolean;
    /** What could not be done, such as "The runs cannot be shown". */
    title?: string;
    children?: ComponentChildren;
  },
) {
  return (
    <div class="failure" role="alert">
      <Icon name="error" />
      <div>
        {title && <strong>{title}</strong>}
        {problem.message && <p>{problem.message}</p>}
        {problem.hint && <p class="muted">{problem.hint}</p>}
        <p class="code muted">{problem.code}</p>
        {(retry || children) && (
          <div class="actions">
            {retry && <Button icon="sync" busy={busy} onClick={retry}>Try again</Button>}
            {children}
          </div>
        )}
      </div>
    </div>
  );
}

/** Lines of the final size while something loads. Give the table's row height so that nothing moves. */
export function Skeleton({ lines = 3, height = 20 }: { lines?: number; height?: number }) {
  return (
    <div class="skeleton" aria-hidden="true">
      {Array.from({ length: lines }, (_, line) => (
        <div
          key={line}
          ref={(element) => element?.style.setProperty("height", `${height}px`)}
        >
          <span />
        </div>
      ))}
    </div>
  );
}
