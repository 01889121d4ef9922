//! `evenkeel import`: settings of other pools, as a configuration to start from.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    io::{self, Read, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result};
use clap::Subcommand;
use pool::druid::{self, Import, Note, Place, Setting};

#[derive(Debug, Subcommand)]
pub(crate) enum Format {
    /// Data sources of Druid: Spring's XML, or a properties file. What becomes of each property is told in a comment.
    Druid {
        /// The file; - reads standard input.
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}

/// The longest file read, in bytes; nobody writes so much by hand.
const FILE_LEN_MAX: u64 = 1 << 20;

impl Format {
    pub(crate) fn run(&self) -> Result<ExitCode> {
        let Self::Druid { file } = self;
        let text = read(file).with_context(|| file.display().to_string())?;
        let imports = druid::import(&text).with_context(|| file.display().to_string())?;
        let answer = fragment(&imports, &file.display().to_string());
        // Not print!, which panics when a pager closes early.
        io::stdout().write_all(answer.as_bytes()).context("the answer cannot be written")?;
        Ok(ExitCode::SUCCESS)
    }
}

fn read(file: &Path) -> io::Result<String> {
    let mut text = String::new();
    // One byte more tells a longer file from a whole one; the reader says so.
    if file == Path::new("-") {
        io::stdin().take(FILE_LEN_MAX + 1).read_to_string(&mut text)?;
    } else {
        fs::File::open(file)?.take(FILE_LEN_MAX + 1).read_to_string(&mut text)?;
    }
    Ok(text)
}

/// A configuration with every data source, its users once.
fn fragment(imports: &[Import], file: &str) -> String {
    let mut text =
        format!("# Imported from {}. Look at the address, TLS, the budget and the password.\n", one_line(file));
    let mut names = Names::default();
    let mut users: BTreeMap<String, String> = BTreeMap::new();
    for import in imports {
        let database = names.unique(&named(import));
        text += &server(import, &database);
        if let Some(user) = settings(import, Place::User).next() {
            let variable = format!("{}_PASSWORD", environment(&user.value.to_string()));
            users.insert(format!("[[users]]\n{user}\npassword_env = \"{variable}\"\n"), variable);
        }
        text += &remarks(import);
    }
    for user in users.keys() {
        let _ = write!(text, "\n{user}");
    }
    text
}

/// `[[servers]]`, its pool and its database.
fn server(import: &Import, name: &str) -> String {
    let mut text = String::new();
    let source = import.name.as_deref().map(|name| format!("# data source {}\n", one_line(name))).unwrap_or_default();
    let _ = write!(text, "\n{source}[[servers]]\nname = {0}\ncluster = {0}\n", quoted(name));
    text += &lines(import, Place::Server);
    if settings(import, Place::Server).all(|setting| setting.key != "address") {
        text += "address = \"127.0.0.1:5432\"    # the file does not say where the server is\n";
    }
    let _ = write!(text, "\n[servers.pool]\n{}", lines(import, Place::Pool));
    let database = settings(import, Place::Database).next().map(|setting| setting.value.to_string());
    let _ = write!(
        text,
        "\n[[databases]]\nname = {}\ncluster = {}\n",
        database.as_deref().unwrap_or("\"*\""),
        quoted(name)
    );
    text
}

/// The settings of a place, each key once: what is said last counts, as for Druid.
fn settings(import: &Import, place: Place) -> impl Iterator<Item = &Setting> {
    noted(import, place).map(|(_, setting)| setting)
}

fn noted(import: &Import, place: Place) -> impl Iterator<Item = (&Note, &Setting)> {
    let all = || import.notes.iter().flat_map(|note| note.settings.iter().map(move |setting| (note, setting)));
    all().enumerate().filter_map(move |(at, (note, setting))| {
        let is_last = all().skip(at + 1).all(|(_, later)| (later.place, later.key) != (place, setting.key));
        (setting.place == place && is_last).then_some((note, setting))
    })
}

/// A line for each setting, with the property that it comes from.
fn lines(import: &Import, place: Place) -> String {
    let mut text = String::new();
    for (note, setting) in noted(import, place) {
        let _ = writeln!(text, "{:<36}# {}", setting.to_string(), one_line(&note.property));
    }
    text
}

/// What became of every property.
fn remarks(import: &Import) -> String {
    let mut text = "\n# What became of each property:\n".to_owned();
    for note in &import.notes {
        let Note { property, given, outcome, settings, why } = note;
        let given = given.as_ref().map(|given| format!(" = {given}")).unwrap_or_default();
        let became: Vec<String> = settings.iter().map(ToString::to_string).collect();
        let became = if became.is_empty() { String::new() } else { format!(" -> {}", became.join(", ")) };
        let why = if why.is_empty() { String::new() } else { format!(" ({why})") };
        let _ = writeln!(text, "# {}", one_line(&format!("{}: {property}{given}{became}{why}", outcome.name())));
    }
    text
}

/// What the server is called: its database, or the bean.
fn named(import: &Import) -> String {
    let database = settings(import, Place::Database).next().map(|setting| setting.value.to_string());
    let name = database.map(|name| name.trim_matches('"').to_owned()).or_else(|| import.name.clone());
    let plain: String =
        name.unwrap_or_default().chars().filter(|c| c.is_alphanumeric() || "-_.".contains(*c)).collect();
    if plain.is_empty() { "imported".into() } else { plain }
}

/// Names that are given once.
#[derive(Default)]
struct Names(BTreeMap<String, u32>);

impl Names {
    fn unique(&mut self, name: &str) -> String {
        let count = self.0.entry(name.into()).or_insert(0);
        *count += 1;
        if *count == 1 { name.into() } else { format!("{name}-{count}") }
    }
}

/// A name as a variable of the environment has it.
fn environment(name: &str) -> String {
    let letters = name.trim_matches('"').chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' });
    letters.collect::<String>().to_ascii_uppercase()
}

fn quoted(name: &str) -> String {
    format!("\"{name}\"")
}

/// A text that stays in its comment, whatever the file says.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
