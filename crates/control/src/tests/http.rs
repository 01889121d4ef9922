use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::{Duration, Instant},
};

use super::World;
use crate::{
    State,
    http::{
        PAGES,
        guard::{CONNECTIONS_MAX, SILENCE_MAX},
    },
};

impl World {
    /// Serves HTTP; the address.
    async fn serve_http(&self) -> std::net::SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(self.control.clone().serve_http(listener));
        address
    }
}

/// Status and body of a page.
async fn get(address: std::net::SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    (head[9..12].parse().unwrap(), body.into())
}

#[tokio::test]
async fn readiness_follows_state_pauses_and_servers() {
    let world = World::without_server().await;
    let address = world.serve_http().await;
    let ready = async |status: u16, text: &str| {
        let (found, body) = get(address, "/readyz").await;
        assert!(found == status && body.contains(text), "{found} {body} instead of {status} {text}");
        assert_eq!(get(address, "/healthz").await, (200, "ok\n".into()));
    };
    ready(503, "starting").await;
    world.control.set_state(State::Ready);
    ready(200, "ready").await;
    world.engine.probe("app", "shop", Duration::from_millis(100)).await.unwrap_err();
    ready(503, "no server answers: pg-a (").await;
    world.run("PAUSE").await;
    ready(503, "paused").await;
    world.run("RESUME").await;
    world.control.set_state(State::Draining);
    ready(503, "draining").await;
}

#[tokio::test]
async fn json_tells_what_the_console_tells() {
    let world = World::with_server().await;
    let _lease = world.lease("app", "shop").await;
    let address = world.serve_http().await;
    let read = async |path| serde_json::from_str::<Value>(&get(address, path).await.1).unwrap();
    let routes = read("/api/routes").await;
    let shown = world.rows("SHOW ROUTES").await;
    let (route, row) = (routes[0].as_object().unwrap(), &shown[0]);
    assert_eq!(route.len(), row.len());
    for (name, value) in row {
        let found = match &route[*name] {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            // 50.0 in JSON is 50 on the console.
            number => Some(number.as_f64().unwrap().to_string()),
        };
        // Time goes on between the two looks.
        assert!(found == *value || *name == "lease_ms", "{name}: {found:?} {value:?}");
    }
    let servers = read("/api/servers").await;
    assert_eq!((&servers[0]["server"], &servers[0]["budget"]), (&"pg-a".into(), &2.into()));
    assert_eq!(servers[0]["connections"][0]["state"], "active");
    assert_eq!(read("/api/clients").await, Value::Array(Vec::new()));
    assert!(get(address, "/metrics").await.1.contains("\nevenkeel_route_in_use_connections{"));
}

#[tokio::test]
async fn every_page_exists_and_others_name_them() {
    let world = World::without_server().await;
    let address = world.serve_http().await;
    let (status, contents) = get(address, "/").await;
    assert_eq!(status, 404);
    for (path, _) in PAGES {
        assert!(contents.contains(path));
        assert_ne!(get(address, path).await.0, 404, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn silent_clients_make_room_for_others() {
    let world = World::without_server().await;
    let address = world.serve_http().await;
    let mut silent = Vec::new();
    for _ in 0..CONNECTIONS_MAX {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET /healthz HTTP/1.1\r\nX-Slow").await.unwrap();
        silent.push(stream);
    }
    let began = Instant::now();
    assert_eq!(get(address, "/healthz").await.0, 200);
    assert!(began.elapsed() >= SILENCE_MAX, "{:?}", began.elapsed());
    let mut rest = Vec::new();
    silent[0].read_to_end(&mut rest).await.ok();
    assert!(!rest.starts_with(b"HTTP/1.1 200"));
}
