//! Many clients, few server connections, and random lives: nobody ever sees what is another's.

#![allow(clippy::unwrap_used, reason = "tests: helpers outside #[test] functions too")]

mod common;

use std::time::{Duration, Instant};

use common::script::Dice;
use common::{Script, Setup, column, errors};
use testkit::{Result, Wire};

const CLIENTS: u64 = 12;
const BUDGET: u32 = 3;
/// Three users, so that connections also move between routes.
const USERS: [&str; 3] = [common::USER, "clerk", "auditor"];
const RUN: Duration = Duration::from_secs(6);
/// Sessions end and begin anew after about so many steps.
const STEPS_MAX: usize = 40;

/// A client that knows what it must see.
struct Life {
    wire: Wire,
    token: String,
    dice: Dice,
    /// `mine.token` as it set it last; empty when it did not.
    setting: String,
    named: bool,
    /// What it got from the sequence.
    advanced: Vec<String>,
}

impl Life {
    fn begin(address: &str, number: u64, mut dice: Dice) -> Result<Self> {
        let user = USERS[number as usize % USERS.len()];
        let token = format!("client {number} life {}", dice.roll(1_000_000));
        let mut wire = Wire::connect(address)?;
        let setting = if dice.roll(2) == 0 { token.clone() } else { String::new() };
        let mut parameters = vec![("user", user), ("database", common::DATABASE), ("application_name", &token)];
        if !setting.is_empty() {
            parameters.push(("mine.token", &setting));
        }
        wire.start(&parameters)?;
        wire.authenticate(user, common::PASSWORD)?;
        // Who has asked once never sees another's value again, whatever it did before it asks.
        let last = wire.value("select lastval()").unwrap_err();
        assert_eq!(common::sqlstate(&last), "55000", "{last:#}");
        Ok(Self { wire, token, dice, setting, named: false, advanced: Vec::new() })
    }

    /// One random thing that a client does, and whether what it saw was its own.
    fn step(&mut self) -> Result<()> {
        let token = self.token.clone();
        let fresh = format!("{token} {}", self.dice.roll(1000));
        match self.dice.roll(12) {
            0 => {
                self.wire.query(&format!("set mine.token = '{fresh}'"))?;
                self.setting = fresh;
            }
            1 => {
                for text in ["begin", &format!("set mine.token = '{fresh} never'"), "rollback"] {
                    self.wire.query(text)?;
                }
            }
            2 => {
                let script = Script::new().query("select 1/0").query(&format!("set mine.token = '{fresh}'"));
                assert_eq!(errors(&script.run_on(&mut self.wire)?), ["22012"]);
                self.setting = fresh;
            }
            3 => {
                let name = if self.dice.roll(2) == 0 { "" } else { "common_name" };
                let taken = self.named && !name.is_empty();
                let script = Script::new().parse(name, &format!("select '{token}' || $1::text")).sync();
                let parsed = script.then(&Script::new().run(name, &["!"]).sync()).run_on(&mut self.wire)?;
                assert_eq!(column(&parsed), [format!("{token}!")], "{parsed:?}");
                assert_eq!(errors(&parsed).is_empty(), !taken);
                self.named |= !name.is_empty();
            }
            4 if self.named => {
                let run = Script::new().run("common_name", &["?"]).sync().run_on(&mut self.wire)?;
                assert_eq!(column(&run), [format!("{token}?")], "{run:?}");
            }
            5 => {
                let closed = Script::new().close_statement("common_name").sync().run("common_name", &["?"]).sync();
                assert_eq!(errors(&closed.run_on(&mut self.wire)?), ["26000"]);
                self.named = false;
            }
            6 => {
                let create = format!("create temporary table scratch as select '{token}'::text as owner");
                self.wire.query("begin")?;
                self.wire.query(&create)?;
                assert_eq!(self.wire.value("select owner from scratch")?, token);
                self.wire.query(["rollback", "drop table scratch; commit"][self.dice.roll(2)])?;
            }
            7 => {
                let units = 1 + self.dice.roll(20);
                let mut script = Script::new();
                let mut expected = Vec::new();
                for n in 0..units {
                    let value = format!("{token} {n}");
                    script = script.parse("", "select $1::text").run("", &[&value]).sync();
                    expected.push(value);
                }
                assert_eq!(column(&script.run_on(&mut self.wire)?), expected);
            }
            8 => {
                let copied =
                    Script::new().query(&format!("copy (select '{token}') to stdout")).run_on(&mut self.wire)?;
                let data = copied.iter().find(|message| message.tag == b'd').unwrap();
                assert_eq!(data.body, format!("{token}\n").as_bytes());
            }
            9 => {
                // One of its own values, or the error that there is none.
                match self.wire.value("select lastval()") {
                    Ok(value) => assert!(self.advanced.contains(&value), "{value} of {:?}", self.advanced),
                    Err(error) => assert_eq!(common::sqlstate(&error), "55000", "{error:#}"),
                }
            }
            10 => {
                self.wire.query("discard all")?;
                self.named = false;
                // What it came with is what DISCARD leads back to; only a client that had set something then knows it.
                self.setting = self.wire.value("select coalesce(current_setting('mine.token', true), '')")?;
                assert!(self.setting.is_empty() || self.setting == token, "{}", self.setting);
            }
            _ => self.advanced.push(self.wire.value("select nextval('numbers')")?),
        }
        self.look()
    }

