/** What docs/performance.md repeats of bench/results: tables beside DPDK. */
import { median } from './median.js';

/** Least parts of the peer's speed that are goals (issue 6), by work and burst. */
const GOALS = { 'io 64': 0.95, 'macswap 64': 0.9, 'l3fwd 64': 0.9, 'filter 32': 1 };

/** Of the samples of a row. */
const middle = ({ samples }) => median(samples.map(({ nsPerPacket }) => nsPerPacket));

function shown(ns) {
  return ns.toFixed(ns < 100 ? 1 : 0);
}

/** A work of bench/results/dpdk.json a row: ours, the peer that the goal is about, and others. */
export function besideDpdk({ rows }) {
  const measured = rows.filter(({ samples }) => samples.length > 0);
  const works = new Map(measured.map(({ work, burst }) => [`${work} ${burst}`, { work, burst }]));
  return [...works].flatMap(([key, { work, burst }]) => {
    const all = measured.filter((row) => row.work === work && row.burst === burst);
    const [ours, peer, ...others] = all;
    if (ours.name !== 'ours' || !peer) return [];
    const ratio = middle(peer) / middle(ours);
    const goal = GOALS[key];
    const isMissed = goal !== undefined && ratio < goal;
    const texts = others.map((row) => `${row.name}: ${shown(middle(row))}`);
    return [
      [
        `\`${work}\`, burst ${burst}`,
        shown(middle(ours)),
        `${peer.name}: ${shown(middle(peer))}`,
        isMissed ? `**${ratio.toFixed(2)}**` : ratio.toFixed(2),
        goal?.toFixed(2) ?? '',
        texts.join('; '),
      ],
    ];
  });
}

/** Tables of docs/performance.md: heading, name of the raw file in bench/results, rows of it. */
export const MEASURED_TABLES = [
  { heading: 'Beside DPDK', file: 'dpdk', rowsOf: besideDpdk },
  { heading: 'Beside DPDK, with hugepages', file: 'dpdk-hugepages', rowsOf: besideDpdk },
];
