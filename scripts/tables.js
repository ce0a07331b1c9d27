/** Tables of docs/architecture.md and docs/devices.md that repeat what the code declares. */

/** Name, value and meaning of every limit of native/abi/src/limits.rs. */
export function limits(rust) {
  const declared = rust.slice(rust.indexOf('\nlimits! {'));
  const pattern = /((?: {4}\/\/\/ .*\n)+) {4}([A-Z_0-9]+): \w+ = ([^;]+);/g;
  return [...declared.matchAll(pattern)].map(([, doc, name, value]) => [
    `\`${name}\``,
    evaluate(value).toLocaleString('en-US'),
    sentence(doc),
  ]);
}

/** Name, place and meaning of every drop reason of native/abi/src/drops.rs. */
export function dropReasons(rust) {
  const declared = rust.slice(rust.indexOf('\ndrop_reasons! {'));
  const pattern = /((?: {4}\/\/\/ .*\n)+) {4}\w+ = \d+, "(\w+)", (true|false);/g;
  return [...declared.matchAll(pattern)].map(([, doc, name, atEdge]) => [
    `\`${name}\``,
    atEdge === 'true' ? 'on arrival' : 'inside',
    sentence(doc),
  ]);
}

/** Where each device and wrapper of docs/devices.md lists its options. */
export const DEVICE_SOURCES = {
  null: 'null.rs',
  loop: 'loopback.rs',
  ring: 'ring.rs',
  pcap: 'pcap.rs',
  gen: 'generator.rs',
  sink: 'sink.rs',
  af_packet: 'af_packet.rs',
  tap: 'tap.rs',
  af_xdp: 'af_xdp.rs',
  dpdk: 'dpdk.rs',
  fault: 'wrap/fault.rs',
  trace: 'wrap/trace.rs',
  capture: 'wrap/capture.rs',
};

/** Option, default and meaning of every option that a driver's header lists. */
export function deviceOptions(rust) {
  const rows = [...rust.matchAll(/^\/\/! \| (`.*) \|$/gm)].map(([, row]) => row.split(' | '));
  // A name in brackets is a link within the code.
  return rows.map((cells) => cells.map((cell) => cell.replace(/:? \[`\w+`\]/, '')));
}

function sentence(doc) {
  return doc
    .replaceAll(/^\s*\/\/\/ /gm, '')
    .trim()
    .replaceAll('\n', ' ');
}

/** `4 << 20` and `10_000_000`: all that stands there. */
function evaluate(expression) {
  const [value, shift = '0'] = expression.replaceAll('_', '').split('<<');
  return Number(value) * 2 ** Number(shift);
}

/** The document with other rows in the first table under `heading`; its two header lines stay. */
export function withRows(markdown, heading, rows) {
  const start = markdown.indexOf('\n|', markdown.indexOf(`\n## ${heading}\n`)) + 1;
  const end = markdown.indexOf('\n\n', start) + 1;
  const header = markdown.slice(start, end).split('\n').slice(0, 2);
  const lines = [...header, ...rows.map((cells) => `| ${cells.join(' | ')} |`), ''];
  return markdown.slice(0, start) + lines.join('\n') + markdown.slice(end);
}