    /// Whatever is visible of a session must be this client's.
    fn look(&mut self) -> Result<()> {
        let question = "select current_setting('application_name'), coalesce(current_setting('mine.token', true), ''),
            (select count(*) from pg_listening_channels()), current_user";
        let rows = self.wire.query(question)?;
        let seen: Vec<&str> = rows[0].iter().map(|value| value.as_deref().unwrap_or("null")).collect();
        assert_eq!(seen[..3], [self.token.as_str(), self.setting.as_str(), "0"], "{}", self.token);
        assert!(USERS.contains(&seen[3]));
        Ok(())
    }
}

#[test]
fn nobody_ever_sees_what_is_anothers() -> Result<()> {
    let seed = common::script::seed("ISOLATION_SEED");
    let setup = USERS[1..].iter().fold(Setup::new().budget(BUDGET), |setup, name| setup.user(name));
    let scene = setup
        .toml("[prepared]\nmax_per_server = 4\n[pool]\nreuse = \"least_recent\"\ncheckout_timeout = \"30s\"")
        .start()?;
    scene.pg.psql_in(common::DATABASE, "create sequence numbers; grant all on sequence numbers to public")?;
    let address = scene.evenkeel.address();
    let deadline = Instant::now() + RUN;
    let steps = std::thread::scope(|scope| {
        let lives = (0..CLIENTS).map(|number| {
            let address = &address;
            scope.spawn(move || -> Result<usize> {
                let mut dice = Dice::new(seed + number);
                let mut steps = 0;
                while Instant::now() < deadline {
                    let mut life = Life::begin(address, number, Dice::new(seed + dice.roll(1 << 30) as u64))?;
                    for _ in 0..dice.roll(STEPS_MAX) {
                        life.step()?;
                        steps += 1;
                    }
                    // Some leave in the middle of something.
                    match dice.roll(4) {
                        0 => life.wire.send(Script::new().query("begin").query("set mine.token = 'left'").bytes())?,
                        1 => life.wire.send(Script::new().query("create temporary table scratch (n int)").bytes())?,
                        2 => life.wire.query("listen left_behind").map(drop)?,
                        _ => life.wire.terminate()?,
                    }
                }
                Ok(steps)
            })
        });
        let running: Vec<_> = lives.collect();
        running.into_iter().map(|life| life.join().unwrap()).sum::<Result<usize>>()
    })?;
    println!("{steps} steps");
    assert!(steps > 200, "only {steps} steps in {RUN:?}");
    Ok(())
}
