//! How long the first packet after a silence takes to somebody who answers it, and back: one raw
//! packet, then silence, again and again. `first_packet IFACE COUNT SILENCE_MS` prints a line of
//! JSON: microseconds, -1 for no answer within a second.
#![allow(clippy::print_stdout, reason = "its output is what it is for")]

use std::time::{Duration, Instant};

#[path = "../tests/af_xdp/raw.rs"]
#[allow(dead_code, reason = "tests send more kinds of packets")]
mod raw;
use raw::{EXPERIMENT, RawSocket, packet};

const PATIENCE: Duration = Duration::from_secs(1);

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [interface, count, silence_ms] = words.as_slice() else {
        panic!("first_packet IFACE COUNT SILENCE_MS");
    };
    let socket = RawSocket::open(interface, EXPERIMENT);
    let silence = Duration::from_millis(silence_ms.parse().expect("milliseconds"));
    let count: u32 = count.parse().expect("a number");
    let samples: Vec<String> = (0..count)
        .map(|number| {
            std::thread::sleep(silence);
            answer_us(&socket, number).map_or("-1".into(), |us| format!("{us:.1}"))
        })
        .collect();
    println!("[{}]", samples.join(","));
}

/// Microseconds until the answer, which has the bytes behind the addresses.
fn answer_us(socket: &RawSocket, number: u32) -> Option<f64> {
    let sent = packet(60, number);
    let started = Instant::now();
    assert!(socket.send(&sent), "the interface takes no packet");
    while let Some(left) = PATIENCE.checked_sub(started.elapsed()) {
        let answer = socket.receive(left)?;
        if answer[12..] == sent[12..] {
            return Some(started.elapsed().as_secs_f64() * 1e6);
        }
    }
    None
}
