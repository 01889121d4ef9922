//! What PgBouncer's settings are here. `docs/from-pgbouncer.md` says more about each of them.

/// What has the place of a setting here.
#[derive(Debug, Clone, Copy)]
enum Here {
    /// This key, which means the same.
    Key(&'static str),
    /// No single key: what is said of the setting.
    Words(&'static str),
}

use Here::{Key, Words};

/// Those that stand in most files. `user`, `host` and the like are left out: they are words of everybody.
const SETTINGS: [(&str, Here); 56] = [
    ("listen_addr", LISTEN),
    ("listen_port", LISTEN),
    ("unix_socket_dir", LISTEN),
    ("pool_mode", Key("pool.mode")),
    ("max_client_conn", Key("limits.max_clients")),
    ("default_pool_size", BUDGET),
    ("max_db_connections", BUDGET),
    ("pool_size", Words("is `cap` here, in a `[[routes]]` entry for the database or the user")),
    ("max_user_connections", Words("is `cap` here, in a `[[routes]]` entry for the user")),
    ("max_db_client_connections", Key("limits.max_clients_per_database")),
    ("max_user_client_connections", Key("limits.max_clients_per_user")),
    ("min_pool_size", Key("pool.min_idle")),
    ("reserve_pool_size", RESERVE),
    ("reserve_pool_timeout", RESERVE),
    ("server_round_robin", Words("is `reuse = \"least_recent\"` here, in `[pool]`")),
    ("server_lifetime", Key("pool.max_lifetime")),
    ("server_idle_timeout", Key("pool.idle_timeout")),
    ("server_connect_timeout", Key("pool.connect_timeout")),
    ("server_login_retry", Words("is not needed here: logins are tried again by themselves")),
    ("server_check_query", Key("pool.validation_query")),
    ("server_check_delay", Key("pool.test_on_checkout")),
    ("server_reset_query", RESET),
    ("server_reset_query_always", RESET),
    ("connect_query", Key("pool.init_sql")),
    ("track_extra_parameters", FOLLOWS),
    ("ignore_startup_parameters", FOLLOWS),
    ("max_prepared_statements", Key("prepared.max_per_server")),
    ("query_timeout", Key("timeouts.query")),
    ("transaction_timeout", Key("timeouts.transaction")),
    ("idle_transaction_timeout", Key("timeouts.idle_in_transaction")),
    ("client_idle_timeout", Key("timeouts.client_idle")),
    ("client_login_timeout", Key("timeouts.login")),
    ("query_wait_timeout", Key("pool.checkout_timeout")),
    ("auth_type", Key("listen.auth")),
    ("auth_file", Words("is `[[users]]` here, one entry for each of its lines")),
    ("auth_user", NO_QUERY),
    ("auth_query", NO_QUERY),
    ("auth_dbname", NO_QUERY),
    ("auth_hba_file", Words("does not exist here yet")),
    ("auth_ident_file", Words("does not exist here yet")),
    ("admin_users", Key("admin.users")),
    ("stats_users", Key("admin.stats_users")),
    ("client_tls_sslmode", Key("tls.mode")),
    ("client_tls_cert_file", Key("tls.certificate")),
    ("client_tls_key_file", Key("tls.key")),
    ("client_tls_ca_file", Key("tls.client_ca")),
    ("server_tls_sslmode", Key("servers.tls")),
    ("server_tls_ca_file", Key("servers.tls_ca")),
    ("server_tls_cert_file", Key("servers.tls_certificate")),
    ("server_tls_key_file", Key("servers.tls_key")),
    ("dbname", Key("databases.server_database")),
    ("log_connections", Key("log.level")),
    ("log_disconnections", Key("log.level")),
    ("logfile", Words("is not needed here: the log goes to standard error")),
    ("pkt_buf", Key("runtime.relay_buffer")),
    ("max_packet_size", Key("limits.max_message_size")),
];

const LISTEN: Here = Words("is a part of `postgres = [\"0.0.0.0:6432\", \"/var/run/evenkeel\"]` here, in `[listen]`");
const BUDGET: Here = Words("is `budget` here, in `[[servers]]`; `pool.max` limits each route");
const RESERVE: Here = Words("is not needed here: `[[routes]]` has `guarantee` and `weight`");
const RESET: Here = Words("is not needed here: what a session changed follows its client, or is reset");
const FOLLOWS: Here = Words("is not needed here: every setting follows its client");
const NO_QUERY: Here = Words("does not exist here yet: users are listed in `[[users]]`");

/// Our key that means the same as a setting of PgBouncer.
#[must_use]
pub fn key_of(setting: &str) -> Option<&'static str> {
    match find(setting)? {
        Key(key) => Some(key),
        Words(_) => None,
    }
}

/// What a setting of PgBouncer is here, in a sentence.
pub(crate) fn explain(setting: &str) -> Option<String> {
    Some(match find(setting)? {
        Key(key) => format!("PgBouncer's `{setting}` is `{key}` here"),
        Words(words) => format!("PgBouncer's `{setting}` {words}"),
    })
}

fn find(setting: &str) -> Option<Here> {
    SETTINGS.iter().find(|(theirs, _)| *theirs == setting).map(|(_, here)| *here)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference;

    #[test]
    fn every_key_exists_and_every_setting_stands_there_once() {
        let schema = reference::schema();
        for (at, (theirs, here)) in SETTINGS.iter().enumerate() {
            assert!(SETTINGS[..at].iter().all(|(other, _)| other != theirs), "{theirs}");
            if let Key(ours) = here {
                let (section, key) = ours.split_once('.').unwrap();
                assert!(reference::has_key(&schema, section, key), "{theirs}: {ours}");
            }
        }
    }

    #[test]
    fn every_setting_stands_on_the_page() {
        let page = include_str!("../../../docs/from-pgbouncer.md");
        for (theirs, _) in SETTINGS {
            // The page lists files of certificates by their ends alone.
            let end = theirs.strip_prefix("client_tls").or_else(|| theirs.strip_prefix("server_tls")).unwrap_or(theirs);
            assert!(page.contains(&format!("{end}`")), "{theirs}");
        }
    }
}
