//! temp
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let wasm = std::fs::read(&a[1]).unwrap();
    let m = wasmtime::Module::new(wirelet_engine::engine::engine(), &wasm).unwrap();
    std::fs::write(&a[2], m.serialize().unwrap()).unwrap();
}
