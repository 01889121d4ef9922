//! TLS on both sides, with psql and a PostgreSQL server as they are.

#![allow(clippy::unwrap_used, reason = "tests: helpers outside #[test] functions too")]

mod certificates;
mod common;
mod watch;

use std::fs;
use std::io::{Read, Write};
use std::process::{Command, Stdio};

use certificates::{Authority, EXPIRED, GOOD, STRANGE};
use common::{DATABASE, PASSWORD, Setup, USER, errors};
use testkit::{Evenkeel, Install, Options, Result, Wire, poll_until};
use watch::{ADMIN, SOON, TRUST, at_rest, until_in_use, until_logged};

const MODES: [&str; 5] = ["disable", "prefer", "require", "verify-ca", "verify-full"];

/// psql as a client of this Evenkeel: what it printed, or its complaint.
fn psql(evenkeel: &Evenkeel, options: &str, sql: &str) -> Result<std::result::Result<String, String>> {
    let port = evenkeel.address().rsplit_once(':').unwrap().1.to_owned();
    let target = format!("host=127.0.0.1 port={port} user={USER} dbname={DATABASE} {options}");
    let mut command = Install::from_env()?.command("psql");
    let output = command
        .args(["-X", "-A", "-t", "-d", &target, "-c", sql])
        .env("PGPASSWORD", PASSWORD)
        // Nobody's own certificates.
        .env("HOME", "/nonexistent")
        .output()?;
    let [printed, complaint] = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    Ok(if output.status.success() { Ok(printed.trim().to_owned()) } else { Err(complaint) })
}

/// What becomes of psql in each mode, with this authority's certificate as the root: encrypted, plain, or not let in.
fn in_each_mode(evenkeel: &Evenkeel, authority: &Authority) -> Result<[&'static str; 5]> {
    let mut seen = [""; 5];
    for (mode, seen) in MODES.iter().zip(&mut seen) {
        let root = authority.file("ca.crt");
        let answer = psql(evenkeel, &format!("sslmode={mode} sslrootcert={}", root.display()), "\\conninfo")?;
        *seen = match answer {
            Ok(info) if info.contains("SSL connection") => "encrypted",
            Ok(_) => "plain",
            Err(_) => "refused",
        };
    }
    Ok(seen)
}

/// The `[tls]` section for a certificate.
fn section(authority: &Authority, name: &str, more: &str) -> String {
    let (certificate, key) = (authority.file(&format!("{name}.crt")), authority.file(&format!("{name}.key")));
    format!("[tls]\ncertificate = \"{}\"\nkey = \"{}\"\n{more}", certificate.display(), key.display())
}

#[test]
fn clients_encrypt_as_they_wish() -> Result<()> {
    let authority = Authority::new()?;
    authority.issue("server", &GOOD)?;
    let plain = Setup::new().toml(TRUST).start()?;
    assert_eq!(in_each_mode(&plain.evenkeel, &authority)?, ["plain", "plain", "refused", "refused", "refused"]);
    let offered = Setup::new().toml(&section(&authority, "server", "")).start()?;
    let seen = in_each_mode(&offered.evenkeel, &authority)?;
    assert_eq!(seen, ["plain", "encrypted", "encrypted", "encrypted", "encrypted"]);
    at_rest(&offered.evenkeel)
}

#[test]
fn clients_can_be_made_to_encrypt() -> Result<()> {
    let authority = Authority::new()?;
    authority.issue("server", &GOOD)?;
    let scene = Setup::new().toml(&section(&authority, "server", "mode = \"require\"")).start()?;
    let seen = in_each_mode(&scene.evenkeel, &authority)?;
    assert_eq!(seen, ["refused", "encrypted", "encrypted", "encrypted", "encrypted"]);
    let complaint = psql(&scene.evenkeel, "sslmode=disable", "select 1")?.unwrap_err();
    assert!(complaint.contains("connections must be encrypted"), "{complaint}");
    assert_eq!(common::sqlstate(&scene.client().err().unwrap()), "28000");
    at_rest(&scene.evenkeel)
}

#[test]
fn clients_refuse_what_they_do_not_trust() -> Result<()> {
    let (authority, other) = (Authority::new()?, Authority::new()?);
    authority.issue("expired", &EXPIRED)?;
    let scene = Setup::new().toml(&section(&authority, "expired", "")).start()?;
    assert_eq!(in_each_mode(&scene.evenkeel, &authority)?[2..], ["refused", "refused", "refused"]);
    until_logged(&scene.evenkeel, "CertificateExpired")?;
    authority.issue("strange", &STRANGE)?;
    let scene = Setup::new().toml(&section(&authority, "strange", "")).start()?;
    assert_eq!(in_each_mode(&scene.evenkeel, &authority)?[2..], ["encrypted", "encrypted", "refused"]);
    assert_eq!(in_each_mode(&scene.evenkeel, &other)?[2..], ["refused", "refused", "refused"]);
    at_rest(&scene.evenkeel)
}

