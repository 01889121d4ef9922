//! HTTP: metrics, health and the console's tables as JSON. Nothing here changes anything.

pub(crate) mod guard;

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::State as Shared,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::{Map, Value};
use tokio::net::TcpListener;

use self::guard::Guard;
use crate::{
    Control,
    facts::{ClientFacts, Facts},
    metrics,
    table::Table,
    tables::{
        classes::{self, CLASSES, TRANSACTION_LIMITS},
        connections::{CLIENTS, SERVERS},
        routes::ROUTES,
        servers::BUDGETS,
        sum,
    },
    view::View,
};

/// Every page, with what it shows.
pub(crate) const PAGES: &[(&str, &str)] = &[
    ("/metrics", "Prometheus metrics"),
    ("/healthz", "200 while the program serves"),
    ("/readyz", "200 when clients are served; else 503 and the reason"),
    ("/api/routes", "the routes in use, as SHOW ROUTES has them, in JSON"),
    (
        "/api/servers",
        "the servers, as SHOW BUDGETS has them, with their connections, as SHOW SERVERS has them, in JSON",
    ),
    ("/api/classes", "the classes of the servers, as SHOW CLASSES has them, in JSON"),
    ("/api/transaction_limits", "who has how many transactions, as SHOW TRANSACTION_LIMITS has it, in JSON"),
    (
        "/api/sum",
        "the most connections to each server, as SHOW SUM has it, as of the last time the servers were asked, in JSON",
    ),
    ("/api/clients", "the client connections, as SHOW CLIENTS has them, in JSON"),
];

impl Control {
    /// Serves HTTP until the future is dropped.
    ///
    /// # Errors
    /// The listener broke for good.
    pub async fn serve_http(self: Arc<Self>, listener: TcpListener) -> std::io::Result<()> {
        // No handler takes a body, and hyper closes a connection rather than read one that nobody wants.
        let pages = Router::new()
            .route("/metrics", get(metrics_page))
            .route("/healthz", get(|| async { "ok\n" }))
            .route("/readyz", get(readiness))
            .route("/api/routes", get(|view| tables(view, routes)))
            .route("/api/servers", get(|view| tables(view, servers)))
            .route("/api/classes", get(|view| tables(view, all_classes)))
            .route("/api/transaction_limits", get(|view| tables(view, limits)))
            .route("/api/sum", get(|view| tables(view, sums)))
            .route("/api/clients", get(|view| tables(view, clients)))
            .fallback(|| async { (StatusCode::NOT_FOUND, contents()) })
            .with_state(self.view.clone());
        axum::serve(Guard::new(listener), pages).await
    }
}

async fn metrics_page(Shared(view): Shared<Arc<View>>) -> Response {
    match view.look(metrics::page).await {
        Ok(page) => ([(CONTENT_TYPE, meter::CONTENT_TYPE)], page).into_response(),
        Err(error) => failed(&error),
    }
}

async fn readiness(Shared(view): Shared<Arc<View>>) -> Response {
    match view.readiness() {
        Ok(()) => "ready\n".into_response(),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response(),
    }
}

type Objects = Vec<Map<String, Value>>;

async fn tables(Shared(view): Shared<Arc<View>>, build: fn(&View) -> Objects) -> Response {
    match view.look(build).await {
        Ok(objects) => Json(objects).into_response(),
        Err(error) => failed(&error),
    }
}

fn routes(view: &View) -> Objects {
    Table::of(ROUTES, &Facts::of(&view.engine).routes).into_objects()
}

fn all_classes(view: &View) -> Objects {
    Table::of(CLASSES, &Facts::of(&view.engine).classes).into_objects()
}

fn limits(view: &View) -> Objects {
    Table::of(TRANSACTION_LIMITS, &classes::shares(&Facts::of(&view.engine).servers)).into_objects()
}

fn sums(view: &View) -> Objects {
    Table::of(sum::SUM, &sum::lines(view)).into_objects()
}

fn clients(view: &View) -> Objects {
    Table::of(CLIENTS, &ClientFacts::all(&view.engine)).into_objects()
}

/// Each server with its connections.
fn servers(view: &View) -> Objects {
    let facts = Facts::of(&view.engine);
    let mut servers = Table::of(BUDGETS, &facts.servers).into_objects();
    let mut connections = Table::of(SERVERS, &facts.connections).into_objects().into_iter().peekable();
    for server in &mut servers {
        let name = server.get("server").cloned();
        // Both lists are in the order of the servers.
        let own = std::iter::from_fn(|| connections.next_if(|connection| connection.get("server") == name.as_ref()));
        let own = own.map(Value::Object).collect();
        server.insert("connections".into(), Value::Array(own));
    }
    servers
}

fn contents() -> String {
    let mut text = String::from("No such page. There are:\n");
    for (path, about) in PAGES {
        text.push_str(&format!("{path}  {about}\n"));
    }
    text
}

fn failed(error: &tokio::task::JoinError) -> Response {
    tracing::error!(%error, "a page could not be built");
    (StatusCode::INTERNAL_SERVER_ERROR, "the page could not be built\n").into_response()
}
