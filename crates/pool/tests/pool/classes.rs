//! Classes: routes that share their connections, leases that change their class, and the limit on transactions.

use std::sync::Arc;

use pool::{
    Checkout, ClassId, ClassLimits, ClassSet, ClassView, Home, Lease, LimitMode, NoTransfer, Party, Pool, RouteId,
    RouteLimits, StateKey, TransactionLimit, TransactionPermit,
};
use proptest::prelude::*;

use crate::fake::{Dialer, Event, Server, at_rest, equal, eventually, plain, pool, settle};

fn class(number: usize) -> ClassId {
    ClassId::new(number).unwrap()
}

fn in_class(number: usize) -> RouteLimits {
    RouteLimits { class: class(number), ..equal() }
}

/// A route, and its sibling in class 1, which has this cap.
fn pair(server: &Arc<Server>, budget: u32, cap: u32) -> (Pool<Dialer>, RouteId, RouteId) {
    let (pool, one) = pool(server, plain(budget));
    pool.set_class(class(1), ClassLimits::capped(cap));
    let other = pool.add_sibling(one, in_class(1)).unwrap();
    (pool, one, other)
}

fn view(pool: &Pool<Dialer>, number: usize) -> ClassView {
    pool.snapshot().classes.into_iter().find(|(id, _)| id.number() == number).unwrap().1
}

