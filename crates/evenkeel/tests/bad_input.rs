//! Bad input, on the wire and in the configuration: a clear answer, nothing lost, nothing told to strangers.

#![allow(clippy::unwrap_used, reason = "tests: helpers outside #[test] functions too")]

mod common;
mod watch;

use std::fs;
use std::process::Command;

use common::{DATABASE, PASSWORD, Scene, Setup, USER, sqlstate};
use testkit::wire::message;
use testkit::{Login, Options, Port, Postgres, Result, Wire};
use watch::{TRUST, at_rest, connections};

/// Sends bytes as the first of a connection, and returns what was said before it was closed.
fn first_bytes(scene: &Scene, bytes: &[u8]) -> Result<Vec<u8>> {
    let mut wire = Wire::connect(&scene.evenkeel.address())?;
    // The other side may close while we are still writing.
    wire.send(bytes).ok();
    wire.close_write().ok();
    wire.read_to_close()
}

/// A first packet: its length, a code, what follows.
fn packet(code: u32, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 8).unwrap();
    [&length.to_be_bytes()[..], &code.to_be_bytes(), body].concat()
}

const SSL_REQUEST: u32 = 80_877_103;
const GSS_REQUEST: u32 = 80_877_104;
const VERSION_3_0: u32 = 0x0003_0000;

/// Whoever sends garbage, others are served.
fn unimpressed(scene: &Scene) -> Result<()> {
    assert_eq!(scene.client()?.value("select 'served'")?, "served");
    at_rest(&scene.evenkeel)
}

#[test]
fn garbage_on_the_port_is_closed_and_harms_nobody() -> Result<()> {
    let scene = Setup::new().start()?;
    let garbage: &[&[u8]] = &[
        b"",
        b"\0",
        b"GET / HTTP/1.1\r\nHost: evenkeel\r\n\r\n",
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03",
        &[0; 100],
        &[0xff; 100_000],
        b"\0\0\0\x08",
        b"\0\0\0\x07\0\x03\0\0",
        b"\0\0\0\0",
        b"\x7f\xff\xff\xff\0\x03\0\0",
        b"\xff\xff\xff\xff\0\x03\0\0",
    ];
    for bytes in garbage {
        let said = first_bytes(&scene, bytes)?;
        assert!(said.is_empty() || said[0] == b'E', "{bytes:?} was answered {said:?}");
    }
    unimpressed(&scene)
}

#[test]
fn first_packets_that_are_wrong_are_refused_with_a_reason() -> Result<()> {
    let scene = Setup::new().start()?;
    let wrong = [
        (packet(0x0002_0000, b"user\0app\0\0"), "0A000"),
        (packet(0x0004_0000, b"user\0app\0\0"), "0A000"),
        (packet(VERSION_3_0, b"\0"), ""),
        (packet(VERSION_3_0, b"user\0app"), "08P01"),
        (packet(VERSION_3_0, b"user\0app\0database\0"), "08P01"),
        (packet(VERSION_3_0, b"user\0\xff\xfe\0database\0shop\0\0"), "08P01"),
        (packet(VERSION_3_0, b"user\0app\0database\0shop\0replication\0true\0\0"), ""),
        (packet(VERSION_3_0, &vec![b'x'; 20_000]), "08P01"),
    ];
    for (bytes, expected) in wrong {
        let mut wire = Wire::connect(&scene.evenkeel.address())?;
        wire.send(&bytes)?;
        let answer = wire.read()?;
        if expected.is_empty() && answer.tag == b'R' {
            continue;
        }
        let code = watch::code(&answer);
        assert!(expected.is_empty() || code == expected, "{answer:?}");
        assert_eq!(wire.read_to_close()?, b"");
    }
    unimpressed(&scene)
}

