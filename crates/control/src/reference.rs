//! Documentation written from the tables and metrics themselves.

use std::fmt::Write as _;

use meter::ForeignKind;

use crate::{
    console::COMMANDS,
    http::PAGES,
    metrics::{
        CLASSES, Family, PROCESS, REJECTIONS, REJECTIONS_DRY_RUN, ROUTES, ROUTES_SHOWN_MAX, SERVERS, TAILS,
        TRANSACTIONS, Tail, Values,
    },
    tables::TOPICS,
};

/// Start of the console's page.
const CONSOLE_HEAD: &str = "\
# Admin console

Connect to the database `evenkeel` (or `pgbouncer`, for existing tools) as a user of `admin.users`, who may do everything,
or of `admin.stats_users`, who may `SHOW`:

```
psql -h 127.0.0.1 -p 6432 -U admin evenkeel -c 'show routes'
mysql -h 127.0.0.1 -P 6033 -u admin -p evenkeel -e 'show routes'
```

Both show and steer everything, whatever the servers behind speak. One statement at a time, as a text: with PostgreSQL's
protocol by simple queries, with MySQL's not prepared. Comments and a semicolon at the end are allowed, words are alike in
any case, names are not. A name with blanks or signs stands in double quotes or in backticks. Tables have PgBouncer's columns
first, under its names and types and in its order, then ours; an empty value is NULL. What drivers ask for or set when they
log in is answered: settings such as `client_encoding`, `datestyle` and `timezone`, with MySQL's protocol also `SET NAMES`,
system variables, `SELECT DATABASE()`, `SHOW VARIABLES`, `SHOW WARNINGS`, transactions and the like.

