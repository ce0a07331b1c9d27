//! napi's part of the build.

fn main() {
    napi_build::setup();
}
