/**
 * The verdicts of `programs/firewall` against those of nftables: the same rules, the same packets,
 * one by one. nftables stands in a router between two interfaces; an appliance sends the packets
 * from both sides and takes what comes through. Needs root and Debian's nftables; without it is
 * skipped, and says why.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { packetText, readCapture, testProgram } from 'wirelet/test';
import { encodeRecords } from '../../host/src/capture-file.js';
import { END_MACS, keyOf, ROUTER_MACS, type Sent } from '../nftables/conversation.js';
import { Random } from '../nftables/random.js';
import {
  firewallRule,
  INTERFACES,
  nftablesRuleset,
  type Rule,
  randomRules,
} from '../nftables/rules.js';
import { traffic } from '../nftables/traffic.js';
import { RunningAppliance } from './appliance.js';
import { Namespace, obstacle } from './namespace.js';

const path = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url));
const reason = obstacle('nft');
const CONVERSATIONS = 150;
/** So that each packet is decided before the next one is sent. */
const DISTANCE_US = 300;
const START_NS = 1_000_000_000n;
const ENDS = ['left', 'right'] as const;
/** Its packets always pass: they say that all others have been decided. */
const LAST: Rule = { allows: true, protocol: 'udp', from: {}, to: { ports: [7, 7] } };
/** Whatever the seed, something passes. */
const FROM_LEFT: Rule = { allows: true, in: 0, from: {}, to: {} };
/** Others by `NFTABLES_SEEDS=7,8,9`. */
const SEEDS = (process.env.NFTABLES_SEEDS ?? '1,2,3,4').split(',').map(Number);

const title = `the firewall and nftables${reason === undefined ? '' : ` (${reason})`}`;
describe.skipIf(reason !== undefined)(title, { timeout: 180_000 }, () => {
  let ends: Namespace;
  let router: Namespace;
  let folder: string;
  let appliance: RunningAppliance | undefined;

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'wirelet-nftables-'));
    [ends, router] = (await Promise.all([1, 2].map(() => Namespace.create()))) as [
      Namespace,
      Namespace,
    ];
    makeRouter(router, ends);
  });
  afterEach(() => {
    appliance?.kill();
    for (const namespace of [ends, router]) namespace.close();
    rmSync(folder, { recursive: true, force: true });
  });

  /** Sends the packets through the router; returns keys of those that came through. */
  async function throughRouter(sent: readonly Sent[]): Promise<Set<string>> {
    const [input, output] = [join(folder, 'sent.pcap'), join(folder, 'came.pcap')];
    const records = sent.map(({ packet }, index) => ({
      bytes: packet,
      timeUs: index * DISTANCE_US,
    }));
    writeFileSync(input, encodeRecords(records));
    appliance = await RunningAppliance.start(ends, {
      // One CPU and one packet at a time: the kernel decides in the order of sending.
      lcores: [firstCpu()],
      burst: 1,
      ports: {
        files: `pcap:${input},${output}?pace`,
        left: 'af_packet:left',
        right: 'af_packet:right',
      },
      programs: { ends: { source: path('../nftables/ends'), redirectTo: ['files', ...ENDS] } },
      pipeline: ['ends'],
    });
    await appliance.says('the last packet of a side', 2);
    const { stats, conservation } = await appliance.stop();
    expect(conservation.exact).toBe(true);
    expect([stats.ports.files?.rx, stats.ports.files?.dropped]).toEqual([sent.length, 0]);
    return new Set((await readCapture(output)).map(keyOf));
  }

  /** Keys of those that the firewall passes. */
  async function throughFirewall(settings: object, sent: readonly Sent[]): Promise<Set<string>> {
    const firewall = await testProgram('programs/firewall', { settings: { ...settings } });
    const passed = sent.filter(({ packet, side }, index) => {
      const nowNs = START_NS + BigInt(index * DISTANCE_US) * 1000n;
      return firewall.send(packet, { port: side, nowNs }).verdict === 'pass';
    });
    return new Set(passed.map(({ key }) => key));
  }

  test.each(SEEDS)('decide the same: seed %i', async (seed) => {
    const policy = seed % 3 === 0 ? 'allow' : 'deny';
    const random = new Random(seed);
    const rules = [LAST, ...randomRules(random), FROM_LEFT];
    const ruleset = join(folder, 'ruleset.nft');
    writeFileSync(ruleset, nftablesRuleset(rules, policy === 'allow'));
    router.run('nft', '-f', ruleset);
    const sent = traffic(random, CONVERSATIONS);
    const settings = { policy, rules: rules.map(firewallRule) };
    const [ours, theirs] = [await throughFirewall(settings, sent), await throughRouter(sent)];
    const different = sent.filter(({ key }) => ours.has(key) !== theirs.has(key));
    const lines = different.map(({ key, side, packet }) => {
      const who = ours.has(key) ? 'only the firewall passes' : 'only nftables passes';
      return `${who} ${key} from the ${ENDS[side]}: ${packetText(packet)}`;
    });
    expect(lines, JSON.stringify(settings, null, 1)).toEqual([]);
    // Both answers happen often.
    expect(ours.size).toBeGreaterThan(sent.length / 10);
    expect(ours.size).toBeLessThan((sent.length * 9) / 10);
  });
});

/** A CPU that we may use. */
function firstCpu(): number {
  const status = readFileSync('/proc/self/status', 'utf8');
  return Number(/Cpus_allowed_list:\s*(\d+)/.exec(status)?.[1] ?? 0);
}

/** Two interfaces with conntrack between them; every host's address is known beforehand. */
function makeRouter(router: Namespace, ends: Namespace): void {
  const set = (name: string, value: number) =>
    router.run('sh', '-c', `echo ${value} > /proc/sys/net/${name}`);
  for (const [side, name] of INTERFACES.entries()) {
    const end = ENDS[side] ?? '';
    ends.veth(end, router, name);
    ends.run('sh', '-c', `echo 1 > /proc/sys/net/ipv6/conf/${end}/disable_ipv6`);
    ends.ip(`link set ${end} address ${END_MACS[side]}`);
    router.ip(`link set ${name} address ${ROUTER_MACS[side]}`);
    router.ip(`addr add 10.${side + 1}.0.254/16 dev ${name}`);
    router.ip(`addr add fd0${side + 1}::fe/64 dev ${name} nodad`);
    for (const host of [1, 2, 3, 4, 65, 66, 98, 99]) {
      const addresses = [`10.${side + 1}.0.${host}`, `fd0${side + 1}::${host.toString(16)}`];
      for (const address of addresses) {
        router.ip(`neigh replace ${address} lladdr ${END_MACS[side]} dev ${name} nud permanent`);
      }
    }
    set(`ipv4/conf/${name}/rp_filter`, 0);
  }
  set('ipv4/conf/all/rp_filter', 0);
  set('ipv4/ip_forward', 1);
  set('ipv6/conf/all/forwarding', 1);
  // A connection begins with SYN; sequence numbers are not our subject.
  router.run('nft', 'add table inet firewall');
  router.run('nft', 'add chain inet firewall forward { type filter hook forward priority 0 ; }');
  router.run('nft', 'add rule inet firewall forward ct state new counter');
  set('netfilter/nf_conntrack_tcp_loose', 0);
  set('netfilter/nf_conntrack_tcp_be_liberal', 1);
  router.run('nft', 'delete table inet firewall');
}
