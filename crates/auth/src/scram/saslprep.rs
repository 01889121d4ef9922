//! Preparing a password (RFC 4013) as PostgreSQL does, so that both derive the same keys.
//!
//! PostgreSQL departs from the RFC in two ways, and what it stored decides: it looks for prohibited characters *before* it
//! normalises, not after, and it uses a password that cannot be prepared as it is. So `stringprep::saslprep` would give other
//! keys, for instance for U+0340, which is prohibited and normalises to an ordinary accent.
//!
//! Source: `pg_saslprep` in `src/common/saslprep.c`, and its callers.

use stringprep::tables;
use unicode_normalization::UnicodeNormalization as _;
use zeroize::Zeroizing;

/// The password as it goes into PBKDF2.
pub(super) fn prepare(password: &[u8]) -> Zeroizing<Vec<u8>> {
    let text = std::str::from_utf8(password).ok().filter(|text| !text.is_ascii());
    let prepared = text.and_then(|text| {
        let mapped = map(text);
        is_allowed(&mapped).then(|| Zeroizing::new(mapped.nfkc().collect::<String>().into_bytes()))
    });
    prepared.unwrap_or_else(|| Zeroizing::new(password.to_vec()))
}

/// RFC 4013, section 2.1: other spaces become spaces, and some characters nothing.
fn map(text: &str) -> Zeroizing<String> {
    let spaced = text.chars().map(|char| if tables::non_ascii_space_character(char) { ' ' } else { char });
    Zeroizing::new(spaced.filter(|char| !tables::commonly_mapped_to_nothing(*char)).collect())
}

/// RFC 4013, sections 2.3 to 2.5, and not empty.
fn is_allowed(mapped: &str) -> bool {
    !mapped.is_empty() && !mapped.contains(is_prohibited) && is_bidirectionally_sound(mapped)
}

fn is_prohibited(char: char) -> bool {
    tables::ascii_control_character(char)
        || tables::non_ascii_control_character(char)
        || tables::private_use(char)
        || tables::non_character_code_point(char)
        || tables::inappropriate_for_plain_text(char)
        || tables::inappropriate_for_canonical_representation(char)
        || tables::change_display_properties_or_deprecated(char)
        || tables::tagging_character(char)
        || tables::unassigned_code_point(char)
}

/// RFC 3454, section 6: text that runs from right to left begins and ends so, and holds no letter of the other direction.
fn is_bidirectionally_sound(text: &str) -> bool {
    !text.contains(tables::bidi_r_or_al)
        || (text.starts_with(tables::bidi_r_or_al)
            && text.ends_with(tables::bidi_r_or_al)
            && !text.contains(tables::bidi_l))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_4013_or_the_password_itself() {
        for (given, prepared) in [
            // RFC 4013, section 3.
            ("user", "user"),
            ("USER", "USER"),
            ("I\u{ad}X", "IX"),
            ("\u{aa}", "a"),
            ("\u{2168}", "IX"),
            ("\u{7}", "\u{7}"),
            ("\u{627}1", "\u{627}1"),
            // What is refused is used as it is.
            ("\u{e4}\u{7}\u{2168}", "\u{e4}\u{7}\u{2168}"),
            ("\u{627}\u{2168}\u{627}", "\u{627}\u{2168}\u{627}"),
            ("\u{1f600}\u{2168}", "\u{1f600}\u{2168}"),
            ("\u{ad}", "\u{ad}"),
            ("\u{627}\u{fefb}", "\u{627}\u{644}\u{627}"),
            ("a\u{a0}b\u{3000}", "a b "),
            // PostgreSQL's own order: prohibited before it would have become harmless, and the other way round.
            ("\u{340}", "\u{340}"),
            ("a\u{2135}", "a\u{5d0}"),
        ] {
            assert_eq!(prepare(given.as_bytes()).as_slice(), prepared.as_bytes(), "{given:?}");
        }
        assert_eq!(prepare(b"\xff\xfe").as_slice(), b"\xff\xfe");
    }

    /// Stored by PostgreSQL 15 for these passwords, each of which goes another way through the above.
    #[test]
    fn verifiers_of_a_real_server() {
        for (password, verifier) in [
            (
                "\u{2168}\u{ad}",
                "SCRAM-SHA-256$4096:Q2j5faYUP9jaPqzG7kadOg==$cpfV4fll+zz14bfGtPH/lZJQFxnLOGOQsME+lj/DY/Y=:6/vLOGc/eUp/xvhoX48X+IGsqg7d57mHSXUvAPHkQdw=",
            ),
            (
                "\u{340}",
                "SCRAM-SHA-256$4096:mS4wdtnemdXA2uLqhbD8Ag==$F0zBvQhO0NIqyp/dfUHUDlHmd/1vY2WmqhZP/r35RD0=:T7Vg6djbii7TkRWBYS/L4Ykhatl+Dmhf9+tVMAkF54w=",
            ),
            (
                "a\u{2135}",
                "SCRAM-SHA-256$4096:R5/7iGng7WH0JUM4RCgWlw==$8v1XzWCiygYnOcfugIX/dBku0b6XJuVi0igRt7f6jdY=:4F4ygXPXpgOClYABQO+ArxoUbLq6TolX+KS5+kc1TUc=",
            ),
            (
                "\u{627}\u{1}",
                "SCRAM-SHA-256$4096:LhC/bXNdwLMGMjt2wgzu/Q==$liyEcpFxHXJTfLOwrBE4c8KZlHr+zOJ6VSPE8TtKEYU=:xiqvVtSS7O1tPGNRsP9FaRnrxDUp3TU0cpaAHi60+zM=",
            ),
            (
                "\u{ad}",
                "SCRAM-SHA-256$4096:nmEX+WB/v80igU/wlUHBLQ==$Ir661gCxVl66Mupn8MB4C3ynTRvtS4sAppzCFGyEOBI=:bsApDuOEYMdd5Uxr9GnoUdU0DVqXrHZq+bQ1LOrJf4w=",
            ),
            (
                "\u{627}\u{fefb}",
                "SCRAM-SHA-256$4096:SG4stj1p4PoTxkp7eEkx8Q==$V1B2JTcXLymLdlBmXreECSjSZBjkwidtpsSXHFT+LQE=:Z7qFdtpjSkbVmejbgBALg3wj68u4dUn9UriAl1dC1t4=",
            ),
            (
                "b\u{a0}\u{e4}",
                "SCRAM-SHA-256$4096:1XOiaAUvdoCIMnRTB7dqog==$fRXJtScClRuHTVQXmu8ZUsjq0ddy0AEz6ozMJAUESAA=:xWYyPwRD3AxTFktpBXh7D8s2j87P64TDhgHqZZDsE6w=",
            ),
            (
                "\u{1f600}",
                "SCRAM-SHA-256$4096:wQRBC83FdF0nlJtG//7AGA==$13BMw1sRSVqpmU19WEpHMyvSWfiR9Q6pDV9TB/kmixE=:3jPCC3bIJctSPzaxhyXlJwUeqrDbzoSsMCHAmdb1dV0=",
            ),
        ] {
            let verifier = super::super::Verifier::parse(verifier.as_bytes()).unwrap();
            assert!(verifier.accepts(&crate::Secret::from(password)), "{password:?}");
        }
    }
}
