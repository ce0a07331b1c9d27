/** A packet of a trace in a line, as tcpdump prints it. */
import { native } from '../native.js';
import { packetText } from '../packet/text.js';
import type { TracedPacket, TraceTarget } from '../trace.js';

/**
 * The time, what is traced and which way the packet goes or what the program decided, the packet,
 * and what became of it where that says more.
 *
 * ```text
 * 14:02:11.004512 wan rx IP 10.0.0.1.53 > 192.0.2.5.99: 7+ A? ads.example. (29) [dropped by guard]
 * 14:02:11.004519 guard pass IP 10.0.0.1.1000 > 192.0.2.53.53: 8+ A? example.org. (29)
 * ```
 */
export function tracedText(packet: TracedPacket, { kind, name }: TraceTarget): string {
  const { moment, verdict, note } = packet;
  const way = kind === 'port' || moment === 'before' ? moment : verdict || 'open';
  const known = [`passed by ${name}`, `dropped by ${name}`, `fault in ${name}`];
  const rest = note === '' || (kind === 'program' && known.includes(note)) ? '' : ` [${note}]`;
  return `${timeText(packet.timeNs)} ${name} ${way} ${textOf(packet)}${rest}`;
}

/** The host reads DNS, too, and needs all of a packet; the native one knows what is cut off. */
function textOf({ packet, length }: TracedPacket): string {
  return packet.length < length ? native().packetLine(packet, length) : packetText(packet);
}

/** Of the day, here, in microseconds. */
function timeText(timeNs: bigint): string {
  const time = new Date(Number(timeNs / 1_000_000n));
  const two = (number: number) => String(number).padStart(2, '0');
  const clock = [time.getHours(), time.getMinutes(), time.getSeconds()].map(two).join(':');
  return `${clock}.${String((timeNs / 1000n) % 1_000_000n).padStart(6, '0')}`;
}
