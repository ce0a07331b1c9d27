//! The settings page: typed configuration that a program reads while it loads.
//!
//! A [`SettingsHeader`], then `count` [`SettingsEntry`]s sorted by nothing in particular, then the
//! bytes that they point to. Addresses are guest addresses, strings are UTF-8 without a
//! terminator. A list of strings is `count` pairs of (address u32, bytes u32).

use crate::layout::layout;

layout! {
    /// First 16 bytes of the settings page.
    pub struct SettingsHeader: 16 {
        /// [`crate::ABI_VERSION`].
        abi: u32 = 0,
        /// Entries that follow.
        count: u32 = 4,
        /// Bytes of the page that are used.
        bytes: u32 = 8,
        /// Goes up each time the settings change.
        version: u32 = 12,
    }
}

layout! {
    /// One setting.
    pub struct SettingsEntry: 32 {
        /// Guest address of the name.
        name: u32 = 0,
        /// Bytes of the name.
        name_bytes: u32 = 4,
        /// [`kind`].
        kind: u32 = 8,
        /// Strings or numbers in a list, else 1.
        count: u32 = 12,
        /// `NUMBER`: an f64's bits. `BOOLEAN`: 0 or 1. Others: guest address of the bytes.
        value: u64 = 16,
        /// Bytes at `value`, 0 for numbers and booleans.
        value_bytes: u32 = 24,
        /// Zero; reserved.
        reserved: u32 = 28,
    }
}

/// What a setting is.
pub mod kind {
    /// An f64.
    pub const NUMBER: u32 = 1;
    /// 0 or 1.
    pub const BOOLEAN: u32 = 2;
    /// UTF-8.
    pub const STRING: u32 = 3;
    /// Pairs of (address u32, bytes u32).
    pub const STRINGS: u32 = 4;
    /// f64s.
    pub const NUMBERS: u32 = 5;
}
