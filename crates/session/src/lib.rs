//! The drivers: they move the bytes between clients, pools and servers.
//!
//! The [`Engine`] owns everything: the pools of all servers, the routes in use, the clients connected, and the [`Plan`]
//! of what shall hold. A [`Listener`] feeds it sockets. Each client is one task that waits without buffers, takes in a
//! unit of work, leases a server connection from its route's pool, relays in both directions at once, and gives the
//! connection back at the boundary, before the last reply is written.
//!
//! It deliberately knows no configuration file and shows nothing by itself: crate `evenkeel` makes the plan, crate
//! `control` looks at the [`Engine`] and answers for the [`Console`](console::Console).

mod accept;
mod approach;
mod cancel;
mod census;
mod class_meters;
mod class_numbers;
pub mod console;
mod decoys;
mod demand;
mod dialling;
mod driver;
mod engine;
mod errand;
mod flow;
mod lane;
mod mysql;
mod observe;
mod pin;
mod placing;
mod plan;
mod pools;
mod postgres;
pub mod proxy_header;
mod registry;
mod seats;
mod secrets;
mod stream;
mod vigil;

pub use self::mysql::MyConnector;
pub use accept::Listener;
pub use approach::{Approach, Encryption};
pub use census::{Census, ScopeLimit};
pub use class_meters::ClassMeters;
pub use dialling::{Announce, Dialling};
pub use engine::{Engine, LOBBY_MAX, LaneError, ROUTES_MAX, ServerPool};
pub use errand::{Errand, ErrandError};
pub use lane::{Flavour, Lane, Meters, Prepared};
pub use observe::ServerMeters;
pub use pin::Pin;
pub use plan::{AuthMethod, ClientTls, Compression, ConsoleRole, MysqlPlan, Plan, ServerPlan, UserEntry};
pub use pools::AnyPool;
pub use postgres::PgConnector;
pub use registry::{ClientEntry, ClientLimits, OPERATORS_MAX, Phase, Registry};
pub use secrets::UserSecret;
pub use stream::{Peer, Stream};
