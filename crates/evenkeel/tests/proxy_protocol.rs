//! The PROXY protocol: balancers before us, and servers that want us to be one.

#![allow(clippy::unwrap_used, reason = "tests: helpers outside #[test] functions too")]

mod common;
mod watch;

use std::io::{self, Read};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;

use common::{DATABASE, PASSWORD, Setup, USER};
use testkit::{Result, Wire};
use watch::{ADMIN, at_rest, console, show, until_logged};

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// Logs in behind a header.
fn log_in(address: &str, header: &[u8]) -> Result<Wire> {
    let mut wire = Wire::connect(address)?;
    wire.send(header)?;
    wire.start(&[("user", USER), ("database", DATABASE)])?;
    wire.authenticate(USER, PASSWORD)?;
    Ok(wire)
}

fn line(source: &str) -> Vec<u8> {
    format!("PROXY TCP4 {source} 10.0.0.5 56324 6432\r\n").into_bytes()
}

fn binary(source: [u8; 4]) -> Vec<u8> {
    [SIGNATURE, &b"\x21\x11\0\x13"[..], &source, &[10, 0, 0, 5], &[0xdc, 4, 0x19, 0x20], b"\x04\0\x04abcd"].concat()
}

#[test]
fn the_client_behind_a_balancer_is_who_counts() -> Result<()> {
    let trusted = "proxy_protocol = [\"10.0.0.0/8\", \"127.0.0.0/8\"]";
    let limits = "[limits]\nmax_clients_per_address = 1";
    let scene = Setup::new().toml(trusted).toml(ADMIN).toml(limits).start()?;
    let address = scene.evenkeel.address();
    let mut one = log_in(&address, &line("192.0.2.1"))?;
    let mut two = log_in(&address, &binary([192, 0, 2, 2]))?;
    assert_eq!([one.value("select 1")?, two.value("select 2")?], ["1", "2"]);
    let again = log_in(&address, &binary([192, 0, 2, 1])).err().unwrap();
    assert_eq!(common::sqlstate(&again), "53300", "{again}");

    let mut wire = Wire::connect(&address)?;
    wire.send(b"PROXY UNKNOWN\r\n")?;
    wire.start(&[("user", USER), ("database", "evenkeel")])?;
    wire.authenticate(USER, PASSWORD)?;
    let clients = show(&mut wire, "clients")?;
    for source in ["192.0.2.1", "192.0.2.2"] {
        assert!(clients.find("addr", source).is_some(), "{source} is shown");
    }
    drop((one, two, wire));
    at_rest(&scene.evenkeel)
}

#[test]
fn who_should_say_for_whom_and_does_not_is_refused() -> Result<()> {
    let scene = Setup::new().toml("proxy_protocol = [\"127.0.0.0/8\"]").start()?;
    assert!(scene.client().is_err());
    until_logged(&scene.evenkeel, "does not begin with a PROXY protocol header")?;
    let mut silent = Wire::connect(&scene.evenkeel.address())?;
    assert_eq!(silent.read_to_close()?, b"");
    until_logged(&scene.evenkeel, "no PROXY protocol header within 3s")?;
    assert_eq!(log_in(&scene.evenkeel.address(), &line("192.0.2.1"))?.value("select 'served'")?, "served");
    at_rest(&scene.evenkeel)
}

#[test]
fn a_header_from_elsewhere_is_no_header() -> Result<()> {
    let scene = Setup::new().toml("proxy_protocol = [\"10.0.0.0/8\"]").toml(ADMIN).start()?;
    for header in [line("192.0.2.1"), binary([192, 0, 2, 1])] {
        assert!(log_in(&scene.evenkeel.address(), &header).is_err());
    }
    let _client = scene.client()?;
    assert!(show(&mut console(&scene.evenkeel)?, "clients")?.find("addr", "127.0.0.1").is_some());
    at_rest(&scene.evenkeel)
}

/// Takes the header off each connection and passes the rest on, as a balancer's server or MariaDB does; tells the headers.
fn behind_balancer(server: String) -> Result<(String, mpsc::Receiver<[u8; 28]>)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?.to_string();
    let (told, headers) = mpsc::channel();
    thread::spawn(move || -> io::Result<()> {
        loop {
            let (mut client, _) = listener.accept()?;
            let mut header = [0; 28];
            client.read_exact(&mut header)?;
            told.send(header).ok();
            let server = TcpStream::connect(&server)?;
            let (mut from_client, mut to_server) = (client.try_clone()?, server.try_clone()?);
            thread::spawn(move || {
                io::copy(&mut from_client, &mut to_server).map(|_| to_server.shutdown(std::net::Shutdown::Write))
            });
            let (mut from_server, mut to_client) = (server, client);
            thread::spawn(move || {
                io::copy(&mut from_server, &mut to_client).map(|_| to_client.shutdown(std::net::Shutdown::Write))
            });
        }
    });
    Ok((address, headers))
}

#[test]
fn servers_that_want_a_header_get_one_that_names_us() -> Result<()> {
    let setup = Setup::new().server_toml("proxy_protocol = true");
    let pg = setup.postgres()?;
    let (address, headers) = behind_balancer(pg.address())?;
    let evenkeel = setup.evenkeel(&address)?;
    assert_eq!(evenkeel.client(USER, PASSWORD, DATABASE)?.value("select 'served'")?, "served");
    let header = headers.recv()?;
    assert_eq!(header[..12], *SIGNATURE);
    assert_eq!(header[12..16], *b"\x21\x11\0\x0c");
    assert_eq!(header[16..24], [127, 0, 0, 1, 127, 0, 0, 1]);
    let port: u16 = address.rsplit_once(':').unwrap().1.parse()?;
    assert_eq!(header[26..], port.to_be_bytes());
    at_rest(&evenkeel)
}
