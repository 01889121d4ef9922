//! Measured points from a file: connections, throughput and, if known, latency, separated by commas, semicolons or tabs.

use std::{fs::File, io::Read, path::Path, time::Duration};

use anyhow::{Context, Result, bail};
use route::nearest;
use sizing::{POINTS_MAX, Point};

use super::values;

/// The largest file that is read, in bytes.
const FILE_MAX: u64 = 1 << 20;

/// What a column says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    Connections,
    Throughput,
    /// Milliseconds, or with a unit.
    Latency,
}

/// The names that columns may have in a first line; without one they come in the order of [`DEFAULT`].
const NAMES: [(&str, Column); 8] = [
    ("connections", Column::Connections),
    ("clients", Column::Connections),
    ("throughput", Column::Throughput),
    ("tps", Column::Throughput),
    ("qps", Column::Throughput),
    ("latency", Column::Latency),
    ("latency_ms", Column::Latency),
    ("response_time", Column::Latency),
];

const DEFAULT: [Column; 3] = [Column::Connections, Column::Throughput, Column::Latency];

/// Reads a file.
pub(super) fn read(path: &Path) -> Result<Vec<Point>> {
    let name = path.display();
    let mut bytes = Vec::new();
    let file = File::open(path).with_context(|| format!("cannot open {name}"))?;
    file.take(FILE_MAX + 1).read_to_end(&mut bytes).with_context(|| format!("cannot read {name}"))?;
    if bytes.len() as u64 > FILE_MAX {
        bail!("{name} has more than {FILE_MAX} bytes");
    }
    let text = String::from_utf8(bytes).ok().with_context(|| format!("{name} is no text"))?;
    parse(&text).with_context(|| name.to_string())
}

/// Reads lines. Empty ones, and those that begin with `#`, say nothing.
fn parse(text: &str) -> Result<Vec<Point>> {
    let text = text.trim_start_matches('\u{feff}');
    let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
    let mut lines = lines.peekable();
    let mut columns = DEFAULT.to_vec();
    if let Some((number, line)) = lines.next_if(|(_, line)| line.trim_start().starts_with(|c: char| c.is_alphabetic()))
    {
        columns = header(line).with_context(|| format!("line {number}"))?;
    }
    let mut points = Vec::new();
    for (number, line) in lines {
        if points.len() == POINTS_MAX {
            bail!("line {number}: more than {POINTS_MAX} points");
        }
        points.push(point(line, &columns).with_context(|| format!("line {number}"))?);
    }
    Ok(points)
}

fn fields(line: &str) -> impl Iterator<Item = &str> {
    line.split([',', ';', '\t']).map(str::trim)
}

fn header(line: &str) -> Result<Vec<Column>> {
    let mut columns = Vec::new();
    for field in fields(line) {
        let name = field.to_lowercase();
        let Some((_, column)) = NAMES.iter().find(|(known, _)| *known == name) else {
            match nearest(&name, NAMES.iter().map(|(known, _)| *known)) {
                Some(near) => bail!("unknown column `{field}`: did you mean `{near}`?"),
                None => bail!("unknown column `{field}`: connections, throughput and latency are known"),
            }
        };
        if columns.contains(column) {
            bail!("the column `{field}` says what another one says");
        }
        columns.push(*column);
    }
    for (column, name) in [(Column::Connections, "connections"), (Column::Throughput, "throughput")] {
        if !columns.contains(&column) {
            bail!("there is no column `{name}`");
        }
    }
    Ok(columns)
}

fn point(line: &str, columns: &[Column]) -> Result<Point> {
    let (mut connections, mut throughput, mut latency) = (None, None, None);
    let mut given = fields(line);
    for (column, field) in columns.iter().zip(&mut given) {
        match column {
            Column::Connections => {
                connections = Some(values::many(field).map_err(|why| wrong("connections", field, &why))?)
            }
            Column::Throughput => {
                throughput = Some(values::number(field).map_err(|why| wrong("throughput", field, &why))?)
            }
            Column::Latency if field.is_empty() => {}
            Column::Latency => latency = Some(time(field).map_err(|why| wrong("latency", field, &why))?),
        }
    }
    if given.next().is_some() {
        bail!("more than {} values", columns.len());
    }
    let connections = connections.context("the number of connections is missing")?;
    let throughput = throughput.context("the throughput is missing")?;
    Ok(Point::new(connections, throughput, latency)?)
}

fn time(field: &str) -> Result<Duration, String> {
    match field.parse::<f64>() {
        Ok(_) => values::response_time(&format!("{field}ms")),
        Err(_) => values::response_time(field),
    }
}

fn wrong(column: &str, field: &str, why: &str) -> anyhow::Error {
    anyhow::anyhow!("{column}: `{field}`: {why}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(connections: u32, throughput: f64, latency_ms: Option<u64>) -> Point {
        Point::new(connections, throughput, latency_ms.map(Duration::from_millis)).unwrap()
    }

    #[test]
    fn files_of_several_kinds() {
        let two = [point(1, 955.0, None), point(4, 3_720.0, None)];
        for text in [
            "1,955\n4,3720\n",
            "# measured today\nconnections,throughput\n1,955\n\n4,3720",
            "\u{feff}tps;clients\r\n955;1\r\n3720;4\r\n",
            "Clients\tTPS\n1\t955\n4\t3.72k\n",
        ] {
            assert_eq!(parse(text).unwrap(), two, "{text:?}");
        }
        assert_eq!(
            parse("1,955,2\n4,3720,3ms\n8,9,").unwrap(),
            [point(1, 955.0, Some(2)), point(4, 3_720.0, Some(3)), point(8, 9.0, None)]
        );
    }

    #[test]
    fn what_is_wrong_names_its_line() {
        for (text, told) in [
            ("connections,thruput\n", "line 1: unknown column `thruput`: did you mean `throughput`?"),
            ("connections,colour\n", "line 1: unknown column `colour`: connections, throughput and latency are known"),
            ("connections,latency\n", "line 1: there is no column `throughput`"),
            ("tps,qps\n", "line 1: the column `qps` says what another one says"),
            ("1,955\n2,x\n", "line 2: throughput: `x`: a number is expected, such as 5000 or 5k"),
            ("1,955\n0,5\n", "line 2: connections: `0`: not between 1 and 1000000; the nearest is 1"),
            ("1,955\n2\n", "line 2: the throughput is missing"),
            ("1,955,2,3\n", "line 1: more than 3 values"),
            ("1,0\n", "line 1: throughput: 0 is not between"),
            ("1,955,x\n", "line 1: latency: `x`"),
        ] {
            let said = format!("{:#}", parse(text).unwrap_err());
            assert!(said.starts_with(told), "{said:?} does not begin with {told:?}");
        }
        let too_many = "1,1\n".repeat(POINTS_MAX + 1);
        assert_eq!(format!("{}", parse(&too_many).unwrap_err()), "line 1001: more than 1000 points");
    }
}