#[test]
fn everything_a_session_does_works_encrypted() -> Result<()> {
    let authority = Authority::new()?;
    authority.issue("server", &GOOD)?;
    let scene = Setup::new().toml(&section(&authority, "server", "")).start()?;
    let many = "select string_agg(n::text, ',') from generate_series(1, 200000) n";
    let answer = psql(&scene.evenkeel, "sslmode=require", many)?.unwrap();
    assert_eq!(answer.split(',').count(), 200_000);
    let large = format!("select length('{}')", "x".repeat(100_000));
    assert_eq!(psql(&scene.evenkeel, "sslmode=require", &large)?.unwrap(), "100000");
    at_rest(&scene.evenkeel)
}

#[test]
fn certificates_are_read_again_and_a_damaged_one_changes_nothing() -> Result<()> {
    let (authority, newer) = (Authority::new()?, Authority::new()?);
    authority.issue("server", &GOOD)?;
    let setup = Setup::new().toml(&section(&authority, "server", ""));
    let scene = setup.start()?;
    let config = setup.config(&scene.pg.address());
    let trusts =
        |authority: &Authority| -> Result<bool> { Ok(in_each_mode(&scene.evenkeel, authority)?[4] == "encrypted") };
    assert_eq!([trusts(&authority)?, trusts(&newer)?], [true, false]);

    newer.issue("server", &GOOD)?;
    for file in ["server.crt", "server.key"] {
        fs::copy(newer.file(file), authority.file(file))?;
    }
    scene.evenkeel.reload(&config)?;
    until_logged(&scene.evenkeel, "configuration reloaded")?;
    assert_eq!([trusts(&authority)?, trusts(&newer)?], [false, true]);

    fs::write(authority.file("server.key"), "garbage")?;
    scene.evenkeel.reload(&config)?;
    let line = until_logged(&scene.evenkeel, "configuration not reloaded")?;
    assert!(line.contains("server.key: no private key in it"), "{line}");
    assert!(trusts(&newer)?);
    at_rest(&scene.evenkeel)
}

#[test]
fn bytes_before_the_handshake_are_an_error() -> Result<()> {
    let authority = Authority::new()?;
    authority.issue("server", &GOOD)?;
    let scene = Setup::new().toml(&section(&authority, "server", "")).start()?;
    let mut wire = Wire::connect(&scene.evenkeel.address())?;
    wire.send(b"\0\0\0\x08\x04\xd2\x16\x2f\0\0\0\x20\0\x03\0\0user\0app\0database\0shop\0\0")?;
    let said = wire.read_to_close()?;
    assert_eq!(said.first(), Some(&b'E'), "{}", said.escape_ascii());
    at_rest(&scene.evenkeel)
}

