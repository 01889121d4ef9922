//! What a scene is made of, whatever its server speaks.

use super::{DATABASE, PASSWORD, USER};

/// What kind of scene, in front of a server that is started with options `O`. By default: user [`USER`], database
/// [`DATABASE`], two server connections.
#[derive(Clone)]
pub struct SetupFor<O> {
    pub options: O,
    pub users: Vec<String>,
    pub databases: Vec<String>,
    budget: u32,
    sections: String,
    server: String,
}

impl<O> SetupFor<O> {
    pub fn new() -> Self
    where
        O: Default,
    {
        Self {
            options: O::default(),
            budget: 2,
            users: vec![USER.to_owned()],
            databases: vec![DATABASE.to_owned()],
            sections: String::new(),
            server: String::new(),
        }
    }

    /// What the server is started with, besides users and databases.
    pub fn options(mut self, options: O) -> Self {
        self.options = options;
        self
    }

    /// The most server connections.
    pub fn budget(mut self, budget: u32) -> Self {
        self.budget = budget;
        self
    }

    /// One more user, on the server and in Evenkeel.
    pub fn user(mut self, name: &str) -> Self {
        self.users.push(name.to_owned());
        self
    }

    /// One more database.
    pub fn database(mut self, name: &str) -> Self {
        self.databases.push(name.to_owned());
        self
    }

    /// More of the configuration: whole sections, such as `[pool]`.
    pub fn toml(mut self, sections: &str) -> Self {
        self.sections.push_str(sections);
        self.sections.push('\n');
        self
    }

    /// More lines of the `[[servers]]` entry.
    pub fn server_toml(mut self, lines: &str) -> Self {
        self.server.push_str(lines);
        self.server.push('\n');
        self
    }

    /// The configuration for a server of this protocol, all but its `[listen]` section.
    pub fn config_for(&self, protocol: &str, address: &str) -> String {
        let Self { budget, sections, server, .. } = self;
        let mut text = format!(
            "{sections}\n[[servers]]\nname = \"main\"\nprotocol = \"{protocol}\"\naddress = \"{address}\"\nbudget = {budget}\n\
             {server}"
        );
        for name in &self.databases {
            text.push_str(&format!("[[databases]]\nname = \"{name}\"\nserver = \"main\"\n"));
        }
        for name in &self.users {
            text.push_str(&format!("[[users]]\nname = \"{name}\"\npassword = \"{PASSWORD}\"\n"));
        }
        text
    }
}
