/** Buttons, and links that look like them. */
import type { ComponentChildren, JSX } from "preact";
import { useState } from "preact/hooks";
import { Icon, type IconName } from "./icon.tsx";
import { announce } from "./toast.tsx";

interface ButtonProperties extends Omit<JSX.IntrinsicElements["button"], "icon"> {
  kind?: "primary" | "plain" | "quiet" | "danger";
  icon?: IconName;
  /** Works: keeps the focus and its width, and cannot be pressed again. */
  busy?: boolean;
  children?: ComponentChildren;
}

/** `<Button kind="primary" icon="sync" busy={…} onClick={…}>Sync Calendly</Button>`. Without children, give `aria-label`. */
export function Button(
  { kind = "plain", icon, busy = false, children, onClick, class: extra = "", ...rest }:
    ButtonProperties,
) {
  return (
    <button
      type="button"
      class={`button ${kind} ${children === undefined ? "icon-only" : ""} ${extra}`}
      aria-disabled={busy || undefined}
      aria-busy={busy || undefined}
      onClick={busy ? (event) => event.preventDefault() : onClick}
      {...rest}
    >
      {busy ? <Icon name="busy" class="turning" /> : icon && <Icon name={icon} />}
      {children !== undefined && <span>{children}</span>}
    </button>
  );
}

/** A link that looks like a button. Another site opens in a new tab, without a referrer. */
export function LinkButton(
  { kind = "plain", icon, href, children, download }: {
    kind?: ButtonProperties["kind"];
    icon?: IconName;
    href: string;
    children: ComponentChildren;
    /** Name of the file that it saves. */
    download?: string;
  },
) {
  const elsewhere = /^https?:/.test(href);
  return (
    <a
      class={`button ${kind}`}
      href={href}
      download={download}
      target={elsewhere ? "_blank" : undefined}
      rel={elsewhere ? "noopener noreferrer" : undefined}
    >
      {icon && <Icon name={icon} />}
      <span>{children}</span>
    </a>
  );
}

/** Copies `text`: `<CopyButton text={sql} label="as SQL" />`. Says that it has. */
export function CopyButton({ text, label }: { text: string | (() => string); label: string }) {
  const [copied, setCopied] = useState(false);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(typeof text === "string" ? text : text());
      setCopied(true);
      announce(`Copied ${label}`);
      setTimeout(() => setCopied(false), 1500);
    } catch {
      announce("The browser does not allow copying");
    }
  };
  return (
    <button
      type="button"
      class="button quiet small"
      aria-label={`Copy ${label}`}
      title={typeof text === "string" ? text : undefined}
      onClick={copy}
    >
      <Icon name={copied ? "check" : "copy"} />
      <span>{label}</span>
    </button>
  );
}