async fn lend(pool: &Pool<Dialer>, route: RouteId) -> Lease<Dialer> {
    pool.checkout(route, Checkout::new()).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn siblings_lend_each_other_what_is_idle() {
    let server = Server::new();
    let (pool, one, other) = pair(&server, 4, 4);
    let lease = lend(&pool, one).await;
    let serial = lease.serial;
    assert_eq!((lease.route(), lease.class()), (one, class(0)));
    drop(lease);
    let lease = lend(&pool, other).await;
    assert_eq!((lease.serial, lease.route(), lease.class()), (serial, other, class(1)));
    drop(lease);
    assert_eq!(lend(&pool, one).await.serial, serial);
    assert_eq!(server.connects_begun(), 1, "nobody connected for it");
    assert_eq!(server.count(|event| *event == Event::Opened(class(0))), 1);
    at_rest(&server, &pool).await;
}

#[tokio::test(start_paused = true)]
async fn a_sibling_of_nobody_is_none_and_one_that_goes_leaves_the_other() {
    let server = Server::new();
    let (pool, one, other) = pair(&server, 4, 4);
    let lease = lend(&pool, other).await;
    pool.remove_route(one);
    assert_eq!(pool.add_sibling(one, in_class(2)), None);
    let serial = lease.serial;
    drop(lease);
    assert_eq!(lend(&pool, other).await.serial, serial, "the other goes on");
    pool.remove_route(other);
    eventually("all is closed", || server.live() == 0).await;
}

#[tokio::test(start_paused = true)]
async fn siblings_log_in_alike_also_after_a_change_of_credentials() {
    let server = Server::new();
    let (pool, one, other) = pair(&server, 4, 4);
    let (first, second) = (lend(&pool, one).await, lend(&pool, other).await);
    pool.replace_route(other, "new");
    drop((first, second));
    settle().await;
    for route in [one, other] {
        assert_eq!(lend(&pool, route).await.user, "new");
    }
    assert_eq!(*server.logins.lock().unwrap(), ["app", "app", "new"], "one login serves both");
    at_rest(&server, &pool).await;
}

#[tokio::test(start_paused = true)]
async fn a_transfer_makes_room_for_who_waits_in_the_class() {
    let server = Server::new();
    let (pool, kept, crowded) = pair(&server, 4, 1);
    let mut lease = lend(&pool, crowded).await;
    let waiter = pool.start_checkout(crowded, Checkout::new());
    settle().await;
    assert_eq!((view(&pool, 1).waiting, server.connects_begun()), (1, 1));
    lease.transfer(kept).unwrap();
    assert_eq!((lease.route(), lease.class()), (kept, class(0)));
    let second = waiter.await.unwrap();
    assert_ne!(second.id(), lease.id(), "the class has refilled");
    assert_eq!((view(&pool, 0).in_use, view(&pool, 1).in_use), (1, 1));
    lease.transfer(kept).unwrap();
    assert_eq!(view(&pool, 0).transfers, 1, "it was there already");
    let serial = lease.serial;
    drop(lease);
    assert_eq!(lend(&pool, kept).await.serial, serial, "it is idle where it went");
    drop(second);
    at_rest(&server, &pool).await;
}

#[tokio::test(start_paused = true)]
async fn a_transfer_that_is_refused_changes_nothing() {
    let server = Server::new();
    let (pool, one, other) = pair(&server, 4, 1);
    let stranger = pool.add_route("stranger", equal());
    let mut lease = lend(&pool, one).await;
    assert_eq!(lease.transfer(stranger), Err(NoTransfer::NoSibling));
    let taken = lend(&pool, other).await;
    assert_eq!(lease.transfer(other), Err(NoTransfer::ClassFull { class: class(1), cap: 1 }));
    pool.set_class(class(1), ClassLimits::capped(4));
    pool.set_route_limits(other, RouteLimits { cap: Some(1), ..in_class(1) });
    assert_eq!(lease.transfer(other), Err(NoTransfer::RouteFull { cap: 1 }));
    pool.remove_route(other);
    assert_eq!(lease.transfer(other), Err(NoTransfer::UnknownRoute));
    assert_eq!((lease.route(), lease.class()), (one, class(0)));
    drop((lease, taken));
    at_rest(&server, &pool).await;
}

#[tokio::test(start_paused = true)]
async fn a_lease_outlives_its_class() {
    let server = Server::new();
    let (pool, _, other) = pair(&server, 2, 1);
    let lease = lend(&pool, other).await;
    pool.remove_class(class(1));
    assert_eq!((view(&pool, 0).in_use, view(&pool, 1)), (1, ClassView { available: 1, ..ClassView::default() }));
    drop(lease);
    let returned = |of| move |event: &Event| *event == Event::ReturnedIn(of);
    assert_eq!((server.count(returned(class(0))), server.count(returned(class(1)))), (1, 0), "that is nobody's now");
    at_rest(&server, &pool).await;
}

/// Half of what class 1 can hold, for everybody.
fn limit(mode: LimitMode) -> TransactionLimit {
    TransactionLimit { mode, fraction: 0.5, classes: ClassSet::EMPTY.with(class(1)) }
}

fn party(pool: &Pool<Dialer>, name: &str) -> Party {
    let parties = pool.snapshot().transactions.parties;
    parties.into_iter().find(|(party, _)| **party == *name).map(|(_, party)| party).unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn a_party_has_its_part_of_what_the_classes_can_hold_at_this_moment() {
    let server = Server::new();
    let (pool, ..) = pair(&server, 10, 4);
    let (ada, bob): (Arc<str>, Arc<str>) = ("ada".into(), "bob".into());
    assert!(pool.begin_transaction(&ada).unwrap().is_none(), "there is no limit yet");
    pool.set_transaction_limit(limit(LimitMode::On));
    let first = pool.begin_transaction(&ada).unwrap();
    let second = pool.begin_transaction(&ada).unwrap();
    let over = pool.begin_transaction(&ada).unwrap_err();
    assert_eq!((over.held, over.limit, over.capacity), (2, 2, 4));
    let other = pool.begin_transaction(&bob).unwrap().unwrap();
    assert_eq!(other.party(), "bob");
    // The capacity is that of now.
    pool.set_class(class(1), ClassLimits::capped(6));
    let third = pool.begin_transaction(&ada).unwrap();
    pool.set_class(class(1), ClassLimits::capped(2));
    drop((first, second));
    assert!(pool.begin_transaction(&ada).is_err(), "one of two");
    drop(third);
    assert!(pool.begin_transaction(&ada).unwrap().is_some());
    assert_eq!((party(&pool, "ada").held, party(&pool, "ada").refusals.refused), (0, 2));
}

#[tokio::test(start_paused = true)]
async fn what_is_open_already_is_counted_beyond_the_limit() {
    let server = Server::new();
    let (pool, ..) = pair(&server, 10, 2);
    let ada: Arc<str> = "ada".into();
    assert!(pool.join_transaction(&ada).is_none(), "there is no limit yet");
    pool.set_transaction_limit(limit(LimitMode::On));
    let begun = pool.begin_transaction(&ada).unwrap();
    let joined = pool.join_transaction(&ada);
    assert!(joined.is_some());
    assert_eq!((party(&pool, "ada").held, party(&pool, "ada").refusals.exceeded), (2, 1));
    drop(begun);
    assert!(pool.begin_transaction(&ada).is_err(), "the other one still counts");
    drop(joined);
    assert!(pool.begin_transaction(&ada).is_ok());
}

#[tokio::test]
async fn a_permit_comes_back_however_it_goes() {
    let server = Server::new();
    let (pool, ..) = pair(&server, 10, 2);
    let ada: Arc<str> = "ada".into();
    pool.set_transaction_limit(limit(LimitMode::On));
    let begin = || pool.begin_transaction(&ada).unwrap().unwrap();
    let permit = begin();
    let panics = tokio::spawn(async move {
        let _permit = permit;
        std::panic::resume_unwind(Box::new("as the test says"));
    });
    assert!(panics.await.unwrap_err().is_panic());
    let permit = begin();
    let hangs = tokio::spawn(async move {
        let _permit = permit;
        std::future::pending::<()>().await;
    });
    hangs.abort();
    assert!(hangs.await.unwrap_err().is_cancelled());
    let permit = begin();
    std::thread::spawn(move || drop(permit)).join().unwrap();
    // The limit may end before the permit, and so may the pool.
    let permit = begin();
    pool.set_transaction_limit(limit(LimitMode::Off));
    assert_eq!(party(&pool, "ada").held, 1);
    drop(permit);
    assert_eq!(party(&pool, "ada"), Party::default());
    pool.set_transaction_limit(limit(LimitMode::On));
    let permit = begin();
    drop(pool);
    drop(permit);
}

/// One thing that a holder does. Numbers choose among what there is, modulo.
#[derive(Debug, Clone)]
enum Step {
    Take(usize),
    GiveBack(usize),
    Transfer(usize, usize),
    Begin(usize),
    Join(usize),
    End(usize),
    Cap(usize, u32),
}

fn step() -> impl Strategy<Value = Step> {
    let any = any::<usize>;
    prop_oneof![
        6 => any().prop_map(Step::Take),
        4 => any().prop_map(Step::GiveBack),
        6 => (any(), any()).prop_map(|(lease, to)| Step::Transfer(lease, to)),
        4 => any().prop_map(Step::Begin),
        1 => any().prop_map(Step::Join),
        4 => any().prop_map(Step::End),
        1 => (1_usize..3, 1_u32..5).prop_map(|(class, cap)| Step::Cap(class, cap)),
    ]
}

/// What the holders know, beside what the pool says.
struct Model {
    pool: Pool<Dialer>,
    routes: [RouteId; 3],
    caps: [u32; 3],
    leases: Vec<Lease<Dialer>>,
    parties: [Arc<str>; 2],
    permits: Vec<TransactionPermit<Dialer>>,
}

impl Model {
    fn new(server: &Arc<Server>) -> Self {
        let (pool, first) = pool(server, plain(6));
        for number in [1, 2] {
            pool.set_class(class(number), ClassLimits::capped(2));
        }
        let siblings = [1, 2].map(|number| pool.add_sibling(first, in_class(number)).unwrap());
        pool.set_transaction_limit(limit(LimitMode::On));
        let routes = [first, siblings[0], siblings[1]];
        let parties = ["ada".into(), "bob".into()];
        Self { pool, routes, caps: [6, 2, 2], leases: Vec::new(), parties, permits: Vec::new() }
    }

    async fn take(&mut self, step: Step) {
        let chosen = |choice: usize, of: usize| (of > 0).then(|| choice % of);
        match step {
            Step::Take(route) => {
                let route = self.routes[route % 3];
                let within = Checkout::new().within(std::time::Duration::from_millis(1));
                self.leases.extend(self.pool.checkout(route, within).await.ok());
            }
            Step::GiveBack(lease) => {
                if let Some(at) = chosen(lease, self.leases.len()) {
                    drop(self.leases.swap_remove(at));
                }
            }
            Step::Transfer(lease, to) => {
                let Some(at) = chosen(lease, self.leases.len()) else { return };
                let (lease, to) = (&mut self.leases[at], to % 3);
                let before = (lease.route(), lease.class());
                match lease.transfer(self.routes[to]) {
                    Ok(()) => assert_eq!((lease.route(), lease.class()), (self.routes[to], class(to))),
                    Err(why) => {
                        assert_eq!((lease.route(), lease.class()), before);
                        assert_eq!(why, NoTransfer::ClassFull { class: class(to), cap: self.caps[to] });
                    }
                }
            }
            Step::Begin(who) => {
                let party = &self.parties[who % 2];
                let (held, limit) = (self.held(party), (self.caps[1] / 2).max(1));
                match self.pool.begin_transaction(party) {
                    Ok(permit) => {
                        assert!(held < limit);
                        self.permits.extend(permit);
                    }
                    Err(over) => assert_eq!((held >= limit, over.held, over.limit), (true, held, limit)),
                }
            }
            Step::Join(who) => self.permits.extend(self.pool.join_transaction(&self.parties[who % 2])),
            Step::End(permit) => {
                if let Some(at) = chosen(permit, self.permits.len()) {
                    drop(self.permits.swap_remove(at));
                }
            }
            Step::Cap(number, cap) => {
                self.caps[number] = cap;
                self.pool.set_class(class(number), ClassLimits::capped(cap));
            }
        }
    }

    fn held(&self, party: &Arc<str>) -> u32 {
        self.permits.iter().filter(|permit| permit.party() == &**party).count() as u32
    }

    fn agrees(&self) {
        let snapshot = self.pool.snapshot();
        assert!(snapshot.faults.is_clean(), "{:?}", snapshot.faults);
        for (id, view) in &snapshot.classes {
            let held = self.leases.iter().filter(|lease| lease.class() == *id).count() as u32;
            assert_eq!(view.in_use, held, "{id:?}");
        }
        for name in &self.parties {
            assert_eq!(party(&self.pool, name).held, self.held(name));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever holders do, the pool counts each lease where it is and each transaction once, and all of it comes back.
    #[test]
    fn leases_and_transactions_are_counted_where_they_are(steps in prop::collection::vec(step(), 1..80)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let server = Server::new();
            let mut model = Model::new(&server);
            for step in steps {
                model.take(step).await;
                model.agrees();
            }
            let Model { pool, leases, permits, routes, parties, .. } = model;
            drop((leases, permits));
            for name in &parties {
                assert_eq!(party(&pool, name).held, 0);
            }
            at_rest(&server, &pool).await;
            // What is idle serves any of them.
            let idle = pool.totals().idle;
            let begun = server.connects_begun();
            let leases: Vec<_> =
                (0..idle).map_while(|_| pool.try_checkout(routes[0], StateKey(0), Home(0))).collect();
            assert_eq!(server.connects_begun(), begun);
            drop(leases);
            at_rest(&server, &pool).await;
        });
    }
}