`SET` changes keys under the names that [`SHOW CONFIG`](#show-config) has: those of `pool`, `limits`, `timeouts`, `prepared`,
`transaction_limit`, `metrics` and `log`; a server's `budget` and what it has of `pool`; the `cap` of a declared class; what
databases, users and routes say of modes, time limits, clients and shares. What names, places or proves something, and what
needs a restart, is a matter of the file.

```
SET pool.checkout_timeout = '10s'            -- every server that does not say it itself
SET servers.pg-a.pool.max_lifetime = '30m'   -- one server
SET servers.pg-a.budget = 60
SET databases.shop.checkout_timeout = '2s'
SET routes.0.weight = 3                      -- by its place in the file, from 0
SET max_lifetime = '30m'                     -- a key of pool
SET query_wait_timeout = 10                  -- PgBouncer's name, in its seconds
```

It is read and checked as in the file, holds at once as after a reload, and is gone with the next `RELOAD` or restart, as the
answer says. Until then `SHOW CONFIG` has `yes` under `changed`. To keep it, write it into the file.

Errors have SQLSTATEs or MySQL's numbers: an unknown command `42601` or 1064, a command that only users of `admin.users` may
give `42501` or 1227, so too a login of somebody who is neither; a client that is not there `42704` or 1094, a database
`3D000` or 1049; for `SET` a key that there is not `42P02` or 1193, one that only the file changes `55P02` or 1238, a value
that is wrong `22023` or 1231; anything else over MySQL 1105. Where PostgreSQL's clients see a notice with details, MySQL's see its lines as
rows.

This page is written from the source of the tables (`crates/control/src/tables`): do not edit it.
";

/// Start of the metrics' page.
const METRICS_HEAD: &str = "\
# Metrics

`http://127.0.0.1:9632/metrics` (`listen.http`) serves them in Prometheus' text format. Durations are in seconds. The
buckets of histograms end at powers of two of a microsecond, from 64 µs to 67 s, and a histogram appears with its first
value.
";

/// The page on the admin console, in Markdown: each command, each table, each column.
#[must_use]
pub fn console_page() -> String {
    let mut page = String::from(CONSOLE_HEAD);
    page.push_str("\n## Commands\n\n| command | what it does |\n|---|---|\n");
    for command in COMMANDS {
        let words = format!("{} {}", command.words, command.operand);
        push(&mut page, format_args!("| `{}` | {} |\n", words.trim(), command.about));
    }
    for topic in TOPICS {
        push(&mut page, format_args!("\n## SHOW {}\n\n{}\n\n", topic.name, topic.about));
        page.push_str("| column | type | what it means |\n|---|---|---|\n");
        for heading in (topic.headings)() {
            push(&mut page, format_args!("| `{}` | {} | {} |\n", heading.name, heading.kind.name(), heading.about));
        }
    }
    page.push_str(
        "\n## HTTP\n\nThe same facts for programs (`listen.http`). It asks for no password and changes nothing.\n\n",
    );
    page.push_str("| page | what it shows |\n|---|---|\n");
    for (path, about) in PAGES {
        push(&mut page, format_args!("| `{path}` | {about} |\n"));
    }
    page
}

/// The page on metrics, in Markdown: each family.
#[must_use]
pub fn metrics_page() -> String {
    let mut page = String::from(METRICS_HEAD);
    push(
        &mut page,
        format_args!(
            "At most {ROUTES_SHOWN_MAX} routes are shown one by one, the first by server, database and user; the others \
             are added up,\nby server, under `database=\"other\",user=\"other\"`.\n\n\
             This page is written from the source of the metrics (`crates/control/src/metrics/families.rs`): do not \
             edit it.\n"
        ),
    );
    section(&mut page, "The program", "", PROCESS);
    section(&mut page, "Servers", "Label: `server`.\n\n", SERVERS);
    section(&mut page, "Transaction limits", "Label: `server`.\n\n", TRANSACTIONS);
    section(&mut page, "Classes", "Labels: `server`, `class`.\n\n", CLASSES);
    section(
        &mut page,
        "Routes",
        "Labels: `server`, `database`, `user`, as clients name them. A route for MySQL clients with `CLIENT_FOUND_ROWS` has the \
         label\n`flavour` (`found_rows`, `attributes`) as well.\n\n",
        ROUTES,
    );
    vttablet(&mut page);
    page
}

/// What existing dashboards of VTTablet find.
fn vttablet(page: &mut String) {
    page.push_str(
        "\n## VTTablet's names\n\nWith `metrics.vttablet_names` classes are shown under these names as well: `vttablet_`, the \
         class's `metric` (of the preset:\n`transaction_pool`, `conn_pool` and so on) and one of these. Labels: `server`, \
         `class`.\n\n| metric | type | what it tells |\n|---|---|---|\n",
    );
    for Tail { name, about, kind, .. } in TAILS {
        let kind = match kind {
            ForeignKind::Counter => "counter",
            ForeignKind::Gauge => "gauge",
        };
        push(page, format_args!("| `vttablet_…_{name}` | {kind} | {about} |\n"));
    }
    push(
        page,
        format_args!(
            "| `{REJECTIONS}` | counter | Transactions refused by `transaction_limit`. Labels: `server`, `user`. |\n\
             | `{REJECTIONS_DRY_RUN}` | counter | The same in a dry run. |\n"
        ),
    );
}

fn section<T>(page: &mut String, title: &str, labels: &str, families: &[Family<T>]) {
    push(page, format_args!("\n## {title}\n\n{labels}| metric | type | what it tells |\n|---|---|---|\n"));
    for Family { name, about, values } in families {
        let (kind, label) = match values {
            Values::Counter(_) | Values::Seconds(_) => ("counter", None),
            Values::Gauge(_) => ("gauge", None),
            Values::Histogram(_) | Values::Histograms(_) => ("histogram", None),
            Values::Counters(label, _) => ("counter", Some(label)),
            Values::Gauges(label, _) => ("gauge", Some(label)),
        };
        let label = label.map(|label| format!(" By `{label}`.")).unwrap_or_default();
        push(page, format_args!("| `{name}` | {kind} | {about}{label} |\n"));
    }
}

fn push(page: &mut String, text: std::fmt::Arguments<'_>) {
    page.write_fmt(text).expect("writing to a String cannot fail");
}
