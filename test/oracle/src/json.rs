//! Just enough JSON: a line of objects that hold numbers and strings of hexadecimal digits.

use std::fmt::{Display, Formatter, Result};

/// A line being written, `{"name":{"field":1,...},...}`.
#[derive(Default)]
pub struct Line(String);

/// What a field holds.
pub enum Value<'a> {
    /// A number; a truth value is 0 or 1.
    Number(u64),
    /// Bytes, written as hexadecimal digits.
    Bytes(&'a [u8]),
}

impl<'a, T: Into<u64>> From<T> for Value<'a> {
    fn from(number: T) -> Self {
        Value::Number(number.into())
    }
}

impl Line {
    /// Adds an object. Names and fields are literals that need no escapes.
    pub fn object<const N: usize>(&mut self, name: &str, fields: [(&str, Value); N]) {
        let fields: Vec<String> =
            fields.iter().map(|(field, value)| format!("\"{field}\":{value}")).collect();
        self.0 += &format!(",\"{name}\":{{{}}}", fields.join(","));
    }
}

impl Display for Line {
    fn fmt(&self, to: &mut Formatter) -> Result {
        write!(to, "{{{}}}", self.0.get(1..).unwrap_or_default())
    }
}

impl Display for Value<'_> {
    fn fmt(&self, to: &mut Formatter) -> Result {
        match self {
            Value::Number(number) => write!(to, "{number}"),
            Value::Bytes(bytes) => {
                let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                write!(to, "\"{digits}\"")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_and_none() {
        let mut line = Line::default();
        assert_eq!(line.to_string(), "{}");
        line.object("a", [("b", true.into()), ("c", Value::Bytes(&[1, 255]))]);
        line.object("d", []);
        assert_eq!(line.to_string(), r#"{"a":{"b":1,"c":"01ff"},"d":{}}"#);
    }
}
