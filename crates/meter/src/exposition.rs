//! The Prometheus text format.
//!
//! Source: "Text-based format" in the Prometheus documentation, version 0.0.4. Written by hand because the values already
//! exist elsewhere: a registry of metric objects would be a second owner of them.

use std::fmt::{self, Write as _};

use crate::Snapshot;

/// The `Content-Type` of the text that [`Exposition::finish`] returns.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Upper bounds of exposed histogram buckets, as powers of two of a microsecond: 64 µs to 1 s by doublings, then by fours
/// to 67 s. Few, because every bound is a time series per label set; exact, because each ends a bucket of ours.
const LE_POW2_US: [u32; 18] = [6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 22, 24, 26];

/// A page of metrics under construction: family after family, each once.
#[derive(Debug, Default)]
pub struct Exposition {
    text: String,
}

impl Exposition {
    /// An empty page.
    #[must_use]
    pub const fn new() -> Self {
        Self { text: String::new() }
    }

    /// Starts a family of counters. By convention its name ends in `_total`.
    pub fn counter(&mut self, name: &'static str, help: &str) -> Family<'_> {
        debug_assert!(name.ends_with("_total"), "{name}: a counter's name ends in _total");
        self.family(name, help, "counter")
    }

    /// Starts a family of gauges.
    pub fn gauge(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, help, "gauge")
    }

    /// Starts a family of histograms of durations. By convention its name ends in `_seconds`.
    pub fn histogram(&mut self, name: &'static str, help: &str) -> HistogramFamily<'_> {
        debug_assert!(name.ends_with("_seconds"), "{name}: a histogram of durations ends in _seconds");
        HistogramFamily { inner: self.family(name, help, "histogram") }
    }

    /// Starts a family under somebody else's name, which follows other conventions than ours.
    pub fn foreign<'a>(&'a mut self, name: &'a str, help: &str, kind: ForeignKind) -> Family<'a> {
        let kind = match kind {
            ForeignKind::Counter => "counter",
            ForeignKind::Gauge => "gauge",
        };
        self.family(name, help, kind)
    }

    /// The finished text, to be served as [`CONTENT_TYPE`].
    #[must_use]
    pub fn finish(self) -> String {
        self.text
    }

    fn family<'a>(&'a mut self, name: &'a str, help: &str, kind: &str) -> Family<'a> {
        debug_assert!(is_name(name), "{name} is no metric name");
        self.push(format_args!("# HELP {name} {}\n# TYPE {name} {kind}\n", Escaped { text: help, quotes: false }));
        Family { page: self, name }
    }

    fn push(&mut self, text: fmt::Arguments<'_>) {
        self.text.write_fmt(text).expect("writing to a String cannot fail");
    }
}

/// A family of counters or gauges: samples of one name that differ by labels.
#[derive(Debug)]
pub struct Family<'a> {
    page: &'a mut Exposition,
    name: &'a str,
}

/// What a family under a foreign name is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForeignKind {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
}

impl Family<'_> {
    /// Adds a sample. Label names are ours, label values may be anything and are escaped.
    pub fn sample(&mut self, labels: &[(&str, &str)], value: impl Into<Number>) -> &mut Self {
        self.line("", labels, None, value.into());
        self
    }

    fn line(&mut self, suffix: &str, labels: &[(&str, &str)], le: Option<&str>, value: Number) {
        self.page.push(format_args!("{}{suffix}", self.name));
        let mut separator = '{';
        for (name, text) in labels.iter().copied().chain(le.map(|le| ("le", le))) {
            debug_assert!(is_name(name), "{name} is no label name");
            self.page.push(format_args!("{separator}{name}=\"{}\"", Escaped { text, quotes: true }));
            separator = ',';
        }
        let close = if separator == ',' { "}" } else { "" };
        self.page.push(format_args!("{close} {value}\n"));
    }
}

/// A family of histograms.
#[derive(Debug)]
pub struct HistogramFamily<'a> {
    inner: Family<'a>,
}

impl HistogramFamily<'_> {
    /// Adds one histogram: its cumulative buckets, its sum in seconds and its count.
    pub fn sample(&mut self, labels: &[(&str, &str)], snapshot: &Snapshot) -> &mut Self {
        for exponent in LE_POW2_US {
            let le = f64::from(1_u32 << exponent) / 1e6;
            let count = snapshot.count_up_to_pow2_us(exponent);
            self.inner.line("_bucket", labels, Some(&le.to_string()), count.into());
        }
        self.inner.line("_bucket", labels, Some("+Inf"), snapshot.count().into());
        self.inner.line("_sum", labels, None, snapshot.sum().as_secs_f64().into());
        self.inner.line("_count", labels, None, snapshot.count().into());
        self
    }
}

/// A sample's value. Whole numbers are written exactly, beyond what a float could hold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    /// A count.
    Whole(u64),
    /// A level that may be below zero.
    Signed(i64),
    /// A ratio, or seconds.
    Real(f64),
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Whole(n) => n.fmt(f),
            Self::Signed(n) => n.fmt(f),
            Self::Real(n) if n.is_nan() => f.write_str("NaN"),
            Self::Real(n) if n.is_infinite() => f.write_str(if n > 0.0 { "+Inf" } else { "-Inf" }),
            Self::Real(n) => n.fmt(f),
        }
    }
}

