/** The version of these files. The database has its own, and the two must be the same. */
export const VERSION = "0.1.0";
