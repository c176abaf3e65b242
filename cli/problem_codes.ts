/**
 * The codes that only the command line, `install`'s warnings and the local stack tell: what each means for
 * the project, and what to do. Problem takes these and those of the functions
 * (supabase/functions/_shared/calendly/error_codes.ts), and no other. docs/operate.md is made from here.
 */
import type { ErrorCode } from "../supabase/functions/_shared/calendly/error_codes.ts";

export interface ProblemCodeEntry {
  about: keyof typeof ABOUT_PROBLEMS;
  means: string;
  todo: string;
}

/** The kinds of codes, in the order of the page. */
export const ABOUT_PROBLEMS = {
  project: "The command line and your project",
  console: "The console",
  platform: "The command line and Supabase",
  files: "Files of the project's folder",
  arguments: "What was typed",
  local: "The local stack",
  release: "Making a release",
};

const RUN_AGAIN = "Run the command again.";

export const PROBLEM_CODES = {
  // The project -----------------------------------------------------------------------------------
  project_paused: {
    about: "project",
    means: "The project is paused. Nothing is synced.",
    todo: "Restore it in the dashboard. Syncs go on by themselves then.",
  },
  project_restricted: {
    about: "project",
    means:
      "Supabase has restricted the project, for its usage or an unpaid bill. Nothing is synced.",
    todo: "See usage and billing of the organization in the dashboard.",
  },
  project_unreachable: {
    about: "project",
    means: "The project, or its gateway, does not answer.",
    todo: "Check `SUPABASE_URL` and the network, and the state of the project in the dashboard.",
  },
  unexpected_answer: {
    about: "project",
    means: "Something else than this product answers: a proxy, a sign-in page, another function.",
    todo: "Check `SUPABASE_URL`, and the function's log in the dashboard.",
  },
  wrong_key: {
    about: "project",
    means: "The key is no secret key of this project.",
    todo: "Set `SUPABASE_SECRET_KEY` to one (`sb_secret_…`), or to the service_role key.",
  },
  no_publishable_key: {
    about: "project",
    means:
      "The console's page needs a publishable key, and there is none, or a secret one in its place.",
    todo: "Set `SUPABASE_PUBLISHABLE_KEY` to one (`sb_publishable_…`), or to the anon key.",
  },
  function_not_deployed: {
    about: "project",
    means: "An Edge Function is not deployed. Without `calendly-sync` nothing is synced, without " +
      "`calendly-webhook` only by the schedule.",
    todo: "Run `deploy`.",
  },
  function_not_starting: {
    about: "project",
    means: "An Edge Function does not start. Nothing that it does happens.",
    todo: "Read its log in the dashboard. Run `deploy` again.",
  },
  function_ended: {
    about: "project",
    means: "An Edge Function ended before it answered: it ran out of time or memory.",
    todo: "Try again. If it lasts, read its log in the dashboard.",
  },
  verify_jwt_on: {
    about: "project",
    means:
      "A function was deployed with `verify_jwt` on, so that the gateway refuses its callers. " +
      "The schedule and Calendly do not reach it.",
    todo: "Set `verify_jwt = false` for it in `supabase/config.toml`, and run `deploy`.",
  },
  status_unknown: {
    about: "project",
    means: "The Data API refuses to answer.",
    todo: "Try again in a moment. If it lasts, see the log of the API in the dashboard.",
  },
  no_tick: {
    about: "project",
    means: "After a deployment the schedule has not run. Nothing is synced by itself.",
    todo: "See whether pg_cron is on (Integrations > Cron), and " +
      "`select * from cron.job_run_details order by start_time desc limit 5;`.",
  },
  sync_not_started: {
    about: "project",
    means:
      "The person is connected, and the first sync has not begun yet. The schedule begins it as " +
      "soon as it can.",
    todo: "`status` says what is in the way.",
  },
  reencrypt_failed: {
    about: "project",
    means:
      "Tokens could not be encrypted anew. Those that were are good; the others still need the " +
      "former key.",
    todo: "Keep both keys in `CALENDLY_TOKEN_KEY`, mend what the message says, and run it again.",
  },
  token_key_missing: {
    about: "project",
    means:
      "The database has tokens, and the key that encrypted them is not set. Nothing was changed.",
    todo: "Set the key that you kept. If it is lost, `deploy --new-key`: everybody connects again.",
  },
  token_missing: {
    about: "project",
    means: "No Calendly token was given. Nothing was changed.",
    todo: "Send it by standard input.",
  },
  newer_deployed: {
    about: "project",
    means: "The project has a newer release than this program. Nothing was changed.",
    todo: "Use that version or a newer one.",
  },
  names_taken: {
    about: "project",
    means:
      "Tables, views or functions of yours have names that this product uses; they are listed. " +
      "Nothing was changed.",
    todo: "Rename, move or drop them, and run it again.",
  },
  functions_missing: {
    about: "project",
    means:
      "`calendly-sync` is not deployed, and it alone can tell Calendly that connections end. " +
      "Nothing was changed.",
    todo: "Run `deploy` first, or delete the subscriptions at Calendly yourself as the hint says.",
  },
  not_disconnected: {
    about: "project",
    means: "Calendly has not been told yet that the connections end. The data is still there.",
    todo: "Run `uninstall` again: it goes on where it stopped.",
  },
  still_connected: {
    about: "project",
    means: "`uninstall.sql` found somebody connected, or not yet ended at Calendly. Nothing was " +
      "changed.",
    todo: "`select calendly.disconnect(user_id) from calendly_connections;` and wait until " +
      "`calendly.pending_revocations` is empty.",
  },
  still_used: {
    about: "project",
    means: "Views, foreign keys or policies of yours use what would be dropped; they are listed. " +
      "Nothing was changed.",
    todo: "Drop or change them, and run it again.",
  },
  tables_in_use: {
    about: "project",
    means:
      "`uninstall.sql` has waited for 30 seconds for other sessions, which hold tables or views " +
      "of ours. Nothing was changed.",
    todo: "Run it again. `pg_stat_activity` shows who has been in a transaction for long.",
  },
  not_owner: {
    about: "project",
    means:
      "`uninstall.sql` ran as another role than the owner of the objects. Nothing was changed.",
    todo: "Connect as the owner, or begin with `set role`.",
  },
  database_unreachable: {
    about: "project",
    means: "The database does not answer at the address that was given.",
    todo: "Check address and password; `--local` finds the one of `supabase start`.",
  },
  database_read_only: {
    about: "project",
    means: "The database takes no writes: its disk is full, or it is a replica. The step changed " +
      "nothing.",
    todo: "Make room or enlarge the disk, then run it again.",
  },
  database_error: {
    about: "project",
    means: "Postgres refused a statement; the message is its own. The step changed nothing.",
    todo: "Read the message. " + RUN_AGAIN,
  },

  // Supabase --------------------------------------------------------------------------------------
  cli_missing: {
    about: "platform",
    means: "The Supabase CLI is not installed.",
    todo: "`npm install --save-dev supabase@3`",
  },
  cli_outdated: {
    about: "platform",
    means: "The Supabase CLI is older than this program needs.",
    todo: "`npm install --save-dev supabase@3`",
  },
  not_logged_in: {
    about: "platform",
    means: "The Supabase CLI has no access token, or one that Supabase does not know.",
    todo: "`npx supabase login`, or set `SUPABASE_ACCESS_TOKEN`.",
  },
  no_rights: {
    about: "platform",
    means: "The access token may not do this; the hint names the permission.",
    todo: "Use a token with that permission, and a role in the organization that has it.",
  },
  not_linked: {
    about: "platform",
    means: "The folder is not linked to a project.",
    todo: "`npx supabase link --project-ref <ref>`, or name the project: `--remote=<ref>`.",
  },
  project_unknown: {
    about: "platform",
    means: "Supabase does not know this project, or this account may not see it.",
    todo: "Compare the ref with the dashboard's address, and with `npx supabase projects list`.",
  },
  no_local_stack: {
    about: "platform",
    means: "The Supabase CLI knows of no local stack.",
    todo: "Start one with `npx supabase start`, or name a database with `--database-url`.",
  },
  api_unreachable: {
    about: "platform",
    means: "Supabase does not answer.",
    todo: "Check the network and https://status.supabase.com. " + RUN_AGAIN,
  },
  api_unavailable: {
    about: "platform",
    means: "Supabase cannot answer at present.",
    todo: "Wait a minute. " + RUN_AGAIN,
  },
  api_html: {
    about: "platform",
    means: "A web page came in place of Supabase's answer: a proxy or a sign-in page.",
    todo: "Sign in where the network asks for it, or use another network.",
  },
  supabase_failed: {
    about: "platform",
    means: "A command of the Supabase CLI failed; the message has its words.",
    todo: "Run that command with `--debug` to see more.",
  },

  // The console -----------------------------------------------------------------------------------
  no_session: {
    about: "console",
    means: "This browser has no session for operations. Meetings of a signed-in person still show.",
    todo: "`console` makes a link that opens one.",
  },
  wrong_host: {
    about: "console",
    means: "The console was opened under a name that is not its own. Nothing was answered.",
    todo: "Open it at the address that it prints.",
  },
  wrong_origin: {
    about: "console",
    means:
      "Another page asked for something that only the console's own page may ask. It was refused.",
    todo: "Open the console at the address that it prints.",
  },
  not_allowed: {
    about: "console",
    means:
      "The console does not pass on this call: its list names all that it does. Nothing was done.",
    todo: "Ask the project itself, with a key of yours.",
  },
  invalid_json: {
    about: "console",
    means: "The body of a call to the console is not JSON. Nothing was done.",
    todo: "Send the verb's arguments as JSON.",
  },

  // Files -----------------------------------------------------------------------------------------
  no_folder: {
    about: "files",
    means: "The folder does not exist.",
    todo: "Name the folder of your Supabase project.",
  },
  no_project: {
    about: "files",
    means:
      "No project was found: neither `supabase/config.toml`, nor a linked one, nor one that the " +
      "environment names.",
    todo: "Name the folder, link it, or set `SUPABASE_URL` and `SUPABASE_SECRET_KEY`.",
  },
  own_folder: {
    about: "files",
    means: "The folder is this product's own clone.",
    todo: "Name the folder of your Supabase project.",
  },
  not_installed: {
    about: "files",
    means: "Files or settings of this product are missing in the folder. Nothing was changed.",
    todo: "Run `install`.",
  },
  newer_installed: {
    about: "files",
    means: "The folder has a newer release than this program. Nothing was changed.",
    todo: "Use that version or a newer one.",
  },
  files_outdated: {
    about: "files",
    means: "The folder has files of another release. Nothing was changed.",
    todo: "Run `install`.",
  },
  folder_taken: {
    about: "files",
    means: "A folder has our name, and nothing in it is of a release of ours. Nothing was changed.",
    todo: "Rename it, or delete it if it is what an `uninstall` left.",
  },
  version_taken: {
    about: "files",
    means: "Migrations of yours have a version of ours. Nothing was changed.",
    todo: "Give them another version, if they are not applied anywhere.",
  },
  migration_changed: {
    about: "files",
    means:
      "A migration of ours is not as it was released, or the database was made from other files. " +
      "Nothing was changed.",
    todo: "Restore the files of the release; put your own changes into a migration of your own.",
  },
  changed_meanwhile: {
    about: "files",
    means: "A file was changed after the plan was shown. It was not touched.",
    todo: RUN_AGAIN,
  },
  config_invalid: {
    about: "files",
    means: "`supabase/config.toml` cannot be read.",
    todo: "Mend it. " + RUN_AGAIN,
  },
  config_not_patched: {
    about: "files",
    means: "`supabase/config.toml` cannot be changed without touching what is yours.",
    todo: "Put `verify_jwt = false` for the three functions into it yourself.",
  },
  not_a_folder: {
    about: "files",
    means: "A file stands where a folder has to be.",
    todo: "Move it away. " + RUN_AGAIN,
  },
  not_a_file: {
    about: "files",
    means: "A folder stands where a file has to be.",
    todo: "Move it away. " + RUN_AGAIN,
  },
  symbolic_link: {
    about: "files",
    means: "A symbolic link stands where a file or folder of ours has to be: it is not followed.",
    todo: "Put the file or folder itself there. " + RUN_AGAIN,
  },
  no_access: {
    about: "files",
    means: "A file cannot be read or written.",
    todo: "Get the rights on it. " + RUN_AGAIN,
  },
  file_error: {
    about: "files",
    means: "The file system refused something; the message says what.",
    todo: "Mend that. " + RUN_AGAIN,
  },
  later_migrations: {
    about: "files",
    means: "A warning: migrations of yours have later versions than ours.",
    todo: "`deploy` does not mind; `npx supabase db push --remote` asks for `--include-all`.",
  },
  declarative_schemas: {
    about: "files",
    means:
      "A warning: the project declares its schema in files, and takes what they do not declare " +
      "for deleted, ours included.",
    todo: "Read each migration that the Supabase CLI writes, and take out what is about our names.",
  },
  background_work_ends: {
    about: "files",
    means: "A warning: under `supabase start` a function ends with its answer, and syncs in the " +
      "background stop.",
    todo: 'Set `policy = "per_worker"` under `[edge_runtime]`.',
  },
  data_api: {
    about: "files",
    means:
      "A warning: `[api]` does not offer the schema public, through which the functions reach the " +
      "database.",
    todo: 'Set `enabled = true` and put "public" into `schemas`.',
  },
  function_settings: {
    about: "files",
    means: "A warning: with what `supabase/config.toml` says, a function of ours would not answer.",
    todo: "Take that line out.",
  },

  // Arguments -------------------------------------------------------------------------------------
  unknown_command: {
    about: "arguments",
    means: "There is no such command.",
    todo: "`--help` lists the commands.",
  },
  unknown_option: {
    about: "arguments",
    means: "The command has no such option, or another number of arguments.",
    todo: "`--help` after the command lists its options.",
  },
  invalid_option: {
    about: "arguments",
    means: "An option has a value that it cannot have, or does not go with another.",
    todo: "`--help` after the command lists its options.",
  },
  invalid_argument: {
    about: "arguments",
    means: "An argument has a value that it cannot have, or does not go with another.",
    todo: "`--help` after the command says what it takes.",
  },
  bad_option: {
    about: "arguments",
    means: "An option of `task start` has a value that it cannot have.",
    todo: "`task start --help` lists the options.",
  },
  several_projects: {
    about: "arguments",
    means: "Options name different projects.",
    todo: "Give one of them.",
  },
  other_project: {
    about: "arguments",
    means: "`--url` is the address of another project than the one that is meant.",
    todo: "Leave it out, or name that project with `--remote`.",
  },
  password_in_argument: {
    about: "arguments",
    means: "A password stands in an argument, which everybody on the machine can see.",
    todo: "Set `PGPASSWORD` instead.",
  },
  not_confirmed: {
    about: "arguments",
    means: "Nobody could be asked. Nothing was changed.",
    todo: "Add `--yes`, or see the plan alone with `--dry-run`.",
  },
  canceled: {
    about: "arguments",
    means: "The question was not answered. Nothing was changed.",
    todo: RUN_AGAIN,
  },
  unexpected: {
    about: "arguments",
    means: "The program met an error that it does not know.",
    todo: "`status` says how the project is. What stderr says belongs into a report.",
  },

  // The local stack -------------------------------------------------------------------------------
  no_network: {
    about: "local",
    means: "A library could not be fetched from the npm registry.",
    todo: "Check the network, the proxy (`HTTPS_PROXY`) or `NPM_CONFIG_REGISTRY`.",
  },
  port_taken: {
    about: "local",
    means: "Something else uses the port.",
    todo: "Stop it, or choose another one with `--port`.",
  },
  folder_in_use: {
    about: "local",
    means: "Another stack uses the folder.",
    todo: "Stop it first, or start this one with `--ephemeral`.",
  },
  database_broken: {
    about: "local",
    means: "The database of the local stack cannot be opened.",
    todo: "Delete its folder: the next start makes a new one and syncs again.",
  },
  sandbox_broken: {
    about: "local",
    means: "The file in which the sandbox keeps its state cannot be used.",
    todo: "Delete that file: the next start makes a new Calendly account.",
  },
  page_not_built: {
    about: "local",
    means: "The console's page could not be built. The rest of the local project runs.",
    todo: "The first build fetches the page's libraries: check the network, and load it again.",
  },
  not_superuser: {
    about: "local",
    means: "The user of `--database-url` is no superuser, and the stack makes roles.",
    todo: "Name a superuser.",
  },
  migration_failed: {
    about: "local",
    means: "A migration failed; nothing of it was applied.",
    todo: "Read the message: it names the statement.",
  },
  functions_failed: {
    about: "local",
    means: "The Edge Functions do not start.",
    todo: "What they printed is above the message.",
  },
  sync_failed: {
    about: "local",
    means: "A sync of the demo failed; the message has the function's code.",
    todo: "Look that code up here.",
  },

  // Releases --------------------------------------------------------------------------------------
  already_released: {
    about: "release",
    means: "The version of the files is released already.",
    todo: "Raise it in `_shared/calendly/version.ts` and in the database.",
  },
  migration_too_early: {
    about: "release",
    means: "A new migration sorts before released ones.",
    todo: "Give it a version after them.",
  },
  changes_missing: {
    about: "release",
    means: "`CHANGELOG.md` says nothing of the version.",
    todo: "Say there what the release changes.",
  },
} as const satisfies
  & Record<string, ProblemCodeEntry>
  // A code stands in one list only.
  & { [Code in ErrorCode]?: never };

export type ProblemCode = ErrorCode | keyof typeof PROBLEM_CODES;
