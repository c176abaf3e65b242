/** docs/reference/settings.md: the numbers that rules depend on, with their defaults and ranges. */
import type { Catalogue, Setting } from "./catalogue.ts";
import { blocks, bullets, code, prose } from "./markdown.ts";

export function settingsPage({ settings }: Catalogue): string {
  return blocks(
    "# Settings",
    "One row in `calendly.settings`, shown and changed in the SQL editor. A value outside of its range " +
      "is refused, with the range, and nothing is changed.",
    "<!-- not run here: it changes a setting -->",
    "```sql\nselect calendly_configure();                                  -- shows all\n" +
      'select calendly_configure(\'{"sync_interval": "10 minutes"}\'); -- changes one\n```',
    "Each with its default, and in parentheses what it may be. How `CALENDLY_TOKEN_KEY` and the other variables of the functions are set is in " +
      "[environment.md](environment.md).",
    bullets(settings.map(line)),
  );
}

function line(setting: Setting): string {
  const { name, comment, isNullable } = setting;
  const facts = [
    `**${setting.default === null ? "null" : readable(setting.default)}**${unitOf(name)}`,
    [range(setting), isNullable && "or null"].filter(Boolean).join(" "),
  ];
  return `${code(name)}: ${facts[0]} (${facts[1]}). ${prose(comment ?? "")}`;
}

/** What a bare number counts, where its sentence does not say it. */
function unitOf(name: string): string {
  return name.includes("_days_") ? " days" : "";
}

function range({ check, checkComment }: Setting): string {
  if (checkComment) return prose(checkComment).replace(/^\w+ is /, "").replace(/\.$/, "");
  const bounds = [...check?.matchAll(/([<>])= \(?'?([^')]+)'?/g) ?? []];
  const value = (sign: string) => bounds.find(([, found]) => found === sign)?.[2];
  const [low, high] = [value(">"), value("<")];
  if (low !== undefined && high !== undefined) return `${readable(low)} to ${readable(high)}`;
  return low === undefined ? "" : `at least ${readable(low)}`;
}

/** "00:15:00" is "15 minutes", "7 days" stays. */
function readable(value: string): string {
  const [, hours, minutes, seconds] = value.match(/^(\d+):(\d\d):(\d\d)$/) ?? [];
  if (hours === undefined) return value;
  const parts = [[hours, "hour"], [minutes, "minute"], [seconds, "second"]] as const;
  return parts.filter(([number]) => Number(number) > 0)
    .map(([number, unit]) => `${Number(number)} ${unit}${Number(number) === 1 ? "" : "s"}`)
    .join(" ");
}
