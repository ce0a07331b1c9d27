//! Packets as only hardware brings them: the shim, driven by a program in C (arrivals.c), because
//! only C can make what a driver would.

mod rig;

use std::path::Path;
use std::process::Command;

use rig::{Folder, possible};

fn flags(question: &str) -> Vec<String> {
    let output = Command::new("pkg-config").args([question, "libdpdk"]).output();
    let text = String::from_utf8(output.expect("pkg-config runs").stdout).expect("a text");
    text.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn what_only_hardware_brings_arrives_as_it_should() {
    if !possible() {
        return;
    }
    let (folder, here) = (Folder::new(), Path::new(env!("CARGO_MANIFEST_DIR")));
    let program = folder.path("arrivals");
    let shim = ["log.c", "pool.c", "bus.c", "port.c", "counts.c", "burst.c", "offload.c", "flow.c"];
    let built = Command::new("cc")
        .args(["-O1", "-g", "-Wall", "-Wextra", "-Wno-unused-parameter"])
        .arg("-DALLOW_EXPERIMENTAL_API")
        .args(flags("--cflags"))
        .arg(here.join("tests/arrivals.c"))
        .args(shim.map(|name| here.join("shim").join(name)))
        .args(flags("--libs"))
        .arg("-o")
        .arg(&program)
        .output()
        .expect("cc runs");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let ran = Command::new(&program).output().expect("it runs");
    assert!(ran.status.success(), "{}: {}", ran.status, String::from_utf8_lossy(&ran.stderr));
}
