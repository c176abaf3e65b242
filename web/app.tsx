/** The page around both doors: header, switches, the sandbox's panel, messages. */
import { useEffect } from "preact/hooks";
import { config, configProblem, loadConfig } from "./data/config.ts";
import { online } from "./data/online.ts";
import { MeetingsPage } from "./meetings/page.tsx";
import { OperationsPage } from "./operations/page.tsx";
import { link, route } from "./routes.ts";
import { SandboxPanel } from "./sandbox/panel.tsx";
import { Button } from "./ui/button.tsx";
import { Icon } from "./ui/icon.tsx";
import { remembered } from "./ui/remembered.ts";
import { Empty, Failure } from "./ui/states.tsx";
import { Tabs } from "./ui/tabs.tsx";
import { ThemeSwitch } from "./ui/theme.tsx";
import { TimeSwitch } from "./ui/time.tsx";
import { Toasts } from "./ui/toast.tsx";

/** Whether the sandbox's panel is open, in this tab of the browser. */
export const sandboxOpen = remembered<"yes" | "no">(
  "sandbox",
  "no",
  ["yes", "no"],
  globalThis.document && globalThis.sessionStorage,
);

export function App() {
  const door = route.value.path[0];
  const open = config.value?.sandbox === true && sandboxOpen.value === "yes";
  useEffect(() => {
    document.title = `${door === "operations" ? "Operations" : "My meetings"} · Calendly Sync`;
  }, [door]);
  return (
    <div class={`shell ${open ? "with-panel" : ""}`}>
      <a class="skip" href="#main" onClick={skip}>Skip to the content</a>
      <header class="top">
        <a class="name" href={link("meetings")}>
          <img src="icon.svg" alt="" width="24" height="24" />
          <span>Calendly Sync</span>
        </a>
        <Tabs
          label="Parts of the console"
          current={door}
          tabs={[
            { id: "meetings", label: "My meetings", href: link("meetings") },
            { id: "operations", label: "Operations", href: link("operations") },
          ]}
        />
        <div class="switches">
          <TimeSwitch />
          <ThemeSwitch />
          {config.value?.sandbox && (
            <Button
              icon="sandbox"
              aria-expanded={open}
              onClick={() => sandboxOpen.value = open ? "no" : "yes"}
            >
              Sandbox
            </Button>
          )}
        </div>
      </header>
      {!online.value && (
        <div class="offline" role="status">
          <Icon name="warning" />{" "}
          You are offline. What you see is what was there last; it goes on by itself.
        </div>
      )}
      <main id="main" tabIndex={-1}>
        <Content door={door} />
      </main>
      {open && <SandboxPanel onClose={() => sandboxOpen.value = "no"} />}
      <Toasts />
    </div>
  );
}

function Content({ door }: { door: string }) {
  if (configProblem.value && !config.value) {
    return (
      <Failure
        title="The console's server does not answer"
        problem={configProblem.value}
        retry={loadConfig}
      />
    );
  }
  if (!config.value) return null;
  if (door === "meetings") return <MeetingsPage />;
  if (door === "operations") return <OperationsPage />;
  return (
    <Empty title="There is no such page">
      <a href={link("meetings")}>Go to your meetings</a>
    </Empty>
  );
}

function skip(event: Event): void {
  event.preventDefault();
  document.getElementById("main")?.focus();
}
