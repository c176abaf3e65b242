/** Lines over two scales that grow by factors, as an SVG for a light and a dark page. */
import type { Plot } from "./result.ts";
import { showNumber } from "./result.ts";

const WIDTH = 760;
const HEIGHT = 380;
/** Around the field of the lines; their names are to the right of it. */
const MARGIN = { top: 44, right: 230, bottom: 48, left: 56 };
const LABEL_HEIGHT = 16;

/** Told apart in both schemes, and by people who see fewer colors. */
const COLORS: [light: string, dark: string][] = [
  ["#0b62a4", "#6cb6ff"],
  ["#b54708", "#f0a35e"],
  ["#0f766e", "#5cc8bd"],
  ["#9d174d", "#f283b6"],
  ["#5b21b6", "#b79cf5"],
  ["#525252", "#b0b0b0"],
];

interface Scale {
  (value: number): number;
  ticks: number[];
}

export function drawPlot({ title, x, y, lines }: Plot): string {
  const drawn = lines.filter(({ points }) => points.length > 0);
  const points = drawn.flatMap(({ points }) => points);
  const across = scale(points.map(([x]) => x), MARGIN.left, WIDTH - MARGIN.right, true);
  const up = scale(points.map(([, y]) => y), HEIGHT - MARGIN.bottom, MARGIN.top, false);
  const labels = placeLabels(drawn.map(({ points }) => up(points.at(-1)![1])));
  const [left, right] = [MARGIN.left, WIDTH - MARGIN.right];
  const bottom = HEIGHT - MARGIN.bottom;
  const parts = [
    `<text class="title" x="${left}" y="20">${escape(title)}</text>`,
    ...up.ticks.map((tick) =>
      `<line class="grid" x1="${left}" x2="${right}" y1="${up(tick)}" y2="${up(tick)}"/>` +
      `<text x="${left - 8}" y="${up(tick) + 4}" text-anchor="end">${showNumber(tick)}</text>`
    ),
    ...across.ticks.map((tick) =>
      `<text x="${across(tick)}" y="${bottom + 20}" text-anchor="middle">${showNumber(tick)}</text>`
    ),
    `<text x="${left - 8}" y="${MARGIN.top - 12}" text-anchor="end">${escape(y)}</text>`,
    `<text x="${right}" y="${bottom + 38}" text-anchor="end">${escape(x)}</text>`,
    ...drawn.map(({ name, points }, place) => {
      const path = points.map(([x, y]) => `${across(x)},${up(y)}`);
      return `<g class="line${place % COLORS.length}">` +
        `<polyline points="${path.join(" ")}"/>` +
        points.map(([x, y]) => `<circle cx="${across(x)}" cy="${up(y)}" r="3"/>`).join("") +
        `<text x="${right + 12}" y="${labels[place] + 4}">${escape(name)}, ${
          showNumber(points.at(-1)![1])
        }</text></g>`;
    }),
  ];
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img">
<title>${escape(title)}</title>
<style>
${STYLE}
</style>
${parts.join("\n")}
</svg>
`;
}

const STYLE = `text { font: 12px system-ui, sans-serif; fill: #444 }
.title { font-size: 14px; font-weight: 600; fill: #111 }
.grid { stroke: #ddd }
polyline { fill: none; stroke-width: 2 }
${rules(0)}
@media (prefers-color-scheme: dark) {
text { fill: #bbb }
.title { fill: #eee }
.grid { stroke: #444 }
${rules(1)}
}`;

function rules(scheme: 0 | 1): string {
  return COLORS.map((colors, place) => {
    const color = colors[scheme];
    return `.line${place} polyline { stroke: ${color} } ` +
      `.line${place} circle, .line${place} text { fill: ${color} }`;
  }).join("\n");
}

/** By factors. Its ticks are the values themselves, or the powers of ten around them. */
function scale(values: number[], from: number, to: number, isExact: boolean): Scale {
  const exact = [...new Set(values)].sort((a, b) => a - b);
  const [least, most] = [Math.floor(Math.log10(exact[0])), Math.ceil(Math.log10(exact.at(-1)!))];
  const powers = Array.from({ length: Math.max(1, most - least) + 1 }, (_, n) => 10 ** (least + n));
  const ticks = isExact ? exact : powers;
  const [low, high] = [Math.log(ticks[0]), Math.log(ticks.at(-1)!)];
  const place = (value: number) => {
    const share = high === low ? 0.5 : (Math.log(value) - low) / (high - low);
    return Math.round((from + (to - from) * share) * 10) / 10;
  };
  return Object.assign(place, { ticks });
}

/** As near to the ends of their lines as they fit below each other. */
function placeLabels(wanted: number[]): number[] {
  const placed: number[] = [];
  let free = MARGIN.top;
  const order = wanted.map((y, place) => ({ y, place })).sort((a, b) => a.y - b.y);
  order.forEach(({ y, place }, n) => {
    const room = HEIGHT - MARGIN.bottom - (order.length - 1 - n) * LABEL_HEIGHT;
    placed[place] = Math.max(free, Math.min(y, room));
    free = placed[place] + LABEL_HEIGHT;
  });
  return placed;
}

function escape(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
