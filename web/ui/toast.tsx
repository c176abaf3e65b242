/** Short messages at the edge of the page, and what only a screen reader says. */
import { signal } from "@preact/signals";
import { Icon } from "./icon.tsx";
import { Status, type Tone } from "./status.tsx";

interface Toast {
  id: number;
  text: string;
  tone: Tone;
}

const toasts = signal<Toast[]>([]);
const spoken = signal("");
let last = 0;

/** Shows a message for some seconds; a bad one stays until it is closed. Read out as well. */
export function toast(text: string, tone: Tone = "good"): void {
  const id = ++last;
  toasts.value = [...toasts.value.slice(-3), { id, text, tone }];
  announce(text);
  if (tone !== "bad") setTimeout(() => close(id), 6000);
}

/** Lets a screen reader say a text, and shows nothing. */
export function announce(text: string): void {
  // The same text twice is no change to a screen reader: an invisible mark makes it one.
  spoken.value = spoken.peek() === text ? `${text}\u00a0` : text;
}

function close(id: number): void {
  toasts.value = toasts.value.filter((one) => one.id !== id);
}

/** Once in the page. */
export function Toasts() {
  return (
    <>
      <div class="spoken" role="status" aria-live="polite">{spoken.value}</div>
      <section class="toasts" aria-label="Messages">
        {toasts.value.map(({ id, text, tone }) => (
          <div class="toast" key={id}>
            <Status tone={tone}>{text}</Status>
            <button
              type="button"
              class="button quiet icon-only small"
              aria-label="Close message"
              onClick={() => close(id)}
            >
              <Icon name="close" />
            </button>
          </div>
        ))}
      </section>
    </>
  );
}
