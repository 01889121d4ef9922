//! Prometheus metrics: one list of families per kind of thing, from which both the page and its documentation are written.

mod classes;
mod families;

use std::{collections::BTreeMap, time::Duration};

use meter::{Exposition, Histogram, Snapshot};
use session::ClientLimits;

pub(crate) use self::{
    classes::{CLASSES, REJECTIONS, REJECTIONS_DRY_RUN, TAILS, TRANSACTIONS, Tail},
    families::{PROCESS, ROUTES, SERVERS},
};
use crate::{
    State,
    facts::{Facts, RouteFacts},
    process,
    view::View,
};

/// The most routes that are shown one by one; database names under `*` come from clients, who can invent them.
pub(crate) const ROUTES_SHOWN_MAX: usize = 2_000;

/// Database and user of the routes that are not shown one by one.
pub(crate) const OTHER: &str = "other";

/// One family of metrics about things of kind `T`.
#[derive(Debug)]
pub(crate) struct Family<T: 'static> {
    pub(crate) name: &'static str,
    /// What it tells, in a sentence.
    pub(crate) about: &'static str,
    pub(crate) values: Values<T>,
}

/// How a family's values are read. Several things under the same labels are added up.
#[derive(Debug)]
pub(crate) enum Values<T: 'static> {
    /// Only grows.
    Counter(fn(&T) -> u64),
    /// Goes up and down; none: no sample.
    Gauge(fn(&T) -> Option<f64>),
    /// Seconds that only grow.
    Seconds(fn(&T) -> Duration),
    /// A distribution of durations; one without values is left out.
    Histogram(fn(&T) -> &Histogram),
    /// The same of what not everything has.
    Histograms(fn(&T) -> Option<&Histogram>),
    /// Counters that differ by one more label.
    Counters(&'static str, fn(&T) -> Vec<(&'static str, u64)>),
    /// Gauges that differ by one more label.
    Gauges(&'static str, fn(&T) -> Vec<(&'static str, f64)>),
}

/// The program itself.
#[derive(Debug)]
pub(crate) struct ProcessFacts {
    version: &'static str,
    state: State,
    clients: usize,
    limits: ClientLimits,
    uptime: Duration,
    resident_bytes: Option<u64>,
    open_files: Option<u64>,
    routes: usize,
}

/// Things that share their labels.
struct Group<'a, T> {
    labels: Vec<(&'static str, &'a str)>,
    members: Vec<&'a T>,
}

/// The whole page, as [`meter::CONTENT_TYPE`].
pub(crate) fn page(view: &View) -> String {
    let facts = Facts::of(&view.engine);
    let process = ProcessFacts {
        version: view.version,
        state: view.state(),
        clients: view.engine.registry().len(),
        limits: view.engine.plan().limits,
        uptime: view.uptime(),
        resident_bytes: process::resident_bytes(),
        open_files: process::open_files(),
        routes: facts.routes.len(),
    };
    let mut page = Exposition::new();
    write(&mut page, PROCESS, &[Group { labels: Vec::new(), members: vec![&process] }]);
    let servers = facts.servers.iter();
    let servers = servers.map(|server| Group { labels: vec![("server", &*server.server.name)], members: vec![server] });
    let servers = servers.collect::<Vec<_>>();
    write(&mut page, SERVERS, &servers);
    write(&mut page, TRANSACTIONS, &servers);
    classes::write_classes(&mut page, &facts.classes);
    write_routes(&mut page, &facts.routes, ROUTES_SHOWN_MAX);
    if view.config().keys().metrics.vttablet_names {
        classes::write_vttablet(&mut page, &facts.classes, &facts.servers);
    }
    page.finish()
}

pub(crate) fn write_routes(page: &mut Exposition, routes: &[RouteFacts], shown_max: usize) {
    write(page, ROUTES, &by_route(routes, shown_max));
}

/// The routes one by one, the first by name, and the others together by server.
fn by_route(routes: &[RouteFacts], shown_max: usize) -> Vec<Group<'_, RouteFacts>> {
    let mut shown = Vec::new();
    let mut others: BTreeMap<&str, Vec<&RouteFacts>> = BTreeMap::new();
    for route in routes {
        let [server, database, user, flavour] = route.names();
        // A user of that very name must not make two samples with the same labels.
        if shown.len() < shown_max && [database, user] != [OTHER; 2] {
            let mut labels = vec![("server", server), ("database", database), ("user", user)];
            if !flavour.is_empty() {
                labels.push(("flavour", flavour));
            }
            shown.push(Group { labels, members: vec![route] });
        } else {
            others.entry(server).or_default().push(route);
        }
    }
    shown.extend(others.into_iter().map(|(server, members)| {
        let labels = vec![("server", server), ("database", OTHER), ("user", OTHER)];
        Group { labels, members }
    }));
    shown
}

fn write<T>(page: &mut Exposition, families: &[Family<T>], groups: &[Group<'_, T>]) {
    for Family { name, about, values } in families {
        match values {
            Values::Counter(get) => {
                let mut family = page.counter(name, about);
                for Group { labels, members } in groups {
                    family.sample(labels, members.iter().map(|member| get(member)).sum::<u64>());
                }
            }
            Values::Gauge(get) => {
                let mut family = page.gauge(name, about);
                for Group { labels, members } in groups {
                    if let Some(sum) = members.iter().map(|member| get(member)).sum::<Option<f64>>() {
                        family.sample(labels, sum);
                    }
                }
            }
            Values::Seconds(get) => {
                let mut family = page.counter(name, about);
                for Group { labels, members } in groups {
                    family.sample(labels, members.iter().map(|member| get(member).as_secs_f64()).sum::<f64>());
                }
            }
            Values::Histogram(get) => write_histograms(page, name, about, groups, |member| Some(get(member))),
            Values::Histograms(get) => write_histograms(page, name, about, groups, get),
            Values::Counters(label, get) => {
                let mut family = page.counter(name, about);
                for (labels, value) in labelled(groups, label, *get) {
                    family.sample(&labels, value);
                }
            }
            Values::Gauges(label, get) => {
                let mut family = page.gauge(name, about);
                for (labels, value) in labelled(groups, label, *get) {
                    family.sample(&labels, value);
                }
            }
        }
    }
}

fn write_histograms<T>(
    page: &mut Exposition,
    name: &'static str,
    about: &str,
    groups: &[Group<'_, T>],
    get: impl Fn(&T) -> Option<&Histogram>,
) {
    let mut family = page.histogram(name, about);
    for Group { labels, members } in groups {
        let mut sum = Snapshot::empty();
        members.iter().filter_map(|member| get(member)).for_each(|histogram| sum.merge(&histogram.snapshot()));
        if sum.count() > 0 {
            family.sample(labels, &sum);
        }
    }
}

/// Labels with their values.
type Labels<'a> = Vec<(&'static str, &'a str)>;

/// The samples of a family with one more label.
fn labelled<'a, T, N: Default + std::ops::AddAssign>(
    groups: &[Group<'a, T>],
    label: &'static str,
    get: fn(&T) -> Vec<(&'static str, N)>,
) -> Vec<(Labels<'a>, N)> {
    let mut samples = Vec::new();
    for Group { labels, members } in groups {
        let mut sums: BTreeMap<&'static str, N> = BTreeMap::new();
        for (value, n) in members.iter().flat_map(|member| get(member)) {
            *sums.entry(value).or_default() += n;
        }
        let with = |value: &'static str| labels.iter().copied().chain([(label, value)]).collect();
        samples.extend(sums.into_iter().map(|(value, n)| (with(value), n)));
    }
    samples
}
