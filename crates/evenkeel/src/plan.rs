//! From the configuration, which operators write, to the plan, which the engine follows.

use std::{collections::HashMap, sync::Arc};

use config::{
    Config, ConsoleAccess,
    keys::{
        AuthMethod, AuthPlugin, BinlogDump, ClientCompression, Fit, Moves, PoolKeys, Reuse, ServerCompression,
        UnknownUsers,
    },
};
use route::ServerIndex;
use session::{
    Announce, ClientLimits, ClientTls, Compression, ConsoleRole, Dialling, MysqlPlan, Plan, Prepared, ServerPlan,
    UserEntry, UserSecret,
    proxy_header::{Network, Trusted},
};

/// The plan for a configuration, with at most so many clients.
pub(crate) fn plan(config: &Config, clients_max: usize) -> Plan {
    let (keys, table) = (config.keys(), config.table());
    let limits = &keys.limits;
    let secret = |credential: &auth::Credential| Arc::new(UserSecret::new(credential.clone()));
    let users = table
        .users()
        .iter()
        .map(|user| &user.name)
        .cloned()
        .chain(console_users(config))
        .map(|name| {
            let client = config.client_credential(&name);
            let server = config.user_server_credential(&name);
            // Where both are the same, what is learnt from one helps the other.
            let own = client.map(secret);
            let server_secret = server.filter(|server| client != Some(server)).map(secret);
            (name, UserEntry { secret: own, server_secret })
        })
        .collect();
    let databases = table
        .databases()
        .iter()
        .filter_map(|database| Some((database.name.clone(), secret(config.database_credential(&database.name)?))))
        .collect();
    Plan {
        table: table.clone(),
        servers: (0..table.servers().len()).map(|at| server_plan(config, ServerIndex(at))).collect(),
        users,
        databases,
        demand: match keys.listen.auth {
            AuthMethod::Trust => session::AuthMethod::Trust,
            AuthMethod::Password => session::AuthMethod::Cleartext,
            AuthMethod::Md5 => session::AuthMethod::Md5,
            AuthMethod::Scram => session::AuthMethod::Scram,
        },
        limits: ClientLimits {
            total: clients_max.min(limits.max_clients as usize),
            per_user: limits.max_clients_per_user.get().map(|limit| limit as usize),
            per_database: limits.max_clients_per_database.get().map(|limit| limit as usize),
            per_address: limits.max_clients_per_address.get().map(|limit| limit as usize),
        },
        balancers: balancers(config),
        client_tls: client_tls(config),
        mysql: mysql(config),
        login_timeout: keys.timeouts.login.get(),
        prepared: Prepared {
            per_server_max: keys.prepared.max_per_server as usize,
            per_client_max: keys.prepared.max_per_client as usize,
            reuse_unnamed: keys.prepared.reuse_unnamed,
        },
        message_len_max: limits.max_message_size.get(),
        console: console(config),
    }
}

fn console_users(config: &Config) -> impl Iterator<Item = Arc<str>> {
    let admin = &config.keys().admin;
    let known = |name: &&String| config.table().user_index(name).is_none();
    admin
        .users
        .iter()
        .chain(&admin.stats_users)
        .filter(known)
        .map(|name| name.as_str().into())
        .collect::<Vec<_>>()
        .into_iter()
}

fn console(config: &Config) -> HashMap<Arc<str>, ConsoleRole> {
    let admin = &config.keys().admin;
    let names = admin.users.iter().chain(&admin.stats_users);
    names
        .filter_map(|name| {
            let role = match config.console_access(name) {
                ConsoleAccess::Admin => ConsoleRole::Admin,
                ConsoleAccess::Stats => ConsoleRole::Viewer,
                ConsoleAccess::None => return None,
            };
            Some((name.as_str().into(), role))
        })
        .collect()
}

