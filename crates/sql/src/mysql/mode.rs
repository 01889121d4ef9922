//! What of a session decides how its texts are cut into tokens.

/// How a session's texts are read: its `sql_mode` and `character_set_client` as of the text's start, and whose server it is.
///
/// The two flags of `sql_mode` are independent of each other and of the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Mode {
    /// `ANSI_QUOTES`: `"…"` is a name, not a string.
    pub ansi_quotes: bool,
    /// `NO_BACKSLASH_ESCAPES`: a backslash in a string is itself.
    pub no_backslash_escapes: bool,
    /// The server is MariaDB: it carries out what stands in `/*M! … */`.
    pub mariadb: bool,
    /// What bytes above ASCII may be.
    pub charset: Charset,
}

impl Mode {
    /// That of a session of MySQL in UTF-8 that has set nothing.
    pub const STANDARD: Self =
        Self { ansi_quotes: false, no_backslash_escapes: false, mariadb: false, charset: Charset::Utf8 };

    /// With the flags that a value of `sql_mode` has, as the server reports it: names with commas between them.
    pub fn with_sql_mode(self, value: &[u8]) -> Self {
        let has =
            |flag: &[u8]| value.split(|byte| *byte == b',').any(|name| name.trim_ascii().eq_ignore_ascii_case(flag));
        // The combinations imply the flag. The server reports both, a client may have set only the first.
        let combinations: [&[u8]; 6] = [b"ansi", b"db2", b"maxdb", b"mssql", b"oracle", b"postgresql"];
        Self {
            ansi_quotes: has(b"ansi_quotes") || combinations.into_iter().any(has),
            no_backslash_escapes: has(b"no_backslash_escapes"),
            ..self
        }
    }
}

/// What bytes above ASCII may be, by `character_set_client`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Charset {
    /// Parts of letters, never anything else.
    Utf8,
    /// Letters, or white space: latin1 has a space at 0xA0. Outside quotes and comments they make a text doubtful.
    SingleByte,
    /// The first of two or more bytes, the second of which may look like a quote or a backslash, as in gbk and sjis; also any
    /// character set we do not know. Outside comments they make a text doubtful.
    MultiByte,
}

impl Charset {
    /// The kind of a character set, by its name in any case.
    ///
    /// Source: `SHOW CHARACTER SET` of MySQL 9.7 and MariaDB 10.11, whose multi-byte sets are big5, cp932, eucjpms, euckr, gb18030,
    /// gb2312, gbk, sjis and ujis; those that are not a superset of ASCII cannot be a client's.
    pub fn of(name: &[u8]) -> Self {
        const UTF8: [&[u8]; 3] = [b"utf8mb4", b"utf8mb3", b"utf8"];
        const SINGLE_BYTE: [&[u8]; 25] = [
            b"armscii8",
            b"ascii",
            b"binary",
            b"cp1250",
            b"cp1251",
            b"cp1256",
            b"cp1257",
            b"cp850",
            b"cp852",
            b"cp866",
            b"dec8",
            b"geostd8",
            b"greek",
            b"hebrew",
            b"hp8",
            b"keybcs2",
            b"koi8r",
            b"koi8u",
            b"latin1",
            b"latin2",
            b"latin5",
            b"latin7",
            b"macce",
            b"macroman",
            b"tis620",
        ];
        let is_one_of = |names: &[&[u8]]| names.iter().any(|known| known.eq_ignore_ascii_case(name));
        if is_one_of(&UTF8) {
            Self::Utf8
        } else if is_one_of(&SINGLE_BYTE) {
            Self::SingleByte
        } else {
            Self::MultiByte
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sql_modes() {
        let quotes = |value: &str| {
            let mode = Mode::STANDARD.with_sql_mode(value.as_bytes());
            (mode.ansi_quotes, mode.no_backslash_escapes)
        };
        assert_eq!(quotes(""), (false, false));
        assert_eq!(quotes("STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION"), (false, false));
        assert_eq!(quotes("REAL_AS_FLOAT,ansi_quotes,IGNORE_SPACE"), (true, false));
        assert_eq!(quotes("NO_BACKSLASH_ESCAPES"), (false, true));
        assert_eq!(quotes("ANSI, NO_BACKSLASH_ESCAPES"), (true, true));
        assert_eq!(quotes("ORACLE"), (true, false));
        let before = Mode { ansi_quotes: true, mariadb: true, ..Mode::STANDARD };
        assert_eq!(before.with_sql_mode(b""), Mode { mariadb: true, ..Mode::STANDARD });
    }

    #[test]
    fn charsets() {
        assert_eq!(Charset::of(b"UTF8MB4"), Charset::Utf8);
        assert_eq!(Charset::of(b"latin1"), Charset::SingleByte);
        for name in ["gbk", "sjis", "cp932", "big5", "gb18030", "euckr", "new_in_2030"] {
            assert_eq!(Charset::of(name.as_bytes()), Charset::MultiByte, "{name}");
        }
    }
}
