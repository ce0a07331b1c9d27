//! `sink:`: frees what is sent to it, and checks the stamps of a generator's packets.
//!
//! | option | default | |
//! |---|---|---|
//! | `flows` | 65536 | flows it can follow; packets of more count as `untracked` |
//!
//! Counts `received` packets, those `lost` (gaps in a flow's sequence that nothing has filled),
//! `reordered` (filled a gap late), `duplicates`, `corrupt` (the stamp is damaged), `unstamped`,
//! and their latency since they were due. What is lost behind a flow's last packet leaves no gap:
//! compare `received` with the generator's `generated` - `missed`.

use wirelet_abi::Error;
use wirelet_packet::{FrameCache, Mbuf};

use crate::checker::{Checker, FLOWS_DEFAULT, FLOWS_MAX, XSTATS};
use crate::{Device, DeviceStats, Idle, OpenContext, Spec};

struct SinkDevice {
    checker: Checker,
}

/// Opens as many queues as the config asks for; they share one table of flows.
pub(crate) fn open(spec: &Spec, context: &OpenContext) -> Result<Vec<Box<dyn Device>>, Error> {
    spec.allow_options(&["flows"])?;
    spec.allow_no_target()?;
    let flows = spec.number("flows", FLOWS_DEFAULT, 1..=FLOWS_MAX)?;
    let checkers = Checker::for_queues(&context.region, context.queues, flows);
    let device = |checker| -> Box<dyn Device> { Box::new(SinkDevice { checker }) };
    Ok(checkers.into_iter().map(device).collect())
}

impl Device for SinkDevice {
    fn rx_burst(&mut self, _frames: &mut FrameCache, _burst: &mut [Mbuf]) -> usize {
        0
    }

    fn tx_burst(&mut self, frames: &mut FrameCache, burst: &[Mbuf]) -> usize {
        self.checker.check(burst);
        frames.give_burst(burst);
        burst.len()
    }

    fn stats(&self, stats: &mut DeviceStats) {
        *stats = DeviceStats::default();
        self.checker.stats(stats, 0);
    }

    fn xstat_names(&self) -> &'static [&'static str] {
        &XSTATS
    }

    fn idle(&self) -> Idle {
        Idle::Waker
    }

    fn finished(&self) -> bool {
        true
    }

    fn close(&mut self, _frames: &mut FrameCache) -> Result<(), Error> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{Rig, stats, xstat};

    #[test]
    fn it_counts_what_happened_to_stamped_packets() {
        let mut rig = Rig::new(256);
        let mut source = rig.open("gen:?rate=max&count=100&flows=1&seed=3", 1);
        let mut sink = rig.open("sink:", 2);
        let mut packets = rig.receive(&mut *source);
        assert_eq!(packets.len(), 100);
        packets.remove(10);
        packets.swap(20, 21);
        packets.insert(30, packets[25].clone());
        packets[40].1[55] ^= 1;
        // What programs do: new addresses, and the payload stays.
        packets[50].1[..12].rotate_left(6);
        for (timestamp_ns, bytes) in &packets {
            assert!(rig.send(&mut *sink, *timestamp_ns, bytes));
        }
        assert!(rig.send(&mut *sink, 0, &[1; 60]) && rig.send(&mut *sink, 0, &[1; 14]));
        let expected = [
            ("received", 102),
            ("lost", 2),
            ("reordered", 1),
            ("duplicates", 1),
            ("corrupt", 1),
            ("unstamped", 2),
            ("untracked", 0),
        ];
        for (name, count) in expected {
            assert_eq!(xstat(&*sink, name), count, "{name}");
        }
        assert_eq!(stats(&*sink).latency_ns.iter().sum::<u64>(), 99);
        rig.close([source, sink]);
    }

    #[test]
    fn queues_share_one_table() {
        let mut rig = Rig::new(256);
        let mut source = rig.open("gen:?rate=max&count=90&flows=4", 1);
        let mut queues = rig.try_open("sink:", 2, 3).expect("three queues");
        for (number, (timestamp_ns, bytes)) in rig.receive(&mut *source).into_iter().enumerate() {
            assert!(rig.send(&mut *queues[number % 3], timestamp_ns, &bytes));
        }
        for name in ["lost", "reordered", "duplicates", "corrupt", "unstamped"] {
            assert!(queues.iter().all(|queue| xstat(&**queue, name) == 0), "{name}");
        }
        rig.close(queues.into_iter().chain([source]));
    }
}
