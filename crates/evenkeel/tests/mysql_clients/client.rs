//! The clients of the matrix.

use std::time::Duration;

use testkit::Result;
use testkit::drivers::{self, Runtime};
use testkit::mysql::{Install, Kind};
use testkit::process::run_within;

use crate::order::{Order, Outcome, Report, Task, read, script};
use crate::{asynchronous, cli, sqlx_client};

/// A program or library by which users reach a server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Client {
    /// What readers call it.
    pub(crate) name: &'static str,
    drive: Drive,
}

/// How it is driven.
#[derive(Clone, Copy, Debug)]
enum Drive {
    /// By a script, to which the driver has this name.
    Script(Language, &'static str),
    /// As a command line.
    Cli(Kind),
    /// By ourselves.
    MysqlAsync,
    Sqlx,
}

#[derive(Clone, Copy, Debug)]
enum Language {
    Python,
    Node,
    Java,
}

/// All of them.
pub(crate) const CLIENTS: [Client; 10] = [
    Client { name: "`mariadb`", drive: Drive::Cli(Kind::MariaDb) },
    Client { name: "`mysql`", drive: Drive::Cli(Kind::MySql) },
    Client { name: "Connector/Python", drive: Drive::Script(Language::Python, "connector-python") },
    Client { name: "Connector/Python (C)", drive: Drive::Script(Language::Python, "connector-python-c") },
    Client { name: "PyMySQL", drive: Drive::Script(Language::Python, "pymysql") },
    Client { name: "mysqlclient", drive: Drive::Script(Language::Python, "mysqlclient") },
    Client { name: "mysql2 (Node)", drive: Drive::Script(Language::Node, "mysql2") },
    Client { name: "MariaDB Connector/J", drive: Drive::Script(Language::Java, "connector-j") },
    Client { name: "mysql_async (Rust)", drive: Drive::MysqlAsync },
    Client { name: "sqlx (Rust)", drive: Drive::Sqlx },
];

impl Client {
    /// The name of a database of its own.
    pub(crate) fn database(&self) -> String {
        let letters = self.name.chars().filter(char::is_ascii_alphanumeric);
        format!("of_{}", letters.collect::<String>().to_lowercase())
    }

    /// Why it is not here, if it is not.
    pub(crate) fn missing(&self) -> Option<anyhow::Error> {
        match self.drive {
            Drive::Script(language, _) => language.runtime().err(),
            Drive::Cli(kind) => Install::find(kind).err(),
            Drive::MysqlAsync | Drive::Sqlx => None,
        }
    }

    /// Carries out orders; a list of reports for each.
    ///
    /// # Errors
    /// When it cannot be run at all.
    pub(crate) fn carry_out(&self, orders: &[Order]) -> Result<Vec<Vec<Report>>> {
        match self.drive {
            Drive::Script(language, driver) => {
                let mut command = language.runtime()?.command(&script(language.file()));
                command.args(orders.iter().map(|order| order.argument(driver)));
                read(&run_within(LIMIT, &command)?, orders)
            }
            Drive::Cli(kind) => each(orders, |order, word| cli::attempt(kind, order, word)),
            Drive::MysqlAsync => each(orders, asynchronous::attempt),
            Drive::Sqlx => each(orders, sqlx_client::attempt),
        }
    }
}

/// Reports what `attempt` makes of every order.
fn each(orders: &[Order], attempt: impl Fn(&Order, Option<&str>) -> Outcome) -> Result<Vec<Vec<Report>>> {
    let of = |order: &Order| {
        let words = order.words().into_iter();
        let report = |word: &str| {
            let feature = matches!(order.task, Task::Features { .. }).then_some(word);
            Report { word: word.to_owned(), outcome: attempt(order, feature) }
        };
        words.map(report).collect()
    };
    Ok(orders.iter().map(of).collect())
}

impl Language {
    fn runtime(self) -> Result<Runtime> {
        match self {
            Self::Python => drivers::python(),
            Self::Node => drivers::node(),
            Self::Java => drivers::java(),
        }
    }

    fn file(self) -> &'static str {
        match self {
            Self::Python => "drivers.py",
            Self::Node => "drivers.js",
            Self::Java => "Drivers.java",
        }
    }
}

/// For all orders of a client together.
const LIMIT: Duration = Duration::from_secs(240);
