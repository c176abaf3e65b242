/** The product's version: the one place of the functions. The database has its own, see calendly_health. */
export const VERSION = "0.1.0";
