//! Where clients connect: addresses that are not given, those that nobody could use, and those that are taken twice.

use std::net::IpAddr;

use route::Address;

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
        self.listeners_apart(file);
    }

    /// The system gives each address to one listener only.
    fn listeners_apart(&mut self, file: &File) {
        let places = places(file);
        for (at, place) in places.iter().enumerate() {
            let found =
                places.iter().take(at).find_map(|earlier| Some((earlier, clash(place.address, earlier.address)?)));
            let Some((earlier, clash)) = found else { continue };
            let (own, other, whose) = (place.address, earlier.address, earlier.whose);
            let message = match clash {
                Clash::Same if place.key == earlier.key => format!("{own} is listed twice"),
                Clash::Same => format!("{own} is the address for {whose} already"),
                Clash::Covers => format!("{own} covers {other}, which is the address for {whose} already"),
                Clash::IsCovered => format!("{own} is covered by {other}, which is the address for {whose} already"),
            };
            self.wrong(&["listen", place.key, &place.index], message);
        }
    }
}

/// One address to listen on.
struct Place<'f> {
    key: &'static str,
    /// Its place in the list.
    index: String,
    address: &'f Address,
    /// Who connects there.
    whose: &'static str,
}

/// Every address of the file, in the order in which they are taken.
fn places(file: &File) -> Vec<Place<'_>> {
    let listen = &file.listen;
    let postgres = listen.postgres.iter().map(|address| ("postgres", &address.0, "PostgreSQL clients")).zip(0_usize..);
    let mysql = listen.mysql.iter().map(|address| ("mysql", &address.0, "MySQL clients")).zip(0_usize..);
    let http = listen.http.0.iter().map(|address| ("http", address, "HTTP")).zip(0_usize..);
    let all = postgres.chain(mysql).chain(http);
    all.map(|((key, address, whose), index)| Place { key, index: index.to_string(), address, whose }).collect()
}

/// How two listeners stand in each other's way.
enum Clash {
    /// They have one address.
    Same,
    /// The first stands for all addresses, also the second.
    Covers,
    /// The second stands for all addresses, also the first.
    IsCovered,
}

fn clash(one: &Address, other: &Address) -> Option<Clash> {
    if one == other {
        return Some(Clash::Same);
    }
    let (Address::Tcp { host, port }, Address::Tcp { host: other, port: other_port }) = (one, other) else {
        return None;
    };
    if port != other_port {
        return None;
    }
    match (ip(host), ip(other)) {
        (Some(one), Some(other)) if one == other => Some(Clash::Same),
        (Some(one), Some(other)) if covers(one, other) => Some(Clash::Covers),
        (Some(one), Some(other)) if covers(other, one) => Some(Clash::IsCovered),
        // What a name leads to is known when we listen.
        _ => None,
    }
}

fn ip(host: &str) -> Option<IpAddr> {
    host.parse().ok().map(|address: IpAddr| address.to_canonical())
}

/// Whether a listener on `one` also takes the connections to `other`. `::` takes those of IPv4 as well, as Linux has it
/// unless it is told otherwise (`bindv6only`, ip(7)).
fn covers(one: IpAddr, other: IpAddr) -> bool {
    one.is_unspecified() && (one.is_ipv6() || other.is_ipv4())
}

fn fill_in<A: Default>(listen: &mut Listen<A>, is_needed: bool) {
    listen.0.get_or_insert_with(|| if is_needed { vec![A::default()] } else { vec![] });
}
