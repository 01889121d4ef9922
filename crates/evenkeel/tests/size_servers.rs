//! `evenkeel size` on real servers: it watches a node under load, and measures a server itself. What it advises is judged
//! by `cargo xtask bench sizing`, which has the time; here it is that it works, and what it says.

#![allow(clippy::unwrap_used, reason = "tests: helpers outside #[test] functions too")]

mod common;

use std::{
    fs,
    process::{Command, Output},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use common::{DATABASE, PASSWORD, Setup, USER, binary};
use config::Config;
use testkit::mysql::{Kind, Login, Options, for_each_server, skipped};
use testkit::{Evenkeel, MyWire, Result, Speaks, Wire, poll_until};

/// Runs `evenkeel size` with these arguments.
fn size(arguments: &[&str]) -> Output {
    Command::new(binary()).arg("size").args(arguments).output().unwrap()
}

/// What it prints when all is well.
fn answer(arguments: &[&str]) -> String {
    let output = size(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// What it complains of.
fn complaint(arguments: &[&str]) -> String {
    let output = size(arguments);
    assert!(!output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stderr).unwrap()
}

fn has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
}

/// The lines of the last section, without their indent: what is to be pasted.
fn pasted(text: &str) -> String {
    let (_, section) = text.split_once("\nTo paste\n").unwrap();
    let lines = section.lines().take_while(|line| line.is_empty() || line.starts_with("  "));
    lines.map(|line| line.trim_start_matches("  ")).collect::<Vec<_>>().join("\n") + "\n"
}

/// What clients that work share with the test.
#[derive(Default)]
struct Shift {
    /// Clients that have had their first answer.
    begun: AtomicUsize,
    over: AtomicBool,
}

impl Shift {
    /// Works until the shift is over.
    fn work(&self, mut ask: impl FnMut() -> Result<()>) -> Result<()> {
        ask()?;
        self.begun.fetch_add(1, Ordering::Relaxed);
        while !self.over.load(Ordering::Relaxed) {
            ask()?;
        }
        Ok(())
    }
}

/// Ends the shift, also when the test fails: else it would never end.
struct Bell<'a>(&'a Shift);

impl Drop for Bell<'_> {
    fn drop(&mut self) {
        self.0.over.store(true, Ordering::Relaxed);
    }
}

/// Runs `watch` while a number of clients work without a pause, each in a thread of its own.
fn while_busy<T>(clients: usize, client: impl Fn(&Shift) -> Result<()> + Sync, watch: impl FnOnce() -> T) -> T {
    let shift = Shift::default();
    thread::scope(|scope| {
        let bell = Bell(&shift);
        let threads: Vec<_> = (0..clients).map(|_| scope.spawn(|| client(&shift))).collect();
        let begun = || Ok((shift.begun.load(Ordering::Relaxed) == clients).then_some(()));
        poll_until(Duration::from_secs(30), "all clients to begin", begun).unwrap();
        let seen = watch();
        drop(bell);
        threads.into_iter().for_each(|thread| thread.join().unwrap().unwrap());
        seen
    })
}

/// What a node says that was watched for 2 s, as a configuration with its rest.
fn judge(evenkeel: &Evenkeel, protocol: &str) -> (String, Config) {
    let folder = tempfile::tempdir().unwrap();
    let svg = folder.path().join("waits.svg");
    let url = format!("http://127.0.0.1:{}", evenkeel.ports().http());
    let text = answer(&[
        "--from",
        &url,
        "--seconds",
        "2",
        "--target-wait",
        "1ms",
        "--for",
        "hikaricp",
        "--apps",
        "2",
        "--svg",
        svg.to_str().unwrap(),
    ]);
    has(
        &text,
        &[
            &format!("{url}, watched for 2 s\n\nServer main at 127.0.0.1:"),
            "\nBudget: ",
            "the fewest with which 99 % of the statements wait at most 1 ms\n",
            "Seen: 99 % waited at most ",
            // The node has asked the server for its limit.
            "connections that pools may hold to one server; ",
            "Routes, the busiest first\n",
            "connections busy on average (Little's law)",
            " connections\n",
            "maximumPoolSize=",
        ],
    );
    assert!(fs::read_to_string(svg).unwrap().contains("main: What 99 % wait at most"));
    let fragment = pasted(&text);
    let rest =
        format!("[[databases]]\nname = \"*\"\nserver = \"main\"\n[[users]]\nname = \"{USER}\"\npassword = \"x\"\n");
    let config = Config::from_toml(&(fragment.clone() + &rest), "pasted").unwrap();
    let server = &config.table().servers()[0];
    assert_eq!(
        (&*server.name, server.protocol.to_string().to_lowercase().contains(&protocol[..5])),
        ("main", true),
        "{fragment}"
    );
    // Four clients that each keep a connection for 20 ms or more, without a pause.
    assert!((4..=40).contains(&server.budget), "{text}");
    (text, config)
}

