//! Reading the Prometheus text format (version 0.0.4): samples of counters, gauges and histograms.

use std::collections::BTreeMap;

/// Label names and values, without `le`.
pub(super) type Labels = BTreeMap<String, String>;

/// The samples of a page.
#[derive(Debug, Default)]
pub(super) struct Page {
    samples: Vec<Sample>,
}

#[derive(Debug)]
struct Sample {
    name: String,
    labels: Labels,
    /// Upper bound of a histogram's bucket.
    le: Option<f64>,
    value: f64,
}

/// A distribution of durations, as far as its buckets tell it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Distribution {
    /// Upper bounds in seconds, rising, each with the number of values at or below it.
    cumulative: Vec<(f64, f64)>,
    /// All values together, in seconds.
    sum: f64,
}

impl Page {
    /// Reads a page. Lines that are no samples say nothing.
    pub(super) fn parse(text: &str) -> Self {
        Self { samples: text.lines().filter_map(sample).collect() }
    }

    /// The values of a counter or gauge, by label.
    pub(super) fn values(&self, name: &str) -> impl Iterator<Item = (&Labels, f64)> {
        self.samples.iter().filter(move |sample| sample.name == name).map(|sample| (&sample.labels, sample.value))
    }

    /// The histograms of a family, by label.
    pub(super) fn distributions(&self, name: &str) -> BTreeMap<&Labels, Distribution> {
        let mut found: BTreeMap<&Labels, Distribution> = BTreeMap::new();
        let (bucket, sum) = (format!("{name}_bucket"), format!("{name}_sum"));
        for sample in &self.samples {
            match sample.le {
                Some(le) if sample.name == bucket => {
                    found.entry(&sample.labels).or_default().cumulative.push((le, sample.value));
                }
                None if sample.name == sum => found.entry(&sample.labels).or_default().sum = sample.value,
                _ => {}
            }
        }
        for distribution in found.values_mut() {
            distribution.cumulative.sort_by(|a, b| a.0.total_cmp(&b.0));
        }
        found
    }
}

impl Distribution {
    /// What has come since `earlier`; [`None`] when something was lost, as by a restart.
    pub(super) fn since(&self, earlier: &Self) -> Option<Self> {
        let before =
            |le: f64| earlier.cumulative.iter().find(|(bound, _)| *bound == le).map_or(0.0, |(_, count)| *count);
        let cumulative: Vec<(f64, f64)> =
            self.cumulative.iter().map(|(le, count)| (*le, count - before(*le))).collect();
        let since = Self { cumulative, sum: self.sum - earlier.sum };
        (self.count() >= earlier.count() && since.cumulative.iter().all(|(_, count)| *count >= 0.0)).then_some(since)
    }

    /// Adds another distribution with the same buckets.
    pub(super) fn add(&mut self, other: &Self) {
        if self.cumulative.is_empty() {
            self.cumulative.clone_from(&other.cumulative);
        } else {
            for ((_, mine), (_, theirs)) in self.cumulative.iter_mut().zip(&other.cumulative) {
                *mine += theirs;
            }
        }
        self.sum += other.sum;
    }

    /// The same values, none longer than `limit` seconds.
    pub(super) fn cut_to(mut self, limit: f64) -> Self {
        let longer: f64 = self.buckets().filter(|(low, ..)| *low >= limit).map(|(_, _, count)| count).sum();
        if longer > 0.0 {
            // What the others sum up to is in their buckets only.
            let others = self.buckets().filter(|(low, ..)| *low < limit);
            let others: f64 = others.map(|(low, high, count)| count * (low + high.min(limit)) / 2.0).sum();
            self.sum = self.sum.min(others + longer * limit);
            let count = self.count();
            self.cumulative.iter_mut().filter(|(le, _)| *le >= limit).for_each(|(_, up_to)| *up_to = count);
        }
        self
    }

    /// How many values there are.
    pub(super) fn count(&self) -> f64 {
        self.cumulative.last().map_or(0.0, |(_, count)| *count)
    }

    /// All of them together, in seconds.
    pub(super) fn sum(&self) -> f64 {
        self.sum
    }

    /// Their mean, in seconds; 0 when there are none.
    pub(super) fn mean(&self) -> f64 {
        if self.count() > 0.0 { (self.sum / self.count()).max(0.0) } else { 0.0 }
    }

    /// C_s²: the variance over the square of the mean, both from the buckets, in each of which values are taken to lie
    /// evenly. As buckets are doublings it comes out a little high: 1.16 for an exponential's 1.
    pub(super) fn variation(&self) -> f64 {
        let (mut mean, mut square) = (0.0, 0.0);
        for (low, high, count) in self.buckets() {
            let part = count / self.count();
            mean += part * (low + high) / 2.0;
            square += part * (low * low + low * high + high * high) / 3.0;
        }
        if mean > 0.0 { (square / (mean * mean) - 1.0).max(0.0) } else { 1.0 }
    }

    /// The upper bound of the bucket in which `percent` of the values end, in seconds; [`None`] when it has none.
    pub(super) fn at_most(&self, percent: f64) -> Option<f64> {
        let wanted = self.count() * percent / 100.0;
        let (bound, _) = self.cumulative.iter().find(|(_, count)| *count >= wanted)?;
        bound.is_finite().then_some(*bound)
    }

