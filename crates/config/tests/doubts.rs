//! What is not wrong, and yet can hardly be meant, is told in a sentence each.

use config::Config;

/// A user's password, where it is not in question.
const PLAIN: &str = "hunter2";

/// What is told of a file with these sections and keys of its server, and this password of its user.
fn doubts(sections: &str, server: &str, password: &str) -> Vec<String> {
    let text = format!(
        "{sections}\n[[servers]]\nname = \"a\"\naddress = \"db\"\nbudget = 40\n{server}\n[[databases]]\nname = \"*\"\n\
         cluster = \"a\"\n[[users]]\nname = \"app\"\npassword = \"{password}\"\n"
    );
    // An address among the server's keys takes the place of the one above.
    let text = if server.contains("address") { text.replacen("address = \"db\"\n", "", 1) } else { text };
    Config::from_toml(&text, "e.toml").unwrap_or_else(|problems| panic!("{problems}")).doubts()
}

#[test]
fn routes_that_are_never_reached() {
    let app = "[[routes]]\nuser = \"app\"\nweight = 2\n";
    for (sections, said) in [
        (app.repeat(2), Some("routes.1 is never reached: routes.0 takes all of it")),
        (format!("[[routes]]\nweight = 3\n{app}"), Some("routes.1 is never reached: routes.0 takes all of it")),
        (
            format!("{app}[[routes]]\nuser = \"a*\"\n[[routes]]\nuser = \"ap*\"\ndatabase = \"shop\"\ncap = 99"),
            Some("routes.2 is never reached: routes.1 takes all of it"),
        ),
        (format!("{app}[[routes]]\nweight = 3"), None),
        ("[[routes]]\nuser = \"a*\"\n[[routes]]\nuser = \"*p\"".into(), None),
        // The second decides on mode and time limits, and the third on the classes that the first leaves.
        ("[[routes]]\nclass = \"d*\"\nweight = 2\n[[routes]]\nquery_timeout = \"1s\"".into(), None),
        (
            "[[routes]]\nclass = \"*\"\nweight = 2\n[[routes]]\nclass = \"default\"\nweight = 3".into(),
            Some("routes.1 is never reached: routes.0 takes all of it"),
        ),
    ] {
        assert_eq!(doubts(&sections, "", PLAIN), Vec::from_iter(said), "{sections}");
    }
}

#[test]
fn caps_of_routes_that_no_server_lets_them_reach() {
    let other =
        "[[servers]]\nname = \"b\"\naddress = \"db2\"\nbudget = 200\n[[databases]]\nname = \"big\"\nserver = \"b\"\n";
    for (routes, said) in [
        ("cap = 100", None),
        ("database = \"b*\"\ncap = 100", None),
        ("database = \"big\"\ncap = 201", Some("routes.0: cap 201 is above the budget 200 of server `b`")),
        ("database = \"shop\"\ncap = 100", Some("routes.0: cap 100 is above the budget 40 of server `a`")),
        ("database = \"s*\"\ncap = 41", Some("routes.0: cap 41 is above the budget 40 of server `a`")),
        ("database = \"s*\"\ncap = 40", None),
    ] {
        assert_eq!(doubts(&format!("{other}[[routes]]\n{routes}"), "", PLAIN), Vec::from_iter(said), "{routes}");
    }
}

#[test]
fn doors_that_stand_open() {
    let trust = "[listen]\nauth = \"trust\"\n";
    let clear = "[listen]\nauth = \"password\"\n";
    let admin = "[admin]\nusers = [\"app\"]\n";
    for (sections, said) in [
        (trust.into(), None),
        (format!("{trust}postgres = [\"localhost\", \"[::1]:1\", \"/tmp\"]\n{admin}"), None),
        (
            format!("{trust}postgres = [\"127.0.0.1\", \"10.0.0.1\"]"),
            Some("listen.auth is \"trust\": anyone who reaches 10.0.0.1:6432 may be any user"),
        ),
        (
            format!("{trust}mysql = [\"0.0.0.0\"]\n{admin}"),
            Some("listen.auth is \"trust\": anyone who reaches 0.0.0.0:6033 may be any user, operators included"),
        ),
        (clear.into(), None),
        (format!("{clear}mysql = [\"0.0.0.0\"]"), None),
        (
            format!("{clear}postgres = [\"db.internal\"]"),
            Some(
                "listen.auth is \"password\" and [tls] is off: passwords can be read on their way to db.internal:6432",
            ),
        ),
        ("[listen]\nhttp = \"0.0.0.0:9632\"".into(), None),
        (format!("[listen]\nhttp = \"10.0.0.1:9632\"\n{admin}"), None),
        (format!("[listen]\nhttp = \"[fd00::1]:9632\"\n{admin}"), None),
        (
            format!("[listen]\nhttp = \"0.0.0.0:9632\"\n{admin}"),
            Some("listen.http asks for no password: anyone who reaches 0.0.0.0:9632 sees users, databases and clients"),
        ),
    ] {
        assert_eq!(doubts(&sections, "", PLAIN), Vec::from_iter(said), "{sections}");
    }
}

