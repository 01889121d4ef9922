//! Admin console, HTTP and reload: how an operator sees and steers a running Evenkeel.
//!
//! A [`Control`] looks at an [`Engine`](session::Engine) and answers for its console; over HTTP it shows the same facts as
//! metrics and as JSON. Everything shown is built once, as rows under documented columns, from snapshots and on threads
//! that serve no client. It deliberately knows neither sockets of clients nor where the configuration comes from: crate
//! `evenkeel` says so by [`Steering`], and calls [`Control::serve_http`].
//!
//! ```no_run
//! # async fn example(engine: std::sync::Arc<session::Engine>, steering: std::sync::Arc<dyn control::Steering>)
//! # -> std::io::Result<()> {
//! let control = control::Control::new(engine.clone(), steering, env!("CARGO_PKG_VERSION"));
//! engine.set_console(control.clone());
//! control.set_state(control::State::Ready);
//! control.serve_http(tokio::net::TcpListener::bind("127.0.0.1:9632").await?).await
//! # }
//! ```

mod clock;
mod console;
mod facts;
mod http;
mod metrics;
mod periods;
mod process;
pub mod reference;
mod steering;
pub mod sum;
mod table;
mod tables;
#[cfg(test)]
mod tests;
mod view;

pub use console::Control;
pub use steering::{SetError, Shutdown, State, Steering};
