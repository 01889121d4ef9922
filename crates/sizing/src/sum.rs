//! The most connections that a set of pools can open, and whether they fit the server.

use crate::{Derivation, Derived, Error, number::count, number::within};

/// How many connections a term stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Amount {
    /// So many pools, each with this cap.
    Pools {
        /// How many.
        pools: u32,
        /// Connections of each.
        cap: u32,
    },
    /// As many as are needed, and no more than this.
    UpTo(u32),
    /// As many as are needed; nothing limits it.
    Open,
}

/// One summand, with its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    /// Whose connections these are.
    pub name: String,
    /// The setting that says how many, if one does.
    pub setting: Option<&'static str>,
    /// How many.
    pub amount: Amount,
}

/// The most connections that can be opened, term by term.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sum {
    /// The summands.
    pub terms: Vec<Term>,
}

impl Sum {
    /// What the pools may hold together, without the variable terms.
    pub fn fixed(&self) -> Derived<u64> {
        let numbers = self.terms.iter().filter_map(|term| match term.amount {
            Amount::Pools { pools: 1, cap } => Some((cap.into(), count(cap.into()))),
            Amount::Pools { pools, cap } => {
                Some((u64::from(cap) * u64::from(pools), format!("{} × {pools}", count(cap.into()))))
            }
            Amount::UpTo(_) | Amount::Open => None,
        });
        let (values, shown): (Vec<u64>, Vec<String>) = numbers.unzip();
        let total = values.iter().sum();
        Derived::of(total, "most connections of the pools", "sum of their caps", shown.join(" + "), count(total))
    }

    /// The same with the variable terms that have a limit.
    pub fn with_variable(&self) -> u64 {
        let limited = self.terms.iter().map(|term| match term.amount {
            Amount::UpTo(most) => u64::from(most),
            Amount::Pools { .. } | Amount::Open => 0,
        });
        self.fixed().value + limited.sum::<u64>()
    }

    /// The terms that nothing limits.
    pub fn open(&self) -> impl Iterator<Item = &Term> {
        self.terms.iter().filter(|term| term.amount == Amount::Open)
    }
}

/// VTTablet's pools, as Vitess's page "VTTablet Connection Pools and Sizing" lists them. The defaults are VTTablet's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VtTablet {
    /// `--queryserver-config-transaction-cap`: of `transaction_pool` and of `found_rows_pool`, each.
    pub transaction_cap: u32,
    /// `--queryserver-config-pool-size`: `conn_pool`.
    pub pool_size: u32,
    /// `--queryserver-config-stream-pool-size`: `stream_conn_pool`.
    pub stream_pool_size: u32,
    /// `--dba_pool_size`: `dba_conn_pool`.
    pub dba_pool_size: u32,
    /// `--app_pool_size`: `app_conn_pool`.
    pub app_pool_size: u32,
}

impl Default for VtTablet {
    fn default() -> Self {
        Self { transaction_cap: 20, pool_size: 16, stream_pool_size: 200, dba_pool_size: 20, app_pool_size: 40 }
    }
}

impl VtTablet {
    /// The sum as Vitess's page writes it. (Its text names online DDL pools of 3 and 2, its formula says 7; the formula counts.)
    pub fn sum(&self) -> Sum {
        let pool = |name: &str, setting, pools, cap| Term {
            name: name.to_owned(),
            setting,
            amount: Amount::Pools { pools, cap },
        };
        let variable = |name: &str, setting, amount| Term { name: name.to_owned(), setting, amount };
        Sum {
            terms: vec![
                pool(
                    "transaction_pool and found_rows_pool",
                    Some("--queryserver-config-transaction-cap"),
                    2,
                    self.transaction_cap,
                ),
                pool("conn_pool", Some("--queryserver-config-pool-size"), 1, self.pool_size),
                pool("stream_conn_pool", Some("--queryserver-config-stream-pool-size"), 1, self.stream_pool_size),
                pool("dba_conn_pool", Some("--dba_pool_size"), 1, self.dba_pool_size),
                pool("app_conn_pool", Some("--app_pool_size"), 1, self.app_pool_size),
                pool("tx_read_pool", None, 1, 3),
                pool("online DDL", None, 1, 7),
                // "should < 10"
                variable("on demand: vreplication, replication, …", None, Amount::UpTo(9)),
                variable("reserved connections", Some("--enable_system_settings"), Amount::Open),
            ],
        }
    }
}

/// The most of a pool's `cap` connections that one user may have in transactions: the fraction, rounded down.
///
/// # Errors
/// [`Error::OutOfRange`], when `fraction` is not between 0 and 1.
pub fn limit_per_user(cap: u32, fraction: f64) -> Result<Derived<u32>, Error> {
    within("fraction per user", fraction, 0.0..=1.0)?;
    // 0.3 × 10 is 2.9999999999999996, and 3 is meant.
    let limit = (f64::from(cap) * fraction + 1e-9).floor() as u32;
    Ok(Derived::of(
        limit,
        "transactions of one user, at most",
        "transaction cap × fraction per user, rounded down",
        format!("{cap} × {fraction}"),
        count(limit.into()),
    ))
}

