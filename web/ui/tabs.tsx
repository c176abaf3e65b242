/** Tabs that are addresses: links in a navigation, so that each can be opened, shared and gone back to. */
import type { ComponentChildren } from "preact";

export interface Tab {
  id: string;
  label: ComponentChildren;
  /** Made by `link` of routes.ts. */
  href: string;
  count?: number;
}

export function Tabs(
  { tabs, current, label }: { tabs: Tab[]; current: string | undefined; label: string },
) {
  return (
    <nav class="tabs" aria-label={label}>
      {tabs.map(({ id, label, href, count }) => (
        <a key={id} href={href} aria-current={id === current ? "page" : undefined}>
          <span>{label}</span>
          {count !== undefined && <span class="count">{count.toLocaleString("en")}</span>}
        </a>
      ))}
    </nav>
  );
}
