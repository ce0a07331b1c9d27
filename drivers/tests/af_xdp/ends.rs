//! The two ends of a veth pair: this thread's network namespace, and another one.

use std::process::Command;

#[path = "../netns/namespace.rs"]
#[allow(dead_code, reason = "these tests join namespaces in their own way")]
mod namespace;

pub use namespace::Namespace;

/// Puts this thread into a fresh network namespace, for the rest of its life. `None`, with a
/// printed reason, where that is not allowed.
pub fn enter() -> Option<Namespace> {
    if !namespace::possible() {
        return None;
    }
    let namespace = Namespace::new();
    namespace.stay();
    ip("link set lo up");
    Some(namespace)
}

/// Runs `ip` in this thread's namespace; what it says.
pub fn ip(words: &str) -> String {
    let output = Command::new("ip").args(words.split(' ')).output().expect("iproute2");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip {words}: {errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A new namespace, joined to this thread's by a veth pair: `here` in this one, `there` in the new
/// one, both up, both with `queues` queues.
pub fn join(here: &str, there: &str, queues: usize) -> Namespace {
    let peer = Namespace::new();
    let count = format!("numtxqueues {queues} numrxqueues {queues}");
    ip(&format!("link add {here} {count} type veth peer name {there} {count}"));
    ip(&format!("link set {there} netns {}", peer.path()));
    ip(&format!("link set {here} up"));
    peer.ip(&format!("link set {there} up"));
    peer
}