/// What a server lets in, and what of it is not for pools.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerLimit {
    /// The server's own `max_connections`.
    pub max_connections: u32,
    /// Kept for administrators. PostgreSQL: `superuser_reserved_connections` (3) + `reserved_connections` (0). MySQL: none,
    /// it keeps one beyond `max_connections`.
    pub reserve: u32,
    /// What others use, or may use: monitoring, backups, applications that connect directly.
    pub others: u32,
}

/// Whether a number of connections fits a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// It fits, and so many are left.
    Fits {
        /// Connections left.
        spare: u64,
    },
    /// It does not, and so many are too many.
    TooMany {
        /// Connections too many.
        excess: u64,
    },
}

impl ServerLimit {
    /// What pools may hold together.
    pub fn usable(&self) -> Derived<u32> {
        let usable = self.max_connections.saturating_sub(self.reserve).saturating_sub(self.others);
        Derived::of(
            usable,
            "connections that pools may hold to one server",
            "max_connections - reserve for administrators - others, at least 0",
            format!(
                "{} - {} - {}",
                count(self.max_connections.into()),
                count(self.reserve.into()),
                count(self.others.into())
            ),
            count(usable.into()),
        )
    }

    /// Whether `connections` fit.
    pub fn room(&self, connections: u64) -> Derived<Room> {
        let mut derivation = Derivation::default();
        let usable = u64::from(derivation.take(self.usable()));
        let room = match usable.checked_sub(connections) {
            Some(spare) => Room::Fits { spare },
            None => Room::TooMany { excess: connections - usable },
        };
        derivation.push(
            "connections left",
            "usable - needed",
            format!("{} - {}", count(usable), count(connections)),
            match room {
                Room::Fits { spare } => count(spare),
                Room::TooMany { excess } => format!("-{}", count(excess)),
            },
        );
        Derived { value: room, derivation }
    }

    /// The most connections for each of `pools` pools in each of `instances` programs, so that all fit. Count the programs
    /// that run at the same time during a rolling restart.
    pub fn largest_pool(&self, instances: u32, pools: u32) -> Derived<u32> {
        let mut derivation = Derivation::default();
        let usable = derivation.take(self.usable());
        let sharers = u64::from(instances.max(1)) * u64::from(pools.max(1));
        let largest = (u64::from(usable) / sharers) as u32;
        derivation.push(
            "connections of each pool, at most",
            "usable / (instances × pools), rounded down",
            format!("{} / ({} × {})", count(usable.into()), instances.max(1), pools.max(1)),
            count(largest.into()),
        );
        Derived { value: largest, derivation }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn vttablets_page_comes_to_326() {
        let sum = VtTablet::default().sum();
        let fixed = sum.fixed();
        assert_eq!(fixed.value, 326);
        assert_eq!(fixed.derivation.steps()[0].filled, "20 × 2 + 16 + 200 + 20 + 40 + 3 + 7");
        assert_eq!(sum.with_variable(), 335);
        assert_eq!(sum.open().map(|term| &*term.name).collect::<Vec<_>>(), ["reserved connections"]);
    }

    #[test]
    fn a_tablet_of_another_size() {
        let larger = VtTablet { transaction_cap: 300, pool_size: 100, ..VtTablet::default() };
        assert_eq!(larger.sum().fixed().value, 970);
    }

    #[test]
    fn one_user_gets_8_of_20() {
        assert_eq!(limit_per_user(20, 0.4).unwrap().value, 8);
        assert_eq!(limit_per_user(10, 0.3).unwrap().value, 3);
        assert_eq!(limit_per_user(21, 0.4).unwrap().value, 8);
        assert!(limit_per_user(20, 1.1).is_err());
    }

    #[test]
    fn what_a_server_leaves() {
        let limit = ServerLimit { max_connections: 100, reserve: 3, others: 15 };
        assert_eq!(limit.usable().value, 82);
        assert_eq!(limit.largest_pool(3, 4).value, 6);
        assert_eq!(limit.largest_pool(4, 4).value, 5);
        assert_eq!(limit.room(72).value, Room::Fits { spare: 10 });
        let too_many = limit.room(326);
        assert_eq!(too_many.value, Room::TooMany { excess: 244 });
        assert_eq!(too_many.derivation.steps()[1].value, "-244");
        assert_eq!(ServerLimit { max_connections: 2, reserve: 3, others: 0 }.usable().value, 0);
    }

    proptest! {
        #[test]
        fn what_largest_pool_says_fits_and_one_more_does_not(
            max_connections in 0u32..5_000, reserve in 0u32..50, others in 0u32..50, instances in 1u32..20, pools in 1u32..20,
        ) {
            let limit = ServerLimit { max_connections, reserve, others };
            let (all, largest) = (u64::from(instances * pools), u64::from(limit.largest_pool(instances, pools).value));
            let fits = |connections| matches!(limit.room(connections).value, Room::Fits { .. });
            prop_assert!(fits(all * largest));
            prop_assert!(!fits(all * (largest + 1)));
        }
    }
}
