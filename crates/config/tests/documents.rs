//! The documents that are written from the keys, and the example, keep up with them.
//!
//! `EVENKEEL_BLESS=1 cargo test -p evenkeel-config` writes them anew.

use std::path::PathBuf;

use config::{Config, reference};

fn at_root(path: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join(path)
}

fn is_up_to_date(path: &str, text: &str) {
    let path = at_root(path);
    if std::env::var_os("EVENKEEL_BLESS").is_some() {
        let folder = path.parent().expect("a document has a folder");
        std::fs::create_dir_all(folder).and_then(|()| std::fs::write(&path, text)).expect("documents can be written");
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == text, "{} is out of date: EVENKEEL_BLESS=1 cargo test -p evenkeel-config", path.display());
}

#[test]
fn the_reference_is_up_to_date() {
    is_up_to_date("docs/reference/config.md", &reference::page());
}

#[test]
fn the_schema_is_up_to_date() {
    let schema = serde_json::to_string_pretty(&reference::schema()).unwrap();
    is_up_to_date("docs/reference/config.schema.json", &(schema + "\n"));
}

#[test]
fn every_key_is_documented() {
    for line in reference::page().lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.replace("\\|", "/").leak().split(" | ").collect();
        assert_eq!(cells.len(), 4, "{line}");
        assert!(cells.iter().all(|cell| !cell.trim_matches(['|', ' ']).is_empty()), "{line}");
        assert_ne!(cells[1], "value", "{line}");
    }
}

#[test]
fn the_example_is_a_configuration() {
    let path = at_root("evenkeel.example.toml");
    let config = Config::load(&path).unwrap_or_else(|error| panic!("{error}"));
    let route = config.table().resolve("app", "shop").unwrap();
    assert_eq!((route.terms.limits.weight, route.terms.limits.guarantee, route.terms.limits.cap), (3, 5, Some(30)));
    let text = std::fs::read_to_string(path).unwrap();
    for (section, _) in reference::schema()["properties"].as_object().unwrap() {
        assert!(text.contains(&format!("[{section}]")), "the example lacks [{section}]");
    }
}

#[test]
fn what_the_page_on_classes_shows_can_be_pasted() {
    let page = std::fs::read_to_string(at_root("docs/classes.md")).unwrap();
    let blocks: Vec<&str> = page.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(blocks.len() > 5, "the page has examples");
    for block in blocks {
        let server = "[[servers]]\nname = \"other\"\naddress = \"db\"\nbudget = 400\nclasses = \"vttablet\"\n";
        let rest = "[[databases]]\nname = \"*\"\nserver = \"other\"\n[[users]]\nname = \"app\"\npassword = \"x\"\n";
        let text = format!("{block}\n{server}{rest}");
        Config::from_toml(&text, "docs/classes.md").unwrap_or_else(|problems| panic!("{block}\n{problems}"));
    }
}
