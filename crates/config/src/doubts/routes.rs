//! `[[routes]]` that change nothing, or less than they say.

use route::{DatabaseIndex, Rule, Server, Table};

/// Those of all routes, which are named by their place from 0, as on the console.
pub(super) fn doubts(table: &Table) -> impl Iterator<Item = String> {
    let rules = table.rules();
    rules.iter().enumerate().flat_map(move |(at, rule)| {
        let by = rules.iter().take(at).position(|earlier| covers(earlier, rule));
        let never = by.map(|by| format!("routes.{at} is never reached: routes.{by} takes all of it"));
        // What is never reached has no say in anything else.
        let above = if never.is_none() { above_budget(table, at, rule) } else { None };
        never.into_iter().chain(above)
    })
}

/// Whether `earlier` surely decides wherever `rule` could.
///
/// A pattern takes all that another takes if it takes the text of the other: only a star can stand for a star. For mode and
/// time limits, rules for some classes only do not count; so they cover none that is for all.
fn covers(earlier: &Rule, rule: &Rule) -> bool {
    let classes = match (&earlier.class, &rule.class) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(earlier), Some(own)) => earlier.matches(&own.to_string()),
    };
    classes && earlier.matches(&rule.user.to_string(), &rule.database.to_string())
}

/// A cap that no server of the rule lets it reach.
fn above_budget(table: &Table, at: usize, rule: &Rule) -> Option<String> {
    let cap = rule.cap?;
    let largest = servers_of(table, rule).max_by_key(|server| server.budget)?;
    let Server { name, budget, .. } = largest;
    (cap > *budget).then(|| format!("routes.{at}: cap {cap} is above the budget {budget} of server `{name}`"))
}

/// The servers that the databases of a rule lead to.
fn servers_of<'t>(table: &'t Table, rule: &'t Rule) -> impl Iterator<Item = &'t Server> {
    let one = rule.database.exact().map(|name| table.database_index(name));
    let is_of_rule = move |index, name: &str| match one {
        Some(one) => one == Some(index),
        None => name == "*" || rule.database.matches(name),
    };
    let databases = table.databases().iter().zip(0_usize..).map(|(database, index)| (database, DatabaseIndex(index)));
    let concerned = databases.filter(move |(database, index)| is_of_rule(*index, &database.name));
    concerned.map(|(_, index)| table.server(table.server_of(index)))
}