fn balancers(config: &Config) -> Trusted {
    let networks = config.keys().listen.proxy_protocol.iter();
    // A network of the configuration is one already: none is lost here.
    networks.filter_map(|network| Network::new(network.address(), network.prefix_len()).ok()).collect()
}

fn mysql(config: &Config) -> MysqlPlan {
    let keys = &config.keys().mysql;
    MysqlPlan {
        server_version: keys.server_version.as_deref().map(Into::into),
        auth_plugin: match keys.auth_plugin {
            AuthPlugin::CachingSha2Password => auth::Plugin::CachingSha2,
            AuthPlugin::MysqlNativePassword => auth::Plugin::Native,
        },
        asks_servers: keys.unknown_users == UnknownUsers::AskServer,
        local_infile: keys.local_infile,
        binlog_dump: keys.binlog_dump == BinlogDump::Pass,
        rsa_key: config.rsa_key().cloned(),
        packet_len_max: keys.max_packet.get(),
        compression: keys.compression.iter().map(client_compression).collect(),
    }
}

fn client_compression(way: &ClientCompression) -> Compression {
    match way {
        ClientCompression::Zlib => Compression::Zlib,
        ClientCompression::Zstd => Compression::Zstd,
    }
}

fn client_tls(config: &Config) -> ClientTls {
    match config.client_tls() {
        None => ClientTls::Never,
        Some(tls) if tls.required => ClientTls::Required(tls.acceptor.clone()),
        Some(tls) => ClientTls::Offered(tls.acceptor.clone()),
    }
}

fn dialling(config: &Config, server: ServerIndex) -> Dialling {
    let tls = config.server_tls(server);
    Dialling {
        tls: tls.map(|tls| tls.connector.clone()),
        tls_server_name: tls.and_then(|tls| tls.name.clone()),
        announce: if config.server(server).proxy_protocol { Announce::Header } else { Announce::No },
    }
}

fn server_plan(config: &Config, server: ServerIndex) -> ServerPlan {
    let keys = config.pool(server);
    ServerPlan {
        pool: pool_settings(keys, config.table().server(server).budget),
        init_sql: keys.init_sql.as_str().into(),
        validation_query: keys.validation_query.as_str().into(),
        asks_census: keys.fit != Fit::Off,
        dialling: dialling(config, server),
        compression: match config.server(server).compression {
            ServerCompression::Off => None,
            ServerCompression::Zlib => Some(Compression::Zlib),
            ServerCompression::Zstd => Some(Compression::Zstd),
        },
    }
}

fn pool_settings(keys: &PoolKeys, budget: u32) -> pool::Settings {
    pool::Settings {
        budget,
        max_waiters: keys.max_waiters,
        checkout_timeout: keys.checkout_timeout.get(),
        connect_timeout: keys.connect_timeout.get(),
        connect_concurrency: keys.connect_concurrency,
        validate_timeout: keys.validate_timeout.get(),
        idle_timeout: keys.idle_timeout.get(),
        max_idle_timeout: keys.max_idle_timeout.get(),
        max_lifetime: keys.max_lifetime.get(),
        lifetime_jitter: keys.lifetime_jitter,
        max_uses: keys.max_uses.get().map(u64::from),
        maintenance_interval: keys.maintenance_interval.get(),
        test_on_checkout: keys.test_on_checkout.get(),
        test_while_idle: keys.test_while_idle.get(),
        test_on_return: keys.test_on_return,
        reuse: match keys.reuse {
            Reuse::MostRecent => pool::Reuse::MostRecent,
            Reuse::LeastRecent => pool::Reuse::LeastRecent,
        },
        leak_timeout: keys.leak_timeout.get(),
        reclaim_after: keys.reclaim_after.get(),
        retention_connects: keys.retention_connects,
        moves: match keys.moves {
            Moves::Rekey => pool::Moves::Rekey,
            Moves::Reconnect => pool::Moves::Reconnect,
        },
        probe_after: keys.probe_after.get(),
        ..pool::Settings::default()
    }
}
