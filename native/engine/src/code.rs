//! Machine code of modules: checked and compiled once, for as long as somebody runs it.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use wasmtime::{InstancePre, Module};
use wirelet_abi::{Error, ErrorCode};

use crate::check::{ModuleInfo, check};
use crate::engine::engine;
use crate::imports::linker;
use crate::program::Guest;

/// A compiled module.
pub struct Code {
    wasm: Vec<u8>,
    /// What the door found.
    pub info: ModuleInfo,
    /// Bytes of machine code.
    pub bytes: usize,
    /// Ready to be instantiated.
    pub pre: InstancePre<Guest>,
}

impl Code {
    /// The code of `wasm`: that of whoever runs the very same bytes now, else compiled here. A swap
    /// back and forth, a rollback or a change of settings compiles nothing.
    ///
    /// # Errors
    /// `WIRELET_E_MODULE_*`.
    pub fn of(wasm: &[u8]) -> Result<Arc<Code>, Error> {
        static KNOWN: Mutex<Vec<Weak<Code>>> = Mutex::new(Vec::new());
        let known = || KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |code: &Arc<Code>| code.wasm == wasm;
        if let Some(code) = known().iter().filter_map(Weak::upgrade).find(same) {
            return Ok(code);
        }
        // Without the lock: two threads that compile the same waste time, and no more.
        let code = Arc::new(Code::compile(wasm)?);
        let mut known = known();
        known.retain(|code| code.strong_count() > 0);
        known.push(Arc::downgrade(&code));
        Ok(code)
    }

    fn compile(wasm: &[u8]) -> Result<Code, Error> {
        let info = check(wasm)?;
        let compiled = Module::new(engine(), wasm)
            .map_err(|error| Error::new(ErrorCode::ModuleFeature, format!("{error:#}")))?;
        let range = compiled.image_range();
        let pre = linker()
            .instantiate_pre(&compiled)
            .map_err(|error| Error::new(ErrorCode::ModuleImport, format!("{error:#}")))?;
        let bytes = range.end as usize - range.start as usize;
        Ok(Code { wasm: wasm.to_vec(), info, bytes, pre })
    }
}
