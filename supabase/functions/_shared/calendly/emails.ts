/**
 * Takes e-mail addresses out of a text that is logged, stored with a run or shown: nobody could erase a
 * person from there. Every length is bounded, so that a long word costs no more than others.
 */

/** As it is typed, in full or small width, and in an address. */
const AT = String.raw`(?:[@\uff20\ufe6b]|%40|%EF%BC%A0|%EF%B9%AB)`;
const WORD = String.raw`[^\s"'<>()[\]{},;:=/@\uff20\ufe6b]|(?<=[\p{L}\p{N}])'(?=[\p{L}\p{N}])`;
/** A quoted one may have spaces in it; in JSON its quotes are escaped. */
const LOCAL = String.raw`(?:\\?"[^"\r\n]{1,64}"|(?:${WORD}){1,64})`;
const DOMAIN = String.raw`(?:\[[^\s\]]{1,64}\]|[^\s"'<>()[\]{},;:@/?&#\uff20\ufe6b]{1,255})`;
const HAS_AT = new RegExp(AT, "i");
const EMAIL = new RegExp(LOCAL + AT + DOMAIN, "giu");

/** The text with `shown` in the place of each address. */
export function withoutEmails(text: string, shown: string): string {
  return HAS_AT.test(text) ? text.replace(EMAIL, shown) : text;
}
