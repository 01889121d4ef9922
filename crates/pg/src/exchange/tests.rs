//! Transcripts: `>` notes what was sent, `<` what the server answered, as type bytes.

use super::*;
use Audience::{Client, Us};

fn parse(audience: Audience) -> Expect {
    Expect::Parse { audience, statement: None, name: None }
}

/// Feeds the server's messages; returns which of them the client saw, with `1` and `3` of our own making in place.
fn feed(exchange: &mut Exchange, tags: &str) -> String {
    let mut shown = String::new();
    for tag in tags.bytes() {
        let body: &[u8] = if tag == b'Z' { b"I" } else { b"" };
        let reply = exchange.handle(tag, body).unwrap_or_else(|error| panic!("{}: {error}", char::from(tag)));
        if reply.audience == Client {
            shown.push(char::from(tag));
        }
        while let Some(fake) = exchange.poll_fake() {
            shown.push(if matches!(fake, Expect::FakeParse { .. }) { '1' } else { '3' });
        }
    }
    shown
}

fn with(expects: impl IntoIterator<Item = Expect>) -> Exchange {
    let mut exchange = Exchange::default();
    for expect in expects {
        exchange.expect(expect);
    }
    exchange
}

#[test]
fn a_simple_query_ends_with_ready() {
    let mut exchange = with([Expect::Query(Client)]);
    assert!(!exchange.is_settled());
    assert_eq!(feed(&mut exchange, "TDDCTDCZ"), "TDDCTDCZ");
    assert!(exchange.is_settled());
}

#[test]
fn what_we_asked_is_not_shown() {
    let mut exchange = with([Expect::Query(Us), parse(Us), Expect::Bind, Expect::Execute, Expect::Sync(Client)]);
    assert_eq!(feed(&mut exchange, "CSCZ12DCZ"), "2DCZ");
    assert!(exchange.is_settled());
}

#[test]
fn our_own_replies_come_in_their_place() {
    let mut exchange = with([
        Expect::FakeParse { name: None },
        Expect::Bind,
        Expect::FakeClose { closed: None },
        Expect::Execute,
        Expect::Sync(Client),
    ]);
    assert!(matches!(exchange.poll_fake(), Some(Expect::FakeParse { .. })));
    assert_eq!(feed(&mut exchange, "2DCZ"), "23DCZ");
}

#[test]
fn an_error_skips_to_sync_and_only_to_there() {
    let mut exchange =
        with([parse(Client), Expect::Bind, Expect::Execute, Expect::Sync(Client), Expect::Bind, Expect::Sync(Client)]);
    assert_eq!(feed(&mut exchange, "E"), "E");
    assert_eq!(exchange.take_skipped().count(), 3);
    assert_eq!(feed(&mut exchange, "Z2Z"), "Z2Z");
    assert!(exchange.is_settled());
}

#[test]
fn after_an_error_without_sync_what_follows_is_skipped_even_a_query() {
    let mut exchange = with([parse(Client)]);
    feed(&mut exchange, "E");
    assert!(!exchange.is_settled());
    exchange.expect(Expect::Query(Client));
    exchange.expect(Expect::Bind);
    assert!(exchange.skips());
    assert_eq!(exchange.take_skipped().count(), 3);
    exchange.expect(Expect::Sync(Client));
    exchange.expect(Expect::Query(Client));
    assert_eq!(feed(&mut exchange, "ZCZ"), "ZCZ");
    assert!(exchange.is_settled());
}

#[test]
fn copy_in_of_a_simple_query_waits_for_the_client() {
    let mut exchange = with([Expect::Query(Client)]);
    feed(&mut exchange, "G");
    assert!(exchange.takes_copy_data());
    exchange.expect(Expect::CopyEnd);
    assert!(!exchange.takes_copy_data());
    feed(&mut exchange, "CZ");
    assert!(exchange.is_settled());
}

#[test]
fn sync_sent_before_copy_data_is_ignored_by_the_server() {
    // libpq's PQexecParams of COPY FROM: Sync goes out with the command, and again after the data.
    let mut exchange = with([parse(Client), Expect::Bind, Expect::Describe, Expect::Execute, Expect::Sync(Client)]);
    assert_eq!(feed(&mut exchange, "12nG"), "12nG");
    exchange.expect(Expect::CopyEnd);
    exchange.expect(Expect::Sync(Client));
    assert_eq!(feed(&mut exchange, "CZ"), "CZ");
    assert!(exchange.is_settled());
}

#[test]
fn copy_data_sent_ahead_ends_where_the_client_said() {
    let mut exchange = with([
        Expect::Bind,
        Expect::Execute,
        Expect::CopyEnd,
        Expect::Sync(Client),
        Expect::Bind,
        Expect::Sync(Client),
    ]);
    assert_eq!(feed(&mut exchange, "2GCZ2Z"), "2GCZ2Z");
    assert!(exchange.is_settled());
}

#[test]
fn a_unit_without_its_sync_is_not_settled() {
    let mut exchange = with([Expect::Bind, Expect::Execute]);
    assert_eq!(feed(&mut exchange, "2C"), "2C");
    assert!(exchange.owes_nothing() && !exchange.is_settled());
    exchange.expect(Expect::Sync(Client));
    feed(&mut exchange, "Z");
    assert!(exchange.is_settled());
    // The Sync that COPY ignored ended nothing.
    let mut exchange = with([Expect::Bind, Expect::Execute, Expect::Sync(Client)]);
    feed(&mut exchange, "2G");
    exchange.expect(Expect::CopyEnd);
    feed(&mut exchange, "C");
    assert!(!exchange.is_settled());
}

#[test]
fn a_failed_copy_leaves_late_data_without_effect() {
    let mut exchange = with([Expect::Query(Client)]);
    feed(&mut exchange, "GEZ");
    exchange.expect(Expect::CopyEnd);
    assert!(exchange.is_settled());
}

#[test]
fn copy_out_streams_to_the_client() {
    let mut exchange = with([Expect::Query(Client)]);
    assert_eq!(feed(&mut exchange, "HdddcCZ"), "HdddcCZ");
    assert!(exchange.is_settled());
}

#[test]
fn a_reply_that_nobody_asked_for_is_an_error() {
    for tag in [b'D', b'C', b'1', b'2', b'3', b'Z', b'E', b'G', b'T', b'V', b'?'] {
        assert!(Exchange::default().handle(tag, b"I").is_err(), "{}", char::from(tag));
    }
    assert!(with([Expect::Bind]).handle(b'C', b"").is_err());
    assert!(with([Expect::Query(Client)]).handle(b'2', b"").is_err());
    assert!(with([Expect::Sync(Client)]).handle(b'Z', b"?").is_err());
    assert!(Exchange::default().handle(b'N', b"").is_ok());
}

#[test]
fn the_transaction_state_is_the_last_one_said() {
    let mut exchange = with([Expect::Query(Client), Expect::Query(Client)]);
    exchange.handle(b'Z', b"T").unwrap();
    assert_eq!(exchange.transaction(), Transaction::Open);
    exchange.handle(b'Z', b"E").unwrap();
    assert_eq!(exchange.transaction(), Transaction::Failed);
}
