//! The shortest way: a port without programs whose packets leave by a device of the same kind. They
//! go from queue to queue inside the driver, and only their number comes here.

use wirelet_abi::{DropReason, histogram};
use wirelet_drivers::{Passage, Passed};
use wirelet_packet::clock;

use crate::lcore::Lcore;

/// Receives a burst of `port`. What is `Received` is in the lcore's burst, to be counted and run;
/// what is `Passed` went on at once and is counted.
#[inline]
pub fn receive(lcore: &mut Lcore, port: usize) -> Passage {
    let egress = egress(lcore, port).unwrap_or(port);
    let burst = &mut lcore.burst.mbufs[..lcore.burst_max];
    if let Ok([from, to]) = lcore.ports.get_disjoint_mut([port, egress])
        && let (Some(device), Some(exit)) = (&mut from.device, to.device.as_deref())
    {
        let started = lcore.now;
        let passage = device.pass_burst(exit, &mut lcore.frames, burst);
        if let Passage::Passed(passed) = &passage {
            count(lcore, port, egress, passed);
            lcore.now = clock::cycles();
            let duration_ns = clock::to_ns(lcore.now - started);
            lcore.stats.burst_ns[histogram::bucket(duration_ns)] += 1;
        }
        return passage;
    }
    let device = lcore.ports[port].device.as_mut();
    Passage::Received(device.map_or(0, |device| device.rx_burst(&mut lcore.frames, burst)))
}

/// Where all packets of `port` go that nobody looks at: no program, rule, trace, or other lcore.
#[inline]
fn egress(lcore: &Lcore, port: usize) -> Option<usize> {
    let ingress = &lcore.ports[port];
    let route = &ingress.route;
    let looked_at = !route.chain.is_empty() || !route.rules.is_empty();
    if looked_at || !ingress.steering.stays() || ingress.is_watched() {
        return None;
    }
    let egress = usize::from(route.forward?);
    lcore.ports[egress].trace_tx.is_none().then_some(egress)
}

fn count(lcore: &mut Lcore, port: usize, egress: usize, passed: &Passed) {
    let (packets, sent) = (passed.packets as u64, passed.sent as u64);
    let ingress = &mut lcore.ports[port].stats;
    ingress.rx_packets += packets;
    ingress.rx_bytes += passed.bytes;
    ingress.forwarded_packets += sent;
    ingress.drops[DropReason::TxFull as usize] += packets - sent;
    lcore.ports[egress].sent(sent, passed.sent_bytes, port as u16);
    lcore.stats.bursts += 1;
    lcore.stats.packets += packets;
}