#[test]
fn encryption_is_declined_once_and_nothing_may_come_with_the_question() -> Result<()> {
    let scene = Setup::new().start()?;
    let mut polite = Wire::connect(&scene.evenkeel.address())?;
    for code in [SSL_REQUEST, GSS_REQUEST] {
        polite.send(&packet(code, b""))?;
        assert_eq!(polite.take(1)?, b"N");
    }
    polite.start(&[("user", USER), ("database", DATABASE)])?;
    polite.authenticate(USER, PASSWORD)?;
    assert_eq!(polite.value("select 'in plain text'")?, "in plain text");
    // What came before the answer could have been put there by anybody on the way.
    let smuggled = [packet(SSL_REQUEST, b""), packet(VERSION_3_0, b"user\0app\0database\0shop\0\0")].concat();
    let said = first_bytes(&scene, &smuggled)?;
    assert!(!said.contains(&b'R'), "{said:?}");
    let said = first_bytes(&scene, &packet(SSL_REQUEST, b"").repeat(4))?;
    assert!(!said.contains(&b'R'), "{said:?}");
    let mut stubborn = Wire::connect(&scene.evenkeel.address())?;
    for _ in 0..3 {
        stubborn.send(&packet(SSL_REQUEST, b""))?;
        assert_eq!(stubborn.take(1)?, b"N");
    }
    assert_eq!(watch::last_words(&mut stubborn)?, "08P01");
    unimpressed(&scene)
}

#[test]
fn a_query_sent_along_with_the_startup_packet_is_answered() -> Result<()> {
    let scene = Setup::new().toml(TRUST).start()?;
    let mut hasty = Wire::connect(&scene.evenkeel.address())?;
    let startup = packet(VERSION_3_0, b"user\0app\0database\0shop\0\0");
    hasty.send(&[startup, message(b'Q', b"select 'hasty'\0")].concat())?;
    hasty.read_until_ready()?;
    assert_eq!(common::only(&hasty.read_until_ready()?), "hasty");
    unimpressed(&scene)
}

#[test]
fn messages_of_impossible_lengths_end_the_session() -> Result<()> {
    let scene = Setup::new().start()?;
    let impossible: &[&[u8]] = &[
        b"Q\0\0\0\0",
        b"Q\0\0\0\x03",
        b"Q\xff\xff\xff\xff",
        b"Q\x80\0\0\0",
        b"P\x7f\xff\xff\xff",
        b"\0\0\0\0\x04",
        b"z\0\0\0\x04",
        b"p\0\0\0\x05x",
    ];
    for opening in [None, Some("begin")] {
        for bytes in impossible {
            let mut wire = scene.client()?;
            if let Some(opening) = opening {
                wire.query(opening)?;
            }
            wire.send(bytes)?;
            wire.close_write()?;
            let said = wire.read_to_close()?;
            assert!(said.is_empty() || said[0] == b'E', "{bytes:?} was answered {said:?}");
        }
    }
    unimpressed(&scene)
}

#[test]
fn a_text_too_long_to_be_looked_at_passes_as_a_query_and_not_as_a_statement() -> Result<()> {
    let scene = Setup::new().toml("[limits]\nmax_message_size = \"64KiB\"").start()?;
    let text = [b"select length('", &[b'x'; 200_000][..], b"')\0"].concat();
    let mut wire = scene.client()?;
    wire.send_message(b'Q', &text)?;
    assert_eq!(common::only(&wire.read_until_ready()?), "200000");
    // Nobody knows what it did: the connection stays this client's.
    assert_eq!(connections(&scene.evenkeel, "in_use")?, 1);
    wire.terminate()?;
    let mut wire = scene.client()?;
    wire.send(&message(b'P', &[b"\0", &text[..], b"\0\0"].concat())).ok();
    assert_eq!(watch::code(&wire.read()?), "08P01");
    unimpressed(&scene)
}

#[test]
fn a_second_startup_packet_is_no_message() -> Result<()> {
    let scene = Setup::new().start()?;
    let mut wire = scene.client()?;
    assert_eq!(wire.value("select 1")?, "1");
    wire.send(&packet(VERSION_3_0, b"user\0postgres\0database\0postgres\0\0"))?;
    wire.close_write()?;
    let said = wire.read_to_close()?;
    assert!(said.is_empty() || said[0] == b'E', "{said:?}");
    unimpressed(&scene)
}