impl From<u64> for Number {
    fn from(n: u64) -> Self {
        Self::Whole(n)
    }
}

impl From<u32> for Number {
    fn from(n: u32) -> Self {
        Self::Whole(n.into())
    }
}

impl From<usize> for Number {
    fn from(n: usize) -> Self {
        Self::Whole(n as u64)
    }
}

impl From<i64> for Number {
    fn from(n: i64) -> Self {
        Self::Signed(n)
    }
}

impl From<f64> for Number {
    fn from(n: f64) -> Self {
        Self::Real(n)
    }
}

/// Text as the format wants it: backslash and line feed escaped, in label values also the double quote.
struct Escaped<'a> {
    text: &'a str,
    quotes: bool,
}

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.text.chars() {
            match c {
                '\\' => f.write_str("\\\\")?,
                '\n' => f.write_str("\\n")?,
                '"' if self.quotes => f.write_str("\\\"")?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// Whether `name` fits `[a-zA-Z_][a-zA-Z0-9_]*`.
fn is_name(name: &str) -> bool {
    let inside = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    name.bytes().all(inside) && name.bytes().next().is_some_and(|b| !b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Histogram;
    use std::time::Duration;

    #[test]
    fn a_page_of_counters_and_gauges() {
        let mut page = Exposition::new();
        page.counter("evenkeel_queries_total", "Queries relayed.\nAll of them.")
            .sample(&[("user", "app"), ("database", "shop")], 18_446_744_073_709_551_615_u64)
            .sample(&[("user", "a\"b\\c\nd"), ("database", "é")], 0_u32);
        page.gauge("evenkeel_share_ratio", "Share of the \"budget\".")
            .sample(&[], 0.25)
            .sample(&[("x", "nan")], f64::NAN)
            .sample(&[("x", "low")], f64::NEG_INFINITY)
            .sample(&[("x", "minus")], -3_i64);
        assert_eq!(
            page.finish(),
            r#"# HELP evenkeel_queries_total Queries relayed.\nAll of them.
# TYPE evenkeel_queries_total counter
evenkeel_queries_total{user="app",database="shop"} 18446744073709551615
evenkeel_queries_total{user="a\"b\\c\nd",database="é"} 0
# HELP evenkeel_share_ratio Share of the "budget".
# TYPE evenkeel_share_ratio gauge
evenkeel_share_ratio 0.25
evenkeel_share_ratio{x="nan"} NaN
evenkeel_share_ratio{x="low"} -Inf
evenkeel_share_ratio{x="minus"} -3
"#
        );
    }

    #[test]
    fn a_page_with_a_histogram() {
        let histogram = Histogram::new();
        for us in [1, 64, 65, 5_000, 100_000_000] {
            histogram.record(Duration::from_micros(us));
        }
        let mut page = Exposition::new();
        page.histogram("evenkeel_wait_seconds", "Waited.").sample(&[("server", "pg-a")], &histogram.snapshot());
        assert_eq!(
            page.finish(),
            r#"# HELP evenkeel_wait_seconds Waited.
# TYPE evenkeel_wait_seconds histogram
evenkeel_wait_seconds_bucket{server="pg-a",le="0.000064"} 2
evenkeel_wait_seconds_bucket{server="pg-a",le="0.000128"} 3
evenkeel_wait_seconds_bucket{server="pg-a",le="0.000256"} 3
evenkeel_wait_seconds_bucket{server="pg-a",le="0.000512"} 3
evenkeel_wait_seconds_bucket{server="pg-a",le="0.001024"} 3
evenkeel_wait_seconds_bucket{server="pg-a",le="0.002048"} 3
evenkeel_wait_seconds_bucket{server="pg-a",le="0.004096"} 3
evenkeel_wait_seconds_bucket{server="pg-a",le="0.008192"} 4
evenkeel_wait_seconds_bucket{server="pg-a",le="0.016384"} 4
evenkeel_wait_seconds_bucket{server="pg-a",le="0.032768"} 4
evenkeel_wait_seconds_bucket{server="pg-a",le="0.065536"} 4
evenkeel_wait_seconds_bucket{server="pg-a",le="0.131072"} 4
evenkeel_wait_seconds_bucket{server="pg-a",le="0.262144"} 4
evenkeel_wait_seconds_bucket{server="pg-a",le="0.524288"} 4
evenkeel_wait_seconds_bucket{server="pg-a",le="1.048576"} 4
evenkeel_wait_seconds_bucket{server="pg-a",le="4.194304"} 4
evenkeel_wait_seconds_bucket{server="pg-a",le="16.777216"} 4
evenkeel_wait_seconds_bucket{server="pg-a",le="67.108864"} 4
evenkeel_wait_seconds_bucket{server="pg-a",le="+Inf"} 5
evenkeel_wait_seconds_sum{server="pg-a"} 100.00513
evenkeel_wait_seconds_count{server="pg-a"} 5
"#
        );
    }
}
