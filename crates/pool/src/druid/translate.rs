//! What each property means here.
//!
//! Source of what they mean there: Druid 1.2 itself (`DruidDataSource.java`, `DruidAbstractDataSource.java`), which differs from
//! what many of the names say.

use std::time::Duration;

use super::effect::Effect;
use super::parameters::Link;
use super::setting::{Place, Setting, Value};
use super::url::{self, JdbcUrl};
use super::{Bean, Note, Outcome};

/// Properties without a meaning here, and why.
const WITHOUT_MEANING: [(&str, &str); 38] = [
    ("maxIdle", "Druid ignores it too; `idle_timeout` says when idle connections go"),
    ("name", "servers and databases have names of their own"),
    ("useUnfairLock", "waiters are always served in order of arrival"),
    ("asyncInit", "connections are always opened in the background"),
    ("initExceptionThrow", "a server that is away at the start is tried again; `evenkeel check` finds it before"),
    ("breakAfterAcquireFailure", CONNECT_ERRORS),
    ("connectionErrorRetryAttempts", CONNECT_ERRORS),
    ("timeBetweenConnectErrorMillis", CONNECT_ERRORS),
    ("failFast", CONNECT_ERRORS),
    ("notFullTimeoutRetryCount", CONNECT_ERRORS),
    ("onFatalErrorMaxActive", CONNECT_ERRORS),
    ("createScheduler", "connects need no threads"),
    ("destroyScheduler", "closes need no threads"),
    ("asyncCloseConnectionEnable", "connections are always closed in the background"),
    ("logAbandoned", "a leak is always logged, with the place of the checkout"),
    ("poolPreparedStatements", STATEMENTS),
    ("maxPoolPreparedStatementPerConnectionSize", STATEMENTS),
    ("maxOpenPreparedStatements", STATEMENTS),
    ("sharePreparedStatements", STATEMENTS),
    ("defaultAutoCommit", SESSION),
    ("defaultReadOnly", SESSION),
    ("defaultTransactionIsolation", SESSION),
    ("defaultCatalog", SESSION),
    ("queryTimeout", QUERIES),
    ("transactionQueryTimeout", QUERIES),
    ("transactionThresholdMillis", "long transactions show on the console; `timeouts.transaction` ends them"),
    ("exceptionSorter", "a connection that breaks is known by its socket and its protocol"),
    ("exceptionSorterClassName", "a connection that breaks is known by its socket and its protocol"),
    ("validConnectionChecker", "the protocol's own ping, or `validation_query`"),
    ("validConnectionCheckerClassName", "the protocol's own ping, or `validation_query`"),
    ("filters", FILTERS),
    ("proxyFilters", FILTERS),
    ("connectionProperties", FILTERS),
    ("connectProperties", FILTERS),
    ("timeBetweenLogStatsMillis", "statistics are on the console and at /metrics, at all times"),
    ("useGlobalDataSourceStat", "statistics are on the console and at /metrics, at all times"),
    ("accessToUnderlyingConnectionAllowed", "there is nothing in between to reach through"),
    ("socketTimeout", QUERIES),
];

const CONNECT_ERRORS: &str = "failed connects are tried again with a growing pause, and waiters keep their deadline";
const STATEMENTS: &str = "prepared statements follow their client by themselves; see `[prepared]`";
const SESSION: &str = "it is state of the session, which the driver sets and which follows its client";
pub(super) const QUERIES: &str = "the limit of a query is not the pool's: `timeouts.query`, or the driver's own";
const FILTERS: &str = "filters work inside the application's driver";

/// Properties that are translated, in the order in which Druid's documentation has them.
const TRANSLATED: [&str; 30] = [
    "driverClassName",
    "dbType",
    "url",
    "username",
    "password",
    "passwordCallback",
    "maxActive",
    "initialSize",
    "minIdle",
    "maxWait",
    "maxWaitThreadCount",
    "timeBetweenEvictionRunsMillis",
    "minEvictableIdleTimeMillis",
    "maxEvictableIdleTimeMillis",
    "validationQuery",
    "validationQueryTimeout",
    "usePingMethod",
    "testWhileIdle",
    "testOnBorrow",
    "testOnReturn",
    "phyTimeoutMillis",
    "phyMaxUseCount",
    "keepAlive",
    "keepAliveBetweenTimeMillis",
    "removeAbandoned",
    "removeAbandonedTimeout",
    "removeAbandonedTimeoutMillis",
    "connectionInitSqls",
    "connectTimeout",
    "maxCreateTaskCount",
];

/// Druid's own value of `timeBetweenEvictionRunsMillis`.
const EVICTION_RUNS_MILLIS: u32 = 60_000;