#[test]
fn a_wrong_password_an_unknown_user_and_a_missing_password_look_the_same() -> Result<()> {
    for method in ["scram-sha-256", "md5", "password"] {
        let scene = Setup::new().toml(&format!("auth = \"{method}\"")).start()?;
        let log_in = |user, password| -> Result<(usize, String)> {
            let mut wire = Wire::connect(&scene.evenkeel.address())?;
            wire.start(&[("user", user), ("database", DATABASE)])?;
            let error = wire.authenticate(user, password).unwrap_err();
            Ok((0, format!("{error:#}").replace(user, "USER")))
        };
        let wrong = log_in(USER, "wrong")?;
        assert!(wrong.1.starts_with("28P01"), "{method}: {wrong:?}");
        assert_eq!(log_in("app2", "wrong")?, wrong, "{method}");
        assert_eq!(log_in("app2", "")?, log_in(USER, "")?, "{method}");
        at_rest(&scene.evenkeel)?;
    }
    Ok(())
}

#[test]
fn an_unknown_database_is_named_only_to_who_has_logged_in() -> Result<()> {
    let scene = Setup::new().start()?;
    let error = scene.evenkeel.client(USER, PASSWORD, "shoop").unwrap_err();
    assert_eq!(sqlstate(&error), "3D000", "{error:#}");
    assert!(!format!("{error:#}").contains("shop"), "a stranger's database is not given away: {error:#}");
    assert_eq!(sqlstate(&scene.evenkeel.client(USER, "wrong", "shoop").unwrap_err()), "28P01");
    assert_eq!(sqlstate(&scene.evenkeel.client(USER, PASSWORD, "evenkeel").unwrap_err()), "42501");
    unimpressed(&scene)
}

#[test]
fn no_password_is_ever_logged() -> Result<()> {
    const WRONG: &str = "not quite open sesame";
    for method in ["scram-sha-256", "md5", "password"] {
        let top = format!("auth = \"{method}\"\n[log]\nlevel = \"trace\"");
        let scene = Setup::new().toml(&top).start()?;
        assert_eq!(scene.client()?.value("select 1")?, "1");
        scene.evenkeel.client(USER, WRONG, DATABASE).unwrap_err();
        scene.evenkeel.client("nobody", WRONG, DATABASE).unwrap_err();
        scene.pg.psql("alter role app password 'changed'")?;
        scene.evenkeel.reload(&Setup::new().toml(&top).budget(3).config(&scene.pg.address()))?;
        watch::until_logged(&scene.evenkeel, "configuration reloaded")?;
        let log = scene.evenkeel.log();
        assert!(log.contains("nobody"), "who was refused is logged");
        assert!(!log.contains("open sesame"), "{method}");
        let (_, page) = scene.evenkeel.http("/metrics")?;
        assert!(!page.contains("open sesame"));
    }
    Ok(())
}

/// What `evenkeel check` says of a configuration, and whether it is content.
fn check(text: &str, options: &[&str]) -> Result<(bool, String)> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("evenkeel.toml");
    fs::write(&file, text)?;
    let output = Command::new(common::binary()).args(["check", "--config"]).arg(&file).args(options).output()?;
    let said = [output.stdout, output.stderr].concat();
    Ok((output.status.success(), String::from_utf8_lossy(&said).into_owned()))
}

const GOOD: &str = "[pool]\nidle_timeout = \"5s\"\n[[servers]]\nname = \"main\"\naddress = \"127.0.0.1:1\"\nbudget = 4\n\
                    [[databases]]\nname = \"shop\"\nserver = \"main\"\n[[users]]\nname = \"app\"\n\
                    password = \"open sesame\"\n[[routes]]\nuser = \"app\"\nguarantee = 3\n";

