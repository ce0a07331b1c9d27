/**
 * The test kit for authors of programs, for vitest:
 *
 * ```ts
 * import { expect, test } from 'vitest';
 * import { testProgram, udp } from 'wirelet/test';
 *
 * test('port 53 is closed', async () => {
 *   const guard = await testProgram('portguard');
 *   expect(guard.send(udp({ to: '192.0.2.53:53' }))).toDrop();
 *   expect(guard.counters).toEqual({ refused: 1 });
 * });
 * ```
 */
import { expect } from 'vitest';
import { type PacketMatchers, packetMatchers } from './matchers.js';

export { EGRESS_FLOOD as FLOOD } from '../abi.js';
export { readCapture } from '../capture-file.js';
export { ascii, checksum, concat, hex, u8, u16, u32 } from '../packet/bytes.js';
export { packetDifference } from '../packet/difference.js';
export { type DnsFields, dnsMessage, dnsName, dnsQuery } from '../packet/dns.js';
export {
  type ArpPacketFields,
  arp,
  type IcmpPacketFields,
  type IpFields,
  icmp,
  type LinkFields,
  type TcpPacketFields,
  tcp,
  type UdpPacketFields,
  udp,
} from '../packet/packets.js';
export { packetText } from '../packet/text.js';
export { FaultError } from './fault-error.js';
export type { Expected, PacketMatchers } from './matchers.js';
export type { Outcome } from './outcome.js';
export {
  type SendAllOptions,
  type SendOptions,
  TestProgram,
  type TestProgramOptions,
  testProgram,
} from './program.js';
export { TestTable } from './table.js';

declare module 'vitest' {
  interface Matchers<T> extends PacketMatchers<T> {}
}

expect.extend(packetMatchers);
