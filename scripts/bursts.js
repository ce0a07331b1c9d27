/**
 * Burst sizes and chains: table and picture of docs/performance.md, out of the raw samples of
 * `npm run bench:bursts`.
 */
import { median } from './median.js';

/** Sizes of bursts, and programs per packet, that are measured; 0: none. */
export const BURSTS = [1, 8, 32, 64, 256];
export const CHAINS = [0, 1, 4, 16];

const WIDTH = 640;
const HEIGHT = 400;
const LEFT = 64;
const RIGHT = 120;
const TOP = 36;
/** Between two names. */
const NAME_HEIGHT = 16;
const BOTTOM = 56;
/** Nanoseconds at the bottom and the top of the picture. */
const LOW_NS = 10;
const HIGH_NS = 2000;
const TICKS_NS = [10, 20, 50, 100, 200, 500, 1000, 2000];
/** By chain; each can be told from the others and the ground, light or dark. */
const COLORS = ['#7a7f87', '#2f81d6', '#c9731b', '#c0459a'];

function nsOf({ rows }, chain, burst) {
  const row = rows.find((row) => row.chain === chain && row.burst === burst);
  if (!row) throw new Error(`no samples of a chain of ${chain} at burst ${burst}`);
  return median(row.samples);
}

const programs = (chain) =>
  chain === 0 ? 'no program' : chain === 1 ? '1 program' : `${chain} programs`;

/** A row for each chain: its name, and nanoseconds per packet at each burst size. */
export function burstRows(results) {
  return CHAINS.map((chain) => [
    programs(chain),
    ...BURSTS.map((burst) => nsOf(results, chain, burst).toFixed(1)),
  ]);
}

/** Both axes are logarithmic: twice as far is the same step everywhere. */
const x = (burst) => LEFT + ((WIDTH - LEFT - RIGHT) * Math.log2(burst)) / Math.log2(256);
const y = (ns) =>
  HEIGHT - BOTTOM - ((HEIGHT - TOP - BOTTOM) * Math.log(ns / LOW_NS)) / Math.log(HIGH_NS / LOW_NS);
const at = (value) => value.toFixed(1);

/** The picture, as an SVG document. */
export function burstPicture(results) {
  const place = (chain) => (burst) => [x(burst), y(nsOf(results, chain, burst))];
  const lines = CHAINS.map((chain) => BURSTS.map(place(chain)));
  const text = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img">`,
    '<title>Nanoseconds per packet by burst size, for chains of programs</title>',
    '<style>',
    'text { font: 13px sans-serif; fill: #3a3f45; }',
    '.grid { stroke: #888; stroke-opacity: 0.3; }',
    '.line { fill: none; stroke-width: 2; }',
    '@media (prefers-color-scheme: dark) { text { fill: #c8ccd1; } }',
    '</style>',
    ...TICKS_NS.map(rung),
    ...BURSTS.map(rail),
    label((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 14, 'packets per burst', 'middle'),
    label(8, 14, 'ns of CPU per packet', 'start'),
    ...lines.map((places, index) => line(places, COLORS[index])),
    ...names(lines),
    '</svg>',
  ];
  return `${text.join('\n')}\n`;
}

function rung(ns) {
  const height = at(y(ns));
  const path = `M${LEFT} ${height}H${WIDTH - RIGHT}`;
  return `<path class="grid" d="${path}"/>${label(LEFT - 8, y(ns) + 4, ns, 'end')}`;
}

function rail(burst) {
  const path = `M${at(x(burst))} ${TOP}V${HEIGHT - BOTTOM}`;
  const name = label(x(burst), HEIGHT - BOTTOM + 18, burst, 'middle');
  return `<path class="grid" d="${path}"/>${name}`;
}

function line(places, color) {
  const path = places.map((place, index) => `${index === 0 ? 'M' : 'L'}${place.map(at).join(' ')}`);
  const dots = places.map(
    ([x, y]) => `<circle cx="${at(x)}" cy="${at(y)}" r="3" fill="${color}"/>`,
  );
  return `<path class="line" stroke="${color}" d="${path.join('')}"/>${dots.join('')}`;
}

/** Each at the end of its line, or as far above as the name below needs; the lowest comes first. */
function names(lines) {
  let below = HEIGHT;
  return lines.map((places, index) => {
    below = Math.min(places[places.length - 1][1] + 4, below - NAME_HEIGHT);
    return label(WIDTH - RIGHT + 10, below, programs(CHAINS[index]), 'start');
  });
}

function label(x, y, text, anchor) {
  return `<text x="${at(x)}" y="${at(y)}" text-anchor="${anchor}">${text}</text>`;
}
