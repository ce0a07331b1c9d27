//! What guest, engine and host agree on, declared once.
//!
//! `runtime/abi.ts` and `host/src/abi.ts` are written from these declarations by
//! `cargo run -p wirelet-abi --release --bin generate-abi` (`npm run abi`); the test `drift` fails
//! when they differ. This crate depends on nothing.

pub mod descriptor;
pub mod drops;
pub mod errors;
mod failure;
pub mod generate;
pub mod guest;
pub mod histogram;
mod layout;
pub mod limits;
pub mod plugin;
pub mod settings;
pub mod stats;
pub mod table;
pub mod verdict;

pub use descriptor::{BurstHeader, Descriptor};
pub use drops::DropReason;
pub use errors::{ErrorCode, Exit};
pub use failure::Error;
pub use layout::{Field, Layout};
pub use verdict::Verdict;

/// Version of everything in this crate that a compiled program depends on. A program exports
/// `wirelet_abi_<version>`; the engine refuses one that exports another.
pub const ABI_VERSION: u32 = 1;
