//! The door: what a module must be before it is compiled (DESIGN §4 and §5).
//!
//! Structure and limits first, in one bounded pass, so that a compile bomb is refused before
//! anything looks at its code; then full validation with the allowed features only.

use wasmparser::{
    BlockType, DataKind, Encoding, ExternalKind, FuncType, Operator, Parser, Payload, TypeRef,
    ValType, Validator, WasmFeatures,
};
use wirelet_abi::{ABI_VERSION, Error, ErrorCode, guest, limits};

/// Everything that programs may use; all other features are off.
pub const ALLOWED_FEATURES: WasmFeatures = WasmFeatures::FLOATS
    .union(WasmFeatures::MUTABLE_GLOBAL)
    .union(WasmFeatures::SIGN_EXTENSION)
    .union(WasmFeatures::SATURATING_FLOAT_TO_INT)
    .union(WasmFeatures::MULTI_VALUE)
    .union(WasmFeatures::SIMD);

/// What is known of a module that passed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModuleInfo {
    /// Functions, imported ones included.
    pub functions: u32,
    /// Bytes of the program's own memory.
    pub memory_bytes: usize,
    /// Names it imports from `wirelet`.
    pub imports: Vec<String>,
    /// Whether it exports `onLoad`.
    pub on_load: bool,
    /// Whether it exports `_initialize`.
    pub initialize: bool,
}

/// Checks a module.
///
/// # Errors
/// One of the `WIRELET_E_MODULE_*` codes, naming what is wrong.
pub fn check(wasm: &[u8]) -> Result<ModuleInfo, Error> {
    if wasm.len() > limits::MODULE_BYTES_MAX {
        return Err(over("bytes", wasm.len() as u64, limits::MODULE_BYTES_MAX as u64));
    }
    if !Parser::is_core_wasm(wasm) {
        return Err(Error::new(ErrorCode::ModuleNotWasm, "it does not begin like a core module"));
    }
    let mut module = Module::default();
    for payload in Parser::new(0).parse_all(wasm) {
        module.read(payload.map_err(|error| invalid(&error))?)?;
    }
    module.finish()?;
    let mut validator = Validator::new_with_features(ALLOWED_FEATURES);
    validator.validate_all(wasm).map_err(|error| invalid(&error))?;
    Ok(module.info)
}

#[derive(Default)]
struct Module {
    types: Vec<Option<FuncType>>,
    /// Type index of each function, imported ones first.
    functions: Vec<u32>,
    memories: u32,
    memory: Option<wasmparser::MemoryType>,
    table_entries: u64,
    /// The compiler's, in units of [`limits::MODULE_WORK_MAX`].
    work: u64,
    exports: Vec<(String, ExternalKind, u32)>,
    info: ModuleInfo,
}

