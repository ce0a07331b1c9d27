//! Threads as the engine has them: registered with DPDK, each with frames of its own.

mod rig;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use wirelet_drivers::Device;
use wirelet_packet::{Mbuf, Region, RegionConfig};

use rig::{BURST, Rig, possible};

const ROUNDS: usize = 2_000;

fn region(frames: usize) -> Arc<Region> {
    let config = RegionConfig { frames, ..RegionConfig::default() };
    Region::new(config).expect("a region")
}

/// What an lcore does with a port that gives packets and a port that takes them.
fn forward(region: &Arc<Region>, from: &mut dyn Device, to: &mut dyn Device) -> usize {
    let mut frames = region.cache();
    from.enter();
    to.enter();
    let (mut burst, mut sum) = ([Mbuf::default(); BURST], 0);
    for _ in 0..ROUNDS {
        let count = from.rx_burst(&mut frames, &mut burst);
        let sent = to.tx_burst(&mut frames, &burst[..count]);
        frames.give_burst(&burst[sent..count]);
        sum += sent;
    }
    from.close(&mut frames).expect("closed");
    to.close(&mut frames).expect("closed");
    sum
}

#[test]
fn lcores_share_a_pool_and_all_frames_come_back() {
    if !possible() {
        return;
    }
    for _ in 0..2 {
        let region = region(8192);
        let mut rig = Rig { frames: region.cache(), region: Arc::clone(&region), ..Rig::new(64) };
        let mut from = rig.try_open("dpdk:net_null0?rxd=64&txd=64", 3).expect("three queues");
        let mut to = rig.try_open("dpdk:net_null1?rxd=64&txd=64", 3).expect("three queues");
        let sum = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for (from, to) in from.iter_mut().zip(&mut to) {
                let (region, sum) = (&region, &sum);
                scope.spawn(move || {
                    sum.fetch_add(forward(region, &mut **from, &mut **to), Ordering::Relaxed);
                });
            }
        });
        assert_eq!(sum.into_inner(), 3 * ROUNDS * BURST);
        drop((from, to, rig));
        assert_eq!((region.used(), region.pooled()), (0, 8192));
    }
}

#[test]
fn a_thread_enters_once_however_many_queues_it_has() {
    if !possible() {
        return;
    }
    let mut rig = Rig::new(2048);
    let mut queues = rig.try_open("dpdk:net_null2?rxd=16&txd=16", 8).expect("eight queues");
    // More often than DPDK has room for lcores (128): each leaves when its last queue is closed.
    for _ in 0..20 {
        for queue in &mut queues {
            queue.enter();
            let burst = rig.burst(&mut **queue, BURST);
            assert_eq!(burst.len(), BURST);
            rig.transmit(&mut **queue, &burst);
        }
        rig.close(queues);
        queues = rig.try_open("dpdk:net_null2?rxd=16&txd=16", 8).expect("eight queues");
    }
    rig.close(queues);
}
