//! Charts as one SVG document, below one another.

use std::fmt::Write;

use sizing::real;

use super::Chart;

/// Of one chart, in pixels: the drawing, and what is left of, above and below it.
const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 320.0;
const LEFT: f64 = 90.0;
const TOP: f64 = 50.0;
const BOTTOM: f64 = 60.0;
const RIGHT: f64 = 30.0;

/// Lines across, besides the axes.
const LINES: u32 = 4;

/// A document with these charts, each under its name.
pub(in crate::size) fn document(charts: &[(String, Chart)]) -> String {
    let (width, each) = (LEFT + WIDTH + RIGHT, TOP + HEIGHT + BOTTOM);
    let height = each * charts.len() as f64;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    for (at, (name, chart)) in charts.iter().enumerate() {
        let _ = writeln!(text, "<g transform=\"translate({LEFT} {})\">", each * at as f64 + TOP);
        chart.write(&mut text, name);
        text += "</g>\n";
    }
    text + "</svg>\n"
}

impl Chart {
    fn write(&self, text: &mut String, name: &str) {
        let title =
            if name.is_empty() { escaped(&self.title) } else { format!("{}: {}", escaped(name), escaped(&self.title)) };
        let _ = writeln!(text, "<text x=\"0\" y=\"-20\" font-size=\"14\">{title}</text>");
        let (low, high) = (self.x(self.band.0), self.x(self.band.1));
        let _ = writeln!(
            text,
            "<rect x=\"{low:.1}\" y=\"0\" width=\"{:.1}\" height=\"{HEIGHT}\" fill=\"#d7ecd9\"/>",
            (high - low).max(2.0)
        );
        self.write_axes(text);
        let drawn = self.curve.iter().filter(|(_, height)| *height <= self.highest);
        let line: Vec<String> = drawn.map(|(x, y)| format!("{:.1},{:.1}", self.x(*x), self.y(*y))).collect();
        let _ = writeln!(
            text,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"#2563a8\" stroke-width=\"2\"/>",
            line.join(" ")
        );
        for (x, y) in &self.points {
            let _ =
                writeln!(text, "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"4\" fill=\"#b3541e\"/>", self.x(*x), self.y(*y));
        }
    }

    fn write_axes(&self, text: &mut String) {
        for at in 0..=LINES {
            let part = f64::from(at) / f64::from(LINES);
            let (across, up) = (self.y(self.highest * part), self.x(self.largest * part));
            let _ = writeln!(
                text,
                "<line x1=\"0\" y1=\"{across:.1}\" x2=\"{WIDTH}\" y2=\"{across:.1}\" stroke=\"#ccc\"/>\n\
                 <text x=\"-8\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\n\
                 <text x=\"{up:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                across + 4.0,
                escaped(&(self.unit)(self.highest * part)),
                HEIGHT + 18.0,
                real((self.largest * part).round())
            );
        }
        let _ = writeln!(
            text,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">connections; good: {} to {}</text>",
            WIDTH / 2.0,
            HEIGHT + 40.0,
            real(self.band.0),
            real(self.band.1)
        );
    }

    fn x(&self, connections: f64) -> f64 {
        (connections / self.largest).min(1.0) * WIDTH
    }

    fn y(&self, height: f64) -> f64 {
        (1.0 - (height / self.highest).min(1.0)) * HEIGHT
    }
}

/// A text as XML has it. Names come from clients; characters that XML has no place for are left out.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '&' => safe.push_str("&amp;"),
            '"' => safe.push_str("&quot;"),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => {}
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::{super::tests::chart, *};

    #[test]
    fn every_point_and_the_band_are_in_the_document() {
        let text = document(&[(String::new(), chart()), ("b\u{1}<&\">".into(), chart())]);
        assert_eq!(text.matches("<circle").count(), 18);
        assert_eq!(text.matches("<polyline").count(), 2);
        assert_eq!(text.matches("good: 20 to 31").count(), 2);
        assert!(text.contains(">b&lt;&amp;&quot;&gt;: Throughput"), "{text}");
        assert_eq!(text.matches('<').count(), text.matches('>').count());
        assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
    }
}
