//! An error with a code: what every fallible function of engine and drivers returns.

use std::fmt;

use crate::ErrorCode;

/// A coded error and what is particular to this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// What kind; meaning and hint come with it.
    pub code: ErrorCode,
    /// What happened here: names the file, port, program or number.
    pub message: String,
}

impl Error {
    /// An error of kind `code` about what `message` says.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Error {
        Error { code, message: message.into() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.code.code(), self.message)
    }
}

impl std::error::Error for Error {}