#[test]
fn certificates_that_everyone_must_show_close_a_door() {
    let folder = tempfile::tempdir().unwrap();
    let own = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let write = |name: &str, text: String| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (certificate, key) = (write("c.pem", own.cert.pem()), write("k.pem", own.signing_key.serialize_pem()));
    let with = |auth: &str, tls: &str| {
        let listen = format!("[listen]\nauth = \"{auth}\"\npostgres = [\"0.0.0.0\"]\n");
        let tls =
            format!("[tls]\ncertificate = \"{certificate}\"\nkey = \"{key}\"\nclient_ca = \"{certificate}\"\n{tls}");
        doubts(&format!("{listen}{tls}"), "", PLAIN).len()
    };
    let required = "client_certificates = \"required\"\n";
    assert_eq!(with("trust", &format!("mode = \"require\"\n{required}")), 0);
    assert_eq!(with("trust", "mode = \"require\""), 1);
    assert_eq!(with("trust", &format!("mode = \"prefer\"\n{required}")), 1);
    assert_eq!(with("password", "mode = \"prefer\""), 0);
}

#[test]
fn hashes_that_are_damaged() {
    let said = |hash| {
        format!("user `app`: the password looks like {hash} that is damaged, and is taken as the password itself")
    };
    let (md5, native) = (said("an md5 hash"), said("a mysql_native_password hash"));
    let digits = "0123456789abcdef".repeat(3);
    for (password, said) in [
        ("md5abc".to_owned(), Some(&md5)),
        (format!("md5{}", &digits[..32]), None),
        (format!("md5{}", &digits[..33]), Some(&md5)),
        (format!("md5{}", digits[..32].to_uppercase()), Some(&md5)),
        (format!("md5{}x", &digits[..31]), Some(&md5)),
        ("*abc".to_owned(), Some(&native)),
        (format!("*{}", &digits[..40]), None),
        (format!("*{}x", &digits[..39]), Some(&native)),
        ("md5".into(), None),
        ("md5 is no hash".into(), None),
        ("*secret*".into(), None),
    ] {
        let found = doubts("", "", &password);
        assert_eq!(found, Vec::from_iter(said.cloned()), "{password}");
        assert!(found.iter().all(|said| !said.contains(&password)));
    }
    let elsewhere = "[admin]\nusers = [\"ops\"]\npassword = \"md5a\"\n[[databases]]\nname = \"x\"\nserver = \"a\"\n\
                     server_user = \"root\"\nserver_password = \"*a\"\n[[users]]\nname = \"b\"\npassword = \"x\"\n\
                     server_password = \"*b\"";
    let whose: Vec<_> =
        doubts(elsewhere, "", PLAIN).iter().map(|said| said.split(" looks").next().unwrap().to_owned()).collect();
    assert_eq!(
        whose,
        ["user `b`: the password for the server", "database `x`: the password for the server", "[admin]: the password"]
    );
}

#[test]
fn a_server_at_the_port_of_the_other_protocol() {
    for (server, said) in [
        (
            "address = \"db:3306\"",
            Some("server `a`: port 3306 with protocol `postgres`: did you mean `protocol = \"mysql\"`?"),
        ),
        (
            "address = \"db:5432\"\nprotocol = \"mysql\"",
            Some("server `a`: port 5432 with protocol `mysql`: did you mean `protocol = \"postgres\"`?"),
        ),
        ("address = \"db:5433\"", None),
        ("address = \"/tmp:3306\"", None),
    ] {
        assert_eq!(doubts("", server, PLAIN), Vec::from_iter(said), "{server}");
    }
}
