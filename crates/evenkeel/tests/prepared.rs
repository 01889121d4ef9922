//! Prepared statements of the extended protocol, across transactions on different server connections.

#![allow(clippy::unwrap_used, reason = "tests: helpers outside #[test] functions too")]

mod common;

use common::{Scene, Script, Setup, backend, column, errors, fails_with, only, tags};
use testkit::{Result, Wire};

/// Runs `script` on each of the scene's two server connections.
fn everywhere(scene: &Scene, wire: &mut Wire, script: &Script) -> Result<[Vec<testkit::wire::Message>; 2]> {
    let first = backend(wire)?;
    let one = script.run_on(wire)?;
    let held = scene.hold()?;
    assert_eq!(held.backend(), first, "the connection used last was free");
    let two = script.run_on(wire)?;
    held.release()?;
    Ok([one, two])
}

#[test]
fn a_statement_works_on_every_connection_whatever_it_is_called() -> Result<()> {
    let scene = Setup::new().start()?;
    let mut wire = scene.client()?;
    for name in ["", "plain", "__ek_1", "odd \"name'"] {
        let text = format!("select '{}' || $1::text", name.replace('\'', "''"));
        assert_eq!(tags(&Script::new().parse(name, &text).sync().run_on(&mut wire)?), "1Z");
        let run = Script::new().bind("", name, &["!"]).describe_portal("").execute("", 0).sync();
        if name.is_empty() {
            // Asking which connection it is would end an unnamed statement, so the other one is simply made busy.
            let held = scene.hold()?;
            assert_eq!(only(&run.run_on(&mut wire)?), "!");
            held.release()?;
            continue;
        }
        for messages in everywhere(&scene, &mut wire, &run)? {
            assert_eq!((tags(&messages).as_str(), only(&messages)), ("2TDCZ", format!("{name}!")));
        }
        let described = everywhere(&scene, &mut wire, &Script::new().describe_statement(name).sync())?;
        assert!(described.iter().all(|messages| tags(messages) == "tTZ"), "{described:?}");
    }
    Ok(())
}

#[test]
fn more_statements_than_a_connection_keeps_still_work() -> Result<()> {
    let scene = Setup::new().budget(1).toml("[prepared]\nmax_per_server = 3").start()?;
    let mut wire = scene.client()?;
    let mut prepare = Script::new();
    for n in 0..10 {
        prepare = prepare.parse(&format!("s{n}"), &format!("select {n}"));
    }
    assert_eq!(tags(&prepare.sync().run_on(&mut wire)?), "1111111111Z");
    let mut expected = Vec::new();
    let mut run = Script::new();
    for n in [0, 9, 5, 5, 1, 9, 3, 7, 2, 0, 8, 4, 6] {
        run = run.run(&format!("s{n}"), &[]);
        expected.push(n.to_string());
        if n % 2 == 0 {
            run = run.sync();
        }
    }
    assert_eq!(column(&run.clone().sync().run_on(&mut wire)?), expected, "many in one unit");
    assert_eq!(column(&run.sync().run_on(&mut wire)?), expected);
    let kept = wire.value("select count(*) from pg_prepared_statements")?;
    assert_eq!(kept, "3");
    Ok(())
}

/// Each is within every limit of its own. Ten thousand of them would be more than a machine has.
#[test]
fn no_client_fills_the_memory_with_texts_that_it_prepares() -> Result<()> {
    let scene = Setup::new().start()?;
    let filler = "x".repeat(15 << 20);
    let parse = |n: usize| Script::new().parse(&format!("s{n}"), &format!("select {n} /* {filler} */")).sync();
    let mut wire = scene.client()?;
    for n in 0..4 {
        assert_eq!(tags(&parse(n).run_on(&mut wire)?), "1Z");
    }
    assert_eq!(tags(&Script::new().close_statement("s0").sync().run_on(&mut wire)?), "3Z");
    assert_eq!(tags(&parse(4).run_on(&mut wire)?), "1Z", "what was closed takes no room");
    assert_eq!(only(&Script::new().run("s3", &[]).sync().run_on(&mut wire)?), "3");
    wire.send(parse(5).bytes())?;
    let refused = wire.read()?;
    assert_eq!(refused.field(b'C').as_deref(), Some("53400"), "{refused:?}");
    assert!(refused.field(b'M').unwrap().contains("64 MiB"), "{refused:?}");
    Ok(())
}

