//! Specs of devices: `driver:where?option=value&...`, and of wrappers around devices:
//! `wrapper(option=value,...):device`.

use std::str::FromStr;

use wirelet_abi::{Error, ErrorCode};

/// A parsed spec. `gen:?rate=1M&size=64`, `pcap:in.pcap,out.pcap`, `null:`, `ring:a`,
/// `fault(loss=1%):tap:a`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    /// The driver's or wrapper's name.
    pub driver: String,
    /// What stands between `:` and `?`; all that follows the `:` of a wrapper.
    pub target: String,
    /// It has the form of a wrapper.
    pub(crate) wraps: bool,
    options: Vec<(String, String)>,
    text: String,
}

impl FromStr for Spec {
    type Err = Error;

    fn from_str(text: &str) -> Result<Spec, Error> {
        let name = text.split(['(', ':']).next().unwrap_or(text);
        if crate::wrap::is_wrapper(name) || text[name.len()..].starts_with('(') {
            return Self::wrapper(text, name);
        }
        let (driver, rest) = text.split_once(':').unwrap_or((text, ""));
        let (target, query) = rest.split_once('?').unwrap_or((rest, ""));
        let options = Self::options(text, query, '&')?;
        Ok(Spec {
            driver: driver.into(),
            target: target.into(),
            wraps: false,
            options,
            text: text.into(),
        })
    }
}

impl Spec {
    /// `wrapper:device` or `wrapper(option=value,...):device`.
    fn wrapper(text: &str, name: &str) -> Result<Spec, Error> {
        let rest = &text[name.len()..];
        let (options, rest) = match rest.strip_prefix('(') {
            None => ("", rest),
            Some(rest) => {
                let end = unquoted(rest, ')').next();
                let end = end.ok_or_else(|| Self::error(text, &format!("`{name}(` has no `)`")))?;
                (&rest[..end], &rest[end + 1..])
            }
        };
        let device = rest.strip_prefix(':').filter(|device| !device.is_empty());
        let device = device.ok_or_else(|| {
            Self::error(text, &format!("no device; `{name}(...):af_packet:eth0`"))
        })?;
        let options = Self::options(text, options, ',')?;
        Ok(Spec {
            driver: name.into(),
            target: device.into(),
            wraps: true,
            options,
            text: text.into(),
        })
    }

