/** Light or dark: as the system has it, unless the person has chosen. */
import { effect, signal } from "@preact/signals";
import { Icon } from "./icon.tsx";
import { remembered } from "./remembered.ts";

type Theme = "system" | "light" | "dark";

const theme = remembered<Theme>("theme", "system", ["system", "light", "dark"]);
const system = globalThis.matchMedia?.("(prefers-color-scheme: dark)");
const systemIsDark = signal(system?.matches ?? false);

/** True where the page is dark now. Read it where colors are drawn by script, as in a plot. */
export const dark = signal(false);

/** Keeps the document's theme as it is chosen. */
export function applyTheme(): void {
  system?.addEventListener("change", () => systemIsDark.value = system.matches);
  effect(() => {
    dark.value = theme.value === "system" ? systemIsDark.value : theme.value === "dark";
    document.documentElement.dataset.theme = dark.value ? "dark" : "light";
  });
}

const NEXT: Record<Theme, Theme> = { system: "light", light: "dark", dark: "system" };
const WORDS: Record<Theme, string> = {
  system: "as the system",
  light: "light",
  dark: "dark",
};

export function ThemeSwitch() {
  const current = theme.value;
  const label = `Theme: ${WORDS[current]}. Change to ${WORDS[NEXT[current]]}`;
  return (
    <button
      type="button"
      class="button quiet icon-only"
      aria-label={label}
      title={label}
      onClick={() => theme.value = NEXT[current]}
    >
      <Icon name={current === "system" ? "system" : current === "light" ? "sun" : "moon"} />
    </button>
  );
}