/// Druid's own value of `keepAliveBetweenTimeMillis`.
const KEEP_ALIVE_MILLIS: u32 = 120_000;

/// Druid's own value of `maxActive`.
const MAX_ACTIVE: u32 = 8;

/// Whether a name says by itself that it is Druid's, or of a data source at least.
pub(super) fn is_telling(name: &str) -> bool {
    TRANSLATED.contains(&name)
}

pub(super) fn known() -> impl Iterator<Item = &'static str> {
    let ignored = WITHOUT_MEANING.iter().map(|(name, _)| *name);
    TRANSLATED.into_iter().chain(ignored)
}

/// What became of each property, given or not.
pub(super) fn notes(bean: &Bean) -> Vec<Note> {
    let mut notes = Vec::new();
    let link = Link::of(bean);
    for (name, value) in &bean.properties {
        let Effect { outcome, settings, why } = effect(bean, name, value.trim());
        notes.push(Note { property: name.clone(), given: shown(name, value), outcome, settings, why });
        notes.extend(link.notes(name, value));
    }
    notes.extend(not_given(bean));
    notes
}

/// A value that may be shown.
pub(super) fn shown(name: &str, value: &str) -> Option<String> {
    let secret = name.to_ascii_lowercase().contains("password");
    // Parameters of a URL have notes of their own, and may be secrets.
    let open = value.split('?').next().filter(|_| name == "url").unwrap_or(value);
    (!secret).then(|| open.to_owned())
}

fn effect(bean: &Bean, name: &str, value: &str) -> Effect {
    match name {
        "driverClassName" | "dbType" => driver(value),
        "url" => url(value),
        "username" => Effect::mapped(vec![user(value)], "who logs in here logs in to the server as the same user"),
        "password" => {
            Effect::ignored("secrets are not copied (Druid's may be encrypted): `password_env` names where it is")
        }
        "passwordCallback" => Effect::ignored("a password comes from the file, the environment or another file"),
        "maxActive" | "initialSize" | "minIdle" | "maxWaitThreadCount" | "phyMaxUseCount" | "maxCreateTaskCount" => {
            number(value).map_or_else(|| Effect::unreadable("a number"), |number| counts(name, number))
        }
        "testWhileIdle" | "testOnBorrow" | "testOnReturn" | "keepAlive" | "removeAbandoned" | "usePingMethod" => {
            match value {
                "true" => switches(bean, name, true),
                "false" => switches(bean, name, false),
                _ => Effect::unreadable("true or false"),
            }
        }
        "validationQuery" => validation_query(bean, value),
        "connectionInitSqls" => Effect::pool("init_sql", Value::Text(value.into()), ""),
        _ if TRANSLATED.contains(&name) => {
            number(value).map_or_else(|| Effect::unreadable("a number"), |number| times(bean, name, number))
        }
        _ => match WITHOUT_MEANING.iter().find(|(known, _)| *known == name) {
            Some((_, why)) => Effect::ignored(*why),
            None => Effect::ignored(match words::nearest(name, known()) {
                Some(near) => format!("no property of Druid that is known here; `{near}` is"),
                None => "no property of Druid that is known here".into(),
            }),
        },
    }
}

fn counts(name: &str, number: i64) -> Effect {
    // Druid takes what is not above zero for none at all.
    let count = u32::try_from(number).ok().filter(|count| *count > 0);
    match (name, count) {
        ("maxActive", Some(count)) => Effect::mapped(
            vec![budget(count), Setting::pool("max", Value::Count(count))],
            "each instance of the application had so many; the budget is for all of them together",
        ),
        ("maxActive", None) => Effect::unreadable("a number above zero"),
        ("initialSize", count) => Effect::pool("initial", Value::Count(count.unwrap_or(0)), ""),
        ("minIdle", count) => Effect::pool(
            "min_idle",
            Value::Count(count.unwrap_or(0)),
            "here it is a floor that is filled up; Druid only spares so many when it evicts, unless keepAlive is on",
        ),
        ("maxWaitThreadCount", Some(count)) => Effect::pool("max_waiters", Value::Count(count), ""),
        ("maxWaitThreadCount", None) => Effect::holds("without a limit there; here a limit always holds"),
        ("phyMaxUseCount", Some(count)) => {
            Effect::pool("max_uses", Value::Count(count), "it counts checkouts, there as here, and not statements")
        }
        ("phyMaxUseCount", None) => Effect::holds("off in both"),
        (_, Some(count)) => Effect::pool("connect_concurrency", Value::Count(count), ""),
        (_, None) => Effect::holds("connects have a limit of their own"),
    }
}

