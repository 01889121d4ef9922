//! The application's own pool, in front of Evenkeel, in the format of its library.
//!
//! Its connections lead to Evenkeel, where an idle one costs next to nothing. So the usual rule holds without its price: 1.5
//! to 2 times what is needed, for bursts of the response time.

use std::{fmt::Write, time::Duration};

use anyhow::{Context, Result};
use clap::ValueEnum;
use sizing::{Binding, Needs, count, real};

use super::{
    fragment::CHECKOUT_TIMEOUT,
    text::{section, table},
};

/// Which library's format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// Alibaba Druid, as Spring XML.
    Druid,
    /// HikariCP, as properties.
    Hikaricp,
    /// Go's database/sql, as calls.
    Go,
    /// Rust's sqlx, as PoolOptions.
    Sqlx,
}

/// What the application speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Protocol {
    /// PostgreSQL.
    Postgres,
    /// MySQL or MariaDB.
    Mysql,
}

impl Protocol {
    pub(super) fn of_url(url: &str) -> Option<Self> {
        Self::named(url.split_once(':')?.0)
    }

    /// As a URL or a node calls it.
    pub(super) fn named(name: &str) -> Option<Self> {
        match name {
            "postgres" | "postgresql" => Some(Self::Postgres),
            "mysql" | "mariadb" => Some(Self::Mysql),
            _ => None,
        }
    }

    /// What a server keeps for administrators unless told otherwise: PostgreSQL's `superuser_reserved_connections`. MySQL's
    /// one is beyond its limit.
    pub(super) const fn reserve(self) -> u32 {
        match self {
            Self::Postgres => 3,
            Self::Mysql => 0,
        }
    }
}

/// An application with pools of its own.
pub(super) struct Application {
    pub(super) format: Format,
    /// Processes, each with a pool.
    pub(super) processes: u32,
    pub(super) protocol: Protocol,
}

/// One pool of the application.
struct Pool {
    /// The most connections; as many threads may use it at once.
    max: u32,
    /// Connections that are kept ready: those busy on average.
    min: u32,
    protocol: Protocol,
}

/// After this long a connection is replaced, so that connections spread again over balanced servers; the page that we follow
/// has it so (phyTimeoutMillis).
const LIFETIME: Duration = Duration::from_secs(600);

/// After so many uses, too (phyMaxUseCount).
const USES: u32 = 10_000;

/// After this long an idle connection beyond those kept ready is closed (minEvictableIdleTimeMillis).
const IDLE: Duration = Duration::from_secs(300);

/// The headroom where none is asked for: the least of the usual rule.
const HEADROOM: f64 = 1.5;

/// How large the pools of the application are, beside those behind them, and what to paste.
///
/// # Errors
/// The load is too little or too much to be spread over so many processes.
pub(super) fn pasted(application: &Application, needs: &Needs) -> Result<String> {
    let Application { format, processes, protocol } = *application;
    let headroom = Some(needs.headroom.unwrap_or(HEADROOM));
    let own = Needs { headroom, instances: processes, ..Needs::new(needs.work, needs.target) };
    let advice = own.advise().context("--apps")?;
    let behind = needs.advise()?;
    let min = (needs.work.busy() / f64::from(processes)).ceil().max(1.0) as u32;
    let pool = Pool { max: advice.budget, min: min.min(advice.budget), protocol };
    let mut text = layers(processes, pool.max, needs, behind.budget);
    text += &section(
        "The application's pool",
        &format!(
            "{} connections, and as many threads that use them; {}\n{}",
            count(pool.max.into()),
            match advice.binding {
                Binding::WaitTarget => format!("{}: one small pool shares little", advice.reason(&own)),
                _ => format!("2 times the ideal number would be {}", count(advice.useful.into())),
            },
            recycling(&pool, processes, needs)?
        ),
    );
    text += &section(&format!("To paste, for {}", format.name()), &format.fragment(&pool));
    Ok(text)
}

/// Each layer: how many pools, how large, and what they lead to.
fn layers(processes: u32, max: u32, needs: &Needs, budget: u32) -> String {
    let all = |pools: u32, each: u32| count(u64::from(pools) * u64::from(each));
    let servers = if needs.servers == 1 { "the server".to_owned() } else { format!("{} servers", needs.servers) };
    let pools = needs.instances.saturating_mul(needs.servers);
    let (lets_in, usable) = match needs.limit {
        Some(limit) => {
            (count(limit.max_connections.into()), format!("{} for pools", count(limit.usable().value.into())))
        }
        None => ("?".into(), "--limit tells".into()),
    };
    let rows = [
        [
            "application".into(),
            count(processes.into()),
            count(max.into()),
            format!("{} to Evenkeel", all(processes, max)),
        ],
        ["Evenkeel".into(), count(pools.into()), count(budget.into()), format!("{} to {servers}", all(pools, budget))],
        ["server".into(), count(needs.servers.into()), lets_in, usable],
    ];
    let head = ["layer", "pools", "of", "connections in all"].map(str::to_owned);
    section("Layers", &table(1, &[&[head][..], &rows].concat()))
}

