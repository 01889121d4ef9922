//! Prepared statements of the raw client.

use anyhow::{Context, Result, ensure};

use super::MyWire;
use super::result::{Answer, Column, Fields, Row};

/// What a server said about a statement it prepared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Statement {
    /// Its id on this connection (a pooler invents one).
    pub id: u32,
    /// How many parameters it takes.
    pub parameters: u16,
    /// How many columns it gives.
    pub columns: u16,
}

impl MyWire {
    /// Prepares a statement.
    ///
    /// # Errors
    /// As [`MyWire::query`].
    pub fn prepare(&mut self, sql: &str) -> Result<Statement> {
        self.send_command(COM_STMT_PREPARE, sql.as_bytes())?;
        let head = self.read_ok()?;
        let mut fields = Fields(head.body.get(1..).unwrap_or_default());
        let (id, columns, parameters) = (fields.u32()?, fields.u16()?, fields.u16()?);
        for described in [parameters, columns] {
            let end = u16::from(described > 0 && self.has_classic_ends());
            for _ in 0..described + end {
                self.read_payload()?;
            }
        }
        Ok(Statement { id, parameters, columns })
    }

    /// Executes a prepared statement with texts, or nulls, as its parameters.
    ///
    /// # Errors
    /// As [`MyWire::query`], and when a column is of a type that this client does not read (times and dates).
    pub fn execute(&mut self, id: u32, parameters: &[Option<&str>]) -> Result<Answer> {
        self.send_execute(id, parameters)?;
        self.read_rows(binary_row)
    }

    /// Sends what [`MyWire::execute`] does, without waiting for the answer.
    ///
    /// # Errors
    /// As [`MyWire::send`].
    pub fn send_execute(&mut self, id: u32, parameters: &[Option<&str>]) -> Result<()> {
        let mut payload = id.to_le_bytes().to_vec();
        payload.push(CURSOR_NONE);
        payload.extend(1_u32.to_le_bytes());
        if !parameters.is_empty() {
            let mut nulls = vec![0; parameters.len().div_ceil(8)];
            for (index, _) in parameters.iter().enumerate().filter(|(_, value)| value.is_none()) {
                nulls[index / 8] |= 1 << (index % 8);
            }
            payload.extend(nulls);
            payload.push(1);
            payload.extend(parameters.iter().flat_map(|_| [TYPE_VAR_STRING, 0]));
            for value in parameters.iter().flatten() {
                // The width of three bytes holds whatever a test sends in one packet.
                payload.push(0xfd);
                payload.extend(&u32::try_from(value.len())?.to_le_bytes()[..3]);
                payload.extend(value.as_bytes());
            }
        }
        self.send_command(COM_STMT_EXECUTE, &payload)
    }

    /// Forgets a prepared statement; the server does not answer.
    ///
    /// # Errors
    /// As [`MyWire::send`].
    pub fn close_statement(&mut self, id: u32) -> Result<()> {
        self.send_command(COM_STMT_CLOSE, &id.to_le_bytes())
    }
}

/// A row of the binary protocol, as text.
fn binary_row(columns: &[Column], body: &[u8]) -> Result<Row> {
    let mut fields = Fields(body);
    ensure!(fields.u8()? == 0, "a row that begins with something else");
    // Two bits of the nulls are not used.
    let nulls = fields.take((columns.len() + 2).div_ceil(8))?;
    let is_null = |index: usize| nulls[(index + 2) / 8] & (1 << ((index + 2) % 8)) != 0;
    let values = columns.iter().enumerate();
    values.map(|(index, column)| (!is_null(index)).then(|| value(column, &mut fields)).transpose()).collect()
}

fn value(column: &Column, fields: &mut Fields<'_>) -> Result<String> {
    let width = match column.kind {
        1 => 1,
        2 | 13 => 2,
        3 | 9 => 4,
        8 => 8,
        4 => return Ok(f32::from_le_bytes(fields.take(4)?.try_into()?).to_string()),
        5 => return Ok(f64::from_le_bytes(fields.take(8)?.try_into()?).to_string()),
        7 | 10..=12 => return Err(anyhow::anyhow!("{} is a time, which this client does not read", column.name)),
        _ => return Ok(String::from_utf8_lossy(fields.string()?).into_owned()),
    };
    let number = fields.take(width).with_context(|| format!("the value of {}", column.name))?;
    let negative = !column.unsigned && number[width - 1] & 0x80 != 0;
    let mut whole = [if negative { 0xff } else { 0 }; 8];
    whole[..width].copy_from_slice(number);
    Ok(if column.unsigned { u64::from_le_bytes(whole).to_string() } else { i64::from_le_bytes(whole).to_string() })
}

const COM_STMT_PREPARE: u8 = 22;
const COM_STMT_EXECUTE: u8 = 23;
const COM_STMT_CLOSE: u8 = 25;
/// `CURSOR_TYPE_NO_CURSOR`.
const CURSOR_NONE: u8 = 0;
/// `MYSQL_TYPE_VAR_STRING`.
const TYPE_VAR_STRING: u8 = 0xfd;

#[cfg(test)]
mod tests {
    use super::*;

    fn column(kind: u8, unsigned: bool) -> Column {
        Column { name: "c".to_owned(), kind, unsigned }
    }

    #[test]
    fn numbers_have_widths_and_signs() {
        for (kind, unsigned, bytes, text) in [
            (1, false, &b"\xff"[..], "-1"),
            (1, true, b"\xff", "255"),
            (2, false, b"\x00\x80", "-32768"),
            (3, false, b"\x2a\0\0\0", "42"),
            (8, true, b"\xff\xff\xff\xff\xff\xff\xff\xff", "18446744073709551615"),
            (253, false, b"\x02ab", "ab"),
        ] {
            assert_eq!(value(&column(kind, unsigned), &mut Fields(bytes)).unwrap(), text);
        }
        assert!(value(&column(8, false), &mut Fields(b"short")).is_err());
    }

    #[test]
    fn nulls_are_bits_after_the_first_two() {
        let columns = [column(1, false), column(1, false)];
        assert_eq!(binary_row(&columns, b"\0\x04\x07").unwrap(), [None, Some("7".to_owned())]);
        assert!(binary_row(&columns, b"\0\0\x07").is_err(), "the second is missing");
    }
}
