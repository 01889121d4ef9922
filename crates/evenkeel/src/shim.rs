#![allow(missing_docs, dead_code)]
use std::sync::Arc;
#[derive(Debug, Clone, Copy)] pub enum Shutdown { Now, WhenIdle }
pub enum State { Starting, Ready, Draining }
pub trait Steering: Send + Sync + 'static { fn reload(&self) -> Result<Vec<String>, String>; fn shutdown(&self, how: Shutdown); fn config(&self) -> Arc<config::Config>; }
pub struct Control;
impl Control { pub fn new(_: Arc<session::Engine>, _: Arc<dyn Steering>, _: &'static str) -> Arc<Self> { Arc::new(Self) }
 pub async fn serve_http(self: Arc<Self>, _: tokio::net::TcpListener) -> std::io::Result<()> { Ok(()) }
 pub fn set_state(&self, _: State) {} }
impl session::console::Console for Control { fn run<'a>(&'a self, _: &'a str, _: &'a session::console::Operator) -> std::pin::Pin<Box<dyn Future<Output = session::console::Answer> + Send + 'a>> { Box::pin(async { session::console::Answer::Done("X") }) } }