/// What replacing connections costs.
fn recycling(pool: &Pool, processes: u32, needs: &Needs) -> Result<String> {
    let connections = pool.max.saturating_mul(processes);
    let by_lifetime = sizing::connects_by_lifetime(connections, LIFETIME, 0.0)?.value;
    let by_uses = sizing::connects_by_uses(needs.work.queries_per_second(), USES).value;
    Ok(format!(
        "replacing each after {} minutes costs at most {} connects a second, after {} uses {}",
        LIFETIME.as_secs() / 60,
        real(by_lifetime),
        count(USES.into()),
        real(by_uses)
    ))
}

impl Format {
    fn name(self) -> &'static str {
        match self {
            Self::Druid => "Druid (Spring XML)",
            Self::Hikaricp => "HikariCP (properties)",
            Self::Go => "Go's database/sql",
            Self::Sqlx => "sqlx",
        }
    }

    /// The protocol that it is mostly used with, as its own documents have it.
    pub(super) fn usual(self) -> Protocol {
        match self {
            Self::Druid => Protocol::Mysql,
            Self::Hikaricp | Self::Go | Self::Sqlx => Protocol::Postgres,
        }
    }

    fn fragment(self, pool: &Pool) -> String {
        match self {
            Self::Druid => druid(pool),
            Self::Hikaricp => hikaricp(pool),
            Self::Go => go(pool),
            Self::Sqlx => sqlx(pool),
        }
    }
}

/// The keys in the order of PolarDB-X's page.
fn druid(pool: &Pool) -> String {
    let (driver, url) = match pool.protocol {
        Protocol::Mysql => (
            "com.mysql.cj.jdbc.Driver",
            "jdbc:mysql://evenkeel.example:6033/shop?rewriteBatchedStatements=true&amp;socketTimeout=30000&amp;connectTimeout=3000",
        ),
        Protocol::Postgres => (
            "org.postgresql.Driver",
            "jdbc:postgresql://evenkeel.example:6432/shop?socketTimeout=30&amp;connectTimeout=3",
        ),
    };
    let mut text = String::from(
        "<bean id=\"dataSource\" class=\"com.alibaba.druid.pool.DruidDataSource\" init-method=\"init\" destroy-method=\"close\">\n",
    );
    let ms = |time: Duration| time.as_millis().to_string();
    let properties: [(&str, String); 16] = [
        ("driverClassName", driver.into()),
        ("url", url.into()),
        ("username", "app".into()),
        ("password", "${db.password}".into()),
        ("maxActive", pool.max.to_string()),
        ("initialSize", pool.min.to_string()),
        ("minIdle", pool.min.to_string()),
        ("maxWait", ms(CHECKOUT_TIMEOUT)),
        ("timeBetweenEvictionRunsMillis", "60000".into()),
        ("minEvictableIdleTimeMillis", ms(IDLE)),
        ("validationQuery", "select 1".into()),
        ("testWhileIdle", "true".into()),
        ("testOnBorrow", "false".into()),
        ("testOnReturn", "false".into()),
        ("phyTimeoutMillis", ms(LIFETIME)),
        ("phyMaxUseCount", USES.to_string()),
    ];
    for (name, value) in properties {
        let _ = writeln!(text, "    <property name=\"{name}\" value=\"{value}\" />");
    }
    text + "</bean>\n"
}

/// HikariCP advises a fixed size, which is minimumIdle left out; behind it Evenkeel shrinks what matters. It knows no number
/// of uses.
fn hikaricp(pool: &Pool) -> String {
    let url = match pool.protocol {
        Protocol::Mysql => "jdbc:mysql://evenkeel.example:6033/shop?socketTimeout=30000&connectTimeout=3000",
        Protocol::Postgres => "jdbc:postgresql://evenkeel.example:6432/shop?socketTimeout=30&connectTimeout=3",
    };
    format!(
        "jdbcUrl={url}\nusername=app\npassword=${{db.password}}\nmaximumPoolSize={}\n# minimumIdle left out: a fixed size\n\
         connectionTimeout={}\nmaxLifetime={}\nkeepaliveTime=120000\n",
        pool.max,
        CHECKOUT_TIMEOUT.as_millis(),
        LIFETIME.as_millis()
    )
}

/// Without SetMaxIdleConns, Go keeps 2 idle connections and opens the others anew all the time. It has no time limit of its
/// own for waiting: that is the context's.
fn go(pool: &Pool) -> String {
    let open = match pool.protocol {
        Protocol::Mysql => "sql.Open(\"mysql\", \"app:…@tcp(evenkeel.example:6033)/shop?timeout=3s&readTimeout=30s\")",
        Protocol::Postgres => "sql.Open(\"pgx\", \"postgres://app:…@evenkeel.example:6432/shop?connect_timeout=3\")",
    };
    format!(
        "db, err := {open}\n// …\ndb.SetMaxOpenConns({max})\ndb.SetMaxIdleConns({max}) // not its default of 2\n\
         db.SetConnMaxLifetime({lifetime} * time.Minute)\ndb.SetConnMaxIdleTime({idle} * time.Minute)\n\
         // with each query: ctx, cancel := context.WithTimeout(ctx, {wait}*time.Second)\n",
        max = pool.max,
        lifetime = LIFETIME.as_secs() / 60,
        idle = IDLE.as_secs() / 60,
        wait = CHECKOUT_TIMEOUT.as_secs()
    )
}