    fn options(text: &str, list: &str, separator: char) -> Result<Vec<(String, String)>, Error> {
        let mut options: Vec<(String, String)> = Vec::new();
        for part in split(list, separator).filter(|part| !part.is_empty()) {
            let (key, value) = part.split_once('=').unwrap_or((part, "true"));
            let value = if separator == ',' { without_quotes(value) } else { value };
            if options.iter().any(|(other, _)| other == key) {
                return Err(Self::error(text, &format!("option `{key}` stands twice")));
            }
            options.push((key.into(), value.into()));
        }
        Ok(options)
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

    /// A part of all: `5%` or `0.05`; 0 when it is not there.
    ///
    /// # Errors
    /// `WIRELET_E_DEVICE_SPEC` when it is no number or not within 0 to 100 %.
    pub fn fraction(&self, key: &str) -> Result<f64, Error> {
        let Some(text) = self.text(key) else { return Ok(0.0) };
        let parsed = match text.strip_suffix('%') {
            Some(percent) => percent.parse::<f64>().map(|percent| percent / 100.0),
            None => text.parse(),
        };
        parsed.ok().filter(|value| (0.0..=1.0).contains(value)).ok_or_else(|| {
            self.invalid(&format!("option `{key}`: `{text}` is not within 0% to 100%"))
        })
    }

    /// A time in ns: a number with `us`, `ms` or `s`; 0 when it is not there.
    ///
    /// # Errors
    /// `WIRELET_E_DEVICE_SPEC` when it is none, or more than a minute.
    pub fn duration_ns(&self, key: &str) -> Result<u64, Error> {
        let Some(text) = self.text(key) else { return Ok(0) };
        let units = [("us", 1e3), ("ms", 1e6), ("s", 1e9)];
        let parts = units.iter().find_map(|&(unit, ns)| Some((text.strip_suffix(unit)?, ns)));
        let value = parts.and_then(|(digits, ns)| Some(digits.parse::<f64>().ok()? * ns));
        let minute = 0.0..=60e9;
        value.filter(|value| minute.contains(value)).map(|value| value as u64).ok_or_else(|| {
            self.invalid(&format!("option `{key}`: `{text}` is no time such as 10ms, at most 60s"))
        })
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

/// Where `wanted` stands outside of quotes. An option's value may be quoted, `filter='a, (b)'`, in
/// one of the two ways; a quote that has no end is a character as any other.
fn unquoted(text: &str, wanted: char) -> impl Iterator<Item = usize> {
    let mut quoted_until = 0;
    text.char_indices().filter_map(move |(at, character)| {
        if at < quoted_until {
            return None;
        }
        if matches!(character, '\'' | '"') && text[..at].ends_with('=') {
            let length = text[at + 1..].find(character);
            quoted_until = length.map_or(0, |length| at + length + 2);
        }
        (character == wanted).then_some(at)
    })
}

/// Parts between separators; options of devices, behind `?`, know no quotes.
fn split(list: &str, separator: char) -> impl Iterator<Item = &str> {
    let quotes = separator == ',';
    let ends: Vec<usize> = match quotes {
        true => unquoted(list, separator).collect(),
        false => list.match_indices(separator).map(|(at, _)| at).collect(),
    };
    let starts = std::iter::once(0).chain(ends.clone().into_iter().map(|end| end + 1));
    starts.zip(ends.into_iter().chain([list.len()])).map(|(start, end)| &list[start..end])
}

fn without_quotes(value: &str) -> &str {
    let inside = |quote| value.strip_prefix(quote)?.strip_suffix(quote);
    inside('\'').or_else(|| inside('"')).unwrap_or(value)
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
    fn a_wrapper_has_options_in_parentheses_and_a_device_behind_it() {
        let text = "fault(loss=1%,delay=2.5ms):trace:pcap:in(1).pcap?pace";
        let spec: Spec = text.parse().expect("a spec");
        assert_eq!((spec.driver.as_str(), spec.target.as_str()), ("fault", &text[27..]));
        assert_eq!((spec.fraction("loss"), spec.fraction("x")), (Ok(0.01), Ok(0.0)));
        assert_eq!(spec.duration_ns("delay"), Ok(2_500_000));
        let inner: Spec = spec.target.parse().expect("a spec");
        assert_eq!((inner.driver.as_str(), inner.target.as_str()), ("trace", &text[33..]));
        for (text, problem) in [
            ("fault(loss=1%:null:", "has no `)`"),
            ("fault(loss=1%)", "no device"),
            ("trace", "no device"),
            ("trace:", "no device"),
            ("fault(a=1,a=2):null:", "stands twice"),
        ] {
            let error = text.parse::<Spec>().expect_err(text);
            assert!(error.message.contains(problem), "{error}");
        }
        let spec: Spec = "fault(loss=101%,delay=5,jitter=61s):null:".parse().expect("a spec");
        assert!(spec.fraction("loss").is_err() && spec.duration_ns("delay").is_err());
        assert!(spec.duration_ns("jitter").is_err());
    }

    #[test]
    fn quotes_keep_commas_and_parentheses() {
        for (options, filter) in [
            ("filter='udp and (port 53 or port 5353)'", Some("udp and (port 53 or port 5353)")),
            ("filter=\"host 'a', (b)\"", Some("host 'a', (b)")),
            ("filter=ip[8]=1", Some("ip[8]=1")),
            ("filter=''", Some("")),
            ("name=it's", None),
        ] {
            let text = format!("capture({options},snap=70):trace(filter='(a)'):null:?rx=60");
            let spec: Spec = text.parse().unwrap_or_else(|error| panic!("{error}"));
            assert_eq!((spec.text("filter"), spec.text("snap")), (filter, Some("70")), "{text}");
            assert_eq!(spec.target, "trace(filter='(a)'):null:?rx=60");
        }
        let spec: Spec = "trace(filter='tcp,every=2):null:".parse().expect("a spec");
        assert_eq!((spec.text("filter"), spec.text("every")), (Some("'tcp"), Some("2")));
        let spec: Spec = "gen:?src='a&dst=b'".parse().expect("a spec");
        assert_eq!((spec.text("src"), spec.text("dst")), (Some("'a"), Some("b'")));
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
