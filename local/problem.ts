/** An error that a person can mend: `code`, what happened, what to do. */
export class Problem extends Error {
  override name = "Problem";
  constructor(
    readonly code:
      | "unknown_option"
      | "bad_option"
      | "port_taken"
      | "folder_in_use"
      | "database_broken"
      | "database_unreachable"
      | "not_superuser"
      | "migration_changed"
      | "migration_failed"
      | "no_network"
      | "functions_failed"
      | "sync_failed"
      | "no_project"
      | "status_unknown"
      | "reencrypt_failed",
    message: string,
    readonly hint: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}
