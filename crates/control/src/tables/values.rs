//! `SHOW LISTS`, `SHOW STATE`, `SHOW VERSION` and `SHOW CONFIG`: names and values.

use config::{Config, keys::File, reference};
use serde_json::Value;

use crate::{
    table::{Cell, Column},
    view::View,
};

/// Something counted.
pub(crate) type Count = (&'static str, u64);

/// What there is how much of. PgBouncer's rows in its order (1.26.1, `src/admin.c`, `admin_show_lists`), then ours.
pub(crate) fn lists(view: &View) -> Vec<Count> {
    let (plan, registry) = (view.engine.plan(), view.engine.registry());
    let servers = view.engine.servers();
    let sum = |of: fn(&pool::Totals) -> u32| servers.iter().map(|server| u64::from(of(&server.pool.totals()))).sum();
    let (connected, logged_in) = (registry.len(), registry.entries().len());
    vec![
        ("databases", plan.table.databases().len() as u64),
        ("users", plan.table.users().len() as u64),
        ("peers", 0),
        ("pools", view.engine.lanes().len() as u64),
        ("peer_pools", 0),
        ("free_clients", plan.limits.total.saturating_sub(connected) as u64),
        ("used_clients", logged_in as u64),
        ("login_clients", connected.saturating_sub(logged_in) as u64),
        ("free_servers", sum(|totals| totals.idle)),
        ("used_servers", sum(|totals| totals.in_use)),
        ("dns_names", 0),
        ("dns_zones", 0),
        ("dns_queries", 0),
        ("dns_pending", 0),
        ("servers", servers.len() as u64),
        ("waiting_clients", sum(|totals| totals.waiting)),
    ]
}

/// Columns of `SHOW LISTS`.
pub(crate) const LISTS: &[Column<Count>] = &[
    Column::text("list", "What is counted.", |row| row.0.into()),
    Column::int4("items", "How many there are. free_clients: how many more may connect.", |row| row.1.into()),
];

/// A name and what it stands at.
pub(crate) type Standing = (&'static str, String);

/// PgBouncer's rows first.
pub(crate) fn state(view: &View) -> Vec<Standing> {
    let servers = view.engine.servers();
    let paused: Vec<_> =
        servers.iter().filter(|server| server.pool.totals().paused).map(|server| &*server.server.name).collect();
    let yes = |yes: bool| String::from(if yes { "yes" } else { "no" });
    let all_paused = !servers.is_empty() && paused.len() == servers.len();
    vec![
        ("active", yes(!all_paused)),
        ("paused", yes(all_paused)),
        ("paused_servers", paused.join(", ")),
        ("state", view.state().name().into()),
        ("ready", view.readiness().map_or_else(|why| why, |()| yes(true))),
        ("uptime_s", view.uptime().as_secs().to_string()),
    ]
}

/// Columns of `SHOW STATE`.
pub(crate) const STATE: &[Column<Standing>] = &[
    Column::text("key", "active, paused (every server is), paused_servers, state, ready, uptime_s.", |row| {
        row.0.into()
    }),
    Column::text("value", "yes, no, or what it stands at.", |row| row.1.as_str().into()),
];

/// Columns of `SHOW VERSION`.
pub(crate) const VERSION: &[Column<&'static str>] =
    &[Column::text("version", "Evenkeel and its version.", |version| format!("Evenkeel {version}").into())];

/// One key of the configuration in force.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Setting {
    key: String,
    value: Option<String>,
    default: Option<String>,
    restart: bool,
    /// Whether it was changed since the file was read.
    amended: bool,
}

/// The names of PgBouncer that our keys also appear under, for tools that look for these.
const PGBOUNCER_NAMES: [&str; 5] =
    ["max_client_conn", "pool_mode", "server_lifetime", "server_idle_timeout", "query_wait_timeout"];

/// Keys of ours under PgBouncer's names: (ours, theirs).
pub(crate) fn pgbouncer_keys() -> impl Iterator<Item = (&'static str, &'static str)> {
    PGBOUNCER_NAMES.into_iter().filter_map(|theirs| Some((config::pgbouncer::key_of(theirs)?, theirs)))
}

/// Every key, with its section: `pool.mode`, `servers.pg-a.budget`. The configuration has no secrets in it.
pub(crate) fn config(view: &View) -> Vec<Setting> {
    settings(&view.config())
}

fn settings(config: &Config) -> Vec<Setting> {
    let schema = reference::schema();
    let (Ok(Value::Object(now)), Ok(defaults)) =
        (serde_json::to_value(config.keys()), serde_json::to_value(File::default()))
    else {
        return Vec::new();
    };
    let mut settings = Vec::new();
    for (section, value) in &now {
        match value {
            Value::Array(entries) => {
                for (place, entry) in entries.iter().enumerate() {
                    let name = entry.get("name").and_then(Value::as_str).map_or_else(|| place.to_string(), Into::into);
                    flatten(&format!("{section}.{name}"), entry, None, &mut settings);
                }
            }
            value => {
                let first = settings.len();
                flatten(section, value, defaults.get(section), &mut settings);
                for setting in settings.iter_mut().skip(first) {
                    let key = setting.key.split_once('.').map_or("", |(_, key)| key);
                    setting.restart = reference::needs_restart(&schema, section, key);
                }
            }
        }
    }
    for setting in &mut settings {
        setting.amended = config.is_amended(&setting.key);
    }
    for (ours, theirs) in pgbouncer_keys() {
        if let Some(setting) = settings.iter().find(|setting| setting.key == ours) {
            settings.push(Setting { key: theirs.into(), ..setting.clone() });
        }
    }
    settings
}

/// Appends the keys of a table, inner tables included.
fn flatten(prefix: &str, table: &Value, defaults: Option<&Value>, settings: &mut Vec<Setting>) {
    for (name, value) in table.as_object().into_iter().flatten() {
        let (key, default) = (format!("{prefix}.{name}"), defaults.and_then(|defaults| defaults.get(name)));
        if value.is_object() {
            flatten(&key, value, default, settings);
        } else {
            let default = default.and_then(text);
            settings.push(Setting { key, value: text(value), default, ..Setting::default() });
        }
    }
}

/// A value as the file has it; texts without their quotes.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

/// PgBouncer's columns in its order (1.26.1, `src/admin.c`, `show_one_param`).
pub(crate) const CONFIG: &[Column<Setting>] = &[
    Column::text(
        "key",
        "The key with its section, or the entry's name. Some appear under PgBouncer's names as well.",
        |s| s.key.as_str().into(),
    ),
    Column::text("value", "Its value.", |s| s.value.clone().into()),
    Column::text("default", "The value it has when it is not given; empty: none.", |s| s.default.clone().into()),
    Column::text("changeable", "yes: RELOAD applies a change; no: it needs a restart.", |s| {
        Cell::from(if s.restart { "no" } else { "yes" })
    }),
    Column::text("changed", "yes: by SET since the file was read, and the next RELOAD undoes it.", |s| {
        Cell::from(if s.amended { "yes" } else { "no" })
    }),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_have_values_defaults_and_no_secrets() {
        let config = config::Config::from_toml(
            r#"
            [limits]
            max_clients = 77
            [admin]
            users = ["root"]
            password = "xyzzy-admin"
            [[servers]]
            name = "pg-a"
            address = "127.0.0.1:5432"
            budget = 9
            [[databases]]
            name = "*"
            cluster = "pg-a"
            server_user = "owner"
            server_password = "xyzzy-database"
            [[users]]
            name = "app"
            password = "xyzzy-user"
            server_password = "xyzzy-server"
            "#,
            "test.toml",
        )
        .unwrap();
        let config = config.amended("pool.max_uses", config::Given::Word("5")).unwrap();
        let settings = settings(&config);
        let find = |key: &str| settings.iter().find(|setting| setting.key == key).unwrap();
        let limit = find("limits.max_clients");
        assert_eq!((limit.value.as_deref(), limit.default.as_deref()), (Some("77"), Some("10000")));
        assert_eq!(find("max_client_conn").value.as_deref(), Some("77"));
        assert!(find("listen.http").restart && !limit.restart);
        assert_eq!(find("servers.pg-a.budget").value.as_deref(), Some("9"));
        assert_eq!(find("pool.mode").value.as_deref(), Some("transaction"));
        for (ours, theirs) in pgbouncer_keys() {
            assert_eq!(find(ours).value, find(theirs).value);
        }
        assert_eq!(pgbouncer_keys().count(), PGBOUNCER_NAMES.len(), "each is a key here");
        let changed: Vec<_> = settings.iter().filter(|setting| setting.amended).map(|setting| &*setting.key).collect();
        assert_eq!(changed, ["pool.max_uses"]);
        assert!(!format!("{settings:?}").contains("xyzzy"));
    }
}
