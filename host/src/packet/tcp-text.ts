/** A TCP segment in the words of tcpdump: `Flags [S], seq 1, win 65535, length 0`. */
import type { Header } from './headers.js';
import type { PacketReader } from './reader.js';

const FLAGS = 'FSRP.UEW';
const [FIN, SYN, RST, ACK, URG] = [1, 2, 4, 16, 32];

/** What the segment under `header` says. */
export function tcpText(reader: PacketReader, { start, end }: Header): string {
  const bits = reader.u8(start + 13);
  const flags = [...FLAGS].filter((_, bit) => bits & (1 << bit)).join('');
  const length = reader.rest(end).length;
  const sequence = reader.u32(start + 4);
  const parts = [`Flags [${flags || 'none'}]`];
  if (length > 0) parts.push(`seq ${sequence}:${(sequence + length) >>> 0}`);
  else if (bits & (FIN | SYN | RST)) parts.push(`seq ${sequence}`);
  if (bits & ACK) parts.push(`ack ${reader.u32(start + 8)}`);
  parts.push(`win ${reader.u16(start + 14)}`);
  if (bits & URG) parts.push(`urg ${reader.u16(start + 18)}`);
  if (end - start > 20) parts.push(`options [${optionsText(reader, start + 20, end)}]`);
  return [...parts, `length ${length}`].join(', ');
}

const END = 0;
const NOP = 1;
const TIMESTAMPS = 8;
const SELECTIVE = 5;

/** `mss 1460,nop,wscale 7`; what is cut or lies about its length ends the list. */
function optionsText(reader: PacketReader, start: number, end: number): string {
  const texts: string[] = [];
  for (let at = start; at < end; ) {
    const kind = reader.u8(at);
    if (kind === END || kind === NOP) {
      texts.push(kind === END ? 'eol' : 'nop');
      if (kind === END) break;
      at++;
      continue;
    }
    const bytes = at + 1 < end ? reader.u8(at + 1) : 0;
    if (bytes < 2 || at + bytes > end) {
      texts.push('bad length');
      break;
    }
    texts.push(optionText(reader, kind, at + 2, bytes - 2));
    at += bytes;
  }
  return texts.join(',');
}

function optionText(reader: PacketReader, kind: number, at: number, bytes: number): string {
  if (kind === 2 && bytes === 2) return `mss ${reader.u16(at)}`;
  if (kind === 3 && bytes === 1) return `wscale ${reader.u8(at)}`;
  if (kind === 4 && bytes === 0) return 'sackOK';
  if (kind === TIMESTAMPS && bytes === 8) {
    return `TS val ${reader.u32(at)} ecr ${reader.u32(at + 4)}`;
  }
  if (kind === SELECTIVE && bytes > 0 && bytes % 8 === 0) {
    const ranges = Array.from({ length: bytes / 8 }, (_, i) => {
      return `{${reader.u32(at + i * 8)}:${reader.u32(at + i * 8 + 4)}}`;
    });
    return `sack ${bytes / 8} ${ranges.join('')}`;
  }
  return `unknown-${kind}`;
}