#[test]
fn a_postgres_node_is_watched_and_its_server_measured() -> Result<()> {
    let setup = Setup::new().budget(20).server_toml("classes = { transaction = 7, oltp = 12 }");
    let scene = setup.start()?;
    let url = format!("http://127.0.0.1:{}", scene.evenkeel.ports().http());
    has(&answer(&["--from", &url, "--seconds", "1"]), &["nothing to size: nobody used it"]);
    let address = scene.evenkeel.address();
    let client = |shift: &Shift| {
        let mut wire = Wire::log_in(&address, USER, PASSWORD, DATABASE)?;
        shift.work(|| wire.query("select pg_sleep(0.02)").map(drop))?;
        wire.terminate()
    };
    let (text, config) = while_busy(4, client, || judge(&scene.evenkeel, "postgresql"));
    has(&text, &["Classes, in the order in which they are asked\n", "it had nothing to do: as it is"]);
    let classes = &config.table().servers()[0].classes;
    let cap = |name: &str| classes.list().iter().find(|class| &*class.name == name).unwrap().cap.unwrap();
    assert!((4..=40).contains(&cap("oltp")) && cap("transaction") == 7, "{text}");

    let server = scene.pg.url(USER, DATABASE)?;
    measured(&server, "select pg_sleep(0.001 * :n)", "select 1 from nowhere")?;
    measured_with("pgbench", &server, "select pg_sleep(0.001);\n")
}

#[test]
fn a_mysql_node_is_watched_and_its_server_measured() -> Result<()> {
    let options = Options::new().user(USER, PASSWORD, Login::Usual).database(DATABASE);
    for_each_server(&options, |server| {
        let config = format!(
            "[[servers]]\nname = \"main\"\nprotocol = \"mysql\"\naddress = \"{}\"\nbudget = 20\n[[databases]]\n\
             name = \"{DATABASE}\"\nserver = \"main\"\n[[users]]\nname = \"{USER}\"\npassword = \"{PASSWORD}\"\n",
            server.address()
        );
        let evenkeel = Evenkeel::start_for(Speaks::MySql, binary(), &config)?;
        let address = evenkeel.mysql_address();
        let client = |shift: &Shift| {
            let mut wire = MyWire::log_in(&address, USER, PASSWORD, Some(DATABASE))?;
            shift.work(|| wire.query("do sleep(0.02)").map(drop))?;
            wire.quit()
        };
        while_busy(4, client, || judge(&evenkeel, "mysql"));
        let url = format!("mysql://{USER}:{}@{}/{DATABASE}", PASSWORD.replace(' ', "%20"), server.address());
        measured(&url, "do sleep(0.001 * :n)", "select 1 from nowhere")?;
        // The other one is no different to sysbench.
        if server.kind() == Kind::MariaDb { measured_with("sysbench", &url, SYSBENCH) } else { Ok(()) }
    })
}

/// A script of sysbench's that needs no tables.
const SYSBENCH: &str = "function thread_init() con = sysbench.sql.driver():connect() end\n\
                        function event() con:query('do sleep(0.001)') end\n\
                        function thread_done() con:disconnect() end\n";

/// Measures a server with a tool that is not ours, if it is installed.
fn measured_with(tool: &str, url: &str, script: &str) -> Result<()> {
    if Command::new(tool).arg("--version").output().is_err() {
        skipped(tool, "it is not installed");
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("script");
    fs::write(&path, script)?;
    let script = path.to_str().unwrap();
    // Three numbers of connections at least, each twice, each for a second: what the tools can do at least.
    let text = answer(&["--measure", url, "--script", script, "--with", tool, "--up-to", "3", "--seconds", "2"]);
    has(&text, &["Knee: ", "\nBudget: ", "connections,throughput,latency\n  1,"]);
    let told = complaint(&["--measure", url, "--script", "nowhere.lua", "--with", tool, "--seconds", "1"]);
    has(&told, &[&format!("--measure: {tool} ended with"), "nowhere"]);
    assert!(!told.contains("sesame"), "{told}");
    Ok(())
}

/// Measures a server with a script of two statements, and sees a wrong one told.
fn measured(url: &str, statement: &str, wrong: &str) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let script = file("script.sql", &format!("\\set n random(1, 3)\nbegin;\n{statement};\ncommit;\n"));
    let svg = folder.path().join("knee.svg");
    let output = size(&[
        "--measure",
        url,
        "--script",
        &script,
        "--up-to",
        "4",
        "--seconds",
        "1",
        "--svg",
        svg.to_str().unwrap(),
    ]);
    let (text, progress) = (String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?);
    assert!(output.status.success(), "{progress}");
    // Each number of connections on the way up, and again on the way down.
    assert_eq!(progress.matches(" connections: ").count(), 8, "{progress}");
    has(
        &text,
        &[
            "Knee: ",
            "Curve: λ = ",
            "Confidence: ",
            "\nBudget: ",
            "Measured (as a file for --points)\n  connections,throughput,latency\n",
        ],
    );
    assert!(fs::read_to_string(svg)?.matches("<circle").count() == 8);
    // What was measured can be read again, with the same answer.
    let (_, csv) = text.split_once("Measured (as a file for --points)\n").unwrap();
    let csv: String =
        csv.lines().take_while(|line| line.starts_with("  ")).map(|line| line.trim().to_owned() + "\n").collect();
    has(&answer(&["--points", &file("points.csv", &csv)]), &["\nBudget: "]);

    let script = file("wrong.sql", &format!("{wrong};\n"));
    let told = complaint(&["--measure", url, "--script", &script]);
    has(&told, &["--measure: --script: ", wrong, "nowhere"]);
    assert!(!told.contains("sesame"), "{told}");
    Ok(())
}
