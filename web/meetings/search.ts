/** A search as PostgREST's `ilike` takes it. */

/**
 * What is searched for, between wildcards; undefined where nothing is. Letters that PostgREST or `like` read
 * as their own become the wildcard for one letter: quoted values are not understood by every Data API.
 */
export function pattern(search: string): string | undefined {
  const words = search.trim().slice(0, 200);
  return words === "" ? undefined : `*${words.replace(/[,.:()"\\*%&]/g, "_")}*`;
}
