/** Rules of the command line: whose a file is, and that nothing is half written or lost. */
import { type Mutation, requests } from "./mutation.ts";

const UPGRADES = "an upgrade replaces, adds and removes what releases had";
const KILLED = "killed at any change and run again, an upgrade comes to the same end";
const REFUSED = "what is in the way is refused before anything is written";
const LEAVING = "what was put into a project is taken out again, whole or not at all";

export const COMMAND_LINE: Mutation[] = [
  {
    breaks: "installing overwrites a file that its owner edited",
    file: "cli/project_files.ts",
    from: 'return { path, state: "edited", text, diff };',
    to: 'return { path, state: "updated", text, diff };',
    caughtBy: [
      requests(
        "cli/install",
        "a file that its owner edited is shown and left, with or without a copy of ours",
      ),
    ],
  },
  {
    breaks: "installing takes the files of an earlier release for their owner's",
    file: "cli/payload.ts",
    from: "return releases.find(",
    to: "return releases.slice(-1).find(",
    caughtBy: [requests("cli/upgrade", UPGRADES)],
  },
  {
    breaks: "installing takes a file with the line ends of Windows for its owner's",
    file: "cli/payload.ts",
    from: '.update(text.replaceAll("\\r\\n", "\\n"))',
    to: ".update(text)",
    caughtBy: [requests("cli/install", "line ends that Git changed are no edit")],
  },
  {
    breaks: "installing writes a file in its place",
    file: "cli/files.ts",
    from: "const partial = path + PARTIAL;",
    to: "const partial = path;",
    caughtBy: [requests("cli/upgrade", KILLED)],
  },
  {
    breaks: "installing leaves a folder that a killed run had emptied",
    file: "cli/project_files.ts",
    from: "return unique.filter((_, at) => contents[at]?.length === 0)",
    to: "return unique.filter((_, at) => contents[at]?.length === -1)",
    caughtBy: [requests("cli/upgrade", KILLED)],
  },
  {
    breaks: "installing upgrades a project whose migrations were changed",
    file: "cli/project_files.ts",
    from: '(state === "edited" || state === "kept") && path.startsWith("migrations/")',
    to: 'state === "kept" && path.startsWith("migrations/")',
    caughtBy: [
      requests(
        "cli/upgrade",
        "a released migration that was changed stops an upgrade before it begins",
      ),
    ],
  },
  {
    breaks: "installing takes a function of somebody else's for ours",
    file: "cli/project_files.ts",
    from: "if (paths.length > 0 && !releasesOfFiles.some(Boolean)) {",
    to: "if (paths.length > 99 && !releasesOfFiles.some(Boolean)) {",
    caughtBy: [requests("cli/install", REFUSED)],
  },
  {
    breaks: "installing replaces a symbolic link",
    file: "cli/files.ts",
    from: "if (file?.isSymbolicLink()) throw symlink(path);",
    to: "",
    caughtBy: [requests("cli/install", "a symbolic link is not written through")],
  },
  {
    breaks: "installing does not look at what became of config.toml",
    file: "cli/config_toml.ts",
    from: "if (!isRight(text, result)) throw notPatched();",
    to: "",
    caughtBy: [
      requests(
        "cli/config_toml",
        "what cannot be changed without touching what is its owner's is refused",
      ),
    ],
  },
  {
    breaks: "installing changes the first verify_jwt of config.toml, whose ever it is",
    file: "cli/config_toml.ts",
    from: "if (isDeepStrictEqual(tryParse(candidate), wanted)) return candidate;",
    to: "if (wanted) return candidate;",
    caughtBy: [requests("cli/config_toml", "of a section that is there only the value changes")],
  },
  {
    breaks: "uninstalling takes what of the app's uses our functions and tables",
    file: "cli/uninstall.sql",
    from: "    perform pg_temp.calendly_check_dependents(kept);",
    to: "    null;",
    caughtBy: [
      requests(
        "guest/leaving",
        LEAVING,
        undefined,
        "not while something of the app's refers to it, which is named",
      ),
    ],
  },
  {
    breaks: "uninstalling waits for a lock until Postgres looks for deadlocks",
    file: "cli/uninstall.sql",
    from: "set lock_timeout = '200ms'",
    to: "set lock_timeout = '5s'",
    caughtBy: [
      requests(
        "guest/leaving",
        "on a real server with pg_cron",
        undefined,
        "whoever reads one of our tables may read the others meanwhile",
      ),
    ],
  },
  {
    breaks: "uninstalling unschedules the app's jobs",
    file: "cli/uninstall.sql",
    from: "on j.jobname = o.name and j.username = current_user;",
    to: "on j.jobname like 'calendly-%' and o.name = 'calendly-nudge';",
    caughtBy: [
      requests("guest/leaving", LEAVING, undefined, "by default the data stays, as plain tables"),
    ],
  },
  {
    breaks: "uninstalling joins two lines of config.toml",
    file: "cli/config_toml.ts",
    from: 'offset + match.length === result.length ? "" : lineEnd;',
    to: 'offset + match.length === result.length ? "" : "";',
    caughtBy: [
      requests(
        "cli/config_toml",
        "our sections are found where something follows them, and what follows stays",
      ),
    ],
  },
  {
    breaks: "a release has a migration that an upgrade would apply out of order",
    file: "cli/release.ts",
    from: "versionOf(name) <= newest",
    to: "versionOf(name) < newest.slice(1)",
    caughtBy: [requests("cli/package", "a release that would break an upgrade is refused")],
  },
  {
    breaks: "deploying sends the project's secret key to SUPABASE_URL",
    file: "cli/deployment.ts",
    from: "const { url = `https://${ref}.supabase.co` } = choice;",
    to: "const { url = addressIn(env) ?? `https://${ref}.supabase.co` } = choice;",
    caughtBy: [
      {
        ...requests("cli/deploy_refused", "the secret key goes to no address that nobody typed"),
        real: true,
      },
    ],
  },
  {
    breaks: "deploying makes a key over tokens that another one has encrypted",
    file: "cli/commands/deploy.ts",
    from: "if (makesKey && state.hasTokens && !newKey) throw tokenKeyMissing();",
    to: "",
    caughtBy: [
      {
        ...requests(
          "cli/deploy_refused",
          "deploy makes no key over tokens that another one has encrypted",
        ),
        real: true,
      },
    ],
  },
  {
    breaks: "deploying leaves a function as its owner had edited it",
    file: "cli/commands/deploy.ts",
    from: "state.deployed[name] !== digest(content, supabase.functions, name)",
    to: "false",
    caughtBy: [{ ...requests("cli/deploy", "deploy brings a new project to work"), real: true }],
  },
];
