//! Logs to standard error, as configured; the level follows a reload.

use config::keys::{LogFormat, LogKeys, LogLevel};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::{Registry, layer::SubscriberExt, reload, util::SubscriberInitExt};

/// Changes the level of a log that is being written.
pub(crate) struct LogHandle(reload::Handle<LevelFilter, Registry>);

impl LogHandle {
    pub(crate) fn set(&self, keys: &LogKeys) {
        if self.0.reload(level(keys.level)).is_err() {
            tracing::warn!("the log level could not be changed");
        }
    }
}

/// Starts the log of this process.
pub(crate) fn start(keys: &LogKeys) -> LogHandle {
    let (filter, handle) = reload::Layer::new(level(keys.level));
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_target(false);
    let registry = tracing_subscriber::registry().with(filter);
    let started = match keys.format {
        LogFormat::Text => registry.with(lines.with_ansi(false)).try_init(),
        LogFormat::Json => registry.with(lines.json().flatten_event(true)).try_init(),
    };
    if let Err(error) = started {
        eprintln!("evenkeel: logging was already started: {error}");
    }
    LogHandle(handle)
}

fn level(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}
