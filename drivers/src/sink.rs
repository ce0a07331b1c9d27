//! `sink:`: frees what is sent to it, and checks the stamps of a generator's packets.

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
