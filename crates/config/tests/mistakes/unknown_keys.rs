//! Keys that do not exist, and where they may belong.

use crate::{before, hint, with_server};

#[test]
fn an_unknown_key_is_shown_with_the_nearest_known() {
    assert_eq!(
        before("[pool]\nmax_liftime = \"1h\""),
        r"e.toml:2:1: pool.max_liftime: unknown key `max_liftime`
  |
2 | max_liftime …
  | ^^^^^^^^^^^
  = did you mean `max_lifetime`?
"
    );
    assert_eq!(
        before("[limit]"),
        r"e.toml:1:2: limit: unknown key `limit`
  |
1 | [limit …
  |  ^^^^^
  = did you mean `limits`?
"
    );
    assert_eq!(
        before("[log]\ncolour = true"),
        r"e.toml:2:1: log.colour: unknown key `colour`
  |
2 | colour …
  | ^^^^^^
  = known are `level`, `format`
"
    );
}

#[test]
fn a_key_in_the_wrong_section_is_told_where_it_belongs() {
    for (section, said) in [
        ("[pool]\nbudget = 40", "`budget` belongs to `[[servers]]`"),
        ("budget = 40", "`budget` belongs to `[[servers]]`"),
        ("[pool]\nmax_clients = 9", "`max_clients` belongs to `[limits]`, `[[databases]]` and `[[users]]`"),
        (
            "[limits]\ncheckout_timeout = \"5s\"",
            "`checkout_timeout` belongs to `[pool]`, `[[databases]]`, `[[users]]` and `[[routes]]`",
        ),
        ("[[routes]]\nbudget = 40", "`budget` belongs to `[[servers]]`"),
        // The same word in this section is nearer than another section's key.
        ("[[routes]]\nusers = \"app\"", "did you mean `user`?"),
        ("[[databases]]\npassword = \"x\"", "did you mean `server_password`?"),
        ("[[user]]\nname = \"x\"", "did you mean `users`?"),
        ("[[class]]\nname = \"x\"", "did you mean `classes`?"),
    ] {
        assert_eq!(hint(section), said, "{section}");
    }
    assert!(with_server("certificate = \"x\"").contains("= did you mean `tls_certificate`?"));
    assert!(with_server("pool = { budget = 3 }").contains("= `budget` belongs to `[[servers]]`"));
}

#[test]
fn a_setting_of_pgbouncer_is_told_what_it_is_here() {
    for (section, said) in [
        ("[limits]\nmax_client_conn = 9", "PgBouncer's `max_client_conn` is `limits.max_clients` here"),
        (
            "[pool]\nquery_timeout = \"5s\"",
            "PgBouncer's `query_timeout` is `timeouts.query` here; `[[databases]]`, `[[users]]` and `[[routes]]` may have \
             a `query_timeout` of their own",
        ),
        (
            "[pool]\ndefault_pool_size = 9",
            "PgBouncer's `default_pool_size` is `budget` here, in `[[servers]]`; `pool.max` limits each route",
        ),
        ("[pool]\nserver_lifetime = 3600", "PgBouncer's `server_lifetime` is `pool.max_lifetime` here"),
        ("auth_file = \"u\"", "PgBouncer's `auth_file` is `[[users]]` here, one entry for each of its lines"),
        (
            "[pool]\nserver_reset_query = \"x\"",
            "PgBouncer's `server_reset_query` is not needed here: what a session changed follows its client, or is reset",
        ),
    ] {
        assert_eq!(hint(section), said, "{section}");
    }
}