fn switches(bean: &Bean, name: &str, on: bool) -> Effect {
    let tests_on_borrow = bean.get("testOnBorrow").is_some_and(|value| value.trim() == "true");
    match (name, on) {
        ("testOnBorrow", true) => {
            Effect::pool("test_on_checkout", Value::TestAfter(Some(Duration::ZERO)), "a round trip for every checkout")
        }
        ("testOnBorrow", false) => Effect::holds("`test_on_checkout` follows from testWhileIdle"),
        ("testWhileIdle", _) if tests_on_borrow => Effect::holds("Druid looks at it only when testOnBorrow is off"),
        ("testWhileIdle", true) => Effect::pool(
            "test_on_checkout",
            Value::TestAfter(Some(eviction_runs(bean))),
            "Druid tests no idle connection: it tests on checkout what was idle for timeBetweenEvictionRunsMillis",
        ),
        ("testWhileIdle", false) => Effect::pool("test_on_checkout", Value::TestAfter(None), ""),
        ("testOnReturn", _) => Effect::pool("test_on_return", Value::Switch(on), ""),
        ("keepAlive", true) => {
            let after = positive(bean, "keepAliveBetweenTimeMillis").unwrap_or_else(|| millis(KEEP_ALIVE_MILLIS));
            let why = "an idle connection is tested whenever it was silent for keepAliveBetweenTimeMillis";
            Effect::pool("test_while_idle", Value::Timeout(Some(after)), why)
        }
        ("keepAlive", false) => Effect::pool("test_while_idle", Value::Timeout(None), ""),
        ("removeAbandoned", true) => {
            let seconds = positive(bean, "removeAbandonedTimeout").map(|time| time * 1_000);
            let seconds = seconds.filter(|time| *time <= Duration::from_millis(MILLIS_MAX));
            let after = positive(bean, "removeAbandonedTimeoutMillis").or(seconds);
            let why = "a lease held for too long is reported, not cut off under its holder's hands";
            let after = after.unwrap_or(Duration::from_secs(300));
            Effect::pool("leak_timeout", Value::Timeout(Some(after)), why)
        }
        ("removeAbandoned", false) => Effect::holds("off in both"),
        // usePingMethod
        (_, true) => Effect::holds("the protocol's ping is the test anyway, unless there is a validation_query"),
        (_, false) => Effect::holds("validationQuery is sent"),
    }
}

fn times(bean: &Bean, name: &str, number: i64) -> Effect {
    let seconds = name == "validationQueryTimeout" || name == "removeAbandonedTimeout";
    let unit = if seconds { 1_000 } else { 1 };
    let time = u64::try_from(number).ok().filter(|number| *number > 0).map(|number| number.saturating_mul(unit));
    if time.is_some_and(|time| time > MILLIS_MAX) {
        return Effect::unreadable("a duration of at most 366 days");
    }
    let time = time.map(Duration::from_millis);
    match (name, time) {
        ("maxWait", Some(time)) => Effect::pool("checkout_timeout", Value::Period(time), ""),
        ("maxWait", None) => Effect::holds("Druid waits forever; here every wait has a deadline, `checkout_timeout`"),
        ("timeBetweenEvictionRunsMillis", Some(time)) => Effect::pool(
            "maintenance_interval",
            Value::Period(time),
            "connections are closed in time whatever it is; with testWhileIdle it is also what `test_on_checkout` says",
        ),
        ("minEvictableIdleTimeMillis", Some(time)) => Effect::pool("idle_timeout", Value::Timeout(Some(time)), ""),
        ("maxEvictableIdleTimeMillis", Some(time)) => Effect::pool("max_idle_timeout", Value::Timeout(Some(time)), ""),
        ("validationQueryTimeout", Some(time)) => Effect::pool("validate_timeout", Value::Period(time), ""),
        ("phyTimeoutMillis", Some(time)) => Effect::pool(
            "max_lifetime",
            Value::Timeout(Some(time)),
            "up to a tenth is taken off at random (`lifetime_jitter`), so that connections opened together do not go together",
        ),
        ("phyTimeoutMillis", None) => Effect::pool("max_lifetime", Value::Timeout(None), ""),
        ("connectTimeout", Some(time)) => Effect::pool("connect_timeout", Value::Period(time), ""),
        ("keepAliveBetweenTimeMillis", _) if bean.get("keepAlive").is_some_and(|value| value.trim() == "true") => {
            Effect::holds("it is the value of `test_while_idle`, which keepAlive sets")
        }
        ("keepAliveBetweenTimeMillis", _) => Effect::ignored("Druid looks at it only when keepAlive is on"),
        ("removeAbandonedTimeout" | "removeAbandonedTimeoutMillis", _) => {
            if bean.get("removeAbandoned").is_some_and(|value| value.trim() == "true") {
                Effect::holds("it is the value of `leak_timeout`, which removeAbandoned sets")
            } else {
                Effect::ignored("Druid looks at it only when removeAbandoned is on")
            }
        }
        _ => Effect::holds("not above zero, so the default holds"),
    }
}

