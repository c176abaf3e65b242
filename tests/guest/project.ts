/** A project with an app in it: what the tests of a guest do to it. */
import type { Database, Transaction } from "../../local/database.ts";
import { type Migration, readMigrations } from "../../cli/migrations.ts";
import { AS_OWNER, migrate } from "../../local/migrations.ts";
import { installedMigrations } from "../../cli/migrations.ts";
import { ANN, BEN } from "./shapes.ts";

/** What an installation has: the names of the original system are left out unless asked for. */
export const OURS = installedMigrations(await readMigrations());

const PAGE = await Deno.readTextFile(new URL("../../docs/uninstall.md", import.meta.url));

/** The statements of docs/uninstall.md that disconnect everybody. */
export const DISCONNECT = PAGE.match(/```sql\n(.*?)```/s)![1];

/** The script that uninstalls: it keeps the data, unless it is told not to in its last line. */
export const LEAVE_DATA = await Deno.readTextFile(
  new URL("../../cli/uninstall.sql", import.meta.url),
);
const LAST_LINE = "select pg_temp.calendly_uninstall(drop_data => false)";
if (!LEAVE_DATA.includes(LAST_LINE)) throw new Error(`cli/uninstall.sql lacks: ${LAST_LINE}`);
export const LEAVE = LEAVE_DATA.replace(LAST_LINE, LAST_LINE.replace("false", "true"));

/** Runs `work` in a transaction, and takes all of it back. */
export async function undone(
  database: Database,
  work: (transaction: Transaction) => Promise<unknown>,
): Promise<void> {
  const undo = new Error("taken back");
  const undoing = database.transaction(async (transaction) => {
    await work(transaction);
    throw undo;
  });
  await undoing.catch((error) => {
    if (error !== undo) throw error;
  });
}

/** Runs `work` as far as it goes, takes it back and returns its error, if any. */
export async function attempt(
  transaction: Transaction,
  work: () => Promise<unknown>,
): Promise<Error | undefined> {
  await transaction.exec("savepoint attempt");
  const error = await work().then(() => undefined, (error) => error);
  await transaction.exec("rollback to savepoint attempt; release savepoint attempt; reset role");
  return error;
}

/** As `postgres`, which owns what a project's migrations make. */
export async function asOwner(transaction: Transaction, sql: string): Promise<void> {
  await transaction.exec(`${AS_OWNER}${sql}`);
  await transaction.exec("reset role");
}

/** Applies our migrations, and records them as the Supabase CLI does. */
export async function install(
  transaction: Transaction,
  migrations: Migration[] = OURS,
): Promise<void> {
  await migrate({
    query: transaction.query,
    script: (sql) => transaction.exec(`${sql}; reset role`),
    async transaction(work) {
      const result = await work(transaction);
      await transaction.exec("reset role");
      return result;
    },
  }, migrations);
}

/** The statements that make `role` (or an account of Auth) the one who asks. */
export function asking(role: string): string {
  return [ANN, BEN].includes(role)
    ? `select set_config('request.jwt.claims', '{"sub": "${role}", "role": "authenticated"}', true);
      set local role authenticated;`
    : `set local role ${role};`;
}

/**
 * What a statement comes to, as text: what `gives` says afterwards, or the error. Nothing of it stays.
 */
export async function outcome(
  transaction: Transaction,
  { as, sql, gives }: { as: string; sql: string; gives: string },
): Promise<string> {
  const error = await attempt(transaction, () =>
    transaction.exec(`${asking(as)}
      ${sql}
      reset role;
      set constraints all immediate;
      do $outcome$
      begin
        raise exception 'it comes to %', to_jsonb(${gives});
      end
      $outcome$;`));
  return error!.message;
}
