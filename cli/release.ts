/**
 * What a release freezes. `cli/releases.json` has the hash of every file of each release: by it an
 * upgrade knows its own files, and a test knows that no released migration was changed.
 */
import { basename } from "node:path";
import { compareVersions, type ProductFile, type Release } from "./payload.ts";
import { Problem } from "./problem.ts";
import { versionOf } from "./project_files.ts";

/**
 * The releases with these files as the next one. Errors: already_released, migration_changed,
 * migration_too_early, changes_missing.
 */
export function withRelease(
  released: Release[],
  { version, payload, changes }: { version: string; payload: ProductFile[]; changes: string },
): Release[] {
  const files = Object.fromEntries(payload.map(({ path, hash }) => [path, hash]));
  const last = released.at(-1);
  if (last && compareVersions(version, last.version) <= 0) {
    throw new Problem(
      "already_released",
      `Version ${last.version} is released, and the files say that they are ${version}.`,
      "Raise the version in supabase/functions/_shared/calendly/version.ts and in the database.",
    );
  }
  const changed = changedMigrations(released, files);
  if (changed.length > 0) {
    throw new Problem(
      "migration_changed",
      `Released migrations never change, and these did: ${changed.join(", ")}.`,
      "Restore them, and put the change into a new migration.",
    );
  }
  const newest = migrations(last?.files ?? {}).map(versionOf).sort().at(-1) ?? "";
  const early = migrations(files).filter((name) =>
    !last?.files[`migrations/${name}`] && versionOf(name) <= newest
  );
  if (early.length > 0) {
    throw new Problem(
      "migration_too_early",
      `New migrations sort before released ones: ${early.join(", ")}.`,
      `Give them versions after ${newest}: others would be applied in another order than here.`,
    );
  }
  if (!changes.split(/\r?\n/).includes(`## ${version}`)) {
    throw new Problem(
      "changes_missing",
      `CHANGELOG.md has no section "## ${version}".`,
      "Say there what the release changes.",
    );
  }
  return [...released, { version, files }];
}

/** The migrations of a release that these files do not have, or not with that content. */
export function changedMigrations(released: Release[], files: Record<string, string>): string[] {
  const frozen = released.flatMap((release) => Object.entries(release.files));
  const changed = frozen.filter(([path, hash]) => isMigration(path) && files[path] !== hash);
  return [...new Set(changed.map(([path]) => basename(path)))];
}

function migrations(files: Record<string, string>): string[] {
  return Object.keys(files).filter(isMigration).map((path) => basename(path));
}

function isMigration(path: string): boolean {
  return path.startsWith("migrations/");
}