#[test]
fn names_are_taken_and_free_as_on_a_server_of_ones_own() -> Result<()> {
    let scene = Setup::new().start()?;
    let mut wire = scene.client()?;
    let parse = |sql| Script::new().parse("s", sql).sync();
    let run = Script::new().run("s", &[]).sync();
    assert_eq!(errors(&run.run_on(&mut wire)?), ["26000"], "unknown");
    assert_eq!(tags(&parse("select 1").run_on(&mut wire)?), "1Z");
    for _ in 0..2 {
        let taken = parse("select 2").run_on(&mut wire)?;
        assert_eq!((tags(&taken).as_str(), errors(&taken)), ("EZ", vec!["42P05".to_owned()]));
        assert_eq!(taken[0].field(b'M').as_deref(), Some("prepared statement \"s\" already exists"));
        assert_eq!(taken[0].field(b'S').as_deref(), Some("ERROR"));
    }
    assert_eq!(errors(&parse("selec").run_on(&mut wire)?), ["42601"], "the text is looked at before the name");
    assert_eq!(only(&run.run_on(&mut wire)?), "1", "the first one stays");
    assert_eq!(tags(&Script::new().close_statement("s").sync().run_on(&mut wire)?), "3Z");
    for messages in everywhere(&scene, &mut wire, &run)? {
        assert_eq!(errors(&messages), ["26000"], "closed");
    }
    assert_eq!(errors(&parse("select * from nowhere").run_on(&mut wire)?), ["42P01"]);
    assert_eq!(errors(&run.run_on(&mut wire)?), ["26000"], "a failed Parse names nothing");
    assert_eq!(tags(&parse("select 3").run_on(&mut wire)?), "1Z");
    for messages in everywhere(&scene, &mut wire, &run)? {
        assert_eq!(only(&messages), "3");
    }
    assert_eq!(tags(&Script::new().close_statement("never").close_portal("never").sync().run_on(&mut wire)?), "33Z");
    // All in one unit, and in a transaction.
    let once = Script::new().close_statement("s").parse("s", "select 4").run("s", &[]).close_statement("s").sync();
    assert_eq!(tags(&once.run_on(&mut wire)?), "312DC3Z");
    wire.query("begin")?;
    let twice = Script::new().parse("s", "select 5").parse("s", "select 6").sync().run_on(&mut wire)?;
    assert_eq!((tags(&twice).as_str(), errors(&twice)), ("1EZ", vec!["42P05".to_owned()]));
    wire.query("rollback")?;
    assert_eq!(only(&run.run_on(&mut wire)?), "5", "statements outlive the transaction that failed");
    Ok(())
}

#[test]
fn a_name_that_is_taken_stays_closed_once_closed() -> Result<()> {
    let scene = Setup::new().start()?;
    let mut wire = scene.client()?;
    wire.query("listen hold_this_session")?;
    Script::new().parse("s", "select 1").sync().run_on(&mut wire)?;
    let taken = Script::new().parse("s", "select 2").sync().run_on(&mut wire)?;
    assert_eq!(errors(&taken), ["42P05"]);
    let gone = Script::new().close_statement("s").sync().run("s", &[]).sync().run_on(&mut wire)?;
    assert_eq!(errors(&gone), ["26000"]);
    Ok(())
}

#[test]
fn a_statement_that_is_known_to_be_good_is_named_without_a_server() -> Result<()> {
    let scene = Setup::new().budget(1).start()?;
    let prepare = Script::new().parse("s", "select 7").close_statement("t").sync();
    assert_eq!(tags(&prepare.run_on(&mut scene.client()?)?), "13Z");
    let held = scene.hold()?;
    let mut wire = scene.client()?;
    assert_eq!(tags(&prepare.run_on(&mut wire)?), "13Z", "while nobody gets a connection");
    held.release()?;
    assert_eq!(only(&Script::new().run("s", &[]).sync().run_on(&mut wire)?), "7");
    Ok(())
}

#[test]
fn sql_and_protocol_agree_on_what_is_deallocated() -> Result<()> {
    let scene = Setup::new().start()?;
    let mut wire = scene.client()?;
    let run = |name: &str| Script::new().run(name, &[]).sync();
    for (name, statement) in
        [("one", "deallocate one"), ("Two", "deallocate prepare \"Two\""), ("three", "DEALLOCATE THREE")]
    {
        Script::new().parse(name, "select 1").sync().run_on(&mut wire)?;
        assert_eq!(only(&run(name).run_on(&mut wire)?), "1");
        wire.query(statement)?;
        for messages in everywhere(&scene, &mut wire, &run(name))? {
            assert_eq!(errors(&messages), ["26000"], "{statement}");
        }
        assert_eq!(fails_with(&mut wire, statement), "26000", "twice");
    }
    for statement in ["deallocate all", "discard all"] {
        let prepare = Script::new().parse("a", "select 1").parse("b", "select 2").sync();
        assert_eq!(tags(&prepare.run_on(&mut wire)?), "11Z", "{statement}");
        wire.query(statement)?;
        for name in ["a", "b"] {
            for messages in everywhere(&scene, &mut wire, &run(name))? {
                assert_eq!(errors(&messages), ["26000"], "{statement}");
            }
        }
        // What is prepared right behind it is not forgotten with it.
        let script = Script::new().query(statement).parse("a", "select 3").sync().run("a", &[]).sync();
        assert_eq!(column(&script.run_on(&mut wire)?), ["3"], "{statement}");
        wire.query(statement)?;
    }
    Ok(())
}

