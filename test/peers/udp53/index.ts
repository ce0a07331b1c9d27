// The reference filter of `npm run bench:peers`: UDP to port 53 from 10.0.0.0/8 is dropped, the
// rest passes. `../udp53.bpf.c` is the same filter for librte_bpf and for XDP.
import { ETHERNET_BYTES, Ipv4, Packet, Udp, Verdict } from '@wirelet/runtime';

export function onPacket(packet: Packet): Verdict {
  const udp = Udp.find(packet);
  if (udp == null || !udp.isTo(53)) return Verdict.Pass;
  const ipv4 = Ipv4.of(packet, ETHERNET_BYTES);
  return ipv4 != null && ipv4.source >>> 24 == 10 ? Verdict.Drop : Verdict.Pass;
}
