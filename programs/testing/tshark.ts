// What tshark, a decoder that shares no line with ours, says of packets: the headers nearest to the
// wire, and the DNS question when there is one.

import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type CaptureRecord, decodeRecords, encodeRecords } from '../../host/src/capture-file.js';

/** tshark's view of one packet. */
export interface Decoded {
  tagged: boolean;
  /** EtherType behind VLAN tags; NaN for an 802.3 length. */
  etherType: number;
  /** Protocol number behind options and extension headers; NaN when the IP header is not whole. */
  protocol: number;
  laterFragment: boolean;
  udpDestination: number;
  /** Question names of a DNS message over UDP, undefined when tshark sees none. */
  dns: { response: boolean; opcode: number; names: string[] } | undefined;
  /** An IPv4 total length below the header's, where tshark goes no further. */
  shortTotal: boolean;
}

const FIELDS = [
  'frame.protocols',
  'frame.cap_len',
  'eth.type',
  'vlan.etype',
  'ip.hdr_len',
  'ip.proto',
  'ip.frag_offset',
  'ipv6.nxt',
  'ipv6.hopopts.nxt',
  'ipv6.routing.nxt',
  'ipv6.fraghdr.nxt',
  'ipv6.dstopts.nxt',
  'ah.next_header',
  'ipv6.fraghdr.offset',
  'udp.dstport',
  'dns.flags.response',
  'dns.flags.opcode',
  'dns.qry.name',
  'ip.len',
] as const;
const NAMED = new Map([
  ['arp', 0x0806],
  ['ip', 0x0800],
  ['ipv6', 0x86dd],
]);
type Field = (typeof FIELDS)[number];
type Row = Record<Field, string[]>;

/** Whether tshark and editcap can be run here. */
export function isInstalled(): boolean {
  return ['tshark', 'editcap'].every((tool) => spawnSync(tool, ['--version']).status === 0);
}

/** The Ethernet packets of every file in a folder that editcap can read. */
export function readCaptures(folder: string): Map<string, CaptureRecord[]> {
  const work = mkdtempSync(join(tmpdir(), 'wirelet-captures-'));
  const captures = new Map<string, CaptureRecord[]>();
  for (const name of readdirSync(folder).sort()) {
    const out = join(work, 'out.pcap');
    const { status } = spawnSync('editcap', ['-F', 'pcap', join(folder, name), out]);
    if (status !== 0) continue;
    const file = new Uint8Array(readFileSync(out));
    // Bytes 20 to 23 are the link type: only Ethernet goes to programs.
    if (file[20] === 1) captures.set(name, decodeRecords(file));
  }
  rmSync(work, { recursive: true });
  return captures;
}

/** Decodes packets, each by itself: nothing is reassembled. One run of tshark for all. */
export function decode(records: readonly CaptureRecord[]): Decoded[] {
  const work = mkdtempSync(join(tmpdir(), 'wirelet-tshark-'));
  const file = join(work, 'all.pcap');
  writeFileSync(file, encodeRecords(records));
  const args = ['-n', '-r', file, '-T', 'fields', '-E', 'aggregator=;', '-E', 'separator=/t'];
  for (const dissector of ['ip', 'ipv6']) args.push('-o', `${dissector}.defragment:FALSE`);
  for (const field of FIELDS) args.push('-e', field);
  const text = execFileSync('tshark', args, {
    encoding: 'utf8',
    maxBuffer: 1 << 30,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  rmSync(work, { recursive: true });
  return text.trimEnd().split('\n').map(parse);
}

function parse(line: string): Decoded {
  const columns = line.split('\t');
  const row = Object.fromEntries(
    FIELDS.map((field, i) => [field, (columns[i] ?? '').split(/[;]/).filter(Boolean)]),
  ) as Row;
  const layers = (row['frame.protocols'][0] ?? '')
    .split(':')
    .filter((name) => name !== 'ethertype');
  const payload = layers.findIndex((name, i) => i > 0 && name !== 'vlan' && name !== 'ieee8021ad');
  const tags = (payload < 0 ? layers.length : payload) - 1;
  // tshark has no field for the type behind an 802.1ad tag, only the name of what it found there.
  const named = NAMED.get(layers[tags + 1] ?? '');
  const etherType = Number((tags > 0 ? row['vlan.etype'][tags - 1] : row['eth.type'][0]) ?? named);
  const isIpv4 = etherType === 0x0800;
  const header = isIpv4 ? Number(row['ip.hdr_len'][0]) : 40;
  const total = Number(row['ip.len'][0]);
  const isWhole = 14 + tags * 4 + header <= Number(row['frame.cap_len'][0]);
  const protocol = isIpv4 ? Number(row['ip.proto'][0]) : lastNext(row);
  return {
    tagged: tags > 0,
    etherType,
    protocol: isWhole ? protocol : Number.NaN,
    laterFragment: Number(row[isIpv4 ? 'ip.frag_offset' : 'ipv6.fraghdr.offset'][0]) > 0,
    udpDestination: Number(row['udp.dstport'][0]),
    dns: parseDns(row),
    shortTotal: isIpv4 && total > 0 && total < header,
  };
}

/** Walks the chain of extension headers by what each says comes next. */
function lastNext(row: Row): number {
  const fields = new Map<number, Field>([
    [0, 'ipv6.hopopts.nxt'],
    [43, 'ipv6.routing.nxt'],
    [44, 'ipv6.fraghdr.nxt'],
    [60, 'ipv6.dstopts.nxt'],
    [51, 'ah.next_header'],
  ]);
  const used = new Map<Field, number>();
  let next = Number(row['ipv6.nxt'][0]);
  for (;;) {
    const field = fields.get(next);
    if (field === undefined) return next;
    const index = used.get(field) ?? 0;
    const value = row[field][index];
    if (value === undefined) return next;
    used.set(field, index + 1);
    const later = field === 'ipv6.fraghdr.nxt' && Number(row['ipv6.fraghdr.offset'][index]) > 0;
    next = Number(value);
    if (later) return next;
  }
}

function parseDns(row: Row): Decoded['dns'] {
  const response = row['dns.flags.response'][0];
  if (response === undefined) return undefined;
  return {
    response: response === '1' || response === 'True',
    opcode: Number(row['dns.flags.opcode'][0]),
    names: row['dns.qry.name'],
  };
}
