//! `evenkeel import`, from outside, and what it shares with the library.

#![allow(clippy::unwrap_used, reason = "tests: helpers outside #[test] functions too")]

use std::{
    fs,
    process::{Command, Output},
};

const SEED: &str = include_str!("import/druid.xml");

fn evenkeel(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_evenkeel")).args(arguments).env("ROOT_PASSWORD", "123456").output().unwrap()
}

/// What it prints for a file with this text, and the folder that holds it.
fn imported(text: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("source");
    fs::write(&file, text).unwrap();
    let output = evenkeel(&["import", "druid", file.to_str().unwrap()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    (folder, String::from_utf8(output.stdout).unwrap())
}

/// The configuration is taken as it is; what it prints.
fn checked(folder: &tempfile::TempDir, text: &str) -> String {
    let file = folder.path().join("evenkeel.toml");
    fs::write(&file, text).unwrap();
    let output = evenkeel(&["check", "--offline", "--config", file.to_str().unwrap()]);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}\n{text}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_data_source_of_the_page_becomes_a_configuration() {
    let (folder, text) = imported(SEED);
    let summary = checked(&folder, &text);
    assert!(summary.contains("server db: MySQL at ip:3306"), "{summary}");
    assert!(!text.contains("123456"), "{text}");
    for line in [
        "budget = 20                         # maxActive",
        "max = 20                            # maxActive",
        "initial = 3                         # initialSize",
        "min_idle = 3                        # minIdle",
        "checkout_timeout = \"1m\"             # maxWait",
        "max_lifetime = \"10m\"                # phyTimeoutMillis",
        "max_uses = 10000                    # phyMaxUseCount",
        "# ignored: password (secrets are not copied (Druid's may be encrypted): `password_env` names where it is)",
        "# default: testOnBorrow = false (`test_on_checkout` follows from testWhileIdle)",
    ] {
        assert!(text.contains(&format!("\n{line}")), "{line}\n{text}");
    }
    // Every property that the page has is told of.
    let given = SEED.split("<property name=\"").skip(1).map(|rest| rest.split('"').next().unwrap());
    let names: Vec<&str> = given.collect();
    assert_eq!(names.len(), 16);
    for name in names {
        assert!(text.contains(&format!(": {name} = ")) || text.contains(&format!(": {name} (")), "{name}\n{text}");
    }
}

#[test]
fn an_application_that_checked_the_servers_certificate_still_has_it_checked() {
    for (url, tls) in [
        ("jdbc:mysql://db/shop?sslMode=VERIFY_IDENTITY", "verify_full"),
        ("jdbc:mysql://db/shop?useSSL=true&requireSSL=true", "require"),
        ("jdbc:postgresql://db/shop?sslmode=verify-full", "verify_full"),
    ] {
        let (folder, text) = imported(&format!("druid.url={url}\ndruid.username=root\n"));
        assert!(text.contains(&format!("\ntls = \"{tls}\"")), "{text}");
        checked(&folder, &text);
    }
}

#[test]
fn several_sources_and_hostile_texts_stay_apart_and_in_their_lines() {
    let bean = |id: &str, more: &str| {
        format!(
            "<bean id='{id}' class='com.alibaba.druid.pool.DruidDataSource'>\
             <property name='url' value='jdbc:mysql://db/shop'/><property name='username' value='root'/>{more}</bean>"
        )
    };
    let hostile = "<property name='x\n[admin]' value='y\nusers = [\"root\"]'/><property name='maxActive' value='3'/>\
                   <property name='maxActive' value='4'/>";
    let text = format!("<beans>{}{}</beans>", bean("one\n[[users]]", ""), bean("two", hostile));
    let (folder, text) = imported(&text);
    let summary = checked(&folder, &text.replace("[[databases]]\nname = \"shop\"\ncluster = \"shop-2\"", ""));
    assert!(summary.contains("server shop:") && summary.contains("server shop-2:"), "{summary}");
    assert!(text.contains("budget = 4") && !text.contains("\nbudget = 3"), "{text}");
    assert_eq!(text.matches("\n[[users]]").count(), 1, "{text}");
    assert!(!text.contains("\n[admin]"), "{text}");
}

#[test]
fn what_is_no_data_source_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("nothing.toml");
    fs::write(&file, "[pool]\nmax = 5\n").unwrap();
    for (file, says) in [(file.to_str().unwrap(), "no data source of Druid"), ("/no/such/file", "No such file")] {
        let output = evenkeel(&["import", "druid", file]);
        let complaint = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && complaint.contains(says), "{complaint}");
    }
}

/// Keys of `[pool]` that the library has no use for, and keys of the library that the program has elsewhere.
const PROGRAM_ONLY: [&str; 4] = ["mode", "session_state", "max_reserved", "fit"];
const LIBRARY_ONLY: [&str; 5] = ["budget", "close_timeout", "weight", "guarantee", "on_return"];

/// The library has its own list of keys (crate `pool`, feature `serde`): the two must not drift apart.
#[test]
fn the_library_takes_the_keys_of_the_pool_section() {
    let keys = toml::Table::try_from(config::keys::PoolKeys::default()).unwrap();
    for (key, value) in &keys {
        let one = toml::Table::from_iter([(key.clone(), value.clone())]).to_string();
        let taken = toml::from_str::<pool::Options>(&one);
        assert_eq!(taken.is_ok(), !PROGRAM_ONLY.contains(&&**key), "{one}{taken:?}");
    }
    // What it says is known is all of that, and nothing else.
    let known = toml::from_str::<pool::Options>("zzzzzzzzzzzzzzzzzzzzzzzz = 1").unwrap_err().message().to_owned();
    for key in known.split('`').skip(3).step_by(2) {
        assert!(keys.contains_key(key) || LIBRARY_ONLY.contains(&key), "{key} is in the library only");
    }
}