#[test]
fn a_change_of_schema_is_not_noticed_outside_transactions() -> Result<()> {
    let scene = Setup::new().start()?;
    let mut wire = scene.client()?;
    let mut other = scene.client()?;
    wire.query("create table t as select 1 as n")?;
    for named in ["all_of_t", ""] {
        let parse = Script::new().parse(named, "select * from t").sync();
        parse.run_on(&mut wire)?;
        parse.run_on(&mut wire).ok();
        let run = if named.is_empty() { Script::new().parse("", "select * from t") } else { Script::new() };
        let run = run.bind("", named, &[]).describe_portal("").execute("", 0).sync();
        for kind in ["text", "bigint", "numeric", "integer"] {
            for messages in everywhere(&scene, &mut wire, &run)? {
                assert_eq!((errors(&messages), only(&messages)), (vec![], "1".to_owned()), "{kind}");
            }
            other.query(&format!("alter table t alter column n type {kind} using n::{kind}"))?;
        }
    }
    // Inside a transaction it is too late for a second try; the error is the server's.
    Script::new().parse("again", "select * from t").run("again", &[]).sync().run_on(&mut wire)?;
    wire.query("begin")?;
    wire.query("alter table t add column m int")?;
    let late = Script::new().run("again", &[]).sync().run_on(&mut wire)?;
    assert_eq!(errors(&late), ["0A000"]);
    wire.query("rollback")?;
    assert_eq!(only(&Script::new().run("again", &[]).sync().run_on(&mut wire)?), "1");
    Ok(())
}

#[test]
fn statements_of_others_cannot_be_reached_by_guessing_their_names() -> Result<()> {
    let scene = Setup::new().budget(1).start()?;
    let mut owner = scene.client()?;
    assert_eq!(tags(&Script::new().parse("secret", "select 'secret'").sync().run_on(&mut owner)?), "1Z");
    Script::new().parse("", "select 'unnamed secret'").sync().run_on(&mut owner)?;
    let names = owner.query("select name from pg_prepared_statements")?;
    let mut thief = scene.client()?;
    let mut guesses = vec!["secret".to_owned(), String::new()];
    guesses.extend(names.into_iter().map(|mut row| row.remove(0).unwrap()));
    assert!(guesses.len() > 2, "the statement has a name on the server");
    for name in guesses {
        for script in [Script::new().run(&name, &[]).sync(), Script::new().describe_statement(&name).sync()] {
            let messages = script.run_on(&mut thief)?;
            assert_eq!(errors(&messages), ["26000"], "{name}: {messages:?}");
        }
        Script::new().close_statement(&name).sync().run_on(&mut thief)?;
    }
    assert_eq!(only(&Script::new().run("secret", &[]).sync().run_on(&mut owner)?), "secret");
    Ok(())
}

#[test]
fn reuse_of_unnamed_statements_is_exact_about_types_and_errors() -> Result<()> {
    const TEXT: u32 = 25;
    const INT4: u32 = 23;
    let scene = Setup::new().start()?;
    let mut wire = scene.client()?;
    let typed =
        |kind, value| Script::new().parse_typed("", "select pg_typeof($1)::text", &[kind]).run("", &[value]).sync();
    for _ in 0..3 {
        assert_eq!(only(&typed(TEXT, "1").run_on(&mut wire)?), "text");
        assert_eq!(only(&typed(INT4, "1").run_on(&mut wire)?), "integer");
        assert_eq!(errors(&typed(INT4, "one").run_on(&mut wire)?), ["22P02"]);
    }
    let failing = Script::new().parse("", "select * from later").run("", &[]).sync();
    for _ in 0..3 {
        assert_eq!(errors(&failing.run_on(&mut wire)?), ["42P01"]);
    }
    wire.query("create table later as select 'here' as it")?;
    for _ in 0..3 {
        assert_eq!(tags(&failing.run_on(&mut wire)?), "12DCZ");
    }
    wire.query("drop table later")?;
    for _ in 0..3 {
        let messages = failing.run_on(&mut wire)?;
        // As if it had been dropped between Parse and Bind.
        assert!(matches!(tags(&messages).as_str(), "EZ" | "1EZ"), "{messages:?}");
        assert_eq!(errors(&messages), ["42P01"]);
    }
    // The unnamed statement is the last one parsed, and a simple query ends it.
    Script::new().parse("", "select 'first'").sync().parse("", "select 'second'").sync().run_on(&mut wire)?;
    assert_eq!(only(&Script::new().run("", &[]).sync().run_on(&mut wire)?), "second");
    wire.query("select 1")?;
    assert_eq!(errors(&Script::new().run("", &[]).sync().run_on(&mut wire)?), ["26000"]);
    Ok(())
}
