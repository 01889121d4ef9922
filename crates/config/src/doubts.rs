//! What is not wrong, and yet can hardly be meant.

mod doors;
mod passwords;
mod routes;

use route::{Address, Protocol, Server};

use crate::Config;

impl Config {
    /// What is not wrong, and yet can hardly be meant, in sentences.
    #[must_use]
    pub fn doubts(&self) -> Vec<String> {
        let mut doubts: Vec<String> = self.table.doubts().iter().map(ToString::to_string).collect();
        doubts.extend(self.unused_classes());
        doubts.extend(routes::doubts(&self.table));
        doubts.extend(self.table.servers().iter().filter_map(port_of_the_other));
        doubts.extend(self.open_doors());
        doubts.extend(self.damaged_hashes());
        doubts
    }

    fn unused_classes(&self) -> impl Iterator<Item = String> {
        let servers = self.table.servers();
        let is_used = |name: &str| servers.iter().any(|server| server.classes.named(name).is_some());
        let unused = self.keys.classes.iter().filter(move |class| !is_used(&class.name));
        unused.map(|class| format!("class `{}` is declared, and no server has it in its `classes`", class.name))
    }
}

/// A server at the port of the other protocol, whose `protocol` was probably forgotten.
fn port_of_the_other(server: &Server) -> Option<String> {
    let (protocol, other, other_port) = match server.protocol {
        Protocol::Postgres => ("postgres", "mysql", Protocol::Mysql.server_port()),
        Protocol::Mysql => ("mysql", "postgres", Protocol::Postgres.server_port()),
    };
    let has_its_port = matches!(&server.address, Address::Tcp { port, .. } if *port == other_port);
    has_its_port.then(|| {
        let name = &server.name;
        format!("server `{name}`: port {other_port} with protocol `{protocol}`: did you mean `protocol = \"{other}\"`?")
    })
}
