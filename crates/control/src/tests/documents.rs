//! The pages written from the source keep up with it. `EVENKEEL_BLESS=1 cargo test -p evenkeel-control` writes them anew.

use std::path::Path;

use crate::reference;

fn is_up_to_date(path: &str, text: &str) {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs")).join(path);
    if std::env::var_os("EVENKEEL_BLESS").is_some() {
        std::fs::write(&path, text).expect("documents can be written");
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == text, "{} is out of date: EVENKEEL_BLESS=1 cargo test -p evenkeel-control", path.display());
}

#[test]
fn the_page_on_the_console_is_up_to_date() {
    is_up_to_date("console.md", &reference::console_page());
}

#[test]
fn the_page_on_metrics_is_up_to_date() {
    is_up_to_date("metrics.md", &reference::metrics_page());
}
