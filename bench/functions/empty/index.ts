/** A floor: a function that does nothing and imports nothing. */
export default { fetch: () => new Response() };