    /// The lower bound of the bucket in which `percent` of the values end, in seconds: so much the longest of these was at least.
    pub(super) fn at_least(&self, percent: f64) -> f64 {
        let wanted = self.count() * percent / 100.0;
        let below = self.cumulative.iter().take_while(|(_, count)| *count < wanted);
        below.last().map_or(0.0, |(bound, _)| *bound)
    }

    /// Lower and upper bound and number of values of each bucket that has any. The last one has no upper bound; what is in it
    /// is taken to lie at its lower one.
    fn buckets(&self) -> impl Iterator<Item = (f64, f64, f64)> {
        let lower = std::iter::once((0.0, 0.0)).chain(self.cumulative.iter().copied());
        let buckets = lower
            .zip(&self.cumulative)
            .map(|((low, below), (high, up_to))| (low, if high.is_finite() { *high } else { low }, up_to - below));
        buckets.filter(|(_, _, count)| *count > 0.0)
    }
}

/// `name{label="value",…} value`
fn sample(line: &str) -> Option<Sample> {
    let line = line.trim();
    if line.starts_with('#') {
        return None;
    }
    let end = line.find(['{', ' '])?;
    let (name, mut rest) = line.split_at(end);
    let (mut labels, mut le) = (Labels::new(), None);
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        loop {
            rest = rest.trim_start_matches([',', ' ']);
            if let Some(after) = rest.strip_prefix('}') {
                rest = after;
                break;
            }
            let (label, after) = rest.split_once("=\"")?;
            let (value, after) = quoted(after)?;
            rest = after;
            match label {
                "le" => le = Some(number(&value)?),
                _ => _ = labels.insert(label.to_owned(), value),
            }
        }
    }
    let value = number(rest.split_whitespace().next()?)?;
    Some(Sample { name: name.to_owned(), labels, le, value })
}

/// A value up to its closing quote, and what is behind it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(match chars.next()?.1 {
                'n' => '\n',
                other => other,
            }),
            c => value.push(c),
        }
    }
    None
}

/// A number that is one; Prometheus writes infinity as `+Inf`.
fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| !number.is_nan())
}

#[cfg(test)]
mod tests {
    use meter::{Exposition, Histogram};
    use std::time::Duration;

    use super::*;

    fn of(values: impl IntoIterator<Item = Duration>) -> Distribution {
        let histogram = Histogram::new();
        values.into_iter().for_each(|value| histogram.record(value));
        let mut page = Exposition::new();
        page.histogram("x_seconds", "X.").sample(&[("user", "a")], &histogram.snapshot());
        let page = Page::parse(&page.finish());
        page.distributions("x_seconds").into_values().next().unwrap_or_default()
    }

    #[test]
    fn what_is_exposed_is_read_back() {
        let odd = "a\"b\\c\nd,}=\"";
        let mut page = Exposition::new();
        page.gauge("x", "X.").sample(&[("user", odd), ("database", "é")], 7_u64);
        page.counter("y_total", "Y.").sample(&[], 3_u64);
        let page = Page::parse(&page.finish());
        let (labels, value) = page.values("x").next().unwrap();
        assert_eq!((labels["user"].as_str(), labels["database"].as_str(), value), (odd, "é", 7.0));
        assert_eq!(page.values("y_total").map(|(_, value)| value).collect::<Vec<_>>(), [3.0]);
    }

    #[test]
    fn a_distribution_keeps_mean_and_nearly_its_variation() {
        let ms = |n: u64| Duration::from_millis(n);
        let same = of([ms(9); 100]);
        assert_eq!(same.count(), 100.0);
        assert!((same.mean() - 0.009).abs() < 1e-9 && same.variation() < 0.05, "{}", same.variation());
        // An exponential's quantiles, evenly: its variation is 1.
        let steps = 10_000;
        let exponential =
            (1..steps).map(|at| Duration::from_secs_f64(-0.02 * (1.0 - f64::from(at) / f64::from(steps)).ln()));
        let exponential = of(exponential);
        assert!((exponential.variation() - 1.16).abs() < 0.02, "{}", exponential.variation());
        // 1 of 100 takes a hundred times as long: 24.5. Doublings tell that much.
        let mixed = of((0..1_000).map(|at| if at % 100 == 0 { ms(900) } else { ms(9) }));
        assert!((12.0..30.0).contains(&mixed.variation()), "{}", mixed.variation());
        assert_eq!(mixed.at_most(50.0), Some(0.016384));
    }

    #[test]
    fn only_what_came_since_counts() {
        let ms = |n: u64| Duration::from_millis(n);
        let (early, late) = (of([ms(1); 10]), of([[ms(1); 10], [ms(100); 10]].concat()));
        let since = late.since(&early).unwrap();
        assert_eq!(since.count(), 10.0);
        assert!((since.mean() - 0.1).abs() < 1e-9);
        assert_eq!(early.since(&late), None, "a restart");
        let mut sum = since.clone();
        sum.add(&early);
        assert_eq!(sum.count(), 20.0);
        assert!((sum.mean() - late.mean()).abs() < 1e-9);
    }

    #[test]
    fn what_is_no_sample_says_nothing() {
        for line in
            ["", "# HELP x X.", "x", "x{", "x{a=\"b} 1", "x{a=\"b\"} y", "x NaN", "{} 1 2", "x{a} 1", "x{a=\"\\"]
        {
            assert_eq!(Page::parse(line).values("x").count(), 0, "{line}");
        }
        assert_eq!(Distribution::default().mean(), 0.0);
        assert_eq!(Distribution::default().at_most(99.0), None);
    }
}
