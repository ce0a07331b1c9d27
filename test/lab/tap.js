// Rules on DPDK's tap, which makes the kernel's traffic control (tc, flower) carry them out: the
// same rules there and in the engine, and none, over the same packets of the machine's kernel.
import assert from 'node:assert/strict';

const SOURCES = [4000, 4001, 4002, 4003];
const DESTINATIONS = [53, 54, 55, 56, 57];
/** No tag, and one. */
const VLANS = [0, 100];
const TIMES = 4;
const PACKETS = { sources: SOURCES, destinations: DESTINATIONS, vlans: VLANS, times: TIMES };
const SENT = VLANS.length * SOURCES.length * DESTINATIONS.length * TIMES;

const rule = (action, match) => ({
  match: { etherType: 'ipv4', protocol: 'udp', ...match },
  action,
});
/** The first one is an exception to the second. */
const RULES = [
  rule({ queue: 1 }, { sourcePort: 4000, destinationPort: 53 }),
  rule({ drop: true }, { destinationPort: 53 }),
  rule({ queue: 1 }, { destinationPort: 54 }),
  rule({ queue: 0 }, { destinationPort: 55 }),
  rule({ drop: true }, { source: '10.9.100.0/24', destinationPort: 56 }),
];
/** How many packets each of them decides. */
const HITS = [8, 24, 32, 32, 16];
/** What the kernel would get wrong: a packet with a tag meets its filter for those without. */
const TAG_RULES = [rule({ drop: true }, { vlan: 'none', destinationPort: 53 })];
const NOT_IN_TAP = 'rule 0 is about VLAN tags, which net_tap mixes up';

/** Where rules send a packet: a queue, `dropped`, or undefined where no rule says anything. */
function decided([vlan, source, destination]) {
  if (destination === 53) return source === 4000 ? 1 : 'dropped';
  if (destination === 54) return 1;
  if (destination === 55) return 0;
  return destination === 56 && vlan === 100 ? 'dropped' : undefined;
}

/** One appliance from start to stop: numbers and lcores of each flow, in order. */
async function run(machine, offload, rules) {
  machine.tell(`tap ${JSON.stringify({ offload, rules, packets: PACKETS })}`);
  const filters = JSON.parse(await machine.said('filters')).filter((line) =>
    /flower .*handle/.test(line),
  );
  const { stats, errors, conservation } = JSON.parse(await machine.said('report')).data;
  assert.equal(await machine.said('stopped'), '130');
  assert.deepEqual(errors, []);
  assert.equal(conservation.exact, true, JSON.stringify(conservation));
  assert.equal(stats.framesUsed, 0, 'frames in use after the stop');
  const flows = new Map();
  for (const [vlan, source, destination, number, lcore] of JSON.parse(
    await machine.said('received'),
  )) {
    const key = JSON.stringify([vlan, source, destination]);
    flows.set(key, [...(flows.get(key) ?? []), `${number} on lcore ${lcore}`]);
  }
  assert.equal(await machine.said('left'), 'null', 'the tap, and filters with it, after the stop');
  return { filters: filters.length, port: stats.ports.a, flows };
}

const allOn = (lcore) =>
  Array.from({ length: TIMES }, (_, number) => `${number} on lcore ${lcore}`);
const count = ({ flows }) => [...flows.values()].flat().length;

/** Without rules the kernel has chosen the queue of each flow, and of all of its packets. */
function checkPlain({ flows, port }) {
  assert.equal(count({ flows }), SENT, 'packets without rules');
  assert.equal(port.rules, null);
  const lcores = [...flows.values()].map((seen) =>
    [allOn(0), allOn(1)].findIndex((all) => JSON.stringify(all) === JSON.stringify(seen)),
  );
  assert.deepEqual([...new Set(lcores)].sort(), [0, 1], 'both lcores, one for each flow, in order');
}

/** What rules decide is as they say; the rest is as it is without any. */
function expected(plain) {
  const flows = new Map();
  for (const [key, seen] of plain.flows) {
    const to = decided(JSON.parse(key));
    if (to !== 'dropped') flows.set(key, to === undefined ? seen : allOn(to));
  }
  return flows;
}

export async function checkTap(machine) {
  const plain = await run(machine, 'auto', []);
  checkPlain(plain);
  const wanted = expected(plain);
  const lines = [`without rules: ${count(plain)} packets, on both lcores`];

  const hardware = await run(machine, 'always', RULES);
  const place = ({ port }) => [port.rules.where, port.rules.hits.map(({ packets }) => packets)];
  // The driver can not count.
  assert.deepEqual(place(hardware), ['hardware', RULES.map(() => null)]);
  assert.deepEqual(hardware.flows, wanted);
  assert.equal(hardware.port.drops.rule, 0);
  // Each for packets without a tag, and with one.
  assert.deepEqual([plain.filters, hardware.filters], [0, 2 * RULES.length], 'filters');
  const { filters } = hardware;
  lines.push(`rules in hardware (${filters} filters of the kernel): ${count(hardware)} packets`);

  const native = await run(machine, 'never', RULES);
  assert.deepEqual(place(native), ['native', HITS]);
  assert.deepEqual(native.flows, hardware.flows);
  assert.equal(native.port.drops.rule, HITS[1] + HITS[4]);
  assert.equal(native.filters, 0);
  lines.push(`the same rules in the engine: the same packets on the same lcores`);

  const tags = await run(machine, 'auto', TAG_RULES);
  assert.equal(tags.port.rules.where, 'native');
  assert.ok(tags.port.rules.refused.includes(NOT_IN_TAP), tags.port.rules.refused);
  assert.equal(count(tags), SENT - SOURCES.length * TIMES);
  lines.push(`a rule about tags: not in hardware, ${tags.port.rules.refused}`);

  const spread = await run(machine, 'auto', [{ match: {}, action: { pass: true } }]);
  assert.equal(count(spread), SENT);
  const { where, refused } = spread.port.rules;
  // Part of what spreads packets may stay behind where the kernel refuses the rest of it.
  if (where === 'native') assert.deepEqual(spread.flows, plain.flows);
  lines.push(`a rule that lets all pass: ${where}${refused && `, ${refused}`}`);

  const again = await run(machine, 'auto', []);
  assert.deepEqual(again.flows, plain.flows);
  lines.push('without rules again: all as at first');
  return lines;
}
