//! JDBC URLs.

/// Whose words its parameters are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Driver {
    Postgres,
    Mysql,
    Mariadb,
}

impl Driver {
    /// What it speaks, as the program calls it.
    pub(super) const fn protocol(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Mysql | Self::Mariadb => "mysql",
        }
    }

    const fn usual_port(self) -> u16 {
        match self {
            Self::Postgres => 5432,
            Self::Mysql | Self::Mariadb => 3306,
        }
    }
}

/// What a JDBC URL names.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct JdbcUrl<'t> {
    pub(super) driver: Driver,
    pub(super) host: &'t str,
    /// The port, or that of the protocol where none is given, or none that can be one.
    pub(super) port: u16,
    pub(super) port_is_given: bool,
    pub(super) database: Option<&'t str>,
    /// Names and values behind the question mark.
    pub(super) parameters: Vec<(&'t str, &'t str)>,
    /// Whether there were more hosts than the first.
    pub(super) has_more_hosts: bool,
}

/// Reads a URL; `None`: of another database, or none at all.
pub(super) fn read(url: &str) -> Option<JdbcUrl<'_>> {
    let (scheme, rest) = url.trim().strip_prefix("jdbc:")?.split_once("//")?;
    // `mysql:loadbalance:` and the like are MySQL as well.
    let driver = match scheme.split(':').next()? {
        "mysql" => Driver::Mysql,
        "mariadb" => Driver::Mariadb,
        "postgresql" => Driver::Postgres,
        _ => return None,
    };
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (hosts, database) = rest.split_once('/').unwrap_or((rest, ""));
    let (first, has_more_hosts) = hosts.split_once(',').map_or((hosts, false), |(first, _)| (first, true));
    let (host, port) = match first.rsplit_once(':') {
        // An IPv6 address without a port.
        Some(_) if first.ends_with(']') => (first, None),
        Some((host, port)) => (host, Some(port)),
        None => (first, None),
    };
    let given = port.and_then(|port| port.parse().ok());
    let parameters = query.split('&').filter(|pair| !pair.is_empty());
    Some(JdbcUrl {
        driver,
        host: if host.is_empty() { "localhost" } else { host },
        port: given.unwrap_or_else(|| driver.usual_port()),
        port_is_given: port.is_none() || given.is_some(),
        database: Some(database).filter(|name| !name.is_empty()),
        parameters: parameters.map(|pair| pair.split_once('=').unwrap_or((pair, ""))).collect(),
        has_more_hosts,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let plain = |driver, host, port, database| JdbcUrl {
            driver,
            host,
            port,
            port_is_given: true,
            database,
            parameters: Vec::new(),
            has_more_hosts: false,
        };
        for (url, expected) in [
            ("jdbc:mysql://db:3307/shop", plain(Driver::Mysql, "db", 3307, Some("shop"))),
            ("jdbc:mariadb:replication://db/shop", plain(Driver::Mariadb, "db", 3306, Some("shop"))),
            ("jdbc:postgresql://[::1]/", plain(Driver::Postgres, "[::1]", 5432, None)),
            ("jdbc:postgresql://[::1]:6000", plain(Driver::Postgres, "[::1]", 6000, None)),
            ("jdbc:mysql:///shop", plain(Driver::Mysql, "localhost", 3306, Some("shop"))),
        ] {
            assert_eq!(read(url), Some(expected), "{url}");
        }
        let much = read("jdbc:mysql://a:port,b/shop?x=1&&y&z=a=b").unwrap();
        assert!(much.has_more_hosts && !much.port_is_given && much.port == 3306);
        assert_eq!(much.parameters, [("x", "1"), ("y", ""), ("z", "a=b")]);
        for other in ["", "jdbc:", "jdbc:oracle:thin:@//x/y", "mysql://db/shop", "jdbc:mysql:db"] {
            assert_eq!(read(other), None, "{other}");
        }
    }
}
