//! `evenkeel size`, from outside: what it prints, and what it says to wrong input.

#![allow(clippy::unwrap_used, reason = "tests: helpers outside #[test] functions too")]

use std::{
    fs,
    process::{Command, Output},
};

/// Runs `evenkeel size` with these arguments, separated by spaces.
fn size(arguments: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_evenkeel")).arg("size").args(arguments.split_whitespace()).output().unwrap()
}

/// What it prints when all is well.
fn answer(arguments: &str) -> String {
    let output = size(arguments);
    assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// What it complains of.
fn complaint(arguments: &str) -> String {
    let output = size(arguments);
    assert!(!output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stdout));
    assert!(output.stdout.is_empty(), "{arguments}: {}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stderr).unwrap()
}

/// What it complains of when the answer itself is well.
fn complaint_after_answer(arguments: &str) -> String {
    let output = size(arguments);
    assert!(!output.status.success() && !output.stdout.is_empty(), "{arguments}");
    String::from_utf8(output.stderr).unwrap()
}

fn has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
}

/// Points on a curve whose knee is 20 to 31 connections.
const POINTS: &str = "connections,throughput\n1,1000\n2,1958.86\n4,3752.35\n8,6849.32\n16,11267.61\n32,15122.87\n\
                      44,15680.68\n64,14967.26\n128,10970.17\n";

/// A file of points that is there for as long as the folder is.
fn points(text: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("points.csv");
    fs::write(&file, text).unwrap();
    let name = file.to_str().unwrap().to_owned();
    (folder, name)
}

#[test]
fn examples_are_worked_out() {
    has(
        &answer("examples"),
        &[
            "\n  25 connections\n",
            "= 100 × MIN(1,024, 1,024) × 2 = 204,800\n",
            "\n  2,000 connections on 2 nodes\n",
            "= 400,000 / 200 = 2,000\n",
            "= 2,000 × 1.5 = 3,000\n",
            "= 20 × 2 + 16 + 200 + 20 + 40 + 3 + 7 = 326\n",
            "--queryserver-config-stream-pool-size\n",
            "= 20 × 0.4 = 8\n",
        ],
    );
}

#[test]
fn needs_are_answered() {
    let text = answer("--qps 5000 --response-time 5ms --target-wait 1ms --instances 3 --slots 1024 --limit 200");
    has(
        &text,
        &[
            "Budget: 15 connections of each of 3 instances, 45 in all\n",
            "the fewest with which 99 % of the statements wait at most 1 ms",
            "99 % wait at most 738.2 µs",
            "Room: 45 of the 197 connections that pools may hold to one server; 152 are left\n",
            "= 5,000 × 5 ms = 25\n",
            "budget = 15\n",
        ],
    );
    has(
        &answer("--qps 5k --response-time 5ms --target-wait 1ms --headroom 2"),
        &["Budget: 50 connections to the server\n"],
    );
}

#[test]
fn the_applications_pool_stands_in_front() {
    let text =
        answer("--qps 5000 --response-time 5ms --target-wait 1ms --instances 3 --limit 200 --apps 10 --for druid");
    has(
        &text,
        &[
            " 70 to Evenkeel\n",
            " 45 to the server\n",
            " 200 for pools\n",
            "<property name=\"maxActive\" value=\"7\" />\n",
            "<property name=\"phyMaxUseCount\" value=\"10000\" />\n",
        ],
    );
}

#[test]
fn tasks_have_a_floor() {
    has(
        &answer("--qps 50 --response-time 10ms --target-wait 10ms --tasks 8 --connections-each 2"),
        &["Budget: 9 connections to the server\n", "cannot block one another for ever", "= 8 × (2 - 1) + 1 = 9\n"],
    );
}

#[test]
fn plots_are_written_as_svg() {
    let (folder, file) = points(POINTS);
    let svg = folder.path().join("plot.svg");
    answer(&format!("--qps 500 --response-time 5ms --points {file} --svg {}", svg.display()));
    let text = fs::read_to_string(&svg).unwrap();
    assert!(text.starts_with("<svg ") && text.ends_with("</svg>\n"), "{text}");
    assert_eq!((text.matches("<polyline").count(), text.matches("<circle").count()), (2, 9));
    has(
        &complaint_after_answer(&format!("--points {file} --svg /nonexistent/plot.svg")),
        &["--svg: cannot write /nonexistent/plot.svg"],
    );
}

#[test]
fn what_cannot_be_done_is_told() {
    has(
        &answer("--qps 5000 --response-time 5ms --limit 23"),
        &[
            "Expected: clients wait without end\n",
            "this cannot be done: 25 connections of a pool would be busy on average, it may have 20",
            "servers would do",
        ],
    );
    has(&complaint("--qps 5000 --response-time 5ms --limit 23 --instances 30"), &["30 instances need one each"]);
    has(
        &complaint("--qps 1000000k --response-time 1s"),
        &["--response-time", "more than 100,000 cannot be worked out"],
    );
}