#[test]
fn a_wrong_configuration_is_refused_with_place_and_remedy() -> Result<()> {
    let (content, said) = check(GOOD, &["--offline"])?;
    assert!(content && said.ends_with("No mistakes found; servers were not asked.\n"), "{said}");
    let wrong: &[(&str, &str, &[&str])] = &[
        ("idle_timeout", "idle_timout", &["evenkeel.toml:2:1", "unknown key", "did you mean `idle_timeout`"]),
        ("\"5s\"", "\"5\"", &["evenkeel.toml:2:16", "no unit", "5s"]),
        ("\"5s\"", "\"5 parsecs\"", &["evenkeel.toml:2:16"]),
        ("\"5s\"", "5", &["evenkeel.toml:2:16"]),
        (
            "name = \"app\"",
            "name = \"app\"\npassword = \"x\"\n[[users]]\nname = \"app\"",
            &["already a user named `app`"],
        ),
        ("budget = 4", "budget = 2", &["guarantees", "add up to 3", "budget is 2"]),
        ("budget = 4", "budget = 0", &["budget"]),
        ("server = \"main\"", "server = \"mian\"", &["mian", "main"]),
        ("address = \"127.0.0.1:1\"", "address = \"127.0.0.1:99999\"", &["address"]),
        ("[pool]", "[pool", &["evenkeel.toml:1"]),
    ];
    for (right, replacement, expected) in wrong {
        let (content, said) = check(&GOOD.replacen(right, replacement, 1), &["--offline"])?;
        assert!(!content, "{replacement} was accepted");
        for text in *expected {
            assert!(said.contains(text), "{replacement}: {text:?} is missing in\n{said}");
        }
        assert!(!said.contains("open sesame"), "{said}");
    }
    Ok(())
}

#[test]
fn check_says_which_server_cannot_be_reached_or_does_not_let_whom_in() -> Result<()> {
    let nobody = Port::reserve()?;
    let (content, said) = check(&GOOD.replace("127.0.0.1:1\"", &format!("127.0.0.1:{}\"", nobody.number())), &[])?;
    assert!(!content);
    assert!(said.contains("server main cannot be reached") && said.contains("Connection refused"), "{said}");
    let pg = Setup::new().postgres()?;
    let config = Setup::new().config(&pg.address());
    let (content, said) = check(&config, &[])?;
    assert!(content && said.contains("app on shop: ok, PostgreSQL"), "{said}");
    assert!(said.ends_with("Everything is as it should be.\n"), "{said}");
    let (content, said) = check(&config.replace(PASSWORD, "wrong sesame"), &[])?;
    assert!(!content && said.contains("password authentication failed"), "{said}");
    assert!(!said.contains("wrong sesame"), "{said}");
    let verifier = pg.psql("select rolpassword from pg_authid where rolname = 'app'")?;
    assert!(verifier.starts_with("SCRAM-SHA-256$"), "{verifier}");
    let (content, said) = check(&config.replace(PASSWORD, verifier.trim()), &[])?;
    assert!(content && said.contains("app on shop: note: cannot be tried before a client has logged in"), "{said}");
    assert!(said.contains("cannot be tried yet: 1.") && !said.contains("failed"), "{said}");
    // What can be tried is not excused: this server asks for no password and has no such database.
    let trusting = Postgres::start(Options::new().user(USER, PASSWORD, Login::Trust))?;
    let config = Setup::new().config(&trusting.address()).replace(PASSWORD, verifier.trim());
    let (content, said) = check(&config, &[])?;
    assert!(!content && said.contains("1 logins failed"), "{said}");
    Ok(())
}

#[test]
fn check_does_not_praise_logins_that_it_did_not_try() -> Result<()> {
    let pg = Setup::new().postgres()?;
    let named = format!("[[databases]]\nname = \"{DATABASE}\"");
    let config = Setup::new().config(&pg.address());
    let all = config.replace(&named, "[[databases]]\nname = \"*\"").replace(PASSWORD, "wrong sesame");
    let (content, said) = check(&all, &[])?;
    assert!(content && said.contains("note: logins behind \"*\" on server main were not tried"), "{said}");
    assert!(said.contains("cannot be tried yet: 1.") && !said.contains("Everything is as"), "{said}");
    // A database with a name on the same server shows whether the users can log in there.
    let both = config.replace(&named, &format!("[[databases]]\nname = \"*\"\nserver = \"main\"\n{named}"));
    let (content, said) = check(&both, &[])?;
    assert!(content && said.ends_with("Everything is as it should be.\n"), "{said}");
    Ok(())
}
