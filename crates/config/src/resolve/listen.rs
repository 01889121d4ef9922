//! Where clients connect: addresses that are not given, and those that nobody could use.

use super::Check;
use crate::keys::{File, Listen, MysqlAddress, PostgresAddress, Protocol};

impl Check<'_> {
    /// Fills in the default address of each protocol that a server speaks.
    pub(super) fn listen(&mut self, file: &mut File) {
        let speaks = |protocol| file.servers.iter().any(|server| server.protocol == protocol);
        let (postgres, mysql) = (speaks(Protocol::Postgres), speaks(Protocol::Mysql));
        let listen = &mut file.listen;
        fill_in::<PostgresAddress>(&mut listen.postgres, postgres);
        fill_in::<MysqlAddress>(&mut listen.mysql, mysql);
        for (key, speaks, is_empty) in
            [("postgres", postgres, listen.postgres.is_empty()), ("mysql", mysql, listen.mysql.is_empty())]
        {
            if speaks && is_empty {
                self.wrong(&["listen", key], "there is no address, so no client could connect");
            }
        }
        for address in listen.mysql.iter().filter(|own| listen.postgres.iter().any(|other| other.0 == own.0)) {
            self.wrong(&["listen", "mysql"], format!("{} is the address for PostgreSQL clients already", address.0));
        }
    }
}

fn fill_in<A: Default>(listen: &mut Listen<A>, is_needed: bool) {
    listen.0.get_or_insert_with(|| if is_needed { vec![A::default()] } else { vec![] });
}
