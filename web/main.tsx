/** The console's entry: sets the theme before the first paint, then renders the page. */
import { render } from "preact";
import { App } from "./app.tsx";
import { loadConfig } from "./data/config.ts";
import { takeConsent } from "./meetings/consent.ts";
import { applyTheme } from "./ui/theme.tsx";

applyTheme();
takeConsent();
loadConfig();
addEventListener("DOMContentLoaded", () => render(<App />, document.getElementById("app")!));
