/** Operations: everything of the project, where the page's server holds the secret key. */
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { theConfig } from "../data/config.ts";
import { link, route } from "../routes.ts";
import { CopyButton } from "../ui/button.tsx";
import { Empty } from "../ui/states.tsx";
import { type Tab, Tabs } from "../ui/tabs.tsx";
import { AlertsScreen } from "./alerts.tsx";
import { DeliveriesScreen } from "./deliveries.tsx";
import { DeliveryScreen } from "./delivery.tsx";
import { MeetingScreen, MeetingsScreen } from "./meetings.tsx";
import { OverviewScreen } from "./overview.tsx";
import { PeopleScreen } from "./people.tsx";
import { PersonScreen } from "./person.tsx";
import { RunScreen } from "./run.tsx";
import { RunsScreen } from "./runs.tsx";
import { ScheduleScreen } from "./schedule.tsx";

const TABS: Tab[] = [
  { id: "", label: "Overview", href: link("operations") },
  { id: "people", label: "People", href: link("operations", "people") },
  { id: "runs", label: "Runs", href: link("operations", "runs") },
  { id: "deliveries", label: "Deliveries", href: link("operations", "deliveries") },
  { id: "meetings", label: "Meetings", href: link("operations", "meetings") },
  { id: "schedule", label: "Schedule", href: link("operations", "schedule") },
  { id: "alerts", label: "Alerts", href: link("operations", "alerts") },
];

export function OperationsPage() {
  const [, screen = "", id] = route.value.path;
  const place = `${screen}/${id ?? ""}`;
  const first = useRef(true);
  useEffect(() => {
    const tab = TABS.find((one) => one.id === screen)?.label ?? "Operations";
    // After the title that the shell sets.
    queueMicrotask(() => document.title = `${tab} · Operations · Calendly Sync`);
    // On a phone the tabs are wider than the page.
    document.querySelector(".ops > .tabs [aria-current]")?.scrollIntoView({
      block: "nearest",
      inline: "nearest",
    });
  }, [place]);
  useLayoutEffect(() => {
    if (first.current) {
      first.current = false;
      return;
    }
    // Another screen begins at its heading, for the eye and for a screen reader.
    scrollTo(0, 0);
    document.querySelector<HTMLElement>(".ops-screen h1")?.focus({ preventScroll: true });
  }, [place]);
  if (!theConfig().operations) return <NoSession />;
  return (
    <div class="ops">
      <Tabs label="Operations" tabs={TABS} current={screen} />
      <Content key={place} screen={screen} id={id} />
    </div>
  );
}

function Content({ screen, id }: { screen: string; id?: string }) {
  const number = id !== undefined && /^\d{1,9}$/.test(id) ? Number(id) : undefined;
  const uuid = id !== undefined && /^[0-9a-f-]{36}$/.test(id) ? id : undefined;
  if (screen === "") return <OverviewScreen />;
  if (screen === "schedule") return <ScheduleScreen />;
  if (screen === "alerts") return <AlertsScreen />;
  if (screen === "people" && id === undefined) return <PeopleScreen />;
  if (screen === "people" && number !== undefined) return <PersonScreen id={number} />;
  if (screen === "runs" && id === undefined) return <RunsScreen />;
  if (screen === "runs" && uuid) return <RunScreen id={uuid} />;
  if (screen === "deliveries" && id === undefined) return <DeliveriesScreen />;
  if (screen === "deliveries" && uuid) return <DeliveryScreen id={uuid} />;
  if (screen === "meetings" && id === undefined) return <MeetingsScreen />;
  if (screen === "meetings" && number !== undefined) return <MeetingScreen id={number} />;
  return (
    <Empty title="There is no such page">
      <a href={link("operations")}>Go to the overview</a>
    </Empty>
  );
}

function NoSession() {
  const used = route.value.query.get("link") === "used";
  const command = theConfig().kind === "local"
    ? "npx -y deno@2.9.6 task console"
    : "calendly-sync console";
  return (
    <div class="ops-screen ops-door">
      <h1>{used ? "This link was used already" : "Operations need a link"}</h1>
      <p>
        {used
          ? "Each link opens operations once, and for ten minutes. Make a new one in a terminal:"
          : "They show everybody's data, so that they open only in a browser that comes by a one-time link. Make one in a terminal, in the project's folder:"}
      </p>
      <div class="ops-command">
        <pre tabIndex={0} aria-label="Command">{command}</pre>
        <CopyButton text={command} label="command" />
      </div>
      <p class="muted">
        It prints the link and opens it. The session ends when the browser or the console's server
        is closed. Your own meetings need no link: <a href={link("meetings")}>My meetings</a>.
      </p>
    </div>
  );
}
