/**
 * A strict reader of OpenMetrics text 1.0 (openmetrics.io), as far as gauges and infos go: it throws where a
 * monitor would refuse the text.
 */

export interface Family {
  type: string;
  unit?: string;
  help?: string;
  samples: { labels: Record<string, string>; value: number }[];
}

const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const SUFFIX: Record<string, string> = { gauge: "", info: "_info" };

export function parseOpenMetrics(text: string): Map<string, Family> {
  if (!text.endsWith("\n# EOF\n")) throw new Error("does not end with # EOF");
  const families = new Map<string, Family>();
  let current: [name: string, family: Family] | undefined;
  for (const line of text.slice(0, -"# EOF\n".length).split("\n").slice(0, -1)) {
    const [, keyword, name, rest] = line.match(/^# (TYPE|UNIT|HELP) (\S+) (.*)$/) ?? [];
    if (keyword === undefined) {
      if (!current) throw new Error(`a sample before its family: ${line}`);
      current[1].samples.push(parseSample(line, ...current));
      continue;
    }
    if (name !== current?.[0]) {
      if (!NAME.test(name)) throw new Error(`no name: ${name}`);
      if (families.has(name)) throw new Error(`${name} comes twice`);
      if (keyword !== "TYPE") throw new Error(`the type of ${name} does not come first`);
      current = [name, { type: rest, samples: [] }];
      families.set(...current);
      if (!(rest in SUFFIX)) throw new Error(`unexpected type: ${rest}`);
      continue;
    }
    if (current[1].samples.length > 0) throw new Error(`${keyword} of ${name} after its samples`);
    const field = keyword.toLowerCase() as "type" | "unit" | "help";
    if (current[1][field] !== undefined) throw new Error(`a second ${keyword} of ${name}`);
    if (field === "unit" && !name.endsWith(`_${rest}`)) throw new Error(`${name} lacks its unit`);
    if (field === "help" && /\\(?![\\n"])|"/.test(rest)) throw new Error(`not escaped: ${rest}`);
    current[1][field] = rest;
  }
  return families;
}

function parseSample(line: string, family: string, { type, samples }: Family) {
  const [, name, , inner, number] =
    line.match(/^([^\s{]+)(\{(.*)\})? (-?[0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?)$/) ?? [];
  if (name !== family + SUFFIX[type]) throw new Error(`no sample of ${family}: ${line}`);
  const labels: Record<string, string> = {};
  let rest = inner ?? "";
  while (rest !== "") {
    const [whole, label, value] =
      rest.match(/^([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\n"])*)"(?:,(?=.)|$)/) ?? [];
    if (whole === undefined) throw new Error(`no label: ${rest}`);
    if (label in labels) throw new Error(`${label} comes twice: ${line}`);
    labels[label] = value.replace(
      /\\(.)/g,
      (_, character) => character === "n" ? "\n" : character,
    );
    rest = rest.slice(whole.length);
  }
  const identity = JSON.stringify(Object.entries(labels).sort());
  if (samples.some((other) => JSON.stringify(Object.entries(other.labels).sort()) === identity)) {
    throw new Error(`the same sample twice: ${line}`);
  }
  if (type === "info" && Number(number) !== 1) throw new Error(`an info is 1: ${line}`);
  return { labels, value: Number(number) };
}