#[test]
fn a_client_may_begin_with_tls_if_it_names_the_protocol() -> Result<()> {
    let authority = Authority::new()?;
    authority.issue("server", &GOOD)?;
    let scene = Setup::new().toml(&section(&authority, "server", "")).start()?;
    // psql can do this from version 17 on; openssl can always.
    let begin = |options: &[&str], len: u64| -> Result<Vec<u8>> {
        let mut child = Command::new("openssl")
            .args(["s_client", "-quiet", "-connect", &scene.evenkeel.address()])
            .args(options)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let (mut stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        // A user that does not exist is asked for a password like any other.
        stdin.write_all(b"\0\0\0\x23\0\x03\0\0user\0nobody\0database\0shop\0\0")?;
        let mut said = Vec::new();
        stdout.take(len).read_to_end(&mut said)?;
        child.kill().ok();
        child.wait()?;
        Ok(said)
    };
    assert_eq!(begin(&["-alpn", "postgresql"], 1)?, b"R");
    let unnamed = begin(&[], u64::MAX)?;
    assert_eq!(unnamed.first(), Some(&b'E'));
    assert!(String::from_utf8_lossy(&unnamed).contains("ALPN"));
    assert_eq!(begin(&["-alpn", "h2"], u64::MAX)?, b"");
    at_rest(&scene.evenkeel)
}

#[test]
fn clients_show_certificates_where_they_must() -> Result<()> {
    let authority = Authority::new()?;
    authority.issue("server", &GOOD)?;
    authority.issue("client", &GOOD)?;
    let ca = authority.file("ca.crt");
    let required = format!("client_ca = \"{}\"\nclient_certificates = \"required\"", ca.display());
    let scene = Setup::new().toml(&section(&authority, "server", &required)).start()?;
    let own =
        format!("sslcert={} sslkey={}", authority.file("client.crt").display(), authority.file("client.key").display());
    assert!(psql(&scene.evenkeel, "sslmode=require", "select 1")?.is_err());
    assert_eq!(psql(&scene.evenkeel, &format!("sslmode=require {own}"), "select 1")?.unwrap(), "1");
    at_rest(&scene.evenkeel)
}

/// For a PostgreSQL server with this certificate of the authority.
fn with_certificate(authority: &Authority, name: &str) -> Setup {
    let [certificate, key] = ["crt", "key"].map(|end| authority.file(&format!("{name}.{end}")).display().to_string());
    let options = Options::new().set("ssl", "on").set("ssl_cert_file", &certificate).set("ssl_key_file", &key);
    Setup::new().options(options).toml("[pool]\ncheckout_timeout = \"2s\"")
}

const IS_ENCRYPTED: &str = "select ssl from pg_stat_ssl where pid = pg_backend_pid()";

#[test]
fn servers_are_met_by_mode() -> Result<()> {
    let (authority, other) = (Authority::new()?, Authority::new()?);
    let ca = |authority: &Authority| format!("tls_ca = \"{}\"", authority.file("ca.crt").display());
    let (own, foreign) = (ca(&authority), ca(&other));
    const ENCRYPTED: Option<&str> = Some("t");
    const PLAIN: Option<&str> = Some("f");
    const NOT_TRUSTED: Option<&str> = None;
    for (name, wish, cases) in [
        (
            "good",
            GOOD,
            vec![
                ("tls = \"disable\"".to_owned(), PLAIN),
                ("tls = \"prefer\"".to_owned(), ENCRYPTED),
                ("tls = \"require\"".to_owned(), ENCRYPTED),
                (format!("tls = \"verify_full\"\n{own}"), ENCRYPTED),
                (format!("tls = \"verify_ca\"\n{foreign}"), NOT_TRUSTED),
            ],
        ),
        (
            "strange",
            STRANGE,
            vec![
                (format!("tls = \"verify_ca\"\n{own}"), ENCRYPTED),
                (format!("tls = \"verify_full\"\n{own}"), NOT_TRUSTED),
                (format!("tls = \"verify_full\"\ntls_server_name = \"elsewhere.test\"\n{own}"), ENCRYPTED),
            ],
        ),
        (
            "expired",
            EXPIRED,
            vec![("tls = \"require\"".to_owned(), ENCRYPTED), (format!("tls = \"verify_ca\"\n{own}"), NOT_TRUSTED)],
        ),
    ] {
        authority.issue(name, &wish)?;
        let setup = with_certificate(&authority, name);
        let pg = setup.postgres()?;
        for (lines, expected) in cases {
            let evenkeel = setup.clone().server_toml(&lines).evenkeel(&pg.address())?;
            let seen = evenkeel.client(USER, PASSWORD, DATABASE).and_then(|mut wire| wire.value(IS_ENCRYPTED));
            assert_eq!(seen.ok().as_deref(), expected, "{name}: {lines}");
            if expected == NOT_TRUSTED {
                until_logged(&evenkeel, "the other side's certificate is not trusted")?;
            }
            at_rest(&evenkeel)?;
        }
    }
    Ok(())
}

#[test]
fn a_server_without_tls_is_used_only_where_that_is_wanted() -> Result<()> {
    for (mode, welcome) in [("prefer", true), ("require", false)] {
        let lines = format!("tls = \"{mode}\"");
        let scene = Setup::new().toml("[pool]\ncheckout_timeout = \"2s\"").server_toml(&lines).start()?;
        assert_eq!(scene.client().is_ok(), welcome);
        if !welcome {
            until_logged(&scene.evenkeel, "the server does not offer TLS, which is required of it")?;
        }
        at_rest(&scene.evenkeel)?;
    }
    Ok(())
}

#[test]
fn cancel_requests_go_encrypted_too() -> Result<()> {
    let authority = Authority::new()?;
    authority.issue("good", &GOOD)?;
    let ca = authority.file("ca.crt");
    let lines = format!("tls = \"verify_full\"\ntls_ca = \"{}\"", ca.display());
    let scene = with_certificate(&authority, "good").server_toml(&lines).start()?;
    let mut wire = scene.client()?;
    let before = wire.value("select pg_backend_pid()")?;
    wire.send_query("select pg_sleep(600)")?;
    until_in_use(&scene.evenkeel, 1)?;
    poll_until(SOON, "the query", || {
        Ok((scene.pg.psql("select count(*) from pg_stat_activity where query like 'select pg_sleep%'")? == "1")
            .then_some(()))
    })?;
    wire.cancel()?;
    let answer = wire.read_until_ready()?;
    assert_eq!(errors(&answer), ["57014"], "{answer:?}");
    at_rest(&scene.evenkeel)?;
    // The server has told that the request was carried out, so the connection is as good as before.
    assert_eq!(wire.value("select pg_backend_pid()")?, before);
    at_rest(&scene.evenkeel)
}

#[test]
fn operators_are_encrypted_like_everybody() -> Result<()> {
    let authority = Authority::new()?;
    authority.issue("server", &GOOD)?;
    let scene = Setup::new().toml(ADMIN).toml(&section(&authority, "server", "mode = \"require\"")).start()?;
    let shown = psql(&scene.evenkeel, "sslmode=require dbname=evenkeel", "show version")?;
    assert!(shown.unwrap().contains("Evenkeel"), "the console answers");
    at_rest(&scene.evenkeel)
}