fn driver(value: &str) -> Effect {
    let class = value.to_ascii_lowercase();
    let protocol = match () {
        () if class.contains("mysql") || class.contains("mariadb") => "mysql",
        () if class.contains("postgresql") => "postgres",
        () => return Effect::ignored("PostgreSQL, MySQL and MariaDB are what can stand behind"),
    };
    Effect::mapped(vec![server("protocol", protocol)], "")
}

fn url(value: &str) -> Effect {
    let Some(url) = url::read(value) else {
        return Effect::unreadable(
            "a URL such as jdbc:mysql://host:3306/database or jdbc:postgresql://host:5432/database",
        );
    };
    let JdbcUrl { driver, host, port, port_is_given, database, has_more_hosts, .. } = url;
    let mut settings = vec![server("protocol", driver.protocol()), server("address", &format!("{host}:{port}"))];
    let database =
        database.map(|name| Setting { place: Place::Database, key: "name", value: Value::Text(name.into()) });
    settings.extend(database);
    let why = match (port_is_given, has_more_hosts) {
        (false, _) => "the port is no number, so the usual one stands there",
        (true, true) => "the first host; each of the others is a server of its own",
        (true, false) => "",
    };
    Effect::mapped(settings, why)
}

fn validation_query(bean: &Bean, value: &str) -> Effect {
    let named = |name, mark| bean.get(name).is_some_and(|value: &str| value.to_ascii_lowercase().contains(mark));
    let is = |mark| named("url", mark) || named("driverClassName", mark) || named("dbType", mark);
    let pings = (is("mysql") || is("mariadb")) && bean.get("usePingMethod").is_none_or(|value| value.trim() != "false");
    match pings {
        _ if value.is_empty() => Effect::holds("the protocol's ping is the test"),
        true => Effect::holds(
            "Druid does not send it on MySQL but pings (usePingMethod); here the protocol's ping is the default",
        ),
        false => {
            Effect::pool("validation_query", Value::Text(value.into()), "without it the protocol's ping is the test")
        }
    }
}

/// What Druid does where nothing is said, where that is not what happens here.
fn not_given(bean: &Bean) -> Vec<Note> {
    let default = |property: &str, settings: Vec<Setting>, why: &str| Note {
        property: property.into(),
        given: None,
        outcome: Outcome::Default,
        settings,
        why: why.into(),
    };
    let maxima = vec![budget(MAX_ACTIVE), Setting::pool("max", Value::Count(MAX_ACTIVE))];
    let all = [
        default("maxActive", maxima, "Druid's own value"),
        default("maxWait", Vec::new(), "Druid waits forever; here every wait has a deadline, `checkout_timeout`"),
        default("minEvictableIdleTimeMillis", Vec::new(), "30 minutes in Druid; here `idle_timeout`"),
        default("maxEvictableIdleTimeMillis", Vec::new(), "7 hours in Druid; here `max_idle_timeout`, off by default"),
        default("testWhileIdle", Vec::new(), "on in Druid; here `test_on_checkout` holds, which does the same"),
        default(
            "keepAlive",
            Vec::new(),
            "off in Druid; here `test_while_idle` tests idle connections, and `min_idle` is kept",
        ),
        default("phyTimeoutMillis", Vec::new(), "never in Druid; here `max_lifetime` has a default, and jitter"),
    ];
    all.into_iter().filter(|note| bean.get(&note.property).is_none()).collect()
}

fn budget(count: u32) -> Setting {
    Setting { place: Place::Server, key: "budget", value: Value::Count(count) }
}

fn server(key: &'static str, text: &str) -> Setting {
    Setting { place: Place::Server, key, value: Value::Text(text.into()) }
}

fn user(name: &str) -> Setting {
    Setting { place: Place::User, key: "name", value: Value::Text(name.into()) }
}

/// The longest duration that a configuration takes: a year, in milliseconds.
pub(super) const MILLIS_MAX: u64 = 366 * 86_400_000;

pub(super) fn number(value: &str) -> Option<i64> {
    value.parse().ok()
}

fn millis(number: u32) -> Duration {
    Duration::from_millis(number.into())
}

/// A property in milliseconds, if it is given, above zero and no slip.
fn positive(bean: &Bean, name: &str) -> Option<Duration> {
    let number = bean.get(name)?.trim().parse().ok()?;
    (1..=MILLIS_MAX).contains(&number).then(|| Duration::from_millis(number))
}

fn eviction_runs(bean: &Bean) -> Duration {
    positive(bean, "timeBetweenEvictionRunsMillis").unwrap_or_else(|| millis(EVICTION_RUNS_MILLIS))
}
