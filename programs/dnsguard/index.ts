import { Counter, Packet, Settings, Udp, Verdict } from '@wirelet/runtime';
import { MALFORMED, Names } from './names';

const DNS_PORT: u32 = 53;
const DNS_HEADER_BYTES: u32 = 12;
// No resolver answers a query with two questions (RFC 9619); more than these are not looked at.
const QUESTIONS_MAX: u32 = 4;

const names = new Names(Settings.strings('blocked', []));
const malformedVerdict = Settings.boolean('dropMalformed', false) ? Verdict.Drop : Verdict.Pass;

const queries = Counter.of('queries');
const blocked = Counter.of('blocked');
const malformed = Counter.of('malformed');

export function onPacket(packet: Packet): Verdict {
  const udp = Udp.find(packet);
  if (udp == null || !udp.isTo(DNS_PORT)) return Verdict.Pass;
  return onDns(packet, udp);
}

/** A datagram to port 53. Out of line: what most packets need stays small and in the loop. */
function onDns(packet: Packet, udp: Udp): Verdict {
  const dns = udp.payloadOffset(packet);
  const end = udp.payloadEnd(packet);
  if (dns + DNS_HEADER_BYTES > end) return onMalformed();
  // QR and opcode (RFC 1035, 4.1.1): 0 is a standard query, the rest is not our business.
  if ((packet.readU8(dns + 2) & 0xf8) != 0) return Verdict.Pass;
  queries.add(1);
  const questions = <u32>packet.readU16(dns + 4);
  if (questions == 0 || questions > QUESTIONS_MAX) return onMalformed();
  let at = dns + DNS_HEADER_BYTES;
  for (let i: u32 = 0; i < questions; i++) {
    if (names.has(packet, at, end)) {
      blocked.add(1);
      return Verdict.Drop;
    }
    // Type and class follow the name.
    if (names.end == MALFORMED || names.end + 4 > end) return onMalformed();
    at = names.end + 4;
  }
  return Verdict.Pass;
}

function onMalformed(): Verdict {
  malformed.add(1);
  return malformedVerdict;
}
