//! What a verdict costs, in nanoseconds.
//!
//! `cargo run --release -p evenkeel-sql --example classify`

use std::hint::black_box;
use std::time::{Duration, Instant};

use sql::mysql::Mode;

/// The select of `pgbench -S`, its update, and a report such as applications send.
const TEXTS: [&str; 3] = [
    "SELECT abalance FROM pgbench_accounts WHERE aid = 43210",
    "UPDATE pgbench_accounts SET abalance = abalance + -1234 WHERE aid = 543210",
    "SELECT c.customer_id, c.name, c.email, count(o.order_id) AS orders, sum(oi.quantity * oi.unit_price) AS revenue, \
     max(o.created_at) AS last_order FROM customers c JOIN orders o ON o.customer_id = c.customer_id AND o.status IN \
     ('paid', 'shipped', 'delivered') JOIN order_items oi ON oi.order_id = o.order_id LEFT JOIN discounts d ON \
     d.discount_id = o.discount_id AND d.valid_until > now() WHERE c.country = $1 AND o.created_at >= $2 AND \
     o.created_at < $3 AND EXISTS (SELECT 1 FROM addresses a WHERE a.customer_id = c.customer_id AND a.kind = 'billing' \
     AND a.city <> 'Springfield') AND NOT EXISTS (SELECT 1 FROM complaints k WHERE k.order_id = o.order_id AND \
     k.severity > 3) GROUP BY c.customer_id, c.name, c.email HAVING sum(oi.quantity * oi.unit_price) > 1000.50 ORDER BY \
     revenue DESC, last_order ASC NULLS LAST LIMIT 100 OFFSET 200 /* report: monthly revenue by customer, v7 */",
];

const CALLS_PER_ROUND: u32 = 10_000;
const ROUNDS: u32 = 30;

fn main() {
    for text in TEXTS {
        let postgres = fastest(|| {
            black_box(sql::inspect(black_box(text.as_bytes()), true));
        });
        let mysql = fastest(|| {
            black_box(sql::mysql::inspect(black_box(text.as_bytes()), Mode::STANDARD));
        });
        for (dialect, time) in [("PostgreSQL", postgres), ("MySQL", mysql)] {
            let nanos = time.as_secs_f64() * 1e9;
            println!("{dialect:10} {:4} bytes: {nanos:7.1} ns, {:.2} ns a byte", text.len(), nanos / text.len() as f64);
        }
    }
}

/// The mean time of one call in the fastest of several rounds: what is left when nobody else uses the core.
fn fastest(mut call: impl FnMut()) -> Duration {
    let round = |call: &mut dyn FnMut()| {
        let begin = Instant::now();
        for _ in 0..CALLS_PER_ROUND {
            call();
        }
        begin.elapsed().as_secs_f64() / f64::from(CALLS_PER_ROUND)
    };
    Duration::from_secs_f64((0..ROUNDS).map(|_| round(&mut call)).fold(f64::MAX, f64::min))
}