#[test]
fn measured_points_show_their_knee() {
    let (_folder, file) = points(POINTS);
    has(
        &answer(&format!("--points {file} --instances 2")),
        &[
            "Knee: 20 to 31 connections to one server\n",
            "Confidence: good",
            " └───",
            "[----",
            "Budget: 15 connections of each of 2 instances, 30 in all\n",
        ],
    );
    has(
        &answer(&format!("--points {file} --limit 20")),
        &["Budget: 17 connections to the server\n", "all that the server lets in"],
    );
}

#[test]
fn a_knee_limits_what_needs_ask_for() {
    let (_folder, file) = points(POINTS);
    has(
        &answer(&format!("--qps 5000 --response-time 5ms --points {file}")),
        &[
            "Budget: 31 connections to the server\n",
            "the wait is longer than asked for: a pool would need 39, more than the server allows (the knee of its throughput)",
        ],
    );
}

#[test]
fn a_mysql_application_gets_a_mysql_server_to_paste() {
    let load = "--qps 5000 --response-time 5ms --limit 200";
    for arguments in ["--for druid", "--for hikaricp --protocol mysql", "--protocol mysql"] {
        let text = answer(&format!("{load} {arguments}"));
        has(
            &text,
            &[
                "protocol = \"mysql\"\n",
                "address = \"db-1.example:3306\"",
                "of the 200 connections that pools may hold",
            ],
        );
        assert!(!text.contains("5432"), "{text}");
    }
    for arguments in ["", "--for hikaricp", "--for druid --protocol postgres"] {
        let text = answer(&format!("{load} {arguments}"));
        has(&text, &["address = \"db-1.example:5432\"", "of the 197 connections that pools may hold"]);
        assert!(!text.contains("3306"), "{text}");
    }
    has(&answer(&format!("{load} --for druid --reserve 10")), &["of the 190 connections that pools may hold"]);
}

#[test]
fn wrong_input_names_the_argument_and_the_nearest_right_one() {
    for (arguments, told) in [
        ("--qps 5000qps --response-time 5ms", "'--qps <N>': a number is expected: did you mean 5000?"),
        ("--qps 5000 --response-time 5", "'--response-time <TIME>': the unit is missing: did you mean 5ms?"),
        (
            "--qps 5000 --response-time 5ms --percentile 0.99",
            "'--percentile <PERCENT>': percent are meant: did you mean 99?",
        ),
        ("--qps 5000 --response-time 5ms --servers 0", "'--servers <N>': not between 1 and 1000; the nearest is 1"),
        (
            "--qps 5000 --response-time 5ms --headroom -1",
            "'--headroom <FACTOR>': not between 1 and 10; the nearest is 1",
        ),
        ("--qps 5000 --responce-time 5ms", "--response-time"),
        ("--qps 5000", "--response-time <TIME>"),
        ("exampels", "examples"),
        ("--instances 2", "nothing to size: give --qps and --response-time, or --from URL, or --points FILE"),
        ("--points /nonexistent/points.csv", "--points: cannot open /nonexistent/points.csv"),
        ("--from https://db-1", "--from: a node answers http:// only"),
        ("--from http://127.0.0.1:1", "--from: http://127.0.0.1:1/api/servers: "),
        ("--qps 5000 --response-time 5ms --from http://127.0.0.1:1", "cannot be used with"),
        ("--measure postgres://a:b@h/d", "--script <FILE>"),
        ("--measure oracle://a:b@h/d --script x.sql", "--measure: URL 1: scheme"),
        ("--measure mysql://a:sesame@h/d --script x.sql --with pgbench", "--with pgbench measures the other protocol"),
        ("--measure mysql://a:sesame@h/d --script /nonexistent/x.sql", "--script: cannot read /nonexistent/x.sql"),
        ("--measure postgres://a:b@h/d --script x.sql --up-to 2", "'--up-to <N>': not between 3 and 10000"),
        ("--qps 5000 --response-time 5ms --tasks 3", "--connections-each <N>"),
        ("--qps 5000 --response-time 5ms --for hikari", "hikaricp"),
        ("--for go", "--qps <N>"),
    ] {
        has(&complaint(arguments), &[told]);
    }
}

#[test]
fn files_that_are_no_points_are_told_with_their_line() {
    for (text, told) in [
        ("connections,thruput\n1,2\n", "line 1: unknown column `thruput`: did you mean `throughput`?"),
        ("1,955\n2,x\n", "line 2: throughput: `x`"),
        ("1,955\n", "at least 3 different numbers of connections, not 1"),
        ("\u{0}\n", "line 1: connections"),
    ] {
        let (_folder, file) = points(text);
        has(&complaint(&format!("--points {file}")), &["--points", "points.csv", told]);
    }
}
