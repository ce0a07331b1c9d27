//! Specs of devices: `driver:where?option=value&...`.

use std::str::FromStr;

use wirelet_abi::{Error, ErrorCode};

/// A parsed spec. `gen:?rate=1M&size=64`, `pcap:in.pcap,out.pcap`, `null:`, `ring:a`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    /// The driver's name.
    pub driver: String,
    /// What stands between `:` and `?`.
    pub target: String,
    options: Vec<(String, String)>,
    text: String,
}

impl FromStr for Spec {
    type Err = Error;

    fn from_str(text: &str) -> Result<Spec, Error> {
        let (driver, rest) = text.split_once(':').unwrap_or((text, ""));
        let (target, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut options: Vec<(String, String)> = Vec::new();
        for part in query.split('&').filter(|part| !part.is_empty()) {
            let (key, value) = part.split_once('=').unwrap_or((part, "true"));
            if options.iter().any(|(other, _)| other == key) {
                return Err(Self::error(text, &format!("option `{key}` stands twice")));
            }
            options.push((key.into(), value.into()));
        }
        Ok(Spec { driver: driver.into(), target: target.into(), options, text: text.into() })
    }
}

impl Spec {
    /// Refuses options that the driver does not know.
    ///
    /// # Errors
    /// `WIRELET_E_DEVICE_SPEC`, naming the option and those that exist.
    pub fn allow_options(&self, known: &[&str]) -> Result<(), Error> {
        match self.options.iter().find(|(key, _)| !known.contains(&key.as_str())) {
            None => Ok(()),
            Some((key, _)) => {
                let list = known.join(", ");
                Err(self.invalid(&format!("unknown option `{key}`; options: {list}")))
            }
        }
    }

    /// Refuses text between `:` and `?`.
    ///
    /// # Errors
    /// `WIRELET_E_DEVICE_SPEC`.
    pub fn allow_no_target(&self) -> Result<(), Error> {
        if self.target.is_empty() {
            return Ok(());
        }
        Err(self.invalid(&format!("`{}` stands for nothing here", self.target)))
    }

    /// An option's text.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.options.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// A number with an optional suffix k, M or G (powers of 1,000), or `default`.
    ///
    /// # Errors
    /// `WIRELET_E_DEVICE_SPEC` when it is no number or not within `range`.
    pub fn number(
        &self,
        key: &str,
        default: u64,
        range: std::ops::RangeInclusive<u64>,
    ) -> Result<u64, Error> {
        let Some(text) = self.text(key) else { return Ok(default) };
        let value = parse_number(text)
            .ok_or_else(|| self.invalid(&format!("option `{key}`: `{text}` is no number")))?;
        if range.contains(&value) {
            return Ok(value);
        }
        let (low, high) = range.into_inner();
        Err(self.invalid(&format!("option `{key}`: {value} is not within {low} to {high}")))
    }

    /// A switch: `option`, `option=true` or `option=false`; false when it is not there.
    ///
    /// # Errors
    /// `WIRELET_E_DEVICE_SPEC` for any other value.
    pub fn switch(&self, key: &str) -> Result<bool, Error> {
        match self.text(key) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(text) => {
                Err(self.invalid(&format!("option `{key}`: `{text}` is not true or false")))
            }
        }
    }

    /// An error about this spec.
    pub fn invalid(&self, problem: &str) -> Error {
        Self::error(&self.text, problem)
    }

    fn error(text: &str, problem: &str) -> Error {
        Error::new(ErrorCode::DeviceSpec, format!("`{text}`: {problem}"))
    }
}

/// `2.5M` is 2,500,000.
fn parse_number(text: &str) -> Option<u64> {
    let (digits, scale) = match text.as_bytes().last()? {
        b'k' | b'K' => (&text[..text.len() - 1], 1e3),
        b'M' => (&text[..text.len() - 1], 1e6),
        b'G' => (&text[..text.len() - 1], 1e9),
        _ => return text.parse().ok(),
    };
    let value = digits.parse::<f64>().ok().filter(|value| value.is_finite() && *value >= 0.0)?;
    Some((value * scale).round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spec_has_driver_target_and_options() {
        let spec: Spec = "gen:x?rate=2.5M&paced&size=64".parse().expect("a spec");
        assert_eq!((spec.driver.as_str(), spec.target.as_str()), ("gen", "x"));
        assert_eq!(spec.number("rate", 0, 0..=u64::MAX), Ok(2_500_000));
        assert_eq!(spec.switch("paced"), Ok(true));
        assert_eq!(spec.number("flows", 7, 0..=10), Ok(7));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let spec: Spec = "gen:?rate=fast&siez=64".parse().expect("a spec");
        let error = spec.number("rate", 0, 0..=1).expect_err("no number");
        assert!(error.message.contains("`fast` is no number"), "{error}");
        let error = spec.allow_options(&["rate", "size"]).expect_err("a typo");
        assert!(error.message.contains("unknown option `siez`; options: rate, size"), "{error}");
        assert!("gen:?a=1&a=2".parse::<Spec>().is_err());
    }
}
