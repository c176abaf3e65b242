/** A state in a word with an icon: never by color alone. */
import type { ComponentChildren } from "preact";
import { Icon, type IconName } from "./icon.tsx";

/** `good` well; `warn` wants a look; `bad` wrong; `busy` works; `paused` goes on by itself; `idle` off or over. */
export type Tone = "good" | "warn" | "bad" | "info" | "busy" | "paused" | "idle";

const ICONS: Record<Tone, IconName> = {
  good: "check",
  warn: "warning",
  bad: "error",
  info: "info",
  busy: "busy",
  paused: "paused",
  idle: "idle",
};

interface Properties {
  tone: Tone;
  children: ComponentChildren;
  /** What it means, in a sentence, for who points at it. */
  title?: string;
}

/** Icon and word in the line of a text or a table's cell. */
export function Status({ tone, children, title }: Properties) {
  return (
    <span class={`status ${tone}`} title={title}>
      <Icon name={ICONS[tone]} class={tone === "busy" ? "turning" : ""} />
      <span>{children}</span>
    </span>
  );
}

/** The same with a border, where it stands alone. */
export function Badge({ tone, children, title }: Properties) {
  return (
    <span class={`status badge ${tone}`} title={title}>
      <Icon name={ICONS[tone]} class={tone === "busy" ? "turning" : ""} />
      <span>{children}</span>
    </span>
  );
}
