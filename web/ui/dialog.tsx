/**
 * Dialogs and drawers, by the browser's <dialog>: it keeps the focus inside, Escape closes, the focus returns.
 * The focus moves before the browser paints, so that the first key pressed arrives in what is seen.
 */
import type { ComponentChildren } from "preact";
import { useId, useLayoutEffect, useRef } from "preact/hooks";
import { Button } from "./button.tsx";

interface Properties {
  title: ComponentChildren;
  onClose: () => void;
  children: ComponentChildren;
  /** Buttons at its end. */
  actions?: ComponentChildren;
}

/** In the middle of the page. Render it only while it is open. */
export function Dialog(properties: Properties) {
  return <Modal {...properties} kind="dialog" />;
}

/** At the right side, for the details of what a list shows; the whole page on a phone. Render it only while it is open. */
export function Drawer(properties: Properties) {
  return <Modal {...properties} kind="drawer" />;
}

function Modal({ title, onClose, children, actions, kind }: Properties & { kind: string }) {
  const element = useRef<HTMLDialogElement>(null);
  const heading = useId();
  useLayoutEffect(() => {
    const dialog = element.current!;
    const opener = document.activeElement;
    dialog.showModal();
    return () => {
      dialog.close();
      if (opener instanceof HTMLElement && opener.isConnected) {
        opener.focus({ preventScroll: true });
      }
    };
  }, []);
  return (
    <dialog
      ref={element}
      class={kind}
      aria-labelledby={heading}
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
      onClick={(event) => event.target === element.current && onClose()}
    >
      <div class="sheet">
        <header>
          <h2 id={heading} tabIndex={-1}>{title}</h2>
          <Button kind="quiet" icon="close" aria-label="Close" onClick={onClose} />
        </header>
        <div class="body">{children}</div>
        {actions && <footer>{actions}</footer>}
      </div>
    </dialog>
  );
}

/**
 * A panel beside the page, which stays usable: for the sandbox. Escape inside closes it. Whoever opens it
 * is led to its heading, and back when it closes; a panel that was open when the page came takes no focus.
 */
export function SidePanel({ title, onClose, children }: Properties) {
  const element = useRef<HTMLElement>(null);
  const heading = useId();
  useLayoutEffect(() => {
    const panel = element.current!;
    const opener = document.activeElement;
    if (opener === document.body) return;
    panel.querySelector<HTMLElement>("h2")!.focus({ preventScroll: true });
    return () => {
      // Who is elsewhere in the page by now stays there.
      if (!panel.contains(document.activeElement) && document.activeElement !== document.body) {
        return;
      }
      if (opener instanceof HTMLElement && opener.isConnected) opener.focus();
    };
  }, []);
  return (
    <aside
      ref={element}
      class="side-panel"
      aria-labelledby={heading}
      onKeyDown={(event) => event.key === "Escape" && onClose()}
    >
      <header>
        <h2 id={heading} tabIndex={-1}>{title}</h2>
        <Button kind="quiet" icon="close" aria-label="Close" onClick={onClose} />
      </header>
      <div class="body">{children}</div>
    </aside>
  );
}