fn sqlx(pool: &Pool) -> String {
    let (options, url) = match pool.protocol {
        Protocol::Mysql => ("sqlx::mysql::MySqlPoolOptions", "mysql://app:…@evenkeel.example:6033/shop"),
        Protocol::Postgres => ("sqlx::postgres::PgPoolOptions", "postgres://app:…@evenkeel.example:6432/shop"),
    };
    format!(
        "let pool = {options}::new()\n    .max_connections({})\n    .min_connections({})\n    \
         .acquire_timeout(Duration::from_secs({}))\n    .max_lifetime(Duration::from_secs({}))\n    \
         .idle_timeout(Duration::from_secs({}))\n    .connect(\"{url}\")\n    .await?;\n",
        pool.max,
        pool.min,
        CHECKOUT_TIMEOUT.as_secs(),
        LIFETIME.as_secs(),
        IDLE.as_secs()
    )
}

#[cfg(test)]
mod tests {
    use sizing::{ServerLimit, Target, Workload};

    use super::*;

    fn said(format: Format, processes: u32, protocol: Option<Protocol>) -> String {
        let work = Workload::new(5_000.0, Duration::from_millis(5)).unwrap();
        let target = Target::Percentile { percent: 99.0, wait: Duration::from_millis(1) };
        let limit = Some(ServerLimit { max_connections: 200, reserve: 3, others: 0 });
        let needs = Needs { instances: 3, limit, ..Needs::new(work, target) };
        let protocol = protocol.unwrap_or_else(|| format.usual());
        pasted(&Application { format, processes, protocol }, &needs).unwrap()
    }

    #[test]
    fn one_and_a_half_times_the_ideal_number_for_one_process() {
        // 25 × 1.5; the wait alone asks for 34.
        for (format, line) in [
            (Format::Druid, "<property name=\"maxActive\" value=\"38\" />"),
            (Format::Hikaricp, "maximumPoolSize=38"),
            (Format::Go, "db.SetMaxOpenConns(38)"),
            (Format::Sqlx, ".max_connections(38)"),
        ] {
            let text = said(format, 1, None);
            assert!(text.contains(line), "{text}");
            assert!(text.contains("2 times the ideal number would be 50\n"), "{text}");
        }
    }

    #[test]
    fn many_small_pools_need_more_together() {
        let text = said(Format::Druid, 10, None);
        // 2.5 busy in each: the wait of 1 ms asks for 7, as one small pool shares little.
        assert!(text.contains("name=\"maxActive\" value=\"7\""), "{text}");
        assert!(text.contains("name=\"minIdle\" value=\"3\""), "{text}");
        assert!(text.contains("70 to Evenkeel"), "{text}");
        assert!(text.contains("45 to the server"), "{text}");
        assert!(text.contains("200       197 for pools"), "{text}");
    }

    #[test]
    fn druids_bean_is_xml_with_the_keys_of_the_page() {
        for protocol in [Protocol::Mysql, Protocol::Postgres] {
            let text = said(Format::Druid, 1, Some(protocol));
            let bean = &text[text.find("<bean").unwrap()..];
            assert_eq!(bean.matches("<property ").count(), bean.matches(" />").count());
            assert_eq!(bean.matches('&').count(), bean.matches("&amp;").count());
            for key in
                ["phyTimeoutMillis\" value=\"600000", "phyMaxUseCount\" value=\"10000", "testWhileIdle\" value=\"true"]
            {
                assert!(bean.contains(key), "{key} is not in\n{bean}");
            }
        }
    }

    #[test]
    fn recycling_has_its_price() {
        // 38 connections over 600 s, and 5,000 statements a second over 10,000 uses.
        let text = said(Format::Go, 1, None);
        assert!(text.contains("at most 0.06333 connects a second, after 10,000 uses 0.5\n"), "{text}");
    }

    #[test]
    fn each_speaks_what_it_is_told() {
        for (format, protocol, part) in [
            (Format::Druid, None, "jdbc:mysql://"),
            (Format::Druid, Some(Protocol::Postgres), "jdbc:postgresql://"),
            (Format::Hikaricp, None, "jdbc:postgresql://"),
            (Format::Hikaricp, Some(Protocol::Mysql), "jdbc:mysql://"),
            (Format::Go, Some(Protocol::Mysql), "sql.Open(\"mysql\""),
            (Format::Sqlx, Some(Protocol::Mysql), "MySqlPoolOptions"),
        ] {
            let text = said(format, 1, protocol);
            assert!(text.contains(part), "{text}");
        }
    }
}