impl Module {
    fn read(&mut self, payload: Payload<'_>) -> Result<(), Error> {
        match payload {
            Payload::Version { encoding: Encoding::Component, .. } => {
                return Err(Error::new(ErrorCode::ModuleNotWasm, "it is a component"));
            }
            Payload::TypeSection(section) => self.read_types(section)?,
            Payload::ImportSection(section) => self.read_imports(section)?,
            Payload::FunctionSection(section) => {
                let count = self.functions.len() as u64 + u64::from(section.count());
                limit("functions", count, limits::MODULE_FUNCTIONS_MAX.into())?;
                for function in section {
                    self.functions.push(function.map_err(|error| invalid(&error))?);
                }
            }
            Payload::TableSection(section) => self.read_tables(section)?,
            Payload::MemorySection(section) => {
                self.memories += section.count();
                for memory in section {
                    self.memory = Some(memory.map_err(|error| invalid(&error))?);
                }
            }
            Payload::GlobalSection(section) => {
                limit("globals", section.count().into(), limits::MODULE_GLOBALS_MAX.into())?;
            }
            Payload::ExportSection(section) => self.read_exports(section)?,
            Payload::StartSection { .. } => {
                return Err(Error::new(ErrorCode::ModuleStart, "it has a start section"));
            }
            Payload::ElementSection(section) => {
                let max = limits::MODULE_TABLE_ENTRIES_MAX;
                limit("element segments", section.count().into(), max)?;
            }
            Payload::DataSection(section) => self.read_data(section)?,
            Payload::CodeSectionEntry(body) => {
                self.work += read_body(&body, &self.types)?;
                limit("units of work on the module", self.work, limits::MODULE_WORK_MAX)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn read_types(&mut self, section: wasmparser::TypeSectionReader<'_>) -> Result<(), Error> {
        limit("types", section.count().into(), limits::MODULE_TYPES_MAX.into())?;
        for group in section {
            for ty in group.map_err(|error| invalid(&error))?.into_types() {
                let function = match ty.composite_type.inner {
                    wasmparser::CompositeInnerType::Func(function) => Some(function),
                    _ => None,
                };
                self.types.push(function);
                limit("types", self.types.len() as u64, limits::MODULE_TYPES_MAX.into())?;
            }
        }
        Ok(())
    }

    fn read_imports(&mut self, section: wasmparser::ImportSectionReader<'_>) -> Result<(), Error> {
        limit("imports", section.count().into(), 64)?;
        for import in section.into_imports() {
            let import = import.map_err(|error| invalid(&error))?;
            let name = format!("{}.{}", import.module, import.name);
            let TypeRef::Func(ty) = import.ty else {
                let code = match import.ty {
                    TypeRef::Memory(_) => ErrorCode::ModuleMemory,
                    _ => ErrorCode::ModuleImport,
                };
                return Err(Error::new(code, format!("it imports {name}, which is no function")));
            };
            if !self.types.get(ty as usize).is_some_and(|ty| {
                import.module == guest::IMPORT_MODULE
                    && ty.as_ref().is_some_and(|ty| Some(ty) == offered(import.name).as_ref())
            }) {
                return Err(Error::new(ErrorCode::ModuleImport, format!("it imports {name}")));
            }
            self.functions.push(ty);
            self.info.imports.push(import.name.into());
        }
        Ok(())
    }

    fn read_tables(&mut self, section: wasmparser::TableSectionReader<'_>) -> Result<(), Error> {
        limit("tables", section.count().into(), 1)?;
        for table in section {
            let table = table.map_err(|error| invalid(&error))?;
            let entries = table.ty.maximum.unwrap_or(table.ty.initial).max(table.ty.initial);
            self.table_entries += entries;
            limit("table entries", self.table_entries, limits::MODULE_TABLE_ENTRIES_MAX)?;
        }
        Ok(())
    }

    fn read_exports(&mut self, section: wasmparser::ExportSectionReader<'_>) -> Result<(), Error> {
        limit("exports", section.count().into(), limits::MODULE_EXPORTS_MAX.into())?;
        for export in section {
            let export = export.map_err(|error| invalid(&error))?;
            self.exports.push((export.name.into(), export.kind, export.index));
        }
        Ok(())
    }

    fn read_data(&mut self, section: wasmparser::DataSectionReader<'_>) -> Result<(), Error> {
        let max = limits::MODULE_DATA_SEGMENTS_MAX;
        limit("data segments", section.count().into(), max.into())?;
        let memory = self.memory.map_or(0, |memory| memory.initial);
        let end = memory.saturating_mul(guest::WASM_PAGE_BYTES.into());
        for (index, data) in section.into_iter().enumerate() {
            let data = data.map_err(|error| invalid(&error))?;
            let refuse = |problem: &str| {
                let message = format!("data segment {index} {problem}");
                Err(Error::new(ErrorCode::ModuleData, message))
            };
            let DataKind::Active { offset_expr, .. } = data.kind else {
                return refuse("is passive");
            };
            let mut offset = offset_expr.get_operators_reader();
            let (Ok(Operator::I32Const { value }), Ok(Operator::End)) =
                (offset.read(), offset.read())
            else {
                return refuse("has a computed offset");
            };
            let first = u64::from(value as u32);
            let last = first + data.data.len() as u64;
            if first < guest::PROGRAM_MEMORY.into() || last > end {
                return refuse(&format!("covers {first:#x} to {last:#x}, not the program's own"));
            }
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), Error> {
        self.info.functions = self.functions.len() as u32;
        self.check_abi()?;
        self.check_memory()?;
        let none = FuncType::new([], []);
        let burst = FuncType::new([ValType::I32], []);
        self.function(guest::EXPORT_ABI, &none)?;
        if !self.function(guest::EXPORT_ON_BURST, &burst)? {
            return Err(Error::new(ErrorCode::ModuleExport, "it does not export onBurst"));
        }
        self.info.on_load = self.function(guest::EXPORT_ON_LOAD, &none)?;
        self.info.initialize = self.function(guest::EXPORT_INITIALIZE, &none)?;
        Ok(())
    }

    fn check_abi(&self) -> Result<(), Error> {
        let versions = self.exports.iter().filter_map(|(name, _, _)| {
            name.strip_prefix("wirelet_abi_").map(|version| version.to_string())
        });
        let versions: Vec<String> = versions.take(4).collect();
        if versions == [ABI_VERSION.to_string()] {
            return Ok(());
        }
        let message = match versions.as_slice() {
            [] => "it exports no wirelet_abi_1".into(),
            versions => format!("it is of ABI version {}", versions.join(" and ")),
        };
        Err(Error::new(ErrorCode::ModuleAbi, format!("{message}; this is {ABI_VERSION}")))
    }

    fn check_memory(&mut self) -> Result<(), Error> {
        let refuse = |message: String| Err(Error::new(ErrorCode::ModuleMemory, message));
        let (1, Some(memory)) = (self.memories, self.memory) else {
            return refuse(format!("it defines {} memories", self.memories));
        };
        let exported = |(name, kind, _): &(String, ExternalKind, u32)| {
            name == guest::EXPORT_MEMORY && *kind == ExternalKind::Memory
        };
        if !self.exports.iter().any(exported) {
            return Err(Error::new(ErrorCode::ModuleExport, "it does not export memory"));
        }
        if memory.memory64 || memory.shared || memory.page_size_log2.is_some() {
            return refuse("its memory is 64-bit, shared or has pages of its own size".into());
        }
        if memory.maximum != Some(memory.initial) {
            let max = memory.maximum.map_or("none".into(), |max| max.to_string());
            return refuse(format!("its memory grows: {} pages, maximum {max}", memory.initial));
        }
        let windows = u64::from(guest::PROGRAM_MEMORY);
        let own = (memory.initial * u64::from(guest::WASM_PAGE_BYTES)).saturating_sub(windows);
        if own == 0 || own > limits::PROGRAM_MEMORY_BYTES_MAX as u64 {
            return refuse(format!("its memory leaves it {own} bytes of its own"));
        }
        self.info.memory_bytes = own as usize;
        Ok(())
    }

    /// Whether function `name` is exported; an error when it has another type.
    fn function(&self, name: &str, expected: &FuncType) -> Result<bool, Error> {
        let Some((_, kind, index)) = self.exports.iter().find(|export| export.0 == name) else {
            return Ok(false);
        };
        let ty = self.functions.get(*index as usize).and_then(|ty| self.types.get(*ty as usize));
        if *kind == ExternalKind::Func && ty.is_some_and(|ty| ty.as_ref() == Some(expected)) {
            return Ok(true);
        }
        Err(Error::new(ErrorCode::ModuleExport, format!("its export {name} has the wrong type")))
    }
}

/// The type of what the engine offers under `name`.
fn offered(name: &str) -> Option<FuncType> {
    const I32: ValType = ValType::I32;
    match name {
        guest::IMPORT_LOG => Some(FuncType::new([I32, I32], [])),
        guest::IMPORT_COUNTER | guest::IMPORT_TABLE => Some(FuncType::new([I32, I32], [I32])),
        guest::IMPORT_ABORT => Some(FuncType::new([I32, I32, I32, I32], [])),
        _ => None,
    }
}

/// Limits of one function; returns the compiler's work on it. 1,000 loops of 100 values each make
/// 7.6 KB of Wasm and 10 s of compiling (measured), so bytes alone bound nothing.
fn read_body(
    body: &wasmparser::FunctionBody<'_>,
    types: &[Option<FuncType>],
) -> Result<u64, Error> {
    let bytes = body.range().len() as u64;
    limit("bytes of a function", bytes, limits::MODULE_BODY_BYTES_MAX.into())?;
    let mut locals = 0u64;
    for group in body.get_locals_reader().map_err(|error| invalid(&error))? {
        locals += u64::from(group.map_err(|error| invalid(&error))?.0);
        limit("locals of a function", locals, limits::MODULE_LOCALS_MAX.into())?;
    }
    let mut work = 0u64;
    for operator in body.get_operators_reader().map_err(|error| invalid(&error))? {
        let operator = operator.map_err(|error| invalid(&error))?;
        let (Operator::Block { blockty } | Operator::Loop { blockty } | Operator::If { blockty }) =
            operator
        else {
            continue;
        };
        let values = match blockty {
            BlockType::Empty => 0,
            BlockType::Type(_) => 1,
            BlockType::FuncType(index) => types
                .get(index as usize)
                .and_then(Option::as_ref)
                .map_or(0, |ty| (ty.params().len() + ty.results().len()) as u64),
        };
        work += locals.max(1) + 50 * values;
        limit("units of work on a function", work, limits::FUNCTION_WORK_MAX)?;
    }
    Ok(work)
}

fn limit(what: &str, count: u64, max: u64) -> Result<(), Error> {
    if count > max { Err(over(what, count, max)) } else { Ok(()) }
}

fn over(what: &str, count: u64, max: u64) -> Error {
    Error::new(ErrorCode::ModuleLimit, format!("{count} {what}; the limit is {max}"))
}

fn invalid(error: &wasmparser::BinaryReaderError) -> Error {
    let message = format!("{} at byte {}", error.message(), error.offset());
    Error::new(ErrorCode::ModuleFeature, message)
}
