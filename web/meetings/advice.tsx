/** A failure in My meetings: what it means, and the button that leads on. */
import type { ComponentChildren } from "preact";
import { Problem } from "../data/problem.ts";
import { Failure } from "../ui/states.tsx";
import { adviceFor } from "./words.ts";

/** `Failure` in the words of `adviceFor`. `retry` is offered where trying again may help. */
export function Advice(
  { problem, retry, busy, children }: {
    problem: Problem;
    retry?: () => void;
    busy?: boolean;
    children?: ComponentChildren;
  },
) {
  const { title, hint, next } = adviceFor(problem);
  const shown = new Problem(
    problem.code,
    title === problem.message ? "" : problem.message,
    hint,
    problem.details,
    problem.status,
  );
  return (
    <Failure
      title={title}
      problem={shown}
      retry={next === "retry" ? retry : undefined}
      busy={busy}
    >
      {children}
    </Failure>
  );
}
